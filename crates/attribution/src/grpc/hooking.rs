//! Where merchants want to be told what happened.

use model::{WebhookDeliveryId, WebhookId};
use proto::attribution as wire;
use url::Url;
use vault::ExposeSecret;

use super::{Asker, Service, id};
use crate::{
    Error,
    error::Refusal,
    publisher,
    store::webhooks::{self as store, Face},
    text,
    webhooks::{EVENTS, TEST, secret_scope, test},
};

const LONGEST_LABEL: usize = 80;
const USUAL_LIMIT: u32 = 100;
const LARGEST_LIMIT: u32 = 500;
/// The most endpoints of an organization.
const MOST: usize = 50;
/// How much of a secret is shown to tell it from others.
const PREFIX: usize = 12;

fn missing() -> Refusal {
    Refusal::missing("webhook_not_found", "There is no such webhook.")
}

impl Service {
    pub(super) async fn create_webhook(
        &self,
        asker: &Asker,
        request: wire::CreateWebhookRequest,
    ) -> Result<wire::CreateWebhookResponse, Error> {
        let face = Face {
            url: self.address(&request.url)?,
            events: events(&request.events)?,
            label: text::optional("label", &request.label, LONGEST_LABEL)?,
            active: true,
        };
        let (now, organization) = (self.now(), asker.organization);
        let webhook = WebhookId::generate(now);
        let secret = text::new_secret("whsec");
        let (of, to) = (organization.to_string(), webhook.to_string());
        let sealed = self.vault.seal(&secret_scope(&of, &to), &secret);
        let sealed = sealed.map_err(|error| Error::Stored(format!("a sealed secret: {error}")))?;
        let prefix: String = secret.expose_secret().chars().take(PREFIX).collect();
        let mut tx = self.changing(organization).await?;
        store::insert(&mut tx, organization, webhook, &face, (sealed.as_bytes(), &prefix), now).await?;
        let told = publisher::settings(organization, to, "created", &asker.actor, now)?;
        bus::outbox::enqueue(&mut tx, &[told]).await?;
        let endpoint = store::find(&mut *tx, organization, webhook).await?;
        if store::subscribed(&mut tx, &[organization.uuid()]).await?.len() > MOST {
            let message = format!("At most {MOST} webhooks can be active.");
            return Err(Refusal::conflict("too_many_webhooks", message).into());
        }
        self.commit(tx).await?;
        Ok(wire::CreateWebhookResponse { endpoint, secret: secret.expose_secret().to_owned() })
    }

    pub(super) async fn update_webhook(
        &self,
        asker: &Asker,
        request: wire::UpdateWebhookRequest,
    ) -> Result<wire::WebhookEndpoint, Error> {
        let webhook: WebhookId = id("webhook_not_found", "webhook", &request.webhook_id)?;
        let organization = asker.organization;
        let mut tx = self.changing(organization).await?;
        let found = store::find(&mut *tx, organization, webhook).await?.ok_or_else(missing)?;
        let face = Face {
            url: match &request.url {
                Some(url) => self.address(url)?,
                None => found.url,
            },
            events: if request.events.is_empty() { found.events } else { events(&request.events)? },
            label: text::optional("label", &request.label.unwrap_or(found.label), LONGEST_LABEL)?,
            active: request.active.unwrap_or(found.active),
        };
        store::update(&mut tx, webhook, &face).await?;
        let told =
            publisher::settings(organization, webhook.to_string(), "changed", &asker.actor, self.now())?;
        bus::outbox::enqueue(&mut tx, &[told]).await?;
        let changed = store::find(&mut *tx, organization, webhook).await?;
        self.commit(tx).await?;
        self.bell.ring();
        changed.ok_or_else(|| missing().into())
    }

    pub(super) async fn delete_webhook(
        &self,
        asker: &Asker,
        request: wire::DeleteWebhookRequest,
    ) -> Result<wire::DeleteWebhookResponse, Error> {
        let webhook: WebhookId = id("webhook_not_found", "webhook", &request.webhook_id)?;
        let organization = asker.organization;
        let mut tx = self.changing(organization).await?;
        let found = store::find(&mut *tx, organization, webhook).await?.ok_or_else(missing)?;
        if request.hard {
            store::delete(&mut tx, webhook).await?;
        } else {
            let wire::WebhookEndpoint { url, events, label, .. } = found;
            store::update(&mut tx, webhook, &Face { url, events, label, active: false }).await?;
        }
        let told =
            publisher::settings(organization, webhook.to_string(), "deleted", &asker.actor, self.now())?;
        bus::outbox::enqueue(&mut tx, &[told]).await?;
        self.commit(tx).await?;
        Ok(wire::DeleteWebhookResponse {})
    }

