//! What this surface says when it does not do what was asked: `{"error": code, "detail"?, …}`.

use std::borrow::Cow;

use axum::{
    Json,
    response::{IntoResponse, Response},
};
use chassis::guard;
use http::{HeaderValue, StatusCode, header};
use model::Scope;
use serde::{Serialize, Serializer, ser::SerializeMap};
use serde_json::{
    Value, json,
    value::{RawValue, to_raw_value},
};
use tonic::{Code, Status};
use utoipa::{IntoResponses, ToSchema};

use super::fields::Faults;

/// A request that was not answered.
#[derive(Clone, Debug)]
pub(crate) struct Refusal {
    status: StatusCode,
    error: Cow<'static, str>,
    detail: Option<Box<RawValue>>,
    /// Beside `error` and `detail`, in this order.
    more: Vec<(&'static str, Value)>,
}

impl Refusal {
    pub(crate) fn new(status: StatusCode, error: impl Into<Cow<'static, str>>) -> Self {
        Self { status, error: error.into(), detail: None, more: Vec::new() }
    }

    pub(crate) fn unauthorized() -> Self {
        Self::new(StatusCode::UNAUTHORIZED, "unauthorized")
    }

    /// A key that lacks this scope.
    pub(crate) fn forbidden_scope(required: Scope) -> Self {
        Self::new(StatusCode::FORBIDDEN, "forbidden_scope").with("required", json!(required.name()))
    }

    pub(crate) fn detailed(self, detail: impl Serialize) -> Self {
        Self { detail: to_raw_value(&detail).ok(), ..self }
    }

    pub(crate) fn with(mut self, name: &'static str, value: Value) -> Self {
        self.more.push((name, value));
        self
    }

    /// What a room refused of a query: what is wrong was in the address.
    pub(crate) fn of_query(status: &Status, required: Scope) -> Self {
        match Self::of_room(status, required) {
            Self { error: Cow::Borrowed("invalid_body"), status, detail, more } => {
                Self { error: Cow::Borrowed("invalid_query"), status, detail, more }
            }
            other => other,
        }
    }

    /// What a room refused that was asked for something that needs this scope.
    pub(crate) fn of_room(status: &Status, required: Scope) -> Self {
        match (status.code(), guard::stable_code(status)) {
            (Code::PermissionDenied, Some("partner_key")) => Self::new(StatusCode::FORBIDDEN, "forbidden"),
            (Code::PermissionDenied, None | Some("scope_missing")) => Self::forbidden_scope(required),
            _ => Self::of_open_room(status),
        }
    }

    /// What a room refused that needs no scope for it.
    pub(crate) fn of_open_room(status: &Status) -> Self {
        let stable = guard::stable_code(status);
        let (http, fallback) = match status.code() {
            Code::InvalidArgument => {
                return Self::invalid_by_room(stable, guard::field(status), status.message());
            }
            Code::Unauthenticated => return Self::unauthorized(),
            Code::PermissionDenied => (StatusCode::FORBIDDEN, "forbidden"),
            Code::NotFound => (StatusCode::NOT_FOUND, "not_found"),
            Code::AlreadyExists | Code::Aborted | Code::FailedPrecondition => {
                (StatusCode::CONFLICT, "conflict")
            }
            Code::ResourceExhausted => (StatusCode::TOO_MANY_REQUESTS, "rate_limited"),
            Code::Unavailable => (StatusCode::SERVICE_UNAVAILABLE, "unavailable"),
            Code::DeadlineExceeded | Code::Cancelled => (StatusCode::GATEWAY_TIMEOUT, "timeout"),
            _ => (StatusCode::INTERNAL_SERVER_ERROR, "internal_error"),
        };
        if http.is_server_error() {
            tracing::warn!(code = ?status.code(), stable_code = stable, "a room did not answer a request");
            return Self::new(http, fallback);
        }
        // Without a stable code it is no room's sentence but the transport's, and may name hosts.
        let Some(stable) = stable else { return Self::new(http, fallback) };
        let error = match (status.code(), stable) {
            (_, "link_key_taken") => "linkKey_taken",
            (
                Code::NotFound,
                "click_not_found" | "link_not_found" | "partner_not_found" | "program_not_found",
            ) => stable,
            (Code::NotFound, _) => fallback,
            _ => stable,
        };
        let refusal = Self::new(http, error.to_owned());
        match status.code() {
            // The code says all of it, and callers know it alone.
            Code::NotFound | Code::AlreadyExists => refusal,
            _ => refusal.detailed(status.message()),
        }
    }

