//! A small world for the tests of the merge: one record, one vendor's record, people who edit both, and deliveries
//! that come late, twice and out of order. It drives the real decision code and knows nothing of its inside.

use std::collections::{BTreeMap, BTreeSet};

use jiff::{SignedDuration, Timestamp};
use model::{
    ApplyWrite, CanonicalObject, ConnectionId, CoveredValue, IssueCategory, LinkId, MappingId,
    OrganizationId, RecordId, Value, WriteId, WriteKind, WriteOutcome,
};
use proptest::prelude::*;
use uuid::Uuid;

use super::{
    cell::Record,
    mapping::{Compiled, Direction, FieldMapping, FieldState, Mapping, MappingState, Policy, Settings},
    sync::{self, Conflict, FieldChange, Link, Reason, Staged},
};

const FIELDS: [(&str, &str); 2] = [("name", "name"), ("phone", "phone")];

#[derive(Clone, Debug)]
enum Step {
    EditHere(usize),
    EditThere(usize),
    /// Somebody puts a value back there that the field had before.
    PutBackThere(usize),
    Read,
    /// A stream tells of the last edit of this field, and of nothing else.
    Tell(usize),
    Deliver(usize),
    /// Two of what was read or told, in whichever order, that were kept together until now.
    DeliverJoined(usize, usize),
    ApplyWrite,
    DeliverAnswer(usize),
    /// A person decides what waits for one: the vendor's values stand, or ours.
    Decide(bool),
}

fn step() -> impl Strategy<Value = Step> {
    prop_oneof![
        3 => (0..FIELDS.len()).prop_map(Step::EditHere),
        3 => (0..FIELDS.len()).prop_map(Step::EditThere),
        1 => (0..FIELDS.len()).prop_map(Step::PutBackThere),
        4 => Just(Step::Read),
        2 => (0..FIELDS.len()).prop_map(Step::Tell),
        4 => any::<usize>().prop_map(Step::Deliver),
        2 => any::<(usize, usize)>().prop_map(|(one, other)| Step::DeliverJoined(one, other)),
        4 => Just(Step::ApplyWrite),
        4 => any::<usize>().prop_map(Step::DeliverAnswer),
        1 => any::<bool>().prop_map(Step::Decide),
    ]
}

#[derive(Clone, Debug)]
struct Entry {
    value: Value,
    at: Timestamp,
    ours: bool,
}

struct World {
    mapping: Compiled,
    record: Record,
    link: Link,
    /// The vendor's fields with their history, the newest last.
    there: BTreeMap<String, Vec<Entry>>,
    version: i64,
    now: Timestamp,
    reads: Vec<Staged>,
    queue: Vec<ApplyWrite>,
    answers: Vec<(WriteId, WriteOutcome, Timestamp)>,
    conflicts: Vec<Conflict>,
    changes: Vec<FieldChange>,
    writes: usize,
    edits: u64,
    /// What the vendor does to a text it stores.
    reformat: fn(&str) -> String,
    /// Whether the vendor tells when each field was set.
    dated: bool,
}

fn mapping(policy: Policy) -> Compiled {
    let nobody = Uuid::nil();
    let fields = FIELDS
        .iter()
        .map(|(ours, theirs)| {
            let field = FieldMapping {
                vendor_field: Some((*theirs).to_owned()),
                state: FieldState::Confirmed,
                ..FieldMapping::unmapped()
            };
            ((*ours).to_owned(), field)
        })
        .collect();
    let mapping = Mapping {
        id: MappingId::from_uuid(nobody),
        organization: OrganizationId::from_uuid(nobody),
        connection: ConnectionId::from_uuid(nobody),
        vendor: "hubspot".to_owned(),
        object: CanonicalObject::Company,
        vendor_object: "companies".to_owned(),
        state: MappingState::Active,
        revision: 1,
        settings: Settings {
            direction: Direction::Bidirectional,
            default_policy: policy,
            fields,
            ..Settings::default()
        },
        draft: None,
        activated_at: None,
        activated_by: None,
    };
    let schema = CanonicalObject::Company.schema();
    Compiled::new(mapping, &schema, &schema)
}

