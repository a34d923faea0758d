//! A call on its way in and its answer on the way out.

use std::collections::HashMap;

use bytes::Bytes;
use http::{HeaderMap, StatusCode};
use serde::Serialize;
use serde::de::DeserializeOwned;
use serde_json::{Map, Value};

use super::auth::Caller;
use super::errors::Failure;
use super::routes::Route;

pub(crate) const JSON: &str = "application/json;charset=UTF-8";

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
}

/// An answer that is not an error.
#[derive(Debug)]
pub(crate) struct Reply {
    pub(crate) status: StatusCode,
    pub(crate) content_type: &'static str,
    pub(crate) body: Bytes,
    pub(crate) headers: Vec<(&'static str, String)>,
}

pub(crate) type Outcome = Result<Reply, Failure>;

impl Call {
    pub(crate) fn param(&self, name: &str) -> &str {
        self.params.get(name).map(String::as_str).unwrap_or_default()
    }

    pub(crate) fn query(&self, name: &str) -> Option<&str> {
        self.query.iter().find(|(key, _)| key == name).map(|(_, value)| value.as_str())
    }

    pub(crate) fn header(&self, name: &str) -> Option<&str> {
        self.headers.get(name).and_then(|value| value.to_str().ok())
    }

    /// One option of a header such as `Sforce-Query-Options: batchSize=500`.
    pub(crate) fn option(&self, header: &str, name: &str) -> Option<&str> {
        self.header(header)?.split([',', ';']).find_map(|pair| {
            let (key, value) = pair.split_once('=')?;
            key.trim().eq_ignore_ascii_case(name).then(|| value.trim())
        })
    }

    pub(crate) fn bearer(&self) -> Option<&str> {
        let (scheme, token) = self.header("authorization")?.split_once(' ')?;
        matches!(scheme.to_ascii_lowercase().as_str(), "bearer" | "oauth").then(|| token.trim())
    }

    pub(crate) fn now_s(&self) -> i64 {
        self.now_ms.div_euclid(1_000)
    }

    /// `v62.0`
    pub(crate) fn version(&self) -> &str {
        self.param("version")
    }

    /// 62 of `v62.0`
    pub(crate) fn release(&self) -> u32 {
        let digits = self.version().trim_start_matches('v').split('.').next();
        digits.and_then(|digits| digits.parse().ok()).unwrap_or(0)
    }

    /// The body, which must be a JSON object.
    pub(crate) fn object(&self) -> Result<Map<String, Value>, Failure> {
        match self.json()? {
            Value::Object(map) => Ok(map),
            _ => Err(parser("Unexpected character found where a JSON object was expected", 1, 1)),
        }
    }

    /// The body as the shape a route wants.
    pub(crate) fn shape<T: DeserializeOwned>(&self) -> Result<T, Failure> {
        let body = self.object()?;
        serde_json::from_value(Value::Object(body)).map_err(|error| parser(&error.to_string(), 1, 1))
    }

    fn json(&self) -> Result<Value, Failure> {
        serde_json::from_slice(&self.body)
            .map_err(|error| parser("Unexpected character or end of the body", error.line(), error.column()))
    }

    pub(crate) fn form(&self) -> HashMap<String, String> {
        serde_urlencoded::from_bytes(&self.body).unwrap_or_default()
    }
}

fn parser(what: &str, line: usize, column: usize) -> Failure {
    Failure::bad("JSON_PARSER_ERROR", format!("{what} at [line:{line}, column:{column}]"))
}

impl Reply {
    pub(crate) fn json<T: Serialize>(status: StatusCode, value: &T) -> Outcome {
        let body = serde_json::to_vec(value).map_err(|error| {
            Failure::new(StatusCode::INTERNAL_SERVER_ERROR, "UNKNOWN_EXCEPTION", error.to_string())
        })?;
        Ok(Self { status, content_type: JSON, body: body.into(), headers: Vec::new() })
    }

    pub(crate) fn ok<T: Serialize>(value: &T) -> Outcome {
        Self::json(StatusCode::OK, value)
    }

    /// JSON that is written already.
    pub(crate) fn written(body: Vec<u8>) -> Outcome {
        Ok(Self { status: StatusCode::OK, content_type: JSON, body: body.into(), headers: Vec::new() })
    }

    pub(crate) fn empty(status: StatusCode) -> Outcome {
        Ok(Self { status, content_type: JSON, body: Bytes::new(), headers: Vec::new() })
    }

    pub(crate) fn html(status: StatusCode, page: String) -> Self {
        Self { status, content_type: "text/html;charset=UTF-8", body: page.into(), headers: Vec::new() }
    }

    pub(crate) fn redirect(to: String) -> Self {
        let mut reply = Self::html(StatusCode::FOUND, String::new());
        reply.headers.push(("location", to));
        reply
    }
}
