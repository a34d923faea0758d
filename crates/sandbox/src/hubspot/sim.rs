//! The whole simulator behind one lock, and the path every call takes through it.

use http::StatusCode;
use rand::rngs::StdRng;
use serde::Deserialize;

use super::Settings;
use super::auth::{Auth, Caller};
use super::call::{Call, Outcome};
use super::clock::Clock;
use super::errors::Failure;
use super::faults::Fault;
use super::journal::Journal;
use super::limits::{Headers, Limits};
use super::portal::Portal;
use super::routes::{Access, Class, Mode};
use super::server::Client;
use crate::calls::CallLog;
use crate::faults::Faults;

/// Behaviour that only the control API turns.
#[derive(Debug, Clone, Default, Deserialize)]
pub(crate) struct Dials {
    /// Rewrite text and numbers on write, as the vendor's own formatting does.
    pub(crate) reformat: bool,
    /// Consent grants nothing beyond these.
    pub(crate) scopes_granted: Option<Vec<String>>,
    /// A merge issues a new id instead of keeping the primary's.
    pub(crate) merge_issues_new_id: bool,
}

/// Everything the simulator knows.
#[derive(Debug)]
pub(crate) struct Sim {
    pub(crate) settings: Settings,
    pub(crate) dials: Dials,
    pub(crate) clock: Clock,
    pub(crate) portals: Vec<Portal>,
    pub(crate) auth: Auth,
    pub(crate) limits: Limits,
    pub(crate) faults: Faults<Fault>,
    pub(crate) calls: CallLog<Client>,
    pub(crate) journal: Option<Journal>,
    pub(crate) rng: StdRng,
}

impl Sim {
    /// The portal a call is about: its token's, the one named by `portal_id`, or the configured one.
    pub(crate) fn portal(&mut self, call: &Call) -> Result<&mut Portal, Failure> {
        let wanted = match &call.caller {
            Some(caller) => Some(caller.portal_id),
            None => call.query("portal_id").map(Call::id).transpose()?,
        };
        let wanted = wanted.unwrap_or(self.settings.portal_id);
        let found = self.portals.iter_mut().find(|portal| portal.id == wanted);
        found.ok_or_else(|| Failure::not_found(format!("portal {wanted} does not exist")))
    }

    /// Authenticates, counts against the limits, checks scopes and runs the handler.
    /// What changed is in the journal when this returns.
    pub(crate) fn run(&mut self, call: &mut Call) -> (Outcome, Headers) {
        let mut headers = Headers::new();
        let outcome = self.admit(call, &mut headers).and_then(|()| (call.route.handler)(self, call));
        self.save();
        (outcome, headers)
    }

    fn admit(&mut self, call: &mut Call, headers: &mut Headers) -> Result<(), Failure> {
        if call.route.access == Access::Open {
            return Ok(());
        }
        let home = self.settings.portal_id;
        let caller = self.auth.caller(call.bearer.as_deref(), home, call.now_ms)?;
        if self.settings.rate_limits && call.route.class != Class::OAuth {
            *headers = self.limits.admit(call.route.class, &caller, self.settings.tier, call.now_ms)?;
        }
        call.caller = Some(caller.clone());
        self.check_scopes(call, &caller)
    }

    fn check_scopes(&mut self, call: &Call, caller: &Caller) -> Result<(), Failure> {
        for any in self.needed_scopes(call)? {
            if !any.iter().any(|scope| caller.scopes.contains(scope)) {
                return Err(Failure::missing_scopes(&any));
            }
        }
        Ok(())
    }

    /// Scopes a call needs: one of each list.
    fn needed_scopes(&mut self, call: &Call) -> Result<Vec<Vec<String>>, Failure> {
        let access = call.route.access;
        let portal = &*self.portal(call)?;
        let word = |name: &str| {
            portal.object_at(call.param(name)).map(|at| portal.objects[at].scope_word().to_owned())
        };
        let objects = |word: &str, mode: Mode| format!("crm.objects.{word}.{}", mode.word());
        let schemas = |word: &str, mode: Mode| format!("crm.schemas.{word}.{}", mode.word());
        Ok(match access {
            Access::Open | Access::Any => Vec::new(),
            Access::Objects(mode) => vec![vec![objects(&word("type")?, mode)]],
            Access::Properties(Mode::Read) | Access::Pipelines => {
                let word = word("type")?;
                vec![vec![schemas(&word, Mode::Read), objects(&word, Mode::Read)]]
            }
            Access::Properties(Mode::Write) => vec![vec![schemas(&word("type")?, Mode::Write)]],
            Access::Associations(mode) => {
                vec![vec![objects(&word("type")?, mode)], vec![objects(&word("to")?, mode)]]
            }
            Access::Owners => vec![vec![objects("owners", Mode::Read)]],
            Access::Schemas(mode) => vec![vec![schemas("custom", mode)]],
        })
    }

    /// Writes what changed since the last call to the journal.
    pub(crate) fn save(&mut self) {
        let Some(mut journal) = self.journal.take() else {
            self.portals.iter_mut().for_each(|portal| portal.touched.clear());
            return;
        };
        match journal.append(self) {
            Ok(()) => self.journal = Some(journal),
            Err(error) => {
                tracing::error!(%error, "the sandbox stops keeping its state: its state file cannot be written");
            }
        }
    }

    /// The answer to a path that no route has.
    pub(crate) fn unknown_path() -> Failure {
        Failure::new(StatusCode::NOT_FOUND, "OBJECT_NOT_FOUND", "resource not found")
    }
}
