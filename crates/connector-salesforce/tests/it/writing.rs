use std::{collections::BTreeMap, time::Duration};

use connector::{Connector, Error, ErrorKind};
use jiff::Timestamp;
use model::{
    ApplyWrite, ConnectionId, IssueCategory, LinkId, MappingId, RecordId, Value, WriteId, WriteKind,
    WriteOutcome,
};
use sandbox::salesforce::{Fault, FaultKind, FaultMatch, Settings};
use serde_json::json;
use testkit::eventually;

use crate::org::{Org, connected, connected_with, fault, fields, told};

const BULK_FROM: u64 = connector_salesforce::BULK_FROM;
/// A record type of accounts.
const HOUSEHOLD: &str = "01254000001upcKAAQ";

fn write_of(object: &str, kind: WriteKind, values: &[(&str, Value)]) -> ApplyWrite {
    let now = Timestamp::UNIX_EPOCH;
    ApplyWrite {
        id: WriteId::generate(now),
        connection: ConnectionId::generate(now),
        object: object.into(),
        mapping: MappingId::generate(now),
        link: LinkId::generate(now),
        record: RecordId::generate(now),
        write: kind,
        fields: values.iter().map(|(name, value)| ((*name).to_owned(), value.clone())).collect(),
        edited_at: now,
    }
}

pub(crate) fn update(id: &str, values: &[(&str, Value)]) -> ApplyWrite {
    write_of("Account", WriteKind::Update { id: id.into(), expected: BTreeMap::new() }, values)
}

fn guarded(id: &str, name: &str, value: &str, expected: &str) -> ApplyWrite {
    let expected = BTreeMap::from([(name.to_owned(), Value::text(expected))]);
    write_of("Account", WriteKind::Update { id: id.into(), expected }, &[(name, Value::text(value))])
}

fn create(external_id: &str, values: &[(&str, Value)]) -> ApplyWrite {
    write_of("Account", WriteKind::Create { external_id: external_id.into() }, values)
}

async fn make(org: &Org, object: &str, writes: &[ApplyWrite]) -> Vec<Result<WriteOutcome, Error>> {
    let schema = org.schema(object).await;
    org.salesforce.write(&org.session, &schema, writes).await
}

fn applied(outcome: &Result<WriteOutcome, Error>) -> (&str, i64, &BTreeMap<String, Value>) {
    match outcome {
        Ok(WriteOutcome::Applied { vendor_id, version, fields, .. }) => (vendor_id, *version, fields),
        other => panic!("not applied: {other:?}"),
    }
}

fn rejected(outcome: &Result<WriteOutcome, Error>) -> (IssueCategory, &str, Option<&str>) {
    match outcome {
        Ok(WriteOutcome::Rejected { category, message, field }) => (*category, message, field.as_deref()),
        other => panic!("not rejected: {other:?}"),
    }
}

#[tokio::test]
async fn an_update_sets_the_given_fields_and_tells_what_was_stored() {
    let org = connected().await;
    let id = org.make("Account", json!({"Name": "Acme", "Phone": "1", "Site": "here"}));
    let values = [
        ("Name", Value::text("Acme GmbH")),
        ("Phone", Value::Null),
        ("AnnualRevenue", Value::Number("1500.10".parse().unwrap())),
    ];
    let outcome = make(&org, "Account", &[update(&id, &values)]).await.remove(0);
    let (vendor_id, version, stored) = applied(&outcome);
    assert_eq!((vendor_id, stored.len()), (id.as_str(), 3));
    // Salesforce rounds to the field's places.
    assert_eq!(stored["AnnualRevenue"], Value::Number(1500.into()));
    assert_eq!(stored["Phone"], Value::Null);
    assert_eq!(org.record("Account", &id)["Site"], "here");
    // The event of it is no older than what the write told.
    let schema = org.schema("Account").await;
    org.settle();
    let (changes, _) = org.read_all(&schema, &fields(&["Name"]), None).await;
    assert!(changes[0].version > version);
}

