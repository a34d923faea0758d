use jiff::Timestamp;
use model::{ConnectionId, ObjectSchema};
use sqlx::{Error, PgConnection, types::Json};

use super::{Store, at};

/// The vendor's objects and fields as last read.
#[derive(Clone, Debug)]
pub(crate) struct Schemas {
    pub(crate) objects: Vec<ObjectSchema>,
    pub(crate) refreshed_at: Timestamp,
}

impl Store {
    /// The schemas of a connection; none before they were first read.
    pub(crate) async fn schemas(&self, connection: ConnectionId) -> Result<Option<Schemas>, Error> {
        let row: Option<(Json<Vec<ObjectSchema>>, jiff_sqlx::Timestamp)> =
            sqlx::query_as("SELECT objects, refreshed_at FROM schemas WHERE connection = $1")
                .bind(connection.uuid())
                .fetch_optional(&self.pool)
                .await?;
        Ok(row.map(|(objects, at)| Schemas { objects: objects.0, refreshed_at: at.to_jiff() }))
    }

    /// Stores them in place of the older ones.
    pub(crate) async fn put_schemas(
        tx: &mut PgConnection,
        connection: ConnectionId,
        objects: &[ObjectSchema],
        now: Timestamp,
    ) -> Result<(), Error> {
        sqlx::query(
            "INSERT INTO schemas (connection, objects, refreshed_at) VALUES ($1, $2, $3)
             ON CONFLICT (connection) DO UPDATE
             SET objects = EXCLUDED.objects, refreshed_at = EXCLUDED.refreshed_at",
        )
        .bind(connection.uuid())
        .bind(Json(objects))
        .bind(at(now))
        .execute(tx)
        .await?;
        Ok(())
    }
}
