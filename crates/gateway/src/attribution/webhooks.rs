//! Where merchants want to be told what happened.

use axum::{Json, extract::State};
use http::StatusCode;
use model::Scope;
use proto::attribution as room;
use serde::Serialize;
use serde_json::value::RawValue;
use utoipa::ToSchema;
use utoipa_axum::{router::OpenApiRouter, routes};

use super::{
    Surface,
    caller::{Body, Key, Path},
    fields::{Faults, Fields, Length},
    query::Params,
    refusal::{AttributionRefusals, Refusal},
    wire::{Done, instant, object, text},
};

const LONGEST_LABEL: usize = 80;
const MOST_EVENTS: usize = 50;

pub(super) fn router() -> OpenApiRouter<Surface> {
    OpenApiRouter::new()
        .routes(routes!(list, create))
        .routes(routes!(show, change, remove))
        .routes(routes!(deliveries))
        .routes(routes!(retry))
        .routes(routes!(test))
}

/// An address that is told what happens.
#[derive(Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
struct Endpoint {
    id: String,
    url: String,
    /// `*` for all.
    events: Vec<String>,
    label: Option<String>,
    active: bool,
    /// The first characters of the secret, to tell it from others.
    secret_prefix: String,
    created_at: Option<String>,
    last_used_at: Option<String>,
    /// How many deliveries wait.
    pending: u64,
    /// How many failed in a row.
    failures: u32,
}

impl From<room::WebhookEndpoint> for Endpoint {
    fn from(endpoint: room::WebhookEndpoint) -> Self {
        Self {
            id: endpoint.id,
            url: endpoint.url,
            events: endpoint.events,
            label: text(endpoint.label),
            active: endpoint.active,
            secret_prefix: endpoint.secret_prefix,
            created_at: instant(endpoint.created_at),
            last_used_at: instant(endpoint.last_used_at),
            pending: endpoint.pending,
            failures: endpoint.failures,
        }
    }
}

/// An endpoint.
#[derive(Serialize, ToSchema)]
struct OneEndpoint {
    endpoint: Endpoint,
}

/// All endpoints, newest first.
#[derive(Serialize, ToSchema)]
struct Endpoints {
    endpoints: Vec<Endpoint>,
}

/// A new endpoint.
#[derive(Serialize, ToSchema)]
struct NewEndpoint {
    endpoint: Endpoint,
    /// By which what is sent is signed. It is shown here and never again.
    secret: String,
}

/// Whom to tell what.
#[derive(ToSchema)]
#[expect(dead_code, reason = "describes the body to OpenAPI; it is read field by field")]
struct WantedEndpoint {
    /// A public https address.
    url: String,
    /// `attribution.created`, `attribution.replaced`, `commission.accrued`, `commission.approved`, `commission.paid`,
    /// `commission.reversed`, `commission.adjusted`, `partner.created`, `partner.activated`, `partner.revoked`, `payout.created`, or
    /// `*` for all.
    events: Vec<String>,
    label: Option<String>,
}

/// What changes of an endpoint.
#[derive(ToSchema)]
#[expect(dead_code, reason = "describes the body to OpenAPI; it is read field by field")]
struct ChangedEndpoint {
    url: Option<String>,
    events: Option<Vec<String>>,
    label: Option<String>,
    active: Option<bool>,
}

fn refused(status: &tonic::Status) -> Refusal {
    Refusal::of_room(status, Scope::ProgramsWrite)
}

/// List the webhooks, newest first.
///
/// Scope `programs:write`, as all of them.
#[utoipa::path(
    get, path = "/webhooks", tag = "attribution", responses((status = 200, body = Endpoints), AttributionRefusals)
)]
async fn list(State(surface): State<Surface>, key: Key) -> Result<Json<Endpoints>, Refusal> {
    let listed = surface.attribution().list_webhooks(key.asks(room::ListWebhooksRequest {})?).await;
    let listed = listed.map_err(|status| refused(&status))?.into_inner();
    Ok(Json(Endpoints { endpoints: listed.endpoints.into_iter().map(Endpoint::from).collect() }))
}

