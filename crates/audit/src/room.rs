use std::sync::Arc;

use bus::Bus;
use chassis::{Migration, Readiness, guard::Guard, migrate};
use model::Clock;
use proto::audit::audit_server::AuditServer;
use sqlx::PgPool;
use tokio_util::{sync::CancellationToken, task::TaskTracker};

use crate::{Config, Error, Service, consumer::Recorder, verifier::Verifier};

/// The room's Postgres schema.
pub const SCHEMA: &str = "audit";

const MIGRATIONS: [Migration; 2] = [
    Migration { version: 1, name: "entries", sql: include_str!("../migrations/0001_entries.sql") },
    Migration { version: 2, name: "targets", sql: include_str!("../migrations/0002_targets.sql") },
];

/// Walks along chains hold a connection for long: they have these, so that recording and reading never wait for them.
const VERIFY_CONNECTIONS: u32 = 2;

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
    verifier: Verifier,
    guard: Guard,
}

impl Running {
    /// The room's gRPC service.
    #[must_use]
    pub fn grpc(&self) -> AuditServer<Service> {
        AuditServer::new(Service::new(self.pool.clone(), self.verifier.clone(), self.guard.clone()))
    }

    /// Whether the room's database answers.
    pub async fn readiness(&self) -> Readiness {
        chassis::readiness(&self.pool).await
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
    let walking = chassis::pool(&config.database_url, SCHEMA, VERIFY_CONNECTIONS).await?;
    let appended = opentelemetry::global::meter("audit")
        .u64_counter("accord.audit.appended")
        .with_description("Entries appended to the audit log")
        .build();
    let recorder =
        Recorder { pool: pool.clone(), bus: deps.bus, clock: deps.clock, shutdown: deps.shutdown, appended };
    recorder.spawn(&deps.tasks);
    Ok(Running { pool, verifier: Verifier::new(walking), guard: deps.guard })
}
