//! Following a vendor's stream of changes.

use std::{collections::BTreeMap, time::Duration};

use bus::{Message, subject};
use connector::Config;
use model::{
    CaptureProgress, ChangeEvent, ChangeKind, ConnectionChanged, ConnectionId, ReadRequested,
    SyncRunFinished, SystemClock, Value, kind,
};
use testkit::eventually;

use crate::{
    acme::{Fault, STREAMING},
    world::{Replica, SOON, World, about},
};

/// A world whose 30 companies are read and followed.
async fn followed() -> (World, Replica, ConnectionId) {
    followed_with(|_| {}).await
}

async fn followed_with(set: impl FnOnce(&mut Config)) -> (World, Replica, ConnectionId) {
    let world = World::new(STREAMING).await;
    world.acme.seed("companies", 30, 1);
    let mut config = world.config();
    set(&mut config);
    let mut replica = world.start_with(config).await;
    let id = replica.connect(&world.acme).await;
    world.capture(id, "companies", &["name", "phone"], true).await;
    world.wait_for("the end", kind::BACKFILL_FINISHED, |_: &CaptureProgress| true).await;
    wait_until(&world, "following").await;
    (world, replica, id)
}

/// How the companies are followed now, if they are.
async fn followed_as(world: &World) -> Option<String> {
    world.query("SELECT max(state) FROM streams").await
}

async fn wait_until(world: &World, state: &str) {
    eventually(SOON, &format!("the stream is {state}"), || async {
        (followed_as(world).await.as_deref() == Some(state)).then_some(())
    })
    .await;
}

/// What was told of a record behind its history.
fn told(world: &World, id: &str) -> Vec<ChangeEvent> {
    world.changes().into_iter().filter(|change| change.id == id).skip(1).collect()
}

fn field(name: &str, value: &str) -> BTreeMap<String, Value> {
    BTreeMap::from([(name.to_owned(), Value::text(value))])
}

#[tokio::test]
async fn what_is_pushed_is_told_with_only_what_changed_and_nothing_is_polled() {
    let (world, replica, _) = followed().await;
    let polls = world.acme.calls("/search").len();
    world.acme.edit("companies", "000007", "phone", "1");
    let change = world.wait_for_change("000007", "phone", "1").await;
    assert!(change.is_partial);
    assert_eq!(change.fields, field("phone", "1"));
    // Of a field that nobody wants, nothing is said.
    world.acme.edit("companies", "000007", "city", "Bern");
    world.acme.set_archived("companies", "000008", Some(1_000));
    world.wait_for("the deletion", kind::CHANGE, |it: &ChangeEvent| it.kind == ChangeKind::Deleted).await;
    world.more_calls("/stream", 3).await;
    assert_eq!(world.acme.calls("/search").len(), polls, "what is pushed is not asked for");
    replica.stop().await;

    world.acme.edit("companies", "000009", "name", "while nobody listened");
    let replica = world.start().await;
    world.wait_for_change("000009", "name", "while nobody listened").await;
    world.more_calls("/stream", 3).await;
    assert_eq!(
        told(&world, "000007").iter().filter(|it| !it.fields.is_empty()).count(),
        1,
        "nothing is told twice"
    );
    assert_eq!(world.acme.calls("/search").len(), polls, "the stream goes on where it was");
    replica.stop().await;
}

#[tokio::test]
async fn nothing_falls_between_the_history_and_the_stream() {
    let world = World::new(STREAMING).await;
    world.acme.seed("companies", 300, 3);
    let mut replica = world.start().await;
    let id = replica.connect(&world.acme).await;
    world.capture(id, "companies", &["name", "phone"], true).await;
    // Somebody edits all the while, until the stream is followed.
    let mut round = 0;
    while round < 600 || followed_as(&world).await.as_deref() != Some("following") {
        world.acme.edit("companies", &format!("{:06}", round % 300), "phone", &round.to_string());
        round += 1;
    }
    let last_of = |id: usize| (0..round).rev().find(|it| it % 300 == id).map(|it| it.to_string());
    eventually(SOON, "the last value of each", || async {
        let mut known: BTreeMap<String, (i64, String)> = BTreeMap::new();
        for change in world.changes() {
            let Some(phone) = change.fields.get("phone") else { continue };
            let known = known.entry(change.id).or_default();
            if known.0 <= change.version {
                *known = (change.version, phone.to_string());
            }
        }
        let last = |(id, (_, phone)): (&String, &(i64, String))| {
            Some(phone) == last_of(id.parse().unwrap()).as_ref()
        };
        (known.len() == 300 && known.iter().all(last)).then_some(())
    })
    .await;
    wait_until(&world, "following").await;
    replica.stop().await;
}

