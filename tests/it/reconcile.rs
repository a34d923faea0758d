//! Both sides are compared, and what differs behind every listing's back is repaired.

use std::time::Duration;

use serde_json::{Value, json};
use testkit::eventually;
use tests::{House, Start};

const SOON: Duration = Duration::from_secs(60);

// B7
#[tokio::test]
async fn what_the_vendor_changed_without_a_word_is_found_and_repaired() {
    let house = House::start(Start::default()).await;
    let ids = house.hubspot().ids("companies", 2).await;
    house.linked("company", &ids[0]).await.expect("a record");
    let path = format!("/api/v1/connections/{}/reconciles", house.connection().await);
    let first = compare(&house, &path).await;
    assert!(first["read"].as_u64() >= Some(2) && !first["verified_at"].is_null(), "{first}");

    let silent = json!({
        "object": "companies", "id": ids[0], "properties": { "city": "Ghent" }, "unnoticed": true,
    });
    house.hubspot().control("POST", "edit", silent).await;
    let second = compare(&house, &path).await;
    assert_eq!(second["repaired"], 1, "{second}");
    let difference = &second["differences"][0];
    assert_eq!(
        (&difference["vendor_id"], &difference["what"], &difference["fields"]),
        (&json!(ids[0]), &json!("value"), &json!(["address_city"])),
    );
    house.wait_for_field("company", &ids[0], "address_city", "Ghent").await;
    let told = eventually(SOON, "the audit log to tell of it", || async {
        let entries = house.audit("action=sync.run_finished").await;
        let ours = |it: &Value| it["summary"].as_str().is_some_and(|it| it.contains("1 repaired"));
        entries.into_iter().find(ours)
    })
    .await;
    assert!(told["actor"].as_str().is_some_and(|actor| actor.starts_with("api_key:")), "{told}");
}

// B7
#[tokio::test]
async fn what_the_vendor_lost_or_never_told_is_found_and_both_sides_edits_go_by_the_policy() {
    let house = House::start(Start::default()).await;
    let ids = house.hubspot().ids("companies", 2).await;
    let lost = house.linked("company", &ids[0]).await.expect("a record");
    let edited = house.linked("company", &ids[1]).await.expect("a record");
    let connection = house.connection().await;
    let path = format!("/api/v1/connections/{connection}/reconciles");

    // Gone for good there, and in no recycle bin; new there, but dated back.
    let erased = json!({ "objectId": ids[0] });
    let (status, answer) =
        house.hubspot().call("POST", "/crm/v3/objects/companies/gdpr-delete", Some(erased)).await;
    assert!(status < 300, "{answer}");
    let planted = json!({ "object": "companies", "count": 1, "seed": 99, "spread_days": 2 });
    let planted = house.hubspot().control("POST", "seed", planted).await;
    let planted = planted["first_id"].as_str().expect("an id");
    house.hubspot().wait_for_polls().await;
    assert!(house.linked("company", planted).await.is_none(), "no listing told of it");
    let found = compare(&house, &path).await;
    let mut told: Vec<[&str; 2]> = found["differences"]
        .as_array()
        .expect("a list")
        .iter()
        .map(|it| ["vendor_id", "what"].map(|name| it[name].as_str().unwrap_or_default()))
        .collect();
    told.sort_unstable_by_key(|it| it[1]);
    assert_eq!(told, [[planted, "missing_here"], [ids[0].as_str(), "missing_there"]], "{found}");
    assert!(house.linked("company", planted).await.is_some());
    let kept = house.ok("GET", &format!("/api/v1/records/company/{}", id(&lost)), None).await;
    assert_eq!(kept["links"][0]["state"], "detached", "the record stays: {kept}");

    // Both sides edit the same fields while nobody listens, one of them without a word.
    let mapping = house.mapping("company").await;
    for (field, policy) in [("phone", "platform_wins"), ("address_city", "crm_wins")] {
        let path = format!("/api/v1/mappings/{mapping}/fields/{field}");
        house.ok("PATCH", &path, Some(json!({ "action": "settings", "policy": policy }))).await;
    }
    house.apply_changes(&mapping).await;
    house.ok("POST", &format!("/api/v1/connections/{connection}/pause"), None).await;
    house.wait_for_state("paused").await;
    // The engine hears of it a moment later than the one who paused it, and of the end of the pause too.
    let refused = || async { Some(house.call("POST", &path, None).await).filter(|it| it.status >= 300) };
    let refused = eventually(SOON, "the engine to hear of it", refused).await;
    assert_eq!((refused.status, refused.code()), (409, "connection_inactive"), "{}", refused.body);
    let silent = json!({
        "object": "companies", "id": ids[1], "unnoticed": true,
        "properties": { "city": "Ghent", "phone": "+32 1" },
    });
    house.hubspot().control("POST", "edit", silent).await;
    house.edit("company", id(&edited), json!({ "address_city": "Lyon", "phone": "+33 2" })).await;
    house.ok("POST", &format!("/api/v1/connections/{connection}/resume"), None).await;
    house.wait_for_state("active").await;
    let heard = || async { (house.call("POST", &path, None).await.status < 300).then_some(()) };
    eventually(SOON, "the engine to hear of it", heard).await;
    let equal = compare(&house, &path).await;
    assert_eq!(equal["held"], 0, "{equal}");
    house.wait_for_field("company", &ids[1], "phone", "+33 2").await;
    house.hubspot().wait_for_property("companies", &ids[1], "phone", "+33 2").await;
    house.wait_for_field("company", &ids[1], "address_city", "Ghent").await;
    house.hubspot().wait_for_property("companies", &ids[1], "city", "Ghent").await;
    let last = compare(&house, &path).await;
    assert_eq!((&last["repaired"], &last["held"]), (&json!(0), &json!(0)), "{last}");
    let listed = house.ok("GET", &path, None).await;
    assert_eq!(listed["data"][0]["state"], "done", "{listed}");
    house.assert_events_are_as_described().await;
}

