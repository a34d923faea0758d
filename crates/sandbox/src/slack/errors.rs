//! The vendor's error answers: a name in a body that says `"ok": false`, under HTTP 200 as a rule.

use http::StatusCode;
use serde_json::{Value, json};

/// An error answer of the vendor.
#[derive(Debug, Clone)]
pub(crate) struct Failure {
    pub(crate) status: StatusCode,
    pub(crate) body: Value,
    pub(crate) headers: Vec<(&'static str, String)>,
}

impl Failure {
    /// An error by its name, as the Web API answers it.
    pub(crate) fn named(error: &str) -> Self {
        Self::new(StatusCode::OK, error)
    }

    /// An error of the control API, or one with a status of its own.
    pub(crate) fn new(status: StatusCode, error: &str) -> Self {
        Self { status, body: json!({"ok": false, "error": error}), headers: Vec::new() }
    }

    /// A control call that makes no sense.
    pub(crate) fn bad(reason: impl AsRef<str>) -> Self {
        Self::new(StatusCode::BAD_REQUEST, reason.as_ref())
    }

    /// A control call about something that is not there.
    pub(crate) fn missing(what: impl AsRef<str>) -> Self {
        Self::new(StatusCode::NOT_FOUND, what.as_ref())
    }

    /// Arguments or blocks that do not hold, each with its place.
    pub(crate) fn told(error: &str, messages: &[String]) -> Self {
        Self::named(error).with("response_metadata", json!({ "messages": messages }))
    }

    /// An argument that every call of the method has.
    pub(crate) fn missing_argument(name: &str) -> Self {
        Self::told("invalid_arguments", &[format!("[ERROR] missing required field: {name}")])
    }

    pub(crate) fn missing_scope(needed: &str, provided: &str) -> Self {
        Self::named("missing_scope").with("needed", json!(needed)).with("provided", json!(provided))
    }

    /// The vendor's 429.
    pub(crate) fn ratelimited(retry_after_s: u64) -> Self {
        let mut failure = Self::new(StatusCode::TOO_MANY_REQUESTS, "ratelimited");
        failure.headers.push(("retry-after", retry_after_s.to_string()));
        failure
    }

    pub(crate) fn with(mut self, key: &str, value: Value) -> Self {
        if let Some(body) = self.body.as_object_mut() {
            body.insert(key.to_owned(), value);
        }
        self
    }

    pub(crate) fn name(&self) -> &str {
        self.body["error"].as_str().unwrap_or_default()
    }
}
