//! Deletions: what is in the recycle bin, and who won where records were merged.

use std::collections::BTreeMap;

use connector::{Change, Error, ErrorKind};
use model::ChangeKind;

use crate::{
    client::Client,
    objects::{MERGED, STAMP, of_event, stamp},
    read::PAGE_SIZE,
    soql::{Soql, literal},
    wire::{MergedRow, Record, Rows},
};

/// Ids per query, so that its address stays short.
const IDS_PER_QUERY: usize = 200;

/// One page of the recycle bin, by id. Emptying the bin takes records out of it: those show when the object is compared.
pub(crate) async fn fetch_deleted(
    client: Client<'_>,
    object: &str,
    page: Option<&str>,
) -> Result<(Vec<Change>, Option<String>), Error> {
    let after = page.map(|id| format!(" AND Id > {}", literal(id))).unwrap_or_default();
    let condition = format!("IsDeleted = true{after}");
    let soql =
        Soql { fields: &["Id", STAMP], object, condition: &condition, order: "Id", limit: Some(PAGE_SIZE) };
    let answer = client.query(&soql.to_string(), true).await?;
    let rows: Rows<Record<'_>> = answer.read()?;
    let deleted: Vec<Change> = rows.records.iter().filter_map(deletion).collect();
    let is_last = rows.done && rows.records.len() < PAGE_SIZE;
    let next = rows.records.last().filter(|_| !is_last).and_then(|last| last.text("Id"));
    let next = next.map(std::borrow::Cow::into_owned);
    let mut changes = winners(client, object, &deleted.iter().collect::<Vec<_>>()).await?;
    changes.extend(deleted);
    Ok((changes, next))
}

/// A record in the recycle bin. It was stamped when it was deleted, and nothing happens to it afterwards: its version
/// is that of an event, so that a record which is back in the same second is newer.
fn deletion(record: &Record<'_>) -> Option<Change> {
    let at = stamp(record)?;
    Some(Change {
        id: record.text("Id")?.into_owned(),
        kind: ChangeKind::Deleted,
        version: of_event(at.as_millisecond(), i64::MAX),
        changed_at: at,
        fields: BTreeMap::new(),
        is_partial: false,
        field_times: BTreeMap::new(),
        external_id: None,
        merged_ids: Vec::new(),
        says_ours: false,
    })
}

/// When these records were deleted, by their ids; those that are gone for good are left out.
pub(crate) async fn versions(
    client: Client<'_>,
    object: &str,
    ids: &[&str],
) -> Result<BTreeMap<String, i64>, Error> {
    let mut versions = BTreeMap::new();
    for chunk in ids.chunks(IDS_PER_QUERY) {
        let condition = format!("IsDeleted = true AND Id IN ({})", list(chunk));
        let soql = Soql { fields: &["Id", STAMP], object, condition: &condition, order: "Id", limit: None };
        let answer = client.query(&soql.to_string(), true).await?;
        let rows: Rows<Record<'_>> = answer.read()?;
        versions.extend(rows.records.iter().filter_map(deletion).map(|gone| (gone.id, gone.version)));
    }
    Ok(versions)
}

/// The records that these deleted ones were merged into, each with its losers and nothing else.
pub(crate) async fn winners(
    client: Client<'_>,
    object: &str,
    gone: &[&Change],
) -> Result<Vec<Change>, Error> {
    let mut winners: BTreeMap<String, Change> = BTreeMap::new();
    if !MERGED.contains(&object) {
        return Ok(Vec::new());
    }
    for chunk in gone.chunks(IDS_PER_QUERY) {
        let ids: Vec<&str> = chunk.iter().map(|change| change.id.as_str()).collect();
        let condition = format!("IsDeleted = true AND MasterRecordId != null AND Id IN ({})", list(&ids));
        let fields = ["Id", "MasterRecordId"];
        let soql = Soql { fields: &fields, object, condition: &condition, order: "Id", limit: None };
        let answer = match client.query(&soql.to_string(), true).await {
            // Who may not see it sees deletions.
            Err(error) if matches!(error.kind, ErrorKind::SchemaDrift | ErrorKind::Permission) => {
                return Ok(Vec::new());
            }
            answer => answer?,
        };
        let rows: Rows<MergedRow> = answer.read()?;
        for row in rows.records {
            let (Some(master), Some(loser)) =
                (row.master_record_id, chunk.iter().find(|change| change.id == row.id))
            else {
                continue;
            };
            let winner = winners.entry(master.clone()).or_insert_with(|| Change {
                id: master,
                kind: ChangeKind::Upserted,
                is_partial: true,
                ..(*loser).clone()
            });
            winner.version = winner.version.max(loser.version);
            winner.merged_ids.push(row.id);
        }
    }
    Ok(winners.into_values().collect())
}

fn list(ids: &[&str]) -> String {
    ids.iter().map(|id| literal(id)).collect::<Vec<_>>().join(",")
}
