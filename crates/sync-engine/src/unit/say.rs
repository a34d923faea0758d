//! What a unit of work says: revisions, public events, conflicts and issues.

use std::sync::Arc;

use bus::{Message, subject};
use model::{ConflictRecorded, LinkId, OrganizationId, RecordChanged, RecordId, Value, kind};
use uuid::Uuid;

use super::{Cause, SOURCE, Unit};
use crate::{
    domain::{
        mapping::Compiled,
        matching,
        sync::{self, FieldChange, LinkState, Trouble},
    },
    error::category_name,
    store::{conflicts::StoredConflict, issues::StoredIssue, revisions::Revision},
};

impl Unit {
    pub(super) fn revise(
        &mut self,
        id: RecordId,
        changes: Vec<FieldChange>,
        cause: &Arc<Cause>,
        mapping: Option<&Compiled>,
        event: &'static str,
    ) {
        let Some(held) = self.records.get_mut(&id) else { return };
        held.record.version += 1;
        held.record.updated_at = self.now;
        held.dirty = true;
        self.causes.insert(id, Arc::clone(cause));
        let record = &held.record;
        for key in matching::keys_of(record) {
            let records = self.by_key.entry((record.organization, record.object, key)).or_default();
            if !records.contains(&id) {
                records.push(id);
            }
        }
        let pii = self.mappings.pii(record.organization, record.object);
        let mut body = RecordChanged {
            truncated: false,
            record: id,
            object: record.object,
            version: record.version,
            fields: changes.iter().map(|change| (change.field.clone(), change.after.clone())).collect(),
            before: changes.iter().map(|change| (change.field.clone(), change.before.clone())).collect(),
            pii: changes
                .iter()
                .map(|c| &c.field)
                .filter(|field| pii.contains(field.as_str()))
                .cloned()
                .collect(),
            actor: cause.actor.clone(),
            at: cause.at,
            connection: cause.connection,
        };
        let subject = subject::record(&record.organization, record.object.name());
        let name = bus::event_id_at(self.now, &["record", &id.to_string(), &record.version.to_string()]);
        let (organization, version) = (record.organization, record.version);
        self.check
            .extend(self.by_record.get(&id).into_iter().flatten().map(|link| (*link, Arc::clone(cause))));
        if !self.say(subject.clone(), event, organization, &body, cause, name.clone()) {
            // The values are too large for one message: who needs them reads the record.
            body.truncated = true;
            body.fields.values_mut().chain(body.before.values_mut()).for_each(|value| *value = Value::Null);
            self.say(subject, event, organization, &body, cause, name);
        }
        self.revisions.push(Revision {
            organization,
            record: id,
            version,
            at: cause.at,
            actor: cause.actor.clone(),
            cause: cause.id.clone(),
            vendor: cause.vendor.clone(),
            via: mapping.map(|mapping| (mapping.mapping.id, mapping.mapping.revision)),
            lane: cause.lane,
            taken_at: Some(cause.taken_at),
            changes,
        });
    }

    pub(super) fn record_conflict(
        &mut self,
        mapping: &Compiled,
        record: RecordId,
        conflict: sync::Conflict,
        ahead: i64,
        cause: &Arc<Cause>,
    ) {
        let winner = if conflict.vendor_won { "crm" } else { "platform" };
        let stored = StoredConflict {
            id: model::WriteId::generate(self.now).uuid(),
            organization: mapping.mapping.organization,
            connection: mapping.mapping.connection,
            record,
            object: mapping.mapping.object.name().to_owned(),
            field: conflict.field,
            policy: conflict.policy.name().to_owned(),
            winner: winner.to_owned(),
            kept: conflict.kept,
            lost: conflict.lost,
            pii: conflict.pii,
            within_clock_skew: conflict.within_skew,
            at: self.now,
            restored_at: None,
            cause: cause.id.clone(),
            version: self.records.get(&record).map_or(0, |held| held.record.version) + ahead,
            via: Some((mapping.mapping.id, mapping.mapping.revision)),
        };
        let mut body = ConflictRecorded {
            record,
            object: mapping.mapping.object,
            field: stored.field.clone(),
            connection: stored.connection,
            policy: stored.policy.clone(),
            winner: stored.winner.clone(),
            kept: stored.kept.clone(),
            lost: stored.lost.clone(),
            pii: stored.pii,
            within_clock_skew: stored.within_clock_skew,
            at: stored.at,
        };
        let subject = subject::conflict(&stored.organization, "recorded");
        let name = stored.id.to_string();
        let organization = stored.organization;
        if !self.say(subject.clone(), kind::CONFLICT_RECORDED, organization, &body, cause, name.clone()) {
            // The values are too large for one message: who needs them reads the conflict.
            (body.kept, body.lost) = (Value::Null, Value::Null);
            self.say(subject, kind::CONFLICT_RECORDED, organization, &body, cause, name);
        }
        self.conflicts.push(stored);
    }

    pub(super) fn trouble(&mut self, mapping: &Compiled, link: LinkId, trouble: Trouble) {
        let held = self.links.get(&link).map(|held| &held.link);
        // An old change of a record that is gone waits for nobody.
        if held.is_some_and(|link| link.state == LinkState::Detached) && !broken!(IssueOfGone) {
            return;
        }
        let issue = StoredIssue {
            id: Uuid::now_v7(),
            organization: mapping.mapping.organization,
            connection: mapping.mapping.connection,
            link,
            record: held.and_then(|link| link.record),
            vendor_id: held.and_then(|link| link.vendor_id.clone()),
            field: trouble.field.clone(),
            category: category_name(trouble.category).to_owned(),
            message: self.words(mapping, link, &trouble),
            state: "open".to_owned(),
            at: self.now,
        };
        self.cleared.remove(&(link, trouble.field.clone()));
        self.issues.insert((link, trouble.field), issue);
    }

    /// Says something once this is stored; false when no message can carry it.
    pub(super) fn say<T: serde::Serialize>(
        &mut self,
        subject: String,
        event: &str,
        organization: OrganizationId,
        body: &T,
        cause: &Arc<Cause>,
        id: String,
    ) -> bool {
        match Message::json(subject, event, SOURCE, organization, self.now, body) {
            Ok(message) => {
                let mut message = message.with_id(id).caused_by(&cause.id).by(&cause.actor);
                message.envelope.traceparent.clone_from(&cause.traceparent);
                self.messages.push(message);
                true
            }
            Err(error) => {
                tracing::warn!(%error, event, "a message is too large for the bus");
                false
            }
        }
    }
}
