use std::time::Duration;

use model::{
    ChangeEvent, ConnectionState, IssueCategory, Lane, SyncRunFinished, VerifiedBucket, VerifyFinished,
    VerifyProgressed, VerifyRequested, WriteOutcome, digest, kind,
};
use proto::sync as wire;

use crate::world::{SOON, World, by, text, texts};

async fn begin(world: &World) -> Vec<wire::Reconcile> {
    let ask = wire::ReconcileRequest { connection_id: world.connection.to_string() };
    world.api.clone().reconcile(by("admin", ask)).await.unwrap().into_inner().reconciles
}

async fn asked(world: &World, run: &wire::Reconcile) -> VerifyRequested {
    world
        .wait_for("the vendor to be read", kind::VERIFY_REQUESTED, |it: &VerifyRequested| {
            it.run.to_string() == run.id
        })
        .await
}

/// Has everything compared while these are all of the vendor's records.
async fn compare(world: &World, records: &[ChangeEvent]) -> wire::Reconcile {
    let begun = begin(world).await;
    let wish = asked(world, &begun[0]).await;
    read(world, &wish, records).await;
    ended(world, &begun[0]).await
}

async fn list(world: &World) -> Vec<wire::Reconcile> {
    let ask = wire::ListReconcilesRequest { connection_id: world.connection.to_string(), limit: 0 };
    world.api.clone().list_reconciles(by("viewer", ask)).await.unwrap().into_inner().reconciles
}

/// Plays the connector: these are all of the vendor's records. Gives how many buckets differ.
async fn read(world: &World, wish: &VerifyRequested, records: &[ChangeEvent]) -> u64 {
    let mut there = model::Digests::default();
    for record in records {
        there.add(&record.id, digest::digest(&record.id, &record.fields));
    }
    let differing = wish.digests.differing(&there);
    let started_at = world.later();
    let of = |bucket: usize| records.iter().filter(move |record| digest::bucket(&record.id) == bucket);
    let mut sent = 0;
    for bucket in &differing {
        let again: Vec<ChangeEvent> = of(*bucket)
            .map(|it| ChangeEvent { lane: Lane::Verify, captured_at: started_at, ..it.clone() })
            .collect();
        sent += again.len() as u64;
        world.deliver(&again).await;
        let fact = VerifiedBucket {
            run: wish.run,
            connection: world.connection,
            vendor_object: "companies".to_owned(),
            bucket: u32::try_from(*bucket).unwrap(),
            ids: of(*bucket).map(|record| record.id.clone()).collect(),
        };
        let subject = bus::subject::change(&world.organization(), "hubspot", "companies");
        world.publish(subject, kind::VERIFIED_BUCKET, &fact).await;
    }
    let fact = VerifyFinished {
        run: wish.run,
        connection: world.connection,
        vendor_object: "companies".to_owned(),
        read: records.len() as u64,
        sent,
        buckets: differing.len() as u64,
        started_at,
        at: world.later(),
    };
    let subject = bus::subject::change(&world.organization(), "hubspot", "companies");
    world.publish(subject, kind::VERIFY_FINISHED, &fact).await;
    differing.len() as u64
}

async fn ended(world: &World, run: &wire::Reconcile) -> wire::Reconcile {
    testkit::eventually(SOON, "both sides to be equal", || async {
        let ask = wire::GetReconcileRequest { id: run.id.clone() };
        let found = world.api.clone().get_reconcile(by("viewer", ask)).await.unwrap().into_inner();
        (found.state == "done").then_some(found)
    })
    .await
}

