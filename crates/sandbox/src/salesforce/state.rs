//! What the org keeps between runs.

use std::io::{self, Write};
use std::path::Path;
use std::sync::Arc;

use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};

use super::auth::Auth;
use super::id::Id;
use super::journal::{Commit, Fields};
use super::object::Object;
use super::record::{Cells, Record};
use super::schema::Field;
use super::sim::Sim;
use crate::clock::Clock;
use crate::statefile::{StateFile, line, read};

/// A record with its values by name, so that it can be read when positions have moved.
#[derive(Serialize, Deserialize)]
struct Kept {
    id: Id,
    created_s: i64,
    created_by: Id,
    modified_s: i64,
    modified_by: Id,
    stamp_s: i64,
    deleted_s: Option<i64>,
    deleted_with: Option<Id>,
    master: Option<Id>,
    fields: Fields,
}

#[derive(Serialize)]
#[serde(tag = "k", rename_all = "snake_case")]
enum Out<'a> {
    Clock { offset_ms: i64 },
    Auth { auth: &'a Auth },
    Field { o: &'a str, field: &'a Map<String, Value>, changed_s: i64 },
    NoField { o: &'a str, name: &'a str, hidden: bool, changed_s: i64 },
    Record { o: &'a str, record: Kept },
    Gone { o: &'a str, id: Id },
    Commit { commit: &'a Commit },
}

#[derive(Deserialize)]
#[serde(tag = "k", rename_all = "snake_case")]
enum In {
    Clock { offset_ms: i64 },
    Auth { auth: Box<Auth> },
    Field { o: String, field: Map<String, Value>, changed_s: i64 },
    NoField { o: String, name: String, hidden: bool, changed_s: i64 },
    Record { o: String, record: Kept },
    Gone { o: String, id: Id },
    Commit { commit: Commit },
}

/// The open state file.
#[derive(Debug)]
pub(crate) struct State {
    file: StateFile,
    clock_offset_ms: i64,
}

impl State {
    /// Restores the simulator from the file, if there is one, and opens it for what comes.
    pub(crate) fn open(path: &Path, sim: &mut Sim) -> io::Result<Self> {
        read(path, |one| replay(sim, one))?;
        Self::rewrite(path, sim)
    }

    fn rewrite(path: &Path, sim: &mut Sim) -> io::Result<Self> {
        sim.org.touched.clear();
        sim.org.touched_fields.clear();
        sim.org.journal.unsaved.clear();
        sim.auth.touched = false;
        let file = StateFile::rewrite(path, |out| snapshot(sim, out))?;
        Ok(Self { file, clock_offset_ms: sim.clock.offset_ms() })
    }

    /// Appends what changed since the last call.
    pub(crate) fn append(&mut self, sim: &mut Sim) -> io::Result<()> {
        let mut buffer = Vec::new();
        if self.clock_offset_ms != sim.clock.offset_ms() {
            self.clock_offset_ms = sim.clock.offset_ms();
            line(&mut buffer, &Out::Clock { offset_ms: self.clock_offset_ms })?;
        }
        if std::mem::take(&mut sim.auth.touched) {
            line(&mut buffer, &Out::Auth { auth: &sim.auth })?;
        }
        for (at, name) in std::mem::take(&mut sim.org.touched_fields) {
            let object = &sim.org.objects[at];
            let named = |field: &&Arc<Field>| field.name.eq_ignore_ascii_case(&name);
            object.schema.fields.iter().filter(named).try_for_each(|one| field(&mut buffer, object, one))?;
        }
        for (at, id) in std::mem::take(&mut sim.org.touched) {
            let object = &sim.org.objects[at];
            let o = object.schema.name.as_str();
            match object.get(id) {
                Some(record) => line(&mut buffer, &Out::Record { o, record: keep(object, record) })?,
                None => line(&mut buffer, &Out::Gone { o, id })?,
            }
        }
        for commit in std::mem::take(&mut sim.org.journal.unsaved) {
            line(&mut buffer, &Out::Commit { commit: &commit })?;
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

    pub(crate) fn close(self, sim: &mut Sim) -> io::Result<()> {
        Self::rewrite(self.file.path(), sim).map(drop)
    }
}

fn keep(object: &Object, record: &Record) -> Kept {
    let name = |at: u16| object.schema.fields[usize::from(at)].name.to_string();
    Kept {
        id: record.id,
        created_s: record.created_s,
        created_by: record.created_by,
        modified_s: record.modified_s,
        modified_by: record.modified_by,
        stamp_s: record.stamp_s,
        deleted_s: record.deleted_s,
        deleted_with: record.deleted_with,
        master: record.master,
        fields: record.cells.iter().map(|(at, value)| (name(at), value.clone())).collect(),
    }
}

/// A field and, if no client sees it, that it is gone: it keeps its position, or the values of others would move.
fn field(out: &mut impl Write, object: &Object, field: &Field) -> io::Result<()> {
    let (o, changed_s) = (object.schema.name.as_str(), object.schema.changed_s);
    line(out, &Out::Field { o, field: &field.raw, changed_s })?;
    if field.removed {
        line(out, &Out::NoField { o, name: &field.name, hidden: field.hidden, changed_s })?;
    }
    Ok(())
}

fn snapshot(sim: &Sim, out: &mut impl Write) -> io::Result<()> {
    line(out, &Out::Clock { offset_ms: sim.clock.offset_ms() })?;
    line(out, &Out::Auth { auth: &sim.auth })?;
    let touched = |field: &&Arc<Field>| field.custom || field.removed;
    for object in &sim.org.objects {
        let o = object.schema.name.as_str();
        object.schema.fields.iter().filter(touched).try_for_each(|one| field(out, object, one))?;
        for record in object.all() {
            line(out, &Out::Record { o, record: keep(object, record) })?;
        }
    }
    sim.org.journal.commits_after(0).try_for_each(|commit| line(out, &Out::Commit { commit }))
}

fn replay(sim: &mut Sim, one: In) {
    match one {
        In::Clock { offset_ms } => sim.clock = Clock::with_offset_ms(offset_ms),
        In::Auth { auth } => sim.auth = *auth,
        In::Field { o, field, changed_s } => with_object(sim, &o, |object| {
            object.schema.changed_s = changed_s;
            // What was written could be read when the field was made.
            let _same_again = object.schema.add(field);
        }),
        In::NoField { o, name, hidden, changed_s } => with_object(sim, &o, |object| {
            object.schema.changed_s = changed_s;
            object.schema.remove(&name, hidden);
        }),
        In::Record { o, record } => with_object(sim, &o, |object| {
            let record = unkeep(object, record);
            object.put(record);
        }),
        In::Gone { o, id } => with_object(sim, &o, |object| drop(object.take(id))),
        In::Commit { commit } => sim.org.journal.load(Arc::new(commit)),
    }
}

fn unkeep(object: &Object, kept: Kept) -> Record {
    let mut cells = Cells::default();
    for (name, value) in kept.fields {
        if let Some(field) = object.schema.field(&name) {
            cells.set(field.at, value);
        }
    }
    Record {
        id: kept.id,
        created_s: kept.created_s,
        created_by: kept.created_by,
        modified_s: kept.modified_s,
        modified_by: kept.modified_by,
        stamp_s: kept.stamp_s,
        deleted_s: kept.deleted_s,
        deleted_with: kept.deleted_with,
        master: kept.master,
        cells,
    }
}

fn with_object(sim: &mut Sim, name: &str, then: impl FnOnce(&mut Object)) {
    if let Some(at) = sim.org.find(name) {
        then(&mut sim.org.objects[at]);
    }
}
