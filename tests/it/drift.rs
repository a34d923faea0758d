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
    house.apply_changes(&mapping).await;
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

#[tokio::test]
async fn a_paused_field_is_no_issue_any_more_once_another_property_is_chosen() {
    let house = House::start(Start::default()).await;
    let mapping = house.mapping("company").await;
    for (property, field) in [("note_a", "ticker"), ("note_b", "sic_code")] {
        make_property(&house, property).await;
        choose(&house, &mapping, field, property).await;
    }
    house.apply_changes(&mapping).await;
    for property in ["note_a", "note_b"] {
        let path = format!("/crm/v3/properties/companies/{property}");
        assert_eq!(house.hubspot().call("DELETE", &path, None).await.0, 204);
    }
    refresh(&house).await;
    wait_for_drift(&house, &mapping, "ticker", "removed", false).await;
    wait_for_drift(&house, &mapping, "sic_code", "removed", false).await;
    assert_eq!(drift_issues(&house, "").await.len(), 2);

    choose(&house, &mapping, "ticker", "about_us").await;
    assert_eq!(drift_issues(&house, "").await.len(), 2, "it is not applied yet");
    house.apply_changes(&mapping).await;
    assert!(field(&house, &mapping, "ticker").await["drift"].is_null());
    let left = drift_issues(&house, "").await;
    assert_eq!(left.len(), 1, "{left:?}");
    // All that fit are tried; one that cannot go on says so again.
    let wish = json!({ "category": "schema_drift" });
    assert_eq!(house.ok("POST", "/api/v1/issues/retry", Some(wish)).await["count"], 1);
    eventually(WAIT, "it to be open again", || async {
        (drift_issues(&house, "&state=open").await.len() == 1).then_some(())
    })
    .await;
    let dismiss = format!("/api/v1/issues/{}/dismiss", left[0]["id"].as_str().expect("an id"));
    let dismissed = house.ok("POST", &dismiss, None).await;
    assert_eq!(dismissed["state"], "dismissed", "{dismissed}");
    house.wait_for_audit(&format!("action=mapping.issues_dismissed&target={mapping}")).await;
}

#[tokio::test]
async fn a_filter_whose_property_is_gone_lets_nothing_in_and_pauses_its_mapping() {
    let house = House::start(Start::default()).await;
    let (hubspot, mapping) = (house.hubspot(), house.mapping("company").await);
    let path = format!("/api/v1/mappings/{mapping}");
    make_property(&house, "partner_tier").await;
    let filter = |condition: &str| json!({ "filter": { "conditions": [condition] } });
    eventually(WAIT, "the new property to be known", || async {
        let set = house.call("PATCH", &path, Some(filter("there partner_tier is gold"))).await;
        (set.status < 300).then_some(())
    })
    .await;
    house.apply_changes(&mapping).await;
    let gone = hubspot.call("DELETE", "/crm/v3/properties/companies/partner_tier", None).await;
    assert_eq!(gone.0, 204);
    refresh(&house).await;
    eventually(WAIT, "the mapping to be paused", || async {
        (house.ok("GET", &path, None).await["state"] == "paused").then_some(())
    })
    .await;
    let issue = drift_issues(&house, "").await.pop().expect("an issue of the mapping");
    let said = issue["message"].as_str().expect("words");
    assert!(said.contains("partner_tier is gone") && said.contains("the mapping is paused"), "{issue}");
    let properties = json!({ "properties": { "name": "Nobody asked for it" } });
    let (status, made) = hubspot.call("POST", "/crm/v3/objects/companies", Some(properties)).await;
    assert_eq!(status, 201, "{made}");
    hubspot.wait_for_polls().await;
    let company = made["id"].as_str().expect("an id");
    assert!(house.linked("company", company).await.is_none(), "nothing gets in unseen");
    let refused = house.call("POST", &format!("{path}/resume"), None).await;
    assert_eq!((refused.status, refused.code()), (409, "filter_field_gone"), "{}", refused.body);

    house.ok("PATCH", &path, Some(filter("there city is_not Nowhere"))).await;
    house.apply_changes(&mapping).await;
    assert_eq!(drift_issues(&house, "").await.len(), 0);
    assert_eq!(house.ok("GET", &path, None).await["state"], "active");
    house.wait_for_field("company", company, "name", "Nobody asked for it").await;
}

async fn make_property(house: &House, name: &str) {
    let property = json!({ "name": name, "label": name, "type": "string", "fieldType": "text", "groupName": "companyinformation" });
    let (status, made) = house.hubspot().call("POST", "/crm/v3/properties/companies", Some(property)).await;
    assert_eq!(status, 201, "{made}");
    refresh(house).await;
}

/// Maps a property to a field as soon as the sync-engine knows it.
async fn choose(house: &House, mapping: &str, name: &str, property: &str) {
    let choose = json!({ "action": "choose", "vendor_field": property });
    eventually(WAIT, "the property to be known", || async {
        let path = format!("/api/v1/mappings/{mapping}/fields/{name}");
        (house.call("PATCH", &path, Some(choose.clone())).await.status < 300).then_some(())
    })
    .await;
}

