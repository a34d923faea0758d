use jiff::Timestamp;
use proto::{connections as wire, sync};
use serde::{Deserialize, Serialize};
use utoipa::{IntoParams, ToSchema};

use super::{moment, text};

/// Over which time.
#[derive(Deserialize, IntoParams)]
#[serde(deny_unknown_fields)]
#[into_params(parameter_in = Query)]
pub(crate) struct Span {
    /// The last so many minutes; 60 when not given.
    #[serde(default)]
    pub(crate) minutes: Option<u32>,
}

/// Calls of the vendor's API.
#[derive(Serialize, ToSchema)]
pub(crate) struct Usage {
    points: Vec<UsagePoint>,
    /// The vendor's window of calls, where it says so.
    window_limit: u32,
    window_remaining: u32,
    window_seconds: u32,
    /// What the vendor last said about each of its limits.
    limits: Vec<VendorLimit>,
}

/// One of the vendor's own limits.
#[derive(Serialize, ToSchema)]
pub(crate) struct VendorLimit {
    /// The class of calls that it is about, or `daily`.
    name: String,
    calls: u64,
    remaining: u64,
    window_seconds: u32,
    said_at: Option<Timestamp>,
}

/// How many calls of the vendor's API a connection may make, and how many it made.
#[derive(Serialize, ToSchema)]
pub(crate) struct Budget {
    /// Calls of a window; none when there is no budget.
    calls: Option<u64>,
    window: Option<Window>,
    /// From this share of the calls on people are told and history waits.
    warn_percent: Option<u32>,
    used: u64,
    left: Option<u64>,
    /// Calls by the end of the window, at the pace of the last ten minutes.
    forecast: Option<u64>,
    /// `ok`, `warning` (history waits) or `spent` (everything waits for the next window).
    level: String,
    /// When the next window begins.
    turns_at: Option<Timestamp>,
    changed_by: Option<String>,
    changed_at: Option<Timestamp>,
}

/// A budget that a connection is to have.
#[derive(Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct SetBudget {
    /// Calls of a window; none takes the budget away.
    pub(crate) calls: Option<u64>,
    #[serde(default)]
    pub(crate) window: Window,
    /// From this share of the calls on people are told and history waits: 1 to 100.
    #[serde(default = "usual_warning")]
    #[schema(default = 80)]
    pub(crate) warn_percent: u32,
}

const fn usual_warning() -> u32 {
    80
}

/// A span of time in which calls are counted; the first began at the Unix epoch, so that days are those of UTC.
#[derive(Clone, Copy, Default, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "snake_case")]
pub(crate) enum Window {
    Minute,
    Hour,
    #[default]
    Day,
}

impl Window {
    pub(crate) const fn seconds(self) -> u32 {
        match self {
            Self::Minute => 60,
            Self::Hour => 3_600,
            Self::Day => 86_400,
        }
    }
}

/// The calls of one minute.
#[derive(Serialize, ToSchema)]
pub(crate) struct UsagePoint {
    minute: Option<Timestamp>,
    calls: u64,
    failed: u64,
    rate_limited: u64,
    records_read: u64,
    records_written: u64,
}

/// How well a connection keeps up.
#[derive(Serialize, ToSchema)]
pub(crate) struct Health {
    points: Vec<HealthPoint>,
    /// Milliseconds from the edit at the vendor to the merged record: half of the changes took at most this long.
    lag_p50_ms: u64,
    /// 95 of 100 took at most this long.
    lag_p95_ms: u64,
    /// 99 of 100 took at most this long.
    lag_p99_ms: u64,
    applied: u64,
    failed: u64,
    echoes: u64,
    conflicts: u64,
    open_issues: u64,
    objects: Vec<ObjectHealth>,
}

