use std::sync::Arc;

use bus::{Bus, outbox};
use chassis::{Migration, Readiness, guard::Guard, migrate};
use model::Clock;
use proto::sync::sync_server::SyncServer;
use tokio::sync::Notify;
use tokio_util::{sync::CancellationToken, task::TaskTracker};

use crate::{
    Config, Error, attribution, chores, connections, consumer, engine::Engine, grpc::Service, jobs,
    mappings::Cache, parents, reconcile, registrations, reranker::Reranker, store,
};

const SCHEMA: &str = "sync";

const MIGRATIONS: [Migration; 22] = [
    Migration { version: 1, name: "bus", sql: outbox::MIGRATION },
    Migration { version: 2, name: "sync", sql: include_str!("../migrations/0001_sync.sql") },
    Migration {
        version: 3,
        name: "rewritten in place",
        sql: include_str!("../migrations/0002_rewritten_in_place.sql"),
    },
    Migration { version: 4, name: "rules", sql: include_str!("../migrations/0003_rules.sql") },
    Migration { version: 5, name: "waiting", sql: include_str!("../migrations/0004_waiting.sql") },
    Migration { version: 6, name: "lineage", sql: include_str!("../migrations/0005_lineage.sql") },
    Migration { version: 7, name: "drift", sql: include_str!("../migrations/0006_drift.sql") },
    Migration { version: 9, name: "health", sql: include_str!("../migrations/0008_health.sql") },
    Migration { version: 16, name: "runs", sql: include_str!("../migrations/0015_runs.sql") },
    Migration { version: 17, name: "ages", sql: include_str!("../migrations/0016_ages.sql") },
    Migration { version: 20, name: "idempotency", sql: include_str!("../migrations/0020_idempotency.sql") },
    Migration {
        version: 21,
        name: "organizations",
        sql: include_str!("../migrations/0021_organizations.sql"),
    },
    Migration { version: 22, name: "reconciles", sql: include_str!("../migrations/0022_reconciles.sql") },
    Migration { version: 23, name: "revisions", sql: include_str!("../migrations/0023_revisions.sql") },
    Migration {
        version: 24,
        name: "links_of_a_mapping",
        sql: include_str!("../migrations/0024_links_of_a_mapping.sql"),
    },
    Migration {
        version: 25,
        name: "drifts_of_templates",
        sql: include_str!("../migrations/0025_drifts_of_templates.sql"),
    },
    Migration { version: 26, name: "schema_parts", sql: include_str!("../migrations/0026_schema_parts.sql") },
    Migration { version: 27, name: "drafts", sql: include_str!("../migrations/0027_drafts.sql") },
    Migration { version: 28, name: "parts", sql: include_str!("../migrations/0028_parts.sql") },
    Migration { version: 29, name: "smaller_rows", sql: include_str!("../migrations/0029_smaller_rows.sql") },
    Migration { version: 40, name: "attribution", sql: include_str!("../migrations/0040_attribution.sql") },
    Migration {
        version: 42,
        name: "room_for_minutes",
        sql: include_str!("../migrations/0042_room_for_minutes.sql"),
    },
];

/// How long the inbox remembers: as long as the stream of changes keeps its messages, and a day.
const INBOX_HOURS: i64 = 8 * 24;

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
#[derive(Clone)]
pub struct Running {
    engine: Arc<Engine>,
    guard: Guard,
}

impl Running {
    /// The room's gRPC service.
    #[must_use]
    pub fn grpc(&self) -> SyncServer<Service> {
        SyncServer::new(Service::new(Arc::clone(&self.engine), self.guard.clone()))
    }

    /// Whether the room's database answers.
    pub async fn readiness(&self) -> Readiness {
        chassis::readiness(&self.engine.pool).await
    }
}

/// Migrates the room's schema and starts its consumers, its jobs and its outbox.
///
/// # Errors
/// The database cannot be opened or migrated, or TLS cannot be set up.
pub async fn start(config: Config, deps: Deps) -> Result<Running, Error> {
    let pool = chassis::pool(&config.database_url, SCHEMA, config.max_connections).await?;
    migrate(&pool, SCHEMA, &MIGRATIONS).await?;
    let relay = outbox::Relay::new(pool.clone(), deps.bus.clone(), SCHEMA);
    let reranker = config.reranker.clone().map(Reranker::try_new).transpose()?;
    let engine = Arc::new(Engine {
        config,
        pool,
        bus: deps.bus,
        clock: deps.clock,
        waker: relay.waker(),
        jobs: Arc::new(Notify::new()),
        chores: Arc::new(Notify::new()),
        reconciles: Arc::new(Notify::new()),
        mappings: Cache::default(),
        reranker,
    });
    deps.tasks.spawn(relay.run(deps.shutdown.clone()));
    deps.tasks.spawn(consumer::run(Arc::clone(&engine), deps.shutdown.clone()));
    deps.tasks.spawn(connections::run(Arc::clone(&engine), deps.shutdown.clone()));
    deps.tasks.spawn(jobs::run(Arc::clone(&engine), deps.shutdown.clone()));
    deps.tasks.spawn(chores::run(Arc::clone(&engine), deps.shutdown.clone()));
    deps.tasks.spawn(reconcile::run(Arc::clone(&engine), deps.shutdown.clone()));
    deps.tasks.spawn(attribution::run(Arc::clone(&engine), deps.shutdown.clone()));
    deps.tasks.spawn(attribution::sweep(Arc::clone(&engine), deps.shutdown.clone()));
    deps.tasks.spawn(registrations::run(Arc::clone(&engine), deps.shutdown.clone()));
    deps.tasks.spawn(parents::run(Arc::clone(&engine), deps.shutdown.clone()));
    deps.tasks.spawn(prune(Arc::clone(&engine), deps.shutdown));
    Ok(Running { engine, guard: deps.guard })
}

/// Once an hour: forgets what was kept for its time, and looks whether something is to be compared.
async fn prune(engine: Arc<Engine>, shutdown: CancellationToken) {
    let mut hourly = tokio::time::interval(std::time::Duration::from_secs(3_600));
    loop {
        tokio::select! {
            () = shutdown.cancelled() => return,
            _ = hourly.tick() => {}
        }
        let now = engine.clock.now();
        if let Err(error) = reconcile::nightly(&engine).await {
            tracing::warn!(%error, "what is due tonight could not be compared");
        }
        if let Err(error) =
            bus::inbox::prune(&engine.pool, now - jiff::SignedDuration::from_hours(INBOX_HOURS)).await
        {
            tracing::warn!(%error, "the inbox could not be pruned");
        }
        let kept = jiff::SignedDuration::from_hours(24 * i64::from(engine.config.keep_days));
        match store::prune::forget(&engine.pool, now - kept).await {
            Ok(forgotten) => tracing::info!(?forgotten, "what was kept for its time is forgotten"),
            Err(error) => tracing::warn!(%error, "what was kept for its time could not be forgotten"),
        }
    }
}
