//! Reading one feed of one connection: what people did, from a position to the end, over and over.

use std::{collections::BTreeMap, sync::Arc, time::Duration};

use model::{ReadingSettings, SyncRunFinished};
use tokio::{
    sync::{mpsc, watch},
    time::{Instant, sleep_until},
};
use tracing::Instrument;

use crate::{
    ActivityPage, Error, ErrorKind, Feed, Retry, Session,
    capture::{Begun, MANUAL, OWN_FAILURE_PAUSE, POLL, Run, wait_or_wake},
    core::{Core, Link},
    failure::Failure,
    publisher::ActivityPublisher,
    session::backoff,
    store::{FeedPosition, Lease, Stored},
    watching::Watcher,
};

const READ: &str = "read activities";
/// Pages that are read ahead of the one being published.
const READ_AHEAD: usize = 1;
/// Bytes that are published together, about.
const PUBLISHED_TOGETHER: usize = 4_000_000;

/// Reads one feed of one connection, as long as it is not stopped.
pub(crate) struct FeedReader {
    core: Arc<Core>,
    link: Arc<Link>,
    lease: Lease,
    feed: Feed,
    told: ActivityPublisher,
}

impl FeedReader {
    pub(crate) fn new(core: Arc<Core>, link: Arc<Link>, lease: Lease, feed: Feed) -> Self {
        let told = link.publisher.activities(link.id);
        Self { core, link, lease, feed, told }
    }

    /// Reads, and has the vendor tell when to, until the lease is lost.
    pub(crate) async fn run(self) {
        let (core, link) = (Arc::clone(&self.core), Arc::clone(&self.link));
        let watcher = Watcher { core, link, lease: self.lease, feed: self.feed };
        tokio::select! {
            () = self.read_on() => {}
            () = watcher.run() => {}
        }
    }

    async fn read_on(self) {
        let mut wakes = Wakes::new(&self.link);
        let mut here = loop {
            match self.core.store.feed_position(self.link.id, self.feed.name).await {
                Ok(here) => break here,
                Err(error) => {
                    self.warn(&error.into());
                    tokio::time::sleep(OWN_FAILURE_PAUSE).await;
                }
            }
        };
        let mut begun = Begun::new(POLL, self.core.now());
        // Whether the reading that is under way began because a position was lost.
        let mut again = false;
        let mut woken = Woken::Timer;
        loop {
            begun.go_on(if woken == Woken::Person { MANUAL } else { POLL }, self.core.now());
            let before = here.read;
            wakes.begin(self.feed.name);
            let wait = match self.poll(&mut here, &mut begun).await {
                Ok(()) => {
                    again = false;
                    // What is told may be a little ahead of what is listed.
                    let is_early = woken == Woken::Vendor && here.read == before;
                    woken = self.rest(&mut wakes, is_early).await;
                    continue;
                }
                Err(Failure::LeaseLost) => return,
                Err(Failure::Vendor(error)) if is_lost(&error) && here.position.is_some() && !again => {
                    again = true;
                    match self.start_over(&mut here, &mut begun, &error).await {
                        Ok(()) => Duration::ZERO,
                        Err(Failure::LeaseLost) => return,
                        Err(failure) => self.failed(&mut begun, &failure).await,
                    }
                }
                Err(Failure::Vendor(error)) if is_lost(&error) => {
                    // It is lost as soon as it is given: nothing but time helps.
                    here.position = None;
                    self.failed(&mut begun, &error.into()).await
                }
                Err(failure) => self.failed(&mut begun, &failure).await,
            };
            // What the vendor tells is no reason to ask before it wants to be asked again.
            let by_hand = !wait.is_zero() && wait_or_wake(wait, &mut wakes.sync_now).await;
            woken = if by_hand { Woken::Person } else { Woken::Timer };
        }
    }

    /// Rests until it is to be read again; another interval holds at once.
    async fn rest(&self, wakes: &mut Wakes, is_early: bool) -> Woken {
        let (apart, rested) = (self.core.config.poll_interval_min, Instant::now());
        loop {
            let chosen = *wakes.reading.borrow_and_update();
            let usual = self.core.feed_interval(self.link.publisher.vendor, &self.feed, chosen);
            let wait = if is_early { apart.min(usual) } else { usual };
            match wakes.rest(rested + wait, self.feed.name, apart).await {
                Woken::Setting => {}
                woken => return woken,
            }
        }
    }

