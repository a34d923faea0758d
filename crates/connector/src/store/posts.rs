use jiff::Timestamp;
use model::PostId;
use sqlx::{Error, PgConnection};

use super::{Store, at};

/// A message that was begun to be posted before.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct BegunPost {
    pub(crate) at: Timestamp,
    /// The vendor's id of it, where it is known to be there.
    pub(crate) message: Option<String>,
}

impl Store {
    /// Notes that a message is about to be posted; gives what is known of an earlier try.
    pub(crate) async fn begin_post(&self, id: PostId, now: Timestamp) -> Result<Option<BegunPost>, Error> {
        let inserted = sqlx::query("INSERT INTO posts (id, begun_at) VALUES ($1, $2) ON CONFLICT DO NOTHING")
            .bind(id.uuid())
            .bind(at(now))
            .execute(&self.pool)
            .await?;
        if inserted.rows_affected() == 1 {
            return Ok(None);
        }
        let row: Option<(jiff_sqlx::Timestamp, Option<String>)> =
            sqlx::query_as("SELECT begun_at, message FROM posts WHERE id = $1")
                .bind(id.uuid())
                .fetch_optional(&self.pool)
                .await?;
        Ok(row.map(|(begun_at, message)| BegunPost { at: begun_at.to_jiff(), message }))
    }

    /// The message was not posted for sure.
    pub(crate) async fn withdraw_post(&self, id: PostId) -> Result<(), Error> {
        sqlx::query("DELETE FROM posts WHERE id = $1 AND message IS NULL")
            .bind(id.uuid())
            .execute(&self.pool)
            .await?;
        Ok(())
    }

    /// The message is there.
    pub(crate) async fn finish_post(tx: &mut PgConnection, id: PostId, message: &str) -> Result<(), Error> {
        sqlx::query("UPDATE posts SET message = $2 WHERE id = $1")
            .bind(id.uuid())
            .bind(message)
            .execute(tx)
            .await?;
        Ok(())
    }

    /// Forgets posts that were begun before this moment.
    pub(crate) async fn prune_posts(&self, before: Timestamp) -> Result<(), Error> {
        sqlx::query("DELETE FROM posts WHERE begun_at < $1").bind(at(before)).execute(&self.pool).await?;
        Ok(())
    }
}
