use std::{
    collections::{BTreeMap, HashMap},
    time::Duration,
};

use async_trait::async_trait;
use connector::{
    Account, AuthorizeRequest, Capabilities, Change, Connector, Error, ErrorKind, Fetch, Grant, LimitHint,
    Page, RateClass, Request, Response, Session, VendorInfo,
};
use http::HeaderMap;
use model::{ApplyWrite, FieldSchema, ObjectSchema, Value, WriteOutcome};
use secrecy::{ExposeSecret, SecretString};
use url::Url;

use crate::{
    auth,
    client::{CORE, Client, SEARCH},
    companies,
    config::Config,
    error, history,
    objects::{self, COMPANY, Object, RECORD_ID},
    people, read, wire, write,
};

const SECOND: Duration = Duration::from_secs(1);

const CAPABILITIES: Capabilities = Capabilities {
    objects: &objects::NAMES,
    // "limit" of the search endpoint: 200 at most, https://developers.hubspot.com/docs/api-reference/search/guide
    page_size: read::PAGE_SIZE,
    write_batch: read::BATCH_SIZE,
    // "A few moments", says HubSpot; connectors in the field look back by up to an hour.
    late_index: &[
        Duration::from_secs(10),
        Duration::from_secs(60),
        Duration::from_secs(600),
        Duration::from_secs(3600),
    ],
    sweeps_deleted: true,
    quiet: &[COMPANY],
    // It always brings one, and often the same: what came last is kept.
    rotates_refresh_token: true,
    streams: false,
    feeds: &[],
    // https://developers.hubspot.com/docs/developer-tooling/platform/usage-guidelines: a public app may make 110 calls
    // in ten seconds per account, and an account 5 searches a second. Nothing is published for tokens.
    rates: &[
        RateClass { name: SEARCH, calls: 5, window: SECOND },
        RateClass { name: CORE, calls: 110, window: Duration::from_secs(10) },
        RateClass { name: auth::OAUTH, calls: 10, window: SECOND },
    ],
};

/// HubSpot: companies, deals, contacts and custom objects, read by search and written in batches.
#[derive(Clone, Debug)]
pub struct HubSpot {
    config: Config,
    capabilities: Capabilities,
}

impl HubSpot {
    /// HubSpot by this installation's app.
    #[must_use]
    pub const fn new(config: Config) -> Self {
        Self { config, capabilities: CAPABILITIES }
    }

    /// The same without HubSpot's rate limits: for a sandbox that enforces none.
    #[must_use]
    pub const fn without_limits(mut self) -> Self {
        self.capabilities.rates = &[];
        self
    }

    fn client<'a>(&self, session: &'a Session) -> Client<'a> {
        Client::new(session, self.config.api_version)
    }
}

fn known(object: &str) -> Result<Object, Error> {
    Object::named(object).ok_or_else(|| {
        let message = "companies, deals, contacts and custom objects of HubSpot sync only";
        Error::new(ErrorKind::SchemaDrift, "find the HubSpot object", message)
    })
}

fn other_type(object: &Object, field: &FieldSchema, found: &str, wanted: &str) -> Error {
    let (name, objects) = (&field.name, &object.name);
    let message = format!(
        "HubSpot's {objects} have a property {name} of the type {found}, not {wanted}: rename or archive it"
    );
    Error::new(ErrorKind::Validation, "create a HubSpot property", message).with_field(name.as_str())
}

/// The portal's custom objects with what a record of each must have. A portal that has none of them, or does not let
/// us see them, is not asked for.
async fn custom_objects(client: Client<'_>) -> Result<Vec<(Object, Vec<String>)>, Error> {
    let answer = match client.custom_objects().await {
        Err(error) if error.kind == ErrorKind::Permission => return Ok(Vec::new()),
        answer => answer?,
    };
    let found: wire::CustomObjects = answer.read()?;
    let object = |one: wire::CustomObject| Some((objects::custom_from_wire(&one)?, one.required_properties));
    Ok(found.results.into_iter().filter_map(object).collect())
}

