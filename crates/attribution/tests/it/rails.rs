//! Money that a rail moves.

use std::{
    collections::{HashMap, VecDeque},
    sync::{Arc, Mutex},
    time::Duration,
};

use attribution::rail::{NoAnswer, Outcome, Rail, Transfer};
use proto::attribution::{Payout, RunPayoutsRequest, RunPayoutsResponse, SettlePayoutRequest};
use testkit::eventually;
use tokio::sync::Notify;

use crate::world::{SOON, Sold, World, by_all, percent, world_with_rail};

/// How a bank takes a transfer that it has not heard of.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Takes {
    Pays,
    Fails,
    /// It takes the order and moves the money later.
    Slowly,
    /// It does not hear of it.
    IsDown,
    /// It moves the money and says nothing.
    PaysInSilence,
    /// It moves the money and does not answer before it is let go on.
    PaysAndHangs,
}

/// A bank that does as it is told, and keeps the accounts.
#[derive(Debug, Default)]
pub(crate) struct Bank {
    plan: Mutex<VecDeque<Takes>>,
    /// What became of each key.
    book: Mutex<HashMap<String, Outcome>>,
    /// All that it was asked, as `begin` or `look up` with the key.
    asked: Mutex<Vec<String>>,
    go_on: Notify,
}

impl Bank {
    pub(crate) fn that(plan: &[Takes]) -> Arc<Self> {
        Arc::new(Self { plan: Mutex::new(plan.iter().copied().collect()), ..Self::default() })
    }

    /// How often it was asked this.
    pub(crate) fn was_asked(&self, what: &str) -> usize {
        self.asked.lock().unwrap().iter().filter(|asked| asked.starts_with(what)).count()
    }

    /// How many transfers it has in its book that moved money.
    pub(crate) fn moved(&self) -> usize {
        let book = self.book.lock().unwrap();
        book.values().filter(|outcome| matches!(outcome, Outcome::Paid { .. })).count()
    }

    /// What is under way arrives.
    fn finish(&self) {
        for outcome in self.book.lock().unwrap().values_mut() {
            *outcome = paid();
        }
    }
}

fn paid() -> Outcome {
    Outcome::Paid { reference: "bank-1".to_owned() }
}

#[tonic::async_trait]
impl Rail for Bank {
    fn name(&self) -> &'static str {
        "bank"
    }

    async fn begin(&self, transfer: &Transfer) -> Result<Outcome, NoAnswer> {
        self.asked.lock().unwrap().push(format!("begin {}", transfer.key));
        if let Some(known) = self.book.lock().unwrap().get(&transfer.key) {
            return Ok(known.clone());
        }
        let takes = self.plan.lock().unwrap().pop_front().unwrap();
        let becomes = match takes {
            Takes::IsDown => return Err(NoAnswer("it is closed".to_owned())),
            Takes::Fails => {
                Outcome::Failed { reference: "bank-0".to_owned(), reason: "no such account".to_owned() }
            }
            Takes::Slowly => Outcome::UnderWay,
            Takes::Pays | Takes::PaysInSilence | Takes::PaysAndHangs => paid(),
        };
        self.book.lock().unwrap().insert(transfer.key.clone(), becomes.clone());
        match takes {
            Takes::PaysInSilence => return Err(NoAnswer("the line was cut".to_owned())),
            Takes::PaysAndHangs => self.go_on.notified().await,
            _ => {}
        }
        Ok(becomes)
    }

    async fn outcome(&self, transfer: &Transfer) -> Result<Option<Outcome>, NoAnswer> {
        self.asked.lock().unwrap().push(format!("look up {}", transfer.key));
        Ok(self.book.lock().unwrap().get(&transfer.key).cloned())
    }
}

/// A world with a bank, a partner and a commission that is approved.
pub(crate) async fn owing(bank: &Arc<Bank>) -> (World, Sold) {
    let world = world_with_rail(Arc::<Bank>::clone(bank), 1).await;
    let sold = world.sold(percent("10")).await;
    world.approve(&world.commissions().await[0].id).await.unwrap();
    (world, sold)
}

/// The only payout, once it stands so.
pub(crate) async fn until_it_is(world: &World, status: &str) -> Payout {
    eventually(SOON, "the payout to be settled", || async {
        let found = listed(world).await.remove(0);
        (found.status == status).then_some(found)
    })
    .await
}

/// Newest first.
async fn listed(world: &World) -> Vec<Payout> {
    world.client().list_payouts(by_all(Default::default())).await.unwrap().into_inner().payouts
}

/// Of all entries; those of one moment have no order.
async fn kinds(world: &World) -> Vec<String> {
    let mut kinds = world.kinds_of_entries().await;
    kinds.sort();
    kinds
}

