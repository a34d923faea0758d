//! Putting back what a run did: a preview, and a run of its own that does it in the background, in small transactions.

use std::{
    collections::{BTreeMap, HashMap},
    sync::Arc,
};

use bus::{Message, outbox, subject};
use model::{Caller, RecordId, SyncRunFinished, kind};
use sqlx::PgConnection;
use uuid::Uuid;

use crate::{
    Error,
    domain::{
        cell::Record,
        sync::{self, Reason},
        undo::{Inverse, Step, Wrote, inverse},
    },
    engine::Engine,
    error::Refusal,
    mappings, store,
    store::runs::Run,
    unit::{Cause, SOURCE, Scope, Unit},
};

/// Records of one transaction.
const CHUNK: i64 = 200;
/// Records that a preview looks at, at most.
const PREVIEWED: usize = 20_000;
/// Samples of a preview.
const SAMPLES: usize = 50;

/// What putting a run back would do.
#[derive(Debug, Default)]
pub(crate) struct Preview {
    pub(crate) records: u64,
    pub(crate) put_back: u64,
    pub(crate) stays: u64,
    /// False when there are more records than a preview looks at.
    pub(crate) complete: bool,
    pub(crate) samples: Vec<(Record, Inverse)>,
}

impl Engine {
    /// One of the caller's runs.
    pub(crate) async fn run(&self, caller: &Caller, id: Uuid) -> Result<Run, Error> {
        let mut db = self.pool.acquire().await?;
        store::runs::get(&mut db, caller.organization, id, false)
            .await?
            .ok_or_else(|| Error::not_found("run"))
    }

    /// What putting a run back would do now.
    pub(crate) async fn preview_undo(&self, caller: &Caller, id: Uuid) -> Result<Preview, Error> {
        let run = self.run(caller, id).await?;
        let now = self.clock.now();
        let mut db = self.pool.acquire().await?;
        let mut preview = Preview::default();
        let (mut after, mut looked_at) = (None, 0);
        while looked_at < PREVIEWED {
            let ids = store::runs::records(&mut db, &run, after, CHUNK, now).await?;
            let Some(last) = ids.last() else {
                preview.complete = true;
                break;
            };
            after = Some(*last);
            looked_at += ids.len();
            let mut found =
                store::records::get_many(&mut db, caller.organization, ids.iter().copied()).await?;
            let records = ids.iter().filter_map(|id| found.remove(id)).collect();
            for (record, inverse) in inverses(&mut db, &run, records, now).await? {
                preview.add(record, inverse);
            }
        }
        Ok(preview)
    }

    /// Begins to put a run back.
    pub(crate) async fn undo_run(&self, caller: &Caller, id: Uuid) -> Result<Run, Error> {
        let mut tx = self.pool.begin().await?;
        let now = self.clock.now();
        let gone = || Error::not_found("run");
        let run = store::runs::get(&mut tx, caller.organization, id, true).await?.ok_or_else(gone)?;
        if run.state != "done" {
            let message = "the run has not ended yet";
            return Err(Error::refused(Refusal::NotReady, "run_working", message));
        }
        if run.undone_by.is_some() {
            let message = "it is put back already; that run can be put back in turn";
            return Err(Error::refused(Refusal::NotReady, "run_undone", message));
        }
        let undo = Uuid::now_v7();
        let mut undoing = Run {
            id: undo,
            kind: "undo".to_owned(),
            state: "working".to_owned(),
            actor: caller.actor.to_string(),
            cause: Some(format!("undo:{undo}")),
            lane: None,
            started_at: now,
            finished_at: None,
            read: 0,
            total: 0,
            done: 0,
            put_back: 0,
            stayed: 0,
            undo_of: Some(run.id),
            undone_by: None,
            ..run.clone()
        };
        store::runs::insert(&mut tx, &undoing).await?;
        undoing.total = store::runs::collect(&mut tx, &run, undo, now).await?;
        store::runs::set_total(&mut tx, undo, undoing.total).await?;
        store::runs::undone(&mut tx, run.id, undo).await?;
        tx.commit().await?;
        self.chores.notify_one();
        Ok(undoing)
    }
}

impl Preview {
    fn add(&mut self, record: Record, inverse: Inverse) {
        if inverse.items.is_empty() {
            return;
        }
        self.records += 1;
        let stays = inverse.items.iter().filter(|item| item.stays.is_some()).count() as u64;
        self.stays += stays;
        self.put_back += inverse.items.len() as u64 - stays;
        if self.samples.len() < SAMPLES {
            self.samples.push((record, inverse));
        }
    }
}