#[tokio::test]
async fn a_stream_that_says_nothing_is_followed_once_all_of_before_is_read_and_polled_until_it_does() {
    let world = World::new(STREAMING).await;
    world.acme.seed("companies", 30, 1);
    world.acme.lock().pushes.silent = true;
    let mut replica = world.start_with(world.patient()).await;
    let id = replica.connect(&world.acme).await;
    world.capture(id, "companies", &["name", "phone"], true).await;
    world.wait_for("the end", kind::BACKFILL_FINISHED, |_: &CaptureProgress| true).await;
    wait_until(&world, "following").await;
    let position = "SELECT max(position->>'id') FROM checkpoints WHERE lane = 'stream'";
    assert_eq!(world.query::<Option<String>>(position).await, None);
    // It could not go on where it was.
    world.more_calls("/search", 5).await;

    world.acme.edit("companies", "000001", "phone", "1");
    assert!(world.wait_for_change("000001", "phone", "1").await.is_partial);
    eventually(SOON, "the position", || async { world.query::<Option<String>>(position).await }).await;
    let polls = world.acme.calls("/search").len();
    world.acme.edit("companies", "000002", "phone", "2");
    assert!(world.wait_for_change("000002", "phone", "2").await.is_partial);
    assert_eq!(world.acme.calls("/search").len(), polls);
    replica.stop().await;
}

#[tokio::test]
async fn a_position_that_the_vendor_forgot_is_an_alarm_until_all_that_was_changed_since_is_read() {
    let (world, replica, id) = followed().await;
    world.acme.edit("companies", "000001", "phone", "1");
    world.wait_for_change("000001", "phone", "1").await;
    replica.stop().await;
    world.acme.edit("companies", "000003", "phone", "2");
    world.acme.edit("companies", "000004", "name", "three");
    world.acme.set_archived("companies", "000005", Some(1_000));
    world.acme.forget_positions();
    world.acme.edit("companies", "000006", "name", "four");

    let mut replica = world.start().await;
    let alarm = |it: &ConnectionChanged| it.reason.as_deref() == Some("position_lost");
    let alarm = world.wait_for("the alarm", kind::CONNECTION_CHANGED, alarm).await;
    assert!(alarm.message.unwrap().contains("is being read again"));
    for (id, field, value) in
        [("000003", "phone", "2"), ("000004", "name", "three"), ("000006", "name", "four")]
    {
        let change = world.wait_for_change(id, field, value).await;
        assert!(!change.is_partial, "{id} was read");
    }
    world.wait_for("the deletion", kind::CHANGE, |it: &ChangeEvent| it.kind == ChangeKind::Deleted).await;
    replica.wait_for_state(id, "active").await;
    wait_until(&world, "following").await;
    let run = |it: &SyncRunFinished| it.error.as_deref() == Some("position_lost");
    world.wait_for("the run", kind::SYNC_RUN_FINISHED, run).await;

    let polls = world.acme.calls("/search").len();
    world.acme.edit("companies", "000003", "phone", "5");
    assert!(world.wait_for_change("000003", "phone", "5").await.is_partial);
    assert_eq!(world.acme.calls("/search").len(), polls);
    replica.stop().await;
}

#[tokio::test]
async fn an_account_without_a_stream_is_polled_and_followed_once_it_has_one() {
    let world = World::new(STREAMING).await;
    world.acme.seed("companies", 3, 1);
    world.acme.lock().pushes.without = Some("the edition has no stream");
    let mut replica = world.start().await;
    let id = replica.connect(&world.acme).await;
    world.capture(id, "companies", &["name", "phone"], true).await;
    wait_until(&world, "polled").await;
    let why: Option<String> = world.query("SELECT max(message) FROM streams").await;
    assert_eq!(why.as_deref(), Some("the edition has no stream"));
    world.acme.edit("companies", "000001", "phone", "1");
    assert!(!world.wait_for_change("000001", "phone", "1").await.is_partial);
    assert_eq!(replica.get(id).await.state, "active");

    world.acme.lock().pushes.without = None;
    wait_until(&world, "following").await;
    world.acme.edit("companies", "000001", "phone", "2");
    assert!(world.wait_for_change("000001", "phone", "2").await.is_partial);
    replica.stop().await;
}

