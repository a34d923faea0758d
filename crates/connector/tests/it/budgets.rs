use std::{sync::Arc, time::Duration};

use bus::{Pending, subject};
use jiff::Timestamp;
use model::{BudgetChanged, BudgetLevel, BudgetReached, CaptureProgress, Clock, Lane, SystemClock, kind};
use proto::connections::{Budget, SetBudgetRequest};
use testkit::{ManualClock, eventually};
use tonic::Code;

use crate::{
    acme::FAST,
    world::{Replica, SOON, World, about, by},
    writing,
};

fn budget(id: model::ConnectionId, calls: u64, warn_percent: u32) -> SetBudgetRequest {
    SetBudgetRequest { connection_id: id.to_string(), calls, window_seconds: 60, warn_percent }
}

/// A moment early in a minute, near the present.
fn early() -> Timestamp {
    let now = SystemClock.now().as_second();
    Timestamp::from_second(now - now % 60 + 1).unwrap()
}

async fn shown(replica: &Replica, id: model::ConnectionId) -> Budget {
    replica.api.clone().get_budget(about("viewer", id)).await.unwrap().into_inner()
}

async fn wait_for_level(world: &World, level: BudgetLevel) -> BudgetReached {
    let fits = |told: &BudgetReached| told.level == level;
    world.wait_for(level.name(), kind::BUDGET_REACHED, fits).await
}

#[tokio::test]
async fn a_budget_holds_history_back_first_then_everything_until_the_window_turns() {
    let clock = ManualClock::at(early());
    let mut world = World::new(FAST).await;
    world.clock = Arc::new(clock.clone());
    world.acme.seed("companies", 3_000, 7);
    let mut config = world.config();
    config.poll_interval = Duration::from_millis(60);
    let mut replica = world.start_with(config).await;
    let id = replica.connect(&world.acme).await;
    replica.api.set_budget(by("owner", budget(id, 150, 20))).await.unwrap();
    world.capture(id, "companies", &["name", "phone"], true).await;

    let told = wait_for_level(&world, BudgetLevel::Warning).await;
    assert!((30..150).contains(&told.used), "{told:?}");
    // History waits, and what happens now arrives.
    world.acme.edit("companies", "000007", "phone", "1");
    let change = world.wait_for_change("000007", "phone", "1").await;
    assert_eq!(change.lane, Lane::Live);
    let history = || world.changes().iter().filter(|change| change.lane == Lane::Backfill).count();
    let held_at = history();
    assert!(held_at < 30 * 50, "{held_at} records of history for 30 calls");

    let told = wait_for_level(&world, BudgetLevel::Spent).await;
    assert_eq!((told.used, told.budget.unwrap().calls), (150, 150));
    assert_eq!(history(), held_at, "history waits first");
    let calls = world.acme.calls("/").len();
    let write = writing::ask(&world, id, writing::create("rec_1"), "one").await;
    let durable = format!("connector-acme-{}", subject::partition(&id));
    eventually(SOON, "the room has taken the write", async || {
        let pending = world.bus.pending(subject::WRITES, &durable).await.unwrap();
        (pending == Pending { waiting: 0, unanswered: 1 }).then_some(())
    })
    .await;
    assert_eq!(world.acme.calls("/").len(), calls, "nobody is called");
    assert!(world.all::<model::Written>(kind::WRITTEN).is_empty());
    let now = shown(&replica, id).await;
    assert_eq!((now.level.as_str(), now.used, now.left), ("spent", 150, 0));
    assert_eq!(replica.get(id).await.state, "active", "nothing is wrong with the connection");
    let refused = replica.api.refresh_schema(about("owner", id)).await.unwrap_err();
    assert_eq!(refused.code(), Code::Unavailable, "{refused}");

    clock.advance(Duration::from_secs(60));
    writing::answer(&world, write).await;
    eventually(SOON, "history to go on", || async { (history() > held_at).then_some(()) }).await;
    // It need not be waited for.
    replica.api.set_budget(by("owner", budget(id, 1_000_000, 0))).await.unwrap();
    world.wait_for("the end of the backfill", kind::BACKFILL_FINISHED, |_: &CaptureProgress| true).await;
    assert_eq!(shown(&replica, id).await.level, "ok");
    wait_for_level(&world, BudgetLevel::Ok).await;
    replica.stop().await;
}

