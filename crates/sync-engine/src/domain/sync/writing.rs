//! The write that follows from where a link and its record stand, and the vendor's answer to it.

use std::collections::BTreeMap;

use jiff::Timestamp;
use model::{ApplyWrite, IssueCategory, Value, WriteId, WriteKind, WriteOutcome};
use rust_decimal::Decimal;

use super::{
    Conflict, Effect, Link, LinkState, Stamp, Trouble, WHOLE, align, detach, local, observe_deferred, origin,
    read, settle,
};
use crate::domain::{
    cell::Record,
    mapping::{Compiled, FieldPair, Policy},
    merge::{Decision, Deferred, Field, Remote},
    transform,
};

/// Why the vendor's record is not archived with ours, as [`WHOLE`] keeps it: the vendor refused to.
const REFUSED_THERE: Value = Value::Bool(true);
/// The same: ours was archived to put back what a run brought, and the vendor's is none of that run's doing.
const KEPT_THERE: Value = Value::Bool(false);
/// Why a record is not there yet, as [`WHOLE`] keeps it: the vendor refused to make it, and not because of a field that it
/// was asked to write.
const NOT_MADE: Value = Value::Number(Decimal::ZERO);

/// Leaves the vendor's record as it is when ours is archived, until ours is active again.
pub(crate) fn keep_there(link: &mut Link) {
    link.fields.insert(WHOLE.to_owned(), Field { refused: Some(KEPT_THERE), ..Field::default() });
}

/// Whether [`keep_there`] was said of it.
pub(super) fn is_kept_there(link: &Link) -> bool {
    link.fields.get(WHOLE).is_some_and(|whole| whole.refused == Some(KEPT_THERE))
}

/// Whether the vendor refused to make the record as it was offered last.
fn is_not_made(link: &Link) -> bool {
    link.fields.get(WHOLE).is_some_and(|whole| whole.refused == Some(NOT_MADE))
}

/// Takes the vendor's answer to the write in flight.
pub(crate) fn answered(
    mapping: &Compiled,
    link: &mut Link,
    record: &mut Record,
    write: WriteId,
    outcome: &WriteOutcome,
    at: Timestamp,
) -> Effect {
    let is_late = link.write != Some(write) && !broken!(AnyAnswer);
    let is_known = link.fields.values().any(|state| state.was_sent_by(write)) && !broken!(LateIgnored);
    if is_late && !is_known {
        return Effect::default();
    }
    align(mapping, link);
    let mut effect = Effect { touched: true, ..Effect::default() };
    if is_late {
        answered_late(mapping, link, record, &mut effect, Answer { write, outcome, at });
        return effect;
    }
    link.write = None;
    match outcome {
        WriteOutcome::Applied { vendor_id, version, fields, .. } => {
            // What was made there although somebody's was found to be ours meanwhile says nothing about ours.
            let is_ours = link.vendor_id.get_or_insert_with(|| vendor_id.clone()) == vendor_id
                || broken!(StrangerAnswers);
            if is_ours && fields.is_empty() && record.archived_at.is_some() {
                link.seen_version = link.seen_version.max(*version);
                detach(link);
            }
            take_answers(mapping, link, record, &mut effect, Answer { write, outcome, at });
            for state in link.fields.values_mut().filter(|_| !broken!(PendingStays)) {
                (state.pending, state.was) = (None, None);
                state.forget(write);
            }
            observe_deferred(mapping, link, record, &mut effect);
            // What was said of the record as a whole is about other fields too, while some are refused still.
            if broken!(RecordIssueCleared) || link.fields.values().all(|state| state.refused.is_none()) {
                effect.cleared.push(String::new());
            }
        }
        WriteOutcome::Rejected { category, message, field } => {
            let named = refused(mapping, link, record, write, field.as_deref(), *category);
            observe_deferred(mapping, link, record, &mut effect);
            // A refused value that the vendor's took the place of is nobody's trouble any more.
            let about = named.filter(|named| {
                let mut states = link.fields.iter().filter(|(name, _)| named.is_empty() || *name == named);
                states.any(|(_, state)| state.refused.is_some())
            });
            if let Some(field) = about.filter(|_| !broken!(RefusalSilent)) {
                let (category, message) = (*category, message.clone());
                effect.troubles.push(Trouble { field, category, message });
            }
        }
    }
    effect
}

