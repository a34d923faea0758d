//! What people did is told: each thing at least once, and the position only behind it (R246-R251, B5).

use std::{
    collections::{BTreeMap, HashSet},
    time::Duration,
};

use model::{ActivityTold, ConnectionId, SyncRunFinished, kind};
use proto::connections::FeedProgress;
use serde_json::json;
use testkit::eventually;

use crate::{
    acme::{Fault, TELLING},
    world::{Replica, SOON, World, about},
};

impl World {
    fn told(&self) -> Vec<ActivityTold> {
        self.all(kind::ACTIVITY_TOLD)
    }

    /// Waits until everything there was told.
    async fn wait_for_told(&self, ids: &[String]) -> Vec<ActivityTold> {
        eventually(SOON, &format!("{} activities", ids.len()), || async {
            let told = self.told();
            let known: HashSet<&str> = told.iter().map(|told| told.external_id.as_str()).collect();
            ids.iter().all(|id| known.contains(id.as_str())).then(|| told.clone())
        })
        .await
    }
}

impl Replica {
    async fn feeds(&mut self, id: ConnectionId) -> BTreeMap<String, FeedProgress> {
        let progress = self.api.get_progress(about("viewer", id)).await.unwrap().into_inner();
        progress.feeds.into_iter().map(|feed| (feed.feed.clone(), feed)).collect()
    }

    /// Waits until a feed is shown like this.
    async fn wait_for_feed(&mut self, id: ConnectionId, name: &str, fits: fn(&FeedProgress) -> bool) {
        let api = &self.api;
        eventually(SOON, "the feed to be like this", || async {
            let progress = api.clone().get_progress(about("viewer", id)).await.unwrap().into_inner();
            progress.feeds.iter().any(|feed| feed.feed == name && fits(feed)).then_some(())
        })
        .await;
    }
}

#[tokio::test]
async fn a_vendor_without_records_connects_tells_what_people_did_and_is_disconnected() {
    let world = World::new(TELLING).await;
    let mut old = world.acme.mails("inbox", 120);
    old.push(
        world
            .acme
            .mail("sent", json!({"subject": "Re: offer", "people": ["us@own.example", "ann@acme.example"]})),
    );
    let mut replica = world.start().await;
    let id = replica.connect(&world.acme).await;
    let told = world.wait_for_told(&old).await;
    assert_eq!(told.len(), old.len(), "each once");
    let sent = told.iter().find(|told| told.external_id == *old.last().unwrap()).unwrap();
    assert_eq!((sent.connection, sent.source.as_str()), (id, "acme"));
    assert_eq!((sent.kind.as_str(), sent.direction.as_str(), sent.is_gone), ("email", "outbound", false));
    assert_eq!(sent.participants[1].email, "ann@acme.example");
    replica.wait_for_feed(id, "inbox", |feed| feed.phase == "live" && feed.last_poll_at.is_some()).await;
    let feeds = replica.feeds(id).await;
    assert_eq!((feeds["inbox"].read, feeds["inbox"].label.as_str()), (120, "Inbox"));
    let connection = replica.get(id).await;
    assert_eq!(connection.state, "active");
    assert!(connection.last_sync_at.is_some(), "it is seen to be healthy");

    let new = world.acme.mails("inbox", 1);
    world.acme.delete_mail("inbox", &old[0]);
    world.wait_for_told(&new).await;
    let is_gone = |told: &ActivityTold| told.external_id == old[0] && told.is_gone;
    world.wait_for("what is gone", kind::ACTIVITY_TOLD, is_gone).await;
    let run =
        |run: &SyncRunFinished| run.vendor_object == "inbox" && run.published > 0 && run.error.is_none();
    world.wait_for("the run", kind::SYNC_RUN_FINISHED, run).await;

    replica.api.disconnect(about("owner", id)).await.unwrap();
    replica.wait_for_state(id, "disconnected").await;
    let pages = world.acme.calls("/feed").len();
    assert_eq!(world.query::<i64>("SELECT count(*) FROM feeds").await, 0);
    let unheard = world.acme.mails("inbox", 1);
    // Whoever connects again reads all again: what was done meanwhile, and repeats that are known by their versions.
    assert_eq!(replica.connect(&world.acme).await, id);
    world.wait_for_told(&unheard).await;
    assert!(world.acme.calls("/feed").len() > pages);
    let versions: HashSet<_> =
        world.told().into_iter().map(|told| (told.external_id, told.version)).collect();
    assert_eq!(versions.len(), old.len() + 1 + 1 + 1, "a repeat has the version that it had");
    replica.stop().await;
}

