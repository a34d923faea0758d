use std::time::Duration;

use testkit::eventually;

use crate::{
    acme::FAST,
    world::{SOON, World, about},
};

const HELD: &str = "SELECT count(*) FROM leases WHERE holder IS NOT NULL AND expires_at > now()";
const HOLDERS: &str = "SELECT coalesce(string_agg(n::text, ',' ORDER BY n), '') FROM (
    SELECT count(*) AS n FROM leases WHERE holder IS NOT NULL AND expires_at > now() GROUP BY holder) AS counted";

#[tokio::test]
async fn one_process_takes_all_partitions_and_two_share_them() {
    let world = World::new(FAST).await;
    let mut one = world.start().await;
    eventually(SOON, "all sixteen", || async { (world.query::<i64>(HELD).await == 16).then_some(()) }).await;
    let id = one.connect(&world.acme).await;
    world.capture(id, "companies", &["name"], true).await;
    let other = world.start().await;
    eventually(SOON, "eight each", || async {
        (world.query::<String>(HOLDERS).await == "8,8").then_some(())
    })
    .await;
    world.acme.edit("companies", "a", "name", "1");
    world.wait_for_change("a", "name", "1").await;
    one.stop().await;
    eventually(SOON, "all again", || async { (world.query::<String>(HOLDERS).await == "16").then_some(()) })
        .await;
    world.acme.edit("companies", "a", "name", "2");
    world.wait_for_change("a", "name", "2").await;
    assert_eq!(world.changes().len(), 2, "moving a partition publishes nothing again");
    other.stop().await;
}

#[tokio::test]
async fn a_pause_that_ends_before_its_reader_sees_it_is_followed_by_a_reading_too() {
    let world = World::new(FAST).await;
    let mut config = world.config();
    config.poll_interval = Duration::from_secs(600);
    config.poll_interval_min = Duration::from_secs(600);
    let mut one = world.start_with(config.clone()).await;
    let mut other = world.start_with(config).await;
    eventually(SOON, "eight each", || async {
        (world.query::<String>(HOLDERS).await == "8,8").then_some(())
    })
    .await;
    let id = one.connect(&world.acme).await;
    world.acme.edit("companies", "a", "name", "1");
    world.capture(id, "companies", &["name"], true).await;
    world.wait_for_change("a", "name", "1").await;
    // One of the two does not read this connection, and the other one looks around for itself.
    for (replica, name) in [(&mut one, "2"), (&mut other, "3")] {
        replica.api.pause(about("owner", id)).await.unwrap();
        world.acme.edit("companies", "a", "name", name);
        replica.api.resume(about("owner", id)).await.unwrap();
        world.wait_for_change("a", "name", name).await;
    }
    one.stop().await;
    other.stop().await;
}

/// Waits until the process says once more that it is alive.
async fn sign_of_life(world: &World) {
    let seen_at = "SELECT max(seen_at)::text FROM replicas";
    let before: String = world.query(seen_at).await;
    eventually(SOON, "a sign of life", || async {
        (world.query::<String>(seen_at).await != before).then_some(())
    })
    .await;
}

#[tokio::test]
async fn a_process_whose_lease_was_taken_stores_no_checkpoint() {
    let world = World::new(FAST).await;
    let mut replica = world.start().await;
    let id = replica.connect(&world.acme).await;
    world.capture(id, "companies", &["name"], true).await;
    world.acme.edit("companies", "a", "name", "1");
    world.wait_for_change("a", "name", "1").await;
    let pool = world.database.pool("connector").await;
    sqlx::query("UPDATE leases SET holder = gen_random_uuid(), fence = fence + 1, expires_at = now() + interval '1 hour'")
        .execute(&pool)
        .await
        .unwrap();
    let position = "SELECT position::text FROM checkpoints WHERE lane = 'live'";
    let before: String = world.query(position).await;
    world.acme.edit("companies", "a", "name", "2");
    // After each sign of life it looks which leases it holds and lets go of the others: the second one says that it did.
    for _ in 0..2 {
        sign_of_life(&world).await;
    }
    let polls = world.acme.calls("/search").len();
    sign_of_life(&world).await;
    assert_eq!(world.acme.calls("/search").len(), polls, "the old owner reads no more");
    assert_eq!(world.query::<String>(position).await, before);
    replica.stop().await;
}

#[tokio::test]
async fn a_lease_under_which_nobody_works_is_not_kept() {
    let world = World::new(FAST).await;
    let mut replica = world.start().await;
    let id = replica.connect(&world.acme).await;
    world.capture(id, "companies", &["name"], true).await;
    world.acme.edit("companies", "a", "name", "1");
    world.wait_for_change("a", "name", "1").await;
    // As after a pause in which the leases ended here and not yet in the database.
    let fence = "SELECT min(fence) FROM leases";
    let before: i64 = world.query(fence).await;
    let pool = world.database.pool("connector").await;
    sqlx::query("UPDATE leases SET fence = fence + 1").execute(&pool).await.unwrap();
    eventually(SOON, "all partitions to be taken anew", || async {
        (world.query::<i64>(fence).await >= before + 2).then_some(())
    })
    .await;
    world.acme.edit("companies", "a", "name", "2");
    world.wait_for_change("a", "name", "2").await;
    replica.stop().await;
}
