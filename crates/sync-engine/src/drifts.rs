//! A vendor's schema moved: the field mappings that relied upon what is gone pause, one by one, and everybody is told.

use std::collections::{BTreeMap, BTreeSet};

use bus::{Message, outbox, subject};
use jiff::Timestamp;
use model::{
    Actor, IssueCategory, LinkId, MappingId, ObjectSchema, OrganizationId, PausedField, SchemaChangeKind,
    SchemaDriftDetected, kind,
};
use sqlx::PgConnection;
use uuid::Uuid;

use crate::{
    Error,
    domain::{
        self, drift,
        mapping::{Mapping, MappingState, Settings},
    },
    engine::Engine,
    error::{Refusal, category_name},
    publisher::{mapping_changed, request_capture},
    store::{self, connections::Connection, drifts::StoredDrift, issues::StoredIssue},
    unit::SOURCE,
};

/// After these, no value of the field comes any more.
const LOST: [SchemaChangeKind; 2] = [SchemaChangeKind::Removed, SchemaChangeKind::Renamed];

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
            // A filter that cannot be asked lets nothing in: the mapping waits as a whole.
            let mapping = if fields.iter().any(|paused| paused.field.is_empty()) {
                pause(engine, tx, mapping).await?
            } else {
                mapping
            };
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
    let known = store::drifts::of(tx, mapping.id).await?;
    let mut paused = Vec::new();
    for (name, vendor_field) in relied_upon(&mapping.settings) {
        let stored = known.iter().find(|one| one.field == name && one.vendor_field == vendor_field);
        if let Some(stored) = stored {
            let returned = drift::of_field(&stored.expected, old, now).is_none();
            if returned != stored.returned {
                store::drifts::put(tx, mapping.id, &StoredDrift { returned, ..stored.clone() }, at).await?;
            }
            continue;
        }
        let Some(expected) = old.field(vendor_field) else { continue };
        let Some(found) = drift::of_field(expected, old, now) else { continue };
        if name.is_empty() && !LOST.contains(&found.kind) {
            continue;
        }
        let stored = StoredDrift {
            field: name.to_owned(),
            vendor_field: vendor_field.to_owned(),
            change: found.kind.name().to_owned(),
            message: found.message,
            expected: expected.clone(),
            returned: false,
        };
        store::drifts::put(tx, mapping.id, &stored, at).await?;
        store::issues::open(tx, &[issue(mapping, &stored, at)]).await?;
        let (mapping, field) = (mapping.id, name.to_owned());
        paused.push(PausedField { mapping, field, vendor_field: stored.vendor_field });
    }
    Ok(paused)
}

/// The vendor's fields that a mapping relies upon, with the canonical field for whose sake; with none, the filter's.
fn relied_upon(settings: &Settings) -> impl Iterator<Item = (&str, &str)> {
    let fields = settings.fields.iter();
    let of_fields =
        fields.flat_map(|(name, field)| field.relies_on().into_iter().map(move |its| (name.as_str(), its)));
    let filter: BTreeSet<&str> =
        settings.filter.iter().flat_map(domain::filter::Filter::vendor_fields).collect();
    of_fields.chain(filter.into_iter().map(|its| ("", its)))
}

/// Stops an active mapping whose filter cannot be asked any more.
async fn pause(engine: &Engine, tx: &mut PgConnection, mapping: Mapping) -> Result<Mapping, Error> {
    let locked = store::mappings::lock(tx, mapping.organization, mapping.id).await?;
    let Some(mut mapping) = locked.filter(|mapping| mapping.state == MappingState::Active) else {
        return Ok(mapping);
    };
    mapping.state = MappingState::Paused;
    store::mappings::update(tx, &mut mapping).await?;
    store::plans::remove_unapplied(tx, mapping.id).await?;
    let actor = Actor::Service(SOURCE).to_string();
    mapping_changed(engine, tx, &mapping, &actor, "paused", None, BTreeMap::new()).await?;
    Ok(mapping)
}

/// Refuses changes that rely upon what the vendor no longer has: nobody was told of it, as of what is active.
pub(crate) fn check_changes(mapping: &Mapping, vendor: Option<&ObjectSchema>) -> Result<(), Error> {
    let Some(draft) = &mapping.draft else { return Ok(()) };
    let active: BTreeSet<(&str, &str)> = relied_upon(&mapping.settings).collect();
    let is_gone = |(name, field): &(&str, &str)| {
        !active.contains(&(*name, *field)) && vendor.is_none_or(|vendor| vendor.field(field).is_none())
    };
    let Some((name, field)) = relied_upon(draft).find(is_gone) else { return Ok(()) };
    let (code, what) =
        if name.is_empty() { ("filter_field_gone", "the filter") } else { ("field_gone", name) };
    let message =
        format!("{what} asks for {field}, which the vendor no longer has; change that, or discard it");
    Err(Error::refused(Refusal::NotReady, code, message))
}

