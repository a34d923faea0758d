//! Fields that name other records: the vendor's ids become ours on their way in, and ours the vendor's on their way out.
//! A record that is not linked yet leaves an issue on its field, and the field waits for it.

use std::collections::BTreeMap;

use model::{ApplyWrite, IssueCategory, LinkId, MappingId, RecordId, Value, WriteKind, WriteOutcome};
use sqlx::PgConnection;

use super::Unit;
use crate::{
    Error,
    domain::{
        mapping::Compiled,
        reference::{self, Target},
        sync::Trouble,
    },
    store::parents::{self, Named, Waiting},
};

impl Unit {
    /// Reads which records the vendors' ids name: those of the scope, and those that the links of the unit hold.
    pub(super) async fn load_parents(
        &mut self,
        tx: &mut PgConnection,
        mut wanted: Vec<Named<String>>,
    ) -> Result<(), Error> {
        for held in self.links.values() {
            let Some(mapping) = self.mappings.get(held.link.mapping) else { continue };
            if let Some(staged) = &held.link.staged {
                wanted.extend(names(mapping, &staged.fields));
            }
            for (pair, target) in reference::pairs(mapping) {
                let unread =
                    held.link.fields.get(&pair.canonical.name).and_then(|state| state.unread.as_ref());
                let id = unread.and_then(|unread| reference::vendor_id(&unread.value));
                wanted.extend(id.map(|id| named(mapping, target, id)));
            }
        }
        if wanted.is_empty() {
            return Ok(());
        }
        wanted.sort_unstable();
        wanted.dedup();
        self.parents_here.extend(parents::here(tx, &wanted).await?);
        Ok(())
    }

    /// Fields as the vendor spells them with our ids in place of the vendor's, as far as they are known.
    pub(super) fn with_our_ids(
        &self,
        mapping: &Compiled,
        fields: &BTreeMap<String, Value>,
    ) -> Option<BTreeMap<String, Value>> {
        let mut ours: Option<BTreeMap<String, Value>> = None;
        for (pair, target) in reference::pairs(mapping) {
            let Some(id) = fields.get(&pair.vendor.name).and_then(reference::vendor_id) else { continue };
            if let Some(record) = self.parent_here(mapping, target, id) {
                let fields = ours.get_or_insert_with(|| fields.clone());
                fields.insert(pair.vendor.name.clone(), Value::Text(record.to_string()));
            }
        }
        ours
    }

    /// The same for the answer to a write.
    pub(super) fn answer_with_our_ids(
        &self,
        mapping: &Compiled,
        outcome: &WriteOutcome,
    ) -> Option<WriteOutcome> {
        let WriteOutcome::Applied { vendor_id, version, fields, covered } = outcome else { return None };
        reference::pairs(mapping).next()?;
        let mut covered = covered.clone();
        for (pair, target) in reference::pairs(mapping) {
            let Some(foreign) = covered.get_mut(&pair.vendor.name) else { continue };
            let record =
                reference::vendor_id(&foreign.value).and_then(|id| self.parent_here(mapping, target, id));
            if let Some(record) = record {
                foreign.value = Value::Text(record.to_string());
            }
        }
        let fields = self.with_our_ids(mapping, fields).unwrap_or_else(|| fields.clone());
        Some(WriteOutcome::Applied { vendor_id: vendor_id.clone(), version: *version, fields, covered })
    }

    /// What a link could not read for want of a record, with our ids where the record is linked by now.
    pub(super) fn unread_with_our_ids(&mut self, mapping: &Compiled, link: LinkId) {
        for (pair, target) in reference::pairs(mapping) {
            let name = &pair.canonical.name;
            let unread = |unit: &Self| unit.links.get(&link)?.link.fields.get(name)?.unread.clone();
            let Some(id) = unread(self).and_then(|unread| reference::vendor_id(&unread.value)) else {
                continue;
            };
            let Some(record) = self.parent_here(mapping, target, id) else { continue };
            let state = self.links.get_mut(&link).and_then(|held| held.link.fields.get_mut(name));
            if let Some(unread) = state.and_then(|state| state.unread.as_mut()) {
                unread.value = Value::Text(record.to_string());
            }
        }
    }

    fn parent_here(&self, mapping: &Compiled, target: Target<'_>, id: String) -> Option<RecordId> {
        let in_unit = self.parent_mapping(mapping, target).and_then(|parent| {
            let link = self.by_vendor.get(&(parent, id.clone()))?;
            self.links.get(link)?.link.record
        });
        in_unit.or_else(|| self.parents_here.get(&named(mapping, target, id)).copied())
    }

    fn parent_mapping(&self, mapping: &Compiled, target: Target<'_>) -> Option<MappingId> {
        let (organization, connection) = (mapping.mapping.organization, mapping.mapping.connection);
        self.mappings
            .of_vendor_object(organization, connection, target.vendor_object)
            .find(|parent| parent.mapping.object == target.object)
            .map(|parent| parent.mapping.id)
    }

