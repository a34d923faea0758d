//! The simulator of Slack, and what a person does there.

use std::{sync::Arc, time::Duration};

use connector::{Connector, Grant, Response, Session, http::Client};
use connector_slack::{Config, Slack};
use model::{Clock, ConnectionId, PostButton, PostContent, PostId, PostMessage, SystemClock};
use sandbox::slack::{Fault, FaultKind, FaultMatch, Handle, Settings, start};
use secrecy::ExposeSecret;
use serde_json::{Value, json};
use tokio::net::TcpListener;
use url::Url;

pub(crate) const BACK: &str = "http://api.test/oauth/callback/slack";
const SCOPES: &str =
    "chat:write,channels:read,groups:read,channels:history,groups:history,users:read,users:read.email";

pub(crate) async fn simulator(settings: Settings) -> Handle {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    start(settings, listener).await.unwrap()
}

/// A connector that goes as fast as it can, for stories in which nothing is limited.
pub(crate) fn connector(slack: &Handle) -> Slack {
    limited(slack).without_limits()
}

pub(crate) fn limited(slack: &Handle) -> Slack {
    let settings = Settings::default();
    Slack::new(Config {
        client_id: settings.client_id,
        client_secret: settings.client_secret.into(),
        signing_secret: settings.signing_secret.into(),
        base_url: Url::parse(slack.url()).unwrap(),
    })
}

/// The owner of the workspace agrees on the consent page, which answers with this code.
pub(crate) async fn consent(slack: &Handle, scopes: &str, state: &str) -> String {
    let owner = user(slack, "olivia").await;
    let client_id = Settings::default().client_id;
    let fields = [
        ("client_id", client_id.as_str()),
        ("scope", scopes),
        ("redirect_uri", BACK),
        ("state", state),
        ("by", &format!("{} {owner}", slack.team_id())),
        ("decision", "allow"),
    ];
    let page = Url::parse(slack.url()).unwrap().join("/oauth/v2/authorize").unwrap();
    let answer = http().post_form(&page, &fields).await.unwrap();
    let back = Url::parse(answer.header("location").unwrap()).unwrap();
    back.query_pairs().find(|(name, _)| name == "code").unwrap().1.into_owned()
}

/// Installs the app, as the connector reads it.
pub(crate) async fn install(slack: &Handle, connector: &Slack) -> Grant {
    let code = consent(slack, SCOPES, "s").await;
    let settings = Settings::default();
    let fields = [
        ("client_id", settings.client_id.as_str()),
        ("client_secret", settings.client_secret.as_str()),
        ("code", &code),
        ("redirect_uri", BACK),
    ];
    call(slack, connector, "/api/oauth.v2.access", &fields).await.unwrap()
}

/// A call of the token endpoints.
pub(crate) async fn call(
    slack: &Handle,
    connector: &Slack,
    path: &str,
    fields: &[(&str, &str)],
) -> Result<Grant, connector::Error> {
    let url = Url::parse(slack.url()).unwrap().join(path).unwrap();
    let answer = http().post_form(&url, fields).await.unwrap();
    connector.read_grant(&Response { status: answer.status, headers: answer.headers, body: answer.body })
}

/// A session of a new installation.
pub(crate) async fn session(slack: &Handle, connector: &Slack) -> Session {
    let grant = install(slack, connector).await;
    let token = grant.access_token.expose_secret().to_owned().into();
    Session::for_tests(Arc::new(connector.clone()), slack.team_id(), token).unwrap()
}

fn http() -> Client {
    Client::try_new(Duration::from_secs(10)).unwrap()
}

/// The id of somebody in the workspace.
pub(crate) async fn user(slack: &Handle, name: &str) -> String {
    let workspace = slack.control("GET", "/_sandbox/workspace", Value::Null).await.unwrap();
    let users = workspace["users"].as_array().unwrap();
    let found = users.iter().find(|user| user["name"] == name).unwrap();
    found["id"].as_str().unwrap().to_owned()
}

/// Makes a channel that the app is a member of, and gives its id.
pub(crate) async fn channel(slack: &Handle, name: &str, private: bool) -> String {
    let made = json!({"name": name, "private": private, "with_app": true});
    let made = slack.control("POST", "/_sandbox/channel", made).await.unwrap();
    made["channel"]["id"].as_str().unwrap().to_owned()
}

pub(crate) async fn messages(slack: &Handle, channel: &str) -> Vec<Value> {
    let found = slack.messages(channel).await.unwrap();
    found["messages"].as_array().unwrap().clone()
}

/// The next calls below this path go wrong.
pub(crate) fn fault(slack: &Handle, path: &str, kind: FaultKind, times: u32) {
    let on = FaultMatch { path_prefix: Some(path.to_owned()), method: None };
    let (probability, delay_ms, retry_after_s, error) = (None, Some(10), Some(1), None);
    slack.add_fault(Fault { on, kind, times: Some(times), probability, delay_ms, retry_after_s, error });
}

pub(crate) fn content(title: &str) -> PostContent {
    let button = |action: &str, label: &str, style: &str| PostButton {
        action: action.to_owned(),
        label: label.to_owned(),
        value: "dreg_1".to_owned(),
        style: style.to_owned(),
    };
    PostContent {
        title: title.to_owned(),
        lines: vec![("Company".to_owned(), "Tailspin <!channel> & Toys".to_owned())],
        text: "Registered by Fabrikam".to_owned(),
        buttons: vec![
            button("registration:approve", "Approve", "primary"),
            button("registration:reject:ask", "Reject", "danger"),
        ],
        link: Some("https://accord.example/deal-registrations/1".to_owned()),
    }
}

pub(crate) fn message(connection: ConnectionId, channel: &str, title: &str) -> PostMessage {
    PostMessage {
        connection,
        post: PostId::generate(SystemClock.now()),
        channel: channel.to_owned(),
        replaces: None,
        content: content(title),
    }
}
