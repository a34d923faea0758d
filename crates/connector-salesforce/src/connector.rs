use std::{collections::HashMap, sync::Arc, time::Duration};

use async_trait::async_trait;
use connector::{
    Account, AuthorizeRequest, Capabilities, Change, ChangeStream, Connector, Error, Fetch, Grant, LimitHint,
    Login, Page, RateClass, Request, Response, Session, Subscription, VendorInfo,
};
use futures::{StreamExt, TryStreamExt, stream};
use http::HeaderMap;
use model::{ApplyWrite, FieldSchema, ObjectSchema, WriteOutcome};
use secrecy::{ExposeSecret, SecretString};
use url::Url;

use crate::{
    auth,
    client::{API, Client},
    config::Config,
    deleted, error, events, fields, login,
    objects::{self, NAMES},
    people,
    read::{IDS_PER_CALL, Lacking, PAGE_SIZE, Reader},
    record_id, wire, write,
};

const SECOND: Duration = Duration::from_secs(1);
/// Salesforce limits calls by the day and long ones by how many run at once; this keeps a connection from taking all slots.
const CALLS_A_SECOND: u32 = 50;
/// Objects that are described at the same time.
const DESCRIBED_AT_ONCE: usize = 6;

const LOGINS: [Login; 2] = [
    Login { site: "", label: "Production or Developer Edition" },
    Login { site: login::SANDBOX, label: "Sandbox" },
];

const CAPABILITIES: Capabilities = Capabilities {
    objects: &NAMES,
    page_size: PAGE_SIZE,
    // "Up to 200 records" in one call of sObject Collections,
    // https://developer.salesforce.com/docs/atlas.en-us.api_rest.meta/api_rest/resources_composite_sobjects_collections.htm
    write_batch: IDS_PER_CALL,
    // A record is stamped when a statement runs and seen when its transaction is committed, ten minutes later at most.
    late_index: &[Duration::from_secs(60), Duration::from_secs(660)],
    sweeps_deleted: true,
    quiet: &[],
    // Only where the app's policy says so: what comes is kept, and else the old one stays.
    rotates_refresh_token: false,
    streams: true,
    feeds: &[],
    rates: &[
        RateClass { name: API, calls: CALLS_A_SECOND, window: SECOND },
        // 3,600 logins an hour per user.
        RateClass { name: auth::LOGIN, calls: 60, window: Duration::from_secs(60) },
    ],
};

/// Salesforce: accounts, contacts, opportunities, leads and custom objects, read by queries and change events, written in
/// collections.
#[derive(Clone, Debug)]
pub struct Salesforce {
    config: Config,
    capabilities: Capabilities,
    api_url: Url,
    lacking: Arc<Lacking>,
    schemas: Arc<events::Schemas>,
}

impl Salesforce {
    /// Salesforce by this installation's app.
    ///
    /// # Errors
    /// The configuration's addresses cannot be used.
    pub fn try_new(config: Config) -> Result<Self, Error> {
        let api_url = login::login_url(config.login_url.as_ref(), "")?;
        Ok(Self {
            config,
            capabilities: CAPABILITIES,
            api_url,
            lacking: Arc::default(),
            schemas: Arc::default(),
        })
    }

    /// The same without rate limits: for a sandbox that enforces none.
    #[must_use]
    pub const fn without_limits(mut self) -> Self {
        self.capabilities.rates = &[];
        self
    }

    fn reader<'a>(
        &'a self,
        session: &'a Session,
        schema: &'a ObjectSchema,
        fields: &'a [String],
    ) -> Reader<'a> {
        let fields = fields.iter().map(String::as_str);
        Reader::new(Client(session), &self.lacking, schema, fields, self.config.bulk_from)
    }
}

#[async_trait]
impl Connector for Salesforce {
    fn vendor(&self) -> VendorInfo {
        VendorInfo {
            name: "salesforce",
            label: "Salesforce",
            summary: "Keeps accounts, contacts, opportunities and leads of a Salesforce organization in step with what is here, \
                      within seconds.",
            logins: &LOGINS,
            own_login: Some("My Domain"),
        }
    }

    fn is_configured(&self) -> bool {
        !self.config.client_id.is_empty() && !self.config.client_secret.expose_secret().is_empty()
    }

