//! Is a chain whole? Walks it in the database.

use std::fmt;

use model::OrganizationId;
use sqlx::{Connection as _, PgPool};

use crate::{
    Error,
    domain::{
        chain::{Hash, genesis},
        entry::Entry,
    },
    store::{entries, filter::Filter, heads},
};

/// Entries read at once while walking a chain.
const CHUNK: i64 = 5_000;

/// What a walk along a chain found.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Verification {
    /// Whose chain.
    pub organization: OrganizationId,
    /// How many entries fit, up to the first that does not.
    pub entries: i64,
    /// The last entry that fits. Note it down elsewhere: a chain that was written anew has another one.
    pub head: Head,
    /// The first entry that does not fit; none when the chain is whole.
    pub broken: Option<Break>,
}

impl Verification {
    /// Whether nothing was changed, left out, added or moved.
    #[must_use]
    pub const fn is_whole(&self) -> bool {
        self.broken.is_none()
    }
}

/// An end of a chain.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Head {
    /// Its place; 0 before the first entry.
    pub sequence: i64,
    /// Its hash.
    pub hash: Hash,
}

/// Where a chain is broken, and how.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Break {
    /// The sequence number of the first entry that does not fit or is missing.
    pub at: i64,
    /// What is wrong with it.
    pub fault: Fault,
}

impl fmt::Display for Break {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "entry {}: {}", self.at, self.fault)
    }
}

/// What is wrong with an entry.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Fault {
    /// There is no entry with this number.
    Missing,
    /// Its content does not have its hash.
    Modified,
    /// It does not continue the entry before it.
    Unlinked,
    /// The chain ends before the entry that was its newest.
    Truncated,
    /// The chain's newest entry is not the one that was noted as such.
    HeadDiffers,
}

impl Fault {
    /// Its stable name.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::Missing => "missing",
            Self::Modified => "modified",
            Self::Unlinked => "unlinked",
            Self::Truncated => "truncated",
            Self::HeadDiffers => "head_differs",
        }
    }
}

impl fmt::Display for Fault {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Missing => "missing: there is no entry with this number",
            Self::Modified => "modified: the content does not have the hash that was stored with it",
            Self::Unlinked => "unlinked: it does not continue the entry before it",
            Self::Truncated => "truncated: entries are missing at the end",
            Self::HeadDiffers => "head_differs: it is not the newest entry that was noted",
        })
    }
}

/// The organizations that have a chain.
///
/// # Errors
/// The database does not answer.
pub async fn organizations(pool: &PgPool) -> Result<Vec<OrganizationId>, Error> {
    heads::organizations(pool).await
}

/// Walks the chain of an organization from its first entry to its head, in one snapshot; appending goes on meanwhile.
/// The pool is that of [`crate::open`].
///
/// # Errors
/// The database does not answer.
pub async fn verify(pool: &PgPool, organization: OrganizationId) -> Result<Verification, Error> {
    let mut connection = pool.acquire().await?;
    let mut tx = connection.begin_with("BEGIN ISOLATION LEVEL REPEATABLE READ, READ ONLY").await?;
    let noted = heads::read(&mut tx, organization).await?;
    let mut head = Head { sequence: 0, hash: genesis(organization) };
    let mut broken = None;
    while broken.is_none() {
        let chunk = entries::oldest(&mut *tx, organization, &Filter::default(), head.sequence, CHUNK).await?;
        let last = chunk.len() < usize::try_from(CHUNK).unwrap_or(usize::MAX);
        broken = walk(&mut head, &chunk).err();
        if last {
            break;
        }
    }
    tx.rollback().await?;
    let noted = noted.map_or((0, None), |noted| (noted.sequence, Hash::from_bytes(&noted.hash)));
    let broken = broken.or_else(|| differs(&head, noted));
    Ok(Verification { organization, entries: head.sequence, head, broken })
}

/// Moves `head` along the entries up to the first that does not fit.
fn walk(head: &mut Head, entries: &[Entry]) -> Result<(), Break> {
    for entry in entries {
        let next = head.sequence + 1;
        let fault = |fault| Break { at: next, fault };
        if entry.sequence != next {
            return Err(fault(Fault::Missing));
        }
        let stored = Hash::from_bytes(&entry.previous_hash).zip(Hash::from_bytes(&entry.hash));
        let Some((previous, hash)) = stored else { return Err(fault(Fault::Modified)) };
        if entry.hash_of_content(&previous.to_string()) != hash {
            return Err(fault(Fault::Modified));
        }
        if previous != head.hash {
            return Err(fault(Fault::Unlinked));
        }
        *head = Head { sequence: next, hash };
    }
    Ok(())
}

fn differs(head: &Head, (sequence, hash): (i64, Option<Hash>)) -> Option<Break> {
    if sequence > head.sequence {
        return Some(Break { at: head.sequence + 1, fault: Fault::Truncated });
    }
    let empty = head.sequence == 0 && sequence == 0;
    let same = sequence == head.sequence && hash == Some(head.hash);
    (!empty && !same).then_some(Break { at: head.sequence, fault: Fault::HeadDiffers })
}
