//! What the workspaces keep between runs.

use std::io::{self, Write};
use std::path::Path;

use serde::{Deserialize, Serialize};

use super::auth::Auth;
use super::sim::Sim;
use super::workspace::{Message, Workspace};
use crate::clock::Clock;
use crate::statefile::{StateFile, line, read};

#[derive(Serialize)]
#[serde(tag = "k", rename_all = "snake_case")]
enum Out<'a> {
    Clock { offset_ms: i64 },
    Auth { auth: &'a Auth },
    Workspace { workspace: &'a Workspace },
    Message { t: &'a str, c: &'a str, message: &'a Message },
}

#[derive(Deserialize)]
#[serde(tag = "k", rename_all = "snake_case")]
enum In {
    Clock { offset_ms: i64 },
    Auth { auth: Auth },
    Workspace { workspace: Workspace },
    Message { t: String, c: String, message: Message },
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
        restore(path, sim)?;
        Self::rewrite(path, sim)
    }

    /// Writes everything anew.
    pub(crate) fn rewrite(path: &Path, sim: &Sim) -> io::Result<Self> {
        let file = StateFile::rewrite(path, |out| snapshot(sim, out))?;
        Ok(Self { file, clock_offset_ms: sim.clock.offset_ms() })
    }

    /// Appends what changed.
    pub(crate) fn append(&mut self, sim: &mut Sim) -> io::Result<()> {
        let mut buffer = Vec::new();
        if self.clock_offset_ms != sim.clock.offset_ms() {
            self.clock_offset_ms = sim.clock.offset_ms();
            line(&mut buffer, &Out::Clock { offset_ms: self.clock_offset_ms })?;
        }
        if std::mem::take(&mut sim.auth.touched) {
            line(&mut buffer, &Out::Auth { auth: &sim.auth })?;
        }
        for workspace in &mut sim.workspaces {
            if std::mem::take(&mut workspace.touched) {
                line(&mut buffer, &Out::Workspace { workspace })?;
            }
            for (c, ts) in std::mem::take(&mut workspace.touched_messages) {
                let channel = workspace.channels.iter().find(|channel| channel.id == c);
                let found =
                    channel.and_then(|channel| channel.messages.iter().rev().find(|one| one.ts == ts));
                if let Some(message) = found {
                    line(&mut buffer, &Out::Message { t: &workspace.id, c: &c, message })?;
                }
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

fn snapshot(sim: &Sim, out: &mut impl Write) -> io::Result<()> {
    line(out, &Out::Clock { offset_ms: sim.clock.offset_ms() })?;
    line(out, &Out::Auth { auth: &sim.auth })?;
    for workspace in &sim.workspaces {
        line(out, &Out::Workspace { workspace })?;
        for channel in &workspace.channels {
            for message in &channel.messages {
                line(out, &Out::Message { t: &workspace.id, c: &channel.id, message })?;
            }
        }
    }
    Ok(())
}

fn restore(path: &Path, sim: &mut Sim) -> io::Result<()> {
    read(path, |record: In| match record {
        In::Clock { offset_ms } => sim.clock = Clock::with_offset_ms(offset_ms),
        In::Auth { auth } => sim.auth = auth,
        In::Workspace { workspace } => put_workspace(sim, workspace),
        In::Message { t, c, message } => {
            if let Some(channel) = sim.workspace(&t).and_then(|workspace| workspace.channel(&c)) {
                put_message(&mut channel.messages, message);
            }
        }
    })
}

/// People and channels as they were last; what was said stays.
fn put_workspace(sim: &mut Sim, mut workspace: Workspace) {
    let Some(known) = sim.workspace(&workspace.id) else {
        sim.workspaces.push(workspace);
        return;
    };
    for channel in &mut workspace.channels {
        if let Some(before) = known.channel(&channel.id) {
            channel.messages = std::mem::take(&mut before.messages);
        }
    }
    *known = workspace;
}

fn put_message(messages: &mut Vec<Message>, message: Message) {
    let at = messages.partition_point(|one| one.ts < message.ts);
    match messages.get_mut(at).filter(|one| one.ts == message.ts) {
        Some(known) => *known = message,
        None => messages.insert(at, message),
    }
}
