//! A call on its way in and its answer on the way out.

use std::collections::HashMap;

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use bytes::Bytes;
use http::{HeaderMap, StatusCode, header};
use serde::Serialize;
use serde::de::DeserializeOwned;
use serde_json::{Map, Value, json};

use super::auth::Caller;
use super::errors::Failure;
use super::routes::{Class, Route};

/// One request, matched to its route.
#[derive(Debug)]
pub(crate) struct Call {
    pub(crate) route: &'static Route,
    pub(crate) path: String,
    pub(crate) params: HashMap<String, String>,
    pub(crate) query: Vec<(String, String)>,
    pub(crate) credentials: Credentials,
    /// What the client calls the simulator.
    pub(crate) host: Option<String>,
    pub(crate) args: Result<Args, Failure>,
    pub(crate) body: Bytes,
    pub(crate) now_ms: i64,
    pub(crate) caller: Option<Caller>,
}

/// What the `Authorization` header says.
#[derive(Debug, Clone, Default)]
pub(crate) struct Credentials {
    pub(crate) bearer: Option<String>,
    /// Client id and secret.
    pub(crate) basic: Option<(String, String)>,
}

/// The arguments of a method, however they were sent.
#[derive(Debug, Clone, Default)]
pub(crate) struct Args(Map<String, Value>);

/// An answer that is not an error.
#[derive(Debug)]
pub(crate) struct Reply {
    pub(crate) status: StatusCode,
    pub(crate) content_type: &'static str,
    pub(crate) body: Bytes,
    pub(crate) location: Option<String>,
    /// What must happen before it is given; it is then made anew.
    pub(crate) awaits: Option<Awaits>,
}

/// Something that an answer waits for.
#[derive(Debug, Clone)]
pub(crate) enum Awaits {
    /// A delivery has been answered or given up, and is shown.
    Delivery(u64),
    /// The same, and the browser goes on to a page.
    Page { delivery: u64, to: String },
    /// A message that looks like this, for so many milliseconds.
    Message { search: super::control::Search, patience_ms: u64 },
}

pub(crate) type Outcome = Result<Reply, Failure>;

impl Call {
    pub(crate) fn param(&self, name: &str) -> &str {
        self.params.get(name).map(String::as_str).unwrap_or_default()
    }

    pub(crate) fn query(&self, name: &str) -> Option<&str> {
        self.query.iter().find(|(key, _)| key == name).map(|(_, value)| value.as_str())
    }

    /// The body of a control call; none is an empty object.
    pub(crate) fn json<T: DeserializeOwned>(&self) -> Result<T, Failure> {
        let body: &[u8] = if self.body.is_empty() { b"{}" } else { &self.body };
        if body.trim_ascii_start().first() != Some(&b'{') {
            return Err(Failure::bad("a JSON object is expected"));
        }
        serde_json::from_slice(body).map_err(|error| Failure::bad(format!("invalid JSON: {error}")))
    }

    pub(crate) fn form(&self) -> HashMap<String, String> {
        serde_urlencoded::from_bytes(&self.body).unwrap_or_default()
    }

    pub(crate) fn args(&self) -> Result<&Args, Failure> {
        self.args.as_ref().map_err(Clone::clone)
    }

    pub(crate) fn caller(&self) -> Result<&Caller, Failure> {
        self.caller.as_ref().ok_or_else(|| Failure::named("not_authed"))
    }
}

impl Credentials {
    pub(crate) fn read(headers: &HeaderMap) -> Self {
        let given = headers.get(header::AUTHORIZATION).and_then(|value| value.to_str().ok());
        let Some((scheme, rest)) = given.and_then(|value| value.split_once(' ')) else {
            return Self::default();
        };
        if scheme.eq_ignore_ascii_case("bearer") {
            return Self { bearer: Some(rest.trim().to_owned()), basic: None };
        }
        let pair = STANDARD.decode(rest.trim()).ok().and_then(|bytes| String::from_utf8(bytes).ok());
        let basic =
            pair.and_then(|pair| pair.split_once(':').map(|(id, secret)| (id.to_owned(), secret.to_owned())));
        Self { bearer: None, basic }
    }
}

