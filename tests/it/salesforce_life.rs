//! What an organization of Salesforce's lives through beside its faults: a history that a bulk query brings, records that
//! come back or are merged, writes that it refuses, a day's calls, an edition without events, and objects of its own.

use std::time::Duration;

use serde_json::{Value, json};
use testkit::eventually;
use tests::{House, SalesforceOrg, Start};

const WAIT: Duration = Duration::from_secs(60);
const ACCOUNTS: usize = 12;

/// A house with a Salesforce, whose histories a bulk query brings.
struct Place {
    house: House,
    org: SalesforceOrg,
    connection: String,
    /// The accounts that the sandbox had, oldest first, with their companies here.
    accounts: Vec<(String, String)>,
}

impl Place {
    async fn start() -> Self {
        let settings = vec![("ACCORD_SALESFORCE_BULK_FROM", (ACCOUNTS / 2).to_string())];
        let start = Start { companies: 1, deals: 1, accounts: ACCOUNTS, settings, ..Start::default() };
        let house = House::start(start).await;
        let (org, connection) = (house.salesforce(), house.connection_to("salesforce").await);
        house.wait_for_streams(&connection, &["Account", "Contact", "Opportunity", "Lead"]).await;
        let mut place = Self { house, org, connection, accounts: Vec::new() };
        for account in place.org.query("SELECT Id FROM Account ORDER BY Id").await.iter().take(ACCOUNTS) {
            let there = account["Id"].as_str().expect("an id").to_owned();
            let here = place.linked("company", &there).await;
            place.accounts.push((there, here));
        }
        place
    }

    /// The record that is linked to one of Salesforce's, once it is.
    async fn linked(&self, object: &str, there: &str) -> String {
        let path = format!("/api/v1/records/{object}?vendor=salesforce&vendor_id={there}");
        eventually(WAIT, &format!("{object} {there} to be here"), || async {
            self.house.ok("GET", &path, None).await["data"][0]["id"].as_str().map(str::to_owned)
        })
        .await
    }

    async fn record(&self, object: &str, here: &str) -> Value {
        self.house.ok("GET", &format!("/api/v1/records/{object}/{here}"), None).await
    }

    async fn wait_until_here(&self, object: &str, here: &str, field: &str, value: &str) {
        eventually(WAIT, &format!("our {object} to have the {field} {value}"), || async {
            (self.record(object, here).await["fields"][field] == value).then_some(())
        })
        .await;
    }

    async fn wait_until_there(&self, object: &str, there: &str, field: &str, value: &str) {
        let soql = format!("SELECT {field} FROM {object} WHERE Id = '{there}'");
        eventually(WAIT, &format!("their {object} to have the {field} {value}"), || async {
            (self.org.query(&soql).await[0][field] == value).then_some(())
        })
        .await;
    }

    async fn wait_until_linked_as(&self, object: &str, here: &str, state: &str) -> Value {
        eventually(WAIT, &format!("the link to be {state}"), || async {
            let record = self.record(object, here).await;
            let link = link(&record)?;
            (link["state"] == state).then(|| link.clone())
        })
        .await
    }

    /// The issues of a record.
    async fn issues(&self, here: &str) -> Vec<Value> {
        let path = format!("/api/v1/issues?connection_id={}", self.connection);
        let issues = self.house.ok("GET", &path, None).await["data"].as_array().cloned().expect("a list");
        issues.into_iter().filter(|issue| issue["record_id"] == here).collect()
    }

    /// The one issue of a record, whose words have this in them.
    async fn wait_for_issue(&self, here: &str, words: &str) -> Value {
        eventually(WAIT, &format!("an issue with “{words}”"), || async {
            let issues = self.issues(here).await;
            let [issue] = &issues[..] else { return None };
            issue["message"].as_str()?.contains(words).then(|| issue.clone())
        })
        .await
    }

    async fn wait_for_no_issue(&self, here: &str) {
        let none = || async { self.issues(here).await.is_empty().then_some(()) };
        eventually(WAIT, "the issue to clear itself", none).await;
    }

    async fn fault(&self, fault: Value) {
        self.org.control("POST", "faults", fault).await;
    }

