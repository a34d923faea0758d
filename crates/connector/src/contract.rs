//! What every vendor crate signs. A vendor crate never opens NATS or Postgres, never retries, never sleeps, never
//! reads the clock and never logs a token: the runtime does.

use std::{
    collections::{BTreeMap, HashMap},
    time::Duration,
};

use ::http::HeaderMap;
use async_trait::async_trait;
use jiff::Timestamp;
use model::{ApplyWrite, ChangeKind, FieldSchema, ObjectSchema, Value, WriteOutcome};
use secrecy::SecretString;
use url::Url;
use uuid::Uuid;

use crate::{ActivityPage, Error, Feed, Request, Response, Session, words::storable};

/// The namespace of [`Change::content`].
const CONTENT: Uuid = Uuid::from_u128(0x5d1f_0a52_7c2e_5f0b_9d0e_3b1a_6c42_88e1);

/// A vendor, as the runtime and the console see it.
#[derive(Clone, Debug)]
pub struct VendorInfo {
    /// The internal name, a token of bus subjects: `hubspot`.
    pub name: &'static str,
    /// What people see: `HubSpot`.
    pub label: &'static str,
    /// What a connection brings, in one sentence.
    pub summary: &'static str,
    /// Where its people sign in, where there are several places: see [`Connector::login_url`].
    pub logins: &'static [Login],
    /// What to call a place of a customer's own to sign in at, where there are such: `My Domain`.
    pub own_login: Option<&'static str>,
}

/// A place where a vendor's people sign in.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Login {
    /// What [`Connector::login_url`] knows it by.
    pub site: &'static str,
    /// What people see: `Sandbox`.
    pub label: &'static str,
}

/// What a vendor can do, as data: the runtime and the conformance suite read it.
#[derive(Clone, Debug)]
pub struct Capabilities {
    /// Objects that can be read by [`Connector::fetch_changes`] and written.
    pub objects: &'static [&'static str],
    /// Records per page of [`Connector::fetch_changes`], with the vendor's document as its source.
    pub page_size: usize,
    /// Writes per call of [`Connector::write`].
    pub write_batch: usize,
    /// How long after a change the vendor's listing may still miss it: the rungs of the re-scan ladder.
    pub late_index: &'static [Duration],
    /// Whether [`Connector::fetch_deleted`] is to be swept, because deletions do not show in changes.
    pub sweeps_deleted: bool,
    /// Fields that change without moving their record's version, so that [`Connector::fetch_moved`] is to be asked.
    pub quiet: &'static [&'static str],
    /// Whether a refresh always brings a new refresh token.
    pub rotates_refresh_token: bool,
    /// Whether the vendor pushes its changes, so that [`Connector::subscribe`] is to be asked before anything is polled.
    pub streams: bool,
    /// What people did, as [`Connector::fetch_activities`] tells it; none of a vendor that has records alone.
    pub feeds: &'static [Feed],
    /// Limits per rate class, until the vendor's answers say better.
    pub rates: &'static [RateClass],
}

/// A class of calls that shares one limit per connection.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct RateClass {
    /// The name that [`Request::class`] uses.
    pub name: &'static str,
    /// Calls per window.
    pub calls: u32,
    /// The window.
    pub window: Duration,
}

/// What the authorize page needs.
#[derive(Clone, Debug)]
pub struct AuthorizeRequest<'a> {
    /// Where people sign in, see [`Connector::login_url`].
    pub login_url: &'a Url,
    /// Where the vendor sends the browser back.
    pub redirect_uri: &'a str,
    /// The one-time state.
    pub state: &'a str,
    /// The PKCE challenge (S256).
    pub code_challenge: &'a str,
}

/// Tokens from an exchange or a refresh.
#[derive(Debug)]
pub struct Grant {
    /// The access token.
    pub access_token: SecretString,
    /// The refresh token; none when the vendor gave no new one and the old one stays.
    pub refresh_token: Option<SecretString>,
    /// How long the access token lives; none when only a refused call tells that it is over.
    pub expires_in: Option<Duration>,
    /// The base address of the API for this account, where the vendor gives one of its own to each.
    pub api_url: Option<Url>,
}

