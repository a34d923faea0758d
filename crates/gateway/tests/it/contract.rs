use http::{Method, Request, StatusCode};
use serde_json::Value;

use crate::client::door;

const COMMITTED: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/openapi.json");

fn described() -> Value {
    serde_json::to_value(gateway::openapi()).unwrap()
}

/// Each operation: method, path, description.
fn operations(description: &Value) -> Vec<(Method, String, Value)> {
    let mut operations = Vec::new();
    for (path, item) in description["paths"].as_object().unwrap() {
        for (method, operation) in item.as_object().unwrap() {
            let method = Method::from_bytes(method.to_uppercase().as_bytes()).unwrap();
            operations.push((method, path.clone(), operation.clone()));
        }
    }
    operations
}

#[test]
fn the_committed_openapi_description_is_the_one_that_is_served() {
    let text = format!("{}\n", serde_json::to_string_pretty(&described()).unwrap());
    if std::env::var_os("UPDATE").is_some() {
        std::fs::write(COMMITTED, &text).unwrap();
    }
    let committed = std::fs::read_to_string(COMMITTED).unwrap_or_default();
    assert!(committed == text, "openapi.json differs from the code; write it anew with UPDATE=1");
}

#[tokio::test]
async fn every_operation_is_described_in_full_and_asks_for_a_credential() {
    let door = door().await;
    let description = described();
    assert_eq!(description["openapi"], "3.1.0");
    let operations = operations(&description);
    assert!(operations.len() >= 90, "{}", operations.len());
    for (method, path, operation) in operations {
        let responses = operation["responses"].as_object().unwrap();
        for status in ["400", "401", "403", "404", "503"] {
            assert!(responses.contains_key(status), "{method} {path} lacks {status}");
        }
        assert!(responses.keys().any(|status| status.starts_with(['2', '3'])), "{method} {path}");
        assert!(operation["summary"].as_str().is_some_and(|text| !text.is_empty()), "{method} {path}");
        if operation["security"] == serde_json::json!([{}]) {
            continue;
        }
        let concrete = path.replace("{object}", "deals").replace(['{', '}'], "");
        let request = Request::builder().method(&method).uri(&concrete);
        let answer = door.send(request.body(axum::body::Body::empty()).unwrap()).await;
        assert_eq!(answer.status, StatusCode::UNAUTHORIZED, "{method} {path}");
        match operation["tags"][0] == "attribution" {
            true => assert_eq!(answer.text, r#"{"error":"unauthorized"}"#),
            false => assert_eq!(answer.code(), "credential_missing"),
        }
    }
    assert!(door.rooms.calls().is_empty());
}

#[tokio::test]
async fn the_index_for_programs_lists_every_operation() {
    let door = door().await;
    let index = door.get("/llms.txt").await.text;
    for (method, path, _) in operations(&described()) {
        assert!(index.contains(&format!("`{method} https://api.accord.example{path}`")), "{method} {path}");
    }
    let served = door.get("/api/openapi.json").await;
    assert_eq!(served.json(), described());
}

#[test]
fn every_schema_that_is_referred_to_is_there() {
    fn references(value: &Value, found: &mut Vec<String>) {
        match value {
            Value::Object(map) => {
                found.extend(map.get("$ref").and_then(Value::as_str).map(str::to_owned));
                map.values().for_each(|value| references(value, found));
            }
            Value::Array(items) => items.iter().for_each(|value| references(value, found)),
            _ => {}
        }
    }
    let description = described();
    let mut found = Vec::new();
    references(&description, &mut found);
    assert!(!found.is_empty());
    for reference in found {
        let pointer = reference.trim_start_matches('#');
        assert!(description.pointer(pointer).is_some(), "{reference}");
    }
}
