//! One account's calendar: its events, in the order of their changes.

use std::collections::{BTreeMap, BTreeSet};

use http::StatusCode;
use jiff::Timestamp;
use jiff::tz::TimeZone;
use serde_json::{Map, Value};

use super::errors::Failure;
use super::event::{Dropped, Event, Status};
use super::when::{When, zone};

/// How far ahead the instances of a series without an end are made.
pub(crate) const HORIZON_MS: i64 = 730 * 86_400_000;

/// An account with its primary calendar.
#[derive(Debug)]
pub(crate) struct Calendar {
    pub(crate) email: String,
    pub(crate) name: String,
    /// The stable id of the account.
    pub(crate) subject: String,
    pub(crate) zone: String,
    pub(crate) events: BTreeMap<String, Event>,
    /// The last change.
    pub(crate) seq: u64,
    /// Sync tokens of another epoch are gone.
    pub(crate) epoch: u64,
    /// What the state file does not know yet.
    pub(crate) touched: BTreeSet<String>,
}

/// What an event id stands for.
#[derive(Debug, Clone)]
pub(crate) enum Target {
    Stored(String),
    /// A time of a series that nobody touched.
    Instance(String, When),
}

impl Calendar {
    pub(crate) fn new(email: &str, name: &str, subject: &str, zone: &str) -> Self {
        Self {
            email: email.to_owned(),
            name: name.to_owned(),
            subject: subject.to_owned(),
            zone: zone.to_owned(),
            events: BTreeMap::new(),
            seq: 0,
            epoch: 0,
            touched: BTreeSet::new(),
        }
    }

    pub(crate) fn tz(&self) -> TimeZone {
        zone(&self.zone).unwrap_or(TimeZone::UTC)
    }

    /// The times of a series that end after one time and start before another.
    pub(crate) fn starts(&self, series: &Event, from_ms: Option<i64>, to_ms: i64) -> Vec<When> {
        let Some(rule) = series.rule(&self.zone) else { return Vec::new() };
        let tz = self.tz();
        let until = Timestamp::from_millisecond(to_ms).unwrap_or(Timestamp::MAX);
        let until = match &series.start {
            When::Day(_) => When::Moment(until, None).civil(&self.zone),
            When::Moment(_, name) => When::Moment(until, name.clone()).civil(&self.zone),
        };
        let times = rule.times(series.start.civil(&self.zone), until);
        let times = times.into_iter().filter_map(|at| series.start.at(at, &self.zone));
        let ends_after =
            |at: &When| from_ms.is_none_or(|from| at.after(&series.start, &series.end).ms(&tz) > from);
        times.filter(|at| ends_after(at) && at.ms(&tz) < to_ms).collect()
    }

    /// Finds what an id stands for.
    pub(crate) fn find(&self, id: &str, now_ms: i64) -> Option<Target> {
        if self.events.contains_key(id) {
            return Some(Target::Stored(id.to_owned()));
        }
        let (master, _) = id.rsplit_once('_')?;
        let series = self.events.get(master).filter(|one| one.is_series() && !one.is_cancelled())?;
        let starts = self.starts(series, None, now_ms + HORIZON_MS);
        let original = starts.into_iter().find(|at| series.instance_id(at) == id)?;
        Some(Target::Instance(master.to_owned(), original))
    }

    fn next(&mut self) -> u64 {
        self.seq += 1;
        self.seq
    }

    /// Puts an event into its place as the last that changed.
    pub(crate) fn store(&mut self, mut event: Event, now_ms: i64) {
        event.seq = self.next();
        event.updated_ms = now_ms;
        self.touched.insert(event.id.clone());
        self.events.insert(event.id.clone(), event);
    }

    pub(crate) fn add(&mut self, event: Event, now_ms: i64) -> Result<String, Failure> {
        event.check(&self.zone)?;
        if self.events.contains_key(&event.id) {
            let message = "The requested identifier already exists.";
            return Err(Failure::new(StatusCode::CONFLICT, "global", "duplicate", message));
        }
        let id = event.id.clone();
        self.store(event, now_ms);
        Ok(id)
    }

    /// Changes an event or an instance; gives the id of what changed.
    pub(crate) fn change(
        &mut self,
        target: &Target,
        body: Map<String, Value>,
        now_ms: i64,
    ) -> Result<String, Failure> {
        let (before, mut event) = match target {
            Target::Stored(id) => {
                let before = self.events.get(id).ok_or_else(Failure::not_found)?;
                (Some(before.clone()), before.clone())
            }
            Target::Instance(master, original) => {
                let series = self.events.get(master).ok_or_else(Failure::not_found)?;
                (None, series.exception(original, now_ms))
            }
        };
        event.apply(body, &self.zone)?;
        if event.is_cancelled() {
            self.cancel(target, now_ms)?;
            return Ok(event.id);
        }
        if let Some(before) = before.filter(Event::is_series) {
            self.drop_times(&before, &mut event, now_ms);
        }
        let id = event.id.clone();
        self.store(event, now_ms);
        Ok(id)
    }

    /// Cancels an event, a whole series or an instance.
    pub(crate) fn cancel(&mut self, target: &Target, now_ms: i64) -> Result<String, Failure> {
        let mut event = match target {
            Target::Stored(id) => self.events.get(id).cloned().ok_or_else(Failure::not_found)?,
            Target::Instance(master, original) => {
                let series = self.events.get(master).ok_or_else(Failure::not_found)?;
                series.exception(original, now_ms)
            }
        };
        if event.is_cancelled() {
            let message = "Resource has been deleted";
            return Err(Failure::new(StatusCode::GONE, "global", "deleted", message));
        }
        event.status = Status::Cancelled;
        if event.is_series() {
            let before = Event { status: Status::Confirmed, ..event.clone() };
            self.drop_times(&before, &mut event, now_ms);
        }
        let id = event.id.clone();
        self.store(event, now_ms);
        Ok(id)
    }

    /// Remembers the times that a series no longer has, and cancels exceptions that stood for them.
    fn drop_times(&mut self, before: &Event, after: &mut Event, now_ms: i64) {
        let far = now_ms + HORIZON_MS;
        let had = self.starts(before, None, far);
        let has: BTreeSet<String> = if after.is_cancelled() || !after.is_series() {
            BTreeSet::new()
        } else {
            self.starts(after, None, far).iter().map(|at| after.instance_id(at)).collect()
        };
        let seq = self.seq + 1;
        for original in had {
            let id = before.instance_id(&original);
            if !has.contains(&id) && !self.events.contains_key(&id) {
                after.dropped.insert(id, Dropped { seq, original });
            }
        }
        after.dropped.retain(|id, _| !has.contains(id));
        let lost = |one: &&Event| {
            one.of.as_ref().is_some_and(|of| of.master == before.id)
                && !one.is_cancelled()
                && !has.contains(&one.id)
        };
        let lost: Vec<Event> = self.events.values().filter(lost).cloned().collect();
        for mut exception in lost {
            exception.status = Status::Cancelled;
            self.store(exception, now_ms);
        }
        // The exceptions above moved the order on; the series is stored after them.
        let seq_of_series = self.seq + 1;
        after.dropped.values_mut().filter(|one| one.seq == seq).for_each(|one| one.seq = seq_of_series);
    }

    /// Takes over another's event, as invitations do.
    pub(crate) fn receive(&mut self, event: &Event, now_ms: i64) {
        let mut copy = event.clone();
        let seq = self.seq + 1;
        copy.dropped.values_mut().for_each(|one| one.seq = seq);
        self.store(copy, now_ms);
    }
}
