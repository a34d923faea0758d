//! Faults on dial: what goes wrong, and what the vendor answers then.

use http::StatusCode;
use serde::{Deserialize, Serialize};

use super::errors::Failure;
use crate::faults::{Dialled, FaultMatch};

/// Seconds that a refused client is told to wait when the fault does not say.
const RETRY_AFTER_S: u64 = 30;

/// What goes wrong.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum FaultKind {
    /// The limit of the method is reached (429 with `Retry-After`).
    #[serde(rename = "429")]
    TooMany,
    /// The same under HTTP 200, with `Retry-After`.
    Ratelimited,
    /// The vendor breaks (500, JSON).
    #[serde(rename = "500")]
    Internal,
    /// A gateway in front of the vendor answers (502, HTML).
    #[serde(rename = "502_html")]
    Gateway,
    /// The vendor is down for a moment (503, JSON).
    #[serde(rename = "503")]
    Unavailable,
    /// `error` by name, under HTTP 200; `internal_error` without one.
    Error,
    /// The call takes effect and `error` is the answer, as `fatal_error` may be.
    ErrorAfterApply,
    /// The token was revoked, as far as this call is told.
    TokenRevoked,
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
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Fault {
    /// Which calls it hits.
    #[serde(default, rename = "match")]
    pub on: FaultMatch,
    /// What goes wrong.
    pub kind: FaultKind,
    /// How many calls it hits before it is gone; without it, every one until faults are cleared.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub times: Option<u32>,
    /// The chance (0 to 1) that a matching call is hit; 1 without it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub probability: Option<f64>,
    /// Milliseconds, for `slow` (1,000 without it) and `timeout_after_apply` (30,000 without it).
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub delay_ms: Option<u64>,
    /// Seconds, for `429` and `ratelimited`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub retry_after_s: Option<u64>,
    /// The vendor's name of the error, for `error` and `error_after_apply`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub error: Option<String>,
}

impl Dialled for Fault {
    fn dial(&mut self) -> (&mut Option<u32>, Option<f64>) {
        (&mut self.times, self.probability)
    }
}

impl Fault {
    /// The vendor's answer where the fault is an answer of its own, in place of the call's.
    pub(crate) fn answer(&self) -> Option<Failure> {
        let after_s = self.retry_after_s.unwrap_or(RETRY_AFTER_S);
        match self.kind {
            FaultKind::TooMany => Some(Failure::ratelimited(after_s)),
            FaultKind::Ratelimited => {
                Some(Failure { status: StatusCode::OK, ..Failure::ratelimited(after_s) })
            }
            FaultKind::Internal => Some(Failure::new(StatusCode::INTERNAL_SERVER_ERROR, "internal_error")),
            FaultKind::Unavailable => {
                Some(Failure::new(StatusCode::SERVICE_UNAVAILABLE, "service_unavailable"))
            }
            FaultKind::Error => Some(self.named()),
            FaultKind::TokenRevoked => Some(Failure::named("token_revoked")),
            _ => None,
        }
    }

    /// The error that the fault names.
    pub(crate) fn named(&self) -> Failure {
        Failure::named(self.error.as_deref().unwrap_or("internal_error"))
    }
}
