use std::time::Duration;

use crate::{
    Bus, Delivery, Envelope, Error, Message, dead,
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
    /// Messages never delivered so far.
    pub waiting: u64,
    /// Deliveries that are not answered yet, those waiting for their redelivery included.
    pub unanswered: u64,
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

    /// How far a durable consumer is behind.
    ///
    /// # Errors
    /// There is no such consumer, or the server does not answer.
    pub async fn pending(&self, stream: &str, durable: &str) -> Result<Pending, Error> {
        #[derive(serde::Deserialize)]
        struct Info {
            num_pending: u64,
            num_ack_pending: u64,
        }
        let subject = format!("CONSUMER.INFO.{stream}.{durable}");
        let info: Info = self.api("ask how far a consumer is", subject, &serde_json::json!({})).await?;
        Ok(Pending { waiting: info.num_pending, unanswered: info.num_ack_pending })
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
