//! Works plans out over the stored state of both sides, a page of records at a time.

use std::{
    collections::{BTreeSet, HashMap},
    sync::Arc,
    time::Duration,
};

use model::RecordId;
use sqlx::PgConnection;

use crate::{
    Error,
    domain::{
        cell::Record,
        mapping::Compiled,
        matching,
        plan::{Matched, PlanResult, Planner, There},
        reference,
        sync::{Link, Staged},
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

/// Works out what activating a mapping would do; gives the plan and its hash.
pub(crate) async fn activation(
    db: &mut PgConnection,
    mapping: &Arc<Compiled>,
) -> Result<(PlanResult, String), Error> {
    // Before anything is read: what moves meanwhile makes another mark.
    let mark = mark(db, mapping).await?;
    let mut planner = Planner::new(mapping);
    let (organization, object) = (mapping.mapping.organization, mapping.mapping.object);
    let mut taken = BTreeSet::new();
    let mut after = None;
    loop {
        let mut links = store::links::page(db, mapping.mapping.id, after, Which::Planned, PAGE).await?;
        let Some(last) = links.last() else { break };
        after = Some(last.id);
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
            let (Some(staged), Some(vendor_id)) = (&link.staged, &link.vendor_id) else { continue };
            let ids = candidates(link, mapping, staged, &found, &taken);
            taken.extend(ids.first().filter(|_| ids.len() == 1));
            planner.there(&There { vendor_id, link, staged }, matched(&ids, &records));
        }
    }
    here(db, mapping, &mut planner, &taken).await?;
    let (result, hash) = planner.finish(WRITES_PER_CALL, CALLS_PER_SECOND);
    Ok((PlanResult { mark, ..result }, hash))
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
    match tokio::time::timeout(within, activation(db, mapping)).await {
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
