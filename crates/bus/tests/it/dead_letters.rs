use std::time::Duration;

use bus::{
    Bus, ConsumerConfig, Message, Outcome, ack_all,
    dead::{self, Counts, Filter, Selection},
    subject,
};
use jiff::Timestamp;
use model::OrganizationId;
use testkit::eventually;
use tokio_util::sync::CancellationToken;

use crate::{
    ORG, SOON, assert_silent, change, connect, noon, number, outside, reader, settled, take, within,
};

async fn bury(bus: &Bus, numbers: std::ops::Range<u64>) {
    bus.publish_batch(&numbers.clone().map(change).collect::<Vec<_>>()).await.unwrap();
    let mut consumer = bus.consumer(reader(subject::CHANGES)).await.unwrap();
    for delivery in take(&mut consumer, numbers.count()).await {
        delivery.dead_letter("mapping_missing", "no mapping for companies").await.unwrap();
    }
}

#[tokio::test]
async fn a_dead_letter_keeps_the_message_its_reason_and_its_place() {
    let nats = testkit::nats().await;
    let bus = connect(&nats).await;
    bury(&bus, 1..2).await;
    let letters = dead::list(&bus, &Filter::default(), 10).await.unwrap();
    let letter = &letters[0];
    assert_eq!(letters.len(), 1);
    assert_eq!((letter.stream.as_str(), letter.consumer.as_str()), (subject::CHANGES, "reader"));
    assert_eq!(letter.subject, change(1).subject);
    assert_eq!(
        (letter.reason.as_str(), letter.detail.as_str()),
        ("mapping_missing", "no mapping for companies")
    );
    assert_eq!((letter.attempts, letter.message_id.as_deref()), (1, Some("change-1")));
    assert_eq!((letter.organization, letter.kind.as_deref()), (Some(*ORG), Some("change.captured")));
    assert_eq!(&letter.body[..], b"1");
    assert!(letter.at > noon() - Duration::from_secs(400 * 24 * 3600), "{}", letter.at);
    let mut consumer = bus.consumer(reader(subject::CHANGES)).await.unwrap();
    assert_silent(&mut consumer).await;
}

#[tokio::test]
async fn the_last_attempt_that_fails_is_a_dead_letter() {
    let nats = testkit::nats().await;
    let bus = connect(&nats).await;
    bus.publish(&change(1)).await.unwrap();
    let mut consumer =
        bus.consumer(ConsumerConfig { max_deliver: 3, ..reader(subject::CHANGES) }).await.unwrap();
    for _ in 0..2 {
        let failing = take(&mut consumer, 1).await.remove(0);
        assert_eq!(failing.fail("vendor_down").await.unwrap(), Outcome::Retried);
    }
    let failing = take(&mut consumer, 1).await.remove(0);
    assert_eq!(failing.fail("vendor_down").await.unwrap(), Outcome::DeadLettered);
    let letters = dead::list(&bus, &Filter::default(), 10).await.unwrap();
    assert_eq!((letters[0].reason.as_str(), letters[0].attempts), ("vendor_down", 3));
    assert_silent(&mut consumer).await;
}

#[tokio::test]
async fn what_has_no_readable_envelope_is_a_dead_letter_and_its_neighbours_go_on() {
    let nats = testkit::nats().await;
    let bus = connect(&nats).await;
    let client = outside(&nats).await;
    bus.publish(&change(1)).await.unwrap();
    client.publish(change(0).subject, "no envelope at all".into()).await.unwrap();
    let mut headers = async_nats::HeaderMap::new();
    for (name, text) in [("ce-id", "x"), ("ce-source", "s"), ("ce-type", "t"), ("ce-time", "yesterday")] {
        headers.insert(name, text);
    }
    headers.insert("ce-organization", ORG.to_string().as_str());
    client.publish_with_headers(change(0).subject, headers, "{}".into()).await.unwrap();
    settled(&client).await;
    let jetstream = async_nats::jetstream::new(client);
    eventually(SOON, "both are stored", async || {
        let stream = jetstream.get_stream(subject::CHANGES).await.unwrap();
        (stream.cached_info().state.messages == 3).then_some(())
    })
    .await;
    bus.publish(&change(2)).await.unwrap();
    let mut consumer = bus.consumer(reader(subject::CHANGES)).await.unwrap();
    let got = take(&mut consumer, 2).await;
    assert_eq!(got.iter().map(number).collect::<Vec<_>>(), [1, 2]);
    ack_all(got).await.unwrap();
    let letters = dead::list(&bus, &Filter::default(), 10).await.unwrap();
    assert!(letters.iter().all(|letter| letter.reason == "envelope_invalid"));
    assert!(letters[1].detail.contains("ce-time is missing"), "{}", letters[1].detail);
    assert!(letters[0].detail.contains("ce-time is no RFC 3339 moment"), "{}", letters[0].detail);
    assert_eq!(&letters[1].body[..], b"no envelope at all");
    assert_silent(&mut consumer).await;
}

