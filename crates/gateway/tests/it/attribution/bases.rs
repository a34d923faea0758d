use axum::body::Body;
use http::{Method, Request, StatusCode};
use proto::attribution::{IdentifyRequest, IdentifyResponse};
use serde_json::json;

use super::{ELSEWHERE, FIND, ORGANIZATION, RECORD, house};

#[tokio::test]
async fn the_four_bases_are_the_same_api() {
    let door = house().await;
    let event = json!({ "userId": "u", "type": "t" });
    let mut texts = Vec::new();
    for base in ["", "/api", "/t/northwind", "/api/t/northwind"] {
        let answer = door.post(&format!("{base}/attribution/events"), &event).await;
        assert_eq!(answer.status, StatusCode::OK, "{base}");
        assert!(!answer.header("x-request-id").is_empty());
        texts.push(answer.text);
    }
    assert!(texts.windows(2).all(|pair| pair[0] == pair[1]));
    let called = |method: &str| door.rooms.calls().iter().filter(|call| call.method == method).count();
    assert_eq!((called(RECORD), called(FIND)), (4, 1), "a slug is remembered");
}

#[tokio::test]
async fn a_key_is_none_at_the_address_of_another_organization() {
    let door = house().await;
    let event = r#"{"userId":"u","type":"t"}"#;
    for (key, slug, status) in [
        ("ak_test", "northwind", 200),
        ("ak_elsewhere", "contoso", 200),
        ("ak_test", "contoso", 401),
        ("ak_elsewhere", "northwind", 401),
        ("ak_test", "nobody", 401),
        ("ak_unknown", "northwind", 401),
    ] {
        for base in ["/t", "/api/t"] {
            let answer = door.post_as(key, &format!("{base}/{slug}/attribution/events"), event).await;
            assert_eq!(answer.status.as_u16(), status, "{key} {slug}");
            if status == 401 {
                assert_eq!(answer.text, r#"{"error":"unauthorized"}"#);
            }
        }
    }
    assert_eq!(door.rooms.calls().iter().filter(|call| call.method == RECORD).count(), 4);
}

#[tokio::test]
async fn without_a_key_the_slug_says_whose_clicks_are_meant() {
    const IDENTIFY: &str = "accord.attribution.v1.Attribution/Identify";
    let door = house().await;
    door.rooms.on(IDENTIFY, |_: IdentifyRequest| {
        Ok(IdentifyResponse { identify_id: "idn_1".into(), first_stitch: true, backfilled_attributions: 2 })
    });
    for (base, organization) in
        [("", ""), ("/api", ""), ("/t/northwind", ORGANIZATION), ("/api/t/contoso", ELSEWHERE)]
    {
        let path = format!("{base}/attribution/identify");
        let request =
            Request::builder().method(Method::POST).uri(path).header("origin", "https://shop.example");
        let body = Body::from(r#"{"cref":"c","userId":"u","ts":1776686400000}"#);
        let answer = door.send(request.body(body).unwrap()).await;
        assert_eq!(answer.status, StatusCode::OK);
        let expected = r#"{"ok":true,"identityId":"idn_1","firstStitch":true,"backfilledAttributions":2}"#;
        assert_eq!(answer.text, expected);
        assert_eq!(answer.header("access-control-allow-origin"), "*");
        let asked = door.rooms.last();
        assert_eq!(asked.message::<IdentifyRequest>().organization_id, organization);
        assert_eq!(asked.header("authorization"), None);
    }
    let answer = door.post("/t/nobody/attribution/identify", &json!({ "cref": "c", "userId": "u" })).await;
    assert_eq!((answer.status.as_u16(), answer.text.as_str()), (404, r#"{"error":"click_not_found"}"#));
}

#[tokio::test]
async fn an_address_of_nothing_keeps_the_shape_of_the_rest_of_the_gateway() {
    let door = house().await;
    for path in ["/api/v1/nothing", "/api/v2/me", "/nothing", "/t", "/t/northwind"] {
        let answer = door.get(path).await;
        assert_eq!(
            (answer.status, answer.code().as_str()),
            (StatusCode::NOT_FOUND, "path_unknown"),
            "{path}"
        );
    }
}
