use jiff::Timestamp;
use model::{ConnectionId, ReadingSettings};
use sqlx::{Error, FromRow, PgConnection};
use uuid::Uuid;

use super::{Store, at};

/// How a connection reads, where somebody chose it.
#[derive(Clone, Debug)]
pub(crate) struct StoredReading {
    pub(crate) connection: ConnectionId,
    pub(crate) settings: ReadingSettings,
    pub(crate) changed_by: String,
    pub(crate) changed_at: Timestamp,
}

#[derive(FromRow)]
struct Row {
    connection: Uuid,
    interval_minutes: Option<i32>,
    bodies: bool,
    changed_by: String,
    changed_at: jiff_sqlx::Timestamp,
}

impl From<Row> for StoredReading {
    fn from(row: Row) -> Self {
        let interval_minutes = row.interval_minutes.map(i32::unsigned_abs);
        Self {
            connection: ConnectionId::from_uuid(row.connection),
            settings: ReadingSettings { interval_minutes, bodies: row.bodies },
            changed_by: row.changed_by,
            changed_at: row.changed_at.to_jiff(),
        }
    }
}

impl Store {
    /// How those of these connections read for which somebody chose it.
    pub(crate) async fn readings(&self, connections: &[ConnectionId]) -> Result<Vec<StoredReading>, Error> {
        let ids: Vec<Uuid> = connections.iter().map(|id| id.uuid()).collect();
        let rows: Vec<Row> = sqlx::query_as("SELECT * FROM reading_settings WHERE connection = ANY($1)")
            .bind(ids)
            .fetch_all(&self.pool)
            .await?;
        Ok(rows.into_iter().map(Into::into).collect())
    }

    /// How a connection reads, kept from being changed until the transaction ends.
    pub(crate) async fn lock_reading(
        tx: &mut PgConnection,
        connection: ConnectionId,
    ) -> Result<ReadingSettings, Error> {
        // Before the first choice there is no row of it to lock.
        sqlx::query("SELECT 1 FROM connections WHERE id = $1 FOR NO KEY UPDATE")
            .bind(connection.uuid())
            .execute(&mut *tx)
            .await?;
        let row: Option<Row> = sqlx::query_as("SELECT * FROM reading_settings WHERE connection = $1")
            .bind(connection.uuid())
            .fetch_optional(tx)
            .await?;
        Ok(row.map(|row| StoredReading::from(row).settings).unwrap_or_default())
    }

    /// Stores what somebody chose.
    pub(crate) async fn put_reading(
        tx: &mut PgConnection,
        connection: ConnectionId,
        settings: ReadingSettings,
        actor: &str,
        now: Timestamp,
    ) -> Result<(), Error> {
        sqlx::query(
            "INSERT INTO reading_settings (connection, interval_minutes, bodies, changed_by, changed_at)
             VALUES ($1, $2, $3, $4, $5)
             ON CONFLICT (connection) DO UPDATE
             SET interval_minutes = EXCLUDED.interval_minutes, bodies = EXCLUDED.bodies,
                 changed_by = EXCLUDED.changed_by, changed_at = EXCLUDED.changed_at",
        )
        .bind(connection.uuid())
        .bind(settings.interval_minutes.and_then(|minutes| i32::try_from(minutes).ok()))
        .bind(settings.bodies)
        .bind(actor)
        .bind(at(now))
        .execute(tx)
        .await?;
        Ok(())
    }
}
