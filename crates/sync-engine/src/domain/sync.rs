//! A link and its record under facts: a change from the vendor, an answer to a write, an edit made here; and the
//! write that follows from where they stand.

use std::collections::BTreeMap;

use jiff::Timestamp;
use model::{Actor, IssueCategory, LinkId, MappingId, RecordId, Value, WriteId};
use serde::{Deserialize, Serialize};

pub(crate) use super::change::{FieldChange, Reason};
use super::{
    cell::{Cell, Record},
    mapping::{Compiled, Direction, FieldPair, Policy},
    merge::{Decision, Deferred, Field, Local, Remote},
    rule::DeletePolicy,
    transform,
};

mod held;
mod seen;
mod writing;

pub(crate) use held::decide_held;
pub(crate) use seen::{Seen, Staged};
pub(crate) use writing::{answered, keep_there, next_write};

/// The name under which a link keeps what is said of the record as a whole.
const WHOLE: &str = "";

named! {
    /// Where a link stands.
    LinkState {
        /// Read before the mapping was activated; no record yet.
        Staged = "staged",
        /// Both sides are known, or the vendor's is being created.
        Linked = "linked",
        /// The vendor's record was deleted there, or ours was archived and the vendor's with it.
        Detached = "detached",
        /// The filter leaves it out for now; what arrives is kept for when it does not.
        Filtered = "filtered",
        /// Somebody said that this vendor's record is none of ours.
        Ignored = "ignored",
        /// Several records match; a person must decide.
        Ambiguous = "ambiguous",
    }
}

/// A vendor's record and its canonical record under one mapping.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct Link {
    pub(crate) id: LinkId,
    pub(crate) mapping: MappingId,
    /// None while it is being created there.
    pub(crate) vendor_id: Option<String>,
    pub(crate) record: Option<RecordId>,
    pub(crate) state: LinkState,
    /// The vendor's newest version that a listing showed.
    pub(crate) seen_version: i64,
    pub(crate) seen_at: Option<Timestamp>,
    /// The write in flight; there is at most one.
    pub(crate) write: Option<WriteId>,
    pub(crate) fields: BTreeMap<String, Field>,
    /// What was read before the mapping was activated.
    pub(crate) staged: Option<Staged>,
    /// The last write that the vendor applied and that no listing has shown yet, with the vendor's version of it.
    pub(crate) written: Option<(WriteId, i64)>,
    /// The digest of the vendor's record as a listing last showed it.
    pub(crate) shown: Option<i64>,
}

impl Link {
    /// A link to a vendor's record that nothing is known of yet.
    pub(crate) const fn new(id: LinkId, mapping: MappingId) -> Self {
        Self {
            id,
            mapping,
            vendor_id: None,
            record: None,
            state: LinkState::Linked,
            seen_version: 0,
            seen_at: None,
            write: None,
            fields: BTreeMap::new(),
            staged: None,
            written: None,
            shown: None,
        }
    }

    /// Keeps what was seen there for later, with what was kept before.
    pub(crate) fn stage(&mut self, seen: Seen<'_>) {
        let staged = Staged::join(self.staged.take(), seen);
        if staged.version > self.seen_version {
            (self.seen_version, self.seen_at) = (staged.version, Some(staged.at));
        }
        self.staged = Some(staged);
    }

    /// Whether something of it was refused, and is not offered until it changes or somebody retries, or waits for a
    /// person to decide.
    pub(crate) fn is_refused(&self) -> bool {
        let waits = |field: &Field| field.refused.is_some() || field.held.is_some();
        !writing::is_kept_there(self) && self.fields.values().any(waits)
    }

    /// The write that a listing of this version shows to be there; none when it was shown before.
    pub(crate) fn shown_by(&mut self, version: i64) -> Option<WriteId> {
        self.written.take_if(|(_, written)| version >= *written).map(|(write, _)| write)
    }
}

/// A decided conflict.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct Conflict {
    pub(crate) field: String,
    pub(crate) policy: Policy,
    pub(crate) vendor_won: bool,
    pub(crate) kept: Value,
    pub(crate) lost: Value,
    pub(crate) pii: bool,
    pub(crate) within_skew: bool,
}

impl Conflict {
    /// Ours stands, and the vendor's value, in its own form, is lost there.
    fn lost_there(pair: &FieldPair, kept: Value, lost: Value) -> Self {
        Self {
            field: pair.canonical.name.clone(),
            policy: pair.policy,
            vendor_won: false,
            kept,
            lost,
            pii: pair.pii,
            within_skew: false,
        }
    }
}

/// A field, or with an empty name the record, that could not be synced.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Trouble {
    pub(crate) field: String,
    pub(crate) category: IssueCategory,
    pub(crate) message: String,
}

