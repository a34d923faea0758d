//! A mapping that works is changed: what that would do to both sides is shown before it does it.

use std::time::Duration;

use serde_json::{Value, json};
use testkit::eventually;
use tests::{House, Start};

#[tokio::test]
async fn what_a_changed_mapping_would_do_is_planned_and_applied_only_as_planned() {
    let house = House::start(Start::default()).await;
    let mapping = house.mapping("company").await;
    let path = format!("/api/v1/mappings/{mapping}");
    let hubspot = house.hubspot();
    let ids: [String; 6] = hubspot.ids("companies", 6).await.try_into().expect("six companies");
    let [left_out, inward, outward, both, later, last] = &ids;
    let mut here = Vec::new();
    for id in &ids {
        here.push(house.linked("company", id).await.expect("it was backfilled")["id"].clone());
    }
    let refused = house.call("POST", &format!("{path}/plan"), None).await;
    assert_eq!((refused.status, refused.code()), (409, "mapping_active"));
    house.ok("POST", &format!("{path}/pause"), None).await;

    let filter = json!({ "filter": { "conditions": ["there city is_not Nowhere"] } });
    house.ok("PATCH", &path, Some(filter)).await;
    let choose = json!({ "action": "choose", "vendor_field": "about_us" });
    house.ok("PATCH", &format!("{path}/fields/sic_code"), Some(choose)).await;
    let policy = json!({ "action": "settings", "policy": "crm_wins" });
    house.ok("PATCH", &format!("{path}/fields/description"), Some(policy)).await;
    hubspot.edit("companies", left_out, "city", "Nowhere").await;
    hubspot.edit("companies", inward, "about_us", "Founded by two").await;
    let edit = async |at: usize, fields: Value| {
        house.edit("company", here[at].as_str().expect("an id"), fields).await;
    };
    edit(2, json!({ "phone": "+1 555 0800" })).await;
    hubspot.edit("companies", both, "description", "theirs").await;
    edit(3, json!({ "description": "ours" })).await;

    let plan = make_plan(&house, &path).await;
    let noted = |plan: &Value, category: &str, vendor_id: &str| -> Option<String> {
        let categories = plan["categories"].as_array()?;
        let found = categories.iter().find(|one| one["name"] == category)?;
        let sample = found["samples"].as_array()?.iter().find(|sample| sample["vendor_id"] == vendor_id)?;
        Some(sample["note"].as_str().unwrap_or_default().to_owned())
    };
    assert_eq!(noted(&plan, "skipped", left_out).as_deref(), Some("the filter leaves it out"), "{plan}");
    assert_eq!(noted(&plan, "update_here", inward).as_deref(), Some("sic_code"), "{plan}");
    assert_eq!(noted(&plan, "update_there", outward).as_deref(), Some("phone"), "{plan}");
    assert_eq!(noted(&plan, "conflict", both).as_deref(), Some("description"), "{plan}");
    assert!(plan["vendor_calls"].as_u64() >= Some(1) && plan["seconds"].as_f64() > Some(0.0), "{plan}");
    assert_eq!(field(&house, inward, "sic_code").await, Value::Null, "nothing moves before it is confirmed");
    assert_ne!(hubspot.property("companies", outward, "phone").await.as_deref(), Some("+1 555 0800"));

    hubspot.edit("companies", later, "phone", "+1 555 0801").await;
    hubspot.wait_for_polls().await;
    let activate = |plan: &Value| {
        let body = json!({ "plan_hash": plan["hash"] });
        let (house, path) = (&house, format!("{path}/activate"));
        async move { house.call("POST", &path, Some(body)).await }
    };
    let stale = eventually(SOON, "the plan to be stale", || async {
        let answer = activate(&json!({ "hash": "another" })).await;
        assert_eq!(answer.code(), "plan_stale");
        let seen = make_plan(&house, &path).await;
        (seen["hash"] != plan["hash"]).then_some(seen)
    })
    .await;
    assert_eq!(activate(&plan).await.code(), "plan_stale");
    // One that moved is worked out anew by itself, to be looked at once more.
    hubspot.edit("companies", last, "phone", "+1 555 0802").await;
    hubspot.wait_for_polls().await;
    assert_eq!(activate(&stale).await.code(), "plan_stale");
    let anew = eventually(SOON, "the plan to be worked out anew", || async {
        let plan = house.ok("GET", &format!("{path}/plan"), None).await;
        (plan["state"] == "ready" && plan["hash"] != stale["hash"]).then_some(plan)
    })
    .await;
    assert_eq!(noted(&anew, "update_here", last).as_deref(), Some("phone"), "{anew}");
    // A value that changes nothing of the plan leaves it true.
    hubspot.edit("companies", inward, "about_us", "Founded by three").await;
    hubspot.wait_for_polls().await;
    let active = activate(&anew).await;
    assert_eq!((active.status, active.body["state"].as_str()), (200, Some("active")), "{}", active.body);
    house.wait_for_field("company", inward, "sic_code", "Founded by three").await;
    house.wait_for_field("company", both, "description", "theirs").await;
    house.wait_for_field("company", later, "phone", "+1 555 0801").await;
    hubspot.wait_for_property("companies", outward, "phone", "+1 555 0800").await;
    assert_ne!(field(&house, left_out, "address_city").await, "Nowhere");
    eventually(SOON, "the one that is left out to say so", || async {
        let record = house.linked("company", left_out).await?;
        (record["links"][0]["state"] == "filtered").then_some(())
    })
    .await;
}

