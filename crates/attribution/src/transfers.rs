//! Has the rail move the money of payouts, and writes down what became of it. What is owed, its key and its amount were
//! committed before; the rail is asked outside of every transaction, and looked up first where it was asked before.

use std::{sync::Arc, time::Duration};

use futures::{StreamExt, stream};
use jiff::{SignedDuration, Timestamp};
use model::{Clock, LedgerEntryId, OrganizationId, PayoutId};
use sqlx::PgPool;
use tokio::time::{Instant, MissedTickBehavior, interval_at, timeout};
use tokio_util::sync::CancellationToken;
use uuid::Uuid;

use crate::{
    Error,
    domain::ledger,
    error::Refusal,
    rail::{NoAnswer, Outcome, Rail},
    store::{
        self,
        facts::Customer,
        ledger::EntryRow,
        news::News,
        payouts::{Asking, Held},
    },
    text,
    writer::{Fact, Job, Writers},
};

/// How many payouts are taken at once, and about how many of them the rail is asked at the same time.
const CHUNK: i64 = 100;
const AT_ONCE: usize = 8;
/// A rail that says nothing for so long did not answer.
const PATIENCE: Duration = Duration::from_secs(30);
/// Nobody else asks about a payout for so long.
const LEASE: SignedDuration = SignedDuration::from_secs(60);
const FIRST_PAUSE: SignedDuration = SignedDuration::from_secs(5);
const LONGEST_PAUSE: SignedDuration = SignedDuration::from_hours(1);

/// Asks the rail. Cheap to clone.
#[derive(Clone)]
pub(crate) struct Transfers {
    pub(crate) pool: PgPool,
    pub(crate) rail: Arc<dyn Rail>,
    pub(crate) writers: Writers,
    pub(crate) clock: Arc<dyn Clock>,
}

impl Transfers {
    /// Works until the shutdown.
    pub(crate) async fn run(self, seconds: u64, shutdown: CancellationToken) {
        let every = Duration::from_secs(seconds.max(1));
        let mut tick = interval_at(Instant::now(), every);
        tick.set_missed_tick_behavior(MissedTickBehavior::Delay);
        while shutdown.run_until_cancelled(tick.tick()).await.is_some() {
            match shutdown.run_until_cancelled(self.ask(None)).await {
                Some(Err(error)) => {
                    tracing::warn!(%error, "asking the payout rail failed, it is tried again")
                }
                Some(Ok(())) => {}
                None => return,
            }
        }
    }

    /// Asks about all payouts that are to be asked about now: of a run, or of any.
    pub(crate) async fn ask(&self, run: Option<Uuid>) -> Result<(), Error> {
        loop {
            let now = text::micros(self.clock.now());
            let lease = (now, now + LEASE);
            let asking = store::payouts::take_to_ask(&self.pool, self.rail.name(), run, lease, CHUNK).await?;
            if asking.is_empty() {
                return Ok(());
            }
            let mut answers = stream::iter(asking).map(|one| self.ask_about(one)).buffer_unordered(AT_ONCE);
            while let Some(answer) = answers.next().await {
                answer?;
            }
        }
    }

    async fn ask_about(&self, asking: Asking) -> Result<(), Error> {
        let Asking { transfer, asked } = &asking;
        let outcome = timeout(PATIENCE, self.outcome(&asking)).await;
        let outcome = outcome.unwrap_or_else(|_| Err(NoAnswer("it did not answer in time".to_owned())));
        let now = text::micros(self.clock.now());
        let later = now + FIRST_PAUSE.saturating_mul(1 << (*asked).clamp(0, 10)).min(LONGEST_PAUSE);
        let payout = transfer.payout;
        match outcome {
            Ok(Outcome::ByHand) => store::payouts::ask_again(&self.pool, payout, None, "").await,
            Ok(Outcome::UnderWay) => store::payouts::ask_again(&self.pool, payout, Some(later), "").await,
            Ok(Outcome::Paid { reference }) => self.settle(&asking, End::paid(&reference), now).await,
            Ok(Outcome::Failed { reference, reason }) => {
                self.settle(&asking, End { is_paid: false, reference: &reference, trouble: &reason }, now)
                    .await
            }
            Err(NoAnswer(why)) => {
                tracing::warn!(%payout, rail = self.rail.name(), why, "the rail did not answer, it is asked again");
                store::payouts::ask_again(&self.pool, payout, Some(later), &cut(&why)).await
            }
        }
    }

