//! What is believed without asking, and what waits for a person.

use axum::{Json, extract::State};
use model::Scope;
use proto::attribution as room;
use serde::Serialize;
use serde_json::value::RawValue;
use utoipa::ToSchema;
use utoipa_axum::{router::OpenApiRouter, routes};

use super::{
    Surface,
    caller::{Body, Key},
    commissions::{ManyAnswers, answered},
    fields::{Faults, Fields, Length},
    query::Params,
    refusal::{AttributionRefusals, Refusal},
    wire::{instant, object, text},
};

const LARGEST: u32 = 1_000_000;
/// How many commissions are decided at once.
const MOST_AT_ONCE: usize = 1_000;

pub(super) fn router() -> OpenApiRouter<Surface> {
    OpenApiRouter::new()
        .routes(routes!(show, change))
        .routes(routes!(rotate))
        .routes(routes!(reviews))
        .routes(routes!(decide))
}

/// What is believed without asking. A limit of 0 is none.
#[derive(Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
struct Guards {
    /// Whether an identify carries a signature of the user id: `off`, `on` (a wrong one is refused) or `required`.
    signed_identify: String,
    /// When the secret to sign with was made; null where there is none.
    secret_created_at: Option<String>,
    /// So many users may be tied to one click before the next wait.
    users_per_click: u32,
    /// So many users may come through a partner's clicks of one address in an hour before the next wait.
    identifies_per_address_hour: u32,
    /// So many events may earn for a partner in an hour before those of the hour wait.
    events_per_partner_hour: u32,
    /// A partner is tied to a user at most once a day (UTC).
    one_stitch_per_day: bool,
    /// An unsigned identify of somebody who was a customer before the partner's first click waits.
    known_customers_wait: bool,
}

impl From<room::Guards> for Guards {
    fn from(guards: room::Guards) -> Self {
        Self {
            signed_identify: guards.signed_identify,
            secret_created_at: instant(guards.secret_created_at),
            users_per_click: guards.users_per_click,
            identifies_per_address_hour: guards.identifies_per_address_hour,
            events_per_partner_hour: guards.events_per_partner_hour,
            one_stitch_per_day: guards.one_stitch_per_day,
            known_customers_wait: guards.known_customers_wait,
        }
    }
}

/// What is to be believed; what is left out stays.
#[derive(ToSchema)]
#[schema(rename_all = "camelCase")]
#[expect(dead_code, reason = "describes the body to OpenAPI; it is read field by field")]
struct ChangedGuards {
    signed_identify: Option<String>,
    users_per_click: Option<u32>,
    identifies_per_address_hour: Option<u32>,
    events_per_partner_hour: Option<u32>,
    one_stitch_per_day: Option<bool>,
    known_customers_wait: Option<bool>,
}

/// Show what is believed without asking.
///
/// Scope `partners:read`.
#[utoipa::path(
    get, path = "/attribution/guards", tag = "attribution",
    responses((status = 200, body = Guards), AttributionRefusals)
)]
async fn show(State(surface): State<Surface>, key: Key) -> Result<Json<Guards>, Refusal> {
    Ok(Json(stored(&surface, &key, Scope::PartnersRead).await?.into()))
}

async fn stored(surface: &Surface, key: &Key, needs: Scope) -> Result<room::Guards, Refusal> {
    let found = surface.attribution().get_guards(key.asks(room::GetGuardsRequest {})?).await;
    Ok(found.map_err(|status| Refusal::of_room(&status, needs))?.into_inner())
}

/// Change what is believed without asking.
///
/// Scope `programs:write`. `secret_missing` when signatures are wanted and there is no secret to sign with.
#[utoipa::path(
    patch, path = "/attribution/guards", tag = "attribution", request_body = ChangedGuards,
    responses((status = 200, body = Guards), AttributionRefusals)
)]
async fn change(State(surface): State<Surface>, key: Key, Body(body): Body) -> Result<Json<Guards>, Refusal> {
    key.must_have(Scope::ProgramsWrite).await?;
    let stands = stored(&surface, &key, Scope::PartnersRead).await?;
    let read = Fields::of_body(&body).and_then(|fields| changed(fields, stands));
    let request = read.map_err(|faults| faults.refusal("invalid_body"))?;
    let changed = surface.attribution().set_guards(key.asks(request)?).await;
    Ok(Json(changed.map_err(|status| Refusal::of_room(&status, Scope::ProgramsWrite))?.into_inner().into()))
}

