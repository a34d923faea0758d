use std::sync::Arc;

use bus::{Bus, ConnectOptions, subject};
use chassis::{Migration, guard::Guard, migrate};
use futures::StreamExt;
use model::{Clock, SystemClock};
use proto::audit::audit_server::AuditServer;
use sqlx::PgPool;
use tokio_util::{sync::CancellationToken, task::TaskTracker};
use tonic::transport::{Endpoint, Server};

use crate::{Config, Error, ServeConfig, Service, consumer::Recorder};

/// The room's Postgres schema.
pub const SCHEMA: &str = "audit";

const MIGRATIONS: [Migration; 1] =
    [Migration { version: 1, name: "entries", sql: include_str!("../migrations/0001_entries.sql") }];

/// What the room is given.
#[derive(Clone)]
pub struct Deps {
    /// The bus, with its streams in place.
    pub bus: Bus,
    /// Who checks callers.
    pub guard: Guard,
    /// The clock.
    pub clock: Arc<dyn Clock>,
    /// Ends the room.
    pub shutdown: CancellationToken,
    /// Where the room's tasks are counted.
    pub tasks: TaskTracker,
}

/// A started room.
#[derive(Clone, Debug)]
pub struct Running {
    pool: PgPool,
    guard: Guard,
}

impl Running {
    /// The room's gRPC service.
    #[must_use]
    pub fn grpc(&self) -> AuditServer<Service> {
        AuditServer::new(Service::new(self.pool.clone(), self.guard.clone()))
    }

    /// The room's database, for [`crate::verify`].
    #[must_use]
    pub const fn pool(&self) -> &PgPool {
        &self.pool
    }
}

/// Opens the room's database and brings its schema up to date; for verifying without the room running.
///
/// # Errors
/// The database cannot be opened or migrated.
pub async fn open(config: &Config) -> Result<PgPool, Error> {
    let pool = chassis::pool(&config.database_url, SCHEMA, config.max_connections).await?;
    migrate(&pool, SCHEMA, &MIGRATIONS).await?;
    Ok(pool)
}

/// Migrates the room's schema and starts recording.
///
/// # Errors
/// The database cannot be opened or migrated.
pub async fn start(config: Config, deps: Deps) -> Result<Running, Error> {
    let pool = open(&config).await?;
    let appended = opentelemetry::global::meter("audit")
        .u64_counter("accord.audit.appended")
        .with_description("Entries appended to the audit log")
        .build();
    let recorder =
        Recorder { pool: pool.clone(), bus: deps.bus, clock: deps.clock, shutdown: deps.shutdown, appended };
    recorder.spawn(&deps.tasks);
    Ok(Running { pool, guard: deps.guard })
}

/// Runs the room as a process of its own, with gRPC health and reflection, until the shutdown.
///
/// # Errors
/// The database, the bus or the address to listen on cannot be used.
pub async fn serve(config: ServeConfig, shutdown: CancellationToken) -> Result<(), Error> {
    let bus = Bus::connect(&config.nats_url, ConnectOptions::named("audit")).await?;
    bus.ensure_streams().await?;
    let identity = Endpoint::from_shared(config.identity_url).map_err(serve_error)?.connect_lazy();
    let guard = Guard::new(identity);
    let tasks = TaskTracker::new();
    tasks.spawn(forget_revoked(bus.clone(), guard.clone(), shutdown.clone()));
    let deps =
        Deps { bus, guard, clock: Arc::new(SystemClock), shutdown: shutdown.clone(), tasks: tasks.clone() };
    let running = start(config.room, deps).await?;
    let (health, health_service) = tonic_health::server::health_reporter();
    health.set_serving::<AuditServer<Service>>().await;
    let reflection = || {
        tonic_reflection::server::Builder::configure()
            .register_encoded_file_descriptor_set(proto::DESCRIPTORS)
            .register_encoded_file_descriptor_set(tonic_health::pb::FILE_DESCRIPTOR_SET)
    };
    let served = Server::builder()
        .add_service(health_service)
        .add_service(reflection().build_v1().map_err(serve_error)?)
        .add_service(reflection().build_v1alpha().map_err(serve_error)?)
        .add_service(running.grpc())
        .serve_with_shutdown(config.listen, shutdown.cancelled())
        .await;
    shutdown.cancel();
    tasks.close();
    tasks.wait().await;
    served.map_err(serve_error)
}

fn serve_error(error: impl Into<Box<dyn std::error::Error + Send + Sync>>) -> Error {
    Error::Serve(error.into())
}

/// Tells the guard of revocations. When the bus was away some may have been missed, so all is forgotten.
async fn forget_revoked(bus: Bus, guard: Guard, shutdown: CancellationToken) {
    let mut connections = bus.connections();
    connections.mark_unchanged();
    let mut revoked = match bus.subscribe_ephemeral(subject::CACHE_IDENTITY_REVOKED).await {
        Ok(revoked) => revoked,
        Err(error) => {
            tracing::error!(%error, "revocations take effect only after the guard's memory expires");
            return;
        }
    };
    loop {
        tokio::select! {
            () = shutdown.cancelled() => return,
            Ok(()) = connections.changed() => guard.invalidate("*").await,
            message = revoked.next() => match message {
                Some(message) => guard.invalidate(&String::from_utf8_lossy(&message.body)).await,
                None => return,
            },
        }
    }
}
