//! `$batch`: up to twenty calls in one, each with an answer of its own.

use std::collections::BTreeMap;

use bytes::Bytes;
use http::{HeaderMap, HeaderName, HeaderValue, Method, StatusCode, Uri};
use serde::Deserialize;
use serde_json::{Map, Value, json};

use super::call::{Call, Outcome, Reply};
use super::errors::Failure;
use super::routes::Class;
use super::server::{finish, read_call};
use super::sim::Sim;

const MOST: usize = 20;

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Part {
    id: String,
    method: String,
    url: String,
    #[serde(default)]
    headers: BTreeMap<String, String>,
    body: Option<Value>,
    #[serde(default)]
    depends_on: Vec<String>,
}

#[derive(Deserialize)]
struct Batch {
    requests: Vec<Part>,
}

/// `POST /$batch`
pub(crate) fn batch(sim: &mut Sim, call: &Call) -> Outcome {
    let Batch { requests } = call.json()?;
    if requests.len() > MOST {
        return Err(Failure::bad(
            "MaximumValueExceeded",
            "Number of batch request steps exceeds the maximum value 20.",
        ));
    }
    let mut done: BTreeMap<String, u16> = BTreeMap::new();
    let mut responses = Vec::new();
    for part in requests {
        let is_held_up = part.depends_on.iter().any(|id| done.get(id).is_none_or(|status| *status >= 400));
        let reply = if is_held_up {
            let message = "The request depends on another that failed.";
            finish(Err(Failure::new(StatusCode::FAILED_DEPENDENCY, "FailedDependency", message)), None)
        } else {
            one(sim, call, &part)
        };
        done.insert(part.id.clone(), reply.status.as_u16());
        responses.push(wire(&part.id, reply));
    }
    Reply::ok(&json!({ "responses": responses }))
}

fn one(sim: &mut Sim, batch: &Call, part: &Part) -> Reply {
    let mut inner = match inner(batch, part) {
        Ok(inner) => inner,
        Err(failure) => return finish(Err(failure), None),
    };
    let fault = sim.strike(&inner);
    let gone = || Err(Failure::new(StatusCode::GATEWAY_TIMEOUT, "UnknownError", ""));
    let outcome = sim.suffer(&mut inner, fault.as_ref()).unwrap_or_else(gone);
    let status = match &outcome {
        Ok(reply) => reply.status,
        Err(failure) => failure.status,
    };
    sim.log(&inner, fault.map(|fault| fault.kind), Some(status), inner.now_ms);
    finish(outcome, Some(&inner))
}

/// A part as a call of its own, with the batch's token.
fn inner(batch: &Call, part: &Part) -> Result<Call, Failure> {
    let wrong = || Failure::bad("BadRequest", "The batch contains a request that cannot be read.");
    let method: Method = part.method.to_ascii_uppercase().parse().map_err(|_| wrong())?;
    let uri: Uri = format!("/v1.0/{}", part.url.trim_start_matches('/')).parse().map_err(|_| wrong())?;
    let mut headers = HeaderMap::new();
    for (name, value) in &part.headers {
        let name: HeaderName = name.parse().map_err(|_| wrong())?;
        headers.append(name, HeaderValue::from_str(value).map_err(|_| wrong())?);
    }
    if let Some(token) = batch.headers.get("authorization") {
        headers.insert("authorization", token.clone());
    }
    let body = part.body.as_ref().map(|body| Bytes::from(body.to_string())).unwrap_or_default();
    let mut inner = read_call(method, &uri, headers, body, batch.origin.clone())?;
    if inner.route.class != Class::Graph || inner.route.path == batch.route.path {
        return Err(wrong());
    }
    inner.now_ms = batch.now_ms;
    Ok(inner)
}

fn wire(id: &str, reply: Reply) -> Value {
    let mut headers: Map<String, Value> =
        reply.headers.into_iter().map(|(name, value)| (name.to_owned(), json!(value))).collect();
    headers.insert("Content-Type".to_owned(), json!(reply.content_type));
    let body: Value = serde_json::from_slice(&reply.body).unwrap_or(Value::Null);
    let mut response = json!({"id": id, "status": reply.status.as_u16(), "headers": headers});
    if !body.is_null() {
        response["body"] = body;
    }
    response
}
