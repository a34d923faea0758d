use std::{collections::BTreeSet, time::Duration};

use connector::{Connector, Cursor, Fetch};
use jiff::Timestamp;
use model::{ChangeKind, Value};
use serde_json::json;

use crate::portal::{Portal, connected, connected_with, fields, settings};

/// All pages from the beginning hold every record once, oldest first.
async fn assert_all_once(portal: &Portal, object: &str) {
    let schema = portal.schema(object).await;
    let (changes, _) = portal.read_all(&schema, &fields(&["hs_object_id"])).await;
    let places: Vec<(Timestamp, u64)> =
        changes.iter().map(|change| (change.changed_at, change.id.parse().unwrap())).collect();
    assert!(places.is_sorted(), "changes come oldest first");
    let read: BTreeSet<u64> = places.iter().map(|(_, id)| *id).collect();
    assert_eq!(read.len(), places.len(), "no record comes twice");
    assert_eq!(read, portal.ids(object).into_iter().collect());
}

#[tokio::test]
async fn every_record_is_read_once_oldest_first() {
    let portal = connected().await;
    portal.seed("companies", 950, json!({"spread_days": 400}));
    assert_all_once(&portal, "companies").await;
}

#[tokio::test]
async fn records_that_share_milliseconds_are_read_once() {
    let portal = connected().await;
    // An import: dozens of records in each millisecond.
    portal.seed("deals", 950, json!({}));
    assert_all_once(&portal, "deals").await;
}

#[tokio::test]
async fn past_ten_thousand_records_reading_goes_on() {
    let portal = connected().await;
    portal.seed("companies", 12_000, json!({"spread_days": 900}));
    assert_all_once(&portal, "companies").await;
}

#[tokio::test]
async fn past_ten_thousand_records_of_one_millisecond_reading_goes_on() {
    let portal = connected().await;
    portal.seed("companies", 150, json!({"spread_days": 10}));
    portal.seed("companies", 10_500, json!({"same_moment": true}));
    portal.seed("companies", 150, json!({}));
    assert_all_once(&portal, "companies").await;
    // 54 pages, and a few searches to find out that one millisecond fills them.
    assert!(portal.calls_of("/search") <= 62, "{} searches", portal.calls_of("/search"));
}

#[tokio::test]
async fn a_poll_brings_only_what_changed_since() {
    let portal = connected().await;
    portal.seed("companies", 250, json!({"spread_days": 30}));
    let schema = portal.schema("companies").await;
    let (all, cursor) = portal.read_all(&schema, &fields(&["name"])).await;
    let page = portal.page(&schema, &fields(&["name"]), &cursor).await;
    assert!(page.changes.is_empty() && !page.more);
    assert_eq!(page.next, cursor);

    portal.sandbox.edit("companies", &all[3].id, json!({"name": "Northwind"})).unwrap();
    let page = portal.page(&schema, &fields(&["name"]), &cursor).await;
    assert_eq!(page.changes.len(), 1);
    assert_eq!(page.changes[0].id, all[3].id);
    assert_eq!(page.changes[0].fields["name"], Value::text("Northwind"));
    assert!(page.changes[0].version > all[3].version);
    assert!(page.next.time > cursor.time);
}

#[tokio::test]
async fn a_bounded_read_leaves_out_what_is_newer() {
    let portal = connected().await;
    portal.seed("companies", 60, json!({"spread_days": 30}));
    let schema = portal.schema("companies").await;
    let (all, _) = portal.read_all(&schema, &[]).await;
    let until = all[40].changed_at;
    let from = Cursor::at(Timestamp::UNIX_EPOCH);
    let fetch = Fetch { object: "companies", schema: &schema, fields: &[], from: &from, until: Some(until) };
    let page = portal.hubspot.fetch_changes(&portal.session, &fetch).await.unwrap();
    assert!(page.changes.iter().all(|change| change.changed_at < until));
    assert_eq!(page.changes.len(), all.iter().filter(|change| change.changed_at < until).count());
    assert_eq!(page.total, Some(page.changes.len() as u64));
}

#[tokio::test]
async fn an_edit_that_search_does_not_show_yet_does_not_make_reading_skip_records() {
    let portal = connected_with(settings(), connector_hubspot::ApiVersion::Classic).await;
    portal.seed("companies", 600, json!({"spread_days": 300}));
    let schema = portal.schema("companies").await;
    let (before, _) = portal.read_all(&schema, &[]).await;
    // From now on search is a minute behind: these stand at their old places and show their new times.
    portal.sandbox.change_settings(json!({"index_delay_ms": 60_000})).unwrap();
    for at in [199, 198, 399, 400] {
        portal.sandbox.edit("companies", &before[at].id, json!({"phone": "+31 10 555 0199"})).unwrap();
    }
    let (during, cursor) = portal.read_all(&schema, &[]).await;
    let edited: BTreeSet<&str> = [199, 198, 399, 400].into_iter().map(|at| before[at].id.as_str()).collect();
    let read: BTreeSet<&str> = during.iter().map(|change| change.id.as_str()).collect();
    let unread: Vec<&str> = before
        .iter()
        .map(|change| change.id.as_str())
        .filter(|id| !read.contains(id) && !edited.contains(id))
        .collect();
    assert!(unread.is_empty(), "{} records were skipped", unread.len());
    // When search catches up, the edited ones are behind the cursor's place or were read with their new time.
    portal.sandbox.advance_clock(120_000);
    let rescan = Cursor::at(cursor.time.checked_sub(Duration::from_secs(600)).unwrap());
    let late = portal.page(&schema, &fields(&["phone"]), &rescan).await;
    let seen: BTreeSet<&str> = late.changes.iter().map(|change| change.id.as_str()).collect();
    assert!(edited.is_subset(&seen));
}

