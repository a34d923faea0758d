//! Why a field has its value: the whole way, through HubSpot's sandbox and back.

use std::time::Duration;

use serde_json::{Value, json};
use testkit::eventually;
use tests::{House, Start};

// B3
#[tokio::test]
async fn a_value_tells_its_way_from_the_edit_to_the_vendor_and_back() {
    let house = House::start(Start::default()).await;
    let company = house.hubspot().ids("companies", 1).await.remove(0);
    house.hubspot().edit("companies", &company, "city", "Ghent").await;
    let record = house.wait_for_field("company", &company, "address_city", "Ghent").await;
    let id = record["id"].as_str().expect("an id").to_owned();
    let story = lineage(&house, &id, "address_city").await;
    assert_eq!(kinds(&story), ["change", "mapping"], "{story}");
    assert_eq!(story["value"], "Ghent");
    assert_eq!(
        (&story["steps"][0]["vendor"], &story["steps"][0]["note"]),
        (&json!("hubspot"), &json!("vendor_moved"))
    );
    assert_eq!(story["steps"][1]["mapping_id"], house.mapping("company").await);
    let event = story["steps"][0]["id"].as_str().expect("the change event").to_owned();
    let changed = house.wait_for_audit(&format!("action=record.changed&target={id}")).await;
    assert_eq!(changed["cause"], event.as_str(), "the audit log names the same change event");

    house.edit("company", &id, json!({ "address_city": "Bruges" })).await;
    house.hubspot().wait_for_property("companies", &company, "city", "Bruges").await;
    let story = eventually(Duration::from_secs(60), "the echo of the write", || async {
        let story = lineage(&house, &id, "address_city").await;
        (kinds(&story) == ["edit", "write", "answer", "echo"]).then_some(story)
    })
    .await;
    assert_eq!(story["steps"][1]["vendor_field"], "city");
    assert_eq!(story["steps"][2]["value"], "Bruges");
    let before = story["previous_version"].as_i64().expect("there was a value before");
    let older = house
        .ok("GET", &format!("/api/v1/records/company/{id}/lineage?field=address_city&version={before}"), None)
        .await;
    assert_eq!((&older["value"], &older["steps"][0]["id"]), (&json!("Ghent"), &json!(event)));

    for (path, status) in [
        (format!("/api/v1/records/company/{id}/lineage?field=nothing"), 404),
        (format!("/api/v1/records/deal/{id}/lineage?field=name"), 404),
        (format!("/api/v1/records/company/{id}/lineage"), 400),
    ] {
        let refused = house.call("GET", &path, None).await;
        assert_eq!(refused.status, status, "{path}: {}", refused.body);
        assert!(!refused.code().is_empty());
    }
}

async fn lineage(house: &House, id: &str, field: &str) -> Value {
    house.ok("GET", &format!("/api/v1/records/company/{id}/lineage?field={field}"), None).await
}

fn kinds(story: &Value) -> Vec<&str> {
    let steps = story["steps"].as_array().expect("a list");
    steps.iter().filter_map(|step| step["kind"].as_str()).collect()
}
