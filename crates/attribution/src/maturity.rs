//! What the room does by itself: it holds what partners earn in a rush, approves commissions whose hold period is over, and derives customers that were left
//! behind when a process ended.

use std::{sync::Arc, time::Duration};

use jiff::{SignedDuration, Timestamp};
use model::{Actor, Clock};
use sqlx::PgPool;
use tokio::time::{Instant, MissedTickBehavior, interval_at};
use tokio_util::sync::CancellationToken;

use crate::{
    Error,
    domain::facts::{CommissionKey, Decision, Verdict},
    store::{self, commissions::Mature, facts::NewDecision, guards::Rushed},
    text,
    writer::{Answer, Fact, Job, Writers},
};

/// How many are taken at once.
const CHUNK: i64 = 500;

/// Works until the shutdown.
pub(crate) async fn run(
    pool: PgPool,
    writers: Writers,
    clock: Arc<dyn Clock>,
    seconds: u64,
    shutdown: CancellationToken,
) {
    let every = Duration::from_secs(seconds.max(1));
    let mut tick = interval_at(Instant::now() + every, every);
    tick.set_missed_tick_behavior(MissedTickBehavior::Delay);
    if let Some(Err(error)) = shutdown.run_until_cancelled(derive_stale(&pool, &writers)).await {
        tracing::warn!(%error, "deriving what an end left behind failed, it is tried again");
    }
    while shutdown.run_until_cancelled(tick.tick()).await.is_some() {
        let work = async {
            derive_stale(&pool, &writers).await?;
            hold_rushed(&pool, &writers, clock.as_ref()).await?;
            approve_mature(&pool, &writers, clock.as_ref()).await
        };
        match shutdown.run_until_cancelled(work).await {
            Some(Err(error)) => tracing::warn!(%error, "holding or approving failed, it is tried again"),
            Some(Ok(())) => {}
            None => return,
        }
    }
}

/// Approves all commissions whose hold period is over and that nobody holds.
async fn approve_mature(pool: &PgPool, writers: &Writers, clock: &dyn Clock) -> Result<(), Error> {
    loop {
        let now = text::micros(clock.now());
        let mature = store::commissions::mature(pool, now, CHUNK).await?;
        if mature.is_empty() {
            return Ok(());
        }
        let jobs =
            mature.into_iter().map(|mature| job(mature, Verdict::Mature, String::new(), now)).collect();
        for answer in writers.run_all(jobs).await? {
            answer?;
        }
    }
}

/// Holds what partners earned in the last hour who earned by more events in it than their organization allows.
async fn hold_rushed(pool: &PgPool, writers: &Writers, clock: &dyn Clock) -> Result<(), Error> {
    loop {
        let now = text::micros(clock.now());
        let since = now.checked_sub(SignedDuration::from_hours(1)).unwrap_or(now);
        let rushed = store::guards::rushed(pool, since, CHUNK).await?;
        if rushed.is_empty() {
            return Ok(());
        }
        let hold = |rushed: Rushed| {
            let note = format!("{} events in an hour, {} are allowed", rushed.events, rushed.allowed);
            job(rushed.of, Verdict::Hold, note, now)
        };
        let mut held = 0_usize;
        for answer in writers.run_all(rushed.into_iter().map(hold).collect()).await? {
            held += usize::from(matches!(answer?, Answer::Decided(Ok(_))));
        }
        if held == 0 {
            return Ok(());
        }
    }
}

fn job(mature: Mature, verdict: fn(CommissionKey) -> Verdict, note: String, now: Timestamp) -> Job {
    let Mature { customer, key } = mature;
    let decision = NewDecision {
        organization: customer.organization,
        decision: Decision { id: text::new_id(now), at: now, verdict: verdict(key.clone()) },
        note,
        actor: Actor::Service("attribution").to_string(),
    };
    Job { customers: vec![customer], fact: Fact::DecideCommission(key, Box::new(decision)) }
}

/// Derives who is noted as stale, unless somebody is at it: what they leave behind is for the next time.
async fn derive_stale(pool: &PgPool, writers: &Writers) -> Result<(), Error> {
    while !writers.are_deriving() {
        let customers = store::stale::list(pool, CHUNK).await?;
        if customers.is_empty() {
            return Ok(());
        }
        let job = |customer| Job { customers: vec![customer], fact: Fact::Nothing };
        for answer in writers.run_all(customers.into_iter().map(job).collect()).await? {
            answer?;
        }
    }
    Ok(())
}