    async fn create(&self, object: &str, fields: Value) -> String {
        let path = format!("/api/v1/records/{object}");
        let made = self.house.ok("POST", &path, Some(json!({ "fields": fields }))).await;
        made["id"].as_str().expect("an id").to_owned()
    }
}

/// The record's link to Salesforce.
fn link(record: &Value) -> Option<&Value> {
    record["links"].as_array()?.iter().find(|link| link["vendor"] == "salesforce")
}

// R19-R24, R112
#[tokio::test]
async fn an_organization_is_lived_with_from_a_bulk_history_to_an_edition_without_events() {
    let place = Place::start().await;
    a_bulk_query_brought_the_history(&place).await;
    what_is_deleted_and_restored_there_is_linked_again(&place).await;
    what_is_merged_there_lives_on_as_the_winner(&place).await;
    a_locked_row_is_tried_again(&place).await;
    what_a_rule_refuses_is_an_issue_in_its_words(&place).await;
    what_a_duplicate_rule_refuses_is_an_issue_and_is_made_once(&place).await;
    what_lacks_a_required_field_is_an_issue_until_it_has_it(&place).await;
    the_calls_of_the_day_are_told(&place).await;
    without_events_it_is_polled_and_says_so(&place).await;
}

async fn a_bulk_query_brought_the_history(place: &Place) {
    let jobs = place.org.calls("POST /services/data/{version}/jobs/query").await;
    assert!(jobs >= 4, "each object is one job: {jobs}");
    assert!(place.org.calls("GET /services/data/{version}/jobs/query/{job}/results").await >= jobs);
    let there = place.org.query("SELECT Id,Name,BillingCity FROM Account ORDER BY Id").await;
    assert!(there.len() >= ACCOUNTS);
    for ((_, here), account) in place.accounts.iter().zip(&there) {
        let record = place.record("company", here).await;
        assert_eq!(
            (&record["fields"]["name"], &record["fields"]["address_city"]),
            (&account["Name"], &account["BillingCity"])
        );
    }
}

async fn what_is_deleted_and_restored_there_is_linked_again(place: &Place) {
    let (there, here) = &place.accounts[0];
    let it = json!({ "object": "Account", "id": there });
    place.org.control("POST", "delete", it.clone()).await;
    place.wait_until_linked_as("company", here, "detached").await;
    place.org.control("POST", "undelete", it).await;
    place.wait_until_linked_as("company", here, "in_sync").await;
    place.org.edit("Account", there, json!({ "Phone": "+41 31 000 06 00" })).await;
    place.wait_until_here("company", here, "phone", "+41 31 000 06 00").await;
    place.house.edit("company", here, json!({ "address_city": "Thun" })).await;
    place.wait_until_there("Account", there, "BillingCity", "Thun").await;
    assert_eq!(&place.linked("company", there).await, here, "it has one record");
}

async fn what_is_merged_there_lives_on_as_the_winner(place: &Place) {
    let ((winner, kept), (loser, lost)) = (&place.accounts[1], &place.accounts[2]);
    let merge = json!({ "object": "Account", "winner_id": winner, "id": loser });
    place.org.control("POST", "merge", merge).await;
    place.wait_until_linked_as("company", lost, "detached").await;
    place.wait_until_linked_as("company", kept, "in_sync").await;
    place.org.edit("Account", winner, json!({ "Phone": "+41 31 000 07 00" })).await;
    place.wait_until_here("company", kept, "phone", "+41 31 000 07 00").await;
    place.house.edit("company", kept, json!({ "address_city": "Chur" })).await;
    place.wait_until_there("Account", winner, "BillingCity", "Chur").await;
}

async fn a_locked_row_is_tried_again(place: &Place) {
    let (there, here) = &place.accounts[3];
    place.fault(json!({ "match": { "object": "Account" }, "kind": "lock_row", "times": 2 })).await;
    place.house.edit("company", here, json!({ "address_city": "Biel" })).await;
    place.wait_until_there("Account", there, "BillingCity", "Biel").await;
    let left = place.org.control("GET", "faults", json!({})).await;
    assert_eq!(left["faults"], json!([]), "both locks were met");
    place.wait_until_linked_as("company", here, "in_sync").await;
    assert_eq!(place.issues(here).await, Vec::<Value>::new());
}

