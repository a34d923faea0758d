//! Search: order, filters, pages, the cap, the late index.

use serde_json::{Value, json};

use crate::client::{hub, hub_with, relaxed};

fn since(ms: i64) -> Value {
    json!([{"filters": [{"propertyName": "hs_lastmodifieddate", "operator": "GTE", "value": ms.to_string()}]}])
}

fn by_modified() -> Value {
    json!([{"propertyName": "hs_lastmodifieddate", "direction": "ASCENDING"}])
}

#[tokio::test]
async fn changed_records_come_in_the_order_of_their_change() {
    let hub = hub().await;
    let first = hub.make("companies", json!({"name": "Cedar Labs"})).await;
    let second = hub.make("companies", json!({"name": "Umbra Works"})).await;
    hub.handle.advance_clock(5);
    hub.patch(&format!("/crm/v3/objects/companies/{first}"), json!({"properties": {"city": "Boston"}}))
        .await
        .ok();
    let found = hub
        .search("companies", json!({"filterGroups": since(0), "sorts": by_modified(), "limit": 200}))
        .await;
    assert_eq!(found.body["total"], 2);
    assert_eq!(found.ids(), [second, first]);
    assert!(found.body.get("paging").is_none(), "the last page has no paging");
}

#[tokio::test]
async fn pages_follow_each_other_without_gap_or_repetition() {
    let hub = hub().await;
    hub.handle.seed("companies", 450).expect("seeded");
    let mut seen = Vec::new();
    let mut after = Value::Null;
    loop {
        let mut body =
            json!({"filterGroups": since(0), "sorts": by_modified(), "limit": 200, "properties": ["name"]});
        if !after.is_null() {
            body["after"] = after;
        }
        let page = hub.search("companies", body).await;
        assert_eq!(page.body["total"], 450);
        seen.extend(page.ids());
        after = page.body["paging"]["next"]["after"].clone();
        if after.is_null() {
            break;
        }
    }
    let mut unique = seen.clone();
    unique.sort();
    unique.dedup();
    assert_eq!((seen.len(), unique.len()), (450, 450));
}

#[tokio::test]
async fn every_operator_finds_what_it_says() {
    let hub = hub().await;
    for (name, staff, industry) in [
        ("Alder Foods", Some("10"), "FOOD_BEVERAGES"),
        ("Beacon Energy", Some("200"), "UTILITIES"),
        ("Cedar Media", None, "UTILITIES"),
    ] {
        let mut values = json!({"name": name, "industry": industry});
        if let Some(staff) = staff {
            values["numberofemployees"] = json!(staff);
        }
        hub.make("companies", values).await;
    }
    let cases = [
        (json!({"propertyName": "name", "operator": "EQ", "value": "alder foods"}), vec!["Alder Foods"]),
        (
            json!({"propertyName": "name", "operator": "NEQ", "value": "Alder Foods"}),
            vec!["Beacon Energy", "Cedar Media"],
        ),
        (json!({"propertyName": "numberofemployees", "operator": "LT", "value": "200"}), vec!["Alder Foods"]),
        (
            json!({"propertyName": "numberofemployees", "operator": "LTE", "value": "200"}),
            vec!["Alder Foods", "Beacon Energy"],
        ),
        (json!({"propertyName": "numberofemployees", "operator": "GT", "value": 10}), vec!["Beacon Energy"]),
        (
            json!({"propertyName": "numberofemployees", "operator": "GTE", "value": "10"}),
            vec!["Alder Foods", "Beacon Energy"],
        ),
        (
            json!({"propertyName": "numberofemployees", "operator": "BETWEEN", "value": "5", "highValue": "10"}),
            vec!["Alder Foods"],
        ),
        (
            json!({"propertyName": "industry", "operator": "IN", "values": ["UTILITIES"]}),
            vec!["Beacon Energy", "Cedar Media"],
        ),
        (json!({"propertyName": "industry", "operator": "IN", "values": ["utilities"]}), vec![]),
        (
            json!({"propertyName": "industry", "operator": "NOT_IN", "values": ["UTILITIES"]}),
            vec!["Alder Foods"],
        ),
        (json!({"propertyName": "name", "operator": "IN", "values": ["cedar media"]}), vec!["Cedar Media"]),
        (json!({"propertyName": "name", "operator": "IN", "values": ["Cedar Media"]}), vec![]),
        (
            json!({"propertyName": "numberofemployees", "operator": "HAS_PROPERTY"}),
            vec!["Alder Foods", "Beacon Energy"],
        ),
        (json!({"propertyName": "numberofemployees", "operator": "NOT_HAS_PROPERTY"}), vec!["Cedar Media"]),
        (
            json!({"propertyName": "name", "operator": "CONTAINS_TOKEN", "value": "energy"}),
            vec!["Beacon Energy"],
        ),
        (json!({"propertyName": "name", "operator": "CONTAINS_TOKEN", "value": "ce*"}), vec!["Cedar Media"]),
        (
            json!({"propertyName": "name", "operator": "NOT_CONTAINS_TOKEN", "value": "energy"}),
            vec!["Alder Foods", "Cedar Media"],
        ),
    ];
    for (filter, expected) in cases {
        let body = json!({"filterGroups": [{"filters": [filter]}], "properties": ["name"]});
        let found = hub.search("companies", body).await.ok();
        let names: Vec<&str> = found["results"]
            .as_array()
            .expect("results")
            .iter()
            .map(|row| row["properties"]["name"].as_str().expect("name"))
            .collect();
        assert_eq!(names, expected, "{filter}");
    }
}

