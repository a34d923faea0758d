use std::collections::BTreeMap;

use jiff::Timestamp;
use model::{ConnectionId, OrganizationId};
use sqlx::{AssertSqlSafe, PgConnection, Row};

use super::at;
use crate::{
    Error,
    domain::health::{Activity, BUCKETS},
};

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

/// One of the vendor's objects on a connection.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct Of {
    pub(crate) connection: ConnectionId,
    pub(crate) vendor_object: String,
    pub(crate) organization: OrganizationId,
}

/// Adds what happened to the present minute. In the order of the map, so that two who do so do not wait for each other.
pub(crate) async fn add(
    tx: &mut PgConnection,
    now: Timestamp,
    activity: &BTreeMap<Of, Activity>,
) -> Result<(), Error> {
    if activity.is_empty() {
        return Ok(());
    }
    let sums = |of: fn(&Activity) -> i64| activity.values().map(of).collect::<Vec<i64>>();
    // Bucket by bucket: a query over two arrays for each row takes longer than all the rest.
    let sum = |name: &str| {
        let sums: Vec<String> =
            (1..=BUCKETS).map(|n| format!("a.{name}[{n}] + excluded.{name}[{n}]")).collect();
        format!(", {name} = ARRAY[{}]", sums.join(", "))
    };
    // Of what was only read there are none, and nothing is to be summed.
    let has_canaries = activity.values().any(|it| it.canary_buckets.iter().any(|count| *count > 0));
    // There are no arrays of arrays of different rows: the buckets of all follow each other, and each row takes its own.
    let sql = format!(
        "INSERT INTO activity AS a (connection_id, vendor_object, organization_id, minute, applied, failed, echoes, \
             conflicts, lag_max_ms, canary_max_ms, lag_buckets, canary_buckets) \
         SELECT connection_id, vendor_object, organization_id, date_trunc('minute', $1::timestamptz), applied, failed, \
             echoes, conflicts, lag_max_ms, canary_max_ms, ($11::bigint[])[(n - 1) * {BUCKETS} + 1:n * {BUCKETS}], \
             ($12::bigint[])[(n - 1) * {BUCKETS} + 1:n * {BUCKETS}] \
         FROM UNNEST($2::uuid[], $3::text[], $4::uuid[], $5::bigint[], $6::bigint[], $7::bigint[], $8::bigint[], \
             $9::bigint[], $10::bigint[]) WITH ORDINALITY AS x(connection_id, vendor_object, organization_id, applied, \
             failed, echoes, conflicts, lag_max_ms, canary_max_ms, n) \
         ON CONFLICT (connection_id, minute, vendor_object) DO UPDATE SET applied = a.applied + excluded.applied, \
             failed = a.failed + excluded.failed, echoes = a.echoes + excluded.echoes, \
             conflicts = a.conflicts + excluded.conflicts, lag_max_ms = greatest(a.lag_max_ms, excluded.lag_max_ms), \
             canary_max_ms = greatest(a.canary_max_ms, excluded.canary_max_ms){}{}",
        sum("lag_buckets"),
        if has_canaries { sum("canary_buckets") } else { String::new() },
    );
    // Of constants only.
    sqlx::query(AssertSqlSafe(sql))
        .bind(at(now))
        .bind(activity.keys().map(|of| of.connection.uuid()).collect::<Vec<_>>())
        .bind(activity.keys().map(|of| of.vendor_object.as_str()).collect::<Vec<_>>())
        .bind(activity.keys().map(|of| of.organization.uuid()).collect::<Vec<_>>())
        .bind(sums(|it| it.applied))
        .bind(sums(|it| it.failed))
        .bind(sums(|it| it.echoes))
        .bind(sums(|it| it.conflicts))
        .bind(sums(|it| it.lag_max_ms))
        .bind(sums(|it| it.canary_max_ms))
        .bind(activity.values().flat_map(|it| it.lag_buckets).collect::<Vec<_>>())
        .bind(activity.values().flat_map(|it| it.canary_buckets).collect::<Vec<_>>())
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
