use std::time::Duration;

use jiff::Timestamp;

/// When a session ends that was begun at `created_at` and is used now: it slides, up to its longest life.
pub(crate) fn expires_at(
    created_at: Timestamp,
    now: Timestamp,
    idle: Duration,
    longest: Duration,
) -> Timestamp {
    after(now, idle).min(after(created_at, longest))
}

/// The moment this long after another.
pub(crate) fn after(at: Timestamp, by: Duration) -> Timestamp {
    at.checked_add(by).unwrap_or(Timestamp::MAX)
}
