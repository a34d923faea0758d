use std::{sync::Arc, time::Duration};

use bus::{Bus, outbox::Relay};
use chassis::{Readiness, guard::Guard};
use model::Clock;
use proto::identity::identity_server::IdentityServer;
use tokio::{sync::mpsc, time::MissedTickBehavior};
use tokio_util::{sync::CancellationToken, task::TaskTracker};

use crate::{Config, Operator, Revocations, error::Error, grpc::Grpc, service, service::Service, store};

const NAME: &str = "identity";
/// Uses of credentials that wait to be written down.
const MOST_USES_WAITING: usize = 10_000;
const PRUNE_EVERY: Duration = Duration::from_secs(3600);

/// What identity is given by whoever starts it.
#[derive(Debug)]
pub struct Deps {
    /// The bus, with its streams in place.
    pub bus: Bus,
    /// The guard of the rooms in the same process, which is told of revocations before the answer goes out. Guards of
    /// other processes listen by [`Revocations`].
    pub guard: Option<Guard>,
    /// Ends the background tasks.
    pub shutdown: CancellationToken,
    /// Where the background tasks are tracked.
    pub tasks: TaskTracker,
}

/// Identity, as it runs.
#[derive(Clone)]
pub struct Running(Arc<Service>);

impl std::fmt::Debug for Running {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Running").finish_non_exhaustive()
    }
}

impl Running {
    /// The gRPC service, to be added to a server.
    #[must_use]
    pub fn grpc(&self) -> IdentityServer<Grpc> {
        IdentityServer::new(Grpc::new(self.0.clone()))
    }

    /// Whether its database answers.
    pub async fn readiness(&self) -> Readiness {
        chassis::readiness(self.0.pool()).await
    }

    /// The operator's commands on this identity.
    #[must_use]
    pub fn operator(&self) -> Operator {
        Operator::of(self.0.clone())
    }
}

/// Migrates the schema and starts the background tasks: the outbox relay, the revocations of other processes, the
/// notes of what was used, and the hourly clearing away.
///
/// # Errors
/// When the database cannot be reached or migrated, or the bus cannot be reached.
pub async fn start(config: Config, deps: Deps, clock: Arc<dyn Clock>) -> Result<Running, Error> {
    let Deps { bus, guard, shutdown, tasks } = deps;
    let service = Service::connect(config, clock).await?.with_bus(Some(bus.clone()));
    let relay = Relay::new(service.pool().clone(), bus.clone(), NAME);
    let (note, uses) = mpsc::channel(MOST_USES_WAITING);
    let service = Arc::new(service.with_tasks(relay.waker(), guard, note));
    let revocations = Revocations::subscribe(&bus).await?;
    tasks.spawn(relay.run(shutdown.clone()));
    tasks.spawn(service::note_uses(service.pool().clone(), uses, shutdown.clone()));
    tasks.spawn(forget_revoked(service.clone(), revocations, shutdown.clone()));
    tasks.spawn(prune(service.clone(), shutdown));
    Ok(Running(service))
}

async fn forget_revoked(service: Arc<Service>, mut revocations: Revocations, shutdown: CancellationToken) {
    while let Some(Some(id)) = shutdown.run_until_cancelled(revocations.next()).await {
        service.forget_here(&[id]).await;
    }
}

async fn prune(service: Arc<Service>, shutdown: CancellationToken) {
    let mut hourly = tokio::time::interval(PRUNE_EVERY);
    hourly.set_missed_tick_behavior(MissedTickBehavior::Delay);
    while shutdown.run_until_cancelled(hourly.tick()).await.is_some() {
        if let Err(error) = store::prune(service.pool(), service.now()).await {
            tracing::warn!(%error, "what has ended could not be cleared away");
        }
    }
}
