//! Which partitions this process owns, and the tasks that run for them.

use std::{
    collections::{BTreeMap, HashMap, HashSet},
    sync::Arc,
    time::Duration,
};

use futures::{FutureExt, StreamExt, future::BoxFuture};
use jiff::Timestamp;
use model::ConnectionId;
use serde::{Deserialize, Serialize};
use tokio::{
    sync::watch,
    task::JoinHandle,
    time::{Instant, MissedTickBehavior, interval, sleep_until, timeout},
};
use tokio_util::sync::CancellationToken;

use crate::{
    Capabilities, Feed, Heard,
    capture::Reader,
    core::{Core, Link, SCHEMA},
    failure::Failure,
    feeds::FeedReader,
    posting::Poster,
    states,
    store::{Capture, Connection, Lease, StoredWatch},
    writes::Writer,
};

/// How often the tasks are compared with what the database wants, at the latest.
const LOOK_AROUND: Duration = Duration::from_secs(1);
/// How long a failed reading of the schema rests.
const SCHEMA_PAUSE: Duration = Duration::from_secs(10);
/// Ephemeral: a connection is to be read now; whoever owns it does.
const SYNC_NOW: &str = "hint.connector.sync_now";

#[derive(Serialize, Deserialize)]
struct SyncNow {
    connection: ConnectionId,
    /// Of what the vendor told: the feed that alone is to be read.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    feed: Option<String>,
    /// Whether the vendor told something of the watch itself.
    #[serde(default)]
    watch: bool,
}

impl SyncNow {
    fn wake(self, link: &Link) {
        match self.feed {
            Some(feed) => link.wake_feed(&feed),
            None => link.sync_now.send_modify(|count| *count += 1),
        }
        if self.watch {
            link.watches.send_modify(|count| *count += 1);
        }
    }
}

/// Wakes the readers of a connection, in whatever process they run.
pub(crate) async fn sync_now(core: &Core, connection: ConnectionId) -> Result<(), bus::Error> {
    let body = serde_json::json!({ "connection": connection }).to_string();
    core.bus.publish_ephemeral(SYNC_NOW, body).await
}

/// Wakes the reader of what a vendor told of, in whatever process it runs.
pub(crate) async fn pushed(core: &Core, watch: &StoredWatch, heard: &[Heard]) -> Result<(), bus::Error> {
    let of_watch = heard.iter().any(|heard| *heard != Heard::Changed);
    let body = serde_json::json!({
        "connection": watch.connection(), "feed": watch.feed, "watch": of_watch })
    .to_string();
    core.bus.publish_ephemeral(SYNC_NOW, body).await
}

