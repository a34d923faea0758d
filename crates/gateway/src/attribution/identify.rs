//! The stitch of a click to a user, by whoever knows the click: browsers of any origin, without a key.

use axum::{
    Json,
    extract::{Request, State},
    middleware::Next,
    response::{IntoResponse, Response},
    routing::options,
};
use http::{HeaderValue, StatusCode, header};
use proto::attribution as room;
use serde::Serialize;
use utoipa::ToSchema;
use utoipa_axum::{router::OpenApiRouter, routes};

use super::{
    Surface,
    base::Slug,
    caller::Body,
    fields::{Faults, Fields, Length},
    refusal::{AttributionRefusals, Refusal},
};
use crate::extract::anonymous;

pub(super) fn router() -> OpenApiRouter<Surface> {
    OpenApiRouter::new().routes(routes!(identify)).route("/attribution/identify", options(may_ask))
}

/// A browser's question whether a page of another origin may ask.
async fn may_ask() -> impl IntoResponse {
    let allowed = [
        (header::ACCESS_CONTROL_ALLOW_METHODS, "POST"),
        (header::ACCESS_CONTROL_ALLOW_HEADERS, "content-type"),
        (header::ACCESS_CONTROL_MAX_AGE, "86400"),
    ];
    (StatusCode::NO_CONTENT, allowed)
}

/// Lets pages of every origin read the answer, also a refusal.
pub(super) async fn for_every_origin(request: Request, next: Next) -> Response {
    let mut response = next.run(request).await;
    let anybody = HeaderValue::from_static("*");
    response.headers_mut().insert(header::ACCESS_CONTROL_ALLOW_ORIGIN, anybody);
    response
}

/// Who clicked.
#[derive(ToSchema)]
#[schema(rename_all = "camelCase")]
#[expect(dead_code, reason = "describes the body to OpenAPI; it is read field by field")]
struct Stitch {
    /// The id of the click: `cref` of the landing address, or the cookie `_cref`.
    cref: String,
    /// By which later events name the user.
    user_id: String,
    /// HMAC-SHA256 of `userId` by the secret of the merchant, in hexadecimal digits, where signatures are wanted.
    signature: Option<String>,
    /// Left alone: the time of receipt counts.
    ts: Option<f64>,
}

/// The click belongs to the user.
#[derive(Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
struct Stitched {
    ok: bool,
    /// Null when it was known before.
    identity_id: Option<String>,
    first_stitch: bool,
    /// How many earlier events of the user were attributed by this.
    backfilled_attributions: u32,
}

/// Tie a click to a user.
///
/// Needs no key: the id of the click is the secret. `click_not_found` for one that is none of the organization. 120 requests a minute from
/// one address. `signature_required`, `signature_invalid` where the merchant wants the user id signed.
#[utoipa::path(
    post, path = "/attribution/identify", tag = "attribution", request_body = Stitch, security(()),
    responses((status = 200, body = Stitched), AttributionRefusals)
)]
async fn identify(
    State(surface): State<Surface>,
    slug: Option<axum::Extension<Slug>>,
    Body(body): Body,
) -> Result<Json<Stitched>, Refusal> {
    let read = Fields::of_body(&body).and_then(stitch);
    let mut request = read.map_err(|faults| faults.refusal("invalid_body"))?;
    if let Some(axum::Extension(slug)) = slug {
        let named = surface.organization(&slug).await?;
        request.organization_id = named.ok_or_else(click_not_found)?.to_string();
    }
    let identified = surface.attribution().identify(anonymous(request)).await;
    let identified = identified.map_err(|status| Refusal::of_open_room(&status))?.into_inner();
    Ok(Json(Stitched {
        ok: true,
        identity_id: super::wire::text(identified.identify_id),
        first_stitch: identified.first_stitch,
        backfilled_attributions: identified.backfilled_attributions,
    }))
}

fn click_not_found() -> Refusal {
    Refusal::new(StatusCode::NOT_FOUND, "click_not_found")
}

fn stitch(mut fields: Fields<'_>) -> Result<room::IdentifyRequest, Faults> {
    let request = room::IdentifyRequest {
        click_id: fields.required_text("cref", Length::SOME),
        user_id: fields.required_text("userId", Length::SOME),
        organization_id: String::new(),
        signature: fields.text("signature", Length::between(0, 128)).unwrap_or_default(),
    };
    fields.number("ts");
    fields.done(request)
}
