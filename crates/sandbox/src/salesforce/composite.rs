//! Several calls in one: composite requests and batches.

use std::collections::HashMap;

use bytes::Bytes;
use http::{HeaderName, HeaderValue, Method, StatusCode};
use serde::Deserialize;
use serde_json::{Map, Value, json};

use super::call::{Call, Outcome, Reply};
use super::errors::{Failure, Words};
use super::routes::{Class, Match, find};
use super::server::wrong_method;
use super::sim::Sim;

const MOST: usize = 25;
const HEAVY_MOST: usize = 5;

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Composite {
    #[serde(default)]
    all_or_none: bool,
    composite_request: Vec<Part>,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Part {
    method: String,
    url: String,
    reference_id: String,
    #[serde(default)]
    body: Option<Value>,
    #[serde(default)]
    http_headers: HashMap<String, String>,
}

/// What one of several calls came to.
struct Answer {
    status: StatusCode,
    body: Value,
    headers: Map<String, Value>,
}

/// `POST /composite`
pub(crate) fn composite(sim: &mut Sim, call: &Call) -> Outcome {
    let request: Composite = call.shape()?;
    check(&request)?;
    if request.all_or_none {
        sim.org.begin_together();
    }
    let mut answers: Vec<(String, Answer)> = Vec::new();
    let mut halted = false;
    for part in &request.composite_request {
        let answer = if halted { halt() } else { answer(sim, call, part, &answers) };
        halted |= request.all_or_none && !answer.status.is_success();
        answers.push((part.reference_id.clone(), answer));
    }
    if request.all_or_none {
        sim.org.end_together(!halted, call.now_ms);
        if halted {
            answers.iter_mut().filter(|(_, one)| one.status.is_success()).for_each(|(_, one)| *one = halt());
        }
    }
    let parts: Vec<Value> = answers
        .into_iter()
        .map(|(reference, one)| {
            json!({"body": one.body, "httpHeaders": one.headers,
            "httpStatusCode": one.status.as_u16(), "referenceId": reference})
        })
        .collect();
    Reply::ok(&json!({"compositeResponse": parts}))
}

fn check(request: &Composite) -> Result<(), Failure> {
    let parts = &request.composite_request;
    let heavy = |part: &&Part| part.url.contains("/query") || part.url.contains("/composite/sobjects");
    if parts.len() > MOST || parts.iter().filter(heavy).count() > HEAVY_MOST {
        let message =
            format!("At most {MOST} subrequests, {HEAVY_MOST} of them queries or collections, are allowed");
        return Err(Failure::bad("LIMIT_EXCEEDED", message));
    }
    for (at, part) in parts.iter().enumerate() {
        if parts[..at].iter().any(|other| other.reference_id == part.reference_id) {
            let message = format!("The reference id {} is used twice", part.reference_id);
            return Err(Failure::bad("INVALID_INPUT", message));
        }
    }
    Ok(())
}

fn halt() -> Answer {
    let message = "The transaction was rolled back since another operation in the same transaction failed.";
    let body = json!([{"errorCode": "PROCESSING_HALTED", "message": message}]);
    Answer { status: StatusCode::BAD_REQUEST, body, headers: Map::new() }
}

fn answer(sim: &mut Sim, call: &Call, part: &Part, earlier: &[(String, Answer)]) -> Answer {
    let filled = fill(&part.url, earlier)
        .and_then(|url| Ok((url, part.body.as_ref().map(|body| fill_all(body, earlier)).transpose()?)));
    match filled {
        Ok((url, body)) => run(sim, call, &part.method, &url, body.as_ref(), &part.http_headers),
        Err(reference) => {
            let message = format!("Invalid reference specified. No value for {reference} found");
            refused(Failure::bad("PROCESSING_HALTED", message))
        }
    }
}

fn refused(failure: Failure) -> Answer {
    let body = match failure.body {
        Words::Json(value) => value,
        Words::Plain(text) => json!(text),
        Words::Nothing => Value::Null,
    };
    Answer { status: failure.status, body, headers: Map::new() }
}

/// Runs one call inside another: same caller, own headers; the conditions of the outer one do not apply.
fn run(
    sim: &mut Sim,
    outer: &Call,
    method: &str,
    url: &str,
    body: Option<&Value>,
    headers: &HashMap<String, String>,
) -> Answer {
    match inner(outer, method, url, body, headers).and_then(|inner| (inner.route.handler)(sim, &inner)) {
        Err(failure) => refused(failure),
        Ok(reply) => {
            let body = serde_json::from_slice(&reply.body).unwrap_or(Value::Null);
            let location = reply.headers.into_iter().filter(|(name, _)| *name == "location");
            let headers = location.map(|(_, value)| ("Location".to_owned(), json!(value))).collect();
            Answer { status: reply.status, body, headers }
        }
    }
}

fn inner(
    outer: &Call,
    method: &str,
    url: &str,
    body: Option<&Value>,
    headers: &HashMap<String, String>,
) -> Result<Call, Failure> {
    let method: Method = method.to_uppercase().parse().map_err(|_| Failure::not_found())?;
    let (path, query) = url.split_once('?').unwrap_or((url, ""));
    let (route, params) = match find(&method, path) {
        Match::Route(route, params) if route.class == Class::Api => (route, params),
        Match::Route(..) | Match::Nothing => return Err(Failure::not_found()),
        Match::Methods(allowed) => return Err(wrong_method(&method, &allowed)),
    };
    if matches!(route.path.rsplit('/').next(), Some("composite" | "batch")) {
        return Err(Failure::bad("INVALID_INPUT", "A composite request cannot contain another one"));
    }
    let mut own = outer.headers.clone();
    own.remove("if-modified-since");
    own.remove("if-unmodified-since");
    for (name, value) in headers {
        if let (Ok(name), Ok(value)) = (name.parse::<HeaderName>(), value.parse::<HeaderValue>()) {
            own.insert(name, value);
        }
    }
    Ok(Call {
        route,
        path: path.to_owned(),
        params,
        query: serde_urlencoded::from_str(query).unwrap_or_default(),
        headers: own,
        body: body.map(|body| Bytes::from(body.to_string())).unwrap_or_default(),
        now_ms: outer.now_ms,
        caller: outer.caller.clone(),
    })
}

fn fill_all(value: &Value, earlier: &[(String, Answer)]) -> Result<Value, String> {
    Ok(match value {
        Value::String(text) => Value::String(fill(text, earlier)?),
        Value::Array(list) => list.iter().map(|one| fill_all(one, earlier)).collect::<Result<_, _>>()?,
        Value::Object(map) => {
            let filled = map.iter().map(|(key, one)| Ok((key.clone(), fill_all(one, earlier)?)));
            Value::Object(filled.collect::<Result<_, String>>()?)
        }
        other => other.clone(),
    })
}

/// Puts values of earlier answers in the place of `@{reference.path}`.
fn fill(text: &str, earlier: &[(String, Answer)]) -> Result<String, String> {
    let mut filled = String::new();
    let mut rest = text;
    while let Some((before, after)) = rest.split_once("@{") {
        let Some((reference, after)) = after.split_once('}') else { break };
        filled.push_str(before);
        filled.push_str(&resolve(reference, earlier).ok_or_else(|| reference.to_owned())?);
        rest = after;
    }
    filled.push_str(rest);
    Ok(filled)
}

fn resolve(reference: &str, earlier: &[(String, Answer)]) -> Option<String> {
    let pieces: Vec<&str> = reference.split(['.', '[', ']']).filter(|piece| !piece.is_empty()).collect();
    let (name, path) = pieces.split_first()?;
    let (_, answer) = earlier.iter().find(|(known, one)| known == name && one.status.is_success())?;
    let value = path.iter().try_fold(&answer.body, |value, piece| match piece.parse::<usize>() {
        Ok(at) => value.get(at),
        Err(_) => value.get(*piece),
    })?;
    match value {
        Value::String(text) => Some(text.clone()),
        Value::Null | Value::Array(_) | Value::Object(_) => None,
        other => Some(other.to_string()),
    }
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Batch {
    #[serde(default)]
    halt_on_error: bool,
    batch_requests: Vec<Request>,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Request {
    method: String,
    url: String,
    #[serde(default)]
    rich_input: Option<Value>,
}

/// `POST /composite/batch`
pub(crate) fn batch(sim: &mut Sim, call: &Call) -> Outcome {
    let batch: Batch = call.shape()?;
    if batch.batch_requests.len() > MOST {
        return Err(Failure::bad("LIMIT_EXCEEDED", format!("At most {MOST} subrequests are allowed")));
    }
    let (mut results, mut errors) = (Vec::new(), false);
    for request in &batch.batch_requests {
        if errors && batch.halt_on_error {
            let result = json!([{"errorCode": "BATCH_PROCESSING_HALTED",
                "message": "Batch processing halted per request"}]);
            results.push(json!({"statusCode": 412, "result": result}));
            continue;
        }
        let url = format!("/services/data/{}", request.url.trim_start_matches('/'));
        let url = if request.url.starts_with("/services/") { &request.url } else { &url };
        let done = run(sim, call, &request.method, url, request.rich_input.as_ref(), &HashMap::new());
        errors |= !done.status.is_success();
        results.push(json!({"statusCode": done.status.as_u16(), "result": done.body}));
    }
    Reply::ok(&json!({"hasErrors": errors, "results": results}))
}
