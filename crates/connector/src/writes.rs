//! Writes: taken from the work queue of a partition, made in the vendor's batches, answered, then acknowledged.

use std::{
    borrow::Cow,
    collections::{BTreeMap, BTreeSet},
    sync::{Arc, PoisonError},
    time::Duration,
};

use bus::{ConsumerConfig, Delivery, Message, ack_all, subject};
use futures::{StreamExt, stream::FuturesUnordered};
use model::{ApplyWrite, ConnectionId, IssueCategory, ObjectSchema, WriteKind, WriteOutcome};
use tokio::{sync::mpsc, time::interval};
use tracing::Instrument;

use crate::{
    Error, ErrorKind, Retry,
    core::{Core, Link},
    failure::Failure,
    limiter::Priority,
    session::backoff,
    store::Lease,
    words::{storable, without_values},
};

/// The inbox's name for answered writes.
const INBOX: &str = "connector-writes";
const ACK_WAIT: Duration = Duration::from_secs(60);
const STILL_AT_IT: Duration = Duration::from_secs(15);
/// A write is never given up: it is answered, or its connection does not work yet.
const MAX_DELIVER: u64 = 1_000_000;
const MAX_WAITING: usize = 50_000;
/// Writes of an object that are begun together; the rest waits, and the bus is told so.
const AT_ONCE: usize = 500;
/// How often a write is made to which the vendor gives an answer that says nothing: five minutes with the usual pauses,
/// each twice as long as the one before.
const PUZZLED_TRIES: u32 = 6;
const OWN_FAILURE_PAUSE: Duration = Duration::from_secs(1);

/// Makes the writes of one partition.
pub(crate) struct Writer {
    pub(crate) core: Arc<Core>,
    pub(crate) lease: Lease,
}

/// Whose writes are made one batch after the other: an object of a connection.
type Line = (ConnectionId, String);

/// A write and its delivery.
struct Job {
    write: ApplyWrite,
    delivery: Delivery,
}

impl Writer {
    /// Makes writes until dropped.
    pub(crate) async fn run(self) {
        loop {
            if let Err(failure) = self.consume().await {
                let (vendor, partition) = (self.lease.vendor, self.lease.partition);
                tracing::warn!(vendor, partition, error = %failure, "could not take writes");
                tokio::time::sleep(OWN_FAILURE_PAUSE).await;
            }
        }
    }

    async fn consume(&self) -> Result<(), Failure> {
        let Lease { vendor, partition, .. } = self.lease;
        let mut config = ConsumerConfig::new(subject::WRITES, format!("connector-{vendor}-{partition}"))
            .filtered([subject::writes_of(vendor, partition)]);
        config.ack_wait = ACK_WAIT;
        config.max_deliver = MAX_DELIVER;
        config.max_ack_pending = MAX_WAITING;
        let mut consumer = self.core.bus.consumer(config).await?;
        let (taken, batches) = mpsc::channel(1);
        let taking = async move {
            while !taken.is_closed() {
                let batch = self.unanswered(consumer.next_batch().await?).await?;
                if !batch.is_empty() && taken.send(batch).await.is_err() {
                    break;
                }
            }
            Ok::<(), Failure>(())
        };
        // The first failure ends both, once what is being made is done; what was not begun comes again.
        let (took, made) = tokio::join!(taking, self.make_all(batches));
        took.and(made)
    }

