//! Faults on dial.

use std::time::{Duration, Instant};

use sandbox::hubspot::{Fault, FaultKind, FaultMatch};
use serde_json::json;

use crate::client::{Hub, hub};

async fn set(hub: &Hub, kind: &str, times: u32) {
    let fault = json!({"match": {"path_prefix": "/crm/", "method": "POST"}, "kind": kind, "times": times, "delay_ms": 300});
    hub.post("/_sandbox/faults", fault).await.ok();
}

/// Sends a creation; the error is one of the connection, before any answer.
async fn send(hub: &Hub) -> Result<reqwest::Response, reqwest::Error> {
    let url = format!("{}/crm/v3/objects/companies", hub.handle.url());
    let body = json!({"properties": {"name": "A"}});
    hub.http.post(url).bearer_auth(hub.handle.access_token()).json(&body).send().await
}

async fn total(hub: &Hub) -> usize {
    hub.get("/crm/v3/objects/companies").await.ids().len()
}

#[tokio::test]
async fn an_answer_can_be_an_error_of_any_kind() {
    let hub = hub().await;
    for (kind, status) in [("429", 429), ("429_daily", 429), ("500", 500), ("502_html", 502), ("503", 503)] {
        set(&hub, kind, 1).await;
        let answer = hub.post("/crm/v3/objects/companies", json!({"properties": {}})).await;
        assert_eq!(answer.status, status);
        assert_eq!(answer.body.is_string(), kind == "502_html", "a gateway answers in HTML");
    }
    assert_eq!(total(&hub).await, 0, "nothing took effect");
    send(&hub).await.expect("faults count down");
}

#[tokio::test]
async fn a_slow_answer_comes_late() {
    let hub = hub().await;
    set(&hub, "slow", 1).await;
    let began = Instant::now();
    send(&hub).await.expect("an answer");
    assert!(began.elapsed() >= Duration::from_millis(300));
}

#[tokio::test]
async fn a_cut_body_took_effect() {
    let hub = hub().await;
    set(&hub, "cut_mid_body", 1).await;
    let answer = send(&hub).await.expect("an answer that begins");
    assert_eq!(answer.status(), 201);
    answer.bytes().await.expect_err("half a body");
    assert_eq!(total(&hub).await, 1);
}

#[tokio::test]
async fn a_dropped_connection_took_no_effect() {
    let hub = hub().await;
    set(&hub, "drop_connection", 1).await;
    send(&hub).await.expect_err("no answer");
    assert_eq!(total(&hub).await, 0);
}

#[tokio::test]
async fn a_call_can_take_effect_without_an_answer() {
    let hub = hub().await;
    set(&hub, "timeout_after_apply", 1).await;
    send(&hub).await.expect_err("no answer");
    assert_eq!(total(&hub).await, 1);
    let calls = hub.get("/_sandbox/calls").await.ok();
    assert_eq!(calls["routes"]["POST /crm/v3/objects/{type}"]["by_status"]["0"], 1);
}

#[tokio::test]
async fn faults_match_listed_and_cleared() {
    let hub = hub().await;
    hub.handle.add_fault(Fault {
        on: FaultMatch { path_prefix: Some("/crm/v3/owners".into()), method: None },
        kind: FaultKind::Internal,
        times: None,
        probability: Some(1.0),
        delay_ms: None,
    });
    assert_eq!(hub.get("/_sandbox/faults").await.ok()["faults"][0]["kind"], "500");
    hub.get("/account-info/v3/details").await.ok();
    hub.get("/crm/v3/owners").await.refused(500, "INTERNAL_ERROR");
    hub.get("/crm/v3/owners").await.refused(500, "INTERNAL_ERROR");
    assert_eq!(hub.delete("/_sandbox/faults").await.status, 204);
    hub.get("/crm/v3/owners").await.ok();
    hub.post("/_sandbox/faults", json!({"kind": "tsunami"})).await.refused(400, "VALIDATION_ERROR");
    hub.post("/_sandbox/faults", json!({"kind": "500", "times": 0})).await.refused(400, "VALIDATION_ERROR");
}

#[tokio::test]
async fn shutting_down_does_not_wait_for_a_held_answer() {
    let hub = hub().await;
    let fault = json!({"kind": "timeout_after_apply", "delay_ms": 600_000});
    hub.post("/_sandbox/faults", fault).await.ok();
    let began = Instant::now();
    let (answer, ()) = tokio::join!(send(&hub), async {
        while hub.handle.calls()["total"] == 0 {
            tokio::task::yield_now().await;
        }
        hub.handle.shutdown().await;
    });
    answer.expect_err("the connection ended");
    assert!(began.elapsed() < Duration::from_secs(10));
}

#[tokio::test]
async fn shutting_down_does_not_wait_for_a_client_that_never_finishes() {
    let hub = hub().await;
    let address = hub.handle.url().trim_start_matches("http://").to_owned();
    let mut stalled = tokio::net::TcpStream::connect(address).await.expect("a connection");
    let half = b"POST /crm/v3/objects/companies HTTP/1.1\r\nhost: x\r\ncontent-length: 100\r\n\r\n{";
    tokio::io::AsyncWriteExt::write_all(&mut stalled, half).await.expect("sent");
    let down = tokio::time::timeout(Duration::from_secs(10), hub.handle.shutdown()).await;
    down.expect("the sandbox ends without its client");
}
