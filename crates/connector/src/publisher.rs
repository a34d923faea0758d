//! What leaves the runtime: private facts as messages of the bus, built in one place.

use bus::{ErrorKind, Message, event_id, event_id_at, subject};
use jiff::Timestamp;
use model::{
    ActivityTold, ApplyWrite, BudgetChanged, BudgetReached, CaptureProgress, ChangeEvent, ChangeKind,
    ConnectionChanged, ConnectionId, InteractionReceived, IssueCategory, Lane, MailSent, MessagePosted,
    ObjectSchema, OrganizationId, ReadingChanged, SchemaPart, SchemaRefreshed, SyncRunFinished, Value,
    VendorUserTold, VerifiedBucket, VerifyFinished, VerifyProgressed, WriteOutcome, Written, kind,
};
use uuid::Uuid;

use crate::{
    Activity, Change, Error,
    failure::Failure,
    schema::{self, PartTooLarge},
};

/// The most bytes of objects that one message of a schema has; the rest of it has room beside them.
const SCHEMA_PART_BYTES: usize = bus::MAX_BODY_BYTES - 10_000;

/// The most characters that are told of a name.
const SHOWN_OF_NAME: usize = 100;

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

    /// Somebody changed the connection's budget.
    pub(crate) fn budget_changed(&self, actor: &str, fact: &BudgetChanged) -> Result<Message, bus::Error> {
        let subject = subject::connection(&self.organization, "budget_changed");
        let (kind, source) = (kind::BUDGET_CHANGED, &self.source);
        Ok(Message::json(subject, kind, source, self.organization, fact.at, fact)?.by(actor))
    }

    /// The use of the connection's budget reached another level.
    pub(crate) fn budget_reached(&self, fact: &BudgetReached) -> Result<Message, bus::Error> {
        let subject = subject::connection(&self.organization, "budget_reached");
        let (kind, source) = (kind::BUDGET_REACHED, &self.source);
        let message = Message::json(subject, kind, source, self.organization, fact.at, fact)?;
        Ok(message.by(format!("connection:{}", fact.connection)))
    }

    /// Somebody changed how the connection reads.
    pub(crate) fn reading_changed(&self, actor: &str, fact: &ReadingChanged) -> Result<Message, bus::Error> {
        let subject = subject::connection(&self.organization, "reading_changed");
        let (kind, source) = (kind::READING_CHANGED, &self.source);
        Ok(Message::json(subject, kind, source, self.organization, fact.at, fact)?.by(actor))
    }

    /// The vendor's objects and fields were read: one message, or as many as they need.
    pub(crate) fn schema(
        &self,
        actor: &str,
        connection: ConnectionId,
        objects: &[ObjectSchema],
        at: Timestamp,
    ) -> Result<Vec<Message>, Failure> {
        let parts = schema::divide(objects, SCHEMA_PART_BYTES).map_err(too_large)?;
        let (reading, of) = (Uuid::new_v4(), u32::try_from(parts.len()).unwrap_or(u32::MAX));
        let message = |(number, objects): (u32, Vec<ObjectSchema>)| {
            let fact = SchemaRefreshed {
                connection,
                vendor: self.vendor.to_owned(),
                objects,
                part: (of > 1).then_some(SchemaPart { reading, number, of }),
                at,
            };
            let subject = subject::schema(&self.organization, "refreshed");
            let (kind, source) = (kind::SCHEMA_REFRESHED, &self.source);
            let message = Message::json(subject, kind, source, self.organization, at, &fact)?;
            Ok(message.by(actor))
        };
        (1..).zip(parts).map(message).collect()
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

    /// A bucket that differed, behind its records.
    pub(crate) fn verified_bucket(
        &self,
        fact: &VerifiedBucket,
        at: Timestamp,
    ) -> Result<Message, bus::Error> {
        let id = event_id(&[kind::VERIFIED_BUCKET, &fact.run.to_string(), &fact.bucket.to_string()]);
        let subject = subject::change(&self.organization, self.vendor, &fact.vendor_object);
        let (kind, source) = (kind::VERIFIED_BUCKET, self.source.as_str());
        let message = Message::json(subject, kind, source, self.organization, at, fact)?;
        Ok(message.with_id(id).by(format!("connection:{}", fact.connection)))
    }

    /// How far the reading of a comparison is.
    pub(crate) fn verify_progressed(&self, fact: &VerifyProgressed) -> Result<Message, bus::Error> {
        let subject = subject::change(&self.organization, self.vendor, &fact.vendor_object);
        let (kind, source) = (kind::VERIFY_PROGRESSED, self.source.as_str());
        let message = Message::json(subject, kind, source, self.organization, fact.at, fact)?;
        Ok(message.by(format!("connection:{}", fact.connection)))
    }

    /// The end of a comparison, behind everything that it handed out.
    pub(crate) fn verify_finished(&self, fact: &VerifyFinished) -> Result<Message, bus::Error> {
        let subject = subject::change(&self.organization, self.vendor, &fact.vendor_object);
        let (kind, source) = (kind::VERIFY_FINISHED, self.source.as_str());
        let message = Message::json(subject, kind, source, self.organization, fact.at, fact)?;
        Ok(message
            .with_id(event_id(&[kind, &fact.run.to_string()]))
            .by(format!("connection:{}", fact.connection)))
    }

    /// The vendor's answer to a write. One that no message can hold is told as a refusal: it must not hold the
    /// neighbours up, and what the vendor stored arrives by reading.
    pub(crate) fn written(
        &self,
        write: &ApplyWrite,
        cause: &str,
        outcome: WriteOutcome,
        at: Timestamp,
    ) -> Result<Message, bus::Error> {
        match self.answer(write, cause, outcome, at) {
            Err(error) if error.kind() == ErrorKind::TooLarge => {
                let too_large = WriteOutcome::Rejected {
                    category: IssueCategory::Value,
                    message: "the record is written, but its values are too large to be compared".to_owned(),
                    field: None,
                };
                self.answer(write, cause, too_large, at)
            }
            answer => answer,
        }
    }

    fn answer(
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

    /// What people did, as one connection tells it.
    pub(crate) fn activities(&self, connection: ConnectionId) -> ActivityPublisher {
        ActivityPublisher {
            publisher: self.clone(),
            connection,
            subject: subject::activity(&self.organization, self.vendor),
        }
    }

    /// What became of a message that was to be posted.
    pub(crate) fn posted(
        &self,
        fact: &MessagePosted,
        cause: &str,
        at: Timestamp,
    ) -> Result<Message, bus::Error> {
        let subject = subject::posted(&self.organization, self.vendor);
        let message = Message::json(subject, kind::POSTED, &self.source, self.organization, at, fact)?;
        let id = event_id(&[kind::POSTED, &fact.post.to_string(), cause]);
        Ok(message.with_id(id).caused_by(cause).by(format!("connection:{}", fact.connection)))
    }

    /// What became of a mail that was to be sent.
    pub(crate) fn mailed(&self, fact: &MailSent, cause: &str) -> Result<Message, bus::Error> {
        let subject = subject::mailed(&self.organization, self.vendor);
        let (kind, source) = (kind::MAILED, &self.source);
        let message = Message::json(subject, kind, source, self.organization, fact.at, fact)?;
        let id = event_id(&[kind, &fact.mail.to_string()]);
        Ok(message.with_id(id).caused_by(cause).by(format!("connection:{}", fact.connection)))
    }

    /// Somebody did something with a message.
    pub(crate) fn interaction(&self, fact: &InteractionReceived) -> Result<Message, bus::Error> {
        let subject = subject::interaction(&self.organization, self.vendor);
        let (kind, source) = (kind::INTERACTION, &self.source);
        let message = Message::json(subject, kind, source, self.organization, fact.at, fact)?;
        let id = event_id(&[kind, self.vendor, &fact.id]);
        Ok(message.with_id(id).by(format!("connection:{}", fact.connection)))
    }

    /// Who somebody is, looked up because of an interaction.
    pub(crate) fn vendor_user(
        &self,
        fact: &VendorUserTold,
        interaction: &str,
    ) -> Result<Message, bus::Error> {
        let subject = subject::interaction(&self.organization, self.vendor);
        let (kind, source) = (kind::VENDOR_USER, &self.source);
        let message = Message::json(subject, kind, source, self.organization, fact.at, fact)?;
        let id = event_id(&[kind, self.vendor, interaction]);
        Ok(message.with_id(id).by(format!("connection:{}", fact.connection)))
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

fn too_large(refused: PartTooLarge) -> Error {
    let short = |name: String| name.chars().take(SHOWN_OF_NAME).collect::<String>();
    let what = match refused.field {
        Some(field) => format!("the field {} of {}", short(field), short(refused.object)),
        None => format!("the object {}", short(refused.object)),
    };
    let message =
        format!("{what} is described at a greater length than Accord takes in; remove some of its options");
    Error::new(crate::ErrorKind::SchemaTooLarge, "read the schema", message)
}

/// A change with no more bytes of text than this fits a message however it is written in JSON, where a character
/// takes six bytes at most; the names of its fields have room beside it.
const SURELY_FITS: usize = bus::MAX_BODY_BYTES / 8;
/// What the time of a field counts against [`SURELY_FITS`]: it and the field's name need no more than eight times that.
const TIME_BYTES: usize = 20;

/// What of a record was too large for a message.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct LeftOut {
    /// The vendor's id of the record.
    pub(crate) id: String,
    /// The fields.
    pub(crate) fields: Vec<String>,
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
    /// The same, for records that are handed out once more: this reason makes them news.
    pub(crate) fn again(&self, reason: Uuid) -> Self {
        let [organization, connection, generation] = self.parts.clone();
        Self { parts: [organization, connection, format!("{generation} {reason}")], ..self.clone() }
    }

    /// The change as a message, and what had to be left out for it to fit one. The same version read again has the same id; after a new backfill was asked for,
    /// perhaps with more fields, it has another one.
    pub(crate) fn message(
        &self,
        mut change: Change,
        people: Option<Vec<String>>,
        lane: Lane,
        now: Timestamp,
    ) -> Result<(Message, Option<LeftOut>), bus::Error> {
        let addresses: usize = people.iter().flatten().map(|address| address.len() + 3).sum();
        let texts: usize = change.fields.values().map(text_bytes).sum::<usize>() + addresses;
        if texts + change.field_times.len() * TIME_BYTES <= SURELY_FITS {
            return Ok((self.whole(change, people, lane, now)?, None));
        }
        let mut left_out = Vec::new();
        loop {
            match self.whole(change.clone(), people.clone(), lane, now) {
                Err(error) if error.kind() == ErrorKind::TooLarge && !change.fields.is_empty() => {
                    let largest = change.fields.iter().max_by_key(|(_, value)| text_bytes(value));
                    let name = largest.map(|(name, _)| name.clone()).unwrap_or_default();
                    change.fields.remove(&name);
                    change.field_times.remove(&name);
                    left_out.push(name);
                }
                Err(error) => return Err(error),
                Ok(message) => {
                    let left_out = Some(left_out).filter(|fields| !fields.is_empty());
                    return Ok((message, left_out.map(|fields| LeftOut { id: change.id, fields })));
                }
            }
        }
    }

    fn whole(
        &self,
        change: Change,
        people: Option<Vec<String>>,
        lane: Lane,
        now: Timestamp,
    ) -> Result<Message, bus::Error> {
        let [organization, connection, generation] = &self.parts;
        let (version, content) = (change.version.to_string(), change.content().to_string());
        let what = match change.kind {
            ChangeKind::Upserted => "upserted",
            ChangeKind::Deleted => "deleted",
        };
        let id = event_id_at(
            change.changed_at,
            &[organization, connection, &self.object, &change.id, &version, &content, what, generation],
        );
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
            is_partial: change.is_partial,
            field_times: change.field_times,
            external_id: change.external_id,
            merged_ids: change.merged_ids,
            says_ours: change.says_ours,
            people,
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

/// Tells activities of one connection.
#[derive(Clone, Debug)]
pub(crate) struct ActivityPublisher {
    publisher: Publisher,
    connection: ConnectionId,
    subject: String,
}

impl ActivityPublisher {
    /// The activity as a message, cut until it fits one. The same version read again has the same id.
    pub(crate) fn message(
        &self,
        activity: Activity,
        with_body: bool,
        now: Timestamp,
    ) -> Result<Message, Failure> {
        let (activity, is_preview) = if with_body { (activity, false) } else { activity.without_body() };
        let told = ActivityTold { is_preview, ..activity.told(self.connection, self.publisher.vendor)? };
        let (connection, version) = (self.connection.to_string(), told.version.to_string());
        let what = if told.is_gone { "gone" } else { "told" };
        let id = event_id(&[kind::ACTIVITY_TOLD, &connection, &told.external_id, &version, what]);
        let (source, organization) = (self.publisher.source.as_str(), self.publisher.organization);
        let subject = self.subject.as_str();
        let message = Message::json(subject, kind::ACTIVITY_TOLD, source, organization, now, &told)?;
        Ok(message.with_id(id).by(format!("connection:{connection}")))
    }
}

fn text_bytes(value: &Value) -> usize {
    match value {
        Value::Text(text) => text.len(),
        Value::List(options) => options.iter().map(|option| option.len() + 3).sum(),
        _ => 32,
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;

    use model::{LinkId, MappingId, RecordId, WriteId, WriteKind};

    use super::*;

    fn publisher() -> Publisher {
        Publisher::new(OrganizationId::generate(Timestamp::UNIX_EPOCH), "acme")
    }

    fn fields(sizes: &[usize]) -> BTreeMap<String, Value> {
        sizes
            .iter()
            .enumerate()
            .map(|(i, size)| (format!("f{i}"), Value::text("\u{1}".repeat(*size))))
            .collect()
    }

    #[test]
    fn a_record_that_is_too_large_goes_without_its_largest_fields() {
        let at = Timestamp::UNIX_EPOCH;
        let changes = publisher().changes(ConnectionId::generate(at), "companies", 1);
        for (sizes, gone) in
            [(&[10, 20][..], &[][..]), (&[10, 200_000], &["f1"]), (&[90_000, 3, 100_000], &["f2"])]
        {
            let change = Change {
                id: "7".to_owned(),
                kind: ChangeKind::Upserted,
                version: 1,
                changed_at: at,
                fields: fields(sizes),
                is_partial: false,
                field_times: BTreeMap::new(),
                external_id: None,
                merged_ids: Vec::new(),
                says_ours: false,
            };
            let (message, left_out) = changes.message(change, None, Lane::Live, at).unwrap();
            let event: ChangeEvent = message.decode().unwrap();
            assert_eq!(event.fields.len(), sizes.len() - gone.len());
            assert_eq!(left_out.map(|it| it.fields).unwrap_or_default(), gone);
        }
    }

    #[test]
    fn the_same_change_has_one_id_and_another_edit_of_the_same_moment_has_another() {
        let at = Timestamp::UNIX_EPOCH;
        let changes = publisher().changes(ConnectionId::generate(at), "companies", 1);
        let id = |name: &str, version: i64| {
            let change = Change {
                id: "7".to_owned(),
                kind: ChangeKind::Upserted,
                version,
                changed_at: at,
                fields: [("name".to_owned(), Value::text(name))].into(),
                is_partial: false,
                field_times: BTreeMap::new(),
                external_id: None,
                merged_ids: Vec::new(),
                says_ours: false,
            };
            changes.message(change, None, Lane::Live, at).unwrap().0.envelope.id
        };
        assert_eq!(id("One", 1), id("One", 1));
        assert_ne!(id("One", 1), id("Two", 1));
        assert_ne!(id("One", 1), id("One", 2));
    }

    #[test]
    fn an_answer_that_is_too_large_is_a_refusal_and_no_failure() {
        let at = Timestamp::UNIX_EPOCH;
        let write = ApplyWrite {
            id: WriteId::generate(at),
            connection: ConnectionId::generate(at),
            object: "companies".into(),
            mapping: MappingId::generate(at),
            link: LinkId::generate(at),
            record: RecordId::generate(at),
            write: WriteKind::Create { external_id: "rec_1".into() },
            fields: BTreeMap::new(),
            edited_at: at,
        };
        let fields = fields(&[200_000]);
        let outcome =
            WriteOutcome::Applied { vendor_id: "7".into(), version: 1, fields, covered: BTreeMap::new() };
        let told: Written = publisher().written(&write, "cause", outcome, at).unwrap().decode().unwrap();
        assert!(matches!(told.outcome, WriteOutcome::Rejected { category: IssueCategory::Value, .. }));
    }
}
