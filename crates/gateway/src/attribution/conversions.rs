//! Conversion rules: events of what the records of a connected CRM become.

use axum::{Json, extract::State};
use http::StatusCode;
use model::Scope;
use proto::attribution::{self as room, conversion_rule_spec::User};
use serde::Serialize;
use utoipa::ToSchema;
use utoipa_axum::{router::OpenApiRouter, routes};

use super::{
    Surface,
    caller::{Body, Key, Path},
    fields::{Faults, Fields, Length},
    query::Params,
    refusal::{AttributionRefusals, Refusal},
    wire::{instant, text},
};

pub(super) fn router() -> OpenApiRouter<Surface> {
    OpenApiRouter::new()
        .routes(routes!(list, create))
        .routes(routes!(update))
        .routes(routes!(enable))
        .routes(routes!(disable))
        .routes(routes!(records))
        .routes(routes!(waiting))
}

/// A condition on a field of a record or a place in a body.
#[derive(Serialize, ToSchema)]
pub(super) struct RecordCondition {
    field: String,
    /// `one_of`, `none_of` or `exists`.
    operator: String,
    values: Vec<String>,
}

impl From<room::RecordCondition> for RecordCondition {
    fn from(condition: room::RecordCondition) -> Self {
        Self { field: condition.field, operator: condition.operator, values: condition.values }
    }
}

/// The conditions of a field of a body.
pub(super) fn conditions(fields: &mut Fields<'_>, name: &'static str) -> Vec<room::RecordCondition> {
    let mut found = Vec::new();
    for item in fields.list(name).unwrap_or_default() {
        match Fields::of_value(item).and_then(condition) {
            Ok(condition) => found.push(condition),
            Err(faults) => {
                for message in faults.into_messages() {
                    fields.faults.add(name, message);
                }
            }
        }
    }
    found
}

fn condition(mut fields: Fields<'_>) -> Result<room::RecordCondition, Faults> {
    fields.require("operator");
    let condition = room::RecordCondition {
        field: fields.required_text("field", Length::SOME),
        operator: fields.one_of("operator", &["one_of", "none_of", "exists"]).unwrap_or_default().to_owned(),
        values: if fields.raw("values").is_some_and(|raw| raw.get() != "[]") {
            fields.texts("values", 100)
        } else {
            Vec::new()
        },
    };
    fields.done(condition)
}

/// A rule that makes events of what a CRM's records become. Fields and values are the CRM's own.
#[derive(Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
struct ConversionRule {
    /// `rule_…`
    id: String,
    name: String,
    connection_id: String,
    /// The CRM's object: `deals`, `Opportunity`.
    object: String,
    /// All of them must hold: the event happens when a record comes to meet them that did not.
    conditions: Vec<RecordCondition>,
    event_type: String,
    /// The field that says whose it is; null: the e-mail address of one of the record's contacts.
    user_field: Option<String>,
    value_field: Option<String>,
    currency_field: Option<String>,
    /// Where the record does not tell it.
    currency: Option<String>,
    /// What becomes of the event when the record does not meet the conditions any more: `void` or `keep`.
    when_left: String,
    enabled: bool,
    /// Only what changed since then counts.
    since: Option<String>,
    /// When the records had been read that were there already; null while that is under way.
    read_at: Option<String>,
    created_at: Option<String>,
    created_by: Option<String>,
    /// How many events it recorded.
    recorded: u64,
    last_recorded_at: Option<String>,
    /// How many records meet it without an event.
    waiting: u64,
}

impl From<room::ConversionRule> for ConversionRule {
    fn from(rule: room::ConversionRule) -> Self {
        let spec = rule.spec.unwrap_or_default();
        let user_field = match spec.user {
            Some(User::UserField(field)) => Some(field),
            Some(User::ContactEmail(_)) | None => None,
        };
        Self {
            id: rule.id,
            name: spec.name,
            connection_id: spec.connection_id,
            object: spec.vendor_object,
            conditions: spec.conditions.into_iter().map(RecordCondition::from).collect(),
            event_type: spec.event_type,
            user_field,
            value_field: text(spec.value_field),
            currency_field: text(spec.currency_field),
            currency: text(spec.currency),
            when_left: spec.when_left,
            enabled: rule.enabled,
            since: instant(rule.since),
            read_at: instant(rule.read_at),
            created_at: instant(rule.created_at),
            created_by: text(rule.created_by),
            recorded: rule.recorded,
            last_recorded_at: instant(rule.last_recorded_at),
            waiting: rule.waiting,
        }
    }
}

