use std::{
    collections::{HashMap, HashSet},
    sync::{
        Arc,
        atomic::{AtomicU64, Ordering},
    },
    time::Duration,
};

use bus::{
    Bus, ConsumerConfig, ErrorKind, Message, ack_all, inbox,
    outbox::{self, Relay, Waker},
    subject,
};
use sqlx::{
    PgPool,
    postgres::{PgConnectOptions, PgPoolOptions},
};
use testkit::{TestDatabase, eventually};
use tokio::task::JoinHandle;
use tokio_util::sync::CancellationToken;

use crate::{ORG, SOON, assert_silent, change, connect, noon, number, reader, record, room, rows, take};

struct Running {
    waker: Waker,
    shutdown: CancellationToken,
    task: JoinHandle<()>,
}

fn relay(pool: &PgPool, bus: &Bus) -> Running {
    let relay = Relay::new(pool.clone(), bus.clone(), "test");
    let (waker, shutdown) = (relay.waker(), CancellationToken::new());
    let task = tokio::spawn(relay.run(shutdown.clone()));
    Running { waker, shutdown, task }
}

impl Running {
    async fn end(self) {
        self.shutdown.cancel();
        self.task.await.unwrap();
    }
}

async fn commit(pool: &PgPool, messages: &[Message]) {
    let mut tx = pool.begin().await.unwrap();
    outbox::enqueue(&mut tx, messages).await.unwrap();
    tx.commit().await.unwrap();
}

async fn assert_emptied(pool: &PgPool) {
    eventually(SOON, "the outbox is empty", async || (rows(pool, "outbox").await == 0).then_some(())).await;
}

#[tokio::test]
async fn what_commits_is_published_in_order_and_what_rolls_back_is_not() {
    let (nats, database) = (testkit::nats().await, testkit::database().await);
    let (bus, pool) = (connect(&nats).await, room(&database, "room").await);
    let running = relay(&pool, &bus);
    let mut lost = pool.begin().await.unwrap();
    outbox::enqueue(&mut lost, &[record(1)]).await.unwrap();
    lost.rollback().await.unwrap();
    let sent: Vec<Message> = (10..3_510).map(record).collect();
    for part in sent.chunks(700) {
        commit(&pool, part).await;
        running.waker.wake();
    }
    let mut consumer = bus.consumer(reader(subject::EVENTS)).await.unwrap();
    let got = take(&mut consumer, sent.len()).await;
    assert_eq!(got.iter().map(|delivery| delivery.message.clone()).collect::<Vec<_>>(), sent);
    ack_all(got).await.unwrap();
    assert_silent(&mut consumer).await;
    assert_emptied(&pool).await;
    running.end().await;
}

#[tokio::test]
async fn one_transaction_may_speak_to_several_streams() {
    let (nats, database) = (testkit::nats().await, testkit::database().await);
    let (bus, pool) = (connect(&nats).await, room(&database, "room").await);
    let running = relay(&pool, &bus);
    let write = subject::write("hubspot", 0, &ORG, "deals");
    let write = Message::json(write, "write.requested", "test", *ORG, noon(), &1).unwrap().by("user:ann");
    commit(&pool, &[record(1), write.clone(), change(2), record(3)]).await;
    let mut events = bus.consumer(reader(subject::EVENTS)).await.unwrap();
    let mut writes = bus.consumer(reader(subject::WRITES)).await.unwrap();
    let mut changes = bus.consumer(reader(subject::CHANGES)).await.unwrap();
    assert_eq!(take(&mut events, 2).await.iter().map(number).collect::<Vec<_>>(), [1, 3]);
    assert_eq!(take(&mut writes, 1).await[0].message, write);
    assert_eq!(take(&mut changes, 1).await[0].message, change(2));
    running.end().await;
}

#[tokio::test]
async fn what_the_bus_cannot_carry_is_refused_before_it_is_stored() {
    let database = testkit::database().await;
    let pool = room(&database, "room").await;
    let mut connection = pool.acquire().await.unwrap();
    let mut nowhere = record(1);
    nowhere.subject = "nowhere.at.all".into();
    let refused = outbox::enqueue(&mut connection, &[record(2), nowhere]).await.unwrap_err();
    assert_eq!(refused.kind(), ErrorKind::Invalid);
    let refused = outbox::enqueue(&mut connection, &[record(2).with_id("two\r\nlines")]).await.unwrap_err();
    assert_eq!(refused.kind(), ErrorKind::Invalid);
    outbox::enqueue(&mut connection, &[]).await.unwrap();
    assert_eq!(rows(&pool, "outbox").await, 0);
}

