//! A unit of work: the records and links that some facts touch, locked, changed in memory by the pure core, and
//! stored with everything that follows from it in one transaction.

mod beside;
mod differ;
mod gate;
mod load;
mod memory;
mod parents;
mod part;
mod resolve;
mod say;
mod trace;

pub(crate) use memory::Outcome;

use std::{
    collections::{BTreeMap, BTreeSet, HashMap},
    sync::Arc,
};

use bus::{Message, subject};
use jiff::Timestamp;
use model::{
    Actor, ApplyWrite, CanonicalObject, ConnectionId, IssueCategory, Lane, LinkId, MappingId, OrganizationId,
    RecordId, Value, WriteId, WriteOutcome, kind,
};
use sqlx::PgConnection;

use crate::{
    Error,
    domain::{
        cell::Record,
        health::Activity,
        mapping::{Compiled, Mapping, MappingState},
        matching,
        sync::{self, Effect, FieldChange, Link, LinkState, Seen, Staged},
    },
    mappings::Mappings,
    metrics,
    store::{self, conflicts::StoredConflict, issues::StoredIssue, parents::Named, revisions::Revision},
};

pub(crate) use self::parents::{named, names};
use beside::Beside;
use differ::Compared;
pub(crate) use differ::{Difference, Unsynced};
pub(crate) use part::Parts;
use part::Unread;
use trace::Trace;

/// The name under which the sync-engine speaks on the bus.
pub(crate) const SOURCE: &str = "sync-engine";

/// A vendor's record that a unit will touch.
#[derive(Clone, Debug)]
pub(crate) struct Wanted {
    pub(crate) mapping: Arc<Compiled>,
    pub(crate) vendor_id: String,
    /// Match keys, best first.
    pub(crate) keys: Vec<String>,
    /// The record that the vendor says it was created from.
    pub(crate) external: Option<RecordId>,
}

/// What a unit will touch.
#[derive(Clone, Debug, Default)]
pub(crate) struct Scope {
    pub(crate) vendor_records: Vec<Wanted>,
    pub(crate) links: Vec<LinkId>,
    pub(crate) records: Vec<RecordId>,
    /// Records that the vendors' ids name.
    pub(crate) parents: Vec<Named<String>>,
}

/// What caused a change.
#[derive(Clone, Debug)]
pub(crate) struct Cause {
    /// The id of the message or request.
    pub(crate) id: String,
    pub(crate) actor: String,
    /// When the edit was made.
    pub(crate) at: Timestamp,
    /// When a connector captured it, or the request was made.
    pub(crate) taken_at: Timestamp,
    /// Which way it was read, when it was.
    pub(crate) lane: Option<Lane>,
    pub(crate) vendor: Option<String>,
    pub(crate) connection: Option<ConnectionId>,
    pub(crate) traceparent: Option<String>,
}

/// A vendor's record, with where it was read.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Arrived<'a> {
    pub(crate) vendor_id: &'a str,
    pub(crate) seen: Seen<'a>,
    pub(crate) external: Option<RecordId>,
    pub(crate) lane: Lane,
    /// The digest of the fields, where all of them were shown.
    pub(crate) digest: Option<i64>,
}

struct HeldRecord {
    record: Record,
    keys: BTreeSet<String>,
    dirty: bool,
}

struct HeldLink {
    link: Link,
    dirty: bool,
}

/// A match key of one organization and object.
pub(crate) type Key = (OrganizationId, CanonicalObject, String);

/// See the module.
pub(crate) struct Unit {
    now: Timestamp,
    mappings: Mappings,
    records: HashMap<RecordId, HeldRecord>,
    links: BTreeMap<LinkId, HeldLink>,
    by_vendor: HashMap<(MappingId, String), LinkId>,
    by_record: HashMap<RecordId, Vec<LinkId>>,
    by_key: HashMap<Key, Vec<RecordId>>,
    /// What changed each record last.
    causes: HashMap<RecordId, Arc<Cause>>,
    /// Links whose write is to be worked out anew, and what caused it.
    check: BTreeMap<LinkId, Arc<Cause>>,
    revisions: Vec<Revision>,
    conflicts: Vec<StoredConflict>,
    issues: BTreeMap<(LinkId, String), StoredIssue>,
    cleared: BTreeSet<(LinkId, String)>,
    /// By connection and the vendor's object.
    activity: BTreeMap<store::activity::Of, Activity>,
    messages: Vec<Message>,
    /// What became of writes.
    trace: Trace,
    compared: Compared,
    beside: Beside,
    unread: Unread,
    parts: Parts,
    /// Records by the vendors' ids that name them, and the other way round, beside those that the unit holds.
    parents_here: HashMap<Named<String>, RecordId>,
    parents_there: HashMap<Named<RecordId>, String>,
    /// Whether the mappings must still be as they were loaded when this is stored: something was staged because one
    /// was not active, or a record was made that each active one is told of.
    verify: bool,
}

