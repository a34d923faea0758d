//! What contacts do differently: their own date of modification, unique e-mail addresses, merges.

use std::collections::BTreeMap;

use connector::Connector;
use model::{IssueCategory, Value, WriteKind, WriteOutcome};
use serde_json::json;

use crate::{
    portal::{Portal, connected, connected_with, fields, settings},
    writing::write_of,
};

fn contact(portal: &Portal, email: &str) -> String {
    portal.make("contacts", json!({"email": email, "lastname": "Lindqvist"}))
}

#[tokio::test]
async fn contacts_are_read_by_the_date_that_is_theirs() {
    for version in [connector_hubspot::ApiVersion::Classic, connector_hubspot::ApiVersion::March2026] {
        let portal = connected_with(settings(), version).await;
        portal.seed("contacts", 450, json!({"spread_days": 30}));
        let schema = portal.schema("contacts").await;
        let (all, cursor) = portal.read_all(&schema, &fields(&["email", "lastmodifieddate"])).await;
        assert_eq!(all.len(), 450);
        for change in &all {
            assert_eq!(change.fields["lastmodifieddate"], Value::DateTime(change.changed_at));
        }
        portal.sandbox.edit("contacts", &all[7].id, json!({"jobtitle": "CTO"})).unwrap();
        let page = portal.page(&schema, &fields(&["jobtitle"]), &cursor).await;
        assert_eq!(page.changes.iter().map(|change| &change.id).collect::<Vec<_>>(), [&all[7].id]);
    }
}

#[tokio::test]
async fn an_email_address_that_is_taken_is_told_as_a_duplicate() {
    let portal = connected().await;
    contact(&portal, "ann@acme.example");
    let schema = portal.schema("contacts").await;
    portal.hubspot.prepare_external_id(&portal.session, "contacts").await.unwrap();
    let create = |record: &str, email: &str| {
        let kind = WriteKind::Create { external_id: record.to_owned() };
        write_of("contacts", kind, &[("email", Value::text(email))])
    };
    let writes = [create("rec_1", "Ann@Acme.example"), create("rec_2", "bo@acme.example")];
    let outcomes = portal.hubspot.write(&portal.session, &schema, &writes).await;
    let category = |at: usize| match outcomes[at].as_ref().unwrap() {
        WriteOutcome::Rejected { category, message, .. } => {
            assert!(!message.contains("acme.example"), "{message}");
            Some(*category)
        }
        WriteOutcome::Applied { .. } => None,
    };
    assert_eq!((category(0), category(1)), (Some(IssueCategory::Duplicate), None));
    assert_eq!(portal.ids("contacts").len(), 2);
}

#[tokio::test]
async fn a_merge_of_contacts_tells_which_ids_the_survivor_took_over() {
    for new_id in [false, true] {
        let portal = connected().await;
        portal.sandbox.change_settings(json!({"merge_issues_new_id": new_id})).unwrap();
        let (winner, loser) = (contact(&portal, "ann@acme.example"), contact(&portal, "ann@home.example"));
        let schema = portal.schema("contacts").await;
        let (_, cursor) = portal.read_all(&schema, &[]).await;
        portal.sandbox.merge("contacts", &winner, &loser).unwrap();
        let page = portal.page(&schema, &fields(&["email"]), &cursor).await;
        assert_eq!(page.changes.len(), 1);
        let survivor = &page.changes[0];
        assert_eq!(survivor.id != winner, new_id);
        assert!(survivor.merged_ids.contains(&loser), "{:?}", survivor.merged_ids);
        assert_eq!(survivor.merged_ids.contains(&winner), new_id);
        // A write to an id that was merged away reaches the survivor.
        let kind = WriteKind::Update { id: winner.clone(), expected: BTreeMap::new() };
        let update = write_of("contacts", kind, &[("jobtitle", Value::text("CTO"))]);
        let outcome = portal.hubspot.write(&portal.session, &schema, &[update]).await.remove(0).unwrap();
        assert!(matches!(outcome, WriteOutcome::Applied { .. }), "{outcome:?}");
        assert_eq!(portal.property("contacts", &survivor.id, "jobtitle"), "CTO");
    }
}

#[tokio::test]
async fn a_stage_of_the_lifecycle_is_an_option_and_converting_is_a_change() {
    let portal = connected().await;
    let id = contact(&portal, "ann@acme.example");
    let schema = portal.schema("contacts").await;
    let stages = &schema.field("lifecyclestage").unwrap().options;
    assert!(stages.iter().any(|stage| stage.value == "customer"), "{stages:?}");
    let (_, cursor) = portal.read_all(&schema, &[]).await;
    portal.sandbox.edit("contacts", &id, json!({"lifecyclestage": "customer"})).unwrap();
    let page = portal.page(&schema, &fields(&["lifecyclestage"]), &cursor).await;
    assert_eq!(page.changes[0].fields["lifecyclestage"], Value::text("customer"));
}
