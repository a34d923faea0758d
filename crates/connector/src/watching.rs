//! Having a vendor tell at an address of ours that a feed has something new: asked for, prolonged before it ends, asked for
//! anew when it is gone, and ended with the connection. Reading at intervals goes on beside it.

use std::{sync::Arc, time::Duration};

use base64::{Engine, prelude::BASE64_URL_SAFE_NO_PAD};
use jiff::Timestamp;
use secrecy::{ExposeSecret, SecretString};
use sha2::{Digest, Sha256};
use tokio::time::{sleep, timeout};
use url::Url;
use uuid::Uuid;

use crate::{
    Connector, ErrorKind, Feed, Pusher, Retry, Watch, WatchWish,
    core::{Core, Link},
    failure::Failure,
    http::Reach,
    store::{Arrival, Connection, Lease, NewWatch, Stored, StoredWatch},
};

/// The first pause after the vendor failed; each one is twice as long as the one before.
const FIRST_PAUSE: Duration = Duration::from_secs(5);
/// How long vendors may take to hear that a connection ends.
const GOODBYE: Duration = Duration::from_secs(5);
/// After so long a watch ended by itself that the vendor may have begun without an answer; none lasts longer.
const LONGEST: Duration = Duration::from_secs(8 * 24 * 3600);

/// How a connector's vendor tells of a feed, where it does.
pub(crate) fn pusher_of<'a>(connector: &'a dyn Connector, feed: &str) -> Option<&'a dyn Pusher> {
    connector.pusher().filter(|pusher| pusher.feeds().contains(&feed))
}

/// The digest that a secret is kept as.
pub(crate) fn digest(secret: &SecretString) -> [u8; 32] {
    Sha256::digest(secret.expose_secret().as_bytes()).into()
}

/// Keeps one feed watched, as long as its reader reads.
pub(crate) struct Watcher {
    pub(crate) core: Arc<Core>,
    pub(crate) link: Arc<Link>,
    pub(crate) lease: Lease,
    pub(crate) feed: Feed,
}

impl Watcher {
    /// Never ends by itself.
    pub(crate) async fn run(self) {
        let Some(pusher) = pusher_of(self.link.connector.as_ref(), self.feed.name) else {
            return std::future::pending().await;
        };
        let (mut sync_now, mut told) = (self.link.sync_now.subscribe(), self.link.watches.subscribe());
        let mut failures = 0;
        loop {
            let pause = match self.keep(pusher).await {
                Ok(()) => {
                    failures = 0;
                    self.core.config.watch_interval
                }
                Err(failure) => {
                    failures += 1;
                    self.failed(&failure, failures).await
                }
            };
            tokio::select! {
                () = sleep(pause) => {}
                _ = told.changed() => {}
                // Whoever asks for everything to be read may have mended what was in the way.
                _ = sync_now.changed() => {}
            }
        }
    }

    /// Makes it so that there is one watch, with some of its time left.
    async fn keep(&self, pusher: &dyn Pusher) -> Result<(), Failure> {
        let name = self.feed.name;
        let all = self.core.store.watches(self.link.id).await?;
        let mut watches: Vec<StoredWatch> = all.into_iter().filter(|watch| watch.feed == name).collect();
        if watches.iter().any(|watch| watch.is_unread) {
            // Whoever took it could not say so here.
            self.link.wake_feed(name);
        }
        if !is_reached(&self.core.config.api_url, self.link.connector.base_url()) {
            self.end(pusher, &watches).await?;
            let label = self.link.connector.vendor().label;
            let why = format!(
                "{label} cannot reach this installation: its public address is none of the internet with https"
            );
            return self.note(&Arrival::Polled(why)).await;
        }
        let now = self.link.session.vendor_now();
        let here = self.base();
        let is_current = |watch: &StoredWatch| {
            let ends_at = watch.agreed().map(|(watch, _)| watch.ends_at);
            watch.address.starts_with(here.as_str()) && !watch.is_ended && ends_at.is_some_and(|at| at > now)
        };
        let current = watches.iter().position(is_current).map(|at| watches.remove(at));
        let held = match current {
            None => self.begin(pusher).await?,
            Some(stored) => match stored.agreed() {
                Some((watch, renewed_at)) if self.is_due(&stored, &watch, renewed_at, now) => {
                    match pusher.renew(&self.link.session, &watch, now).await {
                        Ok(Some(watch)) => {
                            self.core.store.agree_watch(stored.id, &watch, now).await?;
                            watch
                        }
                        Ok(None) => {
                            let next = self.begin(pusher).await?;
                            watches.push(stored);
                            next
                        }
                        Err(error) if error.kind == ErrorKind::NotFound => {
                            self.core.store.drop_watch(stored.id).await?;
                            self.begin(pusher).await?
                        }
                        Err(error) => return Err(error.into()),
                    }
                }
                Some((watch, _)) => watch,
                None => return Ok(()),
            },
        };
        self.end(pusher, &watches).await?;
        if held.is_proven { self.note(&Arrival::Pushed).await } else { self.note_unproven().await }
    }