impl Unit {
    /// A record of the scope.
    pub(crate) fn record(&self, id: RecordId) -> Option<&Record> {
        self.records.get(&id).map(|held| &held.record)
    }

    /// A link of the scope.
    pub(crate) fn link(&self, id: LinkId) -> Option<&Link> {
        self.links.get(&id).map(|held| &held.link)
    }

    /// Keeps what was read for later: the mapping is not active.
    pub(crate) fn stage(&mut self, mapping: &Compiled, arrived: Arrived<'_>) {
        self.adopt(mapping, arrived);
        let id = self.vendor_link(mapping, arrived.vendor_id);
        self.remember_shown(mapping, arrived);
        let seen = arrived.seen;
        let is_gone = |link: &Link| link.state == LinkState::Detached && link.record.is_none();
        if self.link(id).is_some_and(|link| is_gone(link) && seen.version < link.seen_version) {
            return;
        }
        let parts = self.parts_of(mapping, arrived);
        let Some(held) = self.links.get_mut(&id) else { return };
        if let Some(parts) = parts {
            held.link.stage(parts.seen());
        }
        held.link.stage(seen);
        held.dirty = true;
        if held.link.record.is_none() && held.link.state != LinkState::Ignored {
            // What several records matched is asked again with the rest.
            if held.link.state == LinkState::Ambiguous {
                self.cleared.insert((id, String::new()));
            }
            held.link.state = LinkState::Staged;
        }
        self.verify = true;
    }

    /// Merges a vendor's record into its canonical one, which is found, matched or created.
    pub(crate) fn arrive(&mut self, mapping: &Arc<Compiled>, arrived: Arrived<'_>, cause: &Arc<Cause>) {
        self.merge(mapping, arrived, cause);
        self.remember_shown(mapping, arrived);
    }

    fn merge(&mut self, mapping: &Arc<Compiled>, arrived: Arrived<'_>, cause: &Arc<Cause>) {
        let compared = arrived;
        let was_synced = self.is_synced(mapping, arrived.vendor_id);
        let staged = self.take_staged(mapping, arrived.vendor_id, cause);
        let earlier = [staged, self.parts_of(mapping, arrived)].into_iter().flatten();
        let earlier = earlier.reduce(|staged, parts| Staged::join(Some(staged), parts.seen()));
        let joined = earlier.map(|earlier| Staged::join(Some(earlier), arrived.seen));
        let seen = joined.as_ref().map_or(arrived.seen, Staged::seen);
        if self.leaves_out(mapping, Arrived { seen, ..arrived }) {
            return;
        }
        let ours = self.with_our_ids(mapping, seen.fields);
        let seen = Seen { fields: ours.as_ref().unwrap_or(seen.fields), ..seen };
        let arrived = Arrived { seen, ..arrived };
        let Some(link_id) = self.resolve(mapping, arrived, cause) else { return };
        let Some(held) = self.links.get_mut(&link_id) else { return };
        let Some(record_id) = held.link.record else { return };
        let Some(record) = self.records.get_mut(&record_id) else { return };
        let should_be_known = Self::should_be_known(compared, held.link.seen_version, cause);
        let effect = sync::observe(mapping, &mut held.link, &mut record.record, arrived.seen);
        held.dirty |= effect.touched;
        if let Some(write) = held.link.shown_by(arrived.seen.version) {
            held.dirty = true;
            self.trace.shown(write, cause);
            let wanted = write.generated_at().map(Timestamp::as_millisecond);
            let round_ms = wanted.map(|wanted| self.now.as_millisecond() - wanted);
            round_ms.into_iter().for_each(|round_ms| self.activity_of(mapping).canary(round_ms));
        }
        if arrived.lane == Lane::Live && !effect.changes.is_empty() {
            let lag_ms = self.now.as_millisecond() - arrived.seen.at.as_millisecond();
            self.activity_of(mapping).lag(lag_ms);
            metrics::lag(lag_ms);
        }
        if should_be_known {
            self.compare(mapping, link_id, was_synced, &effect);
        }
        self.take(mapping, link_id, record_id, effect, cause);
    }