#[tokio::test]
async fn letters_about_what_nobody_can_read_do_not_multiply() {
    let nats = testkit::nats().await;
    let bus = connect(&nats).await;
    let client = outside(&nats).await;
    client.publish(change(0).subject, "no envelope at all".into()).await.unwrap();
    settled(&client).await;
    let mut consumer = bus.consumer(reader(subject::CHANGES)).await.unwrap();
    within("it is a dead letter", async {
        while dead::list(&bus, &Filter::default(), 10).await.unwrap().is_empty() {
            consumer.next_batch().await.unwrap();
        }
    })
    .await;
    drop(consumer);

    // Whoever reads the dead letters cannot read this one either, and buries it no second time.
    let mut of_dead = bus.consumer(reader(subject::DEAD)).await.unwrap();
    assert_silent(&mut of_dead).await;
    eventually(SOON, "it is acknowledged", async || {
        let pending = bus.pending(subject::DEAD, "reader").await.unwrap();
        (pending.waiting + pending.unanswered == 0).then_some(())
    })
    .await;
    assert_eq!(dead::list(&bus, &Filter::default(), 10).await.unwrap().len(), 1);

    // A letter about a letter goes nowhere: its original is in DEAD still, and can be replayed itself.
    bury(&bus, 1..2).await;
    let delivery = take(&mut of_dead, 1).await.remove(0);
    delivery.dead_letter("audit_undecodable", "").await.unwrap();
    let about = Filter { stream: Some(subject::DEAD.to_owned()), ..Filter::default() };
    for (filter, done, refused) in [(&about, 0, 1), (&Filter::default(), 1, 2)] {
        let counts = dead::replay(&bus, filter, &Selection::All).await.unwrap();
        assert_eq!(counts, Counts { done, missing: 0, refused });
    }
    assert_eq!(dead::list(&bus, &Filter::default(), 10).await.unwrap().len(), 2, "what was refused stays");
    let mut consumer = bus.consumer(reader(subject::CHANGES)).await.unwrap();
    ack_all(take(&mut consumer, 1).await).await.unwrap();
    assert_silent(&mut consumer).await;
}

#[tokio::test]
async fn one_many_or_all_are_replayed_and_keep_their_ids() {
    let nats = testkit::nats().await;
    let bus = connect(&nats).await;
    bury(&bus, 0..6).await;
    let letters = dead::list(&bus, &Filter::default(), 10).await.unwrap();
    let id_of = |number: u64| {
        let wanted = format!("change-{number}");
        letters.iter().find(|letter| letter.message_id.as_deref() == Some(&wanted)).unwrap().id
    };
    let all = Filter::default();
    let mut consumer = bus.consumer(reader(subject::CHANGES)).await.unwrap();

    let one = dead::replay(&bus, &all, &Selection::Ids(vec![id_of(2)])).await.unwrap();
    assert_eq!(one, Counts { done: 1, ..Counts::default() });
    let back = take(&mut consumer, 1).await.remove(0);
    assert_eq!(back.message, change(2));
    assert_eq!((back.attempt, back.replayed), (1, true));
    back.ack().await.unwrap();

    let many =
        dead::replay(&bus, &all, &Selection::Ids(vec![id_of(2), id_of(0), id_of(5), 999])).await.unwrap();
    assert_eq!(many, Counts { done: 2, missing: 2, refused: 0 });
    ack_all(take(&mut consumer, 2).await).await.unwrap();

    let rest = dead::replay(&bus, &all, &Selection::All).await.unwrap();
    assert_eq!(rest, Counts { done: 3, ..Counts::default() });
    let back = take(&mut consumer, 3).await;
    assert_eq!(back.iter().map(number).collect::<Vec<_>>(), [1, 3, 4]);
    ack_all(back).await.unwrap();
    assert!(dead::list(&bus, &all, 10).await.unwrap().is_empty());
    assert_silent(&mut consumer).await;
}

#[tokio::test]
async fn a_replayed_message_that_fails_again_is_a_dead_letter_again() {
    let nats = testkit::nats().await;
    let bus = connect(&nats).await;
    bury(&bus, 1..2).await;
    for _ in 0..2 {
        assert_eq!(dead::replay(&bus, &Filter::default(), &Selection::All).await.unwrap().done, 1);
        let mut consumer = bus.consumer(reader(subject::CHANGES)).await.unwrap();
        let again = take(&mut consumer, 1).await.remove(0);
        again.dead_letter("still_missing", "").await.unwrap();
        let letters = dead::list(&bus, &Filter::default(), 10).await.unwrap();
        assert_eq!((letters.len(), letters[0].reason.as_str()), (1, "still_missing"));
    }
}

