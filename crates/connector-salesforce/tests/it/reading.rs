use std::collections::BTreeSet;

use connector::{Connector, Cursor};
use jiff::Timestamp;
use model::{ChangeKind, FieldType, Value};
use sandbox::salesforce::Settings;
use serde_json::json;

use crate::org::{connected, connected_with, fields};

#[tokio::test]
async fn standard_and_custom_objects_are_described() {
    let org = connected().await;
    let schemas = org.salesforce.describe(&org.session).await.unwrap();
    let names: Vec<&str> = schemas.iter().map(|schema| schema.name.as_str()).collect();
    for name in ["Account", "Contact", "Opportunity", "Lead", "Custom__c"] {
        assert!(names.contains(&name), "{name} is not among {names:?}");
    }
    assert!(!names.iter().any(|name| name.ends_with("ChangeEvent") || name.ends_with("Feed")), "{names:?}");
    let account = org.schema("Account").await;
    let field = |name: &str| account.field(name).unwrap();
    assert!(field("Name").required && !field("BillingCity").read_only && field("CreatedDate").read_only);
    assert_eq!(field("AnnualRevenue").field_type, FieldType::Currency);
    assert!(account.field("BillingAddress").is_none() && account.field("SystemModstamp").is_none());
    let opportunity = org.schema("Opportunity").await;
    let required: BTreeSet<&str> =
        opportunity.fields.iter().filter(|field| field.required).map(|field| field.name.as_str()).collect();
    assert_eq!(required, BTreeSet::from(["CloseDate", "Name", "StageName"]));
}

#[tokio::test]
async fn the_first_reading_of_an_object_without_our_field_fails_no_call() {
    let org = connected().await;
    let names = fields(&["Name"]);
    org.make("Account", json!({"Name": "Acme"}));
    let schema = org.schema("Account").await;
    let (changes, _) = org.read_all(&schema, &names, None).await;
    assert_eq!((changes.len(), org.refused()), (1, Vec::<String>::new()));

    // A process that described nothing itself looks once.
    let again = org.restarted();
    let described = again.calls_of("/describe");
    for _ in 0..2 {
        let (changes, _) = again.read_all(&schema, &names, None).await;
        assert_eq!(changes.len(), 1);
    }
    assert_eq!((again.calls_of("/describe") - described, again.refused()), (1, Vec::new()));
    again.salesforce.prepare_external_id(&again.session, "Account").await.unwrap();
    again.sandbox.edit("Account", &changes[0].id, json!({"Accord_Id__c": "rec_1"})).unwrap();
    again.settle();
    let (changes, _) = again.read_all(&schema, &names, None).await;
    assert_eq!(changes[0].external_id.as_deref(), Some("rec_1"));
}

#[tokio::test]
async fn custom_objects_are_read() {
    let org = connected().await;
    org.sandbox.seed("Custom__c", 3).unwrap();
    org.settle();
    let schema = org.schema("Custom__c").await;
    let (changes, _) = org.read_all(&schema, &fields(&["Name"]), None).await;
    assert_eq!(changes.len(), 3);
}

#[tokio::test]
async fn an_amount_is_read_exactly() {
    let org = connected().await;
    let deal = json!({"Name": "Deal", "StageName": "Prospecting", "CloseDate": "2031-01-31", "Amount": 12_345_678_901.23});
    let id = org.make("Opportunity", deal);
    let schema = org.schema("Opportunity").await;
    let (changes, _) = org.read_all(&schema, &fields(&["Amount", "CloseDate"]), None).await;
    assert_eq!(changes[0].id, id);
    assert_eq!(changes[0].fields["Amount"], Value::Number("12345678901.23".parse().unwrap()));
    assert_eq!(changes[0].fields["CloseDate"], Value::Date(jiff::civil::date(2031, 1, 31)));
}

#[tokio::test]
async fn a_second_that_is_not_over_is_left_to_the_next_page() {
    let org = connected().await;
    let schema = org.schema("Account").await;
    org.make("Account", json!({"Name": "Old"}));
    org.sandbox.create("Account", json!({"Name": "New"})).unwrap();
    let names = fields(&["Name"]);
    let page = org.page(&schema, &names, &Cursor::at(Timestamp::UNIX_EPOCH), None).await;
    assert_eq!(page.changes.len(), 1);
    assert!(!page.more);
    org.settle();
    let page = org.page(&schema, &names, &page.next, None).await;
    assert_eq!(page.changes.len(), 1);
    assert_eq!(page.changes[0].fields["Name"], Value::text("New"));
}

#[tokio::test]
async fn a_transaction_that_took_long_is_found_by_reading_again() {
    let org = connected().await;
    let schema = org.schema("Account").await;
    let names = fields(&["Name"]);
    let late = json!({"object": "Account", "fields": {"Name": "Late"}, "commit_after_ms": 30_000});
    org.sandbox.control("POST", "/_sandbox/create", late).unwrap();
    org.sandbox.advance_clock(5_000);
    org.make("Account", json!({"Name": "Meanwhile"}));
    let (before, cursor) = org.read_all(&schema, &names, None).await;
    assert_eq!(before.len(), 1);
    org.sandbox.advance_clock(40_000);
    let page = org.page(&schema, &names, &cursor, None).await;
    assert!(page.changes.is_empty(), "it is stamped before the cursor");
    let rung = org.salesforce.capabilities().late_index[0];
    let page = org.page(&schema, &names, &Cursor::at(cursor.time - rung), None).await;
    assert!(page.changes.iter().any(|change| change.fields["Name"] == Value::text("Late")));
}

