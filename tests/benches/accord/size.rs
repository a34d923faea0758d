//! What a change costs with little and with much stored, and with one and with many organizations.

use std::time::Duration;

use anyhow::Result;
use bus::{Bus, Message};
use futures::future::try_join_all;

use crate::{
    load::Load,
    servers::Servers,
    sync::{self, Tenant},
    table::{Row, note, ratio},
};

const FEW: usize = 10_000;
const MANY: usize = 1_000_000;
const ORGANIZATIONS: usize = 1_000;
/// Organizations made at once.
const AT_ONCE: usize = 50;
/// Changes of one measurement; the best of three counts.
const CHANGES: usize = 20_000;
const RUNS: usize = 3;

/// How long the streams know a repeat by its id, and a little more.
const FORGOTTEN: Duration = Duration::from_secs(125);

pub(crate) async fn measure() -> Result<Vec<Row>> {
    let servers = Servers::start().await?;
    let bus = servers.bus("bench").await?;
    let open = sync::open(&servers).await?;
    let mut load = open.tenant().await?.load();
    fill(&servers, &bus, &mut load, FEW).await?;
    let few = cost(&servers, &bus, || load.updates(CHANGES)).await?;
    note(&format!("size: {few:?} for a change with {FEW} records"));

    let mut loads = Vec::with_capacity(ORGANIZATIONS);
    while loads.len() < ORGANIZATIONS {
        let tenants = try_join_all((0..AT_ONCE).map(|_| open.tenant())).await?;
        loads.extend(tenants.iter().map(Tenant::load));
        note(&format!("size: {} organizations", loads.len()));
    }
    let mut first = Vec::with_capacity(FEW);
    for load in &mut loads {
        first.extend(load.creations(FEW / ORGANIZATIONS)?);
    }
    bus.publish_batch(&first).await?;
    sync::finish(&servers, &bus).await?;
    settle(&servers).await?;
    let spread = cost(&servers, &bus, || {
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
    note(&format!("size: {spread:?} for a change with {ORGANIZATIONS} organizations"));

    fill(&servers, &bus, &mut load, MANY - FEW).await?;
    let many = cost(&servers, &bus, || load.updates(CHANGES)).await?;
    note(&format!("size: {many:?} for a change with {MANY} records"));
    open.close().await;
    servers.stop().await;
    let row = |what, ours: Duration, ratio| Row {
        what,
        ours: micros(ours),
        floor: micros(few),
        ratio,
        goal: "<= 120 %",
        disk: None,
    };
    let against = |ours: Duration| ratio(ours.as_secs_f64(), few.as_secs_f64());
    Ok(vec![
        row("A change with 1,000,000 records, or 10,000", many, against(many)),
        row("A change with 1,000 organizations, or one", spread, against(spread)),
    ])
}

/// Lets so many new records in, and the database settle after that.
async fn fill(servers: &Servers, bus: &Bus, load: &mut Load, records: usize) -> Result<()> {
    const STEP: usize = 10_000;
    for step in 1..=records / STEP {
        bus.publish_batch(&load.creations(STEP)?).await?;
        sync::finish(servers, bus).await?;
        if step % 10 == 0 {
            note(&format!("size: {} of {records} records", step * STEP));
        }
    }
    settle(servers).await
}

/// What the servers would do some time later anyway, they do now, so that no measurement pays for it: the database tidies
/// up, and the bus forgets by which it knows a repeat.
async fn settle(servers: &Servers) -> Result<()> {
    tokio::time::sleep(FORGOTTEN).await;
    let pool = chassis::pool(servers.postgres.url(), "sync", 1).await?;
    sqlx::query("VACUUM ANALYZE").execute(&pool).await?;
    sqlx::query("CHECKPOINT").execute(&pool).await?;
    pool.close().await;
    Ok(())
}

/// The processor time of a change, publishing and everything that follows included.
async fn cost(
    servers: &Servers,
    bus: &Bus,
    mut changes: impl FnMut() -> Result<Vec<Message>>,
) -> Result<Duration> {
    let mut best = Duration::MAX;
    for _ in 0..RUNS {
        let messages = changes()?;
        let used = servers.cpu()?;
        bus.publish_batch(&messages).await?;
        sync::finish(servers, bus).await?;
        let now = servers.cpu()?;
        note(&format!("size: {}", now.per_change_since(&used, messages.len())));
        best = best.min(now.each_since(&used, messages.len()));
    }
    Ok(best)
}

fn micros(each: Duration) -> String {
    format!("{} us", each.as_micros())
}