    /// Whether the vendor is to be asked now: half of its time is over, the vendor says so, or the connection was authorized
    /// anew, with which the vendor may have ended it.
    fn is_due(&self, stored: &StoredWatch, watch: &Watch, renewed_at: Timestamp, now: Timestamp) -> bool {
        let life = watch.ends_at.duration_since(renewed_at);
        stored.is_ending
            || now.duration_since(renewed_at) * 2 >= life
            || stored.begun_at() < self.link.authorized_at() && renewed_at < self.link.authorized_at()
    }

    /// Asks the vendor, and has the feed read then: nothing of what came before is told.
    async fn begin(&self, pusher: &dyn Pusher) -> Result<Watch, Failure> {
        let (store, session) = (&self.core.store, &self.link.session);
        let (id, secret) = (Uuid::new_v4(), random_secret());
        let address = self.base().join(&id.to_string()).unwrap_or_else(|_| self.base());
        let (feed, now) = (self.feed.name, session.vendor_now());
        let (connection, digest) = (self.link.id, digest(&secret));
        let new = NewWatch {
            id,
            connection,
            feed,
            address: address.as_str(),
            secret: &digest,
            now: self.core.now(),
        };
        if matches!(store.begin_watch(&self.lease, &new).await?, Stored::LeaseLost) {
            return Err(Failure::LeaseLost);
        }
        let wish = WatchWish { feed, id, address: &address, secret: &secret, now };
        let watch = match pusher.watch(session, &wish).await {
            Ok(watch) => watch,
            Err(error) => {
                // After a lost answer the vendor may tell all the same, and rightly.
                if error.kind != ErrorKind::AnswerLost {
                    store.drop_watch(id).await?;
                }
                return Err(error.into());
            }
        };
        if !store.agree_watch(id, &watch, now).await? {
            pusher.unwatch(session, &watch).await?;
            return Err(Failure::LeaseLost);
        }
        tracing::info!(connection = %self.link.id, feed, "the vendor tells of a feed");
        self.link.wake_feed(feed);
        Ok(watch)
    }

    /// Ends what another one took the place of.
    async fn end(&self, pusher: &dyn Pusher, watches: &[StoredWatch]) -> Result<(), Failure> {
        let now = self.core.now();
        for stored in watches {
            if let Some((watch, _)) = stored.agreed() {
                let ended = pusher.unwatch(&self.link.session, &watch).await;
                if let Err(error) = ended {
                    tracing::warn!(connection = %self.link.id, %error, "could not end a watch; it ends by itself");
                }
            } else if now.duration_since(stored.begun_at()).unsigned_abs() < LONGEST {
                // Its answer is lost, or is still to come.
                continue;
            }
            self.core.store.drop_watch(stored.id).await?;
        }
        Ok(())
    }