impl World {
    fn new(policy: Policy, reformat: fn(&str) -> String) -> Self {
        let mapping = mapping(policy);
        let now = Timestamp::from_second(1_700_000_000).unwrap();
        let nobody = Uuid::nil();
        let mut record = Record::new(
            RecordId::from_uuid(nobody),
            mapping.mapping.organization,
            CanonicalObject::Company,
            now,
        );
        record.version = 1;
        let mut link = Link::new(LinkId::from_uuid(nobody), mapping.mapping.id);
        link.vendor_id = Some("1".to_owned());
        link.record = Some(record.id);
        let there = FIELDS
            .iter()
            .map(|(_, name)| {
                ((*name).to_owned(), vec![Entry { value: Value::text("start"), at: now, ours: false }])
            })
            .collect();
        let mut world = Self {
            mapping,
            record,
            link,
            there,
            version: now.as_millisecond(),
            now,
            reads: Vec::new(),
            queue: Vec::new(),
            answers: Vec::new(),
            conflicts: Vec::new(),
            changes: Vec::new(),
            writes: 0,
            edits: 0,
            reformat,
            dated: false,
        };
        world.take(&Step::Read);
        world.take(&Step::Deliver(0));
        world
    }

    fn latest(&self, field: &str) -> &Entry {
        self.there[field].last().unwrap()
    }

    fn take(&mut self, step: &Step) {
        self.now += SignedDuration::from_secs(1);
        match step {
            Step::EditHere(field) => {
                self.edits += 1;
                let value = Value::text(format!("here {} ", self.edits));
                let fields = BTreeMap::from([(FIELDS[*field].0.to_owned(), value)]);
                let changes = sync::edit(&mut self.record, fields, self.now, "user:u", Reason::Edited);
                self.changes.extend(changes);
            }
            Step::EditThere(field) => {
                self.edits += 1;
                let value = Value::text((self.reformat)(&format!("there {} ", self.edits)));
                self.store(FIELDS[*field].1, value, false);
            }
            Step::PutBackThere(field) => {
                let name = FIELDS[*field].1;
                let history = &self.there[name];
                let value = history[history.len().saturating_sub(2)].value.clone();
                self.store(name, value, false);
            }
            Step::Read => {
                let fields = self
                    .there
                    .iter()
                    .map(|(name, history)| (name.clone(), history.last().unwrap().value.clone()))
                    .collect();
                let at = Timestamp::from_millisecond(self.version).unwrap();
                let times = self.there.iter().filter(|_| self.dated);
                let times = times.map(|(name, history)| (name.clone(), history.last().unwrap().at)).collect();
                let older = BTreeMap::new();
                self.reads.push(Staged { version: self.version, at, fields, times, older, gone: None });
            }
            Step::Tell(field) => self.tell(FIELDS[*field].1),
            Step::Deliver(which) if !self.reads.is_empty() => {
                let read = self.reads[which % self.reads.len()].clone();
                self.deliver(&read);
            }
            Step::DeliverJoined(one, other) if !self.reads.is_empty() => {
                let read = |which: &usize| &self.reads[which % self.reads.len()];
                let joined = Staged::join(Some(read(one).clone()), read(other).seen());
                self.deliver(&joined);
            }
            Step::ApplyWrite if !self.queue.is_empty() => {
                let write = self.queue.remove(0);
                self.apply(&write);
            }
            Step::DeliverAnswer(which) if !self.answers.is_empty() => {
                let (write, outcome, at) = self.answers[which % self.answers.len()].clone();
                let effect =
                    sync::answered(&self.mapping, &mut self.link, &mut self.record, write, &outcome, at);
                self.note(effect);
            }
            Step::Decide(vendor_wins) => {
                for (name, _) in FIELDS {
                    let (link, record) = (&mut self.link, &mut self.record);
                    let by = (self.now, "user:u");
                    let decided = sync::decide_held(&self.mapping, link, record, name, *vendor_wins, by);
                    decided.into_iter().for_each(|effect| self.note(effect));
                }
            }
            _ => {}
        }
        let id = WriteId::from_uuid(Uuid::from_u128(self.writes as u128 + 1));
        if let Some(write) = sync::next_write(&self.mapping, &mut self.link, &self.record, id).write {
            self.writes += 1;
            self.queue.push(write);
        }
    }

