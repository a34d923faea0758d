//! What was updated and deleted within a span of time.

use serde_json::{Value, json};

use super::{Force, force, names, refused};

fn at(force: &Force, seconds: i64) -> String {
    let health = force.handle.control("GET", "/_sandbox/health", Value::Null).expect("health");
    let now = health["now_ms"].as_i64().expect("a time") / 1_000;
    jiff::Timestamp::from_second(now + seconds).expect("a time").to_string()
}

#[tokio::test]
async fn updated_and_deleted_records_are_told_for_a_span() {
    let force = force().await;
    let kept = force.make("Account", json!({"Name": "kept"})).await;
    let gone = force.make("Account", json!({"Name": "gone"})).await;
    let back = force.make("Account", json!({"Name": "back"})).await;
    force.delete(&format!("sobjects/Account/{gone}")).await;
    force.delete(&format!("sobjects/Account/{back}")).await;
    force.handle.undelete("Account", &back).expect("undeleted");
    force.handle.advance_clock(120_000);
    let span = format!("start={}&end={}", at(&force, -3_600), at(&force, 0));
    let updated = force.get(&format!("sobjects/Account/updated/?{span}")).await.ok();
    let mut ids: Vec<&str> =
        updated["ids"].as_array().expect("ids").iter().filter_map(Value::as_str).collect();
    ids.sort_unstable();
    assert_eq!(ids, [kept.as_str(), back.as_str()]);
    let covered = updated["latestDateCovered"].as_str().expect("a time");
    assert!(covered.ends_with(":00.000+0000"), "{covered}");
    let deleted = force.get(&format!("sobjects/Account/deleted/?{span}")).await.ok();
    assert_eq!(deleted["deletedRecords"].as_array().map(Vec::len), Some(1));
    assert_eq!(deleted["deletedRecords"][0]["id"], json!(gone));
    assert!(deleted["earliestDateAvailable"].is_string() && deleted["latestDateCovered"] == covered);
}

#[tokio::test]
async fn spans_that_are_too_old_or_too_short_are_refused() {
    let force = force().await;
    let ask = |kind: &'static str, from: i64, to: i64| {
        let path = format!("sobjects/Lead/{kind}?start={}&end={}", at(&force, from), at(&force, to));
        let force = &force;
        async move { force.get(&path).await }
    };
    refused(&ask("updated", -20, -20).await, 400, "INVALID_REPLICATION_DATE");
    refused(&ask("updated", -31 * 86_400, 0).await, 400, "INVALID_REPLICATION_DATE");
    refused(&ask("deleted", -16 * 86_400, 0).await, 400, "INVALID_REPLICATION_DATE");
    ask("deleted", -14 * 86_400, 0).await.ok();
    force.handle.change_settings(json!({"deleted_since": at(&force, -3_600)})).expect("changed");
    refused(&ask("deleted", -14 * 86_400, 0).await, 400, "INVALID_REPLICATION_DATE");
    ask("deleted", -1_800, 0).await.ok();
    refused(&force.get("sobjects/Lead/deleted?start=x&end=y").await, 400, "INVALID_REPLICATION_DATE");
}

#[tokio::test]
async fn the_recycle_bin_forgets_after_fifteen_days_or_on_demand() {
    let force = force().await;
    let mut ids = Vec::new();
    for name in ["one", "two"] {
        let id = force.make("Lead", json!({"LastName": name, "Company": "Acme"})).await;
        force.delete(&format!("sobjects/Lead/{id}")).await;
        ids.push(id);
        assert_eq!(
            names(&force.query_all("SELECT Id FROM Lead WHERE IsDeleted = true").await.ok(), "Id").len(),
            ids.len()
        );
        if name == "one" {
            force.handle.advance_clock(14 * 86_400_000);
        }
    }
    force.handle.advance_clock(2 * 86_400_000);
    assert_eq!(names(&force.query_all("SELECT Id FROM Lead").await.ok(), "Id"), ids[1..]);
    assert!(force.handle.undelete("Lead", &ids[0]).is_err());
    assert_eq!(force.control("empty_recycle_bin", json!({}))["purged"], json!(1));
    assert_eq!(force.query_all("SELECT Id FROM Lead").await.ok()["totalSize"], json!(0));
}
