//! The whole simulator behind one lock, and the path every call takes through it.

use std::collections::HashMap;
use std::sync::Arc;

use rand::rngs::StdRng;
use tokio::sync::Notify;

use super::Settings;
use super::auth::Auth;
use super::call::{Call, Outcome};
use super::delivery::Deliveries;
use super::errors::Failure;
use super::faults::Fault;
use super::interaction::Trigger;
use super::journal::Journal;
use super::limits::Limits;
use super::responses::ResponseUrl;
use super::routes::Class;
use super::server::Client;
use super::views::View;
use super::workspace::Workspace;
use crate::calls::CallLog;
use crate::clock::Clock;
use crate::faults::Faults;

/// Headers that go with an answer.
pub(crate) type Headers = Vec<(&'static str, String)>;

/// Everything the simulator knows.
#[derive(Debug)]
pub(crate) struct Sim {
    pub(crate) settings: Settings,
    /// The origin it is reached at.
    pub(crate) url: String,
    pub(crate) clock: Clock,
    pub(crate) workspaces: Vec<Workspace>,
    pub(crate) auth: Auth,
    pub(crate) limits: Limits,
    pub(crate) faults: Faults<Fault>,
    pub(crate) calls: CallLog<Client>,
    pub(crate) triggers: HashMap<String, Trigger>,
    /// Open dialogs, the topmost of a user last.
    pub(crate) views: Vec<View>,
    pub(crate) responses: HashMap<String, ResponseUrl>,
    pub(crate) deliveries: Deliveries,
    pub(crate) journal: Option<Journal>,
    pub(crate) rng: StdRng,
    /// Rung after every change.
    pub(crate) bell: Arc<Notify>,
}

impl Sim {
    /// The workspace of an id.
    pub(crate) fn workspace(&mut self, id: &str) -> Option<&mut Workspace> {
        self.workspaces.iter_mut().find(|workspace| workspace.id == id)
    }

    /// The workspace that a call's token belongs to.
    pub(crate) fn home(&mut self, call: &Call) -> Result<&mut Workspace, Failure> {
        let team = call.caller()?.team_id.clone();
        self.workspace(&team).ok_or_else(|| Failure::named("team_not_found"))
    }

    /// The workspace that a control call or page is about: the one it names, or the first.
    pub(crate) fn named(&mut self, team: Option<&str>) -> Result<&mut Workspace, Failure> {
        let found = match team {
            Some(id) => self.workspaces.iter_mut().find(|workspace| workspace.id == id),
            None => self.workspaces.first_mut(),
        };
        found.ok_or_else(|| Failure::missing("team_not_found"))
    }

    /// Authenticates, checks scopes, counts against the limits and runs the handler.
    /// What changed is in the journal when this returns, and whoever waits is told.
    pub(crate) fn run(&mut self, call: &mut Call) -> (Outcome, Headers) {
        let mut headers = Headers::new();
        let outcome = self.admit(call, &mut headers).and_then(|()| (call.route.handler)(self, call));
        self.save();
        (outcome, headers)
    }

    fn admit(&mut self, call: &mut Call, headers: &mut Headers) -> Result<(), Failure> {
        let Some(any_of) = call.route.access else { return Ok(()) };
        let token = match (&call.credentials.bearer, &call.args) {
            (Some(bearer), _) => Some(bearer.clone()),
            (None, Ok(args)) => args.text("token"),
            (None, Err(_)) => None,
        };
        let caller = self.auth.caller(token.as_deref(), call.now_ms)?;
        let provided = caller.scopes.iter().cloned().collect::<Vec<_>>().join(",");
        headers.push(("x-oauth-scopes", provided.clone()));
        if !any_of.is_empty() {
            headers.push(("x-accepted-oauth-scopes", any_of.join(",")));
        }
        let is_granted = any_of.is_empty() || any_of.iter().any(|scope| caller.scopes.contains(*scope));
        if let Some(host) = call.host.as_ref().filter(|_| self.settings.public_url.is_none()) {
            // Where the app reached it, the app will find its response URLs.
            self.url = format!("http://{host}");
        }
        if self.settings.rate_limits && call.route.class == Class::Api {
            self.limits.admit(&caller.team_id, call.route.path, call.route.tier, call.now_ms)?;
        }
        call.caller = Some(caller);
        if is_granted { Ok(()) } else { Err(Failure::missing_scope(any_of[0], &provided)) }
    }

    /// Writes what changed since the last call to the journal, and rings the bell.
    pub(crate) fn save(&mut self) {
        self.bell.notify_waiters();
        let Some(mut journal) = self.journal.take() else {
            self.workspaces.iter_mut().for_each(Workspace::forget_touched);
            return;
        };
        match journal.append(self) {
            Ok(()) => self.journal = Some(journal),
            Err(error) => {
                tracing::error!(%error, "the sandbox stops keeping its state: its state file cannot be written");
            }
        }
    }
}