#[tokio::test]
async fn what_the_stream_does_not_tell_is_read_and_what_is_not_there_was_deleted() {
    let (world, replica, _) = followed().await;
    world.acme.edit_within_the_moment("companies", "000001", "phone", "unseen");
    world.acme.push_untold("companies", "000001");
    assert!(!world.wait_for_change("000001", "phone", "unseen").await.is_partial);
    world.acme.push_untold("companies", "nobody");
    let gone = |it: &ChangeEvent| it.kind == ChangeKind::Deleted && it.id == "nobody";
    world.wait_for("the deletion", kind::CHANGE, gone).await;

    // An answer that fails leads to another one, not to a gap.
    world.acme.edit_within_the_moment("companies", "000002", "phone", "late");
    world.acme.fault("/records", Fault::Status(503));
    world.acme.push_untold("companies", "000002");
    world.wait_for_change("000002", "phone", "late").await;

    let now = world.clock.now().as_millisecond();
    world.acme.lock().records.get_mut("companies").unwrap().get_mut("000003").unwrap().modified = now;
    world.acme.edit_within_the_moment("companies", "000003", "phone", "left out");
    world.acme.push_overflow("companies");
    world.wait_for_change("000003", "phone", "left out").await;
    let run = |it: &SyncRunFinished| it.run == "reread" && it.published >= 1;
    world.wait_for("the run", kind::SYNC_RUN_FINISHED, run).await;
    replica.stop().await;
}

#[tokio::test]
async fn a_stream_that_breaks_off_goes_on_where_it_was() {
    // Nothing is asked for meanwhile, so that everything is told by the stream, once.
    let rarely = |config: &mut Config| config.poll_interval = Duration::from_secs(60);
    let (world, mut replica, id) = followed_with(rarely).await;
    let mut number = 0;
    for fault in [Fault::Status(503), Fault::Cut, Fault::Status(401)] {
        world.acme.fault("/stream", fault);
        number += 1;
        world.acme.edit("companies", "000001", "phone", &number.to_string());
        world.wait_for_change("000001", "phone", &number.to_string()).await;
        // What was under way may have brought it before.
        let struck = || async { world.acme.lock().faults.is_empty().then_some(()) };
        eventually(SOON, "the failure", struck).await;
    }
    world.acme.expire_access();
    world.acme.edit("companies", "000001", "phone", "after the token");
    world.wait_for_change("000001", "phone", "after the token").await;
    let values: Vec<String> =
        told(&world, "000001").iter().map(|it| it.fields["phone"].to_string()).collect();
    assert_eq!(values, ["1", "2", "3", "after the token"]);
    wait_until(&world, "following").await;
    replica.wait_for_state(id, "active").await;
    replica.stop().await;
}

#[tokio::test]
async fn a_stream_that_stays_away_is_bridged_by_asking() {
    let (world, replica, _) = followed().await;
    for _ in 0..5 {
        world.acme.fault("/stream", Fault::Status(503));
    }
    wait_until(&world, "interrupted").await;
    world.acme.edit("companies", "000001", "phone", "1");
    let change = world.wait_for_change("000001", "phone", "1").await;
    assert!(!change.is_partial, "it was read while the stream was away");
    wait_until(&world, "following").await;
    replica.stop().await;
}

#[tokio::test]
async fn a_right_that_is_taken_away_and_given_back_needs_nobody_though_the_stream_says_nothing() {
    let (world, mut replica, id) = followed_with(|config| config.call_timeout = SOON).await;
    for _ in 0..1_000 {
        world.acme.fault("/stream", Fault::Status(403));
        world.acme.fault("/search", Fault::Status(403));
        world.acme.fault("/deleted", Fault::Status(403));
    }
    let failing = replica.wait_for_state(id, "error").await;
    assert_eq!(failing.reason, "permission_missing");
    assert!(failing.next_step.contains("administrator"), "{}", failing.next_step);
    wait_until(&world, "interrupted").await;
    {
        let mut inner = world.acme.lock();
        inner.pushes.silent = true;
        inner.faults.clear();
    }
    replica.wait_for_state(id, "active").await;
    wait_until(&world, "following").await;
    // What the stream says first ends the asking beside it.
    world.acme.edit("companies", "000001", "phone", "1");
    let pushed = |it: &ChangeEvent| it.is_partial && it.fields == field("phone", "1");
    world.wait_for("the push", kind::CHANGE, pushed).await;
    let polls = world.acme.calls("/search").len();
    world.acme.edit("companies", "000001", "phone", "2");
    assert!(world.wait_for_change("000001", "phone", "2").await.is_partial, "it was pushed");
    assert!(world.acme.calls("/search").len() <= polls + 1, "one was under way at most");
    replica.stop().await;
}

