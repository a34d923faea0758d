use chassis::guard;
use http::{Method, Request, StatusCode};
use proto::sync::{GetRecordRequest, Record};
use tonic::{Code, Status};

use crate::client::{config, door, send};

const GET_RECORD: &str = "accord.sync.v1.Sync/GetRecord";
const PATH: &str = "/api/v1/records/deals/rec_1";

#[tokio::test]
async fn each_refusal_of_a_room_has_its_http_status_and_keeps_its_stable_code() {
    let door = door().await;
    for (code, status) in [
        (Code::InvalidArgument, 400),
        (Code::OutOfRange, 500),
        (Code::Unauthenticated, 401),
        (Code::PermissionDenied, 403),
        (Code::NotFound, 404),
        (Code::AlreadyExists, 409),
        (Code::Aborted, 409),
        (Code::FailedPrecondition, 409),
        (Code::ResourceExhausted, 429),
        (Code::Unimplemented, 501),
        (Code::Unavailable, 503),
        (Code::DeadlineExceeded, 504),
        (Code::Cancelled, 504),
        (Code::Internal, 500),
        (Code::Unknown, 500),
        (Code::DataLoss, 500),
    ] {
        door.rooms.on(GET_RECORD, move |_: GetRecordRequest| {
            let refusal = guard::status(code, "record_peculiar", "It is peculiar.");
            Err::<Record, _>(guard::at_field(refusal, "id"))
        });
        let answer = door.get(PATH).await;
        assert_eq!(answer.status.as_u16(), status, "{code:?}");
        let error = &answer.json()["error"];
        assert_eq!(error["code"], "record_peculiar");
        assert_eq!(error["message"], "It is peculiar.");
        assert_eq!(error["field"], "id");
        assert_eq!(answer.header("www-authenticate"), if status == 401 { "Bearer" } else { "" });

        // Without a stable code the sentence is not a room's, and stays here.
        door.rooms.on(GET_RECORD, move |_: GetRecordRequest| Err::<Record, _>(Status::new(code, "10.0.0.7")));
        let answer = door.get(PATH).await;
        assert_eq!(answer.status.as_u16(), status);
        assert!(!answer.text.contains("10.0.0.7") && !answer.code().is_empty(), "{answer:?}");
    }
}

#[tokio::test]
async fn a_room_that_does_not_answer_is_unavailable_and_stays_unnamed() {
    let closed = {
        let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
        listener.local_addr().unwrap()
    };
    let app = gateway::app(config(&format!("http://{closed}"))).unwrap();
    let request = Request::builder().uri(PATH).header("authorization", "Bearer ak_test");
    let answer = send(app, request.body(axum::body::Body::empty()).unwrap()).await;
    assert_eq!(answer.status, StatusCode::SERVICE_UNAVAILABLE);
    assert_eq!(answer.code(), "unavailable");
    assert!(!answer.text.contains(&closed.port().to_string()), "{answer:?}");
}

#[tokio::test]
async fn a_credential_goes_to_the_room_as_it_came_and_none_goes_nowhere() {
    let door = door().await;
    for (header, value) in [
        ("authorization", "Bearer ak_one"),
        ("authorization", "Bearer as_session"),
        ("x-integration-key", "ik_product"),
    ] {
        let request = Request::builder().uri("/api/v1/me").header(header, value);
        let answer = door.send(request.body(axum::body::Body::empty()).unwrap()).await;
        assert_eq!(answer.status, StatusCode::OK);
        assert_eq!(door.rooms.last().header(header), Some(value));
    }
    let before = door.rooms.calls().len();
    for (header, value, code) in [
        ("accept", "*/*", "credential_missing"),
        ("authorization", "Basic dXNlcjpwYXNz", "credential_malformed"),
        ("authorization", "Bearer", "credential_malformed"),
        ("authorization", "Bearer xyz", "credential_malformed"),
        ("x-integration-key", "ak_one", "credential_malformed"),
    ] {
        let request = Request::builder().uri("/api/v1/me").header(header, value);
        let answer = door.send(request.body(axum::body::Body::empty()).unwrap()).await;
        assert_eq!((answer.status, answer.code().as_str()), (StatusCode::UNAUTHORIZED, code), "{value}");
    }
    assert_eq!(door.rooms.calls().len(), before);
}

#[tokio::test]
async fn every_answer_has_an_id_and_is_neither_cached_nor_shared_with_other_origins() {
    let door = door().await;
    let answer = door.call(Method::GET, "/api/v1/me", None).await;
    assert!(!answer.header("x-request-id").is_empty());
    assert_eq!(answer.header("x-content-type-options"), "nosniff");
    assert_eq!(answer.header("cache-control"), "no-store");
    assert_eq!(answer.header("access-control-allow-origin"), "");
}