/// What the vendor says of a write.
#[derive(Clone, Copy)]
struct Answer<'a> {
    write: WriteId,
    outcome: &'a WriteOutcome,
    at: Timestamp,
}

/// Takes the answer to a write that is not waited for any more: what it left there is ours all the same.
fn answered_late(
    mapping: &Compiled,
    link: &mut Link,
    record: &mut Record,
    effect: &mut Effect,
    answer: Answer<'_>,
) {
    match answer.outcome {
        WriteOutcome::Applied { .. } => {
            take_answers(mapping, link, record, effect, answer);
            link.fields.values_mut().for_each(|state| state.forget(answer.write));
        }
        WriteOutcome::Rejected { .. } => {
            link.fields.values_mut().for_each(|state| state.refuse_sent(answer.write));
        }
    }
}

/// Takes what a write made and what it covered, field by field.
fn take_answers(
    mapping: &Compiled,
    link: &mut Link,
    record: &mut Record,
    effect: &mut Effect,
    answer: Answer<'_>,
) {
    let WriteOutcome::Applied { vendor_id, version, fields, covered } = answer.outcome else { return };
    let is_ours = link.vendor_id.as_ref() == Some(vendor_id) || broken!(StrangerAnswers);
    let origin = origin(mapping);
    for pair in &mapping.pairs {
        let foreign = covered.get(&pair.vendor.name);
        if is_ours && let Some(foreign) = foreign {
            settle_covered(pair, link, record, effect, &foreign.value, foreign.at, &origin);
        } else if let Some(foreign) = foreign.filter(|_| !broken!(StrangerCovered)) {
            // Of a record there that is none of this one: it is gone, and that is told.
            let lost = Conflict::lost_there(pair, pair.ours(record), foreign.value.clone());
            effect.conflicts.push(Conflict { policy: Policy::Platform, ..lost });
        }
        if is_ours && let Some(value) = fields.get(&pair.vendor.name) {
            let raw = Deferred { value: value.clone(), version: *version, at: answer.at };
            take_answer(pair, link, record, effect, raw, (answer.write, &origin));
        }
    }
}

/// Takes what the vendor made of one value that it was asked to write.
fn take_answer(
    pair: &FieldPair,
    link: &mut Link,
    record: &mut Record,
    effect: &mut Effect,
    raw: Deferred,
    (write, origin): (WriteId, &str),
) {
    let Some(state) = link.fields.get_mut(&pair.canonical.name) else { return };
    let (version, at) = (raw.version, raw.at);
    let Some(value) = read(pair, raw, state, record, effect) else {
        if !pair.direction.inward() && !broken!(UnreadAgain) {
            state.answered_unread(write);
            effect.cleared.extend(Some(pair.canonical.name.clone()).filter(|_| !state.has_issue()));
        }
        return;
    };
    let remote = Remote { value: &value, version, at };
    let decision = state.answered(write, remote, &pair.ours(record), pair.rules());
    effect.cleared.extend(Some(pair.canonical.name.clone()).filter(|_| !state.has_issue()));
    if decision == Decision::Kept {
        effect.troubles.push(Trouble {
            field: pair.canonical.name.clone(),
            category: IssueCategory::Validation,
            message: "the vendor stored a blank for what was written (rule: a blank overwrites nothing)"
                .to_owned(),
        });
    }
    settle(pair, record, effect, decision, &value, Stamp { at, origin, first: false });
}