fn id(record: &Value) -> &str {
    record["id"].as_str().expect("an id")
}

// B7, B12
#[tokio::test]
async fn a_comparison_waits_behind_live_traffic_when_little_of_a_budget_is_left() {
    let house = House::start(Start::default()).await;
    let (hubspot, connection) = (house.hubspot(), house.connection().await);
    let company = hubspot.ids("companies", 1).await.remove(0);
    let record = house.linked("company", &company).await.expect("a record");
    let budget = format!("/api/v1/connections/{connection}/budget");
    house.ok("PUT", &budget, Some(json!({ "calls": 5_000, "window": "day", "warn_percent": 1 }))).await;
    eventually(SOON, "a warning", || async {
        (house.ok("GET", &budget, None).await["level"] == "warning").then_some(())
    })
    .await;

    let listings = || hubspot.calls("GET /crm/v3/objects/{type}");
    let before = listings().await;
    let comparison = begin(&house, &format!("/api/v1/connections/{connection}/reconciles")).await;
    hubspot.edit("companies", &company, "phone", "+1 555 0777").await;
    house.wait_for_field("company", &company, "phone", "+1 555 0777").await;
    house.edit("company", id(&record), json!({ "address_city": "Visby" })).await;
    hubspot.wait_for_property("companies", &company, "city", "Visby").await;
    hubspot.wait_for_polls().await;
    let waiting = house.ok("GET", &comparison, None).await;
    assert_eq!((&waiting["state"], &waiting["read"]), (&json!("reading"), &json!(0)), "{waiting}");
    assert_eq!(listings().await, before, "nothing but live traffic reaches the vendor");

    house.ok("PUT", &budget, Some(json!({ "calls": 1_000_000, "window": "day" }))).await;
    let done = done(&house, &comparison).await;
    assert!(done["read"].as_u64() >= Some(40), "{done}");
}

/// Has both sides compared; gives what became of the companies.
async fn compare(house: &House, path: &str) -> Value {
    let comparison = begin(house, path).await;
    done(house, &comparison).await
}

/// Has both sides compared; gives where the comparison of the companies is.
async fn begin(house: &House, path: &str) -> String {
    let begun = house.ok("POST", path, None).await;
    let begun = begun["data"].as_array().expect("a list").clone();
    let found = begun.iter().find(|it| it["vendor_object"] == "companies").expect("companies");
    format!("/api/v1/reconciles/{}", id(found))
}

async fn done(house: &House, comparison: &str) -> Value {
    eventually(SOON, "both sides to be compared", || async {
        Some(house.ok("GET", comparison, None).await).filter(|it| it["state"] == "done")
    })
    .await
}
