//! What must hold once everything has come to rest.

use std::collections::{BTreeMap, BTreeSet};

use model::{Actor, LinkId, RecordId, Value, WriteId};

use super::{
    plan::FIELDS,
    vendor::{Entry, System, There, place},
    world::World,
};
use crate::domain::{
    mapping::{Direction, FieldPair, Policy},
    sync::{Link, LinkState, Reason},
    transform,
};
use crate::store::revisions::Revision;

/// What a run can violate.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Property {
    /// Both sides are equal when edits stop.
    Convergence,
    /// A conflict ends as its policy says.
    Policy,
    /// Every edit stands, was overtaken on its own side, or is the recorded loser of a conflict.
    LostEdit,
    /// Writes stop.
    Loop,
    /// Deliveries may come again and in any order.
    Repeats,
    /// Whatever does not sync has a reason that a person can find.
    Silent,
}

impl Property {
    /// Its name on the screen.
    pub(super) const fn name(self) -> &'static str {
        match self {
            Self::Convergence => "convergence",
            Self::Policy => "policy",
            Self::LostEdit => "no lost edit",
            Self::Loop => "no loop",
            Self::Repeats => "idempotent and commutative",
            Self::Silent => "nothing silent",
        }
    }
}

/// A property that does not hold, and where.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Violation {
    pub(super) property: Property,
    pub(super) what: String,
}

/// What is left when nothing moves any more, without the ids that hold chance.
#[derive(Clone, Debug, PartialEq)]
pub(super) struct Rest {
    here: Vec<BTreeMap<String, Value>>,
    there: Vec<Vec<Vec<Value>>>,
}

impl Rest {
    pub(super) fn of(world: &World) -> Self {
        let here = world.platform.records.iter().map(|record| {
            record.cells.iter().map(|(name, cell)| (name.clone(), cell.value.clone())).collect()
        });
        let mut here: Vec<BTreeMap<String, Value>> = here.collect();
        here.sort_by_cached_key(|record| format!("{record:?}"));
        let values = |there: &There| (0..FIELDS.len()).map(|field| there.now(field).clone()).collect();
        // In an order of their own: which one was made first may depend on the order of deliveries.
        let there = world.systems.iter().map(|system| {
            let mut records: Vec<Vec<Value>> = system.records.iter().map(values).collect();
            records.sort_by_cached_key(|record| format!("{record:?}"));
            records
        });
        Self { here, there: there.collect() }
    }
}

/// Whether the order of deliveries decides nothing any more but values: every record is linked, and nothing is settled
/// by time, for which a vendor that gives no times of fields gives that of the record as it was when it was read, nor by a
/// person, who is asked about the vendor's value or about ours that covered it, whichever was there first.
pub(super) fn is_settled_by_values(world: &World) -> bool {
    let by_order = |pair: &FieldPair| matches!(pair.policy, Policy::Newest | Policy::Manual);
    let mut mappings = world.platform.mappings.iter();
    let mut links = world.platform.links.iter();
    let mut there = world.systems.iter().flat_map(|it| (0..it.records.len()).map(move |n| (it.index, n)));
    world.systems.len() == 1
        && !mappings.any(|mapping| mapping.pairs.iter().any(by_order))
        && links.all(|link| link.vendor_id.is_some() && link.record.is_some() && link.staged.is_none())
        && there.all(|(system, record)| world.platform.link_of(system, record).is_some())
        && world.platform.records.iter().all(|record| world.platform.link_to(0, record.id).is_some())
}

pub(super) struct Check<'a> {
    world: &'a World,
    violations: Vec<Violation>,
}

/// Everything that a world at rest shows by itself.
pub(super) fn at_rest(world: &World) -> Vec<Violation> {
    let mut check = Check { world, violations: Vec::new() };
    check.links();
    for (system, it) in world.systems.iter().enumerate() {
        for (record, there) in it.records.iter().enumerate() {
            check.there(system, record, there);
        }
    }
    check.here();
    check.history();
    check.issues();
    check.conflicts();
    check.violations
}

