//! A simulated portal, connected the way a user connects one.

use std::sync::Arc;

use connector::{AuthorizeRequest, Change, Connector, Cursor, Fetch, Grant, Page, Session, http::Client};
use connector_hubspot::{ApiVersion, Config, HubSpot};
use jiff::Timestamp;
use model::ObjectSchema;
use sandbox::hubspot::{self, Fault, FaultKind, FaultMatch, Handle, Settings};
use serde_json::{Value as Json, json};

/// The example of RFC 7636.
const VERIFIER: &str = "dBjftJeZ4CVP-mB92K27uhbUJU1p1r_wW1gFWFOEjXk";
const CHALLENGE: &str = "E9Melhoa2OwvFrEMTJguCHaoeK1t8URWbuGJSstw-cM";
const REDIRECT_URI: &str = "http://127.0.0.1/oauth/callback/hubspot";

pub(crate) struct Portal {
    pub(crate) sandbox: Handle,
    pub(crate) hubspot: Arc<HubSpot>,
    pub(crate) grant: Grant,
    pub(crate) session: Session,
}

/// No rate limits, so that stories are quick; the stories about limits switch them on.
pub(crate) fn settings() -> Settings {
    Settings { rate_limits: false, ..Settings::default() }
}

pub(crate) async fn connected() -> Portal {
    connected_with(settings(), ApiVersion::Classic).await
}

pub(crate) async fn connected_with(settings: Settings, api_version: ApiVersion) -> Portal {
    let (client_id, client_secret) = (settings.client_id.clone(), settings.client_secret.as_str().into());
    let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
    let sandbox = hubspot::start(settings, listener).await.unwrap();
    let url: url::Url = sandbox.url().parse().unwrap();
    let config = Config { client_id, client_secret, base_url: url.clone(), app_url: url, api_version };
    let hubspot = Arc::new(HubSpot::new(config));
    let grant = consent(&sandbox, &hubspot).await;
    let session = Session::for_tests(hubspot.clone(), "", grant.access_token.clone()).unwrap();
    Portal { sandbox, hubspot, grant, session }
}

/// The consent page, its form, the redirect and the exchange of the code.
pub(crate) async fn consent(sandbox: &Handle, hubspot: &Arc<HubSpot>) -> Grant {
    let request = AuthorizeRequest {
        login_url: &hubspot.login_url("").unwrap(),
        redirect_uri: REDIRECT_URI,
        state: "the-state",
        code_challenge: CHALLENGE,
    };
    let page = hubspot.authorize_url(&request);
    let http = Client::try_new(std::time::Duration::from_secs(10)).unwrap();
    assert!(http.get(&page, None).await.unwrap().is_success());
    let mut form: Vec<(String, String)> = page.query_pairs().into_owned().collect();
    form.push(("portal_id".into(), sandbox.portal_id().to_string()));
    form.push(("decision".into(), "connect".into()));
    let form: Vec<(&str, &str)> = form.iter().map(|(name, value)| (name.as_str(), value.as_str())).collect();
    let mut action = page.clone();
    action.set_query(None);
    let answer = http.post_form(&action, &form).await.unwrap();
    let back: url::Url = answer.header("location").expect("consent leads back").parse().unwrap();
    let query: std::collections::HashMap<String, String> = back.query_pairs().into_owned().collect();
    assert_eq!(query["state"], "the-state");
    let exchange = hubspot.exchange_request(&query["code"], REDIRECT_URI, &VERIFIER.into());
    let nobody = Session::for_tests(hubspot.clone(), "", "none".into()).unwrap();
    hubspot.read_grant(&nobody.send(exchange).await.unwrap()).unwrap()
}

impl Portal {
    pub(crate) async fn schema(&self, object: &str) -> ObjectSchema {
        let schemas = self.hubspot.describe(&self.session).await.unwrap();
        schemas.into_iter().find(|schema| schema.name == object).unwrap()
    }

    /// One page of an object's changes.
    pub(crate) async fn page(&self, schema: &ObjectSchema, fields: &[String], from: &Cursor) -> Page {
        let fetch = Fetch { object: &schema.name, schema, fields, from, until: None };
        self.hubspot.fetch_changes(&self.session, &fetch).await.unwrap()
    }

    /// All pages from the beginning, and where they ended.
    pub(crate) async fn read_all(&self, schema: &ObjectSchema, fields: &[String]) -> (Vec<Change>, Cursor) {
        let mut from = Cursor::at(Timestamp::UNIX_EPOCH);
        let mut changes = Vec::new();
        loop {
            let page = self.page(schema, fields, &from).await;
            assert!(!page.more || page.next != from, "the cursor stands still at {from:?}");
            changes.extend(page.changes);
            from = page.next;
            if !page.more {
                return (changes, from);
            }
        }
    }

    /// Plants records; `more` are further instructions of the sandbox's seed.
    pub(crate) fn seed(&self, object: &str, count: usize, more: Json) {
        let mut order = json!({"object": object, "count": count});
        order.as_object_mut().unwrap().extend(more.as_object().cloned().unwrap_or_default());
        self.sandbox.control("POST", "/_sandbox/seed", order).unwrap();
    }

    /// Adds a company as a portal user and returns its id.
    pub(crate) fn company(&self, properties: Json) -> String {
        self.make("companies", properties)
    }

    /// Adds a record as a portal user and returns its id.
    pub(crate) fn make(&self, object: &str, properties: Json) -> String {
        self.sandbox.create(object, properties).unwrap()["id"].as_str().unwrap().to_owned()
    }

    /// The ids that the portal holds, of live records.
    pub(crate) fn ids(&self, object: &str) -> Vec<u64> {
        let state = self.sandbox.state(object).unwrap();
        let live = state["results"].as_array().unwrap().iter().filter(|record| record["archived"] == false);
        live.map(|record| record["id"].as_str().unwrap().parse().unwrap()).collect()
    }

    /// A property of a record as the portal holds it.
    pub(crate) fn property(&self, object: &str, id: &str, name: &str) -> Json {
        let state = self.sandbox.state(object).unwrap();
        let found = state["results"].as_array().unwrap().iter().find(|record| record["id"] == id).cloned();
        found.expect("the record is there")["properties"][name].clone()
    }

    pub(crate) fn fault(&self, path_prefix: &str, kind: FaultKind, times: u32) {
        self.sandbox.add_fault(Fault {
            on: FaultMatch { path_prefix: Some(path_prefix.into()), method: None },
            kind,
            times: Some(times),
            probability: None,
            delay_ms: Some(0),
        });
    }

    /// How often a route was called, by a part of its path.
    pub(crate) fn calls_of(&self, part: &str) -> usize {
        let calls = self.sandbox.calls();
        let last = calls["last"].as_array().unwrap();
        last.iter().filter(|call| call["path"].as_str().is_some_and(|path| path.contains(part))).count()
    }
}

pub(crate) fn fields(names: &[&str]) -> Vec<String> {
    names.iter().map(|name| (*name).to_owned()).collect()
}
