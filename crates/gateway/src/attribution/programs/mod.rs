//! Programs: what partners are paid for, and how clicks are weighed.

mod agreed;
mod rules;

use axum::{Json, extract::State};
use http::StatusCode;
use jiff::Timestamp;
use model::Scope;
use proto::attribution as room;
use serde::Serialize;
use serde_json::{Map, Value};
use utoipa::ToSchema;
use utoipa_axum::{router::OpenApiRouter, routes};

use self::rules::RuleView;
use super::{
    Surface,
    caller::{Body, Key, Path},
    fields::{Faults, Fields, Length},
    refusal::{AttributionRefusals, Refusal},
    wire::instant,
};
use crate::view::to_wire;

const MODELS: [&str; 5] = ["last_click", "first_click", "linear", "position", "time_decay"];
/// What is kept with a program and given back, though nothing here reads it.
const KEPT: [&str; 4] = ["customerReward", "shareOnNetwork", "marketplaceDescription", "categories"];

pub(super) fn router() -> OpenApiRouter<Surface> {
    OpenApiRouter::new()
        .routes(routes!(list, create))
        .routes(routes!(show, update))
        .routes(routes!(preview_model))
        .routes(routes!(change_model))
        .routes(routes!(list_by_old_name, create_by_old_name))
        .routes(routes!(update_by_old_name))
        .merge(agreed::router())
}

/// A program, new or to be changed; a field that is not given stays as it is.
#[derive(ToSchema)]
#[schema(rename_all = "camelCase")]
#[expect(dead_code, reason = "describes the body to OpenAPI; it is read field by field")]
struct ProgramBody {
    /// Needed for a new one.
    name: Option<String>,
    /// 1 to 10 rules, or a single one without a trigger. Needed for a new one.
    commission_rule: Option<Vec<RuleView>>,
    /// Where its links lead. Needed for a new one.
    destination_url: Option<String>,
    /// For how many days a click counts: 1 to 365; 60 without it.
    attribution_window_days: Option<u32>,
    /// `last_click`, `first_click`, `linear`, `position` or `time_decay`. It counts for what comes; what stands is changed by the
    /// program's model.
    attribution_model: Option<String>,
    /// Domains that links may lead to instead, with commas between them.
    deep_link_allowed_domains: Option<String>,
    /// For how many days a commission cannot be approved: 0 to 365.
    holdback_days: Option<u32>,
    /// Before it, nobody is paid. Null takes it away: the program starts now.
    starts_at: Option<String>,
    /// From it on, nobody is paid. Null takes it away.
    ends_at: Option<String>,
    #[schema(value_type = Option<Object>)]
    customer_reward: Option<Value>,
    share_on_network: Option<bool>,
    marketplace_description: Option<String>,
    categories: Option<Vec<String>>,
    /// Checked, and without effect: no program is kept from a partner here. A partner takes part by a link, which only a key with the
    /// scope `partners:write` makes.
    grant_to_all_partners: Option<bool>,
}

/// A program.
#[derive(Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
struct Program {
    id: String,
    /// The organization, `org_…`.
    tenant_id: String,
    name: String,
    commission_rule: Vec<RuleView>,
    attribution_window_days: u32,
    attribution_model: String,
    destination_url: String,
    deep_link_allowed_domains: Option<String>,
    holdback_days: Option<u32>,
    starts_at: Option<String>,
    ends_at: Option<String>,
    #[schema(value_type = Option<Object>)]
    customer_reward: Value,
    share_on_network: bool,
    marketplace_description: Option<String>,
    #[schema(value_type = Vec<String>)]
    categories: Value,
    /// Which version of its terms this is, counted from 1.
    terms_version: u32,
    created_at: Option<String>,
    updated_at: Option<String>,
}

impl Program {
    fn of(program: room::Program, tenant_id: String) -> Self {
        let terms = program.terms.unwrap_or_default();
        let mut extra: Map<String, Value> = serde_json::from_str(&program.extra_json).unwrap_or_default();
        let mut kept = |name: &str| extra.remove(name).unwrap_or_default();
        Self {
            id: program.id,
            tenant_id,
            name: program.name,
            commission_rule: terms.rules.into_iter().map(RuleView::from).collect(),
            attribution_window_days: terms.window_days,
            attribution_model: terms.model,
            destination_url: program.destination_url,
            deep_link_allowed_domains: Some(program.allowed_domains.join(","))
                .filter(|list| !list.is_empty()),
            holdback_days: Some(terms.hold_days).filter(|days| *days > 0),
            starts_at: instant(program.starts_at),
            ends_at: instant(program.ends_at),
            customer_reward: kept("customerReward"),
            share_on_network: kept("shareOnNetwork").as_bool().unwrap_or_default(),
            marketplace_description: kept("marketplaceDescription").as_str().map(str::to_owned),
            categories: Some(kept("categories"))
                .filter(Value::is_array)
                .unwrap_or_else(|| Value::Array(Vec::new())),
            terms_version: terms.version,
            created_at: instant(program.created_at),
            updated_at: instant(program.updated_at),
        }
    }
}

