use std::{
    collections::HashMap,
    sync::atomic::{AtomicU64, Ordering},
    time::Duration,
};

use bus::{Bus, ConnectOptions, ConsumerConfig, Outcome, Pending, ack_all, subject};
use testkit::eventually;
use tokio::time::Instant;

use crate::{ORG, SOON, assert_silent, change, connect, number, outside, reader, record, take, within};

#[tokio::test]
async fn a_delivery_that_is_dropped_comes_back() {
    let nats = testkit::nats().await;
    let bus = connect(&nats).await;
    bus.publish(&change(1)).await.unwrap();
    let mut consumer = bus.consumer(reader(subject::CHANGES)).await.unwrap();
    let began = Instant::now();
    for attempt in 1..=3 {
        let got = take(&mut consumer, 1).await;
        assert_eq!(got[0].attempt, attempt);
    }
    assert!(
        began.elapsed() < Duration::from_secs(2),
        "it came back by the drop, not by the time to acknowledge"
    );
    ack_all(take(&mut consumer, 1).await).await.unwrap();
    assert_silent(&mut consumer).await;
}

#[tokio::test]
async fn a_failure_is_retried_after_the_backoff_of_its_attempt() {
    let nats = testkit::nats().await;
    let bus = connect(&nats).await;
    bus.publish(&change(1)).await.unwrap();
    let backoff = [100, 400].map(Duration::from_millis);
    let config = ConsumerConfig { backoff: backoff.to_vec(), max_wait_ms: 2_000, ..reader(subject::CHANGES) };
    let mut consumer = bus.consumer(config).await.unwrap();
    let mut failing = take(&mut consumer, 1).await.remove(0);
    for wait in backoff {
        let failed = Instant::now();
        assert_eq!(failing.fail("vendor_down").await.unwrap(), Outcome::Retried);
        failing = take(&mut consumer, 1).await.remove(0);
        assert!(failed.elapsed() >= wait, "came back after {:?}, not {wait:?}", failed.elapsed());
    }
    failing.ack().await.unwrap();
}

#[tokio::test]
async fn a_delivery_without_an_answer_comes_back_when_its_time_is_over_unless_the_work_goes_on() {
    let nats = testkit::nats().await;
    let bus = connect(&nats).await;
    bus.publish_batch(&[change(1), change(2)]).await.unwrap();
    let config = ConsumerConfig { ack_wait: Duration::from_millis(700), ..reader(subject::CHANGES) };
    let mut consumer = bus.consumer(config).await.unwrap();
    let mut first = take(&mut consumer, 2).await;
    let (slow, lost) = (first.remove(0), first.remove(0));
    std::mem::forget(lost); // What a crash leaves: no answer at all.
    let mut back = Vec::new();
    let waiting = async {
        while back.is_empty() {
            slow.in_progress().await.unwrap();
            back = consumer.next_batch().await.unwrap();
        }
    };
    tokio::time::timeout(SOON, waiting).await.expect("the lost delivery comes back");
    assert_eq!(back.iter().map(number).collect::<Vec<_>>(), [2]);
    ack_all(back).await.unwrap();
    slow.ack().await.unwrap();
    assert_silent(&mut consumer).await;
}

#[tokio::test]
async fn a_consumer_gathers_all_that_is_there() {
    let nats = testkit::nats().await;
    let bus = connect(&nats).await;
    bus.publish_batch(&(0..2_000).map(change).collect::<Vec<_>>()).await.unwrap();
    let mut consumer = bus.consumer(reader(subject::CHANGES)).await.unwrap();
    let mut largest = 0;
    let mut taken = 0;
    while taken < 2_000 {
        let batch = consumer.next_batch().await.unwrap();
        assert!(batch.len() <= 500);
        largest = largest.max(batch.len());
        taken += batch.len();
        // While the handler works, the next ones come.
        eventually(SOON, "it has pulled ahead", async || {
            let pending = bus.pending(subject::CHANGES, "reader").await.unwrap();
            (pending.waiting == 0 || pending.unanswered > batch.len() as u64).then_some(())
        })
        .await;
        ack_all(batch).await.unwrap();
    }
    assert!(largest > 128, "batches stay at {largest}: the gathering gives up early");
}

