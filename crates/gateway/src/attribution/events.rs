//! Conversion events and what becomes of them.

use axum::{Json, extract::State};
use http::{HeaderMap, StatusCode};
use model::Scope;
use proto::attribution as room;
use serde::Serialize;
use serde_json::value::RawValue;
use utoipa::ToSchema;
use utoipa_axum::{router::OpenApiRouter, routes};

use super::{
    Surface,
    caller::{Body, Key},
    fields::{Faults, Fields, Length},
    query::Params,
    refusal::{AttributionRefusals, Refusal},
    wire::{Weight, instant, number, object, text},
};
use crate::view::to_wire;

/// How many events one batch holds.
const LARGEST_BATCH: usize = 1_000;
/// The most others of whom an event may be.
const MOST_OTHERS: usize = 20;
/// The longest value of the header `Idempotency-Key`.
const LONGEST_KEY: usize = 255;

pub(super) fn router() -> OpenApiRouter<Surface> {
    OpenApiRouter::new().routes(routes!(list, record)).routes(routes!(record_batch)).routes(routes!(correct))
}

/// A conversion that happened.
#[derive(ToSchema)]
#[schema(rename_all = "camelCase")]
#[expect(dead_code, reason = "describes the body to OpenAPI; it is read field by field")]
struct NewEvent {
    /// The id that the user was identified by; an e-mail address in any case.
    #[schema(example = "ada@example.com")]
    user_id: String,
    /// Who else may be meant, at most 20, the best first: the event is of the first of `userId` and these who was identified when it
    /// came, of `userId` where none was. For deals with several contacts.
    other_user_ids: Option<Vec<String>>,
    /// Any text.
    #[schema(example = "opportunity_won")]
    r#type: String,
    /// What it is worth in major units, at least zero; a number, or a text of one.
    #[schema(example = 4500.00)]
    value: Option<f64>,
    /// ISO 4217; `USD` without it.
    currency: Option<String>,
    /// Whatever is to be kept with it, such as the id of the CRM's record.
    #[schema(value_type = Object)]
    metadata: Option<serde_json::Value>,
    /// When it happened, in ISO 8601 with an offset; now, without it.
    ts: Option<String>,
    /// By which a repeat is recognized, before the header `Idempotency-Key`; whoever sends it.
    external_event_id: Option<String>,
}

#[derive(ToSchema)]
#[expect(dead_code, reason = "describes the body to OpenAPI; it is read field by field")]
struct NewEvents {
    /// 1 to 1,000.
    events: Vec<NewEvent>,
}

/// An event was recorded.
#[derive(Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
struct RecordedEvent {
    ok: bool,
    event_id: String,
    attribution: Attribution,
}

/// What an event is attributed to.
#[derive(Serialize, ToSchema)]
struct Attribution {
    /// `attributed`, `no_identity`, `no_click` or `outside_window`. Callers of old know `already_attributed` too, which nothing is here: a
    /// repeat gets the first answer.
    status: String,
    #[serde(skip_serializing_if = "Option::is_none")]
    touches: Option<Vec<Touch>>,
    /// `last_click`, `first_click`, `linear`, `position` or `time_decay`.
    #[serde(skip_serializing_if = "Option::is_none")]
    model: Option<String>,
}

/// A click that has a share in an event.
#[derive(Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
struct Touch {
    click_id: String,
    partner_id: String,
    /// The shares of an event sum to one.
    #[schema(value_type = f64)]
    weight: Weight,
    attribution_id: String,
    /// None when no rule paid.
    #[serde(skip_serializing_if = "Option::is_none")]
    commission_id: Option<String>,
}

impl From<room::Touch> for Touch {
    fn from(touch: room::Touch) -> Self {
        Self {
            click_id: touch.click_id,
            partner_id: touch.partner_id,
            weight: touch.weight.into(),
            attribution_id: touch.attribution_id,
            commission_id: text(touch.commission_id),
        }
    }
}

impl From<room::RecordedEvent> for RecordedEvent {
    fn from(event: room::RecordedEvent) -> Self {
        let touches =
            (event.status == "attributed").then(|| event.touches.into_iter().map(Touch::from).collect());
        let attribution = Attribution { status: event.status, touches, model: text(event.model) };
        Self { ok: true, event_id: event.event_id, attribution }
    }
}

