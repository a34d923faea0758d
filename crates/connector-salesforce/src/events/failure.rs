//! The Pub/Sub API's failures. Salesforce's own code is in the trailers.

use std::time::Duration;

use connector::{Error, ErrorKind, Retry};
use tonic::{Code, Status};

const SUBSCRIBE: &str = "follow Salesforce's change events";
const PREFIX: &str = "sfdc.platform.eventbus.grpc.";
/// Limits of the event bus are by the hour and by the day.
const AFTER_LIMIT: Duration = Duration::from_secs(300);

/// What a failure of a call or the end of a stream means.
pub(crate) fn of_status(status: &Status, object: &str) -> Error {
    let code = status.metadata().get("error-code").and_then(|code| code.to_str().ok()).unwrap_or_default();
    let code = code.strip_prefix(PREFIX).unwrap_or(code);
    let error = match code {
        "" => of_code(status),
        "service.auth.error" | "service.auth.refresh.invalid" => expired(),
        "service.auth.headers.invalid" if status.code() == Code::Unauthenticated => expired(),
        "subscription.fetch.replayid.corrupted" | "subscription.fetch.replayid.validation.failed" => failed(
            ErrorKind::PositionLost,
            "Salesforce no longer has the events since the last one that was read: it keeps them for three days",
        ),
        "service.tenant.license" => failed(
            ErrorKind::NoStream,
            "this edition of Salesforce has no Change Data Capture: it needs Enterprise, Unlimited, Performance or Developer",
        ),
        "topic.not.found" | "topic.meta.permission" | "subscription.topic.cannot.subscribe" => {
            not_selected(object)
        }
        "service.protection.triggered"
        | "service.protection.stream.limit.triggered"
        | "concurrent.client.limit.exceeded"
        | "subscription.limit.exceeded" => failed(
            ErrorKind::RateLimit,
            "the Salesforce organization's allocation of event deliveries or of subscribers is used up",
        )
        .with_retry(Retry::After(AFTER_LIMIT)),
        other if other.ends_with("unavailable") || other.ends_with("internal.error") => unavailable(),
        _ => of_code(status),
    };
    if code.is_empty() { error } else { error.with_code(code) }
}

fn of_code(status: &Status) -> Error {
    match status.code() {
        Code::Unauthenticated => expired(),
        Code::PermissionDenied => failed(
            ErrorKind::NoStream,
            "Salesforce does not let the user who connected follow change events: it needs \"View All\" on the object",
        ),
        Code::ResourceExhausted => failed(ErrorKind::RateLimit, "Salesforce's event bus is overloaded")
            .with_retry(Retry::After(AFTER_LIMIT)),
        Code::Unavailable
        | Code::Internal
        | Code::Unknown
        | Code::Cancelled
        | Code::Aborted
        | Code::DeadlineExceeded => unavailable(),
        code => {
            let message = format!("Salesforce's event bus answered {code:?}");
            Error::new(ErrorKind::Protocol, SUBSCRIBE, message)
        }
    }
}

pub(crate) fn not_selected(object: &str) -> Error {
    let message = format!(
        "Salesforce sends no change events of {object}: an administrator selects it under Setup, Change Data Capture, and \
         gives the user who connected \"View All\" on it"
    );
    Error::new(ErrorKind::NoStream, SUBSCRIBE, message)
}

pub(crate) fn unavailable() -> Error {
    failed(ErrorKind::Unavailable, "Salesforce's event bus closed the stream or cannot be reached")
}

/// Nothing came for longer than Salesforce ever is silent.
pub(crate) fn silent() -> Error {
    failed(ErrorKind::Unavailable, "Salesforce's event bus has been silent for too long")
}

pub(crate) fn misconfigured(message: &str) -> Error {
    failed(ErrorKind::Protocol, message)
}

/// A stream ends with its access token; the next one is opened with another.
fn expired() -> Error {
    failed(ErrorKind::TokenExpired, "Salesforce's event bus does not accept the access token")
        .with_retry(Retry::Backoff)
}

fn failed(kind: ErrorKind, message: &str) -> Error {
    Error::new(kind, SUBSCRIBE, message)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_documented_code_has_its_kind() {
        let rows = [
            ("service.auth.error", Code::Unauthenticated, ErrorKind::TokenExpired),
            ("service.unavailable", Code::Unavailable, ErrorKind::Unavailable),
            ("subscription.internal.error", Code::Internal, ErrorKind::Unavailable),
            ("topic.api.unavailable", Code::Unavailable, ErrorKind::Unavailable),
            ("schema.api.unavailable", Code::Unavailable, ErrorKind::Unavailable),
            ("service.protection.triggered", Code::ResourceExhausted, ErrorKind::RateLimit),
            ("service.protection.stream.limit.triggered", Code::ResourceExhausted, ErrorKind::RateLimit),
            ("concurrent.client.limit.exceeded", Code::ResourceExhausted, ErrorKind::RateLimit),
            ("subscription.limit.exceeded", Code::ResourceExhausted, ErrorKind::RateLimit),
            ("service.tenant.license", Code::PermissionDenied, ErrorKind::NoStream),
            ("topic.not.found", Code::NotFound, ErrorKind::NoStream),
            ("topic.meta.permission", Code::PermissionDenied, ErrorKind::NoStream),
            ("subscription.topic.cannot.subscribe", Code::PermissionDenied, ErrorKind::NoStream),
            ("subscription.fetch.replayid.corrupted", Code::InvalidArgument, ErrorKind::PositionLost),
            ("subscription.fetch.replayid.validation.failed", Code::InvalidArgument, ErrorKind::PositionLost),
            ("subscription.fetch.request.invalid", Code::InvalidArgument, ErrorKind::Protocol),
            ("service.auth.headers.invalid", Code::InvalidArgument, ErrorKind::Protocol),
        ];
        for (code, grpc, kind) in rows {
            let mut status = Status::new(grpc, "rpcId: 1");
            status.metadata_mut().insert("error-code", format!("{PREFIX}{code}").parse().unwrap());
            let error = of_status(&status, "Account");
            assert_eq!(error.kind, kind, "{code}");
            assert_eq!(error.code.as_deref(), Some(code));
        }
        assert_eq!(of_status(&Status::unavailable("RST_STREAM"), "Account").kind, ErrorKind::Unavailable);
        assert_eq!(of_status(&Status::unauthenticated(""), "Account").kind, ErrorKind::TokenExpired);
    }
}
