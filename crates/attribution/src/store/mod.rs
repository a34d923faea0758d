//! The only place that says SQL.

pub(crate) mod catalog;
pub(crate) mod claims;
pub(crate) mod clicks;
pub(crate) mod commissions;
pub(crate) mod dashboard;
pub(crate) mod facts;
pub(crate) mod following;
pub(crate) mod guards;
pub(crate) mod ingest;
pub(crate) mod ledger;
pub(crate) mod links;
pub(crate) mod listing;
pub(crate) mod locks;
pub(crate) mod news;
pub(crate) mod partner_terms;
pub(crate) mod partners;
pub(crate) mod payouts;
pub(crate) mod programs;
pub(crate) mod reviews;
pub(crate) mod rules;
pub(crate) mod stale;
pub(crate) mod standing;
pub(crate) mod webhooks;

use jiff::Timestamp;
use sqlx::{PgConnection, PgPool, Row as _, postgres::PgRow};
use uuid::Uuid;

/// Of connections on which the same few statements are executed over and over. They are planned once, for a handful of
/// rows, and the plans must be as good when the tables have grown.
const SETTINGS: &str = "SET plan_cache_mode = force_generic_plan; SET enable_seqscan = off; SET enable_hashjoin = off; \
                        SET enable_mergejoin = off; SET jit = off";

/// A connection of one's own with these settings.
pub(crate) async fn lane(pool: &PgPool) -> Result<PgConnection, sqlx::Error> {
    let mut connection = pool.acquire().await?.detach();
    sqlx::raw_sql(SETTINGS).execute(&mut connection).await?;
    Ok(connection)
}

/// A moment of a row.
pub(crate) fn time(row: &PgRow, column: &str) -> Result<Timestamp, sqlx::Error> {
    row.try_get::<jiff_sqlx::Timestamp, _>(column).map(jiff_sqlx::Timestamp::to_jiff)
}

/// The same, where it may be null.
pub(crate) fn maybe_time(row: &PgRow, column: &str) -> Result<Option<Timestamp>, sqlx::Error> {
    let found: Option<jiff_sqlx::Timestamp> = row.try_get(column)?;
    Ok(found.map(jiff_sqlx::Timestamp::to_jiff))
}

/// Less than the ids of what was written since then.
pub(crate) fn since_id(at: Timestamp) -> Uuid {
    Uuid::from_u128(u128::try_from(at.as_millisecond()).unwrap_or_default() << 80)
}
