use std::time::Duration;

use futures::future::join_all;
use proto::attribution::{SettlePayoutRequest, Terms, correct_event_request::Correction};
use sqlx::{Postgres, Transaction};
use testkit::eventually;

use crate::world::{SOON, Sold, World, by_all, event, percent, world, world_that_looks_every};

fn settle(payout: &str, outcome: &str) -> SettlePayoutRequest {
    SettlePayoutRequest {
        payout_id: payout.to_owned(),
        outcome: outcome.to_owned(),
        reference: "bank-1".to_owned(),
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_commission_is_approved_by_hand_after_its_hold_period_and_paid_once() {
    let world = world().await;
    let Sold { ada, .. } = world.sold(Terms { hold_days: 14, ..percent("10") }).await;
    let id = world.commissions().await[0].id.clone();
    let refused = world.approve(&id).await.unwrap_err();
    assert_eq!((refused.code.as_str(), refused.hold_days), ("holdback_active", 14));
    world.clock.advance(Duration::from_secs(15 * 24 * 3600));
    let approved = world.approve(&id).await.unwrap();
    assert_eq!((approved.amount.as_str(), approved.reason.as_str()), ("10.00", "approved_by_hand"));
    assert_eq!(world.approve(&id).await.unwrap_err().code, "not_approvable");
    let run = world.payouts("november").await;
    assert_eq!(run.payouts[0].amount.as_ref().unwrap().amount, "10.00");
    assert_eq!(world.payouts("november").await, run);
    assert!(world.payouts("again").await.payouts.is_empty());
    assert_eq!(world.reverse(&id).await.unwrap_err().code, "commission_in_transfer");
    assert!(world.balances(&ada).await.is_empty());
    world.assert_whole().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_commission_matures_by_itself() {
    let world = world_that_looks_every(1).await;
    let Sold { ada, .. } = world.sold(Terms { hold_days: 1, ..percent("10") }).await;
    world.clock.advance(Duration::from_secs(25 * 3600));
    let approved = eventually(SOON, "the job approves it", || async {
        let found = world.commissions().await.remove(0);
        (found.status == "approved").then_some(found)
    });
    assert_eq!(approved.await.reason, "approved_at_maturity");
    assert_eq!(world.balances(&ada).await, ["payable 10.00 USD"]);
    world.assert_whole().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_payout_keeps_its_key_and_amount_over_a_restart() {
    let world = world().await;
    let Sold { ada, event: deal, .. } = world.sold(percent("10")).await;
    let id = world.commissions().await[0].id.clone();
    world.approve(&id).await.unwrap();
    let run = world.payouts("november").await;
    // The rail did not answer, the deal is worth less now, and the room ends.
    world.correct(&deal, "1", Correction::Refund("50".to_owned())).await;
    let world = world.restarted().await;
    let again = world.payouts("november").await;
    assert_eq!(again, run);
    let payout = &run.payouts[0];
    assert_eq!(payout.amount.as_ref().unwrap().amount, "10.00");
    let paid = world.client().settle_payout(by_all(settle(&payout.id, "paid"))).await.unwrap().into_inner();
    assert_eq!((paid.status.as_str(), &paid.key), ("paid", &payout.key));
    assert!(world.client().settle_payout(by_all(settle(&payout.id, "failed"))).await.is_err());
    assert_eq!(world.balances(&ada).await, ["payable -5.00 USD"], "it is taken back from the next");
    world.assert_whole().await;
    // The next deal is paid less what was paid too much.
    world.record(event("user-1", "200")).await;
    world.clock.advance(Duration::from_secs(1));
    for commission in world.commissions().await {
        let approved = world.approve(&commission.id).await;
        assert_eq!(approved.is_ok(), commission.status == "accrued", "{approved:?}");
    }
    let next = world.payouts("december").await;
    assert_eq!(next.payouts[0].amount.as_ref().unwrap().amount, "15.00");
    assert!(world.balances(&ada).await.is_empty());
    world.assert_whole().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_payout_that_failed_is_owed_again() {
    let world = world().await;
    let Sold { ada, .. } = world.sold(percent("10")).await;
    world.approve(&world.commissions().await[0].id).await.unwrap();
    let run = world.payouts("november").await;
    world.client().settle_payout(by_all(settle(&run.payouts[0].id, "failed"))).await.unwrap();
    assert_eq!(world.earned(&ada).await, ["approved 10.00 USD"]);
    assert_eq!(world.balances(&ada).await, ["payable 10.00 USD"]);
    world.assert_whole().await;
    assert_eq!(world.payouts("december").await.payouts.len(), 1);
    world.assert_whole().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_payout_that_is_made_while_its_customer_is_derived_is_not_taken_back() {
    let world = world().await;
    let Sold { ada, .. } = world.sold(percent("10")).await;
    world.approve(&world.commissions().await[0].id).await.unwrap();
    // Three wait for one table, in this order: who pays, the test, who derives the customer and has read some of what is
    // known by then. So the payout is made when the customer is half read.
    let held = held(&world).await;
    let paid = async { world.payouts("november").await };
    let between = async {
        until_waiting(&world, 1).await;
        self::held(&world).await.commit().await.unwrap();
    };
    let sold = async {
        until_waiting(&world, 2).await;
        world.record(event("user-1", "200")).await
    };
    let go = async {
        until_waiting(&world, 3).await;
        held.commit().await.unwrap();
    };
    let (run, (), _, ()) = tokio::join!(paid, between, sold, go);
    assert_eq!(run.payouts[0].amount.as_ref().unwrap().amount, "10.00");
    assert_eq!(world.balances(&ada).await, ["accrued 20.00 USD"]);
    world.assert_whole().await;
}

/// Keeps everybody from the table of attributions until it is committed.
async fn held(world: &World) -> Transaction<'static, Postgres> {
    held_table(world, "LOCK TABLE attributions IN ACCESS EXCLUSIVE MODE").await
}

async fn held_table(world: &World, lock: &'static str) -> Transaction<'static, Postgres> {
    let mut tx = world.pool.begin().await.unwrap();
    sqlx::raw_sql(lock).execute(&mut *tx).await.unwrap();
    tx
}

/// Waits until so many wait for it.
async fn until_waiting(world: &World, many: i64) {
    until_waiting_for(world, "attributions", many).await;
}

async fn until_waiting_for(world: &World, table: &'static str, many: i64) {
    let waiting = "SELECT count(*) FROM pg_locks WHERE relation = $1::regclass AND NOT granted";
    eventually(SOON, "they wait", || async {
        let found: i64 = sqlx::query_scalar(waiting).bind(table).fetch_one(&world.pool).await.unwrap();
        (found >= many).then_some(())
    })
    .await;
}

/// Whoever waits for another run has no connection in hand: the run that is waited for, and everybody else, goes on.
#[tokio::test(flavor = "multi_thread")]
async fn many_payout_runs_at_once_make_one_payout_and_keep_nobody_from_the_database() {
    let world = world().await;
    let Sold { ada, .. } = world.sold(percent("10")).await;
    world.approve(&world.commissions().await[0].id).await.unwrap();
    let held = held_table(&world, "LOCK TABLE payout_runs IN ACCESS EXCLUSIVE MODE").await;
    let keys: Vec<String> = (0..64).map(|number| format!("run-{number}")).collect();
    let runs = join_all(keys.iter().map(|key| world.payouts(key)));
    let meanwhile = async {
        until_waiting_for(&world, "payout_runs", 1).await;
        let asked = tokio::time::timeout(Duration::from_secs(5), world.commissions());
        assert_eq!(asked.await.expect("others are answered").len(), 1);
        held.commit().await.unwrap();
    };
    let (runs, ()) = tokio::join!(runs, meanwhile);
    let made: Vec<_> = runs.into_iter().flat_map(|run| run.payouts).collect();
    assert_eq!(made.len(), 1, "{made:?}");
    assert!(world.balances(&ada).await.is_empty());
    world.assert_whole().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_payout_that_many_settle_at_once_is_settled_once_and_each_is_told() {
    let world = world().await;
    let Sold { ada, .. } = world.sold(percent("10")).await;
    world.approve(&world.commissions().await[0].id).await.unwrap();
    let payout = world.payouts("november").await.payouts.remove(0).id;
    let settled = join_all((0..64).map(|_| async {
        let answer = world.client().settle_payout(by_all(settle(&payout, "paid"))).await;
        answer.map(|answer| answer.into_inner().status)
    }));
    for status in settled.await {
        assert_eq!(status.expect("an answer"), "paid");
    }
    assert!(world.balances(&ada).await.is_empty());
    world.assert_whole().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_reversed_commission_is_not_paid() {
    let world = world().await;
    let Sold { ada, .. } = world.sold(Terms { hold_days: 30, ..percent("10") }).await;
    let id = world.commissions().await[0].id.clone();
    assert_eq!(world.reverse(&id).await.unwrap().reason, "reversed_by_hand");
    assert_eq!(world.reverse(&id).await.unwrap_err().code, "not_reversible");
    assert_eq!(world.reverse("comm_1").await.unwrap_err().code, "not_found");
    assert!(world.balances(&ada).await.is_empty());
    assert!(world.payouts("november").await.payouts.is_empty());
    world.assert_whole().await;
}
