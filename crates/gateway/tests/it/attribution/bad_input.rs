use axum::body::Body;
use http::{Method, Request, StatusCode};
use proto::attribution::{ListCommissionsRequest, ListCommissionsResponse};
use serde_json::{Value, json};
use tonic::Code;

use super::{CHECK, house};

const EVENTS: &str = "/attribution/events";

#[tokio::test]
async fn a_body_with_faults_is_refused_field_by_field_in_the_words_of_the_contract() {
    let door = house().await;
    let one = |field: &str, message: &str| json!({ field: [message] });
    for (body, faults) in [
        ("{}", json!({ "userId": ["Required"], "type": ["Required"] })),
        ("", json!({ "userId": ["Required"], "type": ["Required"] })),
        (r#"{"userId":null,"type":"t"}"#, one("userId", "Required")),
        (r#"{"userId":"","type":"t"}"#, one("userId", "String must contain at least 1 character(s)")),
        (r#"{"userId":7,"type":"t"}"#, one("userId", "Expected string, received number")),
        (r#"{"userId":"u","type":[]}"#, one("type", "Expected string, received array")),
        (r#"{"userId":"u","type":"t","value":"lots"}"#, one("value", "Expected number, received string")),
        (
            r#"{"userId":"u","type":"t","value":-1}"#,
            one("value", "Number must be greater than or equal to 0"),
        ),
        (r#"{"userId":"u","type":"t","value":true}"#, one("value", "Expected number, received boolean")),
        (
            r#"{"userId":"u","type":"t","currency":"US"}"#,
            one("currency", "String must contain exactly 3 character(s)"),
        ),
        (
            r#"{"userId":"u","type":"t","currency":""}"#,
            one("currency", "String must contain exactly 3 character(s)"),
        ),
        (r#"{"userId":"u","type":"t","metadata":[]}"#, one("metadata", "Expected object, received array")),
        (r#"{"userId":"u","type":"t","ts":"yesterday"}"#, one("ts", "Invalid datetime")),
        (r#"{"userId":"u","type":"t","ts":"2026-04-20T12:00:00"}"#, one("ts", "Invalid datetime")),
        (r#"{"userId":"u","type":"t","ts":1776686400}"#, one("ts", "Expected string, received number")),
    ] {
        let answer = door.post_as("ak_test", EVENTS, body).await;
        assert_eq!(answer.status, StatusCode::BAD_REQUEST, "{body}");
        let expected =
            json!({ "error": "invalid_body", "detail": { "formErrors": [], "fieldErrors": faults } });
        assert_eq!(answer.json(), expected, "{body}");
    }
    let text = door.post_as("ak_test", EVENTS, "{}").await.text;
    assert_eq!(
        text,
        r#"{"error":"invalid_body","detail":{"formErrors":[],"fieldErrors":{"userId":["Required"],"type":["Required"]}}}"#
    );
    only_identity_was_asked(&door);
}

#[tokio::test]
async fn what_is_no_sound_json_is_refused_as_a_whole() {
    let door = house().await;
    let deep =
        format!(r#"{{"userId":"u","type":"t","metadata":{{"a":{}1{}}}}}"#, "[".repeat(63), "]".repeat(63));
    let very_deep = "[".repeat(500_000);
    for body in [
        "{",
        "[]",
        "null",
        "7",
        "\"x\"",
        "{} {}",
        "userId=u&type=t",
        deep.as_str(),
        very_deep.as_str(),
        r#"{"userId":"a\u0000b","type":"t"}"#,
        r#"{"userId":"u","type":"t","metadata":{"a":"\u0000"}}"#,
        r#"{"userId":"u","type":"t","metadata":{"\u0000":1}}"#,
        r#"{"userId":"u","type":"t","metadata":{"a":"\ud800"}}"#,
        r#"{"userId":"u","type":"t","value":1e400}"#,
        r#"{"userId":"u","type":"t","metadata":{"a":1e999}}"#,
    ] {
        let answer = door.post_as("ak_test", EVENTS, body).await;
        let shown: String = body.chars().take(60).collect();
        assert_eq!(answer.status, StatusCode::BAD_REQUEST, "{shown}");
        assert_eq!(answer.json()["error"], "invalid_body");
        assert!(!answer.json()["detail"]["formErrors"].as_array().unwrap().is_empty(), "{shown}");
    }
    let request =
        Request::builder().method(Method::POST).uri(EVENTS).header("authorization", "Bearer ak_test");
    let answer =
        door.send(request.body(Body::from(b"{\"userId\":\"\xff\",\"type\":\"t\"}".to_vec())).unwrap()).await;
    assert_eq!(answer.status, StatusCode::BAD_REQUEST);
    let large = format!(r#"{{"userId":"{}","type":"t"}}"#, "x".repeat(1024 * 1024));
    let answer = door.post_as("ak_test", EVENTS, &large).await;
    assert_eq!((answer.status.as_u16(), answer.text.as_str()), (413, r#"{"error":"body_too_large"}"#));
    only_identity_was_asked(&door);
}

fn only_identity_was_asked(door: &crate::client::Door) {
    assert!(door.rooms.calls().iter().all(|call| call.method == CHECK));
}

#[tokio::test]
async fn who_may_not_is_told_that_before_anything_about_the_body() {
    let door = house().await;
    for body in ["{}", "{", r#"{"email":7}"#] {
        for key in ["ak_unknown", "op_of_old", ""] {
            let refused = door.post_as(key, "/partners", body).await;
            assert_eq!(
                (refused.status.as_u16(), refused.text.as_str()),
                (401, r#"{"error":"unauthorized"}"#),
                "{key} {body}"
            );
            assert_eq!(refused.header("www-authenticate"), "");
        }
    }
    for (path, scope) in [
        ("/partners", "partners:write"),
        ("/programs", "programs:write"),
        ("/clicks", "clicks:write"),
        ("/api-keys/scoped", "keys:manage"),
        ("/payouts/p/settle", "payouts:write"),
        ("/commissions/approve", "commissions:write"),
    ] {
        let refused = door.post_as("ak_events", path, "{}").await;
        assert_eq!(refused.status, StatusCode::FORBIDDEN, "{path}");
        assert_eq!(refused.text, format!(r#"{{"error":"forbidden_scope","required":"{scope}"}}"#));
    }
    let refused = door.post_as("ak_events", "/api-keys", "{}").await;
    assert_eq!((refused.status.as_u16(), refused.text.as_str()), (403, r#"{"error":"forbidden"}"#));
    only_identity_was_asked(&door);
}

#[tokio::test]
async fn a_refusal_of_the_room_for_want_of_a_scope_names_the_scope() {
    use tonic::Code;
    let door = house().await;
    for (code, stable, status, text) in [
        (
            Code::PermissionDenied,
            "scope_missing",
            403,
            r#"{"error":"forbidden_scope","required":"events:write"}"#,
        ),
        (Code::Unauthenticated, "credential_revoked", 401, r#"{"error":"unauthorized"}"#),
        (Code::Unavailable, "identity_unavailable", 503, r#"{"error":"unavailable"}"#),
        (Code::Internal, "internal", 500, r#"{"error":"internal_error"}"#),
        (Code::ResourceExhausted, "rate_limited", 429, r#"{"error":"rate_limited","detail":"No."}"#),
    ] {
        door.rooms.on(super::RECORD, move |_: proto::attribution::RecordEventsRequest| {
            Err::<proto::attribution::RecordEventsResponse, _>(chassis::guard::status(code, stable, "No."))
        });
        let answer = door.post(EVENTS, &json!({ "userId": "u", "type": "t" })).await;
        assert_eq!((answer.status.as_u16(), answer.text.as_str()), (status, text));
        assert_eq!(answer.header("retry-after"), if status == 503 { "1" } else { "" });
    }
}

#[tokio::test]
async fn a_query_with_faults_is_refused_field_by_field() {
    let door = house().await;
    for (path, field, message) in [
        ("/commissions?limit=0", "limit", "Number must be greater than or equal to 1"),
        ("/commissions?limit=501", "limit", "Number must be less than or equal to 500"),
        ("/commissions?limit=many", "limit", "Expected number, received nan"),
        ("/commissions?limit=1.5", "limit", "Expected integer, received float"),
        ("/commissions?limit=1&limit=2", "limit", "Expected string, received array"),
        (
            "/commissions?status=lost",
            "status",
            "Invalid enum value. Expected 'accrued' | 'approved' | 'paid' | 'reversed', received 'lost'",
        ),
        ("/attributions?since=then", "since", "Invalid datetime"),
        ("/attributions?userId=a%00b", "userId", "Invalid"),
        (
            "/partners/p/timeseries?since=1990-01-01T00:00:00Z",
            "since",
            "At most three years are shown at once",
        ),
    ] {
        let answer = door.get(path).await;
        assert_eq!(answer.status, StatusCode::BAD_REQUEST, "{path}");
        let detail = json!({ "formErrors": [], "fieldErrors": { field: [message] } });
        assert_eq!(answer.json(), json!({ "error": "invalid_query", "detail": detail }), "{path}");
    }
    only_identity_was_asked(&door);
    // What only the room knows to be wrong is in the address all the same.
    door.rooms.on("accord.attribution.v1.Attribution/ListCommissions", |_: ListCommissionsRequest| {
        let status = chassis::guard::status(Code::InvalidArgument, "cursor_invalid", "It is no cursor.");
        Err::<ListCommissionsResponse, _>(chassis::guard::at_field(status, "cursor"))
    });
    let answer = door.get("/commissions?cursor=nonsense").await;
    let detail = json!({ "formErrors": [], "fieldErrors": { "cursor": ["It is no cursor."] } });
    assert_eq!(answer.json(), json!({ "error": "invalid_query", "detail": detail }));
}

#[tokio::test]
async fn a_wrong_method_or_path_is_answered_in_the_same_shape() {
    let door = house().await;
    for (method, path, status, error) in [
        (Method::GET, "/attribution/nothing", 404, "not_found"),
        (Method::POST, "/api/commissions/c/sing", 404, "not_found"),
        (Method::POST, "/commissions/sing", 404, "not_found"),
        (Method::GET, "/t/northwind/nothing", 404, "not_found"),
        (Method::PUT, "/attribution/events", 405, "method_not_allowed"),
        (Method::DELETE, "/api/partners", 405, "method_not_allowed"),
        (Method::POST, "/r/link", 405, "method_not_allowed"),
        (Method::GET, "/partners/%00/links", 400, "invalid_path"),
        (Method::GET, "/partners/%ff/links", 400, "invalid_path"),
        (Method::GET, "/r/%00", 400, "invalid_path"),
    ] {
        let answer = door.call(method.clone(), path, None).await;
        let found = answer.json();
        assert_eq!(
            (answer.status.as_u16(), &found["error"]),
            (status, &Value::from(error)),
            "{method} {path}"
        );
    }
}

/// Each operation of this API as it is described, and what is no address of it.
fn addresses() -> Vec<(Method, String)> {
    let description = serde_json::to_value(gateway::openapi()).unwrap();
    let mut addresses = vec![(Method::GET, "/{anything}".to_owned())];
    for (path, item) in description["paths"].as_object().unwrap() {
        for (method, operation) in item.as_object().unwrap() {
            if operation["tags"][0] == "attribution" {
                addresses.push((Method::from_bytes(method.to_uppercase().as_bytes()).unwrap(), path.clone()));
            }
        }
    }
    assert!(addresses.len() > 80, "{} addresses are all that is described", addresses.len());
    addresses
}

/// The fields of the bodies, as they are described.
fn fields() -> Vec<String> {
    let description = serde_json::to_value(gateway::openapi()).unwrap();
    let named = description["paths"]
        .as_object()
        .unwrap()
        .values()
        .flat_map(|item| item.as_object().unwrap().values());
    let own = named.filter(|operation| operation["tags"][0] == "attribution");
    let mut fields = std::collections::BTreeSet::new();
    for operation in own {
        let schema = &operation["requestBody"]["content"]["application/json"]["schema"];
        let schema = match schema["$ref"].as_str() {
            Some(named) => &description["components"]["schemas"][named.rsplit('/').next().unwrap()],
            None => schema,
        };
        fields.extend(schema["properties"].as_object().into_iter().flat_map(|fields| fields.keys().cloned()));
    }
    assert!(fields.len() > 40 && fields.contains("userId") && fields.contains("mapping"), "{fields:?}");
    fields.into_iter().collect()
}

/// A path with these in its places.
fn filled(path: &str, parts: &[String]) -> String {
    let mut path = path.to_owned();
    for part in parts {
        let Some((before, rest)) = path.split_once('{') else { break };
        path = format!("{before}{part}{}", rest.split_once('}').map_or("", |(_, rest)| rest));
    }
    path
}

#[test]
fn no_request_whatever_makes_a_server_error() {
    use proptest::{collection::vec, prelude::*, sample::select};
    let paths = addresses();
    let runtime = tokio::runtime::Runtime::new().unwrap();
    let door = runtime.block_on(house());
    answers(&door);
    let segment = || prop_oneof!["[a-z_0-9]{1,12}", "(%[0-9a-f]{2}){1,6}", "[!-~&&[^/?#%]]{1,10}"];
    let base = select(vec!["", "/api", "/t/northwind", "/api/t/northwind", "/t/{slug}", "/api/t/%2e"]);
    let value = "(null|true|[0-9e.-]{1,9}|\"[ -~&&[^\"\\\\]]{0,9}\"|\\{\"[a-z]\":[0-9.]{1,30}\\}|\\[\\]|\\[\\{\"userId\":\"u\",\"type\":\"t\"\\}\\])";
    let field = fields().join("|");
    let field = format!("({field})");
    let json = format!("\\{{(\"{field}\":{value},){{0,5}}\"{field}\":{value}\\}}");
    let json = proptest::string::string_regex(&json).unwrap();
    let body = prop_oneof![json.prop_map(String::into_bytes), vec(any::<u8>(), 0..200)];
    let query = prop_oneof![
        Just(String::new()),
        "\\?(limit|since|until|status|cursor|hard|event|offset|includeLinks|scope|partnerId|reason|state|x)=[!-~&&[^#]]{0,12}"
    ];
    let other =
        select(vec![Method::GET, Method::POST, Method::PATCH, Method::PUT, Method::DELETE, Method::OPTIONS]);
    let request = (other, any::<bool>(), base, select(paths), vec(segment(), 3), query, body);
    proptest!(ProptestConfig::with_cases(8_000), |((other, is_own, base, (own, path), parts, query, body) in request)| {
        let method = if is_own { own } else { other };
        let uri = filled(&format!("{base}{path}"), &parts) + &query;
        let request = Request::builder().method(&method).uri(&uri).header("authorization", "Bearer ak_test");
        if let Ok(request) = request.body(Body::from(body)) {
            let answer = runtime.block_on(door.send(request));
            prop_assert!(!answer.status.is_server_error(), "{method} {uri}: {answer:?}");
            if answer.status.is_client_error() {
                let body = answer.json();
                prop_assert!(body["error"].is_string() || body["error"]["code"].is_string(), "{method} {uri}: {answer:?}");
            }
        }
    });
}

/// Rooms that do whatever they are asked for.
fn answers(door: &crate::client::Door) {
    use proto::attribution::{
        CommissionAnswer, DecideCommissionsRequest, DecideCommissionsResponse, DecideReviewsRequest,
        FollowLinkRequest, FollowLinkResponse, commission_answer::Answer,
    };
    let decided = |ids: &[String]| {
        let answer = |_: &String| CommissionAnswer { answer: Some(Answer::Commission(Default::default())) };
        Ok(DecideCommissionsResponse { answers: ids.iter().map(answer).collect() })
    };
    door.rooms.on("accord.attribution.v1.Attribution/DecideReviews", move |request: DecideReviewsRequest| {
        decided(&request.commission_ids)
    });
    for method in ["ApproveCommissions", "ReverseCommissions", "HoldCommissions", "ReleaseCommissions"] {
        door.rooms.on(
            &format!("accord.attribution.v1.Attribution/{method}"),
            move |request: DecideCommissionsRequest| decided(&request.commission_ids),
        );
    }
    door.rooms.on("accord.attribution.v1.Attribution/FollowLink", |_: FollowLinkRequest| {
        Ok(FollowLinkResponse { click_id: "c".into(), destination_url: "https://shop.example/".into() })
    });
}