/// What a body says of a program; what it does not say is none.
struct Wanted {
    name: Option<String>,
    destination_url: Option<String>,
    allowed_domains: Option<Vec<String>>,
    rules: Option<Vec<room::Rule>>,
    window_days: Option<u32>,
    model: Option<&'static str>,
    hold_days: Option<u32>,
    starts_at: Option<Timestamp>,
    ends_at: Option<Timestamp>,
    /// Whether the start and the end are null, which takes them away.
    cleared: (bool, bool),
    /// Of [`KEPT`], what is given; null clears.
    kept: Map<String, Value>,
}

fn wanted(mut fields: Fields<'_>, required: &[&'static str]) -> Result<Wanted, Faults> {
    for name in required {
        fields.require(name);
    }
    let cleared = |fields: &Fields<'_>, name: &str| fields.is_null(name);
    let domains = fields.text("deepLinkAllowedDomains", Length::between(0, 1_000));
    let domains = domains.or_else(|| cleared(&fields, "deepLinkAllowedDomains").then(String::new));
    let split = |list: String| {
        let domains = list.split(',').map(str::trim).filter(|domain| !domain.is_empty());
        domains.map(str::to_owned).collect()
    };
    let hold_days = fields.integer("holdbackDays", 0, 365);
    let hold_days = hold_days.or_else(|| cleared(&fields, "holdbackDays").then_some(0));
    let mut kept = Map::new();
    fields.object("customerReward");
    fields.boolean("shareOnNetwork");
    fields.text("marketplaceDescription", Length::between(0, 4_000));
    fields.list("categories");
    fields.boolean("grantToAllPartners");
    for name in KEPT {
        let value = fields.raw(name).and_then(|raw| serde_json::from_str(raw.get()).ok());
        let value = value.or_else(|| fields.is_null(name).then_some(Value::Null));
        kept.extend(value.map(|value| (name.to_owned(), value)));
    }
    let wanted = Wanted {
        name: fields.text("name", Length::SOME),
        destination_url: fields.url("destinationUrl", Length::between(0, 2_048)),
        allowed_domains: domains.map(split),
        rules: rules::read(&mut fields),
        window_days: fields.integer("attributionWindowDays", 1, 365),
        model: fields.one_of("attributionModel", &MODELS),
        hold_days,
        starts_at: fields.moment("startsAt"),
        ends_at: fields.moment("endsAt"),
        cleared: (cleared(&fields, "startsAt"), cleared(&fields, "endsAt")),
        kept,
    };
    fields.done(wanted)
}

impl Wanted {
    /// The terms that it asks for, if any, on top of those that stand.
    fn terms(&mut self, standing: Option<room::Terms>) -> Option<room::Terms> {
        let changes = self.rules.is_some() || self.window_days.is_some() || self.hold_days.is_some();
        if !changes && self.model.is_none() && standing.is_some() {
            return None;
        }
        let usual = || room::Terms { window_days: 60, model: MODELS[0].to_owned(), ..room::Terms::default() };
        let mut terms = standing.unwrap_or_else(usual);
        if let Some(rules) = self.rules.take() {
            terms.rules = rules;
        }
        terms.window_days = self.window_days.unwrap_or(terms.window_days);
        terms.hold_days = self.hold_days.unwrap_or(terms.hold_days);
        if let Some(model) = self.model {
            terms.model = model.to_owned();
        }
        terms.effective_from = None;
        Some(terms)
    }

    /// What is kept, on top of what stands; none when it says nothing.
    fn extra(&mut self, standing: &str) -> Option<String> {
        if self.kept.is_empty() {
            return None;
        }
        let mut extra: Map<String, Value> = serde_json::from_str(standing).unwrap_or_default();
        extra.append(&mut self.kept);
        extra.retain(|_, value| !value.is_null());
        Some(Value::Object(extra).to_string())
    }
}

/// Programs, newest first.
#[derive(Serialize, ToSchema)]
struct Programs {
    programs: Vec<Program>,
}

/// The same by their old name.
#[derive(Serialize, ToSchema)]
struct Campaigns {
    campaigns: Vec<Program>,
}

