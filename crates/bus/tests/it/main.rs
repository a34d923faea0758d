//! The conformance suite of the bus, on a real NATS server and a real Postgres.
#![expect(clippy::unwrap_used, reason = "a story ends at the first surprise")]

mod consuming;
mod dead_letters;
mod faults;
mod outbox;
mod publishing;
mod tracing_context;

use std::{sync::LazyLock, time::Duration};

use bus::{Bus, ConnectOptions, Consumer, ConsumerConfig, Delivery, Message, subject};
use jiff::Timestamp;
use model::OrganizationId;
use sqlx::{AssertSqlSafe, PgPool};
use testkit::{TestDatabase, TestNats};

const SOON: Duration = Duration::from_secs(20);

static ORG: LazyLock<OrganizationId> =
    LazyLock::new(|| OrganizationId::generate("2026-01-02T03:04:05Z".parse().unwrap()));

fn noon() -> Timestamp {
    "2026-11-20T12:00:00Z".parse().unwrap()
}

async fn connect(nats: &TestNats) -> Bus {
    let bus = Bus::connect(nats.url(), ConnectOptions::named("test")).await.unwrap();
    bus.ensure_streams().await.unwrap();
    bus
}

/// A change event with `number` as its body and `change-{number}` as its id.
fn change(number: u64) -> Message {
    let subject = subject::change(&ORG, "hubspot", "companies");
    Message::json(subject, "change.captured", "test", *ORG, noon(), &number)
        .unwrap()
        .with_id(format!("change-{number}"))
}

/// A public event with `number` as its body and `record-{number}` as its id.
fn record(number: u64) -> Message {
    let subject = subject::record(&ORG, "company");
    Message::json(subject, "record.changed", "test", *ORG, noon(), &number)
        .unwrap()
        .with_id(format!("record-{number}"))
}

/// Reads `stream` with short waits, so that a story does not take long.
fn reader(stream: &str) -> ConsumerConfig {
    ConsumerConfig {
        max_wait_ms: 300,
        backoff: vec![Duration::from_millis(20)],
        ack_wait: Duration::from_secs(2),
        ..ConsumerConfig::new(stream, "reader")
    }
}

fn number(delivery: &Delivery) -> u64 {
    delivery.message.decode().unwrap()
}

/// Reads until there are `count` deliveries.
async fn take(consumer: &mut Consumer, count: usize) -> Vec<Delivery> {
    let mut taken = Vec::new();
    within("the deliveries come", async {
        while taken.len() < count {
            taken.extend(consumer.next_batch().await.unwrap());
        }
    })
    .await;
    taken
}

async fn within<T>(what: &str, work: impl Future<Output = T>) -> T {
    tokio::time::timeout(SOON, work).await.unwrap_or_else(|_| panic!("{what}: not within {SOON:?}"))
}

/// Asserts that nothing comes for longer than the short backoff of [`reader`].
async fn assert_silent(consumer: &mut Consumer) {
    let batch = consumer.next_batch().await.unwrap();
    assert!(batch.is_empty(), "nothing should come, but {batch:?} did");
}

async fn room(database: &TestDatabase, schema: &'static str) -> PgPool {
    let pool = database.pool(schema).await;
    let sql = format!("CREATE SCHEMA {schema}; SET search_path = {schema}; {}", bus::outbox::MIGRATION);
    sqlx::raw_sql(AssertSqlSafe(sql)).execute(&pool).await.unwrap();
    pool
}

async fn rows(pool: &PgPool, table: &'static str) -> i64 {
    sqlx::query_scalar(AssertSqlSafe(format!("SELECT count(*) FROM {table}"))).fetch_one(pool).await.unwrap()
}

/// A NATS client that knows nothing of the SDK.
async fn outside(nats: &TestNats) -> async_nats::Client {
    let server: async_nats::ServerAddr = nats.url().parse().unwrap();
    let (user, password) = (server.username().unwrap().to_owned(), server.password().unwrap().to_owned());
    async_nats::ConnectOptions::with_user_and_password(user, password).connect(server).await.unwrap()
}

/// Waits until the server has read all that this client sent: it reads in order, and answers that nobody listens.
async fn settled(client: &async_nats::Client) {
    let answer = client.request("nobody.listens.here", "".into()).await;
    assert_eq!(answer.unwrap_err().kind(), async_nats::client::RequestErrorKind::NoResponders);
}
