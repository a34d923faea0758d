use jiff::Timestamp;
use model::{ConnectionId, Lane, OrganizationId, RecordId};
use sqlx::{PgConnection, Row, postgres::PgRow};
use uuid::Uuid;

use super::{
    at,
    revisions::{lane, lane_name},
};
use crate::Error;

/// A run that changed records.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Run {
    pub(crate) id: Uuid,
    pub(crate) organization: OrganizationId,
    pub(crate) connection: ConnectionId,
    pub(crate) vendor: String,
    pub(crate) vendor_object: String,
    /// `poll`, `manual`, `rescan`, `backfill`, `archive_sweep`, `quiet_sweep`, `apply` or `undo`.
    pub(crate) kind: String,
    /// `working` or `done`.
    pub(crate) state: String,
    pub(crate) actor: String,
    /// What all its changes name as their cause, where they name the same.
    pub(crate) cause: Option<String>,
    /// The lane of a reading.
    pub(crate) lane: Option<Lane>,
    pub(crate) started_at: Timestamp,
    pub(crate) finished_at: Option<Timestamp>,
    pub(crate) read: i64,
    /// Of a run put back: its records, how many of them are dealt with, values put back, values that stayed.
    pub(crate) total: i64,
    pub(crate) done: i64,
    pub(crate) put_back: i64,
    pub(crate) stayed: i64,
    pub(crate) undo_of: Option<Uuid>,
    pub(crate) undone_by: Option<Uuid>,
}

/// Stores a run; one with a cause that is known already stays as it is.
pub(crate) async fn insert(tx: &mut PgConnection, run: &Run) -> Result<(), Error> {
    sqlx::query(
        "INSERT INTO runs (id, organization_id, connection_id, vendor, vendor_object, kind, state, actor, cause, lane, \
             started_at, finished_at, read, total, undo_of) \
         VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11, $12, $13, $14, $15) ON CONFLICT DO NOTHING",
    )
    .bind(run.id)
    .bind(run.organization.uuid())
    .bind(run.connection.uuid())
    .bind(&run.vendor)
    .bind(&run.vendor_object)
    .bind(&run.kind)
    .bind(&run.state)
    .bind(&run.actor)
    .bind(&run.cause)
    .bind(run.lane.map(lane_name))
    .bind(at(run.started_at))
    .bind(run.finished_at.map(at))
    .bind(run.read)
    .bind(run.total)
    .bind(run.undo_of)
    .execute(tx)
    .await?;
    Ok(())
}

/// Stores the run that applies a mapping, once; an earlier one of the same pair that was stopped has ended.
pub(crate) async fn apply(tx: &mut PgConnection, run: &Run) -> Result<(), Error> {
    sqlx::query(
        "UPDATE runs SET state = 'done', finished_at = $4 WHERE kind = 'apply' AND state = 'working' \
         AND connection_id = $1 AND vendor_object = $2 AND cause <> $3",
    )
    .bind(run.connection.uuid())
    .bind(&run.vendor_object)
    .bind(&run.cause)
    .bind(at(run.started_at))
    .execute(&mut *tx)
    .await?;
    insert(tx, run).await
}

/// The run whose changes name this cause has ended.
pub(crate) async fn finish(tx: &mut PgConnection, cause: &str, now: Timestamp) -> Result<(), Error> {
    sqlx::query("UPDATE runs SET state = 'done', finished_at = $2 WHERE cause = $1 AND state = 'working'")
        .bind(cause)
        .bind(at(now))
        .execute(tx)
        .await?;
    Ok(())
}

fn read(row: &PgRow) -> Result<Run, Error> {
    Ok(Run {
        id: row.try_get("id")?,
        organization: OrganizationId::from_uuid(row.try_get("organization_id")?),
        connection: ConnectionId::from_uuid(row.try_get("connection_id")?),
        vendor: row.try_get("vendor")?,
        vendor_object: row.try_get("vendor_object")?,
        kind: row.try_get("kind")?,
        state: row.try_get("state")?,
        actor: row.try_get("actor")?,
        cause: row.try_get("cause")?,
        lane: lane(row.try_get("lane")?),
        started_at: row.try_get::<jiff_sqlx::Timestamp, _>("started_at")?.to_jiff(),
        finished_at: row
            .try_get::<Option<jiff_sqlx::Timestamp>, _>("finished_at")?
            .map(jiff_sqlx::Timestamp::to_jiff),
        read: row.try_get("read")?,
        total: row.try_get("total")?,
        done: row.try_get("done")?,
        put_back: row.try_get("put_back")?,
        stayed: row.try_get("stayed")?,
        undo_of: row.try_get("undo_of")?,
        undone_by: row.try_get("undone_by")?,
    })
}

