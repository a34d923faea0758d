//! Stories about the Microsoft 365 sandbox, told over real HTTP.

mod connecting;
mod controlling;
mod failing;
mod following;
mod limiting;
mod reading;
mod sdk;
mod sending;
mod speed;
mod subscribing;

use reqwest::Method;
use sandbox::microsoft::{Handle, Settings, start};
use serde_json::{Value, json};
use tokio::net::TcpListener;

use crate::client::{Answer, http, read};

/// The mailbox that stories are about, and a colleague's.
pub(crate) const NORA: &str = "nora.field@harborline.example";
pub(crate) const JONAS: &str = "jonas.weber@harborline.example";
pub(crate) const IMMUTABLE: (&str, &str) = ("prefer", "IdType=\"ImmutableId\"");

/// A sandbox on a port of its own, with a client that calls it as an outside tool.
pub(crate) struct Cloud {
    pub(crate) handle: Handle,
    pub(crate) http: reqwest::Client,
}

pub(crate) async fn cloud() -> Cloud {
    cloud_with(Settings { rate_limits: false, ..Settings::default() }).await
}

pub(crate) async fn cloud_with(settings: Settings) -> Cloud {
    let listener = TcpListener::bind("127.0.0.1:0").await.expect("a port");
    let handle = start(settings, listener).await.expect("the sandbox starts");
    Cloud { handle, http: http() }
}

impl Cloud {
    /// A call with a token, headers and a body. Paths without a slash at the start are of Graph.
    pub(crate) async fn send(
        &self,
        method: Method,
        path: &str,
        token: &str,
        headers: &[(&str, &str)],
        body: Option<Value>,
    ) -> Answer {
        let url = match path {
            whole if whole.starts_with("http") => whole.to_owned(),
            rooted if rooted.starts_with('/') => format!("{}{rooted}", self.handle.url()),
            graph => format!("{}/v1.0/{graph}", self.handle.url()),
        };
        let mut request = self.http.request(method, url);
        if !token.is_empty() {
            request = request.bearer_auth(token);
        }
        for (name, value) in headers {
            request = request.header(*name, *value);
        }
        if let Some(body) = body {
            request = request.json(&body);
        }
        read(request.send().await.expect("an answer")).await
    }

    pub(crate) async fn get(&self, path: &str) -> Answer {
        self.get_with(path, &[]).await
    }

    pub(crate) async fn get_with(&self, path: &str, headers: &[(&str, &str)]) -> Answer {
        self.send(Method::GET, path, self.handle.access_token(), headers, None).await
    }

    pub(crate) async fn post(&self, path: &str, body: Value) -> Answer {
        self.send(Method::POST, path, self.handle.access_token(), &[], Some(body)).await
    }

    pub(crate) async fn patch(&self, path: &str, body: Value) -> Answer {
        self.send(Method::PATCH, path, self.handle.access_token(), &[], Some(body)).await
    }

    pub(crate) async fn delete(&self, path: &str) -> Answer {
        self.send(Method::DELETE, path, self.handle.access_token(), &[], None).await
    }

    pub(crate) async fn form(&self, path: &str, fields: &[(&str, &str)]) -> Answer {
        let request = self.http.post(format!("{}{path}", self.handle.url())).form(fields);
        read(request.send().await.expect("an answer")).await
    }

    pub(crate) fn control(&self, path: &str, body: Value) -> Value {
        self.handle.control("POST", &format!("/_sandbox/{path}"), body).expect("the control call is taken")
    }

    /// A mail from outside; gives its ids.
    pub(crate) fn arrives(&self, from: &str, subject: &str) -> Value {
        self.handle
            .deliver(json!({"from": from, "subject": subject, "text": "Hello"}))
            .expect("a mail arrives")
    }

    /// Follows a delta query to its end: all rows, and the link for later.
    pub(crate) async fn drain(&self, link: &str, headers: &[(&str, &str)]) -> (Vec<Value>, String) {
        let (mut rows, mut link) = (Vec::new(), link.to_owned());
        loop {
            let page = self.get_with(&link, headers).await.ok();
            rows.extend(page["value"].as_array().expect("rows").clone());
            match page["@odata.nextLink"].as_str() {
                Some(next) => link = next.to_owned(),
                None => {
                    return (rows, page["@odata.deltaLink"].as_str().expect("a link for later").to_owned());
                }
            }
        }
    }
}

/// The error of a refused call of Graph.
#[track_caller]
pub(crate) fn refused(answer: &Answer, status: u16, code: &str) -> String {
    let error = &answer.body["error"];
    assert_eq!((answer.status, error["code"].as_str()), (status, Some(code)), "{}", answer.body);
    assert_eq!(answer.header("request-id"), error["innerError"]["request-id"].as_str());
    error["message"].as_str().unwrap_or_default().to_owned()
}

pub(crate) fn texts(rows: &[Value], key: &str) -> Vec<String> {
    rows.iter().map(|row| row[key].as_str().unwrap_or("-").to_owned()).collect()
}

pub(crate) fn text(value: &Value, key: &str) -> String {
    value[key].as_str().unwrap_or_else(|| panic!("{key} in {value}")).to_owned()
}
