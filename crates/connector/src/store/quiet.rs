use std::collections::BTreeMap;

use jiff::Timestamp;
use model::{ConnectionId, Value};
use sqlx::Error;

use super::{Store, at};

/// What was published last of a record's quiet fields.
#[derive(Clone, Debug)]
pub(crate) struct Quiet {
    pub(crate) id: String,
    pub(crate) version: i64,
    pub(crate) values: BTreeMap<String, Value>,
}

impl Store {
    /// Quiet fields by record, of records that were not looked at since: those that wait longest.
    pub(crate) async fn quiet(
        &self,
        connection: ConnectionId,
        object: &str,
        before: Timestamp,
        limit: i64,
    ) -> Result<BTreeMap<String, BTreeMap<String, Value>>, Error> {
        let rows: Vec<(String, String)> = sqlx::query_as(
            "SELECT id, fields FROM quiet WHERE connection = $1 AND object = $2 AND looked_at < $3
             ORDER BY looked_at LIMIT $4",
        )
        .bind(connection.uuid())
        .bind(object)
        .bind(at(before))
        .bind(limit)
        .fetch_all(&self.pool)
        .await?;
        // What cannot be read counts as something else than there is now.
        let read = |(id, fields): (String, String)| (id, serde_json::from_str(&fields).unwrap_or_default());
        Ok(rows.into_iter().map(read).collect())
    }

    /// Notes what was published of quiet fields; or, of records that nothing is noted of, what is there.
    pub(crate) async fn note_quiet(
        &self,
        connection: ConnectionId,
        object: &str,
        shown: &[Quiet],
        only_new: bool,
        now: Timestamp,
    ) -> Result<(), Error> {
        if shown.is_empty() {
            return Ok(());
        }
        let ids: Vec<&str> = shown.iter().map(|one| one.id.as_str()).collect();
        let versions: Vec<i64> = shown.iter().map(|one| one.version).collect();
        let fields: Vec<String> =
            shown.iter().map(|one| serde_json::to_string(&one.values).unwrap_or_default()).collect();
        sqlx::query(
            "INSERT INTO quiet (connection, object, id, version, fields, looked_at)
             SELECT DISTINCT ON (id) $1, $2, id, version, fields, $6
             FROM UNNEST($3::text[], $4::bigint[], $5::text[]) WITH ORDINALITY AS given (id, version, fields, place)
             ORDER BY id, version DESC, place DESC
             ON CONFLICT (connection, object, id) DO UPDATE
             SET version = EXCLUDED.version, fields = EXCLUDED.fields, looked_at = EXCLUDED.looked_at
             WHERE quiet.version <= EXCLUDED.version AND NOT $7",
        )
        .bind(connection.uuid())
        .bind(object)
        .bind(ids)
        .bind(versions)
        .bind(fields)
        .bind(at(now))
        .bind(only_new)
        .execute(&self.pool)
        .await?;
        Ok(())
    }

    /// Notes that these records were looked at.
    pub(crate) async fn looked_at_quiet(
        &self,
        connection: ConnectionId,
        object: &str,
        ids: &[String],
        now: Timestamp,
    ) -> Result<(), Error> {
        sqlx::query("UPDATE quiet SET looked_at = $4 WHERE connection = $1 AND object = $2 AND id = ANY($3)")
            .bind(connection.uuid())
            .bind(object)
            .bind(ids)
            .bind(at(now))
            .execute(&self.pool)
            .await?;
        Ok(())
    }

    /// Forgets records that are gone.
    pub(crate) async fn forget_quiet(
        &self,
        connection: ConnectionId,
        object: &str,
        ids: &[String],
    ) -> Result<(), Error> {
        if ids.is_empty() {
            return Ok(());
        }
        sqlx::query("DELETE FROM quiet WHERE connection = $1 AND object = $2 AND id = ANY($3)")
            .bind(connection.uuid())
            .bind(object)
            .bind(ids)
            .execute(&self.pool)
            .await?;
        Ok(())
    }
}