fn changed(mut fields: Fields<'_>, stands: room::Guards) -> Result<room::Guards, Faults> {
    let signing = fields.one_of("signedIdentify", &["off", "on", "required"]);
    let guards = room::Guards {
        signed_identify: signing.map_or(stands.signed_identify, str::to_owned),
        users_per_click: fields.integer("usersPerClick", 0, LARGEST).unwrap_or(stands.users_per_click),
        identifies_per_address_hour: fields
            .integer("identifiesPerAddressHour", 0, LARGEST)
            .unwrap_or(stands.identifies_per_address_hour),
        events_per_partner_hour: fields
            .integer("eventsPerPartnerHour", 0, LARGEST)
            .unwrap_or(stands.events_per_partner_hour),
        one_stitch_per_day: fields.boolean("oneStitchPerDay").unwrap_or(stands.one_stitch_per_day),
        known_customers_wait: fields.boolean("knownCustomersWait").unwrap_or(stands.known_customers_wait),
        secret_created_at: None,
    };
    fields.done(guards)
}

/// A new secret. It is shown here and never again.
#[derive(Serialize, ToSchema)]
struct NewSecret {
    secret: String,
}

/// Make the secret that user ids are signed with: HMAC-SHA256, in hexadecimal digits. The one before is good for a day.
///
/// Scope `programs:write`.
#[utoipa::path(
    post, path = "/attribution/guards/secret", tag = "attribution",
    responses((status = 201, body = NewSecret), AttributionRefusals)
)]
async fn rotate(
    State(surface): State<Surface>,
    key: Key,
) -> Result<(http::StatusCode, Json<NewSecret>), Refusal> {
    let request = key.asks(room::RotateIdentifySecretRequest {})?;
    let rotated = surface.attribution().rotate_identify_secret(request).await;
    let rotated = rotated.map_err(|status| Refusal::of_room(&status, Scope::ProgramsWrite))?.into_inner();
    Ok((http::StatusCode::CREATED, Json(NewSecret { secret: rotated.secret })))
}

/// A commission that waits for a person.
#[derive(Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
struct Review {
    commission_id: String,
    partner_id: String,
    partner_name: String,
    program_id: String,
    program_name: String,
    event_id: String,
    event_type: String,
    user_id: String,
    #[schema(value_type = Object)]
    metadata: Box<RawValue>,
    click_id: String,
    /// What is at stake, in major units.
    amount: String,
    currency: String,
    /// Why it waits: `self_referral`, `known_customer`, `duplicate_customer`, `users_per_click`, `identifies_per_address`,
    /// `early_event`, `events_per_partner`, `held_by_hand`; null for one that only waits for its approval.
    reason: Option<String>,
    /// The same for people.
    explanation: String,
    since: Option<String>,
    mature_at: Option<String>,
    held: bool,
    status: String,
    /// What was decided about it and its click, the newest first.
    decisions: Vec<Decision>,
}

/// What somebody decided.
#[derive(Serialize, ToSchema)]
struct Decision {
    decision: String,
    note: String,
    actor: String,
    at: Option<String>,
}

/// What waits, newest first.
#[derive(Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
struct Reviews {
    reviews: Vec<Review>,
    /// Of all that wait.
    totals: Vec<Total>,
    /// Where the next page begins; null on the last one.
    next_cursor: Option<String>,
}

/// What waits for one reason.
#[derive(Serialize, ToSchema)]
struct Total {
    reason: Option<String>,
    currency: String,
    count: u64,
    amount: String,
}

impl From<room::ReviewItem> for Review {
    fn from(item: room::ReviewItem) -> Self {
        let decision = |note: room::DecisionNote| Decision {
            decision: note.decision,
            note: note.note,
            actor: note.actor,
            at: instant(note.at),
        };
        Self {
            commission_id: item.commission_id,
            partner_id: item.partner_id,
            partner_name: item.partner_name,
            program_id: item.program_id,
            program_name: item.program_name,
            event_id: item.event_id,
            event_type: item.event_type,
            user_id: item.user_id,
            metadata: object(item.metadata_json),
            click_id: item.click_id,
            amount: item.amount,
            currency: item.currency,
            reason: text(item.reason),
            explanation: item.explanation,
            since: instant(item.since),
            mature_at: instant(item.mature_at),
            held: item.held,
            status: item.status,
            decisions: item.decisions.into_iter().map(decision).collect(),
        }
    }
}

