//! A vendor's side: records with the history of their fields, a clock of its own, an index that is late, and a
//! connector that reads it and makes writes.

use std::{
    collections::{BTreeMap, HashMap, HashSet, VecDeque},
    sync::Arc,
};

use bus::{Envelope, Message};
use jiff::Timestamp;
use model::{
    ApplyWrite, ChangeEvent, ChangeKind, ConnectionId, CoveredValue, IssueCategory, Lane, OrganizationId,
    RecordId, Value, WriteId, WriteKind, WriteOutcome, Written, kind,
};

use super::{
    plan::FIELDS,
    profile::{Feed, Guard, Profile},
};
use crate::consumer::{Arrival, Fact};

/// A value that a field had.
#[derive(Clone, Debug)]
pub(super) struct Entry {
    pub(super) value: Value,
    /// By the vendor's clock, in milliseconds.
    pub(super) at: i64,
    /// Our write that set it; none when a person did.
    pub(super) write: Option<WriteId>,
}

/// A vendor's record.
#[derive(Clone, Debug)]
pub(super) struct There {
    /// The values of each field, the newest last.
    pub(super) fields: [Vec<Entry>; FIELDS.len()],
    /// When it was modified, by the vendor's clock, and the versions that came of it.
    modified: Vec<(i64, i64)>,
    /// The version of its deletion.
    pub(super) archived: Option<i64>,
    was_deleted: bool,
    /// The record of ours that it was made from.
    pub(super) external: Option<RecordId>,
    /// The newest version that was read.
    pub(super) read: i64,
    /// The deletion that was read.
    swept: Option<i64>,
}

impl There {
    pub(super) fn now(&self, field: usize) -> &Value {
        self.fields[field].last().map_or(&Value::Null, |entry| &entry.value)
    }

    /// Whether it was ever deleted.
    pub(super) const fn was_deleted(&self) -> bool {
        self.was_deleted
    }

    /// When it was modified last.
    pub(super) fn last_at(&self) -> i64 {
        self.last().0
    }

    /// When it was modified last, and the version that came of it.
    pub(super) fn last(&self) -> (i64, i64) {
        self.modified.last().copied().unwrap_or_default()
    }
}

/// See the module.
#[derive(Clone, Debug)]
pub(super) struct System {
    pub(super) index: usize,
    pub(super) profile: &'static Profile,
    skew_ms: i64,
    organization: OrganizationId,
    pub(super) connection: ConnectionId,
    pub(super) records: Vec<There>,
    /// Writes that wait to be made.
    pub(super) queue: VecDeque<Arc<ApplyWrite>>,
    answered: HashSet<WriteId>,
    /// Answers that are stored and not published yet.
    pub(super) outbox: VecDeque<Arc<Arrival>>,
    /// Changes that wait to be read, where they are a stream.
    pub(super) feed: VecDeque<Arc<Arrival>>,
    position: i64,
    /// What writes covered, where the connector keeps it until they are answered.
    pub(super) covered: HashMap<WriteId, BTreeMap<String, CoveredValue>>,
    /// Grows when the connection is made anew: what is read then has other ids.
    generation: u32,
    /// How many records were read by their ids.
    reads: u32,
}

impl System {
    pub(super) fn new(
        index: usize,
        profile: &'static Profile,
        skew_ms: i64,
        organization: OrganizationId,
        connection: ConnectionId,
    ) -> Self {
        Self {
            index,
            profile,
            skew_ms,
            organization,
            connection,
            records: Vec::new(),
            queue: VecDeque::new(),
            answered: HashSet::new(),
            outbox: VecDeque::new(),
            feed: VecDeque::new(),
            position: 0,
            covered: HashMap::new(),
            generation: 0,
            reads: 0,
        }
    }

    fn clock(&self, now: i64) -> i64 {
        now + self.skew_ms
    }