/// List the programs, newest first.
///
/// Scope `partners:read`.
#[utoipa::path(
    get, path = "/programs", tag = "attribution", responses((status = 200, body = Programs), AttributionRefusals)
)]
async fn list(State(surface): State<Surface>, key: Key) -> Result<Json<Programs>, Refusal> {
    Ok(Json(Programs { programs: listed(&surface, &key).await? }))
}

async fn listed(surface: &Surface, key: &Key) -> Result<Vec<Program>, Refusal> {
    let listed = surface.attribution().list_programs(key.asks(room::ListProgramsRequest {})?).await;
    let listed = listed.map_err(|status| Refusal::of_room(&status, Scope::PartnersRead))?.into_inner();
    let tenant = key.caller().await?.organization.to_string();
    Ok(listed.programs.into_iter().map(|program| Program::of(program, tenant.clone())).collect())
}

/// Create a program.
///
/// Scope `programs:write`.
#[utoipa::path(
    post, path = "/programs", tag = "attribution", request_body = ProgramBody,
    responses((status = 201, body = Program), AttributionRefusals)
)]
async fn create(
    State(surface): State<Surface>,
    key: Key,
    Body(body): Body,
) -> Result<(StatusCode, Json<Program>), Refusal> {
    const REQUIRED: [&str; 3] = ["name", "commissionRule", "destinationUrl"];
    let read = Fields::of_body(&body).and_then(|fields| wanted(fields, &REQUIRED));
    let mut wanted = key.read(Scope::ProgramsWrite, read).await?;
    let program = room::Program {
        terms: wanted.terms(None),
        extra_json: wanted.extra("").unwrap_or_default(),
        name: wanted.name.unwrap_or_default(),
        destination_url: wanted.destination_url.unwrap_or_default(),
        allowed_domains: wanted.allowed_domains.unwrap_or_default(),
        starts_at: to_wire(wanted.starts_at),
        ends_at: to_wire(wanted.ends_at),
        ..room::Program::default()
    };
    let created = surface.attribution().create_program(key.asks(program)?).await;
    let created = created.map_err(|status| Refusal::of_room(&status, Scope::ProgramsWrite))?.into_inner();
    Ok((StatusCode::CREATED, Json(Program::of(created, key.caller().await?.organization.to_string()))))
}

/// Show a program.
///
/// Scope `partners:read`.
#[utoipa::path(
    get, path = "/programs/{id}", tag = "attribution", params(("id" = String, Path)),
    responses((status = 200, body = Program), AttributionRefusals)
)]
async fn show(
    State(surface): State<Surface>,
    key: Key,
    Path(program_id): Path<String>,
) -> Result<Json<Program>, Refusal> {
    let found = standing(&surface, &key, program_id, Scope::PartnersRead).await?;
    Ok(Json(Program::of(found, key.caller().await?.organization.to_string())))
}

async fn standing(
    surface: &Surface,
    key: &Key,
    program_id: String,
    needs: Scope,
) -> Result<room::Program, Refusal> {
    let found = surface.attribution().get_program(key.asks(room::GetProgramRequest { program_id })?).await;
    Ok(found.map_err(|status| Refusal::of_room(&status, needs))?.into_inner())
}

/// Change a program. Changed terms count from now on; commissions that accrued stay.
///
/// Scopes `programs:write` and `partners:read`: what is not given stays as it is.
#[utoipa::path(
    patch, path = "/programs/{id}", tag = "attribution", params(("id" = String, Path)), request_body = ProgramBody,
    responses((status = 200, body = Program), AttributionRefusals)
)]
async fn update(
    State(surface): State<Surface>,
    key: Key,
    Path(program_id): Path<String>,
    Body(body): Body,
) -> Result<Json<Program>, Refusal> {
    let read = Fields::of_body(&body).and_then(|fields| wanted(fields, &[]));
    let mut wanted = key.read(Scope::ProgramsWrite, read).await?;
    key.must_have(Scope::ProgramsWrite).await?;
    let standing = standing(&surface, &key, program_id.clone(), Scope::PartnersRead).await?;
    let request = room::UpdateProgramRequest {
        program_id,
        terms: wanted.terms(Some(standing.terms.unwrap_or_default())),
        extra_json: wanted.extra(&standing.extra_json),
        name: wanted.name,
        destination_url: wanted.destination_url,
        allowed_domains: wanted.allowed_domains.map(|domains| room::AllowedDomains { domains }),
        starts_at: to_wire(wanted.starts_at),
        ends_at: to_wire(wanted.ends_at),
        clear_starts_at: wanted.cleared.0,
        clear_ends_at: wanted.cleared.1,
    };
    let updated = surface.attribution().update_program(key.asks(request)?).await;
    let updated = updated.map_err(|status| Refusal::of_room(&status, Scope::ProgramsWrite))?.into_inner();
    Ok(Json(Program::of(updated, key.caller().await?.organization.to_string())))
}

