//! Webhooks of CRMs that cannot shape their body: each has an address of its own, whose mapping says what is what.

use std::collections::HashMap;

use axum::{Json, extract::State};
use http::{HeaderMap, StatusCode};
use proto::attribution as room;
use serde::Serialize;
use tonic::Code;
use utoipa::ToSchema;
use utoipa_axum::{router::OpenApiRouter, routes};

use super::{
    Surface,
    caller::{Body, Path},
    refusal::{AttributionRefusals, Refusal},
};
use crate::extract::anonymous;

/// What senders prove themselves by.
const PROOFS: [&str; 3] = ["authorization", "close-sig-hash", "close-sig-timestamp"];

pub(super) fn router() -> OpenApiRouter<Surface> {
    OpenApiRouter::new().routes(routes!(ingest)).routes(routes!(ingest_by_secret))
}

/// What became of a webhook.
#[derive(Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
struct Ingested {
    ok: bool,
    /// `recorded`; `corrected`: the event of an earlier body; `skipped`: a condition does not hold, or nothing changes;
    /// `refused`: it does not say what an event needs. A refused one is not worth sending again before its mapping was changed.
    outcome: String,
    #[serde(skip_serializing_if = "Option::is_none")]
    event_id: Option<String>,
    /// Why, in words.
    #[serde(skip_serializing_if = "Option::is_none")]
    message: Option<String>,
}

/// Take a CRM's webhook in.
///
/// Needs no key: the sender proves itself as the CRM can. Pipedrive by HTTP Basic authentication, Close by its signature, Copper by a
/// secret in the body. `not_found` for an address that is none, or that was revoked.
#[utoipa::path(
    post, path = "/ingest/{id}", tag = "attribution", security(()), params(("id" = String, Path, description = "`ing_…`")),
    request_body(content = Object, description = "Any JSON."),
    responses((status = 200, body = Ingested), AttributionRefusals)
)]
async fn ingest(
    State(surface): State<Surface>,
    Path(id): Path<String>,
    headers: HeaderMap,
    Body(body): Body,
) -> Result<Json<Ingested>, Refusal> {
    take(&surface, id, String::new(), &headers, body.to_vec()).await
}

/// Take a webhook in, of a sender that proves itself by the address.
#[utoipa::path(
    post, path = "/ingest/{id}/{secret}", tag = "attribution", security(()),
    params(("id" = String, Path, description = "`ing_…`"), ("secret" = String, Path, description = "Shown once.")),
    request_body(content = Object, description = "Any JSON."),
    responses((status = 200, body = Ingested), AttributionRefusals)
)]
async fn ingest_by_secret(
    State(surface): State<Surface>,
    Path((id, secret)): Path<(String, String)>,
    headers: HeaderMap,
    Body(body): Body,
) -> Result<Json<Ingested>, Refusal> {
    take(&surface, id, secret, &headers, body.to_vec()).await
}

async fn take(
    surface: &Surface,
    id: String,
    secret: String,
    headers: &HeaderMap,
    body: Vec<u8>,
) -> Result<Json<Ingested>, Refusal> {
    super::json::held(&body).map_err(|_| Refusal::new(StatusCode::BAD_REQUEST, "invalid_body"))?;
    let proof = |name: &&str| Some(((*name).to_owned(), headers.get(*name)?.to_str().ok()?.to_owned()));
    let headers: HashMap<String, String> = PROOFS.iter().filter_map(proof).collect();
    let request = room::IngestRequest { ingest_url_id: id, secret, body, headers };
    let answer = surface.rooms().ingest_urls().ingest(anonymous(request)).await;
    let answer = answer.map_err(|status| match (status.code(), chassis::guard::stable_code(&status)) {
        (Code::Unauthenticated, Some("signature_invalid")) => {
            Refusal::new(StatusCode::UNAUTHORIZED, "signature_invalid")
        }
        _ => Refusal::of_open_room(&status),
    })?;
    let room::IngestResponse { outcome, event_id, message } = answer.into_inner();
    let (event_id, message) = (super::wire::text(event_id), super::wire::text(message));
    Ok(Json(Ingested { ok: true, outcome, event_id, message }))
}
