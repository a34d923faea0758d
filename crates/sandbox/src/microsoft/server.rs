//! The HTTP side: routes from the table, faults, throttling, the call log, headers of every answer.

use axum::Router;
use axum::extract::{ConnectInfo, DefaultBodyLimit, Request, State};
use axum::response::Response;
use bytes::Bytes;
use http::{HeaderMap, Method, StatusCode, Uri, header};
use jiff::Timestamp;
use serde::Serialize;
use serde_json::json;
use uuid::Uuid;

use super::call::{Call, JSON, Outcome, Reply};
use super::errors::Failure;
use super::faults::{Fault, FaultKind};
use super::notify::{self, Caller};
use super::routes::{Class, Match, find};
use super::sending::REQUEST_MOST;
use super::sim::Sim;
use super::subscriptions;
use crate::calls::Entry;
use crate::clock::iso;
use crate::serving;
use crate::wiretap::Scissors;

/// What a control call may carry: a mail may be large.
const BODY_MOST: usize = 64 * 1024 * 1024;
/// The simulator as its tasks share it.
pub(crate) type Shared = serving::Shared<Sim>;

/// What a handler of HTTP has.
#[derive(Clone)]
struct Server {
    shared: Shared,
    caller: Caller,
    origin: String,
}

/// A call that counts as running against its mailbox until it is dropped.
struct Running {
    shared: Shared,
    person: usize,
}

impl Drop for Running {
    fn drop(&mut self) {
        self.shared.lock().limits.leave(self.person);
    }
}

/// The router: one handler, which looks into the route table itself.
pub(crate) fn router(shared: Shared, caller: Caller, origin: String) -> Router {
    let server = Server { shared, caller, origin };
    Router::new().fallback(serve).layer(DefaultBodyLimit::disable()).with_state(server)
}

async fn serve(
    State(server): State<Server>,
    ConnectInfo(scissors): ConnectInfo<Scissors>,
    request: Request,
) -> Response {
    let Server { shared, caller, origin } = server;
    let (parts, body) = request.into_parts();
    let Ok(body) = axum::body::to_bytes(body, BODY_MOST).await else {
        return respond(Err(too_large()), None);
    };
    let origin = origin_of(&parts.headers, &origin);
    let mut call = match read_call(parts.method, &parts.uri, parts.headers, body, origin) {
        Ok(call) => call,
        Err(failure) => return respond(Err(failure), None),
    };
    let running = match shared.enter(&call) {
        Ok(running) => running,
        Err(failure) => return respond(Err(failure), Some(&call)),
    };
    let fault = shared.strike(&call);
    let delay_ms = fault.as_ref().and_then(|fault| fault.delay_ms);
    let kind = fault.as_ref().map(|fault| fault.kind);
    if kind == Some(FaultKind::Slow) {
        shared.dawdle(delay_ms).await;
    }
    let latency_ms = shared.lock().settings.latency_ms;
    if latency_ms > 0 && running.is_some() {
        shared.dawdle(Some(latency_ms)).await;
    }
    if let Some(urls) = shared.endpoints(&mut call, fault.as_ref()) {
        call.validated = Some(notify::validate(&caller, urls).await);
    }
    let Some(outcome) = shared.perform(&mut call, fault) else { return serving::hang_up(&scissors) };
    let response = respond(outcome, Some(&call));
    match kind {
        Some(FaultKind::TimeoutAfterApply) => shared.hang(delay_ms, &scissors).await,
        Some(FaultKind::CutMidBody) => serving::cut(response).await,
        _ => response,
    }
}

fn too_large() -> Failure {
    Failure::new(StatusCode::PAYLOAD_TOO_LARGE, "RequestEntityTooLarge", "The request is too large.")
}

/// How the client calls this address.
fn origin_of(headers: &HeaderMap, own: &str) -> String {
    let host = headers.get(header::HOST).and_then(|host| host.to_str().ok());
    host.map_or_else(|| own.to_owned(), |host| format!("http://{host}"))
}

/// A request as the route table understands it.
pub(crate) fn read_call(
    method: Method,
    uri: &Uri,
    headers: HeaderMap,
    body: Bytes,
    origin: String,
) -> Result<Call, Failure> {
    let path = uri.path().to_owned();
    let (route, params, user) = match find(&method, &path) {
        Match::Route { route, params, user } => (route, params, user),
        Match::Methods => {
            let message = "The HTTP method is not allowed here.";
            return Err(Failure::new(StatusCode::METHOD_NOT_ALLOWED, "Request_BadRequest", message));
        }
        Match::Nothing => return Err(Sim::unknown_path()),
    };
    if route.class != Class::Control && body.len() > REQUEST_MOST {
        return Err(too_large());
    }
    let query = serde_urlencoded::from_str(uri.query().unwrap_or_default()).unwrap_or_default();
    Ok(Call {
        route,
        path,
        params,
        query,
        headers,
        body,
        origin,
        user,
        validated: None,
        now_ms: 0,
        caller: None,
    })
}

impl Shared {
    /// Counts a call of Graph as running.
    fn enter(&self, call: &Call) -> Result<Option<Running>, Failure> {
        if call.route.class != Class::Graph {
            return Ok(None);
        }
        let mut sim = self.lock();
        let now_ms = sim.clock.now_ms();
        // Who is not known is refused later, in the words for that.
        let Ok(caller) = sim.auth.caller(call.bearer(), now_ms) else { return Ok(None) };
        let enforced = sim.settings.rate_limits;
        let entered = sim.limits.enter(caller.person, enforced);
        if let Err(failure) = &entered {
            sim.log(call, None, Some(failure.status), now_ms);
        }
        entered.map(|()| Some(Running { shared: self.clone(), person: caller.person }))
    }