#[tokio::test]
async fn our_own_writes_come_back_as_events_with_our_values() {
    let org = connected().await;
    let id = org.make("Account", json!({"Name": "Acme"}));
    let schema = org.schema("Account").await;
    let mut stream = org.subscribe(&schema, &fields(&["Name"]), None).await.unwrap();
    let outcome = make(&org, "Account", &[guarded(&id, "Name", "Ours", "Acme")]).await.remove(0);
    let (_, version, _) = applied(&outcome);
    let echo = told(&mut stream).await.changes.remove(0);
    assert_eq!(echo.fields["Name"], Value::text("Ours"));
    assert!(echo.version > version);
}

#[tokio::test]
async fn what_another_changes_while_we_write_is_never_covered_unseen() {
    // One conditional request, and more than one composite call holds.
    for (count, theirs) in [(1, 0), (60, 51)] {
        let org = connected().await;
        let ids: Vec<String> = (0..count)
            .map(|n| org.make("Account", json!({"Name": format!("Company {n}"), "Site": "a"})))
            .collect();
        // Every look is one call then.
        org.salesforce.prepare_external_id(&org.session, "Account").await.unwrap();
        let schema = org.schema("Account").await;
        org.sandbox.clear_calls();
        // The look is quick; the first of the conditional requests behind it is slow enough for somebody else.
        for delay_ms in [0, 1_000] {
            let on = FaultMatch {
                path_prefix: Some("/services/data/v65.0/composite".into()),
                ..FaultMatch::default()
            };
            org.sandbox.add_fault(Fault { delay_ms: Some(delay_ms), ..fault(on, FaultKind::Slow, 1) });
        }
        let writes: Vec<ApplyWrite> = ids.iter().map(|id| guarded(id, "Site", "ours", "a")).collect();
        let writing = org.salesforce.write(&org.session, &schema, &writes);
        let meddling = async {
            eventually(Duration::from_secs(10), "the records to be looked at", || async {
                (org.calls_of("/composite/sobjects/Account") > 0).then_some(())
            })
            .await;
            org.sandbox.edit("Account", &ids[theirs], json!({"Site": "theirs"})).unwrap();
        };
        let (outcomes, ()) = tokio::join!(writing, meddling);
        for (n, outcome) in outcomes.iter().enumerate() {
            let Ok(WriteOutcome::Applied { covered, fields, .. }) = outcome else { panic!("{outcome:?}") };
            let seen = covered.get("Site").map(|covered| &covered.value);
            assert_eq!(seen, (n == theirs).then_some(&Value::text("theirs")), "{n} of {count}");
            assert_eq!(fields["Site"], Value::text("ours"));
        }
        assert_eq!(org.record("Account", &ids[theirs])["Site"], "ours");
        let looks = org.calls_of("/composite/sobjects/Account");
        assert_eq!(looks, 3, "looked at, looked at again, read back");
    }
}

#[tokio::test]
async fn a_guarded_write_that_changes_nothing_is_not_made() {
    let org = connected().await;
    let id = org.make("Account", json!({"Name": "Acme"}));
    org.sandbox.clear_calls();
    let outcome = make(&org, "Account", &[guarded(&id, "Name", "Acme", "Other")]).await.remove(0);
    let (_, _, stored) = applied(&outcome);
    assert_eq!(stored["Name"], Value::text("Acme"));
    let calls = org.sandbox.calls();
    let patched = calls["last"]
        .as_array()
        .unwrap()
        .iter()
        .any(|call| call["path"].as_str().unwrap().ends_with("/composite"));
    assert!(!patched);
}

