//! Commissions and what is decided about them.

use axum::{Json, extract::State};
use http::StatusCode;
use model::Scope;
use proto::attribution as room;
use serde::Serialize;
use serde_json::json;
use tonic::{Request, Response, Status};
use utoipa::ToSchema;
use utoipa_axum::{router::OpenApiRouter, routes};

use super::{
    Surface,
    caller::{Body, Key, Path},
    clicks::{Note, note},
    fields::{Faults, Fields, Length},
    query::Params,
    refusal::{AttributionRefusals, Refusal},
    wire::{instant, text},
};

/// How many commissions are decided at once.
const MOST_AT_ONCE: usize = 1_000;

pub(super) fn router() -> OpenApiRouter<Surface> {
    OpenApiRouter::new()
        .routes(routes!(list))
        .routes(routes!(of_partner))
        .routes(routes!(approve))
        .routes(routes!(reverse))
        .routes(routes!(hold))
        .routes(routes!(release))
        .routes(routes!(decide_many))
}

/// What a partner earns by an event.
#[derive(Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub(super) struct Commission {
    id: String,
    /// The organization, `org_…`.
    tenant_id: String,
    attribution_id: String,
    partner_id: String,
    /// After all corrections, in major units.
    #[schema(example = "900.00")]
    amount: String,
    currency: String,
    /// `accrued`, `approved`, `paid` or `reversed`.
    status: String,
    accrued_at: Option<String>,
    paid_at: Option<String>,
    payout_id: Option<String>,
    holdback_days: Option<u32>,
    program_id: String,
    campaign_name: String,
    /// When it can be approved; null when it could be at once.
    mature_at: Option<String>,
    event_id: String,
    /// Why it is as it is.
    reason: String,
    /// Whether it waits for a review.
    held: bool,
    approved_at: Option<String>,
    /// Which of the program's rules pays it, counted from 0.
    rule: u32,
}

impl Commission {
    fn of(commission: room::Commission, tenant_id: String) -> Self {
        let holdback_days = Some(commission.hold_days).filter(|days| *days > 0);
        Self {
            id: commission.id,
            tenant_id,
            attribution_id: commission.attribution_id,
            partner_id: commission.partner_id,
            amount: commission.amount,
            currency: commission.currency,
            status: commission.status,
            accrued_at: instant(commission.accrued_at),
            paid_at: instant(commission.paid_at),
            payout_id: text(commission.payout_id),
            holdback_days,
            program_id: commission.program_id,
            campaign_name: commission.program_name,
            mature_at: holdback_days.and_then(|_| instant(commission.mature_at)),
            event_id: commission.event_id,
            reason: commission.reason,
            held: commission.held,
            approved_at: instant(commission.approved_at),
            rule: commission.rule,
        }
    }
}

/// Commissions, newest first.
#[derive(Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
struct CommissionPage {
    commissions: Vec<Commission>,
    /// Where the next page begins; null on the last one.
    next_cursor: Option<String>,
}

/// List commissions, newest first.
///
/// Scope `commissions:read`.
#[utoipa::path(
    get, path = "/commissions", tag = "attribution",
    params(
        ("status" = Option<String>, Query, description = "`accrued`, `approved`, `paid` or `reversed`"),
        ("partnerId" = Option<String>, Query), ("programId" = Option<String>, Query),
        ("held" = Option<bool>, Query, description = "Only those that wait for a review"),
        ("limit" = Option<u32>, Query, description = "1 to 500; 100 without it"), ("cursor" = Option<String>, Query),
    ),
    responses((status = 200, body = CommissionPage), AttributionRefusals)
)]
async fn list(
    State(surface): State<Surface>,
    key: Key,
    mut params: Params,
) -> Result<Json<CommissionPage>, Refusal> {
    let partner = params.text_or_empty("partnerId");
    page(&surface, &key, partner, params).await
}

/// List the commissions of a partner, newest first.
///
/// Scope `commissions:read`.
#[utoipa::path(
    get, path = "/partners/{id}/commissions", tag = "attribution",
    params(("id" = String, Path), ("status" = Option<String>, Query), ("limit" = Option<u32>, Query),
        ("cursor" = Option<String>, Query)),
    responses((status = 200, body = CommissionPage), AttributionRefusals)
)]
async fn of_partner(
    State(surface): State<Surface>,
    key: Key,
    Path(id): Path<String>,
    params: Params,
) -> Result<Json<CommissionPage>, Refusal> {
    page(&surface, &key, id, params).await
}

