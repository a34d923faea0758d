//! The HTTP side: routes from the table, faults, the call log, errors as each API spells them.

use axum::Router;
use axum::extract::{ConnectInfo, DefaultBodyLimit, Request, State};
use axum::response::Response;
use bytes::Bytes;
use http::StatusCode;
use serde::Serialize;

use super::call::{Call, JSON, Outcome, Reply};
use super::errors::{Failure, Style};
use super::faults::{Fault, FaultKind};
use super::routes::{Class, Match, find};
use super::sim::Sim;
use crate::calls::Entry;
use crate::clock::iso;
use crate::serving;
use crate::wiretap::Scissors;

const BODY_MOST: usize = 8 * 1024 * 1024;
/// The simulator as its tasks share it.
pub(crate) type Shared = serving::Shared<Sim>;

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
    let style = if parts.uri.path().starts_with("/v2/") { Style::Modern } else { Style::Classic };
    let Ok(body) = axum::body::to_bytes(body, BODY_MOST).await else {
        let message = "The request is too large.";
        let failure = Failure::new(StatusCode::PAYLOAD_TOO_LARGE, "global", "uploadTooLarge", message);
        return respond(Err(failure), style);
    };
    let mut call = match read_call(&parts, body) {
        Ok(call) => call,
        Err(failure) => return respond(Err(failure), style),
    };
    let fault = shared.strike(&call);
    let (kind, delay_ms) = fault.map(|fault| (fault.kind, fault.delay_ms)).unzip();
    let delay_ms = delay_ms.flatten();
    call.empty_page = kind == Some(FaultKind::EmptyPage);
    if kind == Some(FaultKind::Slow) {
        shared.dawdle(delay_ms).await;
    }
    let Some(outcome) = shared.perform(&mut call, kind) else { return serving::hang_up(&scissors) };
    let response = serving::dated(respond(outcome, style), call.now_ms);
    match kind {
        Some(FaultKind::TimeoutAfterApply) => shared.hang(delay_ms, &scissors).await,
        Some(FaultKind::CutMidBody) => serving::cut(response).await,
        _ => response,
    }
}

fn read_call(parts: &http::request::Parts, body: Bytes) -> Result<Call, Failure> {
    let path = parts.uri.path().to_owned();
    let (route, params) = match find(&parts.method, &path) {
        Match::Route(route, params) => (route, params),
        Match::Method => {
            let message = "The HTTP method is not allowed for this path.";
            return Err(Failure::new(
                StatusCode::METHOD_NOT_ALLOWED,
                "global",
                "httpMethodNotAllowed",
                message,
            ));
        }
        Match::Nothing => return Err(Failure::not_found()),
    };
    Ok(Call {
        route,
        path,
        params,
        query: serde_urlencoded::from_str(parts.uri.query().unwrap_or_default()).unwrap_or_default(),
        headers: parts.headers.clone(),
        body,
        now_ms: 0,
        caller: None,
        empty_page: false,
    })
}

impl Shared {
    fn strike(&self, call: &Call) -> Option<Fault> {
        if call.route.class == Class::Control {
            return None;
        }
        let mut sim = self.lock();
        let Sim { faults, rng, .. } = &mut *sim;
        faults.hit(rng, |fault| fault.on.covers(call.route.method.as_str(), &call.path))
    }

    /// Runs a call under its fault. None means that the connection ends without an answer.
    pub(crate) fn perform(&self, call: &mut Call, fault: Option<FaultKind>) -> Option<Outcome> {
        let mut sim = self.lock();
        call.now_ms = sim.clock.now_ms();
        let answer = match fault {
            Some(FaultKind::DropConnection) => None,
            Some(FaultKind::Gateway) => {
                Some(Ok(Reply::html(StatusCode::BAD_GATEWAY, serving::bad_gateway("ESF"))))
            }
            Some(kind) => Some(kind.answer().map_or_else(|| sim.run(call), Err)),
            None => Some(sim.run(call)),
        };
        if call.route.class != Class::Control {
            sim.log(call, fault, answer.as_ref());
        }
        answer
    }
}

/// Whose call it was.
#[derive(Debug, Clone, Serialize)]
pub(crate) struct Client {
    account: Option<String>,
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
            client: Client { account: call.caller.as_ref().map(|caller| caller.email.clone()) },
            fault: fault.and_then(|kind| serde_json::to_value(kind).ok()),
        });
    }
}

/// Turns an outcome into HTTP.
fn respond(outcome: Outcome, style: Style) -> Response {
    let reply = outcome.unwrap_or_else(|failure| {
        let body = failure.body(style).to_string().into();
        Reply { status: failure.status, content_type: JSON, body, location: None }
    });
    let location = reply.location.map(|to| ("location", to));
    serving::answer((reply.status, reply.content_type, reply.body), location)
}
