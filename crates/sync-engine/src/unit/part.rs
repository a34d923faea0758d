//! Changes that bring only what changed. Where that does not say enough, it is kept, and the record is to be read as a whole.

use std::{
    collections::{BTreeMap, BTreeSet},
    sync::Arc,
};

use bus::{Message, subject};
use jiff::Timestamp;
use model::{ConnectionId, Lane, OrganizationId, ReadRequested, kind};
use sqlx::PgConnection;

use super::{Arrived, Cause, SOURCE, Scope, Unit, names};
use crate::{
    Error,
    domain::{
        mapping::{Compiled, MappingState},
        matching,
        sync::{LinkState, Staged},
    },
    store::{self, parts::Place},
};

/// Records that one message asks to have read.
const ASKED_TOGETHER: usize = 1_000;

/// The records that are to be read, by connection and the vendor's object.
#[derive(Debug, Default)]
pub(super) struct Unread(BTreeMap<(OrganizationId, ConnectionId, String), BTreeSet<String>>);

/// What is kept of records of which no whole was read since.
#[derive(Debug, Default)]
pub(crate) struct Parts {
    kept: BTreeMap<Place, Staged>,
    changed: BTreeSet<Place>,
}

impl Unit {
    /// Takes a change that brings only what changed of a vendor's record. What does not say enough waits for the whole.
    pub(crate) fn take_part(&mut self, mapping: &Arc<Compiled>, arrived: Arrived<'_>, cause: &Arc<Cause>) {
        if !self.says_enough(mapping, arrived) {
            self.keep_part(mapping, arrived);
            return;
        }
        self.merge_part(mapping, arrived, cause);
        // A plan rests upon whole records.
        if mapping.mapping.state != MappingState::Active || mapping.mapping.keeps_beside() {
            self.read(mapping, arrived.vendor_id);
        }
    }

    fn merge_part(&mut self, mapping: &Arc<Compiled>, arrived: Arrived<'_>, cause: &Arc<Cause>) {
        if mapping.mapping.state == MappingState::Active {
            self.arrive(mapping, arrived, cause);
        } else {
            self.stage(mapping, arrived);
        }
        self.forget_shown(mapping, arrived);
    }

    /// Merges what was kept of a vendor's record up to a version, where it says enough now: its link belongs to a record
    /// here since.
    pub(super) fn merge_kept(
        &mut self,
        mapping: &Arc<Compiled>,
        vendor_id: &str,
        until: i64,
        cause: &Arc<Cause>,
    ) {
        let place = (mapping.mapping.id, vendor_id.to_owned());
        let Some(part) = self.parts.kept.get(&place).filter(|part| part.version <= until).cloned() else {
            return;
        };
        let arrived =
            Arrived { vendor_id, seen: part.seen(), external: None, lane: Lane::Live, digest: None };
        if self.says_enough(mapping, arrived) {
            self.parts.kept.remove(&place);
            self.parts.changed.insert(place);
            self.merge_part(mapping, arrived, &Arc::new(Cause { at: part.at, ..Cause::clone(cause) }));
        }
    }

    /// Whether the fields that changed say enough of a vendor's record: it is synced, or was until a deletion that overtook
    /// them, and all is there that its filter and the pairs that read several fields ask for.
    fn says_enough(&self, mapping: &Compiled, arrived: Arrived<'_>) -> bool {
        let seen = arrived.seen;
        let place = (mapping.mapping.id, arrived.vendor_id.to_owned());
        let link = self.by_vendor.get(&place).and_then(|id| self.link(*id));
        let is_synced = link.filter(|link| link.record.is_some()).is_some_and(|link| match link.state {
            LinkState::Linked => true,
            LinkState::Detached => seen.version < link.seen_version,
            _ => false,
        });
        let has = |field: &str| seen.fields.contains_key(field);
        is_synced
            && mapping.mapping.settings.filter.iter().all(|filter| filter.vendor_fields().all(has))
            && mapping.pairs.iter().all(|pair| {
                let read_from = pair.read_from();
                read_from.iter().all(|field| has(field)) || !read_from.iter().any(|field| has(field))
            })
    }

