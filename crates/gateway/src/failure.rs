use std::borrow::Cow;

use axum::{
    Json,
    extract::rejection::{JsonRejection, PathRejection, QueryRejection},
    response::{IntoResponse, Response},
};
use chassis::guard;
use http::{HeaderValue, StatusCode, header};
use serde::Serialize;
use tonic::{Code, Status};
use utoipa::{IntoResponses, ToSchema};

/// A request that was not answered: what the caller gets to know.
#[derive(Clone, Debug)]
pub(crate) struct ApiError {
    status: StatusCode,
    code: Cow<'static, str>,
    message: Cow<'static, str>,
    field: Option<String>,
}

/// Every answer that is no success.
#[derive(Serialize, ToSchema)]
pub(crate) struct ErrorBody {
    error: ErrorDetail,
}

/// Why a request was not answered.
#[derive(Serialize, ToSchema)]
pub(crate) struct ErrorDetail {
    /// A stable code for programs, like `record_not_found`, `value_invalid` or `plan_stale`.
    #[schema(example = "body_invalid")]
    code: String,
    /// A sentence for people; it may change.
    message: String,
    /// The field of the request that it is about, where there is one.
    #[serde(skip_serializing_if = "Option::is_none")]
    field: Option<String>,
}

impl ApiError {
    pub(crate) fn new(status: StatusCode, code: &'static str, message: impl Into<Cow<'static, str>>) -> Self {
        Self { status, code: code.into(), message: message.into(), field: None }
    }

    pub(crate) fn invalid(code: &'static str, message: impl Into<Cow<'static, str>>) -> Self {
        Self::new(StatusCode::BAD_REQUEST, code, message)
    }

    /// The same, about this field of the request.
    pub(crate) fn at(self, field: impl Into<String>) -> Self {
        Self { field: Some(field.into()), ..self }
    }

    pub(crate) fn code(&self) -> &str {
        &self.code
    }
}

impl IntoResponse for ApiError {
    fn into_response(self) -> Response {
        let (code, message) = (self.code.into_owned(), self.message.into_owned());
        let body = ErrorBody { error: ErrorDetail { code, message, field: self.field } };
        let mut response = (self.status, Json(body)).into_response();
        if self.status == StatusCode::UNAUTHORIZED {
            response.headers_mut().insert(header::WWW_AUTHENTICATE, HeaderValue::from_static("Bearer"));
        }
        response
    }
}

impl From<Status> for ApiError {
    fn from(status: Status) -> Self {
        let (http, code, message) = translate(status.code());
        let stable = guard::stable_code(&status);
        // Without a stable code it is no room's sentence but the transport's, and may name hosts.
        let message = match stable {
            Some(_) if !status.message().is_empty() => Cow::Owned(status.message().to_owned()),
            _ => Cow::Borrowed(message),
        };
        if http.is_server_error() {
            tracing::warn!(code = ?status.code(), stable_code = stable, "a room did not answer a request");
        }
        Self {
            status: http,
            code: stable.map_or(Cow::Borrowed(code), |code| Cow::Owned(code.to_owned())),
            message,
            field: guard::field(&status).map(str::to_owned),
        }
    }
}