impl Args {
    /// Reads the arguments of a method: of the query, of a form, or of JSON where the method takes it.
    pub(crate) fn read(
        route: &Route,
        query: &[(String, String)],
        content_type: &str,
        body: &Bytes,
    ) -> Result<Self, Failure> {
        let mut args = Map::new();
        args.extend(query.iter().map(|(key, value)| (key.clone(), json!(value))));
        if route.class == Class::Control || body.is_empty() {
            return Ok(Self(args));
        }
        let kind = content_type.split(';').next().unwrap_or_default().trim().to_ascii_lowercase();
        match kind.as_str() {
            "application/json" if route.json => {
                match serde_json::from_slice(body).map_err(|_| Failure::named("invalid_json"))? {
                    Value::Object(given) => args.extend(given),
                    _ => return Err(Failure::named("json_not_object")),
                }
            }
            // Methods that read take no JSON: to them it says nothing.
            "application/json" => {}
            "application/x-www-form-urlencoded" => {
                let form: Vec<(String, String)> =
                    serde_urlencoded::from_bytes(body).map_err(|_| Failure::named("invalid_form_data"))?;
                args.extend(form.into_iter().map(|(key, value)| (key, json!(value))));
            }
            "" => return Err(Failure::named("missing_post_type")),
            _ => return Err(Failure::named("invalid_post_type")),
        }
        Ok(Self(args))
    }

    pub(crate) fn from_value(value: Value) -> Self {
        match value {
            Value::Object(map) => Self(map),
            _ => Self::default(),
        }
    }

    /// Text; a number or a truth sent as JSON counts as its text.
    pub(crate) fn text(&self, name: &str) -> Option<String> {
        match self.0.get(name)? {
            Value::String(text) if text.is_empty() => None,
            Value::String(text) => Some(text.clone()),
            Value::Null => None,
            other => Some(other.to_string()),
        }
    }

    /// Text that must be there.
    pub(crate) fn needed(&self, name: &str) -> Result<String, Failure> {
        self.text(name).ok_or_else(|| Failure::missing_argument(name))
    }

    pub(crate) fn flag(&self, name: &str) -> bool {
        self.text(name).is_some_and(|text| text == "true" || text == "1")
    }

    /// A structure, sent as JSON or as text that holds JSON.
    pub(crate) fn structure(&self, name: &str, wrong: &str) -> Result<Option<Value>, Failure> {
        match self.0.get(name) {
            None | Some(Value::Null) => Ok(None),
            Some(Value::String(text)) if text.is_empty() => Ok(None),
            Some(Value::String(text)) => {
                serde_json::from_str(text).map(Some).map_err(|_| Failure::named(wrong))
            }
            Some(other) => Ok(Some(other.clone())),
        }
    }

    /// The page size asked for, between one and `most`.
    pub(crate) fn limit(&self, default: usize, most: usize) -> Result<usize, Failure> {
        let Some(text) = self.text("limit") else { return Ok(default) };
        let asked: usize = text.parse().map_err(|_| Failure::named("invalid_limit"))?;
        if asked == 0 { Ok(default) } else { Ok(asked.min(most)) }
    }
}

impl Reply {
    pub(crate) fn json<T: Serialize>(value: &T) -> Outcome {
        let body = serde_json::to_vec(value)
            .map_err(|_| Failure::new(StatusCode::INTERNAL_SERVER_ERROR, "internal_error"))?;
        Ok(Self::of("application/json; charset=utf-8", body.into()))
    }

    /// A success of the Web API: the fields beside `"ok": true`.
    pub(crate) fn ok(mut fields: Value) -> Outcome {
        fields["ok"] = json!(true);
        Self::json(&fields)
    }

    pub(crate) fn of(content_type: &'static str, body: Bytes) -> Self {
        Self { status: StatusCode::OK, content_type, body, location: None, awaits: None }
    }

    pub(crate) fn html(status: StatusCode, page: String) -> Self {
        Self { status, ..Self::of("text/html; charset=utf-8", page.into()) }
    }

    pub(crate) fn redirect(to: String) -> Self {
        Self { location: Some(to), ..Self::html(StatusCode::SEE_OTHER, String::new()) }
    }

    pub(crate) fn empty() -> Outcome {
        Ok(Self { status: StatusCode::NO_CONTENT, ..Self::of("text/plain", Bytes::new()) })
    }

    pub(crate) fn after(awaits: Awaits) -> Outcome {
        Ok(Self { awaits: Some(awaits), ..Self::json(&json!({"ok": true}))? })
    }
}
