use audit::{Break, Fault};
use sqlx::{AssertSqlSafe, PgPool};

use crate::world::{World, world};

/// A log of ten entries, nothing running any more.
async fn ten() -> World {
    let world = world().await;
    let batch: Vec<_> = (0..10).map(|i| world.change(i)).collect();
    world.bus.publish_batch(&batch).await.unwrap();
    let replica = world.replica().await;
    world.entries(10).await;
    replica.stop().await;
    world
}

async fn run(pool: &PgPool, sql: &str) {
    // The session of a superuser who switches the triggers off.
    let sql = format!("BEGIN; SET LOCAL session_replication_role = replica; {sql}; COMMIT");
    sqlx::raw_sql(AssertSqlSafe(sql)).execute(pool).await.unwrap();
}

async fn broken(world: &World) -> Option<Break> {
    audit::verify(&world.pool, world.organization).await.unwrap().broken
}

#[tokio::test(flavor = "multi_thread")]
async fn a_change_of_any_column_is_found_at_its_entry() {
    let world = ten().await;
    assert_eq!(broken(&world).await, None);
    let columns = [
        ("occurred_at", "occurred_at + interval '1 microsecond'"),
        ("recorded_at", "recorded_at - interval '1 hour'"),
        ("connection", "NULL"),
        ("previous_hash", "hash"),
        ("hash", "decode(repeat('00', 32), 'hex')"),
        ("hash", "''"),
        ("event_id", "event_id || 'x'"),
        ("action", "'write.applied'"),
        ("actor", "'user:somebody'"),
        ("target", "target || ' '"),
        ("outcome", "'failed'"),
        ("cause", "'another'"),
        ("summary", "'nothing happened'"),
        ("details", "'{}'"),
    ];
    for (column, value) in columns {
        run(&world.pool, "CREATE TABLE kept AS SELECT * FROM entries").await;
        run(&world.pool, &format!("UPDATE entries SET {column} = {value} WHERE sequence = 6")).await;
        assert_eq!(broken(&world).await, Some(Break { at: 6, fault: Fault::Modified }), "{column}");
        run(&world.pool, "DELETE FROM entries; INSERT INTO entries SELECT * FROM kept; DROP TABLE kept")
            .await;
        assert_eq!(broken(&world).await, None, "{column}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn entries_that_are_missing_moved_or_added_are_found() {
    let world = ten().await;
    let hash = "(SELECT hash FROM entries WHERE sequence = 9)";
    let cases = [
        ("DELETE FROM entries WHERE sequence = 4".to_owned(), 4, Fault::Missing),
        ("DELETE FROM entries WHERE sequence = 1".to_owned(), 1, Fault::Missing),
        ("DELETE FROM entries WHERE sequence > 8".to_owned(), 9, Fault::Truncated),
        ("DELETE FROM entries".to_owned(), 1, Fault::Truncated),
        ("DELETE FROM heads".to_owned(), 10, Fault::HeadDiffers),
        (
            "DELETE FROM entries WHERE sequence = 10; UPDATE heads SET sequence = 9, hash = '\\x00'".to_owned(),
            9,
            Fault::HeadDiffers,
        ),
        (
            "UPDATE entries SET sequence = -sequence WHERE sequence IN (3, 4);
             UPDATE entries SET sequence = 7 + sequence WHERE sequence < 0"
                .to_owned(),
            3,
            Fault::Modified,
        ),
        (
            "INSERT INTO entries SELECT organization, 11, occurred_at, recorded_at, connection, hash, hash, 'new',
             action, actor, target, outcome, cause, summary, details FROM entries WHERE sequence = 10"
                .to_owned(),
            11,
            Fault::Modified,
        ),
    ];
    for (sql, at, fault) in cases {
        run(
            &world.pool,
            "CREATE TABLE kept AS SELECT * FROM entries; CREATE TABLE heads_kept AS SELECT * FROM heads",
        )
        .await;
        run(&world.pool, &sql).await;
        assert_eq!(broken(&world).await, Some(Break { at, fault }), "{sql}");
        run(
            &world.pool,
            "DELETE FROM entries; INSERT INTO entries SELECT * FROM kept; DROP TABLE kept;
             DELETE FROM heads; INSERT INTO heads SELECT * FROM heads_kept; DROP TABLE heads_kept",
        )
        .await;
        assert_eq!(broken(&world).await, None, "{sql}");
    }
    // Cut off at the end together with its head: only who noted the head before can tell, so it must differ.
    let noted = audit::verify(&world.pool, world.organization).await.unwrap().head;
    let cut =
        format!("UPDATE heads SET sequence = 9, hash = {hash}; DELETE FROM entries WHERE sequence = 10");
    run(&world.pool, &cut).await;
    let found = audit::verify(&world.pool, world.organization).await.unwrap();
    assert!(found.is_whole() && found.head != noted);
}

#[tokio::test(flavor = "multi_thread")]
async fn an_entry_written_anew_with_a_fitting_hash_breaks_the_link_of_the_next() {
    let world = ten().await;
    // The forger computes the hash of entry 5 as the room does.
    run(
        &world.pool,
        "CREATE FUNCTION part(t text) RETURNS bytea LANGUAGE sql AS
             $$ SELECT int4send(octet_length(convert_to(t, 'UTF8'))) || convert_to(t, 'UTF8') $$",
    )
    .await;
    let moment =
        |column: &str| format!("to_char({column} AT TIME ZONE 'UTC', 'YYYY-MM-DD\"T\"HH24:MI:SS') || 'Z'");
    let forge = format!(
        "UPDATE entries SET actor = 'user:forged' WHERE sequence = 5;
         UPDATE entries SET hash = sha256(part('accord.audit.v1') || part(sequence::text) || part(event_id) ||
           part(action) || part(actor) || part(target) || part('conn_' || replace(connection::text, '-', '')) ||
           part(outcome) || part({}) || part({}) || part(cause) || part(summary) || part(details) ||
           part(encode(previous_hash, 'hex'))) WHERE sequence = 5",
        moment("occurred_at"),
        moment("recorded_at"),
    );
    run(&world.pool, &forge).await;
    assert_eq!(broken(&world).await, Some(Break { at: 6, fault: Fault::Unlinked }));
}

#[tokio::test(flavor = "multi_thread")]
async fn the_database_itself_refuses_to_change_or_remove_entries() {
    let world = ten().await;
    for sql in [
        "UPDATE entries SET actor = 'user:x'",
        "UPDATE entries SET actor = 'user:x' WHERE sequence = 99",
        "DELETE FROM entries",
        "TRUNCATE entries",
        "DELETE FROM heads",
        "TRUNCATE heads",
        "UPDATE heads SET sequence = 3",
        "UPDATE heads SET organization = gen_random_uuid(), sequence = 100",
    ] {
        let refused = sqlx::raw_sql(sql).execute(&world.pool).await;
        let error = refused.expect_err(sql).to_string();
        assert!(error.contains("append-only"), "{sql}: {error}");
    }
    assert_eq!(broken(&world).await, None);
}

#[tokio::test(flavor = "multi_thread")]
async fn an_owner_who_is_no_superuser_has_no_right_to_change_entries() {
    let database = testkit::database().await;
    let pool = database.pool("public").await;
    let role = format!("accord_{}", uuid::Uuid::new_v4().simple());
    let name: String = sqlx::query_scalar("SELECT current_database()").fetch_one(&pool).await.unwrap();
    let sql = format!("CREATE ROLE {role} LOGIN PASSWORD 'a'; GRANT CREATE ON DATABASE {name} TO {role};");
    sqlx::raw_sql(AssertSqlSafe(sql)).execute(&pool).await.unwrap();
    let (_, address) = database.url().rsplit_once('@').unwrap();
    let own = audit::open(&audit::Config::new(format!("postgres://{role}:a@{address}"))).await.unwrap();
    for sql in
        ["UPDATE entries SET actor = 'x'", "DELETE FROM entries", "TRUNCATE entries", "DELETE FROM heads"]
    {
        let error = sqlx::raw_sql(sql).execute(&own).await.expect_err(sql).to_string();
        assert!(error.contains("permission denied"), "{sql}: {error}");
    }
    own.close().await;
}