    fn version(&mut self, at: i64) -> i64 {
        match self.profile.feed {
            Feed::Stream => {
                self.position += 1;
                self.position
            }
            Feed::Listing => at - at.rem_euclid(self.profile.tick_ms),
        }
    }

    /// Somebody makes a record there.
    pub(super) fn create(
        &mut self,
        now: i64,
        fields: &[(usize, Value)],
        external: Option<RecordId>,
    ) -> usize {
        self.records.push(There {
            fields: std::array::from_fn(|_| Vec::new()),
            modified: Vec::new(),
            archived: None,
            was_deleted: false,
            external,
            read: i64::MIN,
            swept: None,
        });
        let made = self.records.len() - 1;
        self.modify(made, now, fields, None, true);
        made
    }

    /// Fields are set there; what does not differ is not modified.
    pub(super) fn modify(
        &mut self,
        record: usize,
        now: i64,
        fields: &[(usize, Value)],
        write: Option<WriteId>,
        always: bool,
    ) {
        let at = self.clock(now).max(self.records[record].last().0 + 1);
        let mut changed = BTreeMap::new();
        for (field, value) in fields {
            let value = self.profile.stores(FIELDS[*field].1, value);
            let there = &mut self.records[record];
            if *there.now(*field) != value {
                changed.insert(FIELDS[*field].0.to_owned(), value.clone());
                there.fields[*field].push(Entry { value, at, write });
            }
        }
        if changed.is_empty() && !always {
            return;
        }
        let version = self.version(at);
        self.records[record].modified.push((at, version));
        if self.profile.feed == Feed::Stream {
            let fields = if always { self.whole(record) } else { changed };
            let arrival = self.change(record, ChangeKind::Upserted, version, at, fields);
            self.feed.push_back(arrival);
        }
    }

    fn whole(&self, record: usize) -> BTreeMap<String, Value> {
        let there = &self.records[record];
        FIELDS.iter().enumerate().map(|(i, (name, _))| ((*name).to_owned(), there.now(i).clone())).collect()
    }

    /// Somebody deletes a record there.
    pub(super) fn delete(&mut self, record: usize, now: i64) {
        let at = self.clock(now).max(self.records[record].last().0 + 1);
        let version = self.version(at);
        self.records[record].archived = Some(version);
        self.records[record].was_deleted = true;
        if self.profile.feed == Feed::Stream {
            let arrival = self.change(record, ChangeKind::Deleted, version, at, BTreeMap::new());
            self.feed.push_back(arrival);
        }
    }

    /// Somebody brings a deleted record back; whether that moves its version, vendors do not agree on: here it does,
    /// a tick later at the earliest.
    pub(super) fn restore(&mut self, record: usize, now: i64) {
        let at = self.clock(now).max(self.records[record].last().0 + 1);
        let Some(deleted) = self.records[record].archived else { return };
        if self.profile.feed == Feed::Listing && at - at.rem_euclid(self.profile.tick_ms) <= deleted {
            return;
        }
        self.records[record].archived = None;
        let version = self.version(at);
        self.records[record].modified.push((at, version));
        if self.profile.feed == Feed::Stream {
            let arrival = self.change(record, ChangeKind::Upserted, version, at, self.whole(record));
            self.feed.push_back(arrival);
        }
    }

    /// What reading shows: of a listing, a record as the index has it; of a stream, the next change.
    pub(super) fn read(&mut self, record: usize, now: i64, lag_ms: i64) -> Option<Arc<Arrival>> {
        if self.profile.feed == Feed::Stream {
            return self.feed.pop_front();
        }
        let (tick, clock) = (self.profile.tick_ms, self.clock(now) - lag_ms);
        // A tick that is not over is withheld.
        let until = if tick == 1 { clock } else { clock - clock.rem_euclid(tick) - 1 };
        let there = self.records.get(record).filter(|there| there.archived.is_none_or(|at| until < at))?;
        let (at, version) = there.modified.iter().rev().find(|(at, _)| *at <= until).copied()?;
        let value = |history: &Vec<Entry>| {
            history.iter().rev().find(|entry| entry.at <= until).map_or(Value::Null, |e| e.value.clone())
        };
        let fields =
            FIELDS.iter().zip(&there.fields).map(|((name, _), h)| ((*name).to_owned(), value(h))).collect();
        let there = &mut self.records[record];
        there.read = there.read.max(version);
        Some(self.change(record, ChangeKind::Upserted, version, at, fields))
    }

