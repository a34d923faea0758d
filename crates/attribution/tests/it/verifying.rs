use crate::world::{World, event, percent, world};

async fn filled() -> World {
    let world = world().await;
    let program = world.program("Spring", percent("10")).await;
    let ada = world.partner("ada", &program).await;
    for user in ["user-1", "user-2"] {
        let click = world.click(&ada).await;
        world.identify(&click, user).await;
        world.record(event(user, "100")).await;
    }
    world.assert_whole().await;
    world
}

/// Runs a statement as somebody who can reach the database, triggers off.
async fn tamper(world: &World, sql: &'static str) {
    let mut connection = world.pool.acquire().await.unwrap();
    sqlx::raw_sql("SET session_replication_role = replica").execute(&mut *connection).await.unwrap();
    let changed = sqlx::raw_sql(sql).execute(&mut *connection).await.unwrap();
    assert_eq!(changed.rows_affected(), 1, "{sql}");
    sqlx::raw_sql("SET session_replication_role = origin").execute(&mut *connection).await.unwrap();
}

#[tokio::test(flavor = "multi_thread")]
async fn a_row_that_was_changed_behind_its_back_is_found() {
    for (sql, what) in [
        (
            "UPDATE commissions SET due = 100000 WHERE id = (SELECT min(id::text)::uuid FROM commissions)",
            "commission ",
        ),
        (
            "UPDATE entries SET accrued = 5, commission_expense = -5 WHERE id = (SELECT min(id::text)::uuid FROM entries)",
            "ledger of commission ",
        ),
        ("DELETE FROM entries WHERE id = (SELECT min(id::text)::uuid FROM entries)", "ledger of commission "),
        ("UPDATE events SET value = 1 WHERE id = (SELECT min(id::text)::uuid FROM events)", "commission "),
        (
            "UPDATE entries SET currency = 'EUR' WHERE id = (SELECT min(id::text)::uuid FROM entries)",
            "balance of entry ",
        ),
        (
            "UPDATE entries SET partner = gen_random_uuid() WHERE id = (SELECT min(id::text)::uuid FROM entries)",
            "balance of entry ",
        ),
        (
            "UPDATE attributions SET numerator = 2 WHERE id = (SELECT min(id::text)::uuid FROM attributions)",
            "event ",
        ),
    ] {
        let world = filled().await;
        tamper(&world, sql).await;
        let found = world.verify().await;
        let told: Vec<&str> = found.differences.iter().map(|one| one.what.as_str()).collect();
        assert!(!found.whole && told.iter().any(|one| one.starts_with(what)), "{sql}: {told:?}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_payout_that_asks_for_something_else_than_it_took_is_found() {
    for sql in [
        "UPDATE payouts SET amount = amount + 1",
        "UPDATE payouts SET currency = 'EUR'",
        "UPDATE payouts SET partner = gen_random_uuid()",
    ] {
        let world = world().await;
        world.sold(percent("10")).await;
        let id = world.commissions().await[0].id.clone();
        world.approve(&id).await.unwrap();
        world.payouts("november").await;
        world.assert_whole().await;
        tamper(&world, sql).await;
        let found = world.verify().await;
        let is_told = found.differences.iter().any(|one| one.what.starts_with("what payout "));
        assert!(!found.whole && is_told, "{sql}: {:?}", found.differences);
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn the_database_refuses_to_change_facts_and_entries_and_an_entry_that_does_not_balance() {
    let world = filled().await;
    for sql in [
        "UPDATE entries SET accrued = accrued + 1, commission_expense = commission_expense - 1",
        "DELETE FROM entries",
        "TRUNCATE entries",
        "UPDATE clicks SET flagged = true",
        "UPDATE events SET value = 1",
        "DELETE FROM events",
        "INSERT INTO entries SELECT gen_random_uuid(), organization, kind, commission, payout, partner, currency,
             commission_expense + 1, cash, accrued, payable, reason, at FROM entries LIMIT 1",
        "INSERT INTO attributions SELECT gen_random_uuid(), organization, event, generation + 1, click, partner, program,
             model, 1, 3, ts, opened_at, closed_at FROM attributions LIMIT 1",
        // A set is never added to, neither as another beginning of it nor as more of it.
        "INSERT INTO attributions SELECT gen_random_uuid(), organization, event, generation, click, partner, program,
             model, 1, 1, ts, opened_at, closed_at, 0 FROM attributions LIMIT 1",
        "INSERT INTO attributions SELECT gen_random_uuid(), organization, event, generation, click, partner, program,
             model, 1, 1, ts, opened_at, closed_at, 1 FROM attributions LIMIT 1",
    ] {
        assert!(sqlx::raw_sql(sql).execute(&world.pool).await.is_err(), "{sql}");
    }
    world.assert_whole().await;
}
