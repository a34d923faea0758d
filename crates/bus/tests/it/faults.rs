use std::{
    collections::HashSet,
    sync::atomic::{AtomicUsize, Ordering},
    time::Duration,
};

use bus::{
    Bus, ConnectOptions, ErrorKind, Message, ack_all,
    outbox::{self, Relay},
    subject,
};
use sqlx::PgPool;
use testkit::eventually;
use tokio_util::sync::CancellationToken;

use crate::{SOON, change, connect, number, reader, record, room, rows, take};

/// The database's time, in seconds.
async fn now(pool: &PgPool) -> f64 {
    sqlx::query_scalar("SELECT extract(epoch FROM clock_timestamp())::float8").fetch_one(pool).await.unwrap()
}

/// Waits until a relay has read the outbox since then.
async fn wait_for_reading(pool: &PgPool, since: f64) {
    let read = "SELECT EXISTS (SELECT FROM pg_stat_activity WHERE datname = current_database()
         AND query LIKE '%FROM outbox WHERE seq%' AND pid <> pg_backend_pid()
         AND query_start > to_timestamp($1))";
    eventually(SOON, "the relay has read the outbox", async || {
        sqlx::query_scalar::<_, bool>(read).bind(since).fetch_one(pool).await.unwrap().then_some(())
    })
    .await;
}

#[tokio::test]
async fn publishing_and_consuming_survive_restarts_of_the_server() {
    let nats = testkit::nats().await;
    let bus = connect(&nats).await;
    let mut consumer = bus.consumer(reader(subject::CHANGES)).await.unwrap();
    let sending = async {
        for part in (0..3_000).map(change).collect::<Vec<_>>().chunks(100) {
            bus.publish_batch(part).await.unwrap();
        }
    };
    let read = AtomicUsize::new(0);
    let restarting = async {
        for count in [200, 1_000, 2_000] {
            eventually(SOON, "the flow goes on", async || {
                (read.load(Ordering::Relaxed) >= count).then_some(())
            })
            .await;
            nats.restart().await;
        }
    };
    let reading = async {
        let mut seen = HashSet::new();
        while seen.len() < 3_000 {
            let batch = consumer.next_batch().await.unwrap();
            seen.extend(batch.iter().map(number));
            read.store(seen.len(), Ordering::Relaxed);
            ack_all(batch).await.unwrap();
        }
    };
    let all = async { tokio::join!(sending, restarting, reading) };
    tokio::time::timeout(Duration::from_secs(60), all).await.expect("all 3,000 arrive");
}

#[tokio::test]
async fn the_outbox_keeps_what_the_server_cannot_take_and_delivers_it_when_it_is_back() {
    let (nats, database) = (testkit::nats().await, testkit::database().await);
    let (bus, pool) = (connect(&nats).await, room(&database, "room").await);
    let shutdown = CancellationToken::new();
    let relay = tokio::spawn(Relay::new(pool.clone(), bus.clone(), "test").run(shutdown.clone()));
    nats.kill().await;
    let since = now(&pool).await;
    let mut tx = pool.begin().await.unwrap();
    outbox::enqueue(&mut tx, &(0..1_500).map(record).collect::<Vec<_>>()).await.unwrap();
    tx.commit().await.unwrap();
    wait_for_reading(&pool, since).await;
    assert_eq!(rows(&pool, "outbox").await, 1_500);
    nats.start().await;
    let mut consumer = bus.consumer(reader(subject::EVENTS)).await.unwrap();
    let got: HashSet<u64> = take(&mut consumer, 1_500).await.iter().map(number).collect();
    assert_eq!(got.len(), 1_500);
    eventually(SOON, "the outbox is empty", async || (rows(&pool, "outbox").await == 0).then_some(())).await;
    shutdown.cancel();
    relay.await.unwrap();
}

#[tokio::test]
async fn a_relay_ends_soon_even_when_the_server_is_gone() {
    let (nats, database) = (testkit::nats().await, testkit::database().await);
    let (bus, pool) = (connect(&nats).await, room(&database, "room").await);
    let shutdown = CancellationToken::new();
    let mut tx = pool.begin().await.unwrap();
    outbox::enqueue(&mut tx, &[record(1)]).await.unwrap();
    tx.commit().await.unwrap();
    nats.kill().await;
    let since = now(&pool).await;
    let relay = tokio::spawn(Relay::new(pool.clone(), bus.clone(), "test").run(shutdown.clone()));
    wait_for_reading(&pool, since).await;
    shutdown.cancel();
    tokio::time::timeout(Duration::from_secs(8), relay).await.expect("it ends").unwrap();
    assert_eq!(rows(&pool, "outbox").await, 1);
}

#[tokio::test]
async fn a_publish_that_nobody_answers_says_so_and_can_be_repeated() {
    let nats = testkit::nats().await;
    let options =
        ConnectOptions { publish_within: Duration::from_millis(400), ..ConnectOptions::named("test") };
    let bus = Bus::connect(nats.url(), options).await.unwrap();
    bus.ensure_streams().await.unwrap();
    nats.kill().await;
    let batch: Vec<Message> = (0..10).map(change).collect();
    let error = bus.publish_batch(&batch).await.unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Unreachable);
    assert!(error.is_transient());
    let connections = *bus.connections().borrow();
    nats.start().await;
    eventually(SOON, "publishing works again", async || bus.publish_batch(&batch).await.ok()).await;
    assert!(*bus.connections().borrow() > connections, "the reconnection was counted");
    let mut consumer = bus.consumer(reader(subject::CHANGES)).await.unwrap();
    assert_eq!(take(&mut consumer, 10).await.len(), 10);
}

#[tokio::test]
async fn a_consumer_that_is_deleted_under_us_is_made_again() {
    let nats = testkit::nats().await;
    let bus = connect(&nats).await;
    let mut consumer = bus.consumer(reader(subject::CHANGES)).await.unwrap();
    assert!(consumer.next_batch().await.unwrap().is_empty());
    let jetstream = async_nats::jetstream::new(crate::outside(&nats).await);
    let stream = jetstream.get_stream(subject::CHANGES).await.unwrap();
    stream.delete_consumer("reader").await.unwrap();
    bus.publish(&change(1)).await.unwrap();
    assert_eq!(take(&mut consumer, 1).await.len(), 1);
}
