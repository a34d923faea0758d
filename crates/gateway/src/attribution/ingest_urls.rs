//! Addresses that a CRM's own webhook is pointed at: who makes them, and what came to them.

use std::collections::BTreeMap;

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
    conversions::{RecordCondition, conditions},
    fields::{Faults, Fields, Length},
    refusal::{AttributionRefusals, Refusal},
    wire::{instant, object, text},
};

const MOST_PATHS: usize = 10;

pub(super) fn router() -> OpenApiRouter<Surface> {
    OpenApiRouter::new()
        .routes(routes!(list, create))
        .routes(routes!(update, revoke))
        .routes(routes!(preview))
}

/// Where a body tells what. A path leads through objects and lists (`data.value`, `ids.0`); of several the first that leads
/// somewhere counts.
#[derive(Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
struct IngestMapping {
    user_id: Vec<String>,
    /// The type of the event.
    event_type: String,
    value: Vec<String>,
    /// The body counts in minor units: 450000 for 4500.00.
    value_in_minor_units: bool,
    currency: Vec<String>,
    /// Where the body tells none.
    default_currency: String,
    /// What a repeat is recognized by, such as the deal's id.
    external_event_id: Vec<String>,
    ts: Vec<String>,
    /// Kept with the event: its name, and where the body has it.
    metadata: BTreeMap<String, String>,
    /// All of them must hold; `field` is a path. What does not meet them records nothing.
    conditions: Vec<RecordCondition>,
    /// A deal is one event, and its later bodies correct it: lost, open again, deleted, won again, another amount. Of Pipedrive,
    /// Close and Copper only.
    follow_records: bool,
}

impl From<room::IngestMapping> for IngestMapping {
    fn from(mapping: room::IngestMapping) -> Self {
        Self {
            user_id: mapping.user_id,
            event_type: mapping.event_type,
            value: mapping.value,
            value_in_minor_units: mapping.value_in_minor_units,
            currency: mapping.currency,
            default_currency: mapping.default_currency,
            external_event_id: mapping.external_event_id,
            ts: mapping.ts,
            metadata: mapping.metadata.into_iter().collect(),
            conditions: mapping.conditions.into_iter().map(RecordCondition::from).collect(),
            follow_records: mapping.follow_records,
        }
    }
}

fn mapping(mut fields: Fields<'_>) -> Result<room::IngestMapping, Faults> {
    let mapping = room::IngestMapping {
        user_id: paths(&mut fields, "userId"),
        event_type: fields.required_text("eventType", Length::SOME),
        value: paths(&mut fields, "value"),
        value_in_minor_units: fields.boolean("valueInMinorUnits").unwrap_or_default(),
        currency: paths(&mut fields, "currency"),
        default_currency: fields.text("defaultCurrency", Length::between(0, 3)).unwrap_or_default(),
        external_event_id: paths(&mut fields, "externalEventId"),
        ts: paths(&mut fields, "ts"),
        metadata: names(&mut fields, "metadata").into_iter().collect(),
        conditions: conditions(&mut fields, "conditions"),
        follow_records: fields.boolean("followRecords").unwrap_or_default(),
    };
    fields.done(mapping)
}

/// Any number of paths.
fn paths(fields: &mut Fields<'_>, name: &'static str) -> Vec<String> {
    let is_empty = fields.list(name).is_none_or(|items| items.is_empty());
    if is_empty { Vec::new() } else { fields.texts(name, MOST_PATHS) }
}

/// Texts by their names.
fn names(fields: &mut Fields<'_>, name: &'static str) -> BTreeMap<String, String> {
    let Some(json) = fields.object(name) else { return BTreeMap::new() };
    let read = serde_json::from_str(json);
    if read.is_err() {
        fields.faults.add(name, "Expected an object of strings");
    }
    read.unwrap_or_default()
}

/// The mapping of a field of a body, where it is given.
fn mapped(fields: &mut Fields<'_>) -> Option<room::IngestMapping> {
    fields.object("mapping")?;
    match Fields::of_value(fields.raw("mapping")?).and_then(mapping) {
        Ok(mapping) => Some(mapping),
        Err(faults) => {
            for message in faults.into_messages() {
                fields.faults.add("mapping", message);
            }
            None
        }
    }
}

/// An address of a CRM's webhook.
#[derive(Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
struct IngestUrl {
    /// `ing_…`
    id: String,
    name: String,
    /// `pipedrive`, `close`, `copper` or `other`.
    vendor: String,
    mapping: IngestMapping,
    /// Without its secret, if it has one.
    url: String,
    created_at: Option<String>,
    revoked_at: Option<String>,
    last_received_at: Option<String>,
    /// How many bodies came, became events, and were refused.
    received: u64,
    recorded: u64,
    refused: u64,
}

