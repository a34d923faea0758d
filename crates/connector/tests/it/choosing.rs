//! People choose how often feeds are read and how much of them is kept, and it holds from then on (R252, R253).

use std::time::Duration;

use model::{ActivityTold, ConnectionId, ReadingChanged, ReadingSettings, kind};
use proto::connections::{Reading, SetReadingRequest};
use serde_json::json;
use testkit::eventually;
use tonic::Code;

use crate::{
    acme::{FAST, TELLING},
    world::{Replica, SOON, World, about, by},
};

impl Replica {
    async fn choose(&mut self, id: ConnectionId, interval_minutes: u32, bodies: bool) -> Reading {
        let wish = SetReadingRequest { connection_id: id.to_string(), interval_minutes, bodies };
        self.api.set_reading(by("owner", wish)).await.unwrap().into_inner()
    }
}

async fn told(world: &World, id: &str) -> ActivityTold {
    eventually(SOON, id, || async {
        let told: Vec<ActivityTold> = world.all(kind::ACTIVITY_TOLD);
        told.into_iter().find(|told| told.external_id == id)
    })
    .await
}

#[tokio::test]
async fn how_often_a_connection_is_read_is_chosen_and_holds_at_once() {
    let world = World::new(TELLING).await;
    let mut replica = world.start().await;
    let id = replica.connect(&world.acme).await;
    let first = world.acme.mails("inbox", 1);
    told(&world, &first[0]).await;
    let usual = replica.api.get_reading(about("viewer", id)).await.unwrap().into_inner();
    assert_eq!((usual.interval_minutes, usual.changed_by.as_str(), usual.bodies), (0, "", false));

    let chosen = replica.choose(id, 60, false).await;
    assert_eq!((chosen.interval_minutes, chosen.least_minutes, chosen.most_minutes), (60, 1, 1_440));
    assert!(!chosen.changed_by.is_empty() && chosen.changed_at.is_some());
    let progress = replica.api.get_progress(about("viewer", id)).await.unwrap().into_inner();
    assert!(progress.feeds.iter().all(|feed| feed.interval_seconds == 3_600), "{:?}", progress.feeds);
    // What was under way when it was chosen ends.
    replica.api.sync_now(about("owner", id)).await.unwrap();
    world
        .wait_for("a run", kind::SYNC_RUN_FINISHED, |run: &model::SyncRunFinished| run.run == "manual")
        .await;
    let waits = world.acme.mails("inbox", 1);
    let five_times = Duration::from_millis(500);
    let early = tokio::time::timeout(five_times, told(&world, &waits[0])).await;
    assert!(early.is_err(), "it is not asked for before its time");
    // A shorter one ends a rest that is under way.
    replica.choose(id, 0, false).await;
    told(&world, &waits[0]).await;

    let changed = |after: Option<u32>| {
        move |it: &ReadingChanged| it.after == ReadingSettings { interval_minutes: after, bodies: false }
    };
    let told: ReadingChanged = world.wait_for("it", kind::READING_CHANGED, changed(Some(60))).await;
    assert_eq!((told.connection, told.before), (id, ReadingSettings::default()));
    world.wait_for("it", kind::READING_CHANGED, changed(None)).await;
    replica.choose(id, 0, false).await;
    assert_eq!(world.all::<ReadingChanged>(kind::READING_CHANGED).len(), 2, "no change is none");
    replica.stop().await;
}

#[tokio::test]
async fn of_a_mail_its_beginning_is_kept_until_somebody_chooses_the_whole() {
    let world = World::new(TELLING).await;
    let mut replica = world.start().await;
    let id = replica.connect(&world.acme).await;
    let text = "ä".repeat(300);
    let mail = |subject: &str| world.acme.mail("sent", json!({"subject": subject, "body": text}));
    let short = world.acme.mail("sent", json!({"subject": "short", "body": "Hello"}));
    let before = told(&world, &mail("before")).await;
    assert_eq!((before.body, before.is_preview), ("ä".repeat(255) + "…", true));
    let short = told(&world, &short).await;
    assert_eq!((short.body.as_str(), short.is_preview), ("Hello", false));
    replica.choose(id, 0, true).await;
    let after = told(&world, &mail("after")).await;
    assert_eq!((after.body, after.is_preview), (text.clone(), false));
    replica.choose(id, 0, false).await;
    assert!(told(&world, &mail("again")).await.is_preview, "from then on");
    replica.stop().await;
}

#[tokio::test]
async fn what_cannot_be_chosen_is_refused_with_a_code() {
    let world = World::new(TELLING).await;
    let mut replica = world.start().await;
    let id = replica.connect(&world.acme).await;
    let wish = |interval_minutes| SetReadingRequest {
        connection_id: id.to_string(),
        interval_minutes,
        bodies: false,
    };
    for minutes in [1_441, u32::MAX] {
        let refused = replica.api.set_reading(by("owner", wish(minutes))).await.unwrap_err();
        assert_eq!(
            (refused.code(), chassis::guard::stable_code(&refused).unwrap_or_default()),
            (Code::InvalidArgument, "interval_invalid")
        );
    }
    let refused = replica.api.set_reading(by("viewer", wish(5))).await.unwrap_err();
    assert_eq!(refused.code(), Code::PermissionDenied);
    replica.stop().await;

    let world = World::new(FAST).await;
    let mut replica = world.start().await;
    let id = replica.connect(&world.acme).await;
    let refused = replica.api.get_reading(about("viewer", id)).await.unwrap_err();
    assert_eq!(refused.code(), Code::FailedPrecondition, "a vendor of records alone");
    replica.stop().await;
}
