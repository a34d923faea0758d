//! Starting the simulator, and holding it.

use bytes::Bytes;
use http::Method;
use rand::SeedableRng;
use rand::rngs::StdRng;
use serde_json::{Value, json};
use tokio::net::TcpListener;

use super::auth::Auth;
use super::call::Call;
use super::clock::Clock;
use super::errors::Failure;
use super::faults::Fault;
use super::journal::Journal;
use super::limits::Limits;
use super::portal::Portal;
use super::routes::ROUTES;
use super::server::{Shared, router};
use super::sim::{Dials, Sim};
use super::{Settings, living};
use crate::calls::CallLog;
use crate::faults::Faults;
use crate::paths::params_of;
use crate::serving::{ControlError, read};

/// A running simulator. Clones share it; it ends with [`Handle::shutdown`] or with the runtime.
#[derive(Debug, Clone)]
pub struct Handle {
    shared: Shared,
    url: String,
    access_token: String,
    portal_id: u64,
}

impl From<Failure> for ControlError {
    fn from(failure: Failure) -> Self {
        Self { status: failure.status.as_u16(), body: failure.body }
    }
}

/// Starts the simulator on `listener`; API, authorize page and control API share its origin.
///
/// # Errors
/// When the listener has no address, or the state file cannot be read or written.
pub async fn start(settings: Settings, listener: TcpListener) -> Result<Handle, std::io::Error> {
    let url = format!("http://{}", listener.local_addr()?);
    let portal_id = settings.portal_id;
    let mut sim = build(settings);
    if let Some(path) = sim.settings.state_file.clone() {
        sim.journal = Some(Journal::open(&path, &mut sim)?);
    }
    let access_token = if sim.settings.dev_access_token {
        sim.auth.tool_token()
    } else {
        sim.auth.tool_token = None;
        String::new()
    };
    sim.save();
    let shared = Shared::new(sim);
    tokio::spawn(living::live(shared.clone()));
    let close = |sim: &mut Sim| sim.journal.take().map_or(Ok(()), |journal| journal.close(sim));
    tokio::spawn(shared.clone().serve("HubSpot", listener, router(shared.clone()), close));
    Ok(Handle { shared, url, access_token, portal_id })
}

fn build(settings: Settings) -> Sim {
    let (seed, id) = (settings.seed, settings.portal_id);
    Sim {
        dials: Dials::default(),
        clock: Clock::default(),
        portals: vec![
            Portal::new(id, "Harborline Systems", seed),
            Portal::new(id + 1, "Harborline Trials", seed),
        ],
        auth: Auth::default(),
        limits: Limits::default(),
        faults: Faults::default(),
        calls: CallLog::default(),
        journal: None,
        rng: StdRng::seed_from_u64(seed),
        settings,
    }
}

impl Handle {
    /// The origin of the API, the authorize page and the control API, without a trailing slash.
    pub fn url(&self) -> &str {
        &self.url
    }

    /// A long-lived access token with every scope, of its own private app; empty when
    /// [`Settings::dev_access_token`] is off.
    pub fn access_token(&self) -> &str {
        &self.access_token
    }

    /// The id of the configured portal.
    pub fn portal_id(&self) -> u64 {
        self.portal_id
    }

    /// Stops serving, ends held connections and rewrites the state file.
    pub async fn shutdown(&self) {
        self.shared.shutdown().await;
    }

    /// Any control call by method and path (`POST`, `/_sandbox/seed`), answered in process.
    ///
    /// # Errors
    /// When the control API refuses the call, as it would over HTTP.
    pub fn control(&self, method: &str, path: &str, body: Value) -> Result<Value, ControlError> {
        let mut call = control_call(method, path, &body)?;
        let Some((outcome, _)) = self.shared.perform(&mut call, None) else { return Ok(Value::Null) };
        read(&outcome?.body)
    }

    /// Plants `count` realistic records of an object (`companies`, `deals`, `contacts`).
    ///
    /// # Errors
    /// When the object does not exist.
    pub fn seed(&self, object: &str, count: usize) -> Result<Value, ControlError> {
        self.control("POST", "/_sandbox/seed", json!({"object": object, "count": count}))
    }