    /// A value that only the room knows to be wrong, in the shape of all others.
    pub(crate) fn invalid_by_room(code: Option<&str>, field: Option<&str>, message: &str) -> Self {
        let message = if code.is_some() { message } else { "Invalid" };
        // These are errors of their own in the contract.
        if let Some(code @ ("destination_override_not_allowed" | "tenant_slug_missing")) = code {
            return Self::new(StatusCode::BAD_REQUEST, code.to_owned()).detailed(message);
        }
        let faults = match field.filter(|field| !field.is_empty()) {
            Some(field) => Faults::of_field(in_json(field), message),
            None => Faults::of_form(message),
        };
        faults.refusal("invalid_body")
    }
}

/// A field of a room as the JSON spells it: `user_id` is `userId`, and a few have other names.
fn in_json(field: &str) -> String {
    match field {
        "click_id" => "cref".to_owned(),
        "key" => "linkKey".to_owned(),
        "allowed_domains" => "deepLinkAllowedDomains".to_owned(),
        "hold_days" => "holdbackDays".to_owned(),
        "window_days" => "attributionWindowDays".to_owned(),
        "trigger" | "percent" | "fixed" | "reward" | "operator" | "months" | "terms" | "rules" => {
            "commissionRule".to_owned()
        }
        _ => camel_case(field),
    }
}

fn camel_case(field: &str) -> String {
    let mut text = String::with_capacity(field.len());
    let mut upper = false;
    for character in field.chars() {
        match (character, upper) {
            ('_', _) => upper = true,
            (_, true) => {
                text.extend(character.to_uppercase());
                upper = false;
            }
            _ => text.push(character),
        }
    }
    text
}

impl Serialize for Refusal {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let mut map = serializer.serialize_map(None)?;
        map.serialize_entry("error", &self.error)?;
        if let Some(detail) = &self.detail {
            map.serialize_entry("detail", detail)?;
        }
        for (name, value) in &self.more {
            map.serialize_entry(name, value)?;
        }
        map.end()
    }
}

impl IntoResponse for Refusal {
    fn into_response(self) -> Response {
        let mut response = (self.status, Json(&self)).into_response();
        if self.status == StatusCode::SERVICE_UNAVAILABLE {
            response.headers_mut().insert(header::RETRY_AFTER, HeaderValue::from_static("1"));
        }
        response
    }
}

/// Every answer of the attribution API that is no success.
#[derive(Serialize, ToSchema)]
pub(crate) struct RefusalBody {
    /// A stable code for programs, like `invalid_body` or `forbidden_scope`.
    #[schema(example = "invalid_body")]
    error: String,
    /// What more there is to say: the faults of each field, or a sentence.
    #[serde(skip_serializing_if = "Option::is_none")]
    detail: Option<Value>,
}

/// The refusals that the operations of the attribution API share.
#[derive(IntoResponses)]
#[expect(dead_code, reason = "describes the answers to OpenAPI; none is ever built")]
pub(crate) enum AttributionRefusals {
    /// `invalid_body` or `invalid_query`: `detail.fieldErrors` says which field and why.
    #[response(status = 400)]
    Invalid(RefusalBody),
    /// `unauthorized`: no key, or none of this organization.
    #[response(status = 401)]
    Unauthorized(RefusalBody),
    /// `forbidden_scope`: the key lacks the scope `required`.
    #[response(status = 403)]
    Forbidden(RefusalBody),
    /// There is no such thing in the organization.
    #[response(status = 404)]
    NotFound(RefusalBody),
    /// The state of the thing does not allow it.
    #[response(status = 409)]
    Conflict(RefusalBody),
    /// `body_too_large`: more than 1 MiB.
    #[response(status = 413)]
    TooLarge(RefusalBody),
    /// `rate_limited`: the budget of the key is spent; `Retry-After` says for how long.
    #[response(status = 429)]
    RateLimited(RefusalBody),
    /// `unavailable`: the same request may succeed later.
    #[response(status = 503)]
    Unavailable(RefusalBody),
}

#[cfg(test)]
mod tests {
    use super::camel_case;

    #[test]
    fn fields_are_named_as_in_the_json() {
        for (room, json) in
            [("user_id", "userId"), ("value", "value"), ("link_key", "linkKey"), ("a__b", "aB")]
        {
            assert_eq!(camel_case(room), json);
        }
    }
}