    fn strike(&self, call: &Call) -> Option<Fault> {
        self.lock().strike(call)
    }

    /// The endpoints that must prove themselves before the call runs.
    fn endpoints(&self, call: &mut Call, fault: Option<&Fault>) -> Option<Vec<url::Url>> {
        let is_creation = call.route.path == "/v1.0/subscriptions" && call.route.method == Method::POST;
        let mut sim = self.lock();
        call.now_ms = sim.clock.now_ms();
        let is_answered = fault.is_some_and(|fault| fault.answer("", 0).is_some());
        if !is_creation || is_answered {
            return None;
        }
        // What is wrong with it is found again, and told, when it runs.
        call.caller = sim.auth.caller(call.bearer(), call.now_ms).ok();
        subscriptions::endpoints(&mut sim, call).ok()
    }

    /// Runs a call under its fault. None means that the connection ends without an answer.
    pub(crate) fn perform(&self, call: &mut Call, fault: Option<Fault>) -> Option<Outcome> {
        let mut sim = self.lock();
        call.now_ms = sim.clock.now_ms();
        let outcome = sim.suffer(call, fault.as_ref());
        let unanswered = fault.as_ref().is_some_and(|fault| fault.kind == FaultKind::TimeoutAfterApply);
        let status = match &outcome {
            Some(Ok(reply)) if !unanswered => Some(reply.status),
            Some(Err(failure)) if !unanswered => Some(failure.status),
            _ => None,
        };
        let now_ms = call.now_ms;
        sim.log(call, fault.map(|fault| fault.kind), status, now_ms);
        outcome
    }
}

/// Whose call it was.
#[derive(Debug, Clone, Serialize)]
pub(crate) struct Client {
    user: Option<String>,
}

impl Sim {
    /// The fault that hits a call, if any.
    pub(crate) fn strike(&mut self, call: &Call) -> Option<Fault> {
        if call.route.class == Class::Control {
            return None;
        }
        let names = call.query.iter().map(|(name, _)| name.as_str()).collect::<Vec<_>>().join("&");
        let Sim { faults, rng, .. } = self;
        faults.hit(rng, |fault| fault.on.covers(call.route.method.as_str(), &call.path, &names))
    }

    /// Runs a call, or answers it as its fault does.
    pub(crate) fn suffer(&mut self, call: &mut Call, fault: Option<&Fault>) -> Option<Outcome> {
        let Some(fault) = fault else { return Some(self.run(call)) };
        match fault.kind {
            FaultKind::DropConnection => None,
            FaultKind::Gateway => Some(Ok(bad_gateway())),
            _ => {
                let again = format!("{}{}", call.origin, call.path);
                let answer = fault.answer(&again, call.now_ms);
                Some(answer.map_or_else(|| self.run(call), Err))
            }
        }
    }

    pub(crate) fn log(
        &mut self,
        call: &Call,
        fault: Option<FaultKind>,
        status: Option<StatusCode>,
        now_ms: i64,
    ) {
        if call.route.class == Class::Control {
            return;
        }
        let user = call.caller.as_ref().map(|caller| self.boxes[caller.person].person.address.clone());
        self.calls.record(Entry {
            at: iso(now_ms),
            method: call.route.method.to_string(),
            path: call.path.clone(),
            route: call.route.path,
            class: call.route.class.word(),
            status: status.map_or(0, |status| status.as_u16()),
            client: Client { user },
            fault: fault.and_then(|kind| serde_json::to_value(kind).ok()),
        });
    }
}

/// What an answer consists of, with the request's ids in the body of an error and in the headers.
pub(crate) fn finish(outcome: Outcome, call: Option<&Call>) -> Reply {
    let request_id = Uuid::new_v4().to_string();
    let client_id = call.and_then(|call| call.header("client-request-id")).unwrap_or(&request_id).to_owned();
    let mut reply = outcome.unwrap_or_else(|mut failure| {
        if let Some(error) = failure.body.get_mut("error").filter(|error| error.is_object()) {
            let date = call.map(|call| iso(call.now_ms)).unwrap_or_default();
            error["innerError"] = json!({"date": date.get(..19).unwrap_or_default(), "request-id": request_id,
                "client-request-id": client_id});
        }
        let body = failure.body.to_string().into();
        Reply { status: failure.status, content_type: JSON, body, headers: failure.headers }
    });
    reply.headers.push(("request-id", request_id));
    reply.headers.push(("client-request-id", client_id));
    let diagnostic = json!({"ServerInfo": {"DataCenter": "Sandbox", "Slice": "E", "Ring": "1"}});
    reply.headers.push(("x-ms-ags-diagnostic", diagnostic.to_string()));
    let applied =
        call.filter(|call| call.route.class == Class::Graph).and_then(|call| call.prefer().applied());
    if let Some(applied) = applied.filter(|_| reply.status.is_success()) {
        reply.headers.push(("preference-applied", applied));
    }
    reply
}

fn respond(outcome: Outcome, call: Option<&Call>) -> Response {
    let Reply { status, content_type, body, mut headers } = finish(outcome, call);
    headers.extend(call.map(|call| ("date", http_date(call.now_ms))));
    serving::answer((status, content_type, body), headers)
}

/// The time of the simulator's clock, by which its mail is stamped.
fn http_date(now_ms: i64) -> String {
    let now = Timestamp::from_millisecond(now_ms).unwrap_or_default();
    now.strftime("%a, %d %b %Y %H:%M:%S GMT").to_string()
}

fn bad_gateway() -> Reply {
    Reply::html(StatusCode::BAD_GATEWAY, serving::bad_gateway("Microsoft-Azure-Application-Gateway/v2"))
}
