use askama::Template;
use axum::{
    extract::{Path, State},
    response::Response,
};
use proto::sync::{Decision, ListDecisionsRequest, SettleDecisionRequest};
use serde::Deserialize;

use crate::{
    app::App,
    failure::Failure,
    flash::Flash,
    form::Form,
    pages::connection,
    respond, sample,
    session::Visitor,
    shell::{Nav, Shell},
    ui,
};

/// The vendor's records that match several records here, each with its candidates.
#[derive(Template)]
#[template(path = "decisions.html")]
pub(crate) struct DecisionsPage {
    shell: Shell,
    vendor: String,
    connection_path: String,
    decisions: Vec<Decision>,
}
respond::page_response!(DecisionsPage);

impl DecisionsPage {
    fn new(shell: Shell, vendor: &str, connection: &str, decisions: Vec<Decision>) -> Self {
        let connection_path = path(vendor, connection);
        Self { shell, vendor: ui::vendor(vendor), connection_path, decisions }
    }

    pub(crate) fn sample(shell: Shell) -> Self {
        let decision = sample::decision();
        Self::new(shell, "hubspot", &decision.connection_id.clone(), vec![decision])
    }

    pub(crate) fn sample_none(shell: Shell) -> Self {
        Self::new(shell, "hubspot", &sample::decision().connection_id, Vec::new())
    }
}

fn path(vendor: &str, connection: &str) -> String {
    format!("/settings/integrations/{vendor}/{connection}")
}

/// `GET …/decisions`.
pub(crate) async fn show(
    State(app): State<App>,
    visitor: Visitor,
    Path((vendor, connection)): Path<(String, String)>,
) -> Result<DecisionsPage, Failure> {
    connection::find(&app, &visitor, &vendor, &connection).await?;
    let request = visitor.ask(ListDecisionsRequest { connection_id: connection.clone(), limit: 100 })?;
    let decisions = app.rooms().sync().list_decisions(request).await?.into_inner().decisions;
    let shell = visitor.shell("Decisions", Nav::Integrations);
    Ok(DecisionsPage::new(shell, &vendor, &connection, decisions))
}

/// What somebody decided.
#[derive(Deserialize)]
pub(crate) struct Settlement {
    action: String,
    #[serde(default)]
    record_id: String,
}

/// `POST …/decisions/{decision}`.
pub(crate) async fn settle(
    State(app): State<App>,
    Path((vendor, connection, decision_id)): Path<(String, String, String)>,
    Form(visitor, settlement): Form<Settlement>,
) -> Result<Response, Failure> {
    connection::find(&app, &visitor, &vendor, &connection).await?;
    let Settlement { action, record_id } = settlement;
    let request = visitor.ask(SettleDecisionRequest { decision_id, action, record_id })?;
    let settled = app.rooms().sync().settle_decision(request).await?.into_inner();
    let said =
        if settled.record_id.is_empty() { "It is left alone." } else { "Linked. Both sides stay in step." };
    let path = format!("{}/decisions", path(&vendor, &connection));
    Ok(respond::redirect(&path, &Flash::good(said)))
}
