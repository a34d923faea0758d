//! How long a plan takes over a hundred thousand records there, half of which are here already.

use std::time::Instant;

use anyhow::{Result, ensure};

use crate::{
    load::Load,
    servers::Servers,
    sync,
    table::{Row, ms, note},
};

const RECORDS: usize = 100_000;
const STEP: usize = 10_000;

pub(crate) async fn measure() -> Result<Row> {
    let servers = Servers::start().await?;
    let bus = servers.bus("bench").await?;
    let open = sync::open(&servers).await?;
    let tenant = open.tenant().await?;
    let mut here = tenant.load();
    for _ in 0..RECORDS / STEP {
        bus.publish_batch(&here.creations(STEP)?).await?;
        sync::finish(&servers, &bus).await?;
    }
    note(&format!("plan: {RECORDS} records here"));
    let other = tenant.with_another_connection();
    let mapping = other.mapping().await?;
    other.request_plan(&mapping).await?;
    let mut there = Load::new(other.organization, other.connection);
    there.skip(RECORDS / 2);
    for _ in 0..RECORDS / STEP {
        bus.publish_batch(&there.creations(STEP)?).await?;
        sync::finish(&servers, &bus).await?;
    }
    note(&format!("plan: {RECORDS} records there"));
    let began = Instant::now();
    other.all_is_read().await?;
    let plan = other.reach(&mapping, "ready").await?;
    let took = began.elapsed();
    let counts: Vec<String> =
        plan.categories.iter().map(|it| format!("{} {}", it.count, it.label.to_lowercase())).collect();
    note(&format!("plan: {}; {} vendor calls", counts.join(", "), plan.vendor_calls));
    ensure!(!plan.hash.is_empty(), "the plan has no hash");
    open.close().await;
    servers.stop().await;
    Ok(Row {
        what: "Plan of 100,000 records there, half known here",
        ours: ms(took),
        floor: String::new(),
        ratio: String::new(),
        goal: "< 10 s",
        disk: None,
    })
}
