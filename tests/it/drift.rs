//! The vendor's schema moves under an active mapping.

use std::time::Duration;

use serde_json::{Value, json};
use testkit::eventually;
use tests::{House, Start};

const WAIT: Duration = Duration::from_secs(60);

/// What the API shows of a field of a mapping.
async fn field(house: &House, mapping: &str, name: &str) -> Value {
    let shown = house.ok("GET", &format!("/api/v1/mappings/{mapping}"), None).await;
    let fields = shown["fields"].as_array().cloned().expect("a list");
    fields.into_iter().find(|field| field["field"] == name).expect("the field is there")
}

async fn refresh(house: &House) {
    let connection = house.connection().await;
    house.ok("POST", &format!("/api/v1/connections/{connection}/refresh-schema"), None).await;
}

async fn wait_for_drift(house: &House, mapping: &str, name: &str, change: &str, returned: bool) -> Value {
    eventually(WAIT, &format!("{name} to be {change}"), || async {
        let drift = field(house, mapping, name).await["drift"].clone();
        (drift["change"] == change && drift["returned"] == returned).then_some(drift)
    })
    .await
}

#[tokio::test]
async fn a_field_that_the_vendor_changes_pauses_alone_and_is_resumed_when_it_is_back() {
    let house = House::start(Start::default()).await;
    let (hubspot, mapping) = (house.hubspot(), house.mapping("company").await);
    let company = hubspot.ids("companies", 1).await.remove(0);
    let tier = json!({ "name": "partner_note", "label": "Partner note", "type": "string", "fieldType": "text", "groupName": "companyinformation" });
    let (status, made) = hubspot.call("POST", "/crm/v3/properties/companies", Some(tier)).await;
    assert_eq!(status, 201, "{made}");
    refresh(&house).await;
    let choose = json!({ "action": "choose", "vendor_field": "partner_note" });
    eventually(WAIT, "the new property to be known", || async {
        let path = format!("/api/v1/mappings/{mapping}/fields/ticker");
        let chosen = house.call("PATCH", &path, Some(choose.clone())).await;
        (chosen.status < 300).then_some(())
    })
    .await;
    hubspot.edit("companies", &company, "partner_note", "gold").await;
    house.wait_for_field("company", &company, "ticker", "gold").await;

    let (status, _) = hubspot.call("DELETE", "/crm/v3/properties/companies/partner_note", None).await;
    assert_eq!(status, 204);
    refresh(&house).await;
    let drift = wait_for_drift(&house, &mapping, "ticker", "removed", false).await;
    assert_eq!(drift["message"], "partner_note is gone");
    everybody_is_told(&house, &mapping).await;
    // Its neighbours go on, both ways.
    hubspot.edit("companies", &company, "phone", "+1 555 0901").await;
    let record = house.wait_for_field("company", &company, "phone", "+1 555 0901").await;
    let id = record["id"].as_str().expect("an id").to_owned();
    house.edit("company", &id, json!({ "ticker": "silver", "address_city": "Visby" })).await;
    hubspot.wait_for_property("companies", &company, "city", "Visby").await;
    let resume = json!({ "action": "resume" });
    let path = format!("/api/v1/mappings/{mapping}/fields/ticker");
    let refused = house.call("PATCH", &path, Some(resume.clone())).await;
    assert_eq!((refused.status, refused.code()), (409, "field_gone"), "{}", refused.body);

    let again = json!({ "name": "partner_note", "label": "Partner note", "type": "string", "fieldType": "text", "groupName": "companyinformation" });
    let (status, made) = hubspot.call("POST", "/crm/v3/properties/companies", Some(again)).await;
    assert_eq!(status, 201, "{made}");
    refresh(&house).await;
    wait_for_drift(&house, &mapping, "ticker", "removed", true).await;
    house.ok("PATCH", &path, Some(resume)).await;
    assert!(field(&house, &mapping, "ticker").await["drift"].is_null());
    hubspot.edit("companies", &company, "partner_note", "platinum").await;
    house.wait_for_field("company", &company, "ticker", "platinum").await;
    let connection = house.connection().await;
    let issues = house.ok("GET", &format!("/api/v1/issues?connection_id={connection}"), None).await;
    let open =
        issues["data"].as_array().expect("a list").iter().filter(|issue| issue["state"] == "open").count();
    assert_eq!(open, 0, "{issues}");
}

async fn everybody_is_told(house: &House, mapping: &str) {
    let entry = house.wait_for_audit("action=schema.drift_detected").await;
    assert!(entry["details_json"].to_string().contains("partner_note"), "{entry}");
    let connection = house.connection().await;
    let issues = house.ok("GET", &format!("/api/v1/issues?connection_id={connection}"), None).await;
    let issue =
        issues["data"].as_array().expect("a list").iter().find(|issue| issue["field"] == "ticker").cloned();
    let issue = issue.expect("the paused field has an issue");
    assert_eq!(issue["category"], "schema_drift");
    let retry = format!("/api/v1/issues/{}/retry", issue["id"].as_str().expect("an id"));
    let refused = house.call("POST", &retry, None).await;
    assert_eq!((refused.status, refused.code()), (409, "field_gone"), "{}", refused.body);
    let shown = house.ok("GET", &format!("/api/v1/mappings/{mapping}"), None).await;
    assert_eq!(shown["state"], "active", "the mapping goes on");
}
