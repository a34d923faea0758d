//! The primary company of a deal or a contact, which HubSpot keeps as an association.

use std::collections::BTreeMap;

use connector::{Change, Connector};
use connector_hubspot::ApiVersion;
use model::{FieldType, IssueCategory, Value, WriteKind, WriteOutcome};
use serde_json::json;

use crate::{
    portal::{Portal, connected, connected_with, fields, settings},
    writing::write_of,
};

const COMPANY: &str = "associations.company";

async fn set(portal: &Portal, object: &str, values: &[(&str, &str, Value)]) -> Vec<WriteOutcome> {
    let schema = portal.schema(object).await;
    let write = |(id, expected, value): &(&str, &str, Value)| {
        let expected = BTreeMap::from([(COMPANY.to_owned(), text_or_null(expected))]);
        write_of(object, WriteKind::Update { id: (*id).to_owned(), expected }, &[(COMPANY, value.clone())])
    };
    let writes: Vec<_> = values.iter().map(write).collect();
    let outcomes = portal.hubspot.write(&portal.session, &schema, &writes).await;
    outcomes.into_iter().map(Result::unwrap).collect()
}

fn text_or_null(text: &str) -> Value {
    if text.is_empty() { Value::Null } else { Value::text(text) }
}

async fn company_of(portal: &Portal, object: &str, id: &str) -> Value {
    let schema = portal.schema(object).await;
    let (changes, _) = portal.read_all(&schema, &fields(&[COMPANY])).await;
    changes.iter().find(|change| change.id == id).unwrap().fields[COMPANY].clone()
}

#[tokio::test]
async fn every_record_is_read_with_its_primary_company() {
    for version in [ApiVersion::Classic, ApiVersion::March2026] {
        let portal = connected_with(settings(), version).await;
        portal.seed("companies", 40, json!({"spread_days": 30}));
        for object in ["deals", "contacts"] {
            portal.seed(object, 450, json!({"spread_days": 30}));
            let schema = portal.schema(object).await;
            let field = schema.field(COMPANY).unwrap();
            assert_eq!(
                (field.field_type, field.references.as_deref()),
                (FieldType::Reference, Some("companies"))
            );
            let companies: Vec<Value> =
                portal.ids("companies").into_iter().map(|id| Value::text(id.to_string())).collect();
            let (changes, _) = portal.read_all(&schema, &fields(&[COMPANY, "createdate"])).await;
            assert_eq!(changes.len(), 450);
            assert!(changes.iter().all(|change| companies.contains(&change.fields[COMPANY])));
            // One reading for each page, or none where nobody asks.
            let before = portal.calls_of("/companies/batch/read");
            assert!(before <= 4, "{before} readings");
            portal.read_all(&schema, &fields(&["createdate"])).await;
            assert_eq!(portal.calls_of("/companies/batch/read"), before);
            portal.sandbox.clear_calls();
        }
    }
}

#[tokio::test]
async fn a_company_is_set_changed_and_cleared() {
    let portal = connected().await;
    let (one, two) = (portal.company(json!({"name": "One"})), portal.company(json!({"name": "Two"})));
    let deal = portal.make("deals", json!({"dealname": "Pilot"}));
    let contact = portal.make("contacts", json!({"email": "ann@one.example"}));
    for (object, id) in [("deals", deal.as_str()), ("contacts", contact.as_str())] {
        let mut before = String::new();
        for wanted in [one.as_str(), two.as_str(), "", one.as_str()] {
            let outcome = set(&portal, object, &[(id, &before, text_or_null(wanted))]).await.remove(0);
            let WriteOutcome::Applied { fields, covered, .. } = outcome else { panic!("{outcome:?}") };
            assert_eq!((&fields[COMPANY], covered.len()), (&text_or_null(wanted), 0));
            if wanted.is_empty() {
                // HubSpot keeps the company that was the primary one before, but not as the primary one.
                assert_eq!(company_of(&portal, object, id).await, Value::Null);
            } else {
                assert_eq!(company_of(&portal, object, id).await, Value::text(wanted));
            }
            wanted.clone_into(&mut before);
        }
    }
}

