use std::collections::HashMap;

use jiff::Timestamp;
use model::ConnectionId;
use sqlx::{Error, PgConnection};
use uuid::Uuid;

use super::{Store, at};
use crate::Change;

/// What is noted of a change that was handed out.
#[derive(Clone, Debug)]
pub(crate) struct Delivered {
    pub(crate) id: String,
    pub(crate) version: i64,
    pub(crate) changed_at: Timestamp,
    /// What the record said, see [`Change::content`]; none where it was noted before this was kept.
    pub(crate) content: Option<Uuid>,
}

impl Delivered {
    pub(crate) fn of(change: &Change) -> Self {
        let Change { version, changed_at, .. } = *change;
        Self { id: change.id.clone(), version, changed_at, content: Some(change.content()) }
    }

    /// Whether this change tells something that was not handed out with this.
    pub(crate) fn is_surpassed_by(&self, change: &Change) -> bool {
        let differs = || self.content.is_some_and(|content| content != change.content());
        self.version < change.version || (self.version == change.version && differs())
    }
}

impl Store {
    /// What was handed out lately of these records.
    pub(crate) async fn delivered(
        &self,
        connection: ConnectionId,
        object: &str,
        ids: &[&str],
    ) -> Result<HashMap<String, Delivered>, Error> {
        let rows: Vec<(String, i64, jiff_sqlx::Timestamp, Option<Uuid>)> = sqlx::query_as(
            "SELECT id, version, changed_at, content FROM delivered
             WHERE connection = $1 AND object = $2 AND id = ANY($3)",
        )
        .bind(connection.uuid())
        .bind(object)
        .bind(ids)
        .fetch_all(&self.pool)
        .await?;
        let known =
            |(id, version, changed_at, content): (String, i64, jiff_sqlx::Timestamp, Option<Uuid>)| {
                (id.clone(), Delivered { id, version, changed_at: changed_at.to_jiff(), content })
            };
        Ok(rows.into_iter().map(known).collect())
    }

    /// Notes what was handed out; one row per record.
    pub(crate) async fn note_delivered(
        tx: &mut PgConnection,
        connection: ConnectionId,
        object: &str,
        changes: &[Delivered],
    ) -> Result<(), Error> {
        if changes.is_empty() {
            return Ok(());
        }
        let ids: Vec<&str> = changes.iter().map(|change| change.id.as_str()).collect();
        let versions: Vec<i64> = changes.iter().map(|change| change.version).collect();
        let times: Vec<_> = changes.iter().map(|change| at(change.changed_at)).collect();
        let contents: Vec<Option<Uuid>> = changes.iter().map(|change| change.content).collect();
        sqlx::query(
            "INSERT INTO delivered (connection, object, id, version, changed_at, content)
             SELECT DISTINCT ON (id) $1, $2, id, version, changed_at, content
             FROM UNNEST($3::text[], $4::bigint[], $5::timestamptz[], $6::uuid[]) WITH ORDINALITY
                  AS given (id, version, changed_at, content, place)
             ORDER BY id, version DESC, place DESC
             ON CONFLICT (connection, object, id) DO UPDATE
             SET version = EXCLUDED.version, changed_at = EXCLUDED.changed_at, content = EXCLUDED.content
             WHERE delivered.version <= EXCLUDED.version",
        )
        .bind(connection.uuid())
        .bind(object)
        .bind(ids)
        .bind(versions)
        .bind(times)
        .bind(contents)
        .execute(tx)
        .await?;
        Ok(())
    }

    /// Forgets what no re-scan will look at again.
    pub(crate) async fn prune_delivered(
        &self,
        connection: ConnectionId,
        object: &str,
        before: Timestamp,
    ) -> Result<(), Error> {
        sqlx::query("DELETE FROM delivered WHERE connection = $1 AND object = $2 AND changed_at < $3")
            .bind(connection.uuid())
            .bind(object)
            .bind(at(before))
            .execute(&self.pool)
            .await?;
        Ok(())
    }

    /// The versions of these deleted records that were handed out; notes that this sweep saw them.
    pub(crate) async fn seen_deleted(
        &self,
        connection: ConnectionId,
        object: &str,
        ids: &[&str],
        sweep: Timestamp,
    ) -> Result<HashMap<String, i64>, Error> {
        let rows: Vec<(String, i64)> = sqlx::query_as(
            "UPDATE deleted SET sweep = $4 WHERE connection = $1 AND object = $2 AND id = ANY($3)
             RETURNING id, version",
        )
        .bind(connection.uuid())
        .bind(object)
        .bind(ids)
        .bind(at(sweep))
        .fetch_all(&self.pool)
        .await?;
        Ok(rows.into_iter().collect())
    }

    /// Notes deletions that were handed out.
    pub(crate) async fn note_deleted(
        &self,
        connection: ConnectionId,
        object: &str,
        changes: &[Change],
        sweep: Timestamp,
    ) -> Result<(), Error> {
        let ids: Vec<&str> = changes.iter().map(|change| change.id.as_str()).collect();
        let versions: Vec<i64> = changes.iter().map(|change| change.version).collect();
        sqlx::query(
            "INSERT INTO deleted (connection, object, id, version, sweep)
             SELECT DISTINCT ON (id) $1, $2, id, version, $5
             FROM UNNEST($3::text[], $4::bigint[]) AS given (id, version) ORDER BY id, version DESC
             ON CONFLICT (connection, object, id) DO UPDATE
             SET version = EXCLUDED.version, sweep = EXCLUDED.sweep",
        )
        .bind(connection.uuid())
        .bind(object)
        .bind(ids)
        .bind(versions)
        .bind(at(sweep))
        .execute(&self.pool)
        .await?;
        Ok(())
    }

    /// Forgets deletions that a whole sweep did not show any more: those records are back, or gone for good.
    pub(crate) async fn forget_undeleted(
        &self,
        connection: ConnectionId,
        object: &str,
        sweep: Timestamp,
    ) -> Result<(), Error> {
        sqlx::query("DELETE FROM deleted WHERE connection = $1 AND object = $2 AND sweep < $3")
            .bind(connection.uuid())
            .bind(object)
            .bind(at(sweep))
            .execute(&self.pool)
            .await?;
        Ok(())
    }
}
