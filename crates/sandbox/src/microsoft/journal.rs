//! What the tenant keeps between runs.

use std::io::{self, Write};
use std::path::Path;

use serde::{Deserialize, Serialize};

use super::auth::Auth;
use super::clock::Clock;
use super::mailbox::{Change, Folder, Mailbox, Touched};
use super::message::Message;
use super::sim::Sim;
use super::subscriptions::Subscription;
use crate::statefile::{StateFile, line, read};

#[derive(Serialize)]
#[serde(tag = "k", rename_all = "snake_case")]
enum Out<'a> {
    Clock { offset_ms: i64 },
    Auth { auth: &'a Auth },
    Subscriptions { all: &'a [Subscription] },
    Folder { m: usize, at: usize, name: &'a str },
    Message { m: usize, message: &'a Message },
    Gone { m: usize, gone: Touched },
    Epoch { m: usize, epoch: u64 },
}

#[derive(Deserialize)]
#[serde(tag = "k", rename_all = "snake_case")]
enum In {
    Clock { offset_ms: i64 },
    Auth { auth: Auth },
    Subscriptions { all: Vec<Subscription> },
    Folder { m: usize, at: usize, name: String },
    Message { m: usize, message: Box<Message> },
    Gone { m: usize, gone: Touched },
    Epoch { m: usize, epoch: u64 },
}

/// The open state file.
#[derive(Debug)]
pub(crate) struct Journal {
    file: StateFile,
    clock_offset_ms: i64,
}

impl Journal {
    /// Restores the simulator from the file, if there is one, and opens it for what comes.
    pub(crate) fn open(path: &Path, sim: &mut Sim) -> io::Result<Self> {
        read(path, |one| replay(sim, one))?;
        sim.boxes.iter_mut().for_each(|mailbox| mailbox.touched.clear());
        Self::rewrite(path, sim)
    }

    /// Writes everything anew.
    pub(crate) fn rewrite(path: &Path, sim: &Sim) -> io::Result<Self> {
        let file = StateFile::rewrite(path, |out| snapshot(sim, out))?;
        Ok(Self { file, clock_offset_ms: sim.clock.offset_ms() })
    }

    /// Appends what the mailboxes, tokens, subscriptions and the clock gathered as changed.
    pub(crate) fn append(&mut self, sim: &mut Sim) -> io::Result<()> {
        let mut buffer = Vec::new();
        if self.clock_offset_ms != sim.clock.offset_ms() {
            self.clock_offset_ms = sim.clock.offset_ms();
            line(&mut buffer, &Out::Clock { offset_ms: self.clock_offset_ms })?;
        }
        if std::mem::take(&mut sim.auth.touched) {
            line(&mut buffer, &Out::Auth { auth: &sim.auth })?;
        }
        if std::mem::take(&mut sim.subscriptions_touched) {
            line(&mut buffer, &Out::Subscriptions { all: &sim.subscriptions })?;
        }
        for (m, mailbox) in sim.boxes.iter_mut().enumerate() {
            let mut touched = std::mem::take(&mut mailbox.touched);
            touched.dedup();
            for one in touched {
                describe(&mut buffer, m, mailbox, one)?;
            }
        }
        if buffer.is_empty() {
            return Ok(());
        }
        self.file.append(&buffer)?;
        if self.file.has_outgrown() {
            *self = Self::rewrite(self.file.path(), sim)?;
        }
        Ok(())
    }

    pub(crate) fn close(self, sim: &Sim) -> io::Result<()> {
        Self::rewrite(self.file.path(), sim).map(drop)
    }
}

fn describe(out: &mut impl Write, m: usize, mailbox: &Mailbox, touched: Touched) -> io::Result<()> {
    match touched {
        Touched::Message(serial) => match mailbox.messages.get(&serial) {
            Some(message) => line(out, &Out::Message { m, message }),
            None => Ok(()),
        },
        Touched::Folder(at) => line(out, &Out::Folder { m, at, name: &mailbox.folders[at].name }),
        Touched::Gone { .. } => line(out, &Out::Gone { m, gone: touched }),
        Touched::Epoch => line(out, &Out::Epoch { m, epoch: mailbox.epoch }),
    }
}

fn snapshot(sim: &Sim, out: &mut impl Write) -> io::Result<()> {
    line(out, &Out::Clock { offset_ms: sim.clock.offset_ms() })?;
    line(out, &Out::Auth { auth: &sim.auth })?;
    line(out, &Out::Subscriptions { all: &sim.subscriptions })?;
    for (m, mailbox) in sim.boxes.iter().enumerate() {
        line(out, &Out::Epoch { m, epoch: mailbox.epoch })?;
        for (at, folder) in mailbox.folders.iter().enumerate() {
            line(out, &Out::Folder { m, at, name: &folder.name })?;
            for (tick, change) in &folder.changes {
                if let Change::Gone { serial, place, moved } = *change {
                    // Of those that moved, and of the erased, the messages follow or are not there.
                    let gone = Touched::Gone { folder: at, tick: *tick, serial, place, moved, whole: false };
                    line(out, &Out::Gone { m, gone })?;
                }
            }
        }
        for message in mailbox.messages.values() {
            line(out, &Out::Message { m, message })?;
        }
    }
    Ok(())
}

fn replay(sim: &mut Sim, one: In) {
    match one {
        In::Clock { offset_ms } => sim.clock = Clock::with_offset_ms(offset_ms),
        In::Auth { auth } => sim.auth = auth,
        In::Subscriptions { all } => sim.subscriptions = all,
        In::Folder { m, at, name } => with_box(sim, m, |mailbox| {
            if at == mailbox.folders.len() {
                mailbox.folders.push(Folder { name, ..Folder::default() });
            }
        }),
        In::Message { m, message } => with_box(sim, m, |mailbox| {
            if message.folder < mailbox.folders.len() {
                mailbox.load(*message);
            }
        }),
        In::Gone { m, gone } => with_box(sim, m, |mailbox| mailbox.forget(gone)),
        In::Epoch { m, epoch } => with_box(sim, m, |mailbox| mailbox.epoch = epoch),
    }
}

fn with_box(sim: &mut Sim, at: usize, then: impl FnOnce(&mut Mailbox)) {
    if let Some(mailbox) = sim.boxes.get_mut(at) {
        then(mailbox);
    }
}