#[tokio::test]
async fn a_kill_in_the_middle_resumes_behind_what_the_bus_acknowledged() {
    let world = World::new(TELLING).await;
    let mails = world.acme.mails("inbox", 320);
    world.acme.hold("/feed/inbox");
    let mut first = world.start_with(world.patient()).await;
    first.connect(&world.acme).await;
    eventually(SOON, "the first pages", || async {
        let stored: i64 = world.query("SELECT coalesce(max(read), 0)::bigint FROM feeds").await;
        if stored < 100 {
            world.acme.let_one_pass();
        }
        (stored >= 100).then_some(())
    })
    .await;
    assert!(world.query::<i64>("SELECT max(read)::bigint FROM feeds").await < 320);
    world.nats.restart().await;
    // Dropping the tasks is as sudden as a kill, as far as the database and the bus can tell.
    first.stop().await;
    world.acme.release();
    world.acme.lock().mails.served = 0;
    let second = world.start().await;
    let told = world.wait_for_told(&mails).await;
    assert!(told.len() < 320 + 100, "{} were told", told.len());
    let served = world.acme.lock().mails.served;
    assert!(served <= 220, "it started again: {served} mails were read");
    second.stop().await;
}

#[tokio::test]
async fn no_position_is_stored_before_the_bus_has_what_is_before_it() {
    let world = World::new(TELLING).await;
    let mails = world.acme.mails("inbox", 120);
    let mut replica = world.start_with(world.patient()).await;
    world.acme.hold("/feed");
    replica.connect(&world.acme).await;
    eventually(SOON, "the reading to begin", || async { (world.acme.lock().held > 0).then_some(()) }).await;
    world.nats.kill().await;
    world.acme.release();
    eventually(SOON, "all to be read", || async { (world.acme.lock().mails.pages >= 3).then_some(()) }).await;
    let stored = "SELECT count(*) FROM feeds WHERE feed = 'inbox' AND position IS NOT NULL";
    assert_eq!(world.query::<i64>(stored).await, 0, "the bus has nothing yet");
    world.nats.start().await;
    let told = world.wait_for_told(&mails).await;
    assert_eq!(told.len(), mails.len());
    eventually(SOON, "the position", || async { (world.query::<i64>(stored).await == 1).then_some(()) })
        .await;
    replica.stop().await;
}

#[tokio::test]
async fn a_position_that_the_vendor_forgot_leads_to_a_reading_from_the_beginning() {
    let world = World::new(TELLING).await;
    let old = world.acme.mails("inbox", 60);
    let mut replica = world.start().await;
    let id = replica.connect(&world.acme).await;
    world.wait_for_told(&old).await;
    replica.wait_for_feed(id, "inbox", |feed| feed.phase == "live").await;
    world.acme.lock().mails.served = 0;
    world.acme.lose_positions();
    let new = world.acme.mails("inbox", 1);
    world.wait_for_told(&new).await;
    let lost = |run: &SyncRunFinished| run.error.as_deref() == Some("position_lost");
    world.wait_for("the run that says so", kind::SYNC_RUN_FINISHED, lost).await;
    replica.wait_for_feed(id, "inbox", |feed| feed.phase == "live" && feed.read == 61).await;
    assert!(world.acme.lock().mails.served >= 61, "all is read again");
    let told = world.told();
    let versions: HashSet<_> = told.iter().map(|told| (&told.external_id, told.version)).collect();
    assert_eq!(versions.len(), 61, "a repeat has the version that it had");
    assert_eq!(replica.get(id).await.state, "active", "nothing is wrong with the connection");
    replica.stop().await;
}