async fn page(
    surface: &Surface,
    key: &Key,
    partner_id: String,
    mut params: Params,
) -> Result<Json<CommissionPage>, Refusal> {
    let status = params.one_of("status", &["accrued", "approved", "paid", "reversed"]);
    let request = room::ListCommissionsRequest {
        status: status.unwrap_or_default().to_owned(),
        partner_id,
        program_id: params.text_or_empty("programId"),
        held: params.is_set("held"),
        limit: params.integer("limit", 1, 500).unwrap_or(100),
        cursor: params.text_or_empty("cursor"),
    };
    let request = key.queried(Scope::CommissionsRead, params.done(request)).await?;
    let listed = surface.attribution().list_commissions(key.asks(request)?).await;
    let listed = listed.map_err(|status| Refusal::of_query(&status, Scope::CommissionsRead))?.into_inner();
    let tenant = key.caller().await?.organization.to_string();
    let commissions = listed.commissions.into_iter().map(|row| Commission::of(row, tenant.clone())).collect();
    Ok(Json(CommissionPage { commissions, next_cursor: text(listed.next_cursor) }))
}

/// The commission after the decision.
#[derive(Serialize, ToSchema)]
struct DecidedCommission {
    commission: Commission,
}

/// What is decided.
#[derive(Clone, Copy, Debug)]
enum Decision {
    Approve,
    Reverse,
    Hold,
    Release,
}

type Answered = Result<Response<room::DecideCommissionsResponse>, Status>;

impl Decision {
    fn named(name: &str) -> Option<Self> {
        Some(match name {
            "approve" => Self::Approve,
            "reverse" => Self::Reverse,
            "hold" => Self::Hold,
            "release" => Self::Release,
            _ => return None,
        })
    }

    async fn ask(self, surface: &Surface, request: Request<room::DecideCommissionsRequest>) -> Answered {
        let mut room = surface.attribution();
        match self {
            Self::Approve => room.approve_commissions(request).await,
            Self::Reverse => room.reverse_commissions(request).await,
            Self::Hold => room.hold_commissions(request).await,
            Self::Release => room.release_commissions(request).await,
        }
    }
}

/// Approve a commission: it is paid by the next payout.
///
/// Scope `commissions:write`. `holdback_active` before it is mature.
#[utoipa::path(
    post, path = "/commissions/{id}/approve", tag = "attribution", params(("id" = String, Path)), request_body = Note,
    responses((status = 200, body = DecidedCommission), AttributionRefusals)
)]
async fn approve(
    State(surface): State<Surface>,
    key: Key,
    Path(id): Path<String>,
    body: Body,
) -> Result<Json<DecidedCommission>, Refusal> {
    decide(&surface, &key, (id, Decision::Approve), body).await
}

/// Reverse a commission that was not paid.
///
/// Scope `commissions:write`.
#[utoipa::path(
    post, path = "/commissions/{id}/reverse", tag = "attribution", params(("id" = String, Path)), request_body = Note,
    responses((status = 200, body = DecidedCommission), AttributionRefusals)
)]
async fn reverse(
    State(surface): State<Surface>,
    key: Key,
    Path(id): Path<String>,
    body: Body,
) -> Result<Json<DecidedCommission>, Refusal> {
    decide(&surface, &key, (id, Decision::Reverse), body).await
}

/// Hold a commission back for a review.
///
/// Scope `commissions:write`.
#[utoipa::path(
    post, path = "/commissions/{id}/hold", tag = "attribution", params(("id" = String, Path)), request_body = Note,
    responses((status = 200, body = DecidedCommission), AttributionRefusals)
)]
async fn hold(
    State(surface): State<Surface>,
    key: Key,
    Path(id): Path<String>,
    body: Body,
) -> Result<Json<DecidedCommission>, Refusal> {
    decide(&surface, &key, (id, Decision::Hold), body).await
}

/// End the review of a commission that was held back.
///
/// Scope `commissions:write`.
#[utoipa::path(
    post, path = "/commissions/{id}/release", tag = "attribution", params(("id" = String, Path)), request_body = Note,
    responses((status = 200, body = DecidedCommission), AttributionRefusals)
)]
async fn release(
    State(surface): State<Surface>,
    key: Key,
    Path(id): Path<String>,
    body: Body,
) -> Result<Json<DecidedCommission>, Refusal> {
    decide(&surface, &key, (id, Decision::Release), body).await
}

async fn decide(
    surface: &Surface,
    key: &Key,
    (id, decision): (String, Decision),
    Body(body): Body,
) -> Result<Json<DecidedCommission>, Refusal> {
    let note = key.read(Scope::CommissionsWrite, Fields::of_body(&body).and_then(note)).await?;
    let request = room::DecideCommissionsRequest { commission_ids: vec![id], note };
    let mut answers = answers(surface, key, decision, request).await?;
    let commission = answers.pop().ok_or_else(missing)??;
    Ok(Json(DecidedCommission { commission }))
}

