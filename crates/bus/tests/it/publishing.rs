use std::time::Duration;

use bus::{Bus, ConnectOptions, ErrorKind, MAX_BODY_BYTES, Message, ack_all, subject};
use futures::StreamExt;
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::TcpListener,
};

use crate::{ORG, SOON, assert_silent, change, connect, number, outside, reader, record, settled, take};

#[tokio::test]
async fn a_published_message_arrives_as_it_was_sent() {
    let nats = testkit::nats().await;
    let bus = connect(&nats).await;
    let mut sent = change(7).caused_by("earlier").by("user:ann");
    sent.envelope.traceparent = Some("00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01".into());
    bus.publish(&sent).await.unwrap();
    let mut consumer = bus.consumer(reader(subject::CHANGES)).await.unwrap();
    let got = take(&mut consumer, 1).await;
    assert_eq!(got[0].message, sent);
    assert_eq!((got[0].attempt, got[0].stream_sequence, got[0].replayed), (1, 1, false));
}

#[tokio::test]
async fn a_reader_in_any_language_finds_cloudevents_headers_and_json() {
    let nats = testkit::nats().await;
    let bus = connect(&nats).await;
    let client = outside(&nats).await;
    let mut subscriber = client.subscribe("record.>").await.unwrap();
    settled(&client).await;
    bus.publish(&record(1).by("user:ann")).await.unwrap();
    let seen = tokio::time::timeout(SOON, subscriber.next()).await.unwrap().unwrap();
    let headers = seen.headers.unwrap();
    let text = |name: &str| headers.get(name).map(|value| value.as_str().to_owned());
    assert_eq!(text("ce-specversion").as_deref(), Some("1.0"));
    assert_eq!(text("ce-id").as_deref(), Some("record-1"));
    assert_eq!(text("Nats-Msg-Id").as_deref(), Some("record-1"));
    assert_eq!(text("ce-type").as_deref(), Some("record.changed"));
    assert_eq!(text("ce-time").as_deref(), Some("2026-11-20T12:00:00Z"));
    assert_eq!(text("ce-organization"), Some(ORG.to_string()));
    assert_eq!(text("ce-actor").as_deref(), Some("user:ann"));
    assert_eq!(&seen.payload[..], b"1");
}

#[tokio::test]
async fn the_same_id_published_twice_is_stored_once() {
    let nats = testkit::nats().await;
    let bus = connect(&nats).await;
    bus.publish(&change(1)).await.unwrap();
    bus.publish(&change(1)).await.unwrap();
    let mut consumer = bus.consumer(reader(subject::CHANGES)).await.unwrap();
    ack_all(take(&mut consumer, 1).await).await.unwrap();
    assert_silent(&mut consumer).await;
}

#[tokio::test]
async fn a_batch_is_stored_in_order_and_whole() {
    let nats = testkit::nats().await;
    let bus = connect(&nats).await;
    let batch: Vec<Message> = (0..2_500).map(change).collect();
    bus.publish_batch(&batch).await.unwrap();
    let mut consumer = bus.consumer(reader(subject::CHANGES)).await.unwrap();
    let got: Vec<u64> = take(&mut consumer, 2_500).await.iter().map(number).collect();
    assert_eq!(got, (0..2_500).collect::<Vec<_>>());
    let jetstream = async_nats::jetstream::new(outside(&nats).await);
    let stream = jetstream.get_stream(subject::CHANGES).await.unwrap();
    let mut batches = Vec::new();
    for sequence in [1, 1_000, 1_001, 2_500] {
        let headers = stream.get_raw_message(sequence).await.unwrap().headers;
        batches.push(headers.get("Nats-Batch-Id").expect("stored by an atomic batch").to_string());
    }
    assert_eq!(batches[0], batches[1], "a thousand are stored by one write");
    assert_ne!(batches[1], batches[2]);
}

