use std::{future::poll_fn, os::unix::fs::PermissionsExt, pin::pin, task::Poll, time::Duration};

use chassis::{DatabaseError, Migration, local::Postgres};
use sqlx::PgPool;

const FIRST: Migration = Migration {
    version: 1,
    name: "items",
    sql: "CREATE TABLE items (id bigint PRIMARY KEY); INSERT INTO items VALUES (1), (2);
          CREATE FUNCTION twice(n bigint) RETURNS bigint LANGUAGE sql AS $$ SELECT n * 2; $$;",
};
const SECOND: Migration = Migration {
    version: 2,
    name: "label",
    sql: "ALTER TABLE items ADD COLUMN label text NOT NULL DEFAULT ''",
};

/// A cluster with its directory; the server goes first.
struct Cluster {
    running: chassis::local::Running,
    _directory: tempfile::TempDir,
}

async fn cluster() -> Cluster {
    let directory = tempfile::tempdir().unwrap();
    std::fs::set_permissions(directory.path(), PermissionsExt::from_mode(0o755)).unwrap();
    let server = Postgres { shared_buffers_mb: 32, durable: false, ..Postgres::default() };
    let running = server.start(directory.path()).await.unwrap();
    Cluster { running, _directory: directory }
}

async fn count(pool: &PgPool, sql: &'static str) -> i64 {
    sqlx::query_scalar(sql).fetch_one(pool).await.unwrap()
}

#[tokio::test]
async fn each_room_has_its_own_schema_and_its_own_history() {
    let cluster = cluster().await;
    let one = chassis::pool(cluster.running.url(), "one", 2).await.unwrap();
    let two = chassis::pool(cluster.running.url(), "two", 2).await.unwrap();
    chassis::migrate(&one, "one", &[FIRST, SECOND]).await.unwrap();
    chassis::migrate(&two, "two", &[FIRST]).await.unwrap();
    sqlx::query("INSERT INTO items (id) VALUES (3)").execute(&two).await.unwrap();
    assert_eq!(count(&one, "SELECT count(*) FROM items").await, 2);
    assert_eq!(count(&two, "SELECT count(*) FROM items").await, 3);
    assert_eq!(count(&one, "SELECT count(*) FROM _migrations").await, 2);
    assert_eq!(count(&two, "SELECT count(*) FROM _migrations").await, 1);
    chassis::migrate(&two, "two", &[FIRST, SECOND]).await.unwrap();
    assert_eq!(count(&two, "SELECT count(*) FROM items WHERE label = ''").await, 3);
}

#[tokio::test]
async fn processes_that_migrate_at_the_same_time_wait_for_each_other() {
    let cluster = cluster().await;
    let pool = chassis::pool(cluster.running.url(), "room", 2).await.unwrap();
    let tasks: Vec<_> = (0..8)
        .map(|_| {
            let pool = pool.clone();
            tokio::spawn(async move { chassis::migrate(&pool, "room", &[FIRST, SECOND]).await })
        })
        .collect();
    for task in tasks {
        task.await.unwrap().unwrap();
    }
    assert_eq!(count(&pool, "SELECT count(*) FROM items").await, 2);
}

#[tokio::test]
async fn a_step_that_fails_leaves_nothing_and_can_be_corrected() {
    let cluster = cluster().await;
    let pool = chassis::pool(cluster.running.url(), "room", 2).await.unwrap();
    let broken = Migration { version: 2, name: "broken", sql: "CREATE TABLE half (id int); SELECT 1/0;" };
    let error = chassis::migrate(&pool, "room", &[FIRST, broken]).await.unwrap_err();
    assert!(matches!(error, DatabaseError::Migrate { schema: "room", .. }), "{error}");
    chassis::migrate(&pool, "room", &[FIRST, SECOND]).await.unwrap();
    assert_eq!(count(&pool, "SELECT count(*) FROM pg_tables WHERE tablename = 'half'").await, 0);
}

#[tokio::test]
async fn a_step_that_ran_may_not_change() {
    let cluster = cluster().await;
    let pool = chassis::pool(cluster.running.url(), "room", 2).await.unwrap();
    chassis::migrate(&pool, "room", &[FIRST]).await.unwrap();
    let changed = Migration { sql: "SELECT 1", ..FIRST };
    assert!(chassis::migrate(&pool, "room", &[changed]).await.is_err());
}

/// Polls a future at most this often, then drops it where it is.
async fn give_up_after(polls: usize, future: impl Future) {
    let (mut future, mut left) = (pin!(future), polls);
    poll_fn(|context| {
        if left == 0 {
            return Poll::Ready(());
        }
        left -= 1;
        future.as_mut().poll(context).map(|_| ())
    })
    .await;
}

#[tokio::test]
async fn a_transaction_that_is_given_up_while_it_begins_hides_nothing_that_is_written_later() {
    let cluster = cluster().await;
    let pool = chassis::pool(cluster.running.url(), "room", 1).await.unwrap();
    let elsewhere = chassis::pool(cluster.running.url(), "room", 1).await.unwrap();
    chassis::migrate(&pool, "room", &[FIRST]).await.unwrap();
    for polls in 0..12_i64 {
        give_up_after(usize::try_from(polls).unwrap(), pool.begin()).await;
        sqlx::query("INSERT INTO items (id) VALUES ($1)").bind(100 + polls).execute(&pool).await.unwrap();
        let seen = count(&elsewhere, "SELECT count(*) FROM items WHERE id >= 100").await;
        assert_eq!(seen, polls + 1, "given up after {polls} polls");
    }
}

#[tokio::test]
async fn a_pool_waits_for_a_database_that_is_still_down() {
    let Cluster { running, _directory } = cluster().await;
    let url = running.url().to_owned();
    let port = running.port();
    running.kill().await;
    let door = tokio::net::TcpListener::bind(("127.0.0.1", port)).await.unwrap();
    let waiting = tokio::spawn(async move { chassis::pool(&url, "room", 2).await });
    // As a proxy does in front of a database that is down.
    for _ in 0..3 {
        let knock = tokio::time::timeout(Duration::from_secs(20), door.accept()).await;
        drop(knock.expect("it gave up on a database that is down").unwrap());
    }
    drop(door);
    let again = Postgres { port: Some(port), durable: false, ..Postgres::default() };
    let _running = again.start(_directory.path()).await.unwrap();
    assert_eq!(count(&waiting.await.unwrap().unwrap(), "SELECT 1::bigint").await, 1);
}

#[tokio::test]
async fn a_wrong_password_fails_at_once_and_is_not_repeated_in_the_error() {
    let cluster = cluster().await;
    let url = format!("postgres://accord:hunter2@127.0.0.1:{}/accord", cluster.running.port());
    let error = tokio::time::timeout(Duration::from_secs(5), chassis::pool(&url, "room", 2)).await.unwrap();
    let error = error.unwrap_err();
    assert!(matches!(error, DatabaseError::Connect(_)), "{error}");
    assert!(!format!("{error} {error:?}").contains("hunter2"));
    let nonsense = chassis::pool("mysql://x", "room", 2).await.unwrap_err();
    assert!(matches!(nonsense, DatabaseError::Address), "{nonsense}");
}
