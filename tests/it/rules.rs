//! What people set on a pair of fields: what a blank does, which option is which, how a value is rewritten.

use std::time::Duration;

use serde_json::{Value, json};
use testkit::eventually;
use tests::{House, Start};

#[tokio::test]
async fn the_blank_rule_of_each_field_holds_in_both_directions() {
    let house = House::start(Start::default()).await;
    let mapping = house.mapping("company").await;
    for (field, rule) in [("phone", "never_overwrites"), ("address_city", "only_fills")] {
        let wish = json!({ "action": "settings", "blank_rule": rule });
        set_field(&house, &mapping, field, wish).await;
    }
    house.apply_changes(&mapping).await;
    let hubspot = house.hubspot();
    let company = hubspot.ids("companies", 1).await.remove(0);
    let id = house.linked("company", &company).await.expect("it was backfilled")["id"].clone();
    let id = id.as_str().expect("an id");
    house.edit("company", id, json!({ "phone": "+1 555 0100", "address_city": "Oslo" })).await;
    hubspot.wait_for_property("companies", &company, "phone", "+1 555 0100").await;

    edit_there(&house, &company, json!({ "phone": "", "city": "Bergen", "description": "emptied there" }))
        .await;
    let here = house.wait_for_field("company", &company, "description", "emptied there").await;
    assert_eq!(here["fields"]["phone"], "+1 555 0100", "a blank overwrites nothing here");
    assert_eq!(here["fields"]["address_city"], "Oslo", "what is not blank is not filled");
    hubspot.wait_for_polls().await;
    assert_eq!(hubspot.property("companies", &company, "phone").await, None, "what was emptied stays empty");

    house.edit("company", id, json!({ "phone": "+1 555 0101" })).await;
    hubspot.wait_for_property("companies", &company, "phone", "+1 555 0101").await;
    let emptied = json!({ "phone": null, "address_city": "Trondheim", "description": null });
    house.edit("company", id, emptied).await;
    eventually(Duration::from_secs(60), "the description to be emptied there, too", || async {
        hubspot.property("companies", &company, "description").await.is_none().then_some(())
    })
    .await;
    hubspot.wait_for_polls().await;
    assert_eq!(hubspot.property("companies", &company, "phone").await.as_deref(), Some("+1 555 0101"));
    assert_eq!(hubspot.property("companies", &company, "city").await.as_deref(), Some("Bergen"));
    edit_there(&house, &company, json!({ "phone": "+1 555 0102" })).await;
    house.wait_for_field("company", &company, "phone", "+1 555 0102").await;
}

#[tokio::test]
async fn an_unmapped_option_is_an_issue_until_somebody_says_which_one_it_is() {
    let house = House::start(Start::default()).await;
    let mapping = house.mapping("company").await;
    set_field(&house, &mapping, "company_type", json!({ "action": "choose", "vendor_field": "type" })).await;
    house.apply_changes(&mapping).await;
    let hubspot = house.hubspot();
    let company = hubspot.ids("companies", 1).await.remove(0);
    edit_there(&house, &company, json!({ "type": "RESELLER", "description": "a neighbour" })).await;
    house.wait_for_field("company", &company, "description", "a neighbour").await;
    let issue = wait_for_issue(&house, "company_type").await;
    let message = issue["message"].as_str().expect("words");
    assert_eq!(issue["category"], "value", "{issue}");
    assert!(message.contains("a text") && message.contains("equal options"), "{message}");
    assert!(!message.to_uppercase().contains("RESELLER"), "{message}");

    let wrong = json!({ "action": "settings", "values": [{ "ours": "nobody", "theirs": "RESELLER" }] });
    let path = format!("/api/v1/mappings/{mapping}/fields/company_type");
    assert_eq!(house.call("PATCH", &path, Some(wrong)).await.code(), "value_unknown");
    let map = json!({ "action": "settings", "values": [{ "ours": "customer", "theirs": "RESELLER" }] });
    let mended = set_field(&house, &mapping, "company_type", map).await;
    assert_eq!(mended["values"][0]["theirs"], "RESELLER");
    let suggested = mended["suggested_values"].as_array().expect("a list");
    assert!(suggested.contains(&json!({ "ours": "partner", "theirs": "PARTNER" })), "{suggested:?}");
    // What did not fit is merged again with the changes, so that nobody has to retry it.
    house.apply_changes(&mapping).await;
    let here = house.wait_for_field("company", &company, "company_type", "customer").await;
    eventually(Duration::from_secs(30), "the issue to clear", || async {
        issues(&house).await.iter().all(|open| open["id"] != issue["id"]).then_some(())
    })
    .await;

    let id = here["id"].as_str().expect("an id");
    house.edit("company", id, json!({ "company_type": "vendor" })).await;
    hubspot.wait_for_property("companies", &company, "type", "VENDOR").await;
    house.edit("company", id, json!({ "company_type": "customer" })).await;
    hubspot.wait_for_property("companies", &company, "type", "RESELLER").await;
}