    /// Reads up to the end.
    async fn poll(&self, here: &mut FeedPosition, begun: &mut Begun) -> Result<(), Failure> {
        self.read(here, &mut begun.run).await?;
        self.core.store.note_feed(self.link.id, self.feed.name, self.core.now(), None).await?;
        self.core.part_succeeded(&self.link, &self.part()).await?;
        if begun.run.read > 0 || begun.is_manual() {
            self.report(begun, None).await?;
        }
        Ok(())
    }

    /// Reads up to the end, and counts what it did, however it ends. The next page is read while one is published; the
    /// position follows the bus's acknowledgement.
    async fn read(&self, here: &mut FeedPosition, run: &mut Run) -> Result<(), Failure> {
        // History leaves the vendor's limits to what is new.
        let session = if here.whole { self.link.session.clone() } else { self.link.session.in_background() };
        let (pages, received) = mpsc::channel(READ_AHEAD);
        let reading = self.read_pages(here.position.clone(), &session, pages);
        let publishing = async {
            // A failure drops the receiver, and reading ends by itself.
            let mut received = received;
            while let Some(page) = received.recv().await {
                self.take(page, here, run).await?;
            }
            Ok::<(), Failure>(())
        };
        let span = tracing::info_span!("read_feed", connection = %self.link.id, feed = self.feed.name);
        let (read, published) = async { tokio::join!(reading, publishing) }.instrument(span).await;
        published.and(read)
    }

    async fn read_pages(
        &self,
        mut from: Option<String>,
        session: &Session,
        pages: mpsc::Sender<ActivityPage>,
    ) -> Result<(), Failure> {
        loop {
            let (connector, now) = (&self.link.connector, self.link.line.vendor_now());
            let page = connector.fetch_activities(session, self.feed.name, from.as_deref(), now).await?;
            self.link.line.usage.read(self.core.now(), page.activities.len());
            let (more, next) = (page.more, page.position.clone());
            if next.is_empty() || more && from.as_ref() == Some(&next) {
                let message = "the vendor's listing does not advance";
                return Err(Error::new(ErrorKind::Protocol, READ, message).into());
            }
            if pages.send(page).await.is_err() || !more {
                return Ok(());
            }
            from = Some(next);
        }
    }

    /// Publishes a page and then stores that it was read.
    async fn take(&self, page: ActivityPage, here: &mut FeedPosition, run: &mut Run) -> Result<(), Failure> {
        let count = page.activities.len();
        let (now, mut waiting, mut bytes) = (self.core.now(), Vec::new(), 0);
        let with_body = !self.feed.has_bodies || self.link.reading.borrow().bodies;
        for activity in page.activities {
            let message = self.told.message(activity, with_body, now)?;
            bytes += message.body.len();
            waiting.push(message);
            if bytes > PUBLISHED_TOGETHER {
                self.core.bus.publish_batch(&waiting).await?;
                (waiting, bytes) = (Vec::new(), 0);
            }
        }
        if !waiting.is_empty() {
            self.core.bus.publish_batch(&waiting).await?;
        }
        run.read += count as u64;
        run.published += count as u64;
        let next = FeedPosition {
            position: Some(page.position),
            read: here.read.saturating_add(i64::try_from(count).unwrap_or_default()),
            whole: here.whole || !page.more,
        };
        self.keep(here, next).await
    }

    /// Stores where the feed goes on.
    async fn keep(&self, here: &mut FeedPosition, next: FeedPosition) -> Result<(), Failure> {
        if next == *here {
            return Ok(());
        }
        let (store, id) = (&self.core.store, self.link.id);
        match store.put_feed_position(&self.lease, id, self.feed.name, &next).await? {
            Stored::Done => *here = next,
            Stored::LeaseLost => return Err(Failure::LeaseLost),
        }
        Ok(())
    }

    /// The vendor does not know the position any more: everything is read again. Whoever hears of it knows what is a
    /// repeat.
    async fn start_over(
        &self,
        here: &mut FeedPosition,
        begun: &mut Begun,
        error: &Error,
    ) -> Result<(), Failure> {
        let feed = self.feed.name;
        tracing::warn!(connection = %self.link.id, feed, "the feed's position is lost; it is read again");
        self.keep(here, FeedPosition::default()).await?;
        self.report(begun, Some((error.kind.code(), error.to_string()))).await
    }