    pub(super) async fn get_webhook(
        &self,
        asker: &Asker,
        request: wire::GetWebhookRequest,
    ) -> Result<wire::WebhookEndpoint, Error> {
        let webhook: WebhookId = id("webhook_not_found", "webhook", &request.webhook_id)?;
        store::find(&self.pool, asker.organization, webhook).await?.ok_or_else(|| missing().into())
    }

    pub(super) async fn list_webhooks(
        &self,
        asker: &Asker,
        _request: wire::ListWebhooksRequest,
    ) -> Result<wire::ListWebhooksResponse, Error> {
        let endpoints = store::list(&self.pool, asker.organization).await?;
        Ok(wire::ListWebhooksResponse { endpoints })
    }

    pub(super) async fn list_deliveries(
        &self,
        asker: &Asker,
        request: wire::ListDeliveriesRequest,
    ) -> Result<wire::ListDeliveriesResponse, Error> {
        let webhook: WebhookId = id("webhook_not_found", "webhook", &request.webhook_id)?;
        store::find(&self.pool, asker.organization, webhook).await?.ok_or_else(missing)?;
        let status = super::reading::status(&request.status, &["pending", "delivered", "failed"])?;
        let limit = super::reading::limit(request.limit, USUAL_LIMIT, LARGEST_LIMIT);
        let deliveries = store::deliveries(&self.pool, webhook, &status, i64::from(limit)).await?;
        Ok(wire::ListDeliveriesResponse { deliveries })
    }

    pub(super) async fn retry_delivery(
        &self,
        asker: &Asker,
        request: wire::RetryDeliveryRequest,
    ) -> Result<wire::WebhookDelivery, Error> {
        let webhook: WebhookId = id("webhook_not_found", "webhook", &request.webhook_id)?;
        store::find(&self.pool, asker.organization, webhook).await?.ok_or_else(missing)?;
        let delivery: WebhookDeliveryId = id("delivery_not_found", "delivery", &request.delivery_id)?;
        self.send_now(webhook, delivery).await
    }

    pub(super) async fn test_webhook(
        &self,
        asker: &Asker,
        request: wire::TestWebhookRequest,
    ) -> Result<wire::WebhookDelivery, Error> {
        let webhook: WebhookId = id("webhook_not_found", "webhook", &request.webhook_id)?;
        let found = store::find(&self.pool, asker.organization, webhook).await?.ok_or_else(missing)?;
        if !found.active {
            return Err(Refusal::conflict("endpoint_inactive", "The webhook is not active.").into());
        }
        let event = if request.event.is_empty() { TEST } else { &request.event };
        if event != TEST && !EVENTS.contains(&event) {
            return Err(unknown(event).into());
        }
        let now = self.now();
        let new = test(webhook, asker.organization, event, now)?;
        let delivery = new.id;
        let mut tx = self.pool.begin().await?;
        store::enqueue(&mut tx, &[new], now).await?;
        tx.commit().await?;
        self.send_now(webhook, delivery).await
    }

    async fn send_now(
        &self,
        webhook: WebhookId,
        delivery: WebhookDeliveryId,
    ) -> Result<wire::WebhookDelivery, Error> {
        // None: the dispatcher has it in its hands, and the answer says how it stands.
        self.sender.attempt(&self.pool, self.clock.as_ref(), webhook, Some(delivery)).await?;
        let missing = || Refusal::missing("delivery_not_found", "There is no such delivery.");
        let found = store::find_delivery(&self.pool, webhook, delivery).await?;
        found.ok_or_else(|| missing().into())
    }

    fn address(&self, text: &str) -> Result<String, Refusal> {
        let text = text::required("url", text, text::LONGEST)?;
        let url: Url =
            text.parse().map_err(|_| Refusal::invalid("url", "url_invalid", "url is no address."))?;
        match self.sender.reach().check(&url) {
            Ok(()) => Ok(text),
            Err(refused) => Err(Refusal::invalid("url", "address_refused", format!("url: {refused}."))),
        }
    }
}

fn unknown(event: &str) -> Refusal {
    let message = format!("{event:?} is no event; there are {}.", EVENTS.join(", "));
    Refusal::invalid("events", "event_unknown", message)
}

fn events(asked: &[String]) -> Result<Vec<String>, Refusal> {
    if asked.is_empty() {
        return Err(Refusal::invalid("events", "required", "events is required."));
    }
    let mut events = Vec::with_capacity(asked.len());
    for event in asked {
        if event != "*" && !EVENTS.contains(&event.as_str()) {
            return Err(unknown(event));
        }
        if !events.contains(event) {
            events.push(event.clone());
        }
    }
    Ok(events)
}