/// The organization's runs, the newest first, behind this one; of one connection where given.
pub(crate) async fn list(
    db: &mut PgConnection,
    organization: OrganizationId,
    connection: Option<ConnectionId>,
    behind: Option<(Timestamp, Uuid)>,
    limit: i64,
) -> Result<Vec<Run>, Error> {
    let (before, id) = behind.unzip();
    let rows = sqlx::query(
        "SELECT * FROM runs WHERE organization_id = $1 AND ($2::uuid IS NULL OR connection_id = $2) \
         AND ($3::timestamptz IS NULL OR (started_at, id) < ($3, $4)) ORDER BY started_at DESC, id DESC LIMIT $5",
    )
    .bind(organization.uuid())
    .bind(connection.map(ConnectionId::uuid))
    .bind(before.map(at))
    .bind(id)
    .bind(limit)
    .fetch_all(db)
    .await?;
    rows.iter().map(read).collect()
}

/// One of the organization's runs; with `lock`, until the transaction ends.
pub(crate) async fn get(
    db: &mut PgConnection,
    organization: OrganizationId,
    id: Uuid,
    lock: bool,
) -> Result<Option<Run>, Error> {
    let sql = if lock {
        "SELECT * FROM runs WHERE id = $1 AND organization_id = $2 FOR UPDATE"
    } else {
        "SELECT * FROM runs WHERE id = $1 AND organization_id = $2"
    };
    let row = sqlx::query(sql).bind(id).bind(organization.uuid()).fetch_optional(db).await?;
    row.as_ref().map(read).transpose()
}

/// What belongs to a run: $1 is its cause, $2 and $3 its time, $4 its lane, $5 and $6 its connection and object.
macro_rules! belongs {
    ($before:literal, $table:literal, $rest:literal) => {
        concat!(
            $before,
            " ",
            $table,
            " t WHERE t.taken_at BETWEEN $2 AND $3 AND ($1::text IS NULL OR t.cause = $1) \
              AND ($1::text IS NOT NULL OR (t.lane = $4 AND t.mapping_id IN \
                  (SELECT id FROM mappings WHERE connection_id = $5 AND vendor_object = $6))) ",
            $rest
        )
    };
}

macro_rules! bind_run {
    ($query:expr, $run:expr, $now:expr) => {
        $query
            .bind($run.cause.as_deref())
            .bind(at($run.started_at))
            .bind(at($run.finished_at.unwrap_or($now)))
            .bind($run.lane.map(lane_name))
            .bind($run.connection.uuid())
            .bind(&$run.vendor_object)
    };
}

/// The records that a run changed, or of which it asked a vendor for a write, behind this one, in the order of ids.
pub(crate) async fn records(
    db: &mut PgConnection,
    run: &Run,
    after: Option<RecordId>,
    limit: i64,
    now: Timestamp,
) -> Result<Vec<RecordId>, Error> {
    let query = sqlx::query_scalar(concat!(
        "SELECT record_id FROM (",
        belongs!("SELECT record_id FROM", "revisions", ""),
        " UNION ",
        belongs!("SELECT record_id FROM", "writes", ""),
        ") AS x WHERE ($7::uuid IS NULL OR record_id > $7) ORDER BY record_id LIMIT $8"
    ));
    let ids: Vec<Uuid> =
        bind_run!(query, run, now).bind(after.map(RecordId::uuid)).bind(limit).fetch_all(db).await?;
    Ok(ids.into_iter().map(RecordId::from_uuid).collect())
}

