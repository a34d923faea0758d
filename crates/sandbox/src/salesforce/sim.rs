//! The whole simulator behind one lock, and the path every call takes through it.

use http::StatusCode;
use rand::rngs::StdRng;
use serde_json::Value;

use super::auth::{Auth, Caller};
use super::bulk::Job;
use super::call::{Call, Outcome};
use super::describe::{NEWEST, OLDEST};
use super::errors::Failure;
use super::faults::Fault;
use super::id::Id;
use super::limits::Allocation;
use super::org::Org;
use super::pubsub::Events;
use super::query::Cursors;
use super::routes::Class;
use super::server::Client;
use super::state::State;
use super::{Edition, Settings};
use crate::calls::CallLog;
use crate::clock::Clock;
use crate::faults::Faults;

/// Behaviour that only the control API turns.
#[derive(Debug, Default)]
pub(crate) struct Dials {
    /// Objects that the user may not see.
    pub(crate) hidden_objects: Vec<String>,
    /// Objects that the user may not write.
    pub(crate) read_only_objects: Vec<String>,
    /// When the log of deletions begins, if that is later than usual.
    pub(crate) deleted_since_s: Option<i64>,
}

/// Everything the simulator knows.
#[derive(Debug)]
pub(crate) struct Sim {
    pub(crate) settings: Settings,
    pub(crate) dials: Dials,
    /// The address clients reach the simulator at, without a slash at the end.
    pub(crate) origin: String,
    pub(crate) clock: Clock,
    pub(crate) org: Org,
    pub(crate) auth: Auth,
    pub(crate) faults: Faults<Fault>,
    pub(crate) calls: CallLog<Client>,
    pub(crate) allocation: Allocation,
    pub(crate) cursors: Cursors,
    pub(crate) jobs: Vec<Job>,
    pub(crate) state: Option<State>,
    pub(crate) rng: StdRng,
    pub(crate) events: Events,
}

impl Sim {
    /// Authenticates, counts and runs the handler. What changed is in the state file when this returns.
    pub(crate) fn run(&mut self, call: &mut Call) -> Outcome {
        self.org.tick(call.now_ms);
        // What was committed is told as the org was then: before this call can change an object.
        self.capture();
        let mut outcome = self.admit(call).and_then(|()| (call.route.handler)(self, call));
        self.save();
        if call.caller.is_some() {
            let (used, most) = (self.allocation.used(call.now_ms), self.settings.daily_requests);
            let usage = ("sforce-limit-info", format!("api-usage={used}/{most}"));
            match &mut outcome {
                Ok(reply) => reply.headers.push(usage),
                Err(failure) => failure.headers.push(usage),
            }
        }
        outcome
    }

    fn admit(&mut self, call: &mut Call) -> Result<(), Failure> {
        if call.route.class != Class::Api {
            return Ok(());
        }
        let caller = self.session(call).ok_or_else(Failure::session)?;
        if !caller.may("api") {
            let message = "This session is not valid for use with the REST API";
            return Err(Failure::new(StatusCode::UNAUTHORIZED, "INVALID_SESSION_ID", message));
        }
        call.caller = Some(caller);
        if !self.settings.api_enabled {
            return Err(self.no_api());
        }
        if !call.version().is_empty() {
            release(call)?;
        }
        self.allocation.admit(self.settings.daily_requests, call.now_ms)
    }

    /// Moves the clock forward and gives time its due.
    pub(crate) fn advance(&mut self, by_ms: i64) {
        self.clock.advance(by_ms);
        self.org.tick(self.clock.now_ms());
    }

    /// Writes what changed since the last call to the state file.
    pub(crate) fn save(&mut self) {
        let Some(mut state) = self.state.take() else {
            self.org.forget();
            return;
        };
        match state.append(self) {
            Ok(()) => self.state = Some(state),
            Err(error) => {
                tracing::error!(%error, "the sandbox stops keeping its state: its state file cannot be written");
            }
        }
    }

    fn no_api(&self) -> Failure {
        let (code, message) = match self.settings.edition {
            Edition::Professional => {
                ("API_DISABLED_FOR_ORG", "API is not enabled for this Organization or Partner")
            }
            _ => ("API_CURRENTLY_DISABLED", "API is currently disabled for this user"),
        };
        Failure::new(StatusCode::FORBIDDEN, code, message)
    }

    /// Whoever the call's token stands for.
    pub(crate) fn session(&mut self, call: &Call) -> Option<Caller> {
        let admin = self.org.users[0];
        self.auth.caller(call.bearer()?, admin, self.settings.session_minutes, call.now_ms)
    }

    /// The origin that token answers name.
    pub(crate) fn instance_url(&self) -> &str {
        self.settings.instance_url.as_deref().unwrap_or(&self.origin)
    }

    /// The path of the instance, of an org that was moved below the simulator's origin; empty else.
    pub(crate) fn instance_path(&self) -> String {
        self.instance_url().strip_prefix(&self.origin).unwrap_or_default().to_owned()
    }

    pub(crate) fn identity_url(&self, user: Id) -> String {
        format!("{}/id/{}/{user}", self.origin, self.org.id)
    }

    /// What is known of a user, by field.
    pub(crate) fn person(&self, user: Id, field: &str) -> String {
        let Some(object) = self.org.find("User").map(|at| &self.org.objects[at]) else {
            return String::new();
        };
        let value = object.get(user).zip(object.schema.field(field));
        let value = value.map(|(record, field)| object.read(record, field)).unwrap_or_default();
        match value {
            Value::String(text) => text,
            _ => String::new(),
        }
    }

    /// When the org was made.
    pub(crate) fn org_made_s(&self) -> i64 {
        let object = self.org.find("Organization").map(|at| &self.org.objects[at]);
        object.and_then(|object| object.get(self.org.id)).map_or(0, |record| record.created_s)
    }
}

/// Only some releases are served; old ones are gone.
fn release(call: &Call) -> Result<(), Failure> {
    let release = call.release();
    if call.version() != format!("v{release}.0") || release > NEWEST {
        return Err(Failure::not_found());
    }
    if release < OLDEST {
        let message = format!("The API version {} is retired", call.version());
        return Err(Failure::new(StatusCode::GONE, "UNSUPPORTED_API_VERSION", message));
    }
    Ok(())
}
