//! Starting the simulator, and holding it.

use std::collections::HashMap;
use std::sync::Arc;

use bytes::Bytes;
use http::Method;
use rand::SeedableRng;
use rand::rngs::StdRng;
use serde_json::{Value, json};
use tokio::net::TcpListener;
use tokio::sync::Notify;

use super::auth::Auth;
use super::call::{Args, Call, Credentials, Outcome};
use super::courier;
use super::delivery::Deliveries;
use super::errors::Failure;
use super::faults::Fault;
use super::journal::Journal;
use super::limits::Limits;
use super::routes::{Class, ROUTES, Verb};
use super::server::{Shared, router, unknown};
use super::settings::Settings;
use super::sim::Sim;
use super::workspace::Workspace;
use crate::calls::CallLog;
use crate::clock::Clock;
use crate::faults::Faults;
use crate::paths::params_of;
use crate::serving::{ControlError, read};

/// The workspaces: id, name, domain.
const WORKSPACES: [(&str, &str, &str); 2] =
    [("T0NWIND001", "Northwind", "northwind"), ("T0TRIAL002", "Northwind Trials", "northwind-trials")];

/// A running simulator. Clones share it; it ends with [`Handle::shutdown`] or with the runtime.
#[derive(Debug, Clone)]
pub struct Handle {
    shared: Shared,
    url: String,
    access_token: String,
}

impl From<Failure> for ControlError {
    fn from(failure: Failure) -> Self {
        Self { status: failure.status.as_u16(), body: failure.body }
    }
}

/// Starts the simulator on `listener`; API, consent page, the page of channels and control API share its origin.
///
/// # Errors
/// When the listener has no address, or the state file cannot be read or written.
pub async fn start(settings: Settings, listener: TcpListener) -> Result<Handle, std::io::Error> {
    let address = format!("http://{}", listener.local_addr()?);
    let url = settings.public_url.clone().unwrap_or(address).trim_end_matches('/').to_owned();
    let mut sim = build(settings, url.clone());
    if let Some(path) = sim.settings.state_file.clone() {
        sim.journal = Some(Journal::open(&path, &mut sim)?);
    }
    let access_token = if sim.settings.dev_access_token {
        sim.auth.tool_token(WORKSPACES[0].0)
    } else {
        sim.auth.tool = None;
        String::new()
    };
    sim.save();
    let shared = Shared::new(sim);
    tokio::spawn(courier::carry(shared.clone()));
    let close = |sim: &mut Sim| sim.journal.take().map_or(Ok(()), |journal| journal.close(sim));
    tokio::spawn(shared.clone().serve("Slack", listener, router(shared.clone()), close));
    Ok(Handle { shared, url, access_token })
}

fn build(settings: Settings, url: String) -> Sim {
    let fresh = |(id, name, domain): (&str, &str, &str)| Workspace::fresh(id, name, domain);
    Sim {
        url,
        clock: Clock::default(),
        workspaces: WORKSPACES.into_iter().map(fresh).collect(),
        auth: Auth::default(),
        limits: Limits::default(),
        faults: Faults::default(),
        calls: CallLog::default(),
        triggers: HashMap::new(),
        views: Vec::new(),
        responses: HashMap::new(),
        deliveries: Deliveries::default(),
        journal: None,
        rng: StdRng::seed_from_u64(settings.seed),
        bell: Arc::new(Notify::new()),
        settings,
    }
}

impl Handle {
    /// The origin of the API, the pages and the control API, without a trailing slash.
    pub fn url(&self) -> &str {
        &self.url
    }

    /// A long-lived bot token with every scope in the first workspace; empty when
    /// [`Settings::dev_access_token`] is off.
    pub fn access_token(&self) -> &str {
        &self.access_token
    }

