use std::{collections::HashSet, time::Duration};

use bus::{Message, subject};
use model::{
    CaptureProgress, CaptureStopped, ChangeKind, ConnectionChanged, ConnectionState, Lane, SyncRunFinished,
    SystemClock, kind,
};
use proto::connections::GetUsageRequest;
use testkit::eventually;

use crate::{
    acme::{FAST, Fault, SLOW},
    world::{SOON, World, about, by},
};

#[tokio::test]
async fn history_and_edits_arrive_and_a_restart_resumes_without_reading_again() {
    let world = World::new(FAST).await;
    let mut replica = world.start().await;
    world.acme.seed("companies", 320, 7);
    let id = replica.connect(&world.acme).await;
    world.capture(id, "companies", &["name", "phone", "unheard_of"], true).await;
    let finished: CaptureProgress =
        world.wait_for("the end of the backfill", kind::BACKFILL_FINISHED, |_: &CaptureProgress| true).await;
    assert_eq!((finished.read, finished.total), (320, 320));
    let changes = world.changes();
    let ids: HashSet<&str> = changes.iter().map(|change| change.id.as_str()).collect();
    assert_eq!((changes.len(), ids.len()), (320, 320), "every record once, ties included");
    assert!(changes.iter().all(|change| change.lane == Lane::Backfill && change.fields.len() == 2));

    world.acme.edit("companies", "000007", "phone", "1");
    let change = world.wait_for_change("000007", "phone", "1").await;
    assert_eq!(change.lane, Lane::Live);
    let progress = replica.api.get_progress(about("viewer", id)).await.unwrap().into_inner();
    assert_eq!((progress.objects[0].phase.as_str(), progress.objects[0].read), ("live", 320));
    replica.stop().await;

    world.acme.edit("companies", "000008", "phone", "2");
    world.acme.lock().served = 0;
    let replica = world.start().await;
    world.wait_for_change("000008", "phone", "2").await;
    let served = world.acme.lock().served;
    assert!(served < 20, "{served} records were read again");
    replica.stop().await;
}

/// Lets pass one search after the other until the first hundred of 500 records are here.
async fn read_the_first_pages(world: &World) {
    eventually(SOON, "the first pages", || async {
        let served = world.acme.lock().served;
        if served < 100 {
            world.acme.let_one_pass();
        }
        (served >= 100).then_some(())
    })
    .await;
    eventually(SOON, "the first records", || async { (world.changes().len() >= 100).then_some(()) }).await;
}

#[tokio::test]
async fn a_kill_in_the_middle_of_the_backfill_loses_nothing() {
    let world = World::new(FAST).await;
    world.acme.seed("deals", 500, 3);
    world.acme.hold("/search");
    let mut first = world.start_with(world.patient()).await;
    let id = first.connect(&world.acme).await;
    world.capture(id, "deals", &["name"], true).await;
    read_the_first_pages(&world).await;
    world.nats.restart().await;
    // Dropping the tasks is as sudden as a kill, as far as the database and the bus can tell.
    first.stop().await;
    world.acme.release();
    world.acme.lock().served = 0;
    let second = world.start().await;
    world.wait_for("the end", kind::BACKFILL_FINISHED, |_: &CaptureProgress| true).await;
    let ids: HashSet<String> = world.changes().into_iter().map(|change| change.id).collect();
    assert_eq!(ids.len(), 500);
    let served = world.acme.lock().served;
    assert!(served < 500, "it started again: {served} records were read");
    // The run that can be put back is the whole of it, with what was published before the restart.
    let whole = |run: &SyncRunFinished| run.run == "backfill" && run.published == 500;
    let run = world.wait_for("the run", kind::SYNC_RUN_FINISHED, whole).await;
    let first = world.changes().into_iter().map(|change| change.captured_at).min().unwrap();
    assert!(run.started_at <= first, "{first} is not in {run:?}");
    second.stop().await;
}