#[tokio::test]
async fn two_hundred_guarded_writes_take_ten_calls() {
    let org = connected().await;
    let ids: Vec<String> = (0..200)
        .map(|n| {
            org.sandbox.create("Account", json!({"Name": format!("Company {n}")})).unwrap()["Id"]
                .as_str()
                .unwrap()
                .to_owned()
        })
        .collect();
    org.sandbox.edit("Account", &ids[7], json!({"Name": "theirs"})).unwrap();
    let writes: Vec<ApplyWrite> = ids
        .iter()
        .enumerate()
        .map(|(n, id)| guarded(id, "Name", &format!("New {n}"), &format!("Company {n}")))
        .collect();
    let schema = org.schema("Account").await;
    org.sandbox.clear_calls();
    let outcomes = org.salesforce.write(&org.session, &schema, &writes).await;
    // They are looked at together, go out twenty-five a call, and are read back together.
    assert_eq!(org.sandbox.calls()["total"], 1 + 8 + 1, "{}", org.sandbox.calls());
    for (n, outcome) in outcomes.iter().enumerate() {
        let Ok(WriteOutcome::Applied { vendor_id, covered, .. }) = outcome else { panic!("{outcome:?}") };
        assert_eq!(*vendor_id, ids[n]);
        assert_eq!(covered.is_empty(), n != 7);
    }
}

#[tokio::test]
async fn refusals_say_what_and_which_field() {
    let org = connected().await;
    let ids: Vec<String> =
        (0..6).map(|n| org.make("Account", json!({"Name": format!("Company {n}")}))).collect();
    let writes = [
        update(&ids[0], &[("Industry", Value::text("No such industry"))]),
        update(&ids[1], &[("Site", Value::text("x".repeat(200)))]),
        update(&ids[2], &[("Name", Value::Null)]),
        update(&ids[3], &[("CreatedDate", Value::DateTime(Timestamp::UNIX_EPOCH))]),
        update(&ids[4], &[("Gone__c", Value::text("x"))]),
        update("001000000000000AAA", &[("Name", Value::text("x"))]),
        update(&ids[5], &[("Name", Value::text("Good"))]),
    ];
    let outcomes = make(&org, "Account", &writes).await;
    applied(&outcomes[6]);
    assert_eq!(
        rejected(&outcomes[1]),
        (
            IssueCategory::Validation,
            "the value is longer than the 80 characters that Salesforce's field takes",
            Some("Site")
        )
    );
    assert_eq!(rejected(&outcomes[2]).0, IssueCategory::Validation);
    assert_eq!(rejected(&outcomes[2]).2, Some("Name"));
    assert_eq!(rejected(&outcomes[3]).2, Some("CreatedDate"));
    assert_eq!(rejected(&outcomes[4]).0, IssueCategory::SchemaDrift);
    assert_eq!(rejected(&outcomes[5]).0, IssueCategory::Missing);
}

#[tokio::test]
async fn rules_of_the_organization_refuse_in_their_own_words() {
    let org = connected().await;
    let id = org.make("Account", json!({"Name": "Acme"}));
    let on = |field: &str| FaultMatch {
        object: Some("Account".into()),
        field: Some(field.into()),
        ..FaultMatch::default()
    };
    let rows = [
        (FaultKind::ValidationRule, IssueCategory::Validation, "Sites are named by a city"),
        (FaultKind::TriggerError, IssueCategory::Validation, "automation"),
        (FaultKind::DuplicateRule, IssueCategory::Duplicate, "duplicate rule"),
        (FaultKind::AccessDenied, IssueCategory::Permission, "may not"),
    ];
    for (kind, category, says) in rows {
        let message = (kind == FaultKind::ValidationRule).then(|| "Sites are named by a city".to_owned());
        org.sandbox.add_fault(Fault { message, ..fault(on("Site"), kind, 1) });
        let outcome = make(&org, "Account", &[update(&id, &[("Site", Value::text("x"))])]).await.remove(0);
        let (found, message, _) = rejected(&outcome);
        assert_eq!(found, category, "{kind:?}: {message}");
        assert!(message.contains(says), "{kind:?}: {message}");
    }
}

