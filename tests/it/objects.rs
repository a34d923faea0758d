//! Contacts, the companies of deals and contacts, and custom objects.

use std::time::Duration;

use serde_json::{Value, json};
use testkit::eventually;
use tests::{Browser, House, Start};

const WAIT: Duration = Duration::from_secs(60);

async fn company_in_hubspot(house: &House, object: &str, id: &str) -> Option<String> {
    let path = format!("/crm/v4/objects/{object}/{id}/associations/companies");
    let (status, answer) = house.hubspot().call("GET", &path, None).await;
    assert_eq!(status, 200, "{answer}");
    let primary = |row: &&Value| {
        row["associationTypes"]
            .as_array()
            .is_some_and(|types| types.iter().any(|one| one["label"] == "Primary"))
    };
    let rows = answer["results"].as_array().cloned().unwrap_or_default();
    rows.iter().find(primary).map(|row| row["toObjectId"].to_string())
}

async fn make(house: &House, object: &str, properties: Value) -> String {
    let path = format!("/crm/v3/objects/{object}");
    let (status, made) = house.hubspot().call("POST", &path, Some(json!({ "properties": properties }))).await;
    assert_eq!(status, 201, "{made}");
    made["id"].as_str().expect("an id").to_owned()
}

/// Somebody in the portal makes a company the primary one of a record, and edits the record.
async fn associate(house: &House, object: &str, id: &str, company: &str, kind: u32) {
    associate_alone(house, object, id, company, kind).await;
    let property = if object == "deals" { "description" } else { "jobtitle" };
    house.hubspot().edit(object, id, property, &format!("now of {company}")).await;
}

/// Somebody in the portal makes a company the primary one of a record, which moves no date.
async fn associate_alone(house: &House, object: &str, id: &str, company: &str, kind: u32) {
    let path = format!("/crm/v4/objects/{object}/{id}/associations/companies/{company}");
    let types = json!([{ "associationCategory": "HUBSPOT_DEFINED", "associationTypeId": kind }]);
    let (status, answer) = house.hubspot().call("PUT", &path, Some(types)).await;
    assert_eq!(status, 201, "{answer}");
}

async fn record_id(house: &House, object: &str, vendor_id: &str) -> String {
    let record =
        eventually(WAIT, &format!("{object} {vendor_id} to be linked"), || house.linked(object, vendor_id))
            .await;
    record["id"].as_str().expect("an id").to_owned()
}

async fn open_issues(house: &House) -> Vec<Value> {
    let connection = house.connection().await;
    let found = house.ok("GET", &format!("/api/v1/issues?connection_id={connection}"), None).await;
    let issues = found["data"].as_array().cloned().expect("a list");
    issues.into_iter().filter(|issue| issue["state"] == "open" || issue["state"] == "retrying").collect()
}

// R20
#[tokio::test]
async fn contacts_and_the_companies_of_records_cross_both_ways() {
    let house = House::start(Start { contacts: 30, ..Start::default() }).await;
    contacts_are_matched_by_their_email_and_edited_on_both_sides(&house).await;
    let companies = house.hubspot().ids("companies", 3).await;
    for (object, vendor_object, kind) in [("deal", "deals", 5), ("contact", "contacts", 1)] {
        let id = house.hubspot().ids(vendor_object, 1).await.remove(0);
        the_backfill_linked_every_company(&house, object, vendor_object).await;
        // Somebody in the portal chooses another company.
        let theirs = record_id(&house, "company", &companies[0]).await;
        associate(&house, vendor_object, &id, &companies[0], kind).await;
        house.wait_for_field(object, &id, "company_id", &theirs).await;
        // We choose another one.
        let ours = record_id(&house, "company", &companies[1]).await;
        let record = record_id(&house, object, &id).await;
        house.edit(object, &record, json!({ "company_id": ours })).await;
        company_becomes(&house, vendor_object, &id, Some(&companies[1])).await;
        house.edit(object, &record, json!({ "company_id": null })).await;
        company_becomes(&house, vendor_object, &id, None).await;
        house.hubspot().wait_for_polls().await;
        let after = house.linked(object, &id).await.expect("it is linked");
        assert!(after["fields"]["company_id"].is_null(), "the echo changed nothing: {after}");
    }
    assert_eq!(open_issues(&house).await, Vec::<Value>::new());
}

#[tokio::test]
async fn a_record_that_moves_to_another_company_shows_here_although_nothing_else_of_it_changed() {
    let start = Start { contacts: 30, association_seconds: 2, ..Start::default() };
    let house = House::start(start).await;
    let hubspot = house.hubspot();
    let companies = hubspot.ids("companies", 2).await;
    let objects =
        [("deal", "deals", 5, "hs_lastmodifieddate"), ("contact", "contacts", 1, "lastmodifieddate")];
    for (object, vendor_object, kind, date) in objects {
        let id = hubspot.ids(vendor_object, 1).await.remove(0);
        the_backfill_linked_every_company(&house, object, vendor_object).await;
        let modified = hubspot.property(vendor_object, &id, date).await;
        let there = company_in_hubspot(&house, vendor_object, &id).await.expect("it has one");
        let other = companies.iter().find(|company| **company != there).expect("one of two is another one");
        // There and back again.
        for company in [other, &there] {
            associate_alone(&house, vendor_object, &id, company, kind).await;
            let company = record_id(&house, "company", company).await;
            house.wait_for_field(object, &id, "company_id", &company).await;
        }
        assert_eq!(hubspot.property(vendor_object, &id, date).await, modified, "no date moved");
    }
    assert_eq!(open_issues(&house).await, Vec::<Value>::new());
}

