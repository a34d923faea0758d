//! Archiving in batches. HubSpot says nothing about ids that it does not have, so that archiving twice is the same as
//! once; the archived records are read for when it happened.

use std::collections::BTreeMap;

use connector::Error;
use model::{ApplyWrite, IssueCategory, WriteKind, WriteOutcome};

use crate::{
    client::{Answer, Client},
    objects::deletion,
    read::BATCH_SIZE,
    wire::{Batch, BatchIds, BatchRead, RecordId},
};

/// Archives what the writes ask to archive; gives the place of each among the writes and its outcome.
pub(crate) async fn archive(
    client: Client<'_>,
    object: &str,
    writes: &[ApplyWrite],
) -> Vec<(usize, Result<WriteOutcome, Error>)> {
    let wanted: Vec<(usize, &str)> = writes
        .iter()
        .enumerate()
        .filter_map(|(at, write)| match &write.write {
            WriteKind::Archive { id } => Some((at, id.as_str())),
            WriteKind::Create { .. } | WriteKind::Update { .. } => None,
        })
        .collect();
    let mut outcomes = Vec::with_capacity(wanted.len());
    for chunk in wanted.chunks(BATCH_SIZE) {
        match archive_chunk(client, object, chunk).await {
            Ok(versions) => outcomes.extend(chunk.iter().map(|(at, id)| {
                let version = versions.get(*id).copied().unwrap_or_default();
                let (fields, covered) = (BTreeMap::new(), BTreeMap::new());
                let vendor_id = (*id).to_owned();
                (*at, Ok(WriteOutcome::Applied { vendor_id, version, fields, covered }))
            })),
            Err(error) => outcomes.extend(chunk.iter().map(|(at, _)| (*at, refusal(&error)))),
        }
    }
    outcomes
}

/// Archives some records and says which version each has since; one that is gone for good has none.
async fn archive_chunk(
    client: Client<'_>,
    object: &str,
    chunk: &[(usize, &str)],
) -> Result<BTreeMap<String, i64>, Error> {
    let ids = || chunk.iter().map(|(_, id)| RecordId { id }).collect();
    client.batch_archive(object, &BatchIds { inputs: ids() }).await?;
    let read = BatchRead {
        properties: Vec::new(),
        properties_with_history: Vec::new(),
        id_property: None,
        inputs: ids(),
    };
    let answer: Answer = client.batch_read_archived(object, &read).await?;
    let batch: Batch<'_> = answer.read()?;
    Ok(batch.results.iter().filter_map(deletion).map(|gone| (gone.id, gone.version)).collect())
}

fn refusal(error: &Error) -> Result<WriteOutcome, Error> {
    if matches!(error.kind.category(), IssueCategory::Permission | IssueCategory::Validation) {
        let (category, message) = (error.kind.category(), error.message.clone());
        return Ok(WriteOutcome::Rejected { category, message, field: None });
    }
    Err(error.again())
}