#[tokio::test]
async fn a_feed_that_fails_is_shown_and_heals_by_itself_while_the_other_goes_on() {
    let world = World::new(TELLING).await;
    let mut config = world.config();
    config.poll_interval = Duration::from_secs(5);
    let mut replica = world.start_with(config).await;
    let id = replica.connect(&world.acme).await;
    replica.wait_for_feed(id, "inbox", |feed| feed.phase == "live").await;
    world.acme.fault("/feed/inbox", Fault::Status(403));
    let failing = replica.wait_for_state(id, "error").await;
    assert_eq!(failing.reason, "permission_missing");
    let failed = |run: &SyncRunFinished| run.error.as_deref() == Some("permission_missing");
    let run = world.wait_for("the failed run", kind::SYNC_RUN_FINISHED, failed).await;
    assert_eq!(run.vendor_object, "inbox");
    let feeds = replica.feeds(id).await;
    assert!(feeds["inbox"].last_error.contains("403"), "{}", feeds["inbox"].last_error);
    assert!(feeds["sent"].last_error.is_empty());
    let sent = world.acme.mails("sent", 1);
    world.wait_for_told(&sent).await;
    replica.wait_for_state(id, "active").await;
    replica.wait_for_feed(id, "inbox", |feed| feed.last_error.is_empty()).await;
    replica.stop().await;
}

#[tokio::test]
async fn a_setting_says_how_often_a_vendor_is_read_and_sync_now_does_not_wait_for_it() {
    let world = World::new(TELLING).await;
    let mut config = world.config();
    config.feed_intervals.insert("acme".to_owned(), Duration::from_secs(3_600));
    let mut replica = world.start_with(config).await;
    let id = replica.connect(&world.acme).await;
    replica.wait_for_feed(id, "inbox", |feed| feed.phase == "live" && feed.interval_seconds == 3_600).await;
    replica.wait_for_feed(id, "sent", |feed| feed.phase == "live").await;
    let mails = world.acme.mails("inbox", 1);
    let answer = replica.api.sync_now(about("owner", id)).await.unwrap().into_inner();
    assert_eq!(answer.objects, ["inbox", "sent"]);
    world.wait_for_told(&mails).await;
    let manual = |run: &SyncRunFinished| run.run == "manual" && run.vendor_object == "inbox";
    world.wait_for("the run", kind::SYNC_RUN_FINISHED, manual).await;
    replica.stop().await;
}

#[tokio::test]
async fn whatever_a_mail_holds_it_fits_a_message_and_holds_nobody_up() {
    let world = World::new(TELLING).await;
    let people: Vec<String> =
        (0..1_000).map(|number| format!("person{number}@company{number}.example")).collect();
    let crowd: Vec<String> =
        (0..2_100).map(|number| format!("{}{number}@c.example", "p".repeat(300))).collect();
    let mails = vec![
        world.acme.mail("inbox", json!({"subject": "long", "body": "ä".repeat(100_000), "people": people})),
        world.acme.mail(
            "inbox",
            json!({"subject": "odd\u{0}", "body": "\u{1}\u{0}".repeat(4_000), "people": crowd,
            "name": "n".repeat(400), "thread": "t".repeat(9_000), "url": "javascript:alert(1)"}),
        ),
        world.acme.mail("inbox", json!({"subject": "s".repeat(9_000), "url": "https://mail.example/1"})),
    ];
    let mut replica = world.start_with(world.patient()).await;
    replica.connect(&world.acme).await;
    let told = world.wait_for_told(&mails).await;
    let seen = world.seen.lock().unwrap().clone();
    let largest = seen.iter().map(|message| message.body.len()).max().unwrap();
    assert!(largest <= 100_000, "{largest} bytes");
    let of = |id: &String| told.iter().find(|told| told.external_id == *id).unwrap();
    let (long, odd, plain) = (of(&mails[0]), of(&mails[1]), of(&mails[2]));
    assert!(long.body.len() > 10_000 && long.body.chars().all(|letter| letter == 'ä'));
    assert_eq!(long.participants.len(), 1_000, "nobody is left out of what fits");
    assert_eq!((odd.subject.as_str(), odd.url.as_str()), ("odd", ""));
    assert!(!odd.participants.is_empty() && !odd.body.contains('\0'));
    assert_eq!((plain.subject.len(), plain.url.as_str()), (2_000, "https://mail.example/1"));
    replica.stop().await;
}