#[tokio::test]
async fn a_crash_between_publishing_and_deleting_has_one_effect_at_the_consumer() {
    let (nats, database) = (testkit::nats().await, testkit::database().await);
    let (bus, pool) = (connect(&nats).await, room(&database, "room").await);
    let sent: Vec<Message> = (0..40).map(record).collect();
    // What such a crash leaves: all is published, nothing is deleted; and new rows have come.
    bus.publish_batch(&sent).await.unwrap();
    commit(&pool, &sent).await;
    commit(&pool, &[record(40)]).await;
    let running = relay(&pool, &bus);
    assert_emptied(&pool).await;
    let mut consumer = bus.consumer(reader(subject::EVENTS)).await.unwrap();
    let got = take(&mut consumer, 41).await;
    assert_eq!(got.iter().map(number).collect::<Vec<_>>(), (0..41).collect::<Vec<_>>());
    ack_all(got).await.unwrap();
    assert_silent(&mut consumer).await;
    running.end().await;
}

/// A pool in the room's schema that counts its connections. A relay takes one for each try to lead.
async fn counted(database: &TestDatabase) -> (PgPool, Arc<AtomicU64>) {
    let tries = Arc::new(AtomicU64::new(0));
    let counting = Arc::clone(&tries);
    let options: PgConnectOptions = database.url().parse().unwrap();
    let pool = PgPoolOptions::new()
        .after_connect(move |_, _| {
            counting.fetch_add(1, Ordering::SeqCst);
            Box::pin(async { Ok(()) })
        })
        .connect_lazy_with(options.options([("search_path", "room")]));
    (pool, tries)
}

/// How many sessions lead an outbox of this database.
async fn leaders(pool: &PgPool) -> i64 {
    let locks = "SELECT count(*) FROM pg_locks WHERE locktype = 'advisory' AND granted
         AND database = (SELECT oid FROM pg_database WHERE datname = current_database())";
    sqlx::query_scalar(locks).fetch_one(pool).await.unwrap()
}

#[tokio::test]
async fn of_two_relays_one_works_and_the_other_takes_over() {
    let (nats, database) = (testkit::nats().await, testkit::database().await);
    let (bus, pool) = (connect(&nats).await, room(&database, "room").await);
    let first = relay(&pool, &bus);
    eventually(SOON, "the first leads", async || (leaders(&pool).await == 1).then_some(())).await;
    let (own, tries) = counted(&database).await;
    let second = relay(&own, &bus);
    // A second try says that the first one ended without the lead.
    eventually(SOON, "the second stands by", async || (tries.load(Ordering::SeqCst) > 1).then_some(())).await;
    commit(&pool, &[record(1)]).await;
    assert_emptied(&pool).await;
    let readers: i64 = sqlx::query_scalar(
        "SELECT count(*) FROM pg_stat_activity
         WHERE datname = current_database() AND query LIKE '%FROM outbox%' AND pid <> pg_backend_pid()
           AND query NOT LIKE '%SELECT count(*) FROM outbox'",
    )
    .fetch_one(&pool)
    .await
    .unwrap();
    assert_eq!((readers, leaders(&pool).await), (1, 1));
    first.task.abort();
    commit(&pool, &[record(2)]).await;
    assert_emptied(&pool).await;
    second.end().await;
    eventually(SOON, "nobody leads", async || (leaders(&pool).await == 0).then_some(())).await;
    commit(&pool, &[record(3)]).await;
    assert_eq!(rows(&pool, "outbox").await, 1, "nobody is left to publish it");
    let third = relay(&pool, &bus);
    assert_emptied(&pool).await;
    third.end().await;
}

