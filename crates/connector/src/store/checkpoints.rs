use jiff::Timestamp;
use model::ConnectionId;
use sqlx::{Error, FromRow, PgConnection, types::Json};

use super::{Lease, Store, at, partition_column};
use crate::Cursor;

/// How far a lane has read.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Checkpoint {
    pub(crate) lane: String,
    pub(crate) position: Cursor,
    /// Where the lane ends, when it does.
    pub(crate) until: Option<Timestamp>,
    pub(crate) finished: bool,
    pub(crate) read: i64,
    pub(crate) total: i64,
    /// Since when nobody was told of what it published …
    pub(crate) since: Timestamp,
    /// … and how many records it had read by then.
    pub(crate) since_read: i64,
}

/// What became of a store under a fence.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Stored {
    /// It is stored.
    Done,
    /// The lease belongs to somebody else now: stop.
    LeaseLost,
}

#[derive(FromRow)]
struct Row {
    lane: String,
    position: Json<Cursor>,
    until: Option<jiff_sqlx::Timestamp>,
    finished: bool,
    read: i64,
    total: i64,
    since: jiff_sqlx::Timestamp,
    since_read: i64,
}

impl Store {
    /// The checkpoints of an object, by lane.
    pub(crate) async fn checkpoints(
        &self,
        connection: ConnectionId,
        object: &str,
    ) -> Result<Vec<Checkpoint>, Error> {
        let rows: Vec<Row> = sqlx::query_as(
            "SELECT lane, position, until, finished, read, total, since, since_read FROM checkpoints
             WHERE connection = $1 AND object = $2",
        )
        .bind(connection.uuid())
        .bind(object)
        .fetch_all(&self.pool)
        .await?;
        let checkpoint = |row: Row| Checkpoint {
            lane: row.lane,
            position: row.position.0,
            until: row.until.map(|at| at.to_jiff()),
            finished: row.finished,
            read: row.read,
            total: row.total,
            since: row.since.to_jiff(),
            since_read: row.since_read,
        };
        Ok(rows.into_iter().map(checkpoint).collect())
    }

    /// Stores how far a lane has read, unless the lease was lost.
    pub(crate) async fn put_checkpoint(
        tx: &mut PgConnection,
        lease: &Lease,
        connection: ConnectionId,
        object: &str,
        checkpoint: &Checkpoint,
        now: Timestamp,
    ) -> Result<Stored, Error> {
        let stored = sqlx::query(
            "INSERT INTO checkpoints (connection, object, lane, position, until, finished, read, total, fence,
                                      stored_at, since, since_read)
             SELECT $1, $2, $3, $4, $5, $6, $7, $8, fence, $9, $14, $15 FROM leases
             WHERE vendor = $10 AND partition = $11 AND holder = $12 AND fence = $13
             ON CONFLICT (connection, object, lane) DO UPDATE
             SET position = EXCLUDED.position, until = EXCLUDED.until, finished = EXCLUDED.finished,
                 read = EXCLUDED.read, total = EXCLUDED.total, fence = EXCLUDED.fence,
                 stored_at = EXCLUDED.stored_at, since = EXCLUDED.since, since_read = EXCLUDED.since_read
             WHERE checkpoints.fence <= EXCLUDED.fence",
        )
        .bind(connection.uuid())
        .bind(object)
        .bind(&checkpoint.lane)
        .bind(Json(&checkpoint.position))
        .bind(checkpoint.until.map(at))
        .bind(checkpoint.finished)
        .bind(checkpoint.read)
        .bind(checkpoint.total)
        .bind(at(now))
        .bind(lease.vendor)
        .bind(partition_column(lease.partition))
        .bind(lease.holder)
        .bind(lease.fence)
        .bind(at(checkpoint.since))
        .bind(checkpoint.since_read)
        .execute(tx)
        .await?;
        Ok(if stored.rows_affected() == 1 { Stored::Done } else { Stored::LeaseLost })
    }
}