#[tokio::test]
async fn groups_are_alternatives_and_filters_inside_one_are_all_required() {
    let hub = hub().await;
    for (name, city) in [("A", "Boston"), ("B", "Boston"), ("C", "Paris")] {
        hub.make("companies", json!({"name": name, "city": city})).await;
    }
    let eq = |name: &str, value: &str| json!({"propertyName": name, "operator": "EQ", "value": value});
    let groups =
        json!([{"filters": [eq("city", "Boston"), eq("name", "B")]}, {"filters": [eq("city", "Paris")]}]);
    let body = json!({"filterGroups": groups, "sorts": ["-name"], "properties": ["name"]});
    let found = hub.search("companies", body).await.ok();
    let names: Vec<_> = found["results"]
        .as_array()
        .expect("results")
        .iter()
        .map(|r| r["properties"]["name"].clone())
        .collect();
    assert_eq!(names, ["C", "B"]);
}

#[tokio::test]
async fn free_text_and_associations_can_be_searched() {
    let hub = hub().await;
    let company = hub.make("companies", json!({"name": "Quarry Robotics", "domain": "quarry.example"})).await;
    hub.make("companies", json!({"name": "Other"})).await;
    let link = json!([{"to": {"id": company}, "types": [{"associationCategory": "HUBSPOT_DEFINED", "associationTypeId": 341}]}]);
    let deal = hub
        .post("/crm/v3/objects/deals", json!({"properties": {"dealname": "Robots"}, "associations": link}))
        .await
        .ok();
    let found = hub.search("companies", json!({"query": "robotics"})).await;
    assert_eq!(found.ids(), std::slice::from_ref(&company));
    let linked =
        json!([{"filters": [{"propertyName": "associations.company", "operator": "EQ", "value": company}]}]);
    let found = hub.search("deals", json!({"filterGroups": linked})).await;
    assert_eq!(found.ids(), [deal["id"].as_str().expect("id")]);
}

#[tokio::test]
async fn nothing_past_the_ten_thousandth_hit_can_be_paged_to() {
    let hub = hub().await;
    hub.handle.seed("companies", 10_050).expect("seeded");
    let page = |after: u32| json!({"filterGroups": since(0), "sorts": by_modified(), "limit": 200, "after": after.to_string()});
    let last = hub.search("companies", page(9_800)).await.ok();
    assert_eq!(
        (last["total"].clone(), last["paging"]["next"]["after"].clone()),
        (json!(10_050), json!("10000"))
    );
    hub.search("companies", page(10_000)).await.refused(400, "VALIDATION_ERROR");
    hub.search("companies", page(9_801)).await.refused(400, "VALIDATION_ERROR");
}

