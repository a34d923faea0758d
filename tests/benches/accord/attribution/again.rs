//! All events of one organization are attributed by another model: a million of them, unless `EVENTS` says how many, and
//! shared by all clicks, unless `MODEL` says otherwise.

use std::env;

use anyhow::{Context, Result, ensure};
use proto::attribution::ChangeModelRequest;
use tokio::time::Instant;

use super::{Shop, open, past::Past};
use crate::{
    servers::Servers,
    stage::Started,
    table::{Row, note, per_second},
};

const EVENTS: &str = "1000000";
const MODEL: &str = "linear";
/// Events of a customer.
const EACH: usize = 10;

pub(crate) async fn measure() -> Result<Vec<Row>> {
    let events = env::var("EVENTS").unwrap_or_else(|_| EVENTS.to_owned());
    let events: usize = events.parse().context("EVENTS is no number")?;
    let model = env::var("MODEL").unwrap_or_else(|_| MODEL.to_owned());
    let servers = Servers::start().await?;
    let started = Started::default();
    let shop = open(&servers, &started).await?;
    let began = Instant::now();
    Past::lay(&shop, servers.postgres.url(), events / EACH, events).await?;
    note(&format!("model: {events} events laid out in {:.1?}", began.elapsed()));
    shop.look_through("before").await?;
    let request = ChangeModelRequest { program_id: shop.program.clone(), model };
    let (began, before) = (Instant::now(), servers.cpu()?);
    let previewed = shop.client.clone().preview_model(shop.with(request.clone())?).await?.into_inner();
    let preview = began.elapsed();
    note(&format!("model: preview: {}", servers.cpu()?.per_change_since(&before, events)));
    let (began, before) = (Instant::now(), servers.cpu()?);
    let told = shop.client.clone().change_model(shop.with(request)?).await?.into_inner();
    let took = began.elapsed();
    note(&format!("model: change: {}", servers.cpu()?.per_change_since(&before, events)));
    ensure!(told.changed_events == events as u64, "{} events changed", told.changed_events);
    ensure!(told == previewed, "another difference was previewed than made");
    ensure!(told.partners.iter().any(|one| one.before != one.after), "nobody gains or loses");
    shop.look_through("after").await?;
    let disk = Some(servers.sync_p50()?);
    started.stop().await;
    servers.stop().await;
    let row = |what, ours, goal| Row { what, ours, floor: String::new(), ratio: String::new(), goal, disk };
    let (rate, seconds) = (per_second(events, took), took.as_secs_f64());
    Ok(vec![
        row(
            "Events attributed by another model",
            format!("{rate:.0}/s, {seconds:.0} s"),
            "1,000,000 in < 60 s",
        ),
        row("Their preview", format!("{:.1} s", preview.as_secs_f64()), ""),
    ])
}

impl Shop {
    /// Finds nothing that differs from the facts.
    async fn look_through(&self, when: &str) -> Result<()> {
        let began = Instant::now();
        let whole = self.verify().await?;
        note(&format!("model: verified {whole} events {when} the change in {:.1?}", began.elapsed()));
        Ok(())
    }
}
