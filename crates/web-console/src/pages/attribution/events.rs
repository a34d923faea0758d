use std::collections::BTreeMap;

use askama::Template;
use axum::{
    extract::{Path, Query, State},
    response::Response,
};
use proto::{
    attribution::{
        ConversionEvent, CorrectEventRequest, ListEventsRequest, ListWaitingRecordsRequest, WaitingRecord,
        correct_event_request::Correction,
    },
    connections::Connection,
};
use serde::{Deserialize, Serialize};

use super::{
    Names, address,
    conversion_rules::{connection, connections},
    model, reason,
};
use crate::{
    app::App,
    failure::Failure,
    flash::Flash,
    form::Form,
    respond, sample,
    session::Visitor,
    shell::{Nav, Shell},
    ui,
};

const PAGE: u32 = 50;
const PATH: &str = "/attribution/events";
/// The statuses to choose from.
const STATUSES: &[(&str, &str)] = &[
    ("", "All"),
    ("attributed", "Attributed"),
    ("unattributed", "Unattributed"),
    ("no_identity", "No identity"),
    ("no_click", "No click counts"),
    ("outside_window", "Outside the window"),
];
/// The type of event that a won deal is, where nobody chose another.
const WON: &str = "opportunity_won";

/// Conversion events, each with the reason of its status.
#[derive(Template)]
#[template(path = "attribution/events.html")]
pub(crate) struct EventsPage {
    shell: Shell,
    filter: Filter,
    events: Vec<ConversionEvent>,
    names: Names,
    next: String,
    waiting: Waiting,
}
respond::page_response!(EventsPage);

/// What the list is narrowed by.
#[derive(Debug, Clone, Default, Deserialize, Serialize)]
pub(crate) struct Filter {
    #[serde(default, skip_serializing_if = "String::is_empty")]
    status: String,
    #[serde(default, skip_serializing_if = "String::is_empty")]
    user: String,
    #[serde(default, skip_serializing_if = "String::is_empty")]
    r#type: String,
    /// An event's id, or a value of its metadata such as the id of the CRM's record.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    id: String,
    #[serde(default, skip_serializing_if = "String::is_empty")]
    cursor: String,
    /// Where the list of CRM records without an event goes on.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    waiting: String,
}

/// CRM records that became no event, of the unattributed alone.
#[derive(Debug, Clone, Default)]
struct Waiting {
    records: Vec<WaitingRecord>,
    connections: Vec<Connection>,
    /// Where the list goes on; empty at its end.
    cursor: String,
}

impl EventsPage {
    fn new(shell: Shell, filter: Filter, events: Vec<ConversionEvent>, names: Names, cursor: String) -> Self {
        let next = Filter { cursor, ..filter.clone() };
        let next = if next.cursor.is_empty() { String::new() } else { address(PATH, &next) };
        Self { shell, filter, events, names, next, waiting: Waiting::default() }
    }

    /// The address of the same list with this status.
    fn of(&self, status: &str) -> String {
        let (status, cursor, waiting) = (status.to_owned(), String::new(), String::new());
        address(PATH, &Filter { status, cursor, waiting, ..self.filter.clone() })
    }

    /// The address at which the records without an event go on.
    fn waiting_from(&self, cursor: &str) -> String {
        address(PATH, &Filter { waiting: cursor.to_owned(), ..self.filter.clone() })
    }

