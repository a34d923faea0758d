//! Which canonical record a vendor's record is: by its link, by our id at the vendor, by match keys, or a new one.

use std::sync::Arc;

use model::{LinkId, MappingId, RecordId};

use super::{Arrived, Cause, Unit};
use crate::domain::{
    cell::Record,
    mapping::{Compiled, MappingState},
    matching,
    sync::{LinkState, Trouble},
};

enum Matches {
    None,
    One(RecordId),
    Several,
}

impl Unit {
    /// Finds the link of a vendor's record, or makes it: by our id at the vendor, by match keys, by a new record.
    pub(super) fn resolve(
        &mut self,
        mapping: &Arc<Compiled>,
        arrived: Arrived<'_>,
        cause: &Arc<Cause>,
    ) -> Option<LinkId> {
        let key = (mapping.mapping.id, arrived.vendor_id.to_owned());
        if let Some(id) = self.by_vendor.get(&key)
            && self.links.get(id).is_some_and(|held| held.link.record.is_some())
        {
            return Some(*id);
        }
        if let Some(id) = self.adopt(mapping, arrived) {
            return Some(id);
        }
        let known = self.by_vendor.get(&key).and_then(|id| self.links.get(id)).map(|held| &held.link);
        if known.is_some_and(|l| l.state == LinkState::Detached && arrived.seen.version < l.seen_version) {
            return None;
        }
        let record = match self.matches(mapping, arrived) {
            Matches::One(record) => record,
            Matches::None if mapping.creates_here() => self.new_record(mapping, cause),
            Matches::None => {
                self.nobodys(&key);
                return None;
            }
            Matches::Several => {
                let id = self.vendor_link(mapping, arrived.vendor_id);
                let held = self.links.get_mut(&id)?;
                held.link.state = LinkState::Ambiguous;
                held.link.stage(arrived.seen);
                held.dirty = true;
                self.trouble(mapping, id, Trouble::ambiguous());
                return None;
            }
        };
        if let Some(id) = self.creating(mapping, record) {
            return self.found_there(mapping, id, arrived.vendor_id);
        }
        let id = self.vendor_link(mapping, arrived.vendor_id);
        let held = self.links.get_mut(&id)?;
        self.cleared.insert((id, String::new()));
        held.link.record = Some(record);
        held.link.state = LinkState::Linked;
        held.dirty = true;
        self.by_record.entry(record).or_default().push(id);
        Some(id)
    }

    /// A vendor's record that nothing here matches any more, and that makes no record either, is no question to anybody.
    fn nobodys(&mut self, key: &(MappingId, String)) {
        let held = self.by_vendor.get(key).and_then(|id| self.links.get_mut(id));
        if let Some(held) = held.filter(|held| held.link.state == LinkState::Ambiguous) {
            held.link.state = LinkState::Staged;
            held.dirty = true;
            self.cleared.insert((held.link.id, String::new()));
        }
    }

    /// When a vendor's record is the one that is being created there from ours, by our id in it: their link.
    pub(super) fn adopt(&mut self, mapping: &Compiled, arrived: Arrived<'_>) -> Option<LinkId> {
        let id = self.creating(mapping, arrived.external?)?;
        if self.by_vendor.contains_key(&(mapping.mapping.id, arrived.vendor_id.to_owned())) {
            let heir = self.inherit(mapping, id, arrived.vendor_id)?;
            // The answer to the write by which it was made finds nobody who waits for it.
            let held = self.links.get_mut(&heir)?;
            held.link.write = None;
            held.link.fields.values_mut().for_each(|state| state.drop_pending());
            return Some(heir);
        }
        self.found_there(mapping, id, arrived.vendor_id)
    }

    /// When a vendor's record was deleted before we were told that it is the one that we made there: the link that
    /// remembers the deletion takes the place of the one by which it was made.
    pub(super) fn inherit(&mut self, mapping: &Compiled, made_by: LinkId, vendor_id: &str) -> Option<LinkId> {
        let heir = *self.by_vendor.get(&(mapping.mapping.id, vendor_id.to_owned()))?;
        let known = &self.links.get(&heir)?.link;
        if broken!(HeirForgotten)
            || heir == made_by
            || known.record.is_some()
            || known.state != LinkState::Detached
        {
            return None;
        }
        let held = self.links.get_mut(&made_by)?;
        let record = held.link.record.take()?;
        let (fields, write) = (std::mem::take(&mut held.link.fields), held.link.write.take());
        held.link.state = LinkState::Detached;
        held.dirty = true;
        let names = fields.keys().cloned().chain([String::new()]);
        self.cleared.extend(names.map(|field| (made_by, field)));
        let held = self.links.get_mut(&heir)?;
        (held.link.record, held.link.fields, held.link.write) = (Some(record), fields, write);
        held.dirty = true;
        let links = self.by_record.entry(record).or_default();
        links.retain(|link| *link != made_by);
        links.push(heir);
        Some(heir)
    }

