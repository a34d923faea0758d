//! What events are attributed to is written to the contacts and deals of a connected CRM.

use std::time::Duration;

use serde_json::{Value, json};
use testkit::eventually;
use tests::{House, HubSpotPortal, SalesforceOrg, Start};

use super::{
    native::{Rules, associate, create_in_hubspot, create_in_salesforce},
    shop::Shop,
};

const WAIT: Duration = Duration::from_secs(60);
const FIELDS: [&str; 5] =
    ["attributed_partner", "attributed_program", "attributed_click", "attributed_model", "attributed_weight"];

/// Switches the writing on, has the missing fields created, and applies the plans.
async fn begin_writing(house: &House, vendor: &str) {
    let connection = house.connection_to(vendor).await;
    let path = format!("/api/v1/connections/{connection}/attribution");
    assert_eq!(
        house.ok("GET", &path, None).await["enabled"],
        false,
        "nothing is written unless somebody says so"
    );
    let begun = house.ok("PUT", &path, Some(json!({ "enabled": true }))).await;
    assert_eq!(states(&begun), ["missing"; 10], "{begun}");
    let entry = format!("action=attribution.settings_changed&target={connection}");
    let entry = house.wait_for_audit(&entry).await;
    assert_eq!(entry["connection_id"], connection, "{entry}");
    assert_eq!(entry["summary"], "Writing attribution to the CRM was switched on", "{entry}");
    assert!(entry["actor"].as_str().is_some_and(|actor| actor.starts_with("api_key:")), "{entry}");
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

/// A second partner of the shop, whose link this is.
async fn second_partner(shop: &Shop) -> &'static str {
    let partner =
        shop.ok("POST", "/partners", Some(json!({ "email": "bob@forum.example", "name": "Bob" }))).await;
    let link = json!({ "linkKey": "bob-2026", "programId": shop.program });
    let path = format!("/partners/{}/links", partner["id"].as_str().expect("an id"));
    shop.ok("POST", &path, Some(link)).await;
    "/r/bob-2026"
}

