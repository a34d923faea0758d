//! What stands: attributions, and what a partner brought.

use axum::{Json, extract::State};
use jiff::{SignedDuration, Timestamp, civil::Date};
use model::{Clock, Scope, SystemClock};
use proto::attribution as room;
use serde::Serialize;
use serde_json::{Map, Value, value::RawValue};
use utoipa::ToSchema;
use utoipa_axum::{router::OpenApiRouter, routes};

use super::{
    Surface,
    caller::{Key, Path},
    query::Params,
    refusal::{AttributionRefusals, Refusal},
    wire::{Weight, instant, number, object, printed, text},
};
use crate::view::to_wire;

/// What a report is about when nobody says since when, in hours: 30 days.
const USUAL_HOURS: i64 = 30 * 24;

pub(super) fn router() -> OpenApiRouter<Surface> {
    OpenApiRouter::new()
        .routes(routes!(attributions))
        .routes(routes!(events))
        .routes(routes!(dashboard))
        .routes(routes!(timeseries))
}

/// A partner's share in an event.
#[derive(Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
struct AttributionView {
    id: String,
    partner_id: String,
    program_id: String,
    /// The shares of an event sum to one.
    #[schema(value_type = f64)]
    weight: Weight,
    model: String,
    event: EventOf,
    click: Option<Click>,
    commission_ids: Vec<String>,
}

/// The event of an attribution.
#[derive(Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
struct EventOf {
    id: String,
    user_id: String,
    r#type: String,
    #[schema(value_type = Option<f64>)]
    value: Option<Box<RawValue>>,
    currency: String,
    #[schema(value_type = Object)]
    metadata: Box<RawValue>,
    ts: Option<String>,
}

/// The click of an attribution.
#[derive(Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
struct Click {
    id: String,
    link_key: Option<String>,
    landing_url: Option<String>,
    ts: Option<String>,
}

fn click(row: &mut room::AttributionRow) -> Option<Click> {
    let id = text(std::mem::take(&mut row.click_id))?;
    Some(Click {
        id,
        link_key: text(std::mem::take(&mut row.link_key)),
        landing_url: text(std::mem::take(&mut row.landing_url)),
        ts: instant(row.clicked_at),
    })
}

impl From<room::AttributionRow> for AttributionView {
    fn from(mut row: room::AttributionRow) -> Self {
        let click = click(&mut row);
        let event = EventOf {
            id: row.event_id,
            user_id: row.user_id,
            r#type: row.r#type,
            value: number(&row.value),
            currency: row.currency,
            metadata: object(row.metadata_json),
            ts: instant(row.ts),
        };
        Self {
            id: row.id,
            partner_id: row.partner_id,
            program_id: row.program_id,
            weight: row.weight.into(),
            model: row.model,
            event,
            click,
            commission_ids: row.commission_ids,
        }
    }
}

/// A page of attributions.
#[derive(Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
struct AttributionPage {
    attributions: Vec<AttributionView>,
    /// Where the next page begins; null on the last one.
    next_cursor: Option<String>,
}

/// List the attributions that stand, newest first.
///
/// Scope `commissions:read`. For jobs that bring the partner of a customer to where they need it.
#[utoipa::path(
    get, path = "/attributions", tag = "attribution",
    params(
        ("since" = Option<String>, Query, description = "Of the event"), ("until" = Option<String>, Query),
        ("partnerId" = Option<String>, Query), ("userId" = Option<String>, Query), ("type" = Option<String>, Query),
        ("programId" = Option<String>, Query), ("limit" = Option<u32>, Query, description = "1 to 200; 50 without it"),
        ("cursor" = Option<String>, Query),
    ),
    responses((status = 200, body = AttributionPage), AttributionRefusals)
)]
async fn attributions(
    State(surface): State<Surface>,
    key: Key,
    mut params: Params,
) -> Result<Json<AttributionPage>, Refusal> {
    let partner = params.text_or_empty("partnerId");
    let page = rows(&surface, &key, partner, params).await?;
    let attributions = page.attributions.into_iter().map(AttributionView::from).collect();
    Ok(Json(AttributionPage { attributions, next_cursor: text(page.next_cursor) }))
}

async fn rows(
    surface: &Surface,
    key: &Key,
    partner_id: String,
    mut params: Params,
) -> Result<room::ListAttributionsResponse, Refusal> {
    let request = room::ListAttributionsRequest {
        partner_id,
        user_id: params.text_or_empty("userId"),
        r#type: params.text_or_empty("type"),
        program_id: params.text_or_empty("programId"),
        since: to_wire(params.moment("since")),
        until: to_wire(params.moment("until")),
        limit: params.integer("limit", 1, 200).unwrap_or(50),
        cursor: params.text_or_empty("cursor"),
        offset: params.integer("offset", 0, u32::MAX).unwrap_or_default(),
    };
    let request = key.queried(Scope::CommissionsRead, params.done(request)).await?;
    let listed = surface.attribution().list_attributions(key.asks(request)?).await;
    Ok(listed.map_err(|status| Refusal::of_query(&status, Scope::CommissionsRead))?.into_inner())
}

