use std::time::Duration;

use async_trait::async_trait;
use connector::{
    Account, ActivityPage, AuthorizeRequest, Capabilities, Change, Connector, Error, ErrorKind, Fetch, Grant,
    LimitHint, Page, Pusher, RateClass, Request, Response, Session, VendorInfo,
};
use http::HeaderMap;
use jiff::Timestamp;
use model::{ApplyWrite, ObjectSchema, WriteOutcome};
use secrecy::{ExposeSecret, SecretString};
use url::Url;

use crate::{
    auth, calendar,
    client::{CALENDAR, Client, MEET},
    config::Config,
    error, transcripts,
};

const MINUTE: Duration = Duration::from_secs(60);

const CAPABILITIES: Capabilities = Capabilities {
    objects: &[],
    page_size: calendar::PAGE_SIZE,
    write_batch: 0,
    late_index: &[],
    sweeps_deleted: false,
    quiet: &[],
    rotates_refresh_token: false,
    streams: false,
    feeds: &[calendar::FEED, transcripts::FEED],
    // Calls that a project may make for a user in a minute, as a new project has them:
    // https://developers.google.com/workspace/calendar/api/guides/quota and .../meet/api/guides/limits. A reserve is left
    // to whatever else the organization runs in the same project.
    rates: &[
        RateClass { name: CALENDAR, calls: 500, window: MINUTE },
        RateClass { name: MEET, calls: 500, window: MINUTE },
        RateClass { name: auth::OAUTH, calls: 60, window: MINUTE },
    ],
};

/// Google Calendar with Google Meet: meetings, and what was said in them.
#[derive(Clone, Debug)]
pub struct GoogleCalendar {
    config: Config,
    capabilities: Capabilities,
}

impl GoogleCalendar {
    /// Google by this installation's OAuth client.
    #[must_use]
    pub const fn new(config: Config) -> Self {
        Self { config, capabilities: CAPABILITIES }
    }

    /// The same with its calendar alone: for checks of what is edited, deleted and listed by positions of Google's, which
    /// nothing of a transcript is.
    #[must_use]
    pub const fn without_transcripts(mut self) -> Self {
        self.capabilities.feeds = &[calendar::FEED];
        self
    }
}

fn no_records() -> Error {
    let message = "a calendar has no records that sync";
    Error::new(ErrorKind::Protocol, "read records of Google Calendar", message)
}

#[async_trait]
impl Connector for GoogleCalendar {
    fn vendor(&self) -> VendorInfo {
        VendorInfo {
            name: "google-calendar",
            label: "Google Calendar",
            summary: "Shows Google Meet calls and what was said in them beside the partners, companies and contacts who took \
                part.",
            logins: &[],
            own_login: None,
        }
    }

    fn is_configured(&self) -> bool {
        !self.config.client_id.is_empty() && !self.config.client_secret.expose_secret().is_empty()
    }

    fn capabilities(&self) -> &Capabilities {
        &self.capabilities
    }

    fn pusher(&self) -> Option<&dyn Pusher> {
        Some(self)
    }

    fn base_url(&self) -> &Url {
        &self.config.api_url
    }

    fn other_url(&self) -> &Url {
        &self.config.meet_url
    }

    fn login_url(&self, site: &str) -> Result<Url, Error> {
        if site.is_empty() {
            return Ok(self.config.token_url.clone());
        }
        let message = "Google has one address to sign in at, so none can be chosen";
        Err(Error::new(ErrorKind::Validation, "find the login", message))
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

    fn revoke_request(&self, refresh_token: &SecretString) -> Option<Request> {
        Some(auth::revoke_request(refresh_token))
    }

    fn read_grant(&self, response: &Response) -> Result<Grant, Error> {
        auth::read_grant(response)
    }

    fn check(&self, response: &Response) -> Result<(), Error> {
        error::check(response)
    }

    fn limit_hint(&self, _class: &str, _headers: &HeaderMap) -> Option<LimitHint> {
        // Google tells of its quotas when they are used up, and not before.
        None
    }

    async fn account(&self, session: &Session) -> Result<Account, Error> {
        auth::account(session).await
    }

    async fn describe(&self, _session: &Session) -> Result<Vec<ObjectSchema>, Error> {
        Ok(Vec::new())
    }

    async fn fetch_changes(&self, _session: &Session, _fetch: &Fetch<'_>) -> Result<Page, Error> {
        Err(no_records())
    }

    async fn fetch_deleted(
        &self,
        _session: &Session,
        _object: &str,
        _page: Option<&str>,
    ) -> Result<(Vec<Change>, Option<String>), Error> {
        Err(no_records())
    }

    async fn fetch_activities(
        &self,
        session: &Session,
        feed: &str,
        position: Option<&str>,
        now: Timestamp,
    ) -> Result<ActivityPage, Error> {
        let client = Client::new(session);
        match feed {
            name if name == calendar::FEED.name => calendar::fetch(client, position, now).await,
            name if name == transcripts::FEED.name => transcripts::fetch(client, position, now).await,
            _ => {
                let message = "Google Calendar has no such feed";
                Err(Error::new(ErrorKind::Protocol, "read activities", message))
            }
        }
    }

    async fn prepare_external_id(&self, _session: &Session, _object: &str) -> Result<(), Error> {
        Err(no_records())
    }

    async fn write(
        &self,
        _session: &Session,
        _schema: &ObjectSchema,
        writes: &[ApplyWrite],
    ) -> Vec<Result<WriteOutcome, Error>> {
        writes.iter().map(|_| Err(no_records())).collect()
    }
}
