use axum::body::Body;
use http::{Method, Request};
use proptest::{collection::vec, prelude::*, sample::select};

use crate::client::{Door, door};

const PATHS: [&str; 30] = [
    "records/deals",
    "records/deals/~",
    "records/~/~",
    "records/deals/~/history",
    "objects/~/fields",
    "connections/~",
    "connections/authorize",
    "connections/~/sync",
    "connections/~/usage",
    "connections/~/health",
    "mappings",
    "mappings/~",
    "mappings/~/fields/~",
    "mappings/~/activate",
    "conflicts",
    "conflicts/~/restore",
    "issues",
    "deal-registrations",
    "deal-registrations/~/approve",
    "notification-rules",
    "vendor-users/~/~",
    "timeline",
    "activities",
    "audit",
    "audit/export",
    "users",
    "users/~",
    "api-keys",
    "integration-keys/~/rotate",
    "~",
];

fn segment() -> impl Strategy<Value = String> {
    prop_oneof![
        "[a-z_0-9]{1,12}",
        "(%[0-9a-f]{2}){1,6}",
        "[!-~&&[^/?#%]]{1,10}",
        Just("rec_00000000000000000000000000000000".to_owned()),
    ]
}

fn body() -> impl Strategy<Value = Vec<u8>> {
    let json = "\\{\"(fields|label|object|vendor|role|action|plan_hash)\":(null|[0-9e.-]{1,9}|\"[ -~]{0,9}\"|\\{\"[a-z]\":[0-9.]{1,30}\\}|\\[\\])\\}";
    prop_oneof![
        json.prop_map(String::into_bytes),
        vec(any::<u8>(), 0..200),
        ".{0,60}".prop_map(String::into_bytes)
    ]
}

fn request() -> impl Strategy<Value = Option<Request<Body>>> {
    let method =
        select(vec![Method::GET, Method::POST, Method::PATCH, Method::DELETE, Method::PUT, Method::HEAD]);
    let query = prop_oneof![
        Just(String::new()),
        "\\?(limit|page|vendor|before|from|minutes|x)=[!-~&&[^#]]{0,12}",
        "\\?[!-~&&[^#]]{0,30}",
    ];
    let media = select(vec!["application/json", "application/json; charset=utf-8", "text/html", "", "/"]);
    let path = (select(PATHS.to_vec()), vec(segment(), 2));
    (method, path, query, media, body()).prop_map(|(method, (path, segments), query, media, body)| {
        let mut path = path.to_owned();
        for segment in segments {
            path = path.replacen('~', &segment, 1);
        }
        let request = Request::builder()
            .method(method)
            .uri(format!("/api/v1/{path}{query}"))
            .header("authorization", "Bearer ak_test")
            .header("content-type", media);
        request.body(Body::from(body)).ok()
    })
}

async fn try_one(door: &Door, request: Request<Body>) -> (http::StatusCode, String) {
    let answer = door.send(request).await;
    (answer.status, answer.text)
}

#[test]
fn no_request_whatever_makes_a_server_error() {
    let runtime = tokio::runtime::Runtime::new().unwrap();
    let door = runtime.block_on(door());
    proptest!(ProptestConfig::with_cases(3_000), |(request in request())| {
        if let Some(request) = request {
            let shown = format!("{} {}", request.method(), request.uri());
            let is_head = request.method() == Method::HEAD;
            let (status, text) = runtime.block_on(try_one(&door, request));
            prop_assert!(!status.is_server_error(), "{shown}: {status} {text}");
            if status.is_client_error() && !is_head {
                let answer: serde_json::Value = serde_json::from_str(&text).unwrap();
                prop_assert!(answer["error"]["code"].is_string(), "{shown}: {text}");
            }
        }
    });
}
