//! Locking and reading what a unit of work touches.

use std::collections::{BTreeMap, BTreeSet, HashMap};

use jiff::Timestamp;
use model::{CanonicalObject, LinkId, MappingId, OrganizationId, RecordId};
use sqlx::PgConnection;

use super::{
    HeldLink, HeldRecord, Scope, Unit, Wanted,
    beside::Beside,
    differ::Compared,
    part::{Parts, Unread},
    trace::Trace,
};
use crate::{
    Error,
    domain::{cell::Record, mapping::MappingState, matching, sync::Link},
    mappings::Mappings,
    store,
};

impl Unit {
    /// Locks what the scope names. The order is always: creation, records, links; each in the order of ids.
    pub(crate) async fn load(
        tx: &mut PgConnection,
        now: Timestamp,
        mappings: Mappings,
        mut scope: Scope,
    ) -> Result<Self, Error> {
        let mut unit = Self::empty(now, mappings);
        let wanted: Vec<(MappingId, String)> =
            scope.vendor_records.iter().map(|w| (w.mapping.mapping.id, w.vendor_id.clone())).collect();
        let (mut found, mut has_parts) = store::links::find(tx, &wanted).await?;
        let mut creating: Vec<(OrganizationId, CanonicalObject)> = Vec::new();
        for (wanted, found) in scope.vendor_records.iter().zip(&found) {
            let mapping = &wanted.mapping.mapping;
            let active = mapping.state == MappingState::Active;
            if found.is_none_or(|found| active && found.record.is_none()) {
                creating.push((mapping.organization, mapping.object));
            }
        }
        creating.sort_unstable();
        creating.dedup();
        let mut records: BTreeSet<RecordId> = scope.records.drain(..).collect();
        if !creating.is_empty() {
            for (organization, object) in &creating {
                store::records::lock_creation(tx, *organization, *object).await?;
            }
            (found, has_parts) = store::links::find(tx, &wanted).await?;
        }
        if has_parts {
            unit.parts = Parts::held(store::parts::of(tx, &wanted).await?, &mut scope);
        }
        if !creating.is_empty() {
            records.extend(unit.match_keys(tx, &scope.vendor_records, &found).await?);
        }
        let mut links: BTreeSet<LinkId> = scope.links.into_iter().collect();
        let known: Vec<LinkId> = links.iter().copied().collect();
        records.extend(store::links::records_of(tx, &known).await?);
        records.extend(found.iter().flatten().filter_map(|found| found.record));
        records.extend(scope.vendor_records.iter().filter_map(|wanted| wanted.external));
        links.extend(found.iter().flatten().map(|found| found.link));
        let records: Vec<RecordId> = records.into_iter().collect();
        let links: Vec<LinkId> = links.into_iter().collect();
        for record in store::records::lock(tx, &records).await?.into_values() {
            unit.hold(record, false);
        }
        for link in store::links::lock(tx, &links, &records).await? {
            unit.hold_link(link, false);
        }
        unit.load_parents(tx, scope.parents).await?;
        Ok(unit)
    }

    pub(super) fn empty(now: Timestamp, mappings: Mappings) -> Self {
        Self {
            now,
            mappings,
            records: HashMap::new(),
            links: BTreeMap::new(),
            by_vendor: HashMap::new(),
            by_record: HashMap::new(),
            by_key: HashMap::new(),
            causes: HashMap::new(),
            check: BTreeMap::new(),
            revisions: Vec::new(),
            conflicts: Vec::new(),
            issues: BTreeMap::new(),
            cleared: BTreeSet::new(),
            activity: BTreeMap::new(),
            messages: Vec::new(),
            trace: Trace::default(),
            compared: Compared::default(),
            beside: Beside::default(),
            unread: Unread::default(),
            parts: Parts::default(),
            parents_here: HashMap::new(),
            parents_there: HashMap::new(),
            verify: false,
        }
    }

    async fn match_keys(
        &mut self,
        tx: &mut PgConnection,
        wanted: &[Wanted],
        found: &[Option<store::links::Found>],
    ) -> Result<Vec<RecordId>, Error> {
        let mut keys: BTreeMap<(OrganizationId, CanonicalObject), BTreeSet<String>> = BTreeMap::new();
        for (wanted, found) in wanted.iter().zip(found) {
            let mapping = &wanted.mapping.mapping;
            if found.is_none_or(|found| found.record.is_none()) {
                keys.entry((mapping.organization, mapping.object))
                    .or_default()
                    .extend(wanted.keys.iter().cloned());
            }
        }
        let mut matched = Vec::new();
        for ((organization, object), keys) in keys {
            let keys: Vec<String> = keys.into_iter().collect();
            for (key, record) in store::records::by_keys(tx, organization, object, &keys).await? {
                self.by_key.entry((organization, object, key)).or_default().push(record);
                matched.push(record);
            }
        }
        Ok(matched)
    }

    pub(super) fn hold(&mut self, record: Record, dirty: bool) {
        let keys = if dirty { BTreeSet::new() } else { matching::keys_of(&record) };
        self.records.insert(record.id, HeldRecord { record, keys, dirty });
    }

    pub(super) fn hold_link(&mut self, link: Link, dirty: bool) {
        if let Some(vendor_id) = &link.vendor_id {
            self.by_vendor.insert((link.mapping, vendor_id.clone()), link.id);
        }
        if let Some(record) = link.record {
            self.by_record.entry(record).or_default().push(link.id);
        }
        self.links.insert(link.id, HeldLink { link, dirty });
    }
}
