//! Faults on dial: what goes wrong, on which calls, and what the vendor answers then.

use http::StatusCode;
use serde::{Deserialize, Serialize};

use super::errors::Failure;
use crate::faults::{Dialled, is_same, starts};

/// What goes wrong.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum FaultKind {
    /// What the app may do was taken from it (403 `ErrorAccessDenied`).
    #[serde(rename = "403")]
    Denied,
    /// The mailbox is throttled (429 with `Retry-After`).
    #[serde(rename = "429")]
    TooMany,
    /// An error of the vendor (500).
    #[serde(rename = "500")]
    Internal,
    /// A gateway in front of the vendor answers (502, HTML).
    #[serde(rename = "502_html")]
    Gateway,
    /// The vendor is down for a moment (503 with `Retry-After`).
    #[serde(rename = "503")]
    Unavailable,
    /// The vendor's own call takes too long (504).
    #[serde(rename = "504")]
    Timeout,
    /// The link of a delta query expired (410 `syncStateNotFound`).
    #[serde(rename = "410")]
    SyncState,
    /// The same, with the address to begin again at (410 `resyncRequired`, `Location`).
    #[serde(rename = "410_resync")]
    Resync,
    /// The mailbox is moving (503 `ErrorMailboxStoreUnavailable`).
    MailboxMoving,
    /// Access must be proven anew (401 with a claims challenge).
    Claims,
    /// The identity platform refuses with the `AADSTS` number in `code`.
    Aadsts,
    /// The answer comes late by `delay_ms`.
    Slow,
    /// The connection ends in the middle of the answer's body; the call took effect.
    CutMidBody,
    /// The connection ends without an answer and the call has no effect.
    DropConnection,
    /// The call takes effect, the answer never comes; the connection ends after `delay_ms`.
    TimeoutAfterApply,
}

/// Which calls a fault hits. All conditions must hold; an absent one always does.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct FaultMatch {
    /// The path starts with this.
    pub path_prefix: Option<String>,
    /// The path or the query contains this: `$skiptoken` is the middle of a round.
    pub contains: Option<String>,
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
    /// What `Retry-After` says, in seconds; 1 without it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub retry_after_s: Option<i64>,
    /// The `AADSTS` number, 50076 without it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub code: Option<u32>,
}

impl Dialled for Fault {
    fn dial(&mut self) -> (&mut Option<u32>, Option<f64>) {
        (&mut self.times, self.probability)
    }
}

impl FaultMatch {
    pub(crate) fn covers(&self, method: &str, path: &str, query: &str) -> bool {
        starts(self.path_prefix.as_deref(), path)
            && self.contains.as_ref().is_none_or(|part| path.contains(&**part) || query.contains(&**part))
            && is_same(self.method.as_deref(), method)
    }
}

impl Fault {
    /// The vendor's answer where the fault is an answer of its own. `again` is where a delta query begins.
    pub(crate) fn answer(&self, again: &str, now_ms: i64) -> Option<Failure> {
        let wait_s = self.retry_after_s.unwrap_or(1);
        let down = |status, code, message| {
            let mut failure = Failure::new(status, code, message);
            failure.headers.push(("retry-after", wait_s.to_string()));
            failure
        };
        Some(match self.kind {
            FaultKind::Denied => Failure::denied(),
            FaultKind::TooMany => Failure::throttled(
                "ApplicationThrottled",
                "Application is over its MailboxConcurrency limit.",
                wait_s,
            ),
            FaultKind::Internal => Failure::new(
                StatusCode::INTERNAL_SERVER_ERROR,
                "ErrorInternalServerError",
                "An internal server error occurred. The operation failed.",
            ),
            FaultKind::Unavailable => down(
                StatusCode::SERVICE_UNAVAILABLE,
                "serviceNotAvailable",
                "The service is temporarily unavailable.",
            ),
            FaultKind::Timeout => Failure::new(StatusCode::GATEWAY_TIMEOUT, "UnknownError", ""),
            FaultKind::SyncState => Failure::sync_state(),
            FaultKind::Resync => Failure::resync(again.to_owned()),
            FaultKind::MailboxMoving => down(
                StatusCode::SERVICE_UNAVAILABLE,
                "ErrorMailboxStoreUnavailable",
                "The mailbox database is temporarily unavailable.",
            ),
            FaultKind::Claims => {
                let mut failure =
                    Failure::unauthenticated("Continuous access evaluation resulted in challenge.");
                failure.headers = vec![(
                    "www-authenticate",
                    "Bearer realm=\"\", error=\"insufficient_claims\", claims=\"eyJhY2Nlc3NfdG9rZW4iOnt9fQ==\""
                        .to_owned(),
                )];
                failure
            }
            FaultKind::Aadsts => Failure::aadsts(self.code.unwrap_or(50_076), now_ms),
            FaultKind::Gateway
            | FaultKind::Slow
            | FaultKind::CutMidBody
            | FaultKind::DropConnection
            | FaultKind::TimeoutAfterApply => return None,
        })
    }
}
