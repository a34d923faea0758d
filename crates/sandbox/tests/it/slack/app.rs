//! An app at the other end: takes what the sandbox sends, and answers as a story wants.

use std::collections::VecDeque;
use std::sync::{Arc, Mutex};

use axum::Router;
use axum::body::Bytes;
use axum::extract::State;
use axum::response::{IntoResponse, Response};
use hmac::{Hmac, KeyInit, Mac};
use http::{HeaderMap, StatusCode};
use sandbox::slack::Settings;
use serde_json::Value;
use sha2::Sha256;
use tokio::net::TcpListener;

/// One request that came.
#[derive(Debug, Clone)]
pub(crate) struct Received {
    pub(crate) headers: HeaderMap,
    pub(crate) body: String,
}

impl Received {
    pub(crate) fn header(&self, name: &str) -> &str {
        self.headers.get(name).and_then(|value| value.to_str().ok()).unwrap_or_default()
    }

    /// Whether the app's secret signed this body at this time.
    pub(crate) fn is_signed(&self) -> bool {
        let secret = Settings::default().signing_secret;
        let mut mac = Hmac::<Sha256>::new_from_slice(secret.as_bytes()).expect("a key");
        mac.update(format!("v0:{}:{}", self.header("x-slack-request-timestamp"), self.body).as_bytes());
        let hex: String = mac.finalize().into_bytes().iter().map(|byte| format!("{byte:02x}")).collect();
        self.header("x-slack-signature") == format!("v0={hex}")
    }

    /// What an interaction says.
    pub(crate) fn payload(&self) -> Value {
        let form: Vec<(String, String)> = serde_urlencoded::from_str(&self.body).expect("a form");
        assert_eq!(form[0].0, "payload");
        serde_json::from_str(&form[0].1).expect("JSON")
    }

    pub(crate) fn json(&self) -> Value {
        serde_json::from_str(&self.body).expect("JSON")
    }
}

/// How the app answers a request.
#[derive(Debug, Clone)]
pub(crate) enum Plan {
    Answer(u16, String),
    /// An answer that welcomes no repetition.
    Enough,
    /// The challenge comes back.
    Challenge,
    Never,
}

#[derive(Debug, Default)]
struct Desk {
    received: Vec<Received>,
    plans: VecDeque<Plan>,
}

/// A running app. Without plans it answers 200 and nothing.
#[derive(Debug, Clone)]
pub(crate) struct App {
    desk: Arc<Mutex<Desk>>,
    pub(crate) url: String,
}

pub(crate) async fn app() -> App {
    let listener = TcpListener::bind("127.0.0.1:0").await.expect("a port");
    let url = format!("http://{}/slack", listener.local_addr().expect("an address"));
    let app = App { desk: Arc::default(), url };
    let router = Router::new().fallback(take).with_state(app.clone());
    tokio::spawn(async move { axum::serve(listener, router).await });
    app
}

async fn take(State(app): State<App>, headers: HeaderMap, body: Bytes) -> Response {
    let body = String::from_utf8(body.to_vec()).expect("text");
    let plan = {
        let mut desk = app.desk.lock().expect("the desk");
        desk.received.push(Received { headers, body: body.clone() });
        desk.plans.pop_front()
    };
    match plan.unwrap_or(Plan::Answer(200, String::new())) {
        Plan::Answer(status, body) => (StatusCode::from_u16(status).expect("a status"), body).into_response(),
        Plan::Enough => (StatusCode::INTERNAL_SERVER_ERROR, [("x-slack-no-retry", "1")]).into_response(),
        Plan::Challenge => {
            let asked: Value = serde_json::from_str(&body).expect("JSON");
            asked["challenge"].as_str().unwrap_or_default().to_owned().into_response()
        }
        Plan::Never => std::future::pending().await,
    }
}

impl App {
    pub(crate) fn plan(&self, plan: Plan) {
        self.desk.lock().expect("the desk").plans.push_back(plan);
    }

    pub(crate) fn received(&self) -> Vec<Received> {
        self.desk.lock().expect("the desk").received.clone()
    }

    #[track_caller]
    pub(crate) fn last(&self) -> Received {
        self.received().last().cloned().expect("a request")
    }
}
