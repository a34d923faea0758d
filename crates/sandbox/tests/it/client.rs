//! What the stories share: a running sandbox and a client of it.

use std::time::{Duration, Instant};

use reqwest::{Method, StatusCode};
use sandbox::hubspot::{Handle, Settings, start};
use serde_json::{Value, json};
use tokio::net::TcpListener;

/// A sandbox on a port of its own, with a client that calls it as an outside tool.
pub(crate) struct Hub {
    pub(crate) handle: Handle,
    pub(crate) http: reqwest::Client,
}

/// Status, headers and JSON of an answer.
#[derive(Debug)]
pub(crate) struct Answer {
    pub(crate) status: u16,
    pub(crate) headers: reqwest::header::HeaderMap,
    pub(crate) body: Value,
}

impl Answer {
    pub(crate) fn header(&self, name: &str) -> Option<&str> {
        self.headers.get(name).and_then(|value| value.to_str().ok())
    }

    /// The body of a success; anything else fails the story with the whole answer.
    #[track_caller]
    pub(crate) fn ok(self) -> Value {
        assert!((200..300).contains(&self.status), "not a success: {} {}", self.status, self.body);
        self.body
    }

    #[track_caller]
    pub(crate) fn refused(self, status: u16, category: &str) -> Value {
        assert_eq!((self.status, self.body["category"].as_str()), (status, Some(category)), "{}", self.body);
        assert_eq!(self.header("x-hubspot-correlation-id"), self.body["correlationId"].as_str());
        self.body
    }

    pub(crate) fn ids(&self) -> Vec<String> {
        ids(&self.body)
    }
}

pub(crate) fn ids(body: &Value) -> Vec<String> {
    let rows = body["results"].as_array().expect("results");
    rows.iter().map(|row| row["id"].as_str().expect("id").to_owned()).collect()
}

pub(crate) fn http() -> reqwest::Client {
    let _already_installed = rustls::crypto::ring::default_provider().install_default();
    reqwest::Client::builder()
        .redirect(reqwest::redirect::Policy::none())
        .timeout(Duration::from_secs(20))
        .build()
        .expect("a client")
}

/// Without rate limits, so that a story may call as often as it likes.
pub(crate) fn relaxed() -> Settings {
    Settings { rate_limits: false, ..Settings::default() }
}

pub(crate) async fn hub() -> Hub {
    hub_with(relaxed()).await
}

pub(crate) async fn hub_with(settings: Settings) -> Hub {
    let listener = TcpListener::bind("127.0.0.1:0").await.expect("a port");
    let handle = start(settings, listener).await.expect("the sandbox starts");
    Hub { handle, http: http() }
}

impl Hub {
    pub(crate) async fn send(&self, method: Method, path: &str, token: &str, body: Option<Value>) -> Answer {
        let url = format!("{}{path}", self.handle.url());
        let mut request = self.http.request(method, url).bearer_auth(token);
        if let Some(body) = body {
            request = request.json(&body);
        }
        read(request.send().await.expect("an answer")).await
    }

    pub(crate) async fn get(&self, path: &str) -> Answer {
        self.send(Method::GET, path, self.handle.access_token(), None).await
    }

    pub(crate) async fn post(&self, path: &str, body: Value) -> Answer {
        self.send(Method::POST, path, self.handle.access_token(), Some(body)).await
    }

    pub(crate) async fn patch(&self, path: &str, body: Value) -> Answer {
        self.send(Method::PATCH, path, self.handle.access_token(), Some(body)).await
    }

    pub(crate) async fn put(&self, path: &str, body: Value) -> Answer {
        self.send(Method::PUT, path, self.handle.access_token(), Some(body)).await
    }

    pub(crate) async fn delete(&self, path: &str) -> Answer {
        self.send(Method::DELETE, path, self.handle.access_token(), None).await
    }

    pub(crate) async fn form(&self, path: &str, fields: &[(&str, &str)]) -> Answer {
        let request = self.http.post(format!("{}{path}", self.handle.url())).form(fields);
        read(request.send().await.expect("an answer")).await
    }

    /// Creates a record and gives its id.
    pub(crate) async fn make(&self, object: &str, properties: Value) -> String {
        let made = self.post(&format!("/crm/v3/objects/{object}"), json!({"properties": properties})).await;
        assert_eq!(made.status, StatusCode::CREATED, "{}", made.body);
        made.body["id"].as_str().expect("id").to_owned()
    }

    pub(crate) async fn search(&self, object: &str, body: Value) -> Answer {
        self.post(&format!("/crm/v3/objects/{object}/search"), body).await
    }
}

pub(crate) async fn read(response: reqwest::Response) -> Answer {
    let (status, headers) = (response.status().as_u16(), response.headers().clone());
    let text = response.text().await.expect("a body");
    let body = serde_json::from_str(&text).unwrap_or(Value::String(text));
    Answer { status, headers, body }
}

/// Asks again and again until it is so, for ten seconds.
#[track_caller]
pub(crate) fn eventually(what: &str, mut is_so: impl FnMut() -> bool) -> impl Future<Output = ()> {
    let caller = std::panic::Location::caller();
    async move {
        let end = Instant::now() + Duration::from_secs(10);
        while !is_so() {
            assert!(Instant::now() < end, "{what}: not in ten seconds, waited for at {caller}");
            tokio::time::sleep(Duration::from_millis(10)).await;
        }
    }
}
