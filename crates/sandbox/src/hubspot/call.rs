//! A call on its way in and its answer on the way out.

use std::collections::HashMap;

use bytes::Bytes;
use http::StatusCode;
use serde::de::{DeserializeOwned, Error};
use serde::{Deserialize, Deserializer, Serialize};
use serde_json::Value;

use super::auth::Caller;
use super::errors::Failure;
use super::routes::Route;

/// One request, matched to its route.
#[derive(Debug)]
pub(crate) struct Call {
    pub(crate) route: &'static Route,
    pub(crate) path: String,
    /// Whether the date-based spelling of the path was used.
    pub(crate) dated: bool,
    pub(crate) params: HashMap<String, String>,
    pub(crate) query: Vec<(String, String)>,
    pub(crate) bearer: Option<String>,
    pub(crate) body: Bytes,
    pub(crate) now_ms: i64,
    pub(crate) caller: Option<Caller>,
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
        self.query.iter().find(|(key, _)| key == name).map(|(_, value)| value.as_str())
    }

    pub(crate) fn flag(&self, name: &str) -> bool {
        self.query(name).is_some_and(|value| value.eq_ignore_ascii_case("true"))
    }

    /// A list given as `a,b`, as repeated parameters, or both.
    pub(crate) fn list(&self, name: &str) -> Option<Vec<String>> {
        let mut found = false;
        let mut list = Vec::new();
        for (_, value) in self.query.iter().filter(|(key, _)| key == name) {
            found = true;
            list.extend(value.split(',').map(str::trim).filter(|item| !item.is_empty()).map(String::from));
        }
        found.then_some(list)
    }

    /// The page size asked for; more than `most` is refused.
    pub(crate) fn limit(&self, default: usize, most: usize) -> Result<usize, Failure> {
        let Some(text) = self.query("limit") else { return Ok(default) };
        match text.parse::<usize>() {
            Ok(limit) if limit <= most => Ok(limit.max(1)),
            Ok(limit) => Err(Failure::validation(format!("limit {limit} exceeds the maximum of {most}"))),
            Err(_) => Err(Failure::validation(format!("limit is not a number: {text}"))),
        }
    }

    /// The body, which must be a JSON object: a list would pass for a struct whose fields are optional.
    pub(crate) fn json<T: DeserializeOwned>(&self) -> Result<T, Failure> {
        if self.body.trim_ascii_start().first() != Some(&b'{') {
            return Err(Failure::validation("Invalid input JSON: a JSON object is expected"));
        }
        self.json_value()
    }

    /// The body, which must be a JSON list.
    pub(crate) fn json_list<T: DeserializeOwned>(&self) -> Result<Vec<T>, Failure> {
        self.json_value()
    }

    fn json_value<T: DeserializeOwned>(&self) -> Result<T, Failure> {
        serde_json::from_slice(&self.body)
            .map_err(|error| Failure::validation(format!("Invalid input JSON: {error}")))
    }

    /// The id of a record in the path or a body.
    pub(crate) fn id(text: &str) -> Result<u64, Failure> {
        text.trim().parse().map_err(|_| Failure::validation(format!("Invalid object id: {text}")))
    }

    pub(crate) fn form(&self) -> HashMap<String, String> {
        serde_urlencoded::from_bytes(&self.body).unwrap_or_default()
    }
}

impl Reply {
    pub(crate) fn json<T: Serialize>(status: StatusCode, value: &T) -> Outcome {
        let body = serde_json::to_vec(value).map_err(|error| {
            Failure::new(StatusCode::INTERNAL_SERVER_ERROR, "INTERNAL_ERROR", error.to_string())
        })?;
        let content_type = "application/json;charset=utf-8";
        Ok(Self { status, content_type, body: body.into(), location: None })
    }

    pub(crate) fn ok<T: Serialize>(value: &T) -> Outcome {
        Self::json(StatusCode::OK, value)
    }

    pub(crate) fn empty() -> Outcome {
        let content_type = "application/json;charset=utf-8";
        Ok(Self { status: StatusCode::NO_CONTENT, content_type, body: Bytes::new(), location: None })
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

/// Reads an id that clients send as text or as a number.
pub(crate) fn text<'de, D: Deserializer<'de>>(from: D) -> Result<String, D::Error> {
    match Value::deserialize(from)? {
        Value::String(text) => Ok(text),
        Value::Number(number) => Ok(number.to_string()),
        other => Err(D::Error::custom(format!("expected an id, found {other}"))),
    }
}
