//! What HubSpot refuses becomes an issue with its words, and goes away by itself.

use std::time::Duration;

use serde_json::{Value, json};
use testkit::eventually;
use tests::{House, Start};

const SOON: Duration = Duration::from_secs(60);

// B16
#[tokio::test]
async fn refused_values_are_listed_by_category_and_changed_together() {
    let house = House::start(Start::default()).await;
    let companies = house.hubspot().ids("companies", 3).await;
    let mut ids = Vec::new();
    for company in &companies {
        let record = house.linked("company", company).await.expect("it was backfilled");
        ids.push(record["id"].as_str().expect("an id").to_owned());
    }
    for id in &ids[..2] {
        house.edit("company", id, json!({ "industry": "Beekeeping", "address_city": "Ghent" })).await;
    }
    house.edit("company", &ids[2], json!({ "address_city": "Ghent" })).await;
    for company in &companies {
        house.hubspot().wait_for_property("companies", company, "city", "Ghent").await;
    }
    let list = eventually(SOON, "two issues", || async {
        let list = issues(&house, "").await;
        (rows(&list).len() == 2).then_some(list)
    })
    .await;
    let first = &rows(&list)[0];
    assert_eq!((&first["field"], &first["state"]), (&json!("industry"), &json!("open")), "{first}");
    assert!(first["suggestion"].as_str().is_some_and(|text| !text.is_empty()), "{first}");
    assert_eq!(list["counts"][0]["count"], 2, "{list}");
    let category = first["category"].as_str().expect("a category").to_owned();
    assert_eq!(rows(&issues(&house, &format!("?category={category}&limit=1")).await).len(), 1);
    assert_eq!(rows(&issues(&house, "?category=auth").await).len(), 0);

    let tried = house.ok("POST", "/api/v1/issues/retry", Some(json!({ "category": category }))).await;
    assert_eq!(tried["count"], 2);
    eventually(SOON, "both to fail again", || async {
        let list = issues(&house, "?state=open").await;
        (rows(&list).len() == 2).then_some(())
    })
    .await;
    house.edit("company", &ids[0], json!({ "industry": "BANKING" })).await;
    house.hubspot().wait_for_property("companies", &companies[0], "industry", "BANKING").await;
    let left = eventually(SOON, "the one that works to go away", || async {
        let list = issues(&house, "").await;
        (rows(&list).len() == 1).then(|| rows(&list)[0].clone())
    })
    .await;
    assert_eq!(left["record_id"], ids[1].as_str());
    let dismissed = house.ok("POST", "/api/v1/issues/dismiss", Some(json!({ "ids": [left["id"]] }))).await;
    assert_eq!(dismissed["count"], 1);
    assert_eq!(rows(&issues(&house, "").await).len(), 0);
    let refused = house.call("POST", "/api/v1/issues/dismiss", Some(json!({}))).await;
    assert_eq!((refused.status, refused.code()), (400, "filter_missing"));
    house.assert_events_are_as_described().await;
}

// B16
#[tokio::test]
async fn an_issue_is_not_tried_again_while_its_mapping_is_paused_and_waits_openly() {
    let house = House::start(Start::default()).await;
    let company = house.hubspot().ids("companies", 1).await.remove(0);
    let record = house.linked("company", &company).await.expect("it was backfilled");
    house.edit("company", record["id"].as_str().expect("an id"), json!({ "industry": "Beekeeping" })).await;
    let issue = eventually(SOON, "the issue", || async { rows(&issues(&house, "").await).pop() }).await;
    let mapping = format!("/api/v1/mappings/{}", house.mapping("company").await);
    house.ok("POST", &format!("{mapping}/pause"), None).await;
    let retry = format!("/api/v1/issues/{}/retry", issue["id"].as_str().expect("an id"));
    let refused = house.call("POST", &retry, None).await;
    assert_eq!((refused.status, refused.code()), (409, "mapping_state"), "{}", refused.body);
    let ids = json!({ "ids": [issue["id"]] });
    assert_eq!(house.ok("POST", "/api/v1/issues/retry", Some(ids)).await["count"], 1);
    eventually(SOON, "it to be open again", || async {
        let found = rows(&issues(&house, "").await).pop()?;
        (found["state"] == "open").then_some(())
    })
    .await;
    house.ok("POST", &format!("{mapping}/resume"), None).await;
    house.ok("POST", &retry, None).await;
}

async fn issues(house: &House, query: &str) -> Value {
    house.ok("GET", &format!("/api/v1/issues{query}"), None).await
}

fn rows(list: &Value) -> Vec<Value> {
    list["data"].as_array().cloned().expect("a list")
}
