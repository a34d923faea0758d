use std::time::Duration;

use async_nats::jetstream::stream::LastRawMessageErrorKind;

use crate::{
    Bus, Delivery, Envelope, Error, ErrorKind, Message, dead,
    pull::{Pull, Raw},
    subject,
};

/// The reason code of a message whose envelope cannot be read.
pub(crate) const ENVELOPE_INVALID: &str = "envelope_invalid";

/// How a durable consumer reads a stream. Replicas with the same `durable` share its messages.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ConsumerConfig {
    /// The stream, a constant of [`crate::subject`].
    pub stream: String,
    /// The name under which the server remembers what was acknowledged; also the inbox's consumer.
    pub durable: String,
    /// Which subjects; none means all.
    pub filters: Vec<String>,
    /// The most deliveries of one batch.
    pub max_batch: usize,
    /// How long a batch waits for its first message before it comes back empty.
    pub max_wait_ms: u64,
    /// After how long without an answer the server redelivers.
    pub ack_wait: Duration,
    /// How often a message is delivered before it becomes a dead letter.
    pub max_deliver: u64,
    /// How long the redelivery after the first, second, … attempt waits; the last one repeats.
    pub backoff: Vec<Duration>,
    /// How many deliveries may be unanswered at once, over all replicas.
    pub max_ack_pending: usize,
}

impl ConsumerConfig {
    /// The usual settings: batches of 500, redelivery after 200 ms, 1 s, 5 s, 30 s and then every 2 minutes, dead
    /// after ten attempts, 30 seconds to acknowledge.
    #[must_use]
    pub fn new(stream: impl Into<String>, durable: impl Into<String>) -> Self {
        Self {
            stream: stream.into(),
            durable: durable.into(),
            filters: Vec::new(),
            max_batch: 500,
            max_wait_ms: 5_000,
            ack_wait: Duration::from_secs(30),
            max_deliver: 10,
            backoff: [200, 1_000, 5_000, 30_000, 120_000].map(Duration::from_millis).to_vec(),
            max_ack_pending: 4_000,
        }
    }

    /// The same settings for these subjects only.
    #[must_use]
    pub fn filtered<F: Into<String>>(mut self, filters: impl IntoIterator<Item = F>) -> Self {
        self.filters = filters.into_iter().map(Into::into).collect();
        self
    }

    pub(crate) fn redeliver_after(&self, attempt: u64) -> Duration {
        let index = usize::try_from(attempt.saturating_sub(1)).unwrap_or(usize::MAX);
        self.backoff.get(index).or(self.backoff.last()).copied().unwrap_or_default()
    }
}

/// How far a consumer is behind.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Pending {
    /// Messages never delivered so far; at least one where there are some that the server did not count yet.
    pub waiting: u64,
    /// Deliveries that are not answered yet, those waiting for their redelivery included.
    pub unanswered: u64,
}

const PENDING: &str = "ask how far a consumer is";

/// What the server knows of a consumer.
#[derive(serde::Deserialize)]
struct Info {
    num_pending: u64,
    num_ack_pending: u64,
    delivered: Delivered,
    config: Wanted,
}

#[derive(serde::Deserialize)]
struct Delivered {
    stream_seq: u64,
}

/// Which messages a consumer is to be given; all of its stream if nothing is said.
#[derive(serde::Deserialize)]
struct Wanted {
    #[serde(default)]
    filter_subject: String,
    #[serde(default)]
    filter_subjects: Vec<String>,
}

/// A durable consumer: hands out batches, at least once each.
pub struct Consumer {
    pull: Pull,
}

impl std::fmt::Debug for Consumer {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Consumer").field("config", self.pull.config()).finish_non_exhaustive()
    }
}

impl Bus {
    /// Opens a durable consumer, creating it or bringing its settings up to date. A new one starts at the oldest
    /// message that the stream still has.
    ///
    /// # Errors
    /// The stream does not exist, the server refuses the settings, or it does not answer.
    pub async fn consumer(&self, config: ConsumerConfig) -> Result<Consumer, Error> {
        Ok(Consumer { pull: Pull::open(self.clone(), config).await? })
    }

    /// How far a durable consumer is behind. What was published before this call is counted: the server confirms a message
    /// a moment before its consumers know of it, so its own count is not enough.
    ///
    /// # Errors
    /// There is no such consumer, or the server does not answer.
    pub async fn pending(&self, stream: &str, durable: &str) -> Result<Pending, Error> {
        let subject = format!("CONSUMER.INFO.{stream}.{durable}");
        let info: Info = self.api(PENDING, subject, &serde_json::json!({})).await?;
        let mut waiting = info.num_pending;
        if waiting == 0 && info.delivered.stream_seq < self.last_of(stream, &info.config).await? {
            waiting = 1;
        }
        Ok(Pending { waiting, unanswered: info.num_ack_pending })
    }