#[tokio::test]
async fn a_record_that_search_shows_late_comes_with_a_second_look() {
    let portal = connected().await;
    portal.seed("companies", 50, json!({"spread_days": 30}));
    let schema = portal.schema("companies").await;
    let (_, cursor) = portal.read_all(&schema, &[]).await;
    portal.sandbox.change_settings(json!({"index_delay_ms": 60_000})).unwrap();
    let id = portal.company(json!({"name": "Late Ltd", "domain": "late.example"}));
    assert!(portal.page(&schema, &[], &cursor).await.changes.is_empty());
    portal.sandbox.advance_clock(60_000);
    let page = portal.page(&schema, &[], &cursor).await;
    assert_eq!(page.changes.iter().map(|change| change.id.as_str()).collect::<Vec<_>>(), [id]);
}

#[tokio::test]
async fn more_properties_than_a_search_can_name_are_read_in_batches() {
    let portal = connected().await;
    portal.seed("companies", 230, json!({"spread_days": 30}));
    let schema = portal.schema("companies").await;
    let wide: Vec<String> = schema.fields.iter().map(|field| field.name.clone()).collect();
    assert!(wide.iter().map(String::len).sum::<usize>() > 3_000);
    let (changes, _) = portal.read_all(&schema, &wide).await;
    assert_eq!(changes.len(), 230);
    assert!(portal.calls_of("/batch/read") >= 3);
    let (narrow, _) = portal.read_all(&schema, &fields(&["name", "domain", "annualrevenue"])).await;
    for (wide, narrow) in changes.iter().zip(&narrow) {
        assert_eq!((&wide.id, wide.version), (&narrow.id, narrow.version));
        assert!(narrow.fields.iter().all(|(name, value)| wide.fields[name] == *value));
    }
}

#[tokio::test]
async fn archived_records_are_listed_with_the_time_of_their_archiving() {
    let portal = connected().await;
    portal.seed("companies", 230, json!({"spread_days": 30}));
    let ids = portal.ids("companies");
    for id in &ids[..120] {
        portal.sandbox.archive("companies", &id.to_string()).unwrap();
    }
    let mut deleted = Vec::new();
    let mut page = None;
    loop {
        let (changes, next) =
            portal.hubspot.fetch_deleted(&portal.session, "companies", page.as_deref()).await.unwrap();
        deleted.extend(changes);
        page = next;
        if page.is_none() {
            break;
        }
    }
    let read: BTreeSet<u64> = deleted.iter().map(|change| change.id.parse().unwrap()).collect();
    assert_eq!(read, ids[..120].iter().copied().collect());
    assert!(deleted.iter().all(|change| change.kind == ChangeKind::Deleted));
    assert!(deleted.iter().all(|change| change.version == change.changed_at.as_millisecond()));
    assert!(portal.calls_of("archived") > 0 || deleted.len() == 120);
}

#[tokio::test]
async fn a_merge_tells_which_ids_the_survivor_took_over() {
    let portal = connected().await;
    let winner = portal.company(json!({"name": "Acme", "domain": "acme.example"}));
    let loser = portal.company(json!({"name": "Acme Inc", "domain": "acme.example"}));
    let schema = portal.schema("companies").await;
    let (_, cursor) = portal.read_all(&schema, &[]).await;
    portal.sandbox.merge("companies", &winner, &loser).unwrap();
    let page = portal.page(&schema, &[], &cursor).await;
    let survivor = page.changes.iter().find(|change| change.id == winner).unwrap();
    assert_eq!(survivor.merged_ids, [loser]);
}

#[tokio::test]
async fn values_arrive_typed() {
    let portal = connected().await;
    let created = portal.sandbox.create(
        "deals",
        json!({"dealname": "Pilot", "amount": "1500.50", "closedate": "2027-01-31T23:00:00Z", "dealstage": "closedwon"}),
    );
    created.unwrap();
    let schema = portal.schema("deals").await;
    let names = fields(&["dealname", "amount", "closedate", "dealstage", "hs_is_closed_won", "description"]);
    let (changes, _) = portal.read_all(&schema, &names).await;
    let deal = &changes[0].fields;
    assert_eq!(deal["amount"], Value::Number("1500.5".parse().unwrap()));
    assert_eq!(deal["closedate"], Value::DateTime("2027-01-31T23:00:00Z".parse().unwrap()));
    assert_eq!(deal["dealstage"], Value::text("closedwon"));
    assert_eq!(deal["hs_is_closed_won"], Value::Bool(true));
    assert_eq!(deal["description"], Value::Null);
}
