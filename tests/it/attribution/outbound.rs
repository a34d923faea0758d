//! What events are attributed to is written to the contacts and deals of a connected CRM.

use std::time::Duration;

use serde_json::{Value, json};
use testkit::eventually;
use tests::{House, HubSpotPortal, Start};

use super::{native::create_in_hubspot, shop::Shop};

const WAIT: Duration = Duration::from_secs(60);
const FIELDS: [&str; 5] =
    ["attributed_partner", "attributed_program", "attributed_click", "attributed_model", "attributed_weight"];

/// Switches the writing on, has the missing fields created, and applies the plans.
async fn begin_writing(house: &House, vendor: &str) {
    let path = format!("/api/v1/connections/{}/attribution", house.connection_to(vendor).await);
    assert_eq!(
        house.ok("GET", &path, None).await["enabled"],
        false,
        "nothing is written unless somebody says so"
    );
    let begun = house.ok("PUT", &path, Some(json!({ "enabled": true }))).await;
    assert_eq!(states(&begun), ["missing"; 10], "{begun}");
    house.ok("POST", &format!("{path}/fields"), None).await;
    let waiting = wait_for_states(house, &path, "waiting").await;
    for object in waiting["objects"].as_array().expect("a list") {
        house.apply_changes(object["mapping_id"].as_str().expect("an id")).await;
    }
    wait_for_states(house, &path, "mapped").await;
}

fn states(writing: &Value) -> Vec<String> {
    let objects = writing["objects"].as_array().into_iter().flatten();
    let fields = objects.flat_map(|object| object["fields"].as_array().cloned().unwrap_or_default());
    fields.map(|field| field["state"].as_str().unwrap_or_default().to_owned()).collect()
}

async fn wait_for_states(house: &House, path: &str, state: &str) -> Value {
    eventually(WAIT, &format!("all fields to be {state}"), || async {
        let writing = house.ok("GET", path, None).await;
        (states(&writing) == vec![state; 10]).then_some(writing)
    })
    .await
}

/// What a record of HubSpot is told.
async fn told_there(hubspot: &HubSpotPortal, object: &str, id: &str) -> Vec<String> {
    let path = format!("/crm/v3/objects/{object}/{id}?properties={}", FIELDS.join(","));
    let (status, answer) = hubspot.call("GET", &path, None).await;
    assert_eq!(status, 200, "{answer}");
    FIELDS.iter().map(|name| answer["properties"][name].as_str().unwrap_or_default().to_owned()).collect()
}

async fn wait_for_told(hubspot: &HubSpotPortal, object: &str, id: &str, wanted: [&str; 5]) {
    eventually(WAIT, &format!("{object} {id} to be told {wanted:?}"), || async {
        let told = told_there(hubspot, object, id).await;
        // HubSpot allows 190 calls in ten seconds.
        tokio::time::sleep(Duration::from_millis(150)).await;
        (told == wanted).then_some(())
    })
    .await;
}

fn won(user: &str) -> Value {
    json!({ "userId": user, "type": "signup", "value": 10, "currency": "USD" })
}

// R190
#[tokio::test]
async fn a_contact_that_comes_to_hubspot_after_its_event_is_told_then() {
    let house = House::start(Start { companies: 3, deals: 3, contacts: 3, ..Start::default() }).await;
    let (hubspot, shop) = (house.hubspot(), Shop::open(&house).await);
    let click = shop.click("late@shop.example").await;
    shop.ok("POST", "/attribution/events", Some(won("late@shop.example"))).await;
    begin_writing(&house, "hubspot").await;
    let contact = create_in_hubspot(&hubspot, "contacts", json!({ "email": "late@shop.example" })).await;
    wait_for_told(&hubspot, "contacts", &contact, ["Ada", "Referrals", &click, "last_click", "1"]).await;

    let path = format!("/api/v1/connections/{}/attribution", house.connection().await);
    let ended = house.ok("PUT", &path, Some(json!({ "enabled": false }))).await;
    assert_eq!(
        (&ended["enabled"], states(&ended)),
        (&json!(false), vec!["unmapped".to_owned(); 10]),
        "{ended}"
    );
    let other = create_in_hubspot(&hubspot, "contacts", json!({ "email": "other@shop.example" })).await;
    shop.click("other@shop.example").await;
    shop.ok("POST", "/attribution/events", Some(won("other@shop.example"))).await;
    hubspot.wait_for_polls().await;
    assert_eq!(told_there(&hubspot, "contacts", &other).await, [""; 5], "nothing is written any more");
}
