use askama::Template;
use axum::{
    extract::{Path, State},
    http::HeaderMap,
    response::Response,
};
use proto::sync::{Difference, GetReconcileRequest, ListReconcilesRequest, Reconcile, ReconcileRequest};

use crate::{
    app::App,
    failure::Failure,
    flash::Flash,
    form::{Form, Nothing},
    pages::connection,
    people::People,
    respond, sample,
    session::Visitor,
    shell::{Nav, Shell},
    ui,
};

/// Comparisons of both sides of a connection: as of when they were equal, and what was repaired for it.
#[derive(Template)]
#[template(path = "reconcile.html")]
pub(crate) struct ReconcilePage {
    shell: Shell,
    body: Body,
}
respond::page_response!(ReconcilePage);

/// All of the page below its frame, kept fresh by the script.
#[derive(Template)]
#[template(path = "_reconcile.html")]
pub(crate) struct Body {
    shell: Shell,
    vendor: String,
    base: String,
    /// With who wanted it.
    rows: Vec<(Reconcile, String)>,
}

/// Of how many comparisons the differences are shown.
const DETAILED: usize = 10;

/// What differed, in words.
fn what(name: &str) -> &'static str {
    match name {
        "value" => "had another value there, and was merged",
        "missing_here" => "was not known here, and was taken over",
        "missing_there" => "was not there any more, and is detached",
        "unsent" => "had not been written there",
        _ => "differed",
    }
}

/// What an object is called at the head of a line.
fn object(row: &Reconcile) -> String {
    ui::capital(&row.vendor_object)
}

/// How far one is that is at work.
fn progress(row: &Reconcile) -> String {
    match (row.read, row.total) {
        (0, _) => "is about to be compared".to_owned(),
        (read, total) if read < total => {
            format!("is being compared: {} of {} records", ui::number(&read), ui::number(&total))
        }
        (read, _) => format!("is being compared: {} read", ui::count(&read, "record", "records")),
    }
}

fn name(difference: &Difference) -> &str {
    if difference.vendor_id.is_empty() { &difference.record_id } else { &difference.vendor_id }
}

impl Body {
    fn is_working(&self) -> bool {
        self.rows.iter().any(|(row, _)| matches!(&*row.state, "wanted" | "reading"))
    }
}

impl ReconcilePage {
    fn sample_with(shell: Shell, rows: Vec<Reconcile>) -> Self {
        let rows = rows.into_iter().map(|row| (row, "Accord".to_owned())).collect();
        let base = base("hubspot", &sample::id("conn", 1));
        Self { body: Body { shell: shell.clone(), vendor: "HubSpot".to_owned(), base, rows }, shell }
    }

    pub(crate) fn sample(shell: Shell) -> Self {
        Self::sample_with(shell, sample::reconciles())
    }

    pub(crate) fn sample_none(shell: Shell) -> Self {
        Self::sample_with(shell, Vec::new())
    }
}

fn base(vendor: &str, connection: &str) -> String {
    format!("/settings/integrations/{vendor}/{connection}")
}

async fn load(
    app: &App,
    visitor: &Visitor,
    shell: Shell,
    (vendor, id): &(String, String),
) -> Result<Body, Failure> {
    connection::find(app, visitor, vendor, id).await?;
    let request = ListReconcilesRequest { connection_id: id.clone(), limit: 50 };
    let list = app.rooms().sync().list_reconciles(visitor.ask(request)?).await?.into_inner();
    let people = People::load(app, visitor).await?;
    let mut rows = Vec::new();
    for (n, mut row) in list.reconciles.into_iter().enumerate() {
        if n < DETAILED && row.repaired > 0 {
            let request = visitor.ask(GetReconcileRequest { id: row.id })?;
            row = app.rooms().sync().get_reconcile(request).await?.into_inner();
        }
        let who = people.name(&row.actor);
        rows.push((row, who));
    }
    Ok(Body { shell, vendor: ui::vendor(vendor), base: base(vendor, id), rows })
}

/// `GET /settings/integrations/{vendor}/{connection}/reconcile`.
pub(crate) async fn show(
    State(app): State<App>,
    visitor: Visitor,
    Path(place): Path<(String, String)>,
) -> Result<ReconcilePage, Failure> {
    let shell = visitor.shell(format!("{} compared", ui::vendor(&place.0)), Nav::Integrations);
    let body = load(&app, &visitor, shell.clone(), &place).await?;
    Ok(ReconcilePage { shell, body })
}

/// `GET /settings/integrations/{vendor}/{connection}/reconcile/live`.
pub(crate) async fn live(
    State(app): State<App>,
    visitor: Visitor,
    headers: HeaderMap,
    Path(place): Path<(String, String)>,
) -> Result<Response, Failure> {
    let body = load(&app, &visitor, visitor.shell("", Nav::Integrations), &place).await?;
    Ok(respond::fragment(&headers, &body))
}

/// `POST /settings/integrations/{vendor}/{connection}/reconcile`.
pub(crate) async fn begin(
    State(app): State<App>,
    Path((vendor, id)): Path<(String, String)>,
    Form(visitor, _): Form<Nothing>,
) -> Result<Response, Failure> {
    connection::find(&app, &visitor, &vendor, &id).await?;
    let request = visitor.ask(ReconcileRequest { connection_id: id.clone() })?;
    let begun = app.rooms().sync().reconcile(request).await?.into_inner();
    let text = if begun.reconciles.is_empty() {
        "Nothing is synced yet, so there is nothing to compare."
    } else {
        "Comparing both sides now. What differs is repaired and listed here."
    };
    Ok(respond::redirect(&format!("{}/reconcile", base(&vendor, &id)), &Flash::good(text)))
}
