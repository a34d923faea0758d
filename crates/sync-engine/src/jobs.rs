//! Long work in the background: working out plans and applying them, in small transactions that survive a crash at
//! every step, because each is found again by what is left to do.

use std::{sync::Arc, time::Duration};

use model::{Actor, LinkId, MappingId, RecordId};
use sqlx::PgConnection;
use tokio_util::sync::CancellationToken;

use crate::{
    Error,
    domain::{
        cell::Record,
        mapping::Compiled,
        matching,
        plan::{Category, PlanState},
    },
    engine::Engine,
    mappings, planning, review,
    store::{self, links::Which, plans::StoredPlan},
    unit::{self, Cause, SOURCE, Scope, Unit, Wanted},
};

/// Records of one transaction.
const CHUNK: i64 = 500;

/// How often to look for work that nobody announced: another replica's that died.
const LOOK_EVERY: Duration = Duration::from_secs(2);

/// Works until shutdown.
pub(crate) async fn run(engine: Arc<Engine>, shutdown: CancellationToken) {
    loop {
        match step(&engine).await {
            Ok(true) | Err(Error::Moved) => continue,
            Ok(false) => {}
            Err(error) => {
                tracing::error!(%error, "a plan could not be worked out or applied; it is tried again")
            }
        }
        tokio::select! {
            () = shutdown.cancelled() => return,
            () = engine.jobs.notified() => {}
            () = tokio::time::sleep(LOOK_EVERY) => {}
        }
    }
}

/// Does one piece of waiting work; false when nothing waits.
async fn step(engine: &Engine) -> Result<bool, Error> {
    review::check_round_trips(engine).await?;
    let mut tx = engine.pool.begin().await?;
    let Some(id) = store::plans::take_waiting(&mut tx).await? else { return Ok(false) };
    let Some(mapping) = store::mappings::get(&mut tx, id).await? else { return Ok(false) };
    let Some(plan) = store::plans::get(&mut tx, id).await? else { return Ok(false) };
    if plan.state == PlanState::Computing {
        let compiled = Arc::new(mappings::compile(&mut tx, mapping.with_changes()).await?);
        let (result, hash) = planning::work_out(&mut tx, &compiled).await?;
        let moves = |category: &Category| *category != Category::Skipped;
        let counted =
            result.categories.iter().filter(|(c, _)| moves(c)).map(|(_, tally)| tally.count).sum::<u64>();
        let plan = StoredPlan {
            state: PlanState::Ready,
            revision: compiled.mapping.revision,
            hash: Some(hash),
            to_apply: i64::try_from(counted).unwrap_or(i64::MAX),
            result: Some(result),
            changed_at: engine.clock.now(),
            ..plan
        };
        store::plans::put(&mut tx, &plan).await?;
    } else {
        let compiled = Arc::new(mappings::compile(&mut tx, mapping).await?);
        apply(engine, &mut tx, &compiled, plan.revision).await?;
    }
    tx.commit().await?;
    engine.waker.wake();
    Ok(true)
}

/// Applies the next piece of a mapping, as it was at this revision. The plan stays locked by the transaction, so that nobody
/// else applies it meanwhile.
async fn apply(
    engine: &Engine,
    tx: &mut PgConnection,
    mapping: &Arc<Compiled>,
    revision: i64,
) -> Result<(), Error> {
    let (id, now) = (mapping.mapping.id, engine.clock.now());
    store::runs::apply(tx, &run_of(mapping, revision, now)).await?;
    let cause = cause(mapping, revision, now);
    if apply_beside(engine, tx, mapping, &cause).await? > 0
        || apply_staged(engine, tx, mapping, &cause).await? > 0
    {
        return Ok(());
    }
    let asked = create_there(engine, mapping, &cause).await?;
    store::plans::add_applied(tx, id, asked).await?;
    settle_links(engine, mapping, &cause).await?;
    store::plans::advance(tx, id, PlanState::Applying, PlanState::Applied, engine.clock.now()).await?;
    // What is linked now may be attributed already.
    store::attributed::sweep(tx, mapping.mapping.organization).await?;
    store::runs::finish(tx, &cause.id, engine.clock.now()).await
}

