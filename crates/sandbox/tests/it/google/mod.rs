//! Stories about the Google sandbox, told over real HTTP.

mod connecting;
mod controlling;
mod failing;
mod holding;
mod pushing;
mod recurring;
mod sdk;
mod syncing;
mod writing;

use reqwest::Method;
use sandbox::google::{Handle, Settings, start};
use serde_json::{Value, json};
use tokio::net::TcpListener;

use crate::client::{Answer, http, read};

pub(crate) const EVENTS: &str = "/calendar/v3/calendars/primary/events";
pub(crate) const HOUR_MS: u64 = 3_600_000;

/// A sandbox on a port of its own, with a client that calls it as an outside tool.
pub(crate) struct Google {
    pub(crate) handle: Handle,
    pub(crate) http: reqwest::Client,
}

pub(crate) async fn google() -> Google {
    google_with(Settings { rate_limits: false, ..Settings::default() }).await
}

pub(crate) async fn google_with(settings: Settings) -> Google {
    let listener = TcpListener::bind("127.0.0.1:0").await.expect("a port");
    let handle = start(settings, listener).await.expect("the sandbox starts");
    Google { handle, http: http() }
}

impl Google {
    /// A call; paths without a slash at the start are below the events of the primary calendar.
    pub(crate) async fn send(&self, method: Method, path: &str, token: &str, body: Option<Value>) -> Answer {
        let path = if path.starts_with('/') { path.to_owned() } else { format!("{EVENTS}{path}") };
        let mut request = self.http.request(method, format!("{}{path}", self.handle.url()));
        if !token.is_empty() {
            request = request.bearer_auth(token);
        }
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

    /// The events of the primary calendar under these parameters.
    pub(crate) async fn list(&self, query: &[(&str, &str)]) -> Answer {
        let url = format!("{}{EVENTS}", self.handle.url());
        let request = self.http.get(url).query(query).bearer_auth(self.handle.access_token());
        read(request.send().await.expect("an answer")).await
    }

    /// A Meet list under these parameters.
    pub(crate) async fn meet(&self, path: &str, query: &[(&str, &str)]) -> Answer {
        let url = format!("{}/v2/{path}", self.handle.url());
        let request = self.http.get(url).query(query).bearer_auth(self.handle.access_token());
        read(request.send().await.expect("an answer")).await
    }

    pub(crate) async fn form(&self, path: &str, fields: &[(&str, &str)]) -> Answer {
        let request = self.http.post(format!("{}{path}", self.handle.url())).form(fields);
        read(request.send().await.expect("an answer")).await
    }

    pub(crate) fn control(&self, path: &str, body: Value) -> Value {
        self.handle.control("POST", &format!("/_sandbox/{path}"), body).expect("the control call is taken")
    }

    pub(crate) fn now_ms(&self) -> i64 {
        let health = self.handle.control("GET", "/_sandbox/health", Value::Null).expect("health");
        health["now_ms"].as_i64().expect("a time")
    }

    /// A time so many hours from now, on the full second.
    pub(crate) fn hours(&self, hours: i64) -> Value {
        let at = self.now_ms().div_euclid(1_000) + hours * 3_600;
        let at = jiff::Timestamp::from_second(at).expect("a time");
        json!({"dateTime": at.to_string(), "timeZone": "Europe/Zurich"})
    }

    /// A meeting of one hour that begins in so many; gives the event.
    pub(crate) fn meeting(&self, summary: &str, begins_in: i64) -> Value {
        let event = json!({"summary": summary, "start": self.hours(begins_in), "end": self.hours(begins_in + 1),
            "attendees": [{"email": "mia@northwind.example"}]});
        self.handle.meeting(event).expect("a meeting")
    }
}

/// A moment on the clock of Zurich.
pub(crate) fn zurich(text: &str) -> Value {
    json!({"dateTime": text, "timeZone": "Europe/Zurich"})
}

/// The reason of a refused call, as Calendar gives it.
#[track_caller]
pub(crate) fn refused(answer: &Answer, status: u16, reason: &str) {
    let error = &answer.body["error"];
    assert_eq!(
        (answer.status, error["code"].as_u64(), error["errors"][0]["reason"].as_str()),
        (status, Some(u64::from(status)), Some(reason)),
        "{}",
        answer.body
    );
}

/// A field of each item.
pub(crate) fn each(body: &Value, field: &str) -> Vec<String> {
    let items = body["items"].as_array().expect("items");
    items.iter().map(|item| item[field].as_str().unwrap_or("-").to_owned()).collect()
}

pub(crate) fn text(value: &Value) -> String {
    value.as_str().expect("a text").to_owned()
}
