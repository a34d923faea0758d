//! The vendor's errors.

use http::StatusCode;
use serde_json::{Value, json};

/// One error, as records carry it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Problem {
    pub(crate) code: &'static str,
    pub(crate) message: String,
    pub(crate) fields: Vec<String>,
}

impl Problem {
    pub(crate) fn new(code: &'static str, message: impl Into<String>) -> Self {
        Self { code, message: message.into(), fields: Vec::new() }
    }

    pub(crate) fn on(code: &'static str, field: &str, message: impl Into<String>) -> Self {
        Self { code, message: message.into(), fields: vec![field.to_owned()] }
    }

    /// As an entry of `errors` in the result of one record of many.
    pub(crate) fn item(&self) -> Value {
        json!({"statusCode": self.code, "message": self.message, "fields": self.fields})
    }

    fn wire(&self) -> Value {
        let mut wire = json!({"message": self.message, "errorCode": self.code});
        let field_error = !self.fields.is_empty()
            || matches!(self.code, "FIELD_CUSTOM_VALIDATION_EXCEPTION" | "UNABLE_TO_LOCK_ROW");
        if field_error {
            wire["fields"] = json!(self.fields);
        }
        wire
    }

    /// The HTTP status of a call that fails with this.
    fn status(&self) -> StatusCode {
        match self.code {
            "ENTITY_IS_DELETED" | "NOT_FOUND" => StatusCode::NOT_FOUND,
            "INSUFFICIENT_ACCESS_OR_READONLY" => StatusCode::FORBIDDEN,
            _ => StatusCode::BAD_REQUEST,
        }
    }
}

/// The body of a failure.
#[derive(Debug)]
pub(crate) enum Words {
    Json(Value),
    Plain(&'static str),
    Nothing,
}

/// A call that was refused.
#[derive(Debug)]
pub(crate) struct Failure {
    pub(crate) status: StatusCode,
    pub(crate) body: Words,
    pub(crate) headers: Vec<(&'static str, String)>,
}

impl Failure {
    fn of(status: StatusCode, body: Words) -> Self {
        Self { status, body, headers: Vec::new() }
    }

    pub(crate) fn new(status: StatusCode, code: &'static str, message: impl Into<String>) -> Self {
        Self::of(status, Words::Json(json!([Problem::new(code, message).wire()])))
    }

    pub(crate) fn bad(code: &'static str, message: impl Into<String>) -> Self {
        Self::new(StatusCode::BAD_REQUEST, code, message)
    }

    /// Of the token endpoint and its siblings.
    pub(crate) fn oauth(error: &str, description: &str) -> Self {
        let body = json!({"error": error, "error_description": description});
        Self::of(StatusCode::BAD_REQUEST, Words::Json(body))
    }

    pub(crate) fn plain(status: StatusCode, text: &'static str) -> Self {
        Self::of(status, Words::Plain(text))
    }

    pub(crate) fn bare(status: StatusCode) -> Self {
        Self::of(status, Words::Nothing)
    }

    /// The words of the first problem.
    pub(crate) fn message(&self) -> String {
        match &self.body {
            Words::Json(body) => body[0]["message"].as_str().unwrap_or_default().to_owned(),
            Words::Plain(text) => (*text).to_owned(),
            Words::Nothing => String::new(),
        }
    }

    pub(crate) fn not_found() -> Self {
        Self::new(StatusCode::NOT_FOUND, "NOT_FOUND", "The requested resource does not exist")
    }

    pub(crate) fn session() -> Self {
        Self::new(StatusCode::UNAUTHORIZED, "INVALID_SESSION_ID", "Session expired or invalid")
    }
}

impl From<Problem> for Failure {
    fn from(problem: Problem) -> Self {
        Self::of(problem.status(), Words::Json(json!([problem.wire()])))
    }
}

impl From<Vec<Problem>> for Failure {
    fn from(problems: Vec<Problem>) -> Self {
        let status = problems.first().map_or(StatusCode::BAD_REQUEST, Problem::status);
        Self::of(status, Words::Json(problems.iter().map(Problem::wire).collect()))
    }
}
