//! Following a vendor's stream of changes. It is opened before anything is read that it will not tell, and its position
//! counts only once all that was changed before is read: so nothing falls between asking and listening, and a position
//! that the vendor does not know any more leads to a reading of what was changed since, never to a gap.

use std::{convert::Infallible, time::Duration};

use jiff::Timestamp;
use model::{ConnectionState, Lane};
use tokio::{
    sync::{mpsc, watch},
    task::JoinHandle,
    time::{Instant, sleep, sleep_until},
};

use super::{Begun, LIVE, Polling, Reader, sweep::SWEEP, wait_or_wake};
use crate::{
    Batch, Change, ChangeStream, Config, Error, ErrorKind, Retry, Subscription, Untold,
    failure::Failure,
    store::{Checkpoint, StreamState},
};

pub(super) const STREAM: &str = "stream";
const REREAD: &str = "reread";
/// How often a run of the stream is told of.
const TELL_EVERY: Duration = Duration::from_secs(10);
/// Batches that wait while others are published.
const PULLED_AHEAD: usize = 32;
/// Changes that are published together, about.
const PUBLISHED_TOGETHER: usize = 1_000;
/// Records that are read by their ids together.
pub(super) const READ_TOGETHER: usize = 200;

/// How an object is followed.
struct Follower {
    polling: Polling,
    /// When somebody does not want to wait.
    sync_now: watch::Receiver<u64>,
    /// How far the stream is, as stored.
    stream: Checkpoint,
    /// Whether its position was lost, and people were told.
    lost: bool,
    /// When the stream was last open.
    open_at: Instant,
    /// What the stream brought since it was told of.
    begun: Begun,
    tell_at: Instant,
}

/// A stream that is pulled while what came before is published. What gathers meanwhile is published together.
struct Pulled {
    batches: mpsc::Receiver<Result<Batch, Error>>,
    pulling: JoinHandle<()>,
    /// How it ended, behind what came before.
    ended: Option<Error>,
}

impl Drop for Pulled {
    fn drop(&mut self) {
        self.pulling.abort();
    }
}

impl Pulled {
    fn of(mut source: Box<dyn ChangeStream>) -> Self {
        let (pulled, batches) = mpsc::channel(PULLED_AHEAD);
        let pulling = tokio::spawn(async move {
            loop {
                let batch = source.next().await;
                let is_last = batch.is_err();
                if pulled.send(batch).await.is_err() || is_last {
                    return;
                }
            }
        });
        Self { batches, pulling, ended: None }
    }

    /// What comes next, with what came with it. It may be dropped while it waits.
    async fn next(&mut self) -> Result<Batch, Error> {
        if let Some(error) = self.ended.take() {
            return Err(error);
        }
        let broke_off = || Error::new(ErrorKind::AnswerLost, "follow the stream", "the stream broke off");
        let mut batch = self.batches.recv().await.unwrap_or_else(|| Err(broke_off()))?;
        while batch.changes.len() < PUBLISHED_TOGETHER {
            match self.batches.try_recv() {
                Ok(Ok(next)) => batch.join(next),
                Ok(Err(error)) => {
                    self.ended = Some(error);
                    break;
                }
                Err(_) => break,
            }
        }
        Ok(batch)
    }
}

/// A stream that is open.
struct Open {
    here: Checkpoint,
    /// While what was changed before is read: from when on a reading has all of it.
    settled_at: Option<Instant>,
    /// Whether all of before is read.
    has_all: bool,
    /// What failed before is asked once then, unless the stream brings something earlier: it may say nothing for minutes.
    check_at: Option<Instant>,
    /// Whether it said anything. Until then it may be one that never will, and changes are asked for beside it.
    heard: bool,
}

impl Open {
    /// Whether the stream can go on where it is when it breaks off; until then only polls know where to begin.
    const fn is_kept(&self) -> bool {
        self.has_all && self.here.position.id.is_some()
    }
}

impl Reader {
    /// Follows the stream; polls where the account has none, and while it cannot be opened.
    pub(super) async fn follow_or_poll(&self, polling: Polling, stream: Checkpoint) {
        let sync_now = self.link.sync_now.subscribe();
        let (now, begun) = (Instant::now(), Begun::new(STREAM, self.core.now()));
        let mut it = Follower { polling, sync_now, stream, lost: false, open_at: now, begun, tell_at: now };
        loop {
            let Err(failure) = self.follow(&mut it).await;
            let dealt = match failure {
                Failure::Vendor(error) if error.kind == ErrorKind::NoStream => {
                    self.go_without(&mut it, &error).await
                }
                Failure::Vendor(error) if error.kind == ErrorKind::PositionLost => {
                    self.lose_position(&mut it, &error).await
                }
                Failure::Vendor(error) => {
                    // A token that expired while another one was fetched is renewed by the next call.
                    let error = match error.kind {
                        ErrorKind::TokenExpired => error.with_retry(Retry::Backoff),
                        _ => error,
                    };
                    self.bridge(&mut it, error).await
                }
                failure => Err(failure),
            };
            match dealt {
                Ok(()) => {}
                Err(Failure::LeaseLost) => return,
                Err(failure) => self.pause_after_own_failure(&failure).await,
            }
        }
    }