#[tokio::test(flavor = "multi_thread")]
async fn what_differs_at_either_side_is_found_by_digests_and_repaired() {
    let world = World::new().await;
    world.active("bidirectional", "newest_wins").await;
    let company = |n: &str, city: &str| {
        let name = format!("Company {n}");
        world.edited(n, &[("name", &name), ("city", city)])
    };
    let [one, two, three, four] =
        [company("1", "Bonn"), company("2", "Ulm"), company("3", "Kiel"), company("4", "Jena")];
    world.deliver(&[one.clone(), two.clone(), three.clone(), four.clone()]).await;
    for n in ["1", "2", "3", "4"] {
        world.company_with(n, "name", &format!("Company {n}")).await;
    }
    world.settled().await;
    world.clock.advance(Duration::from_secs(2 * 3_600));

    let begun = begin(&world).await;
    assert_eq!((begun.len(), begun[0].state.as_str()), (1, "wanted"));
    let again = begin(&world).await;
    assert_eq!(again[0].id, begun[0].id, "one that is at work is not begun again");
    let wish = asked(&world, &begun[0]).await;
    let all = [one.clone(), two.clone(), three.clone(), four.clone()];
    assert_eq!(read(&world, &wish, &all).await, 0, "both sides know the same");
    let equal = ended(&world, &begun[0]).await;
    assert_eq!((equal.read, equal.buckets_that_differed, equal.repaired), (4, 0, 0));
    assert!(equal.verified_at.is_some());

    // Behind every listing's back: another city, one record gone, one that never came.
    let moved = ChangeEvent { fields: texts(&[("name", "Company 2"), ("city", "Trier")]), ..two };
    let fifth = ChangeEvent { fields: texts(&[("name", "Company 5")]), id: "5".to_owned(), ..three.clone() };
    let begun = begin(&world).await;
    let wish = asked(&world, &begun[0]).await;
    let now = [one, moved, three, fifth];
    assert!(read(&world, &wish, &now).await >= 3);
    let repaired = ended(&world, &begun[0]).await;
    let mut told: Vec<(&str, &str, Vec<String>)> = repaired
        .differences
        .iter()
        .map(|it| (it.vendor_id.as_str(), it.what.as_str(), it.fields.clone()))
        .collect();
    told.sort_unstable();
    assert_eq!(
        told,
        [
            ("2", "value", vec!["address_city".to_owned()]),
            ("4", "missing_there", Vec::new()),
            ("5", "missing_here", Vec::new()),
        ]
    );
    assert_eq!(repaired.repaired, 3);
    world.company_with("2", "address_city", "Trier").await;
    world.company_with("5", "name", "Company 5").await;
    assert_eq!(world.query::<i64>("SELECT count(*) FROM links WHERE state = 'detached'").await, 1);
    let next = compare(&world, &now).await;
    assert_eq!(
        (next.read, next.buckets_that_differed, next.repaired),
        (4, 0, 0),
        "what was repaired is known"
    );
    world.settled().await;
    let said: Vec<SyncRunFinished> = world.all(kind::SYNC_RUN_FINISHED);
    let said: Vec<u64> = said.iter().filter(|it| it.run == "reconcile").map(|it| it.published).collect();
    assert_eq!(said, [0, 3, 0], "everybody is told");
}

#[tokio::test(flavor = "multi_thread")]
async fn what_never_reached_the_vendor_is_written_and_everything_is_compared_at_night() {
    let world = World::new().await;
    world.active("bidirectional", "newest_wins").await;
    let one = world.edited("1", &[("name", "One"), ("city", "Bonn")]);
    world.deliver(std::slice::from_ref(&one)).await;
    let record = world.company_with("1", "name", "One").await;
    world.settled().await;
    world.execute("UPDATE records SET cells = replace(cells::text, 'Bonn', 'Köln')::json").await;
    let begun = begin(&world).await;
    let write = world.write(0).await;
    assert_eq!(write.fields, texts(&[("city", "Köln")]));
    let wish = asked(&world, &begun[0]).await;
    read(&world, &wish, std::slice::from_ref(&one)).await;
    world.applied(&write, "1").await;
    let done = ended(&world, &begun[0]).await;
    assert_eq!((done.repaired, done.differences[0].what.as_str()), (1, "unsent"));
    assert_eq!(text(&world.get(&record.id).await, "address_city"), "Köln");

    world.clock.advance(Duration::from_secs(86_400));
    let _replica = world.start_replica().await;
    let night: VerifyRequested =
        world.wait_for("the night", kind::VERIFY_REQUESTED, |it: &VerifyRequested| it.run != wish.run).await;
    assert_eq!(night.vendor_object, "companies");
}

#[tokio::test(flavor = "multi_thread")]
async fn what_a_mapping_does_not_sync_is_no_difference() {
    let world = World::new().await;
    world.active("to_vendor", "platform_wins").await;
    let [one, two] = ["1", "2"].map(|n| world.edited(n, &[("name", n), ("city", "Bonn")]));
    world.deliver(&[one.clone(), two.clone()]).await;
    world.settled().await;
    assert_eq!(world.query::<i64>("SELECT count(*) FROM links").await, 0, "nothing comes here");
    let first = compare(&world, &[one.clone(), two.clone()]).await;
    assert_eq!((first.read, first.buckets_that_differed, first.repaired), (2, 0, 0), "in no night");

    // One is changed without a word and the other one lost: that is looked at once, and then known.
    let one = ChangeEvent { fields: texts(&[("name", "1"), ("city", "Trier")]), ..one };
    let second = compare(&world, std::slice::from_ref(&one)).await;
    assert_eq!((second.buckets_that_differed, second.repaired), (2, 0));
    let third = compare(&world, &[one]).await;
    assert_eq!((third.buckets_that_differed, third.repaired), (0, 0));
    assert!(world.writes().is_empty() && world.issues().await.is_empty());
}

