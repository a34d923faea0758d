//! Works plans out over the stored state of both sides, a page of records at a time.

use std::{
    collections::{BTreeSet, HashMap},
    sync::Arc,
    time::Duration,
};

use model::{LinkId, RecordId};
use sqlx::PgConnection;
use uuid::Uuid;

use crate::{
    Error,
    domain::{
        cell::Record,
        mapping::{Compiled, MappingState},
        matching,
        plan::{Matched, PlanResult, Planner, There},
        reference,
        sync::{Link, LinkState, Staged},
    },
    parents,
    store::{
        self,
        links::Which,
        plans::{Ground, StoredPlan},
    },
};

/// Records of one page.
const PAGE: i64 = 1_000;

/// Writes per call, and calls per second, on which a plan's estimate rests: HubSpot's batch size for updates that are
/// read back with history, and its 110 calls in ten seconds.
const WRITES_PER_CALL: u64 = 50;
const CALLS_PER_SECOND: f64 = 11.0;

/// Works out what applying a mapping would do; gives the plan and its hash. Of one that is active that is what its changes
/// would do, with the mapping as it would be.
pub(crate) async fn work_out(
    db: &mut PgConnection,
    mapping: &Arc<Compiled>,
) -> Result<(PlanResult, String), Error> {
    // Before anything is read: what moves meanwhile makes another mark.
    let mark = mark(db, mapping).await?;
    let mut planner = Planner::new(mapping);
    let mut taken = BTreeSet::new();
    if mapping.mapping.state == MappingState::Active {
        beside(db, mapping, &mut planner, &mut taken).await?;
    }
    let which = if mapping.mapping.state == MappingState::Active { Which::NotBeside } else { Which::Planned };
    let mut after = None;
    loop {
        let links = store::links::page(db, mapping.mapping.id, after, which, PAGE).await?;
        let Some(last) = links.last() else { break };
        after = Some(last.id);
        there(db, mapping, &mut planner, &mut taken, links).await?;
    }
    here(db, mapping, &mut planner, &taken).await?;
    let (result, hash) = planner.finish(WRITES_PER_CALL, CALLS_PER_SECOND);
    Ok((PlanResult { mark, ..result }, hash))
}

/// Plans the vendor's records that were read beside the sync, linked or not.
async fn beside(
    db: &mut PgConnection,
    mapping: &Arc<Compiled>,
    planner: &mut Planner<'_>,
    taken: &mut BTreeSet<RecordId>,
) -> Result<(), Error> {
    let id = mapping.mapping.id;
    let mut after = String::new();
    loop {
        let read = store::beside::page(db, id, &after, PAGE).await?;
        let Some((last, _)) = read.last() else { return Ok(()) };
        after.clone_from(last);
        let vendor_ids: Vec<&str> = read.iter().map(|(vendor_id, _)| vendor_id.as_str()).collect();
        let known = store::links::of_vendors(db, id, &vendor_ids).await?;
        let mut known: HashMap<String, Link> =
            known.into_iter().filter_map(|link| Some((link.vendor_id.clone()?, link))).collect();
        let links = read.into_iter().filter_map(|(vendor_id, seen)| {
            let mut link = known.remove(&vendor_id).unwrap_or_else(|| Link {
                vendor_id: Some(vendor_id),
                state: LinkState::Staged,
                ..Link::new(LinkId::from_uuid(Uuid::nil()), id)
            });
            let is_gone = link.state == LinkState::Detached && seen.version < link.seen_version;
            link.staged = Some(Staged::join(link.staged.take(), seen.seen()));
            (!is_gone && link.state != LinkState::Ignored).then_some(link)
        });
        there(db, mapping, planner, taken, links.collect()).await?;
    }
}