    /// Makes the writes of each object of each connection in their order, and those of different ones side by side: a
    /// vendor that hangs holds up nobody else.
    async fn make_all(&self, mut batches: mpsc::Receiver<Vec<Delivery>>) -> Result<(), Failure> {
        let mut waiting: BTreeMap<Line, Vec<Job>> = BTreeMap::new();
        let mut busy: BTreeSet<Line> = BTreeSet::new();
        let mut making = FuturesUnordered::new();
        let mut ticks = interval(STILL_AT_IT);
        loop {
            let free: Vec<Line> = waiting.keys().filter(|line| !busy.contains(line)).cloned().collect();
            for line in free {
                let Some(mut jobs) = waiting.remove(&line) else { continue };
                let rest = jobs.split_off(jobs.len().min(AT_ONCE));
                if !rest.is_empty() {
                    waiting.insert(line.clone(), rest);
                }
                busy.insert(line.clone());
                making.push(async move { (self.make(line.0, jobs).await, line) });
            }
            tokio::select! {
                Some((done, line)) = making.next() => {
                    busy.remove(&line);
                    if done.is_err() {
                        while making.next().await.is_some() {}
                        return done;
                    }
                }
                batch = batches.recv() => {
                    let Some(batch) = batch else {
                        while making.next().await.is_some() {}
                        return Ok(());
                    };
                    for delivery in batch {
                        match delivery.message.decode::<ApplyWrite>() {
                            Ok(write) => {
                                let line = (write.connection, write.object.clone());
                                waiting.entry(line).or_default().push(Job { write, delivery });
                            }
                            Err(error) => delivery.dead_letter("write_undecodable", &error.to_string()).await?,
                        }
                    }
                }
                _ = ticks.tick() => for job in waiting.values().flatten() {
                    job.delivery.in_progress().await?;
                },
            }
        }
    }

    /// The deliveries whose writes have no answer yet. A write that was answered and comes again, because the process
    /// died before it acknowledged, must not be made again: a later one may have followed it.
    async fn unanswered(&self, deliveries: Vec<Delivery>) -> Result<Vec<Delivery>, Failure> {
        let ids: Vec<String> =
            deliveries.iter().map(|delivery| delivery.message.envelope.id.clone()).collect();
        let mut db = self.core.store.pool.acquire().await?;
        let answered = bus::inbox::handled(&mut db, INBOX, &ids).await?;
        let (again, unanswered): (Vec<Delivery>, Vec<Delivery>) =
            deliveries.into_iter().partition(|delivery| answered.contains(&delivery.message.envelope.id));
        ack_all(again).await?;
        Ok(unanswered)
    }

    /// Makes the writes of one object of one connection.
    async fn make(&self, id: ConnectionId, jobs: Vec<Job>) -> Result<(), Failure> {
        let connection = self.core.store.connection(id).await?;
        let organization = jobs.first().map(|job| job.delivery.message.envelope.organization);
        let Some(connection) = connection.filter(|connection| Some(connection.organization) == organization)
        else {
            for job in jobs {
                let detail = "no connection of this organization has this id";
                job.delivery.dead_letter("connection_unknown", detail).await?;
            }
            return Ok(());
        };
        if connection.state == model::ConnectionState::Disconnected {
            let gone =
                Error::new(ErrorKind::AccessRevoked, "write records", "the connection was disconnected");
            let Some(link) = self.core.link(&connection).await? else { return Ok(()) };
            let outcomes = jobs.into_iter().map(|job| (job, rejected(&gone))).collect();
            return self.answer(&link, outcomes).await;
        }
        let link = self.core.link(&connection).await?.filter(|link| {
            connection.works() && link.line.budget.wait(self.core.now(), Priority::Live).is_none()
        });
        let Some(link) = link else {
            return hold(jobs, self.core.config.held_write_pause).await;
        };
        // After a disconnection all is worked out anew: a write from before it would come after its successor.
        let (jobs, old): (Vec<Job>, Vec<Job>) =
            jobs.into_iter().partition(|job| job.delivery.message.envelope.time >= connection.alive_since);
        if !old.is_empty() {
            let superseded = Error::new(
                ErrorKind::AccessRevoked,
                "write records",
                "the connection was disconnected since",
            );
            let outcomes = old.into_iter().map(|job| (job, rejected(&superseded))).collect();
            self.answer(&link, outcomes).await?;
        }
        if jobs.is_empty() {
            return Ok(());
        }
        let object = jobs.first().map(|job| job.write.object.clone()).unwrap_or_default();
        let schemas = self.core.store.schemas(id).await?;
        let Some(schemas) = schemas else { return hold(jobs, self.core.config.held_write_pause).await };
        let Some(schema) = schemas.objects.iter().find(|schema| schema.name == object) else {
            let drift = Error::new(ErrorKind::SchemaDrift, "write records", "the vendor has no such object");
            let outcomes = jobs.into_iter().map(|job| (job, rejected(&drift))).collect();
            return self.answer(&link, outcomes).await;
        };
        let mut jobs = jobs;
        while !jobs.is_empty() {
            let rest = jobs.split_off(jobs.len().min(link.connector.capabilities().write_batch.max(1)));
            self.make_batch(&link, schema, jobs).await?;
            jobs = rest;
        }
        Ok(())
    }