    /// Reads the vendors' ids of the records that writes may name.
    pub(super) async fn load_parents_there(&mut self, tx: &mut PgConnection) -> Result<(), Error> {
        let mut wanted = Vec::new();
        for id in self.check.keys() {
            let Some(held) = self.links.get(id) else { continue };
            let Some(mapping) = self.mappings.get(held.link.mapping) else { continue };
            let Some(record) = held.link.record.and_then(|record| self.records.get(&record)) else {
                continue;
            };
            for (pair, target) in reference::pairs(mapping) {
                let seen = held.link.fields.get(&pair.canonical.name).and_then(|state| state.seen.as_ref());
                let values = [Some(record.record.value(&pair.canonical.name)), seen];
                let ids = values.into_iter().flatten().filter_map(reference::record);
                wanted.extend(ids.map(|id| named(mapping, target, id)));
            }
        }
        if wanted.is_empty() {
            return Ok(());
        }
        wanted.sort_unstable();
        wanted.dedup();
        self.parents_there.extend(parents::there(tx, &wanted).await?);
        Ok(())
    }

    fn parent_there(&self, mapping: &Compiled, target: Target<'_>, id: RecordId) -> Option<String> {
        let in_unit = self.parent_mapping(mapping, target).and_then(|parent| {
            let links = self.by_record.get(&id)?.iter().filter_map(|link| self.links.get(link));
            let mut of_parent = links.filter(|held| held.link.mapping == parent);
            of_parent.find_map(|held| held.link.vendor_id.clone())
        });
        in_unit.or_else(|| self.parents_there.get(&named(mapping, target, id)).cloned())
    }

    /// A write with the vendor's ids in place of ours. A field whose record does not exist there yet stays behind with an
    /// issue; none when no other field is left.
    pub(super) fn with_vendor_ids(
        &mut self,
        mapping: &Compiled,
        mut write: ApplyWrite,
    ) -> Option<ApplyWrite> {
        let has_fields = !write.fields.is_empty();
        for (pair, target) in reference::pairs(mapping) {
            let name = &pair.vendor.name;
            let spelled = |unit: &Self, value: &Value| {
                let id = reference::record(value)?;
                unit.parent_there(mapping, target, id).map(Value::Text)
            };
            if let WriteKind::Update { expected, .. } = &mut write.write
                && let Some(value) = expected.get(name).filter(|value| !value.is_blank())
            {
                match spelled(self, value) {
                    Some(id) => expected.insert(name.clone(), id),
                    None => expected.remove(name),
                };
            }
            let Some(value) = write.fields.get(name).filter(|value| !value.is_blank()) else { continue };
            if let Some(id) = spelled(self, value) {
                write.fields.insert(name.clone(), id);
                continue;
            }
            write.fields.remove(name);
            if let WriteKind::Update { expected, .. } = &mut write.write {
                expected.remove(name);
            }
            self.stay_behind(mapping, &write, &pair.canonical.name);
        }
        if has_fields && write.fields.is_empty() {
            if let Some(held) = self.links.get_mut(&write.link) {
                held.link.write = None;
            }
            return None;
        }
        Some(write)
    }

    fn stay_behind(&mut self, mapping: &Compiled, write: &ApplyWrite, field: &str) {
        if let Some(state) = self.links.get_mut(&write.link).and_then(|held| held.link.fields.get_mut(field))
        {
            state.refused = state.pending.take();
        }
        let message = "the record that it names is not at the vendor yet".to_owned();
        let trouble = Trouble { field: field.to_owned(), category: IssueCategory::Missing, message };
        self.trouble(mapping, write.link, trouble);
    }

    /// The fields with an issue that wait for a record to be linked.
    pub(super) fn waiting(&self) -> Vec<(LinkId, String, Waiting)> {
        self.issues.keys().filter_map(|(link, field)| self.waits_for(*link, field)).collect()
    }

    fn waits_for(&self, id: LinkId, field: &str) -> Option<(LinkId, String, Waiting)> {
        let link = &self.links.get(&id)?.link;
        let mapping = self.mappings.get(link.mapping)?;
        let (_, target) = reference::pairs(mapping).find(|(pair, _)| pair.canonical.name == field)?;
        let state = link.fields.get(field)?;
        let waiting = match &state.unread {
            Some(unread) => Waiting::Here(named(mapping, target, reference::vendor_id(&unread.value)?)),
            None => Waiting::There(named(mapping, target, reference::record(state.refused.as_ref()?)?)),
        };
        Some((id, field.to_owned(), waiting))
    }
}

/// The records that fields name, as the vendor spells them.
pub(crate) fn names(mapping: &Compiled, fields: &BTreeMap<String, Value>) -> Vec<Named<String>> {
    reference::named(mapping, fields).map(|(target, id)| named(mapping, target, id)).collect()
}

/// A record that a field of a mapping names.
pub(crate) fn named<Id>(mapping: &Compiled, target: Target<'_>, id: Id) -> Named<Id> {
    Named {
        connection: mapping.mapping.connection,
        vendor_object: target.vendor_object.to_owned(),
        object: target.object,
        id,
    }
}
