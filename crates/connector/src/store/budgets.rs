use std::time::Duration;

use jiff::Timestamp;
use model::{BudgetLevel, ConnectionId};
use sqlx::{Error, FromRow, PgConnection};
use uuid::Uuid;

use super::{Store, at};
use crate::{budget::Budget, limiter::Window, states::SERVICE};

/// A connection's budget as it is stored.
#[derive(Clone, Debug)]
pub(crate) struct StoredBudget {
    pub(crate) connection: ConnectionId,
    pub(crate) budget: Budget,
    pub(crate) changed_by: String,
    pub(crate) changed_at: Timestamp,
    /// What people were told last, and of which window; none after the budget was changed.
    pub(crate) told: BudgetLevel,
    pub(crate) told_window: Option<Timestamp>,
    /// Nobody set it: the vendor allows so much.
    pub(crate) of_vendor: bool,
}

/// What the vendor said about one of its limits, and when.
#[derive(Clone, Debug)]
pub(crate) struct SaidLimit {
    pub(crate) name: String,
    pub(crate) calls: u64,
    pub(crate) remaining: u64,
    pub(crate) window: Duration,
    pub(crate) said_at: Timestamp,
}

#[derive(FromRow)]
struct Row {
    connection: Uuid,
    calls: i64,
    window_s: i32,
    warn_percent: i32,
    changed_by: String,
    changed_at: jiff_sqlx::Timestamp,
    told: String,
    told_window: Option<jiff_sqlx::Timestamp>,
    of_vendor: bool,
}

impl TryFrom<Row> for StoredBudget {
    type Error = Error;

    fn try_from(row: Row) -> Result<Self, Error> {
        Ok(Self {
            connection: ConnectionId::from_uuid(row.connection),
            budget: Budget {
                calls: row.calls.unsigned_abs(),
                window: Duration::from_secs(row.window_s.unsigned_abs().into()),
                warn_percent: row.warn_percent.unsigned_abs().into(),
            },
            changed_by: row.changed_by,
            changed_at: row.changed_at.to_jiff(),
            told: row.told.parse().map_err(|error: model::UnknownLevel| Error::Decode(error.into()))?,
            told_window: row.told_window.map(|at| at.to_jiff()),
            of_vendor: row.of_vendor,
        })
    }
}

#[derive(FromRow)]
struct LimitRow {
    name: String,
    calls: i64,
    remaining: i64,
    window_ms: i64,
    said_at: jiff_sqlx::Timestamp,
}

impl Store {
    /// The budgets of those of these connections that have one.
    pub(crate) async fn budgets(&self, connections: &[ConnectionId]) -> Result<Vec<StoredBudget>, Error> {
        let ids: Vec<Uuid> = connections.iter().map(|id| id.uuid()).collect();
        let rows: Vec<Row> = sqlx::query_as("SELECT * FROM budgets WHERE connection = ANY($1)")
            .bind(ids)
            .fetch_all(&self.pool)
            .await?;
        rows.into_iter().map(TryInto::try_into).collect()
    }

    /// The budget of a connection, kept from being changed until the transaction ends.
    pub(crate) async fn lock_budget(
        tx: &mut PgConnection,
        connection: ConnectionId,
    ) -> Result<Option<StoredBudget>, Error> {
        let row: Option<Row> = sqlx::query_as("SELECT * FROM budgets WHERE connection = $1 FOR UPDATE")
            .bind(connection.uuid())
            .fetch_optional(tx)
            .await?;
        row.map(TryInto::try_into).transpose()
    }

    /// Stores a connection's budget, or that it has none. What was told stays; that it was told of this window does not.
    pub(crate) async fn put_budget(
        tx: &mut PgConnection,
        connection: ConnectionId,
        budget: Option<Budget>,
        actor: &str,
        now: Timestamp,
    ) -> Result<(), Error> {
        let Some(budget) = budget else {
            sqlx::query("DELETE FROM budgets WHERE connection = $1")
                .bind(connection.uuid())
                .execute(tx)
                .await?;
            return Ok(());
        };
        sqlx::query(
            "INSERT INTO budgets (connection, calls, window_s, warn_percent, changed_by, changed_at)
             VALUES ($1, $2, $3, $4, $5, $6)
             ON CONFLICT (connection) DO UPDATE
             SET calls = EXCLUDED.calls, window_s = EXCLUDED.window_s, warn_percent = EXCLUDED.warn_percent,
                 changed_by = EXCLUDED.changed_by, changed_at = EXCLUDED.changed_at, told_window = NULL, of_vendor = false",
        )
        .bind(connection.uuid())
        .bind(i64::try_from(budget.calls).unwrap_or(i64::MAX))
        .bind(i32::try_from(budget.window.as_secs()).unwrap_or(i32::MAX))
        .bind(i32::try_from(budget.warn_percent).unwrap_or(100))
        .bind(actor)
        .bind(at(now))
        .execute(tx)
        .await?;
        Ok(())
    }

