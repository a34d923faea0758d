use std::collections::HashMap;

use http::{Method, Request, StatusCode};
use proto::{
    audit::{Entry, ListEntriesRequest, ListEntriesResponse},
    sync::{
        CreateRecordRequest, GetRecordRequest, ListRecordsRequest, ListRecordsResponse, Record, RecordLink,
        UpdateRecordRequest,
    },
    v1::{Options, Value, value::Kind},
};
use serde_json::json;

use crate::client::door;

fn value(kind: Kind) -> Value {
    Value { kind: Some(kind) }
}

fn deal() -> Record {
    let at = Some(prost_types::Timestamp { seconds: 1_795_000_000, nanos: 0 });
    Record {
        id: "rec_1".into(),
        object: "deal".into(),
        version: 3,
        title: "Big".into(),
        fields: HashMap::from([
            ("name".into(), value(Kind::Text("Big".into()))),
            ("amount".into(), value(Kind::Number("4500.00".into()))),
            ("won".into(), value(Kind::Boolean(true))),
            ("close_date".into(), value(Kind::Date("2026-01-31".into()))),
            ("tags".into(), value(Kind::Options(Options { values: vec!["a".into(), "b".into()] }))),
            ("note".into(), value(Kind::Null(true))),
        ]),
        links: vec![RecordLink {
            connection_id: "conn_1".into(),
            vendor: "hubspot".into(),
            vendor_object: "deals".into(),
            vendor_id: "77".into(),
            state: "in_sync".into(),
            ..Default::default()
        }],
        created_at: at,
        updated_at: at,
        archived_at: None,
    }
}

#[tokio::test]
async fn a_record_is_shown_in_plain_values() {
    let door = door().await;
    door.rooms.on("accord.sync.v1.Sync/GetRecord", |_: GetRecordRequest| Ok(deal()));
    let answer = door.get("/api/v1/records/deals/rec_1").await;
    assert_eq!(answer.status, StatusCode::OK);
    assert_eq!(
        answer.json(),
        json!({
            "id": "rec_1", "object": "deal", "version": 3, "title": "Big",
            "fields": {
                "name": "Big", "amount": "4500.00", "won": true, "close_date": "2026-01-31", "tags": ["a", "b"],
                "note": null
            },
            "links": [{
                "connection_id": "conn_1", "vendor": "hubspot", "vendor_object": "deals", "vendor_id": "77",
                "state": "in_sync", "seen_at": null, "mapping_id": null
            }],
            "created_at": "2026-11-18T11:06:40Z", "updated_at": "2026-11-18T11:06:40Z", "archived_at": null
        })
    );
    assert_eq!(door.get("/api/v1/records/deal/rec_1").await.status, StatusCode::OK);
    let other = door.get("/api/v1/records/companies/rec_1").await;
    assert_eq!((other.status, other.code().as_str()), (StatusCode::NOT_FOUND, "record_not_found"));
}

#[tokio::test]
async fn the_record_linked_to_a_vendor_record_is_found() {
    let door = door().await;
    door.rooms.on("accord.sync.v1.Sync/ListRecords", |_: ListRecordsRequest| {
        Ok(ListRecordsResponse { records: vec![deal()], next_page: String::new(), total: 1 })
    });
    let answer = door.get("/api/v1/records/deals?vendor=hubspot&vendor_id=77&limit=5").await;
    assert_eq!(answer.json()["data"][0]["id"], "rec_1");
    assert_eq!((&answer.json()["next_page"], &answer.json()["total"]), (&json!(null), &json!(1)));
    let request: ListRecordsRequest = door.rooms.last().message();
    assert_eq!(request.object, "deal");
    assert_eq!((request.vendor.as_str(), request.vendor_id.as_str(), request.limit), ("hubspot", "77", 5));
}