    /// Adds a record as a portal user; answers with the record.
    ///
    /// # Errors
    /// When the values are not valid.
    pub fn create(&self, object: &str, properties: Value) -> Result<Value, ControlError> {
        self.control("POST", "/_sandbox/create", json!({"object": object, "properties": properties}))
    }

    /// Changes a record as a portal user; answers with the record.
    ///
    /// # Errors
    /// When the record does not exist or the values are not valid.
    pub fn edit(&self, object: &str, id: &str, properties: Value) -> Result<Value, ControlError> {
        let body = json!({"object": object, "id": id, "properties": properties});
        self.control("POST", "/_sandbox/edit", body)
    }

    /// Puts a record into the recycle bin as a portal user.
    ///
    /// # Errors
    /// When the record does not exist.
    pub fn archive(&self, object: &str, id: &str) -> Result<Value, ControlError> {
        self.control("POST", "/_sandbox/archive", json!({"object": object, "id": id}))
    }

    /// Takes a record out of the recycle bin as a portal user.
    ///
    /// # Errors
    /// When no archived record has this id.
    pub fn restore(&self, object: &str, id: &str) -> Result<Value, ControlError> {
        self.control("POST", "/_sandbox/restore", json!({"object": object, "id": id}))
    }

    /// Merges `id` into `primary_id` as a portal user; answers with the survivor.
    ///
    /// # Errors
    /// When one of the records does not exist.
    pub fn merge(&self, object: &str, primary_id: &str, id: &str) -> Result<Value, ControlError> {
        let body = json!({"object": object, "primary_id": primary_id, "id": id});
        self.control("POST", "/_sandbox/merge", body)
    }

    /// Every record of an object, archived ones too: `{total, results}`.
    ///
    /// # Errors
    /// When the object does not exist.
    pub fn state(&self, object: &str) -> Result<Value, ControlError> {
        self.control("GET", &format!("/_sandbox/state/{object}"), Value::Null)
    }

    /// Sets a fault.
    pub fn add_fault(&self, fault: Fault) {
        self.shared.lock().faults.set.push(fault);
    }

    /// Clears every fault.
    pub fn clear_faults(&self) {
        self.shared.lock().faults.set.clear();
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
        sim.clock.advance(i64::try_from(by_ms).unwrap_or(i64::MAX / 4));
        sim.save();
    }

    /// A portal user removes the app: every token is dead. Answers how many grants ended.
    pub fn revoke(&self) -> usize {
        let mut sim = self.shared.lock();
        let revoked = sim.auth.revoke(self.portal_id);
        sim.save();
        revoked
    }

    /// Access tokens expire now. Answers how many did.
    pub fn expire_tokens(&self) -> usize {
        let mut sim = self.shared.lock();
        let now_ms = sim.clock.now_ms();
        let expired = sim.auth.expire_access(now_ms);
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
}

fn control_call(method: &str, path: &str, body: &Value) -> Result<Call, ControlError> {
    let (path, query) = path.split_once('?').unwrap_or((path, ""));
    let method = method.parse::<Method>().map_err(|_| Sim::unknown_path())?;
    let segments: Vec<&str> = path.split('/').collect();
    let (route, params) = ROUTES
        .iter()
        .filter(|route| route.path.starts_with("/_sandbox/") && route.method == method)
        .find_map(|route| params_of(route.path, &segments).map(|params| (route, params)))
        .ok_or_else(Sim::unknown_path)?;
    let body = if body.is_null() { Bytes::new() } else { body.to_string().into() };
    Ok(Call {
        route,
        path: path.to_owned(),
        dated: false,
        params: params.into_iter().map(|(name, value)| (name.to_owned(), value)).collect(),
        query: serde_urlencoded::from_str(query).unwrap_or_default(),
        bearer: None,
        body,
        now_ms: 0,
        caller: None,
    })
}
