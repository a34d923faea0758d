use std::collections::{BTreeMap, BTreeSet};

use jiff::Timestamp;
use model::ChangeKind;

use super::{Driver, Subject, went_well};
use crate::{Change, Cursor};

fn start() -> Cursor {
    Cursor::at(Timestamp::UNIX_EPOCH)
}

fn ids(changes: &[Change]) -> BTreeSet<String> {
    changes.iter().map(|change| change.id.clone()).collect()
}

fn assert_each_once(changes: &[Change], records: &BTreeMap<String, String>) {
    let read = ids(changes);
    let missing: Vec<_> = records.keys().filter(|id| !read.contains(*id)).take(5).collect();
    assert!(missing.is_empty(), "{} of {} were read; missing {missing:?}", read.len(), records.len());
    assert_eq!(read.len(), changes.len(), "some records were read twice");
}

/// R112: through pages and ties, every record of the past once, with its fields.
///
/// # Panics
/// With what was missed.
pub async fn every_record_is_read_once(driver: &dyn Driver) {
    let count = driver.connector().capabilities().page_size * 5 / 2;
    driver.seed(count, 7).await;
    let subject = Subject::of(driver).await;
    let records = driver.records().await;
    let (changes, _) = subject.read(&start(), None).await;
    assert_each_once(&changes, &records);
    for change in &changes {
        let value = change.fields.get(subject.sample.text_field).map(ToString::to_string).unwrap_or_default();
        assert_eq!(Some(&value), records.get(&change.id), "the text field of {}", change.id);
    }
    let page = subject.page(&start(), None).await;
    assert!(
        page.changes.len() <= subject.connector.capabilities().page_size,
        "a page is larger than it says"
    );
}

/// A bulk import leaves more records at one moment than a page holds.
///
/// # Panics
/// With what was missed.
pub async fn a_moment_with_more_records_than_a_page_is_read_whole(driver: &dyn Driver) {
    let count = driver.connector().capabilities().page_size * 2 + 3;
    driver.seed(count, count).await;
    let subject = Subject::of(driver).await;
    let (changes, _) = subject.read(&start(), None).await;
    assert_each_once(&changes, &driver.records().await);
}

/// GAPLESS-SEAM: history up to a moment and changes from that moment on are together everything, and share nothing.
///
/// # Panics
/// With what was missed.
pub async fn the_seam_between_history_and_live_has_no_gap_and_no_double(driver: &dyn Driver) {
    driver.seed(40, 4).await;
    let subject = Subject::of(driver).await;
    let (all, _) = subject.read(&start(), None).await;
    let Some(middle) = all.get(all.len() / 2).map(|change| change.changed_at) else {
        panic!("nothing was read")
    };
    let (history, _) = subject.read(&start(), Some(middle)).await;
    let (live, _) = subject.read(&Cursor::at(middle), None).await;
    assert!(ids(&history).is_disjoint(&ids(&live)), "history and live share records");
    assert!(!history.is_empty() && !live.is_empty());
    assert_each_once(&[history, live].concat(), &driver.records().await);
}

/// R108: after all was read, an edit is the only thing behind the cursor, with a newer version.
///
/// # Panics
/// With what was missed.
pub async fn edits_follow_the_cursor(driver: &dyn Driver) {
    driver.seed(12, 3).await;
    let subject = Subject::of(driver).await;
    let (before, cursor) = subject.read(&start(), None).await;
    let Some(old) = before.first() else { panic!("nothing was read") };
    driver.edit(&old.id, "edited by somebody else").await;
    let new = subject
        .until_some("the edit behind the cursor", async || {
            let (changes, _) = subject.read(&cursor, None).await;
            changes.into_iter().find(|change| change.version > old.version && change.id == old.id)
        })
        .await;
    assert_eq!(new.kind, ChangeKind::Upserted);
    let value = new.fields.get(subject.sample.text_field).map(ToString::to_string);
    assert_eq!(value.as_deref(), Some("edited by somebody else"));
    let (again, _) = subject.read(&cursor, None).await;
    // The last moment of the past may be read again, nothing before it.
    assert!(again.iter().all(|change| change.changed_at >= cursor.time), "old records came back");
}

/// Where deletions do not show among the changes, the whole listing of the deleted shows each once.
///
/// # Panics
/// With what was missed.
pub async fn deletions_are_listed_once(driver: &dyn Driver) {
    driver.seed(8, 2).await;
    let subject = Subject::of(driver).await;
    if !subject.connector.capabilities().sweeps_deleted {
        return;
    }
    let doomed: BTreeSet<String> = driver.records().await.into_keys().take(5).collect();
    for id in &doomed {
        driver.delete(id).await;
    }
    let deleted = list_deleted(&subject).await;
    assert_eq!(ids(&deleted), doomed);
    assert_eq!(deleted.len(), doomed.len(), "some are listed twice");
    assert!(deleted.iter().all(|change| change.kind == ChangeKind::Deleted && change.version > 0));
}

/// A record that is back is not deleted any more, and shows among the records.
///
/// # Panics
/// With what was missed.
pub async fn a_restored_record_is_no_longer_among_the_deleted(driver: &dyn Driver) {
    driver.seed(4, 1).await;
    let subject = Subject::of(driver).await;
    if !subject.connector.capabilities().sweeps_deleted {
        return;
    }
    let Some(id) = driver.records().await.into_keys().next() else { panic!("nothing was seeded") };
    driver.delete(&id).await;
    assert_eq!(list_deleted(&subject).await.len(), 1);
    driver.restore(&id).await;
    assert!(list_deleted(&subject).await.is_empty());
    subject
        .until_some("the restored record among the changes", async || {
            ids(&subject.read(&start(), None).await.0).contains(&id).then_some(())
        })
        .await;
}

async fn list_deleted(subject: &Subject) -> Vec<Change> {
    let (mut all, mut page): (Vec<Change>, Option<String>) = (Vec::new(), None);
    loop {
        let object = subject.sample.object;
        let listed = subject.connector.fetch_deleted(&subject.session, object, page.as_deref()).await;
        let (changes, next) = went_well("fetch deleted records", listed);
        all.extend(changes);
        let Some(next) = next else { return all };
        page = Some(next);
    }
}
