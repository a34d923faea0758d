//! Both sides edit the same fields of a record while the connection is paused.

use std::time::Duration;

use serde_json::{Value, json};
use testkit::eventually;
use tests::{House, Start};

/// Our field, HubSpot's property, and the policy that it gets.
const FIELDS: [(&str, &str, &str); 3] = [
    ("phone", "phone", "platform_wins"),
    ("address_city", "city", "crm_wins"),
    ("description", "description", "newest_wins"),
];

// R2, R53-R59, R61, R65
#[tokio::test]
async fn the_policy_of_each_field_decides_a_conflict_and_the_loser_can_be_restored() {
    let house = House::start(Start::default()).await;
    let owner = house.sign_in("owner").await;
    let mapping = house.mapping("company").await;
    policies_are_set_per_field_by_a_person_and_audited(&house, &owner, &mapping).await;

    let connection = house.connection().await;
    let companies = house.hubspot().ids("companies", 2).await;
    house.ok("POST", &format!("/api/v1/connections/{connection}/pause"), None).await;
    house.wait_for_state("paused").await;
    edit_there(&house, &companies[0]).await;
    edit_here(&house, &companies[0]).await;
    edit_here(&house, &companies[1]).await;
    edit_there(&house, &companies[1]).await;
    house.ok("POST", &format!("/api/v1/connections/{connection}/resume"), None).await;

    both_sides_have(&house, &companies[0], ["ours", "theirs", "ours"]).await;
    both_sides_have(&house, &companies[1], ["ours", "theirs", "theirs"]).await;
    losers_are_listed_and_audited(&house, &companies[0], ["platform", "crm", "platform"]).await;
    losers_are_listed_and_audited(&house, &companies[1], ["platform", "crm", "crm"]).await;
    a_loser_is_restored_on_both_sides(&house, &companies[0]).await;
    house.assert_events_are_as_described().await;
}

// R58
#[tokio::test]
async fn the_newest_edit_of_a_field_stands_though_another_field_of_the_record_was_edited_later_in_hubspot() {
    let house = House::start(Start::default()).await;
    let mapping = house.mapping("company").await;
    // What is edited here stays here, so that nothing but the reading decides.
    let wish = json!({ "action": "settings", "policy": "newest_wins", "direction": "from_vendor" });
    house.ok("PATCH", &format!("/api/v1/mappings/{mapping}/fields/description"), Some(wish)).await;
    house.apply_changes(&mapping).await;
    let connection = house.connection().await;
    let hubspot = house.hubspot();
    let companies = hubspot.ids("companies", 2).await;
    house.ok("POST", &format!("/api/v1/connections/{connection}/pause"), None).await;
    house.wait_for_state("paused").await;
    for (company, is_later_here) in companies.iter().zip([true, false]) {
        let record = house.linked("company", company).await.expect("it was backfilled");
        let id = record["id"].as_str().expect("an id");
        let ours = json!({ "description": "ours" });
        if is_later_here {
            hubspot.edit("companies", company, "description", "theirs").await;
            a_moment_passes().await;
            house.edit("company", id, ours).await;
        } else {
            house.edit("company", id, ours).await;
            a_moment_passes().await;
            hubspot.edit("companies", company, "description", "theirs").await;
        }
        a_moment_passes().await;
        hubspot.edit("companies", company, "city", "Trier").await;
    }
    house.ok("POST", &format!("/api/v1/connections/{connection}/resume"), None).await;
    for (company, (winner, value)) in companies.iter().zip([("platform", "ours"), ("crm", "theirs")]) {
        house.wait_for_field("company", company, "address_city", "Trier").await;
        house.wait_for_field("company", company, "description", value).await;
        let conflicts = conflicts(&house, company).await;
        assert_eq!(conflicts.len(), 1, "{conflicts:?}");
        assert_eq!(
            (&conflicts[0]["field"], &conflicts[0]["winner"]),
            (&json!("description"), &json!(winner))
        );
    }
}