#[tokio::test(flavor = "multi_thread")]
async fn a_record_that_is_edited_while_it_is_compared_is_no_difference_and_keeps_its_edit() {
    let world = World::new().await;
    world.active("bidirectional", "newest_wins").await;
    let company = |n: &str| world.edited(n, &[("name", n), ("city", "Bonn")]);
    let [one, two, three] = [company("1"), company("2"), company("3")];
    world.deliver(&[one.clone(), two.clone(), three.clone()]).await;
    let here = world.company_with("1", "name", "1").await;
    world.company_with("3", "name", "3").await;
    world.settled().await;
    world.clock.advance(Duration::from_secs(2 * 3_600));

    let begun = begin(&world).await;
    let wish = asked(&world, &begun[0]).await;
    // Edited here, after what is known was summed up; edited there, after and before the reader came by. The third one
    // is missing in the listing, but it is heard of meanwhile.
    world.edit(&here.id, &[("address_city", "Köln")]).await;
    let write = world.write(0).await;
    let newer = world.edited("2", &[("name", "2"), ("city", "Trier")]);
    let alive = world.edited("3", &[("name", "3"), ("city", "Jena")]);
    world.deliver(std::slice::from_ref(&alive)).await;
    world.company_with("3", "address_city", "Jena").await;
    assert!(read(&world, &wish, &[one, newer]).await >= 2);
    world.applied(&write, "1").await;
    let done = ended(&world, &begun[0]).await;
    assert_eq!((done.repaired, done.differences.len()), (0, 0), "{:?}", done.differences);
    assert_eq!(text(&world.get(&here.id).await, "address_city"), "Köln");
    world.company_with("2", "address_city", "Trier").await;
    assert_eq!(world.query::<i64>("SELECT count(*) FROM links WHERE state = 'linked'").await, 3);
    assert_eq!(world.writes().len(), 1);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_field_that_differs_at_both_sides_goes_by_its_policy_and_the_vendor_has_answered_before_it_is_equal()
 {
    let world = World::new().await;
    world.active("bidirectional", "platform_wins").await;
    let one = world.edited("1", &[("name", "One"), ("city", "Bonn")]);
    world.deliver(std::slice::from_ref(&one)).await;
    let record = world.company_with("1", "name", "One").await;
    world.settled().await;
    world.clock.advance(Duration::from_secs(2 * 3_600));
    let begun = begin(&world).await;
    let wish = asked(&world, &begun[0]).await;
    // Behind everybody's back: ours is Köln and theirs is Trier, where both sides had Bonn.
    world.execute("UPDATE records SET cells = replace(cells::text, 'Bonn', 'Köln')::json").await;
    let one = ChangeEvent { fields: texts(&[("name", "One"), ("city", "Trier")]), ..one };
    read(&world, &wish, &[one]).await;
    let write = world.write(0).await;
    assert_eq!(write.fields, texts(&[("city", "Köln")]));
    world.settled().await;
    assert_eq!(list(&world).await[0].state, "reading", "the vendor has not answered");
    let why = WriteOutcome::Rejected {
        category: IssueCategory::Value,
        message: "no such city".to_owned(),
        field: Some("city".to_owned()),
    };
    world.answer(&write, why).await;
    let done = ended(&world, &begun[0]).await;
    let difference = &done.differences[0];
    assert_eq!((difference.what.as_str(), &difference.fields), ("value", &vec!["address_city".to_owned()]));
    assert_eq!((difference.record_id.as_str(), difference.object.as_str()), (&*record.id, "company"));
    assert_eq!((done.repaired, done.held), (1, 1), "a record with an issue is not equal");
    assert_eq!(world.conflicts().await.len(), 1);
    assert_eq!(text(&world.get(&record.id).await, "address_city"), "Köln");
}

#[tokio::test(flavor = "multi_thread")]
async fn how_far_a_comparison_is_is_shown_and_a_connection_that_rests_is_not_compared() {
    let world = World::new().await;
    world.active("bidirectional", "newest_wins").await;
    let begun = begin(&world).await;
    let wish = asked(&world, &begun[0]).await;
    let fact = VerifyProgressed {
        run: wish.run,
        connection: world.connection,
        vendor_object: "companies".to_owned(),
        read: 200,
        total: Some(900),
        at: world.later(),
    };
    let subject = bus::subject::change(&world.organization(), "hubspot", "companies");
    world.publish(subject, kind::VERIFY_PROGRESSED, &fact).await;
    testkit::eventually(SOON, "progress", || async {
        let found = list(&world).await.remove(0);
        (found.state == "reading" && (found.read, found.total) == (200, 900)).then_some(())
    })
    .await;
    read(&world, &wish, &[]).await;
    ended(&world, &begun[0]).await;

    world.later();
    world.connection_state(world.connection, kind::CONNECTION_CHANGED, ConnectionState::Paused).await;
    let ask = wire::ReconcileRequest { connection_id: world.connection.to_string() };
    testkit::eventually(SOON, "the pause to be known", || async {
        let refused = world.api.clone().reconcile(by("admin", ask.clone())).await.err()?;
        (refused.code() == tonic::Code::FailedPrecondition).then_some(())
    })
    .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn comparing_is_for_those_who_manage_connections() {
    let world = World::new().await;
    world.active("bidirectional", "newest_wins").await;
    let ask = wire::ReconcileRequest { connection_id: world.connection.to_string() };
    let refused = world.api.clone().reconcile(by("member", ask.clone())).await.unwrap_err();
    assert_eq!(refused.code(), tonic::Code::PermissionDenied);
    let refused = world.api.clone().reconcile(by("stranger", ask)).await.unwrap_err();
    assert_eq!(refused.code(), tonic::Code::NotFound);
    let begun = begin(&world).await;
    let ask = wire::GetReconcileRequest { id: begun[0].id.clone() };
    let refused = world.api.clone().get_reconcile(by("stranger", ask)).await.unwrap_err();
    assert_eq!(refused.code(), tonic::Code::NotFound);
}