    /// Merges what was staged of a vendor's record.
    pub(crate) fn merge_staged(&mut self, mapping: &Arc<Compiled>, id: LinkId, cause: &Arc<Cause>) {
        let Some(vendor_id) = self.link(id).and_then(|link| link.vendor_id.clone()) else { return };
        let Some(staged) = self.take_staged(mapping, &vendor_id, cause) else { return };
        let cause = Arc::new(Cause { at: staged.at, ..Cause::clone(cause) });
        self.arrive_again(mapping, &vendor_id, staged.seen(), &cause);
    }

    /// Merges what was read of a vendor's record before.
    fn arrive_again(&mut self, mapping: &Arc<Compiled>, vendor_id: &str, seen: Seen<'_>, cause: &Arc<Cause>) {
        let known = self.by_vendor.get(&(mapping.mapping.id, vendor_id.to_owned()));
        if let Some(held) = known.and_then(|id| self.links.get_mut(id)) {
            sync::ask_again(mapping, &mut held.link, seen);
            held.dirty = true;
        }
        let arrived = Arrived { vendor_id, seen, external: None, lane: Lane::Backfill, digest: None };
        self.arrive(mapping, arrived, cause);
    }

    /// What was read of a vendor's record, when it was; ours is told first when it was found to be gone.
    fn take_staged(&mut self, mapping: &Compiled, vendor_id: &str, cause: &Arc<Cause>) -> Option<Staged> {
        let id = *self.by_vendor.get(&(mapping.mapping.id, vendor_id.to_owned()))?;
        let held = self.links.get_mut(&id)?;
        let mut staged = held.link.staged.take()?;
        held.dirty = true;
        if let Some(gone) = staged.gone.take() {
            self.let_go(mapping, id, gone, cause);
        }
        Some(staged).filter(Staged::was_read)
    }

    /// Takes the answer to a write.
    pub(crate) fn answer(
        &mut self,
        mapping: &Arc<Compiled>,
        link_id: LinkId,
        write: WriteId,
        outcome: &WriteOutcome,
        cause: &Arc<Cause>,
    ) {
        let heir = match outcome {
            WriteOutcome::Applied { vendor_id, .. }
                if self.link(link_id).is_some_and(|l| l.vendor_id.is_none()) =>
            {
                self.inherit(mapping, link_id, vendor_id)
            }
            _ => None,
        };
        let link_id = heir.unwrap_or(link_id);
        let twin = self.twin(mapping, link_id, outcome);
        let outcome = twin.as_ref().unwrap_or(outcome);
        let ours = self.answer_with_our_ids(mapping, outcome);
        let outcome = ours.as_ref().unwrap_or(outcome);
        let Some(held) = self.links.get_mut(&link_id) else { return };
        let Some(record_id) = held.link.record.filter(|_| held.link.mapping == mapping.mapping.id) else {
            return;
        };
        let Some(record) = self.records.get_mut(&record_id) else { return };
        if held.link.write == Some(write) {
            self.trace.answered(&mut held.link, write, outcome, cause);
        }
        let effect = sync::answered(mapping, &mut held.link, &mut record.record, write, outcome, cause.at);
        held.dirty |= effect.touched;
        if let Some(vendor_id) = &held.link.vendor_id {
            self.by_vendor.insert((held.link.mapping, vendor_id.clone()), link_id);
        }
        let vendor_id = held.link.vendor_id.clone();
        self.check.insert(link_id, Arc::clone(cause));
        self.take(mapping, link_id, record_id, effect, cause);
        if let Some(vendor_id) = vendor_id {
            self.merge_kept(mapping, &vendor_id, i64::MAX, cause);
        }
    }