/// An event that a partner has a share in.
#[derive(Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
struct PartnerEvent {
    attribution_id: String,
    #[schema(value_type = f64)]
    weight: Weight,
    model: String,
    event_id: String,
    r#type: String,
    #[schema(value_type = Option<f64>)]
    value: Option<Box<RawValue>>,
    currency: String,
    ts: Option<String>,
    user_id: String,
    click: Option<Click>,
}

impl From<room::AttributionRow> for PartnerEvent {
    fn from(mut row: room::AttributionRow) -> Self {
        let click = click(&mut row);
        Self {
            attribution_id: row.id,
            weight: row.weight.into(),
            model: row.model,
            event_id: row.event_id,
            r#type: row.r#type,
            value: number(&row.value),
            currency: row.currency,
            ts: instant(row.ts),
            user_id: row.user_id,
            click,
        }
    }
}

/// Events that a partner has a share in, newest first.
#[derive(Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
struct PartnerEvents {
    partner_id: String,
    events: Vec<PartnerEvent>,
}

/// List the events that a partner has a share in, newest first.
///
/// Scope `commissions:read`.
#[utoipa::path(
    get, path = "/partners/{id}/events", tag = "attribution",
    params(
        ("id" = String, Path), ("programId" = Option<String>, Query), ("type" = Option<String>, Query),
        ("since" = Option<String>, Query), ("until" = Option<String>, Query), ("limit" = Option<u32>, Query),
        ("offset" = Option<u32>, Query),
    ),
    responses((status = 200, body = PartnerEvents), AttributionRefusals)
)]
async fn events(
    State(surface): State<Surface>,
    key: Key,
    Path(partner_id): Path<String>,
    params: Params,
) -> Result<Json<PartnerEvents>, Refusal> {
    let page = rows(&surface, &key, partner_id.clone(), params).await?;
    let events = page.attributions.into_iter().map(PartnerEvent::from).collect();
    Ok(Json(PartnerEvents { partner_id, events }))
}

/// An amount in a currency.
#[derive(Clone, Serialize, ToSchema)]
struct Amount {
    #[schema(value_type = f64)]
    amount: Option<Box<RawValue>>,
    currency: String,
}

impl From<room::Money> for Amount {
    fn from(money: room::Money) -> Self {
        Self { amount: number(&money.amount), currency: money.currency }
    }
}

/// Money is never added across currencies: where one number is asked for, it is of the dollar where there are dollars, else of the first
/// currency by its code.
fn leading<'c>(currencies: impl Iterator<Item = &'c str> + Clone) -> String {
    let mut all = currencies.clone();
    let dollars = all.any(|currency| currency == "USD");
    let first = currencies.min().unwrap_or("USD");
    if dollars { "USD" } else { first }.to_owned()
}

fn amount_in(amounts: &[room::Money], currency: &str) -> Option<Box<RawValue>> {
    let found = amounts.iter().find(|money| money.currency == currency);
    number(found.map_or("0", |money| &money.amount))
}

/// What a partner brought and earned since a moment.
#[derive(Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
struct Dashboard {
    partner_id: String,
    since: String,
    clicks: u64,
    attributed_events: u64,
    /// In `currency`.
    #[schema(value_type = f64)]
    attributed_revenue: Option<Box<RawValue>>,
    /// In `currency`, by status.
    #[schema(value_type = Object)]
    commission_by_status: Map<String, Value>,
    /// Of the numbers above: the dollar where there are dollars.
    currency: String,
    /// In all currencies.
    revenue: Vec<Amount>,
    /// In all currencies and states.
    commissions: Vec<StatusTotal>,
    #[serde(skip_serializing_if = "Option::is_none")]
    links: Option<Vec<LinkClicks>>,
}

/// The commissions of a status and a currency.
#[derive(Serialize, ToSchema)]
struct StatusTotal {
    status: String,
    count: u64,
    #[serde(flatten)]
    total: Amount,
}

/// The clicks of a link.
#[derive(Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
struct LinkClicks {
    link_key: String,
    program_id: String,
    clicks: u64,
}