// R66, R67
#[tokio::test]
async fn values_of_a_field_marked_as_personal_data_never_reach_the_audit_log() {
    let house = House::start(Start::default()).await;
    let mapping = house.mapping("company").await;
    let marked = json!({ "action": "settings", "pii": true, "policy": "crm_wins" });
    house.ok("PATCH", &format!("/api/v1/mappings/{mapping}/fields/phone"), Some(marked)).await;
    house.apply_changes(&mapping).await;

    let company = house.hubspot().ids("companies", 1).await.remove(0);
    let record = house.linked("company", &company).await.expect("it was backfilled");
    let id = record["id"].as_str().expect("an id");
    house.hubspot().edit("companies", &company, "phone", "+1 555 0301").await;
    house.wait_for_field("company", &company, "phone", "+1 555 0301").await;
    house.edit("company", id, json!({ "phone": "+1 555 0302" })).await;
    house.hubspot().wait_for_property("companies", &company, "phone", "+1 555 0302").await;
    let connection = house.connection().await;
    house.ok("POST", &format!("/api/v1/connections/{connection}/pause"), None).await;
    house.hubspot().edit("companies", &company, "phone", "+1 555 0303").await;
    house.edit("company", id, json!({ "phone": "+1 555 0304" })).await;
    house.ok("POST", &format!("/api/v1/connections/{connection}/resume"), None).await;
    house.wait_for_field("company", &company, "phone", "+1 555 0303").await;

    let conflict = house.wait_for_audit(&format!("action=conflict.recorded&target={id}")).await;
    assert!(conflict["details_json"].as_str().is_some_and(|text| text.contains("[redacted]")), "{conflict}");
    let changed = house.wait_for_audit(&format!("action=record.changed&target={id}")).await;
    assert!(changed["details_json"].as_str().is_some_and(|text| text.contains("[redacted]")), "{changed}");
    let export = house.call_for_text("/api/v1/audit/export").await;
    assert!(export.lines().count() > 50, "the export has the whole log");
    assert!(!export.contains("+1 555 030"), "a personal value is in the audit log");
}

// R53, B16
#[tokio::test]
async fn a_conflict_of_a_field_that_asks_waits_for_a_person_and_both_sides_follow() {
    let house = House::start(Start::default()).await;
    let mapping = house.mapping("company").await;
    let asks = json!({ "action": "settings", "policy": "manual" });
    house.ok("PATCH", &format!("/api/v1/mappings/{mapping}/fields/phone"), Some(asks)).await;
    house.apply_changes(&mapping).await;
    let connection = house.connection().await;
    let company = house.hubspot().ids("companies", 1).await.remove(0);
    let record = house.linked("company", &company).await.expect("it was backfilled");
    let id = record["id"].as_str().expect("an id");
    house.ok("POST", &format!("/api/v1/connections/{connection}/pause"), None).await;
    house.wait_for_state("paused").await;
    house.hubspot().edit("companies", &company, "phone", "+1 555 0401").await;
    house.edit("company", id, json!({ "phone": "+1 555 0402" })).await;
    house.ok("POST", &format!("/api/v1/connections/{connection}/resume"), None).await;

    let path = format!("/api/v1/issues?record_id={id}&category=conflict");
    let issue = eventually(Duration::from_secs(60), "a conflict that waits", || async {
        house.ok("GET", &path, None).await["data"].as_array()?.first().cloned()
    })
    .await;
    assert_eq!((&issue["field"], &issue["category_label"]), (&json!("phone"), &json!("Conflict held")));
    assert_eq!((&issue["here"], &issue["there"]), (&json!("+1 555 0402"), &json!("+1 555 0401")), "{issue}");

    let settle = format!("/api/v1/issues/{}/settle", issue["id"].as_str().expect("an id"));
    let refused = house.call("POST", &settle, Some(json!({ "winner": "both" }))).await;
    assert_eq!((refused.status, refused.code()), (400, "winner_unknown"), "{}", refused.body);
    let owner = house.sign_in("owner").await;
    let theirs = Some(json!({ "winner": "crm" }));
    let settled = house.call_as(&[("authorization", &owner)], "POST", &settle, theirs).await;
    assert_eq!((settled.status, &settled.body["state"]), (200, &json!("resolved")), "{}", settled.body);
    house.wait_for_field("company", &company, "phone", "+1 555 0401").await;
    house.hubspot().wait_for_property("companies", &company, "phone", "+1 555 0401").await;
    let conflict = conflicts(&house, &company).await.remove(0);
    assert_eq!((&conflict["policy"], &conflict["winner"]), (&json!("manual"), &json!("crm")), "{conflict}");
    assert_eq!(conflict["lost"], "+1 555 0402", "{conflict}");
    let me = house.call_as(&[("authorization", &owner)], "GET", "/api/v1/me", None).await;
    let me = me.body["user"]["id"].as_str().expect("a person");
    // The vendor's edit recorded the conflict first, and this is the entry of who settled it.
    house.wait_for_audit(&format!("action=conflict.recorded&target={id}&actor=user:{me}")).await;
}

