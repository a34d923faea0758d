//! What a comparison of both sides finds to differ while it is repaired.

use std::{collections::BTreeMap, sync::Arc};

use jiff::{SignedDuration, Timestamp};
use model::{ConnectionId, Lane, LinkId, MappingId, OrganizationId, RecordId, Value};
use sqlx::PgConnection;

use super::{Arrived, Cause, Unit};
use crate::{
    Error,
    domain::{
        change::What,
        mapping::Compiled,
        sync::{Effect, Gone, LinkState},
    },
    store,
};

/// What changed there so shortly before it was compared is on its way here anyhow.
const ON_ITS_WAY: SignedDuration = SignedDuration::from_mins(5);

/// A record that differed.
#[derive(Clone, Debug)]
pub(crate) struct Difference {
    pub(crate) connection: ConnectionId,
    pub(crate) vendor_object: String,
    pub(crate) link: LinkId,
    pub(crate) vendor_id: Option<String>,
    pub(crate) record: Option<RecordId>,
    pub(crate) what: What,
    /// By canonical name; never a value.
    pub(crate) fields: Vec<String>,
}

/// A vendor's record that has no link, because the mapping does not sync it.
#[derive(Clone, Debug)]
pub(crate) struct Unsynced {
    pub(crate) organization: OrganizationId,
    pub(crate) version: i64,
    pub(crate) shown: i64,
}

/// What comparisons looked at and found, and what they are to know of records that are not synced.
#[derive(Debug, Default)]
pub(super) struct Compared {
    unsynced: BTreeMap<(MappingId, String), Unsynced>,
    looked_at: BTreeMap<(ConnectionId, String), i64>,
    differences: Vec<Difference>,
}

impl Unit {
    /// A record that was handed out to be compared has arrived.
    pub(crate) fn look_at(&mut self, connection: ConnectionId, object: &str) {
        *self.compared.looked_at.entry((connection, object.to_owned())).or_default() += 1;
    }

    /// The vendor has this record no more. One that was heard of after this version is there.
    pub(crate) fn gone(&mut self, mapping: &Arc<Compiled>, vendor_id: &str, gone: Gone, cause: &Arc<Cause>) {
        let known = self.by_vendor.get(&(mapping.mapping.id, vendor_id.to_owned())).copied();
        let Some(id) = known else { return };
        let was_synced = self.is_synced(mapping, vendor_id);
        self.delete(mapping, vendor_id, gone, cause);
        if was_synced && !self.is_synced(mapping, vendor_id) {
            self.differs(mapping, id, What::MissingThere, Vec::new());
        }
    }

    /// Whether the mapping syncs this record of the vendor.
    pub(super) fn is_synced(&self, mapping: &Compiled, vendor_id: &str) -> bool {
        let id = self.by_vendor.get(&(mapping.mapping.id, vendor_id.to_owned()));
        let link = id.and_then(|id| self.link(*id));
        link.is_some_and(|link| link.record.is_some() && link.state == LinkState::Linked)
    }

    /// Remembers what a listing showed of a record, synced or not, so that a comparison takes it for known.
    pub(super) fn remember_shown(&mut self, mapping: &Compiled, arrived: Arrived<'_>) {
        let (Some(shown), version) = (arrived.digest, arrived.seen.version) else { return };
        let place = (mapping.mapping.id, arrived.vendor_id.to_owned());
        if let Some(held) = self.by_vendor.get(&place).and_then(|id| self.links.get_mut(id)) {
            if version >= held.link.seen_version && held.link.shown != Some(shown) {
                held.link.shown = Some(shown);
                held.dirty = true;
            }
            return;
        }
        let organization = mapping.mapping.organization;
        let known = self.compared.unsynced.entry(place).or_insert(Unsynced { organization, version, shown });
        if known.version <= version {
            (known.version, known.shown) = (version, shown);
        }
    }

    /// A part of a record arrived, so that a listing would show another one now than it did.
    pub(crate) fn forget_shown(&mut self, mapping: &Compiled, arrived: Arrived<'_>) {
        let place = (mapping.mapping.id, arrived.vendor_id.to_owned());
        let held = self.by_vendor.get(&place).and_then(|id| self.links.get_mut(id));
        if let Some(held) = held.filter(|held| arrived.seen.version >= held.link.seen_version) {
            held.dirty |= held.link.shown.take().is_some();
        }
    }

    /// Whether what was compared is so old, or so well known, that it should have been here.
    pub(super) fn should_be_known(arrived: Arrived<'_>, known_version: i64, cause: &Cause) -> bool {
        arrived.lane == Lane::Verify
            && (arrived.seen.version <= known_version
                || cause.taken_at.duration_since(arrived.seen.at) > ON_ITS_WAY)
    }

    /// What a compared record did to what is known here.
    pub(super) fn compare(&mut self, mapping: &Compiled, link: LinkId, was_synced: bool, effect: &Effect) {
        let of_changes = effect.changes.iter().map(|change| change.field.clone());
        let of_conflicts = effect.conflicts.iter().map(|conflict| conflict.field.clone());
        let mut fields: Vec<String> = of_changes.chain(of_conflicts).collect();
        if !was_synced {
            self.differs(mapping, link, What::MissingHere, Vec::new());
        } else if !fields.is_empty() {
            fields.sort_unstable();
            fields.dedup();
            self.differs(mapping, link, What::Value, fields);
        }
    }

    /// A write that a comparison asks for had not been made.
    pub(super) fn unsent(
        &mut self,
        mapping: &Compiled,
        link: LinkId,
        cause: &Arc<Cause>,
        there: &BTreeMap<String, Value>,
    ) {
        // What a comparison takes over goes to other connections as well, where nothing differed.
        let is_compared =
            cause.lane == Some(Lane::Verify) && cause.connection == Some(mapping.mapping.connection);
        if !is_compared || self.compared.differences.iter().any(|it| it.link == link) {
            return;
        }
        let pairs = mapping.pairs.iter().filter(|pair| there.contains_key(&pair.vendor.name));
        let fields = pairs.map(|pair| pair.canonical.name.clone()).collect();
        self.differs(mapping, link, What::Unsent, fields);
    }

    fn differs(&mut self, mapping: &Compiled, link: LinkId, what: What, fields: Vec<String>) {
        let held = self.links.get(&link).map(|held| &held.link);
        self.compared.differences.push(Difference {
            connection: mapping.mapping.connection,
            vendor_object: mapping.mapping.vendor_object.clone(),
            link,
            vendor_id: held.and_then(|link| link.vendor_id.clone()),
            record: held.and_then(|link| link.record),
            what,
            fields,
        });
    }
}

impl Compared {
    /// Stores what was found, of each object for the comparison that is at work.
    pub(super) async fn store(mut self, tx: &mut PgConnection, now: Timestamp) -> Result<(), Error> {
        if !self.unsynced.is_empty() {
            store::reconciles::remember_unsynced(tx, &self.unsynced).await?;
        }
        for it in &self.differences {
            self.looked_at.entry((it.connection, it.vendor_object.clone())).or_default();
        }
        for ((connection, object), looked_at) in &self.looked_at {
            let its = |it: &&Difference| it.connection == *connection && it.vendor_object == *object;
            let differences: Vec<&Difference> = self.differences.iter().filter(its).collect();
            store::reconciles::note(tx, *connection, object, *looked_at, &differences, now).await?;
        }
        Ok(())
    }
}
