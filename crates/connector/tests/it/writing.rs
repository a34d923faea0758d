use std::{collections::BTreeMap, time::Duration};

use bus::{Message, subject};
use model::{
    ApplyWrite, Clock, ConnectionId, IssueCategory, LinkId, MappingId, RecordId, SystemClock, Value, WriteId,
    WriteKind, WriteOutcome, Written, kind,
};
use testkit::eventually;

use crate::{
    acme::{FAST, Fault},
    world::{SOON, World, about},
};

pub(crate) async fn ask(world: &World, connection: ConnectionId, write: WriteKind, value: &str) -> WriteId {
    ask_of(world, connection, "companies", write, value).await
}

async fn ask_of(
    world: &World,
    connection: ConnectionId,
    object: &str,
    write: WriteKind,
    value: &str,
) -> WriteId {
    let now = SystemClock.now();
    let write = ApplyWrite {
        id: WriteId::generate(now),
        connection,
        object: object.into(),
        mapping: MappingId::generate(now),
        link: LinkId::generate(now),
        record: RecordId::generate(now),
        write,
        fields: BTreeMap::from([("name".into(), Value::text(value))]),
        edited_at: now,
    };
    let organization = world.organization();
    let subject = subject::write("acme", subject::partition(&connection), &organization, object);
    let message = Message::json(subject, kind::WRITE, "test", organization, now, &write).unwrap();
    world.bus.publish(&message).await.unwrap();
    write.id
}

pub(crate) fn create(external_id: &str) -> WriteKind {
    WriteKind::Create { external_id: external_id.into() }
}

fn update(id: &str) -> WriteKind {
    WriteKind::Update { id: id.into(), expected: BTreeMap::new() }
}

pub(crate) async fn answer(world: &World, id: WriteId) -> WriteOutcome {
    world.wait_for("the answer", kind::WRITTEN, |written: &Written| written.write == id).await.outcome
}

#[tokio::test]
async fn writes_are_made_in_batches_and_a_bad_one_stops_no_neighbour() {
    let world = World::new(FAST).await;
    let mut replica = world.start().await;
    let id = replica.connect(&world.acme).await;
    let mut good = Vec::new();
    for index in 0..25 {
        good.push(ask(&world, id, create(&format!("rec_{index}")), &format!("company {index}")).await);
    }
    let bad = ask(&world, id, update("x"), "bad").await;
    for write in good {
        assert!(matches!(answer(&world, write).await, WriteOutcome::Applied { .. }));
    }
    let WriteOutcome::Rejected { category, field, message } = answer(&world, bad).await else {
        panic!("applied")
    };
    assert_eq!((category, field.as_deref()), (IssueCategory::Validation, Some("name")));
    assert_eq!(message, "the name … is not allowed", "what the vendor quotes of the write is left out");
    assert_eq!(world.acme.lock().prepared, ["companies"], "the field for our id is made once");
    replica.stop().await;
}

#[tokio::test]
async fn where_the_field_for_our_id_cannot_be_made_only_creates_are_refused() {
    let world = World::new(FAST).await;
    let mut replica = world.start_with(world.patient()).await;
    let id = replica.connect(&world.acme).await;
    world.acme.hold("/write");
    let first = ask(&world, id, update("x"), "one").await;
    eventually(SOON, "the first write", || async { world.acme.calls("/write").first().copied() }).await;
    // What is asked for meanwhile is made together.
    world.acme.fault("/prepare", Fault::Status(403));
    let creating = ask(&world, id, create("rec_1"), "two").await;
    let updating = ask(&world, id, update("y"), "three").await;
    let durable = format!("connector-acme-{}", subject::partition(&id));
    eventually(SOON, "all to be taken", || async {
        (world.bus.pending(subject::WRITES, &durable).await.unwrap().waiting == 0).then_some(())
    })
    .await;
    world.acme.release();
    let WriteOutcome::Rejected { category, .. } = answer(&world, creating).await else { panic!("created") };
    assert_eq!(category, IssueCategory::Permission);
    assert!(matches!(answer(&world, updating).await, WriteOutcome::Applied { .. }));
    assert!(matches!(answer(&world, first).await, WriteOutcome::Applied { .. }));
    assert_eq!(world.acme.calls("/write").len(), 2, "the create was not sent");
    replica.stop().await;
}

