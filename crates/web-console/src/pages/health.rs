use askama::Template;
use axum::{
    extract::{Query, State},
    http::HeaderMap,
    response::Response,
};
use proto::{
    connections::{
        Budget, Connection, ConnectionRequest, GetUsageRequest, GetUsageResponse, ListConnectionsRequest,
        UsagePoint, VendorLimit,
    },
    sync::{GetSyncHealthRequest, GetSyncHealthResponse, HealthPoint, ObjectHealth},
};
use serde::Deserialize;

use crate::{
    app::App,
    failure::Failure,
    pages::budget::{self, WINDOWS},
    respond, sample,
    session::Visitor,
    shell::{Nav, Shell},
    ui::{self, Bar, Chart, Part, Unit},
};

/// The spans to choose from, in minutes.
const SPANS: &[(u32, &str)] = &[(60, "Last hour"), (360, "Last 6 hours"), (1440, "Last day")];
/// More bars than this do not fit a phone.
const MAX_BARS: usize = 60;

/// Integration Health: success rate, API calls and sync lag of a connection.
#[derive(Template)]
#[template(path = "health.html")]
pub(crate) struct HealthPage {
    shell: Shell,
    connections: Vec<Connection>,
    connection: String,
    minutes: u32,
    /// None while nothing is connected.
    body: Option<Body>,
}
respond::page_response!(HealthPage);

/// The numbers and charts, kept fresh by the script.
#[derive(Template)]
#[template(path = "_health.html")]
pub(crate) struct Body {
    connection: Connection,
    vendor: String,
    minutes: u32,
    usage: GetUsageResponse,
    budget: Budget,
    health: GetSyncHealthResponse,
    calls: u64,
    failed_calls: u64,
    charts: Vec<Chart>,
    now: jiff::Timestamp,
}

impl Body {
    fn new(
        connection: Connection,
        minutes: u32,
        usage: GetUsageResponse,
        budget: Budget,
        health: GetSyncHealthResponse,
        now: jiff::Timestamp,
    ) -> Self {
        let calls = usage.points.iter().map(|point| point.calls).sum();
        let failed_calls = usage.points.iter().map(|point| point.failed + point.rate_limited).sum();
        let charts = vec![changes(&health), api_calls(&usage.points, calls), lag(&health)];
        let vendor = ui::vendor(&connection.vendor);
        Self { connection, vendor, minutes, usage, budget, health, calls, failed_calls, charts, now }
    }

    fn success(&self) -> String {
        ui::percent(self.health.applied, self.health.applied + self.health.failed)
    }

    fn call_success(&self) -> String {
        ui::percent(self.calls.saturating_sub(self.failed_calls), self.calls)
    }
}

/// How many of the changes of an object succeeded.
fn success(object: &ObjectHealth) -> String {
    ui::percent(object.applied, object.applied + object.failed)
}

/// What is left of one of the vendor's limits.
fn left(limit: &VendorLimit) -> String {
    let span = match limit.window_seconds {
        86_400 => "of the day".to_owned(),
        seconds => format!("in {seconds} s"),
    };
    format!("{} of {} left {span}", ui::number(&limit.remaining), ui::number(&limit.calls))
}

fn changes(health: &GetSyncHealthResponse) -> Chart {
    let (applied, failed) = (health.applied, health.failed);
    Chart {
        id: "changes".to_owned(),
        title: "Changes".to_owned(),
        summary: format!("{} applied, {} failed.", ui::number(&applied), ui::number(&failed)),
        parts: vec![Part { label: "Applied", class: "good" }, Part { label: "Failed", class: "bad" }],
        bars: bars(
            &health.points,
            |point: &HealthPoint| point.minute.as_ref(),
            |points| {
                vec![
                    points.iter().map(|point| point.applied).sum(),
                    points.iter().map(|point| point.failed).sum(),
                ]
            },
        ),
        unit: Unit::Pieces,
    }
}

fn api_calls(points: &[UsagePoint], calls: u64) -> Chart {
    Chart {
        id: "calls".to_owned(),
        title: "API calls".to_owned(),
        summary: format!("{} in all.", ui::count(&calls, "call", "calls")),
        parts: vec![
            Part { label: "Answered", class: "good" },
            Part { label: "Rate limited", class: "warn" },
            Part { label: "Failed", class: "bad" },
        ],
        bars: bars(
            points,
            |point: &UsagePoint| point.minute.as_ref(),
            |points| {
                let sum = |value: fn(&UsagePoint) -> u64| points.iter().map(value).sum::<u64>();
                let (limited, failed) = (sum(|point| point.rate_limited), sum(|point| point.failed));
                vec![sum(|point| point.calls).saturating_sub(limited + failed), limited, failed]
            },
        ),
        unit: Unit::Pieces,
    }
}

fn lag(health: &GetSyncHealthResponse) -> Chart {
    Chart {
        id: "lag".to_owned(),
        title: "Sync lag".to_owned(),
        summary: format!(
            "Half of the changes arrived within {}, 99 of 100 within {}.",
            ui::duration_ms(&health.lag_p50_ms),
            ui::duration_ms(&health.lag_p99_ms)
        ),
        parts: vec![
            Part { label: "Median", class: "good" },
            Part { label: "Up to the slowest", class: "soft" },
        ],
        bars: bars(
            &health.points,
            |point: &HealthPoint| point.minute.as_ref(),
            |points| {
                let median = points.iter().map(|point| point.lag_p50_ms).max().unwrap_or(0);
                let slowest = points.iter().map(|point| point.lag_max_ms).max().unwrap_or(0);
                vec![median, slowest.saturating_sub(median)]
            },
        ),
        unit: Unit::Milliseconds,
    }
}

