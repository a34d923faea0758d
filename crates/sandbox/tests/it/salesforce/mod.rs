//! Stories about the Salesforce sandbox, told over real HTTP.

mod bulk;
mod collecting;
mod connecting;
mod controlling;
mod describing;
mod failing;
mod limiting;
mod querying;
mod records;
mod replicating;
mod sdk;
mod speed;
mod streaming;

use reqwest::Method;
use sandbox::salesforce::{Handle, Settings, start};
use serde_json::{Value, json};
use tokio::net::TcpListener;

use crate::client::{Answer, http, read};

/// The release the stories speak.
pub(crate) const V: &str = "/services/data/v62.0";

/// A sandbox on a port of its own, with a client that calls it as an outside tool.
pub(crate) struct Force {
    pub(crate) handle: Handle,
    pub(crate) http: reqwest::Client,
}

pub(crate) async fn force() -> Force {
    force_with(Settings::default()).await
}

pub(crate) async fn force_with(settings: Settings) -> Force {
    let listener = TcpListener::bind("127.0.0.1:0").await.expect("a port");
    let handle = start(settings, listener).await.expect("the sandbox starts");
    Force { handle, http: http() }
}

impl Force {
    /// A call with a token, headers and a body. Paths without a slash at the start are of the API.
    pub(crate) async fn send(
        &self,
        method: Method,
        path: &str,
        token: &str,
        headers: &[(&str, &str)],
        body: Option<Value>,
    ) -> Answer {
        let path = if path.starts_with('/') { path.to_owned() } else { format!("{V}/{path}") };
        let mut request = self.http.request(method, format!("{}{path}", self.handle.url()));
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
        self.send(Method::GET, path, self.handle.access_token(), &[], None).await
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

    pub(crate) async fn query(&self, soql: &str) -> Answer {
        let url = format!("{}{V}/query", self.handle.url());
        let request = self.http.get(url).query(&[("q", soql)]).bearer_auth(self.handle.access_token());
        read(request.send().await.expect("an answer")).await
    }

    pub(crate) async fn query_all(&self, soql: &str) -> Answer {
        let url = format!("{}{V}/queryAll", self.handle.url());
        let request = self.http.get(url).query(&[("q", soql)]).bearer_auth(self.handle.access_token());
        read(request.send().await.expect("an answer")).await
    }

    /// Creates a record over the API and gives its id.
    pub(crate) async fn make(&self, object: &str, fields: Value) -> String {
        let made = self.post(&format!("sobjects/{object}"), fields).await.ok();
        made["id"].as_str().expect("an id").to_owned()
    }

    /// A field that Accord finds its records by.
    pub(crate) async fn key_field(&self, object: &str, name: &str) -> Answer {
        self.post(
            "tooling/sobjects/CustomField",
            json!({"FullName": format!("{object}.{name}"), "Metadata": {"type": "Text", "label": "Accord ID",
                "length": 64, "unique": true, "externalId": true, "caseSensitive": false}}),
        )
        .await
    }

    pub(crate) fn control(&self, path: &str, body: Value) -> Value {
        self.handle.control("POST", &format!("/_sandbox/{path}"), body).expect("the control call is taken")
    }
}

/// The error list of a refused call.
#[track_caller]
pub(crate) fn refused(answer: &Answer, status: u16, code: &str) -> String {
    assert_eq!(
        (answer.status, answer.body[0]["errorCode"].as_str()),
        (status, Some(code)),
        "{}",
        answer.body
    );
    answer.body[0]["message"].as_str().unwrap_or_default().to_owned()
}

pub(crate) fn names(answer: &Value, field: &str) -> Vec<String> {
    let rows = answer["records"].as_array().expect("records");
    rows.iter().map(|row| row[field].as_str().unwrap_or("-").to_owned()).collect()
}
