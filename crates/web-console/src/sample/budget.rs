//! Budgets, limits and objects of the page of an integration's health.

use proto::{
    connections::{Budget, VendorLimit},
    sync::ObjectHealth,
};

/// What the vendor says about its limits.
#[must_use]
pub fn limits() -> Vec<VendorLimit> {
    let limit = |name: &str, calls, remaining, window_seconds| VendorLimit {
        name: name.to_owned(),
        calls,
        remaining,
        window_seconds,
        said_at: None,
    };
    vec![limit("core", 190, 141, 10), limit("daily", 650_000, 612_345, 86_400)]
}

/// A budget that runs low.
#[must_use]
pub fn budget() -> Budget {
    Budget {
        calls: 20_000,
        window_seconds: 86_400,
        warn_percent: 80,
        used: 16_250,
        left: 3_750,
        forecast: 23_400,
        level: "warning".to_owned(),
        ..Budget::default()
    }
}

/// How well two objects keep up.
#[must_use]
pub fn object_health() -> Vec<ObjectHealth> {
    let deals = ObjectHealth {
        vendor_object: "deals".to_owned(),
        applied: 310,
        failed: 2,
        changes: 290,
        lag_p50_ms: 10_000,
        lag_p95_ms: 20_000,
        lag_p99_ms: 30_000,
        canaries: 42,
        canary_p50_ms: 20_000,
        canary_p95_ms: 45_000,
    };
    let companies =
        ObjectHealth { vendor_object: "companies".to_owned(), applied: 12, ..ObjectHealth::default() };
    vec![companies, deals]
}