#[tokio::test]
async fn fields_are_dated_before_their_changes_are_told_and_a_failure_of_that_loses_none() {
    let world = World::new(FAST).await;
    let mut replica = world.start().await;
    let id = replica.connect(&world.acme).await;
    world.acme.seed("companies", 120, 7);
    world.acme.edit("companies", "000005", "name", "Five");
    for _ in 0..3 {
        world.acme.fault("/dates", Fault::Status(403));
    }
    world.capture_dated(id, "companies", &["name", "phone"], &["name", "unheard_of"], true).await;
    world.wait_for("the end", kind::BACKFILL_FINISHED, |_: &CaptureProgress| true).await;
    let history = |change: &model::ChangeEvent| change.lane == Lane::Backfill;
    let changes: Vec<_> = world.changes().into_iter().filter(history).collect();
    let ids: HashSet<&str> = changes.iter().map(|change| change.id.as_str()).collect();
    assert!(ids.len() == changes.len() && ids.len() >= 119, "each is told once: {}", changes.len());
    assert!(changes.is_sorted_by_key(|change| (change.version, change.id.clone())));
    let named = world.wait_for_change("000005", "name", "Five").await;
    assert_eq!(named.field_times, [("name".to_owned(), named.changed_at)].into());

    world.acme.fault("/dates", Fault::Status(403));
    world.acme.edit("companies", "000005", "phone", "1");
    let called = world.wait_for_change("000005", "phone", "1").await;
    assert_eq!((called.lane, called.changed_at > named.changed_at), (Lane::Live, true));
    assert_eq!(called.field_times, named.field_times, "the name is as old as it was");

    let dates = world.acme.calls("/dates").len();
    world.more_calls("/search", 5).await;
    assert_eq!(world.acme.calls("/dates").len(), dates, "what comes again is not dated again");
    replica.stop().await;
}

#[tokio::test]
async fn a_reading_that_fails_in_the_middle_is_told_as_far_as_it_came() {
    let world = World::new(FAST).await;
    world.acme.seed("companies", 500, 3);
    world.acme.hold("/search");
    let mut config = world.patient();
    config.poll_interval = Duration::from_secs(600);
    config.poll_interval_min = Duration::from_secs(600);
    let mut replica = world.start_with(config).await;
    let id = replica.connect(&world.acme).await;
    world.capture(id, "companies", &["name"], true).await;
    read_the_first_pages(&world).await;
    world.acme.fault("/search", Fault::Status(403));
    world.acme.release();
    let run = |run: &SyncRunFinished| run.run == "backfill";
    let failed = world.wait_for("the failed run", kind::SYNC_RUN_FINISHED, run).await;
    assert_eq!(failed.error.as_deref(), Some("permission_missing"));
    assert!((100..500).contains(&failed.published), "{failed:?}");
    let told: Vec<_> = world.changes().into_iter().map(|change| change.captured_at).collect();
    assert_eq!(told.len() as u64, failed.published);
    assert!(told.iter().all(|at| (failed.started_at..=failed.finished_at).contains(at)));

    replica.api.sync_now(about("owner", id)).await.unwrap();
    let run = |run: &SyncRunFinished| run.run == "backfill" && run.error.is_none();
    let rest = world.wait_for("the rest", kind::SYNC_RUN_FINISHED, run).await;
    assert_eq!(failed.published + rest.published, 500, "each is told once");
    assert!(rest.started_at >= failed.finished_at);
    replica.stop().await;
}

#[tokio::test]
async fn a_row_that_the_index_shows_late_is_found_by_the_second_look() {
    let world = World::new(FAST).await;
    let mut replica = world.start().await;
    let id = replica.connect(&world.acme).await;
    world.capture(id, "companies", &["name"], false).await;
    world.acme.edit_hidden("companies", "late", "name", "late");
    world.acme.edit("companies", "early", "name", "early");
    world.wait_for_change("early", "name", "early").await;
    world.acme.show("companies", "late");
    world.wait_for_change("late", "name", "late").await;
    let rescan = |run: &SyncRunFinished| run.run == "rescan" && run.published == 1;
    world.wait_for("the re-scan", kind::SYNC_RUN_FINISHED, rescan).await;
    let early = world.changes().iter().filter(|change| change.id == "early").count();
    assert_eq!(early, 1, "what was handed out is not handed out again");
    replica.stop().await;
}

#[tokio::test]
async fn a_second_edit_within_the_same_moment_is_found_by_the_second_look() {
    let world = World::new(FAST).await;
    let mut replica = world.start().await;
    let id = replica.connect(&world.acme).await;
    world.capture(id, "companies", &["name"], false).await;
    world.acme.edit("companies", "one", "name", "first");
    world.wait_for_change("one", "name", "first").await;
    world.acme.edit_within_the_moment("companies", "one", "name", "second");
    world.wait_for_change("one", "name", "second").await;
    let versions: HashSet<i64> = world.changes().into_iter().map(|change| change.version).collect();
    assert_eq!(versions.len(), 1);
    replica.stop().await;
}

