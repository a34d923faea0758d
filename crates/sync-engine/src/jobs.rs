//! Long work in the background: working out plans and applying them, in small transactions that survive a crash at
//! every step, because each is found again by what is left to do.

use std::{sync::Arc, time::Duration};

use model::{Actor, LinkId, MappingId, RecordId};
use sqlx::PgConnection;
use tokio_util::sync::CancellationToken;

use crate::{
    Error,
    domain::{
        mapping::Compiled,
        matching,
        plan::{Category, Matched, PlanState, Planner, There},
        sync::Link,
    },
    engine::Engine,
    parents,
    store::{self, plans::StoredPlan},
    unit::{Cause, SOURCE, Scope, Unit, Wanted},
};

/// Records of one transaction.
const CHUNK: i64 = 500;

/// How often to look for work that nobody announced: another replica's that died.
const LOOK_EVERY: Duration = Duration::from_secs(2);

/// Writes per call, and calls per second, on which a plan's estimate rests: HubSpot's batch size for updates that are
/// read back with history, and its 110 calls in ten seconds.
const WRITES_PER_CALL: u64 = 50;
const CALLS_PER_SECOND: f64 = 11.0;

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
    let mut tx = engine.pool.begin().await?;
    let Some(id) = store::plans::take_waiting(&mut tx).await? else { return Ok(false) };
    let Some(mapping) = store::mappings::get(&mut tx, id).await? else { return Ok(false) };
    let compiled = Arc::new(crate::mappings::compile(&mut tx, mapping).await?);
    let Some(plan) = store::plans::get(&mut tx, id).await? else { return Ok(false) };
    if plan.state == PlanState::Computing {
        let (result, hash) = compute(&mut tx, &compiled).await?;
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
    } else if apply_staged(engine, &mut tx, &compiled).await? == 0
        && create_there(engine, &mut tx, &compiled).await? == 0
    {
        settle_links(engine, &compiled).await?;
        let (from, to) = (PlanState::Applying, PlanState::Applied);
        store::plans::advance(&mut tx, id, from, to, engine.clock.now()).await?;
    }
    tx.commit().await?;
    engine.waker.wake();
    Ok(true)
}

/// Works out what activating a mapping would do, over the stored state of both sides.
pub(crate) async fn compute(
    db: &mut PgConnection,
    mapping: &Arc<Compiled>,
) -> Result<(crate::domain::plan::PlanResult, String), Error> {
    let mut planner = Planner::new(mapping);
    let (organization, object) = (mapping.mapping.organization, mapping.mapping.object);
    let mut matched_records = std::collections::BTreeSet::new();
    let mut after = None;
    loop {
        let mut links = store::links::page(db, mapping.mapping.id, after, true, CHUNK).await?;
        let Some(last) = links.last() else { break };
        after = Some(last.id);
        parents::into_staged(db, mapping, &mut links).await?;
        let keys: Vec<String> = links
            .iter()
            .filter_map(|link| link.staged.as_ref())
            .flat_map(|staged| matching::keys_there(mapping, &staged.fields))
            .collect();
        let found = store::records::by_keys(db, organization, object, &keys).await?;
        for link in &links {
            let (Some(staged), Some(vendor_id)) = (&link.staged, &link.vendor_id) else { continue };
            let ids = candidates(link, mapping, staged, &found, &matched_records);
            let matched = match ids.as_slice() {
                [] => Matched::None,
                [id] => {
                    matched_records.insert(*id);
                    store::records::get(db, organization, *id)
                        .await?
                        .map_or(Matched::None, |record| Matched::One(Box::new(record)))
                }
                _ => Matched::Several,
            };
            planner.there(&There { vendor_id, link, staged }, matched);
        }
    }
    let mut after = None;
    loop {
        let records =
            store::records::unlinked(db, organization, object, mapping.mapping.id, after, CHUNK).await?;
        let Some(last) = records.last() else { break };
        after = Some(last.id);
        for record in records.iter().filter(|record| !matched_records.contains(&record.id)) {
            planner.here(record);
        }
    }
    Ok(planner.finish(WRITES_PER_CALL, CALLS_PER_SECOND))
}

