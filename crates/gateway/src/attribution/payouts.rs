//! Payouts: what is paid to partners.

use axum::{Json, extract::State};
use http::{HeaderMap, StatusCode};
use model::Scope;
use proto::attribution as room;
use serde::Serialize;
use utoipa::ToSchema;
use utoipa_axum::{router::OpenApiRouter, routes};

use super::{
    Surface,
    caller::{Body, Key, Path},
    events::idempotency_key,
    fields::{Faults, Fields, Length},
    query::Params,
    refusal::{AttributionRefusals, Refusal},
    wire::{instant, text},
};

pub(super) fn router() -> OpenApiRouter<Surface> {
    OpenApiRouter::new()
        .routes(routes!(list))
        .routes(routes!(of_partner))
        .routes(routes!(run))
        .routes(routes!(settle))
}

/// What is paid to a partner at once.
#[derive(Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
struct Payout {
    id: String,
    run_id: String,
    partner_id: String,
    /// In major units.
    amount: String,
    currency: String,
    /// `pending`: it is in transfer, and its commissions cannot be reversed; `paid`; `failed`: they are owed again.
    status: String,
    /// What moves the money: `manual`.
    rail: String,
    /// Why it failed, or what the rail said last where it did not say what became of it.
    trouble: Option<String>,
    /// By which whoever moves the money recognizes a repeat.
    key: String,
    /// What they call it.
    reference: Option<String>,
    commission_ids: Vec<String>,
    created_at: Option<String>,
    settled_at: Option<String>,
}

impl From<room::Payout> for Payout {
    fn from(payout: room::Payout) -> Self {
        let amount = payout.amount.unwrap_or_default();
        Self {
            id: payout.id,
            run_id: payout.run_id,
            partner_id: payout.partner_id,
            amount: amount.amount,
            currency: amount.currency,
            status: payout.status,
            rail: payout.rail,
            trouble: text(payout.trouble),
            key: payout.key,
            reference: text(payout.reference),
            commission_ids: payout.commission_ids,
            created_at: instant(payout.created_at),
            settled_at: instant(payout.settled_at),
        }
    }
}

/// Payouts, newest first.
#[derive(Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
struct PayoutPage {
    payouts: Vec<Payout>,
    /// Where the next page begins; null on the last one.
    next_cursor: Option<String>,
}

/// List payouts, newest first.
///
/// Scope `commissions:read`.
#[utoipa::path(
    get, path = "/payouts", tag = "attribution",
    params(
        ("status" = Option<String>, Query, description = "`pending`, `paid` or `failed`"),
        ("partnerId" = Option<String>, Query), ("limit" = Option<u32>, Query, description = "1 to 200, which it is without it"),
        ("cursor" = Option<String>, Query),
    ),
    responses((status = 200, body = PayoutPage), AttributionRefusals)
)]
async fn list(
    State(surface): State<Surface>,
    key: Key,
    mut params: Params,
) -> Result<Json<PayoutPage>, Refusal> {
    let partner = params.text_or_empty("partnerId");
    page(&surface, &key, partner, params).await
}

/// List the payouts of a partner, newest first.
///
/// Scope `commissions:read`.
#[utoipa::path(
    get, path = "/partners/{id}/payouts", tag = "attribution",
    params(("id" = String, Path), ("status" = Option<String>, Query), ("limit" = Option<u32>, Query),
        ("cursor" = Option<String>, Query)),
    responses((status = 200, body = PayoutPage), AttributionRefusals)
)]
async fn of_partner(
    State(surface): State<Surface>,
    key: Key,
    Path(id): Path<String>,
    params: Params,
) -> Result<Json<PayoutPage>, Refusal> {
    page(&surface, &key, id, params).await
}

async fn page(
    surface: &Surface,
    key: &Key,
    partner_id: String,
    mut params: Params,
) -> Result<Json<PayoutPage>, Refusal> {
    let request = room::ListPayoutsRequest {
        partner_id,
        status: params.one_of("status", &["pending", "paid", "failed"]).unwrap_or_default().to_owned(),
        limit: params.integer("limit", 1, 200).unwrap_or(200),
        cursor: params.text_or_empty("cursor"),
    };
    let request = key.queried(Scope::CommissionsRead, params.done(request)).await?;
    let listed = surface.attribution().list_payouts(key.asks(request)?).await;
    let listed = listed.map_err(|status| Refusal::of_query(&status, Scope::CommissionsRead))?.into_inner();
    let payouts = listed.payouts.into_iter().map(Payout::from).collect();
    Ok(Json(PayoutPage { payouts, next_cursor: text(listed.next_cursor) }))
}

