//! The simulated organization: our side, its vendors, the stream between them, and virtual time.

use std::{collections::BTreeMap, sync::Arc};

use jiff::Timestamp;
use model::{CanonicalObject, LinkId, RecordId, Value, kind};
use rust_decimal::Decimal;

use super::{
    plan::{Act, End, FIELDS, Plan, Step, Typed, WriteEnd},
    platform::Platform,
    setup::{OPTIONS_HERE, OPTIONS_THERE},
    vendor::{System, moment},
};
use crate::{
    consumer::{Arrival, Fact},
    domain::{
        cell::Record,
        mapping::MappingState,
        matching,
        sync::{self, Reason},
    },
    unit::{Cause, Scope, Wanted},
};

/// When every run begins, in milliseconds.
const BEGINNING: i64 = 1_700_000_000_000;
/// Longer than any vendor's tick.
pub(super) const A_WHILE: i64 = 10_000;

/// See the module.
#[derive(Clone, Debug)]
pub(super) struct World {
    pub(super) now: i64,
    /// How many values were typed, so that each is another one.
    pub(super) typed: i64,
    pub(super) platform: Platform,
    pub(super) systems: Vec<System>,
    /// What was published and not acknowledged.
    pub(super) stream: Vec<Arc<Arrival>>,
    /// All that was ever published.
    pub(super) published: Vec<Arc<Arrival>>,
    /// Systems whose mapping was activated and whose links are not all worked through.
    pub(super) working: Vec<bool>,
    /// What happens, in words, for those who want to read it.
    pub(super) story: Option<Vec<String>>,
}

impl World {
    /// The world before the first step of a plan.
    pub(super) fn new(plan: &Plan, told: bool) -> Self {
        let platform = Platform::new(plan);
        let systems = plan.systems.iter().enumerate().map(|(index, it)| {
            let connection = platform.mappings[index].mapping.connection;
            System::new(index, it.profile, it.skew_ms, platform.organization, connection)
        });
        let mut world = Self {
            now: BEGINNING,
            typed: 0,
            systems: systems.collect(),
            platform,
            stream: Vec::new(),
            published: Vec::new(),
            working: vec![false; plan.systems.len()],
            story: told.then(Vec::new),
        };
        for key in &plan.here {
            world.create_here(*key);
        }
        for (system, it) in plan.systems.iter().enumerate() {
            for key in &it.there {
                world.create_there(system, *key);
            }
            if it.active {
                world.backfill(system);
            }
        }
        world
    }

    /// Reads all of a system and activates its mapping, as people do who look at the plan first.
    fn backfill(&mut self, system: usize) {
        self.now += A_WHILE;
        self.read_all(system);
        self.deliver_all(None);
        self.activate(system);
        while self.working[system] {
            self.work(system);
        }
    }

    pub(super) fn at(&self) -> Timestamp {
        moment(self.now)
    }

    pub(super) fn tell(&mut self, line: impl FnOnce(&Self) -> String) {
        if self.story.is_some() {
            let line = format!("{:>9.3} s  {}", (self.now - BEGINNING) as f64 / 1_000.0, line(self));
            self.story.get_or_insert_default().push(line);
        }
    }

