use askama::Template;
use axum::{
    extract::{Path, Query, State},
    response::Response,
};
use proto::attribution::{CreatePartnerRequest, DecidePartnerRequest, ListPartnersRequest, Partner};
use serde::{Deserialize, Serialize};

use super::address;
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
const PATH: &str = "/attribution/partners";

/// Everybody who brings customers.
#[derive(Template)]
#[template(path = "attribution/partners.html")]
pub(crate) struct PartnersPage {
    shell: Shell,
    filter: Filter,
    partners: Vec<Partner>,
    /// The address of the next page; empty on the last one.
    next: String,
}
respond::page_response!(PartnersPage);

/// What the list is narrowed by.
#[derive(Debug, Clone, Default, Deserialize, Serialize)]
pub(crate) struct Filter {
    #[serde(default, skip_serializing_if = "String::is_empty")]
    status: String,
    #[serde(default, skip_serializing_if = "String::is_empty")]
    cursor: String,
}

impl PartnersPage {
    fn new(shell: Shell, filter: Filter, partners: Vec<Partner>, cursor: String) -> Self {
        let next = if cursor.is_empty() {
            String::new()
        } else {
            address(PATH, &Filter { cursor, ..filter.clone() })
        };
        Self { shell, filter, partners, next }
    }

    pub(crate) fn sample(shell: Shell) -> Self {
        Self::new(shell, Filter::default(), vec![sample::partner(1), sample::partner(2)], "next".to_owned())
    }

    pub(crate) fn sample_none(shell: Shell) -> Self {
        Self::new(shell, Filter::default(), Vec::new(), String::new())
    }
}

/// `GET /attribution/partners`.
pub(crate) async fn show(
    State(app): State<App>,
    visitor: Visitor,
    Query(filter): Query<Filter>,
) -> Result<PartnersPage, Failure> {
    let request =
        ListPartnersRequest { status: filter.status.clone(), limit: PAGE, cursor: filter.cursor.clone() };
    let list = app.rooms().attribution().list_partners(visitor.ask(request)?).await?.into_inner();
    let shell = visitor.shell("Partners", Nav::Partners);
    Ok(PartnersPage::new(shell, filter, list.partners, list.next_cursor))
}

#[derive(Deserialize)]
pub(crate) struct NewPartner {
    email: String,
    name: String,
}

/// `POST /attribution/partners`.
pub(crate) async fn create(
    State(app): State<App>,
    Form(visitor, form): Form<NewPartner>,
) -> Result<Response, Failure> {
    let request = CreatePartnerRequest {
        email: form.email.trim().to_owned(),
        name: form.name.trim().to_owned(),
        metadata_json: String::new(),
        invite: false,
    };
    let partner = app.rooms().attribution().create_partner(visitor.ask(request)?).await?.into_inner();
    let text = format!("{} is a partner now. Make a link to share.", partner.name);
    Ok(respond::redirect(&format!("{PATH}/{}", partner.id), &Flash::good(text)))
}

#[derive(Deserialize)]
pub(crate) struct Decision {
    decision: String,
    #[serde(default)]
    note: String,
}

/// `POST /attribution/partners/{partner}/decide`: revokes, reinstates or activates.
pub(crate) async fn decide(
    State(app): State<App>,
    Path(partner_id): Path<String>,
    Form(visitor, form): Form<Decision>,
) -> Result<Response, Failure> {
    let is_activated = form.decision == "activate";
    let request = DecidePartnerRequest {
        partner_id: partner_id.clone(),
        decision: form.decision,
        note: form.note.trim().to_owned(),
    };
    let partner = app.rooms().deriver().decide_partner(visitor.ask(request)?).await?.into_inner();
    let text = match &*partner.status {
        "revoked" => format!(
            "{} is revoked: the links lead nowhere, and what happens from now on pays nothing.",
            partner.name
        ),
        _ if is_activated => format!("{} is active.", partner.name),
        _ => format!("{} earns again from now on.", partner.name),
    };
    Ok(respond::redirect(&format!("{PATH}/{partner_id}"), &Flash::good(text)))
}
