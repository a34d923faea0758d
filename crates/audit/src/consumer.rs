//! Messages in: batches of each stream become entries, and only then are they acknowledged.

use std::{collections::HashMap, sync::Arc, time::Duration};

use bus::{Bus, Consumer, ConsumerConfig, Delivery, subject};
use model::Clock;
use opentelemetry::{KeyValue, metrics::Counter};
use sqlx::PgPool;
use tokio::time::{Instant, sleep, sleep_until};
use tokio_util::{sync::CancellationToken, task::TaskTracker};

use crate::{
    Error,
    domain::{describe, entry::Draft},
    store::append,
};

/// The durable consumer on each stream.
const DURABLE: &str = "audit";
/// The most messages of one transaction.
const MAX_BATCH: usize = 1_000;
/// How long a batch waits for company: fewer, larger transactions leave the processor to those who are in a hurry.
const LINGER: Duration = Duration::from_millis(50);
const RETRY_EVERY: Duration = Duration::from_millis(500);
/// Dead letters of these streams. Not those of DEAD itself: a dead letter that could not be recorded is buried once
/// more, and reading that again would never end.
const DEAD_LETTERS: [&str; 3] = ["dead.CHANGES.>", "dead.WRITES.>", "dead.EVENTS.>"];

/// Appends what the streams say, until the shutdown.
#[derive(Clone)]
pub(crate) struct Recorder {
    pub(crate) pool: PgPool,
    pub(crate) bus: Bus,
    pub(crate) clock: Arc<dyn Clock>,
    pub(crate) shutdown: CancellationToken,
    pub(crate) appended: Counter<u64>,
}

impl Recorder {
    /// Starts one task for each stream.
    pub(crate) fn spawn(self, tasks: &TaskTracker) {
        for stream in [subject::CHANGES, subject::EVENTS, subject::DEAD] {
            tasks.spawn(self.clone().run(stream));
        }
    }

    async fn run(self, stream: &'static str) {
        while let Err(error) = self.consume(stream).await {
            tracing::error!(stream, %error, "recording stopped and starts again");
            if self.shutdown.run_until_cancelled(sleep(RETRY_EVERY)).await.is_none() {
                return;
            }
        }
    }

    /// Ends well only with the shutdown.
    async fn consume(&self, stream: &'static str) -> Result<(), Error> {
        let config = ConsumerConfig { max_batch: MAX_BATCH, ..ConsumerConfig::new(stream, DURABLE) };
        let config = if stream == subject::DEAD { config.filtered(DEAD_LETTERS) } else { config };
        let opening = self.shutdown.run_until_cancelled(self.bus.consumer(config)).await;
        let Some(consumer) = opening else { return Ok(()) };
        let mut consumer = consumer?;
        while let Some(batch) = self.shutdown.run_until_cancelled(gather(&mut consumer)).await {
            let batch = batch?;
            if batch.is_empty() {
                continue;
            }
            match stream {
                subject::DEAD => self.record_dead(batch).await?,
                _ => self.record(stream, batch).await?,
            }
        }
        Ok(())
    }

    async fn record(&self, stream: &'static str, batch: Vec<Delivery>) -> Result<(), Error> {
        let mut drafts = Vec::with_capacity(batch.len());
        let mut undecodable = HashMap::new();
        for delivery in &batch {
            let described = describe::describe(&delivery.message);
            if let Some(reason) = described.undecodable {
                undecodable.insert(delivery.stream_sequence, reason);
            }
            drafts.push(described.draft);
        }
        let appended = self.append(stream, drafts, batch).await?;
        for delivery in appended {
            match undecodable.get(&delivery.stream_sequence) {
                Some(reason) => delivery.dead_letter("audit_undecodable", reason).await?,
                None => delivery.ack().await?,
            }
        }
        Ok(())
    }

    async fn record_dead(&self, batch: Vec<Delivery>) -> Result<(), Error> {
        let draft = |delivery: &Delivery| {
            let letter = delivery.as_dead_letter();
            describe::describe_dead(&delivery.message, delivery.stream_sequence, letter.as_ref())
        };
        let drafts = batch.iter().map(draft).collect();
        bus::ack_all(self.append(subject::DEAD, drafts, batch).await?).await?;
        Ok(())
    }

    /// Appends one entry for each delivery and returns the deliveries that are recorded. While the database is away
    /// the batch waits for it; a message that the database refuses for good is failed alone.
    async fn append(
        &self,
        stream: &'static str,
        drafts: Vec<Draft>,
        batch: Vec<Delivery>,
    ) -> Result<Vec<Delivery>, Error> {
        match self.append_patiently(stream, &drafts, &batch).await {
            Ok(()) => return Ok(batch),
            Err(error) if error.is_transient() => return Err(error),
            Err(error) => tracing::error!(stream, %error, "appending a batch failed, appending one by one"),
        }
        let mut appended = Vec::with_capacity(batch.len());
        for (draft, delivery) in drafts.iter().zip(batch) {
            let (draft, one) = (std::slice::from_ref(draft), std::slice::from_ref(&delivery));
            match self.append_patiently(stream, draft, one).await {
                Ok(()) => appended.push(delivery),
                Err(error) if error.is_transient() => return Err(error),
                Err(_) => {
                    delivery.fail("audit_refused").await?;
                }
            }
        }
        Ok(appended)
    }

    async fn append_patiently(
        &self,
        stream: &'static str,
        drafts: &[Draft],
        batch: &[Delivery],
    ) -> Result<(), Error> {
        let repeats = batch.iter().any(|delivery| delivery.attempt > 1 || delivery.replayed);
        loop {
            let error = match append::append(&self.pool, drafts, repeats, self.clock.now()).await {
                Ok(appended) => {
                    let appended = u64::try_from(appended).unwrap_or(u64::MAX);
                    self.appended.add(appended, &[KeyValue::new("stream", stream)]);
                    return Ok(());
                }
                Err(error) => error,
            };
            if !error.is_transient() || self.shutdown.is_cancelled() {
                return Err(error);
            }
            tracing::warn!(stream, %error, "appending waits for the database");
            for delivery in batch {
                delivery.in_progress().await?;
            }
            self.shutdown.run_until_cancelled(sleep(RETRY_EVERY)).await;
        }
    }
}

/// The next batch; a small one is given a moment to grow.
async fn gather(consumer: &mut Consumer) -> Result<Vec<Delivery>, bus::Error> {
    let mut batch = consumer.next_batch().await?;
    if batch.is_empty() || batch.len() >= MAX_BATCH {
        return Ok(batch);
    }
    let until = Instant::now() + LINGER;
    sleep_until(until).await;
    while batch.len() < MAX_BATCH {
        // What is there already comes at once; the deadline is over.
        match tokio::time::timeout_at(until, consumer.next_batch()).await {
            Ok(more) => batch.extend(more?),
            Err(_) => break,
        }
    }
    Ok(batch)
}
