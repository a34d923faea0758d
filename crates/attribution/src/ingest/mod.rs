//! Ingest URLs: a CRM's own webhook becomes a conversion event, whatever the form of its body.

pub(crate) mod follow;
pub(crate) mod mapping;
pub(crate) mod path;
pub(crate) mod vendor;

use jiff::Timestamp;
use model::{IngestUrlId, OrganizationId};
use sqlx::PgPool;
use std::{sync::Arc, time::Duration};
use tokio_util::sync::CancellationToken;

use self::{mapping::Mapping, vendor::Vendor};
use crate::store;

/// How long bodies are kept.
pub(crate) const KEPT_FOR: jiff::SignedDuration = jiff::SignedDuration::from_hours(24);
const TIDY_EVERY: Duration = Duration::from_secs(600);

/// An address of an organization.
#[derive(Clone, Debug)]
pub(crate) struct IngestUrl {
    pub(crate) id: IngestUrlId,
    pub(crate) organization: OrganizationId,
    pub(crate) name: String,
    pub(crate) vendor: Vendor,
    pub(crate) mapping: Mapping,
    /// What the sender proves itself by, sealed.
    pub(crate) secret: Option<Vec<u8>>,
    pub(crate) created_at: Timestamp,
    pub(crate) created_by: String,
    pub(crate) revoked_at: Option<Timestamp>,
}

/// Forgets bodies that were kept long enough, until the shutdown.
pub(crate) async fn tidy(pool: PgPool, clock: Arc<dyn model::Clock>, shutdown: CancellationToken) {
    let work = async {
        loop {
            if let Err(error) = store::ingest::forget(&pool, clock.now() - KEPT_FOR).await {
                tracing::warn!(%error, "could not forget old webhook bodies");
            }
            tokio::time::sleep(TIDY_EVERY).await;
        }
    };
    shutdown.run_until_cancelled(work).await;
}
