//! What people did: mail from a mailbox's history to the timelines, a page of a long timeline, and how soon Slack is
//! answered.

mod clicks;
mod mail;
mod page;

use std::{collections::BTreeMap, sync::Arc};

use anyhow::{Context, Result};
use bus::{Bus, Message, subject};
use chassis::guard::Guard;
use model::{CanonicalObject, Clock, OrganizationId, RecordChanged, RecordId, SystemClock, Value, kind};

use crate::{servers::Servers, stage::Started, table::Row, vendor::Rooms};

pub(crate) async fn mail() -> Result<Vec<Row>> {
    Ok(vec![mail::measure().await?])
}

pub(crate) async fn page() -> Result<Vec<Row>> {
    page::measure().await
}

pub(crate) async fn clicks() -> Result<Vec<Row>> {
    Ok(vec![clicks::measure().await?])
}

/// A number of this name in the environment, for a run that is only to be seen to work.
fn number(name: &str, usual: usize) -> Result<usize> {
    match std::env::var(name) {
        Ok(text) => text.parse().with_context(|| format!("read {name}")),
        Err(_) => Ok(usual),
    }
}

/// Starts the crm room beside those that are there.
async fn crm(servers: &Servers, started: &Started, rooms: &Rooms) -> Result<crm::Running> {
    let deps = crm::Deps {
        bus: servers.bus("crm").await?,
        guard: Guard::new(rooms.channel.clone()),
        clock: Arc::new(SystemClock),
        shutdown: started.shutdown.clone(),
        tasks: started.tasks.clone(),
    };
    Ok(crm::start(crm::Config::new(servers.postgres.url(), "https://api.example"), deps).await?)
}

/// A record of this object that is new and has this field, as the sync-engine tells of it.
async fn tell(
    bus: &Bus,
    organization: OrganizationId,
    object: CanonicalObject,
    (field, value): (&str, String),
) -> Result<RecordId> {
    let now = SystemClock.now();
    let created = RecordChanged {
        record: RecordId::generate(now),
        object,
        version: 1,
        fields: BTreeMap::from([(field.to_owned(), Value::Text(value))]),
        before: BTreeMap::new(),
        truncated: false,
        pii: Vec::new(),
        actor: "service:bench".to_owned(),
        at: now,
        connection: None,
    };
    let place = subject::record(&organization, object.name());
    bus.publish(&Message::json(place, kind::RECORD_CREATED, "bench", organization, now, &created)?).await?;
    Ok(created.record)
}