    /// The deletions that were not read yet, where they are listed.
    pub(super) fn sweep(&mut self) -> Vec<Arc<Arrival>> {
        if self.profile.feed == Feed::Stream {
            return Vec::new();
        }
        let mut deleted = Vec::new();
        for record in 0..self.records.len() {
            let there = &mut self.records[record];
            if let Some(version) = there.archived.filter(|version| there.swept != Some(*version)) {
                there.swept = Some(version);
                deleted.push(self.change(record, ChangeKind::Deleted, version, version, BTreeMap::new()));
            }
        }
        deleted
    }

    /// Records that were modified since they were read, and whether there is anything else to read.
    pub(super) fn unread(&self) -> Vec<usize> {
        let records = self.records.iter().enumerate();
        if self.profile.feed == Feed::Stream {
            return self.feed.iter().map(|_| 0).collect();
        }
        let unread = records.filter(|(_, there)| there.archived.is_none() && there.read < there.last().1);
        unread.map(|(index, _)| index).collect()
    }

    /// All is read again, because nobody looked for a while.
    pub(super) fn reconnect(&mut self) {
        self.generation += 1;
        for there in &mut self.records {
            there.read = i64::MIN;
            there.swept = None;
        }
        if self.profile.feed == Feed::Stream {
            self.feed.clear();
            for record in 0..self.records.len() {
                let there = &self.records[record];
                let (at, version) = there.last();
                let (what, version, fields) = match there.archived {
                    Some(version) => (ChangeKind::Deleted, version, BTreeMap::new()),
                    None => (ChangeKind::Upserted, version, self.whole(record)),
                };
                let arrival = self.change(record, what, version, at, fields);
                self.feed.push_back(arrival);
            }
        }
    }

    fn change(
        &self,
        record: usize,
        what: ChangeKind,
        version: i64,
        at: i64,
        fields: BTreeMap<String, Value>,
    ) -> Arc<Arrival> {
        self.change_told(record, what, version, at, fields, self.generation.into())
    }

    /// The same, when it is told for another reason.
    fn change_told(
        &self,
        record: usize,
        what: ChangeKind,
        version: i64,
        at: i64,
        fields: BTreeMap<String, Value>,
        told: u64,
    ) -> Arc<Arrival> {
        let change = ChangeEvent {
            connection: self.connection,
            vendor: self.profile.name.to_owned(),
            object: "companies".to_owned(),
            id: (record + 1).to_string(),
            kind: what,
            version,
            changed_at: moment(at),
            captured_at: moment(at),
            lane: Lane::Live,
            is_partial: what == ChangeKind::Upserted && fields.len() < FIELDS.len(),
            field_times: self.field_times(record, at, &fields),
            fields,
            external_id: self.records[record].external.map(|id| id.to_string()),
            merged_ids: Vec::new(),
            // A hint that is right by chance: nothing may rest on it.
            says_ours: (version + at) % 2 == 0,
            people: None,
        };
        let id = format!("{}/{}/{version}/{what:?}/{told}", self.index, change.id);
        Arc::new(self.arrival(id, kind::CHANGE, at, Fact::Change(change)))
    }