#[tokio::test]
async fn values_are_rewritten_on_their_way_and_settle() {
    let house = House::start(Start::default()).await;
    let mapping = house.mapping("company").await;
    let choose = |field: &'static str, lines: Value| {
        let (house, mapping) = (&house, &mapping);
        async move { set_field(house, mapping, field, json!({ "action": "settings", "transforms": lines })).await }
    };
    choose("address_city", json!(["trim", "upper"])).await;
    choose("annual_revenue", json!(["scale -3", "round 6"])).await;
    let template = json!({
        "action": "choose", "vendor_field": "about_us", "transforms": ["template_there {name} in {address_city}"],
    });
    set_field(&house, &mapping, "sic_code", template).await;
    for (lines, code) in [
        (json!(["shout"]), "transform_invalid"),
        (json!(["template_there {nobody}"]), "template_field_unknown"),
    ] {
        let path = format!("/api/v1/mappings/{mapping}/fields/phone");
        let wish = json!({ "action": "settings", "transforms": lines });
        assert_eq!(house.call("PATCH", &path, Some(wish)).await.code(), code);
    }
    house.apply_changes(&mapping).await;
    let hubspot = house.hubspot();
    let company = hubspot.ids("companies", 1).await.remove(0);
    edit_there(&house, &company, json!({ "city": "  Bergen ", "annualrevenue": "1500" })).await;
    house.wait_for_field("company", &company, "address_city", "BERGEN").await;
    let here = house.wait_for_field("company", &company, "annual_revenue", "1500000").await;
    let id = here["id"].as_str().expect("an id");
    house
        .edit(
            "company",
            id,
            json!({ "name": "Nordwind", "address_city": " Oslo ", "annual_revenue": "2500" }),
        )
        .await;
    hubspot.wait_for_property("companies", &company, "city", "OSLO").await;
    hubspot.wait_for_property("companies", &company, "annualrevenue", "2.5").await;
    hubspot.wait_for_property("companies", &company, "about_us", "Nordwind in OSLO").await;
    house.wait_for_field("company", &company, "address_city", "OSLO").await;
    hubspot.wait_for_polls().await;
    let before = hubspot.calls("POST /crm/v3/objects/{type}/batch/update").await;
    hubspot.wait_for_polls().await;
    let after = hubspot.calls("POST /crm/v3/objects/{type}/batch/update").await;
    assert_eq!(before, after, "what was rewritten is not written again and again");
}

#[tokio::test]
async fn a_moments_day_is_told_in_the_time_zone_of_the_mapping() {
    let house = House::start(Start::default()).await;
    let mapping = house.mapping("deal").await;
    let path = format!("/api/v1/mappings/{mapping}");
    let moon = house.call("PATCH", &path, Some(json!({ "time_zone": "Moon/Crater" }))).await;
    assert_eq!(moon.code(), "time_zone_unknown");
    house.ok("PATCH", &path, Some(json!({ "time_zone": "US/Eastern" }))).await;
    set_field(
        &house,
        &mapping,
        "expected_close_date",
        json!({ "action": "choose", "vendor_field": "closedate", "policy": "newest_wins" }),
    )
    .await;
    house.apply_changes(&mapping).await;
    let hubspot = house.hubspot();
    let deal = hubspot.ids("deals", 1).await.remove(0);
    hubspot.edit("deals", &deal, "closedate", "2026-03-01T02:00:00Z").await;
    let here = house.wait_for_field("deal", &deal, "expected_close_date", "2026-02-28").await;
    house
        .edit("deal", here["id"].as_str().expect("an id"), json!({ "expected_close_date": "2026-07-04" }))
        .await;
    eventually(Duration::from_secs(60), "midnight in New York", || async {
        let there = hubspot.property("deals", &deal, "closedate").await?;
        there.starts_with("2026-07-04T04:00").then_some(())
    })
    .await;
}

#[tokio::test]
async fn options_of_a_field_of_several_are_known_ones_and_a_filter_takes_a_moment() {
    let house = House::start(Start::default()).await;
    let options = json!([{ "value": "a", "label": "A" }, { "value": "b", "label": "B" }]);
    let field = json!({ "name": "badges", "label": "Badges", "type": "multi_picklist", "options": options });
    house.ok("POST", "/api/v1/objects/company/fields", Some(field)).await;
    let added = house.wait_for_audit("action=schema.field_added").await;
    assert_eq!(added["target"], "company.badges", "{added}");
    let company = house.hubspot().ids("companies", 1).await.remove(0);
    let record = house.linked("company", &company).await.expect("it was backfilled");
    let path = format!("/api/v1/records/company/{}", record["id"].as_str().expect("an id"));
    let refused = house.call("PATCH", &path, Some(json!({ "fields": { "badges": ["a", "zzz"] } }))).await;
    assert_eq!((refused.status, refused.code()), (400, "option_unknown"), "{}", refused.body);
    house.ok("PATCH", &path, Some(json!({ "fields": { "badges": ["a", "b"] } }))).await;
    let mapping = format!("/api/v1/mappings/{}", house.mapping("company").await);
    let filter = json!({ "filter": { "conditions": ["there createdate above 2001-01-31T00:00:00Z"] } });
    house.ok("PATCH", &mapping, Some(filter)).await;
}

async fn set_field(house: &House, mapping: &str, field: &str, wish: Value) -> Value {
    let path = format!("/api/v1/mappings/{mapping}/fields/{field}");
    let mapping = house.ok("PATCH", &path, Some(wish)).await;
    let fields = mapping["fields"].as_array().expect("a list");
    fields.iter().find(|mapped| mapped["field"] == field).expect("the field is there").clone()
}

async fn edit_there(house: &House, company: &str, properties: Value) {
    let path = format!("/crm/v3/objects/companies/{company}");
    let (status, answer) =
        house.hubspot().call("PATCH", &path, Some(json!({ "properties": properties }))).await;
    assert_eq!(status, 200, "{answer}");
}

async fn issues(house: &House) -> Vec<Value> {
    house.ok("GET", "/api/v1/issues", None).await["data"].as_array().cloned().expect("a list")
}

async fn wait_for_issue(house: &House, field: &str) -> Value {
    let what = format!("an issue of {field}");
    eventually(Duration::from_secs(60), &what, || async {
        issues(house).await.into_iter().find(|issue| issue["field"] == field)
    })
    .await
}
