//! A million events of one organization are attributed by another model.

use anyhow::{Result, ensure};
use futures::{StreamExt, TryStreamExt, stream};
use proto::attribution::{ChangeModelRequest, NewEvent, RecordEventsRequest};
use tokio::time::Instant;

use super::{BATCH, Shop, open};
use crate::{
    servers::Servers,
    stage::Started,
    table::{Row, note, per_second},
};

const EVENTS: usize = 1_000_000;
/// Each has clicks of two partners, and its part of the events.
const CUSTOMERS: usize = 100_000;

pub(crate) async fn measure() -> Result<Vec<Row>> {
    let servers = Servers::start().await?;
    let started = Started::default();
    let shop = open(&servers, &started).await?;
    let began = Instant::now();
    shop.identify(0..CUSTOMERS).await?;
    shop.identify_again().await?;
    note(&format!("model: {} clicks and identifies in {:.1?}", 2 * CUSTOMERS, began.elapsed()));
    let began = Instant::now();
    shop.sell().await?;
    note(&format!("model: {:.0} events a second", per_second(EVENTS, began.elapsed())));
    let (began, before) = (Instant::now(), servers.cpu()?);
    let model = "linear".to_owned();
    let request = shop.with(ChangeModelRequest { program_id: shop.program.clone(), model })?;
    let told = shop.client.clone().change_model(request).await?.into_inner();
    let took = began.elapsed();
    ensure!(told.changed_events == EVENTS as u64, "{} events changed", told.changed_events);
    note(&format!("model: {}", servers.cpu()?.per_change_since(&before, EVENTS)));
    let began = Instant::now();
    let whole = shop.verify().await?;
    note(&format!("model: verified {whole} events in {:.1?}", began.elapsed()));
    let disk = Some(servers.sync_p50()?);
    started.stop().await;
    servers.stop().await;
    Ok(vec![Row {
        what: "Another model for 1,000,000 events",
        ours: format!("{:.0} s", took.as_secs_f64()),
        floor: String::new(),
        ratio: String::new(),
        goal: "< 60 s",
        disk,
    }])
}

impl Shop {
    /// A click of a second partner for each customer.
    async fn identify_again(&self) -> Result<()> {
        let shop = Self { links: self.links.iter().rev().cloned().collect(), ..self.clone() };
        shop.identify(0..CUSTOMERS).await
    }

    async fn sell(&self) -> Result<()> {
        let one = |batch: usize| async move {
            let event = |number: usize| NewEvent {
                user_id: format!("user-{}", number % CUSTOMERS),
                r#type: "opportunity_won".to_owned(),
                value: Some("4500.00".to_owned()),
                metadata_json: format!(r#"{{"deal_id":"D-{number}","stage":"closedwon"}}"#),
                ..NewEvent::default()
            };
            let events = (batch * BATCH..(batch + 1) * BATCH).map(event).collect();
            self.client.clone().record_events(self.with(RecordEventsRequest { events })?).await?;
            Ok::<(), anyhow::Error>(())
        };
        stream::iter(0..EVENTS / BATCH).map(one).buffer_unordered(2).try_collect().await
    }
}
