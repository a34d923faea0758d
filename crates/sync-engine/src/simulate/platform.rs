//! Our side: what the sync-engine stores, held in memory, and its units of work over it. It reads and stores what
//! `unit/load.rs` and `Unit::flush` read and store, and decides nothing.

use std::{
    collections::{BTreeMap, BTreeSet, HashMap, HashSet, VecDeque},
    sync::Arc,
};

use jiff::Timestamp;
use model::{
    Actor, ApplyWrite, CanonicalObject, ConnectionId, LinkId, MappingId, OrganizationId, RecordId, kind,
};
use uuid::Uuid;

use super::{plan::Plan, setup};
use crate::{
    consumer::{self, Arrival},
    domain::{
        cell::Record,
        mapping::{Compiled, MappingState},
        matching,
        sync::{Link, LinkState, Staged},
    },
    mappings::Mappings,
    store::{conflicts::StoredConflict, issues::StoredIssue, parts::Place, revisions::Revision},
    unit::{Cause, Outcome, Parts, Scope, Unit, Wanted},
};

/// See the module.
#[derive(Clone, Debug)]
pub(super) struct Platform {
    pub(super) organization: OrganizationId,
    /// The mapping of each system, by its place.
    pub(super) mappings: Vec<Arc<Compiled>>,
    pub(super) records: Vec<Record>,
    places: HashMap<RecordId, usize>,
    keys: Vec<BTreeSet<String>>,
    pub(super) links: Vec<Link>,
    inbox: HashSet<String>,
    pub(super) outbox: VecDeque<Arc<ApplyWrite>>,
    /// The vendors' records that are to be read.
    unread: BTreeSet<(ConnectionId, String)>,
    /// What is kept of records that came in parts.
    parts: BTreeMap<Place, Staged>,
    /// All writes that were ever asked for.
    pub(super) asked: Vec<Arc<ApplyWrite>>,
    pub(super) issues: BTreeMap<(LinkId, String), StoredIssue>,
    pub(super) conflicts: Vec<StoredConflict>,
    pub(super) revisions: Vec<Revision>,
}

impl Platform {
    pub(super) fn new(plan: &Plan) -> Self {
        let organization = OrganizationId::from_uuid(Uuid::nil());
        let mappings = plan.systems.iter().enumerate();
        Self {
            organization,
            mappings: mappings.map(|(i, it)| Arc::new(setup::compiled(organization, i, it))).collect(),
            records: Vec::new(),
            places: HashMap::new(),
            keys: Vec::new(),
            links: Vec::new(),
            inbox: HashSet::new(),
            outbox: VecDeque::new(),
            unread: BTreeSet::new(),
            parts: BTreeMap::new(),
            asked: Vec::new(),
            issues: BTreeMap::new(),
            conflicts: Vec::new(),
            revisions: Vec::new(),
        }
    }

    /// Whether this was handled before, so that it means nothing when it comes again.
    pub(super) fn knows(&self, arrival: &Arrival) -> bool {
        !arrival.replayed && self.inbox.contains(&arrival.message.envelope.id)
    }

    pub(super) fn record(&self, id: RecordId) -> Option<&Record> {
        self.places.get(&id).map(|place| &self.records[*place])
    }

    pub(super) fn place_of(&self, id: RecordId) -> Option<usize> {
        self.places.get(&id).copied()
    }

    /// The link of a system's record.
    pub(super) fn link_of(&self, system: usize, record: usize) -> Option<&Link> {
        let (mapping, id) = (self.mappings[system].mapping.id, (record + 1).to_string());
        self.find(mapping, &id)
    }

    /// The link of a record at a system.
    pub(super) fn link_to(&self, system: usize, record: RecordId) -> Option<&Link> {
        let mapping = self.mappings[system].mapping.id;
        self.links.iter().find(|link| link.mapping == mapping && link.record == Some(record))
    }

    fn find(&self, mapping: MappingId, vendor_id: &str) -> Option<&Link> {
        self.links.iter().find(|link| link.mapping == mapping && link.vendor_id.as_deref() == Some(vendor_id))
    }

    fn active(&self) -> Mappings {
        Mappings::of(self.mappings.clone())
    }

    /// Consumes facts in one transaction, those aside that were handled before.
    pub(super) fn consume(&mut self, now: Timestamp, arrivals: &[Arc<Arrival>]) {
        let mut fresh: Vec<&Arrival> = Vec::new();
        let mut ids = Vec::new();
        for arrival in arrivals {
            let id = &arrival.message.envelope.id;
            if ids.contains(id) || self.knows(arrival) {
                continue;
            }
            ids.push(id.clone());
            fresh.push(arrival);
        }
        if fresh.is_empty() {
            return;
        }
        let mappings = self.active();
        let mut unit = self.unit(now, consumer::scope(&mappings, &fresh));
        for arrival in fresh {
            consumer::apply(&mut unit, &mappings, arrival);
        }
        self.inbox.extend(ids);
        self.store(unit.into_outcome());
    }

