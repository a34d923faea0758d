use std::{sync::Arc, time::Duration};

use anyhow::{Result, ensure};
use connector_m365::{Config, M365};
use model::CanonicalObject;
use sandbox::microsoft::Settings;
use serde_json::json;
use sqlx::PgPool;
use tokio::time::{Instant, sleep};

use super::{crm, number, tell};
use crate::{
    servers::Servers,
    stage::Started,
    table::{Row, note, per_second, ratio},
    vendor::{PATIENCE, Rooms, Sandbox},
};

const MAILS: usize = 100_000;
const COMPANIES: usize = 50;
/// Contacts of each company.
const CONTACTS: usize = 4;
const GOAL: f64 = 5_000.0;
const LOOK_EVERY: Duration = Duration::from_millis(50);

/// Connects a mailbox with a long history; counts until the last mail is on the timelines of whom it is with.
pub(super) async fn measure() -> Result<Row> {
    let mails = number("MAILS", MAILS)?;
    let sandbox = Sandbox::start("microsoft", json!({ "rate_limits": false })).await?;
    let domains: Vec<String> = (0..COMPANIES).map(|nth| format!("company{nth}.example")).collect();
    let contacts: Vec<String> =
        (0..COMPANIES * CONTACTS).map(|nth| format!("person{nth}@{}", domains[nth % COMPANIES])).collect();
    let wish = json!({ "count": mails, "spread_days": 365, "correspondents": contacts });
    sandbox.control("seed", &wish).await?;
    let servers = Servers::start().await?;
    let started = Started::default();
    let settings = Settings::default();
    let config = Config {
        client_id: settings.client_id,
        client_secret: settings.client_secret.into(),
        login_url: sandbox.url.clone(),
        graph_url: sandbox.url.clone(),
    };
    let m365 = Arc::new(M365::new(config).without_limits());
    let mut rooms = Rooms::open(&servers, &started, &started, m365).await?;
    let _crm = crm(&servers, &started, &rooms).await?;
    let pool = chassis::pool(servers.postgres.url(), "bench", 1).await?;
    let bus = servers.bus("bench").await?;
    for domain in &domains {
        tell(&bus, rooms.organization, CanonicalObject::Company, ("domain", domain.clone())).await?;
    }
    for contact in &contacts {
        tell(&bus, rooms.organization, CanonicalObject::Contact, ("email", contact.clone())).await?;
    }
    wait(&pool, "crm.directory", domains.len() + contacts.len()).await?;
    let began = Instant::now();
    let answers =
        [("decision", "accept".to_owned()), ("user", format!("nora.field@{}", sandbox::microsoft::DOMAIN))];
    sandbox.connect_as("m365", &mut rooms, &answers).await?;
    wait(&pool, "crm.activities", mails).await?;
    let took = began.elapsed();
    let alone: i64 = sqlx::query_scalar(
        "SELECT count(*) FROM crm.activities a WHERE NOT EXISTS (SELECT FROM crm.concerns c WHERE c.activity = a.id)",
    )
    .fetch_one(&pool)
    .await?;
    let disk = servers.sync_p50()?;
    started.stop().await;
    pool.close().await;
    servers.stop().await;
    ensure!(alone == 0, "{alone} mails are on no timeline");
    let rate = per_second(mails, took);
    note(&format!("mail: {mails} mails in {took:.1?}"));
    Ok(Row {
        what: "Mail of a history, matched and logged",
        ours: format!("{rate:.0}/s"),
        floor: format!("{GOAL:.0}/s"),
        ratio: ratio(rate, GOAL),
        goal: ">= 5,000/s",
        disk: Some(disk),
    })
}

/// Until so many rows are there.
async fn wait(pool: &PgPool, table: &'static str, rows: usize) -> Result<()> {
    let deadline = Instant::now() + PATIENCE;
    let count = match table {
        "crm.directory" => "SELECT count(*) FROM crm.directory",
        _ => "SELECT count(*) FROM crm.activities",
    };
    loop {
        let there: i64 = sqlx::query_scalar(count).fetch_one(pool).await?;
        if usize::try_from(there)? >= rows {
            return Ok(());
        }
        ensure!(Instant::now() < deadline, "{there} of {rows} rows are in {table}");
        sleep(LOOK_EVERY).await;
    }
}
