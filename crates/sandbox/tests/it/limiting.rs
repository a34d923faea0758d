//! Rate limits with the vendor's headers and bodies.

use reqwest::Method;
use sandbox::hubspot::Settings;
use serde_json::json;

use crate::client::{Hub, hub_with};
use crate::connecting::connect;

async fn until_refused(hub: &Hub, token: &str, most: usize) -> (usize, crate::client::Answer) {
    for done in 0..=most {
        let answer = hub.send(Method::GET, "/crm/v3/objects/companies", token, None).await;
        if answer.status != 200 {
            return (done, answer);
        }
    }
    panic!("never refused");
}

#[tokio::test]
async fn the_burst_limit_refuses_and_recovers_after_ten_seconds() {
    let hub = hub_with(Settings::default()).await;
    let first = hub.get("/crm/v3/objects/companies").await;
    assert_eq!(first.header("X-HubSpot-RateLimit-Max"), Some("190"), "a private app on Professional");
    assert_eq!(first.header("X-HubSpot-RateLimit-Remaining"), Some("189"));
    assert_eq!(first.header("X-HubSpot-RateLimit-Interval-Milliseconds"), Some("10000"));
    assert_eq!(first.header("X-HubSpot-RateLimit-Daily"), Some("625000"));
    let (done, refused) = until_refused(&hub, hub.handle.access_token(), 200).await;
    assert_eq!((done, refused.status), (189, 429));
    assert_eq!(
        (&refused.body["policyName"], &refused.body["errorType"]),
        (&json!("TEN_SECONDLY_ROLLING"), &json!("RATE_LIMIT"))
    );
    assert_eq!(refused.body["message"], "You have reached your ten_secondly_rolling limit.");
    hub.handle.advance_clock(10_001);
    hub.get("/crm/v3/objects/companies").await.ok();
}

#[tokio::test]
async fn five_searches_a_second_are_answered_and_tell_of_no_other_limit() {
    let hub = hub_with(Settings::default()).await;
    let mut refused = None;
    for _ in 0..50 {
        let answer = hub.search("companies", json!({})).await;
        assert_eq!(answer.header("x-hubspot-rate-limit-exemptions"), Some("ten-secondly"));
        assert_eq!(answer.header("x-hubspot-ratelimit-max"), None);
        if answer.status == 429 {
            refused = Some(answer);
            break;
        }
    }
    let refused = refused.expect("the sixth search within a second is refused");
    assert_eq!(
        (&refused.body["policyName"], &refused.body["message"]),
        (&json!("SECONDLY"), &json!("You have reached your secondly limit."))
    );
    hub.handle.advance_clock(1_000);
    hub.search("companies", json!({})).await.ok();
}

#[tokio::test]
async fn a_public_app_has_a_budget_of_its_own_without_a_daily_one() {
    let hub = hub_with(Settings::default()).await;
    let tokens = connect(&hub, &[]).await;
    let token = tokens["access_token"].as_str().expect("a token");
    let first = hub.send(Method::GET, "/crm/v3/objects/companies", token, None).await;
    assert_eq!(first.header("X-HubSpot-RateLimit-Max"), Some("110"));
    assert_eq!(first.header("X-HubSpot-RateLimit-Daily"), None);
    let (done, refused) = until_refused(&hub, token, 120).await;
    assert_eq!((done, refused.status), (109, 429));
    hub.get("/crm/v3/objects/companies").await.ok();
}
