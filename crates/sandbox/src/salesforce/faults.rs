//! Faults on dial: what goes wrong, on which calls or records, and what the vendor answers then.

use http::StatusCode;
use rand::rngs::StdRng;
use serde::{Deserialize, Serialize};

use super::errors::{Failure, Problem};
use crate::faults::{Dialled, Faults, is_same, starts};

/// What goes wrong. The last six hit single records on their way into the org.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum FaultKind {
    /// An internal error of the vendor (500, JSON).
    #[serde(rename = "500")]
    Internal,
    /// A gateway in front of the vendor answers (502, HTML).
    #[serde(rename = "502_html")]
    Gateway,
    /// The vendor is down for a moment (503, JSON).
    #[serde(rename = "503")]
    Unavailable,
    /// Something in front of the vendor has had too many calls (429, HTML); says `Retry-After` where `delay_ms` is given.
    #[serde(rename = "429")]
    TooManyCalls,
    /// The daily allocation is used up (403, `REQUEST_LIMIT_EXCEEDED`).
    RequestLimit,
    /// Too many long requests run at once (403, `REQUEST_LIMIT_EXCEEDED`).
    ConcurrentLimit,
    /// The session ended (401, `INVALID_SESSION_ID`).
    InvalidSession,
    /// The answer comes late by `delay_ms`.
    Slow,
    /// The connection ends in the middle of the answer's body; the call took effect.
    CutMidBody,
    /// The connection ends without an answer and the call has no effect.
    DropConnection,
    /// The call takes effect, the answer never comes; the connection ends after `delay_ms`.
    TimeoutAfterApply,
    /// Another transaction holds the record (`UNABLE_TO_LOCK_ROW`).
    LockRow,
    /// A validation rule refuses (`FIELD_CUSTOM_VALIDATION_EXCEPTION`).
    ValidationRule,
    /// A duplicate rule refuses (`DUPLICATES_DETECTED`), unless the call says `allowSave=true`.
    DuplicateRule,
    /// A trigger fails (`CANNOT_INSERT_UPDATE_ACTIVATE_ENTITY`).
    TriggerError,
    /// The user may not write the record (`INSUFFICIENT_ACCESS_OR_READONLY`).
    AccessDenied,
    /// The user may not use a record that is referred to (`INSUFFICIENT_ACCESS_ON_CROSS_REFERENCE_ENTITY`).
    CrossAccessDenied,
}

/// Which calls or records a fault hits. Every condition must hold; an absent one always does.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct FaultMatch {
    /// The path starts with this.
    pub path_prefix: Option<String>,
    /// The HTTP method, in any case.
    pub method: Option<String>,
    /// The object of a record that is written.
    pub object: Option<String>,
    /// A field that the write names.
    pub field: Option<String>,
}

/// A fault that waits for its calls or records.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Fault {
    /// What it hits.
    #[serde(default, rename = "match")]
    pub on: FaultMatch,
    /// What goes wrong.
    pub kind: FaultKind,
    /// How many times it hits before it is gone; without it, until faults are cleared.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub times: Option<u32>,
    /// The chance (0 to 1) that a match is hit; 1 without it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub probability: Option<f64>,
    /// Milliseconds, for `slow` (1,000 without it), `timeout_after_apply` (30,000 without it) and, in whole seconds, `429`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub delay_ms: Option<u64>,
    /// What the rule or trigger says.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub message: Option<String>,
}

/// A record on its way into the org.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Row<'a> {
    pub(crate) object: &'a str,
    pub(crate) id: &'a str,
    pub(crate) fields: &'a [&'a str],
    /// The call overrules duplicate rules.
    pub(crate) allow_save: bool,
}

impl Dialled for Fault {
    fn dial(&mut self) -> (&mut Option<u32>, Option<f64>) {
        (&mut self.times, self.probability)
    }
}