/// What a rule says.
#[derive(ToSchema)]
#[schema(rename_all = "camelCase")]
#[expect(dead_code, reason = "describes the body to OpenAPI; it is read field by field")]
struct ConversionRuleBody {
    name: String,
    /// `conn_…`. Needed for a new one; it stays as it is afterwards.
    connection_id: Option<String>,
    /// The CRM's object. Needed for a new one; it stays as it is afterwards.
    object: Option<String>,
    /// 1 to 10.
    conditions: Vec<RecordCondition>,
    event_type: String,
    /// Without it the e-mail address of one of the record's contacts: the first that was identified, else the primary one.
    user_field: Option<String>,
    value_field: Option<String>,
    currency_field: Option<String>,
    /// `USD` without it.
    currency: Option<String>,
    /// `void`, which it is without it, or `keep`.
    when_left: Option<String>,
}

fn spec(mut fields: Fields<'_>, is_new: bool) -> Result<room::ConversionRuleSpec, Faults> {
    if is_new {
        fields.require("connectionId");
        fields.require("object");
    }
    fields.require("conditions");
    let user_field = fields.text("userField", Length::between(1, 255));
    let mut some = |name: &'static str| fields.text(name, Length::between(0, 255)).unwrap_or_default();
    let (connection_id, vendor_object) = (some("connectionId"), some("object"));
    let (value_field, currency_field, currency) =
        (some("valueField"), some("currencyField"), some("currency"));
    let spec = room::ConversionRuleSpec {
        name: fields.required_text("name", Length::SOME),
        connection_id,
        vendor_object,
        conditions: conditions(&mut fields, "conditions"),
        event_type: fields.required_text("eventType", Length::SOME),
        user: Some(user_field.map_or(User::ContactEmail(true), User::UserField)),
        value_field,
        currency_field,
        currency,
        when_left: fields.one_of("whenLeft", &["void", "keep"]).unwrap_or_default().to_owned(),
    };
    fields.done(spec)
}

/// The rules, newest first.
#[derive(Serialize, ToSchema)]
struct ConversionRules {
    rules: Vec<ConversionRule>,
}

/// List the conversion rules, newest first, disabled ones too.
///
/// Scope `commissions:read`.
#[utoipa::path(
    get, path = "/attribution/rules", tag = "attribution",
    responses((status = 200, body = ConversionRules), AttributionRefusals)
)]
async fn list(State(surface): State<Surface>, key: Key) -> Result<Json<ConversionRules>, Refusal> {
    let request = key.asks(room::ListConversionRulesRequest {})?;
    let listed = surface.rooms().conversion_rules().list_conversion_rules(request).await;
    let listed = listed.map_err(|status| Refusal::of_query(&status, Scope::CommissionsRead))?.into_inner();
    Ok(Json(ConversionRules { rules: listed.rules.into_iter().map(ConversionRule::from).collect() }))
}

/// Make events of what a CRM's records become from now on.
///
/// Scope `programs:write`.
#[utoipa::path(
    post, path = "/attribution/rules", tag = "attribution", request_body = ConversionRuleBody,
    responses((status = 201, body = ConversionRule), AttributionRefusals)
)]
async fn create(
    State(surface): State<Surface>,
    key: Key,
    Body(body): Body,
) -> Result<(StatusCode, Json<ConversionRule>), Refusal> {
    let read = Fields::of_body(&body).and_then(|fields| spec(fields, true));
    let spec = Some(key.read(Scope::ProgramsWrite, read).await?);
    let request = key.asks(room::CreateConversionRuleRequest { spec })?;
    let created = surface.rooms().conversion_rules().create_conversion_rule(request).await;
    let created = created.map_err(|status| Refusal::of_room(&status, Scope::ProgramsWrite))?.into_inner();
    Ok((StatusCode::CREATED, Json(created.into())))
}