#[tokio::test]
async fn a_create_whose_answer_was_lost_makes_one_record() {
    let world = World::new(FAST).await;
    let mut replica = world.start().await;
    let id = replica.connect(&world.acme).await;
    world.acme.fault("/write", Fault::ApplyThenHang);
    let write = ask(&world, id, create("rec_1"), "one").await;
    assert!(matches!(answer(&world, write).await, WriteOutcome::Applied { .. }));
    assert_eq!(world.acme.calls("/write").len(), 2);
    assert_eq!(world.acme.lock().records["companies"].len(), 1);
    replica.stop().await;
}

#[tokio::test]
async fn a_write_with_answers_that_say_nothing_is_tried_again_and_refused_in_the_end() {
    let world = World::new(FAST).await;
    let mut replica = world.start().await;
    let id = replica.connect(&world.acme).await;
    for _ in 0..3 {
        world.acme.fault("/write", Fault::Puzzle);
    }
    let write = ask(&world, id, create("rec_1"), "one").await;
    assert!(matches!(answer(&world, write).await, WriteOutcome::Applied { .. }));
    assert_eq!(world.acme.calls("/write").len(), 4);

    for _ in 0..20 {
        world.acme.fault("/write", Fault::Puzzle);
    }
    let write = ask(&world, id, create("rec_2"), "two").await;
    let WriteOutcome::Rejected { category, .. } = answer(&world, write).await else { panic!("applied") };
    assert_eq!(category, IssueCategory::Unavailable);
    assert_eq!(world.acme.calls("/write").len(), 10, "six times");
    assert_eq!(replica.get(id).await.state, "active", "one write says nothing of the connection");
    replica.stop().await;
}

#[tokio::test]
async fn a_failure_that_lasts_keeps_the_write_and_is_answered_in_the_end() {
    let world = World::new(FAST).await;
    let mut replica = world.start().await;
    let id = replica.connect(&world.acme).await;
    for _ in 0..13 {
        world.acme.fault("/write", Fault::Status(502));
    }
    let write = ask(&world, id, create("rec_1"), "one").await;
    replica.wait_for_state(id, "error").await;
    assert!(matches!(answer(&world, write).await, WriteOutcome::Applied { .. }));
    replica.wait_for_state(id, "active").await;
    assert_eq!(world.acme.lock().records["companies"].len(), 1);
    replica.stop().await;
}

#[tokio::test]
async fn writes_of_a_paused_connection_wait_and_those_of_a_gone_one_are_answered() {
    let world = World::new(FAST).await;
    let mut replica = world.start().await;
    let id = replica.connect(&world.acme).await;
    replica.api.pause(about("owner", id)).await.unwrap();
    let waiting = ask(&world, id, create("rec_1"), "one").await;
    let partition = subject::partition(&id);
    let durable = format!("connector-acme-{partition}");
    eventually(SOON, "the write was looked at", || async {
        let pending = world.bus.pending(subject::WRITES, &durable).await.ok()?;
        (pending.waiting == 0 && pending.unanswered == 1).then_some(())
    })
    .await;
    assert!(world.acme.calls("/write").is_empty());
    replica.api.resume(about("owner", id)).await.unwrap();
    assert!(matches!(answer(&world, waiting).await, WriteOutcome::Applied { .. }));

    replica.api.disconnect(about("owner", id)).await.unwrap();
    let late = ask(&world, id, update("x"), "two").await;
    let WriteOutcome::Rejected { category, .. } = answer(&world, late).await else { panic!("applied") };
    assert_eq!(category, IssueCategory::Auth);
    replica.stop().await;
}

