//! Reading one object of one connection: history and changes side by side, late rows, deletions.

mod behind;
mod lane;
mod quiet;
mod stream;
mod sweep;
mod verify;
mod wanted;

use std::{sync::Arc, time::Duration};

use bus::{Message, outbox};
use jiff::Timestamp;
use model::{CaptureProgress, Lane, ObjectSchema, SyncRunFinished};
use tokio::{
    sync::watch,
    time::{Instant, sleep},
};

use crate::{
    Cursor, ErrorKind, Retry, Session,
    core::{Core, Link},
    failure::Failure,
    publisher::ChangePublisher,
    session::backoff,
    store::{Capture, Checkpoint, Lease, Store, Stored},
};

/// How far the live lane starts before the moment at which the backfill ends: more than any clock is wrong by.
const SEAM: Duration = Duration::from_secs(300);
const LIVE: &str = "live";
const BACKFILL: &str = "backfill";
pub(crate) const POLL: &str = "poll";
pub(crate) const MANUAL: &str = "manual";
/// The pause after Accord's own storage failed.
pub(crate) const OWN_FAILURE_PAUSE: Duration = Duration::from_secs(1);

/// Reads one object of one connection, as long as it is not stopped.
pub(crate) struct Reader {
    pub(crate) core: Arc<Core>,
    pub(crate) link: Arc<Link>,
    pub(crate) lease: Lease,
    pub(crate) capture: Capture,
    pub(crate) schema: ObjectSchema,
    /// The wanted fields that the vendor has.
    pub(crate) fields: Vec<String>,
    /// Those of them of which it matters when they were set.
    pub(crate) dated: Vec<String>,
    pub(crate) changes: ChangePublisher,
}

/// What a run of reading did.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Run {
    pub(crate) read: u64,
    pub(crate) published: u64,
}

/// A run that nobody was told of yet. One that failed for no fault of the vendor's goes on with the next try, so that
/// what it published is told in the end.
#[derive(Debug)]
pub(crate) struct Begun {
    pub(crate) name: &'static str,
    pub(crate) at: Timestamp,
    pub(crate) run: Run,
}

impl Begun {
    pub(crate) fn new(name: &'static str, at: Timestamp) -> Self {
        Self { name, at, run: Run::default() }
    }

    /// Whether somebody asked for it.
    pub(crate) fn is_manual(&self) -> bool {
        self.name == MANUAL
    }

    /// What a backfill did since it was told of last, before a restart included. It publishes all that it reads.
    fn backfill(checkpoint: &Checkpoint) -> Self {
        let read = u64::try_from(checkpoint.read - checkpoint.since_read).unwrap_or_default();
        Self { name: BACKFILL, at: checkpoint.since, run: Run { read, published: read } }
    }

    /// Begins anew, unless something is still to be told.
    pub(crate) fn go_on(&mut self, name: &'static str, at: Timestamp) {
        if self.run.published == 0 {
            *self = Self::new(name, at);
        }
    }
}

impl Reader {
    pub(crate) fn new(
        core: Arc<Core>,
        link: Arc<Link>,
        lease: Lease,
        capture: Capture,
        schema: ObjectSchema,
    ) -> Self {
        let known = |name: &&String| schema.fields.iter().any(|field| field.name == **name);
        let fields: Vec<String> = capture.fields.iter().filter(known).cloned().collect();
        let dated = capture.dated.iter().filter(|name| fields.contains(name)).cloned().collect();
        let changes = link.publisher.changes(link.id, &capture.object, capture.generation);
        Self { core, link, lease, capture, schema, fields, dated, changes }
    }

    /// Reads until the lease is lost.
    pub(crate) async fn run(self) {
        let lanes = loop {
            match self.lanes().await {
                Ok(lanes) => break lanes,
                Err(Failure::LeaseLost) => return,
                Err(failure) => self.pause_after_own_failure(&failure).await,
            }
        };
        let Lanes { live, stream, backfill, rescans } = lanes;
        let now = self.core.now();
        let at = self.capture.last_poll_at.unwrap_or(now);
        let polling = Polling { live, rescans, at, begun: Begun::new(POLL, now) };
        tokio::join!(
            self.read_live(polling, stream),
            self.read_backfill_then_verify(backfill),
            self.read_wanted(),
            self.sweep_deleted(),
            self.sweep_quiet(),
        );
    }

    async fn read_live(&self, mut polling: Polling, stream: Option<Checkpoint>) {
        match stream {
            Some(stream) => self.follow_or_poll(polling, stream).await,
            None => {
                drop(self.poll_until(&mut polling, &mut self.link.sync_now.subscribe(), None).await);
            }
        }
    }