    /// What an answer means that made a record which is linked to another one here already.
    fn twin(&self, mapping: &Compiled, link: LinkId, outcome: &WriteOutcome) -> Option<WriteOutcome> {
        let WriteOutcome::Applied { vendor_id, .. } = outcome else { return None };
        if self.link(link)?.vendor_id.is_some() {
            return None;
        }
        let other = self.by_vendor.get(&(mapping.mapping.id, vendor_id.clone()))?;
        (*other != link).then(|| WriteOutcome::Rejected {
            category: IssueCategory::Duplicate,
            message: "the vendor's record is linked to another record here already".to_owned(),
            field: None,
        })
    }

    /// Stores a new record, made here.
    pub(crate) fn create(&mut self, record: Record, changes: Vec<FieldChange>, cause: &Arc<Cause>) {
        let (id, organization, object) = (record.id, record.organization, record.object);
        self.hold(record, true);
        self.verify = true;
        self.revise(id, changes, cause, None, kind::RECORD_CREATED);
        let mappings: Vec<Arc<Compiled>> = self.mappings.of_object(organization, object).cloned().collect();
        for mapping in mappings {
            if mapping.mapping.state == MappingState::Active && mapping.creates_there() {
                self.link_here(&mapping, id, cause);
            }
        }
    }

    /// Links a record that exists only here to a record that is to be created at the vendor.
    pub(crate) fn link_here(&mut self, mapping: &Compiled, record: RecordId, cause: &Arc<Cause>) {
        let linked = self.by_record.get(&record).into_iter().flatten();
        if linked.filter_map(|id| self.links.get(id)).any(|held| held.link.mapping == mapping.mapping.id) {
            return;
        }
        if mapping.passes(self.record(record), None) == Some(false) {
            return;
        }
        let mut link = Link::new(LinkId::generate(self.now), mapping.mapping.id);
        link.record = Some(record);
        self.check.insert(link.id, Arc::clone(cause));
        self.hold_link(link, true);
    }

    /// Changes a record of the scope with pure code, and stores what it says it changed.
    pub(crate) fn edit(
        &mut self,
        id: RecordId,
        event: &'static str,
        cause: &Arc<Cause>,
        change: impl FnOnce(&mut Record) -> Vec<FieldChange>,
    ) {
        let Some(held) = self.records.get_mut(&id) else { return };
        let archived = held.record.archived_at;
        let changes = change(&mut held.record);
        if changes.is_empty() && event == kind::RECORD_CHANGED && held.record.archived_at == archived {
            return;
        }
        self.revise(id, changes, cause, None, event);
    }

    /// Leaves the vendors' records as they are when this one is archived.
    pub(crate) fn keep_there(&mut self, record: RecordId) {
        for id in self.by_record.get(&record).into_iter().flatten() {
            if let Some(held) = self.links.get_mut(id) {
                sync::keep_there(&mut held.link);
                held.dirty = true;
            }
        }
    }

    /// Works out a link's write anew.
    pub(crate) fn check(&mut self, id: LinkId, cause: &Arc<Cause>) {
        self.check.insert(id, Arc::clone(cause));
    }

    /// Offers what an issue is about again: a field, or with an empty name the record.
    pub(crate) fn retry(&mut self, mapping: &Arc<Compiled>, id: LinkId, field: &str, cause: &Arc<Cause>) {
        if self.link(id).is_some_and(|link| link.record.is_none()) {
            self.cleared.insert((id, field.to_owned()));
            self.merge_staged(mapping, id, cause);
            return;
        }
        self.unread_with_our_ids(mapping, id);
        let Some(held) = self.links.get_mut(&id) else { return };
        let Some(record_id) = held.link.record else { return };
        let Some(record) = self.records.get_mut(&record_id) else { return };
        let effect = sync::retry(mapping, &mut held.link, &mut record.record, field);
        held.dirty = true;
        self.check.insert(id, Arc::clone(cause));
        self.take(mapping, id, record_id, effect, cause);
    }

