use std::collections::BTreeMap;

use jiff::Timestamp;
use model::{IssueCategory, Value, WriteKind, WriteOutcome};

use super::{Driver, Fault, Subject};
use crate::Cursor;

fn update(id: &str) -> WriteKind {
    WriteKind::Update { id: id.to_owned(), expected: BTreeMap::new() }
}

fn create(external_id: &str) -> WriteKind {
    WriteKind::Create { external_id: external_id.to_owned() }
}

/// One bad write in a batch is rejected by itself, in the vendor's words; the others are applied.
///
/// # Panics
/// With what was missed.
pub async fn a_bad_write_stops_no_neighbour(driver: &dyn Driver) {
    driver.seed(5, 1).await;
    let subject = Subject::of(driver).await;
    let before = driver.records().await;
    let field = subject.sample.text_field;
    let mut writes: Vec<_> =
        before.keys().map(|id| subject.order(update(id), field, Value::text(format!("new {id}")))).collect();
    let (bad_field, bad_value) = subject.sample.refused;
    let Some(bad) = writes.get_mut(2) else { panic!("nothing was seeded") };
    bad.fields = BTreeMap::from([(bad_field.to_owned(), Value::text(bad_value))]);
    let results = subject.connector.write(&subject.session, &subject.schema, &writes).await;
    assert_eq!(results.len(), writes.len(), "one result per write");
    let after = driver.records().await;
    for (index, ((id, old), result)) in before.iter().zip(&results).enumerate() {
        match result {
            Ok(WriteOutcome::Applied { vendor_id, version, fields, .. }) if index != 2 => {
                assert_eq!(vendor_id, id, "the results are in the order of the writes");
                assert!(*version > 0);
                assert_eq!(fields.get(field), Some(&Value::text(format!("new {id}"))));
                assert_eq!(after.get(id), Some(&format!("new {id}")));
            }
            Ok(WriteOutcome::Rejected { category, message, .. }) if index == 2 => {
                assert_eq!(*category, IssueCategory::Validation);
                assert!(!message.is_empty());
                assert_eq!(after.get(id), Some(old));
            }
            other => panic!("write {index} ended as {other:?}"),
        }
    }
}

/// A write of no value clears the field.
///
/// # Panics
/// With what was missed.
pub async fn a_blank_clears_a_field(driver: &dyn Driver) {
    driver.seed(1, 1).await;
    let subject = Subject::of(driver).await;
    let Some(id) = driver.records().await.into_keys().next() else { panic!("nothing was seeded") };
    let outcome = subject.write(update(&id), subject.sample.text_field, Value::Null).await;
    assert!(matches!(outcome, WriteOutcome::Applied { .. }), "{outcome:?}");
    assert_eq!(driver.records().await.get(&id).map(String::as_str), Some(""));
}

/// The same create twice, the first answer lost, makes one record, which says whose it is when it is read.
///
/// # Panics
/// With what was missed.
pub async fn a_create_is_made_once_however_often_it_is_asked(driver: &dyn Driver) {
    let subject = Subject::of(driver).await;
    for _ in 0..2 {
        let prepared = subject.connector.prepare_external_id(&subject.session, subject.sample.object).await;
        super::went_well("prepare the field for our record id", prepared);
    }
    let field = subject.sample.text_field;
    let mut made = Vec::new();
    for attempt in 0..3 {
        if attempt == 1 {
            driver.fault(Fault::LostAnswer).await;
        }
        let external_id = "rec_0192f0c1d2e37a4b8c5d6e7f80910203";
        let outcome = subject.write(create(external_id), field, Value::text("made once")).await;
        let WriteOutcome::Applied { vendor_id, .. } = outcome else { panic!("{outcome:?}") };
        made.push(vendor_id);
    }
    made.dedup();
    assert_eq!(made.len(), 1, "the same create gave different records");
    assert_eq!(driver.records().await.len(), 1, "there is more than one record");
    let external_id = subject
        .until_some("the created record among the changes", async || {
            let (changes, _) = subject.read(&Cursor::at(Timestamp::UNIX_EPOCH), None).await;
            changes.into_iter().find(|change| Some(&change.id) == made.first())
        })
        .await
        .external_id;
    assert_eq!(external_id.as_deref(), Some("rec_0192f0c1d2e37a4b8c5d6e7f80910203"));
}

/// SYNC.md: a value that somebody wrote after we last looked, and that our write covered, is reported.
///
/// # Panics
/// With what was missed.
pub async fn a_foreign_value_that_a_write_covers_is_reported(driver: &dyn Driver) {
    driver.seed(1, 1).await;
    let subject = Subject::of(driver).await;
    let Some((id, known)) = driver.records().await.into_iter().next() else { panic!("nothing was seeded") };
    let field = subject.sample.text_field;
    driver.edit(&id, "theirs").await;
    let expected = BTreeMap::from([(field.to_owned(), Value::text(known))]);
    let guarded = WriteKind::Update { id: id.clone(), expected };
    let outcome = subject.write(guarded, field, Value::text("ours")).await;
    let WriteOutcome::Applied { covered, .. } = outcome else { panic!("{outcome:?}") };
    assert_eq!(covered.get(field).map(|covered| &covered.value), Some(&Value::text("theirs")));

    let expected = BTreeMap::from([(field.to_owned(), Value::text("ours"))]);
    let outcome = subject.write(WriteKind::Update { id, expected }, field, Value::text("ours again")).await;
    let WriteOutcome::Applied { covered, .. } = outcome else { panic!("{outcome:?}") };
    assert!(covered.is_empty(), "our own value is no foreign one: {covered:?}");
}