    fn tell(&mut self, field: &str) {
        let Entry { value, at, .. } = self.latest(field).clone();
        let (times, older) = (BTreeMap::new(), BTreeMap::new());
        let fields = BTreeMap::from([(field.to_owned(), value)]);
        self.reads.push(Staged { version: at.as_millisecond(), at, fields, times, older, gone: None });
    }

    fn deliver(&mut self, read: &Staged) {
        let effect = sync::observe(&self.mapping, &mut self.link, &mut self.record, read.seen());
        self.note(effect);
    }

    fn store(&mut self, field: &str, value: Value, ours: bool) {
        self.version = self.now.as_millisecond();
        let at = self.now;
        self.there.get_mut(field).unwrap().push(Entry { value, at, ours });
    }

    fn apply(&mut self, write: &ApplyWrite) {
        let WriteKind::Update { expected, .. } = &write.write else { panic!("a linked record is updated") };
        let mut covered = BTreeMap::new();
        let mut fields = BTreeMap::new();
        for (name, value) in &write.fields {
            let before = self.latest(name).clone();
            if !before.ours && expected.get(name).is_some_and(|expected| *expected != before.value) {
                covered.insert(name.clone(), CoveredValue { value: before.value, at: before.at });
            }
            let stored = Value::text((self.reformat)(&value.to_string()));
            self.store(name, stored.clone(), true);
            fields.insert(name.clone(), stored);
        }
        let outcome =
            WriteOutcome::Applied { vendor_id: "1".to_owned(), version: self.version, fields, covered };
        self.answers.push((write.id, outcome, self.now));
    }

    fn note(&mut self, effect: sync::Effect) {
        let is_question = |trouble: &sync::Trouble| trouble.category == IssueCategory::Conflict;
        assert!(effect.troubles.iter().all(is_question), "{:?}", effect.troubles);
        self.conflicts.extend(effect.conflicts);
        self.changes.extend(effect.changes);
    }

    /// Nobody edits any more and everything is delivered.
    fn settle(&mut self) {
        for round in 0..12 {
            self.take(&Step::Decide(round % 2 == 0));
            self.take(&Step::Read);
            for which in (0..self.reads.len()).rev() {
                self.take(&Step::Deliver(which));
            }
            while !self.queue.is_empty() {
                self.take(&Step::ApplyWrite);
            }
            for which in 0..self.answers.len() {
                self.take(&Step::DeliverAnswer(which));
            }
        }
    }

    fn is_equal(&self) -> bool {
        FIELDS.iter().all(|(ours, theirs)| *self.record.value(ours) == self.latest(theirs).value)
    }