    /// Follows the stream until it ends.
    async fn follow(&self, it: &mut Follower) -> Result<Infallible, Failure> {
        let subscription = Subscription {
            schema: &self.schema,
            fields: &self.fields,
            position: it.stream.position.id.as_deref(),
        };
        let source = self.link.connector.subscribe(&self.link.session, &subscription).await?;
        let mut source = Pulled::of(source);
        let here = it.stream.clone();
        let settled_at = Instant::now() + self.core.config.stream_settles;
        let settled_at = here.position.id.is_none().then_some(settled_at);
        let check_at = self.has_failed().await?.then(|| Instant::now() + self.core.config.stream_settles);
        let mut open = Open { has_all: settled_at.is_none(), settled_at, here, check_at, heard: false };
        if open.has_all {
            self.say_followed(StreamState::Following, None).await?;
        } else if !it.lost {
            self.say_followed(StreamState::CatchingUp, None).await?;
        }
        // A stream that goes on where it was is given as long as a poll would be waited for.
        let silence = if open.is_kept() { self.core.config.poll_interval } else { Duration::ZERO };
        let mut poll_at = Instant::now() + silence;
        loop {
            let batch = tokio::select! {
                batch = source.next() => Some(batch?),
                () = sleep_until(poll_at), if !(open.is_kept() && open.heard) => None,
                _ = it.sync_now.changed() => None,
                () = sleep_until(open.check_at.unwrap_or(poll_at)), if open.check_at.is_some() => None,
                () = sleep_until(it.tell_at), if it.begun.run.published > 0 => {
                    self.tell_streamed(it).await?;
                    continue;
                }
            };
            open.check_at = None;
            if let Some(batch) = batch {
                it.open_at = Instant::now();
                open.heard = true;
                self.take_batch(batch, &mut open.here, &mut it.begun).await?;
            } else {
                let asked_at = Instant::now();
                if open.has_all {
                    // Somebody asks while everything up to here was pushed: only behind that something may be missing.
                    let pushed = open.here.position.time - self.last_rung();
                    it.polling.begin_behind(pushed);
                }
                self.poll(&mut it.polling).await?;
                open.has_all |= open.settled_at.is_some_and(|settled_at| asked_at >= settled_at);
                let Config { poll_interval, poll_interval_min, .. } = self.core.config;
                poll_at = Instant::now() + if open.has_all { poll_interval } else { poll_interval_min };
            }
            self.keep(it, &mut open).await?;
        }
    }

    /// Whether something failed of which nobody knows yet that it works again.
    async fn has_failed(&self) -> Result<bool, Failure> {
        if [STREAM, LIVE].iter().any(|part| self.link.is_failing(&self.part(part))) {
            return Ok(true);
        }
        let stored = self.core.store.connection(self.link.id).await?;
        Ok(stored.is_some_and(|stored| stored.state == ConnectionState::Error))
    }

    /// Once nothing of before is missing, says so, and stores how far the stream is as soon as it tells a position.
    async fn keep(&self, it: &mut Follower, open: &mut Open) -> Result<(), Failure> {
        if !open.has_all {
            return Ok(());
        }
        if open.settled_at.take().is_some() {
            if it.lost {
                self.sweep_and_tell(&mut Begun::new(SWEEP, self.core.now())).await?;
            }
            it.lost = false;
            self.say_followed(StreamState::Following, None).await?;
        }
        if open.here.position.id.is_some() && open.here != it.stream {
            let mut tx = self.core.store.pool.begin().await?;
            self.store(&mut tx, &open.here).await?;
            tx.commit().await?;
            it.stream.clone_from(&open.here);
        }
        self.core.part_succeeded(&self.link, &self.part(STREAM)).await?;
        self.core.part_succeeded(&self.link, &self.part(LIVE)).await
    }

    /// Publishes what the vendor pushed; what it left out is read.
    async fn take_batch(
        &self,
        batch: Batch,
        here: &mut Checkpoint,
        begun: &mut Begun,
    ) -> Result<(), Failure> {
        let Batch { changes, untold, left_out_since, position, until } = batch;
        let (now, count) = (self.core.now(), changes.len() + untold.len());
        self.link.line.usage.read(now, count);
        let times = changes.iter().map(|change| change.changed_at);
        let newest = times.chain(untold.iter().map(|one| one.changed_at)).max();
        if !changes.is_empty() {
            self.publish(changes, Lane::Live, now).await?;
        }
        for some in untold.chunks(READ_TOGETHER) {
            let read = self.read_untold(some).await?;
            self.publish(read, Lane::Live, self.core.now()).await?;
        }
        if let Some(newest) = newest {
            let (id, object) = (self.link.id, self.capture.object.as_str());
            self.core.store.note_streamed(id, object, newest, self.core.now()).await?;
        }
        begun.run.read += count as u64;
        begun.run.published += count as u64;
        if let Some(since) = left_out_since {
            self.read_again_since(since).await?;
        }
        here.position.id = position.or_else(|| here.position.id.take());
        here.position.time = until.map_or(here.position.time, |until| until.max(here.position.time));
        here.read += i64::try_from(count).unwrap_or_default();
        Ok(())
    }