#[tokio::test]
async fn a_write_from_before_a_disconnection_is_answered_and_not_made() {
    let world = World::new(FAST).await;
    let mut config = world.config();
    config.held_write_pause = Duration::from_secs(2);
    let mut replica = world.start_with(config).await;
    let id = replica.connect(&world.acme).await;
    replica.api.pause(about("owner", id)).await.unwrap();
    let old = ask(&world, id, create("rec_1"), "old").await;
    let durable = format!("connector-acme-{}", subject::partition(&id));
    eventually(SOON, "the write was looked at", || async {
        let pending = world.bus.pending(subject::WRITES, &durable).await.ok()?;
        (pending.waiting == 0 && pending.unanswered == 1).then_some(())
    })
    .await;
    replica.api.disconnect(about("owner", id)).await.unwrap();
    assert_eq!(replica.connect(&world.acme).await, id);
    let new = ask(&world, id, create("rec_1"), "new").await;
    assert!(matches!(answer(&world, new).await, WriteOutcome::Applied { .. }));
    let WriteOutcome::Rejected { category, .. } = answer(&world, old).await else { panic!("applied") };
    assert_eq!(category, IssueCategory::Auth);
    assert_eq!(world.acme.calls("/write").len(), 1);

    // Authorizing again without a disconnection supersedes nothing.
    replica.api.pause(about("owner", id)).await.unwrap();
    let held = ask(&world, id, create("rec_2"), "two").await;
    replica.authorize(&world.acme, &id.to_string()).await.unwrap();
    assert!(matches!(answer(&world, held).await, WriteOutcome::Applied { .. }));
    replica.stop().await;
}

#[tokio::test]
async fn a_write_that_cannot_be_read_is_a_dead_letter_and_its_neighbours_go_on() {
    let world = World::new(FAST).await;
    let mut replica = world.start().await;
    let id = replica.connect(&world.acme).await;
    let organization = world.organization();
    let subject = subject::write("acme", subject::partition(&id), &organization, "companies");
    let now = SystemClock.now();
    let garbage = Message::json(subject, kind::WRITE, "test", organization, now, "garbage").unwrap();
    world.bus.publish(&garbage).await.unwrap();
    let stray = ask(&world, ConnectionId::from_uuid(id.uuid()), create("rec_1"), "one").await;
    assert!(matches!(answer(&world, stray).await, WriteOutcome::Applied { .. }));
    let dead = eventually(SOON, "the dead letter", || async {
        let letters = bus::dead::list(&world.bus, &bus::dead::Filter::default(), 10).await.ok()?;
        (!letters.is_empty()).then_some(letters)
    })
    .await;
    assert_eq!(dead[0].reason, "write_undecodable");
    replica.stop().await;
}

#[tokio::test]
async fn a_write_that_hangs_holds_up_no_other_object() {
    let world = World::new(FAST).await;
    let mut replica = world.start().await;
    let id = replica.connect(&world.acme).await;
    world.acme.fault("/write", Fault::ApplyThenHang);
    let hanging = ask(&world, id, create("rec_1"), "one").await;
    eventually(SOON, "the call that hangs", || async {
        (!world.acme.calls("/write").is_empty()).then_some(())
    })
    .await;
    let started = std::time::Instant::now();
    let other = ask_of(&world, id, "deals", create("rec_2"), "two").await;
    assert!(matches!(answer(&world, other).await, WriteOutcome::Applied { .. }));
    let hung: Vec<Written> = world.all(kind::WRITTEN);
    assert!(
        hung.iter().all(|written| written.write != hanging),
        "it was answered after {:?}",
        started.elapsed()
    );
    assert!(matches!(answer(&world, hanging).await, WriteOutcome::Applied { .. }));
    replica.stop().await;
}