impl IngestUrl {
    fn of(url: room::IngestUrl, surface: &Surface) -> Self {
        Self {
            id: url.id,
            name: url.name,
            vendor: url.vendor,
            mapping: url.mapping.unwrap_or_default().into(),
            url: address(surface, &url.path),
            created_at: instant(url.created_at),
            revoked_at: instant(url.revoked_at),
            last_received_at: instant(url.last_received_at),
            received: url.received,
            recorded: url.recorded,
            refused: url.refused,
        }
    }
}

fn address(surface: &Surface, path: &str) -> String {
    format!("{}{path}", surface.rooms().config().public_api_url.as_str().trim_end_matches('/'))
}

/// The addresses, newest first.
#[derive(Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
struct IngestUrls {
    ingest_urls: Vec<IngestUrl>,
}

/// List the ingest URLs, newest first, revoked ones too.
///
/// Scope `commissions:read`.
#[utoipa::path(
    get, path = "/attribution/ingest-urls", tag = "attribution",
    responses((status = 200, body = IngestUrls), AttributionRefusals)
)]
async fn list(State(surface): State<Surface>, key: Key) -> Result<Json<IngestUrls>, Refusal> {
    let request = key.asks(room::ListIngestUrlsRequest {})?;
    let listed = surface.rooms().ingest_urls().list_ingest_urls(request).await;
    let listed = listed.map_err(|status| Refusal::of_query(&status, Scope::CommissionsRead))?.into_inner();
    let ingest_urls = listed.urls.into_iter().map(|url| IngestUrl::of(url, &surface)).collect();
    Ok(Json(IngestUrls { ingest_urls }))
}

/// What an address is to be.
#[derive(ToSchema)]
#[schema(rename_all = "camelCase")]
#[expect(dead_code, reason = "describes the body to OpenAPI; it is read field by field")]
struct NewIngestUrl {
    name: String,
    /// `pipedrive`, `close`, `copper` or `other`.
    vendor: String,
    /// The usual one of the vendor without it.
    mapping: Option<IngestMapping>,
    /// Close gives one with a webhook subscription.
    signature_key: Option<String>,
}

/// An address was made. What its sender proves itself by is shown here and never again.
#[derive(Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
struct MintedIngestUrl {
    #[serde(flatten)]
    ingest_url: IngestUrl,
    /// Where the webhook is pointed at, with the secret where the address has it.
    secret_url: String,
    /// Pipedrive: the user of its HTTP authentication.
    #[serde(skip_serializing_if = "Option::is_none")]
    user: Option<String>,
    /// Pipedrive: the password. Copper: `accord_secret` of its subscription.
    #[serde(skip_serializing_if = "Option::is_none")]
    secret: Option<String>,
}

/// Make an address for a CRM's webhook.
///
/// Scope `programs:write`.
#[utoipa::path(
    post, path = "/attribution/ingest-urls", tag = "attribution", request_body = NewIngestUrl,
    responses((status = 201, body = MintedIngestUrl), AttributionRefusals)
)]
async fn create(
    State(surface): State<Surface>,
    key: Key,
    Body(body): Body,
) -> Result<(StatusCode, Json<MintedIngestUrl>), Refusal> {
    let request = key.read(Scope::ProgramsWrite, Fields::of_body(&body).and_then(new)).await?;
    let created = surface.rooms().ingest_urls().create_ingest_url(key.asks(request)?).await;
    let created = created.map_err(|status| Refusal::of_room(&status, Scope::ProgramsWrite))?.into_inner();
    let minted = MintedIngestUrl {
        ingest_url: IngestUrl::of(created.url.unwrap_or_default(), &surface),
        secret_url: address(&surface, &created.secret_path),
        user: text(created.user),
        secret: text(created.secret),
    };
    Ok((StatusCode::CREATED, Json(minted)))
}

fn new(mut fields: Fields<'_>) -> Result<room::CreateIngestUrlRequest, Faults> {
    fields.require("vendor");
    let vendors = ["pipedrive", "close", "copper", "other"];
    let request = room::CreateIngestUrlRequest {
        name: fields.required_text("name", Length::SOME),
        vendor: fields.one_of("vendor", &vendors).unwrap_or_default().to_owned(),
        mapping: mapped(&mut fields),
        signature_key: fields.text("signatureKey", Length::between(0, 255)).unwrap_or_default(),
    };
    fields.done(request)
}

/// What an address is to be from now on.
#[derive(ToSchema)]
#[schema(rename_all = "camelCase")]
#[expect(dead_code, reason = "describes the body to OpenAPI; it is read field by field")]
struct IngestUrlBody {
    name: String,
    mapping: IngestMapping,
    /// It stays without it.
    signature_key: Option<String>,
}

