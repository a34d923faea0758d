//! Reading one object of one connection: history and changes side by side, late rows, deletions.

mod lane;
mod sweep;
mod verify;

use std::{sync::Arc, time::Duration};

use bus::outbox;
use jiff::Timestamp;
use model::{CaptureProgress, Lane, ObjectSchema, SyncRunFinished};
use tokio::{sync::watch, time::Instant};

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
/// The pause after Accord's own storage failed.
const OWN_FAILURE_PAUSE: Duration = Duration::from_secs(1);

/// Reads one object of one connection, as long as it is not stopped.
pub(crate) struct Reader {
    pub(crate) core: Arc<Core>,
    pub(crate) link: Arc<Link>,
    pub(crate) lease: Lease,
    pub(crate) capture: Capture,
    pub(crate) schema: ObjectSchema,
    /// The wanted fields that the vendor has.
    pub(crate) fields: Vec<String>,
    pub(crate) changes: ChangePublisher,
}

/// What a run of reading did.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Run {
    pub(crate) read: u64,
    pub(crate) published: u64,
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
        let fields = capture.fields.iter().filter(known).cloned().collect();
        let changes = link.publisher.changes(link.id, &capture.object, capture.generation);
        Self { core, link, lease, capture, schema, fields, changes }
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
        let Lanes { live, backfill, rescans } = lanes;
        tokio::join!(
            self.read_live(live, rescans),
            self.read_backfill_then_verify(backfill),
            self.sweep_deleted(),
        );
    }

    /// The stored checkpoints, and new ones for lanes that have none.
    async fn lanes(&self) -> Result<Lanes, Failure> {
        let stored = self.core.store.checkpoints(self.link.id, &self.capture.object).await?;
        let now = self.link.line.vendor_now();
        let rungs = self.link.connector.capabilities().late_index;
        let lane = |name: String, position: Timestamp, until: Option<Timestamp>| {
            stored.iter().find(|checkpoint| checkpoint.lane == name).cloned().unwrap_or(Checkpoint {
                lane: name,
                position: Cursor::at(position),
                until,
                finished: false,
                read: 0,
                total: 0,
            })
        };
        let live = lane(LIVE.to_owned(), now - SEAM, None);
        let rescans: Vec<Rescan> = rungs
            .iter()
            .map(|rung| Rescan {
                behind: *rung,
                checkpoint: lane(format!("rescan_{}", rung.as_millis()), now - SEAM - *rung, None),
                due: Instant::now() + *rung,
            })
            .collect();
        let backfill = (self.capture.generation > 0)
            .then(|| lane(format!("backfill_{}", self.capture.generation), Timestamp::UNIX_EPOCH, Some(now)));
        let mut tx = self.core.store.pool.begin().await?;
        let all =
            std::iter::once(&live).chain(&backfill).chain(rescans.iter().map(|rescan| &rescan.checkpoint));
        for checkpoint in all {
            self.store(&mut tx, checkpoint).await?;
        }
        tx.commit().await?;
        Ok(Lanes { live, backfill, rescans })
    }

    async fn store(&self, tx: &mut sqlx::PgConnection, checkpoint: &Checkpoint) -> Result<(), Failure> {
        let (id, object, now) = (self.link.id, self.capture.object.as_str(), self.core.now());
        match Store::put_checkpoint(tx, &self.lease, id, object, checkpoint, now).await? {
            Stored::Done => Ok(()),
            Stored::LeaseLost => Err(Failure::LeaseLost),
        }
    }

    /// Polls for changes; between the polls, looks again at what may have come late.
    async fn read_live(&self, mut live: Checkpoint, mut rescans: Vec<Rescan>) {
        let config = &self.core.config;
        let mut sync_now = self.link.sync_now.subscribe();
        let mut pause = config.poll_interval_min;
        let mut manual = false;
        loop {
            let started = self.core.now();
            let name = if manual { "manual" } else { "poll" };
            match self.poll(&mut live, &mut rescans, name, started).await {
                Ok(read) if read > 0 => pause = config.poll_interval_min,
                Ok(_) => pause = (pause * 3 / 2).clamp(config.poll_interval_min, config.poll_interval),
                Err(Failure::LeaseLost) => return,
                Err(failure) => {
                    let wait = self.failed(LIVE, name, &failure, started).await;
                    manual = wait_or_wake(wait, &mut sync_now).await;
                    continue;
                }
            }
            manual = wait_or_wake(pause, &mut sync_now).await;
        }
    }

    async fn poll(
        &self,
        live: &mut Checkpoint,
        rescans: &mut [Rescan],
        name: &'static str,
        started: Timestamp,
    ) -> Result<u64, Failure> {
        let run = self.read_lane(live, Lane::Live, &self.link.session).await?;
        self.core.store.note_poll(self.link.id, &self.capture.object, self.core.now(), None).await?;
        self.core.part_succeeded(&self.link, &self.part(LIVE)).await?;
        if run.read > 0 || name == "manual" {
            self.report(name, run, started, None).await?;
        }
        let mut late = 0;
        for rescan in rescans.iter_mut().filter(|rescan| rescan.due <= Instant::now()) {
            let started = self.core.now();
            let until = self.link.line.vendor_now() - rescan.behind;
            if until <= rescan.checkpoint.position.time {
                continue;
            }
            rescan.checkpoint.until = Some(until);
            let run = self.read_lane(&mut rescan.checkpoint, Lane::Live, &self.link.session).await?;
            rescan.due = Instant::now() + rescan.behind.max(self.core.config.poll_interval_min);
            if run.published > 0 {
                self.report("rescan", run, started, None).await?;
            }
            late += run.published;
        }
        Ok(run.read + late)
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
        let started = self.core.now();
        let mut sync_now = self.link.sync_now.subscribe();
        loop {
            let failure = match self.try_backfill(&mut backfill, &session, started).await {
                Ok(()) | Err(Failure::LeaseLost) => return,
                Err(failure) => failure,
            };
            let wait = self.failed("backfill", "backfill", &failure, self.core.now()).await;
            wait_or_wake(wait, &mut sync_now).await;
        }
    }

    async fn try_backfill(
        &self,
        backfill: &mut Checkpoint,
        session: &Session,
        started: Timestamp,
    ) -> Result<(), Failure> {
        self.read_lane(backfill, Lane::Backfill, session).await?;
        let read = u64::try_from(backfill.read).unwrap_or_default();
        let progress = CaptureProgress {
            connection: self.link.id,
            vendor_object: self.capture.object.clone(),
            read,
            total: u64::try_from(backfill.total).unwrap_or_default().max(read),
            at: self.core.now(),
        };
        let finished = self.link.publisher.backfill_finished(self.capture.generation, &progress)?;
        self.core.bus.publish(&finished).await?;
        backfill.finished = true;
        let mut tx = self.core.store.pool.begin().await?;
        self.store(&mut tx, backfill).await?;
        tx.commit().await?;
        self.core.part_succeeded(&self.link, &self.part("backfill")).await?;
        self.report("backfill", Run { read, published: read }, started, None).await
    }

    /// Tells everyone that a run ended.
    async fn report(
        &self,
        run: &str,
        counted: Run,
        started_at: Timestamp,
        error: Option<(&str, String)>,
    ) -> Result<(), Failure> {
        let (error, message) = error.map(|(code, message)| (code.to_owned(), message)).unzip();
        let fact = SyncRunFinished {
            connection: self.link.id,
            vendor: self.link.publisher.vendor.to_owned(),
            vendor_object: self.capture.object.clone(),
            run: run.to_owned(),
            read: counted.read,
            published: counted.published,
            error,
            message,
            started_at,
            finished_at: self.core.now(),
        };
        let mut tx = self.core.store.pool.begin().await?;
        outbox::enqueue(&mut tx, &[self.link.publisher.run(&fact)?]).await?;
        tx.commit().await?;
        self.core.waker.wake();
        Ok(())
    }

    /// Deals with a failed run and says how long to wait.
    async fn failed(&self, part: &str, run: &str, failure: &Failure, started: Timestamp) -> Duration {
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
            if failures == 1 {
                self.report(run, Run::default(), started, Some((code, message))).await?;
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
        tokio::time::sleep(OWN_FAILURE_PAUSE).await;
    }

    fn part(&self, lane: &str) -> String {
        format!("{lane} {}", self.capture.object)
    }
}

struct Lanes {
    live: Checkpoint,
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
async fn wait_or_wake(pause: Duration, sync_now: &mut watch::Receiver<u64>) -> bool {
    tokio::time::timeout(pause, sync_now.changed()).await.is_ok_and(|changed| changed.is_ok())
}
