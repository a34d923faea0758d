//! What all parts of the runtime share, and the connections that it has at hand.

use std::{
    collections::{BTreeMap, HashMap},
    sync::{Arc, Mutex, MutexGuard, PoisonError},
    time::Duration,
};

use bus::{
    Bus,
    outbox::{self, Waker},
};
use jiff::Timestamp;
use model::{Clock, ConnectionId, ConnectionState, ObjectSchema, OrganizationId, ReadingSettings, WriteId};
use tokio::sync::{Notify, watch};
use uuid::Uuid;
use vault::Vault;

use crate::{
    Config, Connector, Error, ErrorKind, Feed, Retry, Session, budgets,
    failure::Failure,
    http::Client,
    publisher::Publisher,
    reading,
    receiving::Names,
    schema,
    session::{Line, Site},
    states,
    store::{Connection, Store, Transition},
    tokens::{Refresher, Sealer, TokenKeeper},
};

/// Failures in a row after which people are told.
const FAILURES_UNTIL_ERROR: u32 = 3;
/// A pause that the vendor asks for and that people are told of at once.
const LONG_PAUSE: Duration = Duration::from_secs(60);

/// The part of a connection's work that reads its schema.
pub(crate) const SCHEMA: &str = "schema";

/// What all parts of the runtime share.
pub(crate) struct Core {
    pub(crate) config: Config,
    pub(crate) store: Store,
    pub(crate) bus: Bus,
    pub(crate) waker: Waker,
    pub(crate) vault: Arc<Vault>,
    pub(crate) clock: Arc<dyn Clock>,
    pub(crate) http: Client,
    pub(crate) connectors: BTreeMap<&'static str, Arc<dyn Connector>>,
    /// This process among the replicas.
    pub(crate) replica: Uuid,
    /// Something in the database changed that the supervisor should look at now.
    pub(crate) changed: Notify,
    links: Mutex<HashMap<ConnectionId, Arc<Link>>>,
}

impl Core {
    #[expect(clippy::too_many_arguments, reason = "each is one thing that the parts share, given once")]
    pub(crate) fn new(
        config: Config,
        store: Store,
        bus: Bus,
        waker: Waker,
        vault: Arc<Vault>,
        clock: Arc<dyn Clock>,
        http: Client,
        connectors: Vec<Arc<dyn Connector>>,
    ) -> Arc<Self> {
        Arc::new(Self {
            config,
            store,
            bus,
            waker,
            vault,
            clock,
            http,
            connectors: connectors
                .into_iter()
                .map(|connector| (connector.vendor().name, connector))
                .collect(),
            replica: Uuid::new_v4(),
            changed: Notify::new(),
            links: Mutex::default(),
        })
    }

    pub(crate) fn now(&self) -> Timestamp {
        self.clock.now()
    }

    /// What this process has at hand of a connection, its budget included; none when it does not serve the vendor.
    pub(crate) async fn link(&self, connection: &Connection) -> Result<Option<Arc<Link>>, Failure> {
        let Some(connector) = self.connectors.get(connection.vendor.as_str()) else { return Ok(None) };
        let link = self.opened(connection, connector)?;
        if !link.line.budget.is_loaded() {
            reading::load(self, &link).await?;
            budgets::load(self, &link).await?;
        }
        Ok(Some(link))
    }

    fn opened(&self, connection: &Connection, connector: &Arc<dyn Connector>) -> Result<Arc<Link>, Error> {
        let mut links = self.links.lock().unwrap_or_else(PoisonError::into_inner);
        // Another process may have taken the answer to a new authorization: the old token may do less.
        let known = links.get(&connection.id).filter(|link| link.authorized_at >= connection.connected_at);
        if let Some(link) = known {
            return Ok(Arc::clone(link));
        }
        let link = self.open_link(connection, connector)?;
        links.insert(connection.id, Arc::clone(&link));
        Ok(link)
    }

    fn open_link(&self, connection: &Connection, connector: &Arc<dyn Connector>) -> Result<Arc<Link>, Error> {
        let site = Site::new(connector.as_ref(), &connection.site, &connection.account_id)?;
        let line = Line::new(Arc::clone(connector), self.http.clone(), Arc::clone(&self.clock), site);
        let publisher = Publisher::new(connection.organization, connector.vendor().name);
        let refresher = Refresher {
            id: connection.id,
            publisher: publisher.clone(),
            sealer: self.sealer(connection.organization, &connection.id.to_string()),
            store: self.store.clone(),
            waker: self.waker.clone(),
            line: Arc::clone(&line),
            replica: self.replica,
        };
        let tokens = TokenKeeper {
            refresher: Arc::new(refresher),
            patience: self.config.refresh_patience,
            current: tokio::sync::Mutex::default(),
        };
        Ok(Arc::new(Link {
            id: connection.id,
            authorized_at: connection.connected_at,
            session: Session::new(Arc::clone(&line), Arc::new(tokens)),
            connector: Arc::clone(connector),
            line,
            publisher,
            sync_now: watch::Sender::new(0),
            wanted: watch::Sender::new(0),
            pushed: watch::Sender::default(),
            watches: watch::Sender::new(0),
            reading: watch::Sender::default(),
            failing: Mutex::default(),
            prepared: tokio::sync::Mutex::default(),
            puzzled: Mutex::default(),
            names: Mutex::default(),
        }))
    }

