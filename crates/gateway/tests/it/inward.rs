//! What vendors send by themselves.

use axum::body::Body;
use chassis::guard;
use http::{Request, StatusCode};
use proto::connections::{ReceiveRequest, ReceiveResponse};
use tonic::Code;

use crate::client::{Answer, Door, door};

const RECEIVE: &str = "accord.connections.v1.Connections/Receive";

async fn send(door: &Door, path: &str, body: impl Into<Body>) -> Answer {
    let request = Request::post(path)
        .header("X-Slack-Request-Timestamp", "1531420618")
        .header("X-Slack-Signature", "v0=a2")
        .header("Content-Type", "application/x-www-form-urlencoded")
        .header("Authorization", "Bearer ak_test")
        .header("Cookie", "session=1");
    door.send(request.body(body.into()).unwrap()).await
}

#[tokio::test]
async fn a_request_of_slack_goes_on_as_it_arrived_with_its_signature_and_nothing_else() {
    let door = door().await;
    // No valid UTF-8, and spelled in a way that nobody may tidy up.
    let raw: &[u8] = b"payload=%7b%7D&a=+%20\xff&&";
    for path in ["/slack/interactions", "/slack/events"] {
        let answer = send(&door, path, raw).await;
        assert_eq!((answer.status, answer.text.as_str()), (StatusCode::OK, ""));
        let request: ReceiveRequest = door.rooms.last_of(RECEIVE).message();
        assert_eq!((request.vendor.as_str(), request.body.as_slice()), ("slack", raw));
        let mut headers: Vec<_> = request.headers.into_iter().collect();
        headers.sort();
        let expected = [
            ("content-type", "application/x-www-form-urlencoded"),
            ("x-slack-request-timestamp", "1531420618"),
            ("x-slack-signature", "v0=a2"),
        ];
        assert_eq!(headers, expected.map(|(name, value)| (name.to_owned(), value.to_owned())));
        assert_eq!(door.rooms.last().header("authorization"), None);
    }
}

#[tokio::test]
async fn the_answer_is_the_connectors_and_a_forged_request_is_401() {
    let door = door().await;
    door.rooms.on(RECEIVE, |_: ReceiveRequest| Ok(ReceiveResponse { text: "3eZbrw".into() }));
    assert_eq!(send(&door, "/slack/events", "{}").await.text, "3eZbrw");
    for (code, stable, status) in [
        (Code::Unauthenticated, "signature_invalid", StatusCode::UNAUTHORIZED),
        (Code::Unauthenticated, "signature_stale", StatusCode::UNAUTHORIZED),
        (Code::InvalidArgument, "body_invalid", StatusCode::BAD_REQUEST),
        (Code::Unavailable, "database_unavailable", StatusCode::SERVICE_UNAVAILABLE),
    ] {
        door.rooms.on(RECEIVE, move |_: ReceiveRequest| {
            Err::<ReceiveResponse, _>(guard::status(code, stable, "No."))
        });
        let answer = send(&door, "/slack/interactions", "payload=%7B%7D").await;
        assert_eq!((answer.status, answer.code().as_str()), (status, stable));
    }
}

#[tokio::test]
async fn a_body_that_is_too_large_reaches_nobody() {
    let door = door().await;
    let answer = send(&door, "/slack/events", vec![b'x'; 1024 * 1024 + 1]).await;
    assert_eq!((answer.status, answer.code().as_str()), (StatusCode::PAYLOAD_TOO_LARGE, "body_too_large"));
    assert!(door.rooms.calls().is_empty());
}

#[tokio::test]
async fn whoever_tries_addresses_of_watches_is_held_back_and_the_watches_that_are_known_are_not() {
    let door = door().await;
    let push = |watch: String, from: &str| {
        let request = Request::post(format!("/push/m365/{watch}")).header("x-forwarded-for", from);
        door.send(request.body(Body::empty()).unwrap())
    };
    let vendor = "192.0.2.1";
    assert_eq!(push("ours".to_owned(), vendor).await.status, StatusCode::ACCEPTED);
    door.rooms.on(RECEIVE, |it: ReceiveRequest| match it.watch.as_str() {
        "ours" => Ok(ReceiveResponse::default()),
        _ => Err(guard::status(Code::NotFound, "watch_unknown", "No.")),
    });
    for number in 1..300 {
        assert_eq!(push(number.to_string(), vendor).await.status, StatusCode::NOT_FOUND, "{number}");
    }
    let before = door.rooms.calls().len();
    let held = push("another".to_owned(), vendor).await;
    assert_eq!((held.status, held.code().as_str()), (StatusCode::TOO_MANY_REQUESTS, "too_many_requests"));
    assert!((1..=60).contains(&held.header("retry-after").parse().unwrap()), "{held:?}");
    assert_eq!(door.rooms.calls().len(), before, "nobody is asked about it");
    assert_eq!(push("another".to_owned(), "192.0.2.2").await.status, StatusCode::NOT_FOUND);
    // What the vendor has to tell of a watch is heard, until it is too much as well.
    for number in 0..1_200 {
        let from = format!("198.51.100.{}", number % 200);
        assert_eq!(push("ours".to_owned(), &from).await.status, StatusCode::ACCEPTED, "{number}");
    }
    let held = push("ours".to_owned(), "198.51.100.201").await;
    assert_eq!((held.status, held.header("retry-after").is_empty()), (StatusCode::TOO_MANY_REQUESTS, false));
}

#[tokio::test]
async fn what_a_vendor_pushes_goes_on_as_it_arrived_and_is_accepted_or_answered_with_its_token() {
    let door = door().await;
    let path = "/push/m365/018f0000-0000-7000-8000-000000000001?validationToken=a%20%26%20b";
    let push = || {
        let request =
            Request::post(path).header("X-Goog-Channel-Token", "secret").header("Cookie", "session=1");
        request.body(Body::from("{\"value\":[]}")).unwrap()
    };
    let answer = door.send(push()).await;
    assert_eq!((answer.status, answer.text.as_str()), (StatusCode::ACCEPTED, ""));
    let request: ReceiveRequest = door.rooms.last_of(RECEIVE).message();
    assert_eq!((request.vendor.as_str(), request.query.as_str()), ("m365", "validationToken=a%20%26%20b"));
    assert_eq!(request.watch, "018f0000-0000-7000-8000-000000000001");
    assert_eq!(request.body, b"{\"value\":[]}");
    let headers: Vec<_> = request.headers.into_iter().collect();
    assert_eq!(headers, [("x-goog-channel-token".to_owned(), "secret".to_owned())]);

    door.rooms.on(RECEIVE, |_: ReceiveRequest| Ok(ReceiveResponse { text: "a & <b>".into() }));
    let answer = door.send(push()).await;
    assert_eq!((answer.status, answer.text.as_str()), (StatusCode::OK, "a & <b>"));
    assert_eq!(answer.headers["content-type"], "text/plain; charset=utf-8");
    assert_eq!(answer.headers["x-content-type-options"], "nosniff");

    for (code, stable, status) in [
        (Code::Unauthenticated, "secret_invalid", StatusCode::UNAUTHORIZED),
        (Code::NotFound, "watch_unknown", StatusCode::NOT_FOUND),
        (Code::InvalidArgument, "body_invalid", StatusCode::BAD_REQUEST),
    ] {
        door.rooms.on(RECEIVE, move |_: ReceiveRequest| {
            Err::<ReceiveResponse, _>(guard::status(code, stable, "No."))
        });
        let answer = door.send(push()).await;
        assert_eq!((answer.status, answer.code().as_str()), (status, stable));
    }
}
