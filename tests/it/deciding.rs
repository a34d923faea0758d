//! Which records are synced: deletes, filters, and matches that a person must decide.

use std::time::Duration;

use serde_json::{Value, json};
use testkit::eventually;
use tests::{House, Start};

const SOON: Duration = Duration::from_secs(60);

#[tokio::test]
async fn a_record_archived_on_one_side_goes_the_same_way_on_the_other_and_comes_back() {
    let house = House::start(Start::default()).await;
    let mapping = house.mapping("company").await;
    let path = format!("/api/v1/mappings/{mapping}");
    let hubspot = house.hubspot();
    let companies = hubspot.ids("companies", 3).await;
    house.ok("PATCH", &path, Some(json!({ "delete_policy": "archive" }))).await;
    house.apply_changes(&mapping).await;

    let target = json!({ "object": "companies", "id": companies[0] });
    hubspot.control("POST", "archive", target.clone()).await;
    sync_now(&house).await;
    let archived = wait_for(&house, &companies[0], |record| !record["archived_at"].is_null()).await;
    assert_eq!(archived["links"][0]["state"], "detached", "{archived}");
    hubspot.control("POST", "restore", target).await;
    let back = wait_for(&house, &companies[0], |record| record["archived_at"].is_null()).await;
    assert_eq!(back["links"][0]["state"], "in_sync", "an undelete relinks: {back}");
    let id = back["id"].as_str().expect("an id");
    house.edit("company", id, json!({ "phone": "+1 555 0199" })).await;
    hubspot.wait_for_property("companies", &companies[0], "phone", "+1 555 0199").await;

    let ours = house.linked("company", &companies[1]).await.expect("it was backfilled");
    house
        .ok("DELETE", &format!("/api/v1/records/company/{}", ours["id"].as_str().expect("an id")), None)
        .await;
    eventually(SOON, "HubSpot's to be archived, too", || async {
        let (status, _) =
            hubspot.call("GET", &format!("/crm/v3/objects/companies/{}", companies[1]), None).await;
        tokio::time::sleep(Duration::from_millis(150)).await;
        (status == 404).then_some(())
    })
    .await;
    wait_for(&house, &companies[1], |record| record["links"][0]["state"] == "detached").await;

    house.ok("PATCH", &path, Some(json!({ "delete_policy": "delete" }))).await;
    house.apply_changes(&mapping).await;
    let doomed = house.linked("company", &companies[2]).await.expect("it was backfilled");
    let doomed = format!("/api/v1/records/company/{}", doomed["id"].as_str().expect("an id"));
    hubspot.control("POST", "archive", json!({ "object": "companies", "id": companies[2] })).await;
    sync_now(&house).await;
    eventually(SOON, "ours to be deleted", || async {
        (house.call("GET", &doomed, None).await.status == 404).then_some(())
    })
    .await;
    hubspot.control("POST", "restore", json!({ "object": "companies", "id": companies[2] })).await;
    eventually(SOON, "ours to be back", || async {
        (house.call("GET", &doomed, None).await.status == 200).then_some(())
    })
    .await;
}