/// The vendor refused a write, because of this field of its own where it says so. Its neighbours are offered again, and
/// all of them when the field is not mapped as it was any more. Gives the canonical field, or an empty name for the
/// record as a whole; none when nothing is refused.
fn refused(
    mapping: &Compiled,
    link: &mut Link,
    record: &Record,
    write: WriteId,
    field: Option<&str>,
    category: IssueCategory,
) -> Option<String> {
    let repointed =
        field.is_some_and(|field| link.fields.values().any(|state| state.was.as_deref() == Some(field)));
    // A field of which nothing was asked is not what was refused: what was asked is, for want of it.
    let is_named =
        |state: &Field| Some(state.of.as_str()) == field && state.was.is_none() && state.pending.is_some();
    let named = link.fields.iter().find(|(_, state)| is_named(state)).map(|(name, _)| name.clone());
    // A write of no field was to archive it.
    if record.archived_at.is_some() && link.fields.values().all(|state| state.asked != Some(write)) {
        if category == IssueCategory::Missing {
            detach(link);
            return None;
        }
        link.fields.insert(WHOLE.to_owned(), Field { refused: Some(REFUSED_THERE), ..Field::default() });
    }
    for (name, state) in &mut link.fields {
        state.was = None;
        let asked = state.pending.clone();
        state.drop_pending();
        state.refuse_sent(write);
        // What was changed here meanwhile is offered as it is now.
        let stands = asked.as_ref().is_some_and(|asked| {
            let pair = mapping.pairs.iter().find(|pair| pair.canonical.name == *name);
            pair.is_none_or(|pair| pair.ours(record) == *asked) || broken!(RefusedStays)
        });
        if stands && named.as_ref().map_or(!repointed, |named| named == name) {
            (state.refused, state.retried) = (asked, false);
        }
    }
    let is_whole = named.is_none() && !repointed && record.archived_at.is_none() && link.vendor_id.is_none();
    // Nothing stands where all of it was changed meanwhile: it is offered as it is now.
    if is_whole && link.fields.values().any(|state| state.refused.is_some()) {
        link.fields.insert(WHOLE.to_owned(), Field { refused: Some(NOT_MADE), ..Field::default() });
    }
    named.or_else(|| (!repointed).then(String::new))
}

/// What follows from where a link and its record stand.
#[derive(Debug, Default)]
pub(crate) struct Next {
    /// Brings the vendor to where the record stands.
    pub(crate) write: Option<ApplyWrite>,
    /// Values that do not fit there.
    pub(crate) troubles: Vec<Trouble>,
    /// Fields of which a value was refused that is not ours any more, and both sides agree now; with an empty name the
    /// record, when nothing of it is refused any more.
    pub(crate) cleared: Vec<String>,
}

/// The write that brings the vendor to where the record stands, if there is anything to write and none in flight.
/// Marks its values as pending.
pub(crate) fn next_write(mapping: &Compiled, link: &mut Link, record: &Record, id: WriteId) -> Next {
    let mut next = Next::default();
    if (link.write.is_some() && !broken!(TwoInFlight)) || link.state != LinkState::Linked {
        return next;
    }
    forget_not_made(link, &mut next);
    if record.archived_at.is_some() {
        next.write = archive(mapping, link, record, id);
        return next;
    }
    forget_refused_archive(link, &mut next);
    if link.vendor_id.is_none() && !mapping.creates_there() {
        return next;
    }
    align(mapping, link);
    if link.vendor_id.is_none() {
        offer_whole(mapping, link, record);
    }
    let exists_there = link.vendor_id.is_some();
    let mut fields = BTreeMap::new();
    let mut expected = BTreeMap::new();
    let mut edited_at = None;
    for pair in &mapping.pairs {
        let name = &pair.canonical.name;
        let local = pair.ours(record);
        let Some(state) = link.fields.get_mut(name) else { continue };
        next.cleared.extend(Some(name).filter(|_| state.agrees_meanwhile(&local)).cloned());
        if !state.wants(&local, pair.rules(), exists_there) {
            if !broken!(RefusedRemembered) && state.forgets_refused(&local) {
                next.cleared.push(name.clone());
            }
            continue;
        }
        match transform::outbound(pair, local.clone()) {
            Ok(value) => {
                state.pending = Some(local.clone());
                state.asked = Some(id);
                // Nothing seen yet means that nothing is expected there: a value that we cover is somebody's edit.
                if let Ok(seen) = transform::outbound(pair, state.seen.clone().unwrap_or(Value::Null))
                    && !broken!(GuardOff)
                {
                    expected.insert(pair.vendor.name.clone(), seen);
                }
                fields.insert(pair.vendor.name.clone(), value);
                edited_at = edited_at.max(record.cells.get(name).map(|cell| cell.at));
            }
            Err(unfit) => {
                state.hold(&local);
                next.troubles.push(Trouble {
                    field: name.clone(),
                    category: IssueCategory::Value,
                    message: unfit.to_string(),
                });
            }
        }
    }
    if !next.cleared.is_empty() && !link.is_refused() {
        next.cleared.push(String::new());
    }
    if fields.is_empty() {
        return next;
    }
    let kind = match &link.vendor_id {
        Some(vendor_id) => WriteKind::Update { id: vendor_id.clone(), expected },
        None => WriteKind::Create { external_id: record.id.to_string() },
    };
    let mut write = ask(mapping, link, record, id, kind);
    write.fields = fields;
    write.edited_at = edited_at.unwrap_or(record.updated_at);
    next.write = Some(write);
    next
}

