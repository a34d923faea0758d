use std::{future::Future, sync::Arc, time::Duration};

use futures::future::try_join_all;
use sqlx::{Connection, PgConnection, PgPool};
use tokio::{
    sync::Notify,
    time::{Instant, sleep, timeout},
};
use tokio_util::sync::CancellationToken;

use crate::{Bus, Error, MAX_BATCH_MESSAGES, Message, outbox::Row, subject};

/// How often the relay looks without being woken.
const POLL: Duration = Duration::from_millis(100);
/// How often a relay that stands by tries to take over.
const STAND_BY: Duration = Duration::from_secs(1);
/// How long an ending relay waits for the batch that is under way.
const GRACE: Duration = Duration::from_secs(5);
const MEASURE_EVERY: Duration = Duration::from_secs(5);
const FIRST_RETRY: Duration = Duration::from_millis(100);
const LAST_RETRY: Duration = Duration::from_secs(5);

/// Publishes the outbox of one schema. Of several relays on the same outbox one works and the others stand by, so
/// the order of the outbox is kept.
///
/// A row is deleted after its stream has acknowledged it. A crash in between publishes it again under the same
/// id: the server recognizes that for two minutes, the consumers' inboxes after that.
#[derive(Debug)]
pub struct Relay {
    pool: PgPool,
    bus: Bus,
    name: String,
    waker: Waker,
    pace: Duration,
}

/// Wakes a relay after a commit. Cheap to clone and to call.
#[derive(Clone, Debug, Default)]
pub struct Waker(Arc<Notify>);

impl Waker {
    /// Tells the relay that there is something in the outbox.
    pub fn wake(&self) {
        self.0.notify_one();
    }
}

impl Relay {
    /// A relay of the outbox in the pool's schema; `name` labels its metrics and logs.
    #[must_use]
    pub fn new(pool: PgPool, bus: Bus, name: impl Into<String>) -> Self {
        Self { pool, bus, name: name.into(), waker: Waker::default(), pace: Duration::ZERO }
    }

    /// Leaves so much time from one batch to the next, unless more than a batch waits. A batch costs the server as much as
    /// dozens of messages, so that many small ones are dear: for outboxes whose readers need not hear of it at once.
    #[must_use]
    pub fn paced(self, pace: Duration) -> Self {
        Self { pace, ..self }
    }

    /// The handle by which a committing task wakes this relay.
    #[must_use]
    pub fn waker(&self) -> Waker {
        self.waker.clone()
    }

    /// Tells the relay that there is something in the outbox.
    pub fn wake(&self) {
        self.waker.wake();
    }

    /// Publishes until `shutdown` is cancelled, through every failure of Postgres and NATS. Ends after the batch
    /// that is under way.
    pub async fn run(self, shutdown: CancellationToken) {
        let mut pause = FIRST_RETRY;
        while !shutdown.is_cancelled() {
            let began = Instant::now();
            let Err(error) = self.lead(&shutdown).await else { continue };
            if began.elapsed() > LAST_RETRY {
                pause = FIRST_RETRY;
            }
            tracing::warn!(outbox = self.name, %error, "the outbox relay failed, it starts again");
            let _over = timeout(pause, shutdown.cancelled()).await;
            pause = (pause * 2).min(LAST_RETRY);
        }
    }

    /// Works as long as nothing fails, or waits a moment where another relay works.
    async fn lead(&self, shutdown: &CancellationToken) -> Result<(), Error> {
        let Some(mut connection) = self.take_lead().await? else {
            let _over = timeout(STAND_BY, shutdown.cancelled()).await;
            return Ok(());
        };
        let mut measured: Option<Instant> = None;
        let mut batch: Vec<Row> = Vec::new();
        let mut published: Vec<i64> = Vec::new();
        while !shutdown.is_cancelled() {
            let began = Instant::now();
            if measured.is_none_or(|at| at.elapsed() >= MEASURE_EVERY) {
                self.measure(&mut connection).await?;
                measured = Some(Instant::now());
            }
            let seqs: Vec<i64> = batch.iter().map(|row| row.seq).collect();
            // The batch before is deleted and the batch after is read while this one is on its way.
            let publishing = or_end(shutdown, self.publish(std::mem::take(&mut batch)));
            let turning = async {
                delete(&mut connection, &published).await?;
                read(&mut connection, &seqs).await
            };
            let (done, next) = tokio::join!(publishing, turning);
            published = if done.transpose()?.is_some() { seqs } else { Vec::new() };
            batch = next?;
            if batch.is_empty() && published.is_empty() {
                self.rest(shutdown).await;
            } else if batch.len() < MAX_BATCH_MESSAGES {
                let _over = timeout(self.pace.saturating_sub(began.elapsed()), shutdown.cancelled()).await;
            }
        }
        delete(&mut connection, &published).await?;
        connection.close().await.map_err(|error| Error::database("close the relay's connection", error))
    }