/// Have an address told what happens.
///
/// Each call is a POST of `{"id", "event", "created", "data"}` with the headers `x-openpartner-event`, `-delivery`, `-timestamp` and
/// `-signature`: HMAC-SHA256 by the secret of the timestamp, a dot and the body, in hexadecimal digits.
#[utoipa::path(
    post, path = "/webhooks", tag = "attribution", request_body = WantedEndpoint,
    responses((status = 201, body = NewEndpoint), AttributionRefusals)
)]
async fn create(
    State(surface): State<Surface>,
    key: Key,
    Body(body): Body,
) -> Result<(StatusCode, Json<NewEndpoint>), Refusal> {
    let request = key.read(Scope::ProgramsWrite, Fields::of_body(&body).and_then(wanted)).await?;
    let created = surface.attribution().create_webhook(key.asks(request)?).await;
    let created = created.map_err(|status| refused(&status))?.into_inner();
    let endpoint = Endpoint::from(created.endpoint.unwrap_or_default());
    Ok((StatusCode::CREATED, Json(NewEndpoint { endpoint, secret: created.secret })))
}

fn wanted(mut fields: Fields<'_>) -> Result<room::CreateWebhookRequest, Faults> {
    fields.require("url");
    let request = room::CreateWebhookRequest {
        url: fields.url("url", Length::between(0, 2_048)).unwrap_or_default(),
        events: fields.texts("events", MOST_EVENTS),
        label: fields.text("label", Length::between(0, LONGEST_LABEL)).unwrap_or_default(),
    };
    fields.done(request)
}

/// Show a webhook.
#[utoipa::path(
    get, path = "/webhooks/{id}", tag = "attribution", params(("id" = String, Path)),
    responses((status = 200, body = OneEndpoint), AttributionRefusals)
)]
async fn show(
    State(surface): State<Surface>,
    key: Key,
    Path(webhook_id): Path<String>,
) -> Result<Json<OneEndpoint>, Refusal> {
    let found = surface.attribution().get_webhook(key.asks(room::GetWebhookRequest { webhook_id })?).await;
    let endpoint = found.map_err(|status| refused(&status))?.into_inner().into();
    Ok(Json(OneEndpoint { endpoint }))
}

/// Change a webhook.
#[utoipa::path(
    patch, path = "/webhooks/{id}", tag = "attribution", params(("id" = String, Path)), request_body = ChangedEndpoint,
    responses((status = 200, body = OneEndpoint), AttributionRefusals)
)]
async fn change(
    State(surface): State<Surface>,
    key: Key,
    Path(id): Path<String>,
    Body(body): Body,
) -> Result<Json<OneEndpoint>, Refusal> {
    let read = Fields::of_body(&body).and_then(|fields| changed(fields, id));
    let request = key.read(Scope::ProgramsWrite, read).await?;
    let changed = surface.attribution().update_webhook(key.asks(request)?).await;
    let endpoint = changed.map_err(|status| refused(&status))?.into_inner().into();
    Ok(Json(OneEndpoint { endpoint }))
}

fn changed(mut fields: Fields<'_>, webhook_id: String) -> Result<room::UpdateWebhookRequest, Faults> {
    let label = if fields.is_null("label") {
        Some(String::new())
    } else {
        fields.text("label", Length::between(0, LONGEST_LABEL))
    };
    let request = room::UpdateWebhookRequest {
        webhook_id,
        url: fields.url("url", Length::between(0, 2_048)),
        events: if fields.raw("events").is_some() { fields.texts("events", MOST_EVENTS) } else { Vec::new() },
        label,
        active: fields.boolean("active"),
    };
    fields.done(request)
}

/// Switch a webhook off; with `hard=1` also forget all that it was told.
#[utoipa::path(
    delete, path = "/webhooks/{id}", tag = "attribution",
    params(("id" = String, Path), ("hard" = Option<String>, Query)),
    responses((status = 200, body = Done), AttributionRefusals)
)]
async fn remove(
    State(surface): State<Surface>,
    key: Key,
    Path(webhook_id): Path<String>,
    mut params: Params,
) -> Result<Json<Done>, Refusal> {
    let hard = params.is_set("hard");
    let hard = key.queried(Scope::ProgramsWrite, params.done(hard)).await?;
    let request = room::DeleteWebhookRequest { webhook_id, hard };
    let deleted = surface.attribution().delete_webhook(key.asks(request)?).await;
    deleted.map_err(|status| refused(&status))?;
    Ok(Json(Done { ok: true }))
}

/// What an endpoint was told, or is to be told.
#[derive(Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
struct Delivery {
    id: String,
    endpoint_id: String,
    /// The same in each attempt.
    event_id: String,
    event_type: String,
    #[schema(value_type = Object)]
    payload: Box<RawValue>,
    /// `pending`, `delivered` or `failed`.
    status: String,
    attempts: u32,
    http_status: Option<u32>,
    error: Option<String>,
    created_at: Option<String>,
    last_attempt_at: Option<String>,
    delivered_at: Option<String>,
    /// When it is tried again by itself.
    next_attempt_at: Option<String>,
}