async fn company_becomes(house: &House, object: &str, id: &str, company: Option<&str>) {
    let what = format!("HubSpot's {object} {id} to be of {company:?}");
    eventually(WAIT, &what, || async {
        tokio::time::sleep(Duration::from_millis(150)).await;
        (company_in_hubspot(house, object, id).await.as_deref() == company).then_some(())
    })
    .await;
}

async fn the_backfill_linked_every_company(house: &House, object: &str, vendor_object: &str) {
    for id in house.hubspot().ids(vendor_object, 5).await {
        let there = company_in_hubspot(house, vendor_object, &id)
            .await
            .expect("the sandbox gives everybody a company");
        let company = record_id(house, "company", &there).await;
        house.wait_for_field(object, &id, "company_id", &company).await;
    }
}

async fn contacts_are_matched_by_their_email_and_edited_on_both_sides(house: &House) {
    let hubspot = house.hubspot();
    let contacts = hubspot.ids("contacts", 2).await;
    hubspot.edit("contacts", &contacts[0], "jobtitle", "Head of Alliances").await;
    house.wait_for_field("contact", &contacts[0], "job_title", "Head of Alliances").await;
    let record = record_id(house, "contact", &contacts[1]).await;
    house.edit("contact", &record, json!({ "first_name": "Ylva" })).await;
    hubspot.wait_for_property("contacts", &contacts[1], "firstname", "Ylva").await;

    let new = json!({ "fields": { "email": "ann@harbor.example", "last_name": "Harbor" } });
    let made = house.ok("POST", "/api/v1/records/contact", Some(new)).await;
    let path = format!("/api/v1/records/contact/{}", made["id"].as_str().expect("an id"));
    let vendor_id = eventually(WAIT, "the contact to be made there", || async {
        let record = house.ok("GET", &path, None).await;
        record["links"][0]["vendor_id"].as_str().filter(|id| !id.is_empty()).map(str::to_owned)
    })
    .await;
    hubspot.wait_for_property("contacts", &vendor_id, "email", "ann@harbor.example").await;
    // The merged-away contact's record is detached; the survivor goes on.
    let double = make(house, "contacts", json!({ "email": "anna@harbor.example" })).await;
    let detached = record_id(house, "contact", &double).await;
    let merge = json!({ "primaryObjectId": vendor_id, "objectIdToMerge": double });
    let (status, merged) = hubspot.call("POST", "/crm/v3/objects/contacts/merge", Some(merge)).await;
    assert_eq!(status, 200, "{merged}");
    let path = format!("/api/v1/records/contact/{detached}");
    eventually(WAIT, "the merged contact to be detached", || async {
        let record = house.ok("GET", &path, None).await;
        (record["links"][0]["state"] == "detached").then_some(())
    })
    .await;
}

#[tokio::test]
async fn a_deal_whose_company_is_not_here_yet_has_an_issue_until_it_is() {
    let house = House::start(Start::default()).await;
    let connection = house.connection().await;
    let companies = house.mapping("company").await;
    house.ok("POST", &format!("/api/v1/mappings/{companies}/pause"), None).await;
    // The company of this deal is only staged: its mapping is paused.
    let company = make(&house, "companies", json!({ "name": "Late Ltd", "domain": "late.example" })).await;
    let deal = make(
        &house,
        "deals",
        json!({ "dealname": "Early deal", "dealstage": "closedwon", "pipeline": "default" }),
    )
    .await;
    associate(&house, "deals", &deal, &company, 5).await;
    let issue = eventually(WAIT, "an issue about the company", || async {
        open_issues(&house).await.into_iter().find(|issue| issue["field"] == "company_id")
    })
    .await;
    assert_eq!(
        (issue["category"].as_str(), issue["connection_id"].as_str()),
        (Some("missing"), Some(&*connection))
    );
    // Its other fields sync meanwhile.
    house.wait_for_field("deal", &deal, "description", &format!("now of {company}")).await;

    house.ok("POST", &format!("/api/v1/mappings/{companies}/resume"), None).await;
    house.hubspot().edit("companies", &company, "city", "Ystad").await;
    let late = record_id(&house, "company", &company).await;
    house.wait_for_field("deal", &deal, "company_id", &late).await;
    eventually(WAIT, "the issue to clear itself", || async {
        let open = open_issues(&house).await;
        open.iter().all(|issue| issue["field"] != "company_id").then_some(())
    })
    .await;
    the_other_way_round(&house).await;
}

