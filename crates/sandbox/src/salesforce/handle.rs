//! Starting the simulator, and holding it.

use std::time::Duration;

use bytes::Bytes;
use http::{HeaderMap, Method};
use rand::SeedableRng;
use rand::rngs::StdRng;
use serde_json::{Value, json};
use tokio::net::TcpListener;

use super::auth::Auth;
use super::call::Call;
use super::errors::{Failure, Words};
use super::faults::Fault;
use super::limits::Allocation;
use super::org::Org;
use super::pubsub::Events;
use super::query::Cursors;
use super::routes::{Class, Match, find};
use super::server::{Shared, router};
use super::sim::Dials;
use super::sim::Sim;
use super::state::State;
use super::{Environment, Settings, living};
use crate::calls::CallLog;
use crate::clock::Clock;
use crate::faults::Faults;
use crate::serving::{ControlError, read};

/// How often time alone is given its due: late commits, the recycle bin.
const TICK: Duration = Duration::from_millis(50);

/// A running simulator. Clones share it; it ends with [`Handle::shutdown`] or with the runtime.
#[derive(Debug, Clone)]
pub struct Handle {
    pub(crate) shared: Shared,
    url: String,
    access_token: String,
    organization_id: String,
}

impl From<Failure> for ControlError {
    fn from(failure: Failure) -> Self {
        let body = match failure.body {
            Words::Json(value) => value,
            Words::Plain(text) => json!(text),
            Words::Nothing => Value::Null,
        };
        Self { status: failure.status.as_u16(), body }
    }
}

/// Starts the simulator on `listener`; login host, instance and control API share its origin.
///
/// # Errors
/// When the listener has no address, or the state file cannot be read or written.
pub async fn start(settings: Settings, listener: TcpListener) -> Result<Handle, std::io::Error> {
    let url = format!("http://{}", listener.local_addr()?);
    let mut sim = build(settings, &url);
    if let Some(path) = sim.settings.state_file.clone() {
        sim.state = Some(State::open(&path, &mut sim)?);
    }
    let organization_id = sim.org.id.to_string();
    let access_token = if sim.settings.dev_access_token {
        sim.auth.give_tool_token(sim.org.id)
    } else {
        sim.auth.tool_token = None;
        String::new()
    };
    sim.save();
    let shared = Shared::new(sim);
    tokio::spawn(living::live(shared.clone()));
    tokio::spawn(tick(shared.clone()));
    let close = |sim: &mut Sim| sim.state.take().map_or(Ok(()), |state| state.close(sim));
    tokio::spawn(shared.clone().serve("Salesforce", listener, router(shared.clone()), close));
    Ok(Handle { shared, url, access_token, organization_id })
}

fn build(settings: Settings, origin: &str) -> Sim {
    let clock = Clock::default();
    let sandbox = settings.environment == Environment::Sandbox;
    Sim {
        org: Org::new(
            settings.org_number,
            sandbox,
            settings.edition.words(),
            clock.now_ms().div_euclid(1_000),
        ),
        dials: Dials::default(),
        allocation: Allocation::default(),
        cursors: Cursors::default(),
        jobs: Vec::new(),
        state: None,
        origin: origin.to_owned(),
        clock,
        auth: Auth::default(),
        faults: Faults::default(),
        calls: CallLog::default(),
        rng: StdRng::seed_from_u64(settings.seed),
        events: Events::new(settings.stream.clone(), settings.seed),
        settings,
    }
}

/// Gives time its due while nobody calls.
async fn tick(shared: Shared) {
    while shared.wait(TICK).await {
        let mut sim = shared.lock();
        let now_ms = sim.clock.now_ms();
        sim.org.tick(now_ms);
        sim.save();
    }
}

impl Handle {
    /// The origin of login host, instance and control API, without a trailing slash.
    pub fn url(&self) -> &str {
        &self.url
    }

    /// A long-lived access token with every scope; empty when [`Settings::dev_access_token`] is off.
    pub fn access_token(&self) -> &str {
        &self.access_token
    }

    /// The org's id, 18 characters.
    pub fn organization_id(&self) -> &str {
        &self.organization_id
    }

    /// Stops serving and ends held connections.
    pub async fn shutdown(&self) {
        self.shared.shutdown().await;
    }

    /// Any control call by method and path (`POST`, `/_sandbox/seed`), answered in process.
    ///
    /// # Errors
    /// When the control API refuses the call, as it would over HTTP.
    pub fn control(&self, method: &str, path: &str, body: Value) -> Result<Value, ControlError> {
        let mut call = control_call(method, path, &body)?;
        let Some(outcome) = self.shared.perform(&mut call, None) else { return Ok(Value::Null) };
        read(&outcome?.body)
    }