async fn policies_are_set_per_field_by_a_person_and_audited(house: &House, owner: &str, mapping: &str) {
    for (field, _, policy) in FIELDS {
        let path = format!("/api/v1/mappings/{mapping}/fields/{field}");
        let wish = json!({ "action": "settings", "policy": policy });
        let answer = house.call_as(&[("authorization", owner)], "PATCH", &path, Some(wish)).await;
        assert_eq!(answer.status, 200, "{}", answer.body);
        let fields = answer.body["fields"].as_array().expect("a list");
        let found = fields.iter().find(|mapped| mapped["field"] == field).expect("the field is mapped");
        assert_eq!(found["policy"], policy);
    }
    house.apply_changes(mapping).await;
    let me = house.call_as(&[("authorization", owner)], "GET", "/api/v1/me", None).await;
    let actor = format!("user:{}", me.body["user"]["id"].as_str().expect("a person"));
    let entries = eventually(Duration::from_secs(30), "the changes of policies in the audit log", || async {
        let found = house.audit(&format!("action=mapping.*&target={mapping}&actor={actor}")).await;
        // The policy of the third field is what it was before.
        (found.len() >= 2).then_some(found)
    })
    .await;
    let text = entries.iter().filter_map(|entry| entry["details_json"].as_str()).collect::<String>();
    assert!(text.contains("platform_wins") && text.contains("crm_wins"), "{text}");
}

async fn edit_there(house: &House, company: &str) {
    let properties: Value =
        FIELDS.iter().map(|(_, property, _)| ((*property).to_owned(), json!("theirs"))).collect();
    let body = json!({ "properties": properties });
    let path = format!("/crm/v3/objects/companies/{company}");
    let (status, answer) = house.hubspot().call("PATCH", &path, Some(body)).await;
    assert_eq!(status, 200, "{answer}");
    a_moment_passes().await;
}

async fn edit_here(house: &House, company: &str) {
    let record = house.linked("company", company).await.expect("it was backfilled");
    let fields: Value = FIELDS.iter().map(|(field, ..)| ((*field).to_owned(), json!("ours"))).collect();
    house.edit("company", record["id"].as_str().expect("an id"), fields).await;
    a_moment_passes().await;
}

/// The vendor tells times in milliseconds; the next edit is to be a later one for both sides.
async fn a_moment_passes() {
    tokio::time::sleep(Duration::from_millis(50)).await;
}

async fn both_sides_have(house: &House, company: &str, values: [&str; 3]) {
    let hubspot = house.hubspot();
    for ((field, property, policy), value) in FIELDS.into_iter().zip(values) {
        house.wait_for_field("company", company, field, value).await;
        hubspot.wait_for_property("companies", company, property, value).await;
        hubspot.wait_for_polls().await;
        let record = house.linked("company", company).await.expect("it is linked");
        assert_eq!(record["fields"][field], value, "{field} ({policy}) stays as decided");
        assert_eq!(hubspot.property("companies", company, property).await.as_deref(), Some(value));
    }
}

async fn losers_are_listed_and_audited(house: &House, company: &str, winners: [&str; 3]) {
    let conflicts = conflicts(house, company).await;
    assert_eq!(conflicts.len(), 3, "one conflict for each field: {conflicts:?}");
    for ((field, _, policy), winner) in FIELDS.into_iter().zip(winners) {
        let conflict = conflicts.iter().find(|conflict| conflict["field"] == field).expect("it is listed");
        let (kept, lost) = if winner == "platform" { ("ours", "theirs") } else { ("theirs", "ours") };
        assert_eq!(conflict["winner"], winner, "{conflict}");
        assert_eq!(conflict["policy"], policy, "{conflict}");
        assert_eq!((&conflict["kept"], &conflict["lost"]), (&json!(kept), &json!(lost)), "{conflict}");
    }
    let record = conflicts[0]["record_id"].as_str().expect("an id");
    let audited = eventually(Duration::from_secs(30), "three conflicts in the audit log", || async {
        let found = house.audit(&format!("action=conflict.recorded&target={record}")).await;
        (found.len() >= 3).then_some(found)
    })
    .await;
    assert_eq!(audited.len(), 3);
}

async fn a_loser_is_restored_on_both_sides(house: &House, company: &str) {
    let conflicts = conflicts(house, company).await;
    let lost = conflicts.iter().find(|conflict| conflict["field"] == "address_city").expect("it is listed");
    let path = format!("/api/v1/conflicts/{}/restore", lost["id"].as_str().expect("an id"));
    let record = house.ok("POST", &path, None).await;
    assert_eq!(record["fields"]["address_city"], "ours");
    house.hubspot().wait_for_property("companies", company, "city", "ours").await;
    let again = house.call("POST", &path, None).await;
    assert!((400..500).contains(&again.status), "{} {}", again.status, again.body);
    assert!(!again.code().is_empty());
}

async fn conflicts(house: &House, company: &str) -> Vec<Value> {
    let record = house.linked("company", company).await.expect("it is linked");
    let path = format!("/api/v1/conflicts?record_id={}", record["id"].as_str().expect("an id"));
    let found = house.ok("GET", &path, None).await;
    found["data"].as_array().cloned().expect("a list")
}
