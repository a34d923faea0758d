//! Merchants are told what happened. What they are told is written down in the transaction of what happened, and sent
//! after it: nothing is told that did not happen, and nothing that happened goes untold. Each endpoint has a task of its own
//! while there is something to tell it, so that a slow one or a dead one holds up nobody else.

mod payload;
mod send;

use std::{
    collections::HashSet,
    sync::{Arc, Mutex, PoisonError},
    time::Duration,
};

use bus::Message;
use jiff::Timestamp;
use model::{Clock, OrganizationId, WebhookDeliveryId, WebhookId};
use sqlx::{PgConnection, PgPool};
use tokio::sync::{Notify, Semaphore};
use tokio_util::{sync::CancellationToken, task::TaskTracker};
use uuid::Uuid;

pub(crate) use self::{
    payload::{EVENTS, TEST, sample},
    send::{Sender, secret_scope},
};
use crate::{
    Error,
    store::{self, webhooks::NewDelivery},
    text,
};

/// How often it is looked for what is due without anybody having said so.
const EVERY: Duration = Duration::from_secs(1);
/// The most endpoints that are told something at once.
const AT_ONCE: usize = 64;

/// Writes down, in the transaction of what happened, whom to tell of it. True: there is something to send.
pub(crate) async fn enqueue(
    tx: &mut PgConnection,
    messages: &[Message],
    now: Timestamp,
) -> Result<bool, Error> {
    let told = messages.iter().filter(|message| EVENTS.contains(&message.envelope.kind.as_str()));
    let told: Vec<&Message> = told.collect();
    let organizations: HashSet<Uuid> =
        told.iter().map(|message| message.envelope.organization.uuid()).collect();
    if organizations.is_empty() {
        return Ok(false);
    }
    let organizations: Vec<Uuid> = organizations.into_iter().collect();
    let endpoints = store::webhooks::subscribed(tx, &organizations).await?;
    let mut deliveries = Vec::new();
    for message in told {
        let envelope = &message.envelope;
        let wants = |events: &[String]| events.iter().any(|event| event == "*" || *event == envelope.kind);
        for (organization, webhook, events) in &endpoints {
            if *organization == envelope.organization.uuid() && wants(events) {
                let event_id = format!("evt_{}", envelope.id);
                deliveries.push(NewDelivery {
                    id: WebhookDeliveryId::generate(now),
                    webhook: *webhook,
                    payload: payload::of(message, &event_id)?,
                    event_id,
                    event: envelope.kind.clone(),
                });
            }
        }
    }
    store::webhooks::enqueue(tx, &deliveries, now).await?;
    Ok(!deliveries.is_empty())
}

/// Says that there is something to send. Cheap to clone.
#[derive(Clone, Debug, Default)]
pub(crate) struct Bell(Arc<Notify>);

impl Bell {
    pub(crate) fn ring(&self) {
        self.0.notify_one();
    }
}

/// Sends what is due.
#[derive(Clone)]
pub(crate) struct Dispatcher {
    pub(crate) pool: PgPool,
    pub(crate) clock: Arc<dyn Clock>,
    pub(crate) sender: Sender,
    pub(crate) bell: Bell,
}

impl Dispatcher {
    /// Works until the shutdown.
    pub(crate) async fn run(self, shutdown: CancellationToken, tasks: TaskTracker) {
        let busy: Arc<Mutex<HashSet<WebhookId>>> = Arc::default();
        let free = Arc::new(Semaphore::new(AT_ONCE));
        while !shutdown.is_cancelled() {
            match self.due().await {
                Ok(due) => {
                    for webhook in due {
                        let Ok(permit) = Arc::clone(&free).try_acquire_owned() else { break };
                        if !busy.lock().unwrap_or_else(PoisonError::into_inner).insert(webhook) {
                            continue;
                        }
                        let (this, busy, shutdown) = (self.clone(), Arc::clone(&busy), shutdown.clone());
                        tasks.spawn(async move {
                            if let Err(error) = this.tell(webhook, &shutdown).await {
                                tracing::warn!(%error, %webhook, "telling an endpoint failed, it is tried again");
                            }
                            busy.lock().unwrap_or_else(PoisonError::into_inner).remove(&webhook);
                            drop(permit);
                        });
                    }
                }
                Err(error) => {
                    tracing::warn!(%error, "what to tell endpoints cannot be read, it is tried again")
                }
            }
            let rung = tokio::time::timeout(EVERY, self.bell.0.notified());
            if shutdown.run_until_cancelled(rung).await.is_none() {
                return;
            }
        }
    }

    async fn due(&self) -> Result<Vec<WebhookId>, Error> {
        let limit = i64::try_from(AT_ONCE).unwrap_or(i64::MAX) * 4;
        store::webhooks::due(&self.pool, text::micros(self.clock.now()), limit).await
    }

    /// Tells an endpoint all that is due, in its order, up to the first failure.
    async fn tell(&self, webhook: WebhookId, shutdown: &CancellationToken) -> Result<(), Error> {
        while !shutdown.is_cancelled() {
            if !self.sender.attempt(&self.pool, self.clock.as_ref(), webhook, None).await?.unwrap_or(false) {
                return Ok(());
            }
        }
        Ok(())
    }
}

/// A delivery of a sample.
pub(crate) fn test(
    webhook: WebhookId,
    organization: OrganizationId,
    event: &str,
    now: Timestamp,
) -> Result<NewDelivery, Error> {
    let id = WebhookDeliveryId::generate(now);
    let event_id = format!("evt_{}", id.uuid());
    let payload = sample(event, &event_id, organization, now)?;
    Ok(NewDelivery { id, webhook, event_id, event: event.to_owned(), payload })
}
