use std::{sync::Arc, time::Duration};

use bus::{Bus, outbox::Relay};
use chassis::{Migration, Readiness, guard::Guard, migrate};
use connector::http::Reach;
use model::Clock;
use proto::attribution::{
    attribution_server::AttributionServer, conversion_rules_server::ConversionRulesServer,
    ingest_urls_server::IngestUrlsServer,
};
use sqlx::PgPool;
use tokio_util::{sync::CancellationToken, task::TaskTracker};
use vault::Vault;

use crate::{
    Config, Error,
    catalog::Catalogs,
    clicking::Clicker,
    grpc::Service,
    ingest, maturity,
    rules::consumer::{self, Rules},
    transfers::Transfers,
    webhooks::{Bell, Dispatcher, Sender},
    writer::Writers,
};

/// The room's Postgres schema.
pub const SCHEMA: &str = "attribution";

const MIGRATIONS: [Migration; 19] = [
    Migration { version: 1, name: "facts", sql: include_str!("../migrations/0001_facts.sql") },
    Migration { version: 2, name: "derived", sql: include_str!("../migrations/0002_derived.sql") },
    Migration { version: 3, name: "outbox and inbox", sql: bus::outbox::MIGRATION },
    Migration { version: 4, name: "claims", sql: include_str!("../migrations/0004_claims.sql") },
    Migration { version: 5, name: "lookups", sql: include_str!("../migrations/0005_lookups.sql") },
    Migration { version: 10, name: "rules", sql: include_str!("../migrations/0010_rules.sql") },
    Migration { version: 11, name: "ingest", sql: include_str!("../migrations/0011_ingest.sql") },
    Migration { version: 20, name: "guards", sql: include_str!("../migrations/0020_guards.sql") },
    Migration { version: 21, name: "webhooks", sql: include_str!("../migrations/0021_webhooks.sql") },
    Migration { version: 35, name: "lean", sql: include_str!("../migrations/0035_lean.sql") },
    Migration { version: 36, name: "sets", sql: include_str!("../migrations/0036_sets.sql") },
    Migration { version: 37, name: "moves", sql: include_str!("../migrations/0037_moves.sql") },
    Migration { version: 40, name: "rails", sql: include_str!("../migrations/0040_rails.sql") },
    Migration {
        version: 41,
        name: "partner terms",
        sql: include_str!("../migrations/0041_partner_terms.sql"),
    },
    Migration { version: 42, name: "paused terms", sql: include_str!("../migrations/0042_paused_terms.sql") },
    Migration { version: 45, name: "following", sql: include_str!("../migrations/0045_following.sql") },
    Migration { version: 46, name: "invited", sql: include_str!("../migrations/0046_invited.sql") },
    Migration { version: 47, name: "rows", sql: include_str!("../migrations/0047_rows.sql") },
    Migration { version: 52, name: "stitches", sql: include_str!("../migrations/0052_stitches.sql") },
];

/// Nobody who hears of an attribution or a commission waits for it.
const PACE: Duration = Duration::from_millis(200);

/// What the room is given.
#[derive(Clone)]
pub struct Deps {
    /// The bus, with its streams in place.
    pub bus: Bus,
    /// Who checks callers.
    pub guard: Guard,
    /// Seals what user ids and webhooks are signed with, what senders of webhooks prove themselves by, and bodies that came.
    pub vault: Arc<Vault>,
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
    pool: PgPool,
    service: Service,
}

impl std::fmt::Debug for Running {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Running").finish_non_exhaustive()
    }
}

impl Running {
    /// The room's gRPC service.
    #[must_use]
    pub fn grpc(&self) -> AttributionServer<Service> {
        AttributionServer::new(self.service.clone())
            .max_decoding_message_size(proto::LARGEST_ANSWER)
            .max_encoding_message_size(proto::LARGEST_ANSWER)
    }

    /// The room's gRPC service of conversion rules.
    #[must_use]
    pub fn conversion_rules(&self) -> ConversionRulesServer<Service> {
        ConversionRulesServer::new(self.service.clone()).max_encoding_message_size(proto::LARGEST_ANSWER)
    }

    /// The room's gRPC service of ingest URLs.
    #[must_use]
    pub fn ingest_urls(&self) -> IngestUrlsServer<Service> {
        IngestUrlsServer::new(self.service.clone()).max_encoding_message_size(proto::LARGEST_ANSWER)
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

/// Migrates the room's schema and starts its writers, its relay, the job that approves at maturity and the consumer of changes.
///
/// # Errors
/// The database cannot be opened or migrated.
pub async fn start(config: Config, deps: Deps) -> Result<Running, Error> {
    let pool = open(&config).await?;
    let Deps { bus, guard, vault, clock, shutdown, tasks } = deps;
    let relay = Relay::new(pool.clone(), bus.clone(), SCHEMA).paced(PACE);
    let catalogs = Arc::new(Catalogs::new(pool.clone()));
    let bell = Bell::default();
    let reach = if config.private_webhooks { Reach::Anywhere } else { Reach::Public };
    let sender = Sender::try_new(reach, Arc::clone(&vault))?;
    let writers =
        Writers::spawn(config.writers, &pool, &catalogs, &clock, (&relay.waker(), &bell), &shutdown, &tasks);
    tasks.spawn(maturity::run(
        pool.clone(),
        writers.clone(),
        Arc::clone(&clock),
        config.maturity_seconds,
        shutdown.clone(),
    ));
    let rules = Rules {
        pool: pool.clone(),
        bus,
        writers: writers.clone(),
        clock: Arc::clone(&clock),
        waker: relay.waker(),
    };
    tasks.spawn(consumer::run(rules, shutdown.clone()));
    tasks.spawn(ingest::tidy(pool.clone(), Arc::clone(&clock), shutdown.clone()));
    let clicker = Clicker::spawn(pool.clone(), Arc::clone(&clock), shutdown.clone(), &tasks);
    let dispatcher = Dispatcher {
        pool: pool.clone(),
        clock: Arc::clone(&clock),
        sender: sender.clone(),
        bell: bell.clone(),
    };
    tasks.spawn(dispatcher.run(shutdown.clone(), tasks.clone()));
    let transfers = Transfers {
        pool: pool.clone(),
        rail: config.rail,
        writers: writers.clone(),
        clock: Arc::clone(&clock),
    };
    tasks.spawn(transfers.clone().run(config.maturity_seconds, shutdown.clone()));
    let works = (writers, clicker, catalogs);
    let outward = (sender, bell, transfers);
    let service = Service::new(pool.clone(), works, guard, clock, relay.waker(), vault, outward);
    tasks.spawn(relay.run(shutdown));
    Ok(Running { pool, service })
}
