use model::{ConnectionChanged, kind};
use testkit::eventually;

use crate::{
    acme::{FAST, Fault},
    world::{SOON, World, about},
};

#[tokio::test]
async fn an_expired_token_is_renewed_once_however_many_calls_need_it() {
    let world = World::new(FAST).await;
    let mut replica = world.start().await;
    let id = replica.connect(&world.acme).await;
    world.capture(id, "companies", &["name"], true).await;
    world.capture(id, "deals", &["name"], true).await;
    world.acme.edit("companies", "a", "name", "1");
    world.wait_for_change("a", "name", "1").await;
    world.acme.hold("/search");
    eventually(SOON, "both readers' calls", || async { (world.acme.lock().held >= 2).then_some(()) }).await;
    world.acme.expire_access();
    world.acme.release();
    world.acme.edit("companies", "a", "name", "2");
    world.acme.edit("deals", "b", "name", "2");
    world.wait_for_change("a", "name", "2").await;
    world.wait_for_change("b", "name", "2").await;
    assert_eq!(world.acme.lock().refreshes, 1);
    world.wait_for("the event", kind::TOKEN_REFRESHED, |_: &ConnectionChanged| true).await;
    replica.stop().await;
}

#[tokio::test]
async fn a_token_is_renewed_before_it_ends_and_the_rotated_one_is_kept() {
    let world = World::new(FAST).await;
    let mut replica = world.start().await;
    world.acme.lock().expires_in = 1;
    let id = replica.connect(&world.acme).await;
    world.capture(id, "companies", &["name"], true).await;
    eventually(SOON, "three refreshes", || async { (world.acme.lock().refreshes >= 3).then_some(()) }).await;
    assert_eq!(replica.get(id).await.state, "active");
    replica.stop().await;
    // The newest refresh token was stored: the next process goes on with it.
    let mut next = world.start().await;
    let before = world.acme.lock().refreshes;
    eventually(SOON, "another", || async { (world.acme.lock().refreshes > before + 1).then_some(()) }).await;
    assert_eq!(next.get(id).await.state, "active");
    next.stop().await;
}

#[tokio::test]
async fn a_vendor_that_keeps_the_refresh_token_keeps_working() {
    let world = World::new(FAST).await;
    world.acme.lock().rotate = false;
    let mut replica = world.start().await;
    let id = replica.connect(&world.acme).await;
    for value in ["1", "2"] {
        world.acme.expire_access();
        replica.api.refresh_schema(about("owner", id)).await.unwrap();
        world.acme.edit("companies", "a", "name", value);
    }
    assert_eq!(world.acme.lock().refreshes, 2);
    replica.stop().await;
}

#[tokio::test]
async fn revoked_access_needs_somebody_to_connect_again_and_then_reading_goes_on() {
    let world = World::new(FAST).await;
    let mut replica = world.start().await;
    let id = replica.connect(&world.acme).await;
    world.capture(id, "companies", &["name"], true).await;
    world.acme.edit("companies", "a", "name", "1");
    world.wait_for_change("a", "name", "1").await;
    world.acme.revoke_everything();
    let stopped = replica.wait_for_state(id, "reauth_required").await;
    assert_eq!(stopped.reason, "access_revoked");
    assert!(stopped.next_step.contains("Connect Acme again"));
    world.wait_for("the event", kind::TOKEN_REFRESH_FAILED, |_: &ConnectionChanged| true).await;
    let refreshes = world.acme.lock().refreshes;
    assert_eq!(refreshes, 1, "a dead grant is not asked again and again");
    world.acme.edit("companies", "a", "name", "2");
    replica.authorize(&world.acme, &id.to_string()).await.unwrap();
    world.wait_for_change("a", "name", "2").await;
    assert_eq!(replica.get(id).await.state, "active");
    replica.stop().await;
}

#[tokio::test]
async fn a_refresh_whose_process_died_is_tried_once_more_and_then_needs_a_person() {
    let world = World::new(FAST).await;
    let mut replica = world.start().await;
    let id = replica.connect(&world.acme).await;
    replica.stop().await;
    // A process announced a refresh, the vendor rotated, and the process died before it stored the answer.
    let pool = world.database.pool("connector").await;
    sqlx::query(
        "UPDATE tokens SET intent_by = gen_random_uuid(), intent_until = now() + interval '1 second'",
    )
    .execute(&pool)
    .await
    .unwrap();
    world.acme.lock().refresh = Some("rotated, and nobody knows".into());
    world.acme.expire_access();
    let mut next = world.start().await;
    world.capture(id, "companies", &["name"], true).await;
    let stopped = next.wait_for_state(id, "reauth_required").await;
    assert_eq!(stopped.reason, "refresh_interrupted");
    assert_eq!(world.acme.lock().refreshes, 1);
    next.authorize(&world.acme, &id.to_string()).await.unwrap();
    world.acme.edit("companies", "a", "name", "1");
    world.wait_for_change("a", "name", "1").await;
    next.stop().await;
}

