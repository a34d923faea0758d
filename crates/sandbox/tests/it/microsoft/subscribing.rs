//! Subscriptions, and the endpoint that is told.

use std::sync::{Arc, Mutex};

use axum::Router;
use axum::extract::{Query, State};
use axum::response::{IntoResponse, Response};
use http::StatusCode;
use serde_json::{Value, json};
use std::collections::HashMap;
use tokio::net::TcpListener;

use super::{Cloud, IMMUTABLE, cloud, refused, text};
use crate::client::{Answer, eventually};

/// An endpoint of an app: it echoes tokens, keeps what it is told, and refuses so many times.
#[derive(Clone, Default)]
struct Ear {
    heard: Arc<Mutex<Vec<Value>>>,
    refusals: Arc<Mutex<u32>>,
    deaf: bool,
}

impl Ear {
    /// Starts it; gives its address.
    async fn open(&self) -> String {
        let listener = TcpListener::bind("127.0.0.1:0").await.expect("a port");
        let url = format!("http://{}/hook", listener.local_addr().expect("an address"));
        let router = Router::new().fallback(hear).with_state(self.clone());
        tokio::spawn(async move { axum::serve(listener, router).await });
        url
    }

    fn heard(&self) -> Vec<Value> {
        self.heard.lock().expect("a lock").clone()
    }

    async fn hears(&self, count: usize) -> Vec<Value> {
        eventually("the endpoint is told", || self.heard().len() >= count).await;
        self.heard()
    }
}

async fn hear(
    State(ear): State<Ear>,
    Query(query): Query<HashMap<String, String>>,
    body: String,
) -> Response {
    if let Some(token) = query.get("validationToken") {
        let token = if ear.deaf { "something else".to_owned() } else { token.clone() };
        return token.into_response();
    }
    let mut refusals = ear.refusals.lock().expect("a lock");
    if *refusals > 0 {
        *refusals -= 1;
        return StatusCode::SERVICE_UNAVAILABLE.into_response();
    }
    let told: Value = serde_json::from_str(&body).expect("JSON");
    ear.heard.lock().expect("a lock").extend(told["value"].as_array().expect("a list").clone());
    StatusCode::ACCEPTED.into_response()
}

fn in_minutes(cloud: &Cloud, minutes: i64) -> String {
    let now = cloud.handle.control("GET", "/_sandbox/health", Value::Null).expect("health")["now_ms"]
        .as_i64()
        .expect("a time");
    jiff::Timestamp::from_millisecond(now + minutes * 60_000).expect("a time").to_string()
}

fn wish(cloud: &Cloud, url: &str) -> Value {
    json!({"changeType": "created,updated,deleted", "notificationUrl": url, "lifecycleNotificationUrl": format!("{url}?life=1"),
        "resource": "me/mailFolders('inbox')/messages", "expirationDateTime": in_minutes(cloud, 60), "clientState": "secret"})
}

async fn subscribe(cloud: &Cloud, wish: Value) -> Answer {
    let token = cloud.handle.access_token();
    cloud.send(reqwest::Method::POST, "subscriptions", token, &[IMMUTABLE], Some(wish)).await
}

#[tokio::test]
async fn a_subscriber_proves_itself_and_is_told_of_changes() {
    let (cloud, ear) = (cloud().await, Ear::default());
    let url = ear.open().await;
    let made = subscribe(&cloud, wish(&cloud, &url)).await;
    assert_eq!(made.status, 201, "{}", made.body);
    let id = text(&made.body, "id");
    let mail = cloud.arrives("a@outside.example", "one");
    cloud.control("edit", json!({"id": text(&mail, "id"), "is_read": true}));
    cloud.control("move", json!({"id": text(&mail, "id"), "folder": "archive"}));
    let heard = ear.hears(3).await;
    let words: Vec<String> = heard.iter().map(|one| text(one, "changeType")).collect();
    assert_eq!(words, ["created", "updated", "deleted"], "the archive is not subscribed to");
    for one in &heard {
        assert_eq!(
            (text(one, "subscriptionId"), text(one, "clientState")),
            (id.clone(), "secret".to_owned())
        );
        assert_eq!(one["resourceData"]["id"], mail["immutableId"], "ids as they were preferred");
    }
    assert_eq!(cloud.get("subscriptions").await.ok()["value"][0]["id"], id.as_str());
    let taken = cloud.handle.control("GET", "/_sandbox/subscriptions", Value::Null).expect("a count");
    assert_eq!(taken["subscriptions"], json!([id]));
}

