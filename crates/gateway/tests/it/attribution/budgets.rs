use std::time::Duration;

use axum::body::Body;
use gateway::Budget;
use http::{Method, Request, StatusCode};
use serde_json::json;

use super::people;
use crate::client::door_with;

#[tokio::test]
async fn a_key_has_a_budget_and_every_answer_says_what_is_left_of_it() {
    let door =
        door_with(|config| config.key_budget = Budget { requests: 3, window: Duration::from_secs(300) })
            .await;
    people(&door);
    let event = json!({ "userId": "u", "type": "t" });
    for (body, status, left) in [(&event, 200, 2), (&json!({}), 400, 1), (&event, 200, 0)] {
        let answer = door.post("/attribution/events", body).await;
        assert_eq!(answer.status.as_u16(), status);
        assert_eq!(answer.header("ratelimit-policy"), "3;w=300");
        assert_eq!(answer.header("ratelimit"), format!("limit=3, remaining={left}, reset=300"));
    }
    let calls = door.rooms.calls().len();
    let answer = door.post("/api/attribution/events", &event).await;
    assert_eq!((answer.status.as_u16(), answer.text.as_str()), (429, r#"{"error":"rate_limited"}"#));
    assert_eq!(
        (answer.header("retry-after"), answer.header("ratelimit")),
        ("300", "limit=3, remaining=0, reset=300")
    );
    assert!(!answer.header("x-request-id").is_empty());
    assert_eq!(door.rooms.calls().len(), calls);
    let other = door.post_as("ak_events", "/attribution/events", &event.to_string()).await;
    assert_eq!(other.status, StatusCode::OK);
}

#[tokio::test]
async fn a_link_and_an_address_of_nothing_cost_nothing_and_say_what_is_left() {
    let door =
        door_with(|config| config.key_budget = Budget { requests: 3, window: Duration::from_secs(300) })
            .await;
    people(&door);
    super::clicks::links(&door);
    let said = |answer: &crate::client::Answer| {
        (answer.header("ratelimit-policy").to_owned(), answer.header("ratelimit").to_owned())
    };
    let left = |left: u32| ("3;w=300".to_owned(), format!("limit=3, remaining={left}, reset=300"));
    for path in ["/r/ada", "/t/northwind/r/ada", "/r/nobody"] {
        let visit = Request::builder().uri(path).header("x-forwarded-for", "203.0.113.7");
        assert_eq!(said(&door.send(visit.body(Body::empty()).unwrap()).await), left(3), "{path}");
    }
    assert_eq!(
        door.post("/attribution/events", &json!({ "userId": "u", "type": "t" })).await.status,
        StatusCode::OK
    );
    for (method, path, status) in
        [(Method::POST, "/attribution/nothing", 404), (Method::PUT, "/api/attribution/events", 405)]
    {
        let answer = door.call(method, path, None).await;
        assert_eq!((answer.status.as_u16(), said(&answer)), (status, left(2)), "{path}");
    }
}

#[tokio::test]
async fn the_usual_budgets_are_those_that_callers_know() {
    let door = door_with(|config| {
        config.key_budget = Budget::OF_A_KEY;
        config.identify_budget = Budget::OF_AN_ADDRESS;
    })
    .await;
    people(&door);
    let answer = door.post("/attribution/events", &json!({})).await;
    assert_eq!(answer.header("ratelimit-policy"), "600;w=300");
    assert_eq!(answer.header("ratelimit"), "limit=600, remaining=599, reset=300");
    let answer = door.post("/attribution/identify", &json!({})).await;
    assert_eq!(answer.header("ratelimit-policy"), "120;w=60");
}

#[tokio::test]
async fn an_address_may_identify_so_often_and_browsers_can_read_that_it_was_too_often() {
    let door =
        door_with(|config| config.identify_budget = Budget { requests: 1, window: Duration::from_secs(60) })
            .await;
    let identify = |address: &str, method: Method| {
        let request = Request::builder().method(method).uri("/attribution/identify");
        let request = request.header("x-forwarded-for", address).header("origin", "https://shop.example");
        door.send(request.body(Body::from("{}")).unwrap())
    };
    for _ in 0..3 {
        let asked = identify("203.0.113.7", Method::OPTIONS).await;
        assert_eq!(asked.status, StatusCode::NO_CONTENT);
        assert_eq!(asked.header("access-control-allow-origin"), "*");
        assert_eq!(asked.header("access-control-allow-methods"), "POST");
        assert_eq!(asked.header("access-control-allow-headers"), "content-type");
    }
    assert_eq!(identify("203.0.113.7", Method::POST).await.status, StatusCode::BAD_REQUEST);
    let refused = identify("198.51.100.1, 203.0.113.7", Method::POST).await;
    assert_eq!((refused.status.as_u16(), refused.text.as_str()), (429, r#"{"error":"rate_limited"}"#));
    assert_eq!(refused.header("access-control-allow-origin"), "*");
    assert_eq!(identify("203.0.113.8", Method::POST).await.status, StatusCode::BAD_REQUEST);
}