/// Replace what an address says: bodies from now on are read by it.
///
/// Scope `programs:write`.
#[utoipa::path(
    put, path = "/attribution/ingest-urls/{id}", tag = "attribution", params(("id" = String, Path, description = "`ing_…`")),
    request_body = IngestUrlBody, responses((status = 200, body = IngestUrl), AttributionRefusals)
)]
async fn update(
    State(surface): State<Surface>,
    key: Key,
    Path(ingest_url_id): Path<String>,
    Body(body): Body,
) -> Result<Json<IngestUrl>, Refusal> {
    let read = Fields::of_body(&body).and_then(|fields| changed(fields, ingest_url_id));
    let request = key.read(Scope::ProgramsWrite, read).await?;
    let updated = surface.rooms().ingest_urls().update_ingest_url(key.asks(request)?).await;
    let updated = updated.map_err(|status| Refusal::of_room(&status, Scope::ProgramsWrite))?.into_inner();
    Ok(Json(IngestUrl::of(updated, &surface)))
}

fn changed(mut fields: Fields<'_>, ingest_url_id: String) -> Result<room::UpdateIngestUrlRequest, Faults> {
    fields.require("mapping");
    let request = room::UpdateIngestUrlRequest {
        ingest_url_id,
        name: fields.required_text("name", Length::SOME),
        mapping: mapped(&mut fields),
        signature_key: fields.text("signatureKey", Length::between(0, 255)).unwrap_or_default(),
    };
    fields.done(request)
}

/// Revoke an address for good.
///
/// Scope `programs:write`.
#[utoipa::path(
    delete, path = "/attribution/ingest-urls/{id}", tag = "attribution", params(("id" = String, Path)),
    responses((status = 200, body = IngestUrl), AttributionRefusals)
)]
async fn revoke(
    State(surface): State<Surface>,
    key: Key,
    Path(ingest_url_id): Path<String>,
) -> Result<Json<IngestUrl>, Refusal> {
    let request = key.asks(room::RevokeIngestUrlRequest { ingest_url_id })?;
    let revoked = surface.rooms().ingest_urls().revoke_ingest_url(request).await;
    let revoked = revoked.map_err(|status| Refusal::of_room(&status, Scope::ProgramsWrite))?.into_inner();
    Ok(Json(IngestUrl::of(revoked, &surface)))
}

/// By what the bodies are read.
#[derive(ToSchema)]
#[expect(dead_code, reason = "describes the body to OpenAPI; it is read field by field")]
struct PreviewBody {
    /// The stored one without it.
    mapping: Option<IngestMapping>,
}

/// A body that came, and what a mapping makes of it.
#[derive(Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
struct IngestedBody {
    received_at: Option<String>,
    #[schema(value_type = Object)]
    body: Box<RawValue>,
    /// `recorded`, `corrected`, `skipped` or `refused`, when it came.
    outcome: String,
    message: Option<String>,
    event_id: Option<String>,
    user_id: Option<String>,
    event_type: Option<String>,
    value: Option<String>,
    currency: Option<String>,
    external_event_id: Option<String>,
    ts: Option<String>,
    #[schema(value_type = Object)]
    metadata: Box<RawValue>,
    meets_conditions: bool,
    /// What cannot be read by it, in words.
    problems: Vec<String>,
    /// `won`, `lost` or `deleted`, where the mapping follows records and the body tells it.
    record_status: Option<String>,
}

impl From<room::IngestedBody> for IngestedBody {
    fn from(body: room::IngestedBody) -> Self {
        Self {
            received_at: instant(body.received_at),
            body: object(body.body_json),
            outcome: body.outcome,
            message: text(body.message),
            event_id: text(body.event_id),
            user_id: text(body.user_id),
            event_type: text(body.event_type),
            value: text(body.value),
            currency: text(body.currency),
            external_event_id: text(body.external_event_id),
            ts: instant(body.ts),
            metadata: object(body.metadata_json),
            meets_conditions: body.meets_conditions,
            problems: body.problems,
            record_status: text(body.record_status),
        }
    }
}

/// The last bodies that came, newest first.
#[derive(Serialize, ToSchema)]
struct IngestedBodies {
    bodies: Vec<IngestedBody>,
}

/// Show the last bodies that came within a day, and what a mapping makes of each. Nothing is recorded.
///
/// Scope `programs:write`.
#[utoipa::path(
    post, path = "/attribution/ingest-urls/{id}/preview", tag = "attribution", params(("id" = String, Path)),
    request_body = PreviewBody, responses((status = 200, body = IngestedBodies), AttributionRefusals)
)]
async fn preview(
    State(surface): State<Surface>,
    key: Key,
    Path(ingest_url_id): Path<String>,
    Body(body): Body,
) -> Result<Json<IngestedBodies>, Refusal> {
    let read = Fields::of_body(&body).and_then(|mut fields| {
        let mapping = mapped(&mut fields);
        fields.done(room::PreviewIngestRequest { ingest_url_id, mapping })
    });
    let request = key.read(Scope::ProgramsWrite, read).await?;
    let seen = surface.rooms().ingest_urls().preview_ingest(key.asks(request)?).await;
    let seen = seen.map_err(|status| Refusal::of_room(&status, Scope::ProgramsWrite))?.into_inner();
    Ok(Json(IngestedBodies { bodies: seen.bodies.into_iter().map(IngestedBody::from).collect() }))
}
