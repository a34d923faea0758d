//! A call on its way in and its answer on the way out.

use std::collections::HashMap;

use bytes::Bytes;
use http::{HeaderMap, StatusCode};
use serde::Serialize;
use serde::de::DeserializeOwned;

use super::auth::Caller;
use super::errors::Failure;
use super::routes::Route;

pub(crate) const JSON: &str =
    "application/json;odata.metadata=minimal;odata.streaming=true;IEEE754Compatible=false;charset=utf-8";

/// One request, matched to its route.
#[derive(Debug)]
pub(crate) struct Call {
    pub(crate) route: &'static Route,
    pub(crate) path: String,
    pub(crate) params: HashMap<String, String>,
    pub(crate) query: Vec<(String, String)>,
    pub(crate) headers: HeaderMap,
    pub(crate) body: Bytes,
    /// `http://host:port` as the client calls it; links in answers begin with it.
    pub(crate) origin: String,
    /// Whom `/users/{id}` names; None for `/me`.
    pub(crate) user: Option<String>,
    /// Whether the endpoints of a new subscription proved themselves.
    pub(crate) validated: Option<Result<(), String>>,
    pub(crate) now_ms: i64,
    pub(crate) caller: Option<Caller>,
}

/// What a call prefers, by its `Prefer` headers.
#[derive(Debug, Default, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Prefer {
    pub(crate) immutable: bool,
    pub(crate) text: bool,
    pub(crate) page: Option<usize>,
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

    /// A parameter of the query; `$select` may be spelled `select` too.
    pub(crate) fn query(&self, name: &str) -> Option<&str> {
        let bare = name.trim_start_matches('$');
        let is_it = |key: &str| key == name || (key == bare);
        self.query.iter().find(|(key, _)| is_it(key)).map(|(_, value)| value.as_str())
    }

    pub(crate) fn header(&self, name: &str) -> Option<&str> {
        self.headers.get(name).and_then(|value| value.to_str().ok())
    }

    pub(crate) fn bearer(&self) -> Option<&str> {
        let (scheme, token) = self.header("authorization")?.split_once(' ')?;
        scheme.eq_ignore_ascii_case("bearer").then(|| token.trim())
    }

    pub(crate) fn prefer(&self) -> Prefer {
        let mut prefer = Prefer::default();
        let headers = self.headers.get_all("prefer").iter().filter_map(|value| value.to_str().ok());
        for one in headers.flat_map(|value| value.split(',')) {
            let Some((key, value)) = one.split_once('=') else { continue };
            let value = value.trim().trim_matches('"');
            match key.trim().to_ascii_lowercase().as_str() {
                "idtype" => prefer.immutable = value.eq_ignore_ascii_case("ImmutableId"),
                "outlook.body-content-type" => prefer.text = value.eq_ignore_ascii_case("text"),
                "odata.maxpagesize" => prefer.page = value.parse().ok().filter(|size| *size > 0),
                _ => {}
            }
        }
        prefer
    }

    /// The body, which must be a JSON object.
    pub(crate) fn json<T: DeserializeOwned>(&self) -> Result<T, Failure> {
        let wrong =
            |why: String| Failure::bad("BadRequest", format!("Unable to read JSON request payload. {why}"));
        if self.body.trim_ascii_start().first() != Some(&b'{') {
            return Err(wrong("A JSON object is expected.".to_owned()));
        }
        serde_json::from_slice(&self.body).map_err(|error| wrong(error.to_string()))
    }

    pub(crate) fn form(&self) -> HashMap<String, String> {
        serde_urlencoded::from_bytes(&self.body).unwrap_or_default()
    }
}

impl Prefer {
    /// What of it was honoured, as the answer says it.
    pub(crate) fn applied(self) -> Option<String> {
        let mut list = Vec::new();
        if self.immutable {
            list.push("IdType=\"ImmutableId\"".to_owned());
        }
        if self.text {
            list.push("outlook.body-content-type=\"text\"".to_owned());
        }
        if let Some(page) = self.page {
            list.push(format!("odata.maxpagesize={page}"));
        }
        (!list.is_empty()).then(|| list.join(", "))
    }
}

impl Reply {
    pub(crate) fn json<T: Serialize>(status: StatusCode, value: &T) -> Outcome {
        let body = serde_json::to_vec(value).map_err(|error| {
            Failure::new(StatusCode::INTERNAL_SERVER_ERROR, "UnknownError", error.to_string())
        })?;
        Ok(Self { status, content_type: JSON, body: body.into(), headers: Vec::new() })
    }

    pub(crate) fn ok<T: Serialize>(value: &T) -> Outcome {
        Self::json(StatusCode::OK, value)
    }

    pub(crate) fn empty(status: StatusCode) -> Outcome {
        Ok(Self { status, content_type: "text/plain", body: Bytes::new(), headers: Vec::new() })
    }

    pub(crate) fn html(status: StatusCode, page: String) -> Self {
        let content_type = "text/html; charset=utf-8";
        Self { status, content_type, body: page.into(), headers: Vec::new() }
    }

    pub(crate) fn redirect(to: String) -> Self {
        let mut reply = Self::html(StatusCode::FOUND, String::new());
        reply.headers.push(("location", to));
        reply
    }
}
