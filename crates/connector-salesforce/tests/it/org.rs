//! A simulated organization, connected the way a user connects one.

use std::sync::Arc;

use connector::{
    AuthorizeRequest, Batch, Change, ChangeStream, Connector, Cursor, Error, Fetch, Grant, Page, Session,
    Subscription, http::Client,
};
use connector_salesforce::{BULK_FROM, Config, LONGEST_SILENCE, Salesforce};
use jiff::Timestamp;
use model::ObjectSchema;
use sandbox::salesforce::{self, Fault, FaultKind, FaultMatch, Handle, Settings};
use serde_json::Value as Json;
use tokio::net::TcpListener;

/// The example of RFC 7636.
const VERIFIER: &str = "dBjftJeZ4CVP-mB92K27uhbUJU1p1r_wW1gFWFOEjXk";
const CHALLENGE: &str = "E9Melhoa2OwvFrEMTJguCHaoeK1t8URWbuGJSstw-cM";
const REDIRECT_URI: &str = "http://127.0.0.1/oauth/callback/salesforce";

pub(crate) struct Org {
    pub(crate) sandbox: Handle,
    pub(crate) salesforce: Arc<Salesforce>,
    pub(crate) grant: Grant,
    pub(crate) session: Session,
    pub(crate) config: Config,
}

pub(crate) async fn connected() -> Org {
    connected_with(Settings::default(), BULK_FROM).await
}

pub(crate) async fn connected_with(settings: Settings, bulk_from: u64) -> Org {
    connected_as(settings, |config| config.bulk_from = bulk_from).await
}

/// By a configuration that differs so from the usual one.
pub(crate) async fn connected_as(settings: Settings, differs: impl FnOnce(&mut Config)) -> Org {
    let (client_id, client_secret) = (settings.client_id.clone(), settings.client_secret.as_str().into());
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let sandbox = salesforce::start(settings, listener).await.unwrap();
    let events = sandbox.serve_events(TcpListener::bind("127.0.0.1:0").await.unwrap()).unwrap();
    let mut config = Config {
        client_id,
        client_secret,
        login_url: Some(sandbox.url().parse().unwrap()),
        pubsub_url: events.url.parse().unwrap(),
        pubsub_authority: events.certificate,
        longest_silence: LONGEST_SILENCE,
        bulk_from: BULK_FROM,
    };
    differs(&mut config);
    let salesforce = Arc::new(Salesforce::try_new(config.clone()).unwrap().without_limits());
    let grant = consent(&sandbox, &salesforce).await;
    let session = session(&sandbox, &salesforce, &grant);
    Org { sandbox, salesforce, grant, session, config }
}

pub(crate) fn session(sandbox: &Handle, salesforce: &Arc<Salesforce>, grant: &Grant) -> Session {
    Session::for_tests(salesforce.clone(), sandbox.organization_id(), grant.access_token.clone()).unwrap()
}

/// The consent page, its form, the redirect and the exchange of the code.
pub(crate) async fn consent(sandbox: &Handle, salesforce: &Arc<Salesforce>) -> Grant {
    consent_to(sandbox, salesforce, None).await
}

/// The same, to other scopes than those that are asked for.
pub(crate) async fn consent_to(
    sandbox: &Handle,
    salesforce: &Arc<Salesforce>,
    scopes: Option<&str>,
) -> Grant {
    let login_url = salesforce.login_url("").unwrap();
    let request = AuthorizeRequest {
        login_url: &login_url,
        redirect_uri: REDIRECT_URI,
        state: "the-state",
        code_challenge: CHALLENGE,
    };
    let page = salesforce.authorize_url(&request);
    let http = Client::try_new(std::time::Duration::from_secs(10)).unwrap();
    assert!(http.get(&page, None).await.unwrap().is_success());
    let mut form: Vec<(String, String)> = page.query_pairs().into_owned().collect();
    form.push(("decision".into(), "allow".into()));
    if let Some(scopes) = scopes {
        form.iter_mut().filter(|(name, _)| name == "scope").for_each(|(_, asked)| scopes.clone_into(asked));
    }
    let form: Vec<(&str, &str)> = form.iter().map(|(name, value)| (name.as_str(), value.as_str())).collect();
    let mut action = page.clone();
    action.set_query(None);
    let answer = http.post_form(&action, &form).await.unwrap();
    let back: url::Url = answer.header("location").expect("consent leads back").parse().unwrap();
    let query: std::collections::HashMap<String, String> = back.query_pairs().into_owned().collect();
    assert_eq!(query["state"], "the-state");
    let exchange = salesforce.exchange_request(&query["code"], REDIRECT_URI, &VERIFIER.into());
    let nobody = Session::for_tests(salesforce.clone(), sandbox.organization_id(), "none".into()).unwrap();
    salesforce.read_grant(&nobody.send(exchange).await.unwrap()).unwrap()
}