    /// Does a unit of work and stores what comes of it.
    pub(super) fn work(&mut self, now: Timestamp, scope: Scope, work: impl FnOnce(&mut Unit)) {
        let mut unit = self.unit(now, scope);
        work(&mut unit);
        self.store(unit.into_outcome());
    }

    /// Merges one record that was staged before the mapping was activated; false when none is.
    pub(super) fn merge_staged(&mut self, now: Timestamp, system: usize) -> bool {
        let mapping = Arc::clone(&self.mappings[system]);
        let staged = self.links.iter().find(|link| {
            link.mapping == mapping.mapping.id
                && link.staged.is_some()
                && !matches!(link.state, LinkState::Ambiguous | LinkState::Filtered | LinkState::Ignored)
        });
        let Some((link, Some(staged), Some(vendor_id))) =
            staged.map(|link| (link.id, link.staged.as_ref(), link.vendor_id.clone()))
        else {
            return false;
        };
        let keys = matching::keys_there(&mapping, &staged.fields);
        let wanted = Wanted { mapping: Arc::clone(&mapping), vendor_id, keys, external: None };
        let cause = self.cause(&mapping, now);
        self.work(now, Scope { vendor_records: vec![wanted], ..Scope::default() }, |unit| {
            unit.merge_staged(&mapping, link, &cause);
        });
        true
    }

    /// Asks for the creation of a record at a system where it is not linked yet; false when there is none.
    pub(super) fn create_there(&mut self, now: Timestamp, system: usize) -> bool {
        let mapping = Arc::clone(&self.mappings[system]);
        if !mapping.creates_there() {
            return false;
        }
        let unlinked = self
            .records
            .iter()
            .find(|record| record.archived_at.is_none() && self.link_to(system, record.id).is_none());
        let Some(record) = unlinked.map(|record| record.id) else { return false };
        let cause = self.cause(&mapping, now);
        self.work(now, Scope { records: vec![record], ..Scope::default() }, |unit| {
            unit.link_here(&mapping, record, &cause);
        });
        true
    }

    /// Works out the writes of a system's links anew.
    pub(super) fn check_links(&mut self, now: Timestamp, system: usize) {
        let mapping = Arc::clone(&self.mappings[system]);
        let links = self.links.iter().filter(|link| link.mapping == mapping.mapping.id);
        let links: Vec<LinkId> = links.map(|link| link.id).collect();
        let cause = self.cause(&mapping, now);
        self.work(now, Scope { links: links.clone(), ..Scope::default() }, |unit| {
            links.iter().for_each(|link| unit.reconsider(&mapping, *link, &cause));
        });
    }

    /// The connection was made anew: nothing is in flight any more.
    pub(super) fn reset(&mut self, now: Timestamp, system: usize) {
        let mapping = Arc::clone(&self.mappings[system]);
        let unsettled = |link: &&Link| {
            let auth = |((id, _), issue): (&(LinkId, String), &StoredIssue)| {
                *id == link.id && issue.category == "auth"
            };
            link.mapping == mapping.mapping.id && (link.write.is_some() || self.issues.iter().any(auth))
        };
        let links: Vec<LinkId> = self.links.iter().filter(unsettled).map(|link| link.id).collect();
        let cause = self.cause(&mapping, now);
        self.work(now, Scope { links: links.clone(), ..Scope::default() }, |unit| {
            links.iter().for_each(|link| unit.reset(&mapping, *link, &cause));
        });
    }

    /// Puts a system's mapping into another state.
    pub(super) fn set_state(&mut self, system: usize, state: MappingState) {
        let mapping = Arc::make_mut(&mut self.mappings[system]);
        mapping.mapping.state = state;
        mapping.mapping.revision += 1;
    }

    pub(super) fn cause(&self, mapping: &Compiled, at: Timestamp) -> Arc<Cause> {
        Arc::new(Cause {
            id: "applied".to_owned(),
            actor: Actor::Service("sync-engine").to_string(),
            at,
            taken_at: at,
            lane: None,
            vendor: Some(mapping.mapping.vendor.clone()),
            connection: Some(mapping.mapping.connection),
            traceparent: None,
        })
    }

