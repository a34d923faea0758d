use std::collections::BTreeMap;

use connector::{Connector, Error, ErrorKind, Session};
use jiff::Timestamp;
use model::{
    ApplyWrite, ConnectionId, IssueCategory, LinkId, MappingId, RecordId, Value, WriteId, WriteKind,
    WriteOutcome,
};
use sandbox::hubspot::FaultKind;
use serde_json::json;

use crate::portal::{Portal, connected, consent, fields};

fn write(kind: WriteKind, values: &[(&str, Value)]) -> ApplyWrite {
    write_of("companies", kind, values)
}

/// A write of an object's record.
pub(crate) fn write_of(object: &str, kind: WriteKind, values: &[(&str, Value)]) -> ApplyWrite {
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

fn update(id: &str, values: &[(&str, Value)]) -> ApplyWrite {
    write(WriteKind::Update { id: id.into(), expected: BTreeMap::new() }, values)
}

fn guarded(id: &str, name: &str, value: &str, expected: &str) -> ApplyWrite {
    let expected = BTreeMap::from([(name.to_owned(), Value::text(expected))]);
    write(WriteKind::Update { id: id.into(), expected }, &[(name, Value::text(value))])
}

fn create(external_id: &str, values: &[(&str, Value)]) -> ApplyWrite {
    write(WriteKind::Create { external_id: external_id.into() }, values)
}

async fn make(portal: &Portal, writes: &[ApplyWrite]) -> Vec<Result<WriteOutcome, Error>> {
    let schema = portal.schema("companies").await;
    portal.hubspot.write(&portal.session, &schema, writes).await
}

async fn make_one(portal: &Portal, one: ApplyWrite) -> WriteOutcome {
    make(portal, &[one]).await.remove(0).unwrap()
}

fn applied(outcome: &Result<WriteOutcome, Error>) -> (&str, i64, &BTreeMap<String, Value>) {
    match outcome {
        Ok(WriteOutcome::Applied { vendor_id, version, fields, .. }) => (vendor_id, *version, fields),
        other => panic!("not applied: {other:?}"),
    }
}

#[tokio::test]
async fn an_update_sets_the_fields_and_tells_the_new_version() {
    let portal = connected().await;
    let id = portal.company(json!({"name": "Acme", "phone": "1"}));
    let schema = portal.schema("companies").await;
    let values = [
        ("name", Value::text("Acme GmbH")),
        ("phone", Value::Null),
        ("annualrevenue", Value::Number(1500.into())),
    ];
    let outcome = make(&portal, &[update(&id, &values)]).await.remove(0);
    let (vendor_id, version, stored) = applied(&outcome);
    assert_eq!(vendor_id, id);
    assert_eq!(stored["name"], Value::text("Acme GmbH"));
    assert_eq!(stored["phone"], Value::Null);
    assert_eq!(stored.len(), 3);
    assert_eq!(portal.property("companies", &id, "annualrevenue"), "1500");
    // The change that comes back by search is this version, so it is known as an echo.
    let (changes, _) = portal.read_all(&schema, &fields(&["name"])).await;
    assert_eq!(changes[0].version, version);
}

#[tokio::test]
async fn values_come_back_as_hubspot_keeps_them() {
    let portal = connected().await;
    let id = portal.company(json!({"name": "Acme"}));
    portal.sandbox.change_settings(json!({"reformat": true})).unwrap();
    let values = [
        ("name", Value::text("  northwind traders ")),
        ("annualrevenue", Value::Number("10.999".parse().unwrap())),
    ];
    let outcome = make(&portal, &[update(&id, &values)]).await.remove(0);
    let (_, _, stored) = applied(&outcome);
    assert_eq!(stored["name"], Value::text("Northwind Traders"));
    assert_eq!(stored["annualrevenue"], Value::Number(11.into()));
}

#[tokio::test]
async fn archiving_is_told_with_its_time_and_is_the_same_when_it_is_made_again() {
    let portal = connected().await;
    let ids: Vec<String> = (0..3).map(|n| portal.company(json!({"name": format!("Company {n}")}))).collect();
    let archive = |id: &str| write(WriteKind::Archive { id: id.into() }, &[]);
    let mut writes: Vec<ApplyWrite> = ids[..2].iter().map(|id| archive(id)).collect();
    writes.push(archive("999999999"));
    writes.push(update(&ids[2], &[("city", Value::text("Rotterdam"))]));
    let first = make(&portal, &writes).await;
    let again = make(&portal, &writes).await;
    for outcomes in [&first, &again] {
        for (outcome, id) in outcomes.iter().zip(&ids[..2]) {
            let (vendor_id, version, fields) = applied(outcome);
            assert_eq!((vendor_id, version > 0, fields.len()), (id.as_str(), true, 0));
        }
        assert_eq!(applied(&outcomes[2]).1, 0, "one that is not there is archived already");
        assert_eq!(applied(&outcomes[3]).0, ids[2], "what else was asked is done, too");
    }
    assert_eq!(applied(&first[0]).1, applied(&again[0]).1, "it was archived once");
}

#[tokio::test]
async fn a_bad_write_does_not_fail_its_neighbours() {
    let portal = connected().await;
    let ids: Vec<String> = (0..40).map(|n| portal.company(json!({"name": format!("Company {n}")}))).collect();
    let mut writes: Vec<ApplyWrite> = ids
        .iter()
        .map(|id| update(id, &[("city", Value::text("Rotterdam")), ("industry", Value::text("BANKING"))]))
        .collect();
    writes[7].fields.insert("industry".into(), Value::text("No such industry"));
    writes[23].fields.insert("industry".into(), Value::text("Nor this one"));
    writes[30].write = WriteKind::Update { id: "999999999".into(), expected: BTreeMap::new() };
    writes[31].fields.insert("hs_lastmodifieddate".into(), Value::DateTime(Timestamp::UNIX_EPOCH));
    writes[32].fields.insert("no_such_property".into(), Value::text("x"));
    writes[33].fields.insert("annualrevenue".into(), Value::text("a lot"));
    let outcomes = make(&portal, &writes).await;
    let expected = BTreeMap::from([
        (7, (IssueCategory::Validation, Some("industry"))),
        (23, (IssueCategory::Validation, Some("industry"))),
        (30, (IssueCategory::Missing, None)),
        (31, (IssueCategory::Validation, Some("hs_lastmodifieddate"))),
        (32, (IssueCategory::SchemaDrift, Some("no_such_property"))),
        (33, (IssueCategory::Value, Some("annualrevenue"))),
    ]);
    for (at, outcome) in outcomes.iter().enumerate() {
        match (outcome, expected.get(&at)) {
            (Ok(WriteOutcome::Rejected { category, field, message }), Some((kind, name))) => {
                assert_eq!((category, field.as_deref()), (kind, *name), "write {at}");
                assert!(!message.contains("No such industry"), "{message}");
            }
            (outcome, None) => assert_eq!(applied(outcome).0, ids[at], "write {at}"),
            (outcome, Some(_)) => panic!("write {at}: {outcome:?}"),
        }
    }
    assert_eq!(portal.property("companies", &ids[8], "city"), "Rotterdam");
    assert_ne!(portal.property("companies", &ids[7], "city"), "Rotterdam");
    assert!(portal.calls_of("/batch/update") < 40, "the batch was divided, not made one by one");
}

#[tokio::test]
async fn a_full_batch_is_one_update_and_one_read() {
    let portal = connected().await;
    let ids: Vec<String> =
        (0..100).map(|n| portal.company(json!({"name": format!("Company {n}")}))).collect();
    let writes: Vec<ApplyWrite> =
        ids.iter().map(|id| update(id, &[("city", Value::text("Ghent"))])).collect();
    let schema = portal.schema("companies").await;
    portal.sandbox.clear_calls();
    let outcomes = portal.hubspot.write(&portal.session, &schema, &writes).await;
    assert!(outcomes.iter().zip(&ids).all(|(outcome, id)| applied(outcome).0 == *id));
    assert_eq!((portal.calls_of("/batch/update"), portal.calls_of("/batch/read")), (1, 1));
}

#[tokio::test]
async fn two_writes_of_one_record_are_made_in_their_order() {
    let portal = connected().await;
    let id = portal.company(json!({"name": "Acme"}));
    let writes =
        [update(&id, &[("city", Value::text("Ghent"))]), update(&id, &[("city", Value::text("Bruges"))])];
    let outcomes = make(&portal, &writes).await;
    assert_eq!(applied(&outcomes[0]).2["city"], Value::text("Ghent"));
    assert_eq!(applied(&outcomes[1]).2["city"], Value::text("Bruges"));
    assert_eq!(portal.property("companies", &id, "city"), "Bruges");
    assert_eq!(portal.calls_of("/batch/update"), 2, "neither was sent in a batch that HubSpot refuses");
}

#[tokio::test]
async fn a_value_that_a_write_covered_is_reported() {
    let portal = connected().await;
    let id = portal.company(json!({"city": "Ghent"}));
    let calm = portal.company(json!({"city": "Ghent"}));
    portal.sandbox.edit("companies", &id, json!({"city": "Antwerp"})).unwrap();
    let outcomes =
        make(&portal, &[guarded(&id, "city", "Bruges", "Ghent"), guarded(&calm, "city", "Bruges", "Ghent")])
            .await;
    let Ok(WriteOutcome::Applied { covered, fields, .. }) = &outcomes[0] else { panic!("{outcomes:?}") };
    assert_eq!(fields["city"], Value::text("Bruges"));
    assert_eq!(covered["city"].value, Value::text("Antwerp"));
    let Ok(WriteOutcome::Applied { covered, .. }) = &outcomes[1] else { panic!("{outcomes:?}") };
    assert!(covered.is_empty(), "{covered:?}");
}

#[tokio::test]
async fn a_covered_value_is_reported_even_when_the_answer_to_the_write_was_lost() {
    let portal = connected().await;
    let id = portal.company(json!({"city": "Ghent"}));
    portal.sandbox.edit("companies", &id, json!({"city": "Antwerp"})).unwrap();
    portal.fault("/crm/v3/objects/companies/batch/update", FaultKind::TimeoutAfterApply, 1);
    let outcome = make_one(&portal, guarded(&id, "city", "Bruges", "Ghent")).await;
    let WriteOutcome::Applied { covered, .. } = outcome else { panic!("{outcome:?}") };
    assert_eq!(covered["city"].value, Value::text("Antwerp"));
    assert_eq!(portal.calls_of("/batch/update"), 2);
}

#[tokio::test]
async fn creating_twice_creates_one_record() {
    let portal = connected().await;
    portal.hubspot.prepare_external_id(&portal.session, "companies").await.unwrap();
    portal.hubspot.prepare_external_id(&portal.session, "companies").await.unwrap();
    let before = portal.ids("companies").len();
    let writes = [
        create("rec_1", &[("name", Value::text("Acme"))]),
        create("rec_2", &[("name", Value::text("Globex"))]),
    ];
    let first = make(&portal, &writes).await;
    let again = make(&portal, &writes).await;
    assert_eq!(applied(&first[0]).0, applied(&again[0]).0);
    assert_eq!(applied(&first[1]).0, applied(&again[1]).0);
    assert_ne!(applied(&first[0]).0, applied(&first[1]).0);
    assert_eq!(portal.ids("companies").len(), before + 2);
    // The new record is recognized when search shows it.
    let schema = portal.schema("companies").await;
    let (changes, _) = portal.read_all(&schema, &[]).await;
    let created = changes.iter().find(|change| change.id == applied(&first[0]).0).unwrap();
    assert_eq!(created.external_id.as_deref(), Some("rec_1"));
}

#[tokio::test]
async fn a_create_whose_answer_was_lost_creates_one_record() {
    let portal = connected().await;
    portal.hubspot.prepare_external_id(&portal.session, "companies").await.unwrap();
    let before = portal.ids("companies").len();
    portal.fault("/crm/v3/objects/companies/batch/upsert", FaultKind::TimeoutAfterApply, 1);
    let outcome = make_one(&portal, create("rec_1", &[("name", Value::text("Acme"))])).await;
    assert!(matches!(outcome, WriteOutcome::Applied { .. }), "{outcome:?}");
    assert_eq!(portal.ids("companies").len(), before + 1);
    assert_eq!(portal.calls_of("/batch/upsert"), 2);
}

#[tokio::test]
async fn creates_and_updates_go_out_together() {
    let portal = connected().await;
    portal.hubspot.prepare_external_id(&portal.session, "companies").await.unwrap();
    let id = portal.company(json!({"name": "Acme"}));
    let outcomes = make(
        &portal,
        &[
            create("rec_1", &[("name", Value::text("Globex"))]),
            update(&id, &[("name", Value::text("Acme 2"))]),
        ],
    )
    .await;
    assert_eq!(applied(&outcomes[0]).2["name"], Value::text("Globex"));
    assert_eq!(applied(&outcomes[1]).0, id);
}

#[tokio::test]
async fn a_property_of_our_name_without_uniqueness_is_refused_in_words() {
    let portal = connected().await;
    let request = connector::Request {
        host: connector::Host::Api,
        class: "core",
        method: http::Method::POST,
        path: "/crm/v3/properties/companies".into(),
        headers: Vec::new(),
        body: connector::Body::Json(
            json!({"name": "accord_record_id", "label": "Mine", "type": "string", "fieldType": "text",
                   "groupName": "companyinformation"})
            .to_string()
            .into(),
        ),
        idempotent: true,
    };
    portal.session.send(request).await.unwrap();
    let error = portal.hubspot.prepare_external_id(&portal.session, "companies").await.unwrap_err();
    assert_eq!(error.kind, ErrorKind::Validation);
    assert!(error.message.contains("not unique"), "{error}");
}

#[tokio::test]
async fn a_write_to_a_merged_record_reaches_the_survivor() {
    let portal = connected().await;
    let winner = portal.company(json!({"name": "Acme"}));
    let loser = portal.company(json!({"name": "Acme Inc"}));
    portal.sandbox.merge("companies", &winner, &loser).unwrap();
    match make_one(&portal, update(&loser, &[("city", Value::text("Ghent"))])).await {
        WriteOutcome::Applied { vendor_id, .. } => {
            assert_eq!(vendor_id, winner);
            assert_eq!(portal.property("companies", &winner, "city"), "Ghent");
        }
        WriteOutcome::Rejected { category, .. } => assert_eq!(category, IssueCategory::Missing),
    }
}

#[tokio::test]
async fn an_archived_record_is_reported_as_missing() {
    let portal = connected().await;
    let id = portal.company(json!({"name": "Acme"}));
    portal.sandbox.archive("companies", &id).unwrap();
    let outcome = make_one(&portal, update(&id, &[("city", Value::text("Ghent"))])).await;
    assert!(
        matches!(outcome, WriteOutcome::Rejected { category: IssueCategory::Missing, .. }),
        "{outcome:?}"
    );
}

#[tokio::test]
async fn a_missing_permission_rejects_and_revoked_access_is_an_error() {
    let portal = connected().await;
    let id = portal.company(json!({"name": "Acme"}));
    let schema = portal.schema("companies").await;
    portal
        .sandbox
        .change_settings(
            json!({"scopes_granted": ["oauth", "crm.objects.companies.read", "crm.schemas.companies.read"]}),
        )
        .unwrap();
    let grant = consent(&portal.sandbox, &portal.hubspot).await;
    let reader = Session::for_tests(portal.hubspot.clone(), "", grant.access_token).unwrap();
    let writes = [update(&id, &[("city", Value::text("Ghent"))])];
    let outcome = portal.hubspot.write(&reader, &schema, &writes).await.remove(0).unwrap();
    let WriteOutcome::Rejected { category, message, .. } = outcome else { panic!("{outcome:?}") };
    assert_eq!(category, IssueCategory::Permission);
    assert!(message.contains("crm.objects.companies.write"), "{message}");

    portal.sandbox.revoke();
    let error = portal.hubspot.write(&portal.session, &schema, &writes).await.remove(0).unwrap_err();
    assert_eq!(error.kind, ErrorKind::TokenExpired);
}
