use std::collections::BTreeMap;

use jiff::{SignedDuration, Timestamp};
use model::Caller;
use proto::{sync as wire, to_wire_time};

use super::id;
use crate::{
    Error,
    domain::health::{BUCKETS, percentile},
    engine::Engine,
    store::{self, activity::Minute},
};

const LONGEST_MINUTES: u32 = 7 * 24 * 60;

pub(super) async fn health(
    engine: &Engine,
    caller: &Caller,
    request: wire::GetSyncHealthRequest,
) -> Result<wire::GetSyncHealthResponse, Error> {
    let mut db = engine.pool.acquire().await?;
    let connection = engine.connection(&mut db, caller, id("connection", &request.connection_id)?).await?;
    let minutes = if request.minutes == 0 { 60 } else { request.minutes.min(LONGEST_MINUTES) };
    let since = engine.clock.now() - SignedDuration::from_mins(i64::from(minutes));
    let rows = store::activity::since(&mut db, connection.id, since).await?;
    let mut all = Sum::default();
    let mut by_minute = BTreeMap::<Timestamp, Sum>::new();
    let mut by_object = BTreeMap::<&str, Sum>::new();
    for row in &rows {
        all.add(row);
        by_minute.entry(row.minute).or_default().add(row);
        if !row.vendor_object.is_empty() {
            by_object.entry(&row.vendor_object).or_default().add(row);
        }
    }
    let point = |(minute, sum): (&Timestamp, &Sum)| wire::HealthPoint {
        minute: Some(to_wire_time(*minute)),
        applied: count(sum.applied),
        failed: count(sum.failed),
        lag_p50_ms: sum.lag(0.5),
        lag_max_ms: count(sum.lag_max_ms),
    };
    Ok(wire::GetSyncHealthResponse {
        lag_p50_ms: all.lag(0.5),
        lag_p95_ms: all.lag(0.95),
        lag_p99_ms: all.lag(0.99),
        applied: count(all.applied),
        failed: count(all.failed),
        echoes: count(all.echoes),
        conflicts: count(all.conflicts),
        open_issues: count(store::issues::count(&mut db, connection.id).await?),
        points: by_minute.iter().map(point).collect(),
        objects: by_object.iter().map(|(object, sum)| sum.of_object(object)).collect(),
    })
}

/// Minutes of activity added up.
#[derive(Default)]
struct Sum {
    applied: i64,
    failed: i64,
    echoes: i64,
    conflicts: i64,
    lag_max_ms: i64,
    lags: [i64; BUCKETS],
    canaries: [i64; BUCKETS],
}

impl Sum {
    fn add(&mut self, row: &Minute) {
        self.applied += row.applied;
        self.failed += row.failed;
        self.echoes += row.echoes;
        self.conflicts += row.conflicts;
        self.lag_max_ms = self.lag_max_ms.max(row.lag_max_ms);
        for (sums, buckets) in [(&mut self.lags, &row.lag_buckets), (&mut self.canaries, &row.canary_buckets)]
        {
            sums.iter_mut().zip(buckets).for_each(|(sum, bucket)| *sum += bucket);
        }
    }

    fn lag(&self, share: f64) -> u64 {
        within(&self.lags, share)
    }

    fn of_object(&self, vendor_object: &str) -> wire::ObjectHealth {
        wire::ObjectHealth {
            vendor_object: vendor_object.to_owned(),
            applied: count(self.applied),
            failed: count(self.failed),
            changes: count(self.lags.iter().sum()),
            lag_p50_ms: self.lag(0.5),
            lag_p95_ms: self.lag(0.95),
            lag_p99_ms: self.lag(0.99),
            canaries: count(self.canaries.iter().sum()),
            canary_p50_ms: within(&self.canaries, 0.5),
            canary_p95_ms: within(&self.canaries, 0.95),
        }
    }
}

fn within(buckets: &[i64], share: f64) -> u64 {
    count(percentile(buckets, share).unwrap_or_default())
}

fn count(count: i64) -> u64 {
    u64::try_from(count).unwrap_or_default()
}
