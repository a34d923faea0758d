use jiff::Timestamp;
use model::{ConnectionId, MappingId, OrganizationId, RecordId, Value};
use sqlx::{PgConnection, Row, postgres::PgRow};
use uuid::Uuid;

use super::{at, from_json, json, times};
use crate::Error;

/// A decided conflict, as it is kept.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct StoredConflict {
    pub(crate) id: Uuid,
    pub(crate) organization: OrganizationId,
    pub(crate) connection: ConnectionId,
    pub(crate) record: RecordId,
    pub(crate) object: String,
    pub(crate) field: String,
    pub(crate) policy: String,
    /// `platform` or `crm`.
    pub(crate) winner: String,
    pub(crate) kept: Value,
    pub(crate) lost: Value,
    pub(crate) pii: bool,
    pub(crate) within_clock_skew: bool,
    pub(crate) at: Timestamp,
    pub(crate) restored_at: Option<Timestamp>,
    /// The message that brought the other value.
    pub(crate) cause: String,
    /// The record's version once it was decided.
    pub(crate) version: i64,
    /// The mapping whose policy decided, and its revision then.
    pub(crate) via: Option<(MappingId, i64)>,
}

/// Appends conflicts.
pub(crate) async fn append(tx: &mut PgConnection, conflicts: &[StoredConflict]) -> Result<(), Error> {
    if conflicts.is_empty() {
        return Ok(());
    }
    let kept = conflicts.iter().map(|conflict| json(&conflict.kept)).collect::<Result<Vec<_>, _>>()?;
    let lost = conflicts.iter().map(|conflict| json(&conflict.lost)).collect::<Result<Vec<_>, _>>()?;
    sqlx::query(
        "INSERT INTO conflicts (id, organization_id, connection_id, record_id, object, field, policy, winner, kept, \
             lost, pii, within_clock_skew, at, cause, version, mapping_id, mapping_revision) \
         SELECT id, o, c, r, object, field, policy, winner, kept::jsonb, lost::jsonb, pii, skew, at, cause, version, \
             m, mr \
         FROM UNNEST($1::uuid[], $2::uuid[], $3::uuid[], $4::uuid[], $5::text[], $6::text[], $7::text[], $8::text[], \
                     $9::text[], $10::text[], $11::bool[], $12::bool[], $13::timestamptz[], $14::text[], \
                     $15::bigint[], $16::uuid[], $17::bigint[]) \
              AS x(id, o, c, r, object, field, policy, winner, kept, lost, pii, skew, at, cause, version, m, mr)",
    )
    .bind(conflicts.iter().map(|conflict| conflict.id).collect::<Vec<_>>())
    .bind(conflicts.iter().map(|conflict| conflict.organization.uuid()).collect::<Vec<_>>())
    .bind(conflicts.iter().map(|conflict| conflict.connection.uuid()).collect::<Vec<_>>())
    .bind(conflicts.iter().map(|conflict| conflict.record.uuid()).collect::<Vec<_>>())
    .bind(conflicts.iter().map(|conflict| conflict.object.as_str()).collect::<Vec<_>>())
    .bind(conflicts.iter().map(|conflict| conflict.field.as_str()).collect::<Vec<_>>())
    .bind(conflicts.iter().map(|conflict| conflict.policy.as_str()).collect::<Vec<_>>())
    .bind(conflicts.iter().map(|conflict| conflict.winner.as_str()).collect::<Vec<_>>())
    .bind(kept)
    .bind(lost)
    .bind(conflicts.iter().map(|conflict| conflict.pii).collect::<Vec<_>>())
    .bind(conflicts.iter().map(|conflict| conflict.within_clock_skew).collect::<Vec<_>>())
    .bind(times(conflicts.iter().map(|conflict| conflict.at)))
    .bind(conflicts.iter().map(|conflict| conflict.cause.as_str()).collect::<Vec<_>>())
    .bind(conflicts.iter().map(|conflict| conflict.version).collect::<Vec<_>>())
    .bind(conflicts.iter().map(|conflict| conflict.via.map(|(mapping, _)| mapping.uuid())).collect::<Vec<_>>())
    .bind(conflicts.iter().map(|conflict| conflict.via.map(|(_, number)| number)).collect::<Vec<_>>())
    .execute(tx)
    .await?;
    Ok(())
}