    /// The address of the won deals that are attributed to nobody.
    fn lost_deals(&self) -> String {
        let (status, r#type) = ("unattributed".to_owned(), WON.to_owned());
        address(PATH, &Filter { status, r#type, ..Filter::default() })
    }

    fn is_lost_deals(&self) -> bool {
        self.filter.status == "unattributed" && self.filter.r#type == WON
    }

    pub(crate) fn sample(shell: Shell) -> Self {
        Self::new(shell, Filter::default(), sample::conversions(), Names::sample(), "next".to_owned())
    }

    pub(crate) fn sample_lost(shell: Shell) -> Self {
        let (status, r#type) = ("unattributed".to_owned(), WON.to_owned());
        let filter = Filter { status, r#type, ..Filter::default() };
        let events = sample::conversions().into_iter().filter(|event| event.status != "attributed").collect();
        let waiting = Waiting {
            records: sample::waiting_records(),
            connections: vec![sample::connection("active")],
            cursor: "next".to_owned(),
        };
        Self { waiting, ..Self::new(shell, filter, events, Names::sample(), String::new()) }
    }

    pub(crate) fn sample_none(shell: Shell) -> Self {
        Self::new(shell, Filter::default(), Vec::new(), Names::default(), String::new())
    }
}

/// What is known beside the event's own fields, name by name.
fn metadata(event: &ConversionEvent) -> BTreeMap<String, String> {
    let fields: BTreeMap<String, serde_json::Value> =
        serde_json::from_str(&event.metadata_json).unwrap_or_default();
    let text = |value: serde_json::Value| match value {
        serde_json::Value::String(text) => text,
        other => other.to_string(),
    };
    fields.into_iter().map(|(name, value)| (name, text(value))).collect()
}

/// What an event is worth, after corrections.
fn worth(event: &ConversionEvent) -> String {
    if event.current_value.is_empty() {
        return "no value".to_owned();
    }
    ui::amount(&event.current_value, &event.currency)
}

/// A share in words.
fn share(weight: &Option<proto::attribution::Weight>) -> String {
    let Some(weight) = weight else { return String::new() };
    let (part, whole) = (weight.numerator.unsigned_abs(), weight.denominator.unsigned_abs());
    ui::percent(part, whole)
}

/// What is odd about an event, in words.
fn flag(name: &str) -> String {
    match name {
        "early_event" => "its time lies ahead".to_owned(),
        other => ui::spaced(other).to_lowercase(),
    }
}

/// `GET /attribution/events`.
pub(crate) async fn show(
    State(app): State<App>,
    visitor: Visitor,
    Query(filter): Query<Filter>,
) -> Result<EventsPage, Failure> {
    let id = filter.id.trim();
    let is_event = id.starts_with("evt_");
    let request = ListEventsRequest {
        status: filter.status.clone(),
        user_id: filter.user.trim().to_owned(),
        r#type: filter.r#type.trim().to_owned(),
        metadata_value: if is_event { String::new() } else { id.to_owned() },
        event_ids: if is_event { vec![id.to_owned()] } else { Vec::new() },
        limit: PAGE,
        cursor: filter.cursor.clone(),
        ..ListEventsRequest::default()
    };
    let list = app.rooms().attribution().list_events(visitor.ask(request)?).await?.into_inner();
    let touches = list.events.iter().flat_map(|event| &event.touches);
    let names = Names::load(&app, &visitor, touches.map(|touch| touch.partner_id.clone()).collect()).await?;
    let waiting = waiting(&app, &visitor, &filter).await?;
    let shell = visitor.shell("Events", Nav::Events);
    Ok(EventsPage { waiting, ..EventsPage::new(shell, filter, list.events, names, list.next_cursor) })
}

/// The CRM records that meet a rule and are no event yet: whoever looks at the unattributed sees them too. Of most it is
/// not known whose they are.
async fn waiting(app: &App, visitor: &Visitor, filter: &Filter) -> Result<Waiting, Failure> {
    let id = filter.id.trim();
    if filter.status != "unattributed" || !filter.user.trim().is_empty() || id.starts_with("evt_") {
        return Ok(Waiting::default());
    }
    let request = ListWaitingRecordsRequest {
        event_type: filter.r#type.trim().to_owned(),
        record_id: id.to_owned(),
        limit: PAGE,
        cursor: filter.waiting.clone(),
    };
    let list = app.rooms().conversion_rules().list_waiting_records(visitor.ask(request)?).await?.into_inner();
    let connections = if list.records.is_empty() { Vec::new() } else { connections(app, visitor).await? };
    Ok(Waiting { records: list.records, connections, cursor: list.next_cursor })
}

#[derive(Deserialize)]
pub(crate) struct Void {
    /// void, restore
    action: String,
    #[serde(default)]
    reason: String,
}

/// `POST /attribution/events/{event}/correct`: the deal is not won after all, or it is again.
pub(crate) async fn correct(
    State(app): State<App>,
    Path(event_id): Path<String>,
    Form(visitor, form): Form<Void>,
) -> Result<Response, Failure> {
    let (correction, text) = match &*form.action {
        "void" => {
            (Correction::Void(true), "The event pays nothing now. What it paid is taken back by entries.")
        }
        "restore" => (Correction::Restore(true), "The event counts again."),
        _ => return Err(Failure::not_found()),
    };
    let request = CorrectEventRequest {
        idempotency_key: format!("console-{}-{}", visitor.user().id, visitor.now().as_microsecond()),
        event_id: event_id.clone(),
        correction: Some(correction),
        reason: form.reason.trim().to_owned(),
        ..CorrectEventRequest::default()
    };
    app.rooms().attribution().correct_event(visitor.ask(request)?).await?;
    let path = address(PATH, &Filter { id: event_id, ..Filter::default() });
    Ok(respond::redirect(&path, &Flash::good(text)))
}