    /// Takes one step.
    pub(super) fn take(&mut self, step: &Step) {
        self.now += 1 + step.pause_ms;
        match step.act {
            Act::EditHere { record, field, typed } => self.edit_here(record, field, typed),
            Act::EditThere { system, record, field, typed } => {
                self.edit_there(self.which(system), record, field, typed);
            }
            Act::CreateHere { key } => self.create_here(key),
            Act::CreateThere { system, key } => self.create_there(self.which(system), key),
            Act::ArchiveHere { record } => self.archive_here(record),
            Act::DeleteThere { system, record } => self.delete_there(self.which(system), record),
            Act::RestoreThere { system, record } => self.restore_there(self.which(system), record),
            Act::Read { system, record, lag } => self.read(self.which(system), record, lag),
            Act::Sweep { system } => self.sweep(self.which(system)),
            Act::Consume { first, count, end } => self.consume(first, count, end),
            Act::Replay { which } => self.replay(which),
            Act::Relay { crash } => self.relay(crash),
            Act::Write { system, which, end } => self.write(self.which(system), which, end),
            Act::Answer { system, crash } => self.answer(self.which(system), crash),
            Act::Activate { system } => self.activate(self.which(system)),
            Act::Pause { system } => self.pause(self.which(system)),
            Act::Work { system } => self.work(self.which(system)),
            Act::Retry { which } => self.retry(which),
            Act::RestoreLoser { which } => self.restore_loser(which),
            Act::Reconnect { system } => self.reconnect(self.which(system)),
        }
    }

    const fn which(&self, system: usize) -> usize {
        system % self.systems.len()
    }

    /// What a record is called in the story.
    pub(super) fn name(&self, record: RecordId) -> String {
        self.platform.place_of(record).map_or_else(|| "a new record".to_owned(), |place| format!("R{place}"))
    }

    /// What a system's record is called in the story.
    pub(super) fn name_there(&self, system: usize, record: usize) -> String {
        format!("{}.{system} #{}", self.systems[system].profile.name, record + 1)
    }

    fn user(&self) -> Arc<Cause> {
        Arc::new(Cause {
            id: "request".to_owned(),
            actor: "user:somebody".to_owned(),
            at: self.at(),
            taken_at: self.at(),
            lane: None,
            vendor: None,
            connection: None,
            traceparent: None,
        })
    }

    fn value(&mut self, field: usize, typed: Typed, before: Option<Value>, same: Value, here: bool) -> Value {
        self.typed += 1;
        let number = self.typed;
        let (name, _) = FIELDS[field];
        let options = if here { OPTIONS_HERE } else { OPTIONS_THERE };
        match (typed, name) {
            (Typed::Blank, _) => Value::Null,
            (Typed::Same, _) => same,
            (Typed::Before, _) if before.is_some() => before.unwrap_or_default(),
            (_, "annual_revenue") => Value::Number(Decimal::new(number * 1_000 + 456, 3)),
            (Typed::Unfit, "company_type") => Value::text(options[3]),
            (_, "company_type") => Value::text(options[usize::try_from(number).unwrap_or_default() % 3]),
            (_, "domain") => Value::text(format!("E{number}.test")),
            (Typed::Unfit, _) => Value::text(format!("refused {number}")),
            _ => Value::text(format!(" Edit  {number} ")),
        }
    }

    pub(super) fn edit_here(&mut self, record: usize, field: usize, typed: Typed) {
        if self.platform.records.is_empty() {
            return;
        }
        let place = record % self.platform.records.len();
        let record = &self.platform.records[place];
        if record.archived_at.is_some() {
            return;
        }
        let (id, name) = (record.id, FIELDS[field].0);
        let before = self.platform.revisions.iter().rev().filter(|revision| revision.record == id);
        let mut changes = before.flat_map(|revision| &revision.changes);
        let before = changes.find(|change| change.field == name).map(|change| change.before.clone());
        let same = self.platform.links.iter().find(|link| link.record == Some(id)).and_then(|link| {
            let record = link.vendor_id.as_ref()?.parse::<usize>().ok()?;
            let system = self.platform.system_of(link.mapping);
            Some(self.systems[system].records[record - 1].now(field).clone())
        });
        let value = self.value(field, typed, before, same.unwrap_or_default(), true);
        self.put_here(place, field, value);
    }

    /// A user sets a field of a record to this value.
    pub(super) fn put_here(&mut self, place: usize, field: usize, value: Value) {
        let (id, name) = (self.platform.records[place].id, FIELDS[field].0);
        self.tell(|_| format!("a user sets {name} of R{place} to {value:?}"));
        self.set(id, name, value, Reason::Edited);
    }

