use jiff::Timestamp;
use model::ConnectionId;
use sqlx::{PgConnection, Row};

use super::at;
use crate::{Error, domain::health::Activity};

/// One minute of one of the vendor's objects on a connection.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Minute {
    pub(crate) minute: Timestamp,
    pub(crate) vendor_object: String,
    pub(crate) applied: i64,
    pub(crate) failed: i64,
    pub(crate) echoes: i64,
    pub(crate) conflicts: i64,
    pub(crate) lag_max_ms: i64,
    pub(crate) lag_buckets: Vec<i64>,
    pub(crate) canary_buckets: Vec<i64>,
}

/// Adds what happened to the present minute.
pub(crate) async fn add(
    tx: &mut PgConnection,
    connection: ConnectionId,
    vendor_object: &str,
    now: Timestamp,
    activity: &Activity,
) -> Result<(), Error> {
    sqlx::query(
        "INSERT INTO activity AS a (connection_id, minute, applied, failed, echoes, conflicts, lag_max_ms, lag_buckets, \
             vendor_object, canary_max_ms, canary_buckets, organization_id) \
         VALUES ($1, date_trunc('minute', $2::timestamptz), $3, $4, $5, $6, $7, $8, $9, $10, $11, \
             (SELECT organization_id FROM mappings WHERE connection_id = $1 LIMIT 1)) \
         ON CONFLICT (connection_id, minute, vendor_object) DO UPDATE SET applied = a.applied + excluded.applied, \
             failed = a.failed + excluded.failed, echoes = a.echoes + excluded.echoes, \
             conflicts = a.conflicts + excluded.conflicts, lag_max_ms = greatest(a.lag_max_ms, excluded.lag_max_ms), \
             lag_buckets = (SELECT array_agg(x + y ORDER BY n) FROM UNNEST(a.lag_buckets, excluded.lag_buckets) \
                            WITH ORDINALITY AS b(x, y, n)), \
             canary_max_ms = greatest(a.canary_max_ms, excluded.canary_max_ms), \
             canary_buckets = (SELECT array_agg(x + y ORDER BY n) FROM UNNEST(a.canary_buckets, excluded.canary_buckets) \
                               WITH ORDINALITY AS b(x, y, n))",
    )
    .bind(connection.uuid())
    .bind(at(now))
    .bind(activity.applied)
    .bind(activity.failed)
    .bind(activity.echoes)
    .bind(activity.conflicts)
    .bind(activity.lag_max_ms)
    .bind(activity.lag_buckets.as_slice())
    .bind(vendor_object)
    .bind(activity.canary_max_ms)
    .bind(activity.canary_buckets.as_slice())
    .execute(tx)
    .await?;
    Ok(())
}

/// A connection's minutes since then, the oldest first, one for each object.
pub(crate) async fn since(
    db: &mut PgConnection,
    connection: ConnectionId,
    since: Timestamp,
) -> Result<Vec<Minute>, Error> {
    let rows = sqlx::query(
        "SELECT * FROM activity WHERE connection_id = $1 AND minute >= $2 ORDER BY minute, vendor_object",
    )
    .bind(connection.uuid())
    .bind(at(since))
    .fetch_all(db)
    .await?;
    rows.iter()
        .map(|row| {
            Ok(Minute {
                minute: row.try_get::<jiff_sqlx::Timestamp, _>("minute")?.to_jiff(),
                vendor_object: row.try_get("vendor_object")?,
                applied: row.try_get("applied")?,
                failed: row.try_get("failed")?,
                echoes: row.try_get("echoes")?,
                conflicts: row.try_get("conflicts")?,
                lag_max_ms: row.try_get("lag_max_ms")?,
                lag_buckets: row.try_get("lag_buckets")?,
                canary_buckets: row.try_get("canary_buckets")?,
            })
        })
        .collect()
}
