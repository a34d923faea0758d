//! A vendor's schema moved: the field mappings that relied upon what is gone pause, one by one, and everybody is told.

use std::collections::BTreeMap;

use bus::{Message, outbox, subject};
use jiff::Timestamp;
use model::{
    Caller, IssueCategory, LinkId, MappingId, ObjectSchema, PausedField, SchemaChangeKind,
    SchemaDriftDetected, kind,
};
use sqlx::PgConnection;
use uuid::Uuid;

use crate::{
    Error,
    domain::{
        drift,
        mapping::{Mapping, MappingState},
    },
    engine::Engine,
    error::{Refusal, category_name},
    publisher::{mapping_changed, request_capture},
    store::{self, connections::Connection, drifts::StoredDrift, issues::StoredIssue},
    unit::SOURCE,
};

/// The most changes that one message tells of.
const TOLD: usize = 500;

/// Compares the schema with the one before, pauses what no longer holds, and offers what holds again.
pub(crate) async fn take(
    engine: &Engine,
    tx: &mut PgConnection,
    before: &Connection,
    now: &[ObjectSchema],
) -> Result<(), Error> {
    let mut changes = drift::diff(&before.objects, now);
    let at = engine.clock.now();
    let mut paused = Vec::new();
    for mapping in store::mappings::list(tx, before.organization, Some(before.id)).await? {
        let fields = compare(tx, &mapping, before, now, at).await?;
        if !fields.is_empty() && mapping.state == MappingState::Active {
            request_capture(engine, tx, &mapping, false).await?;
        }
        paused.extend(fields);
    }
    if changes.is_empty() {
        return Ok(());
    }
    changes.truncate(TOLD);
    let (connection, vendor) = (before.id, before.vendor.clone());
    let body = SchemaDriftDetected { connection, vendor, changes, paused, at };
    let subject = subject::schema(&before.organization, "drift_detected");
    let message =
        Message::json(subject, kind::SCHEMA_DRIFT_DETECTED, SOURCE, before.organization, at, &body)?;
    outbox::enqueue(tx, &[message]).await?;
    Ok(())
}

/// Stores the drifts of one mapping; gives the fields that are newly paused.
async fn compare(
    tx: &mut PgConnection,
    mapping: &Mapping,
    before: &Connection,
    now: &[ObjectSchema],
    at: Timestamp,
) -> Result<Vec<PausedField>, Error> {
    let Some(old) = before.object(&mapping.vendor_object) else { return Ok(Vec::new()) };
    let gone = ObjectSchema { fields: Vec::new(), ..old.clone() };
    let now = now.iter().find(|now| now.name == mapping.vendor_object).unwrap_or(&gone);
    let known: BTreeMap<String, StoredDrift> =
        store::drifts::of(tx, mapping.id).await?.into_iter().map(|one| (one.field.clone(), one)).collect();
    let mut paused = Vec::new();
    for (name, field) in &mapping.settings.fields {
        let Some(vendor_field) = field.effective() else { continue };
        let stored = known.get(name).filter(|stored| stored.vendor_field == vendor_field);
        if let Some(stored) = stored {
            let returned = drift::of_field(&stored.expected, old, now).is_none();
            if returned != stored.returned {
                store::drifts::put(tx, mapping.id, &StoredDrift { returned, ..stored.clone() }, at).await?;
            }
            continue;
        }
        let Some(expected) = old.field(vendor_field) else { continue };
        let Some(found) = drift::of_field(expected, old, now) else { continue };
        let stored = StoredDrift {
            field: name.clone(),
            vendor_field: vendor_field.to_owned(),
            change: found.kind.name().to_owned(),
            message: found.message,
            expected: expected.clone(),
            returned: false,
        };
        store::drifts::put(tx, mapping.id, &stored, at).await?;
        store::issues::open(tx, &[issue(mapping, &stored, at)]).await?;
        let (mapping, field) = (mapping.id, name.clone());
        paused.push(PausedField { mapping, field, vendor_field: stored.vendor_field });
    }
    Ok(paused)
}

/// The issue of a paused field mapping. It is about no record, so the mapping stands where the link would.
fn issue(mapping: &Mapping, drift: &StoredDrift, at: Timestamp) -> StoredIssue {
    StoredIssue {
        id: Uuid::now_v7(),
        organization: mapping.organization,
        connection: mapping.connection,
        link: place(mapping.id),
        record: None,
        vendor_id: None,
        field: drift.field.clone(),
        category: category_name(IssueCategory::SchemaDrift).to_owned(),
        message: format!("{}: its field mapping is paused", drift.message),
        state: "open".to_owned(),
        at,
    }
}

/// The mapping that an issue is about, when it is about a paused field mapping.
pub(crate) async fn mapping_of(
    db: &mut PgConnection,
    issue: &StoredIssue,
) -> Result<Option<MappingId>, Error> {
    let mapping = MappingId::from_uuid(issue.link.uuid());
    let drifts = store::drifts::of(db, mapping).await?;
    Ok(drifts.iter().any(|drift| drift.field == issue.field).then_some(mapping))
}

fn place(mapping: MappingId) -> LinkId {
    LinkId::from_uuid(mapping.uuid())
}

impl Engine {
    /// Lets a paused field mapping go on. One whose field is gone at the vendor stays paused; one whose field was
    /// narrowed goes on with it as it is.
    pub(crate) async fn resume_field(
        &self,
        caller: &Caller,
        id: MappingId,
        name: &str,
    ) -> Result<Mapping, Error> {
        let mut tx = self.pool.begin().await?;
        let mapping = store::mappings::lock(&mut tx, caller.organization, id).await?;
        let mut mapping = mapping.ok_or_else(|| Error::not_found("mapping"))?;
        let drifts = store::drifts::of(&mut tx, id).await?;
        let Some(drift) = drifts.into_iter().find(|drift| drift.field == name) else {
            return Err(Error::refused(Refusal::NotReady, "field_not_paused", "the field is not paused"));
        };
        let gone = [SchemaChangeKind::Removed, SchemaChangeKind::Renamed];
        if !drift.returned && gone.iter().any(|kind| kind.name() == drift.change) {
            let message = format!("{}; choose another property, or bring it back there", drift.message);
            return Err(Error::refused(Refusal::NotReady, "field_gone", message));
        }
        store::drifts::remove(&mut tx, id, name).await?;
        store::issues::clear(&mut tx, &[(place(id), name.to_owned())], self.clock.now()).await?;
        store::mappings::update(&mut tx, &mut mapping).await?;
        let actor = caller.actor.to_string();
        mapping_changed(self, &mut tx, &mapping, &actor, "field_resumed", Some(name), BTreeMap::new())
            .await?;
        if mapping.state == MappingState::Active {
            // Nobody looked at the field meanwhile: it is read with its history.
            request_capture(self, &mut tx, &mapping, true).await?;
        }
        tx.commit().await?;
        self.waker.wake();
        Ok(mapping)
    }
}
