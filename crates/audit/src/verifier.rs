//! Walks along chains for whoever asks.

use std::{
    collections::HashMap,
    sync::{Arc, Mutex, PoisonError},
};

use futures::{
    FutureExt,
    future::{BoxFuture, Shared, WeakShared},
};
use model::OrganizationId;
use sqlx::PgPool;
use tonic::Status;

use crate::verify::{Verification, verify};

type Walk = BoxFuture<'static, Result<Verification, Status>>;

/// Walks along a chain once for all who ask while it lasts; it ends when nobody waits for it any more.
#[derive(Clone, Debug)]
pub(crate) struct Verifier {
    pool: PgPool,
    running: Arc<Mutex<HashMap<OrganizationId, WeakShared<Walk>>>>,
}

impl Verifier {
    pub(crate) fn new(pool: PgPool) -> Self {
        Self { pool, running: Arc::default() }
    }

    pub(crate) async fn verify(&self, organization: OrganizationId) -> Result<Verification, Status> {
        self.walk(organization).await
    }

    /// The walk that is under way, or a new one.
    fn walk(&self, organization: OrganizationId) -> Shared<Walk> {
        let mut running = self.running.lock().unwrap_or_else(PoisonError::into_inner);
        running.retain(|_, walk| walk.upgrade().is_some_and(|walk| walk.peek().is_none()));
        if let Some(walk) = running.get(&organization).and_then(WeakShared::upgrade) {
            return walk;
        }
        let pool = self.pool.clone();
        let walk: Walk = async move { Ok(verify(&pool, organization).await?) }.boxed();
        let walk = walk.shared();
        running.extend(walk.downgrade().map(|weak| (organization, weak)));
        walk
    }
}
