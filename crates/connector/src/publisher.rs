//! What leaves the runtime: private facts as messages of the bus, built in one place.

use bus::{Message, event_id, subject};
use jiff::Timestamp;
use model::{
    ApplyWrite, CaptureProgress, ChangeEvent, ChangeKind, ConnectionChanged, ConnectionId, Lane,
    OrganizationId, SchemaRefreshed, SyncRunFinished, WriteOutcome, Written, kind,
};

use crate::Change;

/// Whose messages these are.
#[derive(Clone, Debug)]
pub(crate) struct Publisher {
    pub(crate) organization: OrganizationId,
    pub(crate) vendor: &'static str,
    source: String,
}

impl Publisher {
    pub(crate) fn new(organization: OrganizationId, vendor: &'static str) -> Self {
        Self { organization, vendor, source: format!("connector/{vendor}") }
    }

    /// A connection was authorized, changed, disconnected or refused; `kind` says which.
    pub(crate) fn connection(
        &self,
        kind: &'static str,
        actor: &str,
        fact: &ConnectionChanged,
    ) -> Result<Message, bus::Error> {
        let name = kind.rsplit('.').next().unwrap_or(kind);
        let subject = if kind.starts_with("token.") {
            subject::token_event(&self.organization, name)
        } else {
            subject::connection(&self.organization, name)
        };
        let message = Message::json(subject, kind, &self.source, self.organization, fact.at, fact)?;
        Ok(message.by(actor))
    }

    /// The vendor's objects and fields were read.
    pub(crate) fn schema(&self, actor: &str, fact: &SchemaRefreshed) -> Result<Message, bus::Error> {
        let subject = subject::schema(&self.organization, "refreshed");
        let source = &self.source;
        let message =
            Message::json(subject, kind::SCHEMA_REFRESHED, source, self.organization, fact.at, fact)?;
        Ok(message.by(actor))
    }

    /// A run of reading ended.
    pub(crate) fn run(&self, fact: &SyncRunFinished) -> Result<Message, bus::Error> {
        let subject = subject::sync(&self.organization, "run_finished");
        let (kind, at) = (kind::SYNC_RUN_FINISHED, fact.finished_at);
        let message = Message::json(subject, kind, &self.source, self.organization, at, fact)?;
        Ok(message.by(format!("connection:{}", fact.connection)))
    }

    /// The end of a backfill, behind its last change.
    pub(crate) fn backfill_finished(
        &self,
        generation: i64,
        fact: &CaptureProgress,
    ) -> Result<Message, bus::Error> {
        let subject = subject::change(&self.organization, self.vendor, &fact.vendor_object);
        let (kind, at) = (kind::BACKFILL_FINISHED, fact.at);
        let message = Message::json(subject, kind, &self.source, self.organization, at, fact)?;
        let connection = fact.connection.to_string();
        let generation = generation.to_string();
        Ok(message
            .with_id(event_id(&[&connection, &fact.vendor_object, kind, &generation]))
            .by(format!("connection:{connection}")))
    }

    /// The vendor's answer to a write.
    pub(crate) fn written(
        &self,
        write: &ApplyWrite,
        cause: &str,
        outcome: WriteOutcome,
        at: Timestamp,
    ) -> Result<Message, bus::Error> {
        let answer = Written {
            write: write.id,
            connection: write.connection,
            vendor: self.vendor.to_owned(),
            object: write.object.clone(),
            mapping: write.mapping,
            link: write.link,
            record: write.record,
            at,
            outcome,
        };
        let subject = subject::written(&self.organization, self.vendor, &write.object);
        let message = Message::json(subject, kind::WRITTEN, &self.source, self.organization, at, &answer)?;
        Ok(message
            .with_id(event_id(&[kind::WRITTEN, &write.id.to_string()]))
            .caused_by(cause)
            .by(format!("connection:{}", write.connection)))
    }

    /// The changes of one object of one connection.
    pub(crate) fn changes(&self, connection: ConnectionId, object: &str, generation: i64) -> ChangePublisher {
        ChangePublisher {
            publisher: self.clone(),
            connection,
            object: object.to_owned(),
            subject: subject::change(&self.organization, self.vendor, object),
            parts: [self.organization.to_string(), connection.to_string(), generation.to_string()],
        }
    }
}

/// Makes change events of the records of one object.
#[derive(Clone, Debug)]
pub(crate) struct ChangePublisher {
    publisher: Publisher,
    connection: ConnectionId,
    object: String,
    subject: String,
    parts: [String; 3],
}

impl ChangePublisher {
    /// The change as a message. The same version read again has the same id; after a new backfill was asked for,
    /// perhaps with more fields, it has another one.
    pub(crate) fn message(&self, change: Change, lane: Lane, now: Timestamp) -> Result<Message, bus::Error> {
        let [organization, connection, generation] = &self.parts;
        let version = change.version.to_string();
        let what = match change.kind {
            ChangeKind::Upserted => "upserted",
            ChangeKind::Deleted => "deleted",
        };
        let id = event_id(&[organization, connection, &self.object, &change.id, &version, what, generation]);
        let event = ChangeEvent {
            connection: self.connection,
            vendor: self.publisher.vendor.to_owned(),
            object: self.object.clone(),
            id: change.id,
            kind: change.kind,
            version: change.version,
            changed_at: change.changed_at,
            captured_at: now,
            lane,
            fields: change.fields,
            external_id: change.external_id,
            merged_ids: change.merged_ids,
        };
        let (source, organization) = (self.publisher.source.as_str(), self.publisher.organization);
        let message = Message::json(
            self.subject.as_str(),
            kind::CHANGE,
            source,
            organization,
            event.changed_at,
            &event,
        )?;
        Ok(message.with_id(id).by(format!("connection:{connection}")))
    }
}
