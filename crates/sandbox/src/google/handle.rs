//! Starting the simulator, and holding it.

use std::collections::{BTreeMap, BTreeSet, VecDeque};
use std::time::Duration;

use bytes::Bytes;
use http::{HeaderMap, Method};
use rand::SeedableRng;
use rand::rngs::StdRng;
use serde_json::{Value, json};
use tokio::net::TcpListener;

use super::auth::Auth;
use super::calendar::Calendar;
use super::call::Call;
use super::errors::{Failure, Style};
use super::faults::Fault;
use super::journal::Journal;
use super::limits::Limits;
use super::routes::{Class, Match, find};
use super::server::{Shared, router};
use super::sim::Sim;
use super::{Settings, push};
use crate::calls::CallLog;
use crate::clock::Clock;
use crate::faults::Faults;
use crate::serving::{ControlError, read};

/// How often time alone is given its due: transcripts, channels.
const TICK: Duration = Duration::from_millis(50);

/// The accounts: address, name, stable id.
const ACCOUNTS: [(&str, &str, &str); 2] = [
    ("dana.whitfield@harborline.example", "Dana Whitfield", "104822097315548210771"),
    ("riley.okafor@harborline.example", "Riley Okafor", "117390562284610934225"),
];

/// A running simulator. Clones share it; it ends with [`Handle::shutdown`] or with the runtime.
#[derive(Debug, Clone)]
pub struct Handle {
    shared: Shared,
    url: String,
    access_token: String,
}

impl From<Failure> for ControlError {
    fn from(failure: Failure) -> Self {
        Self { status: failure.status.as_u16(), body: failure.body(Style::Classic) }
    }
}

/// Starts the simulator on `listener`; accounts, APIs and control API share its origin.
///
/// # Errors
/// When the listener has no address, or the state file cannot be read or written.
pub async fn start(settings: Settings, listener: TcpListener) -> Result<Handle, std::io::Error> {
    let url = format!("http://{}", listener.local_addr()?);
    let mut sim = build(settings, &url);
    if let Some(path) = sim.settings.state_file.clone() {
        sim.journal = Some(Journal::open(&path, &mut sim)?);
        // What is made from now on must not look like what was made before.
        let made = sim.calendars.iter().map(|one| one.seq).sum::<u64>() + sim.spaces.len() as u64;
        sim.rng = StdRng::seed_from_u64(sim.settings.seed ^ (made << 16));
    }
    let access_token = if sim.settings.dev_access_token {
        sim.auth.give_tool_token()
    } else {
        sim.auth.tool_token = None;
        String::new()
    };
    sim.save();
    let shared = Shared::new(sim);
    tokio::spawn(tick(shared.clone()));
    tokio::spawn(push::deliver(shared.clone()));
    let close = |sim: &mut Sim| sim.journal.take().map_or(Ok(()), |journal| journal.close(sim));
    tokio::spawn(shared.clone().serve("Google", listener, router(shared.clone()), close));
    Ok(Handle { shared, url, access_token })
}

fn build(settings: Settings, origin: &str) -> Sim {
    let account = |(email, name, subject): &(&str, &str, &str)| {
        Calendar::new(email, name, subject, &settings.time_zone)
    };
    Sim {
        origin: origin.to_owned(),
        clock: Clock::default(),
        calendars: ACCOUNTS.iter().map(account).collect(),
        spaces: BTreeMap::new(),
        conferences: Vec::new(),
        held: BTreeSet::new(),
        channels: Vec::new(),
        channels_touched: false,
        messages: VecDeque::new(),
        auth: Auth::default(),
        limits: Limits::default(),
        faults: Faults::default(),
        calls: CallLog::default(),
        journal: None,
        rng: StdRng::seed_from_u64(settings.seed),
        settings,
    }
}

/// Gives time its due while nobody calls.
async fn tick(shared: Shared) {
    while shared.wait(TICK).await {
        shared.lock().save();
    }
}

impl Handle {
    /// The origin of accounts, APIs and control API, without a trailing slash.
    pub fn url(&self) -> &str {
        &self.url
    }

    /// A long-lived access token of the first account with every scope; empty when
    /// [`Settings::dev_access_token`] is off.
    pub fn access_token(&self) -> &str {
        &self.access_token
    }

    /// The address of the first account.
    pub fn email(&self) -> &'static str {
        ACCOUNTS[0].0
    }

    /// The address of the second account, a colleague of the first one.
    pub fn other_email(&self) -> &'static str {
        ACCOUNTS[1].0
    }

    /// Stops serving, ends held connections and rewrites the state file.
    pub async fn shutdown(&self) {
        self.shared.shutdown().await;
    }

    /// Any control call by method and path (`POST`, `/_sandbox/meeting`), answered in process.
    ///
    /// # Errors
    /// When the control API refuses the call, as it would over HTTP.
    pub fn control(&self, method: &str, path: &str, body: Value) -> Result<Value, ControlError> {
        let mut call = control_call(method, path, &body)?;
        let Some(outcome) = self.shared.perform(&mut call, None) else { return Ok(Value::Null) };
        read(&outcome?.body)
    }

    /// Plants `count` realistic meetings of the last and next weeks; those that are over were held.
    ///
    /// # Errors
    /// When there are too many.
    pub fn seed(&self, count: usize) -> Result<Value, ControlError> {
        self.control("POST", "/_sandbox/seed", json!({"count": count}))
    }

    /// Adds a meeting as a person would, in the vendor's words and with a Meet room; answers with the event.
    ///
    /// # Errors
    /// When its times make no sense.
    pub fn meeting(&self, event: Value) -> Result<Value, ControlError> {
        self.control("POST", "/_sandbox/meeting", event)
    }

    /// Moves an event or one time of a series.
    ///
    /// # Errors
    /// When it does not exist or the time makes no sense.
    pub fn shift(&self, id: &str, start: Value) -> Result<Value, ControlError> {
        self.control("POST", "/_sandbox/move", json!({"id": id, "start": start}))
    }

    /// Cancels an event, a series or one time of it.
    ///
    /// # Errors
    /// When it does not exist.
    pub fn cancel(&self, id: &str) -> Result<Value, ControlError> {
        self.control("POST", "/_sandbox/cancel", json!({"id": id}))
    }

    /// Holds a meeting: who was there and what was said; answers with the conference record's id.
    ///
    /// # Errors
    /// When it does not exist or has no room.
    pub fn hold(&self, meeting: Value) -> Result<Value, ControlError> {
        self.control("POST", "/_sandbox/hold", meeting)
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

    /// Users remove the app: every token is dead. Answers how many grants ended.
    pub fn revoke(&self) -> usize {
        let mut sim = self.shared.lock();
        let revoked = sim.auth.revoke(None);
        sim.save();
        revoked
    }

    /// Access tokens expire now. Answers how many did.
    pub fn expire_tokens(&self) -> usize {
        let mut sim = self.shared.lock();
        let expired = sim.auth.expire_access();
        sim.save();
        expired
    }

    /// Every sync token is gone: incremental lists answer 410 from now on.
    pub fn expire_sync_tokens(&self) {
        let mut sim = self.shared.lock();
        sim.calendars.iter_mut().for_each(|one| one.epoch += 1);
        sim.save();
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
        empty_page: false,
    })
}
