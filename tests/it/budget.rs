//! What a connection may use of the vendor's API, and how well each of its objects keeps up.

use std::time::Duration;

use serde_json::{Value, json};
use testkit::eventually;
use tests::{House, Start};

const WAIT: Duration = Duration::from_secs(60);

async fn issues(house: &House, connection: &str) -> Vec<Value> {
    let path = format!("/api/v1/issues?connection_id={connection}&category=rate_limit");
    let found = house.ok("GET", &path, None).await["data"].as_array().cloned().expect("a list");
    found.into_iter().filter(|issue| issue["state"] == "open").collect()
}

#[tokio::test]
async fn a_spent_budget_is_an_issue_and_what_waits_arrives_once_it_is_raised() {
    let house = House::start(Start::default()).await;
    let (hubspot, connection) = (house.hubspot(), house.connection().await);
    let company = hubspot.ids("companies", 1).await.remove(0);
    let path = format!("/api/v1/connections/{connection}/budget");
    let none = house.ok("GET", &path, None).await;
    assert_eq!((&none["calls"], &none["level"]), (&Value::Null, &json!("ok")), "{none}");

    let wish = json!({ "calls": 12, "window": "day", "warn_percent": 50 });
    let viewer = house.sign_in("viewer").await;
    let refused = house.call_as(&[("authorization", &viewer)], "PUT", &path, Some(wish.clone())).await;
    assert_eq!(refused.status, 403, "{}", refused.body);
    let wrong = house.call("PUT", &path, Some(json!({ "calls": 12, "warn_percent": 101 }))).await;
    assert_eq!((wrong.status, wrong.code()), (400, "budget_warning_invalid"), "{}", wrong.body);

    // More was called before than that, so all is used at once.
    let set = house.ok("PUT", &path, Some(wish)).await;
    assert_eq!((&set["level"], &set["left"]), (&json!("spent"), &json!(0)), "{set}");
    let issue = eventually(WAIT, "an issue", || async { issues(&house, &connection).await.pop() }).await;
    assert!(issue["message"].as_str().is_some_and(|text| text.contains("12 API calls")), "{issue}");
    let retry = format!("/api/v1/issues/{}/retry", issue["id"].as_str().expect("an id"));
    let refused = house.call("POST", &retry, None).await;
    assert_eq!((refused.status, refused.code()), (409, "budget_low"), "{}", refused.body);
    hubspot.edit("companies", &company, "phone", "+1 555 0911").await;
    let record = house.linked("company", &company).await.expect("it is linked");
    let id = record["id"].as_str().expect("an id");
    house.edit("company", id, json!({ "address_city": "Visby" })).await;
    tokio::time::sleep(Duration::from_secs(3)).await;
    let record = house.linked("company", &company).await.expect("it is linked");
    assert_ne!(record["fields"]["phone"], "+1 555 0911", "nothing is read");
    assert_eq!(house.wait_for_state("active").await["reason"], Value::Null);

    house.ok("PUT", &path, Some(json!({ "calls": 100_000 }))).await;
    house.wait_for_field("company", &company, "phone", "+1 555 0911").await;
    hubspot.wait_for_property("companies", &company, "city", "Visby").await;
    eventually(WAIT, "the issue to clear itself", || async {
        issues(&house, &connection).await.is_empty().then_some(())
    })
    .await;
    let entry = house.wait_for_audit("action=connection.budget_changed").await;
    assert!(entry["summary"].as_str().is_some_and(|text| text.contains("from 12 calls")), "{entry}");
    house.wait_for_audit("action=connection.budget_reached").await;
    what_is_left_is_told(&house, &connection).await;
}

async fn what_is_left_is_told(house: &House, connection: &str) {
    let limit = eventually(WAIT, "the vendor's limit", || async {
        let usage = house.ok("GET", &format!("/api/v1/connections/{connection}/usage"), None).await;
        usage["limits"].as_array()?.first().cloned()
    })
    .await;
    assert_eq!((&limit["name"], &limit["window_seconds"]), (&json!("core"), &json!(10)), "{limit}");
    assert_eq!(limit["calls"], 110, "{limit}");
    assert!(limit["remaining"].as_u64() <= Some(110), "{limit}");
    let health = eventually(WAIT, "a canary of companies", || async {
        let health = house.ok("GET", &format!("/api/v1/connections/{connection}/health"), None).await;
        let objects = health["objects"].as_array().cloned()?;
        objects
            .into_iter()
            .find(|one| one["vendor_object"] == "companies" && one["canaries"].as_u64() > Some(0))
    })
    .await;
    assert!(health["canary_p95_ms"].as_u64() >= health["canary_p50_ms"].as_u64(), "{health}");
    assert!(health["changes"].as_u64() > Some(0) && health["lag_p95_ms"].as_u64() > Some(0), "{health}");
    assert!(health["success_rate"].as_f64() > Some(0.5), "{health}");
}