#[tokio::test]
async fn another_organization_neither_sees_nor_touches_them() {
    let nats = testkit::nats().await;
    let bus = connect(&nats).await;
    bury(&bus, 0..2).await;
    let id = dead::list(&bus, &Filter::default(), 1).await.unwrap()[0].id;
    let other = OrganizationId::generate(Timestamp::UNIX_EPOCH);
    let foreign = Filter { organization: Some(other), ..Filter::default() };
    assert!(dead::list(&bus, &foreign, 10).await.unwrap().is_empty());
    let missing = Counts { missing: 1, ..Counts::default() };
    assert_eq!(dead::replay(&bus, &foreign, &Selection::Ids(vec![id])).await.unwrap(), missing);
    assert_eq!(dead::discard(&bus, &foreign, &Selection::Ids(vec![id])).await.unwrap(), missing);
    assert_eq!(dead::discard(&bus, &foreign, &Selection::All).await.unwrap(), Counts::default());
    let own = Filter { organization: Some(*ORG), consumer: Some("reader".into()), ..Filter::default() };
    assert_eq!(
        dead::discard(&bus, &own, &Selection::Ids(vec![id])).await.unwrap(),
        Counts { done: 1, ..Counts::default() }
    );
    assert_eq!(
        dead::discard(&bus, &own, &Selection::All).await.unwrap(),
        Counts { done: 1, ..Counts::default() }
    );
    assert!(dead::list(&bus, &Filter::default(), 10).await.unwrap().is_empty());
}

#[tokio::test]
async fn the_newest_come_first_and_no_more_than_asked() {
    let nats = testkit::nats().await;
    let bus = connect(&nats).await;
    bury(&bus, 0..30).await;
    let letters = dead::list(&bus, &Filter::default(), 7).await.unwrap();
    let ids: Vec<u64> = letters.iter().map(|letter| letter.id).collect();
    assert_eq!(ids, (24..=30).rev().collect::<Vec<_>>());
}

#[tokio::test]
async fn a_message_whose_handler_crashes_each_time_is_kept_by_the_watch() {
    let nats = testkit::nats().await;
    let bus = connect(&nats).await;
    let subject = subject::write("hubspot", 1, &ORG, "deals");
    let write =
        Message::json(subject, "write.requested", "test", *ORG, noon(), &1).unwrap().with_id("poison");
    bus.publish(&write).await.unwrap();
    let config =
        ConsumerConfig { max_deliver: 2, ack_wait: Duration::from_millis(200), ..reader(subject::WRITES) };
    let mut consumer = bus.consumer(config).await.unwrap();
    for _ in 0..2 {
        let delivery = take(&mut consumer, 1).await.remove(0);
        std::mem::forget(delivery); // The process died: no answer at all.
    }
    assert_silent(&mut consumer).await;
    let shutdown = CancellationToken::new();
    let watch = tokio::spawn({
        let (bus, shutdown) = (bus.clone(), shutdown.clone());
        async move { bus.run_dead_letter_watch(shutdown).await }
    });
    let letter = within("the watch keeps it", async {
        loop {
            // The server looks for exhausted messages when somebody pulls.
            assert_silent(&mut consumer).await;
            if let Some(letter) = dead::list(&bus, &Filter::default(), 10).await.unwrap().pop() {
                break letter;
            }
        }
    })
    .await;
    assert_eq!((letter.reason.as_str(), letter.message_id.as_deref()), ("max_deliveries", Some("poison")));
    assert_eq!((letter.attempts, letter.organization), (2, Some(*ORG)));
    let jetstream = async_nats::jetstream::new(outside(&nats).await);
    eventually(SOON, "the work queue is rid of it", async || {
        let queue = jetstream.get_stream(subject::WRITES).await.unwrap();
        (queue.cached_info().state.messages == 0).then_some(())
    })
    .await;
    assert_eq!(dead::replay(&bus, &Filter::default(), &Selection::All).await.unwrap().done, 1);
    let back = take(&mut consumer, 1).await.remove(0);
    assert_eq!(back.message, write);
    back.ack().await.unwrap();
    shutdown.cancel();
    watch.await.unwrap().unwrap();
}

#[tokio::test]
async fn a_dead_letter_that_cannot_be_stored_stops_the_consumer_and_loses_nothing() {
    let nats = testkit::nats().await;
    let bus = connect(&nats).await;
    let client = outside(&nats).await;
    client.publish(change(0).subject, "no envelope".into()).await.unwrap();
    settled(&client).await;
    let jetstream = async_nats::jetstream::new(client);
    let mut narrow = jetstream.get_stream(subject::DEAD).await.unwrap().cached_info().config.clone();
    narrow.max_message_size = 10;
    jetstream.update_stream(&narrow).await.unwrap();
    let mut consumer = bus.consumer(reader(subject::CHANGES)).await.unwrap();
    let stopping = async {
        loop {
            if let Err(error) = consumer.next_batch().await {
                break error;
            }
        }
    };
    let error = within("the consumer stops", stopping).await;
    assert_eq!(error.code(), "bus_refused");
    bus.ensure_streams().await.unwrap();
    within("the message becomes a dead letter", async {
        while dead::list(&bus, &Filter::default(), 10).await.unwrap().is_empty() {
            consumer.next_batch().await.unwrap();
        }
    })
    .await;
}