fn by_hand(payout: &str, outcome: &str) -> SettlePayoutRequest {
    SettlePayoutRequest { payout_id: payout.to_owned(), outcome: outcome.to_owned(), ..Default::default() }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_transfer_that_failed_is_owed_again_and_the_next_run_pays_it() {
    let bank = Bank::that(&[Takes::Fails, Takes::Pays]);
    let (world, Sold { ada, .. }) = owing(&bank).await;
    let run = world.payouts("november").await;
    assert_eq!(run.mode, "bank");
    let failed = &run.payouts[0];
    assert_eq!((failed.status.as_str(), failed.rail.as_str()), ("failed", "bank"));
    assert_eq!((failed.reference.as_str(), failed.trouble.as_str()), ("bank-0", "no such account"));
    assert_eq!(world.earned(&ada).await, ["approved 10.00 USD"], "it may be paid again, or reversed");
    assert_eq!(world.balances(&ada).await, ["payable 10.00 USD"]);
    assert_eq!(world.payouts("november").await, run, "a repeat pays nothing");
    let next = world.payouts("december").await;
    assert_eq!((next.payouts[0].status.as_str(), next.payouts[0].reference.as_str()), ("paid", "bank-1"));
    assert_ne!(next.payouts[0].key, failed.key);
    assert!(world.balances(&ada).await.is_empty());
    assert_eq!(kinds(&world).await, ["accrual", "approval", "payout", "payout", "payout"]);
    assert_eq!(bank.moved(), 1);
    world.assert_whole().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_rail_that_is_down_is_asked_again_with_the_same_key_and_nobody_settles_it_meanwhile() {
    let bank = Bank::that(&[Takes::IsDown, Takes::Slowly]);
    let (world, _) = owing(&bank).await;
    let commission = world.commissions().await[0].id.clone();
    let payout = world.payouts("november").await.payouts.remove(0);
    assert_eq!((payout.status.as_str(), payout.trouble.as_str()), ("pending", "it is closed"));
    assert_eq!(world.reverse(&commission).await.unwrap_err().code, "commission_in_transfer");
    let refused = world.client().settle_payout(by_all(by_hand(&payout.id, "failed"))).await.unwrap_err();
    assert_eq!(chassis::guard::stable_code(&refused), Some("payout_in_transfer"));
    assert_eq!(bank.was_asked("begin"), 1, "not before its time");
    world.clock.advance(Duration::from_secs(6));
    eventually(SOON, "the bank to be asked again", || async { (bank.was_asked("begin") == 2).then_some(()) })
        .await;
    eventually(SOON, "what it said to be forgotten", || async {
        listed(&world).await[0].trouble.is_empty().then_some(())
    })
    .await;
    assert_eq!(listed(&world).await[0].status, "pending", "it is under way");
    bank.finish();
    world.clock.advance(Duration::from_secs(60));
    assert_eq!(until_it_is(&world, "paid").await.key, payout.key);
    assert_eq!(bank.was_asked("begin"), 2, "what is under way is looked up");
    world.assert_whole().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn an_outcome_that_two_processes_hear_of_counts_once() {
    let bank = Bank::that(&[Takes::PaysAndHangs]);
    let (world, Sold { ada, .. }) = owing(&bank).await;
    let run = tokio::spawn(in_november(&world));
    eventually(SOON, "the bank to be asked", || async { (bank.moved() == 1).then_some(()) }).await;
    // Whoever asks does not hear for long enough that another one asks.
    world.clock.advance(Duration::from_secs(61));
    let settled = until_it_is(&world, "paid").await;
    bank.go_on.notify_waiters();
    let heard = run.await.unwrap();
    assert_eq!(heard.payouts, [settled]);
    assert_eq!((bank.was_asked("begin"), bank.was_asked("look up")), (1, 1));
    assert_eq!(kinds(&world).await, ["accrual", "approval", "payout"]);
    assert!(world.balances(&ada).await.is_empty());
    world.assert_whole().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_crash_between_the_beginning_of_a_transfer_and_its_outcome_pays_once() {
    let bank = Bank::that(&[Takes::PaysAndHangs]);
    let (world, Sold { ada, .. }) = owing(&bank).await;
    let run = tokio::spawn(in_november(&world));
    let asked = eventually(SOON, "the bank to be asked", || async { (bank.moved() == 1).then_some(()) });
    asked.await;
    run.abort();
    world.clock.advance(Duration::from_secs(61));
    let world = world.restarted().await;
    until_it_is(&world, "paid").await;
    assert_eq!((bank.was_asked("begin"), bank.was_asked("look up"), bank.moved()), (1, 1, 1));
    assert_eq!(world.payouts("november").await.payouts.len(), 1);
    assert!(world.payouts("december").await.payouts.is_empty());
    assert!(world.balances(&ada).await.is_empty());
    world.assert_whole().await;
}

fn in_november(world: &World) -> impl Future<Output = RunPayoutsResponse> + use<> {
    let mut client = world.client();
    async move {
        let request = RunPayoutsRequest { idempotency_key: "november".to_owned(), partner_ids: Vec::new() };
        client.run_payouts(by_all(request)).await.unwrap().into_inner()
    }
}
