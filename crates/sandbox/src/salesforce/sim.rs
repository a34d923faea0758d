//! The whole simulator behind one lock, and the path every call takes through it.

use http::StatusCode;
use rand::rngs::StdRng;
use serde_json::Value;

use super::auth::{Auth, Caller};
use super::call::{Call, Outcome};
use super::calls::CallLog;
use super::errors::Failure;
use super::faults::Faults;
use super::id::Id;
use super::org::Org;
use super::pubsub::Events;
use super::routes::Class;
use super::{Edition, Settings};
use crate::clock::Clock;

/// Everything the simulator knows.
#[derive(Debug)]
pub(crate) struct Sim {
    pub(crate) settings: Settings,
    /// The address clients reach the simulator at, without a slash at the end.
    pub(crate) origin: String,
    pub(crate) clock: Clock,
    pub(crate) org: Org,
    pub(crate) auth: Auth,
    pub(crate) faults: Faults,
    pub(crate) calls: CallLog,
    pub(crate) rng: StdRng,
    pub(crate) events: Events,
}

impl Sim {
    /// Authenticates, counts and runs the handler.
    pub(crate) fn run(&mut self, call: &mut Call) -> Outcome {
        self.org.tick(call.now_ms);
        // What was committed is told as the org was then: before this call can change an object.
        self.capture();
        self.admit(call).and_then(|()| (call.route.handler)(self, call))
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
        Ok(())
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