impl Faults<Fault> {
    /// The fault that hits this call, if any; its count goes down.
    pub(crate) fn strike(&mut self, method: &str, path: &str, rng: &mut StdRng) -> Option<Fault> {
        self.hit(rng, |fault| {
            let on = &fault.on;
            !fault.kind.is_about_records()
                && starts(on.path_prefix.as_deref(), path)
                && is_same(on.method.as_deref(), method)
        })
    }

    /// The problem that hits this record, if any.
    pub(crate) fn strike_row(&mut self, row: Row<'_>, rng: &mut StdRng) -> Option<Problem> {
        let fault = self.hit(rng, |fault| {
            let on = &fault.on;
            let names = |wanted: &String| row.fields.iter().any(|name| name.eq_ignore_ascii_case(wanted));
            fault.kind.is_about_records()
                && !(fault.kind == FaultKind::DuplicateRule && row.allow_save)
                && is_same(on.object.as_deref(), row.object)
                && on.field.as_ref().is_none_or(names)
        })?;
        Some(fault.problem(row.id))
    }
}

impl Fault {
    fn problem(&self, id: &str) -> Problem {
        let say = |default: &str| self.message.clone().unwrap_or_else(|| default.to_owned());
        let field = |code, message| match &self.on.field {
            Some(field) => Problem::on(code, field, message),
            None => Problem::new(code, message),
        };
        match self.kind {
            FaultKind::LockRow => lock(id),
            FaultKind::DuplicateRule => Problem::new("DUPLICATES_DETECTED", say("Use one of these records?")),
            FaultKind::TriggerError => Problem::new(
                "CANNOT_INSERT_UPDATE_ACTIVATE_ENTITY",
                say("HarborlineTrigger: execution of BeforeUpdate caused by: System.NullPointerException: \
                     Attempt to de-reference a null object: Trigger.HarborlineTrigger: line 12, column 1"),
            ),
            FaultKind::AccessDenied => Problem::new(
                "INSUFFICIENT_ACCESS_OR_READONLY",
                say("insufficient access rights on object id"),
            ),
            FaultKind::CrossAccessDenied => field(
                "INSUFFICIENT_ACCESS_ON_CROSS_REFERENCE_ENTITY",
                say("insufficient access rights on cross-reference id"),
            ),
            _ => field(
                "FIELD_CUSTOM_VALIDATION_EXCEPTION",
                say("The record does not meet the rules of the org."),
            ),
        }
    }
}

/// Another transaction holds the record.
pub(crate) fn lock(id: &str) -> Problem {
    let message = format!("unable to obtain exclusive access to this record or 1 records: {id}");
    Problem::new("UNABLE_TO_LOCK_ROW", message)
}

impl FaultKind {
    fn is_about_records(self) -> bool {
        matches!(
            self,
            FaultKind::LockRow
                | FaultKind::ValidationRule
                | FaultKind::DuplicateRule
                | FaultKind::TriggerError
                | FaultKind::AccessDenied
                | FaultKind::CrossAccessDenied
        )
    }

    /// The vendor's answer where the fault is an answer of its own.
    pub(crate) fn answer(self) -> Option<Failure> {
        let limit = |message| Failure::new(StatusCode::FORBIDDEN, "REQUEST_LIMIT_EXCEEDED", message);
        match self {
            FaultKind::Internal => Some(Failure::new(
                StatusCode::INTERNAL_SERVER_ERROR,
                "UNKNOWN_EXCEPTION",
                "An unexpected error occurred. Please include this ErrorId if you contact support: \
                 1288671045-113040 (-1937103583)",
            )),
            FaultKind::Unavailable => Some(Failure::new(
                StatusCode::SERVICE_UNAVAILABLE,
                "SERVER_UNAVAILABLE",
                "Server temporarily unavailable",
            )),
            FaultKind::RequestLimit => Some(limit("TotalRequests Limit exceeded.")),
            FaultKind::ConcurrentLimit => Some(limit("ConcurrentPerOrgLongTxn Limit exceeded.")),
            FaultKind::InvalidSession => Some(Failure::session()),
            _ => None,
        }
    }
}