    /// Keeps what changed until the whole of the record is known, which is asked for.
    fn keep_part(&mut self, mapping: &Compiled, arrived: Arrived<'_>) {
        let place = (mapping.mapping.id, arrived.vendor_id.to_owned());
        let held = self.by_vendor.get(&place).and_then(|id| self.links.get_mut(id));
        let is_gone = held.as_ref().is_some_and(|held| {
            held.link.state == LinkState::Detached && arrived.seen.version < held.link.seen_version
        });
        match held {
            // The whole is known already, and waits itself.
            Some(held) if held.link.record.is_none() && held.link.staged.is_some() => {
                held.link.stage(arrived.seen);
                held.dirty = true;
                self.verify = true;
            }
            _ if broken!(PartForgotten) => {}
            _ => {
                let known = self.parts.kept.remove(&place);
                self.parts.kept.insert(place.clone(), Staged::join(known, arrived.seen));
                self.parts.changed.insert(place);
            }
        }
        // What is gone cannot be read. It may turn out to be what was made from a record here.
        if !is_gone {
            self.read(mapping, arrived.vendor_id);
        }
    }

    /// What was kept of a record of which the whole arrived.
    pub(super) fn parts_of(&mut self, mapping: &Compiled, arrived: Arrived<'_>) -> Option<Staged> {
        arrived.digest?;
        let place = (mapping.mapping.id, arrived.vendor_id.to_owned());
        let kept = self.parts.kept.remove(&place)?;
        self.parts.changed.insert(place);
        Some(kept)
    }

    /// Has a vendor's record read.
    fn read(&mut self, mapping: &Compiled, vendor_id: &str) {
        let mapping = &mapping.mapping;
        let of = (mapping.organization, mapping.connection, mapping.vendor_object.clone());
        self.unread.0.entry(of).or_default().insert(vendor_id.to_owned());
    }
}

impl Parts {
    /// What is kept of the records of a scope, which then asks for what these name as well.
    pub(crate) fn held(kept: BTreeMap<Place, Staged>, scope: &mut Scope) -> Self {
        for wanted in &mut scope.vendor_records {
            if let Some(part) = kept.get(&(wanted.mapping.mapping.id, wanted.vendor_id.clone())) {
                wanted.keys.extend(matching::keys_there(&wanted.mapping, &part.fields));
                scope.parents.extend(names(&wanted.mapping, &part.fields));
            }
        }
        Self { kept, changed: BTreeSet::new() }
    }

    /// What changed: the part of each record, or none where it is kept no more.
    pub(super) fn changes(&self) -> impl Iterator<Item = (&Place, Option<&Staged>)> {
        self.changed.iter().map(|place| (place, self.kept.get(place)))
    }

    /// Stores what changed.
    pub(super) async fn store(&self, tx: &mut PgConnection) -> Result<(), Error> {
        let kept: Vec<_> = self.changes().filter_map(|(place, part)| Some((place, part?))).collect();
        if !kept.is_empty() {
            store::parts::put(tx, &kept).await?;
        }
        let gone: Vec<_> =
            self.changes().filter(|(_, part)| part.is_none()).map(|(place, _)| place).collect();
        if !gone.is_empty() {
            store::parts::remove(tx, &gone).await?;
        }
        Ok(())
    }
}

impl Unread {
    /// Each record with its connection.
    pub(super) fn records(&self) -> impl Iterator<Item = (ConnectionId, &str)> {
        self.0.iter().flat_map(|((_, connection, _), ids)| ids.iter().map(|id| (*connection, id.as_str())))
    }

    /// What asks for it.
    pub(super) fn messages(self, now: Timestamp) -> Result<Vec<Message>, bus::Error> {
        let mut messages = Vec::new();
        for ((organization, connection, vendor_object), ids) in self.0 {
            let ids: Vec<String> = ids.into_iter().collect();
            for ids in ids.chunks(ASKED_TOGETHER) {
                let (vendor_object, ids) = (vendor_object.clone(), ids.to_vec());
                let body = ReadRequested { connection, vendor_object, ids };
                let subject = subject::capture(&organization, "read_requested");
                messages.push(Message::json(
                    subject,
                    kind::READ_REQUESTED,
                    SOURCE,
                    organization,
                    now,
                    &body,
                )?);
            }
        }
        Ok(messages)
    }
}
