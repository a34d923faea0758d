//! The HTTP side: routes from the table, faults, the call log, answers that wait.

use std::collections::HashMap;
use std::sync::Arc;
use std::time::Duration;

use axum::Router;
use axum::extract::{ConnectInfo, DefaultBodyLimit, RawPathParams, Request, State};
use axum::response::Response;
use axum::routing::on;
use bytes::Bytes;
use http::{StatusCode, header, request::Parts};
use serde::Serialize;
use serde_json::json;
use uuid::Uuid;

use super::call::{Args, Awaits, Call, Credentials, Outcome, Reply};
use super::control;
use super::errors::Failure;
use super::faults::{Fault, FaultKind};
use super::routes::{Class, ROUTES, Route};
use super::sim::{Headers, Sim};
use crate::calls::Entry;
use crate::clock::iso;
use crate::serving;
use crate::wiretap::Scissors;

const BODY_MOST: usize = 4 * 1024 * 1024;
/// The simulator as its tasks share it.
pub(crate) type Shared = serving::Shared<Sim>;

/// The router, built from the route table.
pub(crate) fn router(shared: Shared) -> Router {
    let mut router = Router::new();
    for route in ROUTES {
        let handler = move |State(shared): State<Shared>,
                            ConnectInfo(scissors): ConnectInfo<Scissors>,
                            params: RawPathParams,
                            request: Request| {
            let params = params.iter().map(|(key, value)| (key.to_owned(), value.to_owned())).collect();
            serve(shared, scissors, route, params, request)
        };
        router = router.route(route.path, on(route.verb.filter(), handler));
    }
    router
        .fallback(|request: Request| async move { respond(Err(unknown(request.uri().path())), Vec::new()) })
        .layer(DefaultBodyLimit::disable())
        .with_state(shared)
}

/// The answer to a path that no route has.
pub(crate) fn unknown(path: &str) -> Failure {
    match path.strip_prefix("/api/") {
        Some(method) => Failure::named("unknown_method").with("req_method", json!(method)),
        None => Failure::missing("not_found"),
    }
}

async fn serve(
    shared: Shared,
    scissors: Scissors,
    route: &'static Route,
    params: HashMap<String, String>,
    request: Request,
) -> Response {
    let (parts, body) = request.into_parts();
    let Ok(body) = axum::body::to_bytes(body, BODY_MOST).await else {
        return respond(Err(Failure::new(StatusCode::PAYLOAD_TOO_LARGE, "request_too_large")), Vec::new());
    };
    let fault = shared.strike(route, &parts);
    let (kind, delay_ms) = fault.as_ref().map(|fault| (fault.kind, fault.delay_ms)).unzip();
    let delay_ms = delay_ms.flatten();
    if kind == Some(FaultKind::Slow) {
        shared.dawdle(delay_ms).await;
    }
    let mut call = read_call(route, params, &parts, body);
    let Some((outcome, headers)) = shared.perform(&mut call, fault.as_ref()) else {
        return serving::hang_up(&scissors);
    };
    let outcome = shared.settle(outcome).await;
    match kind {
        Some(FaultKind::TimeoutAfterApply) => shared.hang(delay_ms, &scissors).await,
        Some(FaultKind::CutMidBody) => serving::cut(respond(outcome, headers)).await,
        _ => respond(outcome, headers),
    }
}

fn read_call(route: &'static Route, params: HashMap<String, String>, parts: &Parts, body: Bytes) -> Call {
    let query: Vec<(String, String)> =
        serde_urlencoded::from_str(parts.uri.query().unwrap_or_default()).unwrap_or_default();
    let content_type = parts.headers.get(header::CONTENT_TYPE).and_then(|value| value.to_str().ok());
    Call {
        route,
        path: parts.uri.path().to_owned(),
        params,
        credentials: Credentials::read(&parts.headers),
        host: parts.headers.get(header::HOST).and_then(|value| value.to_str().ok()).map(str::to_owned),
        args: Args::read(route, &query, content_type.unwrap_or_default(), &body),
        query,
        body,
        now_ms: 0,
        caller: None,
    }
}

impl Shared {
    fn strike(&self, route: &Route, parts: &Parts) -> Option<Fault> {
        if matches!(route.class, Class::Control | Class::Page) {
            return None;
        }
        let mut sim = self.lock();
        let Sim { faults, rng, .. } = &mut *sim;
        faults.hit(rng, |fault| fault.on.covers(parts.method.as_str(), parts.uri.path()))
    }