    async fn rest(&self, shutdown: &CancellationToken) {
        tokio::select! {
            () = self.waker.0.notified() => {}
            () = sleep(POLL) => {}
            () = shutdown.cancelled() => {}
        }
    }

    /// A connection of our own that holds the lead; none while another relay has it.
    async fn take_lead(&self) -> Result<Option<PgConnection>, Error> {
        const OP: &str = "take the lead of the outbox";
        let pooled = self.pool.acquire().await.map_err(|error| Error::database(OP, error))?;
        let mut connection = pooled.detach();
        let leads: bool = sqlx::query_scalar(
            "SELECT pg_try_advisory_lock(hashtextextended(current_schema() || '.outbox', 0))",
        )
        .fetch_one(&mut connection)
        .await
        .map_err(|error| Error::database(OP, error))?;
        if !leads {
            connection.close().await.map_err(|error| Error::database(OP, error))?;
            return Ok(None);
        }
        // A deletion that a crash undoes only publishes again, which is recognized: it need not wait for the disk. And only
        // a plan that knows the rows under way looks them up by a hash; another compares each with all of them.
        let settings = "SET synchronous_commit = off; SET plan_cache_mode = force_custom_plan";
        let set = sqlx::raw_sql(settings).execute(&mut connection).await;
        set.map_err(|error| Error::database(OP, error))?;
        Ok(Some(connection))
    }

    async fn publish(&self, rows: Vec<Row>) -> Result<(), Error> {
        let mut streams: Vec<(&'static str, Vec<Message>)> = Vec::new();
        for message in rows.into_iter().map(|row| row.message) {
            // Checked when it was stored; publishing checks again and refuses.
            let stream = subject::stream_of(&message.subject).unwrap_or_default();
            match streams.iter_mut().find(|(name, _)| *name == stream) {
                Some((_, messages)) => messages.push(message),
                None => streams.push((stream, vec![message])),
            }
        }
        try_join_all(streams.iter().map(|(_, messages)| self.bus.publish_batch(messages))).await?;
        Ok(())
    }

    async fn measure(&self, connection: &mut PgConnection) -> Result<(), Error> {
        let (depth, lag): (i64, f64) = sqlx::query_as(
            "SELECT count(*), coalesce(extract(epoch FROM now() - min(enqueued_at)), 0)::float8 FROM outbox",
        )
        .fetch_one(connection)
        .await
        .map_err(|error| Error::database("measure the outbox", error))?;
        self.bus.metrics().outbox(&self.name, u64::try_from(depth).unwrap_or_default(), lag);
        Ok(())
    }
}

/// The rows at the front that are not under way.
async fn read(connection: &mut PgConnection, under_way: &[i64]) -> Result<Vec<Row>, Error> {
    sqlx::query_as(
        "SELECT seq, subject, id, source, kind, time, organization, cause, actor, traceparent, body
         FROM outbox WHERE seq <> ALL($1) ORDER BY seq LIMIT $2",
    )
    .bind(under_way)
    .bind(MAX_BATCH_MESSAGES as i64)
    .fetch_all(connection)
    .await
    .map_err(|error| Error::database("read the outbox", error))
}

async fn delete(connection: &mut PgConnection, seqs: &[i64]) -> Result<(), Error> {
    if seqs.is_empty() {
        return Ok(());
    }
    let deleted = sqlx::query("DELETE FROM outbox WHERE seq = ANY($1)").bind(seqs).execute(connection).await;
    deleted.map_err(|error| Error::database("delete from the outbox", error))?;
    Ok(())
}

/// The result of the work, or none when the shutdown's grace ends first.
async fn or_end<T>(shutdown: &CancellationToken, work: impl Future<Output = T>) -> Option<T> {
    let end = async {
        shutdown.cancelled().await;
        sleep(GRACE).await;
    };
    tokio::select! {
        done = work => Some(done),
        () = end => None,
    }
}
