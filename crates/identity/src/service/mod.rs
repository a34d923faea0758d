//! What identity does: each operation reads, decides by the domain, and stores the change with its event.

mod check;
mod keys;
mod sign_in;
mod users;

use std::{sync::Arc, time::Duration};

use bus::{Bus, outbox::Waker, subject};
use chassis::guard::{AnswerCache, Guard};
use jiff::Timestamp;
use model::{Clock, OrganizationId};
use sqlx::{PgPool, Postgres, Transaction};
use tokio::sync::{Semaphore, mpsc};

pub(crate) use self::{
    check::{Checked, Use, note_uses},
    keys::{MintedKey, RotateKey},
    sign_in::SignedIn,
    users::user_not_found,
};
use crate::{
    config::Config,
    error::{Error, Refusal},
    publisher::{self, Fact},
    store::{self, organizations},
};

/// Password hashes at once; each takes 19 MiB and a core.
const HASHES_AT_ONCE: usize = 2;
/// How long an answer of the database is believed, so that checks of one credential do not all ask it.
const BELIEVED_FOR: Duration = Duration::from_secs(2);
/// How long a revocation may take to reach the bus before the caches' own expiry has to do.
const TELL_WITHIN: Duration = Duration::from_secs(1);

pub(crate) struct Service {
    config: Config,
    pool: PgPool,
    clock: Arc<dyn Clock>,
    bus: Option<Bus>,
    guard: Option<Guard>,
    waker: Waker,
    answers: AnswerCache<Arc<Checked>>,
    uses: Option<mpsc::Sender<Use>>,
    hashing: Arc<Semaphore>,
}

impl Service {
    /// Connects to the database and brings it up to date.
    pub(crate) async fn connect(config: Config, clock: Arc<dyn Clock>) -> Result<Self, Error> {
        let pool = chassis::pool(&config.database_url, store::SCHEMA, config.max_connections).await?;
        store::migrate(&pool).await?;
        Ok(Self {
            config,
            pool,
            clock,
            bus: None,
            guard: None,
            waker: Waker::default(),
            answers: AnswerCache::new(BELIEVED_FOR),
            uses: None,
            hashing: Arc::new(Semaphore::new(HASHES_AT_ONCE)),
        })
    }

    /// Tells revocations on the bus.
    pub(crate) fn with_bus(self, bus: Option<Bus>) -> Self {
        Self { bus, ..self }
    }

    /// Wakes this relay, tells this guard, and notes uses here.
    pub(crate) fn with_tasks(self, waker: Waker, guard: Option<Guard>, uses: mpsc::Sender<Use>) -> Self {
        Self { waker, guard, uses: Some(uses), ..self }
    }

    pub(crate) const fn pool(&self) -> &PgPool {
        &self.pool
    }

    pub(crate) fn now(&self) -> Timestamp {
        self.clock.now()
    }

    async fn begin(&self) -> Result<Transaction<'static, Postgres>, Error> {
        Ok(self.pool.begin().await?)
    }

    /// The organization with this slug.
    pub(crate) async fn find_organization(&self, slug: &str) -> Result<OrganizationId, Error> {
        // No slug has a control character, and the database takes not all of them.
        let found = match slug.chars().any(char::is_control) {
            true => None,
            false => organizations::by_slug(&self.pool, slug).await?,
        };
        let missing = || Refusal::not_found("organization_not_found", "No organization has this slug.");
        Ok(found.ok_or_else(missing)?)
    }

    /// Commits a change together with what it publishes, and then makes every cache forget these credentials.
    pub(crate) async fn commit(
        &self,
        mut tx: Transaction<'static, Postgres>,
        (facts, now): (&[Fact], Timestamp),
        forgotten: Vec<String>,
    ) -> Result<(), Error> {
        publisher::enqueue(&mut tx, facts, now).await?;
        tx.commit().await?;
        self.waker.wake();
        self.forget_here(&forgotten).await;
        self.forget_elsewhere(forgotten).await;
        Ok(())
    }

    /// Forgets what is remembered of these credentials in this process; `*` means all.
    pub(crate) async fn forget_here(&self, credentials: &[String]) {
        for id in credentials {
            self.answers.forget(id).await;
            if let Some(guard) = &self.guard {
                guard.invalidate(id).await;
            }
        }
    }

    /// Tells the other processes, also when the caller does not wait for it.
    async fn forget_elsewhere(&self, credentials: Vec<String>) {
        let Some(bus) = self.bus.clone().filter(|_| !credentials.is_empty()) else { return };
        let telling = tokio::spawn(async move {
            for id in credentials {
                let told = bus.publish_ephemeral(subject::CACHE_IDENTITY_REVOKED, id);
                match tokio::time::timeout(TELL_WITHIN, told).await {
                    Ok(Ok(())) => {}
                    Ok(Err(error)) => return tracing::warn!(%error, "a revocation was not told"),
                    Err(_) => return tracing::warn!("a revocation was not told, the bus does not answer"),
                }
            }
        });
        // The task cannot be cancelled, and it does not panic.
        let _told = telling.await;
    }
}