    fn set(&mut self, record: RecordId, field: &str, value: Value, reason: Reason) {
        let (cause, fields) = (self.user(), BTreeMap::from([(field.to_owned(), value)]));
        let scope = Scope { records: vec![record], ..Scope::default() };
        self.platform.work(cause.at, scope, |unit| {
            unit.edit(record, kind::RECORD_CHANGED, &cause, |record| {
                sync::edit(record, fields, cause.at, &cause.actor, reason)
            });
        });
    }

    pub(super) fn edit_there(&mut self, system: usize, record: usize, field: usize, typed: Typed) {
        let count = self.systems[system].records.len();
        if count == 0 {
            return;
        }
        let record = record % count;
        if self.systems[system].records[record].archived.is_some() {
            return;
        }
        let history = &self.systems[system].records[record].fields[field];
        let before = history.len().checked_sub(2).map(|at| history[at].value.clone());
        let here = self.platform.link_of(system, record).and_then(|link| self.platform.record(link.record?));
        let same = here.map_or(Value::Null, |record| record.value(FIELDS[field].0).clone());
        let value = self.value(field, typed, before, same, false);
        self.put_there(system, record, field, value);
    }

    /// Somebody sets a field of a system's record to this value.
    pub(super) fn put_there(&mut self, system: usize, record: usize, field: usize, value: Value) {
        self.tell(|world| {
            format!("somebody sets {} of {} to {value:?}", FIELDS[field].0, world.name_there(system, record))
        });
        self.systems[system].modify(record, self.now, &[(field, value)], None, false);
    }

    fn create_here(&mut self, key: usize) {
        if self.platform.records.len() >= 5 {
            return;
        }
        self.typed += 1;
        let number = self.typed;
        let (cause, organization) = (self.user(), self.platform.organization);
        let id = RecordId::generate(cause.at);
        let mut record = Record::new(id, organization, CanonicalObject::Company, cause.at);
        let fields = BTreeMap::from([
            ("name".to_owned(), Value::text(format!(" Made {number} "))),
            ("domain".to_owned(), Value::text(format!("d{key}.test"))),
        ]);
        let changes = sync::edit(&mut record, fields, cause.at, &cause.actor, Reason::Edited);
        self.platform.work(cause.at, Scope::default(), |unit| unit.create(record, changes, &cause));
        self.tell(|world| {
            format!("a user makes {} with name \" Made {number} \" and domain d{key}.test", world.name(id))
        });
    }

    fn create_there(&mut self, system: usize, key: usize) {
        if self.systems[system].records.len() >= 5 {
            return;
        }
        self.typed += 1;
        let number = self.typed;
        let fields =
            [(0, Value::text(format!(" Found {number} "))), (3, Value::text(format!("d{key}.test")))];
        let record = self.systems[system].create(self.now, &fields, None);
        self.tell(|world| {
            let name = world.name_there(system, record);
            format!("somebody makes {name} with name \" Found {number} \" and domain d{key}.test")
        });
    }

    fn archive_here(&mut self, record: usize) {
        let count = self.platform.records.len();
        let Some(record) = self.platform.records.get(record % count.max(1)) else { return };
        if record.archived_at.is_some() {
            return;
        }
        let (id, cause) = (record.id, self.user());
        self.tell(|world| format!("a user archives {}", world.name(id)));
        self.platform.work(cause.at, Scope { records: vec![id], ..Scope::default() }, |unit| {
            unit.edit(id, kind::RECORD_ARCHIVED, &cause, |record| {
                record.archived_at = Some(cause.at);
                Vec::new()
            });
        });
    }

    fn delete_there(&mut self, system: usize, record: usize) {
        let count = self.systems[system].records.len();
        let record = record % count.max(1);
        if count > 0 && self.systems[system].records[record].archived.is_none() {
            self.tell(|world| format!("somebody deletes {}", world.name_there(system, record)));
            self.systems[system].delete(record, self.now);
        }
    }