/// Record a conversion event.
///
/// Scope `events:write`. It is attributed and its commissions accrue before the answer. A repeat is answered as the first time and pays
/// nothing: it is recognized by `externalEventId`, else by the header `Idempotency-Key` of the same API key, else by a record id in the metadata
/// (`deal_id`, `hubspot_deal_id`, `opportunity_id`, `record_id`, `crm_record_id`, `lead_id` or `external_id`) with the type, else, with a
/// `ts`, by its fields. A repeat with another body is still the first event: changes of a deal are corrections.
#[utoipa::path(
    post, path = "/attribution/events", tag = "attribution", request_body = NewEvent,
    responses((status = 200, body = RecordedEvent), AttributionRefusals)
)]
async fn record(
    State(surface): State<Surface>,
    key: Key,
    headers: HeaderMap,
    Body(body): Body,
) -> Result<Json<RecordedEvent>, Refusal> {
    let event = Fields::of_body(&body).and_then(|fields| new_event(fields, idempotency_key(&headers)?));
    let event = key.read(Scope::EventsWrite, event).await?;
    let request = key.asks(room::RecordEventsRequest { events: vec![event] })?;
    let answered = surface.attribution().record_events(request).await;
    let answered = answered.map_err(|status| Refusal::of_room(&status, Scope::EventsWrite))?;
    match answered.into_inner().answers.pop().and_then(|answer| answer.answer) {
        Some(room::event_answer::Answer::Recorded(event)) => Ok(Json(event.into())),
        Some(room::event_answer::Answer::Refused(refused)) => Err(of_event(&refused)),
        None => Err(Refusal::new(StatusCode::INTERNAL_SERVER_ERROR, "internal_error")),
    }
}

fn of_event(refused: &room::Refusal) -> Refusal {
    Refusal::invalid_by_room(Some(&refused.code), Some(&refused.field), &refused.message)
}

/// The header by which a repeat is recognized; empty without it.
pub(super) fn idempotency_key(headers: &HeaderMap) -> Result<String, Faults> {
    let Some(value) = headers.get("idempotency-key") else { return Ok(String::new()) };
    let sound =
        |text: &&str| (1..=LONGEST_KEY).contains(&text.len()) && text.bytes().all(|b| b.is_ascii_graphic());
    let message = "The header Idempotency-Key must have 1 to 255 visible ASCII characters";
    value.to_str().ok().filter(sound).map(str::to_owned).ok_or_else(|| Faults::of_form(message))
}

fn new_event(mut fields: Fields<'_>, idempotency_key: String) -> Result<room::NewEvent, Faults> {
    let event = room::NewEvent {
        user_id: fields.required_text("userId", Length::SOME),
        r#type: fields.required_text("type", Length::SOME),
        value: fields.amount("value").map(|value| value.to_string()),
        currency: fields.text("currency", Length::exactly(3)).unwrap_or_default(),
        metadata_json: fields.object("metadata").unwrap_or_default().to_owned(),
        ts: to_wire(fields.moment("ts")),
        external_event_id: fields.text("externalEventId", Length::SOME).unwrap_or_default(),
        idempotency_key,
        other_user_ids: fields.texts_if_any("otherUserIds", MOST_OTHERS),
    };
    fields.done(event)
}

/// What became of one event of a batch.
#[derive(Serialize, ToSchema)]
#[serde(untagged)]
enum BatchAnswer {
    Recorded(RecordedEvent),
    Refused(RefusedEvent),
}

/// An event of a batch that was refused; its neighbours are not concerned.
#[derive(Serialize, ToSchema)]
struct RefusedEvent {
    ok: bool,
    #[serde(flatten)]
    #[schema(value_type = super::refusal::RefusalBody)]
    refusal: Refusal,
}

impl From<Refusal> for BatchAnswer {
    fn from(refusal: Refusal) -> Self {
        Self::Refused(RefusedEvent { ok: false, refusal })
    }
}

/// What became of each event, in the order of the request.
#[derive(Serialize, ToSchema)]
struct BatchAnswers {
    /// Whether every event was recorded.
    ok: bool,
    results: Vec<BatchAnswer>,
}

