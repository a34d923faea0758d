//! Stories about the Slack sandbox, told over real HTTP.

mod app;
mod connecting;
mod controlling;
mod failing;
mod interacting;
mod limiting;
mod messaging;
mod pages;
mod reading;
mod sdk;
mod telling;

use reqwest::Method;
use sandbox::slack::{Handle, Settings, start};
use serde_json::{Value, json};
use tokio::net::TcpListener;

use crate::client::{Answer, http, read};

pub(crate) const BACK: &str = "http://127.0.0.1:9/slack/callback";
/// Everything that a notifier needs.
pub(crate) const SCOPES: &str = "chat:write,chat:write.public,channels:read,channels:join,channels:history,groups:read,\
                                 groups:history,im:write,users:read,users:read.email";

/// A sandbox on a port of its own, with a client that calls it as an outside tool.
pub(crate) struct Slack {
    pub(crate) handle: Handle,
    pub(crate) http: reqwest::Client,
}

/// Without rate limits, so that a story may call as often as it likes.
pub(crate) async fn slack() -> Slack {
    slack_with(Settings { rate_limits: false, ..Settings::default() }).await
}

pub(crate) async fn slack_with(settings: Settings) -> Slack {
    let listener = TcpListener::bind("127.0.0.1:0").await.expect("a port");
    let handle = start(settings, listener).await.expect("the sandbox starts");
    Slack { handle, http: http() }
}

impl Slack {
    /// A method of the Web API with a token, its arguments as a form.
    pub(crate) async fn form(&self, method: &str, token: &str, fields: &[(&str, &str)]) -> Answer {
        let url = format!("{}/api/{method}", self.handle.url());
        let mut request = self.http.post(url).form(fields);
        if !token.is_empty() {
            request = request.bearer_auth(token);
        }
        read(request.send().await.expect("an answer")).await
    }

    /// A method of the Web API with a token, its arguments as JSON.
    pub(crate) async fn call(&self, method: &str, token: &str, body: Value) -> Answer {
        let url = format!("{}/api/{method}", self.handle.url());
        read(self.http.post(url).bearer_auth(token).json(&body).send().await.expect("an answer")).await
    }

    /// Any other path.
    pub(crate) async fn send(&self, method: Method, path: &str, body: Option<Value>) -> Answer {
        let mut request = self.http.request(method, format!("{}{path}", self.handle.url()));
        if let Some(body) = body {
            request = request.json(&body);
        }
        read(request.send().await.expect("an answer")).await
    }

    pub(crate) async fn control(&self, path: &str, body: Value) -> Value {
        self.send(Method::POST, &format!("/_sandbox/{path}"), Some(body)).await.ok()
    }

    pub(crate) async fn see(&self, path: &str) -> Value {
        self.send(Method::GET, &format!("/_sandbox/{path}"), None).await.ok()
    }

    /// The id of somebody in the first workspace.
    pub(crate) async fn user(&self, name: &str) -> String {
        id_of(&self.see("workspace").await["users"], name)
    }

    pub(crate) async fn channel(&self, name: &str) -> String {
        id_of(&self.see("workspace").await["channels"], name)
    }

    /// Somebody agrees on the consent page; the answer is the code.
    pub(crate) async fn consent(&self, scopes: &str) -> String {
        let by = format!("{} {}", self.handle.team_id(), self.user("olivia").await);
        let client = Settings::default().client_id;
        let fields = [
            ("client_id", client.as_str()),
            ("scope", scopes),
            ("redirect_uri", BACK),
            ("state", "s 1"),
            ("by", &by),
            ("decision", "allow"),
        ];
        let url = format!("{}/oauth/v2/authorize", self.handle.url());
        let answer = read(self.http.post(url).form(&fields).send().await.expect("an answer")).await;
        let to = answer.header("location").expect("a way back").to_owned();
        assert!(to.starts_with(BACK) && to.contains("state=s+1"), "{to}");
        to.split_once("code=").and_then(|(_, rest)| rest.split('&').next()).expect("a code").to_owned()
    }

    /// A token request of the app; its own id and secret go with it.
    pub(crate) async fn token(&self, fields: &[(&str, &str)]) -> Value {
        let Settings { client_id, client_secret, .. } = Settings::default();
        let mut all = vec![("client_id", client_id.as_str()), ("client_secret", client_secret.as_str())];
        all.extend(fields);
        let answer = self.form("oauth.v2.access", "", &all).await;
        assert_eq!(answer.status, 200);
        answer.body
    }

    /// Installs the app and gives its bot token.
    pub(crate) async fn install(&self) -> String {
        let code = self.consent(SCOPES).await;
        let body = self.token(&[("code", &code), ("redirect_uri", BACK)]).await;
        body["access_token"].as_str().expect("a token").to_owned()
    }
}

fn id_of(list: &Value, name: &str) -> String {
    let found = list.as_array().expect("a list").iter().find(|one| one["name"] == name);
    found.unwrap_or_else(|| panic!("{name} is not in {list}"))["id"].as_str().expect("an id").to_owned()
}

#[track_caller]
pub(crate) fn good(answer: Answer) -> Value {
    assert_eq!((answer.status, &answer.body["ok"]), (200, &json!(true)), "{}", answer.body);
    answer.body
}

#[track_caller]
pub(crate) fn refused(answer: Answer, error: &str) -> Value {
    assert_eq!((answer.status, answer.body["error"].as_str()), (200, Some(error)), "{}", answer.body);
    assert_eq!(answer.body["ok"], false);
    answer.body
}

/// A registration as an app would show it.
pub(crate) fn registration() -> Value {
    json!([
        {"type": "section", "block_id": "deal", "text": {"type": "mrkdwn", "text": "*Acme &amp; Söhne* by _Bluefin_"}},
        {"type": "actions", "block_id": "decision", "elements": [
            {"type": "button", "action_id": "approve", "style": "primary", "value": "dreg_1",
             "text": {"type": "plain_text", "text": "Approve"}},
            {"type": "button", "action_id": "reject", "style": "danger", "value": "dreg_1",
             "text": {"type": "plain_text", "text": "Reject"}}]},
    ])
}

/// A dialog that asks for a reason.
pub(crate) fn reason_dialog() -> Value {
    json!({"type": "modal", "callback_id": "reject", "private_metadata": "dreg_1",
        "title": {"type": "plain_text", "text": "Reject the deal"},
        "submit": {"type": "plain_text", "text": "Reject"},
        "blocks": [{"type": "input", "block_id": "why", "label": {"type": "plain_text", "text": "Reason"},
            "element": {"type": "plain_text_input", "action_id": "reason", "multiline": true, "max_length": 40}}]})
}