    fn restore_there(&mut self, system: usize, record: usize) {
        let count = self.systems[system].records.len();
        let record = record % count.max(1);
        if count > 0 && self.systems[system].records[record].archived.is_some() {
            self.tell(|world| format!("somebody brings {} back", world.name_there(system, record)));
            self.systems[system].restore(record, self.now);
        }
    }

    pub(super) fn publish(&mut self, arrival: Arc<Arrival>) {
        self.stream.push(Arc::clone(&arrival));
        self.published.push(arrival);
    }

    pub(super) fn read(&mut self, system: usize, record: usize, lag: usize) {
        let (count, most) = (self.systems[system].records.len(), self.systems[system].profile.lag_ms);
        let lag_ms = (most * lag / 1_000) as i64;
        let record = record % count.max(1);
        let connection = self.systems[system].connection;
        // What is to be read by its id is so before the stream goes on, or after.
        let by_id = record % 2 == 1 || self.systems[system].unread().is_empty();
        if by_id && let Some(record) = self.platform.take_unread(connection) {
            if let Some(arrival) = self.systems[system].read_whole(record) {
                self.tell(|world| {
                    let name = world.name_there(system, record);
                    format!("{name} is read by its id: {}", super::say::fact(&arrival))
                });
                self.publish(arrival);
            }
            return;
        }
        if let Some(arrival) = self.systems[system].read(record, self.now, lag_ms) {
            self.tell(|world| {
                let late = if lag_ms > 0 { format!(", {lag_ms} ms late") } else { String::new() };
                format!("{} is read{late}: {}", world.name_there(system, record), super::say::fact(&arrival))
            });
            self.publish(arrival);
        }
    }

    pub(super) fn sweep(&mut self, system: usize) {
        for arrival in self.systems[system].sweep() {
            self.tell(|_| format!("the deleted are listed: {}", super::say::fact(&arrival)));
            self.publish(arrival);
        }
    }

    pub(super) fn consume(&mut self, first: usize, count: usize, end: End) {
        let mut batch = Vec::new();
        for n in 0..count.min(self.stream.len()) {
            let place = (first + n) % self.stream.len();
            batch.push(self.stream.swap_remove(place));
        }
        if end != End::Done {
            self.stream.extend(batch.iter().cloned());
        }
        for arrival in &batch {
            self.tell(|_| format!("delivered ({end:?}): {}", super::say::fact(arrival)));
        }
        if end != End::CrashBeforeCommit {
            self.commit(&batch);
        }
    }

    pub(super) fn commit(&mut self, batch: &[Arc<Arrival>]) {
        let before = (self.platform.revisions.len(), self.platform.conflicts.len());
        self.platform.consume(moment(self.now), batch);
        self.tell_decisions(before);
    }

    /// Tells what was decided since.
    fn tell_decisions(&mut self, before: (usize, usize)) {
        if self.story.is_none() {
            return;
        }
        let revisions = self.platform.revisions[before.0..].iter();
        let revisions: Vec<String> = revisions.map(|it| super::say::revision(self, it)).collect();
        let conflicts = self.platform.conflicts[before.1..].iter();
        let conflicts: Vec<String> = conflicts.map(|it| super::say::conflict(self, it)).collect();
        for line in revisions.into_iter().chain(conflicts) {
            self.tell(|_| format!("    {line}"));
        }
    }

    /// An operator replays what was delivered once: the inbox does not stand in its way.
    pub(super) fn replay(&mut self, which: usize) {
        if self.published.is_empty() {
            return;
        }
        let arrival = again(&self.published[which % self.published.len()]);
        self.tell(|_| format!("replayed: {}", super::say::fact(&arrival)));
        self.stream.push(arrival);
    }

