//! Forgetting what was kept for its stated time, a small batch at a time: nobody waits for it.

use jiff::Timestamp;
use sqlx::PgPool;

use super::at;
use crate::Error;

/// Rows of one batch.
const BATCH: i64 = 1_000;

/// What is forgotten, and how a batch of it is found: $1 is the moment before which, $2 how many.
const OLD: [(&str, &str); 7] = [
    (
        "activity",
        "DELETE FROM activity WHERE ctid = ANY(ARRAY(SELECT ctid FROM activity WHERE minute < $1 LIMIT $2))",
    ),
    (
        "settled issues",
        "DELETE FROM issues WHERE id = ANY(ARRAY(SELECT id FROM issues \
         WHERE at < $1 AND state IN ('resolved', 'dismissed') ORDER BY at LIMIT $2))",
    ),
    (
        "conflicts",
        "DELETE FROM conflicts WHERE id = ANY(ARRAY(SELECT id FROM conflicts WHERE at < $1 LIMIT $2))",
    ),
    (
        "runs",
        "DELETE FROM runs WHERE id = ANY(ARRAY(SELECT id FROM runs WHERE finished_at < $1 AND state = 'done' LIMIT $2))",
    ),
    (
        "comparisons",
        "DELETE FROM reconciles WHERE id = ANY(ARRAY(SELECT id FROM reconciles WHERE finished_at < $1 LIMIT $2))",
    ),
    (
        "parts of records that were never read",
        "DELETE FROM parts WHERE ctid = ANY(ARRAY(SELECT ctid FROM parts WHERE kept_at < $1 LIMIT $2))",
    ),
    (
        "idempotency keys",
        "DELETE FROM created_by_key WHERE ctid = ANY(ARRAY(SELECT ctid FROM created_by_key WHERE at < $1 LIMIT $2))",
    ),
];

/// Forgets what is older than this moment; gives how many rows of each kind.
pub(crate) async fn forget(pool: &PgPool, before: Timestamp) -> Result<Vec<(&'static str, u64)>, Error> {
    let mut forgotten = Vec::new();
    for (what, sql) in OLD {
        let mut count = 0;
        loop {
            let done = sqlx::query(sql).bind(at(before)).bind(BATCH).execute(pool).await?.rows_affected();
            count += done;
            if i64::try_from(done).unwrap_or(i64::MAX) < BATCH {
                break;
            }
        }
        forgotten.push((what, count));
    }
    Ok(forgotten)
}