#[tokio::test]
async fn more_fields_than_an_address_holds_are_read_by_ids() {
    let org = connected().await;
    let mut names = vec!["Name".to_owned()];
    for number in 0..380 {
        let name = format!("A_field_whose_name_is_long_{number:03}__c");
        let field = json!({"object": "Account", "name": name, "type": "Text", "length": 20});
        org.sandbox.control("POST", "/_sandbox/field", field).unwrap();
        names.push(name);
    }
    let id = org.make("Account", json!({"Name": "Acme", names[77].clone(): "found"}));
    let schema = org.schema("Account").await;
    let (changes, _) = org.read_all(&schema, &names, None).await;
    assert_eq!(changes.len(), 1);
    assert_eq!((changes[0].id.as_str(), changes[0].fields.len()), (id.as_str(), names.len()));
    assert_eq!(changes[0].fields[&names[77]], Value::text("found"));
    assert!(org.calls_of("/composite/sobjects/Account") > 0, "the fields fit into a query");
}

#[tokio::test]
async fn a_merged_record_is_told_with_its_winner() {
    let org = connected().await;
    let winner = org.make("Account", json!({"Name": "Acme"}));
    let loser = org.make("Account", json!({"Name": "Acme Inc"}));
    org.sandbox.merge("Account", &winner, &loser).unwrap();
    let (changes, next) = org.salesforce.fetch_deleted(&org.session, "Account", None).await.unwrap();
    assert!(next.is_none());
    assert_eq!(
        (changes[0].id.as_str(), changes[0].merged_ids.as_slice()),
        (winner.as_str(), &[loser.clone()][..])
    );
    assert!(changes[0].is_partial && changes[0].fields.is_empty());
    assert_eq!((changes[1].id.as_str(), changes[1].kind), (loser.as_str(), ChangeKind::Deleted));
}

#[tokio::test]
async fn a_long_history_is_read_by_a_bulk_query() {
    let settings = Settings { bulk_delay_ms: 5_000, ..Settings::default() };
    let org = connected_with(settings, 100).await;
    let order = json!({"object": "Account", "count": 4_500, "spread_days": 300});
    org.sandbox.control("POST", "/_sandbox/seed", order).unwrap();
    let tricky = org.make("Account", json!({"Name": "A, \"quoted\"\nname", "BillingLatitude": 0.1}));
    let schema = org.schema("Account").await;
    let names = fields(&["Name", "BillingLatitude", "Phone"]);
    let until = org.session.now() + jiff::SignedDuration::from_hours(1);
    let first = org.page(&schema, &names, &Cursor::at(Timestamp::UNIX_EPOCH), Some(until)).await;
    assert_eq!(first.total, Some(4_501));
    let running = org.page(&schema, &names, &first.next, Some(until)).await;
    assert!(running.more && running.changes.is_empty() && running.next != first.next);
    org.sandbox.advance_clock(10_000);
    let (changes, cursor) = org.read_all(&schema, &names, Some(until)).await;
    let ids: BTreeSet<&str> = changes.iter().map(|change| change.id.as_str()).collect();
    assert_eq!((ids.len(), changes.len()), (4_501, 4_501));
    assert!(changes.windows(2).all(|two| two[0].changed_at <= two[1].changed_at));
    let found = changes.iter().find(|change| change.id == tricky).unwrap();
    assert_eq!(found.fields["Name"], Value::text("A, \"quoted\"\nname"));
    assert_eq!(found.fields["BillingLatitude"], Value::Number("0.1".parse().unwrap()));
    assert_eq!(cursor.id.as_deref(), changes.last().map(|change| change.id.as_str()));
    assert!(org.calls_of("/jobs/query") > 0, "no job was made");
    // The same by queries.
    let by_queries: Vec<_> = {
        let mut from = Cursor { time: Timestamp::UNIX_EPOCH, id: Some("000000000000000".into()) };
        let mut all = Vec::new();
        loop {
            let page = org.page(&schema, &names, &from, Some(until)).await;
            all.extend(page.changes);
            from = page.next;
            if !page.more {
                break all;
            }
        }
    };
    assert_eq!(by_queries, changes);
}

#[tokio::test]
async fn a_job_that_is_lost_costs_nothing_but_its_calls() {
    let org = connected_with(Settings::default(), 10).await;
    org.sandbox
        .control("POST", "/_sandbox/seed", json!({"object": "Account", "count": 50, "spread_days": 9}))
        .unwrap();
    let schema = org.schema("Account").await;
    let names = fields(&["Name"]);
    let until = Some(org.session.now() + jiff::SignedDuration::from_hours(1));
    let from =
        Cursor { time: Timestamp::UNIX_EPOCH, id: Some("000000000000000|750000000000000AAA||0".into()) };
    let page = org.page(&schema, &names, &from, until).await;
    assert_eq!(page.changes.len(), 50);
    assert!(!page.more);
}
