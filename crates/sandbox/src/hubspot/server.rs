//! The HTTP side: routes from the table, faults, the call log, headers of every answer.

use std::collections::HashMap;

use axum::Router;
use axum::extract::{ConnectInfo, DefaultBodyLimit, RawPathParams, Request, State};
use axum::response::Response;
use axum::routing::{MethodFilter, on};
use bytes::Bytes;
use http::{HeaderMap, Method, StatusCode, Uri, header};
use serde::Serialize;
use serde_json::json;
use uuid::Uuid;

use super::call::{Call, Outcome, Reply};
use super::errors::Failure;
use super::faults::{Fault, FaultKind};
use super::limits::Headers;
use super::routes::{Class, ROUTES, Route};
use super::sim::Sim;
use crate::calls::Entry;
use crate::clock::iso;
use crate::serving;
use crate::wiretap::Scissors;

const BODY_MOST: usize = 16 * 1024 * 1024;
/// The simulator as its tasks share it.
pub(crate) type Shared = serving::Shared<Sim>;

/// The router, built from the route table.
pub(crate) fn router(shared: Shared) -> Router {
    let mut router = Router::new();
    for route in ROUTES {
        let Ok(filter) = MethodFilter::try_from(route.method.clone()) else { continue };
        for path in route.paths() {
            let dated = Some(path) == route.dated;
            let handler = move |State(shared): State<Shared>,
                                ConnectInfo(scissors): ConnectInfo<Scissors>,
                                params: RawPathParams,
                                request: Request| {
                let params = params.iter().map(|(key, value)| (key.to_owned(), value.to_owned())).collect();
                serve(shared, scissors, route, dated, params, request)
            };
            router = router.route(path, on(filter, handler));
        }
    }
    router
        .fallback(|| async { plain(Err(Sim::unknown_path())) })
        .method_not_allowed_fallback(|| async { plain(Err(method_not_allowed())) })
        .layer(DefaultBodyLimit::disable())
        .with_state(shared)
}

fn method_not_allowed() -> Failure {
    Failure::new(StatusCode::METHOD_NOT_ALLOWED, "METHOD_NOT_ALLOWED", "Method Not Allowed")
}

fn plain(outcome: Outcome) -> Response {
    respond(outcome, Vec::new())
}

async fn serve(
    shared: Shared,
    scissors: Scissors,
    route: &'static Route,
    dated: bool,
    params: HashMap<String, String>,
    request: Request,
) -> Response {
    let (parts, body) = request.into_parts();
    let Ok(body) = axum::body::to_bytes(body, BODY_MOST).await else {
        let message = "the request body is too large or ended early";
        return plain(Err(Failure::new(StatusCode::PAYLOAD_TOO_LARGE, "VALIDATION_ERROR", message)));
    };
    let fault = shared.strike(route, &parts.method, &parts.uri);
    let (kind, delay_ms) = fault.map(|fault| (fault.kind, fault.delay_ms)).unzip();
    let delay_ms = delay_ms.flatten();
    if kind == Some(FaultKind::Slow) {
        shared.dawdle(delay_ms).await;
    }
    let mut call = read_call(route, dated, params, &parts.uri, &parts.headers, body);
    let Some((outcome, headers)) = shared.perform(&mut call, kind) else {
        return serving::hang_up(&scissors);
    };
    match kind {
        Some(FaultKind::TimeoutAfterApply) => shared.hang(delay_ms, &scissors).await,
        Some(FaultKind::CutMidBody) => serving::cut(respond(outcome, headers)).await,
        _ => respond(outcome, headers),
    }
}

fn read_call(
    route: &'static Route,
    dated: bool,
    params: HashMap<String, String>,
    uri: &Uri,
    headers: &HeaderMap,
    body: Bytes,
) -> Call {
    let query = uri.query().unwrap_or_default();
    let bearer = headers
        .get(header::AUTHORIZATION)
        .and_then(|value| value.to_str().ok())
        .and_then(|value| value.split_once(' '))
        .filter(|(scheme, _)| scheme.eq_ignore_ascii_case("bearer"))
        .map(|(_, token)| token.trim().to_owned());
    Call {
        route,
        path: uri.path().to_owned(),
        dated,
        params,
        query: serde_urlencoded::from_str(query).unwrap_or_default(),
        bearer,
        body,
        now_ms: 0,
        caller: None,
    }
}

impl Shared {
    fn strike(&self, route: &Route, method: &Method, uri: &Uri) -> Option<Fault> {
        if route.class == Class::Control {
            return None;
        }
        let mut sim = self.lock();
        let Sim { faults, rng, .. } = &mut *sim;
        faults.hit(rng, |fault| fault.on.covers(method.as_str(), uri.path()))
    }

    /// Runs a call under its fault. None means that the connection ends without an answer.
    pub(crate) fn perform(&self, call: &mut Call, fault: Option<FaultKind>) -> Option<(Outcome, Headers)> {
        let mut sim = self.lock();
        call.now_ms = sim.clock.now_ms();
        let answer = match fault {
            Some(FaultKind::DropConnection) => None,
            Some(FaultKind::Gateway) => Some((Ok(bad_gateway()), Headers::new())),
            Some(kind) => match kind.answer() {
                Some(failure) => Some((Err(failure), Headers::new())),
                None => Some(sim.run(call)),
            },
            None => Some(sim.run(call)),
        };
        if call.route.class != Class::Control {
            sim.log(call, fault, answer.as_ref().map(|(outcome, _)| outcome));
        }
        answer
    }
}

/// Whose call it was.
#[derive(Debug, Clone, Serialize)]
pub(crate) struct Client {
    app_id: Option<u64>,
}

impl Sim {
    fn log(&mut self, call: &Call, fault: Option<FaultKind>, outcome: Option<&Outcome>) {
        let status = match (fault, outcome) {
            (Some(FaultKind::TimeoutAfterApply | FaultKind::DropConnection), _) | (_, None) => 0,
            (_, Some(Ok(reply))) => reply.status.as_u16(),
            (_, Some(Err(failure))) => failure.status.as_u16(),
        };
        let secret = call.route.path.ends_with("{token}");
        self.calls.record(Entry {
            at: iso(call.now_ms),
            method: call.route.method.to_string(),
            path: if secret { call.route.path.to_owned() } else { call.path.clone() },
            route: call.route.path,
            class: call.route.class.word(),
            status,
            client: Client { app_id: call.caller.as_ref().map(|caller| caller.app_id) },
            fault: fault.and_then(|kind| serde_json::to_value(kind).ok()),
        });
    }
}

/// Turns an outcome into HTTP: correlation id in body and header, rate limit headers, redirects.
fn respond(outcome: Outcome, headers: Headers) -> Response {
    let correlation = Uuid::new_v4().to_string();
    let (reply, extra) = match outcome {
        Ok(reply) => (reply, Vec::new()),
        Err(mut failure) => {
            failure.set("correlationId", json!(correlation));
            let body = failure.body.to_string().into();
            let content_type = "application/json;charset=utf-8";
            (Reply { status: failure.status, content_type, body, location: None }, failure.headers)
        }
    };
    let location = reply.location.map(|to| ("location", to));
    let correlation = [("x-hubspot-correlation-id", correlation)];
    let headers = headers.into_iter().chain(extra).chain(location).chain(correlation);
    serving::answer((reply.status, reply.content_type, reply.body), headers)
}

fn bad_gateway() -> Reply {
    Reply::html(StatusCode::BAD_GATEWAY, serving::bad_gateway("cloudflare"))
}
