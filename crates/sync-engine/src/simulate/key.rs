//! What tells two states of a small world apart: everything that decides how a state goes on and what is said of it in
//! the end. Ids hold chance and times hold what else was done meanwhile, so both are replaced by their order.

use std::{
    collections::BTreeMap,
    hash::{DefaultHasher, Hash, Hasher},
    mem,
};

use jiff::Timestamp;
use model::{ApplyWrite, LinkId, Value, WriteId, WriteKind, WriteOutcome};

use super::{
    vendor::{System, There},
    world::World,
};
use crate::{
    consumer::{Arrival, Fact},
    domain::{
        mapping::Policy,
        merge::{Deferred, Field},
        sync::Link,
    },
};

/// The key of a world, with what else is said of its state.
pub(super) fn key(world: &World, besides: &impl Hash) -> u128 {
    let pairs = world.platform.mappings.iter().flat_map(|mapping| &mapping.pairs);
    let is_timed = pairs.clone().any(|pair| pair.policy == Policy::Newest);
    let mut key = Key { world, is_timed, times: Vec::new(), asked: Vec::new(), text: Text::default() };
    key.world();
    key.times.sort_unstable();
    key.times.dedup();
    key.asked.sort_unstable();
    key.asked.dedup();
    key.text = Text { is_kept: true, ..Text::default() };
    key.world();
    besides.hash(&mut key.text);
    let half = |salt: u8| {
        let mut hasher = DefaultHasher::new();
        hasher.write_u8(salt);
        hasher.write(&key.text.bytes);
        u128::from(hasher.finish())
    };
    half(0) << 64 | half(1)
}

/// What is hashed in the end; nothing is kept while times and ids are only gathered.
#[derive(Default)]
struct Text {
    bytes: Vec<u8>,
    is_kept: bool,
}

impl Hasher for Text {
    fn write(&mut self, bytes: &[u8]) {
        if self.is_kept {
            self.bytes.extend_from_slice(bytes);
        }
    }

    fn finish(&self) -> u64 {
        0
    }
}

struct Key<'a> {
    world: &'a World,
    /// Whether times decide anything here; else only versions are told apart.
    is_timed: bool,
    times: Vec<i64>,
    /// Writes by the order in which they were asked for.
    asked: Vec<usize>,
    text: Text,
}

