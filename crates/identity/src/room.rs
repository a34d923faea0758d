use std::{sync::Arc, time::Duration};

use bus::{Bus, ConnectOptions, outbox::Relay};
use chassis::{Health, Readiness, guard::Guard};
use model::{Clock, SystemClock};
use proto::identity::identity_server::IdentityServer;
use tokio::{net::TcpListener, sync::mpsc, time::MissedTickBehavior};
use tokio_stream::wrappers::TcpListenerStream;
use tokio_util::{sync::CancellationToken, task::TaskTracker};

use crate::{
    Config, Operator, Revocations, ServeConfig, error::Error, grpc::Grpc, service, service::Service, store,
};

const NAME: &str = "identity";
/// Uses of credentials that wait to be written down.
const MOST_USES_WAITING: usize = 10_000;
const PRUNE_EVERY: Duration = Duration::from_secs(3600);
const LOOK_EVERY: Duration = Duration::from_secs(1);
/// How long the database may take to answer before identity counts as not ready.
const ANSWER_WITHIN: Duration = Duration::from_secs(2);

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
    /// Where readiness is told, as `identity`.
    pub health: Health,
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

    /// The operator's commands on this identity.
    #[must_use]
    pub fn operator(&self) -> Operator {
        Operator::of(self.0.clone())
    }
}

/// Migrates the schema and starts the background tasks: the outbox relay, the revocations of other processes, the
/// notes of what was used, the hourly clearing away, and a look each second whether bus and database answer.
///
/// # Errors
/// When the database cannot be reached or migrated, or the bus cannot be reached.
pub async fn start(config: Config, deps: Deps, clock: Arc<dyn Clock>) -> Result<Running, Error> {
    let Deps { bus, guard, shutdown, tasks, health } = deps;
    health.set(NAME, Readiness::NotReady("starting".to_owned()));
    let service = Service::connect(config, clock).await?.with_bus(Some(bus.clone()));
    let relay = Relay::new(service.pool().clone(), bus.clone(), NAME);
    let (note, uses) = mpsc::channel(MOST_USES_WAITING);
    let service = Arc::new(service.with_tasks(relay.waker(), guard, note));
    let revocations = Revocations::subscribe(&bus).await?;
    tasks.spawn(relay.run(shutdown.clone()));
    tasks.spawn(service::note_uses(service.pool().clone(), uses, shutdown.clone()));
    tasks.spawn(forget_revoked(service.clone(), revocations, shutdown.clone()));
    tasks.spawn(prune(service.clone(), shutdown.clone()));
    health.set(NAME, Readiness::Ready);
    tasks.spawn(look(service.clone(), (bus, health), shutdown));
    Ok(Running(service))
}

/// Runs identity as a process of its own, with server reflection and gRPC health, until `shutdown`.
///
/// # Errors
/// When the database or the bus cannot be used, or the address is taken.
pub async fn serve(config: ServeConfig, shutdown: CancellationToken) -> Result<(), Error> {
    let ServeConfig { room, nats_url, listen } = config;
    let bus = Bus::connect(&nats_url, ConnectOptions::named(NAME)).await?;
    bus.ensure_streams().await?;
    let (tasks, health) = (TaskTracker::new(), Health::new());
    let deps = Deps { bus, guard: None, shutdown: shutdown.clone(), tasks: tasks.clone(), health };
    let running = start(room, deps, Arc::new(SystemClock)).await?;
    let listener = TcpListener::bind(listen).await.map_err(serving)?;
    let (reporter, health) = tonic_health::server::health_reporter();
    reporter.set_serving::<IdentityServer<Grpc>>().await;
    let describe = || {
        tonic_reflection::server::Builder::configure()
            .register_encoded_file_descriptor_set(proto::DESCRIPTORS)
    };
    let served = tonic::transport::Server::builder()
        .add_service(running.grpc())
        .add_service(health)
        .add_service(describe().build_v1().map_err(serving)?)
        .add_service(describe().build_v1alpha().map_err(serving)?)
        .serve_with_incoming_shutdown(TcpListenerStream::new(listener), shutdown.clone().cancelled_owned())
        .await;
    shutdown.cancel();
    tasks.close();
    tasks.wait().await;
    served.map_err(serving)
}

fn serving(error: impl std::error::Error + Send + Sync + 'static) -> Error {
    Error::Serve(Box::new(error))
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

/// Tells whether identity can work: the bus is connected and the database answers.
async fn look(service: Arc<Service>, (bus, health): (Bus, Health), shutdown: CancellationToken) {
    while shutdown.run_until_cancelled(tokio::time::sleep(LOOK_EVERY)).await.is_some() {
        let database = tokio::time::timeout(ANSWER_WITHIN, store::answers(service.pool())).await;
        let readiness = match database {
            Ok(true) if bus.is_connected() => Readiness::Ready,
            Ok(true) => Readiness::NotReady("the bus is not connected".to_owned()),
            _ => Readiness::NotReady("the database does not answer".to_owned()),
        };
        health.set(NAME, readiness);
    }
}
