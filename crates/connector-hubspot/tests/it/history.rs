//! When a property was set, which HubSpot tells by its history.

use std::time::Duration;

use connector::{Change, Connector};
use jiff::Timestamp;
use model::ObjectSchema;
use serde_json::json;

use crate::portal::{Portal, connected, fields};

const HISTORY: &str = "/companies/batch/read";

async fn dated(portal: &Portal, schema: &ObjectSchema, names: &[&str]) -> Vec<Change> {
    let (mut changes, _) = portal.read_all(schema, &fields(names)).await;
    let session = &portal.session;
    portal.hubspot.date_fields(session, schema, &fields(names), &mut changes).await.unwrap();
    changes
}

#[tokio::test]
async fn a_field_is_dated_by_its_own_history_and_not_by_its_record() {
    let portal = connected().await;
    let id = portal.company(json!({"name": "Acme"}));
    let schema = portal.schema("companies").await;
    let mut set = Vec::new();
    for (name, value) in [("phone", "1"), ("city", "Trier"), ("phone", "2"), ("city", "Bonn"), ("zip", "1")] {
        portal.sandbox.advance_clock(60_000);
        portal.sandbox.edit("companies", &id, json!({name: value})).unwrap();
        let changes = dated(&portal, &schema, &["phone", "city"]).await;
        set.push((changes[0].changed_at, changes[0].field_times.clone()));
    }
    let [phone_1, city, phone, bonn, zip]: [_; 5] = set.try_into().unwrap();
    assert_eq!(phone_1.1, [("phone".to_owned(), phone_1.0)].into(), "a city was never set");
    assert_eq!((city.1["phone"], city.1["city"]), (phone_1.0, city.0));
    assert_eq!((zip.1["phone"], zip.1["city"]), (phone.0, bonn.0));
    assert!(zip.0.duration_since(bonn.0) >= Duration::from_secs(60).try_into().unwrap());
}

#[tokio::test]
async fn what_was_edited_since_a_record_was_listed_dates_nothing_that_it_showed() {
    let portal = connected().await;
    let id = portal.company(json!({"name": "Acme", "phone": "1"}));
    let schema = portal.schema("companies").await;
    let names = fields(&["phone", "name"]);
    let (mut changes, _) = portal.read_all(&schema, &names).await;
    portal.sandbox.advance_clock(60_000);
    for value in ["2", "1"] {
        portal.sandbox.edit("companies", &id, json!({"phone": value})).unwrap();
    }
    portal.hubspot.date_fields(&portal.session, &schema, &names, &mut changes).await.unwrap();
    let (change, times) = (&changes[0], &changes[0].field_times);
    assert_eq!((times["phone"], times["name"]), (change.changed_at, change.changed_at));
}

#[tokio::test]
async fn histories_are_read_in_batches_of_fifty_and_only_where_they_are_wanted() {
    let portal = connected().await;
    portal.seed("companies", 170, json!({"spread_days": 30}));
    let schema = portal.schema("companies").await;
    let changes = dated(&portal, &schema, &["name", "domain"]).await;
    assert_eq!((changes.len(), portal.calls_of(HISTORY)), (170, 4));
    let is_dated = |change: &Change| {
        let at = |name: &str| change.field_times.get(name).copied().unwrap_or(Timestamp::MAX);
        at("name") <= change.changed_at && at("domain") <= change.changed_at
    };
    assert!(changes.iter().all(is_dated));

    let session = &portal.session;
    let mut again = changes.clone();
    portal.hubspot.date_fields(session, &schema, &[], &mut again).await.unwrap();
    portal
        .hubspot
        .date_fields(session, &schema, &fields(&["associations.company"]), &mut again)
        .await
        .unwrap();
    portal.hubspot.date_fields(session, &schema, &fields(&["name"]), &mut []).await.unwrap();
    assert_eq!(portal.calls_of(HISTORY), 4);
    assert_eq!(again, changes);
}

#[tokio::test]
async fn a_record_that_is_gone_meanwhile_keeps_the_others_dated() {
    let portal = connected().await;
    let ids = ["One", "Two"].map(|name| portal.company(json!({"name": name})));
    let schema = portal.schema("companies").await;
    let (mut changes, _) = portal.read_all(&schema, &fields(&["name"])).await;
    portal.sandbox.archive("companies", &ids[0]).unwrap();
    portal.hubspot.date_fields(&portal.session, &schema, &fields(&["name"]), &mut changes).await.unwrap();
    let is_dated = |id: &str| !changes.iter().find(|change| change.id == id).unwrap().field_times.is_empty();
    assert_eq!((is_dated(&ids[0]), is_dated(&ids[1])), (false, true));
}