#[tokio::test]
async fn many_records_of_one_millisecond_are_paged_by_id() {
    let hub = hub().await;
    let import = json!({"object": "companies", "count": 500, "same_moment": true});
    hub.handle.control("POST", "/_sandbox/seed", import).expect("seeded");
    let row = hub.search("companies", json!({"limit": 1})).await.ok();
    let at = row["results"][0]["updatedAt"].clone();
    let mut seen = 0;
    let mut last = "0".to_owned();
    loop {
        let filters = json!([{"propertyName": "hs_lastmodifieddate", "operator": "EQ", "value": at},
                             {"propertyName": "hs_object_id", "operator": "GT", "value": last}]);
        let body = json!({"filterGroups": [{"filters": filters}], "limit": 200,
                          "sorts": [{"propertyName": "hs_object_id", "direction": "ASCENDING"}]});
        let ids = hub.search("companies", body).await.ids();
        let Some(newest) = ids.last() else { break };
        last = newest.clone();
        seen += ids.len();
    }
    assert_eq!(seen, 500, "an import stamps all its records with one moment");
}

#[tokio::test]
async fn a_search_that_breaks_a_limit_is_refused() {
    let hub = hub().await;
    let filter = json!({"propertyName": "name", "operator": "HAS_PROPERTY"});
    let group = |n: usize| json!({"filters": vec![filter.clone(); n]});
    for body in [
        json!({"limit": 201}),
        json!({"filterGroups": vec![group(1); 6]}),
        json!({"filterGroups": [group(7)]}),
        json!({"filterGroups": vec![group(5); 4]}),
        json!({"sorts": ["name", "city"]}),
        json!({"after": "soon"}),
        json!({"query": "x".repeat(3_000)}),
        json!({"filterGroups": [{"filters": [{"propertyName": "nonsense", "operator": "EQ", "value": "1"}]}]}),
        json!({"filterGroups": [{"filters": [{"propertyName": "name", "operator": "LIKE", "value": "1"}]}]}),
        json!({"filterGroups": [{"filters": [{"propertyName": "numberofemployees", "operator": "GT", "value": "many"}]}]}),
    ] {
        hub.search("companies", body).await.refused(400, "VALIDATION_ERROR");
    }
}

#[tokio::test]
async fn search_lags_behind_and_then_shows_a_newer_record_at_its_indexed_place() {
    let hub = hub_with(sandbox::hubspot::Settings { index_delay_ms: 60_000, ..relaxed() }).await;
    let id = hub.make("deals", json!({"dealname": "Late"})).await;
    let all = json!({"filterGroups": since(0), "sorts": by_modified()});
    assert_eq!(hub.search("deals", all.clone()).await.body["total"], 0, "too early to be seen");
    hub.get(&format!("/crm/v3/objects/deals/{id}")).await.ok();
    hub.handle.advance_clock(60_001);
    let indexed = hub.search("deals", all.clone()).await.ok()["results"][0]["updatedAt"].clone();
    hub.patch(&format!("/crm/v3/objects/deals/{id}"), json!({"properties": {"amount": "5"}})).await.ok();
    let window =
        json!([{"filters": [{"propertyName": "hs_lastmodifieddate", "operator": "EQ", "value": indexed}]}]);
    let found = hub.search("deals", json!({"filterGroups": window, "properties": ["amount"]})).await.ok();
    assert_eq!(found["results"][0]["properties"]["amount"], "5", "values are current");
    assert!(found["results"][0]["updatedAt"].as_str() > indexed.as_str(), "its place is the old one");
}

#[tokio::test]
async fn archived_records_are_never_found() {
    let hub = hub().await;
    let id = hub.make("companies", json!({"name": "Gone"})).await;
    assert_eq!(hub.search("companies", json!({})).await.body["total"], 1);
    hub.delete(&format!("/crm/v3/objects/companies/{id}")).await.ok();
    assert_eq!(hub.search("companies", json!({})).await.body["total"], 0);
    hub.handle.restore("companies", &id).expect("restored");
    assert_eq!(hub.search("companies", json!({})).await.ids(), [id]);
}