const fn translate(code: Code) -> (StatusCode, &'static str, &'static str) {
    match code {
        Code::InvalidArgument => (StatusCode::BAD_REQUEST, "invalid", "The request is not valid."),
        Code::Unauthenticated => {
            (StatusCode::UNAUTHORIZED, "unauthenticated", "The credential is not valid.")
        }
        Code::PermissionDenied => {
            (StatusCode::FORBIDDEN, "permission_denied", "The credential may not do this.")
        }
        Code::NotFound => (StatusCode::NOT_FOUND, "not_found", "There is no such thing."),
        Code::AlreadyExists => (StatusCode::CONFLICT, "already_exists", "There is one already."),
        Code::Aborted => (StatusCode::CONFLICT, "aborted", "It was changed in the meantime. Read it again."),
        Code::FailedPrecondition => {
            (StatusCode::CONFLICT, "failed_precondition", "This cannot be done in the present state.")
        }
        Code::ResourceExhausted => {
            (StatusCode::TOO_MANY_REQUESTS, "too_many_requests", "Too many requests. Try again later.")
        }
        Code::Unimplemented => {
            (StatusCode::NOT_IMPLEMENTED, "not_implemented", "This is not available here.")
        }
        Code::Unavailable => {
            (StatusCode::SERVICE_UNAVAILABLE, "unavailable", "The service does not answer. Try again soon.")
        }
        Code::DeadlineExceeded | Code::Cancelled => {
            (StatusCode::GATEWAY_TIMEOUT, "timeout", "The service did not answer in time. Try again soon.")
        }
        // No room says OUT_OF_RANGE: it is the transport's word for a message that is too large, which is ours to mend.
        Code::Ok | Code::Unknown | Code::Internal | Code::DataLoss | Code::OutOfRange => {
            (StatusCode::INTERNAL_SERVER_ERROR, "internal", "Something went wrong here. It was logged.")
        }
    }
}

impl From<JsonRejection> for ApiError {
    fn from(rejection: JsonRejection) -> Self {
        match rejection.status() {
            StatusCode::UNSUPPORTED_MEDIA_TYPE => Self::new(
                StatusCode::UNSUPPORTED_MEDIA_TYPE,
                "media_type_unsupported",
                "Send JSON with the header content-type: application/json.",
            ),
            StatusCode::PAYLOAD_TOO_LARGE => {
                Self::new(StatusCode::PAYLOAD_TOO_LARGE, "body_too_large", "The body is larger than 1 MiB.")
            }
            StatusCode::UNPROCESSABLE_ENTITY => Self::invalid("body_invalid", rejection.body_text()),
            _ => Self::invalid("json_invalid", "The body is not JSON in UTF-8."),
        }
    }
}

impl From<PathRejection> for ApiError {
    fn from(_: PathRejection) -> Self {
        Self::invalid("path_invalid", "The path is not valid text.")
    }
}

impl From<QueryRejection> for ApiError {
    fn from(rejection: QueryRejection) -> Self {
        Self::invalid("query_invalid", rejection.body_text())
    }
}

/// The refusals that every operation shares.
#[derive(IntoResponses)]
#[expect(dead_code, reason = "describes the answers to OpenAPI; none is ever built")]
pub(crate) enum Refusals {
    /// The request is malformed; `code` and `field` say how.
    #[response(status = 400)]
    Invalid(ErrorBody),
    /// The credential is missing, malformed, unknown, expired or revoked.
    #[response(status = 401)]
    Unauthenticated(ErrorBody),
    /// The credential lacks the scope that this needs: `scope_missing`.
    #[response(status = 403)]
    Forbidden(ErrorBody),
    /// There is no such thing in the organization of the credential.
    #[response(status = 404)]
    NotFound(ErrorBody),
    /// The service does not answer; the same request may succeed later.
    #[response(status = 503)]
    Unavailable(ErrorBody),
}

/// The refusals of operations that take a body or depend on a state.
#[derive(IntoResponses)]
#[expect(dead_code, reason = "describes the answers to OpenAPI; none is ever built")]
pub(crate) enum Conflicts {
    /// The present state does not allow it, or it was changed in the meantime: `version_changed`, `plan_stale` …
    #[response(status = 409)]
    Conflict(ErrorBody),
    /// The body is larger than 1 MiB: `body_too_large`.
    #[response(status = 413)]
    TooLarge(ErrorBody),
    /// The body is not declared as JSON: `media_type_unsupported`.
    #[response(status = 415)]
    MediaType(ErrorBody),
    /// Too many requests for now.
    #[response(status = 429)]
    TooMany(ErrorBody),
}