// R24
#[tokio::test]
async fn a_stream_that_opens_and_never_says_anything_keeps_no_change_away() {
    let (world, replica, _) = followed_with(|config| config.call_timeout = SOON).await;
    world.acme.edit("companies", "000001", "phone", "1");
    assert!(world.wait_for_change("000001", "phone", "1").await.is_partial, "it was pushed");
    world.acme.lock().pushes.dead = true;
    world.acme.fault("/stream", Fault::Cut);
    let struck = || async { world.acme.lock().faults.is_empty().then_some(()) };
    eventually(SOON, "the stream to break off", struck).await;
    for (id, phone) in [("000001", "2"), ("000002", "3")] {
        world.acme.edit("companies", id, "phone", phone);
        assert!(!world.wait_for_change(id, "phone", phone).await.is_partial, "it was asked for");
    }
    world.acme.lock().pushes.dead = false;
    world.acme.fault("/stream", Fault::Cut);
    replica.stop().await;
}

#[tokio::test]
async fn what_failed_of_an_object_that_is_not_read_any_more_is_no_failure_of_its_connection() {
    let (world, mut replica, id) = followed_with(|config| config.poll_interval = SOON).await;
    world.capture(id, "deals", &["name"], false).await;
    for _ in 0..1_000 {
        world.acme.fault("/stream/deals", Fault::Status(403));
    }
    replica.wait_for_state(id, "error").await;
    world.stop_capture(id, "deals").await;
    replica.wait_for_state(id, "active").await;
    replica.stop().await;
}

#[tokio::test]
async fn a_stream_that_is_refused_for_long_is_bridged_by_asking_until_somebody_has_it_tried_again() {
    let (world, mut replica, id) = followed().await;
    world.acme.fault("/stream", Fault::Status(508));
    wait_until(&world, "interrupted").await;
    for phone in ["1", "2"] {
        world.acme.edit("companies", "000001", "phone", phone);
        assert!(!world.wait_for_change("000001", "phone", phone).await.is_partial, "it was asked for");
    }
    assert_eq!(followed_as(&world).await.as_deref(), Some("interrupted"));
    replica.api.sync_now(about("owner", id)).await.unwrap();
    wait_until(&world, "following").await;
    world.acme.edit("companies", "000001", "phone", "3");
    assert!(world.wait_for_change("000001", "phone", "3").await.is_partial, "it was pushed");
    replica.stop().await;
}

#[tokio::test]
async fn somebody_who_wants_everything_now_has_nothing_read_again_that_was_pushed() {
    let (world, mut replica, id) = followed().await;
    for record in 0..20 {
        world.acme.edit("companies", &format!("{record:06}"), "phone", "pushed");
    }
    world.wait_for_change("000019", "phone", "pushed").await;
    // What is pushed later than any index is late says that they are all here.
    let edited = world.clock.now();
    eventually(SOON, "that time to be over", || async {
        (world.clock.now() > edited + 2 * STREAMING.late_index[0]).then_some(())
    })
    .await;
    world.acme.edit("companies", "000025", "phone", "last");
    world.wait_for_change("000025", "phone", "last").await;

    for press in 1..=3 {
        let (polls, served) = (world.acme.calls("/search").len(), world.acme.lock().served);
        replica.api.sync_now(about("owner", id)).await.unwrap();
        world.more_calls("/search", 1).await;
        // The stream goes on behind it.
        world.acme.edit("companies", "000026", "phone", &press.to_string());
        world.wait_for_change("000026", "phone", &press.to_string()).await;
        let served = world.acme.lock().served - served;
        assert!(world.acme.calls("/search").len() > polls && served <= 6, "{served} records were read again");
    }
    for record in 0..20 {
        let told = told(&world, &format!("{record:06}"));
        assert_eq!(told.len(), 1, "it was pushed, and nothing else: {told:?}");
    }
    let again = told(&world, "000025");
    assert!(again.len() <= 2, "it is told again once at most: {again:?}");
    replica.stop().await;
}

#[tokio::test]
async fn records_that_the_sync_engine_wants_are_read_whole_though_they_were_told_before() {
    let (world, replica, connection) = followed().await;
    let ids = vec!["000001".to_owned(), "000002".to_owned(), "nobody".to_owned()];
    let body = ReadRequested { connection, vendor_object: "companies".to_owned(), ids };
    let organization = world.organization();
    let subject = subject::capture(&organization, "read_requested");
    let now = model::Clock::now(&SystemClock);
    let message = Message::json(subject, kind::READ_REQUESTED, "test", organization, now, &body).unwrap();
    world.bus.publish(&message).await.unwrap();
    for id in ["000001", "000002"] {
        let whole = eventually(SOON, "the record", || async { told(&world, id).pop() }).await;
        assert!(!whole.is_partial);
        assert_eq!(whole.fields.len(), 2, "{whole:?}");
    }
    eventually(SOON, "nothing to wait for", || async {
        (world.query::<i64>("SELECT count(*) FROM wanted").await == 0).then_some(())
    })
    .await;
    replica.stop().await;
}
