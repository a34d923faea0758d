//! Whoever waits for a lock of the database waits with a connection in hand. Many who want the same one at once would hold
//! every connection of the room, and whoever has the lock would find none to go on with. So they queue here first, where
//! waiting costs nothing: of one organization one goes to the database at a time, and no two organizations wait for each other.

use std::{
    collections::HashMap,
    sync::{Arc, PoisonError},
};

use model::OrganizationId;
use tokio::sync::{Mutex, OwnedMutexGuard};

/// The turns of organizations, in this process. Cheap to clone.
#[derive(Clone, Debug, Default)]
pub(crate) struct Turns(Arc<std::sync::Mutex<HashMap<OrganizationId, Arc<Mutex<()>>>>>);

impl Turns {
    /// Waits for the organization's turn, in the order of arrival; it ends with what is given.
    pub(crate) async fn of(&self, organization: OrganizationId) -> OwnedMutexGuard<()> {
        let turn = {
            let mut turns = self.0.lock().unwrap_or_else(PoisonError::into_inner);
            // Those that nobody has or waits for are forgotten.
            turns.retain(|_, turn| Arc::strong_count(turn) > 1);
            Arc::clone(turns.entry(organization).or_default())
        };
        turn.lock_owned().await
    }
}
