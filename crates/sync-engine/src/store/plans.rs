use jiff::Timestamp;
use model::{CanonicalObject, MappingId, OrganizationId};
use sqlx::{PgConnection, Row};
use uuid::Uuid;

use super::{at, from_json, json};
use crate::{
    Error,
    domain::{
        UnknownWord,
        plan::{PlanResult, PlanState},
    },
};

/// A plan of an activation, and how far it is.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct StoredPlan {
    pub(crate) mapping: MappingId,
    pub(crate) state: PlanState,
    pub(crate) revision: i64,
    pub(crate) hash: Option<String>,
    pub(crate) read: i64,
    pub(crate) total: i64,
    pub(crate) applied: i64,
    pub(crate) to_apply: i64,
    pub(crate) result: Option<PlanResult>,
    pub(crate) changed_at: Timestamp,
}

impl StoredPlan {
    /// A plan that has just been asked for.
    pub(crate) const fn new(mapping: MappingId, revision: i64, now: Timestamp) -> Self {
        Self {
            mapping,
            state: PlanState::Reading,
            revision,
            hash: None,
            read: 0,
            total: 0,
            applied: 0,
            to_apply: 0,
            result: None,
            changed_at: now,
        }
    }
}

/// Stores a plan in place of the mapping's earlier one.
pub(crate) async fn put(tx: &mut PgConnection, plan: &StoredPlan) -> Result<(), Error> {
    sqlx::query(
        "INSERT INTO plans (mapping_id, state, revision, hash, read, total, applied, to_apply, result, changed_at, \
             organization_id) \
         SELECT $1, $2, $3, $4, $5, $6, $7, $8, $9::jsonb, $10, organization_id FROM mappings WHERE id = $1 \
         ON CONFLICT (mapping_id) DO UPDATE SET state = excluded.state, revision = excluded.revision, \
             hash = excluded.hash, read = excluded.read, total = excluded.total, applied = excluded.applied, \
             to_apply = excluded.to_apply, result = excluded.result, changed_at = excluded.changed_at",
    )
    .bind(plan.mapping.uuid())
    .bind(plan.state.name())
    .bind(plan.revision)
    .bind(plan.hash.as_deref())
    .bind(plan.read)
    .bind(plan.total)
    .bind(plan.applied)
    .bind(plan.to_apply)
    .bind(plan.result.as_ref().map(json).transpose()?)
    .bind(at(plan.changed_at))
    .execute(tx)
    .await?;
    Ok(())
}

/// The mapping's plan.
pub(crate) async fn get(db: &mut PgConnection, mapping: MappingId) -> Result<Option<StoredPlan>, Error> {
    let row = sqlx::query(
        "SELECT state, revision, hash, read, total, applied, to_apply, result::text AS result, changed_at \
         FROM plans WHERE mapping_id = $1",
    )
    .bind(mapping.uuid())
    .fetch_optional(db)
    .await?;
    let Some(row) = row else { return Ok(None) };
    let state: &str = row.try_get("state")?;
    let result: Option<&str> = row.try_get("result")?;
    Ok(Some(StoredPlan {
        mapping,
        state: state.parse().map_err(|error: UnknownWord| Error::stored("a plan's state", error))?,
        revision: row.try_get("revision")?,
        hash: row.try_get("hash")?,
        read: row.try_get("read")?,
        total: row.try_get("total")?,
        applied: row.try_get("applied")?,
        to_apply: row.try_get("to_apply")?,
        result: result.map(|text| from_json("a plan", text)).transpose()?,
        changed_at: row.try_get::<jiff_sqlx::Timestamp, _>("changed_at")?.to_jiff(),
    }))
}

/// Forgets the mapping's plan unless it was applied; false when there is none.
pub(crate) async fn remove_unapplied(tx: &mut PgConnection, mapping: MappingId) -> Result<bool, Error> {
    let done =
        sqlx::query("DELETE FROM plans WHERE mapping_id = $1 AND state IN ('reading', 'computing', 'ready')")
            .bind(mapping.uuid())
            .execute(tx)
            .await?;
    Ok(done.rows_affected() == 1)
}

/// What a plan rests upon.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Ground {
    pub(crate) organization: OrganizationId,
    pub(crate) object: CanonicalObject,
    pub(crate) mapping: MappingId,
    /// Whether fields name records of other mappings of the connection.
    pub(crate) names_others: bool,
}