#[tokio::test]
async fn a_record_that_the_filter_leaves_out_says_so_and_goes_on_when_it_is_let_in() {
    let house = House::start(Start::default()).await;
    let mapping = house.mapping("company").await;
    let path = format!("/api/v1/mappings/{mapping}");
    for (condition, code) in
        [("there city like x", "filter_invalid"), ("there nothing is x", "filter_field_unknown")]
    {
        let wish = json!({ "filter": { "conditions": [condition] } });
        assert_eq!(house.call("PATCH", &path, Some(wish)).await.code(), code);
    }
    let conditions = ["there city is_not Nowhere", "here description is_not secret"];
    let set = house.ok("PATCH", &path, Some(json!({ "filter": { "conditions": conditions } }))).await;
    assert_eq!(set["filter"]["conditions"], json!(conditions));
    house.apply_changes(&mapping).await;
    let hubspot = house.hubspot();
    let company = hubspot.ids("companies", 1).await.remove(0);
    let edit = |properties: Value| {
        let (hubspot, path) = (&hubspot, format!("/crm/v3/objects/companies/{company}"));
        async move {
            let (status, answer) =
                hubspot.call("PATCH", &path, Some(json!({ "properties": properties }))).await;
            assert_eq!(status, 200, "{answer}");
        }
    };
    edit(json!({ "city": "Nowhere", "phone": "+1 555 0600" })).await;
    let left_out = wait_for(&house, &company, |record| record["links"][0]["state"] == "filtered").await;
    assert_ne!(left_out["fields"]["phone"], "+1 555 0600");
    let id = left_out["id"].as_str().expect("an id");
    assert_eq!(reason(&house, id).await["code"], "filtered");
    house.edit("company", id, json!({ "website": "https://held.test" })).await;
    edit(json!({ "city": "Oslo" })).await;
    let back = house.wait_for_field("company", &company, "phone", "+1 555 0600").await;
    assert_eq!(back["fields"]["address_city"], "Oslo");
    hubspot.wait_for_property("companies", &company, "website", "https://held.test").await;
    wait_for(&house, &company, |record| record["links"][0]["state"] == "in_sync").await;
    assert_eq!(reason(&house, id).await["code"], "in_sync");

    house.edit("company", id, json!({ "description": "secret", "phone": "+1 555 0601" })).await;
    wait_for(&house, &company, |record| record["links"][0]["state"] == "filtered").await;
    hubspot.wait_for_polls().await;
    assert_eq!(hubspot.property("companies", &company, "phone").await.as_deref(), Some("+1 555 0600"));
    house.edit("company", id, json!({ "description": "open" })).await;
    hubspot.wait_for_property("companies", &company, "phone", "+1 555 0601").await;

    let fields = json!({ "name": "Hidden", "domain": "hidden.test", "description": "secret" });
    let hidden = house.ok("POST", "/api/v1/records/company", Some(json!({ "fields": fields }))).await;
    let hidden = hidden["id"].as_str().expect("an id");
    assert_eq!(reason(&house, hidden).await["code"], "filtered");
    house.edit("company", hidden, json!({ "description": null })).await;
    eventually(SOON, "the record to be created there", || async {
        (reason(&house, hidden).await["code"] == "in_sync").then_some(())
    })
    .await;
    house.ok("POST", &format!("{path}/pause"), None).await;
    assert_eq!(reason(&house, id).await["code"], "mapping_paused");
}

#[tokio::test]
async fn an_ambiguous_match_waits_for_a_person_who_links_creates_or_ignores() {
    let house = House::start(Start::default()).await;
    let mapping = house.mapping("company").await;
    let inward = json!({ "direction": "from_vendor" });
    house.ok("PATCH", &format!("/api/v1/mappings/{mapping}"), Some(inward)).await;
    house.apply_changes(&mapping).await;
    let hubspot = house.hubspot();
    let mut settled = Vec::new();
    for (n, action) in ["link", "create", "ignore"].into_iter().enumerate() {
        let domain = format!("twins{n}.test");
        let mut twins = Vec::new();
        for name in ["One", "Two"] {
            let fields = json!({ "name": name, "domain": domain, "phone": "+1 555 0700" });
            let record = house.ok("POST", "/api/v1/records/company", Some(json!({ "fields": fields }))).await;
            twins.push(record["id"].as_str().expect("an id").to_owned());
        }
        assert_eq!(reason(&house, &twins[0]).await["code"], "direction");
        let properties = json!({ "name": "Theirs", "domain": domain, "phone": "+1 555 0700" });
        let (status, theirs) = hubspot
            .call("POST", "/crm/v3/objects/companies", Some(json!({ "properties": properties })))
            .await;
        assert_eq!(status, 201, "{theirs}");
        let vendor_id = theirs["id"].as_str().expect("an id").to_owned();
        let decision = eventually(SOON, "the decision", || async {
            let list = house.ok("GET", "/api/v1/decisions", None).await;
            list["data"]
                .as_array()?
                .iter()
                .find(|decision| decision["vendor_id"] == vendor_id.as_str())
                .cloned()
        })
        .await;
        let candidates = decision["candidates"].as_array().expect("a list");
        assert_eq!(candidates.len(), 2, "{decision}");
        assert!(candidates.iter().all(|candidate| candidate["free"] == true));
        assert_eq!(candidates[0]["shared"], json!(["domain", "phone"]), "{decision}");
        let of_vendor = format!("/api/v1/mappings/{mapping}/sync?vendor_id={vendor_id}");
        assert_eq!(house.ok("GET", &of_vendor, None).await["data"][0]["code"], "ambiguous");
        assert!(house.linked("company", &vendor_id).await.is_none(), "nothing is guessed");

        let path = format!("/api/v1/decisions/{}/settle", decision["id"].as_str().expect("an id"));
        let wish = json!({ "action": action, "record_id": twins[1] });
        let answer = house.ok("POST", &path, Some(wish.clone())).await;
        match action {
            "link" => assert_eq!(answer["record_id"], twins[1].as_str()),
            "create" => assert!(!twins.iter().any(|twin| answer["record_id"] == twin.as_str()), "{answer}"),
            _ => assert_eq!(answer["record_id"], Value::Null),
        }
        settled.push((vendor_id, path, wish));
    }
    let list = house.ok("GET", "/api/v1/decisions", None).await;
    assert_eq!(list["data"], json!([]), "nothing is left to decide");
    let told = eventually(SOON, "the audit log to tell of all three", || async {
        let entries = house.audit("action=mapping.decision_settled").await;
        (entries.len() == 3).then_some(entries)
    })
    .await;
    assert!(told.iter().all(|entry| entry["actor"].as_str().is_some_and(|it| it.starts_with("api_key:"))));
    assert_eq!(
        house.call("POST", &settled[0].1, Some(settled[0].2.clone())).await.code(),
        "decision_settled"
    );
    for (vendor_id, ..) in &settled[..2] {
        house.wait_for_field("company", vendor_id, "name", "Theirs").await;
        hubspot.edit("companies", vendor_id, "phone", "+1 555 0701").await;
        house.wait_for_field("company", vendor_id, "phone", "+1 555 0701").await;
    }
    hubspot.edit("companies", &settled[2].0, "phone", "+1 555 0702").await;
    hubspot.wait_for_polls().await;
    assert!(house.linked("company", &settled[2].0).await.is_none(), "what is ignored stays so");
    let stranger = json!({ "action": "ignore" });
    let unknown = house.call("POST", "/api/v1/decisions/link_none/settle", Some(stranger)).await;
    assert_eq!(unknown.status, 404);
}