    /// Plants `count` realistic records of an object (`Account`, `Contact`, `Opportunity`, `Lead`).
    ///
    /// # Errors
    /// When the object does not exist.
    pub fn seed(&self, object: &str, count: usize) -> Result<Value, ControlError> {
        self.control("POST", "/_sandbox/seed", json!({"object": object, "count": count}))
    }

    /// Adds a record as a user of the org; answers with the record.
    ///
    /// # Errors
    /// When the values are not valid.
    pub fn create(&self, object: &str, fields: Value) -> Result<Value, ControlError> {
        self.control("POST", "/_sandbox/create", json!({"object": object, "fields": fields}))
    }

    /// Changes a record as a user of the org; answers with the record.
    ///
    /// # Errors
    /// When the record does not exist or the values are not valid.
    pub fn edit(&self, object: &str, id: &str, fields: Value) -> Result<Value, ControlError> {
        self.control("POST", "/_sandbox/edit", json!({"object": object, "id": id, "fields": fields}))
    }

    /// Puts a record into the recycle bin as a user of the org.
    ///
    /// # Errors
    /// When the record does not exist.
    pub fn delete(&self, object: &str, id: &str) -> Result<Value, ControlError> {
        self.control("POST", "/_sandbox/delete", json!({"object": object, "id": id}))
    }

    /// Takes a record out of the recycle bin as a user of the org.
    ///
    /// # Errors
    /// When no deleted record has this id.
    pub fn undelete(&self, object: &str, id: &str) -> Result<Value, ControlError> {
        self.control("POST", "/_sandbox/undelete", json!({"object": object, "id": id}))
    }

    /// Merges `id` into `winner_id` as a user of the org; answers with the winner.
    ///
    /// # Errors
    /// When one of the records does not exist.
    pub fn merge(&self, object: &str, winner_id: &str, id: &str) -> Result<Value, ControlError> {
        self.control("POST", "/_sandbox/merge", json!({"object": object, "winner_id": winner_id, "id": id}))
    }

    /// Every record of an object, deleted ones too: `{total, results}`.
    ///
    /// # Errors
    /// When the object does not exist.
    pub fn state(&self, object: &str) -> Result<Value, ControlError> {
        self.control("GET", &format!("/_sandbox/state/{object}"), Value::Null)
    }

    /// Changes settings; the body names what changes, the answer has them all.
    ///
    /// # Errors
    /// When a setting does not exist or its value is not valid.
    pub fn change_settings(&self, changes: Value) -> Result<Value, ControlError> {
        self.control("POST", "/_sandbox/settings", changes)
    }

    /// Moves the clock forward by milliseconds.
    pub fn advance_clock(&self, by_ms: u64) {
        let mut sim = self.shared.lock();
        sim.advance(i64::try_from(by_ms).unwrap_or(i64::MAX / 4));
        sim.save();
    }

    /// An administrator ends every approval: every token is dead. Answers how many there were.
    pub fn revoke(&self) -> usize {
        let mut sim = self.shared.lock();
        let revoked = sim.auth.revoke_all();
        sim.save();
        revoked
    }

    /// Access tokens expire now. Answers how many did.
    pub fn expire_tokens(&self) -> usize {
        let mut sim = self.shared.lock();
        let expired = sim.auth.expire_sessions();
        sim.save();
        expired
    }

    /// The call log: `{total, classes, routes, last}`.
    pub fn calls(&self) -> Value {
        self.shared.lock().calls.wire(usize::MAX)
    }

    /// Forgets the calls so far.
    pub fn clear_calls(&self) {
        self.shared.lock().calls = CallLog::default();
    }

    /// Sets a fault.
    pub fn add_fault(&self, fault: Fault) {
        self.shared.lock().faults.set.push(fault);
    }

    /// Clears every fault.
    pub fn clear_faults(&self) {
        self.shared.lock().faults.set.clear();
    }
}

fn control_call(method: &str, path: &str, body: &Value) -> Result<Call, Failure> {
    let (path, query) = path.split_once('?').unwrap_or((path, ""));
    let method = method.parse::<Method>().map_err(|_| Failure::not_found())?;
    let (route, params) = match find(&method, path) {
        Match::Route(route, params) if route.class == Class::Control => (route, params),
        _ => return Err(Failure::not_found()),
    };
    let body = if body.is_null() { Bytes::new() } else { body.to_string().into() };
    Ok(Call {
        route,
        path: path.to_owned(),
        params,
        query: serde_urlencoded::from_str(query).unwrap_or_default(),
        headers: HeaderMap::new(),
        body,
        now_ms: 0,
        caller: None,
    })
}