/// What putting the run back does to each of these records.
async fn inverses(
    db: &mut PgConnection,
    run: &Run,
    records: Vec<Record>,
    now: jiff::Timestamp,
) -> Result<Vec<(Record, Inverse)>, Error> {
    let ids: Vec<RecordId> = records.iter().map(|record| record.id).collect();
    let mut steps: HashMap<RecordId, Vec<Step>> = HashMap::new();
    for (record, version) in store::runs::versions(db, run, &ids, now).await? {
        let Some(revision) = store::revisions::get(db, record, version).await? else { continue };
        let fields = revision.changes.into_iter().map(|c| (c.field, c.before, c.after)).collect();
        steps.entry(record).or_default().push(Step { version, fields });
    }
    let mut wrote: HashMap<RecordId, Vec<Wrote>> = HashMap::new();
    let writes = store::runs::writes(db, run, &ids, now).await?;
    for write in store::writes::get(db, &writes).await? {
        let asked = write.asked;
        let before = asked.fields.into_iter().map(|(field, its)| (field, its.before)).collect();
        let it = Wrote { version: asked.version, creates: asked.creates, before };
        wrote.entry(asked.record).or_default().push(it);
    }
    let none: (Vec<Step>, Vec<Wrote>) = (Vec::new(), Vec::new());
    let mut found = Vec::new();
    for record in records {
        let schema = mappings::canonical_schema(db, record.organization, record.object).await?;
        let required: Vec<&str> =
            schema.fields.iter().filter(|field| field.required).map(|field| field.name.as_str()).collect();
        let steps = steps.get(&record.id).unwrap_or(&none.0);
        let wrote = wrote.get(&record.id).unwrap_or(&none.1);
        let inverse = inverse(&record, steps, wrote, &required);
        found.push((record, inverse));
    }
    Ok(found)
}

/// Puts some records of a run back; false when no run waits.
pub(crate) async fn undo_some(engine: &Engine) -> Result<bool, Error> {
    let mut tx = engine.pool.begin().await?;
    let Some(undoing) = store::runs::take_working(&mut tx).await? else { return Ok(false) };
    let now = engine.clock.now();
    let ids = store::runs::take_records(&mut tx, undoing.id, CHUNK).await?;
    let Some(of) = undoing.undo_of.filter(|_| !ids.is_empty()) else {
        finish(engine, &mut tx, &undoing).await?;
        tx.commit().await?;
        engine.waker.wake();
        return Ok(true);
    };
    let Some(run) = store::runs::get(&mut tx, undoing.organization, of, false).await? else {
        return Err(Error::not_found("run"));
    };
    let mappings = engine.mappings.load(&mut tx, &[undoing.organization]).await?;
    let scope = Scope { records: ids.clone(), ..Scope::default() };
    let mut unit = Unit::load(&mut tx, now, mappings, scope).await?;
    let records: Vec<Record> = ids.iter().filter_map(|id| unit.record(*id).cloned()).collect();
    let cause = Arc::new(Cause {
        id: undoing.cause.clone().unwrap_or_default(),
        actor: undoing.actor.clone(),
        at: now,
        taken_at: now,
        lane: None,
        vendor: None,
        connection: None,
        traceparent: None,
    });
    let (mut put_back, mut stayed) = (0, 0);
    for (record, inverse) in inverses(&mut tx, &run, records, now).await? {
        stayed += inverse.items.iter().filter(|item| item.stays.is_some()).count();
        put_back += inverse.items.iter().filter(|item| item.stays.is_none()).count();
        if inverse.acts() {
            apply(&mut unit, record.id, inverse, &cause);
        }
    }
    unit.flush(&mut tx).await?;
    let count = |number: usize| i64::try_from(number).unwrap_or(i64::MAX);
    store::runs::progress(&mut tx, undoing.id, count(ids.len()), count(put_back), count(stayed)).await?;
    tx.commit().await?;
    engine.waker.wake();
    Ok(true)
}

fn apply(unit: &mut Unit, record: RecordId, inverse: Inverse, cause: &Arc<Cause>) {
    if inverse.archive {
        unit.keep_there(record);
        unit.edit(record, kind::RECORD_ARCHIVED, cause, |record| {
            record.archived_at = Some(cause.at);
            Vec::new()
        });
    } else if inverse.reopen {
        unit.edit(record, kind::RECORD_CHANGED, cause, |record| {
            (record.archived_at, record.deleted) = (None, false);
            Vec::new()
        });
    } else {
        let fields: BTreeMap<_, _> = inverse.fields;
        unit.edit(record, kind::RECORD_CHANGED, cause, |record| {
            sync::edit(record, fields, cause.at, &cause.actor, Reason::Undone)
        });
    }
}

/// The run is put back: it ends, and everybody is told.
async fn finish(engine: &Engine, tx: &mut PgConnection, run: &Run) -> Result<(), Error> {
    let now = engine.clock.now();
    store::runs::finish(tx, run.cause.as_deref().unwrap_or_default(), now).await?;
    let fact = SyncRunFinished {
        connection: run.connection,
        vendor: run.vendor.clone(),
        vendor_object: run.vendor_object.clone(),
        run: "undo".to_owned(),
        read: u64::try_from(run.total).unwrap_or_default(),
        published: u64::try_from(run.put_back).unwrap_or_default(),
        error: None,
        message: None,
        started_at: run.started_at,
        finished_at: now,
    };
    let subject = subject::sync(&run.organization, "run_finished");
    let message = Message::json(subject, kind::SYNC_RUN_FINISHED, SOURCE, run.organization, now, &fact)?;
    outbox::enqueue(tx, &[message.by(&run.actor)]).await?;
    Ok(())
}