#[tokio::test]
async fn a_change_of_an_active_mapping_is_planned_beside_its_sync_and_does_nothing_before_it_is_applied() {
    let house = House::start(Start::default()).await;
    let mapping = house.mapping("company").await;
    let path = format!("/api/v1/mappings/{mapping}");
    let hubspot = house.hubspot();
    let [left_out, inward, outward]: [String; 3] =
        hubspot.ids("companies", 3).await.try_into().expect("three companies");
    let here = house.linked("company", &outward).await.expect("it was backfilled")["id"].clone();
    hubspot.edit("companies", &inward, "about_us", "Founded by two").await;

    let phone = json!({ "action": "settings", "direction": "from_vendor" });
    house.ok("PATCH", &format!("{path}/fields/phone"), Some(phone)).await;
    house.apply_changes(&mapping).await;
    let filter = json!({ "filter": { "conditions": ["there city is_not Nowhere"] } });
    house.ok("PATCH", &path, Some(filter)).await;
    let choose = json!({ "action": "choose", "vendor_field": "about_us" });
    house.ok("PATCH", &format!("{path}/fields/sic_code"), Some(choose)).await;
    let phone = json!({ "action": "settings", "direction": "" });
    let shown = house.ok("PATCH", &format!("{path}/fields/phone"), Some(phone)).await;
    let change = |field: Value, setting: &str, before: Value, after: Value| {
        let label = shown["fields"].as_array().and_then(|all| all.iter().find(|one| one["field"] == field));
        let label = label.map_or(Value::Null, |one| one["field_label"].clone());
        json!({ "field": field, "field_label": label, "setting": setting, "before": before, "after": after })
    };
    let pending = json!([
        change(Value::Null, "filter", Value::Null, json!("there city is_not Nowhere")),
        change(json!("phone"), "direction", json!("from_vendor"), Value::Null),
        change(json!("sic_code"), "vendor_field", Value::Null, json!("about_us")),
    ]);
    assert_eq!((&shown["state"], &shown["pending_changes"]), (&json!("active"), &pending));

    // It syncs on by what is active.
    house.edit("company", here.as_str().expect("an id"), json!({ "phone": "+1 555 0810" })).await;
    hubspot.edit("companies", &left_out, "city", "Nowhere").await;
    house.wait_for_field("company", &left_out, "address_city", "Nowhere").await;
    hubspot.wait_for_polls().await;
    assert_ne!(hubspot.property("companies", &outward, "phone").await.as_deref(), Some("+1 555 0810"));
    assert_eq!(field(&house, &inward, "sic_code").await, Value::Null);

    let plan = make_plan(&house, &path).await;
    let noted = |category: &str, vendor_id: &str| {
        let categories = plan["categories"].as_array().expect("a list");
        let found = categories.iter().find(|one| one["name"] == category).expect("it is planned");
        let samples = found["samples"].as_array().expect("a list");
        samples.iter().find(|one| one["vendor_id"] == vendor_id).expect("it is shown")["note"].clone()
    };
    assert_eq!(noted("skipped", &left_out), "the filter leaves it out", "{plan}");
    assert_eq!(noted("update_here", &inward), "sic_code", "{plan}");
    assert_eq!(noted("update_there", &outward), "phone", "{plan}");
    assert_eq!(field(&house, &inward, "sic_code").await, Value::Null, "nothing moves before it is applied");
    // What is not applied is forgotten with a word, and planned once more.
    house.ok("POST", &format!("{path}/discard"), None).await;
    let again = house.call("POST", &format!("{path}/discard"), None).await;
    assert_eq!((again.status, again.code()), (409, "nothing_pending"));
    let hash = json!({ "plan_hash": plan["hash"] });
    let refused = house.call("POST", &format!("{path}/activate"), Some(hash)).await;
    assert_eq!((refused.status, refused.code()), (409, "plan_missing"), "{}", refused.body);
    let choose = json!({ "action": "choose", "vendor_field": "about_us" });
    house.ok("PATCH", &format!("{path}/fields/sic_code"), Some(choose)).await;
    let phone = json!({ "action": "settings", "direction": "" });
    house.ok("PATCH", &format!("{path}/fields/phone"), Some(phone)).await;
    make_plan(&house, &path).await;
    let wrong = house.call("POST", &format!("{path}/activate"), Some(json!({ "plan_hash": "b" }))).await;
    assert_eq!((wrong.status, wrong.code()), (409, "plan_stale"));

    house.apply_changes(&mapping).await;
    house.wait_for_field("company", &inward, "sic_code", "Founded by two").await;
    hubspot.wait_for_property("companies", &outward, "phone", "+1 555 0810").await;
    hubspot.edit("companies", &left_out, "about_us", "It is in again").await;
    house.wait_for_field("company", &left_out, "sic_code", "It is in again").await;
    house.wait_for_audit(&format!("action=mapping.changes_discarded&target={mapping}")).await;

    // Applying is a run, which is put back as any other.
    let connection = house.connection().await;
    let runs = house.ok("GET", &format!("/api/v1/runs?connection_id={connection}"), None).await;
    let run = runs["data"].as_array().and_then(|all| all.iter().find(|run| run["kind"] == "apply")).cloned();
    let run = run.expect("the newest application");
    house.ok("POST", &format!("/api/v1/runs/{}/undo", run["id"].as_str().expect("an id")), None).await;
    eventually(SOON, "what it took over to be put back", || async {
        field(&house, &inward, "sic_code").await.is_null().then_some(())
    })
    .await;
}