    /// The id of the first workspace.
    pub fn team_id(&self) -> &'static str {
        WORKSPACES[0].0
    }

    /// Stops serving, ends held connections and rewrites the state file.
    pub async fn shutdown(&self) {
        self.shared.shutdown().await;
    }

    /// Any control call by method and path (`POST`, `/_sandbox/invite`), answered in process. A call that waits, as for
    /// the app's answer to a click, waits here too.
    ///
    /// # Errors
    /// When the control API refuses the call, as it would over HTTP.
    pub async fn control(&self, method: &str, path: &str, body: Value) -> Result<Value, ControlError> {
        let mut call = control_call(method, path, &body)?;
        let Some((outcome, _)) = self.shared.perform(&mut call, None) else { return Ok(Value::Null) };
        let outcome: Outcome = self.shared.settle(outcome).await;
        read(&outcome?.body)
    }

    /// Changes settings; the body names what changes, the answer has them all but the secrets.
    ///
    /// # Errors
    /// When a setting does not exist or its value is not valid.
    pub async fn change_settings(&self, changes: Value) -> Result<Value, ControlError> {
        self.control("POST", "/_sandbox/settings", changes).await
    }

    /// Somebody clicks: `{channel, ts, user, action_id, block_id?, value?}`. Answers with the delivery, once the app
    /// acknowledged it or failed to.
    ///
    /// # Errors
    /// When there is no such button, or the person does not see it.
    pub async fn click(&self, click: Value) -> Result<Value, ControlError> {
        self.control("POST", "/_sandbox/click", click).await
    }

    /// Somebody submits the dialog that they look at: `{user, view_id?, values}`.
    ///
    /// # Errors
    /// When there is no dialog, or it is not complete.
    pub async fn submit(&self, submission: Value) -> Result<Value, ControlError> {
        self.control("POST", "/_sandbox/submit", submission).await
    }

    /// The messages of a channel, by id or name, the oldest first.
    ///
    /// # Errors
    /// Never, as long as the simulator runs.
    pub async fn messages(&self, channel: &str) -> Result<Value, ControlError> {
        self.control("GET", &format!("/_sandbox/messages?channel={channel}"), Value::Null).await
    }

    /// An administrator removes the app from the first workspace.
    ///
    /// # Errors
    /// Never, as long as the simulator runs.
    pub async fn uninstall(&self) -> Result<Value, ControlError> {
        self.control("POST", "/_sandbox/uninstall", json!({})).await
    }

    /// Sets a fault.
    pub fn add_fault(&self, fault: Fault) {
        self.shared.lock().faults.set.push(fault);
    }

    /// Clears every fault.
    pub fn clear_faults(&self) {
        self.shared.lock().faults.set.clear();
    }

    /// Moves the clock forward by milliseconds.
    pub fn advance_clock(&self, by_ms: u64) {
        let mut sim = self.shared.lock();
        sim.clock.advance(i64::try_from(by_ms).unwrap_or(i64::MAX / 4));
        sim.save();
    }

    /// The call log: `{total, classes, routes, last}`.
    pub fn calls(&self) -> Value {
        self.shared.lock().calls.wire(usize::MAX)
    }
}

fn control_call(method: &str, path: &str, body: &Value) -> Result<Call, ControlError> {
    let (path, query) = path.split_once('?').unwrap_or((path, ""));
    let verb = match method.parse::<Method>() {
        Ok(Method::GET) => Verb::Get,
        Ok(Method::POST) => Verb::Post,
        Ok(Method::DELETE) => Verb::Delete,
        _ => return Err(unknown(path).into()),
    };
    let segments: Vec<&str> = path.split('/').collect();
    let (route, params) = ROUTES
        .iter()
        .filter(|route| route.class == Class::Control && route.verb == verb)
        .find_map(|route| params_of(route.path, &segments).map(|params| (route, params)))
        .ok_or_else(|| unknown(path))?;
    let body = if body.is_null() { Bytes::new() } else { body.to_string().into() };
    Ok(Call {
        route,
        path: path.to_owned(),
        params: params.into_iter().map(|(name, value)| (name.to_owned(), value)).collect(),
        query: serde_urlencoded::from_str(query).unwrap_or_default(),
        credentials: Credentials::default(),
        host: None,
        args: Ok(Args::default()),
        body,
        now_ms: 0,
        caller: None,
    })
}
