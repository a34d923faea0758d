use std::{sync::Arc, time::Duration};

use bus::{Bus, outbox::Relay};
use chassis::{Migration, Readiness, guard::Guard, migrate};
use model::Clock;
use proto::crm::crm_server::CrmServer;
use sqlx::PgPool;
use tokio_util::{sync::CancellationToken, task::TaskTracker};

use crate::{
    Config, Error,
    consumer::{self, Directory},
    expiry,
    grpc::Service,
    hearing,
    interacting::Interactions,
    mailed::Answers,
    notifying::Notifier,
    sending::{self, Sender},
    told::{self, Listener},
};

/// The room's Postgres schema.
pub const SCHEMA: &str = "crm";

const MIGRATIONS: [Migration; 10] = [
    Migration {
        version: 1,
        name: "registrations",
        sql: include_str!("../migrations/0001_registrations.sql"),
    },
    Migration { version: 2, name: "outbox and inbox", sql: bus::outbox::MIGRATION },
    Migration { version: 3, name: "directory", sql: include_str!("../migrations/0003_directory.sql") },
    Migration { version: 4, name: "activities", sql: include_str!("../migrations/0004_activities.sql") },
    Migration { version: 5, name: "telling", sql: include_str!("../migrations/0005_telling.sql") },
    Migration { version: 10, name: "gone", sql: include_str!("../migrations/0010_gone.sql") },
    Migration { version: 11, name: "campaigns", sql: include_str!("../migrations/0011_campaigns.sql") },
    Migration { version: 12, name: "numbers", sql: include_str!("../migrations/0012_numbers.sql") },
    Migration {
        version: 13,
        name: "campaign_version",
        sql: include_str!("../migrations/0013_campaign_version.sql"),
    },
    Migration { version: 14, name: "asked", sql: include_str!("../migrations/0014_asked.sql") },
];

/// Nobody who hears of a registration waits for it.
const PACE: Duration = Duration::from_millis(50);

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
    service: Service,
}

impl Running {
    /// The room's gRPC service.
    #[must_use]
    pub fn grpc(&self) -> CrmServer<Service> {
        CrmServer::new(self.service.clone())
            .max_decoding_message_size(proto::LARGEST_ANSWER)
            .max_encoding_message_size(proto::LARGEST_ANSWER)
    }

    /// Whether the room's database answers.
    pub async fn readiness(&self) -> Readiness {
        chassis::readiness(&self.pool).await
    }
}

/// Opens the room's database and brings its schema up to date.
///
/// # Errors
/// The database cannot be opened or migrated.
pub async fn open(config: &Config) -> Result<PgPool, Error> {
    let pool = chassis::pool(&config.database_url, SCHEMA, config.max_connections).await?;
    migrate(&pool, SCHEMA, &MIGRATIONS).await?;
    Ok(pool)
}

/// Migrates the room's schema and starts its relay, its consumers, and the jobs that let registrations expire and mails go
/// out.
///
/// # Errors
/// The database cannot be opened or migrated.
pub async fn start(config: Config, deps: Deps) -> Result<Running, Error> {
    let pool = open(&config).await?;
    let Deps { bus, guard, clock, shutdown, tasks } = deps;
    let relay = Relay::new(pool.clone(), bus.clone(), SCHEMA).paced(PACE);
    let waker = relay.waker();
    let listener = Listener { pool: pool.clone(), bus: bus.clone(), clock: Arc::clone(&clock) };
    tasks.spawn(told::run(listener, shutdown.clone()));
    let directory = Directory { pool: pool.clone(), bus: bus.clone(), clock: Arc::clone(&clock) };
    tasks.spawn(consumer::run(directory, shutdown.clone()));
    let notifier =
        Notifier { pool: pool.clone(), bus: bus.clone(), clock: Arc::clone(&clock), waker: waker.clone() };
    tasks.spawn(hearing::run(notifier, shutdown.clone()));
    let interactions = Interactions {
        pool: pool.clone(),
        bus: bus.clone(),
        clock: Arc::clone(&clock),
        waker: waker.clone(),
    };
    tasks.spawn(hearing::run(interactions, shutdown.clone()));
    let answers = Answers { pool: pool.clone(), bus, clock: Arc::clone(&clock), waker: waker.clone() };
    tasks.spawn(hearing::run(answers, shutdown.clone()));
    let opt_out: Arc<str> = sending::opt_out_address(&config.public_api_url).into();
    let sender = Sender {
        pool: pool.clone(),
        clock: Arc::clone(&clock),
        waker: waker.clone(),
        opt_out: Arc::clone(&opt_out),
    };
    tasks.spawn(sending::run(sender, config.sending_seconds, shutdown.clone()));
    tasks.spawn(expiry::run(
        pool.clone(),
        waker.clone(),
        Arc::clone(&clock),
        config.expiry_seconds,
        shutdown.clone(),
    ));
    tasks.spawn(expiry::forget(pool.clone(), Arc::clone(&clock), shutdown.clone()));
    tasks.spawn(relay.run(shutdown));
    let service = Service { pool: pool.clone(), guard, clock, waker, opt_out };
    Ok(Running { pool, service })
}