/// Show what a partner brought and earned.
///
/// Scope `commissions:read`. Since 30 days ago, unless `since` says otherwise.
#[utoipa::path(
    get, path = "/partners/{id}/dashboard", tag = "attribution",
    params(("id" = String, Path), ("since" = Option<String>, Query), ("includeLinks" = Option<bool>, Query)),
    responses((status = 200, body = Dashboard), AttributionRefusals)
)]
async fn dashboard(
    State(surface): State<Surface>,
    key: Key,
    Path(partner_id): Path<String>,
    mut params: Params,
) -> Result<Json<Dashboard>, Refusal> {
    let since = params.moment("since").unwrap_or_else(usual_start);
    let include_links = params.is_set("includeLinks");
    let request = room::DashboardRequest { partner_id, since: to_wire(Some(since)), include_links };
    let request = key.queried(Scope::CommissionsRead, params.done(request)).await?;
    let shown = surface.attribution().get_dashboard(key.asks(request)?).await;
    let shown = shown.map_err(|status| Refusal::of_room(&status, Scope::CommissionsRead))?.into_inner();
    let totals = shown.commission_by_status.into_iter();
    let totals: Vec<(String, u64, room::Money)> =
        totals.map(|total| (total.status, total.count, total.total.unwrap_or_default())).collect();
    let revenue = shown.attributed_revenue.iter().map(|money| money.currency.as_str());
    let currency = leading(revenue.chain(totals.iter().map(|(_, _, total)| total.currency.as_str())));
    let by_status = totals.iter().filter(|(_, _, total)| total.currency == currency);
    let by_status = by_status.filter_map(|(status, _, total)| {
        Some((status.clone(), serde_json::from_str(number(&total.amount)?.get()).ok()?))
    });
    let link = |link: room::Link| LinkClicks {
        link_key: link.key,
        program_id: link.program_id,
        clicks: link.clicks,
    };
    Ok(Json(Dashboard {
        partner_id: shown.partner_id,
        since: printed(since),
        clicks: shown.clicks,
        attributed_events: shown.attributed_events,
        attributed_revenue: amount_in(&shown.attributed_revenue, &currency),
        commission_by_status: by_status.collect(),
        currency,
        revenue: shown.attributed_revenue.into_iter().map(Amount::from).collect(),
        commissions: totals
            .into_iter()
            .map(|(status, count, total)| StatusTotal { status, count, total: total.into() })
            .collect(),
        links: include_links.then(|| shown.links.into_iter().map(link).collect()),
    }))
}

fn usual_start() -> Timestamp {
    let now = SystemClock.now();
    now.checked_sub(SignedDuration::from_hours(USUAL_HOURS)).unwrap_or(Timestamp::UNIX_EPOCH)
}

/// What a partner brought and earned, day by day.
#[derive(Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
struct Timeseries {
    partner_id: String,
    since: String,
    until: String,
    /// `day`, of UTC.
    bucket: String,
    /// Of `revenue` and `earnings`.
    currency: String,
    /// One for each day, also where there is nothing in it.
    buckets: Vec<Bucket>,
}

/// A day.
#[derive(Serialize, ToSchema)]
struct Bucket {
    bucket: String,
    clicks: u64,
    events: u64,
    #[schema(value_type = f64)]
    revenue: Option<Box<RawValue>>,
    #[schema(value_type = f64)]
    earnings: Option<Box<RawValue>>,
}

/// The longest time that is shown day by day, in days.
const LONGEST_SERIES: usize = 1_100;

/// Show what a partner brought and earned, day by day.
///
/// Scope `commissions:read`. The last 30 days, unless `since` and `until` say otherwise; three years at most.
#[utoipa::path(
    get, path = "/partners/{id}/timeseries", tag = "attribution",
    params(("id" = String, Path), ("since" = Option<String>, Query), ("until" = Option<String>, Query)),
    responses((status = 200, body = Timeseries), AttributionRefusals)
)]
async fn timeseries(
    State(surface): State<Surface>,
    key: Key,
    Path(partner_id): Path<String>,
    mut params: Params,
) -> Result<Json<Timeseries>, Refusal> {
    let since = params.moment("since").unwrap_or_else(usual_start);
    let until = params.moment("until").unwrap_or_else(|| SystemClock.now());
    let request = room::TimeseriesRequest {
        partner_id: partner_id.clone(),
        since: to_wire(Some(since)),
        until: to_wire(Some(until)),
    };
    let request = key.queried(Scope::CommissionsRead, params.done(request)).await?;
    let days: Vec<Date> = days(since, until).take(LONGEST_SERIES + 1).collect();
    if days.len() > LONGEST_SERIES {
        let mut faults = super::fields::Faults::default();
        faults.add("since", "At most three years are shown at once");
        return Err(faults.refusal("invalid_query"));
    }
    let shown = surface.attribution().get_timeseries(key.asks(request)?).await;
    let shown = shown.map_err(|status| Refusal::of_room(&status, Scope::CommissionsRead))?.into_inner().days;
    let all = shown.iter().flat_map(|day| day.revenue.iter().chain(&day.commission));
    let currency = leading(all.map(|money| money.currency.as_str()));
    let known = |date: Date| {
        let date = date.to_string();
        shown.iter().find(|day| day.date == date)
    };
    let bucket = |date: Date| {
        let day = known(date).cloned().unwrap_or_default();
        Bucket {
            bucket: format!("{date}T00:00:00.000Z"),
            clicks: day.clicks,
            events: day.events,
            revenue: amount_in(&day.revenue, &currency),
            earnings: amount_in(&day.commission, &currency),
        }
    };
    let buckets = days.into_iter().map(bucket).collect();
    let bucket = "day".to_owned();
    Ok(Json(Timeseries {
        partner_id,
        since: printed(since),
        until: printed(until),
        bucket,
        currency,
        buckets,
    }))
}

fn days(since: Timestamp, until: Timestamp) -> impl Iterator<Item = Date> {
    let date = |at: Timestamp| at.to_zoned(jiff::tz::TimeZone::UTC).date();
    let last = date(until);
    std::iter::successors(Some(date(since)), |day| day.tomorrow().ok()).take_while(move |day| *day <= last)
}
