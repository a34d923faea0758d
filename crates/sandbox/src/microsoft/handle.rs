//! Starting the simulator, and holding it.

use std::collections::VecDeque;

use bytes::Bytes;
use http::{HeaderMap, Method, Uri};
use rand::SeedableRng;
use rand::rngs::StdRng;
use serde_json::{Value, json};
use tokio::net::TcpListener;

use super::auth::Auth;
use super::clock::Clock;
use super::errors::Failure;
use super::faults::Fault;
use super::journal::Journal;
use super::limits::Limits;
use super::mailbox::{Mailbox, Person};
use super::routes::Class;
use super::server::{Shared, read_call, router};
use super::sim::{Dials, Sim};
use super::{DOMAIN, Settings, living, notify};
use crate::calls::CallLog;
use crate::faults::Faults;
use crate::serving::{ControlError, read};

/// A running simulator. Clones share it; it ends with [`Handle::shutdown`] or with the runtime.
#[derive(Debug, Clone)]
pub struct Handle {
    shared: Shared,
    url: String,
    tokens: Vec<String>,
}

impl From<Failure> for ControlError {
    fn from(failure: Failure) -> Self {
        Self { status: failure.status.as_u16(), body: failure.body }
    }
}

/// Starts the simulator on `listener`; identity platform, Graph, mail pages and control API share its origin.
///
/// # Errors
/// When the listener has no address, or the state file cannot be read or written.
pub async fn start(settings: Settings, listener: TcpListener) -> Result<Handle, std::io::Error> {
    let url = format!("http://{}", listener.local_addr()?);
    let mut sim = build(settings);
    if let Some(path) = sim.settings.state_file.clone() {
        sim.journal = Some(Journal::open(&path, &mut sim)?);
    }
    let tokens = if sim.settings.dev_access_token {
        sim.auth.tool_tokens(sim.boxes.len())
    } else {
        sim.auth.drop_tool_tokens();
        Vec::new()
    };
    sim.save();
    let shared = Shared::new(sim);
    let caller = notify::caller();
    tokio::spawn(living::live(shared.clone()));
    tokio::spawn(notify::deliver(shared.clone(), caller.clone()));
    let close = |sim: &mut Sim| sim.journal.take().map_or(Ok(()), |journal| journal.close(sim));
    let router = router(shared.clone(), caller, url.clone());
    tokio::spawn(shared.clone().serve("Microsoft 365", listener, router, close));
    Ok(Handle { shared, url, tokens })
}

fn people() -> Vec<Person> {
    let person = |id: &str, name: &str, address: String, has_mailbox: bool| Person {
        id: id.to_owned(),
        name: name.to_owned(),
        address,
        has_mailbox,
        disabled: false,
    };
    vec![
        person("0b6f3c1e-51a7-4c0b-9f0a-6d1c2e7f8a01", "Nora Field", format!("nora.field@{DOMAIN}"), true),
        person("1c7f4d2f-62b8-4d1c-8e1b-7e2d3f809b12", "Jonas Weber", format!("jonas.weber@{DOMAIN}"), true),
        person("2d805e30-73c9-4e2d-9d2c-8f3e4091ac23", "Priya Raman", format!("priya.raman@{DOMAIN}"), true),
        // A guest signs in here and has the mail elsewhere.
        person(
            "3e916f41-84da-4f3e-8c3d-904f51a2bd34",
            "Gil Vester",
            "gil.vester@visitors.example".to_owned(),
            false,
        ),
    ]
}

fn build(settings: Settings) -> Sim {
    Sim {
        dials: Dials::default(),
        clock: Clock::default(),
        boxes: people().into_iter().map(Mailbox::new).collect(),
        auth: Auth::default(),
        subscriptions: Vec::new(),
        subscriptions_touched: false,
        outgoing: VecDeque::new(),
        notified: 0,
        left: Vec::new(),
        limits: Limits::default(),
        faults: Faults::default(),
        calls: CallLog::default(),
        journal: None,
        rng: StdRng::seed_from_u64(settings.seed),
        settings,
    }
}

impl Handle {
    /// The origin of the identity platform, Graph, the mail pages and the control API, without a trailing slash.
    pub fn url(&self) -> &str {
        &self.url
    }

    /// A long-lived access token with every scope for the first user's mailbox; empty when
    /// [`Settings::dev_access_token`] is off.
    pub fn access_token(&self) -> &str {
        self.tokens.first().map(String::as_str).unwrap_or_default()
    }

    /// The same of another user, told by their address.
    pub fn access_token_of(&self, address: &str) -> Option<&str> {
        let at = self.shared.lock().person_at(address)?;
        self.tokens.get(at).map(String::as_str)
    }

    /// The addresses of the users; all but the last have a mailbox.
    pub fn users(&self) -> Vec<String> {
        self.shared.lock().people().map(|person| person.address.clone()).collect()
    }

    /// Stops serving, ends held connections and rewrites the state file.
    pub async fn shutdown(&self) {
        self.shared.shutdown().await;
    }

    /// Any control call by method and path (`POST`, `/_sandbox/deliver`), answered in process.
    ///
    /// # Errors
    /// When the control API refuses the call, as it would over HTTP.
    pub fn control(&self, method: &str, path: &str, body: Value) -> Result<Value, ControlError> {
        let method = method.parse::<Method>().map_err(|_| Sim::unknown_path())?;
        let uri = path.parse::<Uri>().map_err(|_| Sim::unknown_path())?;
        let body = if body.is_null() { Bytes::new() } else { body.to_string().into() };
        let mut call = read_call(method, &uri, HeaderMap::new(), body, self.url.clone())?;
        if call.route.class != Class::Control {
            return Err(Sim::unknown_path().into());
        }
        let Some(outcome) = self.shared.perform(&mut call, None) else { return Ok(Value::Null) };
        read(&outcome?.body)
    }

    /// Plants `count` realistic mails in the first mailbox, spread over the last `days`.
    ///
    /// # Errors
    /// When a number is out of range.
    pub fn seed(&self, count: usize, days: u64) -> Result<Value, ControlError> {
        self.control("POST", "/_sandbox/seed", json!({"count": count, "spread_days": days}))
    }

    /// Has a mail arrive; answers with its ids.
    ///
    /// # Errors
    /// When the mail is not valid.
    pub fn deliver(&self, mail: Value) -> Result<Value, ControlError> {
        self.control("POST", "/_sandbox/deliver", mail)
    }

    /// Every message of a user's mailbox: `{total, messages}`.
    ///
    /// # Errors
    /// When there is no such user.
    pub fn state(&self, address: &str) -> Result<Value, ControlError> {
        self.control("GET", &format!("/_sandbox/state/{address}"), Value::Null)
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

    /// Users take their consent back: every token is dead, subscriptions are removed. Answers how many grants ended.
    pub fn revoke(&self) -> usize {
        let mut sim = self.shared.lock();
        let revoked = (0..sim.boxes.len()).map(|person| sim.end_consent(person, 65_001)).sum();
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