macro_rules! columns {
    ($rest:literal) => {
        concat!(
            "SELECT id, organization_id, connection_id, record_id, object, field, policy, winner, \
             kept::text AS kept, lost::text AS lost, pii, within_clock_skew, at, restored_at, cause, version, \
             mapping_id, mapping_revision FROM conflicts ",
            $rest
        )
    };
}

fn read(row: &PgRow) -> Result<StoredConflict, Error> {
    let mapping = row.try_get::<Option<Uuid>, _>("mapping_id")?.map(MappingId::from_uuid);
    Ok(StoredConflict {
        id: row.try_get("id")?,
        organization: OrganizationId::from_uuid(row.try_get("organization_id")?),
        connection: ConnectionId::from_uuid(row.try_get("connection_id")?),
        record: RecordId::from_uuid(row.try_get("record_id")?),
        object: row.try_get("object")?,
        field: row.try_get("field")?,
        policy: row.try_get("policy")?,
        winner: row.try_get("winner")?,
        kept: from_json("a conflict", row.try_get("kept")?)?,
        lost: from_json("a conflict", row.try_get("lost")?)?,
        pii: row.try_get("pii")?,
        within_clock_skew: row.try_get("within_clock_skew")?,
        at: row.try_get::<jiff_sqlx::Timestamp, _>("at")?.to_jiff(),
        restored_at: row
            .try_get::<Option<jiff_sqlx::Timestamp>, _>("restored_at")?
            .map(jiff_sqlx::Timestamp::to_jiff),
        cause: row.try_get("cause")?,
        version: row.try_get("version")?,
        via: mapping.zip(row.try_get("mapping_revision")?),
    })
}

/// The newest conflicts of a record's field.
pub(crate) async fn of_field(
    db: &mut PgConnection,
    record: RecordId,
    field: &str,
    limit: i64,
) -> Result<Vec<StoredConflict>, Error> {
    let rows = sqlx::query(columns!("WHERE record_id = $1 AND field = $2 ORDER BY id DESC LIMIT $3"))
        .bind(record.uuid())
        .bind(field)
        .bind(limit)
        .fetch_all(db)
        .await?;
    rows.iter().map(read).collect()
}

/// The organization's conflicts, the newest first; of one connection or one record where given.
pub(crate) async fn list(
    db: &mut PgConnection,
    organization: OrganizationId,
    connection: Option<ConnectionId>,
    record: Option<RecordId>,
    before: Option<Uuid>,
    limit: i64,
) -> Result<Vec<StoredConflict>, Error> {
    let rows = sqlx::query(columns!(
        "WHERE organization_id = $1 AND ($2::uuid IS NULL OR connection_id = $2) \
         AND ($3::uuid IS NULL OR record_id = $3) AND id < $4 ORDER BY id DESC LIMIT $5"
    ))
    .bind(organization.uuid())
    .bind(connection.map(ConnectionId::uuid))
    .bind(record.map(RecordId::uuid))
    .bind(before.unwrap_or(Uuid::max()))
    .bind(limit)
    .fetch_all(db)
    .await?;
    rows.iter().map(read).collect()
}

/// Locks one of the organization's conflicts.
pub(crate) async fn lock(
    tx: &mut PgConnection,
    organization: OrganizationId,
    id: Uuid,
) -> Result<Option<StoredConflict>, Error> {
    let row = sqlx::query(columns!("WHERE id = $1 AND organization_id = $2 FOR UPDATE"))
        .bind(id)
        .bind(organization.uuid())
        .fetch_optional(tx)
        .await?;
    row.as_ref().map(read).transpose()
}

/// Marks a conflict as restored.
pub(crate) async fn restored(tx: &mut PgConnection, id: Uuid, now: Timestamp) -> Result<(), Error> {
    sqlx::query("UPDATE conflicts SET restored_at = $2 WHERE id = $1")
        .bind(id)
        .bind(at(now))
        .execute(tx)
        .await?;
    Ok(())
}