    /// Loads what a scope touches, as [`Unit::load`] does from the database.
    fn unit(&self, now: Timestamp, mut scope: Scope) -> Unit {
        let parts = Parts::held(self.parts.clone(), &mut scope);
        let found: Vec<Option<&Link>> = scope
            .vendor_records
            .iter()
            .map(|wanted| self.find(wanted.mapping.mapping.id, &wanted.vendor_id))
            .collect();
        let creating = scope.vendor_records.iter().zip(&found).any(|(wanted, found)| {
            let active = wanted.mapping.mapping.state == MappingState::Active;
            found.is_none_or(|found| active && found.record.is_none())
        });
        let mut records: BTreeSet<usize> = scope.records.iter().filter_map(|id| self.place_of(*id)).collect();
        let mut keys = Vec::new();
        if creating {
            for (wanted, found) in scope.vendor_records.iter().zip(&found) {
                if found.is_some_and(|found| found.record.is_some()) {
                    continue;
                }
                for key in &wanted.keys {
                    let key = (self.organization, CanonicalObject::Company, key.clone());
                    let holders = self.keys.iter().enumerate().filter(|(_, keys)| keys.contains(&key.2));
                    for (place, _) in holders {
                        let named = (key.clone(), self.records[place].id);
                        if !keys.contains(&named) {
                            keys.push(named);
                        }
                        records.insert(place);
                    }
                }
            }
        }
        let links: Vec<LinkId> =
            scope.links.iter().copied().chain(found.iter().flatten().map(|link| link.id)).collect();
        let of_links = self.links.iter().filter(|link| scope.links.contains(&link.id));
        records.extend(of_links.filter_map(|link| self.place_of(link.record?)));
        records.extend(found.iter().flatten().filter_map(|link| self.place_of(link.record?)));
        records.extend(scope.vendor_records.iter().filter_map(|wanted| self.place_of(wanted.external?)));
        let held = |link: &&Link| {
            let of = link.record.and_then(|record| self.place_of(record));
            links.contains(&link.id) || of.is_some_and(|place| records.contains(&place))
        };
        let links = self.links.iter().filter(held).cloned().collect();
        let records = records.iter().map(|place| self.records[*place].clone()).collect();
        Unit::over(now, self.active(), records, links, keys, parts)
    }

    fn store(&mut self, outcome: Outcome) {
        let Outcome {
            mut records,
            mut links,
            revisions,
            conflicts,
            issues,
            cleared,
            messages,
            unread,
            parts,
        } = outcome;
        for (place, part) in parts {
            match part {
                Some(part) => self.parts.insert(place, part),
                None => self.parts.remove(&place),
            };
        }
        // Ids hold chance; what is new is kept in an order that does not depend on it.
        let rank = |link: &Link| (self.system_of(link.mapping), link.vendor_id.clone());
        links.sort_by_cached_key(rank);
        records.sort_by_cached_key(|record| {
            links.iter().position(|link| link.record == Some(record.id)).unwrap_or(usize::MAX)
        });
        for record in records {
            let place = *self.places.entry(record.id).or_insert(self.records.len());
            if place == self.records.len() {
                self.keys.push(matching::keys_of(&record));
                self.records.push(record);
            } else {
                self.keys[place] = matching::keys_of(&record);
                self.records[place] = record;
            }
        }
        for link in links {
            match self.links.iter_mut().find(|known| known.id == link.id) {
                Some(known) => *known = link,
                None => self.links.push(link),
            }
        }
        self.unread.extend(unread);
        self.revisions.extend(revisions);
        self.conflicts.extend(conflicts);
        for issue in issues {
            self.issues.insert((issue.link, issue.field.clone()), issue);
        }
        for key in cleared {
            self.issues.remove(&key);
        }
        let asked = messages.iter().filter(|message| message.envelope.kind == kind::WRITE);
        let mut asked: Vec<ApplyWrite> = asked.filter_map(|message| message.decode().ok()).collect();
        asked.sort_by_key(|write| self.links.iter().position(|link| link.id == write.link));
        let asked: Vec<Arc<ApplyWrite>> = asked.into_iter().map(Arc::new).collect();
        self.asked.extend(asked.iter().cloned());
        self.outbox.extend(asked);
    }

    /// The records of a connection that are to be read.
    pub(super) fn unread_of(&self, connection: ConnectionId) -> impl Iterator<Item = usize> {
        let of_connection = self.unread.iter().filter(move |(of, _)| *of == connection);
        of_connection.filter_map(|(_, id)| id.parse::<usize>().ok()?.checked_sub(1))
    }

    /// The next of them; it counts as read now.
    pub(super) fn take_unread(&mut self, connection: ConnectionId) -> Option<usize> {
        let next = self.unread_of(connection).next()?;
        self.unread.remove(&(connection, (next + 1).to_string()));
        Some(next)
    }

    /// The place of a mapping's system.
    pub(super) fn system_of(&self, mapping: MappingId) -> usize {
        self.mappings.iter().position(|it| it.mapping.id == mapping).unwrap_or_default()
    }

    /// The place of a connection's system.
    pub(super) fn system_at(&self, connection: ConnectionId) -> Option<usize> {
        self.mappings.iter().position(|it| it.mapping.connection == connection)
    }
}