#[tokio::test]
async fn a_refresh_whose_answer_was_lost_says_so_when_the_vendor_had_rotated() {
    let world = World::new(FAST).await;
    let mut replica = world.start().await;
    let id = replica.connect(&world.acme).await;
    world.acme.fault("/token", Fault::ApplyThenCut);
    world.acme.expire_access();
    world.capture(id, "companies", &["name"], true).await;
    let stopped = replica.wait_for_state(id, "reauth_required").await;
    assert_eq!(stopped.reason, "refresh_interrupted");
    assert_eq!(world.acme.lock().refreshes, 2, "it is tried once more");
    replica.stop().await;
}

#[tokio::test]
async fn two_processes_that_need_a_new_token_ask_the_vendor_once() {
    let world = World::new(FAST).await;
    let (mut one, mut other) = (world.start().await, world.start().await);
    let id = one.connect(&world.acme).await;
    world.acme.hold("/schema");
    let expired = async {
        eventually(SOON, "a call of each", || async { (world.acme.lock().held == 2).then_some(()) }).await;
        world.acme.expire_access();
        world.acme.release();
    };
    let (a, b, ()) = tokio::join!(
        one.api.refresh_schema(about("owner", id)),
        other.api.refresh_schema(about("owner", id)),
        expired
    );
    a.unwrap();
    b.unwrap();
    assert_eq!(world.acme.lock().refreshes, 1);
    one.stop().await;
    other.stop().await;
}

#[tokio::test]
async fn a_refreshed_token_outlives_whoever_asked_for_it_and_a_database_that_is_away() {
    let world = World::new(FAST).await;
    let mut replica = world.start_with(world.patient()).await;
    let id = replica.connect(&world.acme).await;
    world.capture(id, "companies", &["name"], true).await;
    world.acme.edit("companies", "a", "name", "1");
    world.wait_for_change("a", "name", "1").await;
    let stored = "SELECT generation FROM tokens";
    let before: i64 = world.query(stored).await;
    // The answer takes a while, and by then the tokens cannot be stored.
    world.acme.hold("/token");
    world.acme.expire_access();
    let intent = "SELECT intent_by IS NOT NULL FROM tokens";
    eventually(SOON, "a refresh", || async { world.query::<bool>(intent).await.then_some(()) }).await;
    let pool = world.database.pool("connector").await;
    // A sequence counts what is rolled back too.
    let away = "CREATE SEQUENCE tries;
        CREATE FUNCTION away() RETURNS trigger LANGUAGE plpgsql AS
            $$BEGIN PERFORM nextval('tries'); RAISE 'away' USING ERRCODE = '57P01'; END$$;
        CREATE TRIGGER away BEFORE UPDATE ON tokens FOR EACH ROW
            WHEN (NEW.generation > OLD.generation) EXECUTE FUNCTION away()";
    sqlx::raw_sql(away).execute(&pool).await.unwrap();
    eventually(SOON, "the vendor's answer", || async { (world.acme.lock().refreshes == 1).then_some(()) })
        .await;
    // Its reader is stopped meanwhile.
    replica.api.pause(about("owner", id)).await.unwrap();
    world.acme.release();
    let tries = "SELECT last_value FROM tries";
    eventually(SOON, "further tries to store them", || async {
        (world.query::<i64>(tries).await > 2).then_some(())
    })
    .await;
    sqlx::query("DROP TRIGGER away ON tokens").execute(&pool).await.unwrap();
    eventually(SOON, "the new tokens", || async {
        (world.query::<i64>(stored).await == before + 1).then_some(())
    })
    .await;
    replica.api.resume(about("owner", id)).await.unwrap();
    world.acme.edit("companies", "a", "name", "2");
    world.wait_for_change("a", "name", "2").await;
    assert_eq!(world.acme.lock().refreshes, 1);
    replica.stop().await;
}