impl Trouble {
    /// Several records match and a person must decide.
    pub(crate) fn ambiguous() -> Self {
        Self {
            field: String::new(),
            category: IssueCategory::Ambiguous,
            message: "several records here match this one; nothing was guessed".to_owned(),
        }
    }
}

/// What a fact did to a link and its record.
#[derive(Clone, Debug, Default, PartialEq)]
pub(crate) struct Effect {
    pub(crate) changes: Vec<FieldChange>,
    pub(crate) conflicts: Vec<Conflict>,
    pub(crate) troubles: Vec<Trouble>,
    /// Fields that sync again, so that their issues clear.
    pub(crate) cleared: Vec<String>,
    /// How many fields were our own writes coming back.
    pub(crate) echoes: u64,
    /// Whether the vendor calls ours what somebody else edited.
    pub(crate) disguised: bool,
    /// Whether the record was archived because the vendor's is gone.
    pub(crate) archived: bool,
    /// Whether it is back because the vendor's is.
    pub(crate) restored: bool,
    /// Whether the link is to be stored.
    pub(crate) touched: bool,
}

/// Merges a vendor's record into the canonical one, field by field.
pub(crate) fn observe(mapping: &Compiled, link: &mut Link, record: &mut Record, seen: Seen<'_>) -> Effect {
    // A record that a re-scan shows once more at the same version teaches nothing.
    let mut effect = Effect { touched: seen.version > link.seen_version, ..Effect::default() };
    if seen.version > link.seen_version {
        link.seen_version = seen.version;
        link.seen_at = Some(seen.at);
    }
    if link.state == LinkState::Detached && seen.version >= link.seen_version {
        link.state = LinkState::Linked;
        effect.touched = true;
        // Nobody was asked about a record that was gone.
        link.fields.values_mut().filter(|_| !broken!(HeldForgotten)).for_each(|state| {
            state.release_held();
        });
        if mapping.delete_here() != DeletePolicy::Detach && record.archived_at.take().is_some() {
            record.deleted = false;
            effect.restored = true;
        }
    }
    let origin = origin(mapping);
    align(mapping, link);
    for pair in &mapping.pairs {
        let Some(value) = pair.theirs(seen.fields) else { continue };
        let Some(state) = link.fields.get_mut(&pair.canonical.name) else { continue };
        let raw = Deferred { value, version: seen.version_of_pair(pair), at: seen.set_at(pair) };
        let known = state.version;
        observe_field(pair, state, record, &mut effect, raw, &origin);
        if link.write.is_none() && state.version > known {
            state.forget_refused_sent();
        }
    }
    effect.disguised = seen.says_ours && !(effect.changes.is_empty() && effect.conflicts.is_empty());
    clear_record(link, &mut effect);
    effect
}

/// Has what was read of the vendor's record decided by the rules of the mapping as they are now, because they may be
/// others than when it was seen.
pub(crate) fn ask_again(mapping: &Compiled, link: &mut Link, seen: Seen<'_>) {
    for pair in mapping.pairs.iter().filter(|pair| pair.direction.inward()) {
        let state = link.fields.get_mut(&pair.canonical.name);
        if let Some(state) = state.filter(|state| state.of == pair.vendor.name) {
            state.ask_again(seen.version_of_pair(pair));
        }
    }
}

/// Gives every pair its state on the link; one that was about another field of the vendor starts anew.
fn align(mapping: &Compiled, link: &mut Link) {
    for pair in &mapping.pairs {
        let (name, of) = (&pair.canonical.name, &pair.vendor.name);
        match link.fields.get_mut(name) {
            Some(state) if state.of == *of => {}
            Some(state) => state.turn_to(of),
            None => {
                link.fields.insert(name.clone(), Field::of(of));
            }
        }
    }
}

/// Offers what an issue is about again: ours to the vendor, and the vendor's value, where it did not fit, to our field.
/// An empty name means every field.
pub(crate) fn retry(mapping: &Compiled, link: &mut Link, record: &mut Record, field: &str) -> Effect {
    let mut effect = Effect { touched: true, ..Effect::default() };
    let origin = origin(mapping);
    let exists_there = link.vendor_id.is_some();
    align(mapping, link);
    if field.is_empty() && !writing::is_kept_there(link) {
        link.fields.remove(WHOLE);
    }
    for pair in mapping.pairs.iter().filter(|pair| field.is_empty() || pair.canonical.name == field) {
        let Some(state) = link.fields.get_mut(&pair.canonical.name) else { continue };
        state.offer_again();
        held::again(pair, state, record, &mut effect, &origin);
        match state.unread.take() {
            Some(raw) => {
                observe_field(pair, state, record, &mut effect, raw, &origin);
                if state.unread.is_none() && state.refused.is_none() {
                    effect.cleared.push(pair.canonical.name.clone());
                    state.retried = false;
                }
            }
            None if !state.wants(&pair.ours(record), pair.rules(), exists_there) => {
                effect.cleared.push(pair.canonical.name.clone());
                state.retried = false;
            }
            None => {}
        }
    }
    clear_record(link, &mut effect);
    effect
}