/// Record up to 1,000 conversion events.
///
/// Scope `events:write`. Each is answered for itself, in the order of the request, as it would be alone. The header `Idempotency-Key` counts
/// for all of them, with the place of each.
#[utoipa::path(
    post, path = "/attribution/events/batch", tag = "attribution", request_body = NewEvents,
    responses((status = 200, body = BatchAnswers), AttributionRefusals)
)]
async fn record_batch(
    State(surface): State<Surface>,
    key: Key,
    headers: HeaderMap,
    Body(body): Body,
) -> Result<Json<BatchAnswers>, Refusal> {
    let batch = Fields::of_body(&body).and_then(|fields| new_events(fields, &idempotency_key(&headers)?));
    let read = key.read(Scope::EventsWrite, batch).await?;
    let mut events = Vec::with_capacity(read.len());
    let mut results: Vec<Option<BatchAnswer>> = Vec::with_capacity(read.len());
    for event in read {
        match event {
            Ok(event) => {
                events.push(event);
                results.push(None);
            }
            Err(faults) => results.push(Some(faults.refusal("invalid_body").into())),
        }
    }
    let mut answers = Vec::new();
    if events.is_empty() {
        // The room is not asked, so it is said here whether the key may ask.
        key.must_have(Scope::EventsWrite).await?;
    } else {
        let answered =
            surface.attribution().record_events(key.asks(room::RecordEventsRequest { events })?).await;
        let answered = answered.map_err(|status| Refusal::of_room(&status, Scope::EventsWrite))?;
        answers = answered.into_inner().answers;
    }
    let mut answers = answers.into_iter();
    let missing = || Refusal::new(StatusCode::INTERNAL_SERVER_ERROR, "internal_error");
    let results = results.into_iter().map(|result| match result {
        Some(refused) => Ok(refused),
        None => match answers.next().and_then(|answer| answer.answer) {
            Some(room::event_answer::Answer::Recorded(event)) => Ok(BatchAnswer::Recorded(event.into())),
            Some(room::event_answer::Answer::Refused(refused)) => Ok(of_event(&refused).into()),
            None => Err(missing()),
        },
    });
    let results = results.collect::<Result<Vec<_>, Refusal>>()?;
    let ok = results.iter().all(|result| matches!(result, BatchAnswer::Recorded(_)));
    Ok(Json(BatchAnswers { ok, results }))
}

type ReadEvent = Result<room::NewEvent, Faults>;

fn new_events(mut fields: Fields<'_>, idempotency_key: &str) -> Result<Vec<ReadEvent>, Faults> {
    fields.require("events");
    let items = fields.list("events").unwrap_or_default();
    if items.is_empty() && fields.faults.is_empty() {
        fields.faults.add("events", "Array must contain at least 1 element(s)");
    }
    if items.len() > LARGEST_BATCH {
        fields.faults.add("events", format!("Array must contain at most {LARGEST_BATCH} element(s)"));
    }
    let read = |(place, item): (usize, &RawValue)| {
        let key = match idempotency_key {
            "" => String::new(),
            key => format!("{key}/{place}"),
        };
        Fields::of_value(item).and_then(|fields| new_event(fields, key))
    };
    fields.done(items)?.into_iter().enumerate().map(|item| Ok(read(item))).collect()
}

/// A correction of an event: exactly one of `value`, `refund`, `void` and `restore`.
#[derive(ToSchema)]
#[schema(rename_all = "camelCase")]
#[expect(dead_code, reason = "describes the body to OpenAPI; it is read field by field")]
struct NewCorrection {
    /// This or `externalEventId` names the event.
    event_id: Option<String>,
    external_event_id: Option<String>,
    /// The value is this, whatever was given back before.
    value: Option<f64>,
    /// So much of the value was given back; refunds add up.
    refund: Option<f64>,
    /// The deal is not won any more.
    void: Option<bool>,
    /// It is won again.
    restore: Option<bool>,
    reason: Option<String>,
    /// When it happened.
    ts: Option<String>,
    /// By which a repeat is recognized, unless the header `Idempotency-Key` says it. One of them is needed.
    idempotency_key: Option<String>,
}

/// A correction was taken.
#[derive(Serialize, ToSchema)]
struct Corrected {
    ok: bool,
    /// Whether it was known before.
    replayed: bool,
    event: Option<Event>,
}

/// Correct a conversion event: another value, a refund, a deal that was lost after all, or is won again.
///
/// Scope `events:write`. Commissions are corrected by entries of the ledger; what was paid out is netted from the next payout.
#[utoipa::path(
    post, path = "/attribution/corrections", tag = "attribution", request_body = NewCorrection,
    responses((status = 200, body = Corrected), AttributionRefusals)
)]
async fn correct(
    State(surface): State<Surface>,
    key: Key,
    headers: HeaderMap,
    Body(body): Body,
) -> Result<Json<Corrected>, Refusal> {
    let correction =
        Fields::of_body(&body).and_then(|fields| new_correction(fields, idempotency_key(&headers)?));
    let correction = key.read(Scope::EventsWrite, correction).await?;
    let corrected = surface.attribution().correct_event(key.asks(correction)?).await;
    let corrected = corrected.map_err(|status| Refusal::of_room(&status, Scope::EventsWrite))?.into_inner();
    Ok(Json(Corrected { ok: true, replayed: !corrected.recorded, event: corrected.event.map(Event::from) }))
}

