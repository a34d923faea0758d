use axum::body::Body;
use http::{Method, Request, StatusCode};
use proto::attribution::{
    DecideClickRequest, DecideClickResponse, FollowLinkRequest, FollowLinkResponse, RecordClickRequest,
    RecordClickResponse,
};
use serde_json::json;

use super::{ORGANIZATION, house};
use crate::client::{Door, door_with};

const FOLLOW: &str = "accord.attribution.v1.Attribution/FollowLink";

pub(super) fn links(door: &Door) {
    door.rooms.on(FOLLOW, |request: FollowLinkRequest| match request.link_key.as_str() {
        "ada" => Ok(FollowLinkResponse {
            click_id: "01JCLICK".into(),
            destination_url: "https://shop.example/?plan=pro&cref=old".into(),
        }),
        "ours-and-theirs" => {
            Err(chassis::guard::status(tonic::Code::InvalidArgument, "tenant_slug_missing", "Say whose."))
        }
        _ => Err(chassis::guard::status(tonic::Code::NotFound, "link_not_found", "There is none.")),
    });
}

fn visit(path: &str) -> Request<Body> {
    let request = Request::builder().method(Method::GET).uri(path).header("user-agent", "Firefox");
    let request = request.header("referer", "https://blog.example/").header("x-forwarded-for", "203.0.113.7");
    request.body(Body::empty()).unwrap()
}

#[tokio::test]
async fn a_link_leads_to_its_destination_with_the_click_in_address_and_cookie() {
    let door = house().await;
    links(&door);
    let answer = door.send(visit("/r/ada")).await;
    assert_eq!(answer.status, StatusCode::FOUND);
    assert_eq!(answer.header("location"), "https://shop.example/?plan=pro&cref=01JCLICK");
    assert_eq!(
        answer.header("set-cookie"),
        "_cref=01JCLICK; Domain=accord.example; Path=/; Max-Age=7776000; SameSite=Lax"
    );
    assert_eq!(answer.header("cache-control"), "no-store");
    let asked = door.rooms.last().message::<FollowLinkRequest>();
    assert_eq!((asked.user_agent.as_str(), asked.referer.as_str()), ("Firefox", "https://blog.example/"));
    assert_eq!(asked.organization_id, "");
    assert!(asked.ip_hash.len() == 32 && !asked.ip_hash.contains("203"), "{}", asked.ip_hash);

    let answer = door.send(visit("/t/northwind/r/ada?to=https%3A%2F%2Fshop.example%2Fdeep")).await;
    assert_eq!(answer.status, StatusCode::FOUND);
    let asked = door.rooms.last().message::<FollowLinkRequest>();
    assert_eq!(
        (asked.organization_id.as_str(), asked.deep_link.as_str()),
        (ORGANIZATION, "https://shop.example/deep")
    );
    let answer = door.send(visit("/r/ours-and-theirs")).await;
    let refused = r#"{"error":"tenant_slug_missing","detail":"Say whose."}"#;
    assert_eq!((answer.status.as_u16(), answer.text.as_str()), (400, refused));
    for path in ["/r/nobody", "/t/nobody/r/ada"] {
        let answer = door.send(visit(path)).await;
        assert_eq!((answer.status.as_u16(), answer.text.as_str()), (404, r#"{"error":"link_not_found"}"#));
    }
}

#[tokio::test]
async fn without_a_secret_no_trace_of_the_visitor_s_address_is_kept_and_without_a_domain_the_cookie_is_our_own()
 {
    let door = door_with(|config| {
        config.visitor_secret = "".into();
        config.cookie_domain = None;
    })
    .await;
    links(&door);
    let answer = door.send(visit("/r/ada")).await;
    assert_eq!(answer.header("set-cookie"), "_cref=01JCLICK; Path=/; Max-Age=7776000; SameSite=Lax");
    assert_eq!(door.rooms.last().message::<FollowLinkRequest>().ip_hash, "");
}

#[tokio::test]
async fn a_click_that_somebody_else_sent_on_is_recorded_once() {
    const RECORD: &str = "accord.attribution.v1.Attribution/RecordClick";
    let door = house().await;
    let click = json!({
        "id": "01JCLICK000000000000000000", "linkKey": "ada", "landingUrl": "https://shop.example/", "ipHash": null,
        "userAgent": "Firefox", "fraudFlag": "velocity", "ts": "2026-04-20T12:00:00Z",
    });
    for (replayed, status, text) in [
        (false, 201, r#"{"ok":true,"id":"01JCLICK000000000000000000"}"#),
        (true, 200, r#"{"ok":true,"id":"01JCLICK000000000000000000","replayed":true}"#),
    ] {
        door.rooms.on(RECORD, move |request: RecordClickRequest| {
            Ok(RecordClickResponse { id: request.id, replayed })
        });
        let answer = door.post("/clicks", &click).await;
        assert_eq!((answer.status.as_u16(), answer.text.as_str()), (status, text));
    }
    let asked = door.rooms.last().message::<RecordClickRequest>();
    assert!(asked.fraud && asked.link_key == "ada" && asked.ts.is_some());

    let faulty = json!({ "id": "short", "linkKey": "no", "landingUrl": "shop", "fraudFlag": "x", "referer": "r".repeat(501) });
    let answer = door.post("/clicks", &faulty).await;
    assert_eq!(answer.status, StatusCode::BAD_REQUEST);
    assert_eq!(
        answer.json()["detail"]["fieldErrors"],
        json!({
            "ts": ["Required"],
            "id": ["String must contain at least 20 character(s)"],
            "linkKey": ["String must contain at least 3 character(s)"],
            "landingUrl": ["Invalid url"],
            "referer": ["String must contain at most 500 character(s)"],
            "fraudFlag": ["Invalid enum value. Expected 'velocity' | 'manual' | 'revoked', received 'x'"],
        })
    );
}

#[tokio::test]
async fn a_click_is_flagged_and_cleared_with_a_note() {
    const DECIDE: &str = "accord.attribution.v1.Attribution/DecideClick";
    let door = house().await;
    door.rooms.on(DECIDE, |_: DecideClickRequest| Ok(DecideClickResponse { reattributed_events: 3 }));
    for decision in ["flag", "clear"] {
        let answer = door.post(&format!("/clicks/01J/{decision}"), &json!({ "note": "a farm" })).await;
        assert_eq!(answer.json(), json!({ "ok": true, "reattributedEvents": 3 }));
        let asked = door.rooms.last().message::<DecideClickRequest>();
        assert_eq!(
            (asked.click_id.as_str(), asked.decision.as_str(), asked.note.as_str()),
            ("01J", decision, "a farm")
        );
    }
}
