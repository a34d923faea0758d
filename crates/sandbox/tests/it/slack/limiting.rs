//! How often an app may call.

use sandbox::slack::Settings;
use serde_json::json;

use super::{good, slack_with};

#[tokio::test]
async fn a_method_may_be_called_so_often_a_minute_by_its_tier() {
    let slack = slack_with(Settings::default()).await;
    let token = slack.install().await;
    for _ in 0..20 {
        good(slack.form("conversations.list", &token, &[]).await);
    }
    let refused = slack.form("conversations.list", &token, &[]).await;
    assert_eq!((refused.status, &refused.body["error"]), (429, &json!("ratelimited")));
    let wait_s: i64 = refused.header("retry-after").and_then(|text| text.parse().ok()).expect("seconds");
    assert!((1..=60).contains(&wait_s), "{wait_s}");
    good(slack.form("auth.test", &token, &[]).await);
    slack.control("clock", json!({"advance_ms": wait_s * 1_000})).await;
    good(slack.form("conversations.list", &token, &[]).await);
}

#[tokio::test]
async fn a_channel_takes_a_message_a_second() {
    let slack = slack_with(Settings::default()).await;
    let token = slack.install().await;
    let post = async |channel: &str| {
        slack.call("chat.postMessage", &token, json!({"channel": channel, "text": "x"})).await
    };
    good(post("partners").await);
    let refused = post("partners").await;
    assert_eq!((refused.status, refused.header("retry-after")), (429, Some("1")));
    good(post("general").await);
    slack.control("clock", json!({"advance_ms": 1_000})).await;
    good(post("partners").await);
    slack.control("clock", json!({"advance_ms": 5_000})).await;
    slack.control("settings", json!({"message_burst": 3})).await;
    for _ in 0..3 {
        good(post("partners").await);
    }
    assert_eq!(post("partners").await.status, 429);
}