    /// Stores what the vendor allows as the budget of a connection for which nobody set one.
    pub(crate) async fn put_allocation(
        &self,
        connection: ConnectionId,
        budget: Budget,
        now: Timestamp,
    ) -> Result<(), Error> {
        sqlx::query(
            "INSERT INTO budgets (connection, calls, window_s, warn_percent, changed_by, changed_at, of_vendor)
             VALUES ($1, $2, $3, $4, $5, $6, true)
             ON CONFLICT (connection) DO UPDATE
             SET calls = EXCLUDED.calls, window_s = EXCLUDED.window_s, warn_percent = EXCLUDED.warn_percent,
                 changed_at = EXCLUDED.changed_at
             WHERE budgets.of_vendor",
        )
        .bind(connection.uuid())
        .bind(i64::try_from(budget.calls).unwrap_or(i64::MAX))
        .bind(i32::try_from(budget.window.as_secs()).unwrap_or(i32::MAX))
        .bind(i32::try_from(budget.warn_percent).unwrap_or(100))
        .bind(SERVICE)
        .bind(at(now))
        .execute(&self.pool)
        .await?;
        Ok(())
    }

    /// Notes what people are told of a window; false when somebody else told them meanwhile.
    pub(crate) async fn note_told(
        tx: &mut PgConnection,
        before: &StoredBudget,
        level: BudgetLevel,
        window: Timestamp,
    ) -> Result<bool, Error> {
        let noted = sqlx::query(
            "UPDATE budgets SET told = $4, told_window = $5
             WHERE connection = $1 AND told = $2 AND told_window IS NOT DISTINCT FROM $3",
        )
        .bind(before.connection.uuid())
        .bind(before.told.name())
        .bind(before.told_window.map(at))
        .bind(level.name())
        .bind(at(window))
        .execute(tx)
        .await?;
        Ok(noted.rows_affected() > 0)
    }

    /// How many calls were made since the minute of this moment, as far as they are stored.
    pub(crate) async fn calls_since(&self, connection: ConnectionId, since: Timestamp) -> Result<u64, Error> {
        let calls: i64 = sqlx::query_scalar(
            "SELECT coalesce(sum(calls), 0)::bigint FROM usage
             WHERE connection = $1 AND minute >= date_trunc('minute', $2::timestamptz)",
        )
        .bind(connection.uuid())
        .bind(at(since))
        .fetch_one(&self.pool)
        .await?;
        Ok(calls.unsigned_abs())
    }

    /// Stores what the vendor said about its limits.
    pub(crate) async fn put_limits(
        &self,
        connection: ConnectionId,
        said: &[(&'static str, Window)],
        now: Timestamp,
    ) -> Result<(), Error> {
        let column = |of: fn(&Window) -> i64| said.iter().map(|(_, said)| of(said)).collect::<Vec<_>>();
        sqlx::query(
            "INSERT INTO limits (connection, name, calls, remaining, window_ms, said_at)
             SELECT DISTINCT ON (name) $1, name, calls, remaining, window_ms, $6
             FROM UNNEST($2::text[], $3::bigint[], $4::bigint[], $5::bigint[]) AS l(name, calls, remaining, window_ms)
             ORDER BY name, remaining
             ON CONFLICT (connection, name) DO UPDATE
             SET calls = EXCLUDED.calls, remaining = EXCLUDED.remaining, window_ms = EXCLUDED.window_ms,
                 said_at = EXCLUDED.said_at",
        )
        .bind(connection.uuid())
        .bind(said.iter().map(|(name, _)| *name).collect::<Vec<_>>())
        .bind(column(|said| said.limit.into()))
        .bind(column(|said| said.remaining.into()))
        .bind(column(|said| i64::try_from(said.length.as_millis()).unwrap_or(i64::MAX)))
        .bind(at(now))
        .execute(&self.pool)
        .await?;
        Ok(())
    }

    /// What the vendor last said about its limits.
    pub(crate) async fn limits(&self, connection: ConnectionId) -> Result<Vec<SaidLimit>, Error> {
        let rows: Vec<LimitRow> = sqlx::query_as(
            "SELECT name, calls, remaining, window_ms, said_at FROM limits WHERE connection = $1 ORDER BY window_ms, name",
        )
        .bind(connection.uuid())
        .fetch_all(&self.pool)
        .await?;
        let limit = |row: LimitRow| SaidLimit {
            name: row.name,
            calls: row.calls.unsigned_abs(),
            remaining: row.remaining.unsigned_abs(),
            window: Duration::from_millis(row.window_ms.unsigned_abs()),
            said_at: row.said_at.to_jiff(),
        };
        Ok(rows.into_iter().map(limit).collect())
    }
}