    /// Decides between ours and theirs of a field that waits for a person; false when nothing waits.
    pub(crate) fn decide(
        &mut self,
        mapping: &Arc<Compiled>,
        id: LinkId,
        field: &str,
        vendor_wins: bool,
        cause: &Arc<Cause>,
    ) -> bool {
        let Some(held) = self.links.get_mut(&id) else { return false };
        let Some(record_id) = held.link.record else { return false };
        let Some(record) = self.records.get_mut(&record_id) else { return false };
        let by = (cause.at, cause.actor.as_str());
        let decided = sync::decide_held(mapping, &mut held.link, &mut record.record, field, vendor_wins, by);
        let Some(effect) = decided else { return false };
        held.dirty = true;
        self.check.insert(id, Arc::clone(cause));
        self.take(mapping, id, record_id, effect, cause);
        true
    }

    /// Forgets a link's write in flight: the connection is gone.
    pub(crate) fn reset(&mut self, mapping: &Compiled, id: LinkId, cause: &Arc<Cause>) {
        let Some(held) = self.links.get_mut(&id) else { return };
        let Some(record_id) = held.link.record else { return };
        let Some(record) = self.records.get_mut(&record_id) else { return };
        let effect = sync::reset(mapping, &mut held.link, &mut record.record);
        held.dirty = true;
        self.take(mapping, id, record_id, effect, cause);
    }

    fn vendor_link(&mut self, mapping: &Compiled, vendor_id: &str) -> LinkId {
        if let Some(id) = self.by_vendor.get(&(mapping.mapping.id, vendor_id.to_owned())) {
            return *id;
        }
        let mut link = Link::new(LinkId::generate(self.now), mapping.mapping.id);
        link.vendor_id = Some(vendor_id.to_owned());
        let id = link.id;
        self.hold_link(link, true);
        id
    }

    fn activity_of(&mut self, mapping: &Compiled) -> &mut Activity {
        let Mapping { organization, connection, ref vendor_object, .. } = mapping.mapping;
        let of = store::activity::Of { connection, vendor_object: vendor_object.clone(), organization };
        self.activity.entry(of).or_default()
    }

    fn take(
        &mut self,
        mapping: &Compiled,
        link: LinkId,
        record: RecordId,
        effect: Effect,
        cause: &Arc<Cause>,
    ) {
        if effect.disguised {
            let (connection, object) = (mapping.mapping.connection, &mapping.mapping.vendor_object);
            tracing::debug!(%connection, object, "the vendor calls ours what somebody else edited: it is taken as theirs");
        }
        self.activity_of(mapping).count(&effect);
        for field in effect.cleared {
            self.cleared.insert((link, field));
        }
        let ahead = i64::from(!effect.changes.is_empty());
        for conflict in effect.conflicts {
            self.record_conflict(mapping, record, conflict, ahead, cause);
        }
        for trouble in effect.troubles {
            self.trouble(mapping, link, trouble);
        }
        let is_new = self.records.get(&record).is_some_and(|held| held.record.version == 0);
        if is_new {
            self.revise(record, effect.changes, cause, Some(mapping), kind::RECORD_CREATED);
        } else if !effect.changes.is_empty() || effect.restored {
            self.revise(record, effect.changes, cause, Some(mapping), kind::RECORD_CHANGED);
        } else {
            self.check.insert(link, Arc::clone(cause));
        }
    }

    /// Works out the writes that follow from where the links stand now.
    fn write_out(&mut self) {
        for (id, cause) in std::mem::take(&mut self.check) {
            let Some(held) = self.links.get_mut(&id) else { continue };
            let Some(mapping) = self.mappings.get(held.link.mapping).cloned() else { continue };
            let Some(record) = held.link.record.and_then(|record| self.records.get(&record)) else {
                continue;
            };
            if mapping.mapping.state != MappingState::Active {
                continue;
            }
            let write = WriteId::generate(self.now);
            let next = sync::next_write(&mapping, &mut held.link, &record.record, write);
            held.dirty |= next.write.is_some() || !next.troubles.is_empty() || !next.cleared.is_empty();
            self.cleared.extend(next.cleared.into_iter().map(|field| (id, field)));
            for trouble in next.troubles {
                self.trouble(&mapping, id, trouble);
            }
            if let Some(write) = next.write.and_then(|write| self.with_vendor_ids(&mapping, write)) {
                self.ask(&mapping, &write, &cause);
            }
        }
    }