const SOON: Duration = Duration::from_secs(60);

#[tokio::test]
async fn a_plan_tells_what_would_be_stopped_of_the_records_that_one_side_alone_has() {
    let house = House::start(Start::default()).await;
    let path = format!("/api/v1/mappings/{}", house.mapping("company").await);
    house.ok("POST", &format!("{path}/pause"), None).await;
    let fields = json!({ "name": "Odd one", "domain": "odd-one.test", "industry": "Beekeeping" });
    let odd = house.ok("POST", "/api/v1/records/company", Some(json!({ "fields": fields }))).await;
    let fields = json!({ "name": "Plain one", "domain": "plain-one.test" });
    let plain = house.ok("POST", "/api/v1/records/company", Some(json!({ "fields": fields }))).await;
    let plan = make_plan(&house, &path).await;
    let has = |category: &str, record: &Value| {
        let categories = plan["categories"].as_array().expect("a list");
        categories
            .iter()
            .filter(|one| one["name"] == category)
            .flat_map(|one| one["samples"].as_array().expect("a list"))
            .any(|sample| sample["record_id"] == record["id"])
    };
    assert!(has("blocked", &odd), "{plan}");
    assert!(has("create_there", &plain), "{plan}");
}

async fn make_plan(house: &House, path: &str) -> Value {
    house.ok("POST", &format!("{path}/plan"), None).await;
    eventually(SOON, "the plan", || async {
        let plan = house.ok("GET", &format!("{path}/plan"), None).await;
        (plan["state"] == "ready").then_some(plan)
    })
    .await
}

async fn field(house: &House, vendor_id: &str, field: &str) -> Value {
    house.linked("company", vendor_id).await.expect("it is linked")["fields"][field].clone()
}