#[tokio::test]
async fn deletions_are_swept_once_and_a_restored_record_can_be_deleted_again() {
    let world = World::new(FAST).await;
    let mut replica = world.start().await;
    world.acme.seed("companies", 9, 1);
    let id = replica.connect(&world.acme).await;
    world.capture(id, "companies", &["name"], true).await;
    world.wait_for("the backfill", kind::BACKFILL_FINISHED, |_: &CaptureProgress| true).await;
    let set_archived = |ids: &[&str], at: Option<i64>| {
        let mut inner = world.acme.lock();
        let records = inner.records.get_mut("companies").unwrap();
        for id in ids {
            records.get_mut(*id).unwrap().archived = at;
        }
    };
    let deletions = || world.changes().iter().filter(|change| change.kind == ChangeKind::Deleted).count();
    set_archived(&["000001", "000002", "000003", "000004", "000005"], Some(1_000));
    eventually(SOON, "five deletions", || async { (deletions() == 5).then_some(()) }).await;
    set_archived(&["000001"], None);
    let sweeps = world.acme.calls("/deleted").len();
    eventually(SOON, "two sweeps", || async {
        (world.acme.calls("/deleted").len() > sweeps + 6).then_some(())
    })
    .await;
    assert_eq!(deletions(), 5);
    set_archived(&["000001"], Some(2_000));
    eventually(SOON, "the sixth", || async { (deletions() == 6).then_some(()) }).await;
    // The bus drops repeats for two minutes, so the runs tell what was really handed out.
    let told = || async {
        let runs: Vec<SyncRunFinished> = world.all(kind::SYNC_RUN_FINISHED);
        let sweeps = runs.iter().filter(|run| run.run == "archive_sweep").map(|run| run.published);
        (sweeps.sum::<u64>() >= 6).then_some(())
    };
    eventually(SOON, "the runs", told).await;
    replica.stop().await;
    let runs: Vec<SyncRunFinished> = world.all(kind::SYNC_RUN_FINISHED);
    let published: Vec<u64> =
        runs.iter().filter(|run| run.run == "archive_sweep").map(|run| run.published).collect();
    assert_eq!(published.iter().sum::<u64>(), 6, "{published:?}");
}

#[tokio::test]
async fn newly_wanted_fields_are_read_for_all_history_with_new_event_ids() {
    let world = World::new(FAST).await;
    let mut replica = world.start().await;
    world.acme.seed("companies", 60, 1);
    let id = replica.connect(&world.acme).await;
    world.capture(id, "companies", &["name"], true).await;
    world.wait_for("the backfill", kind::BACKFILL_FINISHED, |_: &CaptureProgress| true).await;
    world.capture(id, "companies", &["name", "city"], true).await;
    eventually(SOON, "both backfills", || async { (world.changes().len() == 120).then_some(()) }).await;
    let ids: HashSet<String> = {
        let seen = world.seen.lock().unwrap();
        let changes = seen.iter().filter(|message| message.envelope.kind == kind::CHANGE);
        changes.map(|message| message.envelope.id.clone()).collect()
    };
    assert_eq!(ids.len(), 120);
    replica.stop().await;
}

#[tokio::test]
async fn an_older_wish_that_comes_again_stops_nothing() {
    let world = World::new(FAST).await;
    let mut replica = world.start().await;
    let id = replica.connect(&world.acme).await;
    world.capture(id, "companies", &["name"], true).await;
    world.acme.edit("companies", "a", "name", "1");
    world.wait_for_change("a", "name", "1").await;
    let organization = world.organization();
    for (minutes, active) in [(-1, true), (1, false)] {
        let said_at = model::Clock::now(&SystemClock) + jiff::SignedDuration::from_mins(minutes);
        let stop = CaptureStopped { connection: id, vendor_object: "companies".into() };
        let subject = subject::capture(&organization, "stopped");
        let message =
            Message::json(subject, kind::CAPTURE_STOPPED, "test", organization, said_at, &stop).unwrap();
        world.bus.publish(&message).await.unwrap();
        eventually(SOON, "the wish was taken", || async {
            let pending = world.bus.pending(subject::EVENTS, "connector-wishes").await.ok()?;
            (pending.waiting == 0 && pending.unanswered == 0).then_some(())
        })
        .await;
        assert_eq!(world.query::<bool>("SELECT active FROM captures").await, active);
    }
    replica.stop().await;
}