    /// A transfer that may have been begun is looked up; it is begun again only where the rail does not know it.
    async fn outcome(&self, Asking { transfer, asked }: &Asking) -> Result<Outcome, NoAnswer> {
        if *asked > 0
            && let Some(known) = self.rail.outcome(transfer).await?
        {
            return Ok(known);
        }
        self.rail.begin(transfer).await
    }

    async fn settle(&self, asking: &Asking, end: End<'_>, now: Timestamp) -> Result<(), Error> {
        let (organization, payout) = (asking.transfer.organization, asking.transfer.payout);
        let mut tx = self.pool.begin().await?;
        let Some(held) = store::payouts::hold(&mut tx, organization, payout).await? else { return Ok(()) };
        // Another process may have heard the same.
        if held.status != PENDING {
            return Ok(());
        }
        let (reference, trouble) = (cut(end.reference), cut(end.trouble));
        let end = End { reference: &reference, trouble: &trouble, ..end };
        let customers = settle(&mut tx, (organization, payout), &held, end, now).await?;
        tx.commit().await?;
        self.derive_again(customers).await
    }

    /// Derives customers whose commissions are owed again.
    async fn derive_again(&self, customers: Vec<Customer>) -> Result<(), Error> {
        let job = |customer| Job { customers: vec![customer], fact: Fact::Nothing };
        for answer in self.writers.run_all(customers.into_iter().map(job).collect()).await? {
            answer?;
        }
        Ok(())
    }
}

/// A payout that is in transfer: its commissions cannot be reversed.
pub(crate) const PENDING: &str = "pending";

/// How a payout ended.
#[derive(Clone, Copy, Debug)]
pub(crate) struct End<'t> {
    pub(crate) is_paid: bool,
    pub(crate) reference: &'t str,
    /// Why it failed.
    pub(crate) trouble: &'t str,
}

impl<'t> End<'t> {
    /// The partner has the money.
    pub(crate) const fn paid(reference: &'t str) -> Self {
        Self { is_paid: true, reference, trouble: "" }
    }
}

/// Writes down how a pending payout ended. What failed is owed again by an entry of the ledger; the answer is the
/// customers who are to be derived after the commit, because their commissions are payable again.
pub(crate) async fn settle(
    tx: &mut sqlx::PgConnection,
    (organization, payout): (OrganizationId, PayoutId),
    held: &Held,
    end: End<'_>,
    now: Timestamp,
) -> Result<Vec<Customer>, Error> {
    store::payouts::settle(tx, payout, end, now).await?;
    if end.is_paid {
        return Ok(Vec::new());
    }
    let entry = EntryRow {
        id: LedgerEntryId::generate(now),
        organization,
        entry: ledger::payout(-held.minor),
        commission: None,
        payout: Some(payout),
        partner: held.partner,
        currency: held.currency,
        reason: "payout_failed",
    };
    let entries = &[entry];
    store::news::insert(tx, News { entries, ..News::default() }, now).await?;
    let customers = store::payouts::customers(tx, organization, payout).await?;
    store::stale::insert(tx, &customers).await?;
    Ok(customers)
}

/// Whether a person may say how a payout ended.
pub(crate) fn by_hand(held: &Held, outcome: &str) -> Result<(), Refusal> {
    if held.status != PENDING && held.status != outcome {
        let message = format!("The payout is {} already.", held.status);
        return Err(Refusal::conflict("payout_settled", message));
    }
    if held.status == PENDING && held.is_asked {
        let message = format!("The rail {:?} moves it and will say how that went.", held.rail);
        return Err(Refusal::conflict("payout_in_transfer", message));
    }
    Ok(())
}

/// What a rail says is kept as far as it fits.
fn cut(text: &str) -> String {
    text.chars().filter(|c| !c.is_control()).take(255).collect()
}
