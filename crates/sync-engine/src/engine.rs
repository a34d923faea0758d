//! What every part of the room works with.

use std::sync::Arc;

use bus::{Bus, outbox::Waker};
use model::Clock;
use sqlx::PgPool;
use tokio::sync::Notify;

use crate::{Config, mappings::Cache, reranker::Reranker};

/// See the module.
pub(crate) struct Engine {
    pub(crate) config: Config,
    pub(crate) pool: PgPool,
    pub(crate) bus: Bus,
    pub(crate) clock: Arc<dyn Clock>,
    /// Wakes the relay of the outbox; called after every commit.
    pub(crate) waker: Waker,
    /// Wakes the jobs: a plan to work out or to apply.
    pub(crate) jobs: Arc<Notify>,
    /// Wakes the work that people asked for: issues to try again.
    pub(crate) chores: Arc<Notify>,
    /// Wakes the comparisons of both sides.
    pub(crate) reconciles: Arc<Notify>,
    pub(crate) mappings: Cache,
    /// Who is asked about mappings that the matcher is unsure of, where the operator named somebody.
    pub(crate) reranker: Option<Reranker>,
}