    async fn failed(&self, failure: &Failure, failures: u32) -> Duration {
        let config = &self.core.config;
        let longer = FIRST_PAUSE * 2_u32.saturating_pow(failures.saturating_sub(1).min(16));
        let longer = longer.min(config.no_stream_pause);
        let Failure::Vendor(error) = failure else {
            tracing::warn!(connection = %self.link.id, feed = self.feed.name, error = %failure, "could not keep a watch");
            return FIRST_PAUSE;
        };
        let (feed, code) = (self.feed.name, error.kind.code());
        tracing::warn!(connection = %self.link.id, feed, code, error = %error, "the vendor does not tell of a feed");
        if let Err(failure) = self.note_failed(&error.message).await {
            tracing::warn!(connection = %self.link.id, error = %failure, "could not note how news arrive");
        }
        match error.retry {
            Retry::After(pause) => pause,
            Retry::Backoff => longer,
            Retry::Never => config.no_stream_pause,
        }
    }

    /// Says why it is polled, unless there is a watch as yet.
    async fn note_failed(&self, why: &str) -> Result<(), Failure> {
        let now = self.link.session.vendor_now();
        let all = self.core.store.watches(self.link.id).await?;
        let of_feed = all.iter().filter(|stored| stored.feed == self.feed.name && !stored.is_ended);
        let is_told = of_feed.filter_map(StoredWatch::agreed).any(|(watch, _)| watch.ends_at > now);
        if is_told { Ok(()) } else { self.note(&Arrival::Polled(why.to_owned())).await }
    }

    async fn note_unproven(&self) -> Result<(), Failure> {
        let label = self.link.connector.vendor().label;
        let why = format!("{label} was asked to tell what is new, and nothing has arrived from it yet");
        self.note(&Arrival::Polled(why)).await
    }

    async fn note(&self, arrival: &Arrival) -> Result<(), Failure> {
        let (id, feed, now) = (self.link.id, self.feed.name, self.core.now());
        Ok(self.core.store.note_arrival(id, feed, arrival, now).await?)
    }

    /// Below it is the address of each watch.
    fn base(&self) -> Url {
        let api = self.core.config.api_url.as_str().trim_end_matches('/');
        let address = format!("{api}/push/{}/", self.link.publisher.vendor);
        Url::parse(&address).unwrap_or_else(|_| self.core.config.api_url.clone())
    }
}

/// Whether a vendor that is at this address reaches ours. A simulator in our own network does.
fn is_reached(api_url: &Url, vendor_url: &Url) -> bool {
    Reach::Public.check(api_url).is_ok() || Reach::Public.check(vendor_url).is_err()
}

/// Asks the vendor to end all watches of a connection that somebody disconnects, as far as it does so in time. They are
/// forgotten in any case.
pub(crate) async fn say_goodbye(core: &Core, connection: &Connection) -> Result<(), Failure> {
    let watches = core.store.watches(connection.id).await?;
    if watches.is_empty() {
        return Ok(());
    }
    let Some(link) = core.link(connection).await? else { return Ok(()) };
    let Some(pusher) = link.connector.pusher() else { return Ok(()) };
    let session = &link.session;
    let all =
        futures::future::join_all(watches.iter().filter_map(StoredWatch::agreed).map(async |(watch, _)| {
            if let Err(error) = pusher.unwatch(session, &watch).await {
                tracing::warn!(connection = %link.id, %error, "could not end a watch; it ends by itself");
            }
        }));
    if timeout(GOODBYE, all).await.is_err() {
        tracing::warn!(connection = %link.id, "could not end the watches in time; they end by themselves");
    }
    Ok(())
}

/// 256 random bits as text.
fn random_secret() -> SecretString {
    BASE64_URL_SAFE_NO_PAD.encode(rand::random::<[u8; 32]>()).into()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_vendor_of_the_internet_reaches_what_is_there_with_https_alone() {
        let reached = |ours: &str, theirs: &str| is_reached(&ours.parse().unwrap(), &theirs.parse().unwrap());
        let graph = "https://graph.microsoft.com";
        assert!(reached("https://accord.example.com/api", graph));
        for ours in
            ["http://accord.example.com", "http://127.0.0.1:8080", "https://10.1.2.3", "https://accord.local"]
        {
            assert!(!reached(ours, graph), "{ours}");
        }
        assert!(reached("http://127.0.0.1:8080", "http://127.0.0.1:9090"), "a simulator beside us");
    }
}