/// Merges one value of the vendor, in its own form.
fn observe_field(
    pair: &FieldPair,
    state: &mut Field,
    record: &mut Record,
    effect: &mut Effect,
    raw: Deferred,
    origin: &str,
) {
    let (held, known) = (state.has_issue(), state.version);
    let (version, at) = (raw.version, raw.at);
    let Some(value) = read(pair, raw, state, record, effect) else { return };
    let first = state.base.is_none();
    let remote = Remote { value: &value, version, at };
    let ours = pair.ours(record);
    let decision = state.observe(remote, local(record, pair, &ours), pair.rules());
    effect.touched |= state.version > known;
    settle(pair, record, effect, decision, &value, Stamp { at, origin, first });
    clear_field(pair, state, effect, held, decision);
}

/// What was held of a field is settled once both sides agree.
fn clear_field(pair: &FieldPair, state: &mut Field, effect: &mut Effect, held: bool, decision: Decision) {
    let agreed = decision.takes() || decision == Decision::Agreed;
    if held && state.refused.is_none() && state.held.is_none() && (agreed || !state.retried) {
        // What the same answer asked a moment ago is no question any more.
        effect.troubles.retain(|trouble| {
            trouble.category != IssueCategory::Conflict || trouble.field != pair.canonical.name
        });
        effect.cleared.push(pair.canonical.name.clone());
        state.retried = false;
    }
}

/// Once no field is held any more, what was said of the record as a whole is settled too.
fn clear_record(link: &Link, effect: &mut Effect) {
    if !effect.cleared.is_empty() && !link.fields.values().any(Field::is_held) {
        effect.cleared.push(String::new());
    }
}

/// Decides what was put aside while a write was in flight.
fn observe_deferred(mapping: &Compiled, link: &mut Link, record: &mut Record, effect: &mut Effect) {
    let origin = origin(mapping);
    for pair in &mapping.pairs {
        let Some(state) = link.fields.get_mut(&pair.canonical.name) else { continue };
        let Some(deferred) = state.deferred.take().filter(|_| !broken!(DeferredDropped)) else { continue };
        let held = state.has_issue();
        let remote = Remote { value: &deferred.value, version: deferred.version, at: deferred.at };
        let ours = pair.ours(record);
        let decision = state.observe(remote, local(record, pair, &ours), pair.rules());
        clear_field(pair, state, effect, held, decision);
        let stamp = Stamp { at: deferred.at, origin: &origin, first: false };
        settle(pair, record, effect, decision, &deferred.value, stamp);
    }
    clear_record(link, effect);
}

/// The vendor's record was deleted there. The link lets go of it; what becomes of ours is the mapping's delete policy.
/// Without a record the mapping is not active, and ours is told once it is.
pub(crate) fn deleted(
    mapping: &Compiled,
    link: &mut Link,
    record: Option<&mut Record>,
    gone: Gone,
) -> Effect {
    if gone.version < link.seen_version && !broken!(OldDeletion) {
        return Effect::default();
    }
    let mut effect = Effect { touched: gone.version > link.seen_version, ..Effect::default() };
    link.seen_version = gone.version;
    link.seen_at = Some(gone.at);
    if matches!(link.state, LinkState::Detached | LinkState::Ignored) {
        // It had come back, of which ours was not told yet either.
        if let (Some(staged), Some(_)) = (&mut link.staged, link.record) {
            staged.gone = Some(gone);
        }
        return effect;
    }
    effect.touched = true;
    detach(link);
    match record {
        Some(record) => let_go(mapping, link, record, gone, &mut effect),
        None if link.record.is_some() && !broken!(DeletionUntold) => {
            link.staged = Some(Staged::leave(link.staged.take(), gone))
        }
        None => link.staged = None,
    }
    effect
}

/// What a deletion there means for ours.
pub(crate) fn let_go(
    mapping: &Compiled,
    link: &mut Link,
    record: &mut Record,
    gone: Gone,
    effect: &mut Effect,
) {
    if !broken!(DeletionForgets) {
        // What was last set there counts, as if it had come a moment earlier.
        observe_deferred(mapping, link, record, effect);
    }
    let policy = mapping.delete_here();
    if policy != DeletePolicy::Detach && record.archived_at.is_none() {
        record.archived_at = Some(gone.at);
        record.deleted = policy == DeletePolicy::Delete;
        effect.archived = true;
    }
}

/// When the vendor's record was deleted there.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Gone {
    pub(crate) version: i64,
    pub(crate) at: Timestamp,
}

