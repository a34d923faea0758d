//! The vendor's three families of error answers: classic (Calendar), newer (Meet) and OAuth.

use http::StatusCode;
use serde_json::{Value, json};

/// How errors of an API look.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Style {
    /// A list of reasons, as Calendar has it.
    Classic,
    /// A status word with details, as Meet has it.
    Modern,
}

/// An error answer of the vendor.
#[derive(Debug, Clone)]
pub(crate) struct Failure {
    pub(crate) status: StatusCode,
    words: Words,
}

#[derive(Debug, Clone)]
enum Words {
    Api {
        domain: &'static str,
        reason: &'static str,
        message: String,
        /// What the error is about: the kind of place and its name.
        place: Option<(&'static str, &'static str)>,
    },
    OAuth {
        error: &'static str,
        description: String,
    },
}

impl Failure {
    pub(crate) fn new(
        status: StatusCode,
        domain: &'static str,
        reason: &'static str,
        message: impl Into<String>,
    ) -> Self {
        Self { status, words: Words::Api { domain, reason, message: message.into(), place: None } }
    }

    pub(crate) fn at(mut self, kind: &'static str, name: &'static str) -> Self {
        if let Words::Api { place, .. } = &mut self.words {
            *place = Some((kind, name));
        }
        self
    }

    pub(crate) fn bad(reason: &'static str, message: &str) -> Self {
        Self::new(StatusCode::BAD_REQUEST, "global", reason, message)
    }

    /// A parameter's value is wrong.
    pub(crate) fn invalid(name: &'static str) -> Self {
        Self::bad("invalid", "Invalid Value").at("parameter", name)
    }

    pub(crate) fn parse() -> Self {
        Self::bad("parseError", "Parse Error")
    }

    pub(crate) fn not_found() -> Self {
        Self::new(StatusCode::NOT_FOUND, "global", "notFound", "Not Found")
    }

    pub(crate) fn backend() -> Self {
        Self::new(StatusCode::INTERNAL_SERVER_ERROR, "global", "backendError", "Backend Error")
    }

    pub(crate) fn login() -> Self {
        Self::new(StatusCode::UNAUTHORIZED, "global", "required", "Login Required.")
            .at("header", "Authorization")
    }

    pub(crate) fn credentials() -> Self {
        Self::new(StatusCode::UNAUTHORIZED, "global", "authError", "Invalid Credentials")
            .at("header", "Authorization")
    }

    pub(crate) fn scopes() -> Self {
        let message = "Request had insufficient authentication scopes.";
        Self::new(StatusCode::FORBIDDEN, "global", "insufficientPermissions", message)
    }

    /// Over a quota.
    pub(crate) fn rate(status: StatusCode) -> Self {
        Self::new(status, "usageLimits", "rateLimitExceeded", "Rate Limit Exceeded")
    }

    pub(crate) fn sync_token_gone() -> Self {
        let message = "Sync token is no longer valid, a full sync is required.";
        Self::new(StatusCode::GONE, "calendar", "fullSyncRequired", message).at("parameter", "syncToken")
    }

    /// An error of the token endpoints.
    pub(crate) fn oauth(status: StatusCode, error: &'static str, description: &str) -> Self {
        Self { status, words: Words::OAuth { error, description: description.to_owned() } }
    }

    pub(crate) fn grant(description: &str) -> Self {
        Self::oauth(StatusCode::BAD_REQUEST, "invalid_grant", description)
    }

    /// The body as the API of the call spells it.
    pub(crate) fn body(&self, style: Style) -> Value {
        let code = self.status.as_u16();
        match &self.words {
            Words::OAuth { error, description } => json!({"error": error, "error_description": description}),
            Words::Api { domain, reason, message, place } => match style {
                Style::Classic => {
                    let mut one = json!({"domain": domain, "reason": reason, "message": message});
                    if let Some((kind, name)) = place {
                        one["locationType"] = json!(kind);
                        one["location"] = json!(name);
                    }
                    json!({"error": {"errors": [one], "code": code, "message": message}})
                }
                Style::Modern => {
                    let mut error = json!({"code": code, "message": message, "status": word(self.status)});
                    let detail = match *reason {
                        "insufficientPermissions" => Some("ACCESS_TOKEN_SCOPE_INSUFFICIENT"),
                        "authError" => Some("ACCESS_TOKEN_EXPIRED"),
                        "required" => Some("CREDENTIALS_MISSING"),
                        "rateLimitExceeded" => Some("RATE_LIMIT_EXCEEDED"),
                        _ => None,
                    };
                    if let Some(reason) = detail {
                        error["details"] = json!([{
                            "@type": "type.googleapis.com/google.rpc.ErrorInfo", "reason": reason,
                            "domain": "googleapis.com", "metadata": {"service": "meet.googleapis.com"},
                        }]);
                    }
                    json!({"error": error})
                }
            },
        }
    }
}

fn word(status: StatusCode) -> &'static str {
    match status.as_u16() {
        400 => "INVALID_ARGUMENT",
        401 => "UNAUTHENTICATED",
        403 => "PERMISSION_DENIED",
        404 => "NOT_FOUND",
        409 => "ALREADY_EXISTS",
        429 => "RESOURCE_EXHAUSTED",
        503 => "UNAVAILABLE",
        _ => "INTERNAL",
    }
}
