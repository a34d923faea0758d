//! Pages stay fast when an org is large.

use std::time::Instant;

use serde_json::json;

use super::{force, names};

#[tokio::test]
async fn a_keyset_page_of_a_large_org_costs_no_more_than_one_of_a_small_org() {
    let force = force().await;
    let planted = Instant::now();
    force.control("seed", json!({"object": "Account", "count": 30_000, "spread_days": 1}));
    let planted = planted.elapsed();
    let (mut after, mut pages, mut rows) = (String::new(), 0, 0);
    let began = Instant::now();
    loop {
        let soql = format!(
            "SELECT Id, Name, Phone, Website, BillingCity, Industry, NumberOfEmployees, SystemModstamp FROM Account \
             {after} ORDER BY SystemModstamp, Id LIMIT 2000"
        );
        let page = force.query(&soql).await.ok();
        let (ids, stamps) = (names(&page, "Id"), names(&page, "SystemModstamp"));
        let (Some(id), Some(stamp)) = (ids.last(), stamps.last()) else { break };
        (pages, rows) = (pages + 1, rows + ids.len());
        after = format!("WHERE (SystemModstamp = {stamp} AND Id > '{id}') OR SystemModstamp > {stamp}");
    }
    let each = began.elapsed() / pages;
    println!("30,000 accounts planted in {planted:?}; a keyset page of 2,000 takes {each:?} over HTTP");
    assert_eq!(rows, 30_000);
    assert!(each.as_millis() < 1_000, "a page took {each:?}");
}
