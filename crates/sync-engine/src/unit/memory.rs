//! A unit of work over state that is held in memory: the simulator drives the same code without a database.

use bus::Message;
use jiff::Timestamp;
use model::{ConnectionId, LinkId, RecordId};

use super::{Key, Unit, part::Parts};
use crate::{
    domain::{
        cell::Record,
        sync::{Link, Staged},
    },
    mappings::Mappings,
    store::{conflicts::StoredConflict, issues::StoredIssue, parts::Place, revisions::Revision},
};

/// What a unit would have stored.
#[derive(Debug, Default)]
pub(crate) struct Outcome {
    pub(crate) records: Vec<Record>,
    pub(crate) links: Vec<Link>,
    pub(crate) revisions: Vec<Revision>,
    pub(crate) conflicts: Vec<StoredConflict>,
    pub(crate) issues: Vec<StoredIssue>,
    /// Links and fields whose issues clear.
    pub(crate) cleared: Vec<(LinkId, String)>,
    pub(crate) messages: Vec<Message>,
    /// The vendors' records that are to be read.
    pub(crate) unread: Vec<(ConnectionId, String)>,
    /// What is kept of records that came in parts; none where it is kept no more.
    pub(crate) parts: Vec<(Place, Option<Staged>)>,
}

impl Unit {
    /// A unit that holds these records and links, and knows which records have which match keys.
    pub(crate) fn over(
        now: Timestamp,
        mappings: Mappings,
        records: Vec<Record>,
        links: Vec<Link>,
        keys: Vec<(Key, RecordId)>,
        parts: Parts,
    ) -> Self {
        let mut unit = Self { parts, ..Self::empty(now, mappings) };
        for record in records {
            unit.hold(record, false);
        }
        for link in links {
            unit.hold_link(link, false);
        }
        for (key, record) in keys {
            unit.by_key.entry(key).or_default().push(record);
        }
        unit
    }

    /// Ends the unit as [`Unit::flush`] does, without storing anything.
    pub(crate) fn into_outcome(mut self) -> Outcome {
        self.admit();
        self.write_out();
        let records = self.records.into_values().filter(|held| held.dirty).map(|held| held.record);
        let links = self.links.into_values().filter(|held| held.dirty).map(|held| held.link);
        let parts = self.parts.changes().map(|(place, part)| (place.clone(), part.cloned()));
        Outcome {
            parts: parts.collect(),
            records: records.collect(),
            links: links.collect(),
            revisions: self.revisions,
            conflicts: self.conflicts,
            issues: self.issues.into_values().collect(),
            cleared: self.cleared.into_iter().collect(),
            messages: self.messages,
            unread: self.unread.records().map(|(connection, id)| (connection, id.to_owned())).collect(),
        }
    }
}