/// Whom to pay.
#[derive(ToSchema)]
#[schema(rename_all = "camelCase")]
#[expect(dead_code, reason = "describes the body to OpenAPI; it is read field by field")]
struct NewRun {
    /// Everybody without it.
    partner_ids: Option<Vec<String>>,
}

/// A run of payouts.
#[derive(Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
struct PayoutRun {
    run_id: String,
    /// The rail that moves the money. `manual`: somebody does, and settles each payout.
    mode: String,
    payouts: Vec<Payout>,
}

/// Pay what was approved: one payout for each partner and currency.
///
/// Scope `payouts:write`. With the header `Idempotency-Key` a repeat is the same run; without it, each call is one, and what a run took no
/// other run takes.
#[utoipa::path(
    post, path = "/payouts/run", tag = "attribution", request_body = NewRun,
    responses((status = 200, body = PayoutRun), AttributionRefusals)
)]
async fn run(
    State(surface): State<Surface>,
    key: Key,
    headers: HeaderMap,
    Body(body): Body,
) -> Result<Json<PayoutRun>, Refusal> {
    let read = Fields::of_body(&body).and_then(|fields| new_run(fields, idempotency_key(&headers)?));
    let mut request = key.read(Scope::PayoutsWrite, read).await?;
    if request.idempotency_key.is_empty() {
        request.idempotency_key = format!("once-{}", uuid::Uuid::new_v4());
    }
    let run = surface.attribution().run_payouts(key.asks(request)?).await;
    let run = run.map_err(|status| Refusal::of_room(&status, Scope::PayoutsWrite))?.into_inner();
    let payouts = run.payouts.into_iter().map(Payout::from).collect();
    Ok(Json(PayoutRun { run_id: run.run_id, mode: run.mode, payouts }))
}

fn new_run(mut fields: Fields<'_>, idempotency_key: String) -> Result<room::RunPayoutsRequest, Faults> {
    let partner_ids =
        if fields.raw("partnerIds").is_some() { fields.texts("partnerIds", 1_000) } else { Vec::new() };
    fields.done(room::RunPayoutsRequest { idempotency_key, partner_ids })
}

/// What became of a payout.
#[derive(ToSchema)]
#[expect(dead_code, reason = "describes the body to OpenAPI; it is read field by field")]
struct PayoutSettlement {
    /// `paid` or `failed`.
    outcome: String,
    /// What whoever moved the money calls it.
    reference: Option<String>,
}

/// Say that a payout was paid, or that it failed.
///
/// Scope `payouts:write`. What failed is payable again. `payout_settled` where it ended otherwise; `payout_in_transfer` where a
/// rail moves the money and will say how that went.
#[utoipa::path(
    post, path = "/payouts/{id}/settle", tag = "attribution", params(("id" = String, Path)), request_body = PayoutSettlement,
    responses((status = 200, body = Payout), AttributionRefusals)
)]
async fn settle(
    State(surface): State<Surface>,
    key: Key,
    Path(payout_id): Path<String>,
    Body(body): Body,
) -> Result<(StatusCode, Json<Payout>), Refusal> {
    let read = Fields::of_body(&body).and_then(|fields| settlement(fields, payout_id));
    let request = key.read(Scope::PayoutsWrite, read).await?;
    let settled = surface.attribution().settle_payout(key.asks(request)?).await;
    let settled = settled.map_err(|status| Refusal::of_room(&status, Scope::PayoutsWrite))?.into_inner();
    Ok((StatusCode::OK, Json(settled.into())))
}

fn settlement(mut fields: Fields<'_>, payout_id: String) -> Result<room::SettlePayoutRequest, Faults> {
    fields.require("outcome");
    let request = room::SettlePayoutRequest {
        payout_id,
        outcome: fields.one_of("outcome", &["paid", "failed"]).unwrap_or_default().to_owned(),
        reference: fields.text("reference", Length::between(0, 200)).unwrap_or_default(),
    };
    fields.done(request)
}
