//! Is an export whole? Reads its JSON lines alone, without a database.

use std::io::BufRead;

use model::OrganizationId;
use serde::Deserialize;

use crate::{
    Break, Error, Fault,
    domain::chain::{Hashed, genesis},
};

/// What reading an export found.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ExportVerification {
    /// How many entries fit, up to the first that does not.
    pub entries: u64,
    /// The first sequence number; 1 in a whole export.
    pub first: Option<i64>,
    /// The last entry that fits.
    pub head: Option<(i64, String)>,
    /// How often sequence numbers are missing between two entries: an export by a filter has such gaps.
    pub gaps: u64,
    /// The first entry that does not fit; none when all do.
    pub broken: Option<Break>,
    /// The line of that entry, from 1.
    pub broken_line: Option<u64>,
}

impl ExportVerification {
    /// Whether every entry is as it was written and none is left out from the first to the last.
    #[must_use]
    pub fn is_whole(&self) -> bool {
        self.broken.is_none() && self.gaps == 0 && self.first.is_none_or(|first| first == 1)
    }
}

/// One line of an export.
#[derive(Deserialize)]
struct Line {
    sequence: i64,
    event_id: String,
    action: String,
    actor: String,
    target: String,
    connection_id: String,
    outcome: String,
    occurred_at: String,
    recorded_at: String,
    cause: String,
    summary: String,
    details_json: String,
    previous_hash: String,
    hash: String,
}

/// Reads an export, JSON lines oldest first, and checks each entry's hash and its link to the one before. With the
/// organization given, the first entry must begin its chain.
///
/// # Errors
/// The reader fails. A line that is no entry is a [`Fault::Modified`].
pub fn verify_export(
    reader: impl BufRead,
    organization: Option<OrganizationId>,
) -> Result<ExportVerification, Error> {
    let mut found =
        ExportVerification { entries: 0, first: None, head: None, gaps: 0, broken: None, broken_line: None };
    for (number, line) in (1..).zip(reader.lines()) {
        let line = line?;
        if line.trim().is_empty() {
            continue;
        }
        if let Err(broken) = check(&mut found, &line, organization) {
            found.broken = Some(broken);
            found.broken_line = Some(number);
            break;
        }
    }
    Ok(found)
}

fn check(
    found: &mut ExportVerification,
    line: &str,
    organization: Option<OrganizationId>,
) -> Result<(), Break> {
    let expected = found.head.as_ref().map_or(1, |(sequence, _)| sequence + 1);
    let Ok(line) = serde_json::from_str::<Line>(line) else {
        return Err(Break { at: expected, fault: Fault::Modified });
    };
    let fault = |fault| Break { at: line.sequence, fault };
    if line.hash_of_content() != line.hash {
        return Err(fault(Fault::Modified));
    }
    match (&found.head, organization) {
        (Some((sequence, _)), _) if line.sequence <= *sequence => return Err(fault(Fault::Unlinked)),
        (Some((sequence, hash)), _) if line.sequence == sequence + 1 => {
            if line.previous_hash != *hash {
                return Err(fault(Fault::Unlinked));
            }
        }
        (Some(_), _) => found.gaps += 1,
        (None, Some(organization)) if line.sequence == 1 => {
            if line.previous_hash != genesis(organization).to_string() {
                return Err(fault(Fault::Unlinked));
            }
        }
        (None, _) => {}
    }
    found.entries += 1;
    found.first.get_or_insert(line.sequence);
    found.head = Some((line.sequence, line.hash));
    Ok(())
}

impl Line {
    fn hash_of_content(&self) -> String {
        let fields = Hashed {
            sequence: self.sequence,
            event_id: &self.event_id,
            action: &self.action,
            actor: &self.actor,
            target: &self.target,
            connection_id: &self.connection_id,
            outcome: &self.outcome,
            occurred_at: &self.occurred_at,
            recorded_at: &self.recorded_at,
            cause: &self.cause,
            summary: &self.summary,
            details_json: &self.details_json,
            previous_hash: &self.previous_hash,
        };
        fields.hash().to_string()
    }
}
