//! Faults on dial: what goes wrong, and what the vendor answers then.

use http::StatusCode;
use serde::{Deserialize, Serialize};

use super::errors::Failure;
use super::limits::refusal;

/// What goes wrong.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum FaultKind {
    /// The burst limit is reached (429, `TEN_SECONDLY_ROLLING`).
    #[serde(rename = "429")]
    TooMany,
    /// The daily limit is reached (429, `DAILY`).
    #[serde(rename = "429_daily")]
    TooManyToday,
    /// An internal error of the vendor (500, JSON).
    #[serde(rename = "500")]
    Internal,
    /// A gateway in front of the vendor answers (502, HTML).
    #[serde(rename = "502_html")]
    Gateway,
    /// The vendor is down for a moment (503, JSON).
    #[serde(rename = "503")]
    Unavailable,
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
        match self {
            FaultKind::TooMany => Some(refusal("TEN_SECONDLY_ROLLING", "ten_secondly_rolling")),
            FaultKind::TooManyToday => Some(refusal("DAILY", "daily")),
            FaultKind::Internal => {
                Some(Failure::new(StatusCode::INTERNAL_SERVER_ERROR, "INTERNAL_ERROR", "internal error"))
            }
            FaultKind::Unavailable => Some(Failure::new(
                StatusCode::SERVICE_UNAVAILABLE,
                "SERVICE_UNAVAILABLE",
                "the service is temporarily unavailable",
            )),
            _ => None,
        }
    }
}
