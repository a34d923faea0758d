use jiff::Timestamp;
use model::ConnectionId;
use sqlx::{Error, FromRow};
use uuid::Uuid;

use super::{Store, at};
use crate::usage::Used;

/// What a connection used in one minute.
#[derive(Clone, Copy, Debug)]
pub(crate) struct UsagePoint {
    pub(crate) minute: Timestamp,
    pub(crate) used: Used,
}

#[derive(FromRow)]
struct Row {
    minute: jiff_sqlx::Timestamp,
    calls: i64,
    failed: i64,
    rate_limited: i64,
    records_read: i64,
    records_written: i64,
}

impl Store {
    /// Adds to what is stored.
    pub(crate) async fn add_usage(
        &self,
        connection: ConnectionId,
        counted: &[(Timestamp, &'static str, Used)],
    ) -> Result<(), Error> {
        let minutes: Vec<_> = counted.iter().map(|(minute, ..)| at(*minute)).collect();
        let classes: Vec<&str> = counted.iter().map(|(_, class, _)| *class).collect();
        let column = |of: fn(&Used) -> i64| counted.iter().map(|(.., used)| of(used)).collect::<Vec<_>>();
        sqlx::query(
            "INSERT INTO usage (connection, minute, class, calls, failed, rate_limited, records_read,
                                records_written)
             SELECT $1, * FROM UNNEST($2::timestamptz[], $3::text[], $4::bigint[], $5::bigint[], $6::bigint[],
                                      $7::bigint[], $8::bigint[])
             ON CONFLICT (connection, minute, class) DO UPDATE
             SET calls = usage.calls + EXCLUDED.calls, failed = usage.failed + EXCLUDED.failed,
                 rate_limited = usage.rate_limited + EXCLUDED.rate_limited,
                 records_read = usage.records_read + EXCLUDED.records_read,
                 records_written = usage.records_written + EXCLUDED.records_written",
        )
        .bind(connection.uuid())
        .bind(minutes)
        .bind(classes)
        .bind(column(|used| used.calls))
        .bind(column(|used| used.failed))
        .bind(column(|used| used.rate_limited))
        .bind(column(|used| used.records_read))
        .bind(column(|used| used.records_written))
        .execute(&self.pool)
        .await?;
        Ok(())
    }

    /// What was used since this moment, by minute, oldest first.
    pub(crate) async fn usage(
        &self,
        connection: ConnectionId,
        since: Timestamp,
    ) -> Result<Vec<UsagePoint>, Error> {
        let rows: Vec<Row> = sqlx::query_as(
            "SELECT minute, sum(calls)::bigint AS calls, sum(failed)::bigint AS failed,
                    sum(rate_limited)::bigint AS rate_limited, sum(records_read)::bigint AS records_read,
                    sum(records_written)::bigint AS records_written
             FROM usage WHERE connection = $1 AND minute >= $2 GROUP BY minute ORDER BY minute",
        )
        .bind(connection.uuid())
        .bind(at(since))
        .fetch_all(&self.pool)
        .await?;
        let point = |row: Row| UsagePoint {
            minute: row.minute.to_jiff(),
            used: Used {
                calls: row.calls,
                failed: row.failed,
                rate_limited: row.rate_limited,
                records_read: row.records_read,
                records_written: row.records_written,
            },
        };
        Ok(rows.into_iter().map(point).collect())
    }

    /// Forgets what was used before this moment.
    pub(crate) async fn prune_usage(&self, before: Timestamp) -> Result<(), Error> {
        sqlx::query("DELETE FROM usage WHERE minute < $1").bind(at(before)).execute(&self.pool).await?;
        Ok(())
    }

    /// Forgets everything of a capture that is kept only for its reading: for a connection that is gone.
    pub(crate) async fn forget_reading(
        tx: &mut sqlx::PgConnection,
        connection: ConnectionId,
    ) -> Result<(), Error> {
        let id: Uuid = connection.uuid();
        sqlx::query("DELETE FROM delivered WHERE connection = $1").bind(id).execute(&mut *tx).await?;
        sqlx::query("DELETE FROM deleted WHERE connection = $1").bind(id).execute(&mut *tx).await?;
        sqlx::query("DELETE FROM streams WHERE connection = $1").bind(id).execute(&mut *tx).await?;
        sqlx::query("DELETE FROM feeds WHERE connection = $1").bind(id).execute(&mut *tx).await?;
        sqlx::query("DELETE FROM watches WHERE connection = $1").bind(id).execute(&mut *tx).await?;
        sqlx::query("DELETE FROM arrivals WHERE connection = $1").bind(id).execute(&mut *tx).await?;
        sqlx::query("DELETE FROM wanted WHERE connection = $1").bind(id).execute(&mut *tx).await?;
        sqlx::query("DELETE FROM checkpoints WHERE connection = $1").bind(id).execute(tx).await?;
        Ok(())
    }
}
