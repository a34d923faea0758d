use std::time::Duration;

use async_nats::jetstream::AckKind;
use serde::Deserialize;
use tokio_util::sync::CancellationToken;

use crate::{
    Bus, ConsumerConfig, Error,
    dead::{self, Burial},
    pull::{Pull, Raw},
    subject,
};

/// The reason code of a message that was delivered so often as allowed, and never answered.
const MAX_DELIVERIES: &str = "max_deliveries";
const OP: &str = "keep a message that ran out of deliveries";

/// The server's notice, as far as it matters here.
#[derive(Deserialize)]
struct Advisory {
    stream: String,
    consumer: String,
    stream_seq: u64,
    deliveries: u64,
}

impl Bus {
    /// Keeps as dead letters the messages whose handler never answered: it crashed, or was dropped, each time. One
    /// such task must run in the house; several share the work. Returns when `shutdown` is cancelled.
    ///
    /// # Errors
    /// A dead letter could not be stored. Start it again: the server keeps its notices meanwhile.
    pub async fn run_dead_letter_watch(&self, shutdown: CancellationToken) -> Result<(), Error> {
        let config = ConsumerConfig {
            max_batch: 100,
            max_deliver: u64::MAX,
            backoff: vec![Duration::from_secs(5)],
            ..ConsumerConfig::new(subject::ADVISORIES, "dead-letter-watch")
        };
        let watch = async {
            let mut pull = Pull::open(self.clone(), config).await?;
            loop {
                for mut raw in pull.next().await? {
                    self.bury_exhausted(&raw).await?;
                    raw.settle.answer(AckKind::Ack).await?;
                }
            }
        };
        tokio::select! {
            () = shutdown.cancelled() => Ok(()),
            ended = watch => ended,
        }
    }

    async fn bury_exhausted(&self, raw: &Raw) -> Result<(), Error> {
        let Ok(advisory) = serde_json::from_slice::<Advisory>(&raw.body) else {
            tracing::error!(subject = raw.subject, "the server's notice is of an unknown form");
            return Ok(());
        };
        let Some(message) = dead::original(self, &advisory.stream, advisory.stream_seq, OP).await? else {
            return Ok(()); // Answered after all, or older than the stream keeps.
        };
        let burial = Burial {
            stream: &advisory.stream,
            consumer: &advisory.consumer,
            sequence: advisory.stream_seq,
            attempts: advisory.deliveries,
            reason: MAX_DELIVERIES,
            detail: "every delivery went without an answer",
            subject: &message.subject,
            headers: Some(&message.headers),
            body: message.payload.clone(),
        };
        burial.publish(self).await?;
        if advisory.stream == subject::WRITES {
            dead::remove(self, subject::WRITES, advisory.stream_seq).await?;
        }
        Ok(())
    }
}