/// The account behind a connection.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Account {
    /// The vendor's id of it: HubSpot's portal id.
    pub id: String,
    /// Its name for people.
    pub name: String,
    /// The subscription, where it limits what can sync.
    pub tier: Option<String>,
    /// The granted scopes.
    pub scopes: Vec<String>,
    /// Required scopes that were not granted, each with what does not work without it, in words.
    pub missing: Vec<MissingScope>,
    /// Limits that the user should know, in words.
    pub notices: Vec<String>,
}

impl Account {
    /// The same without U+0000, which the database takes in no text.
    pub(crate) fn storable(mut self) -> Self {
        let Self { id, name, tier, scopes, missing, notices } = &mut self;
        let missing = missing.iter_mut().flat_map(|one| [&mut one.scope, &mut one.consequence]);
        [id, name].into_iter().chain(tier).chain(scopes).chain(notices).chain(missing).for_each(storable);
        self
    }
}

/// A required scope that was not granted.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct MissingScope {
    /// The vendor's name of the scope.
    pub scope: String,
    /// What does not work without it, in words.
    pub consequence: String,
}

/// A position in a vendor's listing: everything before it was read. Times are the vendor's modification times.
#[derive(Clone, Debug, PartialEq, Eq, serde::Serialize, serde::Deserialize)]
pub struct Cursor {
    /// Records modified at this moment or later are still to be read …
    pub time: Timestamp,
    /// … except, at exactly this moment, those with ids up to this one (in the vendor's order of ids).
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub id: Option<String>,
}

impl Cursor {
    /// The position before everything that was modified at this moment or later.
    #[must_use]
    pub const fn at(time: Timestamp) -> Self {
        Self { time, id: None }
    }
}

/// A request for changes.
#[derive(Clone, Debug)]
pub struct Fetch<'a> {
    /// The vendor's object.
    pub object: &'a str,
    /// The fields to read, by internal name, with their schema for decoding.
    pub schema: &'a ObjectSchema,
    /// The names of the fields to read.
    pub fields: &'a [String],
    /// Where to go on.
    pub from: &'a Cursor,
    /// Leave out what was modified at this moment or later.
    pub until: Option<Timestamp>,
}

/// One record as a listing shows it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Change {
    /// The vendor's id.
    pub id: String,
    /// Upserted or deleted.
    pub kind: ChangeKind,
    /// Grows with every change of the record.
    pub version: i64,
    /// When it was modified there.
    pub changed_at: Timestamp,
    /// The fields that were read.
    pub fields: BTreeMap<String, Value>,
    /// Whether `fields` has only those that changed, so that the others are as they were.
    pub is_partial: bool,
    /// When fields were set to what they show, where [`Connector::date_fields`] found out.
    pub field_times: BTreeMap<String, Timestamp>,
    /// Our record id, where the vendor keeps it.
    pub external_id: Option<String>,
    /// Ids that were merged into this one.
    pub merged_ids: Vec<String>,
    /// Whether the vendor says that we made it: a hint, for what others do within our call may carry our name as well.
    pub says_ours: bool,
}

impl Change {
    /// The record was deleted there.
    #[must_use]
    pub const fn deleted(id: String, version: i64, changed_at: Timestamp) -> Self {
        Self {
            id,
            kind: ChangeKind::Deleted,
            version,
            changed_at,
            fields: BTreeMap::new(),
            is_partial: false,
            field_times: BTreeMap::new(),
            external_id: None,
            merged_ids: Vec::new(),
            says_ours: false,
        }
    }

