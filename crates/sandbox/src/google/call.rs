//! A call on its way in and its answer on the way out.

use std::collections::HashMap;

use bytes::Bytes;
use http::{HeaderMap, StatusCode};
use serde::Serialize;
use serde::de::DeserializeOwned;
use serde_json::{Map, Value};

use super::auth::Caller;
use super::errors::{Failure, Style};
use super::routes::Route;

pub(crate) const JSON: &str = "application/json; charset=UTF-8";

/// One request, matched to its route.
#[derive(Debug)]
pub(crate) struct Call {
    pub(crate) route: &'static Route,
    pub(crate) path: String,
    pub(crate) params: HashMap<&'static str, String>,
    pub(crate) query: Vec<(String, String)>,
    pub(crate) headers: HeaderMap,
    pub(crate) body: Bytes,
    pub(crate) now_ms: i64,
    pub(crate) caller: Option<Caller>,
    /// A fault lets the answer be a page with nothing on it.
    pub(crate) empty_page: bool,
}

/// An answer that is not an error.
#[derive(Debug)]
pub(crate) struct Reply {
    pub(crate) status: StatusCode,
    pub(crate) content_type: &'static str,
    pub(crate) body: Bytes,
    pub(crate) location: Option<String>,
}

pub(crate) type Outcome = Result<Reply, Failure>;

impl Call {
    pub(crate) fn param(&self, name: &str) -> &str {
        self.params.get(name).map(String::as_str).unwrap_or_default()
    }

    pub(crate) fn query(&self, name: &str) -> Option<&str> {
        let found = self.query.iter().find(|(key, _)| key == name).map(|(_, value)| value.as_str());
        found.filter(|value| !value.is_empty())
    }

    pub(crate) fn flag(&self, name: &str) -> bool {
        self.query(name).is_some_and(|value| value.eq_ignore_ascii_case("true"))
    }

    pub(crate) fn header(&self, name: &str) -> Option<&str> {
        self.headers.get(name).and_then(|value| value.to_str().ok())
    }

    pub(crate) fn bearer(&self) -> Option<&str> {
        let header = self.header("authorization").and_then(|value| value.split_once(' '));
        let header = header.filter(|(scheme, _)| scheme.eq_ignore_ascii_case("bearer"));
        header.map(|(_, token)| token.trim()).or_else(|| self.query("access_token"))
    }

    /// How errors of this call look.
    pub(crate) fn style(&self) -> Style {
        if self.path.starts_with("/v2/") { Style::Modern } else { Style::Classic }
    }

    /// The address of the account that calls.
    pub(crate) fn email(&self) -> &str {
        self.caller.as_ref().map(|caller| caller.email.as_str()).unwrap_or_default()
    }

    /// The body, which must be a JSON object; an absent one is an empty object.
    pub(crate) fn object(&self) -> Result<Map<String, Value>, Failure> {
        if self.body.trim_ascii().is_empty() {
            return Ok(Map::new());
        }
        match serde_json::from_slice(&self.body) {
            Ok(Value::Object(map)) => Ok(map),
            _ => Err(Failure::parse()),
        }
    }

    /// The body as the shape a route wants.
    pub(crate) fn shape<T: DeserializeOwned>(&self) -> Result<T, Failure> {
        serde_json::from_value(Value::Object(self.object()?))
            .map_err(|error| Failure::bad("badRequest", &format!("Bad Request: {error}")))
    }

    /// Form fields in order, then the query's.
    pub(crate) fn form(&self) -> Vec<(String, String)> {
        let mut fields: Vec<(String, String)> = serde_urlencoded::from_bytes(&self.body).unwrap_or_default();
        fields.extend(self.query.iter().cloned());
        fields
    }
}

impl Reply {
    pub(crate) fn json<T: Serialize>(status: StatusCode, value: &T) -> Outcome {
        let body = serde_json::to_vec(value).map_err(|_| Failure::backend())?;
        Ok(Self { status, content_type: JSON, body: body.into(), location: None })
    }

    pub(crate) fn ok<T: Serialize>(value: &T) -> Outcome {
        Self::json(StatusCode::OK, value)
    }

    pub(crate) fn empty() -> Outcome {
        Ok(Self { status: StatusCode::NO_CONTENT, content_type: JSON, body: Bytes::new(), location: None })
    }

    pub(crate) fn html(status: StatusCode, page: String) -> Self {
        Self { status, content_type: "text/html; charset=utf-8", body: page.into(), location: None }
    }

    pub(crate) fn redirect(to: String) -> Self {
        let mut reply = Self::html(StatusCode::FOUND, String::new());
        reply.location = Some(to);
        reply
    }
}