#[tokio::test]
async fn a_record_that_another_transaction_holds_is_written_when_it_is_free() {
    let org = connected().await;
    let ids: Vec<String> =
        (0..4).map(|n| org.make("Account", json!({"Name": format!("Company {n}"), "Site": "a"}))).collect();
    // Plain updates and guarded ones: of each, another transaction holds one.
    let writes: Vec<ApplyWrite> = ids
        .iter()
        .enumerate()
        .map(|(n, id)| match n {
            0 | 1 => update(id, &[("Site", Value::text("x"))]),
            _ => guarded(id, "Site", "x", "a"),
        })
        .collect();
    for pair in [0..2, 2..4] {
        let on = FaultMatch { object: Some("Account".into()), ..FaultMatch::default() };
        org.sandbox.add_fault(fault(on, FaultKind::LockRow, 1));
        let writes = &writes[pair.clone()];
        let outcomes = make(&org, "Account", writes).await;
        let locked: Vec<usize> = (0..2).filter(|n| outcomes[*n].is_err()).collect();
        assert_eq!(locked.len(), 1, "the neighbour was written: {outcomes:?}");
        let error = outcomes[locked[0]].as_ref().unwrap_err();
        assert_eq!((error.kind, error.is_transient()), (ErrorKind::Unavailable, true));
        assert_eq!(org.record("Account", &ids[pair.start + locked[0]])["Site"], "a");
        // The runtime makes again what failed for a while.
        applied(&make(&org, "Account", &writes[locked[0]..=locked[0]]).await[0]);
        for id in &ids[pair] {
            assert_eq!(org.record("Account", id)["Site"], "x");
        }
    }
}

#[tokio::test]
async fn a_value_that_a_restricted_picklist_does_not_have_is_refused_without_being_repeated() {
    let org = connected().await;
    let ids: Vec<String> =
        (0..3).map(|n| org.make("Account", json!({"Name": format!("Company {n}")}))).collect();
    let secret = "Not one of them";
    let writes = [
        update(&ids[0], &[("CleanStatus", Value::text(secret))]),
        guarded(&ids[1], "CleanStatus", secret, "Matched"),
        update(&ids[2], &[("CleanStatus", Value::text("Matched"))]),
    ];
    let outcomes = make(&org, "Account", &writes).await;
    for outcome in &outcomes[..2] {
        let (category, message, field) = rejected(outcome);
        assert_eq!((category, field), (IssueCategory::Validation, Some("CleanStatus")));
        assert!(message.contains("none of the picklist's values") && !message.contains(secret), "{message}");
    }
    applied(&outcomes[2]);
}

#[tokio::test]
async fn a_record_type_is_one_of_its_objects_or_is_refused_with_its_field() {
    let org = connected().await;
    let ids: Vec<String> =
        (0..3).map(|n| org.make("Account", json!({"Name": format!("Company {n}")}))).collect();
    let schema = org.schema("Account").await;
    assert!(schema.field("RecordTypeId").is_some_and(|field| !field.read_only), "it can be mapped");
    let writes = [
        update(&ids[0], &[("RecordTypeId", Value::text(HOUSEHOLD))]),
        update(&ids[1], &[("RecordTypeId", Value::text("012000000000009AAA"))]),
        update(&ids[2], &[("RecordTypeId", Value::text(ids[0].as_str()))]),
    ];
    let outcomes = make(&org, "Account", &writes).await;
    let (_, _, stored) = applied(&outcomes[0]);
    assert_eq!(stored["RecordTypeId"], Value::text(HOUSEHOLD));
    for (outcome, id) in outcomes[1..].iter().zip(&ids[1..]) {
        let (_, message, field) = rejected(outcome);
        assert_eq!(field, Some("RecordTypeId"), "{message}");
        assert_ne!(org.record("Account", id)["RecordTypeId"], HOUSEHOLD);
    }
    // What has a record type is read with it, and pushed with it.
    let names = fields(&["RecordTypeId"]);
    let mut stream = org.subscribe(&schema, &names, None).await.unwrap();
    let id = org.make("Account", json!({"Name": "At home", "RecordTypeId": HOUSEHOLD}));
    assert_eq!(told(&mut stream).await.changes[0].fields["RecordTypeId"], Value::text(HOUSEHOLD));
    let read = org.salesforce.fetch_records(&org.session, &schema, &names, &[id]).await.unwrap();
    assert_eq!(read[0].fields["RecordTypeId"], Value::text(HOUSEHOLD));
}