    fn capabilities(&self) -> &Capabilities {
        &self.capabilities
    }

    fn base_url(&self) -> &Url {
        &self.api_url
    }

    fn login_url(&self, site: &str) -> Result<Url, Error> {
        login::login_url(self.config.login_url.as_ref(), site)
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
        Some(auth::revoke_request(&self.config, refresh_token))
    }

    fn read_grant(&self, response: &Response) -> Result<Grant, Error> {
        auth::read_grant(&self.config, response)
    }

    fn check(&self, response: &Response) -> Result<(), Error> {
        error::check(response)
    }

    fn limit_hint(&self, class: &str, headers: &HeaderMap) -> Option<LimitHint> {
        // `api-usage=18/5000`, of the last 24 hours, all apps of the organization together.
        (class == API).then_some(())?;
        let said = headers.get("sforce-limit-info")?.to_str().ok()?;
        let (used, most) = said.split("api-usage=").nth(1)?.split([';', ',']).next()?.split_once('/')?;
        let (used, most): (u32, u32) = (used.trim().parse().ok()?, most.trim().parse().ok()?);
        let daily = Some((most, most.saturating_sub(used)));
        Some(LimitHint { limit: CALLS_A_SECOND, remaining: CALLS_A_SECOND, window: SECOND, daily })
    }

    async fn account(&self, session: &Session) -> Result<Account, Error> {
        auth::account(&self.config, session).await
    }

    async fn describe(&self, session: &Session) -> Result<Vec<ObjectSchema>, Error> {
        let client = Client(session);
        let global = client.global().await?;
        let global: wire::Global = global.read()?;
        let offered = global.sobjects.into_iter().filter(objects::is_offered);
        stream::iter(offered.map(|object| async move {
            let describe: wire::Describe = client.describe(&object.name).await?.read()?;
            self.lacking.learn(client, &describe);
            Ok(objects::schema_from_wire(describe))
        }))
        .buffered(DESCRIBED_AT_ONCE)
        .try_collect()
        .await
    }

    async fn fetch_changes(&self, session: &Session, fetch: &Fetch<'_>) -> Result<Page, Error> {
        self.reader(session, fetch.schema, fetch.fields).fetch_changes(fetch).await
    }

    async fn people(
        &self,
        session: &Session,
        object: &str,
        ids: &[String],
    ) -> Result<Option<HashMap<String, Vec<String>>>, Error> {
        people::of(Client(session), object, ids).await
    }

    async fn fetch_deleted(
        &self,
        session: &Session,
        object: &str,
        page: Option<&str>,
    ) -> Result<(Vec<Change>, Option<String>), Error> {
        deleted::fetch_deleted(Client(session), object, page).await
    }

    async fn fetch_records(
        &self,
        session: &Session,
        schema: &ObjectSchema,
        fields: &[String],
        ids: &[String],
    ) -> Result<Vec<Change>, Error> {
        let ids: Vec<&str> = ids.iter().map(String::as_str).collect();
        self.reader(session, schema, fields).fetch_records(&ids).await
    }

    fn channel(&self, object: &str) -> Option<String> {
        Some(events::topic(object))
    }

    async fn subscribe(
        &self,
        session: &Session,
        subscription: &Subscription<'_>,
    ) -> Result<Box<dyn ChangeStream>, Error> {
        events::subscribe(&self.config, &self.schemas, session, subscription).await
    }

    async fn prepare_external_id(&self, session: &Session, object: &str) -> Result<(), Error> {
        record_id::prepare(Client(session), &self.lacking, object).await
    }

    fn attributed_objects(&self) -> &'static [&'static str] {
        &["Contact", "Opportunity"]
    }

    async fn create_fields(
        &self,
        session: &Session,
        object: &str,
        wanted: &[FieldSchema],
    ) -> Result<(), Error> {
        fields::create(Client(session), &self.lacking, object, wanted).await
    }

    async fn write(
        &self,
        session: &Session,
        schema: &ObjectSchema,
        writes: &[ApplyWrite],
    ) -> Vec<Result<WriteOutcome, Error>> {
        write::write(Client(session), &self.lacking, schema, writes).await
    }
}