    /// The stored checkpoints, and new ones for lanes that have none.
    async fn lanes(&self) -> Result<Lanes, Failure> {
        let stored = self.core.store.checkpoints(self.link.id, &self.capture.object).await?;
        let now = self.link.line.vendor_now();
        let rungs = self.link.connector.capabilities().late_index;
        let lane = |name: String, position: Timestamp, until: Option<Timestamp>| {
            let known = stored.iter().find(|checkpoint| checkpoint.lane == name).cloned();
            known.unwrap_or_else(|| self.lane(name, position, until))
        };
        let live = lane(LIVE.to_owned(), now - SEAM, None);
        let mut rescans: Vec<Rescan> = rungs
            .iter()
            .map(|rung| Rescan {
                behind: *rung,
                checkpoint: lane(format!("rescan_{}", rung.as_millis()), now - SEAM - *rung, None),
                due: Instant::now() + *rung,
            })
            .collect();
        rescans.extend(Rescan::behind(&stored));
        let streams = self.link.connector.capabilities().streams;
        let stream = streams.then(|| lane(stream::STREAM.to_owned(), Timestamp::UNIX_EPOCH, None));
        // What a stream told just before without the fields that are wanted now may still be missing in the listing.
        let is_followed = stream.as_ref().is_some_and(|stream| stream.position.id.is_some());
        let until = if is_followed { now + self.core.config.stream_settles } else { now };
        let backfill = (self.capture.generation > 0).then(|| {
            lane(format!("backfill_{}", self.capture.generation), Timestamp::UNIX_EPOCH, Some(until))
        });
        let mut tx = self.core.store.pool.begin().await?;
        let all = std::iter::once(&live)
            .chain(&stream)
            .chain(&backfill)
            .chain(rescans.iter().map(|rescan| &rescan.checkpoint));
        for checkpoint in all {
            self.store(&mut tx, checkpoint).await?;
        }
        tx.commit().await?;
        Ok(Lanes { live, stream, backfill, rescans })
    }

    /// A lane from this position on.
    fn lane(&self, name: impl Into<String>, position: Timestamp, until: Option<Timestamp>) -> Checkpoint {
        Checkpoint {
            lane: name.into(),
            position: Cursor::at(position),
            until,
            finished: false,
            read: 0,
            total: 0,
            since: self.core.now(),
            since_read: 0,
        }
    }

    async fn store(&self, tx: &mut sqlx::PgConnection, checkpoint: &Checkpoint) -> Result<(), Failure> {
        let (id, object, now) = (self.link.id, self.capture.object.as_str(), self.core.now());
        match Store::put_checkpoint(tx, &self.lease, id, object, checkpoint, now).await? {
            Stored::Done => Ok(()),
            Stored::LeaseLost => Err(Failure::LeaseLost),
        }
    }

    /// Polls for changes, for good, or until then, until somebody asked for a poll, or until what could not be read can be
    /// again; between the polls, looks again at what may have come late.
    ///
    /// # Errors
    /// The lease is lost.
    async fn poll_until(
        &self,
        polling: &mut Polling,
        sync_now: &mut watch::Receiver<u64>,
        until: Option<Instant>,
    ) -> Result<(), Failure> {
        let config = &self.core.config;
        let mut pause = config.poll_interval_min;
        let (mut manual, mut failed) = (false, false);
        loop {
            polling.begun.go_on(if manual { MANUAL } else { POLL }, self.core.now());
            let wait = match self.poll(polling).await {
                // What kept a poll from its vendor may have kept the stream away too.
                Ok(_) if failed && until.is_some() => return Ok(()),
                Ok(read) => {
                    let longer = (pause * 3 / 2).clamp(config.poll_interval_min, config.poll_interval);
                    pause = if read > 0 { config.poll_interval_min } else { longer };
                    pause
                }
                Err(Failure::LeaseLost) => return Err(Failure::LeaseLost),
                Err(failure) => {
                    failed = true;
                    self.failed(LIVE, &mut polling.begun, &failure).await
                }
            };
            // Whoever asked for a poll may know that it is time.
            if manual && until.is_some() {
                return Ok(());
            }
            let left = until.map(|until| until.saturating_duration_since(Instant::now()));
            manual = wait_or_wake(left.map_or(wait, |left| wait.min(left)), sync_now).await;
            if !manual && until.is_some_and(|until| Instant::now() >= until) {
                return Ok(());
            }
        }
    }

