//! What the portal keeps between runs.

use std::io::{self, Write};
use std::path::Path;

use serde::{Deserialize, Serialize};

use super::auth::Auth;
use super::clock::Clock;
use super::definition::Definition;
use super::object::{Object, Schema};
use super::portal::{Portal, Touched};
use super::record::Record;
use super::sim::Sim;
use crate::statefile::{StateFile, line, read};

#[derive(Serialize)]
#[serde(tag = "k", rename_all = "snake_case")]
enum Out<'a> {
    Clock { offset_ms: i64 },
    Auth { auth: &'a Auth },
    Schema { p: u64, schema: &'a Schema },
    Property { p: u64, o: &'a str, definition: &'a Definition },
    Record { p: u64, o: &'a str, record: &'a Record },
    Gone { p: u64, o: &'a str, id: u64, into: Option<u64> },
}

#[derive(Deserialize)]
#[serde(tag = "k", rename_all = "snake_case")]
enum In {
    Clock { offset_ms: i64 },
    Auth { auth: Auth },
    Schema { p: u64, schema: Schema },
    Property { p: u64, o: String, definition: Definition },
    Record { p: u64, o: String, record: Record },
    Gone { p: u64, o: String, id: u64, into: Option<u64> },
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

    /// Appends what the portals, tokens and the clock gathered as changed.
    pub(crate) fn append(&mut self, sim: &mut Sim) -> io::Result<()> {
        let mut buffer = Vec::new();
        if self.clock_offset_ms != sim.clock.offset_ms() {
            self.clock_offset_ms = sim.clock.offset_ms();
            line(&mut buffer, &Out::Clock { offset_ms: self.clock_offset_ms })?;
        }
        if std::mem::take(&mut sim.auth.touched) {
            line(&mut buffer, &Out::Auth { auth: &sim.auth })?;
        }
        for portal in &mut sim.portals {
            let mut touched = std::mem::take(&mut portal.touched);
            touched.dedup();
            for one in &touched {
                describe(&mut buffer, portal, one)?;
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

fn describe(out: &mut impl Write, portal: &Portal, touched: &Touched) -> io::Result<()> {
    let p = portal.id;
    match touched {
        Touched::Record(at, id) => {
            let object = &portal.objects[*at];
            let Some(record) = object.records.get(id) else { return Ok(()) };
            line(out, &Out::Record { p, o: &object.name, record })
        }
        Touched::Gone { object, id, into } => {
            line(out, &Out::Gone { p, o: &portal.objects[*object].name, id: *id, into: *into })
        }
        Touched::Property(at, name) => {
            let object = &portal.objects[*at];
            let Some(definition) = object.definitions.get(name) else { return Ok(()) };
            line(out, &Out::Property { p, o: &object.name, definition })
        }
        Touched::Schema(at) => match &portal.objects[*at].schema {
            Some(schema) => line(out, &Out::Schema { p, schema }),
            None => Ok(()),
        },
    }
}

fn snapshot(sim: &Sim, out: &mut impl Write) -> io::Result<()> {
    line(out, &Out::Clock { offset_ms: sim.clock.offset_ms() })?;
    line(out, &Out::Auth { auth: &sim.auth })?;
    for portal in &sim.portals {
        let p = portal.id;
        for schema in portal.objects.iter().filter_map(|object| object.schema.as_ref()) {
            line(out, &Out::Schema { p, schema })?;
        }
        for object in &portal.objects {
            let o = object.name.as_str();
            for definition in object
                .definitions
                .values()
                .filter(|known| !known.hubspot_defined || known.updated_at.is_some())
            {
                line(out, &Out::Property { p, o, definition })?;
            }
            for (id, into) in &object.merged {
                line(out, &Out::Gone { p, o, id: *id, into: Some(*into) })?;
            }
            for record in object.records.values() {
                line(out, &Out::Record { p, o, record })?;
            }
        }
    }
    Ok(())
}

fn restore(path: &Path, sim: &mut Sim) -> io::Result<()> {
    read(path, |one| replay(sim, one))?;
    for portal in &mut sim.portals {
        portal.touched.clear();
        portal.objects.iter_mut().for_each(Object::reindex);
    }
    Ok(())
}

fn replay(sim: &mut Sim, one: In) {
    match one {
        In::Clock { offset_ms } => sim.clock = Clock::with_offset_ms(offset_ms),
        In::Auth { auth } => sim.auth = auth,
        In::Schema { p, schema } => {
            if let Some(portal) = find(sim, p).filter(|portal| portal.object_at(&schema.name).is_err()) {
                let used = schema.id.parse::<u64>().unwrap_or(0);
                portal.next_id = portal.next_id.max(used + 1);
                portal.objects.push(Object::custom(schema));
            }
        }
        In::Property { p, o, definition } => {
            with_object(find(sim, p), &o, |_, object| object.define(definition));
        }
        In::Record { p, o, record } => with_object(find(sim, p), &o, |next, object| {
            *next = (*next).max(record.id + 1);
            object.load(record);
        }),
        In::Gone { p, o, id, into } => with_object(find(sim, p), &o, |next, object| {
            *next = (*next).max(id + 1);
            object.remove(id);
            if let Some(into) = into {
                object.merged.insert(id, into);
            }
        }),
    }
}

fn find(sim: &mut Sim, id: u64) -> Option<&mut Portal> {
    sim.portals.iter_mut().find(|portal| portal.id == id)
}

fn with_object(portal: Option<&mut Portal>, name: &str, then: impl FnOnce(&mut u64, &mut Object)) {
    let Some(portal) = portal else { return };
    let Ok(at) = portal.object_at(name) else { return };
    then(&mut portal.next_id, &mut portal.objects[at]);
}