type Partition = (&'static str, u32);
/// A connection, and what is read of it.
type Reading = (ConnectionId, String);

/// What a reader reads.
enum Source {
    Object(Box<Capture>),
    Feed(Feed),
}

impl Source {
    /// No vendor has a feed and an object of the same name.
    fn name(&self) -> &str {
        match self {
            Self::Object(capture) => &capture.object,
            Self::Feed(feed) => feed.name,
        }
    }
}

/// A reader that is to run.
struct Wanted {
    key: ReaderKey,
    connection: Connection,
    source: Source,
    lease: Lease,
}

/// Owns partitions and keeps the tasks for them as the database wants them.
pub(crate) struct Owner {
    core: Arc<Core>,
    held: BTreeMap<Partition, Held>,
    readers: HashMap<Reading, Task<ReaderKey>>,
    schema_reads: HashMap<ConnectionId, (Instant, JoinHandle<()>)>,
}

struct Held {
    lease: Lease,
    /// Whatever works under the lease ends by itself then, also while the owner is busy.
    good_until: watch::Sender<Instant>,
    writer: Task<()>,
    /// Where the vendor posts messages or sends mail.
    poster: Option<Task<()>>,
}

impl Held {
    fn is_over(&self) -> bool {
        *self.good_until.borrow() <= Instant::now()
    }
}

/// When one of these changes, a reader starts again.
#[derive(Clone, PartialEq, Eq)]
struct ReaderKey {
    revision: i64,
    authorized: Timestamp,
    pauses: i64,
    schema: Option<Timestamp>,
    fence: i64,
    verify: Option<uuid::Uuid>,
}

impl ReaderKey {
    /// Of what is read whatever anybody wishes, without a schema.
    const fn of(connection: &Connection, lease: &Lease) -> Self {
        Self {
            revision: 0,
            authorized: connection.connected_at,
            pauses: connection.pauses,
            schema: None,
            fence: lease.fence,
            verify: None,
        }
    }
}

/// A task that ends when it is told to.
struct Task<K> {
    key: K,
    stop: CancellationToken,
    handle: JoinHandle<()>,
}

impl<K> Task<K> {
    fn spawn(
        key: K,
        good_until: watch::Receiver<Instant>,
        work: impl Future<Output = ()> + Send + 'static,
    ) -> Self {
        let stop = CancellationToken::new();
        let stopped = stop.clone();
        let handle = tokio::spawn(async move {
            tokio::select! {
                biased;
                () = stopped.cancelled() => {}
                () = over(good_until) => {}
                () = work => {}
            }
        });
        Self { key, stop, handle }
    }

    /// Stops it where it is, and returns when nothing of it runs any more.
    async fn stop(self) {
        self.stop.cancel();
        if self.handle.await.is_err_and(|error| error.is_panic()) {
            tracing::error!("a task of a partition panicked");
        }
    }
}

/// Comes back when the lease is over.
async fn over(good_until: watch::Receiver<Instant>) {
    loop {
        let until = *good_until.borrow();
        if until <= Instant::now() {
            return;
        }
        sleep_until(until).await;
    }
}

impl Owner {
    pub(crate) fn new(core: Arc<Core>) -> Self {
        Self { core, held: BTreeMap::new(), readers: HashMap::new(), schema_reads: HashMap::new() }
    }

    /// Works until the shutdown; then stops everything and gives the partitions back.
    pub(crate) async fn run(mut self, shutdown: CancellationToken) {
        let ttl = self.core.config.lease_ttl;
        let mut lease_ticks = interval(ttl / 3);
        let mut ticks = interval(LOOK_AROUND.min(ttl / 3));
        ticks.set_missed_tick_behavior(MissedTickBehavior::Delay);
        lease_ticks.set_missed_tick_behavior(MissedTickBehavior::Delay);
        let hints = tokio::spawn(listen(Arc::clone(&self.core)));
        let core = Arc::clone(&self.core);
        loop {
            let leases_due = tokio::select! {
                biased;
                () = shutdown.cancelled() => break,
                _ = lease_ticks.tick() => true,
                () = core.changed.notified() => false,
                _ = ticks.tick() => false,
            };
            self.drop_overdue().await;
            if leases_due {
                self.guarded(ttl / 2, "keep the leases", Step::Leases).await;
            }
            self.drop_overdue().await;
            // With the keeping of the leases after it, this ends well before they do.
            self.guarded(ttl / 3, "look after the connections", Step::Connections).await;
        }
        hints.abort();
        self.stop_all().await;
    }

    /// One step, which must not take longer than this: leases run out while it hangs.
    async fn guarded(&mut self, limit: Duration, what: &str, step: Step) {
        let step = async {
            match step {
                Step::Leases => self.keep_leases().await,
                Step::Connections => self.reconcile().await,
            }
        };
        match timeout(limit, step).await {
            Ok(Ok(())) => {}
            Ok(Err(failure)) => tracing::warn!(error = %failure, "could not {what}"),
            Err(_) => tracing::warn!("could not {what} in time"),
        }
    }

    /// Prolongs what is held, and takes or gives back until this process has its share.
    async fn keep_leases(&mut self) -> Result<(), Failure> {
        let (replica, ttl) = (self.core.replica, self.core.config.lease_ttl);
        let vendors: Vec<&'static str> = self.core.connectors.keys().copied().collect();
        let alive = self.core.store.heartbeat(replica, ttl).await?;
        let share = (bus::subject::PARTITIONS as usize).div_ceil(alive);
        for vendor in vendors {
            let asked = Instant::now();
            let renewed = self.core.store.renew_leases(vendor, replica, ttl).await?;
            let kept: HashSet<(u32, i64)> =
                renewed.iter().map(|lease| (lease.partition, lease.fence)).collect();
            for (partition, held) in &self.held {
                // What ended by itself meanwhile does not go on: it is given back below, and taken anew.
                if partition.0 == vendor && kept.contains(&(partition.1, held.lease.fence)) && !held.is_over()
                {
                    held.good_until.send_replace(asked + ttl);
                }
            }
            let lost: Vec<Partition> = self
                .held
                .iter()
                .filter(|(partition, held)| {
                    let is_kept = kept.contains(&(partition.1, held.lease.fence)) && !held.is_over();
                    partition.0 == vendor && !is_kept
                })
                .map(|(partition, _)| *partition)
                .collect();
            for partition in lost {
                self.let_go(partition).await;
            }
            // Nobody works on these, and prolonging them keeps everybody else from it.
            for lease in &renewed {
                let held = self.held.get(&(vendor, lease.partition));
                if held.is_none_or(|held| held.lease.fence != lease.fence) {
                    self.core.store.release_lease(lease).await?;
                }
            }
            let mine: Vec<Partition> =
                self.held.keys().filter(|partition| partition.0 == vendor).copied().collect();
            for partition in mine.iter().skip(share) {
                if let Some(lease) = self.let_go(*partition).await {
                    self.core.store.release_lease(&lease).await?;
                }
            }
            if mine.len() < share {
                let asked = Instant::now();
                let taken = self.core.store.take_leases(vendor, replica, ttl, share - mine.len()).await?;
                for lease in taken {
                    let (good_until, over) = watch::channel(asked + ttl);
                    let poster = Poster::new(Arc::clone(&self.core), lease);
                    let poster = poster.map(|poster| Task::spawn((), over.clone(), poster.run()));
                    let writer = Writer { core: Arc::clone(&self.core), lease };
                    let writer = Task::spawn((), over, writer.run());
                    let held = Held { lease, good_until, writer, poster };
                    self.held.insert((vendor, lease.partition), held);
                }
            }
        }
        Ok(())
    }

    /// Stops working on partitions whose lease was not prolonged in time: somebody else may have them.
    async fn drop_overdue(&mut self) {
        let overdue: Vec<Partition> =
            self.held.iter().filter(|(_, held)| held.is_over()).map(|(partition, _)| *partition).collect();
        for partition in overdue {
            tracing::warn!(vendor = partition.0, partition = partition.1, "lost a partition");
            self.let_go(partition).await;
        }
    }

    /// Stops everything of a partition.
    async fn let_go(&mut self, partition: Partition) -> Option<Lease> {
        let held = self.held.remove(&partition)?;
        held.writer.stop().await;
        if let Some(poster) = held.poster {
            poster.stop().await;
        }
        let of_partition: Vec<Reading> = self
            .readers
            .iter()
            .filter(|(reading, task)| {
                bus::subject::partition(&reading.0) == partition.1 && task.key.fence == held.lease.fence
            })
            .map(|(reading, _)| reading.clone())
            .collect();
        for reading in of_partition {
            if let Some(task) = self.readers.remove(&reading) {
                task.stop().await;
            }
            self.core.link_at_hand(reading.0).iter().for_each(|link| link.forget_failures());
        }
        Some(held.lease)
    }

    /// The readers that the database wants.
    async fn wanted(&mut self) -> Result<HashMap<Reading, Wanted>, Failure> {
        let mut wanted = HashMap::new();
        let vendors: Vec<&'static str> = self.core.connectors.keys().copied().collect();
        for vendor in vendors {
            let Some(connector) = self.core.connectors.get(vendor) else { continue };
            let Capabilities { objects, feeds, .. } = *connector.capabilities();
            let partitions: Vec<u32> =
                self.held.keys().filter(|held| held.0 == vendor).map(|held| held.1).collect();
            let connections = self.core.store.connections_in(vendor, &partitions).await?;
            let working: HashMap<ConnectionId, Connection> = connections
                .into_iter()
                .filter(Connection::works)
                .map(|connection| (connection.id, connection))
                .collect();
            let unread = |it: &&Connection| it.schema_refreshed_at.is_none() && !objects.is_empty();
            for connection in working.values().filter(unread) {
                self.read_schema(connection).await?;
            }
            for connection in working.values() {
                let Some(held) = self.held.get(&(vendor, connection.partition)) else { continue };
                for feed in feeds {
                    let key = ReaderKey::of(connection, &held.lease);
                    let (source, connection) = (Source::Feed(*feed), connection.clone());
                    let reading = (connection.id, source.name().to_owned());
                    wanted.insert(reading, Wanted { key, connection, source, lease: held.lease });
                }
            }
            let ids: Vec<ConnectionId> = working.keys().copied().collect();
            for capture in self.core.store.captures(&ids).await? {
                let Some(connection) = working.get(&capture.connection) else { continue };
                let Some(held) = self.held.get(&(vendor, connection.partition)) else { continue };
                let key = ReaderKey {
                    revision: capture.revision,
                    schema: connection.schema_refreshed_at,
                    verify: capture.verify,
                    ..ReaderKey::of(connection, &held.lease)
                };
                let (source, connection) = (Source::Object(Box::new(capture)), connection.clone());
                let reading = (connection.id, source.name().to_owned());
                wanted.insert(reading, Wanted { key, connection, source, lease: held.lease });
            }
        }
        Ok(wanted)
    }

    /// Starts and stops readers until they are those that the database wants.
    async fn reconcile(&mut self) -> Result<(), Failure> {
        let wanted = self.wanted().await?;
        let stale: Vec<Reading> = self
            .readers
            .iter()
            .filter(|(reading, task)| wanted.get(reading).is_none_or(|wanted| wanted.key != task.key))
            .map(|(reading, _)| reading.clone())
            .collect();
        for reading in stale {
            if let Some(task) = self.readers.remove(&reading) {
                task.stop().await;
            }
            if !wanted.contains_key(&reading)
                && let Some(link) = self.core.link_at_hand(reading.0)
            {
                self.core.reading_ended(&link, &reading.1).await?;
            }
        }
        for (reading, Wanted { key, connection, source, lease }) in wanted {
            if self.readers.contains_key(&reading) {
                continue;
            }
            let work: Option<BoxFuture<'static, ()>> = match source {
                Source::Object(capture) => {
                    self.reader(&connection, *capture, lease).await?.map(|reader| reader.run().boxed())
                }
                Source::Feed(feed) => self
                    .core
                    .link(&connection)
                    .await?
                    .map(|link| FeedReader::new(Arc::clone(&self.core), link, lease, feed).run().boxed()),
            };
            if let Some(work) = work
                && let Some(held) = self.held.get(&(lease.vendor, lease.partition))
            {
                self.readers.insert(reading, Task::spawn(key, held.good_until.subscribe(), work));
            }
        }
        Ok(())
    }

    /// A reader, once the schema is known and has the object.
    async fn reader(
        &self,
        connection: &Connection,
        capture: Capture,
        lease: Lease,
    ) -> Result<Option<Reader>, Failure> {
        let Some(schemas) = self.core.store.schemas(connection.id).await? else { return Ok(None) };
        let Some(link) = self.core.link(connection).await? else { return Ok(None) };
        let Some(schema) = schemas.objects.into_iter().find(|schema| schema.name == capture.object) else {
            let message = format!("the vendor has no object {}", capture.object);
            if capture.last_error.as_deref() != Some(&message) {
                let now = self.core.now();
                self.core.store.note_poll(connection.id, &capture.object, now, Some(&message)).await?;
            }
            return Ok(None);
        };
        Ok(Some(Reader::new(Arc::clone(&self.core), link, lease, capture, schema)))
    }

    /// Reads the schema of a connection that has none, in the background.
    async fn read_schema(&mut self, connection: &Connection) -> Result<(), Failure> {
        let Some(link) = self.core.link(connection).await? else { return Ok(()) };
        let recent = |(started, handle): &(Instant, JoinHandle<()>)| {
            !handle.is_finished() || started.elapsed() < SCHEMA_PAUSE
        };
        if self.schema_reads.get(&connection.id).is_some_and(recent) {
            return Ok(());
        }
        let reading = tokio::spawn(first_schema(Arc::clone(&self.core), link));
        self.schema_reads.insert(connection.id, (Instant::now(), reading));
        Ok(())
    }

    async fn stop_all(mut self) {
        for (_, (_, handle)) in self.schema_reads.drain() {
            handle.abort();
        }
        let partitions: Vec<Partition> = self.held.keys().copied().collect();
        for task in self.held.values() {
            task.writer.stop.cancel();
            task.poster.iter().for_each(|poster| poster.stop.cancel());
        }
        for task in self.readers.values() {
            task.stop.cancel();
        }
        for partition in partitions {
            if let Some(lease) = self.let_go(partition).await
                && let Err(error) = self.core.store.release_lease(&lease).await
            {
                tracing::warn!(%error, "could not give a partition back; it runs out by itself");
            }
        }
        if let Err(error) = self.core.store.leave(self.core.replica).await {
            tracing::warn!(%error, "could not say that this process ends");
        }
    }
}

