//! Faults on dial: what goes wrong, on which calls, how often.

use http::StatusCode;
use rand::Rng;
use rand::rngs::StdRng;
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

/// Which calls a fault hits. Both conditions must hold; an absent one always does.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct FaultMatch {
    /// The path starts with this.
    pub path_prefix: Option<String>,
    /// The HTTP method, in any case.
    pub method: Option<String>,
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
}

/// The faults that are set.
#[derive(Debug, Default)]
pub(crate) struct Faults {
    pub(crate) set: Vec<Fault>,
}

impl Faults {
    /// The fault that hits this call, if any; its count goes down.
    pub(crate) fn strike(&mut self, method: &str, path: &str, rng: &mut StdRng) -> Option<Fault> {
        let at = self.set.iter().position(|fault| {
            fault.on.covers(method, path)
                && fault.probability.is_none_or(|p| rng.random_bool(p.clamp(0.0, 1.0)))
        })?;
        let fault = self.set[at].clone();
        if let Some(left) = &mut self.set[at].times {
            *left = left.saturating_sub(1);
            if *left == 0 {
                self.set.remove(at);
            }
        }
        Some(fault)
    }
}

impl FaultMatch {
    fn covers(&self, method: &str, path: &str) -> bool {
        self.path_prefix.as_ref().is_none_or(|prefix| path.starts_with(prefix.as_str()))
            && self.method.as_ref().is_none_or(|wanted| wanted.eq_ignore_ascii_case(method))
    }
}

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
