//! The inbox: which messages a consumer has handled, in the same transaction as their effect.
//!
//! A handler that commits the rest of a batch without one message of it, to retry or bury that one, must
//! [`forget`] it in the same transaction: else its redelivery or replay would be taken for a repeat.

use std::collections::HashSet;

use jiff::Timestamp;
use jiff_sqlx::ToSqlx;
use sqlx::{PgConnection, PgPool};

use crate::Error;

/// Records that `consumer` handles these messages now, and returns the ids it had not handled before; only their
/// effect may happen. A repeated id in `ids` counts once.
///
/// # Errors
/// Postgres refuses or does not answer; the transaction is lost.
pub async fn fresh(tx: &mut PgConnection, consumer: &str, ids: &[String]) -> Result<HashSet<String>, Error> {
    // In order of id, so that two replicas with the same messages cannot block each other.
    let fresh: Result<Vec<String>, _> = sqlx::query_scalar(
        "INSERT INTO inbox (consumer, id)
         SELECT $1, id FROM (SELECT DISTINCT id FROM UNNEST($2::text[]) AS given (id) ORDER BY id) AS sorted
         ON CONFLICT DO NOTHING RETURNING id",
    )
    .bind(consumer)
    .bind(ids)
    .fetch_all(tx)
    .await;
    let fresh = fresh.map_err(|error| Error::database("record messages in the inbox", error))?;
    Ok(fresh.into_iter().collect())
}

/// Which of these messages `consumer` has handled, without recording anything: for a consumer whose effect is outside
/// the database, which looks before the effect and records after it.
///
/// # Errors
/// Postgres refuses or does not answer.
pub async fn handled(
    db: &mut PgConnection,
    consumer: &str,
    ids: &[String],
) -> Result<HashSet<String>, Error> {
    let handled: Result<Vec<String>, _> =
        sqlx::query_scalar("SELECT id FROM inbox WHERE consumer = $1 AND id = ANY($2)")
            .bind(consumer)
            .bind(ids)
            .fetch_all(db)
            .await;
    let handled = handled.map_err(|error| Error::database("look into the inbox", error))?;
    Ok(handled.into_iter().collect())
}

/// Takes back [`fresh`] for messages that this transaction does not handle after all.
///
/// # Errors
/// Postgres refuses or does not answer; the transaction is lost.
pub async fn forget(tx: &mut PgConnection, consumer: &str, ids: &[String]) -> Result<(), Error> {
    let deleted = sqlx::query("DELETE FROM inbox WHERE consumer = $1 AND id = ANY($2)")
        .bind(consumer)
        .bind(ids)
        .execute(tx)
        .await;
    deleted.map_err(|error| Error::database("forget messages in the inbox", error))?;
    Ok(())
}

/// Deletes what was handled before this moment and returns how many rows that were. Keep them longer than any
/// stream keeps its messages, or a late redelivery has its effect twice.
///
/// # Errors
/// Postgres refuses or does not answer.
pub async fn prune(pool: &PgPool, older_than: Timestamp) -> Result<u64, Error> {
    let deleted =
        sqlx::query("DELETE FROM inbox WHERE handled_at < $1").bind(older_than.to_sqlx()).execute(pool).await;
    Ok(deleted.map_err(|error| Error::database("prune the inbox", error))?.rows_affected())
}