impl Check<'_> {
    fn violated(&mut self, property: Property, what: String) {
        self.violations.push(Violation { property, what });
    }

    fn is_told(&self, link: LinkId, field: &str) -> bool {
        let open = |field: &str| self.world.platform.issues.contains_key(&(link, field.to_owned()));
        open(field) || open("")
    }

    /// Each record has at most one link at a system, each vendor record at most one, and ours is made there once.
    fn links(&mut self) {
        let (mut records, mut ids) = (BTreeSet::new(), BTreeSet::new());
        for link in &self.world.platform.links {
            let twice = link.record.is_some_and(|record| !records.insert((link.mapping, record)))
                || link.vendor_id.clone().is_some_and(|id| !ids.insert((link.mapping, id)));
            if twice {
                self.violated(
                    Property::Convergence,
                    format!("two links for one record: {:?}", link.vendor_id),
                );
            }
        }
        for (system, it) in self.world.systems.iter().enumerate() {
            let mut made: BTreeMap<RecordId, (usize, bool)> = BTreeMap::new();
            for there in &it.records {
                if let Some(ours) = there.external {
                    let (times, deleted) = made.entry(ours).or_default();
                    *times += 1;
                    *deleted |= there.was_deleted();
                }
            }
            for (ours, (times, _)) in made.into_iter().filter(|(_, (times, deleted))| *times > 1 && !deleted)
            {
                let what = format!("{} was made {times} times at system {system}", self.world.name(ours));
                self.violated(Property::Convergence, what);
            }
        }
    }

    /// A vendor's record is where ours is, or there is a reason.
    fn there(&mut self, system: usize, record: usize, there: &There) {
        let name = self.world.name_there(system, record);
        let mapping = &self.world.platform.mappings[system];
        let link = self.world.platform.link_of(system, record);
        if there.archived.is_some() {
            if link.is_some_and(|link| link.state == LinkState::Linked) {
                self.violated(Property::Convergence, format!("{name} is deleted and still linked"));
            }
            return;
        }
        let Some(link) = link else {
            if mapping.creates_here() {
                self.violated(Property::Silent, format!("{name} is live and nobody knows it"));
            }
            return;
        };
        match link.state {
            LinkState::Ambiguous if self.is_told(link.id, "") => {}
            // The mapping's direction is the reason.
            LinkState::Staged | LinkState::Detached if link.record.is_none() && !mapping.creates_here() => {}
            LinkState::Linked if link.record.is_some() => self.fields(system, link, there, &name),
            _ => self.violated(Property::Silent, format!("{name} is live and {}", link.state.name())),
        }
    }

    fn fields(&mut self, system: usize, link: &Link, there: &There, name: &str) {
        let world = self.world;
        let Some(ours) = link.record.and_then(|record| world.platform.record(record)) else { return };
        if ours.archived_at.is_some() {
            return;
        }
        if link.write.is_some() {
            self.violated(Property::Convergence, format!("a write of {name} is never answered"));
        }
        for pair in &world.platform.mappings[system].pairs {
            let field = &pair.canonical.name;
            let Some(at) = place(&pair.vendor.name) else { continue };
            if self.is_told(link.id, field) {
                continue;
            }
            let value = transform::inbound(pair, there.now(at).clone());
            if pair.direction == Direction::Bidirectional && value.as_ref() != Ok(ours.value(field)) {
                let (here, there) = (ours.value(field), there.now(at));
                let what = format!("{field} of {} is {here:?}, {name} has {there:?}", world.name(ours.id));
                self.violated(Property::Convergence, what);
            }
            // What people set on a record while it was deleted and brought back is not followed here.
            if pair.direction.inward() && !there.was_deleted() && !self.is_made_twice(system, there) {
                self.lost_there(system, link, there, name, at);
            }
        }
    }

    /// Whether another record was made from the same one of ours, because somebody deleted the first.
    fn is_made_twice(&self, system: usize, there: &There) -> bool {
        let records = self.world.systems[system].records.iter();
        there.external.is_some() && records.filter(|it| it.external == there.external).count() > 1
    }

    /// Each value that a person set at the vendor stands, was overtaken there, was taken here, or lost a conflict.
    fn lost_there(&mut self, system: usize, link: &Link, there: &There, name: &str, field: usize) {
        let world = self.world;
        let Some(record) = link.record else { return };
        let (field_name, _) = FIELDS[field];
        let connection = world.platform.mappings[system].mapping.connection;
        let history = &there.fields[field];
        for (at, entry) in history.iter().enumerate() {
            let next = history.get(at + 1);
            // A value that was there before may be what both sides agreed on, and is nobody's loss.
            let again = history[..at].iter().any(|earlier| earlier.value == entry.value);
            // A write that is made once more covers what it was told of at first and whatever came since.
            let repeated = |write: &Entry| history[at + 2..].iter().any(|later| later.write == write.write);
            let overtaken = next.is_none_or(|next| next.write.is_none() || repeated(next));
            if entry.write.is_some() || again || overtaken || entry.value.is_blank() {
                continue;
            }
            let revisions = world.platform.revisions.iter().filter(|revision| revision.record == record);
            let mut changes = revisions.flat_map(|revision| &revision.changes);
            let spelled = |value: &Value| self.world.systems[system].profile.stores(FIELDS[field].1, value);
            let taken =
                changes.any(|change| change.field == field_name && spelled(&change.after) == entry.value);
            // A write that met another record than the one it was for tells of it there.
            let by = next.and_then(|next| next.write).and_then(|write| self.asked_for(write));
            let lost = world.platform.conflicts.iter().any(|conflict| {
                (conflict.record == record || Some(conflict.record) == by)
                    && conflict.connection == connection
                    && conflict.field == field_name
                    && (conflict.lost == entry.value || conflict.kept == entry.value)
            });
            if !taken && !lost {
                let what = format!("{field_name}={:?} of {name} was overwritten unseen", entry.value);
                self.violated(Property::LostEdit, what);
            }
        }
    }

    /// The record of which a write was.
    fn asked_for(&self, write: WriteId) -> Option<RecordId> {
        self.world.platform.asked.iter().find(|asked| asked.id == write).map(|asked| asked.record)
    }

    /// Each record that is to be at a system is there, or there is a reason.
    fn here(&mut self) {
        let world = self.world;
        for (system, mapping) in world.platform.mappings.iter().enumerate() {
            for record in world.platform.records.iter().filter(|record| record.archived_at.is_none()) {
                let link = world.platform.link_to(system, record.id);
                let missing = match link {
                    None => mapping.creates_there(),
                    // A record of which nothing flows outward is not made there.
                    Some(link) => {
                        let mut pairs = mapping.pairs.iter().filter(|pair| pair.direction.outward());
                        link.vendor_id.is_none()
                            && link.state == LinkState::Linked
                            && pairs.any(|pair| !record.value(&pair.canonical.name).is_blank())
                    }
                };
                if missing && !link.is_some_and(|link| self.any_issue(link.id)) {
                    let what = format!("{} is not at system {system}, without a word", world.name(record.id));
                    self.violated(Property::Silent, what);
                }
            }
        }
    }

    fn any_issue(&self, link: LinkId) -> bool {
        self.world.platform.issues.keys().any(|(of, _)| *of == link)
    }

    /// Each value of ours that was replaced was replaced by somebody who knew it, or lost a recorded conflict.
    fn history(&mut self) {
        let world = self.world;
        let mut values: BTreeMap<(RecordId, &str), Value> = BTreeMap::new();
        for revision in &world.platform.revisions {
            for change in &revision.changes {
                let before = values.insert((revision.record, &change.field), change.after.clone());
                let Some(before) = before.filter(|before| !before.is_blank()) else { continue };
                let known = match change.reason {
                    Reason::ConflictCrmWon => world.platform.conflicts.iter().any(|conflict| {
                        conflict.record == revision.record
                            && conflict.field == change.field
                            && conflict.lost == before
                            && conflict.kept == change.after
                    }),
                    Reason::VendorMoved | Reason::FirstSync => {
                        self.knew(revision.record, &revision.actor, &change.field, &before, &change.after)
                    }
                    _ => true,
                };
                if !known {
                    let what = format!(
                        "{}={before:?} of {} was replaced by {:?} ({}) of somebody who had not seen it",
                        change.field,
                        world.name(revision.record),
                        change.after,
                        change.reason.name()
                    );
                    self.violated(Property::LostEdit, what);
                }
            }
        }
    }

    /// Whether the side that brought `after` had `before`, in its own spelling, or just respelled it.
    fn knew(&self, record: RecordId, actor: &str, field: &str, before: &Value, after: &Value) -> bool {
        let world = self.world;
        let Some(at) = place(field) else { return false };
        let system = world
            .platform
            .mappings
            .iter()
            .position(|mapping| Actor::Connection(mapping.mapping.connection).to_string() == actor);
        let Some(system) = system else { return true };
        let spelled = world.systems[system].profile.stores(FIELDS[at].1, before);
        if spelled == *after {
            return true;
        }
        let links = world.platform.links.iter().filter(|link| {
            link.record == Some(record) && link.mapping == world.platform.mappings[system].mapping.id
        });
        let mut ids = links.filter_map(|link| link.vendor_id.as_ref()?.parse::<usize>().ok());
        ids.any(|id| {
            let history = &world.systems[system].records[id - 1].fields[at];
            history.iter().any(|entry| entry.value == spelled || entry.value == *before)
        })
    }

    /// An issue is about something that does not sync.
    fn issues(&mut self) {
        let world = self.world;
        for ((id, field), issue) in &world.platform.issues {
            let Some(link) = world.platform.links.iter().find(|link| link.id == *id) else { continue };
            let ours = link.record.and_then(|record| world.platform.record(record));
            if ours.is_some_and(|record| record.archived_at.is_some()) {
                continue;
            }
            let holds = match (link.state, field.as_str()) {
                (LinkState::Ambiguous, _) => true,
                (LinkState::Detached, _) => false,
                (_, "") => link.fields.keys().any(|name| self.is_held(link, name)),
                (_, name) => self.is_held(link, name),
            };
            if !holds {
                let link = link.vendor_id.as_deref().unwrap_or("a new record");
                let what = format!("an issue of {link} with {field:?} stays open: {}", issue.message);
                self.violated(Property::Silent, what);
            }
        }
    }

    /// Whether a field does not sync: the vendor's value cannot be read, or what is here now was refused there.
    fn is_held(&self, link: &Link, field: &str) -> bool {
        let Some(state) = link.fields.get(field) else { return false };
        let ours = link.record.and_then(|record| self.world.platform.record(record));
        let stands =
            |refused: &Value| ours.is_none_or(|ours| field.is_empty() || ours.value(field) == refused);
        state.unread.is_some() || state.held.is_some() || state.refused.as_ref().is_some_and(stands)
    }

    /// Whether nobody but us ever set this value there, so that it is no edit.
    fn is_echo(&self, system: usize, field: &str, value: &Value) -> bool {
        let (it, mapping) = (&self.world.systems[system], &self.world.platform.mappings[system]);
        let Some(at) = place(field) else { return false };
        let Some(pair) = mapping.pairs.iter().find(|pair| pair.canonical.name == field) else { return false };
        let is_it = |entry: &&Entry| {
            entry.value == *value || transform::inbound(pair, entry.value.clone()).as_ref() == Ok(value)
        };
        let mut set = it.records.iter().flat_map(|there| &there.fields[at]).filter(is_it).peekable();
        // What was made from ours may meet another record of ours, to which it is news, and so may what other systems have.
        let is_made = |there: &There| there.external.is_some() || there.was_deleted();
        let is_known =
            self.world.systems.len() == 1 && !it.is_reconnected() && !it.records.iter().any(is_made);
        is_known && set.peek().is_some() && set.all(|entry| entry.write.is_some())
    }

    /// A conflict ends as its policy says. Of two edits the later one stands, by the clocks of their sides; a tie goes
    /// to the vendor. A vendor that tells no times of fields gives the record's, so that a value may count as newer than it is.
    fn conflicts(&mut self) {
        let world = self.world;
        for conflict in &world.platform.conflicts {
            let crm = conflict.winner == "crm";
            let (ours, theirs) =
                if crm { (&conflict.lost, &conflict.kept) } else { (&conflict.kept, &conflict.lost) };
            let Some(system) = world.platform.system_at(conflict.connection) else { continue };
            let pairs = &world.platform.mappings[system].pairs;
            let Some(pair) = pairs.iter().find(|pair| pair.canonical.name == conflict.field) else {
                continue;
            };
            let right = match conflict.policy.as_str() {
                _ if !crm && transform::inbound(pair, theirs.clone()).is_err() => true,
                "platform_wins" => !crm,
                "crm_wins" => crm,
                "manual" => true,
                _ => self.is_newest(system, conflict.record, &conflict.field, (ours, theirs), crm),
            };
            if self.is_echo(system, &conflict.field, theirs) {
                let what = format!("{theirs:?} is our own echo and in conflict with {ours:?}");
                self.violated(Property::Policy, what);
            }
            if !right {
                let what =
                    format!("{} wins by {}: {ours:?} against {theirs:?}", conflict.winner, conflict.policy);
                self.violated(Property::Policy, what);
            }
        }
    }

    /// Whether there is a pair of edits with these values of which the one that won was the later one.
    fn is_newest(
        &self,
        system: usize,
        record: RecordId,
        field: &str,
        (ours, theirs): (&Value, &Value),
        crm: bool,
    ) -> bool {
        let world = self.world;
        let Some(at) = place(field) else { return true };
        let revisions = world.platform.revisions.iter().filter(|revision| revision.record == record);
        let set =
            |revision: &&Revision| revision.changes.iter().any(|it| it.field == field && it.after == *ours);
        let mut here: Vec<i64> = revisions.filter(set).map(|revision| revision.at.as_millisecond()).collect();
        let vendors = world.systems.iter().flat_map(|it| times(it, at, ours));
        here.extend(vendors.flat_map(|(from, until)| [from, until]));
        let mut there = times(&world.systems[system], at, theirs);
        let stood = |(from, until): (i64, i64)| {
            here.is_empty() || here.iter().any(|here| if crm { until >= *here } else { from < *here })
        };
        there.any(stood)
    }
}

/// When a field was set to this value at a vendor, and the time that it may have had here: that of the field, or where
/// the vendor does not tell it, that of its record.
fn times<'a>(it: &'a System, field: usize, value: &'a Value) -> impl Iterator<Item = (i64, i64)> + 'a {
    it.records.iter().flat_map(move |there| {
        let record = (!it.profile.dates_fields).then(|| there.last_at());
        let entries = there.fields[field].iter().filter(move |entry| entry.value == *value);
        entries.map(move |entry| (entry.at, record.unwrap_or(entry.at)))
    })
}
