//! Push channels: who is told of what, and when that ends.

use std::collections::VecDeque;
use std::sync::{Arc, Mutex, PoisonError};

use axum::http::{HeaderMap, StatusCode};
use serde_json::{Value, json};
use tokio::net::TcpListener;

use super::{EVENTS, Google, HOUR_MS, google, refused, text};
use crate::client::eventually;

/// Somebody who listens for messages and answers with the statuses that wait, then with 200.
struct Ear {
    address: String,
    heard: Arc<Mutex<Vec<(HeaderMap, usize)>>>,
}

async fn ear(statuses: &[u16]) -> Ear {
    let heard = Arc::new(Mutex::new(Vec::new()));
    let statuses = Arc::new(Mutex::new(statuses.iter().copied().collect::<VecDeque<u16>>()));
    let listener = TcpListener::bind("127.0.0.1:0").await.expect("a port");
    let address = format!("http://{}/push?connection=7", listener.local_addr().expect("an address"));
    let into = Arc::clone(&heard);
    let handler = move |headers: HeaderMap, body: String| {
        into.lock().unwrap_or_else(PoisonError::into_inner).push((headers, body.len()));
        let status = statuses.lock().unwrap_or_else(PoisonError::into_inner).pop_front().unwrap_or(200);
        async move { StatusCode::from_u16(status).expect("a status") }
    };
    let router = axum::Router::new().route("/push", axum::routing::post(handler));
    tokio::spawn(async move { axum::serve(listener, router).await });
    Ear { address, heard }
}

impl Ear {
    /// A header of each message.
    fn each(&self, name: &str) -> Vec<String> {
        let heard = self.heard.lock().unwrap_or_else(PoisonError::into_inner);
        let text =
            |headers: &HeaderMap| headers.get(name).and_then(|value| value.to_str().ok()).map(str::to_owned);
        heard.iter().map(|(headers, _)| text(headers).unwrap_or_default()).collect()
    }
}

async fn watch(google: &Google, body: Value) -> Value {
    google.post(&format!("{EVENTS}/watch"), body).await.ok()
}

#[tokio::test]
async fn a_channel_says_sync_and_then_that_something_changed_until_it_is_stopped() {
    let google = google().await;
    let ear = ear(&[]).await;
    let channel = watch(
        &google,
        json!({"id": "channel-1", "type": "web_hook", "address": ear.address,
        "token": "secret=7"}),
    )
    .await;
    assert_eq!((&channel["kind"], &channel["id"]), (&json!("api#channel"), &json!("channel-1")));
    let expires: i64 = text(&channel["expiration"]).parse().expect("milliseconds as text");
    let minutes = (expires - google.now_ms()) / 60_000;
    assert!((7 * 24 * 60 - 1..=7 * 24 * 60).contains(&minutes), "about a week");
    eventually("the first message", || ear.each("x-goog-resource-state") == ["sync"]).await;
    google.meeting("New", 3);
    eventually("the second message", || ear.each("x-goog-resource-state") == ["sync", "exists"]).await;
    assert_eq!(ear.each("x-goog-channel-id"), ["channel-1"; 2]);
    assert_eq!(ear.each("x-goog-channel-token"), ["secret=7"; 2]);
    assert_eq!(ear.each("x-goog-resource-id"), [text(&channel["resourceId"]), text(&channel["resourceId"])]);
    assert_eq!(ear.each("x-goog-resource-uri")[0], text(&channel["resourceUri"]));
    assert!(ear.each("x-goog-channel-expiration")[0].ends_with(" GMT"));
    let numbers: Vec<u64> =
        ear.each("x-goog-message-number").iter().map(|text| text.parse().expect("a number")).collect();
    assert!(numbers[0] == 1 && numbers[1] > 1, "{numbers:?}");
    assert!(ear.heard.lock().expect("messages").iter().all(|(_, length)| *length == 0), "bodies are empty");
    let stop = "/calendar/v3/channels/stop";
    refused(&google.post(stop, json!({"id": "channel-1", "resourceId": "another"})).await, 404, "notFound");
    let end = json!({"id": "channel-1", "resourceId": channel["resourceId"]});
    assert_eq!(google.post(stop, end.clone()).await.status, 204);
    refused(&google.post(stop, end).await, 404, "notFound");
    // A later channel hears the next change, the stopped one does not.
    watch(&google, json!({"id": "channel-2", "type": "web_hook", "address": ear.address})).await;
    google.meeting("Later", 4);
    eventually("the other channel's messages", || ear.each("x-goog-channel-id").len() == 4).await;
    assert_eq!(ear.each("x-goog-channel-id")[2..], ["channel-2", "channel-2"]);
}