async fn visit(shop: &Shop, link: &str) -> String {
    shop.follow(link).await.0.rsplit_once("cref=").expect("a click").1.to_owned()
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

async fn writes(hubspot: &HubSpotPortal) -> u64 {
    let mut count = 0;
    for route in ["batch/update", "batch/upsert", "batch/create"] {
        count += hubspot.calls(&format!("POST /crm/v3/objects/{{type}}/{route}")).await;
    }
    count
}

fn won(user: &str) -> Value {
    json!({ "userId": user, "type": "signup", "value": 10, "currency": "USD" })
}

// R190
#[tokio::test]
async fn a_contact_and_a_deal_in_hubspot_are_told_of_their_attribution_and_follow_it() {
    let house = House::start(Start { companies: 3, deals: 3, contacts: 3, ..Start::default() }).await;
    let (hubspot, shop, rules) = (house.hubspot(), Shop::open(&house).await, Rules::of(&house).await);
    begin_writing(&house, "hubspot").await;
    let bobs = second_partner(&shop).await;
    let contact = create_in_hubspot(&hubspot, "contacts", json!({ "email": "Buyer@Shop.example" })).await;
    let deal = json!({ "dealname": "A deal", "dealstage": "contractsent", "amount": "4500" });
    let deal = create_in_hubspot(&hubspot, "deals", deal).await;
    associate(&hubspot, &deal, &contact).await;
    eventually(WAIT, "both to be here", || async {
        let here = house.linked("contact", &contact).await.is_some();
        (here && house.linked("deal", &deal).await.is_some()).then_some(())
    })
    .await;
    let rule = rules.make(rules.won_deals("hubspot", &house).await).await;

    let (ada, bob) = (shop.visit().await, visit(&shop, bobs).await);
    shop.identify(&ada, "buyer@shop.example").await;
    hubspot.wait_for_polls().await;
    let before = writes(&hubspot).await;
    shop.ok("POST", "/attribution/events", Some(won("buyer@shop.example"))).await;
    let by_ada = ["Ada", "Referrals", &ada, "last_click", "1"];
    wait_for_told(&hubspot, "contacts", &contact, by_ada).await;
    assert_eq!(told_there(&hubspot, "deals", &deal).await, [""; 5], "the deal is not won yet");
    hubspot.edit("deals", &deal, "dealstage", "closedwon").await;
    wait_for_told(&hubspot, "deals", &deal, by_ada).await;

    // Bob's click came after Ada's, and is identified late.
    shop.identify(&bob, "buyer@shop.example").await;
    let by_bob = ["Bob", "Referrals", &bob, "last_click", "1"];
    wait_for_told(&hubspot, "contacts", &contact, by_bob).await;
    wait_for_told(&hubspot, "deals", &deal, by_bob).await;
    for click in [&ada, &bob] {
        shop.ok("POST", &format!("/clicks/{click}/flag"), Some(json!({ "note": "a robot" }))).await;
    }
    wait_for_told(&hubspot, "contacts", &contact, [""; 5]).await;
    wait_for_told(&hubspot, "deals", &deal, [""; 5]).await;
    hubspot.wait_for_polls().await;
    let made = writes(&hubspot).await - before;
    assert_eq!(made, 6, "each of three changes is written once to each record");
    let records = rules.records(&rule).await;
    assert_eq!(records.len(), 1, "what is written to a deal is no event of it: {records:?}");
    let events = shop.ok("GET", &format!("/attribution/events?metadataValue={deal}"), None).await;
    let events = events["events"].as_array().expect("a list");
    // The demo has a rule of its own for won deals.
    let of_rule = events.iter().filter(|event| event["metadata"]["rule"] == rule.id);
    assert_eq!((of_rule.count(), events.len()), (1, 2), "one event per rule: {events:?}");
    let entries = house.audit("actor=service:attribution").await;
    assert!(!entries.is_empty(), "who wrote it is in the audit log");
    assert!(!house.log().contains("buyer@shop.example"), "an address is in the log");
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

/// What a record of Salesforce is told.
async fn wait_for_told_in_salesforce(salesforce: &SalesforceOrg, object: &str, id: &str, wanted: Value) {
    eventually(WAIT, &format!("{object} {id} to be told {wanted}"), || async {
        let soql = format!(
            "SELECT Attributed_Partner__c, Attributed_Program__c, Attributed_Click__c, Attributed_Model__c, \
             Attributed_Weight__c FROM {object} WHERE Id = '{id}'"
        );
        let mut found = salesforce.query(&soql).await.pop()?;
        found.as_object_mut()?.remove("attributes");
        (found == wanted).then_some(())
    })
    .await;
}

// R191
#[tokio::test]
async fn a_contact_and_an_opportunity_in_salesforce_are_told_of_their_attribution_and_follow_it() {
    let house = House::start(Start { companies: 3, deals: 3, accounts: 4, ..Start::default() }).await;
    let (salesforce, shop, rules) = (house.salesforce(), Shop::open(&house).await, Rules::of(&house).await);
    let connection = house.connection_to("salesforce").await;
    house.wait_for_streams(&connection, &["Contact", "Opportunity"]).await;
    begin_writing(&house, "salesforce").await;
    let bobs = second_partner(&shop).await;
    let rule = rules.make(rules.won_deals("salesforce", &house).await).await;
    let contact = json!({ "LastName": "Example", "Email": "buyer@shop.example" });
    let contact = create_in_salesforce(&salesforce, "Contact", contact).await;
    let fields = json!({
        "Name": "A deal", "StageName": "Negotiation/Review", "CloseDate": "2026-12-31", "Amount": 4500,
    });
    let deal = create_in_salesforce(&salesforce, "Opportunity", fields).await;
    let role = json!({ "OpportunityId": deal, "ContactId": contact, "IsPrimary": true });
    create_in_salesforce(&salesforce, "OpportunityContactRole", role).await;

    let (ada, bob) = (shop.visit().await, visit(&shop, bobs).await);
    shop.identify(&ada, "buyer@shop.example").await;
    let told = |partner: &str, click: &str| {
        json!({
            "Attributed_Partner__c": partner, "Attributed_Program__c": "Referrals", "Attributed_Click__c": click,
            "Attributed_Model__c": "last_click", "Attributed_Weight__c": 1.0,
        })
    };
    salesforce.edit("Opportunity", &deal, json!({ "StageName": "Closed Won" })).await;
    wait_for_told_in_salesforce(&salesforce, "Opportunity", &deal, told("Ada", &ada)).await;
    wait_for_told_in_salesforce(&salesforce, "Contact", &contact, told("Ada", &ada)).await;
    let before = salesforce.writes().await;
    shop.identify(&bob, "buyer@shop.example").await;
    wait_for_told_in_salesforce(&salesforce, "Opportunity", &deal, told("Bob", &bob)).await;
    wait_for_told_in_salesforce(&salesforce, "Contact", &contact, told("Bob", &bob)).await;
    assert_eq!(salesforce.writes().await - before, 2, "each record is written once");
    assert_eq!(rules.records(&rule).await.len(), 1, "what is written to a deal is no event of it");
}
