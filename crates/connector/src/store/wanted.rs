use jiff::Timestamp;
use model::{ConnectionId, OrganizationId};
use sqlx::{Error, PgConnection};

use super::{Store, at};

impl Store {
    /// Remembers records that are to be read, when the connection is the organization's.
    pub(crate) async fn want(
        tx: &mut PgConnection,
        organization: OrganizationId,
        connection: ConnectionId,
        object: &str,
        ids: &[String],
        said_at: Timestamp,
    ) -> Result<(), Error> {
        sqlx::query(
            "INSERT INTO wanted (connection, object, id, asked_at)
             SELECT c.id, $3, ids.id, $5 FROM connections c, (SELECT DISTINCT UNNEST($4::text[]) AS id) ids
             WHERE c.id = $1 AND c.organization = $2
             ON CONFLICT (connection, object, id) DO UPDATE
             SET asked_at = GREATEST(wanted.asked_at, EXCLUDED.asked_at)",
        )
        .bind(connection.uuid())
        .bind(organization.uuid())
        .bind(object)
        .bind(ids)
        .bind(at(said_at))
        .execute(tx)
        .await?;
        Ok(())
    }

    /// Records of an object that are to be read, those that wait longest first, with when they were last asked for.
    pub(crate) async fn wanted(
        &self,
        connection: ConnectionId,
        object: &str,
        limit: usize,
    ) -> Result<Vec<(String, Timestamp)>, Error> {
        let rows: Vec<(String, jiff_sqlx::Timestamp)> = sqlx::query_as(
            "SELECT id, asked_at FROM wanted WHERE connection = $1 AND object = $2 ORDER BY asked_at LIMIT $3",
        )
        .bind(connection.uuid())
        .bind(object)
        .bind(i64::try_from(limit).unwrap_or(i64::MAX))
        .fetch_all(&self.pool)
        .await?;
        Ok(rows.into_iter().map(|(id, asked_at)| (id, asked_at.to_jiff())).collect())
    }

    /// Forgets records that were read, unless they were asked for again since.
    pub(crate) async fn was_read(
        &self,
        connection: ConnectionId,
        object: &str,
        read: &[(String, Timestamp)],
    ) -> Result<(), Error> {
        let (ids, asked): (Vec<&str>, Vec<jiff_sqlx::Timestamp>) =
            read.iter().map(|(id, asked_at)| (id.as_str(), at(*asked_at))).unzip();
        sqlx::query(
            "DELETE FROM wanted USING UNNEST($3::text[], $4::timestamptz[]) AS read (id, asked_at)
             WHERE connection = $1 AND object = $2 AND wanted.id = read.id AND wanted.asked_at <= read.asked_at",
        )
        .bind(connection.uuid())
        .bind(object)
        .bind(ids)
        .bind(asked)
        .execute(&self.pool)
        .await?;
        Ok(())
    }
}