#[tokio::test]
async fn what_was_published_is_pending_at_once() {
    let nats = testkit::nats().await;
    let bus = connect(&nats).await;
    let mut all = bus.consumer(reader(subject::CHANGES)).await.unwrap();
    let hubspot = ConsumerConfig { durable: "hubspot".into(), ..reader(subject::CHANGES) };
    let mut some = bus.consumer(hubspot.filtered(["change.*.hubspot.*"])).await.unwrap();
    for number in 0..100 {
        bus.publish(&change(number)).await.unwrap();
        for (consumer, durable) in [(&mut all, "reader"), (&mut some, "hubspot")] {
            // It may be on its way already: the consumer asks ahead.
            let left = async || {
                let pending = bus.pending(subject::CHANGES, durable).await.unwrap();
                pending.waiting + pending.unanswered
            };
            assert_eq!(left().await, 1, "{durable}, after message {number}");
            ack_all(consumer.next_batch().await.unwrap()).await.unwrap();
            eventually(SOON, "it is acknowledged", async || (left().await == 0).then_some(())).await;
        }
    }
}

#[tokio::test]
async fn a_leaving_replica_hands_back_what_it_pulled_ahead() {
    let nats = testkit::nats().await;
    let bus = connect(&nats).await;
    let config =
        ConsumerConfig { max_batch: 300, ack_wait: Duration::from_secs(60), ..reader(subject::CHANGES) };
    let mut leaving = bus.consumer(config.clone()).await.unwrap();
    bus.publish_batch(&(0..900).map(change).collect::<Vec<_>>()).await.unwrap();
    let taken = leaving.next_batch().await.unwrap();
    let pulled = AtomicU64::new(0);
    eventually(SOON, "it has pulled ahead", async || {
        // The answer comes behind the messages on the same connection.
        let now = bus.pending(subject::CHANGES, "reader").await.unwrap().unanswered;
        let before = pulled.swap(now, Ordering::Relaxed);
        (now > taken.len() as u64 + 128 && now == before).then_some(())
    })
    .await;
    drop(taken);
    drop(leaving);
    let mut staying = bus.consumer(config).await.unwrap();
    let mut seen: HashMap<u64, u32> = HashMap::new();
    within("all are handed over", async {
        while seen.len() < 900 {
            let batch = staying.next_batch().await.unwrap();
            batch.iter().map(number).for_each(|number| *seen.entry(number).or_default() += 1);
            ack_all(batch).await.unwrap();
        }
    })
    .await;
    assert!(seen.values().all(|times| *times == 1));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_replica_that_is_gone_at_once_has_answered_and_takes_nothing_along() {
    let nats = testkit::nats().await;
    let bus = connect(&nats).await;
    let config = ConsumerConfig { ack_wait: Duration::from_secs(60), ..reader(subject::CHANGES) };
    for round in 0..50 {
        // It has its own connection, which goes with it.
        let own = Bus::connect(nats.url(), ConnectOptions::named("leaving")).await.unwrap();
        let mut leaving = own.consumer(config.clone()).await.unwrap();
        let others = [subject::EVENTS, subject::DEAD].map(|stream| own.consumer(reader(stream)));
        let others = futures::future::try_join_all(others).await.unwrap();
        drop(own);
        bus.publish(&change(round)).await.unwrap();
        let mut handled = false;
        while !handled {
            let batch = leaving.next_batch().await.unwrap();
            handled = batch.iter().any(|delivery| number(delivery) == round);
            ack_all(batch).await.unwrap();
        }
        // The next comes while it leaves: to nobody, or handed back.
        let next = change(round + 1);
        let (published, ()) = tokio::join!(bus.publish(&next), async { drop((leaving, others)) });
        published.unwrap();
    }
    let mut staying = bus.consumer(config).await.unwrap();
    let last = take(&mut staying, 1).await;
    assert_eq!(last.iter().map(number).collect::<Vec<_>>(), [50]);
    ack_all(last).await.unwrap();
    eventually(SOON, "every delivery is answered", async || {
        let pending = bus.pending(subject::CHANGES, "reader").await.unwrap();
        (pending == Pending { waiting: 0, unanswered: 0 }).then_some(())
    })
    .await;
}

#[tokio::test]
async fn replicas_share_the_messages() {
    let nats = testkit::nats().await;
    let bus = connect(&nats).await;
    let config = ConsumerConfig { max_batch: 20, ..reader(subject::CHANGES) };
    let mut replicas = [bus.consumer(config.clone()).await.unwrap(), bus.consumer(config).await.unwrap()];
    bus.publish_batch(&(0..900).map(change).collect::<Vec<_>>()).await.unwrap();
    let mut seen = HashMap::new();
    let mut shares = [0, 0];
    within("all are read", async {
        while seen.len() < 900 {
            for (replica, share) in replicas.iter_mut().zip(&mut shares) {
                let batch = replica.next_batch().await.unwrap();
                *share += batch.len();
                batch.iter().map(number).for_each(|number| *seen.entry(number).or_insert(0) += 1);
                ack_all(batch).await.unwrap();
            }
        }
    })
    .await;
    assert!(seen.values().all(|times| *times == 1));
    assert!(shares.iter().all(|share| *share > 100), "{shares:?}");
}

#[tokio::test]
async fn filters_choose_subjects() {
    let nats = testkit::nats().await;
    let bus = connect(&nats).await;
    let mapping = bus::Message::json(
        subject::mapping(&ORG, "changed"),
        "mapping.changed",
        "test",
        *ORG,
        crate::noon(),
        &9,
    );
    bus.publish_batch(&[record(1), mapping.unwrap(), record(2)]).await.unwrap();
    let mut records = bus.consumer(reader(subject::EVENTS).filtered([subject::ALL_RECORDS])).await.unwrap();
    assert_eq!(take(&mut records, 2).await.iter().map(number).collect::<Vec<_>>(), [1, 2]);
    let two = ConsumerConfig { durable: "two".into(), ..reader(subject::EVENTS) };
    let mut two = bus.consumer(two.filtered(["mapping.>", "token.>"])).await.unwrap();
    assert_eq!(take(&mut two, 1).await.iter().map(number).collect::<Vec<_>>(), [9]);
}

#[tokio::test]
async fn the_work_queue_forgets_what_is_acknowledged() {
    let nats = testkit::nats().await;
    let bus = connect(&nats).await;
    let subject = subject::write("hubspot", 3, &ORG, "deals");
    let write = bus::Message::json(subject, "write.requested", "test", *ORG, crate::noon(), &1).unwrap();
    bus.publish_batch(&[write.clone().with_id("a"), write.with_id("b")]).await.unwrap();
    let config = reader(subject::WRITES).filtered([subject::writes_of("hubspot", 3)]);
    let mut consumer = bus.consumer(config).await.unwrap();
    ack_all(take(&mut consumer, 2).await).await.unwrap();
    eventually(SOON, "the queue is empty", async || {
        let done =
            bus.pending(subject::WRITES, "reader").await.unwrap() == Pending { waiting: 0, unanswered: 0 };
        done.then_some(())
    })
    .await;
    let jetstream = async_nats::jetstream::new(outside(&nats).await);
    let queue = jetstream.get_stream(subject::WRITES).await.unwrap();
    assert_eq!(queue.cached_info().state.messages, 0);
}

#[tokio::test]
async fn a_consumer_of_no_stream_is_refused_and_an_idle_one_comes_back_empty() {
    let nats = testkit::nats().await;
    let bus = connect(&nats).await;
    let error = bus.consumer(reader("NOWHERE")).await.unwrap_err();
    assert_eq!(error.code(), "bus_refused");
    let mut idle = bus.consumer(reader(subject::CHANGES)).await.unwrap();
    assert_silent(&mut idle).await;
}