    pub(super) fn relay(&mut self, crash: bool) {
        let outbox: Vec<_> = self.platform.outbox.iter().cloned().collect();
        if !crash {
            self.platform.outbox.clear();
        }
        for write in outbox {
            let Some(system) = self.platform.system_at(write.connection) else { continue };
            self.tell(|world| format!("asked: {}", super::say::write(world, system, &write)));
            self.systems[system].queue.push_back(write);
        }
    }

    pub(super) fn write(&mut self, system: usize, which: usize, end: WriteEnd) {
        let count = self.systems[system].queue.len();
        if count == 0 {
            return;
        }
        let place = if which.is_multiple_of(4) { which % count } else { 0 };
        let write = &self.systems[system].queue[place];
        let field =
            write.fields.keys().next().and_then(|name| super::vendor::place(name)).unwrap_or_default();
        let is_made = end != WriteEnd::RateLimited && !self.systems[system].is_answered(write.id);
        let foreign = (end == WriteEnd::EditedBehind && is_made)
            .then(|| (field, self.value(field, Typed::New, None, Value::Null, false)));
        self.make(system, place, end, foreign);
    }

    /// Makes a write that waits at this place; `behind` is what somebody sets before it is read back.
    pub(super) fn make(
        &mut self,
        system: usize,
        place: usize,
        end: WriteEnd,
        behind: Option<(usize, Value)>,
    ) {
        let write = Arc::clone(&self.systems[system].queue[place]);
        if self.systems[system].is_answered(write.id) {
            self.systems[system].queue.remove(place);
            return;
        }
        self.tell(|world| format!("made ({end:?}): {}", super::say::write(world, system, &write)));
        if end == WriteEnd::RateLimited {
            return;
        }
        let now = self.now;
        let outcome = self.systems[system].apply(&write, now, |system, record| {
            if let Some(edit) = behind {
                system.modify(record, now, &[edit], None, false);
            }
        });
        self.tell(|_| format!("    {}", super::say::outcome(&outcome)));
        if end != WriteEnd::Unknown {
            self.systems[system].answer(&write, outcome, now);
        }
        if !matches!(end, WriteEnd::Unknown | WriteEnd::CrashBeforeAck) {
            self.systems[system].queue.remove(place);
        }
    }

    pub(super) fn answer(&mut self, system: usize, crash: bool) {
        let answers: Vec<Arc<Arrival>> = self.systems[system].outbox.iter().cloned().collect();
        if !crash {
            self.systems[system].outbox.clear();
        }
        for answer in answers {
            self.publish(answer);
        }
    }

    pub(super) fn activate(&mut self, system: usize) {
        if self.platform.mappings[system].mapping.state != MappingState::Active {
            self.tell(|world| {
                format!("the mapping of {}.{system} is activated", world.systems[system].profile.name)
            });
            self.platform.set_state(system, MappingState::Active);
            self.working[system] = true;
        }
    }

    fn pause(&mut self, system: usize) {
        if self.platform.mappings[system].mapping.state == MappingState::Active && !self.working[system] {
            self.tell(|world| {
                format!("the mapping of {}.{system} is paused", world.systems[system].profile.name)
            });
            self.platform.set_state(system, MappingState::Paused);
        }
    }

    pub(super) fn work(&mut self, system: usize) {
        if !self.working[system] {
            return;
        }
        let before = (self.platform.revisions.len(), self.platform.conflicts.len());
        let now = moment(self.now);
        if self.platform.merge_staged(now, system) {
            self.tell(|_| "what was staged is merged".to_owned());
        } else if self.platform.create_there(now, system) {
            self.tell(|_| "a record that exists only here is to be made there".to_owned());
        } else {
            self.platform.check_links(now, system);
            self.working[system] = false;
        }
        self.tell_decisions(before);
    }

