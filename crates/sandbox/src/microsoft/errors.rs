//! The vendor's two families of error answers: Graph's, and those of the identity platform with `AADSTS` codes.

use http::StatusCode;
use serde_json::{Value, json};
use uuid::Uuid;

use crate::clock::iso;

/// An error answer of the vendor.
#[derive(Debug, Clone)]
pub(crate) struct Failure {
    pub(crate) status: StatusCode,
    pub(crate) body: Value,
    pub(crate) headers: Vec<(&'static str, String)>,
}

/// What an `AADSTS` code means: the error of OAuth, a sub-error, words.
struct Meaning(u32, &'static str, Option<&'static str>, &'static str);

const MEANINGS: [Meaning; 24] = [
    Meaning(50_011, "invalid_request", None, "The redirect URI specified in the request does not match."),
    Meaning(50_020, "invalid_grant", None, "The user account does not exist in the tenant."),
    Meaning(50_034, "invalid_grant", None, "The user account does not exist in the directory."),
    Meaning(50_057, "invalid_grant", None, "The user account is disabled."),
    Meaning(50_076, "interaction_required", Some("basic_action"), "Multi-factor authentication is needed."),
    Meaning(50_078, "interaction_required", Some("basic_action"), "The multi-factor authentication expired."),
    Meaning(
        50_079,
        "interaction_required",
        Some("basic_action"),
        "The user must enroll in multi-factor authentication.",
    ),
    Meaning(50_148, "invalid_grant", None, "The code_verifier does not match the code_challenge."),
    Meaning(
        50_173,
        "invalid_grant",
        Some("bad_token"),
        "The grant has expired because it was revoked; sign in again.",
    ),
    Meaning(50_196, "invalid_grant", None, "The server ended the request because the client asks in a loop."),
    Meaning(53_000, "interaction_required", None, "The device is not compliant."),
    Meaning(53_003, "invalid_grant", None, "Access has been blocked by Conditional Access policies."),
    Meaning(54_005, "invalid_grant", None, "The authorization code was already redeemed."),
    Meaning(
        65_001,
        "invalid_grant",
        Some("consent_required"),
        "The user or administrator has not consented to the application.",
    ),
    Meaning(65_004, "access_denied", None, "The user declined to consent to access the app."),
    Meaning(70_000, "invalid_grant", None, "The provided value for the grant is not valid."),
    Meaning(70_003, "unsupported_grant_type", None, "The app requested an unsupported grant type."),
    Meaning(70_008, "invalid_grant", None, "The provided authorization code or refresh token has expired."),
    Meaning(70_011, "invalid_scope", None, "The provided value for the scope is not valid."),
    Meaning(90_002, "invalid_request", None, "The tenant was not found."),
    Meaning(90_033, "temporarily_unavailable", None, "A transient error has occurred. Please try again."),
    Meaning(90_094, "access_denied", None, "An administrator must consent to the application."),
    Meaning(700_016, "unauthorized_client", None, "The application was not found in the directory."),
    Meaning(700_082, "invalid_grant", None, "The refresh token has expired due to inactivity."),
];

/// Error and words of an `AADSTS` code, for a redirect.
pub(crate) fn aadsts(code: u32) -> (&'static str, String) {
    let (error, _, words) = meaning(code);
    (error, format!("AADSTS{code}: {words}"))
}

fn meaning(code: u32) -> (&'static str, Option<&'static str>, &'static str) {
    match code {
        7_000_215 => ("invalid_client", None, "Invalid client secret provided."),
        7_000_222 => ("invalid_client", None, "The provided client secret keys are expired."),
        _ => MEANINGS
            .iter()
            .find(|meaning| meaning.0 == code)
            .map_or(("invalid_grant", None, "The request was refused."), |m| (m.1, m.2, m.3)),
    }
}

impl Failure {
    /// An error of Graph. The request's ids are filled in where the answer is sent.
    pub(crate) fn new(status: StatusCode, code: &str, message: impl Into<String>) -> Self {
        let body = json!({"error": {"code": code, "message": message.into()}});
        Self { status, body, headers: Vec::new() }
    }

    pub(crate) fn bad(code: &str, message: impl Into<String>) -> Self {
        Self::new(StatusCode::BAD_REQUEST, code, message)
    }

    pub(crate) fn not_found(code: &str, message: impl Into<String>) -> Self {
        Self::new(StatusCode::NOT_FOUND, code, message)
    }

    pub(crate) fn item_not_found() -> Self {
        Self::not_found("ErrorItemNotFound", "The specified object was not found in the store.")
    }

    pub(crate) fn malformed_id() -> Self {
        Self::bad("ErrorInvalidIdMalformed", "Id is malformed.")
    }

    pub(crate) fn unauthenticated(message: &str) -> Self {
        let mut failure = Self::new(StatusCode::UNAUTHORIZED, "InvalidAuthenticationToken", message);
        failure.headers.push(("www-authenticate", "Bearer realm=\"\"".to_owned()));
        failure
    }

    pub(crate) fn denied() -> Self {
        let message = "Access is denied. Check credentials and try again.";
        Self::new(StatusCode::FORBIDDEN, "ErrorAccessDenied", message)
    }

    /// The vendor's 429 with how long to wait.
    pub(crate) fn throttled(code: &str, message: &str, wait_s: i64) -> Self {
        let mut failure = Self::new(StatusCode::TOO_MANY_REQUESTS, code, message);
        failure.headers.push(("retry-after", wait_s.max(1).to_string()));
        failure
    }

    /// A link of a delta query that is no good any more.
    pub(crate) fn sync_state() -> Self {
        let message = "The sync state generation is not found; generation=149;[highest=157][157][155][156].";
        Self::new(StatusCode::GONE, "syncStateNotFound", message)
    }

    /// A link of a delta query that is no good any more, with where to begin again.
    pub(crate) fn resync(location: String) -> Self {
        let message = "Resync required. Replace any local items with the server's version.";
        let mut failure = Self::new(StatusCode::GONE, "resyncRequired", message);
        failure.headers.push(("location", location));
        failure
    }

    /// An error of the identity platform.
    pub(crate) fn aadsts(code: u32, now_ms: i64) -> Self {
        let (error, suberror, words) = meaning(code);
        let status = match error {
            "invalid_client" => StatusCode::UNAUTHORIZED,
            "temporarily_unavailable" => StatusCode::SERVICE_UNAVAILABLE,
            _ => StatusCode::BAD_REQUEST,
        };
        let (trace, correlation) = (Uuid::new_v4(), Uuid::new_v4());
        let at = iso(now_ms);
        let timestamp = format!("{}Z", at.get(..19).unwrap_or_default().replace('T', " "));
        let description = format!(
            "AADSTS{code}: {words} Trace ID: {trace} Correlation ID: {correlation} Timestamp: {timestamp}"
        );
        let mut body = json!({
            "error": error, "error_description": description, "error_codes": [code], "timestamp": timestamp,
            "trace_id": trace, "correlation_id": correlation,
            "error_uri": format!("https://login.microsoftonline.com/error?code={code}"),
        });
        if let Some(suberror) = suberror {
            body["suberror"] = json!(suberror);
        }
        Self { status, body, headers: Vec::new() }
    }
}
