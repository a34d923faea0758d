use axum::{
    http::StatusCode,
    response::{IntoResponse, Response},
};
use tonic::Code;

use crate::ui;

/// Why a request was not done. A handler returns it; [`crate::session`] draws it in the visitor's own page.
#[derive(Debug, Clone)]
pub(crate) struct Failure {
    pub status: StatusCode,
    /// The stable code, to look up or to tell the support.
    pub code: String,
    /// What happened and what to do, for people.
    pub message: String,
}

impl Failure {
    pub(crate) fn new(status: StatusCode, code: &str, message: impl Into<String>) -> Self {
        Self { status, code: code.to_owned(), message: message.into() }
    }

    pub(crate) fn not_found() -> Self {
        Self::new(
            StatusCode::NOT_FOUND,
            "not_found",
            "There is nothing at this address, or it belongs to another organization.",
        )
    }

    pub(crate) fn refused(what: &str) -> Self {
        Self::new(StatusCode::FORBIDDEN, "permission_denied", what)
    }

    pub(crate) fn invalid(code: &str, message: impl Into<String>) -> Self {
        Self::new(StatusCode::UNPROCESSABLE_ENTITY, code, message)
    }

    /// Whether the visitor's session is over.
    pub(crate) fn is_signed_out(&self) -> bool {
        self.status == StatusCode::UNAUTHORIZED
    }

    /// Whether going back to the form and changing something can help.
    pub(crate) fn is_fixable(&self) -> bool {
        matches!(
            self.status,
            StatusCode::UNPROCESSABLE_ENTITY | StatusCode::CONFLICT | StatusCode::TOO_MANY_REQUESTS
        )
    }

    /// Whether trying again in a moment can help.
    pub(crate) fn is_passing(&self) -> bool {
        self.status == StatusCode::SERVICE_UNAVAILABLE
    }

    pub(crate) fn title(&self) -> &'static str {
        match self.status {
            StatusCode::FORBIDDEN => "Your role does not allow this",
            StatusCode::NOT_FOUND => "Not found",
            StatusCode::CONFLICT => "Something changed in the meantime",
            StatusCode::TOO_MANY_REQUESTS => "Too many attempts",
            StatusCode::SERVICE_UNAVAILABLE => "Not reachable right now",
            StatusCode::UNPROCESSABLE_ENTITY | StatusCode::BAD_REQUEST => "This cannot be done as sent",
            _ => "Something went wrong on our side",
        }
    }
}

impl From<tonic::Status> for Failure {
    fn from(status: tonic::Status) -> Self {
        let (http, code, fallback) = match status.code() {
            Code::Unauthenticated => (StatusCode::UNAUTHORIZED, "unauthenticated", "Sign in again."),
            Code::PermissionDenied => {
                (StatusCode::FORBIDDEN, "permission_denied", "Ask an Owner or Admin of your organization.")
            }
            Code::NotFound => return Self::not_found().coded(&status),
            Code::InvalidArgument => (StatusCode::UNPROCESSABLE_ENTITY, "invalid", "Check what you entered."),
            Code::FailedPrecondition => (
                StatusCode::UNPROCESSABLE_ENTITY,
                "not_possible_now",
                "This is not possible in the present state.",
            ),
            Code::AlreadyExists | Code::Aborted => {
                (StatusCode::CONFLICT, "changed", "Look at it again, then try once more.")
            }
            Code::ResourceExhausted => {
                (StatusCode::TOO_MANY_REQUESTS, "too_many", "Wait a moment, then try again.")
            }
            Code::Unavailable | Code::DeadlineExceeded | Code::Cancelled => {
                // The transport's own text names addresses and sockets: no use to a person.
                return Self::new(
                    StatusCode::SERVICE_UNAVAILABLE,
                    "service_unavailable",
                    "A service behind this page does not answer. Nothing is lost; it is usually back within seconds.",
                )
                .coded(&status);
            }
            code => {
                tracing::error!(?code, message = status.message(), "failed to answer: a service failed");
                return Self::new(
                    StatusCode::INTERNAL_SERVER_ERROR,
                    "internal",
                    "A service behind this page failed. It was noted; try again, and tell your administrator if it stays.",
                )
                .coded(&status);
            }
        };
        let message = if status.message().is_empty() { fallback } else { status.message() };
        Self::new(http, code, ui::sentence(message)).coded(&status)
    }
}

impl Failure {
    /// Takes over the service's own stable code, where it gave one.
    fn coded(mut self, status: &tonic::Status) -> Self {
        if let Some(code) = status.metadata().get("accord-code").and_then(|code| code.to_str().ok()) {
            code.clone_into(&mut self.code);
        }
        self
    }
}

impl IntoResponse for Failure {
    fn into_response(self) -> Response {
        let mut response = (self.status, self.message.clone()).into_response();
        response.extensions_mut().insert(self);
        response
    }
}