    /// The id of what the record says: the same values give the same one. A version alone does not tell two edits of the
    /// same moment apart.
    pub(crate) fn content(&self) -> Uuid {
        let said = (&self.fields, &self.external_id, &self.merged_ids);
        // Nothing in it can fail to be spelled.
        Uuid::new_v5(&CONTENT, &serde_json::to_vec(&said).unwrap_or_default())
    }
}

/// A page of changes, oldest first, without the unfinished last tick.
#[derive(Clone, Debug)]
pub struct Page {
    /// The changes.
    pub changes: Vec<Change>,
    /// Where to go on after them.
    pub next: Cursor,
    /// Whether there is more to read now.
    pub more: bool,
    /// How many records the vendor counts behind `from`, where it says so.
    pub total: Option<u64>,
}

/// What a vendor pushed, in its order.
#[derive(Clone, Debug, Default)]
pub struct Batch {
    /// The changes.
    pub changes: Vec<Change>,
    /// Records that changed in a way that the vendor does not tell: they are to be read.
    pub untold: Vec<Untold>,
    /// The vendor left changes out without saying of which records: all that was modified since then is to be read.
    pub left_out_since: Option<Timestamp>,
    /// Everything before it was pushed; none when the vendor has not said yet where its stream stands. It is behind
    /// everything that the batch has.
    pub position: Option<String>,
    /// The vendor's time up to which everything was pushed.
    pub until: Option<Timestamp>,
}

impl Batch {
    /// Adds what was pushed next.
    pub(crate) fn join(&mut self, next: Self) {
        self.changes.extend(next.changes);
        self.untold.extend(next.untold);
        self.left_out_since = self.left_out_since.into_iter().chain(next.left_out_since).min();
        self.position = next.position.or(self.position.take());
        self.until = self.until.max(next.until);
    }
}

/// A record that changed, and is to be read.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Untold {
    /// The vendor's id.
    pub id: String,
    /// The version of the change; the record was deleted with it, should it not be there to read.
    pub version: i64,
    /// When it was changed.
    pub changed_at: Timestamp,
}

/// A vendor's stream of the changes of one object.
#[async_trait]
pub trait ChangeStream: Send {
    /// Waits for what the vendor pushes next; an empty batch is a sign of life. It may be dropped while it waits, and
    /// nothing is lost.
    ///
    /// # Errors
    /// The stream ended, see [`Connector::subscribe`].
    async fn next(&mut self) -> Result<Batch, Error>;
}

/// What to subscribe to.
#[derive(Clone, Debug)]
pub struct Subscription<'a> {
    /// The vendor's object with its fields.
    pub schema: &'a ObjectSchema,
    /// The names of the fields that are wanted.
    pub fields: &'a [String],
    /// A [`Batch::position`] behind which to begin; none for what changes from now on.
    pub position: Option<&'a str>,
}

/// What an answer says about the rate limit.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct LimitHint {
    /// Calls per window.
    pub limit: u32,
    /// Calls left in the window.
    pub remaining: u32,
    /// The window.
    pub window: Duration,
    /// Calls of a day and how many of them are left, where the answer tells.
    pub daily: Option<(u32, u32)>,
}