impl Key<'_> {
    fn put(&mut self, what: impl Hash) {
        what.hash(&mut self.text);
    }

    /// A version, or a moment in milliseconds.
    fn version(&mut self, version: i64) {
        if self.text.is_kept {
            self.put(self.times.binary_search(&version).unwrap_or_default());
        } else {
            self.times.push(version);
        }
    }

    fn moment(&mut self, at: Timestamp) {
        if self.is_timed {
            self.version(at.as_millisecond());
        }
    }

    fn write_id(&mut self, id: WriteId) {
        let place = self.world.platform.asked.iter().position(|asked| asked.id == id).unwrap_or(usize::MAX);
        if self.text.is_kept {
            self.put(self.asked.binary_search(&place).unwrap_or_default());
        } else {
            self.asked.push(place);
        }
    }

    fn maybe_write(&mut self, id: Option<WriteId>) {
        self.put(id.is_some());
        id.into_iter().for_each(|id| self.write_id(id));
    }

    fn link(&mut self, id: LinkId) {
        self.put(self.world.platform.links.iter().position(|link| link.id == id));
    }

    fn value(&mut self, value: &Value) {
        match value {
            Value::Null => self.put(0),
            Value::Text(text) => self.put((1, text)),
            other => self.put((2, other.to_string())),
        }
    }

    fn maybe(&mut self, value: Option<&Value>) {
        self.put(value.is_some());
        value.into_iter().for_each(|value| self.value(value));
    }

    fn values<'v>(&mut self, values: impl IntoIterator<Item = (&'v String, &'v Value)>) {
        for (name, value) in values {
            self.put(name);
            self.value(value);
        }
        self.put(0);
    }

    fn world(&mut self) {
        let world = self.world;
        self.here();
        world.platform.links.iter().for_each(|link| self.linked(link));
        for system in &world.systems {
            self.system(system);
        }
        world.platform.outbox.iter().for_each(|write| self.write(write));
        self.unordered(false, &world.stream, |key, arrival| {
            key.put((arrival.replayed, world.platform.knows(arrival)));
            key.arrival(arrival);
        });
    }

    /// Our record, how it came to be what it is, and what was said of it.
    fn here(&mut self) {
        let platform = &self.world.platform;
        for record in &platform.records {
            for (name, cell) in &record.cells {
                self.put(name);
                self.value(&cell.value);
                self.moment(cell.at);
            }
        }
        // Each change and each conflict is judged by itself, whenever it was: see `check`.
        let mut before: BTreeMap<&str, &Value> = BTreeMap::new();
        let changes = platform
            .revisions
            .iter()
            .flat_map(|revision| revision.changes.iter().map(move |change| (revision, change)));
        self.unordered(true, changes, |key, (revision, change)| {
            key.moment(revision.at);
            key.put((&revision.actor, &change.field, change.reason));
            key.maybe(before.insert(&change.field, &change.after));
            key.value(&change.after);
        });
        self.unordered(true, &platform.conflicts, |key, conflict| {
            key.put((conflict.connection, &conflict.field, &conflict.winner));
            key.value(&conflict.kept);
            key.value(&conflict.lost);
        });
        for ((link, field), issue) in &platform.issues {
            self.link(*link);
            self.put((field, &issue.category));
        }
    }

    fn linked(&mut self, link: &Link) {
        self.put((&link.vendor_id, link.state, link.record.is_some()));
        self.version(link.seen_version);
        self.maybe_write(link.write);
        for (name, field) in &link.fields {
            self.put(name);
            self.field(field);
        }
    }

    fn field(&mut self, field: &Field) {
        let Field {
            of,
            base,
            seen,
            version,
            pending,
            sent,
            retried,
            refused,
            deferred,
            unread,
            held,
            asked,
            was,
        } = field;
        self.put((of, retried, was));
        for value in [base, seen, pending, refused] {
            self.maybe(value.as_ref());
        }
        self.version(*version);
        self.put(sent.len());
        for sent in sent {
            self.write_id(sent.write);
            self.value(&sent.value);
            self.put(sent.refused);
        }
        self.deferred(deferred.as_ref());
        self.deferred(unread.as_ref());
        self.deferred(held.as_ref());
        self.maybe_write(*asked);
    }

    fn deferred(&mut self, deferred: Option<&Deferred>) {
        self.put(deferred.is_some());
        if let Some(deferred) = deferred {
            self.value(&deferred.value);
            self.version(deferred.version);
            self.moment(deferred.at);
        }
    }

    fn system(&mut self, system: &System) {
        for there in &system.records {
            self.there(there);
        }
        self.put(system.queue.len());
        for write in &system.queue {
            self.put(system.is_answered(write.id));
            self.write(write);
            if let Some(covered) = system.covered.get(&write.id) {
                for (name, covered) in covered {
                    self.put(name);
                    self.value(&covered.value);
                    self.moment(covered.at);
                }
            }
        }
        for arrival in &system.feed {
            self.arrival(arrival);
        }
        self.put(system.outbox.len());
        for record in self.world.platform.unread_of(system.connection) {
            self.put(record);
        }
    }

    fn there(&mut self, there: &There) {
        for history in &there.fields {
            self.put(history.len());
            for entry in history {
                self.value(&entry.value);
                self.maybe_write(entry.write);
                if self.is_timed {
                    self.version(entry.at);
                }
            }
        }
        let (at, version) = there.last();
        if self.is_timed {
            self.version(at);
        }
        self.version(version);
        self.version(there.read);
    }

    fn write(&mut self, write: &ApplyWrite) {
        self.write_id(write.id);
        self.link(write.link);
        self.values(&write.fields);
        if let WriteKind::Update { expected, .. } = &write.write {
            self.values(expected);
        }
    }

    /// Things of which the order does not matter, or not even how often there is the same.
    fn unordered<T>(
        &mut self,
        once: bool,
        things: impl IntoIterator<Item = T>,
        mut put: impl FnMut(&mut Self, T),
    ) {
        let before = mem::take(&mut self.text.bytes);
        let mut each: Vec<Vec<u8>> = Vec::new();
        for thing in things {
            put(self, thing);
            each.push(mem::take(&mut self.text.bytes));
        }
        each.sort_unstable();
        if once {
            each.dedup();
        }
        self.text.bytes = before;
        self.put(each.len());
        self.text.bytes.extend(each.into_iter().flatten());
    }

    fn arrival(&mut self, arrival: &Arrival) {
        match &arrival.fact {
            Fact::Change(change) => {
                self.put((0, &change.id, self.world.platform.system_at(change.connection)));
                self.version(change.version);
                self.moment(change.changed_at);
                self.values(&change.fields);
                for (name, at) in &change.field_times {
                    self.put(name);
                    self.moment(*at);
                }
            }
            Fact::Written(written) => {
                self.put(1);
                self.write_id(written.write);
                self.moment(written.at);
                self.outcome(&written.outcome);
            }
            Fact::BackfillFinished(_) | Fact::Verify(_) => self.put(2),
        }
    }

    fn outcome(&mut self, outcome: &WriteOutcome) {
        match outcome {
            WriteOutcome::Applied { vendor_id, version, fields, covered } => {
                self.put((0, vendor_id));
                self.version(*version);
                self.values(fields);
                for (name, covered) in covered {
                    self.put(name);
                    self.value(&covered.value);
                    self.moment(covered.at);
                }
            }
            WriteOutcome::Rejected { category, field, .. } => {
                self.put((1, format!("{category:?}"), field));
            }
        }
    }
}