    /// A record as it is, read by its id; none when it is not there.
    pub(super) fn read_whole(&mut self, record: usize) -> Option<Arc<Arrival>> {
        let there = self.records.get(record).filter(|there| there.archived.is_none())?;
        let (at, version) = there.last();
        self.reads += 1;
        let told = u64::from(self.reads) << 32;
        Some(self.change_told(record, ChangeKind::Upserted, version, at, self.whole(record), told))
    }

    /// When these values of a record were set that was modified at this moment last, where the vendor tells it.
    fn field_times(
        &self,
        record: usize,
        modified: i64,
        fields: &BTreeMap<String, Value>,
    ) -> BTreeMap<String, Timestamp> {
        if !self.profile.dates_fields {
            return BTreeMap::new();
        }
        let set = |(name, value): (&String, &Value)| {
            let mut history = self.records[record].fields[place(name)?].iter().rev();
            let entry = history.find(|entry| entry.at <= modified && entry.value == *value)?;
            Some((name.clone(), moment(entry.at)))
        };
        fields.iter().filter_map(set).collect()
    }

    fn arrival(&self, id: String, kind: &str, at: i64, fact: Fact) -> Arrival {
        let envelope = Envelope {
            id,
            source: String::new(),
            kind: kind.to_owned(),
            time: moment(at),
            organization: self.organization,
            cause: None,
            actor: None,
            traceparent: None,
        };
        let message = Message { subject: String::new(), envelope, body: Default::default() };
        Arrival { message, replayed: false, fact }
    }

    /// Whether it was ever connected anew, so that nobody knows any more what was in flight.
    pub(super) const fn is_reconnected(&self) -> bool {
        self.generation > 0
    }

    /// Whether a write covered something and its answer is not stored yet.
    pub(super) fn is_untold(&self) -> bool {
        self.queue.iter().any(|write| self.covered.contains_key(&write.id) && !self.is_answered(write.id))
    }

    /// Whether a write was answered before, so that it must not be made again.
    pub(super) fn is_answered(&self, write: WriteId) -> bool {
        self.answered.contains(&write)
    }

    /// Stores the answer to a write.
    pub(super) fn answer(&mut self, write: &ApplyWrite, outcome: WriteOutcome, now: i64) {
        self.answered.insert(write.id);
        let written = Written {
            write: write.id,
            connection: write.connection,
            vendor: self.profile.name.to_owned(),
            object: write.object.clone(),
            mapping: write.mapping,
            link: write.link,
            record: write.record,
            at: moment(now),
            outcome,
        };
        let arrival = self.arrival(write.id.to_string(), kind::WRITTEN, now, Fact::Written(written));
        self.outbox.push_back(Arc::new(arrival));
    }

    /// Carries a write out, and says which record it was for and what the vendor has then; `behind` is an edit that
    /// somebody makes before the connector reads the record back.
    pub(super) fn apply(
        &mut self,
        write: &ApplyWrite,
        now: i64,
        behind: impl FnOnce(&mut Self, usize),
    ) -> WriteOutcome {
        let record = match &write.write {
            WriteKind::Update { id, .. } | WriteKind::Archive { id } => {
                id.parse::<usize>().ok().map(|id| id - 1)
            }
            WriteKind::Create { .. } => self
                .records
                .iter()
                .position(|there| there.external == Some(write.record) && there.archived.is_none()),
        };
        let gone = record.is_some_and(|record| self.records[record].archived.is_some());
        if let (WriteKind::Archive { id }, Some(record)) = (&write.write, record) {
            return self.archive(record, id, now);
        }
        let updates = matches!(write.write, WriteKind::Update { .. });
        if gone || (updates && record.is_none()) {
            return rejected(IssueCategory::Missing, None);
        }
        if let Some((name, _)) = write.fields.iter().find(|(_, value)| self.profile.refuses(value)) {
            let field = self.profile.names_field.then(|| name.clone());
            return rejected(IssueCategory::Validation, field);
        }
        let fields: Vec<(usize, Value)> =
            write.fields.iter().filter_map(|(name, value)| Some((place(name)?, value.clone()))).collect();
        let before: Option<There> = record.map(|record| self.records[record].clone());
        let record = match record {
            Some(record) => {
                self.modify(record, now, &fields, Some(write.id), self.profile.idle_write_moves);
                record
            }
            None => {
                let made = self.create(now, &[], Some(write.record));
                let at = self.records[made].last().0;
                for (field, value) in &fields {
                    let value = self.profile.stores(FIELDS[*field].1, value);
                    self.records[made].fields[*field].push(Entry { value, at, write: Some(write.id) });
                }
                self.retell(made);
                made
            }
        };
        self.note_covered(write, before.as_ref(), record, &fields);
        let stored = self.stored(record, &fields);
        if self.profile.guard == Guard::History {
            behind(self, record);
        }
        WriteOutcome::Applied {
            vendor_id: (record + 1).to_string(),
            version: self.records[record].last().1,
            fields: stored,
            covered: self.covered.get(&write.id).cloned().unwrap_or_default(),
        }
    }

