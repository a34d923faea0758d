//! Comparing both sides of an object, and repairing what differs. First every link is asked whether something of ours has
//! not reached the vendor. Then the connector reads all of the vendor's records against the sums of digests that are known
//! here, and hands those out again whose bucket differs: they are merged as any change is. At last, what the vendor no
//! longer has is detached.

use std::{sync::Arc, time::Duration};

use bus::{Message, outbox, subject};
use jiff::{SignedDuration, Timestamp};
use model::{Actor, Caller, ConnectionId, Lane, MappingId, SyncRunFinished, VerifyRequested, kind};
use tokio_util::sync::CancellationToken;

use crate::{
    Error, Refusal,
    domain::{
        mapping::{Compiled, MappingState},
        sync::Gone,
    },
    engine::Engine,
    jobs, store,
    store::reconciles::{Missing, Reconcile},
    unit::{Cause, SOURCE, Scope, Unit, Wanted},
};

/// How often to look for comparisons that go on.
const LOOK_EVERY: Duration = Duration::from_secs(2);
/// Records of one transaction.
const CHUNK: usize = 200;
/// The hour of the day, in UTC, at which everything is compared.
const NIGHT: i8 = 2;
/// A comparison that has not ended by then never will.
const LONGEST: SignedDuration = SignedDuration::from_hours(12);
/// What was touched at the vendor so shortly before the comparison may be missing in a listing that lags behind.
const LISTED_BY: SignedDuration = SignedDuration::from_hours(1);

impl Engine {
    /// Wants every object of a connection compared now; gives the comparisons that follow.
    pub(crate) async fn reconcile(&self, caller: &Caller, id: ConnectionId) -> Result<Vec<Reconcile>, Error> {
        let mut tx = self.pool.begin().await?;
        own(&mut tx, caller, id).await?;
        if store::connections::state(&mut tx, id).await?.as_deref() != Some("active") {
            let text =
                "nothing can be compared while the connection does not work; resume or reconnect it first";
            return Err(Error::refused(Refusal::NotReady, "connection_inactive", text));
        }
        let (actor, now) = (caller.actor.to_string(), self.clock.now());
        store::reconciles::want(&mut tx, caller.organization, id, &actor, now).await?;
        let found = store::reconciles::list(&mut tx, caller.organization, id, 500).await?;
        tx.commit().await?;
        self.reconciles.notify_one();
        Ok(found.into_iter().filter(|it| matches!(&*it.state, "wanted" | "reading")).collect())
    }
}

/// The connection is one of the caller's.
pub(crate) async fn own(db: &mut sqlx::PgConnection, caller: &Caller, id: ConnectionId) -> Result<(), Error> {
    let found = store::connections::get(db, id).await?;
    match found.filter(|connection| connection.organization == caller.organization) {
        Some(_) => Ok(()),
        None => Err(Error::not_found("connection")),
    }
}

/// Compares what is wanted, and everything at night, until shutdown.
pub(crate) async fn run(engine: Arc<Engine>, shutdown: CancellationToken) {
    loop {
        match step(&engine).await {
            Ok(true) | Err(Error::Moved) => continue,
            Ok(false) => {}
            Err(error) => tracing::error!(%error, "a comparison of both sides failed; it is tried again"),
        }
        tokio::select! {
            () = shutdown.cancelled() => return,
            () = engine.reconciles.notified() => {}
            () = tokio::time::sleep(LOOK_EVERY) => {}
        }
    }
}

async fn step(engine: &Engine) -> Result<bool, Error> {
    Ok(begin(engine).await? || finish(engine).await?)
}

/// Wants what is due tonight, and gives up what never ended.
pub(crate) async fn nightly(engine: &Engine) -> Result<(), Error> {
    let now = engine.clock.now();
    let mut tx = engine.pool.begin().await?;
    store::reconciles::give_up(&mut tx, now - LONGEST, now).await?;
    let actor = Actor::Service(SOURCE).to_string();
    let wanted = store::reconciles::want_due(&mut tx, last_night(now), &actor, now).await?;
    tx.commit().await?;
    if wanted > 0 {
        engine.reconciles.notify_one();
    }
    Ok(())
}

/// The last time that it was the hour of the night.
fn last_night(now: Timestamp) -> Timestamp {
    let hours = i64::from(NIGHT) * 3_600;
    let since = (now.as_second() - hours).rem_euclid(86_400);
    now - SignedDuration::from_secs(since)
}

/// Checks what is here of one that is wanted, and asks for the vendor's side.
async fn begin(engine: &Engine) -> Result<bool, Error> {
    let mut tx = engine.pool.begin().await?;
    let Some(wanted) = store::reconciles::take_wanted(&mut tx).await? else { return Ok(false) };
    let mappings = active(engine, &mut tx, &wanted).await?;
    if mappings.is_empty() {
        store::reconciles::abandon(&mut tx, wanted.id, engine.clock.now()).await?;
        tx.commit().await?;
        return Ok(true);
    }
    let cause = cause(engine, &wanted);
    for mapping in &mappings {
        jobs::create_there(engine, mapping, &cause).await?;
        jobs::settle_links(engine, mapping, &cause).await?;
    }
    let ids: Vec<MappingId> = mappings.iter().map(|mapping| mapping.mapping.id).collect();
    let wish = VerifyRequested {
        run: wanted.id,
        connection: wanted.connection,
        vendor_object: wanted.vendor_object.clone(),
        digests: store::reconciles::digests(&mut tx, &ids).await?,
    };
    if store::reconciles::reading(&mut tx, wanted.id).await? {
        let subject = subject::capture(&wanted.organization, "verify_requested");
        let (kind, now) = (kind::VERIFY_REQUESTED, engine.clock.now());
        let message = Message::json(subject, kind, SOURCE, wanted.organization, now, &wish)?;
        outbox::enqueue(&mut tx, &[message.by(&wanted.actor)]).await?;
    }
    tx.commit().await?;
    engine.waker.wake();
    Ok(true)
}

