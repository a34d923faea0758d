//! What one partner gets in a program, instead of the program's terms.

use axum::{Json, extract::State};
use jiff::Timestamp;
use model::Scope;
use proto::attribution as room;
use serde::Serialize;
use utoipa::ToSchema;
use utoipa_axum::{router::OpenApiRouter, routes};

use super::{RuleView, Wanted, standing, wanted};
use crate::{
    attribution::{
        Surface,
        caller::{Body, Key, Path},
        fields::{Faults, Fields},
        refusal::{AttributionRefusals, Refusal},
        wire::{instant, text},
    },
    view::to_wire,
};

pub(super) fn router() -> OpenApiRouter<Surface> {
    OpenApiRouter::new().routes(routes!(list, agree, end))
}

/// A version of what a partner gets in a program. Of those that hold at a time the highest counts.
#[derive(Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
struct PartnerTerms {
    partner_id: String,
    program_id: String,
    program_name: String,
    /// Counts within the program, over its own terms and those of its partners.
    version: u32,
    /// Events from this moment on are paid by it.
    effective_from: Option<String>,
    /// Null, as the three after it, where the program's terms hold again.
    commission_rule: Option<Vec<RuleView>>,
    attribution_window_days: Option<u32>,
    attribution_model: Option<String>,
    holdback_days: Option<u32>,
    created_at: Option<String>,
    created_by: Option<String>,
}

impl From<room::PartnerTerms> for PartnerTerms {
    fn from(version: room::PartnerTerms) -> Self {
        let terms = version.terms.as_ref();
        Self {
            attribution_window_days: terms.map(|terms| terms.window_days),
            attribution_model: terms.map(|terms| terms.model.clone()),
            holdback_days: terms.map(|terms| terms.hold_days),
            commission_rule: version.terms.map(|terms| terms.rules.into_iter().map(RuleView::from).collect()),
            partner_id: version.partner_id,
            program_id: version.program_id,
            program_name: version.program_name,
            version: version.version,
            effective_from: instant(version.effective_from),
            created_at: instant(version.created_at),
            created_by: text(version.created_by),
        }
    }
}

/// All versions, newest first.
#[derive(Serialize, ToSchema)]
struct PartnerTermsList {
    terms: Vec<PartnerTerms>,
}

/// What a partner is to get. What is not given is as the program has it now.
#[derive(ToSchema)]
#[schema(rename_all = "camelCase")]
#[expect(dead_code, reason = "describes the body to OpenAPI; it is read field by field")]
struct PartnerTermsBody {
    /// 1 to 10 rules.
    commission_rule: Vec<RuleView>,
    /// 1 to 365.
    attribution_window_days: Option<u32>,
    attribution_model: Option<String>,
    /// 0 to 365.
    holdback_days: Option<u32>,
    /// From when; now without it. Not in the past: what was earned stays earned.
    effective_from: Option<String>,
}

/// List what a partner gets in a program instead of its terms, newest first. Empty where the program's terms always held.
///
/// Scope `partners:read`, or the partner's own key.
#[utoipa::path(
    get, path = "/partners/{id}/programs/{programId}/terms", tag = "attribution",
    params(("id" = String, Path), ("programId" = String, Path)),
    responses((status = 200, body = PartnerTermsList), AttributionRefusals)
)]
async fn list(
    State(surface): State<Surface>,
    key: Key,
    Path((partner_id, program_id)): Path<(String, String)>,
) -> Result<Json<PartnerTermsList>, Refusal> {
    let request = room::ListPartnerTermsRequest { partner_id, program_id };
    let listed = surface.attribution().list_partner_terms(key.asks(request)?).await;
    let listed = listed.map_err(|status| Refusal::of_room(&status, Scope::PartnersRead))?.into_inner();
    Ok(Json(PartnerTermsList { terms: listed.terms.into_iter().map(PartnerTerms::from).collect() }))
}

/// Agree with a partner on terms of their own in a program, for events from a moment on.
///
/// Scopes `programs:write` and `partners:read`. What accrued stays.
#[utoipa::path(
    put, path = "/partners/{id}/programs/{programId}/terms", tag = "attribution",
    params(("id" = String, Path), ("programId" = String, Path)), request_body = PartnerTermsBody,
    responses((status = 200, body = PartnerTerms), AttributionRefusals)
)]
async fn agree(
    State(surface): State<Surface>,
    key: Key,
    Path((partner_id, program_id)): Path<(String, String)>,
    Body(body): Body,
) -> Result<Json<PartnerTerms>, Refusal> {
    let (mut wanted, from) = key.read(Scope::ProgramsWrite, Fields::of_body(&body).and_then(agreed)).await?;
    key.must_have(Scope::ProgramsWrite).await?;
    let program = standing(&surface, &key, program_id.clone(), Scope::PartnersRead).await?;
    let terms = wanted.terms(Some(program.terms.unwrap_or_default()));
    let request =
        room::SetPartnerTermsRequest { partner_id, program_id, terms, effective_from: to_wire(from) };
    set(&surface, &key, request).await
}

fn agreed(mut fields: Fields<'_>) -> Result<(Wanted, Option<Timestamp>), Faults> {
    let from = fields.moment("effectiveFrom");
    Ok((wanted(fields, &["commissionRule"])?, from))
}

/// End what was agreed with a partner: the program's terms hold again for events from now on.
///
/// Scope `programs:write`.
#[utoipa::path(
    delete, path = "/partners/{id}/programs/{programId}/terms", tag = "attribution",
    params(("id" = String, Path), ("programId" = String, Path)),
    responses((status = 200, body = PartnerTerms), AttributionRefusals)
)]
async fn end(
    State(surface): State<Surface>,
    key: Key,
    Path((partner_id, program_id)): Path<(String, String)>,
) -> Result<Json<PartnerTerms>, Refusal> {
    let request =
        room::SetPartnerTermsRequest { partner_id, program_id, ..room::SetPartnerTermsRequest::default() };
    set(&surface, &key, request).await
}

async fn set(
    surface: &Surface,
    key: &Key,
    request: room::SetPartnerTermsRequest,
) -> Result<Json<PartnerTerms>, Refusal> {
    let set = surface.attribution().set_partner_terms(key.asks(request)?).await;
    Ok(Json(set.map_err(|status| Refusal::of_room(&status, Scope::ProgramsWrite))?.into_inner().into()))
}
