use std::collections::BTreeSet;

use jiff::Timestamp;
use model::{CaptureRequested, ConnectionId, OrganizationId, WatchRequested};
use sqlx::{Error, FromRow, PgConnection};
use uuid::Uuid;

use super::{Store, at};

/// What is to be read of one object: what the sync-engine wants, and what conversion rules look at.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Capture {
    pub(crate) connection: ConnectionId,
    pub(crate) object: String,
    pub(crate) fields: Vec<String>,
    /// Those of them of which it matters when they were set.
    pub(crate) dated: Vec<String>,
    /// Whether that matters of history as well.
    pub(crate) dated_history: bool,
    pub(crate) external_id: bool,
    /// Whether the e-mail addresses of a record's people are wanted.
    pub(crate) people: bool,
    /// Grows when all history is to be read again; zero means that no history is wanted.
    pub(crate) generation: i64,
    /// Grows with every change of the wish.
    pub(crate) revision: i64,
    /// When the wish was said.
    pub(crate) requested_at: Timestamp,
    pub(crate) last_poll_at: Option<Timestamp>,
    pub(crate) last_error: Option<String>,
    /// The comparison that is wanted of it.
    pub(crate) verify: Option<Uuid>,
}

#[derive(FromRow)]
struct Row {
    connection: Uuid,
    object: String,
    fields: Vec<String>,
    dated: Vec<String>,
    dated_history: bool,
    external_id: bool,
    people: bool,
    generation: i64,
    revision: i64,
    requested_at: jiff_sqlx::Timestamp,
    last_poll_at: Option<jiff_sqlx::Timestamp>,
    last_error: Option<String>,
    verify: Option<Uuid>,
}

impl From<Row> for Capture {
    fn from(row: Row) -> Self {
        Self {
            connection: ConnectionId::from_uuid(row.connection),
            object: row.object,
            fields: row.fields,
            dated: row.dated,
            dated_history: row.dated_history,
            external_id: row.external_id,
            people: row.people,
            generation: row.generation,
            revision: row.revision,
            requested_at: row.requested_at.to_jiff(),
            last_poll_at: row.last_poll_at.map(|at| at.to_jiff()),
            last_error: row.last_error,
            verify: row.verify,
        }
    }
}

