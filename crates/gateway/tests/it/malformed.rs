use axum::body::Body;
use http::{Method, Request, StatusCode};
use serde_json::json;

use crate::client::door;

#[tokio::test]
async fn a_malformed_request_is_refused_with_its_code_and_reaches_no_room() {
    let door = door().await;
    let (post, patch) = (Method::POST, Method::PATCH);
    let json = "application/json";
    let deep = format!("{{\"fields\":{{\"a\":{}", "[".repeat(200_000));
    let large = format!("{{\"fields\":{{\"name\":\"{}\"}}}}", "x".repeat(1024 * 1024));
    for (method, path, media, body, status, code) in [
        (&post, "/api/v1/records/deals", json, "{", 400, "json_invalid"),
        (&post, "/api/v1/records/deals", json, "", 400, "json_invalid"),
        (&post, "/api/v1/records/deals", json, deep.as_str(), 400, "json_invalid"),
        (&post, "/api/v1/records/deals", json, r#"{"fields":{}} {}"#, 400, "json_invalid"),
        (&post, "/api/v1/records/deals", json, "{}", 400, "body_invalid"),
        (&post, "/api/v1/records/deals", json, "[]", 400, "body_invalid"),
        (&post, "/api/v1/records/deals", json, r#"{"fields":[]}"#, 400, "body_invalid"),
        (&post, "/api/v1/records/deals", json, r#"{"fields":{},"x":1}"#, 400, "body_invalid"),
        (&post, "/api/v1/records/deals", json, r#"{"fields":{"a":{"b":1}}}"#, 400, "value_invalid"),
        (&post, "/api/v1/records/deals", json, r#"{"fields":{"a":[1]}}"#, 400, "value_invalid"),
        (&post, "/api/v1/records/deals", json, r#"{"fields":{"a":1e400}}"#, 400, "json_invalid"),
        (&post, "/api/v1/records/deals", json, r#"{"fields":{"a":1e300}}"#, 400, "value_invalid"),
        (&post, "/api/v1/records/deals", json, r#"{"fields":{"a":"\u0000"}}"#, 400, "body_invalid"),
        (&post, "/api/v1/records/deals", json, r#"{"fields":{"\u0000":"a"}}"#, 400, "body_invalid"),
        (&post, "/api/v1/records/deals", json, large.as_str(), 413, "body_too_large"),
        (&post, "/api/v1/records/deals", "text/plain", "{}", 415, "media_type_unsupported"),
        (&post, "/api/v1/records/deals", "application/jsonx", "{}", 415, "media_type_unsupported"),
        (&post, "/api/v1/records/gadgets", json, r#"{"fields":{}}"#, 404, "object_unknown"),
        (
            &patch,
            "/api/v1/records/deals/rec_1",
            json,
            r#"{"fields":{},"if_version":"2"}"#,
            400,
            "body_invalid",
        ),
        (
            &patch,
            "/api/v1/records/deals/rec_1",
            json,
            r#"{"fields":{},"if_version":1.5}"#,
            400,
            "body_invalid",
        ),
        (&post, "/api/v1/api-keys", json, r#"{"label":"x","scopes":"all"}"#, 400, "body_invalid"),
        (
            &post,
            "/api/v1/api-keys",
            json,
            r#"{"label":"x","scopes":[],"expires_at":"soon"}"#,
            400,
            "body_invalid",
        ),
        (&Method::GET, "/api/v1/records/deals?limit=many", json, "", 400, "query_invalid"),
        (&Method::GET, "/api/v1/records/deals?limit=-1", json, "", 400, "query_invalid"),
        (&Method::GET, "/api/v1/records/deals?limit=99999999999", json, "", 400, "query_invalid"),
        (&Method::GET, "/api/v1/records/deals?colour=red", json, "", 400, "query_invalid"),
        (&Method::GET, "/api/v1/records/deals?query=a%00b", json, "", 400, "query_invalid"),
        (&Method::GET, "/api/v1/records/deals/%00", json, "", 400, "path_invalid"),
        (&Method::GET, "/api/v1/records/deals/%ff", json, "", 400, "path_invalid"),
        (&Method::GET, "/api/v1/audit?from=yesterday", json, "", 400, "query_invalid"),
        (&Method::GET, "/api/v1/audit?before=x", json, "", 400, "query_invalid"),
        (&Method::GET, "/api/v1/nothing", json, "", 404, "path_unknown"),
        (&Method::GET, "/api/v2/me", json, "", 404, "path_unknown"),
        (&Method::GET, "/%2e%2e/etc/passwd", json, "", 404, "path_unknown"),
        (&Method::PUT, "/api/v1/me", json, "", 405, "method_not_allowed"),
        (&Method::DELETE, "/api/v1/records/deals", json, "", 405, "method_not_allowed"),
        (&Method::POST, "/llms.txt", json, "", 405, "method_not_allowed"),
    ] {
        let request = Request::builder()
            .method(method)
            .uri(path)
            .header("authorization", "Bearer ak_test")
            .header("content-type", media)
            .body(Body::from(body.to_owned()))
            .unwrap();
        let answer = door.send(request).await;
        let shown: String = body.chars().take(80).collect();
        assert_eq!(
            (answer.status.as_u16(), answer.code().as_str()),
            (status, code),
            "{method} {path} {shown}"
        );
        assert!(!answer.json()["error"]["message"].as_str().unwrap().is_empty());
    }
    assert!(door.rooms.calls().is_empty());
}

#[tokio::test]
async fn a_body_that_is_not_utf_8_is_refused() {
    let door = door().await;
    let request = Request::builder()
        .method(Method::POST)
        .uri("/api/v1/records/deals")
        .header("authorization", "Bearer ak_test")
        .header("content-type", "application/json; charset=utf-8")
        .body(Body::from(b"{\"fields\":{\"name\":\"\xff\xfe\"}}".to_vec()))
        .unwrap();
    let answer = door.send(request).await;
    assert_eq!((answer.status, answer.code().as_str()), (StatusCode::BAD_REQUEST, "json_invalid"));
}

#[tokio::test]
async fn an_idempotency_key_that_is_no_key_is_refused() {
    let door = door().await;
    let long = "x".repeat(256);
    for key in ["", "two words", long.as_str()] {
        let request = Request::builder()
            .method(Method::POST)
            .uri("/api/v1/records/deals")
            .header("authorization", "Bearer ak_test")
            .header("content-type", "application/json")
            .header("idempotency-key", key)
            .body(Body::from(json!({ "fields": {} }).to_string()))
            .unwrap();
        let answer = door.send(request).await;
        assert_eq!(
            (answer.status, answer.code().as_str()),
            (StatusCode::BAD_REQUEST, "idempotency_key_invalid")
        );
    }
}