async fn what_a_rule_refuses_is_an_issue_in_its_words(place: &Place) {
    let [(there, here), (neighbour, other)] = &place.accounts[4..6] else { panic!("there are more") };
    let rule = json!({
        "match": { "object": "Account", "field": "BillingCity" }, "kind": "validation_rule",
        "message": "Cities are entered by the back office.", "times": 1 });
    place.fault(rule).await;
    place.house.edit("company", here, json!({ "address_city": "Olten" })).await;
    let issue = place.wait_for_issue(here, "Cities are entered by the back office").await;
    assert_eq!(issue["category"], "validation", "{issue}");
    place.house.edit("company", other, json!({ "address_city": "Aarau" })).await;
    place.wait_until_there("Account", neighbour, "BillingCity", "Aarau").await;
    let retry = format!("/api/v1/issues/{}/retry", issue["id"].as_str().expect("an id"));
    place.house.ok("POST", &retry, None).await;
    place.wait_until_there("Account", there, "BillingCity", "Olten").await;
    place.wait_for_no_issue(here).await;
}

async fn what_a_duplicate_rule_refuses_is_an_issue_and_is_made_once(place: &Place) {
    place.fault(json!({ "match": { "object": "Contact" }, "kind": "duplicate_rule", "times": 1 })).await;
    let contact = json!({ "last_name": "Twin", "email": "twin@weir.example" });
    let contact = place.create("contact", contact).await;
    let issue = place.wait_for_issue(&contact, "a duplicate rule in Salesforce").await;
    let retry = format!("/api/v1/issues/{}/retry", issue["id"].as_str().expect("an id"));
    place.house.ok("POST", &retry, None).await;
    place.wait_until_linked_as("contact", &contact, "in_sync").await;
    place.wait_for_no_issue(&contact).await;
    let twins = place.org.query("SELECT Id FROM Contact WHERE LastName = 'Twin'").await;
    assert_eq!(twins.len(), 1, "it was made once");
}

async fn what_lacks_a_required_field_is_an_issue_until_it_has_it(place: &Place) {
    let lead = json!({ "last_name": "Homeless", "email": "lead@homeless.example" });
    let lead = place.create("lead", lead).await;
    let issue = place.wait_for_issue(&lead, "fields that Salesforce requires are missing: Company").await;
    assert_eq!(issue["category"], "validation", "{issue}");
    place.house.edit("lead", &lead, json!({ "company_name": "Homeless Ltd" })).await;
    // It is made with all that was refused before, without anybody's trying again.
    place.wait_until_linked_as("lead", &lead, "in_sync").await;
    place.wait_for_no_issue(&lead).await;
}

async fn the_calls_of_the_day_are_told(place: &Place) {
    let path = format!("/api/v1/connections/{}/usage", place.connection);
    let daily = eventually(WAIT, "the day's limit", || async {
        let usage = place.house.ok("GET", &path, None).await;
        usage["limits"].as_array()?.iter().find(|limit| limit["name"] == "daily").cloned()
    })
    .await;
    assert_eq!((&daily["calls"], &daily["window_seconds"]), (&json!(100_000), &json!(86_400)), "{daily}");
    let left = daily["remaining"].as_u64().expect("a number");
    assert!((90_000..100_000).contains(&left), "{daily}");
}

async fn without_events_it_is_polled_and_says_so(place: &Place) {
    let (there, here) = &place.accounts[7];
    place.org.control("POST", "settings", json!({ "edition": "professional" })).await;
    let polled = eventually(WAIT, "accounts to be polled", || async {
        let path = format!("/api/v1/connections/{}/progress", place.connection);
        let progress = place.house.ok("GET", &path, None).await;
        let of_accounts =
            progress["objects"].as_array()?.iter().find(|one| one["vendor_object"] == "Account")?;
        let stream = of_accounts["stream"].clone();
        (stream["state"] == "polled").then_some(stream)
    })
    .await;
    let why = polled["message"].as_str().expect("it says why");
    assert!(why.contains("this edition of Salesforce has no Change Data Capture"), "{why}");
    place.org.edit("Account", there, json!({ "Phone": "+41 31 000 08 00" })).await;
    place.wait_until_here("company", here, "phone", "+41 31 000 08 00").await;
    let connection = place.house.ok("GET", &format!("/api/v1/connections/{}", place.connection), None).await;
    assert_eq!(connection["state"], "active", "that is no fault: {connection}");

    place.org.control("POST", "settings", json!({ "edition": "enterprise" })).await;
    place.house.ok("POST", &format!("/api/v1/connections/{}/sync", place.connection), None).await;
    place.house.wait_for_streams(&place.connection, &["Account"]).await;
    place.org.edit("Account", there, json!({ "Phone": "+41 31 000 09 00" })).await;
    place.wait_until_here("company", here, "phone", "+41 31 000 09 00").await;
}