/// Notes all records of a run as to be put back by another one; gives how many.
pub(crate) async fn collect(
    tx: &mut PgConnection,
    run: &Run,
    undo: Uuid,
    now: Timestamp,
) -> Result<i64, Error> {
    let query = sqlx::query(concat!(
        "INSERT INTO run_records (run_id, record_id) SELECT $7, record_id FROM (",
        belongs!("SELECT record_id FROM", "revisions", ""),
        " UNION ",
        belongs!("SELECT record_id FROM", "writes", ""),
        ") AS x"
    ));
    let done = bind_run!(query, run, now).bind(undo).execute(tx).await?;
    Ok(i64::try_from(done.rows_affected()).unwrap_or(i64::MAX))
}

/// What a run did to these records: of each, the versions of its changes.
pub(crate) async fn versions(
    db: &mut PgConnection,
    run: &Run,
    records: &[RecordId],
    now: Timestamp,
) -> Result<Vec<(RecordId, i64)>, Error> {
    let query = sqlx::query(belongs!(
        "SELECT record_id, version FROM",
        "revisions",
        "AND t.record_id = ANY($7) ORDER BY record_id, version"
    ));
    let records: Vec<Uuid> = records.iter().map(|id| id.uuid()).collect();
    let rows = bind_run!(query, run, now).bind(records).fetch_all(db).await?;
    rows.iter()
        .map(|row| Ok((RecordId::from_uuid(row.try_get("record_id")?), row.try_get("version")?)))
        .collect()
}

/// The ids of the writes that a run asked for on these records.
pub(crate) async fn writes(
    db: &mut PgConnection,
    run: &Run,
    records: &[RecordId],
    now: Timestamp,
) -> Result<Vec<model::WriteId>, Error> {
    let query = sqlx::query_scalar(belongs!("SELECT id FROM", "writes", "AND t.record_id = ANY($7)"));
    let records: Vec<Uuid> = records.iter().map(|id| id.uuid()).collect();
    let ids: Vec<Uuid> = bind_run!(query, run, now).bind(records).fetch_all(db).await?;
    Ok(ids.into_iter().map(model::WriteId::from_uuid).collect())
}

/// Takes a run that is being put back; whoever takes it holds it until the transaction ends.
pub(crate) async fn take_working(tx: &mut PgConnection) -> Result<Option<Run>, Error> {
    let row = sqlx::query(
        "SELECT * FROM runs WHERE state = 'working' AND kind = 'undo' ORDER BY started_at LIMIT 1 \
         FOR UPDATE SKIP LOCKED",
    )
    .fetch_optional(tx)
    .await?;
    row.as_ref().map(read).transpose()
}

/// Takes some of the records that are still to be put back.
pub(crate) async fn take_records(
    tx: &mut PgConnection,
    run: Uuid,
    limit: i64,
) -> Result<Vec<RecordId>, Error> {
    let ids: Vec<Uuid> = sqlx::query_scalar(
        "DELETE FROM run_records WHERE run_id = $1 AND record_id IN \
             (SELECT record_id FROM run_records WHERE run_id = $1 ORDER BY record_id LIMIT $2) RETURNING record_id",
    )
    .bind(run)
    .bind(limit)
    .fetch_all(tx)
    .await?;
    let mut records: Vec<RecordId> = ids.into_iter().map(RecordId::from_uuid).collect();
    records.sort_unstable();
    Ok(records)
}

/// Notes how far a run is put back.
pub(crate) async fn progress(
    tx: &mut PgConnection,
    run: Uuid,
    done: i64,
    put_back: i64,
    stayed: i64,
) -> Result<(), Error> {
    sqlx::query(
        "UPDATE runs SET done = done + $2, put_back = put_back + $3, stayed = stayed + $4 WHERE id = $1",
    )
    .bind(run)
    .bind(done)
    .bind(put_back)
    .bind(stayed)
    .execute(tx)
    .await?;
    Ok(())
}

/// Notes how many records are to be put back.
pub(crate) async fn set_total(tx: &mut PgConnection, run: Uuid, total: i64) -> Result<(), Error> {
    sqlx::query("UPDATE runs SET total = $2 WHERE id = $1").bind(run).bind(total).execute(tx).await?;
    Ok(())
}

/// Notes that a run is put back by another one.
pub(crate) async fn undone(tx: &mut PgConnection, run: Uuid, by: Uuid) -> Result<(), Error> {
    sqlx::query("UPDATE runs SET undone_by = $2 WHERE id = $1").bind(run).bind(by).execute(tx).await?;
    Ok(())
}
