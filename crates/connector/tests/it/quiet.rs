//! Fields that change without moving their record's version.

use model::{CaptureProgress, ChangeEvent, Lane, SyncRunFinished, kind};
use testkit::eventually;

use crate::{
    acme::{FAST, Fault},
    world::{SOON, World},
};

/// What was told of a record's owner, in the order of telling.
fn owners(world: &World, id: &str) -> Vec<(String, Lane, i64)> {
    let of = |change: &ChangeEvent| (change.fields["owner"].to_string(), change.lane, change.version);
    world.changes().iter().filter(|change| change.id == id).map(of).collect()
}

async fn wait_for_owners(world: &World, id: &str, expected: &[&str]) {
    eventually(SOON, &format!("the owners {expected:?}"), || async {
        let told = owners(world, id);
        told.iter().map(|(owner, ..)| owner.as_str()).eq(expected.iter().copied()).then_some(())
    })
    .await;
}

#[tokio::test]
async fn a_value_that_moves_alone_is_told_and_so_is_its_way_back_across_failures_and_restarts() {
    let world = World::new(FAST).await;
    world.acme.lock().fields.push("owner".to_owned());
    world.acme.seed("companies", 30, 1);
    let own = |owner| world.acme.edit_within_the_moment("companies", "000007", "owner", owner);
    own("ann");
    let mut replica = world.start().await;
    let id = replica.connect(&world.acme).await;
    world.capture(id, "companies", &["name", "owner"], true).await;
    world.wait_for("the end", kind::BACKFILL_FINISHED, |_: &CaptureProgress| true).await;
    own("bob");
    wait_for_owners(&world, "000007", &["ann", "bob"]).await;
    world.acme.fault("/records", Fault::Status(403));
    own("ann");
    wait_for_owners(&world, "000007", &["ann", "bob", "ann"]).await;
    let run = |run: &SyncRunFinished| run.run == "quiet_sweep" && run.published == 1;
    world.wait_for("the run", kind::SYNC_RUN_FINISHED, run).await;

    replica.stop().await;
    own("eve");
    let replica = world.start().await;
    wait_for_owners(&world, "000007", &["ann", "bob", "ann", "eve"]).await;
    world.more_calls("/records", 3).await;
    world.more_calls("/search", 3).await;
    let told = owners(&world, "000007");
    assert!(
        told[1..].iter().all(|(_, lane, version)| (*lane, *version) == (Lane::Live, told[0].2)),
        "{told:?}"
    );
    assert_eq!(world.changes().len(), 33, "nothing else is told");

    // What is deleted is not looked at any more; what nobody wants is not either.
    world.acme.set_archived("companies", "000007", Some(1_000));
    eventually(SOON, "the deletion", || async {
        (world.query::<i64>("SELECT count(*) FROM quiet").await == 29).then_some(())
    })
    .await;
    world.capture(id, "companies", &["name"], false).await;
    eventually(SOON, "the end of the looks", || async {
        let before = world.acme.calls("/records").len();
        // What was deleted is listed as often as records would be looked at.
        world.more_calls("/deleted", 3).await;
        (world.acme.calls("/records").len() == before).then_some(())
    })
    .await;
    replica.stop().await;
}