// R23, R24
#[tokio::test]
async fn an_object_of_the_organizations_own_is_described_mapped_written_and_streamed() {
    let place = Place::start().await;
    let (house, org) = (&place.house, &place.org);
    let all = json!({ "entities": ["Account", "Contact", "Opportunity", "Lead", "Custom__c"] });
    org.control("POST", "stream/settings", all).await;
    let town = json!({ "object": "Custom__c", "name": "Town__c", "type": "Text", "length": 40 });
    org.control("POST", "field", town).await;
    house.ok("POST", &format!("/api/v1/connections/{}/refresh-schema", place.connection), None).await;
    let new = json!({ "object": "Custom__c", "fields": { "Name": "Quayside", "Town__c": "Malmö" } });
    let old = org.control("POST", "create", new).await["Id"].as_str().expect("an id").to_owned();
    map_custom(&place).await;
    let partner = place.linked("partner", &old).await;
    place.wait_until_here("partner", &partner, "city", "Malmö").await;
    house.wait_for_streams(&place.connection, &["Custom__c"]).await;

    let asked = org.calls("GET /services/data/{version}/query").await;
    org.edit("Custom__c", &old, json!({ "Town__c": "Lund" })).await;
    place.wait_until_here("partner", &partner, "city", "Lund").await;
    assert_eq!(
        org.calls("GET /services/data/{version}/query").await,
        asked,
        "it was pushed, and not asked for"
    );
    house.edit("partner", &partner, json!({ "city": "Ystad" })).await;
    place.wait_until_there("Custom__c", &old, "Town__c", "Ystad").await;

    let made = place.create("partner", json!({ "name": "Harbor Lights", "city": "Visby" })).await;
    place.wait_until_linked_as("partner", &made, "in_sync").await;
    let named = org.query("SELECT Town__c FROM Custom__c WHERE Name = 'Harbor Lights'").await;
    assert_eq!(named.len(), 1, "{named:?}");
    assert_eq!(named[0]["Town__c"], "Visby");
}

/// Maps the organization's own object to partners, as planned.
async fn map_custom(place: &Place) {
    let house = &place.house;
    let new = json!({ "connection_id": place.connection, "object": "partner", "vendor_object": "Custom__c" });
    let made = house.ok("POST", "/api/v1/mappings", Some(new)).await;
    let path = format!("/api/v1/mappings/{}", made["id"].as_str().expect("an id"));
    for (field, theirs) in [("name", "Name"), ("city", "Town__c")] {
        let choose = json!({ "action": "choose", "vendor_field": theirs });
        eventually(WAIT, "the object's fields to be known", || async {
            let answer = house.call("PATCH", &format!("{path}/fields/{field}"), Some(choose.clone())).await;
            (answer.status < 300).then_some(())
        })
        .await;
    }
    house.ok("POST", &format!("{path}/plan"), None).await;
    let plan = wait_for_plan(house, &path, "ready").await;
    house.ok("POST", &format!("{path}/activate"), Some(json!({ "plan_hash": plan["hash"] }))).await;
    wait_for_plan(house, &path, "applied").await;
}

async fn wait_for_plan(house: &House, mapping: &str, state: &str) -> Value {
    eventually(WAIT, &format!("the plan to be {state}"), || async {
        let plan = house.ok("GET", &format!("{mapping}/plan"), None).await;
        (plan["state"] == state).then_some(plan)
    })
    .await
}