/// Forgets the drifts of what a mapping does not rely upon any more, and clears their issues.
pub(crate) async fn forget_settled(
    tx: &mut PgConnection,
    mapping: &Mapping,
    now: Timestamp,
) -> Result<(), Error> {
    let drifts = store::drifts::of(tx, mapping.id).await?;
    let relied: BTreeSet<(&str, &str)> = relied_upon(&mapping.settings).collect();
    let (stay, settled): (Vec<&StoredDrift>, Vec<&StoredDrift>) = drifts
        .iter()
        .partition(|drift| relied.contains(&(drift.field.as_str(), drift.vendor_field.as_str())));
    let mut cleared = Vec::new();
    for drift in settled {
        store::drifts::remove(tx, mapping.id, drift).await?;
        if stay.iter().all(|other| other.field != drift.field) {
            cleared.push((place(mapping.id), drift.field.clone()));
        }
    }
    store::issues::clear(tx, &cleared, now).await
}

/// Refuses to let a mapping go on while its filter asks for what the vendor no longer has; else what was said of the
/// filter is settled.
pub(crate) async fn check_filter(
    tx: &mut PgConnection,
    mapping: &Mapping,
    vendor: Option<&ObjectSchema>,
    now: Timestamp,
) -> Result<(), Error> {
    let mut asked =
        relied_upon(&mapping.settings).filter(|(name, _)| name.is_empty()).map(|(_, field)| field);
    if let Some(gone) = asked.find(|field| vendor.is_none_or(|vendor| vendor.field(field).is_none())) {
        let message = format!(
            "the filter asks for {gone}, which the vendor no longer has; change the filter, or bring it back \
             there and refresh the schema"
        );
        return Err(Error::refused(Refusal::NotReady, "filter_field_gone", message));
    }
    for drift in store::drifts::of(tx, mapping.id).await?.iter().filter(|drift| drift.field.is_empty()) {
        store::drifts::remove(tx, mapping.id, drift).await?;
    }
    store::issues::clear(tx, &[(place(mapping.id), String::new())], now).await
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
        message: if drift.field.is_empty() {
            format!("{}, and the filter asks for it: the mapping is paused", drift.message)
        } else {
            format!("{}: its field mapping is paused", drift.message)
        },
        state: "open".to_owned(),
        at,
    }
}

/// The mapping that an issue is about, when it is about what a change of the schema paused.
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
    /// Lets what a change of the schema paused go on: the field mapping, or with an empty name the mapping as a whole.
    /// What relies upon a field that is gone at the vendor stays paused; where one was narrowed, it goes on with it as
    /// it is.
    pub(crate) async fn resume_field(
        &self,
        organization: OrganizationId,
        actor: &str,
        id: MappingId,
        name: &str,
    ) -> Result<Mapping, Error> {
        let mut tx = self.pool.begin().await?;
        let mapping = store::mappings::lock(&mut tx, organization, id).await?;
        let mut mapping = mapping.ok_or_else(|| Error::not_found("mapping"))?;
        let mut drifts = store::drifts::of(&mut tx, id).await?;
        drifts.retain(|drift| drift.field == name);
        if drifts.is_empty() {
            return Err(Error::refused(Refusal::NotReady, "field_not_paused", "the field is not paused"));
        }
        let is_gone =
            |drift: &&StoredDrift| !drift.returned && LOST.iter().any(|kind| kind.name() == drift.change);
        if let Some(drift) = drifts.iter().find(is_gone) {
            let message = format!("{}; choose another property, or bring it back there", drift.message);
            return Err(Error::refused(Refusal::NotReady, "field_gone", message));
        }
        for drift in &drifts {
            store::drifts::remove(&mut tx, id, drift).await?;
        }
        store::issues::clear(&mut tx, &[(place(id), name.to_owned())], self.clock.now()).await?;
        store::mappings::update(&mut tx, &mut mapping).await?;
        mapping_changed(self, &mut tx, &mapping, actor, "field_resumed", Some(name), BTreeMap::new()).await?;
        if mapping.state == MappingState::Active {
            // Nobody looked at the field meanwhile: it is read with its history.
            request_capture(self, &mut tx, &mapping, true).await?;
        }
        tx.commit().await?;
        self.waker.wake();
        Ok(mapping)
    }
}