/// A mark of the records and links that a plan rests upon. While it stays the same, a plan is as true as when it was
/// made: a record's version grows with every change, and of links everything counts.
pub(crate) async fn mark(db: &mut PgConnection, ground: Ground) -> Result<String, Error> {
    let mark = sqlx::query_scalar(
        "SELECT concat_ws('/', \
             (SELECT concat_ws('.', count(*), sum(hashtextextended(concat_ws(' ', id, version), 0)::numeric)) \
              FROM records WHERE organization_id = $1 AND object = $2), \
             (SELECT concat_ws('.', count(*), sum(hashtextextended(concat_ws(' ', id, state, vendor_id, record_id, \
                 seen_version, fields::text, staged::text), 0)::numeric)) FROM links WHERE mapping_id = $3), \
             (SELECT concat_ws('.', count(*), sum(hashtextextended(concat_ws(' ', vendor_id, version, fields::text), \
                 0)::numeric)) FROM beside WHERE mapping_id = $3), \
             CASE WHEN $4 THEN (SELECT concat_ws('.', count(*), sum(hashtextextended(concat_ws(' ', l.id, l.vendor_id, \
                 l.record_id), 0)::numeric)) FROM links l JOIN mappings m ON m.id = l.mapping_id \
                 WHERE m.connection_id = (SELECT connection_id FROM mappings WHERE id = $3)) END)",
    )
    .bind(ground.organization.uuid())
    .bind(ground.object.name())
    .bind(ground.mapping.uuid())
    .bind(ground.names_others)
    .fetch_one(db)
    .await?;
    Ok(mark)
}

/// Takes a plan that waits for work, the longest waiting first; whoever takes it holds it until the transaction ends.
pub(crate) async fn take_waiting(tx: &mut PgConnection) -> Result<Option<MappingId>, Error> {
    let id: Option<Uuid> = sqlx::query_scalar(
        "SELECT mapping_id FROM plans WHERE state IN ('computing', 'applying') ORDER BY changed_at LIMIT 1 \
         FOR UPDATE SKIP LOCKED",
    )
    .fetch_optional(tx)
    .await?;
    Ok(id.map(MappingId::from_uuid))
}

/// The plan that waits longest to be worked out, without taking it.
pub(crate) async fn next_computing(db: &mut PgConnection) -> Result<Option<MappingId>, Error> {
    let id: Option<Uuid> = sqlx::query_scalar(
        "SELECT mapping_id FROM plans WHERE state = 'computing' ORDER BY changed_at LIMIT 1",
    )
    .fetch_optional(db)
    .await?;
    Ok(id.map(MappingId::from_uuid))
}

/// Adds to the number of applied records.
pub(crate) async fn add_applied(tx: &mut PgConnection, mapping: MappingId, count: i64) -> Result<(), Error> {
    sqlx::query("UPDATE plans SET applied = applied + $2 WHERE mapping_id = $1")
        .bind(mapping.uuid())
        .bind(count)
        .execute(tx)
        .await?;
    Ok(())
}

/// All was read that a wish of this moment asked for: a plan that waited for it can be worked out. False when none did, or
/// when it was asked for later.
pub(crate) async fn read(
    tx: &mut PgConnection,
    mapping: MappingId,
    asked_at: Option<Timestamp>,
    now: Timestamp,
) -> Result<bool, Error> {
    let done = sqlx::query(
        "UPDATE plans SET state = $2, changed_at = $3 WHERE mapping_id = $1 AND state = $4 \
         AND ($5::timestamptz IS NULL OR changed_at <= $5)",
    )
    .bind(mapping.uuid())
    .bind(PlanState::Computing.name())
    .bind(at(now))
    .bind(PlanState::Reading.name())
    .bind(asked_at.map(at))
    .execute(tx)
    .await?;
    Ok(done.rows_affected() == 1)
}

/// Puts the plan into another state; false when it was not in the expected one.
pub(crate) async fn advance(
    tx: &mut PgConnection,
    mapping: MappingId,
    from: PlanState,
    to: PlanState,
    now: Timestamp,
) -> Result<bool, Error> {
    let done =
        sqlx::query("UPDATE plans SET state = $3, changed_at = $4 WHERE mapping_id = $1 AND state = $2")
            .bind(mapping.uuid())
            .bind(from.name())
            .bind(to.name())
            .bind(at(now))
            .execute(tx)
            .await?;
    Ok(done.rows_affected() == 1)
}