/// Points in time order, gathered so that they fit.
fn bars<P>(
    points: &[P],
    minute: impl Fn(&P) -> Option<&prost_types::Timestamp>,
    values: impl Fn(&[P]) -> Vec<u64>,
) -> Vec<Bar> {
    points
        .chunks(points.len().div_ceil(MAX_BARS).max(1))
        .map(|points| {
            let at = points.first().and_then(|point| ui::to_time(minute(point)));
            Bar {
                label: at.map(|at| at.strftime("%H:%M").to_string()).unwrap_or_default(),
                values: values(points),
            }
        })
        .collect()
}

impl HealthPage {
    pub(crate) fn sample(shell: Shell) -> Self {
        let connection = sample::connection("active");
        let usage = GetUsageResponse {
            points: sample::usage(),
            window_limit: 190,
            window_remaining: 141,
            window_seconds: 10,
            limits: sample::limits(),
        };
        let points = sample::health();
        let health = GetSyncHealthResponse {
            applied: points.iter().map(|point| point.applied).sum(),
            failed: 2,
            points,
            lag_p50_ms: 12_400,
            lag_p95_ms: 24_800,
            lag_p99_ms: 33_100,
            objects: sample::object_health(),
            echoes: 18,
            conflicts: 3,
            open_issues: 1,
        };
        Self {
            connections: vec![connection.clone()],
            connection: connection.id.clone(),
            minutes: 60,
            body: Some(Body::new(connection, 60, usage, sample::budget(), health, shell.now)),
            shell,
        }
    }

    pub(crate) fn sample_new(shell: Shell) -> Self {
        Self { shell, connections: Vec::new(), connection: String::new(), minutes: 60, body: None }
    }
}

#[derive(Deserialize)]
pub(crate) struct Span {
    #[serde(default)]
    connection: String,
    minutes: Option<u32>,
}

impl Span {
    fn minutes(&self) -> u32 {
        self.minutes.filter(|minutes| SPANS.iter().any(|(known, _)| known == minutes)).unwrap_or(60)
    }
}

/// `GET /settings/integrations/health`.
pub(crate) async fn show(
    State(app): State<App>,
    visitor: Visitor,
    Query(span): Query<Span>,
) -> Result<HealthPage, Failure> {
    let shell = visitor.shell("Integration Health", Nav::Health);
    let minutes = span.minutes();
    let connections = connections(&app, &visitor).await?;
    let body = match pick(&connections, &span.connection)? {
        Some(connection) => Some(load(&app, &visitor, connection.clone(), minutes).await?),
        None => None,
    };
    let connection = body.as_ref().map(|body| body.connection.id.clone()).unwrap_or_default();
    Ok(HealthPage { shell, connections, connection, minutes, body })
}

/// `GET /settings/integrations/health/live`.
pub(crate) async fn live(
    State(app): State<App>,
    visitor: Visitor,
    headers: HeaderMap,
    Query(span): Query<Span>,
) -> Result<Response, Failure> {
    let connections = connections(&app, &visitor).await?;
    let connection = pick(&connections, &span.connection)?.ok_or_else(Failure::not_found)?;
    let body = load(&app, &visitor, connection.clone(), span.minutes()).await?;
    Ok(respond::fragment(&headers, &body))
}

async fn connections(app: &App, visitor: &Visitor) -> Result<Vec<Connection>, Failure> {
    let request = visitor.ask(ListConnectionsRequest {})?;
    Ok(app.rooms().connections().list_connections(request).await?.into_inner().connections)
}

/// The wished connection, or the first that is in use.
fn pick<'a>(connections: &'a [Connection], wished: &str) -> Result<Option<&'a Connection>, Failure> {
    if wished.is_empty() {
        let in_use = connections.iter().find(|connection| connection.state != "disconnected");
        return Ok(in_use.or(connections.first()));
    }
    connections.iter().find(|connection| connection.id == wished).map(Some).ok_or_else(Failure::not_found)
}

async fn load(app: &App, visitor: &Visitor, connection: Connection, minutes: u32) -> Result<Body, Failure> {
    let (mut connector, mut sync) = (app.rooms().connections(), app.rooms().sync());
    let connection_id = || connection.id.clone();
    let mut budgets = app.rooms().connections();
    let (usage, budget, health) = tokio::try_join!(
        connector.get_usage(visitor.ask(GetUsageRequest { connection_id: connection_id(), minutes })?),
        budgets.get_budget(visitor.ask(ConnectionRequest { connection_id: connection_id() })?),
        sync.get_sync_health(visitor.ask(GetSyncHealthRequest { connection_id: connection_id(), minutes })?),
    )?;
    let (usage, budget, health) = (usage.into_inner(), budget.into_inner(), health.into_inner());
    Ok(Body::new(connection, minutes, usage, budget, health, visitor.now()))
}
