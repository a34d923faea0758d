use jiff::Timestamp;
use model::{ChangeEvent, ChangeKind, SyncRunFinished, kind};
use proto::sync as wire;

use crate::world::{SOON, World, by, text, texts};

async fn runs(world: &World) -> Vec<wire::Run> {
    let ask = wire::ListRunsRequest::default();
    world.api.clone().list_runs(by("viewer", ask)).await.unwrap().into_inner().runs
}

/// The newest run of this kind that has ended.
async fn run(world: &World, kind: &str) -> wire::Run {
    testkit::eventually(SOON, &format!("a run: {kind}"), || async {
        runs(world).await.into_iter().find(|run| run.kind == kind && run.state == "done")
    })
    .await
}

async fn preview(world: &World, run: &wire::Run) -> wire::UndoPreview {
    let ask = wire::RunRequest { run_id: run.id.clone() };
    world.api.clone().preview_undo(by("member", ask)).await.unwrap().into_inner()
}

async fn undo(world: &World, run: &wire::Run) -> wire::Run {
    world.later();
    let ask = wire::RunRequest { run_id: run.id.clone() };
    let begun = world.api.clone().undo_run(by("member", ask)).await.unwrap().into_inner();
    testkit::eventually(SOON, "the run is put back", || async {
        let ask = wire::RunRequest { run_id: begun.id.clone() };
        let run = world.api.clone().get_run(by("viewer", ask)).await.unwrap().into_inner();
        (run.state == "done").then_some(run)
    })
    .await
}

/// The connector read companies between these moments.
async fn polled(world: &World, started_at: Timestamp) -> wire::Run {
    ended(world, started_at, "poll", None).await
}

/// A reading of companies ended.
async fn ended(world: &World, started_at: Timestamp, run: &str, error: Option<&str>) -> wire::Run {
    let before = runs(world).await.len();
    let fact = SyncRunFinished {
        connection: world.connection,
        vendor: "hubspot".to_owned(),
        vendor_object: "companies".to_owned(),
        run: run.to_owned(),
        read: 1,
        published: 1,
        error: error.map(str::to_owned),
        message: None,
        started_at,
        finished_at: world.later(),
    };
    let subject = bus::subject::sync(&world.organization(), "run_finished");
    world.publish(subject, kind::SYNC_RUN_FINISHED, &fact).await;
    testkit::eventually(SOON, "the run to be known", || async {
        let runs = runs(world).await;
        (runs.len() > before).then(|| runs[0].clone())
    })
    .await
}

