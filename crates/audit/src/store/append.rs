use std::collections::{BTreeSet, HashMap, HashSet};

use jiff::Timestamp;
use sqlx::PgPool;
use uuid::Uuid;

use super::{
    entries,
    heads::{self, HeadRow},
};
use crate::{
    Error,
    domain::{
        chain::{Hash, genesis},
        entry::{Draft, Sealed},
    },
};

/// Things of several organizations.
type Placed<T> = Vec<(Uuid, T)>;

/// Appends to the chains of these entries' organizations, in this order, in one transaction. An entry whose event is
/// in its chain already is left out. Returns how many were appended.
///
/// Without `repeats` all are taken for new. Where one is not, the table refuses the batch, and it is looked up which.
pub(crate) async fn append(
    pool: &PgPool,
    drafts: &[Draft],
    repeats: bool,
    now: Timestamp,
) -> Result<usize, Error> {
    if !repeats {
        match try_append(pool, drafts, false, now).await {
            Err(error) if is_repeat(&error) => {}
            done => return done,
        }
    }
    try_append(pool, drafts, true, now).await
}

async fn try_append(pool: &PgPool, drafts: &[Draft], repeats: bool, now: Timestamp) -> Result<usize, Error> {
    if drafts.is_empty() {
        return Ok(0);
    }
    let organizations: BTreeSet<Uuid> = drafts.iter().map(|draft| draft.organization.uuid()).collect();
    let organizations: Vec<Uuid> = organizations.into_iter().collect();
    let mut tx = pool.begin().await?;
    let heads = heads::lock(&mut tx, &organizations).await?;
    let known = if repeats { entries::known(&mut tx, drafts).await? } else { HashSet::new() };
    let (entries, heads) = chain(drafts, &known, &heads, now);
    if entries.is_empty() {
        tx.rollback().await?;
        return Ok(0);
    }
    entries::insert(&mut tx, &entries).await?;
    heads::advance(&mut tx, &heads).await?;
    tx.commit().await?;
    Ok(entries.len())
}

/// Whether the table refused an event that it has already.
fn is_repeat(error: &Error) -> bool {
    let Error::Database(sqlx::Error::Database(answer)) = error else { return false };
    answer.constraint() == Some(entries::ONE_OF_EACH_EVENT)
}

/// Gives each new entry its place behind the head of its chain; returns the entries and the new heads.
fn chain<'d>(
    drafts: &'d [Draft],
    known: &'d HashSet<(Uuid, String)>,
    heads: &HashMap<Uuid, HeadRow>,
    now: Timestamp,
) -> (Placed<Sealed<'d>>, Placed<HeadRow>) {
    let mut ends: HashMap<Uuid, (i64, Hash)> = HashMap::new();
    let mut seen: HashSet<(Uuid, &str)> =
        known.iter().map(|(organization, id)| (*organization, id.as_str())).collect();
    let mut entries = Vec::with_capacity(drafts.len());
    for draft in drafts {
        let organization = draft.organization.uuid();
        if !seen.insert((organization, &draft.event_id)) {
            continue;
        }
        let end = ends.entry(organization).or_insert_with(|| match heads.get(&organization) {
            // A head with no hash in it was tampered with; the chain goes on, and verifying says where it broke.
            Some(head) => {
                (head.sequence, Hash::from_bytes(&head.hash).unwrap_or_else(|| genesis(draft.organization)))
            }
            None => (0, genesis(draft.organization)),
        });
        let entry = draft.seal(end.0 + 1, now, end.1);
        *end = (entry.sequence, entry.hash);
        entries.push((organization, entry));
    }
    let heads = ends
        .into_iter()
        .map(|(organization, (sequence, hash))| {
            (organization, HeadRow { sequence, hash: hash.bytes().to_vec() })
        })
        .collect();
    (entries, heads)
}
