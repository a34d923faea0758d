//! The daily allocation.

use reqwest::Method;
use sandbox::salesforce::Settings;
use serde_json::json;

use super::{V, force, force_with, refused};

#[tokio::test]
async fn every_call_says_how_much_of_the_day_is_used_and_then_is_refused() {
    let force = force_with(Settings { daily_requests: 4, ..Settings::default() }).await;
    let first = force.get("sobjects").await;
    assert_eq!(first.header("sforce-limit-info"), Some("api-usage=1/4"));
    let limits = force.get("limits").await.ok();
    assert_eq!(limits["DailyApiRequests"], json!({"Max": 4, "Remaining": 2}), "the call itself counts");
    let wrong = force.get("sobjects/Nothing/describe").await;
    assert_eq!(wrong.header("sforce-limit-info"), Some("api-usage=3/4"));
    let several = json!({"batchRequests": [{"method": "GET", "url": "v62.0/limits"}, {"method": "GET", "url": "v62.0/limits"}]});
    assert_eq!(
        force.post("composite/batch", several).await.header("sforce-limit-info"),
        Some("api-usage=4/4")
    );
    let over = force.get("limits").await;
    assert_eq!(refused(&over, 403, "REQUEST_LIMIT_EXCEEDED"), "TotalRequests Limit exceeded.");
    assert_eq!(over.header("retry-after"), None);
    let open = force.send(Method::GET, "/services/data", "", &[], None).await;
    assert_eq!((open.status, open.header("sforce-limit-info")), (200, None));
    force.handle.advance_clock(25 * 3_600_000);
    force.get("limits").await.ok();
}

#[tokio::test]
async fn records_are_counted_by_object() {
    let force = force().await;
    force.handle.seed("Lead", 3).expect("seeded");
    let id = force.make("Account", json!({"Name": "Acme"})).await;
    force.delete(&format!("{V}/sobjects/Account/{id}")).await;
    let counts = force.get("limits/recordCount?sObjects=Lead,Account").await.ok();
    assert_eq!(counts, json!({"sObjects": [{"count": 0, "name": "Account"}, {"count": 3, "name": "Lead"}]}));
}
