use std::{sync::Arc, time::Duration};

use bus::{Bus, outbox::Relay};
use chassis::{DatabaseError, Readiness, guard::Guard};
use model::Clock;
use proto::connections::connections_server::ConnectionsServer;
use tokio::time::interval;
use tokio_util::{sync::CancellationToken, task::TaskTracker};
use vault::Vault;

use crate::{
    Config, Connector, budgets,
    core::Core,
    grpc::Service,
    http::{Client, HttpError},
    owner::Owner,
    pushing, reading,
    store::{self, Store},
    wishes,
};

const NAME: &str = "connector";
const STORE_USAGE_EVERY: Duration = Duration::from_secs(2);
const KEEP_USAGE: Duration = Duration::from_secs(31 * 24 * 3600);
/// Longer than any stream keeps its messages.
const KEEP_INBOX: Duration = Duration::from_secs(40 * 24 * 3600);
const PRUNE_EVERY: Duration = Duration::from_secs(3600);

/// What the runtime works with.
pub struct Deps {
    /// The bus, its streams in place.
    pub bus: Bus,
    /// Who may call.
    pub guard: Guard,
    /// What seals the tokens.
    pub vault: Arc<Vault>,
    /// The time.
    pub clock: Arc<dyn Clock>,
    /// The vendors that are served.
    pub connectors: Vec<Arc<dyn Connector>>,
    /// The wish to end.
    pub shutdown: CancellationToken,
    /// Where the runtime's tasks are counted; it ends when they do.
    pub tasks: TaskTracker,
}

impl std::fmt::Debug for Deps {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Deps").field("connectors", &self.connectors.len()).finish_non_exhaustive()
    }
}

/// Why the runtime cannot start.
#[derive(Debug, thiserror::Error)]
pub enum StartError {
    /// The database cannot be used.
    #[error(transparent)]
    Database(#[from] DatabaseError),
    /// A statement of the start failed.
    #[error("prepare the database: {0}")]
    Statement(#[from] sqlx::Error),
    /// TLS cannot be set up.
    #[error(transparent)]
    Http(#[from] HttpError),
}

/// A runtime at work.
#[derive(Clone)]
pub struct Running {
    core: Arc<Core>,
    guard: Guard,
}

impl std::fmt::Debug for Running {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Running").field("replica", &self.core.replica).finish_non_exhaustive()
    }
}

impl Running {
    /// The gRPC service, for a server that others share.
    #[must_use]
    pub fn grpc(&self) -> ConnectionsServer<impl proto::connections::connections_server::Connections> {
        ConnectionsServer::new(Service { core: Arc::clone(&self.core), guard: self.guard.clone() })
    }

    /// Whether the runtime's database answers. A vendor that does not is no reason not to be ready.
    pub async fn readiness(&self) -> Readiness {
        chassis::readiness(&self.core.store.pool).await
    }
}

/// Migrates the database and starts reading and writing for the connections of the partitions that this process gets.
///
/// # Errors
/// See [`StartError`]. A vendor that does not answer is none.
pub async fn start(config: Config, deps: Deps) -> Result<Running, StartError> {
    let pool = chassis::pool(&config.database_url, store::SCHEMA, config.max_connections).await?;
    chassis::migrate(&pool, store::SCHEMA, store::MIGRATIONS).await?;
    let relay = Relay::new(pool.clone(), deps.bus.clone(), NAME);
    let http = Client::try_new(config.call_timeout)?;
    let core = Core::new(
        config,
        Store::new(pool),
        deps.bus,
        relay.waker(),
        deps.vault,
        deps.clock,
        http,
        deps.connectors,
    );
    for vendor in core.connectors.keys() {
        core.store.create_leases(vendor, bus::subject::PARTITIONS).await?;
    }
    pushing::begin_counting();
    deps.tasks.spawn(relay.run(deps.shutdown.clone()));
    deps.tasks.spawn(wishes::run(Arc::clone(&core), deps.shutdown.clone()));
    deps.tasks.spawn(Owner::new(Arc::clone(&core)).run(deps.shutdown.clone()));
    deps.tasks.spawn(keep_usage(Arc::clone(&core), deps.shutdown));
    Ok(Running { core, guard: deps.guard })
}

/// Stores what was counted, and forgets what is old.
async fn keep_usage(core: Arc<Core>, shutdown: CancellationToken) {
    let mut ticks = interval(STORE_USAGE_EVERY);
    let mut prune = interval(PRUNE_EVERY);
    loop {
        let ends = tokio::select! {
            () = shutdown.cancelled() => true,
            _ = ticks.tick() => false,
            _ = prune.tick() => {
                let pruned = async {
                    core.store.prune_usage(core.now() - KEEP_USAGE).await?;
                    bus::inbox::prune(&core.store.pool, core.now() - KEEP_INBOX).await?;
                    core.store.prune_posts(core.now() - KEEP_INBOX).await?;
                    core.store.prune_mails(core.now() - KEEP_INBOX).await?;
                    Ok::<(), crate::failure::Failure>(())
                };
                if let Err(failure) = pruned.await {
                    tracing::warn!(error = %failure, "could not forget old rows");
                }
                false
            }
        };
        for link in core.links() {
            let counted = link.line.usage.take();
            if counted.is_empty() {
                continue;
            }
            if let Err(error) = core.store.add_usage(link.id, &counted).await {
                link.line.usage.put_back(counted);
                tracing::warn!(%error, "could not store the usage");
            }
            let said = link.line.limiter.take_said();
            if !said.is_empty()
                && let Err(error) = core.store.put_limits(link.id, &said, core.now()).await
            {
                tracing::warn!(%error, "could not store the vendor's limits");
            }
        }
        if let Err(failure) = budgets::look_after(&core).await {
            tracing::warn!(error = %failure, "could not look after the budgets");
        }
        if let Err(failure) = reading::look_after(&core).await {
            tracing::warn!(error = %failure, "could not look after how connections read");
        }
        if ends {
            return;
        }
    }
}