#[tokio::test]
async fn the_vendors_day_is_the_budget_where_nobody_set_one_and_writes_have_its_last_calls() {
    let clock = ManualClock::at(early());
    let mut world = World::new(FAST).await;
    world.clock = Arc::new(clock.clone());
    world.acme.seed("companies", 500, 7);
    world.acme.say_of_day(80, 1_000);
    let mut config = world.config();
    config.poll_interval = Duration::from_millis(60);
    let mut replica = world.start_with(config).await;
    let id = replica.connect(&world.acme).await;
    world.capture(id, "companies", &["name", "phone"], true).await;

    let told = wait_for_level(&world, BudgetLevel::Warning).await;
    let allowed = told.budget.unwrap();
    assert_eq!((told.used / 10, allowed.calls, allowed.window_seconds), (92, 1_000, 86_400));
    world.acme.edit("companies", "000007", "phone", "1");
    assert_eq!(world.wait_for_change("000007", "phone", "1").await.lane, Lane::Live);
    let history = || world.changes().iter().filter(|change| change.lane == Lane::Backfill).count();
    assert_eq!(history(), 0, "history waits first");

    world.acme.say_of_day(30, 1_000);
    eventually(SOON, "a poll hears it", async || (shown(&replica, id).await.used >= 970).then_some(())).await;
    let polls = world.acme.calls("/search").len();
    world.acme.edit("companies", "000007", "phone", "2");
    let write = writing::ask(&world, id, writing::create("rec_1"), "one").await;
    writing::answer(&world, write).await;
    let since = world.acme.calls("/search").len() - polls;
    assert!(since <= 1, "{since} polls although the last calls are for writes");
    assert_eq!(replica.get(id).await.state, "active", "nothing is wrong with the connection");

    // Nobody needs to call: what was said grows old, and one asks.
    world.acme.say_of_day(900, 1_000);
    clock.advance(Duration::from_secs(15 * 60));
    world.wait_for_change("000007", "phone", "2").await;
    world.wait_for("the end of the backfill", kind::BACKFILL_FINISHED, |_: &CaptureProgress| true).await;
    wait_for_level(&world, BudgetLevel::Ok).await;
    // People may set one beside it, and nobody set one before.
    replica.api.set_budget(by("owner", budget(id, 1_000_000, 0))).await.unwrap();
    let changed: BudgetChanged = world.wait_for("a budget", kind::BUDGET_CHANGED, |_| true).await;
    assert_eq!((changed.before, changed.after.unwrap().calls), (None, 1_000_000));
    replica.stop().await;
}

#[tokio::test]
async fn a_budget_is_kept_over_a_restart_and_changed_only_by_whoever_may() {
    let clock = ManualClock::at(early());
    let mut world = World::new(FAST).await;
    world.clock = Arc::new(clock.clone());
    let mut replica = world.start().await;
    let id = replica.connect(&world.acme).await;
    assert_eq!(shown(&replica, id).await, Budget { level: "ok".into(), ..Budget::default() });
    for (credential, asked, code) in [
        ("viewer", budget(id, 5, 0), Code::PermissionDenied),
        ("stranger", budget(id, 5, 0), Code::NotFound),
        ("owner", budget(id, u64::MAX, 0), Code::InvalidArgument),
        ("owner", budget(id, 5, 101), Code::InvalidArgument),
        ("owner", SetBudgetRequest { window_seconds: 7, ..budget(id, 5, 0) }, Code::InvalidArgument),
    ] {
        let refused = replica.api.set_budget(by(credential, asked)).await.unwrap_err();
        assert_eq!(refused.code(), code, "{refused}");
    }
    let set = replica.api.set_budget(by("owner", budget(id, 40, 0))).await.unwrap().into_inner();
    assert_eq!((set.calls, set.warn_percent), (40, 80));
    world.capture(id, "companies", &["name"], false).await;
    wait_for_level(&world, BudgetLevel::Spent).await;
    replica.stop().await;

    let calls = world.acme.calls("/").len();
    let mut replica = world.start().await;
    let refused = replica.api.refresh_schema(about("owner", id)).await.unwrap_err();
    assert_eq!(refused.code(), Code::Unavailable, "{refused}");
    assert_eq!(world.acme.calls("/").len(), calls, "a start gives no new budget");
    replica.api.set_budget(by("owner", budget(id, 0, 0))).await.unwrap();
    wait_for_level(&world, BudgetLevel::Ok).await;
    world.acme.edit("companies", "one", "name", "one");
    world.wait_for_change("one", "name", "one").await;
    let changes: Vec<BudgetChanged> = world.all(kind::BUDGET_CHANGED);
    let calls: Vec<_> =
        changes.iter().map(|it| (it.before.map(|b| b.calls), it.after.map(|b| b.calls))).collect();
    assert_eq!(calls, [(None, Some(40)), (Some(40), None)]);
    replica.stop().await;
}