#[tokio::test]
async fn given_values_reach_the_room_exactly() {
    let door = door().await;
    door.rooms.on("accord.sync.v1.Sync/GetRecord", |_: GetRecordRequest| Ok(deal()));
    door.rooms.on("accord.sync.v1.Sync/UpdateRecord", |_: UpdateRecordRequest| Ok(deal()));
    let body = json!({
        "fields": { "name": "Bigger", "amount": 12.5, "count": 3, "won": false, "note": null, "tags": ["b", "a"] },
        "if_version": 3
    });
    let answer = door.call(Method::PATCH, "/api/v1/records/deals/rec_1", Some(body)).await;
    assert_eq!(answer.status, StatusCode::OK);
    let request: UpdateRecordRequest = door.rooms.last().message();
    assert_eq!((request.id.as_str(), request.if_version), ("rec_1", Some(3)));
    let expected = HashMap::from([
        ("name".into(), value(Kind::Text("Bigger".into()))),
        ("amount".into(), value(Kind::Number("12.5".into()))),
        ("count".into(), value(Kind::Number("3".into()))),
        ("won".into(), value(Kind::Boolean(false))),
        ("note".into(), value(Kind::Null(true))),
        ("tags".into(), value(Kind::Options(Options { values: vec!["a".into(), "b".into()] }))),
    ]);
    assert_eq!(request.fields, expected);
}

#[tokio::test]
async fn creating_passes_the_idempotency_key_on() {
    let door = door().await;
    door.rooms.on("accord.sync.v1.Sync/CreateRecord", |_: CreateRecordRequest| Ok(deal()));
    let request = Request::builder()
        .method(Method::POST)
        .uri("/api/v1/records/deals")
        .header("x-integration-key", "ik_psa")
        .header("content-type", "application/json")
        .header("idempotency-key", "order-7")
        .body(json!({ "fields": { "name": "Big" } }).to_string().into())
        .unwrap();
    let answer = door.send(request).await;
    assert_eq!(answer.status, StatusCode::CREATED);
    let call = door.rooms.last();
    assert_eq!(call.method, "accord.sync.v1.Sync/CreateRecord");
    assert_eq!(call.message::<CreateRecordRequest>().idempotency_key, "order-7");
    assert_eq!(call.header("x-integration-key"), Some("ik_psa"));
}

#[tokio::test]
async fn an_export_of_the_audit_log_has_one_entry_a_line_with_the_texts_that_are_hashed() {
    let door = door().await;
    let at = Some(prost_types::Timestamp { seconds: 1_795_000_000, nanos: 123_456_000 });
    let entry = move || Entry {
        sequence: 1,
        action: "mapping.activated".into(),
        details_json: r#"{"b":1,"a":2}"#.into(),
        occurred_at: at,
        recorded_at: at,
        ..Default::default()
    };
    door.rooms.on("accord.audit.v1.Audit/Export", move |_: ListEntriesRequest| Ok(entry()));
    door.rooms.on("accord.audit.v1.Audit/ListEntries", move |_: ListEntriesRequest| {
        Ok(ListEntriesResponse { entries: vec![entry()], next_before: 1 })
    });
    let answer = door.get("/api/v1/audit/export?action=mapping.*").await;
    assert_eq!(answer.header("content-type"), "application/x-ndjson");
    assert_eq!(door.rooms.last().message::<ListEntriesRequest>().action, "mapping.*");
    let lines: Vec<&str> = answer.text.lines().collect();
    let [line] = lines.as_slice() else { panic!("{lines:?}") };
    let line: serde_json::Value = serde_json::from_str(line).unwrap();
    assert_eq!(line["details_json"], r#"{"b":1,"a":2}"#);
    assert_eq!(line["occurred_at"], "2026-11-18T11:06:40.123456Z");
    let listed = door.get("/api/v1/audit?limit=1&to=2026-12-01T00:00:00Z").await.json();
    assert_eq!((&listed["data"][0], &listed["next_before"]), (&line, &json!(1)));
}