    /// Asks for a write. One that no message can carry is refused here, as the vendor would.
    fn ask(&mut self, mapping: &Arc<Compiled>, write: &ApplyWrite, cause: &Arc<Cause>) {
        let Mapping { vendor, organization, connection, vendor_object, .. } = &mapping.mapping;
        let subject = subject::write(vendor, subject::partition(connection), organization, vendor_object);
        if self.say(subject, kind::WRITE, *organization, write, cause, write.id.to_string()) {
            let link = self.links.get(&write.link).map(|held| &held.link);
            let version = self.records.get(&write.record).map_or(0, |held| held.record.version);
            self.trace.asked(mapping, link, version, write, cause, self.now);
            self.unsent(mapping, write.link, cause, &write.fields);
            return;
        }
        let outcome = WriteOutcome::Rejected {
            category: IssueCategory::Value,
            message: "the values are too large to be sent together".to_owned(),
            field: None,
        };
        let Some(held) = self.links.get_mut(&write.link) else { return };
        let Some(record) = self.records.get_mut(&write.record) else { return };
        let effect =
            sync::answered(mapping, &mut held.link, &mut record.record, write.id, &outcome, write.edited_at);
        for trouble in effect.troubles {
            self.trouble(mapping, write.link, trouble);
        }
    }

    /// Stores everything in the transaction.
    pub(crate) async fn flush(mut self, tx: &mut PgConnection) -> Result<(), Error> {
        self.admit();
        self.load_parents_there(tx).await?;
        self.write_out();
        let waiting = self.waiting();
        let dirty: Vec<&Record> =
            self.records.values().filter(|held| held.dirty).map(|held| &held.record).collect();
        store::records::put(tx, &dirty).await?;
        let rekeyed: Vec<(&Record, BTreeSet<String>)> = self
            .records
            .values()
            .filter(|held| held.dirty)
            .map(|held| (&held.record, matching::keys_of(&held.record), &held.keys))
            .filter(|(_, keys, before)| keys != *before)
            .map(|(record, keys, _)| (record, keys))
            .collect();
        store::records::put_keys(tx, &rekeyed).await?;
        let mut links: Vec<&Link> =
            self.links.values().filter(|held| held.dirty).map(|held| &held.link).collect();
        // A link that let go of its record goes first, so that another one can have it.
        links.sort_by_key(|link| link.record.is_some());
        store::links::put(tx, &links).await?;
        store::revisions::append(tx, &self.revisions).await?;
        store::conflicts::append(tx, &self.conflicts).await?;
        self.trace.store(tx).await?;
        let issues: Vec<StoredIssue> = self.issues.into_values().collect();
        store::issues::open(tx, &issues).await?;
        store::parents::wait(tx, &waiting).await?;
        let cleared: Vec<(LinkId, String)> = self.cleared.into_iter().collect();
        store::issues::clear(tx, &cleared, self.now).await?;
        store::activity::add(tx, self.now, &self.activity).await?;
        self.activity.values().for_each(metrics::count);
        self.messages.extend(self.unread.messages(self.now)?);
        bus::outbox::enqueue(tx, &self.messages).await?;
        self.compared.store(tx, self.now).await?;
        self.parts.store(tx).await?;
        if self.verify && !store::mappings::hold(tx, &self.mappings.heads()).await? {
            return Err(Error::Moved);
        }
        // With the mapping in hand, as whoever plans or applies its changes has it.
        self.beside.store(tx).await
    }
}

impl Cause {
    /// A connection's vendor said so, in this message.
    pub(crate) fn vendor(
        message: &bus::Envelope,
        connection: ConnectionId,
        vendor: &str,
        at: Timestamp,
    ) -> Self {
        Self {
            id: message.id.clone(),
            actor: Actor::Connection(connection).to_string(),
            at,
            taken_at: at,
            lane: None,
            vendor: Some(vendor.to_owned()),
            connection: Some(connection),
            traceparent: message.traceparent.clone(),
        }
    }
}

/// The fields of a record that are not blank, for a first revision.
pub(crate) fn non_blank(fields: BTreeMap<String, Value>) -> BTreeMap<String, Value> {
    fields.into_iter().filter(|(_, value)| !value.is_blank()).collect()
}