#[tokio::test]
async fn deleting_is_the_same_when_it_is_made_again() {
    let org = connected().await;
    let ids: Vec<String> =
        (0..2).map(|n| org.make("Account", json!({"Name": format!("Company {n}")}))).collect();
    let archive = |id: &str| write_of("Account", WriteKind::Archive { id: id.into() }, &[]);
    let writes = [archive(&ids[0]), archive(&ids[1]), archive("001000000000000AAA")];
    let first = make(&org, "Account", &writes).await;
    let again = make(&org, "Account", &writes).await;
    for (n, (first, again)) in first.iter().zip(&again).enumerate() {
        let ((id, version, _), (_, later, _)) = (applied(first), applied(again));
        assert_eq!((version, version > 0), (later, n < 2), "{id}");
    }
    assert_eq!(org.record("Account", &ids[0])["IsDeleted"], true);
}

#[tokio::test]
async fn a_create_is_one_record_however_often_it_is_made() {
    let org = connected().await;
    org.salesforce.prepare_external_id(&org.session, "Account").await.unwrap();
    org.salesforce.prepare_external_id(&org.session, "Account").await.unwrap();
    let writes =
        [create("rec_1", &[("Name", Value::text("One"))]), create("rec_2", &[("Name", Value::text("Two"))])];
    let first = make(&org, "Account", &writes).await;
    let again = make(&org, "Account", &writes).await;
    assert_eq!(applied(&first[0]).0, applied(&again[0]).0);
    assert_ne!(applied(&first[0]).0, applied(&first[1]).0);
    // A record that lacks what it must have stops no neighbour.
    let writes =
        [create("rec_3", &[("Site", Value::text("x"))]), create("rec_4", &[("Name", Value::text("Four"))])];
    let outcomes = make(&org, "Account", &writes).await;
    assert_eq!(rejected(&outcomes[0]).2, Some("Name"));
    applied(&outcomes[1]);
}

#[tokio::test]
async fn a_creation_says_whose_record_it_is_wherever_it_is_read() {
    let org = connected().await;
    let schema = org.schema("Account").await;
    let names = fields(&["Name"]);
    org.make("Account", json!({"Name": "Before"}));
    // The object is known to lack the field until it is made.
    let (changes, _) = org.read_all(&schema, &names, None).await;
    assert_eq!(changes[0].external_id, None);
    org.salesforce.prepare_external_id(&org.session, "Account").await.unwrap();
    let mut stream = org.subscribe(&schema, &names, None).await.unwrap();
    make(&org, "Account", &[create("rec_1", &[("Name", Value::text("One"))])]).await;
    assert_eq!(told(&mut stream).await.changes[0].external_id.as_deref(), Some("rec_1"));
    org.settle();
    let (changes, _) = org.read_all(&schema, &names, None).await;
    assert_eq!(changes[1].external_id.as_deref(), Some("rec_1"));
}

#[tokio::test]
async fn a_field_that_may_not_be_added_is_said_with_what_to_do() {
    let settings = Settings { customize_application: false, ..Settings::default() };
    let org = connected_with(settings, BULK_FROM).await;
    let refused = org.salesforce.prepare_external_id(&org.session, "Account").await.unwrap_err();
    assert_eq!(refused.kind, ErrorKind::Permission);
    assert!(
        refused.message.contains("Customize Application") && refused.message.contains("Accord_Id__c"),
        "{refused}"
    );
}

#[tokio::test]
async fn a_new_field_that_is_hidden_from_everybody_is_opened_for_our_user() {
    let settings = Settings { hide_new_fields: true, ..Settings::default() };
    let org = connected_with(settings, BULK_FROM).await;
    for _ in 0..2 {
        org.salesforce.prepare_external_id(&org.session, "Account").await.unwrap();
    }
    assert_eq!(org.calls_of("/sobjects/FieldPermissions"), 1);
    applied(&make(&org, "Account", &[create("rec_1", &[("Name", Value::text("One"))])]).await[0]);
}