impl From<room::WebhookDelivery> for Delivery {
    fn from(delivery: room::WebhookDelivery) -> Self {
        let waits = delivery.status == "pending";
        Self {
            id: delivery.id,
            endpoint_id: delivery.webhook_id,
            event_id: delivery.event_id,
            event_type: delivery.event,
            payload: object(delivery.payload_json),
            status: delivery.status,
            attempts: delivery.attempts,
            http_status: Some(delivery.http_status).filter(|status| *status > 0),
            error: text(delivery.error),
            created_at: instant(delivery.created_at),
            last_attempt_at: instant(delivery.last_attempt_at),
            delivered_at: instant(delivery.delivered_at),
            next_attempt_at: instant(delivery.next_attempt_at).filter(|_| waits),
        }
    }
}

/// Deliveries, newest first.
#[derive(Serialize, ToSchema)]
struct Deliveries {
    deliveries: Vec<Delivery>,
}

/// List what a webhook was told, newest first.
#[utoipa::path(
    get, path = "/webhooks/{id}/deliveries", tag = "attribution",
    params(
        ("id" = String, Path), ("status" = Option<String>, Query, description = "`pending`, `delivered` or `failed`"),
        ("limit" = Option<u32>, Query, description = "1 to 500, 100 without it"),
    ),
    responses((status = 200, body = Deliveries), AttributionRefusals)
)]
async fn deliveries(
    State(surface): State<Surface>,
    key: Key,
    Path(webhook_id): Path<String>,
    mut params: Params,
) -> Result<Json<Deliveries>, Refusal> {
    let request = room::ListDeliveriesRequest {
        webhook_id,
        status: params.one_of("status", &["pending", "delivered", "failed"]).unwrap_or_default().to_owned(),
        limit: params.integer("limit", 1, 500).unwrap_or(100),
    };
    let request = key.queried(Scope::ProgramsWrite, params.done(request)).await?;
    let listed = surface.attribution().list_deliveries(key.asks(request)?).await;
    let listed = listed.map_err(|status| refused(&status))?.into_inner();
    Ok(Json(Deliveries { deliveries: listed.deliveries.into_iter().map(Delivery::from).collect() }))
}

/// A delivery.
#[derive(Serialize, ToSchema)]
struct OneDelivery {
    delivery: Delivery,
}

/// Send a delivery once more, now.
#[utoipa::path(
    post, path = "/webhooks/{id}/deliveries/{delivery}/retry", tag = "attribution",
    params(("id" = String, Path), ("delivery" = String, Path)),
    responses((status = 200, body = OneDelivery), AttributionRefusals)
)]
async fn retry(
    State(surface): State<Surface>,
    key: Key,
    Path((webhook_id, delivery_id)): Path<(String, String)>,
) -> Result<Json<OneDelivery>, Refusal> {
    let request = room::RetryDeliveryRequest { webhook_id, delivery_id };
    let sent = surface.attribution().retry_delivery(key.asks(request)?).await;
    let delivery = sent.map_err(|status| refused(&status))?.into_inner().into();
    Ok(Json(OneDelivery { delivery }))
}

/// What was sent to try an endpoint.
#[derive(Serialize, ToSchema)]
struct Tested {
    delivery: Delivery,
    event: String,
}

/// Send a sample to a webhook, whatever it is subscribed to.
#[utoipa::path(
    post, path = "/webhooks/{id}/test", tag = "attribution",
    params(("id" = String, Path), ("event" = Option<String>, Query, description = "`webhook.test` without it")),
    responses((status = 200, body = Tested), AttributionRefusals)
)]
async fn test(
    State(surface): State<Surface>,
    key: Key,
    Path(webhook_id): Path<String>,
    mut params: Params,
) -> Result<Json<Tested>, Refusal> {
    let event = params.text_or_empty("event");
    let event = key.queried(Scope::ProgramsWrite, params.done(event)).await?;
    let sent =
        surface.attribution().test_webhook(key.asks(room::TestWebhookRequest { webhook_id, event })?).await;
    let sent = sent.map_err(|status| refused(&status))?.into_inner();
    let event = sent.event.clone();
    Ok(Json(Tested { delivery: sent.into(), event }))
}
