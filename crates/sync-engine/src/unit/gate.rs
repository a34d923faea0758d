//! Which records are let in and let go: the filter of a mapping, deletions and merges at the vendor.

use std::sync::Arc;

use model::{LinkId, RecordId, kind};

use super::{Arrived, Cause, Unit};
use crate::domain::{
    cell::Record,
    mapping::{Compiled, MappingState},
    sync::{self, Effect, Gone, Link, LinkState},
};

impl Unit {
    /// The vendor's record was deleted there. One that nobody saw before is remembered as deleted, so that an older
    /// change that arrives later does not bring it back.
    pub(crate) fn delete(
        &mut self,
        mapping: &Arc<Compiled>,
        vendor_id: &str,
        gone: Gone,
        cause: &Arc<Cause>,
    ) {
        self.forget_beside(mapping, vendor_id, gone);
        self.merge_kept(mapping, vendor_id, gone.version, cause);
        let id = self.vendor_link(mapping, vendor_id);
        let Some(held) = self.links.get_mut(&id) else { return };
        // Nothing moves here while the mapping is not active.
        let record_id = held.link.record.filter(|_| mapping.mapping.state == MappingState::Active);
        let record = record_id.and_then(|id| self.records.get_mut(&id)).map(|held| &mut held.record);
        let effect = sync::deleted(mapping, &mut held.link, record, gone);
        if !effect.touched {
            return;
        }
        held.dirty = true;
        // Nothing of it waits to be synced any more.
        let fields = held.link.fields.keys().cloned().chain([String::new()]);
        self.cleared.extend(fields.map(|field| (id, field)));
        if let Some(record) = record_id {
            self.take_gone(mapping, id, record, effect, cause);
        }
    }

    /// Tells ours of a deletion that was read while the mapping was not active.
    pub(super) fn let_go(&mut self, mapping: &Compiled, id: LinkId, gone: Gone, cause: &Arc<Cause>) {
        let Some(held) = self.links.get_mut(&id) else { return };
        let Some(record_id) = held.link.record else { return };
        let Some(record) = self.records.get_mut(&record_id) else { return };
        let mut effect = Effect { touched: true, ..Effect::default() };
        sync::let_go(mapping, &mut held.link, &mut record.record, gone, &mut effect);
        let cause = Arc::new(Cause { at: gone.at, ..Cause::clone(cause) });
        self.take_gone(mapping, id, record_id, effect, &cause);
    }

    fn take_gone(
        &mut self,
        mapping: &Compiled,
        id: LinkId,
        record: RecordId,
        effect: Effect,
        cause: &Arc<Cause>,
    ) {
        let is_archived = effect.archived;
        self.take(mapping, id, record, effect, cause);
        if is_archived {
            self.revise(record, Vec::new(), cause, Some(mapping), kind::RECORD_ARCHIVED);
        }
    }

    /// The vendor merged a record into another one. Where only the merged one is linked, its link goes on with the
    /// survivor; else it is gone.
    pub(crate) fn follow(
        &mut self,
        mapping: &Arc<Compiled>,
        merged: &str,
        survivor: &str,
        gone: Gone,
        cause: &Arc<Cause>,
    ) {
        let place = |vendor_id: &str| (mapping.mapping.id, vendor_id.to_owned());
        let link = self.by_vendor.get(&place(merged)).and_then(|id| self.links.get_mut(id));
        let goes_on = |link: &sync::Link| {
            link.record.is_some() && matches!(link.state, LinkState::Linked | LinkState::Filtered)
        };
        if let Some(held) = link.filter(|held| goes_on(&held.link))
            && held.link.seen_version <= gone.version
            && !self.by_vendor.contains_key(&place(survivor))
        {
            held.link.vendor_id = Some(survivor.to_owned());
            held.dirty = true;
            let id = held.link.id;
            self.by_vendor.remove(&place(merged));
            self.by_vendor.insert(place(survivor), id);
        }
        self.delete(mapping, merged, gone, cause);
    }

