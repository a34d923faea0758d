//! Faults on dial.

use reqwest::Method;
use sandbox::slack::{Fault, FaultKind, FaultMatch};
use serde_json::{Value, json};

use super::{Slack, good, refused, slack};

async fn set(slack: &Slack, fault: Value) {
    slack.control("faults", fault).await;
}

async fn posted(slack: &Slack) -> usize {
    slack.see("messages?channel=partners").await["messages"].as_array().map_or(0, Vec::len)
}

#[tokio::test]
async fn an_answer_can_be_an_error_of_any_kind() {
    let slack = slack().await;
    let token = slack.install().await;
    let post =
        async || slack.call("chat.postMessage", &token, json!({"channel": "partners", "text": "x"})).await;
    set(&slack, json!({"kind": "429", "times": 1, "retry_after_s": 7})).await;
    let answer = post().await;
    assert_eq!((answer.status, answer.header("retry-after")), (429, Some("7")));
    set(&slack, json!({"kind": "ratelimited", "times": 1})).await;
    let answer = post().await;
    assert_eq!(answer.header("retry-after"), Some("30"));
    refused(answer, "ratelimited");
    for (kind, status) in [("500", 500), ("502_html", 502), ("503", 503)] {
        set(&slack, json!({"kind": kind, "times": 1})).await;
        assert_eq!(post().await.status, status);
    }
    set(&slack, json!({"kind": "token_revoked", "times": 1})).await;
    refused(post().await, "token_revoked");
    set(&slack, json!({"kind": "error", "error": "team_access_not_granted", "times": 1})).await;
    refused(post().await, "team_access_not_granted");
    assert_eq!(posted(&slack).await, 0);
    set(&slack, json!({"kind": "slow", "delay_ms": 1, "times": 1})).await;
    good(post().await);
    slack.handle.add_fault(Fault {
        on: FaultMatch { path_prefix: Some("/api/users".into()), method: Some("post".into()) },
        kind: FaultKind::Internal,
        times: None,
        probability: Some(1.0),
        delay_ms: None,
        retry_after_s: None,
        error: None,
    });
    assert_eq!(slack.see("faults").await["faults"][0]["kind"], "500");
    good(post().await);
    assert_eq!(slack.form("users.list", &token, &[]).await.status, 500);
    assert_eq!(slack.send(Method::DELETE, "/_sandbox/faults", None).await.status, 204);
    good(slack.form("users.list", &token, &[]).await);
    assert_eq!(
        slack.send(Method::POST, "/_sandbox/faults", Some(json!({"kind": "flood"}))).await.status,
        400
    );
}

#[tokio::test]
async fn a_message_can_be_posted_without_an_answer_that_says_so() {
    let slack = slack().await;
    let token = slack.install().await;
    let url = format!("{}/api/chat.postMessage", slack.handle.url());
    let post = async || {
        let request =
            slack.http.post(&url).bearer_auth(&token).json(&json!({"channel": "partners", "text": "x"}));
        request.send().await
    };
    set(&slack, json!({"kind": "drop_connection", "times": 1})).await;
    post().await.expect_err("no answer");
    assert_eq!(posted(&slack).await, 0);
    set(&slack, json!({"kind": "timeout_after_apply", "delay_ms": 1, "times": 1})).await;
    post().await.expect_err("no answer");
    assert_eq!(posted(&slack).await, 1);
    set(&slack, json!({"kind": "cut_mid_body", "times": 1})).await;
    post().await.expect("an answer that begins").bytes().await.expect_err("half a body");
    assert_eq!(posted(&slack).await, 2);
    set(&slack, json!({"kind": "error_after_apply", "error": "fatal_error", "times": 1})).await;
    refused(
        slack.call("chat.postMessage", &token, json!({"channel": "partners", "text": "x"})).await,
        "fatal_error",
    );
    assert_eq!(posted(&slack).await, 3);
}
