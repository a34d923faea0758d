//! The whole simulator behind one lock, and the path every call takes through it.

use std::collections::{BTreeMap, BTreeSet, VecDeque};

use rand::Rng;
use rand::rngs::StdRng;

use super::Settings;
use super::auth::Auth;
use super::calendar::Calendar;
use super::call::{Call, Outcome};
use super::conference::Conference;
use super::errors::Failure;
use super::faults::Fault;
use super::journal::Journal;
use super::limits::Limits;
use super::push::{Channel, Message};
use super::routes::{Access, Class};
use super::server::Client;
use crate::calls::CallLog;
use crate::clock::Clock;
use crate::faults::Faults;

/// Everything the simulator knows.
#[derive(Debug)]
pub(crate) struct Sim {
    pub(crate) settings: Settings,
    pub(crate) origin: String,
    pub(crate) clock: Clock,
    /// The accounts, each with its calendar.
    pub(crate) calendars: Vec<Calendar>,
    /// Rooms by their meeting code.
    pub(crate) spaces: BTreeMap<String, String>,
    pub(crate) conferences: Vec<Conference>,
    /// Ids of conferences that the state file does not know yet.
    pub(crate) held: BTreeSet<String>,
    pub(crate) channels: Vec<Channel>,
    pub(crate) channels_touched: bool,
    pub(crate) messages: VecDeque<Message>,
    pub(crate) auth: Auth,
    pub(crate) limits: Limits,
    pub(crate) faults: Faults<Fault>,
    pub(crate) calls: CallLog<Client>,
    pub(crate) journal: Option<Journal>,
    pub(crate) rng: StdRng,
}

impl Sim {
    /// The calendar of the account that calls; of the first one where nobody does.
    pub(crate) fn own(&mut self, call: &Call) -> Result<&mut Calendar, Failure> {
        let email = call.email().to_owned();
        let found = self.calendars.iter_mut().find(|one| email.is_empty() || one.email == email);
        found.ok_or_else(Failure::not_found)
    }

    /// The calendar that a path names, if it is the caller's.
    pub(crate) fn calendar(&mut self, call: &Call) -> Result<&mut Calendar, Failure> {
        let id = call.param("calendarId");
        let own = self.own(call)?;
        if id == "primary" || id.eq_ignore_ascii_case(&own.email) {
            return Ok(own);
        }
        Err(Failure::not_found())
    }

    /// An account's calendar.
    pub(crate) fn calendar_of(&mut self, email: &str) -> Option<&mut Calendar> {
        self.calendars.iter_mut().find(|one| one.email == email)
    }

    /// A new id in the vendor's letters.
    pub(crate) fn new_id(&mut self) -> String {
        self.letters(b"0123456789abcdefghijklmnopqrstuv", 26)
    }

    pub(crate) fn letters(&mut self, of: &[u8], count: usize) -> String {
        (0..count).map(|_| char::from(of[self.rng.random_range(0..of.len())])).collect()
    }

    /// A new room; gives its meeting code.
    pub(crate) fn new_code(&mut self) -> String {
        const LETTERS: &[u8] = b"abcdefghijkmnopqrstuvwxyz";
        let parts = [3, 4, 3].map(|count| self.letters(LETTERS, count));
        let (code, space) = (parts.join("-"), self.new_id());
        self.spaces.insert(code.clone(), space);
        code
    }

    /// Authenticates, counts against the quota, checks scopes and runs the handler.
    /// What changed is in the state file and waits to be pushed when this returns.
    pub(crate) fn run(&mut self, call: &mut Call) -> Outcome {
        self.settle(call.now_ms);
        let outcome = self.admit(call).and_then(|()| (call.route.handler)(self, call));
        self.save();
        outcome
    }

    fn admit(&mut self, call: &mut Call) -> Result<(), Failure> {
        if call.route.access == Access::Open {
            return Ok(());
        }
        let home = &self.calendars[0].email;
        let caller = self.auth.caller(call.bearer(), home, call.now_ms)?;
        if call.route.class == Class::Api {
            self.limits.admit(&self.settings, &caller.email, call.style(), call.now_ms)?;
        }
        if let Access::OneOf(scopes) = call.route.access
            && !caller.has(scopes)
        {
            return Err(Failure::scopes());
        }
        call.caller = Some(caller);
        Ok(())
    }

    /// Gives time its due: transcripts that are ready, channels that end, and whoever is to be told of changes.
    pub(crate) fn settle(&mut self, now_ms: i64) {
        self.attach_transcripts(now_ms);
        self.notify(now_ms);
    }

    /// Writes what changed since the last call to the state file.
    pub(crate) fn save(&mut self) {
        let now_ms = self.clock.now_ms();
        self.settle(now_ms);
        let Some(mut journal) = self.journal.take() else {
            self.forget();
            return;
        };
        match journal.append(self) {
            Ok(()) => self.journal = Some(journal),
            Err(error) => {
                tracing::error!(%error, "the sandbox stops keeping its state: its state file cannot be written");
            }
        }
    }

    /// Nothing waits for the state file any more.
    pub(crate) fn forget(&mut self) {
        self.calendars.iter_mut().for_each(|one| one.touched.clear());
        self.held.clear();
        self.channels_touched = false;
        self.auth.touched = false;
    }
}