    /// What a connection tells of what people did.
    pub(crate) fn feeds(&self, connection: &Connection) -> &'static [Feed] {
        let connector = self.connectors.get(connection.vendor.as_str());
        connector.map_or(&[], |connector| connector.capabilities().feeds)
    }

    /// How often a feed is read: as people chose for the connection, else as the operator did for the vendor, else as is usual.
    pub(crate) fn feed_interval(&self, vendor: &str, feed: &Feed, chosen: ReadingSettings) -> Duration {
        let chosen = chosen.interval_minutes.map(|minutes| Duration::from_secs(u64::from(minutes) * 60));
        let set = chosen.or_else(|| self.config.feed_intervals.get(vendor).copied());
        set.unwrap_or(feed.every).max(self.config.poll_interval_min)
    }

    pub(crate) fn sealer(&self, organization: OrganizationId, connection: &str) -> Sealer {
        Sealer::new(Arc::clone(&self.vault), organization.to_string(), connection.to_owned())
    }

    /// Forgets a connection's tokens and limits: it was authorized again, or is gone.
    pub(crate) fn forget_link(&self, id: ConnectionId) {
        self.links.lock().unwrap_or_else(PoisonError::into_inner).remove(&id);
    }

    pub(crate) fn links(&self) -> Vec<Arc<Link>> {
        self.links.lock().unwrap_or_else(PoisonError::into_inner).values().cloned().collect()
    }

    pub(crate) fn link_at_hand(&self, id: ConnectionId) -> Option<Arc<Link>> {
        self.links.lock().unwrap_or_else(PoisonError::into_inner).get(&id).cloned()
    }

    /// Reads the vendor's objects and fields again, stores them and tells everyone.
    pub(crate) async fn refresh_schema(
        &self,
        link: &Link,
        actor: &str,
    ) -> Result<Vec<ObjectSchema>, Failure> {
        let mut objects = schema::bounded(link.connector.describe(&link.session).await?);
        self.keep_unseen(link, &mut objects).await?;
        let now = self.now();
        let events = link.publisher.schema(actor, link.id, &objects, now)?;
        let mut tx = self.store.pool.begin().await?;
        Store::put_schemas(&mut tx, link.id, &objects, now).await?;
        outbox::enqueue(&mut tx, &events).await?;
        tx.commit().await?;
        self.waker.wake();
        self.changed.notify_one();
        self.part_succeeded(link, SCHEMA).await?;
        Ok(objects)
    }

    /// An object that is read and that the vendor does not show any more may be hidden from the account for a while: what is
    /// known of it stays, and whoever reads it says what is missing.
    async fn keep_unseen(&self, link: &Link, objects: &mut Vec<ObjectSchema>) -> Result<(), Failure> {
        let captures = self.store.captures(&[link.id]).await?;
        let is_unseen = |name: &str| objects.iter().all(|object| object.name != name);
        if captures.iter().all(|capture| !is_unseen(&capture.object)) {
            return Ok(());
        }
        let known = self.store.schemas(link.id).await?.map(|schemas| schemas.objects).unwrap_or_default();
        let is_read = |object: &ObjectSchema| captures.iter().any(|capture| capture.object == object.name);
        let kept: Vec<ObjectSchema> =
            known.into_iter().filter(|object| is_read(object) && is_unseen(&object.name)).collect();
        objects.extend(kept);
        Ok(())
    }

    /// A part of a connection's work failed. A dead grant, a failure that lasts and one that passes by no retry change
    /// the connection's state.
    pub(crate) async fn part_failed(&self, link: &Link, part: &str, error: &Error) -> Result<u32, Failure> {
        if error.kind == ErrorKind::BudgetSpent {
            // Nothing is wrong, and whoever set the budget is told of it.
            return Ok(0);
        }
        let failures = {
            let mut failing = link.failing.lock().unwrap_or_else(PoisonError::into_inner);
            let failures = failing.entry(part.to_owned()).or_default();
            *failures += 1;
            *failures
        };
        let (code, now) = (error.kind.code(), self.now());
        let mut tx = self.store.pool.begin().await?;
        let changed = if error.kind == ErrorKind::AccessRevoked {
            let message = error.message.as_str();
            states::require_authorization(&mut tx, &link.publisher, link.id, code, message, now).await?
        } else if failures >= FAILURES_UNTIL_ERROR || lasts(error) {
            let transition = Transition {
                from: &[ConnectionState::Active, ConnectionState::Error],
                to: ConnectionState::Error,
                reason: Some(code),
                message: Some(&error.message),
            };
            states::change(&mut tx, &link.publisher, link.id, &transition, states::SERVICE, now).await?
        } else {
            false
        };
        tx.commit().await?;
        if changed {
            self.waker.wake();
            self.changed.notify_one();
        }
        Ok(failures)
    }

    /// A part of a connection's work went well; when none fails any more, the connection is active again.
    pub(crate) async fn part_succeeded(&self, link: &Link, part: &str) -> Result<(), Failure> {
        self.end_failures(link, true, |failing| failing == part).await
    }

    /// An object or feed is not read any more: what failed of it fails no more.
    pub(crate) async fn reading_ended(&self, link: &Link, name: &str) -> Result<(), Failure> {
        self.end_failures(link, false, |part| part.split_once(' ').is_some_and(|(_, of)| of == name)).await
    }

    /// `works`: something of the connection went well, which also ends an error that an earlier process left.
    async fn end_failures(
        &self,
        link: &Link,
        works: bool,
        ended: impl Fn(&str) -> bool,
    ) -> Result<(), Failure> {
        let recovered = {
            let mut failing = link.failing.lock().unwrap_or_else(PoisonError::into_inner);
            failing.parts.retain(|part, _| !ended(part));
            let first = works && !std::mem::replace(&mut failing.checked, true);
            failing.is_empty() && (first || std::mem::take(&mut failing.was_failing))
        };
        if !recovered {
            return Ok(());
        }
        let transition = Transition {
            from: &[ConnectionState::Error],
            to: ConnectionState::Active,
            reason: None,
            message: None,
        };
        let mut tx = self.store.pool.begin().await?;
        let (publisher, now) = (&link.publisher, self.now());
        let changed = states::change(&mut tx, publisher, link.id, &transition, states::SERVICE, now).await?;
        tx.commit().await?;
        if changed {
            self.waker.wake();
        }
        Ok(())
    }
}