#[tokio::test]
async fn the_inbox_tells_fresh_messages_from_repeats_per_consumer_and_transaction() {
    let database = testkit::database().await;
    let pool = room(&database, "room").await;
    let ids = |names: &[&str]| names.iter().map(|name| (*name).to_owned()).collect::<Vec<_>>();
    let set = |names: &[&str]| names.iter().map(|name| (*name).to_owned()).collect::<HashSet<_>>();
    let mut tx = pool.begin().await.unwrap();
    assert_eq!(inbox::fresh(&mut tx, "one", &ids(&["a", "b", "a"])).await.unwrap(), set(&["a", "b"]));
    tx.rollback().await.unwrap();
    let mut tx = pool.begin().await.unwrap();
    assert_eq!(inbox::fresh(&mut tx, "one", &ids(&["a", "b"])).await.unwrap(), set(&["a", "b"]));
    inbox::forget(&mut tx, "one", &ids(&["b"])).await.unwrap();
    tx.commit().await.unwrap();
    let mut tx = pool.begin().await.unwrap();
    assert_eq!(inbox::fresh(&mut tx, "one", &ids(&["a", "b", "c"])).await.unwrap(), set(&["b", "c"]));
    assert_eq!(inbox::fresh(&mut tx, "two", &ids(&["a"])).await.unwrap(), set(&["a"]));
    assert_eq!(inbox::fresh(&mut tx, "two", &[]).await.unwrap(), set(&[]));
    tx.commit().await.unwrap();
    assert_eq!(inbox::prune(&pool, jiff::Timestamp::UNIX_EPOCH).await.unwrap(), 0);
    assert_eq!(inbox::prune(&pool, "2200-01-01T00:00:00Z".parse().unwrap()).await.unwrap(), 4);
}

#[tokio::test]
async fn two_replicas_with_the_same_messages_in_other_orders_do_not_block_each_other() {
    let database = testkit::database().await;
    let pool = room(&database, "room").await;
    let ids: Vec<String> = (0..200).map(|number| number.to_string()).collect();
    let handle = async |ids: Vec<String>| {
        let mut tx = pool.begin().await.unwrap();
        let fresh = inbox::fresh(&mut tx, "one", &ids).await.unwrap();
        tx.commit().await.unwrap();
        fresh.len()
    };
    let reversed = ids.iter().rev().cloned().collect();
    let (one, other) = tokio::join!(handle(ids), handle(reversed));
    assert_eq!(one + other, 200);
}

/// A consumer that adds each message's number to a table, and loses deliveries all the time.
#[tokio::test]
async fn of_2000_messages_with_random_drops_each_has_one_effect() {
    let (nats, database) = (testkit::nats().await, testkit::database().await);
    let (bus, pool) = (connect(&nats).await, room(&database, "room").await);
    sqlx::raw_sql("CREATE TABLE effect (number bigint)").execute(&pool).await.unwrap();
    let running = relay(&pool, &bus);
    let sending = async {
        for part in (0..2_000).map(record).collect::<Vec<_>>().chunks(90) {
            commit(&pool, part).await;
            running.waker.wake();
        }
    };
    let handling = async {
        let config = ConsumerConfig { max_deliver: 1_000, ..reader(subject::EVENTS) };
        let mut consumer = bus.consumer(config).await.unwrap();
        let mut chance = 7_u64;
        while rows(&pool, "effect").await < 2_000 {
            let batch = consumer.next_batch().await.unwrap();
            chance = chance.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
            match (chance >> 33) % 5 {
                0 => drop(batch), // Dropped before it was handled.
                1 => {
                    handle(&pool, &batch).await; // Handled, and the acknowledgement is lost.
                    drop(batch);
                }
                2 => {
                    // Rolled back, and half of it is lost.
                    let mut tx = pool.begin().await.unwrap();
                    apply(&mut tx, &batch).await;
                    tx.rollback().await.unwrap();
                }
                _ => {
                    handle(&pool, &batch).await;
                    ack_all(batch).await.unwrap();
                }
            }
        }
    };
    tokio::time::timeout(Duration::from_secs(60), async { tokio::join!(sending, handling) }).await.unwrap();
    let numbers: Vec<i64> = sqlx::query_scalar("SELECT number FROM effect").fetch_all(&pool).await.unwrap();
    let mut times: HashMap<i64, u32> = HashMap::new();
    for number in numbers {
        *times.entry(number).or_default() += 1;
    }
    assert_eq!(times.len(), 2_000);
    assert!(times.values().all(|times| *times == 1));
    running.end().await;
}

async fn handle(pool: &PgPool, batch: &[bus::Delivery]) {
    let mut tx = pool.begin().await.unwrap();
    apply(&mut tx, batch).await;
    tx.commit().await.unwrap();
}

async fn apply(tx: &mut sqlx::PgConnection, batch: &[bus::Delivery]) {
    let ids: Vec<String> = batch.iter().map(|delivery| delivery.message.envelope.id.clone()).collect();
    let fresh = inbox::fresh(tx, "reader", &ids).await.unwrap();
    let numbers: Vec<i64> = batch
        .iter()
        .filter(|delivery| fresh.contains(&delivery.message.envelope.id))
        .map(|delivery| delivery.message.decode().unwrap())
        .collect();
    sqlx::query("INSERT INTO effect SELECT UNNEST($1::bigint[])").bind(numbers).execute(tx).await.unwrap();
}
