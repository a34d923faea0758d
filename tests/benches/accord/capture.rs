//! Reading a portal's history with every limit off: from the sandbox's bytes to change events on the bus.

use std::sync::Arc;

use anyhow::{Context, Result, ensure};
use connector_hubspot::{ApiVersion, HubSpot};
use sandbox::hubspot::Settings;
use serde_json::json;
use tokio::time::{Instant, timeout};

use crate::{
    load::{FIELDS, OBJECT},
    servers::Servers,
    stage::Started,
    table::{Row, note, per_second},
    up::first_backfill,
    vendor::{self, PATIENCE, Rooms, Sandbox},
};

const COMPANIES: u64 = 100_000;

pub(crate) async fn measure() -> Result<Row> {
    let sandbox = Sandbox::start("hubspot", json!({ "rate_limits": false })).await?;
    let companies = json!({ "object": OBJECT, "count": COMPANIES, "spread_days": 90 });
    sandbox.control("seed", &companies).await?;
    let servers = Servers::start().await?;
    let started = Started::default();
    let config = connector_hubspot::Config {
        client_id: "accord-sandbox-client".to_owned(),
        client_secret: "accord-sandbox-secret".into(),
        base_url: sandbox.url.clone(),
        app_url: sandbox.url.clone(),
        api_version: ApiVersion::Classic,
    };
    let hubspot = Arc::new(HubSpot::new(config).without_limits());
    let mut rooms = Rooms::open(&servers, &started, &started, hubspot).await?;
    let portal = Settings::default().portal_id.to_string();
    let answers = [("portal_id", portal), ("decision", "connect".to_owned())];
    let connection = sandbox.connect(&mut rooms, &answers).await?;
    let bus = servers.bus("bench").await?;
    let (before, began) = (servers.cpu()?, Instant::now());
    let fields = FIELDS.map(|(name, ..)| name);
    vendor::capture(&bus, rooms.organization, connection, OBJECT, &fields, true).await?;
    let read = timeout(PATIENCE, first_backfill(&bus)).await.context("wait for the history")??.read;
    let (took, used) = (began.elapsed(), servers.cpu()?.own_since(&before));
    started.stop().await;
    servers.stop().await;
    ensure!(read == COMPANIES, "{read} of {COMPANIES} companies were read");
    let count = usize::try_from(read)?;
    note(&format!("capture: {read} companies in {took:.1?}, {used:.1?} of processor time"));
    Ok(Row {
        what: "HubSpot history, no limits, per CPU-second",
        ours: format!("{:.0}/s", per_second(count, used)),
        floor: String::new(),
        ratio: String::new(),
        goal: "100,000/s is the aim",
        disk: None,
    })
}
