//! What the room counts for those who operate it.

use std::sync::LazyLock;

use opentelemetry::{
    global,
    metrics::{Counter, Histogram},
};

use crate::domain::health::{Activity, BOUNDS_MS};

struct Metrics {
    applied: Counter<u64>,
    conflicts: Counter<u64>,
    failed: Counter<u64>,
    lag: Histogram<u64>,
}

static METRICS: LazyLock<Metrics> = LazyLock::new(|| {
    let meter = global::meter("sync-engine");
    let counter = |name, what| meter.u64_counter(name).with_description(what).build();
    Metrics {
        applied: counter("accord.sync.applied", "changes that altered a record or were confirmed"),
        conflicts: counter("accord.sync.conflicts", "fields that both sides had changed"),
        failed: counter("accord.sync.failed", "changes that could not be applied as they were"),
        lag: meter
            .u64_histogram("accord.sync.lag")
            .with_unit("ms")
            .with_description("time from a change at a vendor until it is in the record")
            .with_boundaries(
                BOUNDS_MS.iter().filter_map(|bound| i32::try_from(*bound).ok()).map(f64::from).collect(),
            )
            .build(),
    }
});

/// Counts what was stored of a connection.
pub(crate) fn count(activity: &Activity) {
    let known = |count: i64| u64::try_from(count).unwrap_or_default();
    METRICS.applied.add(known(activity.applied), &[]);
    METRICS.conflicts.add(known(activity.conflicts), &[]);
    METRICS.failed.add(known(activity.failed), &[]);
}

/// Notes how long ago, in milliseconds, a change was made that is now in its record.
pub(crate) fn lag(lag_ms: i64) {
    METRICS.lag.record(u64::try_from(lag_ms).unwrap_or_default(), &[]);
}