#[tokio::test]
async fn trouble_at_the_vendor_is_an_error_state_that_ends_by_itself() {
    let world = World::new(FAST).await;
    let mut replica = world.start().await;
    let id = replica.connect(&world.acme).await;
    world.capture(id, "companies", &["name"], true).await;
    world.acme.edit("companies", "a", "name", "1");
    world.wait_for_change("a", "name", "1").await;
    // Small trouble: a cut answer, a 503 and a 429 are retried and nobody hears of them.
    for fault in [Fault::Cut, Fault::Status(503), Fault::Status(429)] {
        world.acme.fault("/search", fault);
    }
    world.acme.edit("companies", "a", "name", "2");
    world.wait_for_change("a", "name", "2").await;
    assert_eq!(replica.get(id).await.state, "active");
    // Trouble that lasts.
    for _ in 0..60 {
        world.acme.fault("/search", Fault::Status(500));
    }
    let failing = replica.wait_for_state(id, "error").await;
    assert_eq!(failing.reason, "vendor_unavailable");
    assert!(!failing.next_step.is_empty());
    let run = |run: &SyncRunFinished| run.error.as_deref() == Some("vendor_unavailable");
    world.wait_for("the failed run", kind::SYNC_RUN_FINISHED, run).await;
    world.acme.lock().faults.clear();
    replica.wait_for_state(id, "active").await;
    let changed: Vec<ConnectionChanged> = world.all(kind::CONNECTION_CHANGED);
    let states: Vec<_> = changed.iter().map(|fact| fact.state.unwrap()).collect();
    assert!(states.starts_with(&[ConnectionState::Error]), "{states:?}");

    let ask = GetUsageRequest { connection_id: id.to_string(), minutes: 5 };
    let usage = eventually(SOON, "the usage", || async {
        let usage = replica.api.clone().get_usage(by("viewer", ask.clone())).await.unwrap().into_inner();
        let read: u64 = usage.points.iter().map(|point| point.records_read).sum();
        (read >= 2).then_some(usage)
    })
    .await;
    assert!(usage.points.iter().map(|point| point.failed).sum::<u64>() >= 3);
    assert_eq!(usage.points.iter().map(|point| point.rate_limited).sum::<u64>(), 1);
    replica.stop().await;
}

#[tokio::test]
async fn a_paused_connection_reads_nothing_and_a_manual_sync_reads_at_once() {
    let world = World::new(FAST).await;
    let mut config = world.config();
    config.poll_interval = Duration::from_secs(600);
    config.poll_interval_min = Duration::from_secs(600);
    let mut replica = world.start_with(config).await;
    let id = replica.connect(&world.acme).await;
    world.capture(id, "companies", &["name"], false).await;
    eventually(SOON, "the first poll", || async {
        replica
            .api
            .clone()
            .get_progress(about("owner", id))
            .await
            .unwrap()
            .into_inner()
            .objects
            .first()
            .and_then(|object| object.last_poll_at)
            .map(|_| ())
    })
    .await;
    world.acme.edit("companies", "a", "name", "1");
    replica.api.sync_now(about("owner", id)).await.unwrap();
    world.wait_for_change("a", "name", "1").await;
    world.wait_for("the run", kind::SYNC_RUN_FINISHED, |run: &SyncRunFinished| run.run == "manual").await;

    replica.api.pause(about("owner", id)).await.unwrap();
    let refused = replica.api.sync_now(about("owner", id)).await.unwrap_err();
    assert_eq!(chassis::guard::stable_code(&refused), Some("connection_state"));
    world.acme.edit("companies", "a", "name", "2");
    replica.api.resume(about("owner", id)).await.unwrap();
    world.wait_for_change("a", "name", "2").await;
    replica.stop().await;
}

#[tokio::test]
async fn a_backfill_uses_the_vendors_search_limit_and_stays_inside_it() {
    let world = World::new(SLOW).await;
    let mut replica = world.start().await;
    world.acme.seed("companies", 1_500, 3);
    world.acme.lock().latency = Duration::from_millis(50);
    let id = replica.connect(&world.acme).await;
    world.capture(id, "companies", &["name"], true).await;
    world.wait_for("the backfill", kind::BACKFILL_FINISHED, |_: &CaptureProgress| true).await;
    let calls = world.acme.calls("/search");
    let rounds = (calls.len() - 1) / 5;
    let rate = 5.0 * rounds as f64 / (calls[rounds * 5] - calls[0]).as_secs_f64();
    assert!(rounds >= 6 && rate >= 0.95 * 5.0, "{rate:.2} searches a second");
    // The exact bound is a unit test of the limiter; here calls also take their time to arrive.
    let narrowest = calls.windows(6).map(|six| six[5] - six[0]).min().unwrap();
    assert!(narrowest >= Duration::from_millis(960), "{narrowest:?}");
    replica.stop().await;
}