/// List the programs by their old name.
///
/// Scope `partners:read`. The same as `/programs`.
#[utoipa::path(
    get, path = "/campaigns", tag = "attribution", responses((status = 200, body = Campaigns), AttributionRefusals)
)]
async fn list_by_old_name(State(surface): State<Surface>, key: Key) -> Result<Json<Campaigns>, Refusal> {
    Ok(Json(Campaigns { campaigns: listed(&surface, &key).await? }))
}

/// Create a program by its old name.
///
/// Scope `programs:write`. The same as `/programs`.
#[utoipa::path(
    post, path = "/campaigns", tag = "attribution", request_body = ProgramBody,
    responses((status = 201, body = Program), AttributionRefusals)
)]
async fn create_by_old_name(
    surface: State<Surface>,
    key: Key,
    body: Body,
) -> Result<(StatusCode, Json<Program>), Refusal> {
    create(surface, key, body).await
}

/// Change a program by its old name.
///
/// Scope `programs:write`. The same as `/programs/{id}`.
#[utoipa::path(
    patch, path = "/campaigns/{id}", tag = "attribution", params(("id" = String, Path)), request_body = ProgramBody,
    responses((status = 200, body = Program), AttributionRefusals)
)]
async fn update_by_old_name(
    surface: State<Surface>,
    key: Key,
    id: Path<String>,
    body: Body,
) -> Result<Json<Program>, Refusal> {
    update(surface, key, id, body).await
}

/// Which model.
#[derive(ToSchema)]
#[expect(dead_code, reason = "describes the body to OpenAPI; it is read field by field")]
struct ModelBody {
    /// `last_click`, `first_click`, `linear`, `position` or `time_decay`.
    model: String,
}

/// What another model makes of the events that are attributed.
#[derive(Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
struct ModelDifference {
    events: u64,
    changed_events: u64,
    partners: Vec<PartnerDifference>,
}

/// What a partner gains or loses.
#[derive(Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
struct PartnerDifference {
    partner_id: String,
    currency: String,
    /// The sum of commissions.
    before: String,
    after: String,
}

impl From<room::ModelDifference> for ModelDifference {
    fn from(difference: room::ModelDifference) -> Self {
        let partner = |partner: room::PartnerDifference| PartnerDifference {
            partner_id: partner.partner_id,
            currency: partner.currency,
            before: partner.before,
            after: partner.after,
        };
        Self {
            events: difference.events,
            changed_events: difference.changed_events,
            partners: difference.partners.into_iter().map(partner).collect(),
        }
    }
}

/// Say what another model would change: who gains, who loses. Nothing is changed.
///
/// Scope `programs:write`.
#[utoipa::path(
    post, path = "/programs/{id}/model/preview", tag = "attribution", params(("id" = String, Path)),
    request_body = ModelBody, responses((status = 200, body = ModelDifference), AttributionRefusals)
)]
async fn preview_model(
    State(surface): State<Surface>,
    key: Key,
    Path(program_id): Path<String>,
    Body(body): Body,
) -> Result<Json<ModelDifference>, Refusal> {
    let request =
        key.read(Scope::ProgramsWrite, Fields::of_body(&body).and_then(|f| model(f, program_id))).await?;
    let difference = surface.attribution().preview_model(key.asks(request)?).await;
    let difference = difference.map_err(|status| Refusal::of_room(&status, Scope::ProgramsWrite))?;
    Ok(Json(difference.into_inner().into()))
}

/// Change the model: what is attributed is attributed anew, and commissions are corrected by entries.
///
/// Scope `programs:write`.
#[utoipa::path(
    post, path = "/programs/{id}/model", tag = "attribution", params(("id" = String, Path)),
    request_body = ModelBody, responses((status = 200, body = ModelDifference), AttributionRefusals)
)]
async fn change_model(
    State(surface): State<Surface>,
    key: Key,
    Path(program_id): Path<String>,
    Body(body): Body,
) -> Result<Json<ModelDifference>, Refusal> {
    let request =
        key.read(Scope::ProgramsWrite, Fields::of_body(&body).and_then(|f| model(f, program_id))).await?;
    let difference = surface.attribution().change_model(key.asks(request)?).await;
    let difference = difference.map_err(|status| Refusal::of_room(&status, Scope::ProgramsWrite))?;
    Ok(Json(difference.into_inner().into()))
}

fn model(mut fields: Fields<'_>, program_id: String) -> Result<room::ChangeModelRequest, Faults> {
    fields.require("model");
    let model = fields.one_of("model", &MODELS).unwrap_or_default().to_owned();
    fields.done(room::ChangeModelRequest { program_id, model })
}