/// A company that is made here and named by a deal at once: the deal's write waits for the company's.
async fn the_other_way_round(house: &House) {
    let new = json!({ "fields": { "name": "New Quay", "domain": "new-quay.example" } });
    let deal = house.hubspot().ids("deals", 1).await.remove(0);
    let deal_here = record_id(house, "deal", &deal).await;
    let company = house.ok("POST", "/api/v1/records/company", Some(new)).await;
    let company = company["id"].as_str().expect("an id").to_owned();
    house.edit("deal", &deal_here, json!({ "company_id": company })).await;
    let path = format!("/api/v1/records/company/{company}");
    let there = eventually(WAIT, "the company to be made there", || async {
        let record = house.ok("GET", &path, None).await;
        record["links"][0]["vendor_id"].as_str().filter(|id| !id.is_empty()).map(str::to_owned)
    })
    .await;
    company_becomes(house, "deals", &deal, Some(&there)).await;
}

// R74
#[tokio::test]
async fn custom_objects_sync_where_the_subscription_has_them_and_else_people_are_told_why_not() {
    let house = House::start(Start::default()).await;
    let connection = house.connection().await;
    let shown = house.ok("GET", &format!("/api/v1/connections/{connection}"), None).await;
    assert!(
        shown["notices"].to_string().contains("custom objects, which need HubSpot Enterprise"),
        "{shown}"
    );

    let hubspot = house.hubspot();
    hubspot.control("POST", "settings", json!({ "tier": "enterprise" })).await;
    let property = |name: &str| json!({ "name": name, "label": name, "type": "string", "fieldType": "text" });
    let schema = json!({
        "name": "reseller", "labels": { "singular": "Reseller", "plural": "Resellers" },
        "primaryDisplayProperty": "trading_name",
        "properties": [property("trading_name"), property("site"), property("town")],
    });
    let (status, made) = hubspot.call("POST", "/crm-object-schemas/v3/schemas", Some(schema)).await;
    assert_eq!(status, 201, "{made}");
    let object = made["fullyQualifiedName"].as_str().expect("a name").to_owned();
    connect_again(&house, &connection).await;

    let pairs = eventually(WAIT, "the custom object to be offered", || async {
        let pairs = house.ok("GET", &format!("/api/v1/connections/{connection}/pairs"), None).await;
        let pairs = pairs["data"].as_array()?.clone();
        let of: Vec<Value> =
            pairs.into_iter().filter(|pair| pair["vendor_object"] == object.as_str()).collect();
        (!of.is_empty()).then_some(of)
    })
    .await;
    assert_eq!(pairs.len(), 5, "it may be any of our objects: {pairs:?}");
    map(&house, &connection, &object).await;

    let first = make(&house, &object, json!({ "trading_name": "Quayside", "town": "Malmö" })).await;
    house.wait_for_field("partner", &first, "city", "Malmö").await;
    let partner = record_id(&house, "partner", &first).await;
    house.edit("partner", &partner, json!({ "city": "Lund" })).await;
    hubspot.wait_for_property(&object, &first, "town", "Lund").await;
    let new = json!({ "fields": { "name": "Harbor Lights", "domain": "harbor-lights.example" } });
    let made = house.ok("POST", "/api/v1/records/partner", Some(new)).await;
    let path = format!("/api/v1/records/partner/{}", made["id"].as_str().expect("an id"));
    let there = eventually(WAIT, "the partner to be made there", || async {
        let record = house.ok("GET", &path, None).await;
        record["links"][0]["vendor_id"].as_str().filter(|id| !id.is_empty()).map(str::to_owned)
    })
    .await;
    hubspot.wait_for_property(&object, &there, "site", "harbor-lights.example").await;
}

async fn connect_again(house: &House, connection: &str) {
    let again = json!({ "vendor": "hubspot", "connection_id": connection });
    let begun = house.ok("POST", "/api/v1/connections/authorize", Some(again)).await;
    let portal =
        house.hubspot().control("GET", "health", json!({})).await["portal_id"].as_u64().expect("a portal");
    let landed = Browser::open().connect(begun["start_url"].as_str().expect("an address"), portal).await;
    let confirmed = house.confirm(&landed).await;
    assert_eq!(confirmed.status, 200, "{}", confirmed.body);
    let now = house.wait_for_state("active").await;
    assert_eq!(now["tier"], "Enterprise", "{now}");
}

async fn map(house: &House, connection: &str, object: &str) {
    let new = json!({ "connection_id": connection, "object": "partner", "vendor_object": object });
    let made = house.ok("POST", "/api/v1/mappings", Some(new)).await;
    let id = made["id"].as_str().expect("an id").to_owned();
    for (field, property) in [("name", "trading_name"), ("domain", "site"), ("city", "town")] {
        let choose = json!({ "action": "choose", "vendor_field": property });
        house.ok("PATCH", &format!("/api/v1/mappings/{id}/fields/{field}"), Some(choose)).await;
    }
    let path = format!("/api/v1/mappings/{id}");
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
