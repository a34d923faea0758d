use jiff::Timestamp;
use model::{Lane, MappingId, OrganizationId, RecordId};
use sqlx::{PgConnection, Row, postgres::PgRow};
use uuid::Uuid;

use super::{at, from_json, json, times};
use crate::{Error, domain::sync::FieldChange};

/// One change of a record: what, why, by whom.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct Revision {
    pub(crate) organization: OrganizationId,
    pub(crate) record: RecordId,
    pub(crate) version: i64,
    pub(crate) at: Timestamp,
    pub(crate) actor: String,
    /// The id of the message or request that caused it.
    pub(crate) cause: String,
    pub(crate) vendor: Option<String>,
    /// The mapping that took it in, and its revision then.
    pub(crate) via: Option<(MappingId, i64)>,
    /// Which way it was read, when it was.
    pub(crate) lane: Option<Lane>,
    /// When it was captured, or asked for.
    pub(crate) taken_at: Option<Timestamp>,
    pub(crate) changes: Vec<FieldChange>,
}

/// A lane's name in the database.
pub(super) const fn lane_name(lane: Lane) -> &'static str {
    match lane {
        Lane::Backfill => "backfill",
        Lane::Live => "live",
        Lane::Verify => "verify",
    }
}

/// The lane of this name.
pub(super) fn lane(name: Option<&str>) -> Option<Lane> {
    [Lane::Backfill, Lane::Live, Lane::Verify].into_iter().find(|lane| Some(lane_name(*lane)) == name)
}

/// Appends revisions.
pub(crate) async fn append(tx: &mut PgConnection, revisions: &[Revision]) -> Result<(), Error> {
    if revisions.is_empty() {
        return Ok(());
    }
    let changes = revisions.iter().map(|revision| json(&revision.changes)).collect::<Result<Vec<_>, _>>()?;
    sqlx::query(
        "INSERT INTO revisions (record_id, version, at, actor, cause, vendor, changes, mapping_id, mapping_revision, \
             lane, taken_at, organization_id) \
         SELECT record_id, version, at, actor, cause, vendor, changes::json, m, mr, lane, taken_at, o \
         FROM UNNEST($1::uuid[], $2::bigint[], $3::timestamptz[], $4::text[], $5::text[], $6::text[], $7::text[], \
             $8::uuid[], $9::bigint[], $10::text[], $11::timestamptz[], $12::uuid[]) \
              AS r(record_id, version, at, actor, cause, vendor, changes, m, mr, lane, taken_at, o)",
    )
    .bind(revisions.iter().map(|revision| revision.record.uuid()).collect::<Vec<_>>())
    .bind(revisions.iter().map(|revision| revision.version).collect::<Vec<_>>())
    .bind(times(revisions.iter().map(|revision| revision.at)))
    .bind(revisions.iter().map(|revision| revision.actor.as_str()).collect::<Vec<_>>())
    .bind(revisions.iter().map(|revision| revision.cause.as_str()).collect::<Vec<_>>())
    .bind(revisions.iter().map(|revision| revision.vendor.as_deref()).collect::<Vec<_>>())
    .bind(changes)
    .bind(revisions.iter().map(|revision| revision.via.map(|(mapping, _)| mapping.uuid())).collect::<Vec<_>>())
    .bind(revisions.iter().map(|revision| revision.via.map(|(_, number)| number)).collect::<Vec<_>>())
    .bind(revisions.iter().map(|revision| revision.lane.map(lane_name)).collect::<Vec<_>>())
    .bind(revisions.iter().map(|revision| revision.taken_at.map(at)).collect::<Vec<_>>())
    .bind(revisions.iter().map(|revision| revision.organization.uuid()).collect::<Vec<_>>())
    .execute(tx)
    .await?;
    Ok(())
}

macro_rules! columns {
    ($rest:literal) => {
        concat!(
            "SELECT record_id, version, at, actor, cause, vendor, changes::text AS changes, mapping_id, \
             mapping_revision, lane, taken_at, organization_id FROM revisions ",
            $rest
        )
    };
}

fn read(row: &PgRow) -> Result<Revision, Error> {
    let mapping = row.try_get::<Option<Uuid>, _>("mapping_id")?.map(MappingId::from_uuid);
    Ok(Revision {
        organization: OrganizationId::from_uuid(row.try_get("organization_id")?),
        record: RecordId::from_uuid(row.try_get("record_id")?),
        version: row.try_get("version")?,
        at: row.try_get::<jiff_sqlx::Timestamp, _>("at")?.to_jiff(),
        actor: row.try_get("actor")?,
        cause: row.try_get("cause")?,
        vendor: row.try_get("vendor")?,
        via: mapping.zip(row.try_get("mapping_revision")?),
        lane: lane(row.try_get("lane")?),
        taken_at: row
            .try_get::<Option<jiff_sqlx::Timestamp>, _>("taken_at")?
            .map(jiff_sqlx::Timestamp::to_jiff),
        changes: from_json("a revision", row.try_get("changes")?)?,
    })
}

/// A record's revisions, the newest first.
pub(crate) async fn of_record(
    db: &mut PgConnection,
    record: RecordId,
    before_version: Option<i64>,
    limit: i64,
) -> Result<Vec<Revision>, Error> {
    let rows = sqlx::query(columns!(
        "WHERE record_id = $1 AND ($2::bigint IS NULL OR version < $2) ORDER BY version DESC LIMIT $3"
    ))
    .bind(record.uuid())
    .bind(before_version)
    .bind(limit)
    .fetch_all(db)
    .await?;
    rows.iter().map(read).collect()
}

/// The revision of a record that gave it this version.
pub(crate) async fn get(
    db: &mut PgConnection,
    record: RecordId,
    version: i64,
) -> Result<Option<Revision>, Error> {
    let row = sqlx::query(columns!("WHERE record_id = $1 AND version = $2"))
        .bind(record.uuid())
        .bind(version)
        .fetch_optional(db)
        .await?;
    row.as_ref().map(read).transpose()
}

/// The newest revision that changed a field, by a search: for values that are older than stories.
pub(crate) async fn last_of_field(
    db: &mut PgConnection,
    record: RecordId,
    field: &str,
) -> Result<Option<Revision>, Error> {
    let row = sqlx::query(columns!(
        "WHERE record_id = $1 AND EXISTS (SELECT 1 FROM json_array_elements(changes) AS c WHERE c->>'f' = $2) \
         ORDER BY version DESC LIMIT 1"
    ))
    .bind(record.uuid())
    .bind(field)
    .fetch_optional(db)
    .await?;
    row.as_ref().map(read).transpose()
}

/// The version that next changed a field behind this one, among the changes that came soon.
pub(crate) async fn next_of_field(
    db: &mut PgConnection,
    record: RecordId,
    field: &str,
    version: i64,
) -> Result<Option<i64>, Error> {
    Ok(sqlx::query_scalar(
        "SELECT version FROM (SELECT version, changes FROM revisions WHERE record_id = $1 AND version > $2 \
             ORDER BY version LIMIT 200) AS soon \
         WHERE EXISTS (SELECT 1 FROM json_array_elements(changes) AS c WHERE c->>'f' = $3) ORDER BY version LIMIT 1",
    )
    .bind(record.uuid())
    .bind(version)
    .bind(field)
    .fetch_optional(db)
    .await?)
}
