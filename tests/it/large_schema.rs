//! A portal with thousands of properties.

use std::time::Duration;

use serde_json::{Value, json};
use testkit::eventually;
use tests::{House, HubSpotPortal, Start};

const PROPERTIES: usize = 5_000;
/// The most that HubSpot takes in one call.
const BATCH: usize = 100;
const WAIT: Duration = Duration::from_secs(120);

/// Somebody in the portal has made a property for everything.
async fn plant(hubspot: &HubSpotPortal) {
    let sentence =
        "Filled in by the regional team after the quarterly review of the account, see the handbook. ";
    let property = |at: usize| {
        let options: Vec<Value> = ["Not yet reviewed", "Reviewed by the region", "Reviewed by finance"]
            .iter()
            .enumerate()
            .map(|(place, label)| json!({ "label": label, "value": format!("review_{place}"), "displayOrder": place, "hidden": false }))
            .collect();
        let picklist = at.is_multiple_of(4);
        json!({
            "name": format!("regional_review_of_quarter_{at}"),
            "label": format!("Regional review of quarter {at} (EMEA & Nordics)"),
            "type": if picklist { "enumeration" } else { "string" },
            "fieldType": if picklist { "select" } else { "text" },
            "groupName": "companyinformation",
            "description": sentence.repeat(4).chars().take(300).collect::<String>(),
            "options": if picklist { options } else { Vec::new() },
        })
    };
    for first in (0..PROPERTIES).step_by(BATCH) {
        let inputs: Vec<Value> = (first..first + BATCH).map(property).collect();
        let body = json!({ "inputs": inputs });
        let (status, made) =
            hubspot.call("POST", "/crm/v3/properties/companies/batch/create", Some(body)).await;
        assert_eq!(status, 201, "{made}");
    }
}

#[tokio::test]
async fn a_portal_with_five_thousand_properties_is_described_mapped_and_compared() {
    let house = House::start(Start::default()).await;
    let hubspot = house.hubspot();
    plant(&hubspot).await;
    let connection = house.connection().await;
    let refresh = format!("/api/v1/connections/{connection}/refresh-schema");
    let shown = house.ok("POST", &refresh, None).await;
    let objects = shown["objects"].as_array().expect("a list");
    let companies = objects.iter().find(|object| object["name"] == "companies").expect("it is offered");
    assert!(companies["fields"].as_array().expect("a list").len() > PROPERTIES);

    let new = json!({ "connection_id": connection, "object": "partner", "vendor_object": "companies" });
    let made = house.ok("POST", "/api/v1/mappings", Some(new)).await;
    let mapping = made["id"].as_str().expect("an id").to_owned();
    let last = format!("regional_review_of_quarter_{}", PROPERTIES - 1);
    let choose = json!({ "action": "choose", "vendor_field": last });
    let active = house.mapping("company").await;
    let path = format!("/api/v1/mappings/{active}/fields/ticker");
    eventually(WAIT, "the last property to be known", || async {
        let chosen = house.call("PATCH", &path, Some(choose.clone())).await;
        (chosen.status < 300).then_some(())
    })
    .await;
    house.apply_changes(&active).await;
    let shown = house.ok("GET", &format!("/api/v1/mappings/{mapping}"), None).await;
    assert_eq!(shown["object"], "partner");
    let company = hubspot.ids("companies", 1).await.remove(0);
    hubspot.edit("companies", &company, &last, "fine").await;
    house.wait_for_field("company", &company, "ticker", "fine").await;

    // What is gone is gone from the whole, not from one part of it.
    let (status, _) = hubspot.call("DELETE", &format!("/crm/v3/properties/companies/{last}"), None).await;
    assert_eq!(status, 204);
    house.ok("POST", &refresh, None).await;
    let changes = eventually(WAIT, "the change to be told", || async {
        let found = house.audit("action=schema.drift_detected").await;
        let changes = found.iter().map(|entry| entry["details_json"].to_string());
        changes.into_iter().find(|changes| changes.contains("removed"))
    })
    .await;
    assert!(changes.contains(&last) && changes.matches("\\\"change\\\"").count() == 1, "{changes}");
}
