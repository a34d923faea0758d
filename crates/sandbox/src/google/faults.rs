//! Faults on dial: what goes wrong, and what the vendor answers then.

use http::StatusCode;
use serde::{Deserialize, Serialize};

use super::errors::Failure;

/// What goes wrong.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum FaultKind {
    /// Over a quota (429, `rateLimitExceeded`).
    #[serde(rename = "429")]
    TooMany,
    /// Over a quota as Calendar mostly says it (403, `rateLimitExceeded`).
    #[serde(rename = "403_rate_limit")]
    RateLimit,
    /// The day's quota is used up (403, `quotaExceeded`).
    #[serde(rename = "403_quota")]
    Quota,
    /// The access token is no good (401, `authError`).
    #[serde(rename = "401")]
    Credentials,
    /// The sync token is no longer valid (410, `fullSyncRequired`).
    #[serde(rename = "410")]
    SyncTokenGone,
    /// An internal error of the vendor (500, JSON).
    #[serde(rename = "500")]
    Internal,
    /// A gateway in front of the vendor answers (502, HTML).
    #[serde(rename = "502_html")]
    Gateway,
    /// The vendor is down for a moment (503, JSON).
    #[serde(rename = "503")]
    Unavailable,
    /// A list answers with nothing but a `nextPageToken`; the page after it is the one that was wanted.
    EmptyPage,
    /// The answer comes late by `delay_ms`.
    Slow,
    /// The connection ends in the middle of the answer's body; the call took effect.
    CutMidBody,
    /// The connection ends without an answer and the call has no effect.
    DropConnection,
    /// The call takes effect, the answer never comes; the connection ends after `delay_ms`.
    TimeoutAfterApply,
}

/// A fault that waits for its calls.
pub type Fault = crate::faults::Fault<FaultKind>;

impl FaultKind {
    /// The vendor's answer where the fault is an answer of its own.
    pub(crate) fn answer(self) -> Option<Failure> {
        let quota = |reason, message| Failure::new(StatusCode::FORBIDDEN, "usageLimits", reason, message);
        match self {
            FaultKind::TooMany => Some(Failure::rate(StatusCode::TOO_MANY_REQUESTS)),
            FaultKind::RateLimit => Some(Failure::rate(StatusCode::FORBIDDEN)),
            FaultKind::Quota => Some(quota("quotaExceeded", "Calendar usage limits exceeded.")),
            FaultKind::Credentials => Some(Failure::credentials()),
            FaultKind::SyncTokenGone => Some(Failure::sync_token_gone()),
            FaultKind::Internal => Some(Failure::backend()),
            FaultKind::Unavailable => Some(Failure::new(
                StatusCode::SERVICE_UNAVAILABLE,
                "global",
                "backendError",
                "The service is currently unavailable.",
            )),
            _ => None,
        }
    }
}