fn candidates(
    link: &Link,
    mapping: &Compiled,
    staged: &crate::domain::sync::Staged,
    found: &[(String, RecordId)],
    taken: &std::collections::BTreeSet<RecordId>,
) -> Vec<RecordId> {
    if let Some(record) = link.record {
        return vec![record];
    }
    for key in matching::keys_there(mapping, &staged.fields) {
        let ids: Vec<RecordId> =
            found.iter().filter(|(k, id)| *k == key && !taken.contains(id)).map(|(_, id)| *id).collect();
        if !ids.is_empty() {
            return ids;
        }
    }
    Vec::new()
}

/// Merges a chunk of what was read before the activation.
async fn apply_staged(
    engine: &Engine,
    tx: &mut PgConnection,
    mapping: &Arc<Compiled>,
) -> Result<usize, Error> {
    let links = store::links::page(tx, mapping.mapping.id, None, true, CHUNK).await?;
    let links: Vec<Link> =
        links.into_iter().filter(|link| link.state != crate::domain::sync::LinkState::Ambiguous).collect();
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
    let cause = cause(mapping, engine.clock.now());
    for link in &links {
        unit.merge_staged(mapping, link.id, &cause);
    }
    unit.flush(tx).await?;
    let done = links.len();
    store::plans::add_applied(tx, mapping.mapping.id, i64::try_from(done).unwrap_or_default()).await?;
    Ok(done)
}

/// Asks for a chunk of the records that exist only here to be created at the vendor.
async fn create_there(
    engine: &Engine,
    tx: &mut PgConnection,
    mapping: &Arc<Compiled>,
) -> Result<usize, Error> {
    if !mapping.creates_there() {
        return Ok(0);
    }
    let (organization, object, id) =
        (mapping.mapping.organization, mapping.mapping.object, mapping.mapping.id);
    let records = store::records::unlinked(tx, organization, object, id, None, CHUNK).await?;
    if records.is_empty() {
        return Ok(0);
    }
    let ids: Vec<RecordId> = records.iter().map(|record| record.id).collect();
    let mappings = engine.mappings.load(tx, &[organization]).await?;
    let scope = Scope { records: ids.clone(), ..Scope::default() };
    let mut unit = Unit::load(tx, engine.clock.now(), mappings, scope).await?;
    for id in &ids {
        unit.link_here(mapping, *id, &cause(mapping, engine.clock.now()));
    }
    unit.flush(tx).await?;
    store::plans::add_applied(tx, id, i64::try_from(ids.len()).unwrap_or_default()).await?;
    Ok(ids.len())
}

/// Works out the writes of every link: edits made while the mapping was paused go out now. Each chunk is a transaction
/// of its own, because rows are locked in one order only within a unit.
async fn settle_links(engine: &Engine, mapping: &Arc<Compiled>) -> Result<(), Error> {
    let mut after = None;
    loop {
        let mut tx = engine.pool.begin().await?;
        let links = store::links::page(&mut tx, mapping.mapping.id, after, false, CHUNK).await?;
        let Some(last) = links.last() else { return Ok(()) };
        after = Some(last.id);
        let mappings = engine.mappings.load(&mut tx, &[mapping.mapping.organization]).await?;
        let links: Vec<LinkId> = links.iter().map(|link| link.id).collect();
        let scope = Scope { links: links.clone(), ..Scope::default() };
        let mut unit = Unit::load(&mut tx, engine.clock.now(), mappings, scope).await?;
        let cause = cause(mapping, engine.clock.now());
        for link in links {
            unit.check(link, &cause);
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
                unit.reset(&mapping, link, &cause(&mapping, engine.clock.now()));
            }
        }
        unit.flush(&mut tx).await?;
        tx.commit().await?;
        engine.waker.wake();
    }
}

/// Applying a mapping is what caused it.
fn cause(mapping: &Compiled, at: jiff::Timestamp) -> Arc<Cause> {
    Arc::new(Cause {
        id: applied(mapping.mapping.id, mapping.mapping.revision),
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