/// Detaches what the vendor no longer has, and says how it ended.
async fn finish(engine: &Engine) -> Result<bool, Error> {
    let mut tx = engine.pool.begin().await?;
    let Some(read) = store::reconciles::take_read(&mut tx).await? else { return Ok(false) };
    let mappings = active(engine, &mut tx, &read).await?;
    let now = engine.clock.now();
    if mappings.is_empty() {
        store::reconciles::abandon(&mut tx, read.id, now).await?;
        tx.commit().await?;
        return Ok(true);
    }
    let ids: Vec<MappingId> = mappings.iter().map(|mapping| mapping.mapping.id).collect();
    let there = store::reconciles::there(&mut tx, read.id).await?;
    let untouched = read.started_at - LISTED_BY;
    let missing = store::reconciles::missing(&mut tx, &there, &ids, untouched).await?;
    let cause = cause(engine, &read);
    for chunk in missing.chunks(CHUNK) {
        detach(engine, &mappings, chunk, &cause).await?;
    }
    store::reconciles::forget_unsynced(&mut tx, &there, &ids).await?;
    if let Some(done) = store::reconciles::done(&mut tx, read.id, &ids, now).await? {
        let fact = SyncRunFinished {
            connection: done.connection,
            vendor: done.vendor.clone(),
            vendor_object: done.vendor_object.clone(),
            run: "reconcile".to_owned(),
            read: u64::try_from(done.read).unwrap_or_default(),
            published: u64::try_from(done.repaired).unwrap_or_default(),
            error: None,
            message: None,
            started_at: done.started_at,
            finished_at: now,
        };
        let subject = subject::sync(&done.organization, "run_finished");
        let kind = kind::SYNC_RUN_FINISHED;
        let message = Message::json(subject, kind, SOURCE, done.organization, now, &fact)?;
        outbox::enqueue(&mut tx, &[message.by(&done.actor)]).await?;
    }
    tx.commit().await?;
    engine.waker.wake();
    Ok(true)
}

async fn detach(
    engine: &Engine,
    mappings: &[Arc<Compiled>],
    missing: &[Missing],
    cause: &Arc<Cause>,
) -> Result<(), Error> {
    let mut tx = engine.pool.begin().await?;
    let now = engine.clock.now();
    let of = |missing: &Missing| mappings.iter().find(|mapping| mapping.mapping.id == missing.mapping);
    let wanted = |missing: &Missing| {
        let vendor_id = missing.vendor_id.clone();
        let mapping = Arc::clone(of(missing)?);
        Some(Wanted { mapping, vendor_id, keys: Vec::new(), external: None })
    };
    let scope = Scope { vendor_records: missing.iter().filter_map(wanted).collect(), ..Scope::default() };
    let organizations: Vec<_> = mappings.iter().map(|mapping| mapping.mapping.organization).collect();
    let loaded = engine.mappings.load(&mut tx, &organizations).await?;
    let mut unit = Unit::load(&mut tx, now, loaded, scope).await?;
    for it in missing {
        if let Some(mapping) = of(it) {
            unit.gone(mapping, &it.vendor_id, Gone { version: it.version, at: now }, cause);
        }
    }
    unit.flush(&mut tx).await?;
    tx.commit().await?;
    Ok(())
}

async fn active(
    engine: &Engine,
    tx: &mut sqlx::PgConnection,
    of: &Reconcile,
) -> Result<Vec<Arc<Compiled>>, Error> {
    let mappings = engine.mappings.load(tx, &[of.organization]).await?;
    Ok(mappings
        .of_vendor_object(of.organization, of.connection, &of.vendor_object)
        .filter(|mapping| mapping.mapping.state == MappingState::Active)
        .cloned()
        .collect())
}

fn cause(engine: &Engine, of: &Reconcile) -> Arc<Cause> {
    let now = engine.clock.now();
    Arc::new(Cause {
        id: format!("reconcile:{}", of.id),
        actor: of.actor.clone(),
        at: now,
        taken_at: now,
        lane: Some(Lane::Verify),
        vendor: Some(of.vendor.clone()),
        connection: Some(of.connection),
        traceparent: None,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_night_is_the_last_one() {
        let at = |text: &str| text.parse::<Timestamp>().unwrap();
        assert_eq!(last_night(at("2026-03-04T02:00:00Z")), at("2026-03-04T02:00:00Z"));
        assert_eq!(last_night(at("2026-03-04T01:59:59Z")), at("2026-03-03T02:00:00Z"));
        assert_eq!(last_night(at("2026-03-04T23:10:00Z")), at("2026-03-04T02:00:00Z"));
    }
}