impl Store {
    /// Stores a wish, said at this moment, in place of an older one for the same object. Tells whether there is such a
    /// connection in the organization.
    pub(crate) async fn put_capture(
        tx: &mut PgConnection,
        organization: OrganizationId,
        wish: &CaptureRequested,
        said_at: Timestamp,
    ) -> Result<bool, Error> {
        let (fields, dated) = (sorted(&wish.fields), sorted(&wish.dated));
        if !is_known(tx, organization, wish.connection).await? {
            return Ok(false);
        }
        sqlx::query(
            "INSERT INTO captures (connection, object, fields, dated, dated_history, external_id, active, generation,
                                   requested_at)
             VALUES ($1, $2, $3, $4, $5, $6, true, $7, $8)
             ON CONFLICT (connection, object) DO UPDATE
             SET fields = EXCLUDED.fields, dated = EXCLUDED.dated, dated_history = EXCLUDED.dated_history,
                 external_id = EXCLUDED.external_id, active = true,
                 generation = captures.generation + EXCLUDED.generation, revision = captures.revision + 1,
                 requested_at = EXCLUDED.requested_at
             WHERE captures.requested_at <= EXCLUDED.requested_at",
        )
        .bind(wish.connection.uuid())
        .bind(&wish.vendor_object)
        .bind(fields)
        .bind(dated)
        .bind(wish.dated_history)
        .bind(wish.external_id)
        .bind(i64::from(wish.backfill))
        .bind(at(said_at))
        .execute(&mut *tx)
        .await?;
        Ok(true)
    }

    /// Stores what conversion rules look at, said at this moment, in place of an older wish of theirs for the same object.
    /// Tells whether there is such a connection in the organization.
    pub(crate) async fn put_watch(
        tx: &mut PgConnection,
        organization: OrganizationId,
        wish: &WatchRequested,
        said_at: Timestamp,
    ) -> Result<bool, Error> {
        if !is_known(tx, organization, wish.connection).await? {
            return Ok(false);
        }
        sqlx::query(
            "INSERT INTO captures (connection, object, fields, dated, dated_history, external_id, active, generation,
                                   requested_at, watched, watched_dated, people, watched_at)
             VALUES ($1, $2, '{}', '{}', false, false, false, $6, to_timestamp(0), $3, $4, $5, $7)
             ON CONFLICT (connection, object) DO UPDATE
             SET watched = EXCLUDED.watched, watched_dated = EXCLUDED.watched_dated, people = EXCLUDED.people,
                 generation = captures.generation + EXCLUDED.generation, revision = captures.revision + 1,
                 watched_at = EXCLUDED.watched_at
             WHERE captures.watched_at IS NULL OR captures.watched_at <= EXCLUDED.watched_at",
        )
        .bind(wish.connection.uuid())
        .bind(&wish.vendor_object)
        .bind(sorted(&wish.fields))
        .bind(sorted(&wish.dated))
        .bind(wish.people)
        .bind(i64::from(wish.backfill))
        .bind(at(said_at))
        .execute(&mut *tx)
        .await?;
        Ok(true)
    }

    /// Ends the reading of an object for the sync-engine, unless a later wish wants it.
    pub(crate) async fn stop_capture(
        tx: &mut PgConnection,
        organization: OrganizationId,
        connection: ConnectionId,
        object: &str,
        said_at: Timestamp,
    ) -> Result<(), Error> {
        sqlx::query(
            "UPDATE captures SET active = false, revision = revision + 1, requested_at = $4
             WHERE connection = (SELECT id FROM connections WHERE id = $1 AND organization = $2) AND object = $3
               AND requested_at <= $4",
        )
        .bind(connection.uuid())
        .bind(organization.uuid())
        .bind(object)
        .bind(at(said_at))
        .execute(tx)
        .await?;
        Ok(())
    }

    /// Ends all reading of a connection for the sync-engine, which asks again when it is back. What is watched is read
    /// again by itself then.
    pub(crate) async fn stop_captures(tx: &mut PgConnection, connection: ConnectionId) -> Result<(), Error> {
        sqlx::query("UPDATE captures SET active = false, revision = revision + 1 WHERE connection = $1")
            .bind(connection.uuid())
            .execute(tx)
            .await?;
        Ok(())
    }

    /// What is to be read through these connections.
    pub(crate) async fn captures(&self, connections: &[ConnectionId]) -> Result<Vec<Capture>, Error> {
        let ids: Vec<Uuid> = connections.iter().map(|id| id.uuid()).collect();
        let rows: Vec<Row> = sqlx::query_as(
            "SELECT connection, object,
                    ARRAY(SELECT UNNEST(fields) WHERE active UNION SELECT UNNEST(watched) ORDER BY 1) AS fields,
                    ARRAY(SELECT UNNEST(dated) WHERE active UNION SELECT UNNEST(watched_dated) ORDER BY 1) AS dated,
                    active AND dated_history AS dated_history, active AND external_id AS external_id, people,
                    generation, revision, requested_at, last_poll_at, last_error, v.run AS verify
             FROM captures LEFT JOIN verifies v USING (connection, object)
             WHERE connection = ANY($1) AND (active OR watched <> '{}') ORDER BY connection, object",
        )
        .bind(ids)
        .fetch_all(&self.pool)
        .await?;
        Ok(rows.into_iter().map(Into::into).collect())
    }

    /// Notes how a poll ended: all read, or why not.
    pub(crate) async fn note_poll(
        &self,
        connection: ConnectionId,
        object: &str,
        now: Timestamp,
        error: Option<&str>,
    ) -> Result<(), Error> {
        sqlx::query(
            "WITH polled AS (
                 UPDATE captures SET last_poll_at = CASE WHEN $4::text IS NULL THEN $3 ELSE last_poll_at END,
                                     last_error = $4
                 WHERE connection = $1 AND object = $2)
             UPDATE connections SET last_sync_at = $3 WHERE id = $1 AND $4::text IS NULL",
        )
        .bind(connection.uuid())
        .bind(object)
        .bind(at(now))
        .bind(error)
        .execute(&self.pool)
        .await?;
        Ok(())
    }
}

fn sorted(names: &[String]) -> Vec<String> {
    names.iter().cloned().collect::<BTreeSet<_>>().into_iter().collect()
}

async fn is_known(
    tx: &mut PgConnection,
    organization: OrganizationId,
    connection: ConnectionId,
) -> Result<bool, Error> {
    sqlx::query_scalar("SELECT EXISTS (SELECT FROM connections WHERE id = $1 AND organization = $2)")
        .bind(connection.uuid())
        .bind(organization.uuid())
        .fetch_one(tx)
        .await
}