/// What waits for somebody because of the schema.
async fn drift_issues(house: &House, more: &str) -> Vec<Value> {
    let list = house.ok("GET", &format!("/api/v1/issues?category=schema_drift{more}"), None).await;
    list["data"].as_array().cloned().expect("a list")
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

// R24, R62, R112: nothing but the stream tells of it.
#[tokio::test]
async fn a_mapped_field_that_salesforce_loses_in_mid_stream_pauses_alone_and_nothing_is_lost() {
    let house = House::start(Start { companies: 1, deals: 0, accounts: 4, ..Start::default() }).await;
    let (org, connection) = (house.salesforce(), house.connection_to("salesforce").await);
    let rank = json!({ "object": "Account", "name": "Rank__c", "type": "Text", "length": 20 });
    org.control("POST", "field", rank.clone()).await;
    let refresh = format!("/api/v1/connections/{connection}/refresh-schema");
    house.ok("POST", &refresh, None).await;
    let mapping = account_mapping(&house).await;
    choose(&house, &mapping, "ticker", "Rank__c").await;
    house.apply_changes(&mapping).await;
    house.wait_for_streams(&connection, &["Account"]).await;
    let accounts = org.query("SELECT Id FROM Account ORDER BY Id").await;
    let account = |at: usize| accounts[at]["Id"].as_str().expect("an id").to_owned();
    org.edit("Account", &account(0), json!({ "Rank__c": "gold" })).await;
    wait_for_account(&house, &account(0), "ticker", "gold").await;

    // The last value, the end of the field, and what comes after it follow each other in the stream.
    org.edit("Account", &account(1), json!({ "Rank__c": "silver" })).await;
    org.control("DELETE", "field", rank.clone()).await;
    for at in [1, 2, 3] {
        org.edit("Account", &account(at), json!({ "Phone": format!("+41 31 000 00 2{at}") })).await;
    }
    for at in [1, 2, 3] {
        wait_for_account(&house, &account(at), "phone", &format!("+41 31 000 00 2{at}")).await;
    }
    let drift = wait_for_drift(&house, &mapping, "ticker", "removed", false).await;
    assert_eq!(drift["message"], "Rank__c is gone");
    house.wait_for_audit("action=schema.drift_detected").await;
    let shown = house.ok("GET", &format!("/api/v1/mappings/{mapping}"), None).await;
    assert_eq!(shown["state"], "active", "its neighbours go on");
    house.wait_for_streams(&connection, &["Account"]).await;
    // What we knew stays, and ours goes on to be written but for the field that is gone.
    let kept = wait_for_account(&house, &account(0), "ticker", "gold").await;
    let id = kept["id"].as_str().expect("an id");
    house.edit("company", id, json!({ "ticker": "bronze", "address_city": "Visby" })).await;
    let city = format!("SELECT BillingCity FROM Account WHERE Id = '{}'", account(0));
    eventually(WAIT, "the city to be there", || async {
        (org.query(&city).await[0]["BillingCity"] == "Visby").then_some(())
    })
    .await;

    // What is edited before it is resumed is read then, and nothing that is edited meanwhile falls between that and what is
    // pushed again.
    org.control("POST", "field", rank).await;
    org.edit("Account", &account(3), json!({ "Rank__c": "platinum" })).await;
    house.ok("POST", &refresh, None).await;
    wait_for_drift(&house, &mapping, "ticker", "removed", true).await;
    let resume = json!({ "action": "resume" });
    house.ok("PATCH", &format!("/api/v1/mappings/{mapping}/fields/ticker"), Some(resume)).await;
    org.edit("Account", &account(2), json!({ "Rank__c": "copper" })).await;
    wait_for_account(&house, &account(3), "ticker", "platinum").await;
    wait_for_account(&house, &account(2), "ticker", "copper").await;
    let list = house.ok("GET", "/api/v1/issues?category=schema_drift&state=open", None).await;
    assert_eq!(list["data"], json!([]));
}

async fn account_mapping(house: &House) -> String {
    let mappings = house.ok("GET", "/api/v1/mappings", None).await;
    let mut mappings = mappings["data"].as_array().expect("a list").iter();
    let found = mappings.find(|mapping| mapping["vendor_object"] == "Account").expect("it is mapped");
    found["id"].as_str().expect("an id").to_owned()
}

/// The record of an account, once a field of it has this value.
async fn wait_for_account(house: &House, account: &str, field: &str, value: &str) -> Value {
    let linked = format!("/api/v1/records/company?vendor=salesforce&vendor_id={account}");
    eventually(WAIT, &format!("{account} to have the {field} {value}"), || async {
        let found = house.ok("GET", &linked, None).await["data"][0].clone();
        (found["fields"][field] == value).then_some(found)
    })
    .await
}