#[tokio::test]
async fn a_channel_ends_without_a_word_when_its_time_is_over() {
    let google = google().await;
    let ear = ear(&[]).await;
    let soon = google.now_ms() + 3_600_000;
    let ask = |id: &str| json!({"id": id, "type": "web_hook", "address": ear.address, "expiration": soon.to_string()});
    let channel = watch(&google, ask("short")).await;
    assert_eq!(channel["expiration"], soon.to_string());
    let mut ask = ask("long");
    ask["expiration"] = Value::Null;
    ask["params"] = json!({"ttl": "7200"});
    watch(&google, ask).await;
    eventually("both begin", || ear.each("x-goog-channel-id").len() == 2).await;
    google.handle.advance_clock(HOUR_MS + 1);
    google.meeting("New", 3);
    eventually("the longer one is told", || ear.each("x-goog-channel-id").len() == 3).await;
    assert_eq!(ear.each("x-goog-channel-id")[2], "long");
    let left = google.handle.control("GET", "/_sandbox/channels", Value::Null).expect("channels");
    assert_eq!(left["channels"].as_array().map(Vec::len), Some(1));
}

#[tokio::test]
async fn a_message_that_fails_for_the_moment_is_sent_again_and_others_are_lost() {
    let google = google().await;
    let busy = ear(&[503, 500]).await;
    let ask = json!({"id": "busy", "type": "web_hook", "address": busy.address});
    watch(&google, ask).await;
    eventually("the third attempt", || busy.each("x-goog-message-number") == ["1", "1", "1"]).await;
    let rude = ear(&[404]).await;
    watch(&google, json!({"id": "rude", "type": "web_hook", "address": rude.address})).await;
    eventually("one attempt", || rude.each("x-goog-message-number").len() == 1).await;
    let channels = || google.handle.control("GET", "/_sandbox/channels", Value::Null).expect("channels");
    eventually("what it met is known", || channels()["channels"][1]["last_status"] == 404).await;
    google.control("settings", json!({"lose_pushes": true}));
    google.meeting("Nobody hears of it", 3);
    google.control("settings", json!({"lose_pushes": false}));
    google.meeting("Heard", 4);
    eventually("the next one", || rude.each("x-goog-message-number").len() == 2).await;
}

#[tokio::test]
async fn wrong_channels_are_refused() {
    let google = google().await;
    let good = json!({"id": "c", "type": "web_hook", "address": "http://127.0.0.1:9/push"});
    let with = |name: &str, value: Value| {
        let mut body = good.clone();
        body[name] = value;
        body
    };
    let path = format!("{EVENTS}/watch");
    for (body, reason) in [
        (with("type", json!("pigeon")), "invalid"),
        (with("id", Value::Null), "required"),
        (with("id", json!("with space")), "channelIdInvalid"),
        (with("id", json!("x".repeat(65))), "channelIdInvalid"),
        (with("address", Value::Null), "required"),
        (with("address", json!("ftp://a.example/")), "push.webhookUrlNotHttps"),
        (with("token", json!("x".repeat(257))), "channelTokenTooLong"),
        (with("token", json!("a\r\nX-Evil: 1")), "channelTokenTooLong"),
        (with("id", json!(5)), "badRequest"),
    ] {
        refused(&google.post(&path, body).await, 400, reason);
    }
    watch(&google, good.clone()).await;
    refused(&google.post(&path, good.clone()).await, 400, "channelIdNotUnique");
    google.control("settings", json!({"push_https_only": true}));
    refused(&google.post(&path, with("id", json!("d"))).await, 400, "push.webhookUrlNotHttps");
}
