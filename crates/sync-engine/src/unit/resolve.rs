//! Which canonical record a vendor's record is: by its link, by our id at the vendor, by match keys, or a new one.

use std::sync::Arc;

use model::{LinkId, RecordId};

use super::{Arrived, Cause, Unit};
use crate::domain::{
    cell::Record,
    mapping::{Compiled, MappingState},
    matching,
    sync::{LinkState, Staged, Trouble},
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
        if let Some(id) = arrived.external.and_then(|record| self.creating(mapping, record)) {
            if let Some(held) = self.links.get_mut(&id) {
                held.link.vendor_id = Some(arrived.vendor_id.to_owned());
                held.dirty = true;
            }
            self.by_vendor.insert(key, id);
            return Some(id);
        }
        let record = match self.matches(mapping, arrived) {
            Matches::One(record) => record,
            Matches::None if mapping.creates_here() => self.new_record(mapping, cause),
            Matches::None => return None,
            Matches::Several => {
                let id = self.vendor_link(mapping, arrived.vendor_id);
                self.edit_link(id, cause, |link| {
                    link.state = LinkState::Ambiguous;
                    link.seen_version = arrived.seen.version;
                    link.staged = Some(Staged { at: arrived.seen.at, fields: arrived.seen.fields.clone() });
                });
                self.trouble(mapping, id, Trouble::ambiguous());
                return None;
            }
        };
        let id = self.vendor_link(mapping, arrived.vendor_id);
        let held = self.links.get_mut(&id)?;
        held.link.record = Some(record);
        held.link.state = LinkState::Linked;
        held.dirty = true;
        self.by_record.entry(record).or_default().push(id);
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

    fn matches(&self, mapping: &Compiled, arrived: Arrived<'_>) -> Matches {
        let (organization, object) = (mapping.mapping.organization, mapping.mapping.object);
        for key in matching::keys_there(mapping, arrived.seen.fields) {
            let records = self.by_key.get(&(organization, object, key)).map_or(&[][..], Vec::as_slice);
            let free: Vec<RecordId> =
                records.iter().copied().filter(|record| self.is_free(mapping, *record)).collect();
            match free.as_slice() {
                [] => {}
                [record] => return Matches::One(*record),
                _ => return Matches::Several,
            }
        }
        Matches::None
    }

    /// Whether no vendor record is linked to the record under this mapping.
    fn is_free(&self, mapping: &Compiled, record: RecordId) -> bool {
        let held = self.records.get(&record).is_some_and(|held| held.record.archived_at.is_none());
        held && !self
            .by_record
            .get(&record)
            .into_iter()
            .flatten()
            .any(|id| self.links.get(id).is_some_and(|held| held.link.mapping == mapping.mapping.id))
    }

    fn new_record(&mut self, mapping: &Compiled, cause: &Arc<Cause>) -> RecordId {
        let id = RecordId::generate(self.now);
        let mut record = Record::new(id, mapping.mapping.organization, mapping.mapping.object, self.now);
        record.created_at = cause.at;
        self.hold(record, true);
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