    /// Tells everyone that a run ended.
    async fn report(&self, begun: &mut Begun, error: Option<(&str, String)>) -> Result<(), Failure> {
        let (error, message) = error.map(|(code, message)| (code.to_owned(), message)).unzip();
        let fact = SyncRunFinished {
            connection: self.link.id,
            vendor: self.link.publisher.vendor.to_owned(),
            vendor_object: self.feed.name.to_owned(),
            run: begun.name.to_owned(),
            read: begun.run.read,
            published: begun.run.published,
            error,
            message,
            started_at: begun.at,
            finished_at: self.core.now(),
        };
        let mut tx = self.core.store.pool.begin().await?;
        bus::outbox::enqueue(&mut tx, &[self.link.publisher.run(&fact)?]).await?;
        tx.commit().await?;
        begun.run = Run::default();
        self.core.waker.wake();
        Ok(())
    }

    /// Deals with a failed reading and says how long to wait.
    async fn failed(&self, begun: &mut Begun, failure: &Failure) -> Duration {
        let Failure::Vendor(error) = failure else {
            self.warn(failure);
            return OWN_FAILURE_PAUSE;
        };
        let (feed, code) = (self.feed.name, error.kind.code());
        if let (ErrorKind::BudgetSpent, Retry::After(pause)) = (error.kind, error.retry) {
            tracing::debug!(connection = %self.link.id, feed, "the budget is used up");
            // It may be raised meanwhile.
            return pause.min(self.core.config.poll_interval);
        }
        tracing::warn!(connection = %self.link.id, feed, code, error = %error, "the vendor failed");
        let noted = async {
            let failures = self.core.part_failed(&self.link, &self.part(), error).await?;
            let message = error.to_string();
            self.core.store.note_feed(self.link.id, feed, self.core.now(), Some(&message)).await?;
            if failures == 1 || begun.run.published > 0 {
                self.report(begun, Some((code, message))).await?;
            }
            Ok::<u32, Failure>(failures)
        };
        let failures = noted.await.unwrap_or_else(|failure| {
            self.warn(&failure);
            1
        });
        match error.retry {
            Retry::After(pause) => pause,
            Retry::Backoff => backoff(failures + 2, rand::random()).max(Duration::from_millis(100)),
            Retry::Never => self.core.config.poll_interval,
        }
    }

    fn warn(&self, failure: &Failure) {
        tracing::warn!(connection = %self.link.id, feed = self.feed.name, error = %failure, "could not read");
    }

    fn part(&self) -> String {
        format!("feed {}", self.feed.name)
    }
}

/// What ended a rest.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Woken {
    Timer,
    Person,
    /// The vendor told that something is new.
    Vendor,
    /// Somebody chose how often it is read.
    Setting,
}

/// What a feed's reader listens to while it rests.
struct Wakes {
    sync_now: watch::Receiver<u64>,
    pushed: watch::Receiver<BTreeMap<String, u64>>,
    reading: watch::Receiver<ReadingSettings>,
    /// How often the vendor had told something when the last reading began, and when that was.
    known: u64,
    began: Instant,
}

impl Wakes {
    fn new(link: &Link) -> Self {
        let (sync_now, pushed) = (link.sync_now.subscribe(), link.pushed.subscribe());
        Self { sync_now, pushed, reading: link.reading.subscribe(), known: 0, began: Instant::now() }
    }

    /// A reading begins: it finds whatever was told of before.
    fn begin(&mut self, feed: &str) {
        self.known = self.pushed.borrow().get(feed).copied().unwrap_or_default();
        self.began = Instant::now();
    }

    /// Rests until then, unless somebody wants it read: however often the vendor tells something, readings begin so far apart.
    async fn rest(&mut self, until: Instant, feed: &str, apart: Duration) -> Woken {
        let Self { sync_now, pushed, reading, known, began } = self;
        let told = async {
            let is_new = |pushed: &BTreeMap<String, u64>| pushed.get(feed).is_some_and(|count| count > known);
            if pushed.wait_for(is_new).await.is_err() {
                std::future::pending::<()>().await;
            }
            sleep_until(*began + apart).await;
        };
        tokio::select! {
            () = sleep_until(until) => Woken::Timer,
            _ = sync_now.changed() => Woken::Person,
            Ok(()) = reading.changed() => Woken::Setting,
            () = told => Woken::Vendor,
        }
    }
}

fn is_lost(error: &Error) -> bool {
    error.kind == ErrorKind::PositionLost
}