    /// Values that were set at the vendor and neither stand, nor were ever taken, nor lost a recorded conflict, nor
    /// were overtaken there by somebody else's.
    fn lost_edits(&self) -> Vec<String> {
        let lost: BTreeSet<String> =
            self.conflicts.iter().map(|conflict| conflict.lost.to_string()).collect();
        let taken: BTreeSet<String> = self.changes.iter().map(|change| change.after.to_string()).collect();
        let mut missing = Vec::new();
        for (ours, theirs) in FIELDS {
            let history = &self.there[theirs];
            for (index, entry) in history.iter().enumerate().filter(|(_, entry)| !entry.ours) {
                // Who puts an old value back may have put back what both sides agreed on, which changes nothing.
                let put_back = history[..index].iter().any(|earlier| earlier.value == entry.value);
                // Who put ours out of the way there themselves is asked about that one, until another edit overtakes it.
                let again = |later: &Entry| !later.ours && later.value == entry.value;
                let is_asked = self.mapping.pairs[0].policy == Policy::Manual;
                let put_back = put_back || is_asked && history[index + 1..].iter().any(again);
                let overtaken = put_back || history.get(index + 1).is_some_and(|next| !next.ours);
                let text = entry.value.to_string();
                if !overtaken
                    && self.record.value(ours).to_string() != text
                    && !taken.contains(&text)
                    && !lost.contains(&text)
                {
                    missing.push(text);
                }
            }
            let edits: Vec<&FieldChange> =
                self.changes.iter().filter(|c| c.field == ours && c.reason == Reason::Edited).collect();
            if let Some(last) = edits.last() {
                let text = last.after.to_string();
                let reached = history
                    .iter()
                    .any(|entry| entry.ours && entry.value.to_string() == (self.reformat)(&text));
                if !reached && self.record.value(ours).to_string() != text && !lost.contains(&text) {
                    missing.push(text);
                }
            }
        }
        missing
    }
}

fn policies() -> impl Strategy<Value = Policy> {
    prop_oneof![Just(Policy::Platform), Just(Policy::Crm), Just(Policy::Newest), Just(Policy::Manual)]
}

fn reformats() -> impl Strategy<Value = fn(&str) -> String> {
    prop_oneof![
        Just((|text| text.to_owned()) as fn(&str) -> String),
        Just((|text| text.trim().to_owned()) as fn(&str) -> String),
        Just((|text| text.trim().to_uppercase()) as fn(&str) -> String),
    ]
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(3_000))]

    #[test]
    fn when_edits_stop_both_sides_are_equal_and_no_edit_is_lost(
        policy in policies(),
        reformat in reformats(),
        dated: bool,
        steps in proptest::collection::vec(step(), 0..40),
    ) {
        let mut world = World { dated, ..World::new(policy, reformat) };
        for step in &steps {
            world.take(step);
        }
        world.settle();
        prop_assert!(world.is_equal(), "record {:?} and vendor {:?} differ", world.record.cells, world.there);
        prop_assert_eq!(world.lost_edits(), Vec::<String>::new());
    }

    #[test]
    fn after_the_last_edit_writes_stop(
        policy in policies(),
        reformat in reformats(),
        dated: bool,
        steps in proptest::collection::vec(step(), 0..40),
    ) {
        let mut world = World { dated, ..World::new(policy, reformat) };
        for step in &steps {
            world.take(step);
        }
        let before = world.writes;
        world.settle();
        prop_assert!(world.writes - before <= 2 * FIELDS.len(), "{} more writes", world.writes - before);
        let settled = world.writes;
        world.settle();
        prop_assert_eq!(world.writes, settled);
    }

    #[test]
    fn what_is_kept_of_readings_and_parts_is_the_same_in_whichever_order_they_came(
        steps in proptest::collection::vec(step(), 0..30),
        order in proptest::collection::vec(any::<usize>(), 0..20),
    ) {
        let mut world = World::new(Policy::Crm, str::to_owned);
        for step in &steps {
            world.take(step);
        }
        let keep = |picks: &[usize]| {
            let reads = picks.iter().map(|pick| &world.reads[pick % world.reads.len()]).chain(&world.reads);
            let kept = reads.fold(None, |kept, read| Some(Staged::join(kept, read.seen()))).unwrap();
            let of = |field: &str| (kept.fields[field].clone(), kept.seen().version_of(field));
            FIELDS.map(|(_, theirs)| of(theirs))
        };
        prop_assert_eq!(keep(&order), keep(&[]));
    }

    #[test]
    fn deliveries_in_any_order_and_doubled_give_the_same_values(
        policy in policies(),
        versions in proptest::collection::vec(0..5_u8, 1..6),
        order in proptest::collection::vec(any::<usize>(), 0..20),
    ) {
        let run = |picks: &[usize]| {
            let mut world = World::new(policy, |text| text.to_owned());
            world.take(&Step::EditHere(0));
            for _ in &versions {
                world.take(&Step::EditThere(0));
                world.take(&Step::Read);
            }
            for which in picks {
                world.take(&Step::Deliver(*which));
            }
            for which in 0..world.reads.len() {
                world.take(&Step::Deliver(which));
            }
            world.record.value("name").clone()
        };
        prop_assert_eq!(run(&order), run(&[]));
    }
}