    async fn make_batch(&self, link: &Link, schema: &ObjectSchema, jobs: Vec<Job>) -> Result<(), Failure> {
        let writes: Vec<ApplyWrite> = jobs.iter().map(|job| job.write.clone()).collect();
        let results = {
            let span = tracing::info_span!("write_batch", connection = %link.id, object = schema.name, writes = jobs.len());
            for job in &jobs {
                job.delivery.message.envelope.link_to(&span);
            }
            let making = self.write(link, schema, &writes).instrument(span);
            let mut making = std::pin::pin!(making);
            let mut ticks = interval(STILL_AT_IT);
            ticks.tick().await;
            loop {
                tokio::select! {
                    results = &mut making => break results,
                    _ = ticks.tick() => for job in &jobs { job.delivery.in_progress().await?; },
                }
            }
        };
        let mut answered = Vec::with_capacity(jobs.len());
        let mut worst: Option<Error> = None;
        for (job, result) in jobs.into_iter().zip(results) {
            match result {
                Ok(outcome) => answered.push((job, outcome)),
                Err(error) if waits(&error) => {
                    let pause = self.pause(&error, job.delivery.attempt);
                    job.delivery.nak(pause).await?;
                    worst = Some(error);
                }
                Err(error) => match puzzled(link, &job.write, &error) {
                    Some(tries) => {
                        let pause = self.core.config.held_write_pause * 2_u32.saturating_pow(tries - 1);
                        tracing::warn!(connection = %link.id, object = schema.name, tries, error = %error, "a write waits");
                        job.delivery.nak(pause).await?;
                    }
                    None => answered.push((job, rejected(&error))),
                },
            }
        }
        link.line.usage.written(self.core.now(), answered.len());
        self.answer(link, answered).await?;
        let part = format!("write {}", schema.name);
        match worst {
            Some(error) => {
                tracing::warn!(connection = %link.id, object = schema.name, error = %error, "writes wait");
                self.core.part_failed(link, &part, &error).await?;
            }
            None => self.core.part_succeeded(link, &part).await?,
        }
        Ok(())
    }

    /// One result per write, in their order. Where the field for our record id cannot be made, only creates need it.
    async fn write(
        &self,
        link: &Link,
        schema: &ObjectSchema,
        writes: &[ApplyWrite],
    ) -> Vec<Result<WriteOutcome, Error>> {
        let unprepared = prepare(link, &schema.name, writes).await.err();
        let ready = match &unprepared {
            Some(_) => writes.iter().filter(|write| !creates(write)).cloned().collect(),
            None => Cow::Borrowed(writes),
        };
        let made = match &*ready {
            [] => Vec::new(),
            ready => link.connector.write(&link.session, schema, ready).await,
        };
        let mut made = made.into_iter();
        let mut result_of = |write: &ApplyWrite| match &unprepared {
            Some(error) if creates(write) => Err(again(error)),
            _ => made.next().unwrap_or_else(|| {
                let message = "the connector left a write unanswered";
                Err(Error::new(ErrorKind::Unavailable, "write records", message))
            }),
        };
        writes.iter().map(|write| discreet(result_of(write), write)).collect()
    }