impl Org {
    pub(crate) async fn schema(&self, object: &str) -> ObjectSchema {
        let schemas = self.salesforce.describe(&self.session).await.unwrap();
        schemas.into_iter().find(|schema| schema.name == object).unwrap()
    }

    /// One page of an object's changes.
    pub(crate) async fn page(
        &self,
        schema: &ObjectSchema,
        fields: &[String],
        from: &Cursor,
        until: Option<Timestamp>,
    ) -> Page {
        let fetch = Fetch { object: &schema.name, schema, fields, from, until };
        self.salesforce.fetch_changes(&self.session, &fetch).await.unwrap()
    }

    /// All pages from the beginning, and where they ended.
    pub(crate) async fn read_all(
        &self,
        schema: &ObjectSchema,
        fields: &[String],
        until: Option<Timestamp>,
    ) -> (Vec<Change>, Cursor) {
        let mut from = Cursor::at(Timestamp::UNIX_EPOCH);
        let mut changes = Vec::new();
        loop {
            let page = self.page(schema, fields, &from, until).await;
            assert!(!page.more || page.next != from, "the cursor stands still at {from:?}");
            changes.extend(page.changes);
            from = page.next;
            if !page.more {
                return (changes, from);
            }
        }
    }

    /// Adds a record as a user of the organization and returns its id. Its second is over.
    pub(crate) fn make(&self, object: &str, fields: Json) -> String {
        let id = self.sandbox.create(object, fields).unwrap()["Id"].as_str().unwrap().to_owned();
        self.settle();
        id
    }

    /// The present second is over.
    pub(crate) fn settle(&self) {
        self.sandbox.advance_clock(3_000);
    }

    /// A record as the organization holds it, deleted or not.
    pub(crate) fn record(&self, object: &str, id: &str) -> Json {
        let state = self.sandbox.state(object).unwrap();
        let found = state["results"].as_array().unwrap().iter().find(|record| record["Id"] == id).cloned();
        found.expect("the record is there")
    }

    pub(crate) fn fault(&self, path_prefix: &str, kind: FaultKind, times: u32) {
        let on = FaultMatch { path_prefix: Some(path_prefix.into()), ..FaultMatch::default() };
        self.sandbox.add_fault(fault(on, kind, times));
    }

    /// How often a route was called, by a part of its path.
    pub(crate) fn calls_of(&self, part: &str) -> usize {
        let calls = self.sandbox.calls();
        let last = calls["last"].as_array().unwrap();
        last.iter().filter(|call| call["path"].as_str().is_some_and(|path| path.contains(part))).count()
    }

    /// The calls that were answered with an error.
    pub(crate) fn refused(&self) -> Vec<String> {
        let calls = self.sandbox.calls();
        let last = calls["last"].as_array().unwrap().iter();
        let refused = last.filter(|call| call["status"].as_u64() >= Some(400));
        refused.map(|call| format!("{} {}", call["status"], call["path"])).collect()
    }

    /// The same organization, connected to a process that knows nothing of it yet.
    pub(crate) fn restarted(self) -> Self {
        let salesforce = Arc::new(Salesforce::try_new(self.config.clone()).unwrap().without_limits());
        let session = session(&self.sandbox, &salesforce, &self.grant);
        Self { salesforce, session, ..self }
    }

    /// The stream of an object's changes, behind a position.
    pub(crate) async fn subscribe(
        &self,
        schema: &ObjectSchema,
        fields: &[String],
        position: Option<&str>,
    ) -> Result<Box<dyn ChangeStream>, Error> {
        let subscription = Subscription { schema, fields, position };
        self.salesforce.subscribe(&self.session, &subscription).await
    }
}

pub(crate) fn fault(on: FaultMatch, kind: FaultKind, times: u32) -> Fault {
    Fault { on, kind, times: Some(times), probability: None, delay_ms: Some(0), message: None }
}

/// The next batch that says something.
pub(crate) async fn told(stream: &mut Box<dyn ChangeStream>) -> Batch {
    loop {
        let batch = next(stream).await.unwrap();
        if !batch.changes.is_empty() || !batch.untold.is_empty() || batch.left_out_since.is_some() {
            return batch;
        }
    }
}

/// What comes next, soon.
pub(crate) async fn next(stream: &mut Box<dyn ChangeStream>) -> Result<Batch, Error> {
    tokio::time::timeout(std::time::Duration::from_secs(10), stream.next())
        .await
        .expect("the stream says nothing")
}

pub(crate) fn fields(names: &[&str]) -> Vec<String> {
    names.iter().map(|name| (*name).to_owned()).collect()
}
