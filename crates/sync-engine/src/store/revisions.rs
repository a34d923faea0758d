use jiff::Timestamp;
use model::RecordId;
use sqlx::{PgConnection, Row};

use super::{from_json, json, times};
use crate::{Error, domain::sync::FieldChange};

/// One change of a record: what, why, by whom.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct Revision {
    pub(crate) record: RecordId,
    pub(crate) version: i64,
    pub(crate) at: Timestamp,
    pub(crate) actor: String,
    /// The id of the message or request that caused it.
    pub(crate) cause: String,
    pub(crate) vendor: Option<String>,
    pub(crate) changes: Vec<FieldChange>,
}

/// Appends revisions.
pub(crate) async fn append(tx: &mut PgConnection, revisions: &[Revision]) -> Result<(), Error> {
    if revisions.is_empty() {
        return Ok(());
    }
    let changes = revisions.iter().map(|revision| json(&revision.changes)).collect::<Result<Vec<_>, _>>()?;
    sqlx::query(
        "INSERT INTO revisions (record_id, version, at, actor, cause, vendor, changes) \
         SELECT record_id, version, at, actor, cause, vendor, changes::json FROM UNNEST($1::uuid[], $2::bigint[], \
             $3::timestamptz[], $4::text[], $5::text[], $6::text[], $7::text[]) \
              AS r(record_id, version, at, actor, cause, vendor, changes)",
    )
    .bind(revisions.iter().map(|revision| revision.record.uuid()).collect::<Vec<_>>())
    .bind(revisions.iter().map(|revision| revision.version).collect::<Vec<_>>())
    .bind(times(revisions.iter().map(|revision| revision.at)))
    .bind(revisions.iter().map(|revision| revision.actor.as_str()).collect::<Vec<_>>())
    .bind(revisions.iter().map(|revision| revision.cause.as_str()).collect::<Vec<_>>())
    .bind(revisions.iter().map(|revision| revision.vendor.as_deref()).collect::<Vec<_>>())
    .bind(changes)
    .execute(tx)
    .await?;
    Ok(())
}

/// A record's revisions, the newest first.
pub(crate) async fn of_record(
    db: &mut PgConnection,
    record: RecordId,
    before_version: Option<i64>,
    limit: i64,
) -> Result<Vec<Revision>, Error> {
    let rows = sqlx::query(
        "SELECT version, at, actor, cause, vendor, changes::text AS changes FROM revisions \
         WHERE record_id = $1 AND ($2::bigint IS NULL OR version < $2) ORDER BY version DESC LIMIT $3",
    )
    .bind(record.uuid())
    .bind(before_version)
    .bind(limit)
    .fetch_all(db)
    .await?;
    rows.iter()
        .map(|row| {
            Ok(Revision {
                record,
                version: row.try_get("version")?,
                at: row.try_get::<jiff_sqlx::Timestamp, _>("at")?.to_jiff(),
                actor: row.try_get("actor")?,
                cause: row.try_get("cause")?,
                vendor: row.try_get("vendor")?,
                changes: from_json("a revision", row.try_get("changes")?)?,
            })
        })
        .collect()
}