    fn archive(&mut self, record: usize, vendor_id: &str, now: i64) -> WriteOutcome {
        if self.records[record].archived.is_none() {
            self.delete(record, now);
        }
        WriteOutcome::Applied {
            vendor_id: vendor_id.to_owned(),
            version: self.records[record].archived.unwrap_or_default(),
            fields: BTreeMap::new(),
            covered: BTreeMap::new(),
        }
    }

    /// A record that was just made is in the stream with all its fields.
    fn retell(&mut self, record: usize) {
        if self.profile.feed == Feed::Stream {
            self.feed.pop_back();
            let (at, version) = self.records[record].last();
            let arrival = self.change(record, ChangeKind::Upserted, version, at, self.whole(record));
            self.feed.push_back(arrival);
        }
    }

    fn stored(&self, record: usize, fields: &[(usize, Value)]) -> BTreeMap<String, Value> {
        let stored = |field: &usize| (FIELDS[*field].0.to_owned(), self.records[record].now(*field).clone());
        fields.iter().map(|(field, _)| stored(field)).collect()
    }

    /// Notes the values of people that a write covered although they were not expected.
    fn note_covered(
        &mut self,
        write: &ApplyWrite,
        before: Option<&There>,
        record: usize,
        fields: &[(usize, Value)],
    ) {
        let Some(before) = before else { return };
        for (field, _) in fields {
            let name = FIELDS[*field].0;
            let stored = self.records[record].now(*field);
            let entry = match self.profile.guard {
                Guard::Precondition => before.fields[*field].last(),
                Guard::History => {
                    let history = &self.records[record].fields[*field];
                    let ours = history.iter().rposition(|entry| entry.write == Some(write.id));
                    ours.and_then(|ours| history.get(ours.checked_sub(1)?))
                }
            };
            let Some(entry) = entry.filter(|entry| entry.value != *stored) else { continue };
            let foreign = match &write.write {
                WriteKind::Update { expected, .. } => {
                    expected.get(name).is_some_and(|expected| *expected != entry.value)
                }
                WriteKind::Create { .. } | WriteKind::Archive { .. } => entry.write.is_none(),
            };
            if foreign {
                let value = CoveredValue { value: entry.value.clone(), at: moment(entry.at) };
                self.covered.entry(write.id).or_default().insert(name.to_owned(), value);
            }
        }
    }
}

fn rejected(category: IssueCategory, field: Option<String>) -> WriteOutcome {
    WriteOutcome::Rejected { category, message: "the vendor refuses it".to_owned(), field }
}

/// The place of a field.
pub(super) fn place(name: &str) -> Option<usize> {
    FIELDS.iter().position(|(field, _)| *field == name)
}

/// A moment in milliseconds.
pub(super) fn moment(ms: i64) -> Timestamp {
    Timestamp::from_millisecond(ms).unwrap_or_default()
}
