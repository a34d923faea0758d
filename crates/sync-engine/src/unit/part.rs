//! Changes that bring only what changed. Where that does not say enough, the record is to be read as a whole.

use std::collections::{BTreeMap, BTreeSet};

use bus::{Message, subject};
use jiff::Timestamp;
use model::{ConnectionId, OrganizationId, ReadRequested, Value, kind};

use super::{SOURCE, Unit};
use crate::domain::{
    mapping::{Compiled, MappingState},
    sync::LinkState,
};

/// Records that one message asks to have read.
const ASKED_TOGETHER: usize = 1_000;

/// The records that are to be read, by connection and the vendor's object.
#[derive(Debug, Default)]
pub(super) struct Unread(BTreeMap<(OrganizationId, ConnectionId, String), BTreeSet<String>>);

impl Unit {
    /// Whether the fields that changed say enough of a vendor's record: it is synced already, and all is there that its
    /// filter and the pairs that read several fields ask for.
    pub(crate) fn part_says_enough(
        &self,
        mapping: &Compiled,
        vendor_id: &str,
        fields: &BTreeMap<String, Value>,
    ) -> bool {
        let settings = &mapping.mapping.settings;
        let place = (mapping.mapping.id, vendor_id.to_owned());
        let link = self.by_vendor.get(&place).and_then(|id| self.link(*id));
        let is_synced = link.is_some_and(|link| {
            link.state == LinkState::Linked && link.record.is_some() && link.staged.is_none()
        });
        let has = |field: &str| fields.contains_key(field);
        is_synced
            && mapping.mapping.state == MappingState::Active
            && !mapping.mapping.keeps_beside()
            && settings.filter.iter().all(|filter| filter.vendor_fields().all(has))
            && mapping.pairs.iter().all(|pair| {
                let read_from = pair.read_from();
                read_from.iter().all(|field| has(field)) || !read_from.iter().any(|field| has(field))
            })
    }

    /// Has a vendor's record read.
    pub(crate) fn read(&mut self, mapping: &Compiled, vendor_id: &str) {
        let mapping = &mapping.mapping;
        let of = (mapping.organization, mapping.connection, mapping.vendor_object.clone());
        self.unread.0.entry(of).or_default().insert(vendor_id.to_owned());
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
