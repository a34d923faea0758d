use jiff::Timestamp;
use jiff_sqlx::ToSqlx;
use sqlx::{PgConnection, PgPool, Row};

use super::{optional_time, time};
use crate::{
    domain::attempts::{Attempts, FORGOTTEN_AFTER},
    error::Error,
};

/// What is known of a key, held until the transaction ends.
pub(crate) async fn lock(
    tx: &mut PgConnection,
    key: &[u8; 32],
    now: Timestamp,
) -> Result<Option<Attempts>, Error> {
    // A row to lock, also at the first attempt.
    sqlx::query(
        "INSERT INTO attempts (key, failures, last_at) VALUES ($1, 0, $2) ON CONFLICT (key) DO NOTHING",
    )
    .bind(key.as_slice())
    .bind(now.to_sqlx())
    .execute(&mut *tx)
    .await?;
    let row = sqlx::query("SELECT failures, last_at, locked_until FROM attempts WHERE key = $1 FOR UPDATE")
        .bind(key.as_slice())
        .fetch_optional(tx)
        .await?;
    let Some(row) = row else { return Ok(None) };
    Ok(Some(Attempts {
        failures: row.try_get("failures")?,
        last_at: time(&row, "last_at")?,
        locked_until: optional_time(&row, "locked_until")?,
    }))
}

pub(crate) async fn store(tx: &mut PgConnection, key: &[u8; 32], known: Attempts) -> Result<(), Error> {
    sqlx::query("UPDATE attempts SET failures = $2, last_at = $3, locked_until = $4 WHERE key = $1")
        .bind(key.as_slice())
        .bind(known.failures)
        .bind(known.last_at.to_sqlx())
        .bind(known.locked_until.map(ToSqlx::to_sqlx))
        .execute(tx)
        .await?;
    Ok(())
}

/// Takes back the attempt of this moment, which was a success, and the wait that it caused. A wait that another attempt
/// caused stays.
pub(crate) async fn take_back(
    tx: &mut PgConnection,
    key: &[u8; 32],
    attempted_at: Timestamp,
) -> Result<(), Error> {
    sqlx::query(
        "UPDATE attempts SET failures = greatest(failures - 1, 0),
                             locked_until = CASE WHEN last_at = $2 THEN NULL ELSE locked_until END
         WHERE key = $1",
    )
    .bind(key.as_slice())
    .bind(attempted_at.to_sqlx())
    .execute(tx)
    .await?;
    Ok(())
}

pub(crate) async fn forget(tx: &mut PgConnection, key: &[u8; 32]) -> Result<(), Error> {
    sqlx::query("DELETE FROM attempts WHERE key = $1").bind(key.as_slice()).execute(tx).await?;
    Ok(())
}

pub(crate) async fn prune(pool: &PgPool, now: Timestamp) -> Result<(), Error> {
    let forgotten = now.checked_sub(FORGOTTEN_AFTER).unwrap_or(Timestamp::MIN);
    sqlx::query("DELETE FROM attempts WHERE last_at < $1").bind(forgotten.to_sqlx()).execute(pool).await?;
    Ok(())
}
