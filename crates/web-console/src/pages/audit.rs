use askama::Template;
use axum::{
    body::Body,
    extract::{Query, State},
    http::header,
    response::{IntoResponse, Response},
};
use futures::StreamExt;
use proto::{
    AuditLine,
    audit::{Entry, ListEntriesRequest, VerifyRequest, VerifyResponse},
};
use serde::{Deserialize, Serialize};

use crate::{
    app::App,
    failure::Failure,
    people::People,
    respond, sample,
    session::Visitor,
    shell::{Nav, Shell},
    ui,
};

const PAGE: u32 = 50;
/// Actions to choose from; any other, also with a `*` at its end, can be typed.
const ACTIONS: &[&str] = &[
    "sync.*",
    "mapping.*",
    "connection.*",
    "write.*",
    "change.*",
    "record.*",
    "conflict.*",
    "schema.*",
    "token.*",
    "identity.*",
    "dead_letter",
];

/// The audit log: what happened, who did it, how it ended.
#[derive(Template)]
#[template(path = "audit.html")]
pub(crate) struct AuditPage {
    shell: Shell,
    filter: Filter,
    entries: Vec<Line>,
    /// The address of older entries; empty on the last page.
    older: String,
    export: String,
    verify: String,
    chain: Option<VerifyResponse>,
}
respond::page_response!(AuditPage);

struct Line {
    entry: Entry,
    who: String,
    details: String,
}

/// What the log is narrowed by. It is part of the address, so that it can be sent to somebody.
#[derive(Debug, Clone, Default, Deserialize, Serialize)]
pub(crate) struct Filter {
    #[serde(default, skip_serializing_if = "String::is_empty")]
    action: String,
    #[serde(default, skip_serializing_if = "String::is_empty")]
    actor: String,
    #[serde(default, skip_serializing_if = "String::is_empty")]
    target: String,
    #[serde(default, skip_serializing_if = "String::is_empty")]
    connection: String,
    #[serde(default, skip_serializing_if = "String::is_empty")]
    outcome: String,
    /// As the browser's field for day and time writes it, taken as UTC.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    from: String,
    #[serde(default, skip_serializing_if = "String::is_empty")]
    to: String,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    before: Option<i64>,
}

impl Filter {
    fn to_request(&self, limit: u32) -> Result<ListEntriesRequest, Failure> {
        Ok(ListEntriesRequest {
            action: self.action.trim().to_owned(),
            actor: self.actor.trim().to_owned(),
            target: self.target.trim().to_owned(),
            connection_id: self.connection.trim().to_owned(),
            outcome: self.outcome.clone(),
            from: moment(&self.from)?,
            to: moment(&self.to)?,
            limit,
            before: self.before.unwrap_or(0),
        })
    }

    fn address(&self, path: &str) -> String {
        match serde_urlencoded::to_string(self) {
            Ok(query) if !query.is_empty() => format!("{path}?{query}"),
            _ => path.to_owned(),
        }
    }

    fn is_empty(&self) -> bool {
        [&self.action, &self.actor, &self.target, &self.connection, &self.outcome, &self.from, &self.to]
            .iter()
            .all(|text| text.is_empty())
    }
}

fn moment(text: &str) -> Result<Option<prost_types::Timestamp>, Failure> {
    if text.is_empty() {
        return Ok(None);
    }
    let at = text
        .parse::<jiff::civil::DateTime>()
        .ok()
        .and_then(|at| at.to_zoned(jiff::tz::TimeZone::UTC).ok())
        .ok_or_else(|| Failure::invalid("time_malformed", "Write a time as 2026-01-31T09:30."))?;
    Ok(Some(proto::to_wire_time(at.timestamp())))
}

impl AuditPage {
    fn new(
        shell: Shell,
        people: &People,
        filter: Filter,
        entries: Vec<Entry>,
        next_before: i64,
        chain: Option<VerifyResponse>,
    ) -> Self {
        let entries = entries
            .into_iter()
            .map(|entry| Line { who: people.name(&entry.actor), details: pretty(&entry.details_json), entry })
            .collect();
        let all = Filter { before: None, ..filter.clone() };
        let older = Filter { before: Some(next_before), ..all.clone() };
        Self {
            older: if next_before > 0 { older.address("/settings/audit") } else { String::new() },
            export: all.address("/settings/audit/export"),
            verify: all.address("/settings/audit/verify"),
            shell,
            filter,
            entries,
            chain,
        }
    }

    pub(crate) fn sample(shell: Shell) -> Self {
        let people = People::new(&sample::user(model::Role::Owner), &[]);
        let chain = VerifyResponse {
            whole: true,
            entries: 4182,
            head_hash: "7d1f0c".repeat(10),
            ..Default::default()
        };
        Self::new(shell, &people, Filter::default(), sample::entries(), 4178, Some(chain))
    }

    pub(crate) fn sample_none(shell: Shell) -> Self {
        let filter =
            Filter { action: "write.*".to_owned(), outcome: "failed".to_owned(), ..Filter::default() };
        Self::new(shell, &People::default(), filter, Vec::new(), 0, None)
    }
}

fn pretty(json: &str) -> String {
    serde_json::from_str::<serde_json::Value>(json)
        .and_then(|value| serde_json::to_string_pretty(&value))
        .unwrap_or_else(|_| json.to_owned())
}

/// `GET /settings/audit`.
pub(crate) async fn show(
    State(app): State<App>,
    visitor: Visitor,
    Query(filter): Query<Filter>,
) -> Result<AuditPage, Failure> {
    page(&app, &visitor, filter, None).await
}

/// `GET /settings/audit/verify`: the same page, after the chain was walked.
pub(crate) async fn verify(
    State(app): State<App>,
    visitor: Visitor,
    Query(filter): Query<Filter>,
) -> Result<AuditPage, Failure> {
    let chain = app.rooms().verifier().verify(visitor.ask(VerifyRequest {})?).await?.into_inner();
    page(&app, &visitor, filter, Some(chain)).await
}

async fn page(
    app: &App,
    visitor: &Visitor,
    filter: Filter,
    chain: Option<VerifyResponse>,
) -> Result<AuditPage, Failure> {
    let request = visitor.ask(filter.to_request(PAGE)?)?;
    let answer = app.rooms().audit().list_entries(request).await?.into_inner();
    let people = People::load(app, visitor).await?;
    let shell = visitor.shell("Audit log", Nav::Audit);
    Ok(AuditPage::new(shell, &people, filter, answer.entries, answer.next_before, chain))
}

/// `GET /settings/audit/export`: all entries that fit, oldest first, the same lines as the API's.
pub(crate) async fn export(
    State(app): State<App>,
    visitor: Visitor,
    Query(filter): Query<Filter>,
) -> Result<Response, Failure> {
    let entries = app.rooms().audit().export(visitor.ask(filter.to_request(0)?)?).await?.into_inner();
    let lines = entries.map(|entry| {
        let entry = entry.map_err(std::io::Error::other)?;
        line(&entry).map_err(std::io::Error::other)
    });
    Ok((
        [
            (header::CONTENT_TYPE, "application/x-ndjson"),
            (header::CONTENT_DISPOSITION, "attachment; filename=\"accord-audit.jsonl\""),
            (header::CACHE_CONTROL, "no-store"),
        ],
        Body::from_stream(lines),
    )
        .into_response())
}

fn line(entry: &Entry) -> Result<String, serde_json::Error> {
    let mut line = serde_json::to_string(&AuditLine::from(entry))?;
    line.push('\n');
    Ok(line)
}
