//! Two CRMs at once: what is edited in one reaches the other through the record here, and comes back to neither.

use std::time::Duration;

use serde_json::json;
use testkit::eventually;
use tests::{House, Start};

const WAIT: Duration = Duration::from_secs(60);

/// Calls by which records are written at the vendors.
async fn writes(house: &House) -> (u64, u64) {
    let log = house.hubspot().control("GET", "calls", json!({})).await;
    let routes = log["routes"].as_object().expect("routes").iter();
    let writes = routes.filter(|(route, _)| {
        ["/batch/update", "/batch/create", "/batch/upsert"].iter().any(|write| route.contains(write))
    });
    let hubspot = writes.filter_map(|(_, count)| count["calls"].as_u64()).sum();
    (hubspot, house.salesforce().writes().await)
}

/// A company of HubSpot's with its record here and its account in Salesforce.
async fn everywhere(house: &House) -> (String, String, String) {
    let [company] = <[String; 1]>::try_from(house.hubspot().ids("companies", 1).await).expect("a company");
    let record = eventually(WAIT, "the company to be here", || house.linked("company", &company)).await;
    let record = record["id"].as_str().expect("an id").to_owned();
    let soql = format!("SELECT Id FROM Account WHERE Accord_Id__c = '{record}'");
    let account = eventually(WAIT, "the account to be made", || async {
        house.salesforce().query(&soql).await.first().map(|row| row["Id"].as_str().expect("an id").to_owned())
    })
    .await;
    (company, record, account)
}

#[tokio::test]
async fn an_edit_in_one_crm_reaches_the_other_and_comes_back_to_neither() {
    let start = Start { companies: 12, deals: 1, accounts: 8, ..Start::default() };
    let house = House::start(start).await;
    let (hubspot, salesforce) = (house.hubspot(), house.salesforce());
    let (company, record, account) = everywhere(&house).await;
    let count = || async { salesforce.query("SELECT Id FROM Account").await.len() };
    eventually(WAIT, "every company to be an account", || async { (count().await >= 20).then_some(()) })
        .await;
    eventually(WAIT, "rest", || async {
        let before = writes(&house).await;
        hubspot.wait_for_polls().await;
        (writes(&house).await == before).then_some(())
    })
    .await;

    let before = writes(&house).await;
    salesforce.edit("Account", &account, json!({ "Phone": "+41 31 000 00 01" })).await;
    hubspot.wait_for_property("companies", &company, "phone", "+41 31 000 00 01").await;
    let here = house.ok("GET", &format!("/api/v1/records/company/{record}"), None).await;
    assert_eq!(here["fields"]["phone"], "+41 31 000 00 01");
    hubspot.wait_for_polls().await;
    assert_eq!(writes(&house).await, (before.0 + 1, before.1), "once to HubSpot, and not back to Salesforce");

    let before = writes(&house).await;
    hubspot.edit("companies", &company, "city", "Bern").await;
    let soql = format!("SELECT BillingCity FROM Account WHERE Id = '{account}'");
    eventually(WAIT, "the city to be in Salesforce", || async {
        (salesforce.query(&soql).await[0]["BillingCity"] == "Bern").then_some(())
    })
    .await;
    hubspot.wait_for_polls().await;
    assert_eq!(writes(&house).await, (before.0, before.1 + 1), "once to Salesforce, and not back to HubSpot");

    // What was edited in both at once ends as one of the two in all three places.
    salesforce.edit("Account", &account, json!({ "Description": "from Salesforce" })).await;
    hubspot.edit("companies", &company, "description", "from HubSpot").await;
    let soql = format!("SELECT Description FROM Account WHERE Id = '{account}'");
    eventually(WAIT, "agreement", || async {
        let there = salesforce.query(&soql).await[0]["Description"].clone();
        let here = house.ok("GET", &format!("/api/v1/records/company/{record}"), None).await;
        let other = hubspot.property("companies", &company, "description").await;
        let agree = here["fields"]["description"] == there && other.as_deref() == there.as_str();
        agree.then_some(())
    })
    .await;
}