#[tokio::test]
async fn a_condition_on_our_own_field_asks_for_what_ours_would_hold() {
    let house = House::start(Start::default()).await;
    let mapping = house.mapping("company").await;
    let filter = json!({ "filter": { "conditions": ["here address_city is Bergen"] } });
    house.ok("PATCH", &format!("/api/v1/mappings/{mapping}"), Some(filter)).await;
    house.apply_changes(&mapping).await;
    let hubspot = house.hubspot();
    let make = |name: &'static str, city: &'static str| {
        let properties = json!({ "properties": { "name": name, "city": city } });
        let hubspot = &hubspot;
        async move {
            let (status, made) = hubspot.call("POST", "/crm/v3/objects/companies", Some(properties)).await;
            assert_eq!(status, 201, "{made}");
            made["id"].as_str().expect("an id").to_owned()
        }
    };
    let out = make("Elsewhere", "Tromsø").await;
    let within = make("There", "Bergen").await;
    house.wait_for_field("company", &within, "name", "There").await;
    assert!(house.linked("company", &out).await.is_none(), "what the filter leaves out is not made here");
    hubspot.edit("companies", &out, "city", "Bergen").await;
    house.wait_for_field("company", &out, "address_city", "Bergen").await;
    // One that was let in and leaves is let in again by the vendor's value, not by the one that ours had.
    hubspot.edit("companies", &within, "city", "Oslo").await;
    wait_for(&house, &within, |record| record["links"][0]["state"] == "filtered").await;
    hubspot.edit("companies", &within, "city", "Bergen").await;
    hubspot.edit("companies", &within, "phone", "+1 555 0610").await;
    house.wait_for_field("company", &within, "phone", "+1 555 0610").await;
}

/// Reads what was archived there now, not only at the next sweep.
async fn sync_now(house: &House) {
    let connection = house.connection().await;
    house.ok("POST", &format!("/api/v1/connections/{connection}/sync"), None).await;
}

/// The first reason why a record is or is not synced.
async fn reason(house: &House, id: &str) -> Value {
    let found = house.ok("GET", &format!("/api/v1/records/company/{id}/sync"), None).await;
    let reasons = found["data"].as_array().expect("a list");
    let companies = |reason: &&Value| reason["vendor_object"] == "companies";
    reasons.iter().find(companies).cloned().unwrap_or_else(|| panic!("no reason: {found}"))
}

async fn wait_for(house: &House, vendor_id: &str, is_so: impl Fn(&Value) -> bool) -> Value {
    eventually(SOON, "the record to be so", || async {
        let path =
            format!("/api/v1/records/company?include_archived=true&vendor=hubspot&vendor_id={vendor_id}");
        let found = house.ok("GET", &path, None).await;
        found["data"].as_array()?.first().filter(|record| is_so(record)).cloned()
    })
    .await
}
