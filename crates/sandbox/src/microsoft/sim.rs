//! The whole simulator behind one lock, and the path every call takes through it.

use std::collections::VecDeque;

use rand::rngs::StdRng;
use serde::{Deserialize, Serialize};
use serde_json::Value;

use super::Settings;
use super::auth::Auth;
use super::call::{Call, Outcome};
use super::clock::Clock;
use super::errors::Failure;
use super::faults::Fault;
use super::journal::Journal;
use super::limits::Limits;
use super::mailbox::{Mailbox, Person};
use super::routes::{Access, Class};
use super::server::Client;
use super::subscriptions::{self, Delivery, Subscription};
use crate::calls::CallLog;
use crate::faults::Faults;

/// What becomes of notifications.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub(crate) enum Notifications {
    #[default]
    Once,
    Twice,
    Lost,
}

/// Behaviour that only the control API turns.
#[derive(Debug, Clone, Default)]
pub(crate) struct Dials {
    /// Users may not consent before an administrator did.
    pub(crate) admin_consent_required: bool,
    /// Consent grants nothing beyond these.
    pub(crate) scopes_granted: Option<Vec<String>>,
    /// A round of a delta query begins with an empty page.
    pub(crate) empty_pages: bool,
    /// A page of a delta query repeats the last row of the page before.
    pub(crate) repeat_rows: bool,
    /// Changed messages show little more than their id in delta queries.
    pub(crate) sparse_updates: bool,
    /// A message that moved away is `changed`, not `deleted`.
    pub(crate) moves_are_changed: bool,
    /// Old links of delta queries are answered with the address to begin again at.
    pub(crate) resync_with_location: bool,
    /// Addresses and domains that send everything back.
    pub(crate) bouncing: Vec<String>,
    pub(crate) notifications: Notifications,
}

/// Everything the simulator knows.
#[derive(Debug)]
pub(crate) struct Sim {
    pub(crate) settings: Settings,
    pub(crate) dials: Dials,
    pub(crate) clock: Clock,
    pub(crate) boxes: Vec<Mailbox>,
    pub(crate) auth: Auth,
    pub(crate) subscriptions: Vec<Subscription>,
    pub(crate) subscriptions_touched: bool,
    pub(crate) outgoing: VecDeque<Delivery>,
    /// Notifications that endpoints took.
    pub(crate) notified: u64,
    /// What was sent, in the order of sending.
    pub(crate) left: Vec<Value>,
    pub(crate) limits: Limits,
    pub(crate) faults: Faults<Fault>,
    pub(crate) calls: CallLog<Client>,
    pub(crate) journal: Option<Journal>,
    pub(crate) rng: StdRng,
}

impl Sim {
    pub(crate) fn people(&self) -> impl Iterator<Item = &Person> {
        self.boxes.iter().map(|mailbox| &mailbox.person)
    }

    /// A user by id or address.
    pub(crate) fn person_at(&self, who: &str) -> Option<usize> {
        self.people().position(|person| person.id == who || person.address.eq_ignore_ascii_case(who))
    }

    /// Whom a call is about: its caller, who may be spelled out.
    pub(crate) fn target(&self, call: &Call) -> Result<usize, Failure> {
        let own = call.caller.as_ref().ok_or_else(Failure::denied)?.person;
        let Some(user) = &call.user else { return Ok(own) };
        let unknown = || {
            Failure::not_found(
                "Request_ResourceNotFound",
                "Resource does not exist or one of its queried objects.",
            )
        };
        let found = self.person_at(user).ok_or_else(unknown)?;
        // Access that was delegated opens one's own mailbox only.
        if found == own { Ok(found) } else { Err(Failure::denied()) }
    }

    pub(crate) fn mailbox(&mut self, call: &Call) -> Result<&mut Mailbox, Failure> {
        let at = self.target(call)?;
        let mailbox = &mut self.boxes[at];
        if !mailbox.person.has_mailbox {
            let message = "The mailbox is either inactive, soft-deleted, or is hosted on-premise.";
            return Err(Failure::not_found("MailboxNotEnabledForRESTAPI", message));
        }
        Ok(mailbox)
    }

    /// Authenticates, counts against the limits, checks scopes and runs the handler.
    /// What changed is in the journal when this returns.
    pub(crate) fn run(&mut self, call: &mut Call) -> Outcome {
        let outcome = self.admit(call).and_then(|()| (call.route.handler)(self, call));
        self.save();
        outcome
    }

    pub(crate) fn admit(&mut self, call: &mut Call) -> Result<(), Failure> {
        if call.route.access == Access::Open {
            return Ok(());
        }
        let caller = self.auth.caller(call.bearer(), call.now_ms)?;
        if self.boxes[caller.person].person.disabled {
            return Err(Failure::unauthenticated("Continuous access evaluation resulted in challenge."));
        }
        if self.settings.rate_limits && call.route.class == Class::Graph {
            self.limits.admit(caller.person, call.now_ms)?;
        }
        let needed = call.route.access.scopes();
        let is_open = needed.is_empty() || needed.iter().any(|scope| caller.has(scope));
        call.caller = Some(caller);
        if is_open { Ok(()) } else { Err(Failure::denied()) }
    }

    /// A user's consent is gone: tokens are dead, subscriptions end.
    pub(crate) fn end_consent(&mut self, person: usize, code: u32) -> usize {
        subscriptions::lifecycle(self, "subscriptionRemoved", |one| one.person == person);
        self.auth.end(Some(person), code)
    }

    /// Tells subscribers what happened since the last call, and writes it to the journal.
    pub(crate) fn save(&mut self) {
        subscriptions::gather(self);
        let Some(mut journal) = self.journal.take() else {
            self.boxes.iter_mut().for_each(|mailbox| mailbox.touched.clear());
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
        Failure::bad("BadRequest", "Resource not found for the segment.")
    }
}
