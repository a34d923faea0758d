//! The vendor's two families of error answers: CRM objects with a category, and OAuth with `BAD_*`.

use http::StatusCode;
use serde_json::{Map, Value, json};

/// An error answer of the vendor. The correlation id is filled in where the answer is sent.
#[derive(Debug, Clone)]
pub(crate) struct Failure {
    pub(crate) status: StatusCode,
    pub(crate) body: Value,
    pub(crate) headers: Vec<(&'static str, String)>,
}

/// One rejected property value, as the vendor embeds it in the message and lists it under `errors`.
#[derive(Debug, Clone)]
pub(crate) struct Problem {
    pub(crate) name: String,
    pub(crate) error: &'static str,
    pub(crate) message: String,
}

impl Failure {
    pub(crate) fn new(status: StatusCode, category: &str, message: impl Into<String>) -> Self {
        let body = json!({"status": "error", "message": message.into(), "category": category});
        Self { status, body, headers: Vec::new() }
    }

    pub(crate) fn validation(message: impl Into<String>) -> Self {
        Self::new(StatusCode::BAD_REQUEST, "VALIDATION_ERROR", message)
    }

    pub(crate) fn not_found(message: impl Into<String>) -> Self {
        Self::new(StatusCode::NOT_FOUND, "OBJECT_NOT_FOUND", message)
    }

    pub(crate) fn conflict(message: impl Into<String>) -> Self {
        Self::new(StatusCode::CONFLICT, "CONFLICT", message)
    }

    pub(crate) fn unauthenticated() -> Self {
        let message = "Authentication credentials not found. This API supports OAuth 2.0 authentication \
                       and you can find more details at https://developers.hubspot.com/docs/methods/auth/oauth-overview";
        Self::new(StatusCode::UNAUTHORIZED, "INVALID_AUTHENTICATION", message)
    }

    pub(crate) fn expired(seconds_ago: i64, expire_time: String) -> Self {
        let message = format!("The OAuth token used to make this call expired {seconds_ago} second(s) ago.");
        let mut failure = Self::new(StatusCode::UNAUTHORIZED, "EXPIRED_AUTHENTICATION", message);
        failure.set("context", json!({"expire time": [expire_time]}));
        failure
    }

    pub(crate) fn missing_scopes(needed: &[String]) -> Self {
        let message = "This app hasn't been granted all required scopes to make this call. \
                       Read more about required scopes here: https://developers.hubspot.com/scopes.";
        let mut failure = Self::new(StatusCode::FORBIDDEN, "MISSING_SCOPES", message);
        failure.set(
            "errors",
            json!([{"message": "One or more of the following scopes are required.",
                    "context": {"requiredGranularScopes": needed}}]),
        );
        failure
    }

    /// The whole request is refused because some property values were.
    pub(crate) fn properties(problems: &[Problem]) -> Self {
        let embedded: Vec<Value> = problems.iter().map(Problem::embedded).collect();
        let listed: Vec<Value> = problems.iter().map(Problem::listed).collect();
        let mut failure =
            Self::validation(format!("Property values were not valid: {}", Value::Array(embedded)));
        failure.set("errors", Value::Array(listed));
        failure
    }

    /// An error of the OAuth endpoints; the newer paths add the two fields of RFC 6749.
    pub(crate) fn oauth(status: &'static str, message: &str, newer: bool) -> Self {
        let mut body = Map::new();
        if newer {
            body.insert("error".into(), json!(rfc_code(status)));
            body.insert("error_description".into(), json!(message));
        }
        body.insert("status".into(), json!(status));
        body.insert("message".into(), json!(message));
        Self { status: StatusCode::BAD_REQUEST, body: Value::Object(body), headers: Vec::new() }
    }

    pub(crate) fn set(&mut self, key: &str, value: Value) {
        if let Some(body) = self.body.as_object_mut() {
            body.insert(key.to_owned(), value);
        }
    }
}

fn rfc_code(status: &str) -> &'static str {
    match status {
        "BAD_CLIENT_ID" | "BAD_CLIENT_SECRET" => "invalid_client",
        "BAD_GRANT_TYPE" => "unsupported_grant_type",
        "MISSING_SCOPES" => "invalid_scope",
        "BAD_REQUEST" => "invalid_request",
        _ => "invalid_grant",
    }
}

impl Problem {
    pub(crate) fn new(name: &str, error: &'static str, message: String) -> Self {
        Self { name: name.to_owned(), error, message }
    }

    fn embedded(&self) -> Value {
        json!({"isValid": false, "message": self.message, "error": self.error, "name": self.name,
               "localizedErrorMessage": self.message})
    }

    fn listed(&self) -> Value {
        json!({"message": self.message, "code": self.error, "context": {"propertyName": [self.name]}})
    }
}
