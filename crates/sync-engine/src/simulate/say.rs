//! What happens, in words.

use model::{ApplyWrite, ChangeKind, Value, WriteKind, WriteOutcome};

use super::world::World;
use crate::{
    consumer::{Arrival, Fact},
    store::{conflicts::StoredConflict, revisions::Revision},
};

fn values<'a>(fields: impl IntoIterator<Item = (&'a String, &'a Value)>) -> String {
    let one = |(name, value): (&'a String, &'a Value)| format!("{name}={:?}", value.to_string());
    fields.into_iter().map(one).collect::<Vec<_>>().join(" ")
}

pub(super) fn fact(arrival: &Arrival) -> String {
    match &arrival.fact {
        Fact::Change(change) => {
            let what = if change.kind == ChangeKind::Deleted { "deleted" } else { "has" };
            let fields = values(&change.fields);
            format!("{} #{} {what} {fields} (version {})", change.vendor, change.id, change.version)
        }
        Fact::Written(written) => format!("answer of {}: {}", written.vendor, outcome(&written.outcome)),
        Fact::BackfillFinished(_) => "the backfill is over".to_owned(),
        Fact::Verify(_) => "something of a comparison".to_owned(),
    }
}

pub(super) fn outcome(outcome: &WriteOutcome) -> String {
    match outcome {
        WriteOutcome::Applied { vendor_id, version, fields, covered } => {
            let covered: Vec<String> =
                covered.iter().map(|(name, it)| format!(", covering {name}={:?}", it.value)).collect();
            format!("#{vendor_id} has {} (version {version}){}", values(fields), covered.concat())
        }
        WriteOutcome::Rejected { category, field, .. } => {
            let field = field.as_deref().unwrap_or("the record");
            format!("refused: {category:?} of {field}")
        }
    }
}

pub(super) fn write(world: &World, system: usize, write: &ApplyWrite) -> String {
    let target = match &write.write {
        WriteKind::Create { .. } => {
            format!("a new record at {}.{system}", world.systems[system].profile.name)
        }
        WriteKind::Update { id, .. } | WriteKind::Archive { id } => {
            world.name_there(system, id.parse::<usize>().unwrap_or(1).saturating_sub(1))
        }
    };
    format!("{} to {target}: {}", world.name(write.record), values(&write.fields))
}

pub(super) fn revision(world: &World, revision: &Revision) -> String {
    let changes = revision.changes.iter();
    let changes =
        changes.map(|it| format!("{} {:?} -> {:?} ({})", it.field, it.before, it.after, it.reason.name()));
    format!("{}: {}", world.name(revision.record), changes.collect::<Vec<_>>().join(", "))
}

pub(super) fn conflict(world: &World, conflict: &StoredConflict) -> String {
    let StoredConflict { record, field, policy, winner, kept, lost, .. } = conflict;
    format!(
        "conflict about {field} of {}: {winner} wins by {policy}: {kept:?}, not {lost:?}",
        world.name(*record)
    )
}