#[tokio::test]
async fn an_endpoint_that_does_not_prove_itself_is_refused() {
    let cloud = cloud().await;
    let deaf = Ear { deaf: true, ..Ear::default() };
    let url = deaf.open().await;
    refused(&subscribe(&cloud, wish(&cloud, &url)).await, 400, "ValidationError");
    refused(&subscribe(&cloud, wish(&cloud, "http://127.0.0.1:9/")).await, 400, "ValidationError");
    let good = Ear::default().open().await;
    let mut half = wish(&cloud, &good);
    half["lifecycleNotificationUrl"] = json!(url);
    refused(&subscribe(&cloud, half).await, 400, "ValidationError");
    let with = |key: &str, value: Value| {
        let mut wish = wish(&cloud, &good);
        wish[key] = value;
        wish
    };
    refused(&subscribe(&cloud, with("notificationUrl", json!("ftp://a"))).await, 400, "InvalidRequest");
    refused(&subscribe(&cloud, with("changeType", json!("moved"))).await, 400, "InvalidRequest");
    refused(&subscribe(&cloud, with("clientState", json!("x".repeat(129)))).await, 400, "InvalidRequest");
    refused(&subscribe(&cloud, with("resource", json!("me/events"))).await, 400, "InvalidRequest");
    refused(
        &subscribe(&cloud, with("resource", json!("users/other/messages"))).await,
        403,
        "ErrorAccessDenied",
    );
    refused(&subscribe(&cloud, with("expirationDateTime", json!("soon"))).await, 400, "InvalidRequest");
    let long = in_minutes(&cloud, 10_081);
    refused(&subscribe(&cloud, with("expirationDateTime", json!(long))).await, 400, "ExtensionError");
    assert_eq!(cloud.get("subscriptions").await.ok()["value"], json!([]));
}

#[tokio::test]
async fn a_subscription_is_renewed_expires_and_is_deleted() {
    let (cloud, ear) = (cloud().await, Ear::default());
    let url = ear.open().await;
    let id = text(&subscribe(&cloud, wish(&cloud, &url)).await.ok(), "id");
    let path = format!("subscriptions/{id}");
    let until = in_minutes(&cloud, 600);
    let renewed = cloud.patch(&path, json!({ "expirationDateTime": until })).await.ok();
    assert_eq!(text(&renewed, "expirationDateTime")[..16], until[..16]);
    cloud.post(&format!("{path}/reauthorize"), json!({})).await.ok();
    cloud.handle.advance_clock(120 * 60_000);
    cloud.get(&path).await.ok();
    cloud.handle.advance_clock(600 * 60_000);
    refused(&cloud.get(&path).await, 404, "ResourceNotFound");
    refused(
        &cloud.patch(&path, json!({"expirationDateTime": in_minutes(&cloud, 60)})).await,
        404,
        "ResourceNotFound",
    );
    let id = text(&subscribe(&cloud, wish(&cloud, &url)).await.ok(), "id");
    assert_eq!(cloud.delete(&format!("subscriptions/{id}")).await.status, 204);
    cloud.arrives("a@outside.example", "to nobody");
    refused(&cloud.delete(&format!("subscriptions/{id}")).await, 404, "ResourceNotFound");
    let left = cloud.handle.control("GET", "/_sandbox/subscriptions", Value::Null).expect("a count");
    assert_eq!((&left["waiting"], &left["taken"]), (&json!(0), &json!(0)));
}

#[tokio::test]
async fn an_endpoint_that_fails_is_told_again_later() {
    let (cloud, ear) = (cloud().await, Ear::default());
    let url = ear.open().await;
    subscribe(&cloud, wish(&cloud, &url)).await.ok();
    *ear.refusals.lock().expect("a lock") = 1;
    cloud.arrives("a@outside.example", "one");
    eventually("the endpoint refuses", || *ear.refusals.lock().expect("a lock") == 0).await;
    let waiting = || {
        cloud.handle.control("GET", "/_sandbox/subscriptions", Value::Null).expect("a count")["waiting"] == 1
    };
    eventually("it waits for another try", waiting).await;
    assert!(ear.heard().is_empty());
    cloud.handle.advance_clock(11_000);
    assert_eq!(ear.hears(1).await.len(), 1);
}

#[tokio::test]
async fn notifications_are_lost_or_doubled_and_the_app_is_told_of_its_subscriptions() {
    let (cloud, ear) = (cloud().await, Ear::default());
    let url = ear.open().await;
    let id = text(&subscribe(&cloud, wish(&cloud, &url)).await.ok(), "id");
    cloud.control("settings", json!({"notifications": "lost"}));
    cloud.arrives("a@outside.example", "lost");
    cloud.control("settings", json!({"notifications": "twice"}));
    cloud.arrives("a@outside.example", "doubled");
    let heard = ear.hears(2).await;
    assert_eq!(heard[0], heard[1]);
    for event in ["missed", "reauthorizationRequired"] {
        cloud.control("lifecycle", json!({"event": event, "subscription": id}));
    }
    cloud.control("revoke", json!({}));
    let heard = ear.hears(5).await;
    let events: Vec<String> = heard[2..].iter().map(|one| text(one, "lifecycleEvent")).collect();
    assert_eq!(events, ["missed", "reauthorizationRequired", "subscriptionRemoved"]);
    assert_eq!(heard[4]["subscriptionId"], id.as_str());
    refused(&cloud.get(&format!("subscriptions/{id}")).await, 404, "ResourceNotFound");
}