    /// Runs a call under its fault. None means that the connection ends without an answer.
    pub(crate) fn perform(&self, call: &mut Call, fault: Option<&Fault>) -> Option<(Outcome, Headers)> {
        let mut sim = self.lock();
        call.now_ms = sim.clock.now_ms();
        let answer = match fault.map(|fault| (fault.kind, fault)) {
            Some((FaultKind::DropConnection, _)) => None,
            Some((FaultKind::Gateway, _)) => Some((Ok(bad_gateway()), Headers::new())),
            Some((FaultKind::ErrorAfterApply, fault)) => {
                let (outcome, headers) = sim.run(call);
                Some((outcome.and_then(|_| Err(fault.named())), headers))
            }
            Some((_, fault)) => match fault.answer() {
                Some(failure) => Some((Err(failure), Headers::new())),
                None => Some(sim.run(call)),
            },
            None => Some(sim.run(call)),
        };
        if !matches!(call.route.class, Class::Control | Class::Page) {
            sim.log(call, fault, answer.as_ref().map(|(outcome, _)| outcome));
        }
        answer
    }

    /// Waits for what an answer waits for, and makes it.
    pub(crate) async fn settle(&self, outcome: Outcome) -> Outcome {
        let Ok(Reply { awaits: Some(awaits), .. }) = &outcome else { return outcome };
        let bell = Arc::clone(&self.lock().bell);
        let patience_ms = match awaits {
            Awaits::Message { patience_ms, .. } => *patience_ms,
            Awaits::Delivery(_) | Awaits::Page { .. } => self.lock().settings.ack_limit_ms + 5_000,
        };
        let end = tokio::time::sleep(Duration::from_millis(patience_ms));
        tokio::pin!(end);
        loop {
            let rung = bell.notified();
            tokio::pin!(rung);
            rung.as_mut().enable();
            if let Some(settled) = control::settled(&self.lock(), awaits, false) {
                return settled;
            }
            let goes_on = tokio::select! {
                () = rung => true,
                () = &mut end => false,
                () = self.stop.cancelled() => false,
            };
            if !goes_on {
                let given_up = || Err(Failure::new(StatusCode::GATEWAY_TIMEOUT, "not_in_time"));
                return control::settled(&self.lock(), awaits, true).unwrap_or_else(given_up);
            }
        }
    }
}

/// Whose call it was, and what it was told.
#[derive(Debug, Clone, Serialize)]
pub(crate) struct Client {
    team_id: Option<String>,
    error: Option<String>,
}

impl Sim {
    fn log(&mut self, call: &Call, fault: Option<&Fault>, outcome: Option<&Outcome>) {
        let kind = fault.map(|fault| fault.kind);
        let (status, error) = match (kind, outcome) {
            (Some(FaultKind::TimeoutAfterApply | FaultKind::DropConnection), _) | (_, None) => (0, None),
            (_, Some(Ok(reply))) => (reply.status.as_u16(), None),
            (_, Some(Err(failure))) => (failure.status.as_u16(), Some(failure.name().to_owned())),
        };
        let is_secret = call.route.class == Class::Response;
        self.calls.record(Entry {
            at: iso(call.now_ms),
            method: call.route.verb.word().to_owned(),
            path: if is_secret { call.route.path.to_owned() } else { call.path.clone() },
            route: call.route.path,
            class: call.route.class.word(),
            status,
            client: Client { team_id: call.caller.as_ref().map(|caller| caller.team_id.clone()), error },
            fault: kind.and_then(|kind| serde_json::to_value(kind).ok()),
        });
    }
}

/// Turns an outcome into HTTP.
fn respond(outcome: Outcome, headers: Headers) -> Response {
    let (reply, extra) = match outcome {
        Ok(reply) => (reply, Vec::new()),
        Err(failure) => {
            let content_type = "application/json; charset=utf-8";
            let reply = Reply::of(content_type, failure.body.to_string().into());
            (Reply { status: failure.status, ..reply }, failure.headers)
        }
    };
    let location = reply.location.map(|to| ("location", to));
    let request_id = [("x-slack-req-id", Uuid::new_v4().simple().to_string())];
    let headers = headers.into_iter().chain(extra).chain(location).chain(request_id);
    serving::answer((reply.status, reply.content_type, reply.body), headers)
}

fn bad_gateway() -> Reply {
    Reply::html(StatusCode::BAD_GATEWAY, serving::bad_gateway("envoy"))
}
