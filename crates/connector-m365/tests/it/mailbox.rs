//! A simulated mailbox, connected the way a user connects one.

use std::{collections::HashMap, sync::Arc};

use connector::{
    Activity, AuthorizeRequest, Body, Connector, Error, Grant, Host, Request, Session, http::Client,
};
use connector_m365::{Config, M365};
use jiff::Timestamp;
use sandbox::microsoft::{self, Fault, FaultKind, FaultMatch, Handle, Settings};
use serde_json::{Value as Json, json};
use tokio::net::TcpListener;

/// The example of RFC 7636.
const VERIFIER: &str = "dBjftJeZ4CVP-mB92K27uhbUJU1p1r_wW1gFWFOEjXk";
const CHALLENGE: &str = "E9Melhoa2OwvFrEMTJguCHaoeK1t8URWbuGJSstw-cM";
const REDIRECT_URI: &str = "http://127.0.0.1/oauth/callback/m365";

pub(crate) const NORA: &str = "nora.field@harborline.example";
/// A guest, whose mail is elsewhere.
pub(crate) const GIL: &str = "gil.vester@visitors.example";

pub(crate) struct Mailbox {
    pub(crate) sandbox: Handle,
    pub(crate) m365: Arc<M365>,
    pub(crate) grant: Grant,
    pub(crate) session: Session,
}

/// A sandbox that nobody is connected to, without limits.
pub(crate) async fn sandbox() -> (Handle, Arc<M365>) {
    let (sandbox, m365) = started(false).await;
    (sandbox, Arc::new(m365.without_limits()))
}

/// The same with Microsoft's limits and ours.
pub(crate) async fn limited() -> (Handle, Arc<M365>) {
    let (sandbox, m365) = started(true).await;
    (sandbox, Arc::new(m365))
}

async fn started(rate_limits: bool) -> (Handle, M365) {
    let settings = Settings { rate_limits, ..Settings::default() };
    let (client_id, client_secret) = (settings.client_id.clone(), settings.client_secret.as_str().into());
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let sandbox = microsoft::start(settings, listener).await.unwrap();
    let url: url::Url = sandbox.url().parse().unwrap();
    let config = Config { client_id, client_secret, login_url: url.clone(), graph_url: url };
    (sandbox, M365::new(config))
}

pub(crate) async fn connected() -> Mailbox {
    let (sandbox, m365) = sandbox().await;
    let grant = consent(&sandbox, &m365, NORA).await;
    let session = session(&m365, &grant);
    Mailbox { sandbox, m365, grant, session }
}

pub(crate) fn session(m365: &Arc<M365>, grant: &Grant) -> Session {
    Session::for_tests(m365.clone(), "the-mailbox", grant.access_token.clone()).unwrap()
}

/// The consent page, its form, the redirect and the exchange of the code.
pub(crate) async fn consent(sandbox: &Handle, m365: &Arc<M365>, user: &str) -> Grant {
    let login_url = m365.login_url("").unwrap();
    let request = AuthorizeRequest {
        login_url: &login_url,
        redirect_uri: REDIRECT_URI,
        state: "the-state",
        code_challenge: CHALLENGE,
    };
    let query = agree(&m365.authorize_url(&request), user).await;
    assert_eq!(query["state"], "the-state");
    let exchange = m365.exchange_request(&query["code"], REDIRECT_URI, &VERIFIER.into());
    let nobody = Session::for_tests(m365.clone(), sandbox.url(), "none".into()).unwrap();
    m365.read_grant(&nobody.send(exchange).await.unwrap()).unwrap()
}

/// The consent page and its form; gives what the redirect says.
pub(crate) async fn agree(page: &url::Url, user: &str) -> HashMap<String, String> {
    let http = Client::try_new(std::time::Duration::from_secs(10)).unwrap();
    assert!(http.get(page, None).await.unwrap().is_success());
    let mut form: Vec<(String, String)> = page.query_pairs().into_owned().collect();
    form.extend([("decision".into(), "accept".into()), ("user".into(), user.into())]);
    let form: Vec<(&str, &str)> = form.iter().map(|(name, value)| (name.as_str(), value.as_str())).collect();
    let mut action = page.clone();
    action.set_query(None);
    let answer = http.post_form(&action, &form).await.unwrap();
    let back: url::Url = answer.header("location").expect("consent leads back").parse().unwrap();
    back.query_pairs().into_owned().collect()
}