/// List what waits for a person, newest first.
///
/// Scope `commissions:read`.
#[utoipa::path(
    get, path = "/reviews", tag = "attribution",
    params(
        ("state" = Option<String>, Query, description = "`held`, which it is without it, or `accrued`: all that are not approved yet"),
        ("reason" = Option<String>, Query), ("partnerId" = Option<String>, Query),
        ("limit" = Option<u32>, Query, description = "1 to 500, 100 without it"), ("cursor" = Option<String>, Query),
    ),
    responses((status = 200, body = Reviews), AttributionRefusals)
)]
async fn reviews(
    State(surface): State<Surface>,
    key: Key,
    mut params: Params,
) -> Result<Json<Reviews>, Refusal> {
    let request = room::ListReviewsRequest {
        state: params.one_of("state", &["held", "accrued"]).unwrap_or_default().to_owned(),
        reason: params.text_or_empty("reason"),
        partner_id: params.text_or_empty("partnerId"),
        limit: params.integer("limit", 1, 500).unwrap_or(100),
        cursor: params.text_or_empty("cursor"),
    };
    let request = key.queried(Scope::CommissionsRead, params.done(request)).await?;
    let listed = surface.attribution().list_reviews(key.asks(request)?).await;
    let listed = listed.map_err(|status| Refusal::of_query(&status, Scope::CommissionsRead))?.into_inner();
    let total = |total: room::ReviewTotal| Total {
        reason: text(total.reason),
        currency: total.currency,
        count: total.count,
        amount: total.amount,
    };
    Ok(Json(Reviews {
        reviews: listed.items.into_iter().map(Review::from).collect(),
        totals: listed.totals.into_iter().map(total).collect(),
        next_cursor: text(listed.next_cursor),
    }))
}

/// What is decided about what waits.
#[derive(ToSchema)]
#[schema(rename_all = "camelCase")]
#[expect(dead_code, reason = "describes the body to OpenAPI; it is read field by field")]
struct ReviewDecision {
    /// Of commissions, 1 to 1,000.
    ids: Vec<String>,
    /// `clear`: they are released and mature as others do. `reject`: they are reversed.
    decision: String,
    /// Also the clicks: cleared, nothing waits any more because of how they were tied to their users; rejected, they are
    /// flagged as fraud.
    with_click: Option<bool>,
    note: Option<String>,
}

/// Decide about up to 1,000 commissions that wait.
///
/// Scope `commissions:write`. Each is decided for itself.
#[utoipa::path(
    post, path = "/reviews/decide", tag = "attribution", request_body = ReviewDecision,
    responses((status = 200, body = ManyAnswers), AttributionRefusals)
)]
async fn decide(
    State(surface): State<Surface>,
    key: Key,
    Body(body): Body,
) -> Result<Json<ManyAnswers>, Refusal> {
    let request = key.read(Scope::CommissionsWrite, Fields::of_body(&body).and_then(decision)).await?;
    let ids = request.commission_ids.clone();
    let decided = surface.attribution().decide_reviews(key.asks(request)?).await;
    let decided = decided.map_err(|status| Refusal::of_room(&status, Scope::CommissionsWrite))?.into_inner();
    Ok(Json(ManyAnswers::of(ids, answered(&key, decided).await?)))
}

fn decision(mut fields: Fields<'_>) -> Result<room::DecideReviewsRequest, Faults> {
    fields.require("decision");
    let request = room::DecideReviewsRequest {
        commission_ids: fields.texts("ids", MOST_AT_ONCE),
        decision: fields.one_of("decision", &["clear", "reject"]).unwrap_or_default().to_owned(),
        with_click: fields.boolean("withClick").unwrap_or_default(),
        note: fields.text("note", Length::between(0, 500)).unwrap_or_default(),
    };
    fields.done(request)
}