enum Step {
    Leases,
    Connections,
}

async fn first_schema(core: Arc<Core>, link: Arc<Link>) {
    match core.refresh_schema(&link, states::SERVICE).await {
        Ok(_) => {}
        Err(Failure::Vendor(error)) => {
            tracing::warn!(connection = %link.id, error = %error, "could not read the schema");
            if let Err(failure) = core.part_failed(&link, SCHEMA, &error).await {
                tracing::warn!(connection = %link.id, error = %failure, "could not note a failure");
            }
        }
        Err(failure) => tracing::warn!(connection = %link.id, error = %failure, "could not read the schema"),
    }
}

/// Hears who is to be read now.
async fn listen(core: Arc<Core>) {
    loop {
        match core.bus.subscribe_ephemeral(SYNC_NOW).await {
            Ok(mut hints) => {
                while let Some(hint) = hints.next().await {
                    let hint: Result<SyncNow, _> = serde_json::from_slice(&hint.body);
                    let Ok(hint) = hint else { continue };
                    if let Some(link) = core.link_at_hand(hint.connection) {
                        hint.wake(&link);
                    }
                }
            }
            Err(error) => tracing::warn!(%error, "could not listen for manual syncs"),
        }
        tokio::time::sleep(LOOK_AROUND).await;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test(start_paused = true)]
    async fn what_works_under_a_lease_ends_with_it_though_nobody_stops_it() {
        let second = Duration::from_secs(1);
        let (good_until, over) = watch::channel(Instant::now() + second * 10);
        let task = Task::spawn((), over, std::future::pending());
        tokio::time::sleep(second * 9).await;
        good_until.send_replace(Instant::now() + second * 10);
        tokio::time::sleep(second * 9).await;
        assert!(!task.handle.is_finished(), "it was prolonged");
        tokio::time::sleep(second * 2).await;
        assert!(task.handle.is_finished());
    }
}
