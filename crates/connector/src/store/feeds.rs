use jiff::Timestamp;
use model::ConnectionId;
use sqlx::{Error, FromRow};

use super::{Lease, Store, Stored, at, partition_column};

/// How far a feed was read.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct FeedPosition {
    /// The vendor's own; none before the first page.
    pub(crate) position: Option<String>,
    /// Activities that were told since reading began at the beginning.
    pub(crate) read: i64,
    /// Whether it was read to its end since then.
    pub(crate) whole: bool,
}

/// A feed as it is shown.
#[derive(Clone, Debug, FromRow)]
pub(crate) struct FeedState {
    pub(crate) feed: String,
    pub(crate) read: i64,
    pub(crate) whole: bool,
    pub(crate) last_poll_at: Option<jiff_sqlx::Timestamp>,
    pub(crate) last_error: Option<String>,
}

impl Store {
    /// How far a feed was read; nothing of it where it never was.
    pub(crate) async fn feed_position(
        &self,
        connection: ConnectionId,
        feed: &str,
    ) -> Result<FeedPosition, Error> {
        let row: Option<(Option<String>, i64, bool)> =
            sqlx::query_as("SELECT position, read, whole FROM feeds WHERE connection = $1 AND feed = $2")
                .bind(connection.uuid())
                .bind(feed)
                .fetch_optional(&self.pool)
                .await?;
        Ok(row.map(|(position, read, whole)| FeedPosition { position, read, whole }).unwrap_or_default())
    }

    /// Stores how far a feed was read, unless the lease was lost or somebody disconnected the connection.
    pub(crate) async fn put_feed_position(
        &self,
        lease: &Lease,
        connection: ConnectionId,
        feed: &str,
        position: &FeedPosition,
    ) -> Result<Stored, Error> {
        let stored = sqlx::query(
            "INSERT INTO feeds (connection, feed, position, read, whole, fence)
             SELECT c.id, $2, $3, $4, $5, l.fence FROM connections c, leases l
             WHERE c.id = $1 AND c.state <> 'disconnected'
               AND l.vendor = $6 AND l.partition = $7 AND l.holder = $8 AND l.fence = $9
             FOR SHARE OF c
             ON CONFLICT (connection, feed) DO UPDATE
             SET position = EXCLUDED.position, read = EXCLUDED.read, whole = EXCLUDED.whole, fence = EXCLUDED.fence
             WHERE feeds.fence <= EXCLUDED.fence",
        )
        .bind(connection.uuid())
        .bind(feed)
        .bind(&position.position)
        .bind(position.read)
        .bind(position.whole)
        .bind(lease.vendor)
        .bind(partition_column(lease.partition))
        .bind(lease.holder)
        .bind(lease.fence)
        .execute(&self.pool)
        .await?;
        Ok(if stored.rows_affected() == 1 { Stored::Done } else { Stored::LeaseLost })
    }

    /// Notes how a reading ended: all read, or why not.
    pub(crate) async fn note_feed(
        &self,
        connection: ConnectionId,
        feed: &str,
        now: Timestamp,
        error: Option<&str>,
    ) -> Result<(), Error> {
        sqlx::query(
            "WITH polled AS (
                 UPDATE connections SET last_sync_at = CASE WHEN $4::text IS NULL THEN $3 ELSE last_sync_at END
                 WHERE id = $1 AND state <> 'disconnected' RETURNING id)
             INSERT INTO feeds (connection, feed, read, whole, last_poll_at, last_error, fence)
             SELECT id, $2, 0, false, CASE WHEN $4::text IS NULL THEN $3 END, $4, 0 FROM polled
             ON CONFLICT (connection, feed) DO UPDATE
             SET last_poll_at = COALESCE(EXCLUDED.last_poll_at, feeds.last_poll_at), last_error = EXCLUDED.last_error",
        )
        .bind(connection.uuid())
        .bind(feed)
        .bind(at(now))
        .bind(error)
        .execute(&self.pool)
        .await?;
        Ok(())
    }

    /// The feeds of a connection that were asked so far.
    pub(crate) async fn feeds(&self, connection: ConnectionId) -> Result<Vec<FeedState>, Error> {
        sqlx::query_as("SELECT feed, read, whole, last_poll_at, last_error FROM feeds WHERE connection = $1")
            .bind(connection.uuid())
            .fetch_all(&self.pool)
            .await
    }
}