    async fn poll(&self, polling: &mut Polling) -> Result<u64, Failure> {
        let session = self.link.session.polling();
        self.read_lane(&mut polling.live, Lane::Live, &session, &mut polling.begun.run).await?;
        self.turn_back(polling).await?;
        polling.at = self.core.now();
        let Polling { rescans, begun, .. } = polling;
        self.core.store.note_poll(self.link.id, &self.capture.object, self.core.now(), None).await?;
        self.core.part_succeeded(&self.link, &self.part(LIVE)).await?;
        let read = begun.run.read;
        if read > 0 || begun.is_manual() {
            self.report(begun, None).await?;
        }
        let mut late = 0;
        for rescan in rescans.iter_mut().filter(|rescan| rescan.due <= Instant::now()) {
            let until = self.link.line.vendor_now() - rescan.behind;
            if until <= rescan.checkpoint.position.time {
                continue;
            }
            rescan.checkpoint.until = Some(until);
            *begun = Begun::new("rescan", self.core.now());
            self.read_lane(&mut rescan.checkpoint, Lane::Live, &session, &mut begun.run).await?;
            rescan.due = Instant::now() + rescan.behind.max(self.core.config.poll_interval_min);
            late += begun.run.published;
            if begun.run.published > 0 {
                self.report(begun, None).await?;
            }
        }
        self.caught_up(polling).await?;
        Ok(read + late)
    }

    /// Reads all history, once.
    /// What was not read yet is no difference, so a comparison waits for it.
    async fn read_backfill_then_verify(&self, backfill: Option<Checkpoint>) {
        self.read_backfill(backfill).await;
        self.verify().await;
    }

    async fn read_backfill(&self, backfill: Option<Checkpoint>) {
        let Some(mut backfill) = backfill.filter(|backfill| !backfill.finished) else { return };
        let session = self.link.session.in_background();
        let mut sync_now = self.link.sync_now.subscribe();
        loop {
            let failure = match self.try_backfill(&mut backfill, &session).await {
                Ok(()) | Err(Failure::LeaseLost) => return,
                Err(failure) => failure,
            };
            let mut begun = Begun::backfill(&backfill);
            let wait = self.failed(BACKFILL, &mut begun, &failure).await;
            if begun.run.published == 0 {
                match self.told_of(&mut backfill).await {
                    Ok(()) => {}
                    Err(Failure::LeaseLost) => return,
                    Err(failure) => self.pause_after_own_failure(&failure).await,
                }
            }
            wait_or_wake(wait, &mut sync_now).await;
        }
    }

    /// How long it is until the end of the backfill has come; no longer than a listing takes to have everything, whatever
    /// becomes of the vendor's clock.
    fn left_until(&self, backfill: &Checkpoint) -> Duration {
        let left = backfill.until.map(|until| until.duration_since(self.link.line.vendor_now()));
        let left = left.and_then(|left| Duration::try_from(left).ok()).unwrap_or_default();
        left.min(self.core.config.stream_settles)
    }

    /// Notes that everybody knows what the backfill published so far.
    async fn told_of(&self, backfill: &mut Checkpoint) -> Result<(), Failure> {
        backfill.since = self.core.now();
        backfill.since_read = backfill.read;
        let mut tx = self.core.store.pool.begin().await?;
        self.store(&mut tx, backfill).await?;
        tx.commit().await?;
        Ok(())
    }

    async fn try_backfill(&self, backfill: &mut Checkpoint, session: &Session) -> Result<(), Failure> {
        let left = self.left_until(backfill);
        self.read_lane(backfill, Lane::Backfill, session, &mut Run::default()).await?;
        if !left.is_zero() {
            // Nobody polls behind a stream: the last moments are read here.
            sleep(self.left_until(backfill)).await;
            self.read_lane(backfill, Lane::Backfill, session, &mut Run::default()).await?;
        }
        let read = u64::try_from(backfill.read).unwrap_or_default();
        let progress = CaptureProgress {
            connection: self.link.id,
            vendor_object: self.capture.object.clone(),
            read,
            total: u64::try_from(backfill.total).unwrap_or_default().max(read),
            at: self.core.now(),
            asked_at: Some(self.capture.requested_at),
        };
        let finished = self.link.publisher.backfill_finished(self.capture.generation, &progress)?;
        self.core.bus.publish(&finished).await?;
        backfill.finished = true;
        let run = self.run_finished(&Begun::backfill(backfill), None)?;
        let mut tx = self.core.store.pool.begin().await?;
        self.store(&mut tx, backfill).await?;
        outbox::enqueue(&mut tx, &[run]).await?;
        tx.commit().await?;
        self.core.waker.wake();
        self.core.part_succeeded(&self.link, &self.part(BACKFILL)).await
    }