impl Mailbox {
    /// A feed from a position to its end, and where that is.
    pub(crate) async fn read(&self, feed: &str, from: Option<&str>) -> (Vec<Activity>, String) {
        self.try_read(feed, from).await.unwrap()
    }

    pub(crate) async fn try_read(
        &self,
        feed: &str,
        from: Option<&str>,
    ) -> Result<(Vec<Activity>, String), Error> {
        let (mut all, mut position) = (Vec::new(), from.map(str::to_owned));
        loop {
            let now = self.session.vendor_now();
            let page = self.m365.fetch_activities(&self.session, feed, position.as_deref(), now).await?;
            all.extend(page.activities);
            if !page.more {
                return Ok((all, page.position));
            }
            assert_ne!(position.as_ref(), Some(&page.position), "the position stands still");
            position = Some(page.position);
        }
    }

    /// What a feed tells that is new behind a position; the position moves on.
    pub(crate) async fn news(&self, feed: &str, position: &mut String) -> Vec<Activity> {
        let (news, next) = self.read(feed, Some(position)).await;
        *position = next;
        news
    }

    /// A mail to Nora; gives its immutable id.
    pub(crate) fn arrives(&self, subject: &str, mail: Json) -> String {
        let mut all = json!({"from": "ann@lee.example", "subject": subject, "text": "Hello"});
        for (name, value) in mail.as_object().unwrap() {
            all[name] = value.clone();
        }
        self.sandbox.deliver(all).unwrap()["immutableId"].as_str().unwrap().to_owned()
    }

    pub(crate) fn control(&self, path: &str, body: Json) -> Json {
        self.sandbox.control("POST", &format!("/_sandbox/{path}"), body).unwrap()
    }

    /// What another client of the mailbox does.
    pub(crate) async fn post(&self, path: &str, body: Json) -> Json {
        let request = Request {
            host: Host::Api,
            class: "graph",
            method: http::Method::POST,
            path: format!("/v1.0/{path}"),
            headers: vec![("Prefer", "IdType=\"ImmutableId\"".to_owned())],
            body: Body::Json(body.to_string().into()),
            idempotent: false,
        };
        serde_json::from_slice(&self.session.send(request).await.unwrap().body).unwrap()
    }

    pub(crate) fn fault(&self, contains: &str, kind: FaultKind, times: u32) {
        let on = FaultMatch { contains: Some(contains.into()), ..FaultMatch::default() };
        self.sandbox.add_fault(fault(on, kind, times));
    }

    /// Something goes wrong with what makes or sends mail.
    pub(crate) fn post_fault(&self, contains: &str, kind: FaultKind, times: u32, delay_ms: u64) {
        post_fault(&self.sandbox, contains, kind, times, delay_ms);
    }

    /// How often a route of Graph was called, by the end of its path.
    pub(crate) fn calls_of(&self, end: &str) -> usize {
        let calls = self.sandbox.calls();
        let last = calls["last"].as_array().unwrap();
        last.iter().filter(|call| call["path"].as_str().is_some_and(|path| path.ends_with(end))).count()
    }
}

pub(crate) fn post_fault(sandbox: &Handle, contains: &str, kind: FaultKind, times: u32, delay_ms: u64) {
    let (contains, method) = (Some(contains.into()), Some("POST".into()));
    let on = FaultMatch { contains, method, ..FaultMatch::default() };
    sandbox.add_fault(Fault { delay_ms: Some(delay_ms), ..fault(on, kind, times) });
}

pub(crate) fn fault(on: FaultMatch, kind: FaultKind, times: u32) -> Fault {
    Fault {
        on,
        kind,
        times: Some(times),
        probability: None,
        delay_ms: Some(0),
        retry_after_s: None,
        code: None,
    }
}

pub(crate) fn subjects(activities: &[Activity]) -> Vec<&str> {
    activities.iter().map(|activity| activity.subject.as_str()).collect()
}

/// A moment as the sandbox takes it.
pub(crate) fn moment(text: &str) -> Timestamp {
    text.parse().unwrap()
}
