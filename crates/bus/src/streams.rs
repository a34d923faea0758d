use std::time::Duration;

use async_nats::jetstream::{
    ErrorCode,
    stream::{Config, DiscardPolicy, RetentionPolicy, StorageType},
};

use crate::{Bus, Error, subject};

const OP: &str = "create the streams of the bus";
const DAY: Duration = Duration::from_secs(24 * 60 * 60);
/// For how long the server itself recognizes a repeated id.
const DUPLICATE_WINDOW: Duration = Duration::from_secs(2 * 60);
/// The largest message in a stream, headers included. A dead letter adds its own headers and must still fit
/// into the server's default payload limit of 1 MiB.
const MAX_MESSAGE_BYTES: i32 = 1_040_000;

impl Bus {
    /// Creates the streams of [`crate::subject`], or brings them up to date. Every service may call it at start.
    ///
    /// # Errors
    /// The server does not answer, or refuses: JetStream is off, or its limits are lower than the bus needs.
    pub async fn ensure_streams(&self) -> Result<(), Error> {
        for config in streams(self.options().replicas) {
            let updated = self.put_stream("UPDATE", &config).await;
            match updated {
                Err(error) if error.is_answer(ErrorCode::STREAM_NOT_FOUND) => {
                    self.put_stream("CREATE", &config).await?
                }
                other => other?,
            }
        }
        Ok(())
    }

    async fn put_stream(&self, verb: &str, config: &Config) -> Result<(), Error> {
        let _info: serde_json::Value = self.api(OP, format!("STREAM.{verb}.{}", config.name), config).await?;
        Ok(())
    }
}

fn streams(replicas: usize) -> [Config; 5] {
    let stream = |name: &str, subjects: Vec<String>, max_age: Duration, retention| Config {
        name: name.to_owned(),
        subjects,
        retention,
        max_age,
        max_bytes: -1,
        max_messages: -1,
        max_messages_per_subject: -1,
        max_consumers: -1,
        max_message_size: MAX_MESSAGE_BYTES,
        storage: StorageType::File,
        discard: DiscardPolicy::Old,
        duplicate_window: DUPLICATE_WINDOW,
        allow_atomic_publish: true,
        num_replicas: replicas,
        ..Config::default()
    };
    let events = subject::EVENT_NOUNS.iter().map(|noun| format!("{noun}.>")).collect();
    let dead = stream(subject::DEAD, vec!["dead.>".into()], 90 * DAY, RetentionPolicy::Limits);
    let advisories = vec![subject::MAX_DELIVERIES_ADVISORY.to_owned()];
    let advisories = stream(subject::ADVISORIES, advisories, 90 * DAY, RetentionPolicy::WorkQueue);
    [
        stream(
            subject::CHANGES,
            [
                subject::ALL_CHANGES,
                subject::ALL_WRITTEN,
                subject::ALL_ACTIVITIES,
                subject::ALL_POSTED,
                subject::ALL_INTERACTIONS,
                subject::ALL_MAILED,
            ]
            .map(str::to_owned)
            .into(),
            7 * DAY,
            RetentionPolicy::Limits,
        ),
        stream(
            subject::WRITES,
            ["write.>", "post.>", "answer.>", "mail.>"].map(str::to_owned).into(),
            Duration::ZERO,
            RetentionPolicy::WorkQueue,
        ),
        stream(subject::EVENTS, events, 30 * DAY, RetentionPolicy::Limits),
        Config { max_message_size: -1, ..dead },
        Config { allow_atomic_publish: false, ..advisories },
    ]
}
