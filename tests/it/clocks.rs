//! A vendor's clock that is set back. What is changed from then on bears times that were read before.

use std::time::Duration;

use serde_json::{Value, json};
use testkit::eventually;
use tests::{House, SalesforceOrg, Start};

/// Long before the vendor's clock is where it was.
const WAIT: Duration = Duration::from_secs(60);
const TWO_HOURS_MS: i64 = 7_200_000;

async fn wait_for_phone(house: &House, vendor: &str, id: &str, phone: &str) {
    let linked = format!("/api/v1/records/company?vendor={vendor}&vendor_id={id}");
    eventually(WAIT, &format!("{id} of {vendor} to have the phone {phone}"), || async {
        let found = house.ok("GET", &linked, None).await;
        (found["data"][0]["fields"]["phone"] == phone).then_some(())
    })
    .await;
}

fn moved(by_ms: i64) -> Value {
    json!({ "advance_ms": by_ms })
}

// R24, R111
#[tokio::test]
async fn what_is_edited_after_hubspots_clock_was_set_back_is_read_although_later_times_were() {
    let house = House::start(Start { companies: 4, deals: 0, ..Start::default() }).await;
    let hubspot = house.hubspot();
    let companies = hubspot.ids("companies", 4).await;
    hubspot.control("POST", "clock", moved(TWO_HOURS_MS)).await;
    hubspot.edit("companies", &companies[0], "phone", "+41 31 000 01 00").await;
    wait_for_phone(&house, "hubspot", &companies[0], "+41 31 000 01 00").await;
    hubspot.control("POST", "clock", moved(-TWO_HOURS_MS)).await;
    for (number, company) in companies[1..].iter().enumerate() {
        // One after the other: what comes later is read as well.
        let phone = format!("+41 31 000 02 0{number}");
        hubspot.edit("companies", company, "phone", &phone).await;
        wait_for_phone(&house, "hubspot", company, &phone).await;
    }
}

/// A house that polls a Salesforce without events, and the ids of its accounts.
async fn polled() -> (House, SalesforceOrg, Vec<String>) {
    let house = House::start(Start { companies: 1, deals: 0, accounts: 4, ..Start::default() }).await;
    let (org, connection) = (house.salesforce(), house.connection_to("salesforce").await);
    org.control("POST", "settings", json!({ "edition": "professional" })).await;
    eventually(WAIT, "accounts to be polled", || async {
        (house.stream_state(&connection, "Account").await.as_deref() == Some("polled")).then_some(())
    })
    .await;
    let accounts: Vec<String> = org
        .query("SELECT Id FROM Account ORDER BY Id")
        .await
        .iter()
        .map(|account| account["Id"].as_str().expect("an id").to_owned())
        .collect();
    (house, org, accounts)
}

// R24, R111
#[tokio::test]
async fn what_is_edited_after_a_polled_salesforces_clock_was_set_back_is_read_although_later_times_were() {
    let (house, org, accounts) = polled().await;
    org.control("POST", "clock", moved(TWO_HOURS_MS)).await;
    org.edit("Account", &accounts[0], json!({ "Phone": "+41 31 000 03 00" })).await;
    wait_for_phone(&house, "salesforce", &accounts[0], "+41 31 000 03 00").await;
    org.control("POST", "clock", moved(-TWO_HOURS_MS)).await;
    for (number, account) in accounts[1..3].iter().enumerate() {
        let phone = format!("+41 31 000 04 0{number}");
        org.edit("Account", account, json!({ "Phone": phone })).await;
        wait_for_phone(&house, "salesforce", account, &phone).await;
    }
}

// R24, R111
#[tokio::test]
async fn what_is_edited_after_a_clock_was_set_back_a_second_time_is_read_as_well() {
    let (house, org, accounts) = polled().await;
    org.control("POST", "clock", moved(TWO_HOURS_MS)).await;
    org.edit("Account", &accounts[0], json!({ "Phone": "+41 31 000 05 00" })).await;
    wait_for_phone(&house, "salesforce", &accounts[0], "+41 31 000 05 00").await;
    // Twice by an hour: nothing is stamped before what was there in the beginning.
    for (number, account) in accounts[1..3].iter().enumerate() {
        org.control("POST", "clock", moved(-TWO_HOURS_MS / 2)).await;
        let phone = format!("+41 31 000 06 0{number}");
        org.edit("Account", account, json!({ "Phone": phone })).await;
        wait_for_phone(&house, "salesforce", account, &phone).await;
    }
    org.edit("Account", &accounts[3], json!({ "Phone": "+41 31 000 07 00" })).await;
    wait_for_phone(&house, "salesforce", &accounts[3], "+41 31 000 07 00").await;
}
