//! Faults on dial.

use std::time::{Duration, Instant};

use sandbox::microsoft::{Fault, FaultKind, FaultMatch};
use serde_json::{Value, json};

use super::{Cloud, cloud, refused, text};

fn set(cloud: &Cloud, kind: &str) {
    let on = json!({"path_prefix": "/v1.0/me/messages", "method": "POST"});
    cloud.control(
        "faults",
        json!({"match": on, "kind": kind, "times": 1, "delay_ms": 300, "retry_after_s": 9}),
    );
}

async fn drafts(cloud: &Cloud) -> usize {
    cloud.get("me/mailFolders/drafts/messages").await.ok()["value"].as_array().map_or(0, Vec::len)
}

async fn send(cloud: &Cloud) -> Result<reqwest::Response, reqwest::Error> {
    let url = format!("{}/v1.0/me/messages", cloud.handle.url());
    cloud.http.post(url).bearer_auth(cloud.handle.access_token()).json(&json!({"subject": "A"})).send().await
}

#[tokio::test]
async fn an_answer_can_be_an_error_of_any_kind() {
    let cloud = cloud().await;
    for (kind, status, code, waits) in [
        ("403", 403, "ErrorAccessDenied", false),
        ("429", 429, "ApplicationThrottled", true),
        ("500", 500, "ErrorInternalServerError", false),
        ("503", 503, "serviceNotAvailable", true),
        ("mailbox_moving", 503, "ErrorMailboxStoreUnavailable", true),
        ("504", 504, "UnknownError", false),
        ("claims", 401, "InvalidAuthenticationToken", false),
    ] {
        set(&cloud, kind);
        let answer = cloud.post("me/messages", json!({})).await;
        refused(&answer, status, code);
        assert_eq!(answer.header("retry-after"), waits.then_some("9"), "{kind}");
        let asks = answer.header("www-authenticate").is_some_and(|text| text.contains("insufficient_claims"));
        assert_eq!(asks, kind == "claims");
    }
    set(&cloud, "502_html");
    let answer = cloud.post("me/messages", json!({})).await;
    assert_eq!((answer.status, answer.body.is_string()), (502, true), "a gateway answers in HTML");
    assert_eq!(drafts(&cloud).await, 0, "nothing took effect");
    let left = cloud.handle.control("GET", "/_sandbox/faults", Value::Null).expect("a list");
    assert_eq!(left["faults"], json!([]), "faults count down");
}

#[tokio::test]
async fn answers_come_late_in_part_or_never() {
    let cloud = cloud().await;
    set(&cloud, "slow");
    let began = Instant::now();
    send(&cloud).await.expect("an answer");
    assert!(began.elapsed() >= Duration::from_millis(300));
    set(&cloud, "cut_mid_body");
    let answer = send(&cloud).await.expect("an answer that begins");
    answer.bytes().await.expect_err("half a body");
    assert_eq!(drafts(&cloud).await, 2, "it took effect");
    set(&cloud, "drop_connection");
    send(&cloud).await.expect_err("no answer");
    assert_eq!(drafts(&cloud).await, 2, "it took no effect");
}

#[tokio::test]
async fn a_mail_can_be_sent_though_its_answer_is_lost() {
    let cloud = cloud().await;
    let draft = json!({"subject": "once", "toRecipients": [{"emailAddress": {"address": "a@b.example"}}]});
    let token = cloud.handle.access_token();
    let draft =
        cloud.send(reqwest::Method::POST, "me/messages", token, &[super::IMMUTABLE], Some(draft)).await.ok();
    let id = text(&draft, "id");
    cloud.handle.add_fault(Fault {
        on: FaultMatch { contains: Some("/send".to_owned()), ..FaultMatch::default() },
        kind: FaultKind::TimeoutAfterApply,
        times: Some(1),
        probability: None,
        delay_ms: Some(200),
        retry_after_s: None,
        code: None,
    });
    let url = format!("{}/v1.0/me/messages/{id}/send", cloud.handle.url());
    cloud.http.post(url).bearer_auth(token).send().await.expect_err("no answer");
    let after = cloud.get_with(&format!("me/messages/{id}"), &[super::IMMUTABLE]).await.ok();
    assert_eq!(after["isDraft"], false, "one sees that it was sent");
    let calls = cloud.handle.calls();
    let last = calls["last"]
        .as_array()
        .and_then(|all| all.iter().find(|call| call["fault"] == "timeout_after_apply"));
    assert_eq!(last.expect("the call")["status"], 0);
}

#[tokio::test]
async fn a_delta_link_can_expire_in_the_middle_of_a_round() {
    let cloud = cloud().await;
    (0..5).for_each(|n| drop(cloud.arrives("a@outside.example", &format!("{n}"))));
    let page = cloud
        .get_with("me/mailFolders/inbox/messages/delta", &[("prefer", "odata.maxpagesize=2")])
        .await
        .ok();
    let next = text(&page, "@odata.nextLink");
    cloud.control("faults", json!({"match": {"contains": "$skiptoken"}, "kind": "410", "times": 1}));
    refused(&cloud.get(&next).await, 410, "syncStateNotFound");
    cloud.control("faults", json!({"match": {"contains": "$skiptoken"}, "kind": "410_resync", "times": 1}));
    let answer = cloud.get(&next).await;
    refused(&answer, 410, "resyncRequired");
    let (rows, _) = cloud.drain(answer.header("location").expect("an address"), &[]).await;
    assert_eq!(rows.len(), 5);
    cloud.handle.clear_faults();
}