/// Our code for a vendor.
#[async_trait]
pub trait Connector: Send + Sync + 'static {
    /// Name and words.
    fn vendor(&self) -> VendorInfo;

    /// Whether it was told what it needs to ask for consent. What is connected already goes on without.
    fn is_configured(&self) -> bool {
        true
    }

    /// What it can do.
    fn capabilities(&self) -> &Capabilities;

    /// How it posts messages and tells what people do with them, where it does.
    fn messenger(&self) -> Option<&dyn crate::Messenger> {
        None
    }

    /// How it sends mail through mailboxes, where it does.
    fn mailer(&self) -> Option<&dyn crate::Mailer> {
        None
    }

    /// How it tells at an address of ours that there is something to read, where it does.
    fn pusher(&self) -> Option<&dyn crate::Pusher> {
        None
    }

    /// The base address of the vendor's API, for accounts that were given none of their own.
    fn base_url(&self) -> &Url;

    /// The base address of [`Host::Other`], of vendors whose API is at two places.
    fn other_url(&self) -> &Url {
        self.base_url()
    }

    /// The address where people of this site sign in. An empty site is the vendor's usual one; other ones are for vendors
    /// that have separate logins, and are what a person wrote.
    ///
    /// # Errors
    /// [`crate::ErrorKind::Validation`]: the vendor has no such site, in words for people.
    fn login_url(&self, site: &str) -> Result<Url, Error> {
        if site.is_empty() {
            return Ok(self.base_url().clone());
        }
        let message = format!("{} has one address to sign in at, so none can be chosen", self.vendor().label);
        Err(Error::new(crate::ErrorKind::Validation, "find the login", message))
    }

    /// The vendor's consent page.
    fn authorize_url(&self, request: &AuthorizeRequest<'_>) -> Url;

    /// The request that turns a code into tokens.
    fn exchange_request(&self, code: &str, redirect_uri: &str, code_verifier: &SecretString) -> Request;

    /// The request for a new access token.
    fn refresh_request(&self, refresh_token: &SecretString) -> Request;

    /// The request that takes a refresh token back, where the vendor has one.
    fn revoke_request(&self, refresh_token: &SecretString) -> Option<Request>;

    /// Reads the answer to an exchange or a refresh.
    ///
    /// # Errors
    /// [`crate::ErrorKind::AccessRevoked`] when the grant is dead and somebody must connect again.
    fn read_grant(&self, response: &Response) -> Result<Grant, Error>;

    /// Whether an answer is a failure, and which.
    ///
    /// # Errors
    /// The failure, with its kind and when a retry makes sense.
    fn check(&self, response: &Response) -> Result<(), Error>;

    /// What an answer says about the rate limit of its class.
    fn limit_hint(&self, class: &str, headers: &HeaderMap) -> Option<LimitHint>;

    /// Who the connection is: account, tier, scopes granted and missing.
    ///
    /// # Errors
    /// The vendor's failure.
    async fn account(&self, session: &Session) -> Result<Account, Error>;

    /// The objects and fields that the connection offers.
    ///
    /// # Errors
    /// The vendor's failure.
    async fn describe(&self, session: &Session) -> Result<Vec<ObjectSchema>, Error>;

    /// Records modified since the cursor, oldest first: backfill and polling alike.
    ///
    /// # Errors
    /// The vendor's failure; nothing of the page counts as read then.
    async fn fetch_changes(&self, session: &Session, fetch: &Fetch<'_>) -> Result<Page, Error>;

    /// Says of changes when each of these fields was set to what it shows, as far as the vendor tells that apart from the
    /// record's modification, and never later than it. What says nothing of a field is dated with its record, and so is
    /// everything of a vendor that has no such times.
    ///
    /// # Errors
    /// The vendor's failure; nothing of the changes counts as read then.
    async fn date_fields(
        &self,
        _session: &Session,
        _schema: &ObjectSchema,
        _fields: &[String],
        _changes: &mut [Change],
    ) -> Result<(), Error> {
        Ok(())
    }

    /// The e-mail addresses of the people whom records concern, by the records' ids, the primary one first: a deal's contacts.
    /// None where the vendor has no such link of the object, or does not let us see it.
    ///
    /// # Errors
    /// The vendor's failure; nothing of the records counts as read then.
    async fn people(
        &self,
        _session: &Session,
        _object: &str,
        _ids: &[String],
    ) -> Result<Option<HashMap<String, Vec<String>>>, Error> {
        Ok(None)
    }

    /// Records that were archived or deleted; the whole listing in pages. `page` is the vendor's own token of the
    /// previous page's end.
    ///
    /// # Errors
    /// The vendor's failure.
    async fn fetch_deleted(
        &self,
        session: &Session,
        object: &str,
        page: Option<&str>,
    ) -> Result<(Vec<Change>, Option<String>), Error>;

    /// Looks at quiet fields of records, at most a thousand, whose values were last seen as in `known`: those that are
    /// other ones now, each record with all of `fields` as a listing would show it. What is gone is left out.
    ///
    /// # Errors
    /// The vendor's failure; nothing counts as looked at then.
    async fn fetch_moved(
        &self,
        _session: &Session,
        _schema: &ObjectSchema,
        _fields: &[String],
        _quiet: &[String],
        _known: BTreeMap<String, BTreeMap<String, Value>>,
    ) -> Result<Vec<Change>, Error> {
        Ok(Vec::new())
    }

    /// Reads these records, at most two hundred, with all of `fields`, as a listing would show them. What is not there is
    /// left out.
    ///
    /// # Errors
    /// The vendor's failure; nothing counts as read then.
    async fn fetch_records(
        &self,
        _session: &Session,
        _schema: &ObjectSchema,
        _fields: &[String],
        _ids: &[String],
    ) -> Result<Vec<Change>, Error> {
        let message = "this vendor's records are not read by their ids";
        Err(Error::new(crate::ErrorKind::Protocol, "read records", message))
    }

    /// What people did, by one of [`Capabilities::feeds`]: a page behind this position, or from the beginning of what is
    /// read. `now` is the vendor's time; it may be part of the version of what is gone.
    ///
    /// # Errors
    /// [`crate::ErrorKind::PositionLost`] when the vendor does not know the position any more: everything is read again
    /// then, from the beginning. Else the vendor's failure; nothing of the page counts as read then.
    async fn fetch_activities(
        &self,
        _session: &Session,
        _feed: &str,
        _position: Option<&str>,
        _now: Timestamp,
    ) -> Result<ActivityPage, Error> {
        let message = "this vendor does not tell what people did";
        Err(Error::new(crate::ErrorKind::Protocol, "read activities", message))
    }

    /// What the vendor calls the stream of an object's changes.
    fn channel(&self, _object: &str) -> Option<String> {
        None
    }

    /// Opens the vendor's stream of the changes of an object, where [`Capabilities::streams`] says that it has one.
    ///
    /// # Errors
    /// [`crate::ErrorKind::NoStream`] when this account has none, so that the object is polled; its message says why, in
    /// words for people. [`crate::ErrorKind::PositionLost`] when the vendor does not know the position any more, so that
    /// changes may be missing. Else the vendor's failure.
    async fn subscribe(
        &self,
        _session: &Session,
        _subscription: &Subscription<'_>,
    ) -> Result<Box<dyn ChangeStream>, Error> {
        Err(Error::new(crate::ErrorKind::NoStream, "subscribe", "this vendor pushes no changes"))
    }

    /// Makes sure that the object has a unique field for our record id.
    ///
    /// # Errors
    /// The vendor's failure.
    async fn prepare_external_id(&self, session: &Session, object: &str) -> Result<(), Error>;

    /// The objects whose records can be told to whom they are attributed.
    fn attributed_objects(&self) -> &'static [&'static str] {
        &[]
    }

    /// Makes sure that an object has these fields, and that they can be written. The vendor's name of a field is ours, as the
    /// vendor spells names of its own.
    ///
    /// # Errors
    /// The vendor's failure; its message says what an administrator can do, in words for people.
    async fn create_fields(
        &self,
        _session: &Session,
        _object: &str,
        _fields: &[FieldSchema],
    ) -> Result<(), Error> {
        let message = format!("Accord adds no fields at {}", self.vendor().label);
        Err(Error::new(crate::ErrorKind::Validation, "add fields", message))
    }

    /// Makes writes of one object, at most [`Capabilities::write_batch`], one outcome per write in their order. One
    /// bad write never fails its neighbours. A transient failure is an error and the runtime tries that write again.
    async fn write(
        &self,
        session: &Session,
        schema: &ObjectSchema,
        writes: &[ApplyWrite],
    ) -> Vec<Result<WriteOutcome, Error>>;
}