    /// Stores that the writes are answered and the answers themselves together, then acknowledges.
    async fn answer(&self, link: &Link, answered: Vec<(Job, WriteOutcome)>) -> Result<(), Failure> {
        let now = self.core.now();
        let mut messages: Vec<Message> = Vec::with_capacity(answered.len());
        let mut deliveries = Vec::with_capacity(answered.len());
        let mut ids = Vec::with_capacity(answered.len());
        for (job, outcome) in answered {
            let cause = &job.delivery.message.envelope.id;
            messages.push(link.publisher.written(&job.write, cause, outcome, now)?);
            ids.push(cause.clone());
            deliveries.push(job.delivery);
        }
        let mut tx = self.core.store.pool.begin().await?;
        bus::inbox::fresh(&mut tx, INBOX, &ids).await?;
        bus::outbox::enqueue(&mut tx, &messages).await?;
        tx.commit().await?;
        self.core.waker.wake();
        ack_all(deliveries).await?;
        Ok(())
    }

    fn pause(&self, error: &Error, attempt: u64) -> Duration {
        match error.retry {
            // The budget may be raised meanwhile.
            Retry::After(pause) if error.kind == ErrorKind::BudgetSpent => {
                pause.min(self.core.config.held_write_pause)
            }
            Retry::After(pause) => pause,
            Retry::Backoff => backoff(u32::try_from(attempt).unwrap_or(u32::MAX), rand::random())
                .max(Duration::from_millis(50)),
            Retry::Never => self.core.config.held_write_pause,
        }
    }
}

/// Whether a write is tried again: the failure passes, or somebody must connect again first.
fn waits(error: &Error) -> bool {
    error.is_transient() || matches!(error.kind, ErrorKind::AccessRevoked | ErrorKind::TokenExpired)
}

/// How often the vendor gave an answer to this write that neither does it nor refuses it: none when it is not such an
/// answer, or when that was often enough.
fn puzzled(link: &Link, write: &ApplyWrite, error: &Error) -> Option<u32> {
    let mut puzzled = link.puzzled.lock().unwrap_or_else(PoisonError::into_inner);
    let tries = puzzled.remove(&write.id).unwrap_or_default() + 1;
    let again = error.kind.category() == IssueCategory::Unavailable && tries < PUZZLED_TRIES;
    again.then(|| {
        puzzled.insert(write.id, tries);
        tries
    })
}

fn rejected(error: &Error) -> WriteOutcome {
    WriteOutcome::Rejected {
        category: error.kind.category(),
        message: error.message.clone(),
        field: error.field.as_deref().map(str::to_owned),
    }
}

/// The same result without what the vendor's words quote of the write.
fn discreet(result: Result<WriteOutcome, Error>, write: &ApplyWrite) -> Result<WriteOutcome, Error> {
    match result {
        Ok(WriteOutcome::Rejected { category, message, field }) => {
            let mut field = field;
            field.iter_mut().for_each(storable);
            Ok(WriteOutcome::Rejected { category, message: without_values(&message, write), field })
        }
        Err(error) => Err(Error { message: without_values(&error.message, write), ..error }),
        done => done,
    }
}

const fn creates(write: &ApplyWrite) -> bool {
    matches!(write.write, WriteKind::Create { .. })
}

/// Makes sure, once, that the object has the field for our record id, where one of these writes needs it.
async fn prepare(link: &Link, object: &str, writes: &[ApplyWrite]) -> Result<(), Error> {
    if !writes.iter().any(creates) {
        return Ok(());
    }
    let mut prepared = link.prepared.lock().await;
    if !prepared.contains(object) {
        link.connector.prepare_external_id(&link.session, object).await?;
        prepared.insert(object.to_owned());
    }
    Ok(())
}

/// The same failure for another write.
fn again(error: &Error) -> Error {
    let mut copy = Error::new(error.kind, error.operation, error.message.clone()).with_retry(error.retry);
    copy.code.clone_from(&error.code);
    copy.field.clone_from(&error.field);
    copy
}

async fn hold(jobs: Vec<Job>, pause: Duration) -> Result<(), Failure> {
    for job in jobs {
        job.delivery.nak(pause).await?;
    }
    Ok(())
}