    /// The place of the last message of the stream that such a consumer is to be given; 0 if there is none.
    async fn last_of(&self, stream: &str, wanted: &Wanted) -> Result<u64, Error> {
        let stream = self.jetstream().get_stream_no_info(stream).await;
        let stream = stream.map_err(|error| Error::caused(ErrorKind::Unreachable, PENDING, error))?;
        let one = (!wanted.filter_subject.is_empty()).then_some(&wanted.filter_subject);
        let mut filters: Vec<&str> = wanted.filter_subjects.iter().chain(one).map(String::as_str).collect();
        if filters.is_empty() {
            filters.push(">");
        }
        let mut last = 0;
        for filter in filters {
            match stream.get_last_raw_message_by_subject(filter).await {
                Ok(message) => last = last.max(message.sequence),
                Err(error) => match error.kind() {
                    LastRawMessageErrorKind::NoMessageFound => {}
                    LastRawMessageErrorKind::JetStream(answer) => {
                        return Err(Error::jetstream(PENDING, answer));
                    }
                    _ => return Err(Error::caused(ErrorKind::Unreachable, PENDING, error)),
                },
            }
        }
        Ok(last)
    }
}

impl Consumer {
    /// The next deliveries: it waits for one, then takes every further one that is there already. Comes back
    /// empty after `max_wait_ms`, so that the caller can look around. Survives restarts of the server. Safe to
    /// cancel: what is dropped is redelivered.
    ///
    /// A message whose envelope cannot be read becomes a dead letter here and is not handed out. One of the stream DEAD
    /// is a dead letter already: it is acknowledged and stays where it is.
    ///
    /// # Errors
    /// The consumer cannot be opened again, or a dead letter could not be stored: stop, the message comes back.
    pub async fn next_batch(&mut self) -> Result<Vec<Delivery>, Error> {
        let raw = self.pull.next().await?;
        let mut deliveries = Vec::with_capacity(raw.len());
        let mut unreadable = Vec::new();
        for raw in raw {
            match Envelope::from_headers(raw.headers.as_ref()) {
                Ok(envelope) => deliveries.push(self.delivery(raw, envelope)),
                Err(error) => unreadable.push((raw, error)),
            }
        }
        for (raw, error) in unreadable {
            self.bury_unreadable(raw, &error).await?;
        }
        if !deliveries.is_empty() {
            self.pull.bus().metrics().consumed(&self.pull.config().durable, deliveries.len());
        }
        Ok(deliveries)
    }

    fn delivery(&self, raw: Raw, envelope: Envelope) -> Delivery {
        let message = Message { subject: raw.subject, envelope, body: raw.body };
        Delivery::new(self.pull.bus().clone(), self.pull.config(), message, raw.headers, raw.settle)
    }

    async fn bury_unreadable(&self, mut raw: Raw, error: &Error) -> Result<(), Error> {
        let config = self.pull.config();
        if config.stream == subject::DEAD {
            let (consumer, letter) = (&config.durable, raw.settle.sequence);
            tracing::warn!(consumer, letter, %error, "passed over a dead letter whose envelope cannot be read");
            return raw.settle.answer(async_nats::jetstream::AckKind::Ack).await;
        }
        let burial = dead::Burial {
            stream: &config.stream,
            consumer: &config.durable,
            sequence: raw.settle.sequence,
            attempts: raw.settle.attempt,
            reason: ENVELOPE_INVALID,
            detail: &error.to_string(),
            subject: &raw.subject,
            headers: raw.headers.as_ref(),
            body: raw.body.clone(),
        };
        burial.publish(self.pull.bus()).await?;
        raw.settle.answer(async_nats::jetstream::AckKind::Ack).await
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_last_backoff_repeats_and_none_means_at_once() {
        let mut config = ConsumerConfig::new("S", "d");
        assert_eq!(config.redeliver_after(1), Duration::from_millis(200));
        assert_eq!(config.redeliver_after(5), Duration::from_secs(120));
        assert_eq!(config.redeliver_after(50), Duration::from_secs(120));
        config.backoff.clear();
        assert_eq!(config.redeliver_after(3), Duration::ZERO);
    }
}
