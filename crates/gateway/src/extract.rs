//! Who calls and what they send. Every refusal is an [`ApiError`].

use std::time::Duration;

use axum::{
    extract::{FromRequest, FromRequestParts, Request, rejection::JsonRejection},
    response::{IntoResponse, Response},
};
use bytes::Bytes;
use chassis::{guard::Credential, telemetry};
use http::{HeaderMap, StatusCode, request::Parts};
use serde::{Serialize, de::DeserializeOwned};
use tonic::metadata::AsciiMetadataValue;

use crate::failure::ApiError;

/// How long a room may take for an answer.
const ANSWER_WITHIN: Duration = Duration::from_secs(20);
/// How long a client may take to send a body.
pub(crate) const BODY_WITHIN: Duration = Duration::from_secs(20);

/// The caller's own credential, which every request to a room carries on.
pub(crate) struct Caller(Credential);

impl Caller {
    /// A request to a room in the caller's name.
    pub(crate) fn asks<T>(&self, message: T) -> Result<tonic::Request<T>, ApiError> {
        self.asks_within(ANSWER_WITHIN, message)
    }

    /// A request to a room in the caller's name that may take this long.
    pub(crate) fn asks_within<T>(&self, within: Duration, message: T) -> Result<tonic::Request<T>, ApiError> {
        let mut request = in_name_of(&self.0, message)?;
        request.set_timeout(within);
        Ok(request)
    }
}

/// A request to a room in the name of whoever has this credential.
pub(crate) fn in_name_of<T>(credential: &Credential, message: T) -> Result<tonic::Request<T>, tonic::Status> {
    let mut request = anonymous(message);
    credential.apply(request.metadata_mut())?;
    Ok(request)
}

/// A request to a room in nobody's name, for those that need no credential.
pub(crate) fn anonymous<T>(message: T) -> tonic::Request<T> {
    let mut request = tonic::Request::new(message);
    request.set_timeout(ANSWER_WITHIN);
    let traceparent = telemetry::current_traceparent();
    if let Some(value) = traceparent.and_then(|text| AsciiMetadataValue::try_from(text).ok()) {
        request.metadata_mut().insert("traceparent", value);
    }
    request
}

impl<S: Sync> FromRequestParts<S> for Caller {
    type Rejection = ApiError;

    async fn from_request_parts(parts: &mut Parts, _: &S) -> Result<Self, ApiError> {
        Ok(Self(Credential::from_headers(&parts.headers)?))
    }
}

/// The header `Idempotency-Key`: at most 255 visible ASCII characters; empty when there is none.
pub(crate) fn idempotency_key(headers: &HeaderMap) -> Result<String, ApiError> {
    let Some(value) = headers.get("idempotency-key") else { return Ok(String::new()) };
    let visible = |text: &&str| (1..=255).contains(&text.len()) && text.bytes().all(|b| b.is_ascii_graphic());
    let text = value.to_str().ok().filter(visible);
    let message = "The header idempotency-key must have 1 to 255 visible ASCII characters.";
    text.map(str::to_owned).ok_or_else(|| ApiError::invalid("idempotency_key_invalid", message))
}

/// Parts of the path.
pub(crate) struct Path<T>(pub(crate) T);

impl<T: DeserializeOwned + Send, S: Send + Sync> FromRequestParts<S> for Path<T> {
    type Rejection = ApiError;

    async fn from_request_parts(parts: &mut Parts, state: &S) -> Result<Self, ApiError> {
        refuse_nul("path_invalid", parts.uri.path())?;
        let axum::extract::Path(path) = axum::extract::Path::from_request_parts(parts, state).await?;
        Ok(Self(path))
    }
}

/// The query of the address.
pub(crate) struct Query<T>(pub(crate) T);

impl<T: DeserializeOwned, S: Send + Sync> FromRequestParts<S> for Query<T> {
    type Rejection = ApiError;

    async fn from_request_parts(parts: &mut Parts, state: &S) -> Result<Self, ApiError> {
        refuse_nul("query_invalid", parts.uri.query().unwrap_or_default())?;
        let axum::extract::Query(query) = axum::extract::Query::from_request_parts(parts, state).await?;
        Ok(Self(query))
    }
}

/// No text here holds the character U+0000, and no database of ours can.
fn refuse_nul(code: &'static str, encoded: &str) -> Result<(), ApiError> {
    if encoded.contains("%00") { Err(ApiError::invalid(code, NUL)) } else { Ok(()) }
}

const NUL: &str = "No text here may hold the character U+0000.";

/// A JSON body, in and out.
pub(crate) struct Json<T>(pub(crate) T);

impl<T: DeserializeOwned, S: Send + Sync> FromRequest<S> for Json<T> {
    type Rejection = ApiError;

    async fn from_request(request: Request, state: &S) -> Result<Self, ApiError> {
        if !is_json(request.headers()) {
            let refusal = "Send JSON with the header content-type: application/json.";
            return Err(ApiError::new(StatusCode::UNSUPPORTED_MEDIA_TYPE, "media_type_unsupported", refusal));
        }
        let reading = tokio::time::timeout(BODY_WITHIN, Bytes::from_request(request, state)).await;
        let slow = "The body did not come in time.";
        let reading =
            reading.map_err(|_| ApiError::new(StatusCode::REQUEST_TIMEOUT, "body_timeout", slow))?;
        let body = reading.map_err(|rejection| ApiError::from(JsonRejection::from(rejection)))?;
        let axum::Json(value) = axum::Json::from_bytes(&body)?;
        if has_nul(&body) {
            return Err(ApiError::invalid("body_invalid", NUL));
        }
        Ok(Self(value))
    }
}

impl<T: Serialize> IntoResponse for Json<T> {
    fn into_response(self) -> Response {
        axum::Json(self.0).into_response()
    }
}

fn is_json(headers: &HeaderMap) -> bool {
    let media = headers.get(http::header::CONTENT_TYPE).and_then(|value| value.to_str().ok());
    let essence = media.unwrap_or_default().split(';').next().unwrap_or_default().trim();
    essence.eq_ignore_ascii_case("application/json")
}

/// Whether a text in this JSON holds U+0000; it can only be there as an escape.
fn has_nul(body: &[u8]) -> bool {
    fn holds(value: &serde_json::Value) -> bool {
        match value {
            serde_json::Value::String(text) => text.contains('\0'),
            serde_json::Value::Array(items) => items.iter().any(holds),
            serde_json::Value::Object(map) => {
                map.iter().any(|(name, value)| name.contains('\0') || holds(value))
            }
            _ => false,
        }
    }
    let escaped = body.windows(6).any(|window| window == br"\u0000");
    escaped && serde_json::from_slice(body).is_ok_and(|value| holds(&value))
}