/// Replace what a rule says, from now on; what it recorded stays.
///
/// Scope `programs:write`.
#[utoipa::path(
    put, path = "/attribution/rules/{id}", tag = "attribution", params(("id" = String, Path, description = "`rule_…`")),
    request_body = ConversionRuleBody, responses((status = 200, body = ConversionRule), AttributionRefusals)
)]
async fn update(
    State(surface): State<Surface>,
    key: Key,
    Path(rule_id): Path<String>,
    Body(body): Body,
) -> Result<Json<ConversionRule>, Refusal> {
    let read = Fields::of_body(&body).and_then(|fields| spec(fields, false));
    let spec = Some(key.read(Scope::ProgramsWrite, read).await?);
    let request = key.asks(room::UpdateConversionRuleRequest { rule_id, spec })?;
    let updated = surface.rooms().conversion_rules().update_conversion_rule(request).await;
    Ok(Json(updated.map_err(|status| Refusal::of_room(&status, Scope::ProgramsWrite))?.into_inner().into()))
}

/// Enable a rule again: what changed meanwhile does not count.
///
/// Scope `programs:write`.
#[utoipa::path(
    post, path = "/attribution/rules/{id}/enable", tag = "attribution", params(("id" = String, Path)),
    responses((status = 200, body = ConversionRule), AttributionRefusals)
)]
async fn enable(
    State(surface): State<Surface>,
    key: Key,
    Path(id): Path<String>,
) -> Result<Json<ConversionRule>, Refusal> {
    set_enabled(&surface, &key, id, true).await
}

/// Disable a rule: what it recorded stays.
///
/// Scope `programs:write`.
#[utoipa::path(
    post, path = "/attribution/rules/{id}/disable", tag = "attribution", params(("id" = String, Path)),
    responses((status = 200, body = ConversionRule), AttributionRefusals)
)]
async fn disable(
    State(surface): State<Surface>,
    key: Key,
    Path(id): Path<String>,
) -> Result<Json<ConversionRule>, Refusal> {
    set_enabled(&surface, &key, id, false).await
}

async fn set_enabled(
    surface: &Surface,
    key: &Key,
    rule_id: String,
    enabled: bool,
) -> Result<Json<ConversionRule>, Refusal> {
    let request = key.asks(room::SetConversionRuleEnabledRequest { rule_id, enabled })?;
    let set = surface.rooms().conversion_rules().set_conversion_rule_enabled(request).await;
    Ok(Json(set.map_err(|status| Refusal::of_room(&status, Scope::ProgramsWrite))?.into_inner().into()))
}

/// A record that met a rule, and what came of it.
#[derive(Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
struct ConversionRecord {
    /// The CRM's id.
    record_id: String,
    /// `recorded`, `voided` or `waiting`.
    status: String,
    /// Why it waits: `no_user`, `value_invalid`, `currency_invalid`, `incomplete`. Why it was voided: `condition_left`,
    /// `record_deleted`.
    reason: Option<String>,
    event_id: Option<String>,
    user_id: Option<String>,
    /// What the event is worth now, in major units; null where the record tells no value.
    value: Option<String>,
    currency: Option<String>,
    changed_at: Option<String>,
}

/// Records of a rule, the last that changed first.
#[derive(Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
struct ConversionRecordPage {
    records: Vec<ConversionRecord>,
    /// Where the next page begins; null on the last one.
    next_cursor: Option<String>,
}

impl From<room::ConversionRecord> for ConversionRecord {
    fn from(record: room::ConversionRecord) -> Self {
        Self {
            record_id: record.record_id,
            status: record.status,
            reason: text(record.reason),
            event_id: text(record.event_id),
            user_id: text(record.user_id),
            value: text(record.value),
            currency: text(record.currency),
            changed_at: instant(record.changed_at),
        }
    }
}

