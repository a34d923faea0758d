//! The HTTP side: routes from the table, faults, the call log, headers of every answer.

use axum::Router;
use axum::extract::{ConnectInfo, DefaultBodyLimit, Request, State};
use axum::response::Response;
use bytes::Bytes;
use http::StatusCode;
use http::header::RETRY_AFTER;
use serde::Serialize;

use super::call::{Call, JSON, Outcome, Reply};
use super::errors::{Failure, Words};
use super::faults::{Fault, FaultKind};
use super::routes::{Class, Match, find};
use super::sim::Sim;
use crate::calls::Entry;
use crate::clock::iso;
use crate::serving;
use crate::wiretap::Scissors;

const BODY_MOST: usize = 50 * 1024 * 1024;
/// The longest request target that is read.
const URI_MOST: usize = 16_384;
/// The simulator as its tasks share it.
pub(crate) type Shared = serving::Shared<Sim>;

impl Shared {
    fn strike(&self, call: &Call) -> Option<Fault> {
        if call.route.class == Class::Control {
            return None;
        }
        let mut sim = self.lock();
        let Sim { faults, rng, .. } = &mut *sim;
        faults.strike(call.route.method.as_str(), &call.path, rng)
    }

    /// Runs a call under its fault. None means that the connection ends without an answer.
    pub(crate) fn perform(&self, call: &mut Call, fault: Option<FaultKind>) -> Option<Outcome> {
        let mut sim = self.lock();
        call.now_ms = sim.clock.now_ms();
        let answer = match fault {
            Some(FaultKind::DropConnection) => None,
            Some(FaultKind::Gateway) => Some(Ok(at_the_edge(StatusCode::BAD_GATEWAY))),
            Some(FaultKind::TooManyCalls) => Some(Ok(at_the_edge(StatusCode::TOO_MANY_REQUESTS))),
            Some(kind) => Some(kind.answer().map_or_else(|| sim.run(call), Err)),
            None => Some(sim.run(call)),
        };
        if call.route.class != Class::Control {
            sim.log(call, fault, answer.as_ref());
        }
        answer
    }
}

/// What the client calls itself in `Sforce-Call-Options`.
#[derive(Debug, Clone, Serialize)]
pub(crate) struct Client {
    client: Option<String>,
}

impl Sim {
    fn log(&mut self, call: &Call, fault: Option<FaultKind>, outcome: Option<&Outcome>) {
        let status = match (fault, outcome) {
            (Some(FaultKind::TimeoutAfterApply | FaultKind::DropConnection), _) | (_, None) => 0,
            (_, Some(Ok(reply))) => reply.status.as_u16(),
            (_, Some(Err(failure))) => failure.status.as_u16(),
        };
        self.calls.record(Entry {
            at: iso(call.now_ms),
            method: call.route.method.to_string(),
            path: call.path.clone(),
            route: call.route.path,
            class: call.route.class.word(),
            status,
            client: Client { client: call.option("sforce-call-options", "client").map(str::to_owned) },
            fault: fault.and_then(|kind| serde_json::to_value(kind).ok()),
        });
    }
}

/// The router: one handler, which looks into the route table itself.
pub(crate) fn router(shared: Shared) -> Router {
    Router::new().fallback(serve).layer(DefaultBodyLimit::disable()).with_state(shared)
}

async fn serve(
    State(shared): State<Shared>,
    ConnectInfo(scissors): ConnectInfo<Scissors>,
    request: Request,
) -> Response {
    let (parts, body) = request.into_parts();
    let Ok(body) = axum::body::to_bytes(body, BODY_MOST).await else {
        return respond(Err(Failure::new(
            StatusCode::PAYLOAD_TOO_LARGE,
            "REQUEST_TOO_LARGE",
            "The request body is too large or ended early",
        )));
    };
    let moved = shared.lock().instance_path();
    let mut call = match read_call(&parts, body, &moved) {
        Ok(call) => call,
        Err(failure) => return respond(Err(failure)),
    };
    let fault = shared.strike(&call);
    let (kind, delay_ms) = fault.map(|fault| (fault.kind, fault.delay_ms)).unzip();
    let delay_ms = delay_ms.flatten();
    if kind == Some(FaultKind::Slow) {
        shared.dawdle(delay_ms).await;
    }
    let Some(outcome) = shared.perform(&mut call, kind) else { return serving::hang_up(&scissors) };
    let mut response = serving::dated(respond(outcome), call.now_ms);
    match kind {
        Some(FaultKind::TooManyCalls) => {
            let seconds = delay_ms.map(|ms| ms.div_ceil(1_000).into());
            response.headers_mut().extend(seconds.map(|seconds| (RETRY_AFTER, seconds)));
            response
        }
        Some(FaultKind::TimeoutAfterApply) => shared.hang(delay_ms, &scissors).await,
        Some(FaultKind::CutMidBody) => serving::cut(response).await,
        _ => response,
    }
}

fn read_call(parts: &http::request::Parts, body: Bytes, moved: &str) -> Result<Call, Failure> {
    let target = parts.uri.path_and_query().map_or(0, |target| target.as_str().len());
    if target > URI_MOST {
        return Err(Failure::new(StatusCode::URI_TOO_LONG, "REQUEST_TOO_LARGE", "The URI is too long"));
    }
    let query: Vec<(String, String)> =
        serde_urlencoded::from_str(parts.uri.query().unwrap_or_default()).unwrap_or_default();
    let wanted = query.iter().find(|(key, _)| key == "_HttpMethod").map(|(_, method)| method.as_str());
    let method = match wanted.filter(|_| parts.method == http::Method::POST) {
        Some(method) => method.parse().map_err(|_| Failure::not_found())?,
        None => parts.method.clone(),
    };
    let path = parts.uri.path();
    let path = path.strip_prefix(moved).unwrap_or(path).to_owned();
    let (route, params) = match find(&method, &path) {
        Match::Route(route, params) => (route, params),
        Match::Methods(allowed) => return Err(wrong_method(&method, &allowed)),
        Match::Nothing => return Err(Failure::not_found()),
    };
    Ok(Call { route, path, params, query, headers: parts.headers.clone(), body, now_ms: 0, caller: None })
}

pub(crate) fn wrong_method(method: &http::Method, allowed: &[&str]) -> Failure {
    let message = format!("HTTP Method '{method}' not allowed. Allowed are {}", allowed.join(","));
    Failure::new(StatusCode::METHOD_NOT_ALLOWED, "METHOD_NOT_ALLOWED", message)
}

/// Turns an outcome into HTTP.
fn respond(outcome: Outcome) -> Response {
    let reply = outcome.unwrap_or_else(|failure| {
        let (content_type, body) = match failure.body {
            Words::Json(value) => (JSON, value.to_string()),
            Words::Plain(text) => ("text/plain;charset=UTF-8", text.to_owned()),
            Words::Nothing => (JSON, String::new()),
        };
        Reply { status: failure.status, content_type, body: body.into(), headers: failure.headers }
    });
    serving::answer((reply.status, reply.content_type, reply.body), reply.headers)
}

/// An answer of what stands in front of the vendor.
fn at_the_edge(status: StatusCode) -> Reply {
    Reply::html(status, serving::gateway_page(status, "sfdcedge"))
}