/// Whether waiting a little will not help.
fn lasts(error: &Error) -> bool {
    match error.retry {
        _ if error.kind == ErrorKind::Permission => true,
        Retry::Never => true,
        Retry::Backoff => false,
        Retry::After(pause) => pause > LONG_PAUSE,
    }
}

/// A connection as this process has it at hand.
pub(crate) struct Link {
    pub(crate) id: ConnectionId,
    authorized_at: Timestamp,
    pub(crate) connector: Arc<dyn Connector>,
    pub(crate) line: Arc<Line>,
    pub(crate) session: Session,
    pub(crate) publisher: Publisher,
    /// Grows when somebody wants everything read now.
    pub(crate) sync_now: watch::Sender<u64>,
    /// Grows when somebody wants records read by their ids.
    pub(crate) wanted: watch::Sender<u64>,
    /// How often there was something new in each feed, by what the vendor told.
    pub(crate) pushed: watch::Sender<BTreeMap<String, u64>>,
    /// Grows when the vendor told something of a watch itself.
    pub(crate) watches: watch::Sender<u64>,
    /// How often feeds are read, and how much of them is kept.
    pub(crate) reading: watch::Sender<ReadingSettings>,
    failing: Mutex<Failing>,
    /// Objects that are known to have the field for our record id.
    pub(crate) prepared: tokio::sync::Mutex<std::collections::HashSet<String>>,
    /// How often the vendor gave an answer to a write that says nothing; kept until the write is answered.
    pub(crate) puzzled: Mutex<HashMap<WriteId, u32>>,
    /// Who acts in the vendor's channels.
    names: Mutex<Names>,
}

impl Link {
    pub(crate) fn names(&self) -> MutexGuard<'_, Names> {
        self.names.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Another process goes on with it: what it does there is not known here.
    pub(crate) fn forget_failures(&self) {
        *self.failing.lock().unwrap_or_else(PoisonError::into_inner) = Failing::default();
    }

    /// Whether this part of the work failed when it was tried last.
    pub(crate) fn is_failing(&self, part: &str) -> bool {
        self.failing.lock().unwrap_or_else(PoisonError::into_inner).parts.contains_key(part)
    }

    /// When it was last authorized.
    pub(crate) const fn authorized_at(&self) -> Timestamp {
        self.authorized_at
    }

    /// Has a feed read now.
    pub(crate) fn wake_feed(&self, feed: &str) {
        self.pushed.send_modify(|pushed| *pushed.entry(feed.to_owned()).or_default() += 1);
    }
}

/// Which parts of a connection's work fail, and how often in a row.
#[derive(Debug, Default)]
struct Failing {
    parts: HashMap<String, u32>,
    /// Whether a part failed since the last recovery.
    was_failing: bool,
    /// Whether this process has looked at the stored state once; an earlier process may have left `error` there.
    checked: bool,
}

impl Failing {
    fn entry(&mut self, part: String) -> std::collections::hash_map::Entry<'_, String, u32> {
        self.was_failing = true;
        self.parts.entry(part)
    }

    fn is_empty(&self) -> bool {
        self.parts.is_empty()
    }
}