    fn retry(&mut self, which: usize) {
        let count = self.platform.issues.len();
        // In the order of links, because the ids of issues hold chance.
        let place = |link: LinkId| self.platform.links.iter().position(|it| it.id == link);
        let mut issues: Vec<_> = self.platform.issues.keys().collect();
        issues.sort_by_key(|(link, field)| (place(*link), field.clone()));
        let Some((id, field)) = issues.get(which % count.max(1)).map(|key| (*key).clone()) else { return };
        let Some(link) = self.platform.links.iter().find(|link| link.id == id).cloned() else { return };
        let system = self.platform.system_of(link.mapping);
        let mapping = Arc::clone(&self.platform.mappings[system]);
        if mapping.mapping.state != MappingState::Active {
            return;
        }
        let is_conflict = self.platform.issues[&(id, field.clone())].category == "conflict";
        let winner = [None, Some(true), Some(false)][which / 8 % 3].filter(|_| is_conflict);
        self.tell(|_| match winner {
            Some(crm) => format!("somebody decides about {field:?}: {}", if crm { "theirs" } else { "ours" }),
            None => format!("somebody retries an issue with {field:?}"),
        });
        let mut scope = Scope { links: vec![id], ..Scope::default() };
        if let (None, Some(staged), Some(vendor_id)) = (link.record, link.staged, link.vendor_id) {
            let keys = matching::keys_there(&mapping, &staged.fields);
            scope.vendor_records.push(Wanted {
                mapping: Arc::clone(&mapping),
                vendor_id,
                keys,
                external: None,
            });
        }
        let cause = self.user();
        let before = (self.platform.revisions.len(), self.platform.conflicts.len());
        self.platform.work(cause.at, scope, |unit| match winner {
            Some(crm) => {
                unit.decide(&mapping, id, &field, crm, &cause);
            }
            None => unit.retry(&mapping, id, &field, &cause),
        });
        self.tell_decisions(before);
    }

    fn restore_loser(&mut self, which: usize) {
        let count = self.platform.conflicts.len();
        let Some(conflict) = self.platform.conflicts.get(which % count.max(1)) else { return };
        let (record, field, lost) = (conflict.record, conflict.field.clone(), conflict.lost.clone());
        if self.platform.record(record).is_some_and(|record| record.archived_at.is_none()) {
            self.tell(|world| format!("somebody restores {lost:?} as {field} of {}", world.name(record)));
            self.set(record, &field, lost, Reason::Restored);
        }
    }

    fn reconnect(&mut self, system: usize) {
        let is_draft = self.platform.mappings[system].mapping.state == MappingState::Draft;
        if is_draft || self.systems[system].is_untold() {
            return;
        }
        self.tell(|world| format!("{}.{system} is connected anew", world.systems[system].profile.name));
        // A disconnection outlasts the answers that are on their way.
        self.answer(system, false);
        let (answers, others) = std::mem::take(&mut self.stream).into_iter().partition(|arrival| {
            matches!(&arrival.fact, Fact::Written(written) if self.platform.system_at(written.connection) == Some(system))
        });
        self.stream = others;
        let answers: Vec<Arc<Arrival>> = answers;
        self.commit(&answers);
        self.systems[system].reconnect();
        self.systems[system].queue.clear();
        let connection = self.platform.mappings[system].mapping.connection;
        self.platform.outbox.retain(|write| write.connection != connection);
        self.platform.reset(moment(self.now), system);
    }
}

pub(super) fn again(arrival: &Arc<Arrival>) -> Arc<Arrival> {
    let fact = match &arrival.fact {
        Fact::Change(change) => Fact::Change(change.clone()),
        Fact::Written(written) => Fact::Written(written.clone()),
        Fact::BackfillFinished(progress) => Fact::BackfillFinished(progress.clone()),
        Fact::Verify(told) => Fact::Verify(told.clone()),
    };
    Arc::new(Arrival { message: arrival.message.clone(), replayed: true, fact })
}