#[tokio::test]
async fn a_company_that_somebody_set_meanwhile_is_told_as_covered() {
    let portal = connected().await;
    let companies: Vec<String> = (0..3).map(|n| portal.company(json!({"name": format!("C{n}")}))).collect();
    let deal = portal.make("deals", json!({"dealname": "Pilot"}));
    set(&portal, "deals", &[(&deal, "", Value::text(&*companies[0]))]).await;
    let outcome =
        set(&portal, "deals", &[(&deal, &companies[1], Value::text(&*companies[2]))]).await.remove(0);
    let WriteOutcome::Applied { covered, .. } = outcome else { panic!("{outcome:?}") };
    assert_eq!(covered[COMPANY].value, Value::text(&*companies[0]));
}

#[tokio::test]
async fn a_company_that_is_gone_refuses_its_own_write_only() {
    let portal = connected().await;
    let (good, gone) = (portal.company(json!({"name": "Good"})), portal.company(json!({"name": "Gone"})));
    portal.sandbox.archive("companies", &gone).unwrap();
    let deals: Vec<String> =
        (0..4).map(|n| portal.make("deals", json!({"dealname": format!("D{n}")}))).collect();
    let wish = |at: usize, company: &str| (deals[at].clone(), Value::text(company));
    let wishes = [wish(0, &good), wish(1, &gone), wish(2, &good), wish(3, &good)];
    let wishes: Vec<(&str, &str, Value)> =
        wishes.iter().map(|(deal, company)| (deal.as_str(), "", company.clone())).collect();
    for (at, outcome) in set(&portal, "deals", &wishes).await.into_iter().enumerate() {
        match outcome {
            WriteOutcome::Rejected { category, field, .. } => {
                assert_eq!((at, category, field.as_deref()), (1, IssueCategory::Missing, Some(COMPANY)));
            }
            WriteOutcome::Applied { .. } => {
                assert_ne!(at, 1);
                assert_eq!(company_of(&portal, "deals", &deals[at]).await, Value::text(&*good));
            }
        }
    }
}

#[tokio::test]
async fn a_deal_is_created_with_its_company() {
    let portal = connected().await;
    let company = portal.company(json!({"name": "One"}));
    let schema = portal.schema("deals").await;
    portal.hubspot.prepare_external_id(&portal.session, "deals").await.unwrap();
    let kind = WriteKind::Create { external_id: "rec_1".to_owned() };
    let values = [("dealname", Value::text("Pilot")), (COMPANY, Value::text(&*company))];
    let write = write_of("deals", kind, &values);
    // Made twice, as after a lost answer, it is one deal with one company.
    for _ in 0..2 {
        let outcome = portal
            .hubspot
            .write(&portal.session, &schema, std::slice::from_ref(&write))
            .await
            .remove(0)
            .unwrap();
        let WriteOutcome::Applied { vendor_id, fields, .. } = outcome else { panic!("{outcome:?}") };
        assert_eq!(fields.keys().collect::<Vec<_>>(), [COMPANY, "dealname"]);
        assert_eq!(company_of(&portal, "deals", &vendor_id).await, Value::text(&*company));
    }
    assert_eq!(portal.ids("deals").len(), 1);
}

#[tokio::test]
async fn a_company_that_changes_alone_moves_no_date_and_is_found_by_looking() {
    let portal = connected().await;
    portal.seed("companies", 5, json!({"spread_days": 30}));
    portal.seed("contacts", 40, json!({"spread_days": 30}));
    let (schema, names) = (portal.schema("contacts").await, fields(&["email", COMPANY]));
    let (changes, cursor) = portal.read_all(&schema, &names).await;
    let values = |change: &Change| [(COMPANY.to_owned(), change.fields[COMPANY].clone())].into();
    let known: BTreeMap<String, BTreeMap<String, Value>> =
        changes.iter().map(|change| (change.id.clone(), values(change))).collect();
    let quiet = fields(&[COMPANY]);
    let look = async || {
        portal.hubspot.fetch_moved(&portal.session, &schema, &names, &quiet, known.clone()).await.unwrap()
    };
    assert_eq!(look().await, []);
    assert_eq!(portal.calls_of("/objects/contacts/batch/read"), 0, "one call looks at all");

    let before = &changes[7];
    let other = portal.ids("companies").into_iter().map(|id| Value::text(id.to_string()));
    let other = other.into_iter().find(|id| *id != before.fields[COMPANY]).unwrap();
    set(&portal, "contacts", &[(&before.id, "", other.clone())]).await;
    let page = portal.page(&schema, &names, &cursor).await;
    assert_eq!(page.changes, [], "no listing of changes shows it");
    let moved = look().await;
    let mut expected = before.clone();
    expected.fields.insert(COMPANY.to_owned(), other);
    assert_eq!(moved, [expected]);
}