    fn found_there(&mut self, mapping: &Compiled, id: LinkId, vendor_id: &str) -> Option<LinkId> {
        let held = self.links.get_mut(&id)?;
        held.link.vendor_id = Some(vendor_id.to_owned());
        held.dirty = true;
        self.by_vendor.insert((mapping.mapping.id, vendor_id.to_owned()), id);
        Some(id)
    }

    /// The link of a record that is being created at the vendor under this mapping.
    fn creating(&self, mapping: &Compiled, record: RecordId) -> Option<LinkId> {
        self.by_record.get(&record)?.iter().copied().find(|id| {
            self.links
                .get(id)
                .is_some_and(|held| held.link.mapping == mapping.mapping.id && held.link.vendor_id.is_none())
        })
    }

    /// The one record that a vendor's record matches.
    pub(super) fn only_match(&self, mapping: &Compiled, arrived: Arrived<'_>) -> Option<RecordId> {
        match self.matches(mapping, arrived) {
            Matches::One(record) => Some(record),
            Matches::None | Matches::Several => None,
        }
    }

    fn matches(&self, mapping: &Compiled, arrived: Arrived<'_>) -> Matches {
        let (organization, object) = (mapping.mapping.organization, mapping.mapping.object);
        let known = self.by_vendor.contains_key(&(mapping.mapping.id, arrived.vendor_id.to_owned()));
        for key in matching::keys_there(mapping, arrived.seen.fields) {
            let records =
                self.by_key.get(&(organization, object, key.clone())).map_or(&[][..], Vec::as_slice);
            let free: Vec<RecordId> =
                records.iter().copied().filter(|id| self.is_free(mapping, *id, &key, known)).collect();
            match free.as_slice() {
                [] => {}
                [record] => return Matches::One(*record),
                _ => return Matches::Several,
            }
        }
        Matches::None
    }

    /// Whether the record still has the key and no vendor record is linked to it under this mapping. One that is being
    /// created there is free for a vendor record that nothing is known of: it is the one that was asked for, or
    /// somebody made the same there in the meantime.
    fn is_free(&self, mapping: &Compiled, id: RecordId, key: &str, known: bool) -> bool {
        let has_key = self.records.get(&id).is_some_and(|held| {
            held.record.archived_at.is_none() && matching::keys_of(&held.record).contains(key)
        });
        let mut links = self.by_record.get(&id).into_iter().flatten().filter_map(|id| self.links.get(id));
        has_key
            && !links.any(|held| {
                held.link.mapping == mapping.mapping.id && (known || held.link.vendor_id.is_some())
            })
    }

    /// Whether a record of the vendor is linked to this one under this mapping.
    pub(crate) fn is_linked(&self, mapping: &Compiled, id: RecordId) -> bool {
        let mut links = self.by_record.get(&id).into_iter().flatten().filter_map(|id| self.links.get(id));
        links.any(|held| held.link.mapping == mapping.mapping.id)
    }

    /// Links a vendor's record to this one, or to a new one, and merges what was kept of it.
    pub(crate) fn choose(
        &mut self,
        mapping: &Arc<Compiled>,
        id: LinkId,
        record: Option<RecordId>,
        cause: &Arc<Cause>,
    ) -> Option<RecordId> {
        let record = record.unwrap_or_else(|| self.new_record(mapping, cause));
        let held = self.links.get_mut(&id)?;
        held.link.record = Some(record);
        held.link.state = LinkState::Linked;
        held.dirty = true;
        self.cleared.insert((id, String::new()));
        self.by_record.entry(record).or_default().push(id);
        self.merge_staged(mapping, id, cause);
        Some(record)
    }

    /// The vendor's record is none of ours.
    pub(crate) fn ignore(&mut self, id: LinkId) {
        let Some(held) = self.links.get_mut(&id) else { return };
        held.link.state = LinkState::Ignored;
        held.dirty = true;
        self.cleared.insert((id, String::new()));
    }

    fn new_record(&mut self, mapping: &Compiled, cause: &Arc<Cause>) -> RecordId {
        let id = RecordId::generate(self.now);
        let mut record = Record::new(id, mapping.mapping.organization, mapping.mapping.object, self.now);
        record.created_at = cause.at;
        self.hold(record, true);
        self.verify = true;
        for other in self
            .mappings
            .of_object(mapping.mapping.organization, mapping.mapping.object)
            .cloned()
            .collect::<Vec<_>>()
        {
            if other.mapping.id != mapping.mapping.id
                && other.mapping.state == MappingState::Active
                && other.creates_there()
            {
                self.link_here(&other, id, cause);
            }
        }
        id
    }
}