#[test]
fn each_policy_keeps_its_winner_and_records_the_loser() {
    for (policy, expected) in
        [(Policy::Platform, "here 1 "), (Policy::Crm, "there 2 "), (Policy::Newest, "there 2 ")]
    {
        let mut world = World::new(policy, |text| text.to_owned());
        for step in [Step::EditHere(0), Step::EditThere(0), Step::Read, Step::Deliver(1)] {
            world.take(&step);
        }
        world.settle();
        assert_eq!(world.record.value("name").to_string(), expected, "{policy:?}");
        assert!(world.is_equal());
        assert_eq!(world.conflicts.len(), 1, "{policy:?}: {:?}", world.conflicts);
    }
}

#[test]
fn the_newest_edit_of_a_field_stands_whatever_else_of_the_record_was_edited_since() {
    for dated in [true, false] {
        let mut world = World { dated, ..World::new(Policy::Newest, |text| text.to_owned()) };
        // Nothing is written, so that no history is read back after a write.
        world.mapping.pairs.iter_mut().for_each(|pair| pair.direction = Direction::FromVendor);
        // The name is set there, then here; another field of the record there is set last.
        for step in [Step::EditThere(0), Step::EditHere(0), Step::EditThere(1), Step::Read, Step::Deliver(1)]
        {
            world.take(&step);
        }
        // Where the vendor tells the record's time only, its old name counts as new as the record.
        let newest = if dated { "here 2 " } else { "there 1 " };
        assert_eq!(world.record.value("name").to_string(), newest);
        assert_eq!(world.record.value("phone").to_string(), "there 3 ");
        assert_eq!(world.conflicts.len(), 1, "{:?}", world.conflicts);
    }
}

#[test]
fn an_old_value_that_somebody_puts_back_after_our_write_stands() {
    for policy in [Policy::Platform, Policy::Crm, Policy::Newest] {
        let mut world = World::new(policy, |text| text.to_owned());
        let steps =
            [Step::EditHere(0), Step::ApplyWrite, Step::PutBackThere(0), Step::Read, Step::Deliver(1)];
        for step in steps {
            world.take(&step);
        }
        world.settle();
        assert!(world.is_equal(), "{policy:?}");
        assert_eq!(world.record.value("name").to_string(), "start", "{policy:?}");
    }
}

#[test]
fn what_our_write_covers_while_somebody_is_asked_about_it_is_kept_among_the_conflicts() {
    let mut world = World::new(Policy::Manual, |text| text.to_owned());
    // Theirs is decided for and on its way back when somebody puts it there by hand; then both sides move again.
    let steps = [
        Step::EditThere(0),
        Step::EditHere(0),
        Step::ApplyWrite,
        Step::PutBackThere(0),
        Step::DeliverAnswer(0),
        Step::Decide(true),
        Step::Read,
        Step::EditHere(0),
        Step::Deliver(1),
        Step::EditThere(0),
    ];
    for step in steps {
        world.take(&step);
    }
    world.settle();
    assert!(world.is_equal());
    assert_eq!(world.lost_edits(), Vec::<String>::new());
}