#[tokio::test]
async fn a_few_messages_are_stored_in_order_and_one_by_one() {
    let nats = testkit::nats().await;
    let bus = connect(&nats).await;
    bus.publish_batch(&(0..8).map(change).collect::<Vec<_>>()).await.unwrap();
    bus.publish_batch(&(8..17).map(change).collect::<Vec<_>>()).await.unwrap();
    let mut consumer = bus.consumer(reader(subject::CHANGES)).await.unwrap();
    let got: Vec<u64> = take(&mut consumer, 17).await.iter().map(number).collect();
    assert_eq!(got, (0..17).collect::<Vec<_>>());
    let jetstream = async_nats::jetstream::new(outside(&nats).await);
    let stream = jetstream.get_stream(subject::CHANGES).await.unwrap();
    for (sequence, is_batch) in [(1, false), (8, false), (9, true), (17, true)] {
        let headers = stream.get_raw_message(sequence).await.unwrap().headers;
        assert_eq!(headers.get("Nats-Batch-Id").is_some(), is_batch, "message {sequence}");
    }
}

#[tokio::test]
async fn a_batch_with_a_message_that_cannot_be_carried_stores_nothing() {
    let nats = testkit::nats().await;
    let bus = connect(&nats).await;
    let mut batch: Vec<Message> = (0..10).map(change).collect();
    batch[9].envelope.id = "no\nheader".into();
    assert_eq!(bus.publish_batch(&batch).await.unwrap_err().kind(), ErrorKind::Invalid);
    batch[9] = record(9);
    assert_eq!(bus.publish_batch(&batch).await.unwrap_err().kind(), ErrorKind::Invalid);
    batch[9] = change(9);
    batch[9].body = vec![b' '; MAX_BODY_BYTES + 1].into();
    assert_eq!(bus.publish_batch(&batch).await.unwrap_err().kind(), ErrorKind::TooLarge);
    let mut consumer = bus.consumer(reader(subject::CHANGES)).await.unwrap();
    assert_silent(&mut consumer).await;
}

#[tokio::test]
async fn an_uncommitted_batch_leaves_nothing_behind() {
    let nats = testkit::nats().await;
    let bus = connect(&nats).await;
    let client = outside(&nats).await;
    // What a publisher leaves that dies in the middle of a batch.
    for number in 1..=3 {
        let mut headers = async_nats::HeaderMap::new();
        headers.insert("Nats-Batch-Id", "interrupted");
        headers.insert("Nats-Batch-Sequence", number.to_string());
        let subject = subject::change(&ORG, "hubspot", "companies");
        client.publish_with_headers(subject, headers, "0".into()).await.unwrap();
    }
    settled(&client).await;
    bus.publish_batch(&(0..20).map(change).collect::<Vec<_>>()).await.unwrap();
    let mut consumer = bus.consumer(reader(subject::CHANGES)).await.unwrap();
    let got = take(&mut consumer, 20).await;
    assert_eq!(got.iter().map(number).collect::<Vec<_>>(), (0..20).collect::<Vec<_>>());
    ack_all(got).await.unwrap();
    assert_silent(&mut consumer).await;
}

#[tokio::test]
async fn a_batch_with_a_known_id_is_stored_without_the_repeat() {
    let nats = testkit::nats().await;
    let bus = connect(&nats).await;
    bus.publish(&change(3)).await.unwrap();
    let batch: Vec<Message> = (0..600).map(change).collect();
    bus.publish_batch(&batch).await.unwrap();
    bus.publish_batch(&batch).await.unwrap();
    bus.publish_batch(&[change(600), change(601), change(600)]).await.unwrap();
    let mut consumer = bus.consumer(reader(subject::CHANGES)).await.unwrap();
    let got = take(&mut consumer, 602).await;
    let numbers: Vec<u64> = got.iter().map(number).collect();
    let expected: Vec<u64> = [3].into_iter().chain((0..602).filter(|number| *number != 3)).collect();
    assert_eq!(numbers, expected, "in their order, though one by one");
    ack_all(got).await.unwrap();
    assert_silent(&mut consumer).await;
}