fn new_correction(mut fields: Fields<'_>, header: String) -> Result<room::CorrectEventRequest, Faults> {
    use room::correct_event_request::Correction;
    let value = fields.amount("value").map(|value| Correction::Value(value.to_string()));
    let refund = fields.amount("refund").map(|refund| Correction::Refund(refund.to_string()));
    let void = fields.boolean("void").filter(|yes| *yes).map(Correction::Void);
    let restore = fields.boolean("restore").filter(|yes| *yes).map(Correction::Restore);
    let mut corrections: Vec<Correction> = [value, refund, void, restore].into_iter().flatten().collect();
    if corrections.len() != 1 && fields.faults.is_empty() {
        return Err(Faults::of_form("Exactly one of value, refund, void and restore is needed"));
    }
    let own = fields.text("idempotencyKey", Length::between(1, LONGEST_KEY)).unwrap_or_default();
    let request = room::CorrectEventRequest {
        event_id: fields.text("eventId", Length::SOME).unwrap_or_default(),
        external_event_id: fields.text("externalEventId", Length::SOME).unwrap_or_default(),
        idempotency_key: if header.is_empty() { own } else { header },
        correction: corrections.pop(),
        reason: fields.text("reason", Length::between(0, 500)).unwrap_or_default(),
        at: to_wire(fields.moment("ts")),
    };
    if request.event_id.is_empty() && request.external_event_id.is_empty() {
        fields.faults.add("eventId", "Required");
    }
    if request.idempotency_key.is_empty() {
        fields.faults.add("idempotencyKey", "Required");
    }
    fields.done(request)
}

/// A conversion event as it stands.
#[derive(Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
struct Event {
    id: String,
    user_id: String,
    r#type: String,
    /// As it was recorded.
    #[schema(value_type = Option<f64>)]
    value: Option<Box<RawValue>>,
    currency: String,
    #[schema(value_type = Object)]
    metadata: Box<RawValue>,
    ts: Option<String>,
    received_at: Option<String>,
    external_event_id: Option<String>,
    /// After all corrections.
    #[schema(value_type = Option<f64>)]
    current_value: Option<Box<RawValue>>,
    /// Whether it was taken back.
    void: bool,
    /// What is odd about it.
    flags: Vec<String>,
    /// Why it is attributed to nobody: `no_identity`, `click_flagged`, `partner_revoked`, `no_terms`, `click_later` or `click_too_old`.
    reason: Option<String>,
    attribution: Attribution,
}

impl From<room::ConversionEvent> for Event {
    fn from(event: room::ConversionEvent) -> Self {
        let touches =
            (event.status == "attributed").then(|| event.touches.into_iter().map(Touch::from).collect());
        Self {
            id: event.id,
            user_id: event.user_id,
            r#type: event.r#type,
            value: number(&event.value),
            currency: event.currency,
            metadata: object(event.metadata_json),
            ts: instant(event.ts),
            received_at: instant(event.received_at),
            external_event_id: text(event.external_event_id),
            current_value: number(&event.current_value),
            void: event.is_void,
            flags: event.flags,
            reason: text(event.reason),
            attribution: Attribution { status: event.status, touches, model: text(event.model) },
        }
    }
}

/// A page of events.
#[derive(Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
struct EventPage {
    events: Vec<Event>,
    /// Where the next page begins; null on the last one.
    next_cursor: Option<String>,
}

/// List conversion events with the reason of their status, newest first.
///
/// Scope `commissions:read`. `metadataValue` finds the events whose metadata hold this value, such as the id of the CRM's record.
#[utoipa::path(
    get, path = "/attribution/events", tag = "attribution",
    params(
        ("status" = Option<String>, Query, description = "`attributed`, `unattributed`, or one of the reasons"),
        ("userId" = Option<String>, Query), ("type" = Option<String>, Query),
        ("metadataValue" = Option<String>, Query), ("since" = Option<String>, Query),
        ("until" = Option<String>, Query), ("limit" = Option<u32>, Query), ("cursor" = Option<String>, Query),
    ),
    responses((status = 200, body = EventPage), AttributionRefusals)
)]
async fn list(State(surface): State<Surface>, key: Key, params: Params) -> Result<Json<EventPage>, Refusal> {
    const STATUSES: [&str; 6] =
        ["attributed", "unattributed", "no_identity", "no_click", "outside_window", "already_attributed"];
    let mut params = params;
    let request = room::ListEventsRequest {
        status: params.one_of("status", &STATUSES).unwrap_or_default().to_owned(),
        user_id: params.text_or_empty("userId"),
        r#type: params.text_or_empty("type"),
        metadata_value: params.text_or_empty("metadataValue"),
        since: to_wire(params.moment("since")),
        until: to_wire(params.moment("until")),
        limit: params.integer("limit", 1, 200).unwrap_or(50),
        cursor: params.text_or_empty("cursor"),
        event_ids: Vec::new(),
    };
    let request = key.queried(Scope::CommissionsRead, params.done(request)).await?;
    let page = surface.attribution().list_events(key.asks(request)?).await;
    let page = page.map_err(|status| Refusal::of_query(&status, Scope::CommissionsRead))?.into_inner();
    let events = page.events.into_iter().map(Event::from).collect();
    Ok(Json(EventPage { events, next_cursor: text(page.next_cursor) }))
}
