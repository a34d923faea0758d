//! Throttling of a mailbox.

use sandbox::microsoft::Settings;
use serde_json::json;

use super::{JONAS, cloud_with, refused};

#[tokio::test]
async fn a_mailbox_takes_four_calls_at_once() {
    let cloud = cloud_with(Settings { latency_ms: 400, ..Settings::default() }).await;
    let jonas = cloud.handle.access_token_of(JONAS).expect("a token");
    let five = futures::future::join_all((0..5).map(|_| cloud.get("me/messages")));
    let other = cloud.send(reqwest::Method::GET, "me/messages", jonas, &[], None);
    let (five, other) = futures::join!(five, other);
    let (taken, rest): (Vec<_>, Vec<_>) = five.into_iter().partition(|answer| answer.status == 200);
    assert_eq!((taken.len(), rest.len(), other.status), (4, 1, 200), "another mailbox is not throttled");
    let message = refused(&rest[0], 429, "ApplicationThrottled");
    assert!(message.contains("MailboxConcurrency"), "{message}");
    assert!(rest[0].header("retry-after").and_then(|wait| wait.parse::<u32>().ok()).is_some());
    cloud.get("me/messages").await.ok();
}

#[tokio::test]
async fn a_mailbox_takes_ten_thousand_calls_in_ten_minutes() {
    let cloud = cloud_with(Settings::default()).await;
    let twenty: Vec<_> =
        (0..20).map(|n| json!({"id": n.to_string(), "method": "GET", "url": "/me"})).collect();
    for _ in 0..476 {
        cloud.post("$batch", json!({ "requests": twenty })).await.ok();
    }
    let mut calls = 476 * 21;
    while calls < 10_000 {
        cloud.get("me").await.ok();
        calls += 1;
    }
    let answer = cloud.get("me").await;
    refused(&answer, 429, "TooManyRequests");
    let wait_s: u64 = answer.header("retry-after").and_then(|wait| wait.parse().ok()).expect("seconds");
    assert!((500..=601).contains(&wait_s), "{wait_s}");
    cloud.handle.advance_clock(wait_s * 1_000);
    cloud.get("me").await.ok();
}

#[tokio::test]
async fn a_mailbox_sends_thirty_messages_a_minute() {
    let cloud = cloud_with(Settings::default()).await;
    let mail = json!({"message": {"toRecipients": [{"emailAddress": {"address": "a@b.example"}}]}});
    for _ in 0..30 {
        cloud.post("me/sendMail", mail.clone()).await.ok();
    }
    refused(&cloud.post("me/sendMail", mail.clone()).await, 429, "ApplicationThrottled");
    cloud.handle.advance_clock(61_000);
    cloud.post("me/sendMail", mail).await.ok();
    let people: Vec<_> =
        (0..1_000).map(|n| json!({"emailAddress": {"address": format!("r{n}@b.example")}})).collect();
    let large = json!({"message": {"toRecipients": people}});
    for _ in 0..9 {
        cloud.post("me/sendMail", large.clone()).await.ok();
    }
    refused(&cloud.post("me/sendMail", large).await, 429, "ErrorExceededMessageLimit");
}