#[tokio::test]
async fn the_largest_message_fits_the_stream_and_the_dead_letters() {
    let nats = testkit::nats().await;
    let bus = connect(&nats).await;
    let mut large = change(1);
    large.body = vec![b'1'; MAX_BODY_BYTES].into();
    bus.publish(&large).await.unwrap();
    let mut consumer = bus.consumer(reader(subject::CHANGES)).await.unwrap();
    let delivery = take(&mut consumer, 1).await.remove(0);
    delivery.dead_letter("too_much", &"x".repeat(5_000)).await.unwrap();
    let letters = bus::dead::list(&bus, &bus::dead::Filter::default(), 10).await.unwrap();
    assert_eq!(letters[0].body.len(), MAX_BODY_BYTES);
}

#[tokio::test]
async fn a_server_older_than_2_12_is_refused_in_one_sentence() {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    tokio::spawn(async move {
        while let Ok((mut socket, _)) = listener.accept().await {
            let info = "INFO {\"server_id\":\"x\",\"version\":\"2.9.10\",\"max_payload\":1048576,\"headers\":true}\r\n";
            socket.write_all(info.as_bytes()).await.unwrap();
            let mut read = [0; 1_024];
            while socket.read(&mut read).await.is_ok_and(|count| count > 0) {
                socket.write_all(b"PONG\r\n").await.unwrap();
            }
        }
    });
    let error = Bus::connect(&format!("nats://{address}"), ConnectOptions::named("test")).await.unwrap_err();
    assert_eq!(error.kind(), ErrorKind::ServerTooOld);
    let sentence = format!("failed to {error}");
    assert_eq!(
        sentence,
        "failed to connect to NATS: the server is version 2.9.10, and Accord needs 2.12 or newer"
    );
}

#[tokio::test]
async fn a_wrong_password_and_a_dead_address_are_told_apart() {
    let nats = testkit::nats().await;
    let (_, host) = nats.url().split_once('@').unwrap();
    let options =
        ConnectOptions { connect_within: Duration::from_millis(300), ..ConnectOptions::named("test") };
    let wrong = Bus::connect(&format!("nats://someone:else@{host}"), options.clone()).await.unwrap_err();
    assert_eq!(wrong.kind(), ErrorKind::Unauthorized);
    let dead = Bus::connect("nats://127.0.0.1:1", options.clone()).await.unwrap_err();
    assert_eq!(dead.kind(), ErrorKind::Unreachable);
    let nonsense = Bus::connect("nats://:::", options).await.unwrap_err();
    assert_eq!(nonsense.kind(), ErrorKind::Invalid);
}

#[tokio::test]
async fn streams_can_be_ensured_again_and_keep_their_messages() {
    let nats = testkit::nats().await;
    let bus = connect(&nats).await;
    bus.publish(&change(1)).await.unwrap();
    bus.ensure_streams().await.unwrap();
    connect(&nats).await;
    let mut consumer = bus.consumer(reader(subject::CHANGES)).await.unwrap();
    assert_eq!(take(&mut consumer, 1).await.len(), 1);
}

#[tokio::test]
async fn ephemeral_messages_reach_who_listens_and_are_not_stored() {
    let nats = testkit::nats().await;
    let bus = connect(&nats).await;
    let other = connect(&nats).await;
    let mut listening = other.subscribe_ephemeral(subject::CACHE_IDENTITY_REVOKED).await.unwrap();
    // A call that the server answers: it has read the subscription by then.
    other.ensure_streams().await.unwrap();
    bus.publish_ephemeral(subject::CACHE_IDENTITY_REVOKED, "key").await.unwrap();
    let heard = tokio::time::timeout(SOON, listening.next()).await.unwrap().unwrap();
    assert_eq!((heard.subject.as_str(), &heard.body[..]), (subject::CACHE_IDENTITY_REVOKED, &b"key"[..]));
}

#[tokio::test]
async fn a_listener_misses_nothing_that_is_said_after_it_began_to_listen() {
    let nats = testkit::nats().await;
    let (listening, speaking) = (connect(&nats).await, connect(&nats).await);
    for round in 0..300 {
        let subject = format!("cache.round.{round}");
        let mut heard = listening.subscribe_ephemeral(&subject).await.unwrap();
        speaking.publish_ephemeral(&subject, "said").await.unwrap();
        let said = tokio::time::timeout(SOON, heard.next()).await.expect("it is heard").unwrap();
        assert_eq!((said.subject, &said.body[..]), (subject, &b"said"[..]));
    }
}