    /// Tells everyone that a run ended.
    pub(super) async fn report(
        &self,
        begun: &mut Begun,
        error: Option<(&str, String)>,
    ) -> Result<(), Failure> {
        let mut tx = self.core.store.pool.begin().await?;
        outbox::enqueue(&mut tx, &[self.run_finished(begun, error)?]).await?;
        tx.commit().await?;
        begun.run = Run::default();
        self.core.waker.wake();
        Ok(())
    }

    fn run_finished(&self, begun: &Begun, error: Option<(&str, String)>) -> Result<Message, Failure> {
        let (error, message) = error.map(|(code, message)| (code.to_owned(), message)).unzip();
        let fact = SyncRunFinished {
            connection: self.link.id,
            vendor: self.link.publisher.vendor.to_owned(),
            vendor_object: self.capture.object.clone(),
            run: begun.name.to_owned(),
            read: begun.run.read,
            published: begun.run.published,
            error,
            message,
            started_at: begun.at,
            finished_at: self.core.now(),
        };
        Ok(self.link.publisher.run(&fact)?)
    }

    /// Deals with a failed run and says how long to wait.
    async fn failed(&self, part: &str, begun: &mut Begun, failure: &Failure) -> Duration {
        let Failure::Vendor(error) = failure else {
            tracing::warn!(connection = %self.link.id, object = self.capture.object, error = %failure, "could not read");
            return OWN_FAILURE_PAUSE;
        };
        let (object, code) = (self.capture.object.as_str(), error.kind.code());
        if let (ErrorKind::BudgetSpent, Retry::After(pause)) = (error.kind, error.retry) {
            tracing::debug!(connection = %self.link.id, object, part, "the budget is used up");
            // It may be raised meanwhile.
            return pause.min(self.core.config.poll_interval);
        }
        tracing::warn!(connection = %self.link.id, object, code, error = %error, "the vendor failed");
        let noted = async {
            let failures = self.core.part_failed(&self.link, &self.part(part), error).await?;
            let message = error.to_string();
            self.core.store.note_poll(self.link.id, object, self.core.now(), Some(&message)).await?;
            if failures == 1 || begun.run.published > 0 {
                self.report(begun, Some((code, message))).await?;
            }
            if error.kind == ErrorKind::SchemaDrift && failures == 1 {
                self.core.refresh_schema(&self.link, crate::states::SERVICE).await?;
            }
            Ok::<u32, Failure>(failures)
        };
        let failures = noted.await.unwrap_or_else(|failure| {
            tracing::warn!(connection = %self.link.id, error = %failure, "could not note a failure");
            1
        });
        match error.retry {
            Retry::After(pause) => pause,
            Retry::Backoff => backoff(failures + 2, rand::random()).max(Duration::from_millis(100)),
            Retry::Never => self.core.config.poll_interval,
        }
    }

    async fn pause_after_own_failure(&self, failure: &Failure) {
        tracing::warn!(connection = %self.link.id, object = self.capture.object, error = %failure, "could not read");
        sleep(OWN_FAILURE_PAUSE).await;
    }

    fn part(&self, lane: &str) -> String {
        format!("{lane} {}", self.capture.object)
    }
}

/// Where polling goes on.
struct Polling {
    live: Checkpoint,
    rescans: Vec<Rescan>,
    /// When all that could be read was read last.
    at: Timestamp,
    begun: Begun,
}

impl Polling {
    /// All before this moment is known: nothing reads it again.
    fn begin_behind(&mut self, known: Timestamp) {
        let rescans = self.rescans.iter_mut().map(|rescan| &mut rescan.checkpoint);
        let rescans = rescans.filter(|rescan| rescan.lane != behind::BEHIND);
        for lane in std::iter::once(&mut self.live).chain(rescans) {
            if known > lane.position.time {
                lane.position = Cursor::at(known);
            }
        }
    }
}

struct Lanes {
    live: Checkpoint,
    /// Where the vendor has a stream.
    stream: Option<Checkpoint>,
    backfill: Option<Checkpoint>,
    rescans: Vec<Rescan>,
}

/// A second reading, so far behind the first that what the vendor's index showed late is there.
struct Rescan {
    behind: Duration,
    checkpoint: Checkpoint,
    due: Instant,
}

/// Waits this long, or until somebody wants everything read now; tells whether somebody does.
pub(crate) async fn wait_or_wake(pause: Duration, sync_now: &mut watch::Receiver<u64>) -> bool {
    tokio::time::timeout(pause, sync_now.changed()).await.is_ok_and(|changed| changed.is_ok())
}