/// It was found there, so that nothing of it waits to be made.
fn forget_not_made(link: &mut Link, next: &mut Next) {
    if link.vendor_id.is_some() && is_not_made(link) {
        link.fields.remove(WHOLE);
        next.cleared.extend((!link.is_refused()).then(String::new));
    }
}

/// It is not archived any more; whether the vendor's may be is asked anew the next time.
fn forget_refused_archive(link: &mut Link, next: &mut Next) {
    if !is_not_made(link) {
        next.cleared.extend(link.fields.remove(WHOLE).map(|_| WHOLE.to_owned()));
    }
}

/// Ours was archived: the vendor's goes the same way where the mapping's delete policy says so.
fn archive(mapping: &Compiled, link: &mut Link, record: &Record, id: WriteId) -> Option<ApplyWrite> {
    let there = link.vendor_id.clone()?;
    if !mapping.archives_there() || link.fields.contains_key(WHOLE) {
        return None;
    }
    Some(ask(mapping, link, record, id, WriteKind::Archive { id: there }))
}

/// A write of no fields yet, which is in flight from now on.
fn ask(mapping: &Compiled, link: &mut Link, record: &Record, id: WriteId, write: WriteKind) -> ApplyWrite {
    link.write = Some(id);
    ApplyWrite {
        id,
        connection: mapping.mapping.connection,
        object: mapping.mapping.vendor_object.clone(),
        mapping: mapping.mapping.id,
        link: link.id,
        record: record.id,
        write,
        fields: BTreeMap::new(),
        edited_at: record.updated_at,
    }
}

/// A record that the vendor refused to create as a whole is offered again as a whole once somebody changed a field: one
/// that was refused, or one that it was not asked to write, for want of which it may have refused. Where it refused because
/// of a field that it was asked to write, the others are offered without that one, and it waits until it changes.
fn offer_whole(mapping: &Compiled, link: &mut Link, record: &Record) {
    let is_not_made = is_not_made(link);
    let (mut changed, mut whole) = (false, true);
    for pair in mapping.pairs.iter().filter(|pair| pair.direction.outward()) {
        let local = &pair.ours(record);
        let state = link.fields.get(&pair.canonical.name);
        let refused = state.and_then(|state| state.refused.as_ref());
        whole &= refused.is_some() || local.is_blank();
        changed |= refused.is_some_and(|refused| refused != local);
        changed |= is_not_made && state.is_some_and(|state| state.wants(local, pair.rules(), false));
    }
    if changed && (whole || is_not_made) {
        // Whatever comes of it, it is offered once for this change.
        link.fields.remove(WHOLE);
        for state in link.fields.values_mut().filter(|state| state.unread.is_none()) {
            state.offer_again();
        }
    }
}

fn settle_covered(
    pair: &FieldPair,
    link: &mut Link,
    record: &mut Record,
    effect: &mut Effect,
    value: &Value,
    at: Timestamp,
    origin: &str,
) {
    let Some(state) = link.fields.get_mut(&pair.canonical.name) else { return };
    if !pair.direction.inward() || broken!(CoveredIgnored) {
        return;
    }
    let ours = pair.ours(record);
    let Ok(value) = transform::inbound(pair, value.clone()) else {
        // It could not be ours, and is not lost without a word either.
        if !broken!(UnfitCoveredDropped) {
            effect.conflicts.push(Conflict::lost_there(pair, ours, value.clone()));
        }
        return;
    };
    let foreign = Remote { value: &value, version: at.as_millisecond(), at };
    let decision = state.covered(foreign, local(record, pair, &ours), pair.policy);
    if decision == Decision::Held {
        // Ours stands there until a person says otherwise, or for good when something newer is seen first.
        effect.conflicts.push(Conflict::lost_there(pair, ours, value.clone()));
    }
    if matches!(decision, Decision::Conflict { .. } | Decision::Held) {
        settle(pair, record, effect, decision, &value, Stamp { at, origin, first: false });
    }
}
