use std::{
    collections::HashMap,
    sync::{Arc, Mutex, PoisonError},
    time::Duration,
};

use async_trait::async_trait;
use connector::{
    Account, ActivityPage, AuthorizeRequest, Capabilities, Change, Connector, Error, ErrorKind, Fetch, Grant,
    LimitHint, Login, Mailer, Page, Pusher, RateClass, Request, Response, Session, VendorInfo,
};
use http::HeaderMap;
use jiff::Timestamp;
use model::{ApplyWrite, ObjectSchema, WriteOutcome};
use secrecy::{ExposeSecret, SecretString};
use url::Url;

use crate::{
    auth,
    client::{Client, GRAPH},
    config::Config,
    error, login,
    read::{self, FEEDS},
    wire,
};

const LOGINS: [Login; 1] = [Login { site: "", label: "Microsoft account of any tenant" }];

const CAPABILITIES: Capabilities = Capabilities {
    objects: &[],
    page_size: read::PAGE_SIZES[0],
    write_batch: 0,
    late_index: &[],
    sweeps_deleted: false,
    quiet: &[],
    rotates_refresh_token: true,
    streams: false,
    feeds: &FEEDS,
    rates: &[
        // 10,000 calls in ten minutes per app and mailbox, https://learn.microsoft.com/en-us/graph/throttling-limits; the
        // rest is for whatever else the app does there.
        RateClass { name: GRAPH, calls: 150, window: Duration::from_secs(10) },
        // Nothing is published for tokens but that an app must not ask in a loop.
        RateClass { name: auth::LOGIN, calls: 30, window: Duration::from_secs(60) },
    ],
};

/// Microsoft 365: the mail of a mailbox, told as activities, and mail that goes out through it.
#[derive(Clone, Debug)]
pub struct M365 {
    config: Config,
    capabilities: Capabilities,
    own: Arc<Mutex<HashMap<String, Arc<[String]>>>>,
}

impl M365 {
    /// Microsoft 365 by this installation's app.
    #[must_use]
    pub fn new(config: Config) -> Self {
        Self { config, capabilities: CAPABILITIES, own: Arc::default() }
    }

    /// The same without rate limits: for a sandbox that enforces none.
    #[must_use]
    pub const fn without_limits(mut self) -> Self {
        self.capabilities.rates = &[];
        self
    }

    /// The addresses of the mailbox. They are asked for once: who changes theirs is known by the new ones after a restart.
    pub(crate) async fn own_addresses(&self, session: &Session) -> Result<Arc<[String]>, Error> {
        let account = session.account_id();
        if let Some(own) = self.own.lock().unwrap_or_else(PoisonError::into_inner).get(account) {
            return Ok(Arc::clone(own));
        }
        let user = Client(session).me().await?;
        let user: wire::User = user.read()?;
        let names = [user.mail, user.user_principal_name].into_iter().flatten().map(|name| name.0);
        let own: Arc<[String]> = names.filter(|name| name.contains('@')).collect();
        if !account.is_empty() {
            let mut known = self.own.lock().unwrap_or_else(PoisonError::into_inner);
            known.insert(account.to_owned(), Arc::clone(&own));
        }
        Ok(own)
    }
}

/// A mailbox has no records.
fn no_records(operation: &'static str) -> Error {
    Error::new(ErrorKind::Protocol, operation, "a mailbox has no records, only mail")
}

#[async_trait]
impl Connector for M365 {
    fn vendor(&self) -> VendorInfo {
        VendorInfo {
            name: "m365",
            label: "Microsoft 365",
            summary: "Logs the mail of a mailbox, received and sent, on the timelines of the people and companies it is with, and sends mail from it.",
            logins: &LOGINS,
            own_login: Some("Tenant"),
        }
    }

    fn is_configured(&self) -> bool {
        !self.config.client_id.is_empty() && !self.config.client_secret.expose_secret().is_empty()
    }

    fn capabilities(&self) -> &Capabilities {
        &self.capabilities
    }

    fn mailer(&self) -> Option<&dyn Mailer> {
        Some(self)
    }

    fn pusher(&self) -> Option<&dyn Pusher> {
        Some(self)
    }

    fn base_url(&self) -> &Url {
        &self.config.graph_url
    }

    fn login_url(&self, site: &str) -> Result<Url, Error> {
        login::login_url(&self.config.login_url, site)
    }

    fn authorize_url(&self, request: &AuthorizeRequest<'_>) -> Url {
        auth::authorize_url(&self.config, request)
    }

    fn exchange_request(&self, code: &str, redirect_uri: &str, code_verifier: &SecretString) -> Request {
        auth::exchange_request(&self.config, code, redirect_uri, code_verifier)
    }

    fn refresh_request(&self, refresh_token: &SecretString) -> Request {
        auth::refresh_request(&self.config, refresh_token)
    }

    /// There is no call that takes one app's token back: ending all sessions of the person would end those of other apps too.
    fn revoke_request(&self, _refresh_token: &SecretString) -> Option<Request> {
        None
    }

    fn read_grant(&self, response: &Response) -> Result<Grant, Error> {
        auth::read_grant(response)
    }

    fn check(&self, response: &Response) -> Result<(), Error> {
        error::check(response)
    }

    /// Answers say nothing of the limit before it is reached.
    fn limit_hint(&self, _class: &str, _headers: &HeaderMap) -> Option<LimitHint> {
        None
    }

    async fn account(&self, session: &Session) -> Result<Account, Error> {
        auth::account(session).await
    }

    async fn describe(&self, _session: &Session) -> Result<Vec<ObjectSchema>, Error> {
        Ok(Vec::new())
    }

    async fn fetch_changes(&self, _session: &Session, _fetch: &Fetch<'_>) -> Result<Page, Error> {
        Err(no_records("fetch changes"))
    }

    async fn fetch_deleted(
        &self,
        _session: &Session,
        _object: &str,
        _page: Option<&str>,
    ) -> Result<(Vec<Change>, Option<String>), Error> {
        Err(no_records("fetch deleted records"))
    }

    async fn fetch_activities(
        &self,
        session: &Session,
        feed: &str,
        position: Option<&str>,
        now: Timestamp,
    ) -> Result<ActivityPage, Error> {
        let own = self.own_addresses(session).await?;
        read::fetch(Client(session), feed, position, &own, now).await
    }

    async fn prepare_external_id(&self, _session: &Session, _object: &str) -> Result<(), Error> {
        Err(no_records("add a field for record ids"))
    }

    async fn write(
        &self,
        _session: &Session,
        _schema: &ObjectSchema,
        writes: &[ApplyWrite],
    ) -> Vec<Result<WriteOutcome, Error>> {
        writes.iter().map(|_| Err(no_records("write records"))).collect()
    }
}
