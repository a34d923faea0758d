//! What vendors' records are seen with while changes of their mapping wait: kept beside the sync, which goes on by the
//! settings that are active, so that a plan of the changes rests upon the vendor's side as it is.

use std::{collections::BTreeMap, sync::Arc};

use model::MappingId;
use sqlx::PgConnection;

use super::{Arrived, Cause, Unit};
use crate::{
    Error,
    domain::{
        mapping::Compiled,
        sync::{Gone, LinkState, Staged},
    },
    store,
};

/// What is to be kept of each record, or from which version on it is gone.
#[derive(Debug, Default)]
pub(super) struct Beside(BTreeMap<(MappingId, String), Kept>);

#[derive(Debug)]
enum Kept {
    Seen(Staged),
    Gone(i64),
}

impl Unit {
    /// Keeps what arrived beside the sync, where changes of the mapping wait.
    pub(crate) fn keep_beside(&mut self, mapping: &Compiled, arrived: Arrived<'_>) {
        if !mapping.mapping.keeps_beside() {
            return;
        }
        // Whoever plans or applies the changes meanwhile has all of it, or it is taken once more.
        self.verify = true;
        let place = (mapping.mapping.id, arrived.vendor_id.to_owned());
        let known = match self.beside.0.remove(&place) {
            Some(Kept::Gone(version)) if version > arrived.seen.version => {
                self.beside.0.insert(place, Kept::Gone(version));
                return;
            }
            Some(Kept::Seen(seen)) => Some(seen),
            Some(Kept::Gone(_)) | None => None,
        };
        self.beside.0.insert(place, Kept::Seen(Staged::join(known, arrived.seen)));
    }

    /// The vendor has a record no more that may be kept beside the sync.
    pub(super) fn forget_beside(&mut self, mapping: &Compiled, vendor_id: &str, gone: Gone) {
        if !mapping.mapping.keeps_beside() {
            return;
        }
        self.verify = true;
        let place = (mapping.mapping.id, vendor_id.to_owned());
        let is_newer = |kept: &Kept| match kept {
            Kept::Seen(seen) => seen.version > gone.version,
            Kept::Gone(version) => *version > gone.version,
        };
        if !self.beside.0.get(&place).is_some_and(is_newer) {
            self.beside.0.insert(place, Kept::Gone(gone.version));
        }
    }

    /// Merges what was kept of a vendor's record, now that the changes are applied.
    pub(crate) fn merge_beside(
        &mut self,
        mapping: &Arc<Compiled>,
        vendor_id: &str,
        seen: &Staged,
        cause: &Arc<Cause>,
    ) {
        let link = self.by_vendor.get(&(mapping.mapping.id, vendor_id.to_owned())).copied();
        let link = link.and_then(|id| self.link(id));
        if link.is_some_and(|link| link.state == LinkState::Detached && seen.version < link.seen_version) {
            return;
        }
        let cause = Arc::new(Cause { at: seen.at, ..Cause::clone(cause) });
        let seen = seen.seen();
        self.arrive_again(mapping, vendor_id, seen, &cause);
    }
}

impl Beside {
    /// Stores it.
    pub(super) async fn store(&self, tx: &mut PgConnection) -> Result<(), Error> {
        let (mut seen, mut gone) = (BTreeMap::new(), BTreeMap::new());
        for (place, kept) in &self.0 {
            match kept {
                Kept::Seen(staged) => {
                    seen.insert(place, staged);
                }
                Kept::Gone(version) => {
                    gone.insert(place, *version);
                }
            }
        }
        if !seen.is_empty() {
            store::beside::put(tx, &seen).await?;
        }
        if !gone.is_empty() {
            store::beside::remove_gone(tx, &gone).await?;
        }
        Ok(())
    }
}
