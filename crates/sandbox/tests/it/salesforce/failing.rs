//! Faults on dial.

use std::time::{Duration, Instant};

use reqwest::Method;
use serde_json::{Value, json};

use super::{Force, V, force, refused};

fn set(force: &Force, fault: Value) {
    force.control("faults", fault);
}

async fn total(force: &Force) -> Value {
    force.query("SELECT COUNT() FROM Account").await.ok()["totalSize"].clone()
}

#[tokio::test]
async fn an_answer_can_be_an_error_of_any_kind() {
    let force = force().await;
    let kinds = [
        ("500", 500, "UNKNOWN_EXCEPTION"),
        ("503", 503, "SERVER_UNAVAILABLE"),
        ("request_limit", 403, "REQUEST_LIMIT_EXCEEDED"),
        ("concurrent_limit", 403, "REQUEST_LIMIT_EXCEEDED"),
        ("invalid_session", 401, "INVALID_SESSION_ID"),
    ];
    for (kind, status, code) in kinds {
        set(
            &force,
            json!({"kind": kind, "times": 1, "match": {"method": "post", "path_prefix": format!("{V}/sobjects")}}),
        );
        force.get("sobjects").await.ok();
        refused(&force.post("sobjects/Account", json!({"Name": "Acme"})).await, status, code);
    }
    set(&force, json!({"kind": "502_html", "times": 1}));
    let gateway = force.get("sobjects").await;
    assert_eq!((gateway.status, gateway.header("content-type")), (502, Some("text/html;charset=UTF-8")));
    for (fault, seconds) in [
        (json!({"kind": "429", "times": 1}), None),
        (json!({"kind": "429", "times": 1, "delay_ms": 1_500}), Some("2")),
    ] {
        set(&force, fault);
        let crowded = force.get("sobjects").await;
        assert_eq!((crowded.status, crowded.header("retry-after")), (429, seconds));
    }
    assert_eq!(total(&force).await, json!(0));
    assert_eq!(
        force.handle.control("GET", "/_sandbox/faults", Value::Null).expect("faults"),
        json!({"faults": []})
    );
    let bad = force.handle.control("POST", "/_sandbox/faults", json!({"kind": "slow", "times": 0}));
    assert_eq!(bad.expect_err("refused").status, 400);
    set(&force, json!({"kind": "500"}));
    force.handle.control("DELETE", "/_sandbox/faults", Value::Null).expect("cleared");
    force.get("sobjects").await.ok();
}

#[tokio::test]
async fn rules_and_locks_hit_single_records() {
    let force = force().await;
    let id = force.make("Account", json!({"Name": "Acme"})).await;
    let path = format!("sobjects/Account/{id}");
    set(&force, json!({"kind": "lock_row", "times": 1, "match": {"object": "Account"}}));
    let locked = refused(&force.patch(&path, json!({"Phone": "1"})).await, 400, "UNABLE_TO_LOCK_ROW");
    assert_eq!(locked, format!("unable to obtain exclusive access to this record or 1 records: {id}"));
    assert_eq!(force.patch(&path, json!({"Phone": "1"})).await.status, 204);
    set(
        &force,
        json!({"kind": "validation_rule", "message": "No fax, please.", "match": {"object": "Account", "field": "Fax"}}),
    );
    let records: Vec<Value> = ["Phone", "Fax"]
        .map(|field| json!({"attributes": {"type": "Account"}, "id": id, field: "2"}))
        .to_vec();
    let done = force.patch("composite/sobjects", json!({"records": records})).await.ok();
    let error = json!({"statusCode": "FIELD_CUSTOM_VALIDATION_EXCEPTION", "message": "No fax, please.", "fields": ["Fax"]});
    assert_eq!((&done[0]["success"], &done[1]["errors"][0]), (&json!(true), &error));
    set(&force, json!({"kind": "duplicate_rule", "match": {"object": "Lead"}}));
    let lead = json!({"LastName": "Doe", "Company": "Acme"});
    refused(&force.post("sobjects/Lead", lead.clone()).await, 400, "DUPLICATES_DETECTED");
    let allow = [("Sforce-Duplicate-Rule-Header", "allowSave=true")];
    let token = force.handle.access_token();
    assert_eq!(force.send(Method::POST, "sobjects/Lead", token, &allow, Some(lead)).await.status, 201);
    for (kind, status, code) in [
        ("trigger_error", 400, "CANNOT_INSERT_UPDATE_ACTIVATE_ENTITY"),
        ("access_denied", 403, "INSUFFICIENT_ACCESS_OR_READONLY"),
        ("cross_access_denied", 400, "INSUFFICIENT_ACCESS_ON_CROSS_REFERENCE_ENTITY"),
    ] {
        set(&force, json!({"kind": kind, "times": 1, "match": {"object": "Contact"}}));
        refused(&force.post("sobjects/Contact", json!({"LastName": "Doe"})).await, status, code);
    }
}

#[tokio::test]
async fn answers_come_late_in_part_or_never() {
    let force = force().await;
    set(&force, json!({"kind": "slow", "delay_ms": 150, "times": 1}));
    let began = Instant::now();
    force.get("sobjects").await.ok();
    assert!(began.elapsed() >= Duration::from_millis(150));
    let url = format!("{}{V}/sobjects/Account", force.handle.url());
    let send = || {
        force.http.post(&url).bearer_auth(force.handle.access_token()).json(&json!({"Name": "Acme"})).send()
    };
    set(&force, json!({"kind": "cut_mid_body", "times": 1}));
    let cut = send().await.expect("a head");
    assert_eq!(cut.status(), 201);
    assert!(cut.bytes().await.is_err(), "the body ends early");
    assert_eq!(total(&force).await, json!(1), "a cut answer took effect");
    set(&force, json!({"kind": "drop_connection", "times": 1}));
    assert!(send().await.is_err());
    assert_eq!(total(&force).await, json!(1), "a dropped call took no effect");
    set(&force, json!({"kind": "timeout_after_apply", "delay_ms": 50, "times": 1}));
    assert!(send().await.is_err());
    assert_eq!(total(&force).await, json!(2), "a call without an answer took effect");
    let log = force.handle.calls();
    let faults: Vec<&str> =
        log["last"].as_array().expect("calls").iter().filter_map(|call| call["fault"].as_str()).collect();
    assert_eq!(faults, ["slow", "cut_mid_body", "drop_connection", "timeout_after_apply"]);
}