fn missing() -> Refusal {
    Refusal::new(StatusCode::INTERNAL_SERVER_ERROR, "internal_error")
}

async fn answers(
    surface: &Surface,
    key: &Key,
    decision: Decision,
    request: room::DecideCommissionsRequest,
) -> Result<Vec<Result<Commission, Refusal>>, Refusal> {
    let decided = decision.ask(surface, key.asks(request)?).await;
    let decided = decided.map_err(|status| Refusal::of_room(&status, Scope::CommissionsWrite))?.into_inner();
    answered(key, decided).await
}

/// What became of each.
pub(super) async fn answered(
    key: &Key,
    decided: room::DecideCommissionsResponse,
) -> Result<Vec<Result<Commission, Refusal>>, Refusal> {
    let tenant = key.caller().await?.organization.to_string();
    let answer = |answer: room::CommissionAnswer| match answer.answer {
        Some(room::commission_answer::Answer::Commission(row)) => Ok(Ok(Commission::of(row, tenant.clone()))),
        Some(room::commission_answer::Answer::Refused(refused)) => Ok(Err(of_commission(refused))),
        None => Err(missing()),
    };
    decided.answers.into_iter().map(answer).collect()
}

fn of_commission(refused: room::CommissionRefusal) -> Refusal {
    if refused.code == "not_found" {
        return Refusal::new(StatusCode::NOT_FOUND, "not_found");
    }
    let is_held_back = refused.code == "holdback_active";
    let refusal = Refusal::new(StatusCode::CONFLICT, refused.code);
    let refusal = if refused.message.is_empty() { refusal } else { refusal.detailed(refused.message) };
    match is_held_back {
        true => refusal
            .with("matureAt", json!(instant(refused.mature_at)))
            .with("holdbackDays", json!(refused.hold_days)),
        false => refusal,
    }
}

/// Which commissions, and why.
#[derive(ToSchema)]
#[expect(dead_code, reason = "describes the body to OpenAPI; it is read field by field")]
struct ManyCommissions {
    /// 1 to 1,000.
    ids: Vec<String>,
    note: Option<String>,
}

/// What became of one commission.
#[derive(Serialize, ToSchema)]
#[serde(untagged)]
enum ManyAnswer {
    Decided(ManyDecided),
    Refused(ManyRefused),
}

/// It was decided.
#[derive(Serialize, ToSchema)]
struct ManyDecided {
    ok: bool,
    commission: Box<Commission>,
}

/// It was refused; the others are not concerned.
#[derive(Serialize, ToSchema)]
struct ManyRefused {
    ok: bool,
    id: String,
    #[serde(flatten)]
    #[schema(value_type = super::refusal::RefusalBody)]
    refusal: Refusal,
}

/// What became of each, in the order of the request.
#[derive(Serialize, ToSchema)]
pub(super) struct ManyAnswers {
    results: Vec<ManyAnswer>,
}

/// Approve, reverse, hold or release up to 1,000 commissions.
///
/// Scope `commissions:write`. Each is decided for itself.
#[utoipa::path(
    post, path = "/commissions/{decision}", tag = "attribution",
    params(("decision" = String, Path, description = "`approve`, `reverse`, `hold` or `release`")),
    request_body = ManyCommissions, responses((status = 200, body = ManyAnswers), AttributionRefusals)
)]
async fn decide_many(
    State(surface): State<Surface>,
    key: Key,
    Path(decision): Path<String>,
    Body(body): Body,
) -> Result<Json<ManyAnswers>, Refusal> {
    let decision =
        Decision::named(&decision).ok_or_else(|| Refusal::new(StatusCode::NOT_FOUND, "not_found"))?;
    let request = key.read(Scope::CommissionsWrite, Fields::of_body(&body).and_then(many)).await?;
    let ids = request.commission_ids.clone();
    let answers = answers(&surface, &key, decision, request).await?;
    Ok(Json(ManyAnswers::of(ids, answers)))
}

impl ManyAnswers {
    pub(super) fn of(ids: Vec<String>, answers: Vec<Result<Commission, Refusal>>) -> Self {
        let answer = |(id, answer)| match answer {
            Ok(commission) => ManyAnswer::Decided(ManyDecided { ok: true, commission: Box::new(commission) }),
            Err(refusal) => ManyAnswer::Refused(ManyRefused { ok: false, id, refusal }),
        };
        Self { results: ids.into_iter().zip(answers).map(answer).collect() }
    }
}

fn many(mut fields: Fields<'_>) -> Result<room::DecideCommissionsRequest, Faults> {
    let commission_ids = fields.texts("ids", MOST_AT_ONCE);
    let note = fields.text("note", Length::between(0, 500)).unwrap_or_default();
    fields.done(room::DecideCommissionsRequest { commission_ids, note })
}