/// Merges a chunk of what was kept beside the sync while changes waited.
async fn apply_beside(
    engine: &Engine,
    tx: &mut PgConnection,
    mapping: &Arc<Compiled>,
    cause: &Arc<Cause>,
) -> Result<usize, Error> {
    let id = mapping.mapping.id;
    let read = store::beside::page(tx, id, "", CHUNK).await?;
    if read.is_empty() {
        return Ok(0);
    }
    let mut scope = Scope::default();
    for (vendor_id, seen) in &read {
        let keys = matching::keys_there(mapping, &seen.fields);
        let (mapping, vendor_id) = (Arc::clone(mapping), vendor_id.clone());
        scope.parents.extend(unit::names(&mapping, &seen.fields));
        scope.vendor_records.push(Wanted { mapping, vendor_id, keys, external: None });
    }
    let mappings = engine.mappings.load(tx, &[mapping.mapping.organization]).await?;
    let mut unit = Unit::load(tx, engine.clock.now(), mappings, scope).await?;
    for (vendor_id, seen) in &read {
        unit.merge_beside(mapping, vendor_id, seen, cause);
    }
    unit.flush(tx).await?;
    store::beside::remove(tx, id, &read).await?;
    store::plans::add_applied(tx, id, i64::try_from(read.len()).unwrap_or_default()).await?;
    Ok(read.len())
}

/// The run that applies a mapping: it can be put back.
fn run_of(mapping: &Compiled, revision: i64, now: jiff::Timestamp) -> store::runs::Run {
    let service = Actor::Service(SOURCE).to_string();
    let mapping = &mapping.mapping;
    store::runs::Run {
        id: uuid::Uuid::now_v7(),
        organization: mapping.organization,
        connection: mapping.connection,
        vendor: mapping.vendor.clone(),
        vendor_object: mapping.vendor_object.clone(),
        kind: "apply".to_owned(),
        state: "working".to_owned(),
        actor: mapping.activated_by.clone().unwrap_or(service),
        cause: Some(applied(mapping.id, revision)),
        lane: None,
        started_at: now,
        finished_at: None,
        read: 0,
        total: 0,
        done: 0,
        put_back: 0,
        stayed: 0,
        undo_of: None,
        undone_by: None,
    }
}

/// Merges a chunk of what was read before the activation.
async fn apply_staged(
    engine: &Engine,
    tx: &mut PgConnection,
    mapping: &Arc<Compiled>,
    cause: &Arc<Cause>,
) -> Result<usize, Error> {
    let links = store::links::page(tx, mapping.mapping.id, None, Which::Mergeable, CHUNK).await?;
    if links.is_empty() {
        return Ok(0);
    }
    let vendor_records = links
        .iter()
        .filter_map(|link| {
            let keys = matching::keys_there(mapping, &link.staged.as_ref()?.fields);
            let vendor_id = link.vendor_id.clone()?;
            Some(Wanted { mapping: Arc::clone(mapping), vendor_id, keys, external: None })
        })
        .collect();
    let scope = Scope { vendor_records, ..Scope::default() };
    let mappings = engine.mappings.load(tx, &[mapping.mapping.organization]).await?;
    let mut unit = Unit::load(tx, engine.clock.now(), mappings, scope).await?;
    for link in &links {
        unit.merge_staged(mapping, link.id, cause);
    }
    unit.flush(tx).await?;
    let done = links.len();
    store::plans::add_applied(tx, mapping.mapping.id, i64::try_from(done).unwrap_or_default()).await?;
    Ok(done)
}