    /// Reads records of which the vendor says only that they changed. What is not there was deleted.
    async fn read_untold(&self, untold: &[Untold]) -> Result<Vec<Change>, Failure> {
        let ids: Vec<String> = untold.iter().map(|one| one.id.clone()).collect();
        let (connector, session) = (&self.link.connector, &self.link.session);
        let mut read = connector.fetch_records(session, &self.schema, &self.fields, &ids).await?;
        for one in untold {
            match read.iter_mut().find(|change| change.id == one.id) {
                // It was read after the change was told of, so it has it.
                Some(change) => change.version = change.version.max(one.version),
                None => read.push(Change::deleted(one.id.clone(), one.version, one.changed_at)),
            }
        }
        Ok(read)
    }

    /// Reads all that was modified since then, because the vendor left some of it out.
    async fn read_again_since(&self, since: Timestamp) -> Result<(), Failure> {
        // A listing withholds its newest moments, and nothing asks for them later.
        sleep(self.core.config.stream_settles).await;
        let mut begun = Begun::new(REREAD, self.core.now());
        let mut lane = self.lane(REREAD, since, None);
        let session = self.link.session.in_background();
        self.read_lane(&mut lane, Lane::Live, &session, &mut begun.run).await?;
        self.sweep_and_tell(&mut Begun::new(SWEEP, self.core.now())).await?;
        self.report(&mut begun, None).await
    }

    async fn tell_streamed(&self, it: &mut Follower) -> Result<(), Failure> {
        it.tell_at = Instant::now() + TELL_EVERY;
        self.core.store.note_poll(self.link.id, &self.capture.object, self.core.now(), None).await?;
        self.report(&mut it.begun, None).await?;
        it.begun.at = self.core.now();
        Ok(())
    }

    /// The stream broke off. It goes on where it was, after a while; when it stays away for longer than a poll would be
    /// waited for, what changes meanwhile is asked for.
    async fn bridge(&self, it: &mut Follower, error: Error) -> Result<(), Failure> {
        let said = self.say_followed(StreamState::Interrupted, Some(&error.message)).await;
        let wait = self.failed(STREAM, &mut it.begun, &error.into()).await;
        if it.open_at.elapsed() + wait <= self.core.config.poll_interval {
            wait_or_wake(wait, &mut it.sync_now).await;
            return said;
        }
        self.catch_up_from(it);
        self.poll_until(&mut it.polling, &mut it.sync_now, Some(Instant::now() + wait)).await?;
        said
    }

    /// The account has no stream: it is polled, and asked again now and then.
    async fn go_without(&self, it: &mut Follower, error: &Error) -> Result<(), Failure> {
        self.catch_up_from(it);
        self.say_followed(StreamState::Polled, Some(&error.message)).await?;
        self.core.part_succeeded(&self.link, &self.part(STREAM)).await?;
        let again_at = Instant::now() + self.core.config.no_stream_pause;
        self.poll_until(&mut it.polling, &mut it.sync_now, Some(again_at)).await
    }

    /// The vendor does not know the position any more: people are told, until what was changed since is read.
    async fn lose_position(&self, it: &mut Follower, error: &Error) -> Result<(), Failure> {
        self.catch_up_from(it);
        it.lost = true;
        it.stream.position.id = None;
        let mut tx = self.core.store.pool.begin().await?;
        self.store(&mut tx, &it.stream).await?;
        tx.commit().await?;
        let since = it.polling.live.position.time;
        let message = format!("{}; all that was changed since {since} is being read again", error.message);
        tracing::warn!(connection = %self.link.id, object = self.capture.object, "the stream's position is lost");
        self.say_followed(StreamState::Lost, Some(&message)).await?;
        let alarm = Error::new(error.kind, error.operation, message.clone());
        self.core.part_failed(&self.link, &self.part(STREAM), &alarm).await?;
        let mut begun = Begun::new(STREAM, self.core.now());
        self.report(&mut begun, Some((error.kind.code(), message))).await
    }

    /// Polling goes on where the stream stands, with what may be stamped earlier than it was seen.
    fn catch_up_from(&self, it: &mut Follower) {
        it.polling.begin_behind(it.stream.position.time - self.rescanned_for());
    }

    async fn say_followed(&self, state: StreamState, message: Option<&str>) -> Result<(), Failure> {
        let (id, object) = (self.link.id, self.capture.object.as_str());
        Ok(self.core.store.note_stream(id, object, state, message, self.core.now()).await?)
    }
}
