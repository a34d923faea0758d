//! Pages stay fast when a portal is large.

use std::time::Instant;

use serde_json::json;

use crate::client::hub;

#[tokio::test]
async fn a_page_of_a_large_portal_costs_no_more_than_one_of_a_small_portal() {
    let hub = hub().await;
    let planted = Instant::now();
    hub.handle.seed("companies", 30_000).expect("seeded");
    let planted = planted.elapsed();
    let body = json!({"limit": 200, "properties": ["name", "domain", "phone", "city", "industry", "numberofemployees"],
        "filterGroups": [{"filters": [{"propertyName": "hs_lastmodifieddate", "operator": "GTE", "value": "0"}]}],
        "sorts": [{"propertyName": "hs_lastmodifieddate", "direction": "ASCENDING"}]});
    hub.search("companies", body.clone()).await.ok();
    let pages = 50;
    let began = Instant::now();
    for _ in 0..pages {
        hub.search("companies", body.clone()).await.ok();
    }
    let each = began.elapsed() / pages;
    println!("30,000 companies planted in {planted:?}; a page of 200 takes {each:?} over HTTP");
    assert!(each.as_millis() < 200, "a page took {each:?}");
}