#[tokio::test(flavor = "multi_thread")]
async fn a_reading_is_put_back_where_its_values_stand_and_again_put_back() {
    let world = World::new().await;
    world.active("bidirectional", "newest_wins").await;
    let old = [("name", "One"), ("phone", "1"), ("city", "Bonn")];
    world.deliver(&[world.edited("1", &old)]).await;
    let record = world.company_with("1", "phone", "1").await;
    let started = world.later();
    world.deliver(&[world.edited("1", &[("name", "Uno"), ("phone", "2"), ("city", "Köln")])]).await;
    world.company_with("1", "phone", "2").await;
    let poll = polled(&world, started).await;
    world.edit(&record.id, &[("address_city", "Ulm")]).await;
    world.applied(&world.write(0).await, "1").await;
    world.settled().await;

    let shown = preview(&world, &poll).await;
    assert_eq!((shown.records, shown.put_back, shown.stays, shown.complete), (1, 2, 1, true));
    let city = shown.samples.iter().find(|sample| sample.field == "address_city").unwrap();
    assert_eq!(city.action, "changed_since");
    let done = undo(&world, &poll).await;
    assert_eq!((done.put_back, done.stayed, done.total, done.done), (2, 1, 1, 1));
    let back = world.get(&record.id).await;
    assert_eq!(
        (text(&back, "name"), text(&back, "phone"), text(&back, "address_city")),
        ("One".to_owned(), "1".to_owned(), "Ulm".to_owned())
    );
    let write = world.write(1).await;
    assert_eq!(write.fields, texts(&[("name", "One"), ("phone", "1")]), "the vendor gets them back too");
    world.applied(&write, "1").await;
    world.settled().await;
    let again = wire::RunRequest { run_id: poll.id.clone() };
    let refused = world.api.clone().undo_run(by("member", again.clone())).await.unwrap_err();
    assert_eq!(refused.code(), tonic::Code::FailedPrecondition);
    let refused = world.api.clone().undo_run(by("viewer", again.clone())).await.unwrap_err();
    assert_eq!(refused.code(), tonic::Code::PermissionDenied);
    let refused = world.api.clone().undo_run(by("stranger", again)).await.unwrap_err();
    assert_eq!(refused.code(), tonic::Code::NotFound);

    undo(&world, &done).await;
    let redone = world.get(&record.id).await;
    assert_eq!((text(&redone, "name"), text(&redone, "phone")), ("Uno".to_owned(), "2".to_owned()));
    assert_eq!(world.write(2).await.fields, texts(&[("name", "Uno"), ("phone", "2")]));
    testkit::eventually(SOON, "everybody to be told of both", || async {
        let said: Vec<SyncRunFinished> = world.all(kind::SYNC_RUN_FINISHED);
        (said.iter().filter(|fact| fact.run == "undo").count() == 2).then_some(())
    })
    .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn deletions_that_were_swept_are_put_back_as_are_readings_that_failed() {
    let world = World::new().await;
    let active = world.active("bidirectional", "newest_wins").await;
    let policy = wire::SetMappingRequest {
        mapping_id: active.id.clone(),
        delete_policy: Some("archive".to_owned()),
        ..wire::SetMappingRequest::default()
    };
    world.api.clone().set_mapping(by("admin", policy)).await.unwrap();
    world.activate(&active.id, 0).await;
    world.deliver(&[world.edited("1", &[("name", "One")]), world.edited("2", &[("name", "Two")])]).await;
    let (one, two) =
        (world.company_with("1", "name", "One").await, world.company_with("2", "name", "Two").await);
    let started = world.later();
    world.deliver(&[ChangeEvent { kind: ChangeKind::Deleted, ..world.edited("1", &[]) }]).await;
    testkit::eventually(SOON, "the archiving", || async { world.get(&one.id).await.archived_at.map(|_| ()) })
        .await;
    let swept = ended(&world, started, "archive_sweep", None).await;
    assert_eq!(preview(&world, &swept).await.records, 1);
    undo(&world, &swept).await;
    assert!(world.get(&one.id).await.archived_at.is_none(), "it is active again");

    let started = world.later();
    world.deliver(&[world.edited("2", &[("name", "Deux")])]).await;
    world.company_with("2", "name", "Deux").await;
    let failed = ended(&world, started, "backfill", Some("permission_missing")).await;
    assert_eq!(preview(&world, &failed).await.records, 0, "live changes are no history");
    let failed = ended(&world, started, "poll", Some("vendor_unavailable")).await;
    undo(&world, &failed).await;
    assert_eq!(text(&world.get(&two.id).await, "name"), "Two");
}

#[tokio::test(flavor = "multi_thread")]
async fn an_applied_mapping_is_put_back_and_what_it_made_is_archived() {
    let world = World::new().await;
    let ours = world.create(&[("name", "Ours"), ("domain", "same.test"), ("phone", "1")]).await;
    let mapping = world.draft().await;
    world.request_plan(&mapping.id).await;
    let one = world.edited("1", &[("name", "Theirs"), ("domain", "same.test"), ("phone", "2")]);
    let two = world.edited("2", &[("name", "New"), ("domain", "new.test")]);
    world.deliver(&[one, two]).await;
    world.backfill_finished("companies", 2).await;
    let plan = world.plan_in(&mapping.id, "ready").await;
    let ask = wire::ActivateRequest { mapping_id: mapping.id.clone(), plan_hash: plan.hash };
    world.api.clone().activate(by("admin", ask)).await.unwrap();
    world.plan_in(&mapping.id, "applied").await;
    world.settled().await;
    assert_eq!(text(&world.get(&ours.id).await, "name"), "Theirs");
    let made = world.find("company", "2").await.unwrap();

    let apply = run(&world, "apply").await;
    let shown = preview(&world, &apply).await;
    assert_eq!((shown.records, shown.put_back, shown.stays), (2, 3, 0), "{:?}", shown.samples);
    undo(&world, &apply).await;
    let back = world.get(&ours.id).await;
    assert_eq!((text(&back, "name"), text(&back, "phone")), ("Ours".to_owned(), "1".to_owned()));
    assert!(world.get(&made.id).await.archived_at.is_some());
    let writes = world.writes();
    assert_eq!(writes.last().unwrap().fields, texts(&[("name", "Ours"), ("phone", "1")]));
    assert!(
        writes.iter().all(|write| write.record.to_string() != made.id),
        "nothing is written to what was archived"
    );
    let undone = run(&world, "undo").await;
    undo(&world, &undone).await;
    assert!(world.get(&made.id).await.archived_at.is_none(), "it is active again");
    assert_eq!(text(&world.get(&ours.id).await, "name"), "Theirs");
}