    /// Whether the mapping's filter leaves a vendor's record out, or somebody did; then what arrived is kept for when
    /// it is let in.
    pub(super) fn leaves_out(&mut self, mapping: &Compiled, arrived: Arrived<'_>) -> bool {
        let place = (mapping.mapping.id, arrived.vendor_id.to_owned());
        let known = self.by_vendor.get(&place).copied();
        let is_ignored = known.and_then(|id| self.link(id)).is_some_and(|l| l.state == LinkState::Ignored);
        if mapping.mapping.settings.filter.is_none() && !is_ignored {
            return false;
        }
        let known = known.or_else(|| self.adopt(mapping, arrived));
        let is_out = {
            let merged = self.merged(mapping, known, arrived);
            mapping.passes(merged.as_ref(), Some(arrived.seen.fields)) == Some(false)
        };
        if !is_out && !is_ignored {
            self.let_in(known);
            return false;
        }
        let id = self.vendor_link(mapping, arrived.vendor_id);
        let Some(held) = self.links.get_mut(&id) else { return true };
        let link = &mut held.link;
        if link.state == LinkState::Detached && arrived.seen.version < link.seen_version {
            return true;
        }
        if !is_ignored {
            link.state = LinkState::Filtered;
        }
        link.stage(arrived.seen);
        held.dirty = true;
        self.cleared.insert((id, String::new()));
        true
    }

    /// What ours would hold if a vendor's record were let in, where the filter asks for that: the record that it is linked
    /// to, that it matches, or that it would become.
    fn merged(&self, mapping: &Compiled, link: Option<LinkId>, arrived: Arrived<'_>) -> Option<Record> {
        mapping.mapping.settings.filter.as_ref().filter(|filter| filter.asks_here())?;
        let link = link.and_then(|id| self.link(id));
        let linked = link.and_then(|link| link.record).or_else(|| self.only_match(mapping, arrived));
        let mut record = linked.and_then(|id| self.record(id)).cloned().unwrap_or_else(|| {
            let id = RecordId::generate(self.now);
            Record::new(id, mapping.mapping.organization, mapping.mapping.object, self.now)
        });
        let new = || Link::new(LinkId::generate(self.now), mapping.mapping.id);
        let mut link = link.cloned().unwrap_or_else(new);
        sync::observe(mapping, &mut link, &mut record, arrived.seen);
        Some(record)
    }

    fn let_in(&mut self, link: Option<LinkId>) {
        let held = link.and_then(|id| self.links.get_mut(&id));
        if let Some(held) = held.filter(|held| held.link.state == LinkState::Filtered) {
            let is_known = held.link.record.is_some();
            held.link.state = if is_known { LinkState::Linked } else { LinkState::Staged };
            held.dirty = true;
        }
    }

    /// Asks the filters again about all records that changed: one that passes now is created at the vendor, or goes on
    /// with what arrived meanwhile; one that does not any more stops.
    pub(super) fn admit(&mut self) {
        let changed: Vec<_> =
            self.records.values().filter(|held| held.dirty).map(|held| held.record.id).collect();
        for id in changed {
            let Some(record) = self.record(id).filter(|record| record.archived_at.is_none()) else {
                continue;
            };
            let (organization, object) = (record.organization, record.object);
            let Some(cause) = self.causes.get(&id).cloned() else { continue };
            let filtered: Vec<Arc<Compiled>> = self
                .mappings
                .of_object(organization, object)
                .filter(|m| m.mapping.settings.filter.is_some() && m.mapping.state == MappingState::Active)
                .cloned()
                .collect();
            for mapping in filtered {
                self.ask_filter(&mapping, id, &cause);
            }
        }
    }

    /// Asks a link's filter again, and works its write out anew.
    pub(crate) fn reconsider(&mut self, mapping: &Arc<Compiled>, id: LinkId, cause: &Arc<Cause>) {
        if let Some(record) = self.link(id).and_then(|link| link.record)
            && mapping.mapping.settings.filter.is_some()
        {
            self.ask_filter(mapping, record, cause);
        }
        self.check(id, cause);
    }

    fn ask_filter(&mut self, mapping: &Arc<Compiled>, id: RecordId, cause: &Arc<Cause>) {
        let links = self.by_record.get(&id).into_iter().flatten();
        let link = links.filter_map(|id| self.links.get(id)).find(|h| h.link.mapping == mapping.mapping.id);
        let Some(link) = link.map(|held| &held.link) else {
            if mapping.creates_there() {
                self.link_here(mapping, id, cause);
            }
            return;
        };
        let there = link.staged.as_ref().map(|staged| &staged.fields);
        let is_out = mapping.passes(self.record(id), there) == Some(false);
        let (link_id, state, has_staged) = (link.id, link.state, link.staged.is_some());
        match (state, is_out) {
            (LinkState::Linked, true) => {
                if let Some(held) = self.links.get_mut(&link_id) {
                    held.link.state = LinkState::Filtered;
                    held.dirty = true;
                }
            }
            (LinkState::Filtered, false) => {
                self.let_in(Some(link_id));
                if has_staged {
                    self.merge_staged(mapping, link_id, cause);
                }
                self.check(link_id, cause);
            }
            _ => {}
        }
    }
}
