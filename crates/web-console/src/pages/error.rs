use askama::Template;
use axum::{
    http::{HeaderValue, StatusCode, header},
    response::{IntoResponse, Response},
};

use crate::{failure::Failure, respond, shell::Shell, ui};

/// Why a request was not done, and what to do next.
#[derive(Template)]
#[template(path = "error.html")]
pub(crate) struct ErrorPage {
    shell: Shell,
    failure: Failure,
    /// The page that the visitor came from.
    from: Option<String>,
    /// Whether the visitor may have no account, so that no page of the console is of use.
    is_outside: bool,
}

impl ErrorPage {
    pub(crate) fn new(shell: Shell, failure: Failure, from: Option<String>) -> Self {
        Self { shell, failure, from, is_outside: false }
    }

    /// For somebody who may have no account.
    pub(crate) fn outside(shell: Shell, failure: Failure) -> Self {
        Self { is_outside: true, ..Self::new(shell, failure, None) }
    }

    pub(crate) fn sample(shell: Shell) -> Self {
        Self::new(shell, tonic::Status::unavailable("").into(), None)
    }

    pub(crate) fn sample_refused(shell: Shell) -> Self {
        Self::new(
            shell,
            Failure::refused("Only an Owner or Admin can connect and disconnect integrations."),
            Some("/settings/integrations".to_owned()),
        )
    }
}

impl IntoResponse for ErrorPage {
    fn into_response(self) -> Response {
        let mut response = respond::page_with(self.failure.status, &self);
        if self.failure.status == StatusCode::SERVICE_UNAVAILABLE {
            response.headers_mut().insert(header::RETRY_AFTER, HeaderValue::from_static("5"));
        }
        response
    }
}
