//! The HTTP side: routes from the table, faults, the call log, headers of every answer.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use axum::Router;
use axum::body::Body;
use axum::extract::{ConnectInfo, DefaultBodyLimit, RawPathParams, Request, State};
use axum::response::Response;
use axum::routing::{MethodFilter, on};
use bytes::Bytes;
use http::{HeaderMap, HeaderName, HeaderValue, Method, StatusCode, Uri, header};
use serde_json::json;
use tokio_util::sync::CancellationToken;
use uuid::Uuid;

use super::call::{Call, Outcome, Reply};
use super::calls::Entry;
use super::errors::Failure;
use super::faults::{Fault, FaultKind};
use super::limits::Headers;
use super::routes::{Class, ROUTES, Route};
use super::sim::Sim;
use super::wiretap::Scissors;

const BODY_MOST: usize = 16 * 1024 * 1024;
const SLOW_MS: u64 = 1_000;
const HANG_MS: u64 = 30_000;
/// How long the first half of a cut body has to leave the process.
const CUT_AFTER: Duration = Duration::from_millis(20);

/// The simulator as its tasks share it.
#[derive(Debug, Clone)]
pub(crate) struct Shared {
    pub(crate) sim: Arc<Mutex<Sim>>,
    pub(crate) stop: CancellationToken,
}

impl Shared {
    pub(crate) fn lock(&self) -> MutexGuard<'_, Sim> {
        self.sim.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Waits, unless the simulator stops first.
    async fn wait(&self, ms: u64) {
        tokio::select! {
            () = tokio::time::sleep(Duration::from_millis(ms)) => {}
            () = self.stop.cancelled() => {}
        }
    }
}

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
    if let Some(slow) = fault.as_ref().filter(|fault| fault.kind == FaultKind::Slow) {
        shared.wait(slow.delay_ms.unwrap_or(SLOW_MS)).await;
    }
    let mut call = read_call(route, dated, params, &parts.uri, &parts.headers, body);
    let Some((outcome, headers)) = shared.perform(&mut call, fault.as_ref()) else {
        scissors.cut();
        return Response::new(Body::empty());
    };
    match fault.map(|fault| (fault.kind, fault.delay_ms)) {
        Some((FaultKind::TimeoutAfterApply, delay_ms)) => {
            shared.wait(delay_ms.unwrap_or(HANG_MS)).await;
            scissors.cut();
            Response::new(Body::empty())
        }
        Some((FaultKind::CutMidBody, _)) => cut(respond(outcome, headers)).await,
        Some((FaultKind::Gateway, _)) => bad_gateway(),
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
        faults.strike(method.as_str(), uri.path(), rng)
    }

    /// Runs a call under its fault. None means that the connection ends without an answer.
    pub(crate) fn perform(&self, call: &mut Call, fault: Option<&Fault>) -> Option<(Outcome, Headers)> {
        let mut sim = self.lock();
        call.now_ms = sim.clock.now_ms();
        let kind = fault.map(|fault| fault.kind);
        let answer = match kind {
            Some(FaultKind::DropConnection) => None,
            Some(FaultKind::Gateway) => Some((Reply::empty(), Headers::new())),
            Some(kind) => match kind.answer() {
                Some(failure) => Some((Err(failure), Headers::new())),
                None => Some(sim.run(call)),
            },
            None => Some(sim.run(call)),
        };
        if call.route.class != Class::Control {
            sim.log(call, kind, answer.as_ref().map(|(outcome, _)| outcome));
        }
        answer
    }
}

impl Sim {
    fn log(&mut self, call: &Call, fault: Option<FaultKind>, outcome: Option<&Outcome>) {
        let status = match (fault, outcome) {
            (Some(FaultKind::TimeoutAfterApply | FaultKind::DropConnection), _) | (_, None) => 0,
            (Some(FaultKind::Gateway), _) => 502,
            (_, Some(Ok(reply))) => reply.status.as_u16(),
            (_, Some(Err(failure))) => failure.status.as_u16(),
        };
        let secret = call.route.path.ends_with("{token}");
        let entry = Entry {
            at: String::new(),
            method: call.route.method.to_string(),
            path: if secret { call.route.path.to_owned() } else { call.path.clone() },
            route: call.route.path,
            class: call.route.class,
            status,
            app_id: call.caller.as_ref().map(|caller| caller.app_id),
            fault: fault.and_then(|kind| serde_json::to_value(kind).ok()?.as_str().map(str::to_owned)),
        };
        self.calls.record(call.now_ms, entry);
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
    let mut response = Response::new(Body::from(reply.body));
    *response.status_mut() = reply.status;
    let map = response.headers_mut();
    map.insert(header::CONTENT_TYPE, HeaderValue::from_static(reply.content_type));
    let location = reply.location.map(|to| ("location", to));
    let correlation = [("x-hubspot-correlation-id", correlation)];
    for (name, value) in headers.into_iter().chain(extra).chain(location).chain(correlation) {
        if let Ok(value) = HeaderValue::from_str(&value) {
            map.insert(HeaderName::from_static(name), value);
        }
    }
    response
}

fn bad_gateway() -> Response {
    let page = "<html>\r\n<head><title>502 Bad Gateway</title></head>\r\n<body>\r\n\
                <center><h1>502 Bad Gateway</h1></center>\r\n<hr><center>cloudflare</center>\r\n</body>\r\n</html>";
    respond(Ok(Reply::html(StatusCode::BAD_GATEWAY, page.to_owned())), Vec::new())
}

/// Promises the whole body and sends half of it.
async fn cut(response: Response) -> Response {
    let (mut parts, body) = response.into_parts();
    let whole = axum::body::to_bytes(body, usize::MAX).await.unwrap_or_default();
    parts.headers.insert(header::CONTENT_LENGTH, HeaderValue::from(whole.len().max(2)));
    let half = whole.slice(..whole.len() / 2);
    let end = async {
        tokio::time::sleep(CUT_AFTER).await;
        Err(std::io::Error::from(std::io::ErrorKind::ConnectionReset))
    };
    let first = futures::stream::iter([Ok::<Bytes, std::io::Error>(half)]);
    let body = Body::from_stream(futures::StreamExt::chain(first, futures::stream::once(end)));
    Response::from_parts(parts, body)
}