/// List the records that met a rule: what came of each, and why nothing did.
///
/// Scope `commissions:read`.
#[utoipa::path(
    get, path = "/attribution/rules/{id}/records", tag = "attribution",
    params(
        ("id" = String, Path), ("status" = Option<String>, Query, description = "`recorded`, `voided` or `waiting`"),
        ("limit" = Option<u32>, Query, description = "1 to 500, 50 without it"), ("cursor" = Option<String>, Query),
    ),
    responses((status = 200, body = ConversionRecordPage), AttributionRefusals)
)]
async fn records(
    State(surface): State<Surface>,
    key: Key,
    Path(rule_id): Path<String>,
    mut params: Params,
) -> Result<Json<ConversionRecordPage>, Refusal> {
    let statuses = ["recorded", "voided", "waiting"];
    let request = room::ListConversionRecordsRequest {
        rule_id,
        status: params.one_of("status", &statuses).unwrap_or_default().to_owned(),
        limit: params.integer("limit", 1, 500).unwrap_or(50),
        cursor: params.text_or_empty("cursor"),
    };
    let request = key.queried(Scope::CommissionsRead, params.done(request)).await?;
    let listed = surface.rooms().conversion_rules().list_conversion_records(key.asks(request)?).await;
    let listed = listed.map_err(|status| Refusal::of_query(&status, Scope::CommissionsRead))?.into_inner();
    let records = listed.records.into_iter().map(ConversionRecord::from).collect();
    Ok(Json(ConversionRecordPage { records, next_cursor: text(listed.next_cursor) }))
}

/// A record that meets a rule and has no event.
#[derive(Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
struct WaitingRecord {
    /// `rule_…`
    rule_id: String,
    rule_name: String,
    /// The type of the event that it would be.
    event_type: String,
    /// `conn_…`
    connection_id: String,
    /// The CRM's object.
    object: String,
    /// The CRM's id.
    record_id: String,
    /// In major units; null where it is not known or no amount.
    value: Option<String>,
    /// Null where the record tells one that is none.
    currency: Option<String>,
    /// When it changed last.
    changed_at: Option<String>,
    /// `no_user`, `value_invalid`, `currency_invalid` or `incomplete`.
    reason: String,
    /// The reason in words.
    message: String,
    /// What repairs it, in words.
    repair: String,
}

/// Records that wait, the last that changed first.
#[derive(Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
struct WaitingRecordPage {
    records: Vec<WaitingRecord>,
    /// Where the next page begins; null on the last one.
    next_cursor: Option<String>,
}

impl From<room::WaitingRecord> for WaitingRecord {
    fn from(record: room::WaitingRecord) -> Self {
        Self {
            rule_id: record.rule_id,
            rule_name: record.rule_name,
            event_type: record.event_type,
            connection_id: record.connection_id,
            object: record.vendor_object,
            record_id: record.record_id,
            value: text(record.value),
            currency: text(record.currency),
            changed_at: instant(record.changed_at),
            reason: record.reason,
            message: record.message,
            repair: record.repair,
        }
    }
}

/// List the records that meet a rule at work and never became its event, such as won deals that name nobody: why, and what
/// repairs it.
///
/// Scope `commissions:read`. Won deals that are an event and pay nobody are among the events that are `unattributed`.
#[utoipa::path(
    get, path = "/attribution/waiting-records", tag = "attribution",
    params(
        ("eventType" = Option<String>, Query, description = "Of the events that they would be"),
        ("recordId" = Option<String>, Query, description = "The CRM's id"),
        ("limit" = Option<u32>, Query, description = "1 to 500, 50 without it"), ("cursor" = Option<String>, Query),
    ),
    responses((status = 200, body = WaitingRecordPage), AttributionRefusals)
)]
async fn waiting(
    State(surface): State<Surface>,
    key: Key,
    mut params: Params,
) -> Result<Json<WaitingRecordPage>, Refusal> {
    let request = room::ListWaitingRecordsRequest {
        event_type: params.text_or_empty("eventType"),
        record_id: params.text_or_empty("recordId"),
        limit: params.integer("limit", 1, 500).unwrap_or(50),
        cursor: params.text_or_empty("cursor"),
    };
    let request = key.queried(Scope::CommissionsRead, params.done(request)).await?;
    let listed = surface.rooms().conversion_rules().list_waiting_records(key.asks(request)?).await;
    let listed = listed.map_err(|status| Refusal::of_query(&status, Scope::CommissionsRead))?.into_inner();
    let records = listed.records.into_iter().map(WaitingRecord::from).collect();
    Ok(Json(WaitingRecordPage { records, next_cursor: text(listed.next_cursor) }))
}
