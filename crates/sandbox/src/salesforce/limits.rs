//! The daily allocation, and what the org says of its limits.

use std::collections::BTreeMap;

use http::StatusCode;
use serde_json::{Map, Value, json};

use super::call::{Call, Outcome, Reply};
use super::errors::Failure;
use super::sim::Sim;

const HOUR_MS: i64 = 3_600_000;
const HOURS: i64 = 24;

/// Calls by the hour.
#[derive(Debug, Default)]
pub(crate) struct Allocation {
    hours: BTreeMap<i64, u64>,
}

impl Allocation {
    /// Calls of the last 24 hours.
    pub(crate) fn used(&self, now_ms: i64) -> u64 {
        let hour = now_ms.div_euclid(HOUR_MS);
        self.hours.range(hour - HOURS + 1..).map(|(_, calls)| calls).sum()
    }

    /// Counts a call, unless the day has no more of them.
    pub(crate) fn admit(&mut self, most: u64, now_ms: i64) -> Result<(), Failure> {
        if self.used(now_ms) >= most {
            let message = "TotalRequests Limit exceeded.";
            return Err(Failure::new(StatusCode::FORBIDDEN, "REQUEST_LIMIT_EXCEEDED", message));
        }
        let hour = now_ms.div_euclid(HOUR_MS);
        self.hours.retain(|known, _| *known > hour - HOURS);
        *self.hours.entry(hour).or_default() += 1;
        Ok(())
    }
}

/// `GET /limits`
pub(crate) fn limits(sim: &mut Sim, call: &Call) -> Outcome {
    let most = sim.settings.daily_requests;
    let left = most.saturating_sub(sim.allocation.used(call.now_ms));
    let mut limits = Map::new();
    limits.insert("DailyApiRequests".to_owned(), json!({"Max": most, "Remaining": left}));
    let jobs = sim.jobs.len() as u64;
    for (name, most, used) in [
        ("DailyBulkV2QueryJobs", 10_000, jobs),
        ("DailyBulkV2QueryFileStorageMB", 976_562, 0),
        ("DailyBulkApiBatches", 15_000, 0),
        ("DailyAsyncApexExecutions", 250_000, 0),
        ("DailyDeliveredPlatformEvents", 25_000, 0),
        ("DailyStandardVolumePlatformEvents", 25_000, 0),
        ("HourlyPublishedPlatformEvents", 50_000, 0),
        ("DailyDurableStreamingApiEvents", 200_000, 0),
        ("DataStorageMB", 10_240, 0),
        ("FileStorageMB", 10_240, 0),
        ("SingleEmail", 5_000, 0),
    ] {
        let value: Value = json!({"Max": most, "Remaining": most - used.min(most)});
        limits.insert(name.to_owned(), value);
    }
    Reply::ok(&limits)
}

/// `GET /limits/recordCount?sObjects=`
pub(crate) fn record_count(sim: &mut Sim, call: &Call) -> Outcome {
    let wanted: Option<Vec<&str>> =
        call.query("sObjects").map(|names| names.split(',').map(str::trim).collect());
    let shown = |name: &str| {
        sim.visible(name).is_some()
            && wanted.as_ref().is_none_or(|wanted| wanted.iter().any(|one| one.eq_ignore_ascii_case(name)))
    };
    let objects = sim.org.objects.iter().filter(|object| shown(&object.schema.name));
    let counts: Vec<Value> =
        objects.map(|object| json!({"count": object.live().count(), "name": object.schema.name})).collect();
    Reply::ok(&json!({"sObjects": counts}))
}
