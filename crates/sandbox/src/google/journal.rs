//! What the accounts keep between runs.

use std::io::{self, Write};
use std::path::Path;

use serde::{Deserialize, Serialize};

use super::auth::Auth;
use super::calendar::Calendar;
use super::conference::Conference;
use super::event::Event;
use super::push::Channel;
use super::sim::Sim;
use crate::clock::Clock;
use crate::statefile::{StateFile, line, read};

#[derive(Serialize)]
#[serde(tag = "k", rename_all = "snake_case")]
enum Out<'a> {
    Clock { offset_ms: i64 },
    Auth { auth: &'a Auth },
    Calendar { email: &'a str, seq: u64, epoch: u64 },
    Event { email: &'a str, event: &'a Event },
    Space { code: &'a str, space: &'a str },
    Conference { conference: &'a Conference },
    Channels { channels: &'a [Channel] },
}

#[derive(Deserialize)]
#[serde(tag = "k", rename_all = "snake_case")]
enum In {
    Clock { offset_ms: i64 },
    Auth { auth: Auth },
    Calendar { email: String, seq: u64, epoch: u64 },
    Event { email: String, event: Box<Event> },
    Space { code: String, space: String },
    Conference { conference: Conference },
    Channels { channels: Vec<Channel> },
}

/// The open state file.
#[derive(Debug)]
pub(crate) struct Journal {
    file: StateFile,
    clock_offset_ms: i64,
    epochs: Vec<u64>,
    spaces: usize,
}

impl Journal {
    /// Restores the simulator from the file, if there is one, and opens it for what comes.
    pub(crate) fn open(path: &Path, sim: &mut Sim) -> io::Result<Self> {
        read(path, |one| replay(sim, one))?;
        Self::rewrite(path, sim)
    }

    fn rewrite(path: &Path, sim: &mut Sim) -> io::Result<Self> {
        sim.forget();
        let file = StateFile::rewrite(path, |out| snapshot(sim, out))?;
        Ok(Self {
            file,
            clock_offset_ms: sim.clock.offset_ms(),
            epochs: sim.calendars.iter().map(|one| one.epoch).collect(),
            spaces: sim.spaces.len(),
        })
    }

    /// Appends what changed since the last call.
    pub(crate) fn append(&mut self, sim: &mut Sim) -> io::Result<()> {
        let mut buffer = Vec::new();
        if self.clock_offset_ms != sim.clock.offset_ms() {
            self.clock_offset_ms = sim.clock.offset_ms();
            line(&mut buffer, &Out::Clock { offset_ms: self.clock_offset_ms })?;
        }
        if sim.auth.touched {
            line(&mut buffer, &Out::Auth { auth: &sim.auth })?;
        }
        for (calendar, epoch) in sim.calendars.iter().zip(&mut self.epochs) {
            if calendar.touched.is_empty() && *epoch == calendar.epoch {
                continue;
            }
            *epoch = calendar.epoch;
            head(&mut buffer, calendar)?;
            let touched = calendar.touched.iter().filter_map(|id| calendar.events.get(id));
            for event in touched {
                line(&mut buffer, &Out::Event { email: &calendar.email, event })?;
            }
        }
        if self.spaces != sim.spaces.len() {
            self.spaces = sim.spaces.len();
            spaces(&mut buffer, sim)?;
        }
        for conference in sim.conferences.iter().filter(|one| sim.held.contains(&one.id)) {
            line(&mut buffer, &Out::Conference { conference })?;
        }
        if sim.channels_touched {
            line(&mut buffer, &Out::Channels { channels: &sim.channels })?;
        }
        sim.forget();
        if buffer.is_empty() {
            return Ok(());
        }
        self.file.append(&buffer)?;
        if self.file.has_outgrown() {
            *self = Self::rewrite(self.file.path(), sim)?;
        }
        Ok(())
    }

    pub(crate) fn close(self, sim: &mut Sim) -> io::Result<()> {
        Self::rewrite(self.file.path(), sim).map(drop)
    }
}

fn head(out: &mut impl Write, calendar: &Calendar) -> io::Result<()> {
    line(out, &Out::Calendar { email: &calendar.email, seq: calendar.seq, epoch: calendar.epoch })
}

fn spaces(out: &mut impl Write, sim: &Sim) -> io::Result<()> {
    sim.spaces.iter().try_for_each(|(code, space)| line(out, &Out::Space { code, space }))
}

fn snapshot(sim: &Sim, out: &mut impl Write) -> io::Result<()> {
    line(out, &Out::Clock { offset_ms: sim.clock.offset_ms() })?;
    line(out, &Out::Auth { auth: &sim.auth })?;
    for calendar in &sim.calendars {
        head(out, calendar)?;
        for event in calendar.events.values() {
            line(out, &Out::Event { email: &calendar.email, event })?;
        }
    }
    spaces(out, sim)?;
    sim.conferences.iter().try_for_each(|conference| line(out, &Out::Conference { conference }))?;
    line(out, &Out::Channels { channels: &sim.channels })
}

fn replay(sim: &mut Sim, one: In) {
    match one {
        In::Clock { offset_ms } => sim.clock = Clock::with_offset_ms(offset_ms),
        In::Auth { auth } => sim.auth = auth,
        In::Calendar { email, seq, epoch } => {
            if let Some(calendar) = sim.calendar_of(&email) {
                (calendar.seq, calendar.epoch) = (seq, epoch);
            }
        }
        In::Event { email, event } => {
            if let Some(calendar) = sim.calendar_of(&email) {
                calendar.events.insert(event.id.clone(), *event);
            }
        }
        In::Space { code, space } => {
            sim.spaces.insert(code, space);
        }
        In::Conference { conference } => {
            sim.conferences.retain(|known| known.id != conference.id);
            sim.conferences.push(conference);
        }
        In::Channels { channels } => sim.channels = channels,
    }
}