/// Plans a page of links: those of which something was read, and those that are known only.
async fn there(
    db: &mut PgConnection,
    mapping: &Arc<Compiled>,
    planner: &mut Planner<'_>,
    taken: &mut BTreeSet<RecordId>,
    mut links: Vec<Link>,
) -> Result<(), Error> {
    let (organization, object) = (mapping.mapping.organization, mapping.mapping.object);
    parents::into_staged(db, mapping, &mut links).await?;
    let keys: Vec<String> = links
        .iter()
        .filter_map(|link| link.staged.as_ref())
        .flat_map(|staged| matching::keys_there(mapping, &staged.fields))
        .collect();
    let mut found: HashMap<String, Vec<RecordId>> = HashMap::new();
    for (key, record) in store::records::by_keys(db, organization, object, &keys).await? {
        found.entry(key).or_default().push(record);
    }
    let wanted: BTreeSet<RecordId> =
        found.values().flatten().copied().chain(links.iter().filter_map(|link| link.record)).collect();
    // What another record of the vendor is linked to is no match.
    let matched_ids: Vec<RecordId> = found.values().flatten().copied().collect();
    for link in store::links::of_records(db, &matched_ids).await? {
        let is_held = link.mapping == mapping.mapping.id && link.vendor_id.is_some();
        taken.extend(link.record.filter(|_| is_held));
    }
    let records = store::records::get_many(db, organization, wanted).await?;
    for link in &links {
        if let (Some(staged), Some(vendor_id)) = (&link.staged, &link.vendor_id) {
            let ids = candidates(link, mapping, staged, &found, taken);
            taken.extend(ids.first().filter(|_| ids.len() == 1));
            planner.there(&There { vendor_id, link, staged }, matched(&ids, &records));
        } else if let Some(record) = link.record.and_then(|id| records.get(&id)) {
            planner.linked(link, record);
        }
    }
    Ok(())
}

/// Whether a plan is still true: nothing moved that it rests upon, or what moved changes nothing of it, as far as that can
/// be told in this time.
pub(crate) async fn holds(
    db: &mut PgConnection,
    mapping: &Arc<Compiled>,
    plan: &StoredPlan,
    within: Duration,
) -> Result<bool, Error> {
    let now = mark(db, mapping).await?;
    if plan.result.as_ref().is_some_and(|result| result.mark == now) {
        return Ok(true);
    }
    if within.is_zero() {
        return Ok(false);
    }
    match tokio::time::timeout(within, work_out(db, mapping)).await {
        Ok(worked_out) => Ok(plan.hash == Some(worked_out?.1)),
        Err(_) => Ok(false),
    }
}

async fn mark(db: &mut PgConnection, mapping: &Compiled) -> Result<String, Error> {
    let ground = Ground {
        organization: mapping.mapping.organization,
        object: mapping.mapping.object,
        mapping: mapping.mapping.id,
        names_others: reference::pairs(mapping).next().is_some(),
    };
    store::plans::mark(db, ground).await
}

/// The records that exist only here.
async fn here(
    db: &mut PgConnection,
    mapping: &Compiled,
    planner: &mut Planner<'_>,
    taken: &BTreeSet<RecordId>,
) -> Result<(), Error> {
    let (organization, object) = (mapping.mapping.organization, mapping.mapping.object);
    let mut after = None;
    loop {
        let records =
            store::records::unlinked(db, organization, object, mapping.mapping.id, after, PAGE).await?;
        let Some(last) = records.last() else { return Ok(()) };
        after = Some(last.id);
        for record in records.iter().filter(|record| !taken.contains(&record.id)) {
            planner.here(record);
        }
    }
}

fn matched(ids: &[RecordId], records: &HashMap<RecordId, Record>) -> Matched {
    match ids {
        [] => Matched::None,
        [id] => records.get(id).map_or(Matched::None, |record| Matched::One(Box::new(record.clone()))),
        _ => Matched::Several,
    }
}

fn candidates(
    link: &Link,
    mapping: &Compiled,
    staged: &Staged,
    found: &HashMap<String, Vec<RecordId>>,
    taken: &BTreeSet<RecordId>,
) -> Vec<RecordId> {
    if let Some(record) = link.record {
        return vec![record];
    }
    for key in matching::keys_there(mapping, &staged.fields) {
        let free: Vec<RecordId> =
            found.get(&key).into_iter().flatten().filter(|id| !taken.contains(id)).copied().collect();
        if !free.is_empty() {
            return free;
        }
    }
    Vec::new()
}