#[async_trait]
impl Connector for HubSpot {
    fn vendor(&self) -> VendorInfo {
        VendorInfo {
            name: "hubspot",
            label: "HubSpot",
            summary: "Keeps companies, deals and contacts of a HubSpot portal in step with what is here.",
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

    fn base_url(&self) -> &Url {
        &self.config.base_url
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
        auth::read_grant(response)
    }

    fn check(&self, response: &Response) -> Result<(), Error> {
        error::check(response)
    }

    fn limit_hint(&self, class: &str, headers: &HeaderMap) -> Option<LimitHint> {
        // Searches carry no such headers, and a failed proxy none at all.
        let number = |name: &str| headers.get(name)?.to_str().ok()?.trim().parse::<u32>().ok();
        (class == CORE).then_some(())?;
        Some(LimitHint {
            limit: number("x-hubspot-ratelimit-max")?,
            remaining: number("x-hubspot-ratelimit-remaining")?,
            window: Duration::from_millis(number("x-hubspot-ratelimit-interval-milliseconds")?.into()),
            daily: number("x-hubspot-ratelimit-daily").zip(number("x-hubspot-ratelimit-daily-remaining")),
        })
    }

    async fn account(&self, session: &Session) -> Result<Account, Error> {
        auth::account(&self.config, session).await
    }

    async fn describe(&self, session: &Session) -> Result<Vec<ObjectSchema>, Error> {
        let client = self.client(session);
        let mut objects: Vec<(Object, Vec<String>)> =
            objects::STANDARD.into_iter().map(|object| (object.clone(), Vec::new())).collect();
        objects.extend(custom_objects(client).await?);
        let mut schemas = Vec::with_capacity(objects.len());
        for (object, required) in objects {
            let properties: wire::PropertyList = client.properties(&object.name).await?.read()?;
            let mut schema = objects::schema_from_wire(&object, properties);
            if object.pipelines {
                let pipelines: wire::PipelineList = client.pipelines(&object.name).await?.read()?;
                objects::add_pipelines(&mut schema, pipelines);
            }
            for field in &mut schema.fields {
                field.required = required.contains(&field.name);
            }
            schemas.push(schema);
        }
        Ok(schemas)
    }

    async fn fetch_changes(&self, session: &Session, fetch: &Fetch<'_>) -> Result<Page, Error> {
        read::fetch_changes(self.client(session), &known(fetch.object)?, fetch).await
    }

    async fn date_fields(
        &self,
        session: &Session,
        schema: &ObjectSchema,
        fields: &[String],
        changes: &mut [Change],
    ) -> Result<(), Error> {
        history::date_fields(self.client(session), &known(&schema.name)?, schema, fields, changes).await
    }

    async fn people(
        &self,
        session: &Session,
        object: &str,
        ids: &[String],
    ) -> Result<Option<HashMap<String, Vec<String>>>, Error> {
        people::of(self.client(session), object, ids).await
    }

    async fn fetch_deleted(
        &self,
        session: &Session,
        object: &str,
        page: Option<&str>,
    ) -> Result<(Vec<Change>, Option<String>), Error> {
        read::fetch_deleted(self.client(session), &known(object)?, page).await
    }

    async fn fetch_records(
        &self,
        session: &Session,
        schema: &ObjectSchema,
        fields: &[String],
        ids: &[String],
    ) -> Result<Vec<Change>, Error> {
        read::fetch_records(self.client(session), &known(&schema.name)?, schema, fields, ids).await
    }

    async fn fetch_moved(
        &self,
        session: &Session,
        schema: &ObjectSchema,
        fields: &[String],
        _quiet: &[String],
        known_values: BTreeMap<String, BTreeMap<String, Value>>,
    ) -> Result<Vec<Change>, Error> {
        let (client, object) = (self.client(session), known(&schema.name)?);
        let moved = companies::moved(client, &object, &known_values).await?;
        read::fetch_records(client, &object, schema, fields, &moved).await
    }

    async fn prepare_external_id(&self, session: &Session, object: &str) -> Result<(), Error> {
        let object = known(object)?;
        let client = self.client(session);
        match client.create_property(&object.name, &object.record_id_property()).await {
            Ok(_) => return Ok(()),
            // It is there already: from the last time, or because somebody made one of the same name.
            Err(error) if error.kind == ErrorKind::Duplicate => {}
            Err(error) => return Err(error),
        }
        let property: wire::Property = client.property(&object.name, RECORD_ID).await?.read()?;
        if property.has_unique_value {
            return Ok(());
        }
        let message =
            "HubSpot has a property accord_record_id whose values are not unique: rename or archive it";
        Err(Error::new(ErrorKind::Validation, "create a HubSpot property", message).with_field(RECORD_ID))
    }

    fn attributed_objects(&self) -> &'static [&'static str] {
        &["contacts", "deals"]
    }

    async fn create_fields(
        &self,
        session: &Session,
        object: &str,
        fields: &[FieldSchema],
    ) -> Result<(), Error> {
        let (object, client) = (known(object)?, self.client(session));
        let there: wire::PropertyList = client.properties(&object.name).await?.read()?;
        for field in fields {
            let wanted = object.property(field);
            match there.results.iter().find(|property| property.name == field.name && !property.archived) {
                Some(property) if property.kind == wanted.kind => {}
                Some(property) => return Err(other_type(&object, field, &property.kind, wanted.kind)),
                None => match client.create_property(&object.name, &wanted).await {
                    Ok(_) => {}
                    // Another process made it at the same time.
                    Err(error) if error.kind == ErrorKind::Duplicate => {}
                    Err(error) => return Err(error),
                },
            }
        }
        Ok(())
    }

    async fn write(
        &self,
        session: &Session,
        schema: &ObjectSchema,
        writes: &[ApplyWrite],
    ) -> Vec<Result<WriteOutcome, Error>> {
        match known(&schema.name) {
            Ok(object) => write::write(self.client(session), &object, schema, writes).await,
            Err(error) => writes.iter().map(|_| Err(error.again())).collect(),
        }
    }
}
