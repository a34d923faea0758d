//! The test kit keeps its promises.

use std::time::Duration;

use model::Clock;
use sqlx::Connection;
use testkit::ManualClock;

#[tokio::test]
async fn each_test_gets_an_empty_database_of_its_own() {
    let (one, two) = tokio::join!(testkit::database(), testkit::database());
    let pool = one.pool("room").await;
    sqlx::query("CREATE SCHEMA room").execute(&pool).await.expect("a schema");
    sqlx::query("CREATE TABLE items (id bigint)").execute(&pool).await.expect("a table");
    let there: i64 = sqlx::query_scalar("SELECT count(*) FROM pg_tables WHERE tablename = 'items'")
        .fetch_one(&two.pool("room").await)
        .await
        .expect("a count");
    assert_eq!(there, 0);
}

#[tokio::test]
async fn a_cluster_keeps_its_address_and_data_when_it_is_killed_and_started_again() {
    let cluster = testkit::postgres_cluster().await;
    let pool = chassis::pool(cluster.url(), "public", 2).await.expect("a pool");
    sqlx::query("CREATE TABLE kept AS SELECT 7::bigint AS n").execute(&pool).await.expect("a table");
    cluster.kill().await;
    assert!(sqlx::PgConnection::connect(cluster.url()).await.is_err());
    cluster.start().await;
    let pool = chassis::pool(cluster.url(), "public", 2).await.expect("a pool");
    let n: i64 = sqlx::query_scalar("SELECT n FROM kept").fetch_one(&pool).await.expect("the row");
    assert_eq!(n, 7);
}

#[tokio::test]
async fn nats_keeps_its_address_when_it_is_killed_and_started_again() {
    let nats = testkit::nats().await;
    let address = nats.url().rsplit('@').next().expect("an address").to_owned();
    let greets = || async { tokio::net::TcpStream::connect(&address).await.ok() };
    testkit::eventually(Duration::from_secs(1), "nats takes connections", greets).await;
    nats.kill().await;
    assert!(greets().await.is_none());
    nats.restart().await;
    testkit::eventually(Duration::from_secs(1), "nats takes connections", greets).await;
}

#[tokio::test]
#[should_panic(expected = "the sky falls: not within 50ms, waited for at crates/testkit/tests/it/main.rs")]
async fn waiting_in_vain_says_for_what_and_where() {
    testkit::eventually(Duration::from_millis(50), "the sky falls", || async { None::<()> }).await;
}

#[test]
fn a_manual_clock_stands_still_until_it_is_moved() {
    let clock = ManualClock::default();
    let copy = clock.clone();
    let before = clock.now();
    assert_eq!(clock.now(), before);
    copy.advance(Duration::from_secs(61));
    assert_eq!(clock.now().duration_since(before).as_secs(), 61);
}