/// Nothing is synced by this link any more; what waits to be decided of it still does.
fn detach(link: &mut Link) {
    link.state = LinkState::Detached;
    link.write = None;
    link.fields.remove(WHOLE);
    for state in link.fields.values_mut() {
        state.drop_pending();
        (state.refused, state.retried) = (None, false);
    }
}

/// Sets fields of a record as somebody's edit; what does not differ does not change.
pub(crate) fn edit(
    record: &mut Record,
    fields: BTreeMap<String, Value>,
    at: Timestamp,
    actor: &str,
    reason: Reason,
) -> Vec<FieldChange> {
    let mut changes = Vec::new();
    for (field, value) in fields {
        if *record.value(&field) != value {
            changes.push(set(record, &field, value, Stamp { at, origin: actor, first: false }, reason));
        }
    }
    changes
}

/// The connection is gone: nothing is in flight any more, and what was refused may be offered again.
pub(crate) fn reset(mapping: &Compiled, link: &mut Link, record: &mut Record) -> Effect {
    link.write = None;
    if !writing::is_kept_there(link) {
        link.fields.remove(WHOLE);
    }
    for state in link.fields.values_mut() {
        state.drop_pending();
        // What is refused because the vendor's value cannot be read still is.
        if state.unread.is_none() {
            state.offer_again();
        }
    }
    let mut effect = Effect { touched: true, ..Effect::default() };
    align(mapping, link);
    observe_deferred(mapping, link, record, &mut effect);
    effect
}

#[derive(Clone, Copy)]
struct Stamp<'a> {
    at: Timestamp,
    origin: &'a str,
    first: bool,
}

/// The vendor's side of a mapping, as the one who edited.
fn origin(mapping: &Compiled) -> String {
    Actor::Connection(mapping.mapping.connection).to_string()
}

/// The record's side of a pair, and when its field was set.
fn local<'a>(record: &Record, pair: &FieldPair, ours: &'a Value) -> Local<'a> {
    Local { value: ours, at: record.cells.get(&pair.canonical.name).map(|cell| cell.at) }
}

fn read(
    pair: &FieldPair,
    raw: Deferred,
    state: &mut Field,
    record: &Record,
    effect: &mut Effect,
) -> Option<Value> {
    match transform::inbound(pair, raw.value.clone()) {
        Err(_) if broken!(UnfitIsBlank) => Some(Value::Null),
        Ok(value) => {
            effect.touched |= state.unread.is_some();
            state.can_read(raw.version).then_some(value)
        }
        Err(_) if pair.direction == Direction::ToVendor => {
            effect.touched = true;
            state.need_not_read(raw);
            None
        }
        Err(unfit) => {
            if state.cannot_read(raw, &pair.ours(record)) {
                effect.touched = true;
                effect.troubles.push(Trouble {
                    field: pair.canonical.name.clone(),
                    category: unfit.category(),
                    message: unfit.to_string(),
                });
            }
            None
        }
    }
}

fn settle(
    pair: &FieldPair,
    record: &mut Record,
    effect: &mut Effect,
    decision: Decision,
    value: &Value,
    stamp: Stamp<'_>,
) {
    effect.touched |= !matches!(decision, Decision::Stale | Decision::Known);
    if decision == Decision::Echo {
        effect.echoes += 1;
    }
    if let Decision::Conflict { vendor_wins, within_skew } = decision
        && !broken!(ConflictSilent)
    {
        let here = record.value(&pair.canonical.name).clone();
        let (kept, lost) = if vendor_wins { (value.clone(), here) } else { (here, value.clone()) };
        effect.conflicts.push(Conflict {
            field: pair.canonical.name.clone(),
            policy: pair.policy,
            vendor_won: vendor_wins,
            kept,
            lost,
            pii: pair.pii,
            within_skew,
        });
    }
    if decision == Decision::Held {
        effect.troubles.push(held::trouble(&pair.canonical.name));
    }
    if decision.takes() {
        let reason = match decision {
            Decision::Conflict { .. } => Reason::ConflictCrmWon,
            _ if stamp.first => Reason::FirstSync,
            _ => Reason::VendorMoved,
        };
        effect.changes.push(set(record, &pair.canonical.name, value.clone(), stamp, reason));
    }
}

fn set(record: &mut Record, field: &str, value: Value, stamp: Stamp<'_>, reason: Reason) -> FieldChange {
    let version = record.version + 1;
    let cell = Cell { value: value.clone(), at: stamp.at, origin: stamp.origin.into(), version };
    let replaced = record.cells.insert(field.to_owned(), cell);
    let (before, previous) = replaced.map_or((Value::Null, 0), |cell| (cell.value, cell.version));
    FieldChange { field: field.to_owned(), before, after: value, reason, previous }
}
