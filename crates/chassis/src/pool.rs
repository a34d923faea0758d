use std::{str::FromStr, time::Duration};

use sqlx::{
    Connection, Error, PgConnection, PgPool,
    postgres::{PgConnectOptions, PgPoolOptions},
};
use tokio::time::{Instant, sleep, timeout};

use crate::Readiness;

/// How long a service waits at its start for a database that does not answer yet.
const CONNECT_WITHIN: Duration = Duration::from_secs(30);
/// How long the database may take to answer before whoever needs it counts as not ready.
const ANSWER_WITHIN: Duration = Duration::from_secs(2);

/// Why the database cannot be used. The text never contains the address, which holds a password.
#[derive(Debug, thiserror::Error)]
pub enum DatabaseError {
    /// The address is not of the form `postgres://user:password@host:port/database`.
    #[error("read the database address: expected postgres://user:password@host:port/database")]
    Address,
    /// It refused us, or did not answer in time.
    #[error("connect to the database: {0}")]
    Connect(#[source] Error),
    /// A migration failed.
    #[error("migrate the schema {schema}: {source}")]
    Migrate {
        /// The schema.
        schema: &'static str,
        /// Why.
        source: sqlx::migrate::MigrateError,
    },
}

/// A pool of at most `max_connections` connections whose `search_path` is `schema`, so that a room's SQL names its
/// tables unqualified. A database that is still starting is waited for, up to 30 seconds. A statement may take 60
/// seconds, waiting for a free connection 10. Giving up any future of the pool, at any moment, leaves no transaction
/// behind on a connection.
///
/// # Errors
/// When the address is malformed, the database refuses us, or it does not answer in time.
pub async fn pool(
    database_url: &str,
    schema: &'static str,
    max_connections: u32,
) -> Result<PgPool, DatabaseError> {
    let scheme = database_url.split_once("://").map(|(scheme, _)| scheme);
    if !matches!(scheme, Some("postgres" | "postgresql")) {
        return Err(DatabaseError::Address);
    }
    let options = PgConnectOptions::from_str(database_url)
        .map_err(|_| DatabaseError::Address)?
        .application_name(&format!("accord-{schema}"))
        .options([("search_path", schema), ("statement_timeout", "60000"), ("timezone", "UTC")]);
    let pool = PgPoolOptions::new()
        .max_connections(max_connections)
        .acquire_timeout(Duration::from_secs(10))
        .test_before_acquire(false)
        .before_acquire(|connection, _| Box::pin(async { Ok(is_clean(connection).await) }))
        .idle_timeout(Duration::from_secs(300))
        .max_lifetime(Duration::from_secs(3600));
    let deadline = Instant::now() + CONNECT_WITHIN;
    loop {
        match try_connect(&options).await {
            Ok(()) => return Ok(pool.connect_lazy_with(options)),
            Err(error) if !is_transient(&error) || Instant::now() > deadline => {
                return Err(DatabaseError::Connect(error));
            }
            Err(_) => sleep(Duration::from_millis(100)).await,
        }
    }
}

/// Whether the database answers, within two seconds: the readiness of whoever needs it.
pub async fn readiness(pool: &PgPool) -> Readiness {
    match timeout(ANSWER_WITHIN, sqlx::query("SELECT 1").execute(pool)).await {
        Ok(Ok(_)) => Readiness::Ready,
        _ => Readiness::NotReady("the database does not answer".to_owned()),
    }
}

/// Whether an idle connection answers and is in no transaction. One that is gets rolled back.
///
/// sqlx 0.9.0 counts a transaction when BEGIN was answered. A `begin` that is dropped before that leaves the server in
/// a transaction that nobody ends: whatever the next user of the connection writes would be seen by nobody else and
/// be lost with the connection. An empty statement tells in one round trip; it takes the place of the pool's ping.
async fn is_clean(connection: &mut PgConnection) -> bool {
    match connection.begin_with("").await {
        Ok(left_behind) => left_behind.rollback().await.is_ok(),
        Err(error) => matches!(error, Error::BeginFailed),
    }
}

/// Connects once, outside of the pool, which would hide the reason of a failure.
async fn try_connect(options: &PgConnectOptions) -> Result<(), Error> {
    let connect = async { PgConnection::connect_with(options).await?.close().await };
    timeout(Duration::from_secs(5), connect).await.unwrap_or_else(|elapsed| Err(Error::Io(elapsed.into())))
}

/// Whether the database may answer soon: it cannot be reached, is starting, or has no connection to spare. A proxy in
/// front of one that is down takes connections and cuts them, which sqlx calls an error of the protocol.
fn is_transient(error: &Error) -> bool {
    match error {
        Error::Io(_) | Error::Protocol(_) => true,
        Error::Database(error) => {
            error.code().is_some_and(|code| matches!(code.as_ref(), "57P01" | "57P02" | "57P03" | "53300"))
        }
        _ => false,
    }
}
