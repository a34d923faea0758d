//! The tables of identity; the only place that says SQL.

pub(crate) mod attempts;
pub(crate) mod keys;
pub(crate) mod links;
pub(crate) mod organizations;
pub(crate) mod sessions;
pub(crate) mod users;

use chassis::Migration;
use jiff::Timestamp;
use sqlx::{PgPool, Row, postgres::PgRow};

use crate::error::Error;

/// The Postgres schema of this room.
pub(crate) const SCHEMA: &str = "identity";

/// Brings the schema up to date.
pub(crate) async fn migrate(pool: &PgPool) -> Result<(), Error> {
    let steps = [
        Migration { version: 1, name: "identity", sql: include_str!("../../migrations/0001_identity.sql") },
        Migration { version: 2, name: "outbox", sql: bus::outbox::MIGRATION },
    ];
    Ok(chassis::migrate(pool, SCHEMA, &steps).await?)
}

/// Deletes what has no use any more: links and sessions that ended a month ago, forgotten attempts.
pub(crate) async fn prune(pool: &PgPool, now: Timestamp) -> Result<(), Error> {
    links::prune(pool, now).await?;
    sessions::prune(pool, now).await?;
    attempts::prune(pool, now).await
}

fn time(row: &PgRow, column: &str) -> Result<Timestamp, sqlx::Error> {
    Ok(row.try_get::<jiff_sqlx::Timestamp, _>(column)?.to_jiff())
}

fn optional_time(row: &PgRow, column: &str) -> Result<Option<Timestamp>, sqlx::Error> {
    Ok(row.try_get::<Option<jiff_sqlx::Timestamp>, _>(column)?.map(jiff_sqlx::Timestamp::to_jiff))
}

/// A month ago.
fn long_ago(now: Timestamp) -> jiff_sqlx::Timestamp {
    use jiff_sqlx::ToSqlx;
    let month = jiff::SignedDuration::from_hours(30 * 24);
    now.checked_sub(month).unwrap_or(Timestamp::MIN).to_sqlx()
}
