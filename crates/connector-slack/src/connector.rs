use std::time::Duration;

use async_trait::async_trait;
use connector::{
    Account, AuthorizeRequest, Capabilities, Change, Connector, Error, ErrorKind, Fetch, Grant, Incoming,
    LimitHint, MessageChannel, Messenger, Page, Question, RateClass, Received, Refusal, Request, Response,
    Session, VendorInfo,
};
use http::HeaderMap;
use jiff::Timestamp;
use model::{AnswerPrivately, ApplyWrite, ObjectSchema, PostMessage, VendorUser, WriteOutcome};
use secrecy::{ExposeSecret, SecretString};
use url::Url;

use crate::{
    auth, channels,
    client::{CALLS, Client, HISTORY, LISTS, MESSAGES, UPDATES},
    config::Config,
    dialog, error, post, receive,
};

const MINUTE: Duration = Duration::from_secs(60);

const CAPABILITIES: Capabilities = Capabilities {
    objects: &[],
    feeds: &[],
    page_size: 0,
    write_batch: 0,
    late_index: &[],
    sweeps_deleted: false,
    quiet: &[],
    // Only where the app has it switched on.
    rotates_refresh_token: false,
    streams: false,
    // https://docs.slack.dev/apis/web-api/rate-limits: the least that each tier allows a workspace. Messages have one a
    // second in each channel, which Slack's answers tell, and several hundred a minute in the workspace.
    rates: &[
        RateClass { name: LISTS, calls: 20, window: MINUTE },
        RateClass { name: HISTORY, calls: 50, window: MINUTE },
        RateClass { name: UPDATES, calls: 50, window: MINUTE },
        RateClass { name: CALLS, calls: 100, window: MINUTE },
        RateClass { name: MESSAGES, calls: 200, window: MINUTE },
        RateClass { name: auth::OAUTH, calls: 60, window: MINUTE },
    ],
};

/// Slack: messages in channels, and what people click there.
#[derive(Clone, Debug)]
pub struct Slack {
    config: Config,
    capabilities: Capabilities,
}

impl Slack {
    /// Slack by this installation's app.
    #[must_use]
    pub const fn new(config: Config) -> Self {
        Self { config, capabilities: CAPABILITIES }
    }

    /// The same without Slack's rate limits: for a sandbox that enforces none.
    #[must_use]
    pub const fn without_limits(mut self) -> Self {
        self.capabilities.rates = &[];
        self
    }
}

fn no_records(operation: &'static str) -> Error {
    Error::new(ErrorKind::SchemaDrift, operation, "Slack has no records that sync")
}

#[async_trait]
impl Connector for Slack {
    fn vendor(&self) -> VendorInfo {
        VendorInfo {
            name: "slack",
            label: "Slack",
            summary: "Tells channels of a Slack workspace what happens with partners, and takes decisions there.",
            logins: &[],
            own_login: None,
        }
    }

    fn is_configured(&self) -> bool {
        let secrets = [&self.config.client_secret, &self.config.signing_secret];
        !self.config.client_id.is_empty() && secrets.iter().all(|secret| !secret.expose_secret().is_empty())
    }

    fn capabilities(&self) -> &Capabilities {
        &self.capabilities
    }

    fn messenger(&self) -> Option<&dyn Messenger> {
        Some(self)
    }

    fn base_url(&self) -> &Url {
        &self.config.base_url
    }

    fn authorize_url(&self, request: &AuthorizeRequest<'_>) -> Url {
        auth::authorize_url(&self.config, request)
    }

    // Slack knows the verifier of public clients only; we prove ourselves by the secret.
    fn exchange_request(&self, code: &str, redirect_uri: &str, _code_verifier: &SecretString) -> Request {
        auth::exchange_request(&self.config, code, redirect_uri)
    }

    fn refresh_request(&self, refresh_token: &SecretString) -> Request {
        auth::refresh_request(&self.config, refresh_token)
    }

    fn revoke_request(&self, refresh_token: &SecretString) -> Option<Request> {
        auth::revoke_request(refresh_token)
    }

    fn read_grant(&self, response: &Response) -> Result<Grant, Error> {
        auth::read_grant(response)
    }

    fn check(&self, response: &Response) -> Result<(), Error> {
        error::check(response)
    }

    fn limit_hint(&self, _class: &str, _headers: &HeaderMap) -> Option<LimitHint> {
        None
    }

    async fn account(&self, session: &Session) -> Result<Account, Error> {
        auth::account(session).await
    }

    /// A workspace has no records: it is looked at whether the token is good.
    async fn describe(&self, session: &Session) -> Result<Vec<ObjectSchema>, Error> {
        auth::account(session).await?;
        Ok(Vec::new())
    }

    async fn fetch_changes(&self, _session: &Session, _fetch: &Fetch<'_>) -> Result<Page, Error> {
        Err(no_records("read changes"))
    }

    async fn fetch_deleted(
        &self,
        _session: &Session,
        _object: &str,
        _page: Option<&str>,
    ) -> Result<(Vec<Change>, Option<String>), Error> {
        Err(no_records("read deletions"))
    }

    async fn prepare_external_id(&self, _session: &Session, _object: &str) -> Result<(), Error> {
        Err(no_records("add fields"))
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

#[async_trait]
impl Messenger for Slack {
    async fn post(
        &self,
        session: &Session,
        message: &PostMessage,
        since: Option<Timestamp>,
    ) -> Result<String, Error> {
        post::post(Client(session), message, since).await
    }

    async fn answer(&self, session: &Session, answer: &AnswerPrivately) -> Result<(), Error> {
        post::answer(Client(session), answer).await
    }

    async fn channels(&self, session: &Session) -> Result<Vec<MessageChannel>, Error> {
        channels::list(Client(session)).await
    }

    async fn person(&self, session: &Session, id: &str) -> Result<VendorUser, Error> {
        let user = Client(session).user(id).await?.user;
        let name = if user.real_name.is_empty() { user.name } else { user.real_name };
        Ok(VendorUser { id: user.id, name, email: user.profile.email.filter(|email| !email.is_empty()) })
    }

    async fn ask(&self, session: &Session, question: &Question) -> Result<(), Error> {
        Client(session).open_view(&dialog::view(question)).await
    }

    fn receive(&self, request: &Incoming<'_>) -> Result<Received, Refusal> {
        receive::receive(&self.config.signing_secret, request)
    }
}