/// How well one of the vendor's objects keeps up.
#[derive(Serialize, ToSchema)]
pub(crate) struct ObjectHealth {
    vendor_object: String,
    applied: u64,
    failed: u64,
    /// The share of the changes that were applied, from 0 to 1; none without changes.
    success_rate: Option<f64>,
    /// Changes whose lag is known, and their lag.
    changes: u64,
    lag_p50_ms: u64,
    lag_p95_ms: u64,
    lag_p99_ms: u64,
    /// Canaries: writes of ours, from the wish to write until the vendor's listing showed them here again.
    canaries: u64,
    canary_p50_ms: u64,
    canary_p95_ms: u64,
}

/// The changes of one minute.
#[derive(Serialize, ToSchema)]
pub(crate) struct HealthPoint {
    minute: Option<Timestamp>,
    applied: u64,
    failed: u64,
    lag_p50_ms: u64,
    lag_max_ms: u64,
}

impl From<wire::GetUsageResponse> for Usage {
    fn from(usage: wire::GetUsageResponse) -> Self {
        let point = |point: wire::UsagePoint| UsagePoint {
            minute: moment(point.minute),
            calls: point.calls,
            failed: point.failed,
            rate_limited: point.rate_limited,
            records_read: point.records_read,
            records_written: point.records_written,
        };
        let limit = |limit: wire::VendorLimit| VendorLimit {
            name: limit.name,
            calls: limit.calls,
            remaining: limit.remaining,
            window_seconds: limit.window_seconds,
            said_at: moment(limit.said_at),
        };
        Self {
            points: usage.points.into_iter().map(point).collect(),
            window_limit: usage.window_limit,
            window_remaining: usage.window_remaining,
            window_seconds: usage.window_seconds,
            limits: usage.limits.into_iter().map(limit).collect(),
        }
    }
}

impl From<wire::Budget> for Budget {
    fn from(budget: wire::Budget) -> Self {
        let is_there = budget.calls > 0;
        let window = [Window::Minute, Window::Hour, Window::Day]
            .into_iter()
            .find(|window| window.seconds() == budget.window_seconds);
        Self {
            calls: is_there.then_some(budget.calls),
            window,
            warn_percent: is_there.then_some(budget.warn_percent),
            used: budget.used,
            left: is_there.then_some(budget.left),
            forecast: is_there.then_some(budget.forecast),
            level: budget.level,
            turns_at: moment(budget.turns_at),
            changed_by: text(budget.changed_by),
            changed_at: moment(budget.changed_at),
        }
    }
}

impl From<sync::GetSyncHealthResponse> for Health {
    fn from(health: sync::GetSyncHealthResponse) -> Self {
        let point = |point: sync::HealthPoint| HealthPoint {
            minute: moment(point.minute),
            applied: point.applied,
            failed: point.failed,
            lag_p50_ms: point.lag_p50_ms,
            lag_max_ms: point.lag_max_ms,
        };
        Self {
            points: health.points.into_iter().map(point).collect(),
            lag_p50_ms: health.lag_p50_ms,
            lag_p95_ms: health.lag_p95_ms,
            lag_p99_ms: health.lag_p99_ms,
            applied: health.applied,
            failed: health.failed,
            echoes: health.echoes,
            conflicts: health.conflicts,
            open_issues: health.open_issues,
            objects: health.objects.into_iter().map(Into::into).collect(),
        }
    }
}

impl From<sync::ObjectHealth> for ObjectHealth {
    fn from(object: sync::ObjectHealth) -> Self {
        let all = object.applied + object.failed;
        #[expect(clippy::cast_precision_loss, reason = "a share of a count of changes")]
        let success_rate = (all > 0).then(|| object.applied as f64 / all as f64);
        Self {
            vendor_object: object.vendor_object,
            applied: object.applied,
            failed: object.failed,
            success_rate,
            changes: object.changes,
            lag_p50_ms: object.lag_p50_ms,
            lag_p95_ms: object.lag_p95_ms,
            lag_p99_ms: object.lag_p99_ms,
            canaries: object.canaries,
            canary_p50_ms: object.canary_p50_ms,
            canary_p95_ms: object.canary_p95_ms,
        }
    }
}