/// Asks for the records that exist only here to be created at the vendor, but for those that the filter leaves out.
/// Each chunk is a transaction of its own; what was asked for is not found again.
pub(crate) async fn create_there(
    engine: &Engine,
    mapping: &Arc<Compiled>,
    cause: &Arc<Cause>,
) -> Result<i64, Error> {
    let (organization, object, id) =
        (mapping.mapping.organization, mapping.mapping.object, mapping.mapping.id);
    let (mut after, mut asked) = (None, 0);
    while mapping.creates_there() {
        let mut tx = engine.pool.begin().await?;
        let records = store::records::unlinked(&mut tx, organization, object, id, after, CHUNK).await?;
        let Some(last) = records.last() else { break };
        after = Some(last.id);
        let wanted = |record: &&Record| mapping.passes(Some(record), None) != Some(false);
        let ids: Vec<RecordId> = records.iter().filter(wanted).map(|record| record.id).collect();
        if ids.is_empty() {
            continue;
        }
        let mappings = engine.mappings.load(&mut tx, &[organization]).await?;
        let scope = Scope { records: ids.clone(), ..Scope::default() };
        let mut unit = Unit::load(&mut tx, engine.clock.now(), mappings, scope).await?;
        for id in &ids {
            unit.link_here(mapping, *id, cause);
        }
        unit.flush(&mut tx).await?;
        tx.commit().await?;
        engine.waker.wake();
        asked += i64::try_from(ids.len()).unwrap_or_default();
    }
    Ok(asked)
}

/// Works out the writes of every link: edits made while the mapping was paused go out now. Each chunk is a transaction
/// of its own, because rows are locked in one order only within a unit.
pub(crate) async fn settle_links(
    engine: &Engine,
    mapping: &Arc<Compiled>,
    cause: &Arc<Cause>,
) -> Result<(), Error> {
    let mut after = None;
    loop {
        let mut tx = engine.pool.begin().await?;
        let links = store::links::page(&mut tx, mapping.mapping.id, after, Which::All, CHUNK).await?;
        let Some(last) = links.last() else { return Ok(()) };
        after = Some(last.id);
        let mappings = engine.mappings.load(&mut tx, &[mapping.mapping.organization]).await?;
        let links: Vec<LinkId> = links.iter().map(|link| link.id).collect();
        let scope = Scope { links: links.clone(), ..Scope::default() };
        let mut unit = Unit::load(&mut tx, engine.clock.now(), mappings, scope).await?;
        for link in links {
            unit.reconsider(mapping, link, cause);
        }
        unit.flush(&mut tx).await?;
        tx.commit().await?;
        engine.waker.wake();
    }
}

/// Nothing is in flight on this connection any more: what was asked for is worked out anew. Each chunk is a transaction
/// of its own; doing it again does no harm.
pub(crate) async fn reset_connection(
    engine: &Engine,
    organization: model::OrganizationId,
    connection: model::ConnectionId,
) -> Result<(), Error> {
    let mut after = None;
    loop {
        let mut tx = engine.pool.begin().await?;
        let links = store::links::unsettled(&mut tx, connection, after, CHUNK).await?;
        let Some(last) = links.last() else { return Ok(()) };
        after = Some(*last);
        let mappings = engine.mappings.load(&mut tx, &[organization]).await?;
        let scope = Scope { links: links.clone(), ..Scope::default() };
        let mut unit = Unit::load(&mut tx, engine.clock.now(), mappings.clone(), scope).await?;
        for link in links {
            let mapping = unit.link(link).and_then(|link| mappings.get(link.mapping)).cloned();
            if let Some(mapping) = mapping {
                let cause = cause(&mapping, mapping.mapping.revision, engine.clock.now());
                unit.reset(&mapping, link, &cause);
            }
        }
        unit.flush(&mut tx).await?;
        tx.commit().await?;
        engine.waker.wake();
    }
}

/// Applying a mapping is what caused it.
fn cause(mapping: &Compiled, revision: i64, at: jiff::Timestamp) -> Arc<Cause> {
    Arc::new(Cause {
        id: applied(mapping.mapping.id, revision),
        actor: Actor::Service(SOURCE).to_string(),
        at,
        taken_at: at,
        lane: None,
        vendor: Some(mapping.mapping.vendor.clone()),
        connection: Some(mapping.mapping.connection),
        traceparent: None,
    })
}

fn applied(mapping: MappingId, revision: i64) -> String {
    bus::event_id(&["mapping_applied", &mapping.to_string(), &revision.to_string()])
}
