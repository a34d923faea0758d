//! Events: what the app is told without anybody clicking.

use std::time::{Duration, Instant};

use serde_json::{Value, json};

use super::app::{Plan, app};
use super::{Slack, slack};
use crate::client::eventually;

#[tokio::test]
async fn the_events_url_proves_that_it_is_the_apps() {
    let (slack, app) = (slack().await, app().await);
    slack.control("settings", json!({"events_url": app.url})).await;
    app.plan(Plan::Challenge);
    let proved = slack.control("verify", json!({})).await;
    assert_eq!(proved["delivery"]["state"], "acknowledged", "{proved}");
    assert_eq!(app.last().json()["type"], "url_verification");
    let failed = slack.control("verify", json!({})).await;
    assert_eq!(failed["delivery"]["attempts"][0]["reason"], "challenge_failed");
}

/// Waits until so many tries of a delivery are noted, and gives the delivery.
async fn tried(slack: &Slack, id: &Value, times: usize) -> Value {
    let deadline = Instant::now() + Duration::from_secs(10);
    loop {
        let all = slack.see("deliveries").await;
        let found =
            all["deliveries"].as_array().and_then(|all| all.iter().find(|one| one["id"] == *id)).expect("it");
        if found["attempts"].as_array().map(Vec::len) == Some(times) {
            return found.clone();
        }
        assert!(Instant::now() < deadline, "not tried {times} times: {found}");
        tokio::task::yield_now().await;
    }
}

#[tokio::test]
async fn an_event_is_repeated_at_once_after_a_minute_and_after_five() {
    let (slack, app) = (slack().await, app().await);
    slack.control("settings", json!({"events_url": app.url})).await;
    for _ in 0..4 {
        app.plan(Plan::Answer(500, String::new()));
    }
    let sent =
        slack.control("event", json!({"event": {"type": "app_home_opened"}})).await["delivery_id"].clone();
    assert_eq!(tried(&slack, &sent, 2).await["state"], "waiting");
    slack.control("clock", json!({"advance_ms": 60_000})).await;
    tried(&slack, &sent, 3).await;
    slack.control("clock", json!({"advance_ms": 240_000})).await;
    assert_eq!(app.received().len(), 3, "five minutes have not passed");
    slack.control("clock", json!({"advance_ms": 60_000})).await;
    assert_eq!(tried(&slack, &sent, 4).await["state"], "failed");
    let received = app.received();
    let numbers: Vec<&str> = received.iter().map(|one| one.header("x-slack-retry-num")).collect();
    assert_eq!(numbers, ["", "1", "2", "3"]);
    assert_eq!(received[1].header("x-slack-retry-reason"), "http_error");
    let ids: Vec<Value> = received.iter().map(|one| one.json()["event_id"].clone()).collect();
    assert!(ids.iter().all(|id| *id == ids[0]), "{ids:?}");
}

#[tokio::test]
async fn an_app_that_has_enough_is_not_asked_again() {
    let (slack, app) = (slack().await, app().await);
    slack.control("settings", json!({"events_url": app.url})).await;
    app.plan(Plan::Enough);
    let sent =
        slack.control("event", json!({"event": {"type": "app_home_opened"}})).await["delivery_id"].clone();
    assert_eq!(tried(&slack, &sent, 1).await["state"], "failed");
    slack.control("clock", json!({"advance_ms": 600_000})).await;
    slack.control("event", json!({"event": {"type": "other"}})).await;
    eventually("only the next one comes", || app.received().len() == 2).await;
    assert_eq!(app.last().json()["event"]["type"], "other");
}
