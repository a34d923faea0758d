//! What is over: registrations, and what is remembered of messages.

use std::{sync::Arc, time::Duration};

use bus::{
    inbox,
    outbox::{self, Waker},
};
use jiff::SignedDuration;
use model::{Actor, Clock};
use sqlx::PgPool;
use tokio::time::{Instant, MissedTickBehavior, interval_at};
use tokio_util::sync::CancellationToken;

use crate::{
    Error,
    domain::registration::{Fact, decide},
    publisher, store, text,
};

/// What was heard is remembered for longer than any stream keeps it.
const REMEMBER: SignedDuration = SignedDuration::from_hours(24 * 40);
const FORGET_EVERY: Duration = Duration::from_secs(60 * 60);
/// How many are taken at once.
const CHUNK: i64 = 200;

/// Looks until the shutdown.
pub(crate) async fn run(
    pool: PgPool,
    waker: Waker,
    clock: Arc<dyn Clock>,
    seconds: u64,
    shutdown: CancellationToken,
) {
    let mut tick = interval_at(Instant::now(), Duration::from_secs(seconds.max(1)));
    tick.set_missed_tick_behavior(MissedTickBehavior::Delay);
    while shutdown.run_until_cancelled(tick.tick()).await.is_some() {
        match shutdown.run_until_cancelled(expire(&pool, &waker, clock.as_ref())).await {
            Some(Err(error)) => tracing::warn!(%error, "registrations could not expire, it is tried again"),
            Some(Ok(())) => {}
            None => return,
        }
    }
}

/// Forgets until the shutdown which messages were heard long ago, and what was posted of them.
pub(crate) async fn forget(pool: PgPool, clock: Arc<dyn Clock>, shutdown: CancellationToken) {
    let mut tick = interval_at(Instant::now() + FORGET_EVERY, FORGET_EVERY);
    tick.set_missed_tick_behavior(MissedTickBehavior::Delay);
    while shutdown.run_until_cancelled(tick.tick()).await.is_some() {
        let before = clock.now() - REMEMBER;
        let work = async {
            inbox::prune(&pool, before).await?;
            store::posts::forget(&pool, before).await
        };
        if let Some(Err(error)) = shutdown.run_until_cancelled(work).await {
            tracing::warn!(%error, "what was heard long ago could not be forgotten, it is tried again");
        }
    }
}

async fn expire(pool: &PgPool, waker: &Waker, clock: &dyn Clock) -> Result<(), Error> {
    let actor = Actor::Service("crm").to_string();
    loop {
        let now = text::micros(clock.now());
        let mut tx = pool.begin().await?;
        let due = store::registrations::lock_due(&mut tx, now, CHUNK).await?;
        if due.is_empty() {
            return Ok(());
        }
        let mut messages = Vec::with_capacity(due.len());
        for mut registration in due {
            let Ok(Some(standing)) = decide(&registration.standing, &Fact::TimePassed, now) else { continue };
            store::registrations::update(&mut tx, registration.id, &standing).await?;
            registration.standing = standing;
            messages.extend(publisher::registration(&registration, None, &actor, now)?);
        }
        outbox::enqueue(&mut tx, &messages).await?;
        tx.commit().await?;
        waker.wake();
    }
}
