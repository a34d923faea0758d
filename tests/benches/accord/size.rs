//! What a change costs with little and with much stored, and with one and with many organizations.

use std::time::Duration;

use anyhow::Result;
use bus::{Bus, Message};
use futures::future::try_join_all;

use crate::{
    load::Load,
    servers::Servers,
    sync::{self, Open, Tenant},
    table::{Row, note, ratio},
};

const FEW: usize = 10_000;
const MANY: usize = 1_000_000;
const ORGANIZATIONS: usize = 1_000;
/// Organizations made at once.
const AT_ONCE: usize = 50;
/// Changes of one measurement; the best of three counts.
const CHANGES: usize = 100_000;
const RUNS: usize = 3;

/// How long the streams know a repeat by its id, and a little more.
const FORGOTTEN: Duration = Duration::from_secs(125);

pub(crate) async fn measure() -> Result<Vec<Row>> {
    let (small, large) = (Side::start().await?, Side::start().await?);
    let mut few = small.open.tenant().await?.load();
    small.fill(&mut few, FEW).await?;
    small.warm(&mut few, CHANGES).await?;

    let mut loads = large.organizations().await?;
    let spread = compare(&small, &large, &mut few, || {
        // In turn, so that every batch is of many organizations.
        let mut changes = Vec::with_capacity(CHANGES);
        for _ in 0..CHANGES / ORGANIZATIONS {
            for load in &mut loads {
                changes.extend(load.updates(1)?);
            }
        }
        Ok(changes)
    });
    let spread = spread.await?;

    let mut many = large.open.tenant().await?.load();
    large.fill(&mut many, MANY).await?;
    large.warm(&mut many, MANY).await?;
    let many = compare(&small, &large, &mut few, || many.updates(CHANGES)).await?;
    for side in [small, large] {
        side.open.close().await;
        side.servers.stop().await;
    }
    Ok(vec![
        row("A change with 1,000,000 records, or 10,000", many),
        row("A change with 1,000 organizations, or one", spread),
    ])
}

/// Servers with the rooms on them.
struct Side {
    servers: Servers,
    bus: Bus,
    open: Open,
}

impl Side {
    async fn start() -> Result<Self> {
        let servers = Servers::start().await?;
        let bus = servers.bus("bench").await?;
        let open = sync::open(&servers).await?;
        Ok(Self { servers, bus, open })
    }

    /// Lets so many new records in.
    async fn fill(&self, load: &mut Load, records: usize) -> Result<()> {
        const STEP: usize = 10_000;
        for step in 1..=records / STEP {
            self.let_in(&load.creations(STEP)?).await?;
            if step % 10 == 0 {
                note(&format!("size: {} of {records} records", step * STEP));
            }
        }
        Ok(())
    }

    /// As many organizations as are compared with one, with the records of that one among them.
    async fn organizations(&self) -> Result<Vec<Load>> {
        let mut loads = Vec::with_capacity(ORGANIZATIONS);
        while loads.len() < ORGANIZATIONS {
            let tenants = try_join_all((0..AT_ONCE).map(|_| self.open.tenant())).await?;
            loads.extend(tenants.iter().map(Tenant::load));
        }
        note(&format!("size: {ORGANIZATIONS} organizations"));
        let mut first = Vec::with_capacity(FEW);
        for load in &mut loads {
            first.extend(load.creations(FEW / ORGANIZATIONS)?);
        }
        self.let_in(&first).await?;
        self.tidy().await?;
        tokio::time::sleep(FORGOTTEN).await;
        Ok(loads)
    }

    /// Publishes changes, and waits until all that follows from them is done.
    async fn let_in(&self, changes: &[Message]) -> Result<()> {
        self.bus.publish_batch(changes).await?;
        sync::finish(&self.servers, &self.bus).await
    }

    /// The database tidies up after so many new records, as it would some time later anyway.
    async fn tidy(&self) -> Result<()> {
        let pool = chassis::pool(self.servers.postgres.url(), "sync", 1).await?;
        sqlx::query("VACUUM ANALYZE").execute(&pool).await?;
        pool.close().await;
        Ok(())
    }

    /// So many changes before any is measured, for a load that lasts: a page is logged whole when it is touched first after a
    /// checkpoint, and checkpoints come when the database makes them.
    async fn warm(&self, load: &mut Load, changes: usize) -> Result<()> {
        self.tidy().await?;
        for step in 1..=changes / CHANGES {
            self.let_in(&load.updates(CHANGES)?).await?;
            note(&format!("size: {} of {changes} changes before any is measured", step * CHANGES));
        }
        tokio::time::sleep(FORGOTTEN).await;
        Ok(())
    }

    /// How many pages PostgreSQL has logged whole so far.
    async fn whole_pages(&self) -> Result<i64> {
        let pool = chassis::pool(self.servers.postgres.url(), "sync", 1).await?;
        let pages = sqlx::query_scalar("SELECT wal_fpi FROM pg_stat_wal").fetch_one(&pool).await?;
        pool.close().await;
        Ok(pages)
    }

    /// The processor time of each of these changes, publishing and everything that follows included.
    async fn cost(&self, changes: &[Message]) -> Result<Duration> {
        let (pages, used) = (self.whole_pages().await?, self.servers.cpu()?);
        self.let_in(changes).await?;
        let (now, logged) = (self.servers.cpu()?, self.whole_pages().await? - pages);
        note(&format!("size: {}; {logged} pages logged whole", now.per_change_since(&used, changes.len())));
        Ok(now.each_since(&used, changes.len()))
    }
}

/// The best cost of a change with little, and of one with much. They take turns, so that a machine that is faster for some
/// minutes is so for both.
async fn compare(
    small: &Side,
    large: &Side,
    few: &mut Load,
    mut much: impl FnMut() -> Result<Vec<Message>>,
) -> Result<(Duration, Duration)> {
    let mut best = (Duration::MAX, Duration::MAX);
    for _ in 0..RUNS {
        best.0 = best.0.min(small.cost(&few.updates(CHANGES)?).await?);
        best.1 = best.1.min(large.cost(&much()?).await?);
    }
    note(&format!("size: {:?} for a change, {:?} with much", best.0, best.1));
    Ok(best)
}

fn row(what: &'static str, (few, much): (Duration, Duration)) -> Row {
    Row {
        what,
        ours: micros(much),
        floor: micros(few),
        ratio: ratio(much.as_secs_f64(), few.as_secs_f64()),
        goal: "<= 120 %",
        disk: None,
    }
}

fn micros(each: Duration) -> String {
    format!("{} us", each.as_micros())
}
