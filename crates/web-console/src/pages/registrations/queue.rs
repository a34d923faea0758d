use std::collections::BTreeSet;

use askama::Template;
use axum::extract::{Query, State};
use proto::crm::{DealRegistration, ListDealRegistrationsRequest};
use serde::{Deserialize, Serialize};

use super::{PATH, is_open, state};
use crate::{
    app::App,
    failure::Failure,
    pages::attribution::{Names, address},
    people::People,
    respond, sample,
    session::Visitor,
    shell::{Nav, Shell},
    ui,
};

const PAGE: u32 = 50;

/// The lists that there are: status, label, and what is said where one is empty.
const LISTS: [(&str, &str, &str); 5] = [
    ("open", "To be decided", "Nothing waits for a decision"),
    ("approved", "Approved", "Nothing is approved"),
    ("rejected", "Rejected", "Nothing is rejected"),
    ("expired", "Expired", "Nothing is expired"),
    ("all", "All", "No deal is registered yet"),
];

/// The deals that partners registered.
#[derive(Template)]
#[template(path = "registrations/queue.html")]
pub(crate) struct QueuePage {
    shell: Shell,
    filter: Filter,
    registrations: Vec<DealRegistration>,
    names: Names,
    people: People,
    /// The address of the next page; empty on the last one.
    next: String,
}
respond::page_response!(QueuePage);

/// What the list is narrowed by.
#[derive(Debug, Clone, Default, Deserialize, Serialize)]
pub(crate) struct Filter {
    /// One of the lists; empty: what is to be decided.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    status: String,
    #[serde(default, skip_serializing_if = "String::is_empty")]
    partner: String,
    #[serde(default, skip_serializing_if = "String::is_empty")]
    page: String,
}

impl Filter {
    /// The name of the list.
    fn list(&self) -> &str {
        if self.status.is_empty() { "open" } else { &self.status }
    }
}

impl QueuePage {
    fn new(
        shell: Shell,
        filter: Filter,
        registrations: Vec<DealRegistration>,
        names: Names,
        people: People,
        page: String,
    ) -> Self {
        let next = Filter { page, ..filter.clone() };
        let next = if next.page.is_empty() { String::new() } else { address(PATH, &next) };
        Self { shell, filter, registrations, names, people, next }
    }

    /// The address of a list, of the same partner.
    fn of(&self, list: &str) -> String {
        let status = if list == "open" { String::new() } else { list.to_owned() };
        address(PATH, &Filter { status, partner: self.filter.partner.clone(), page: String::new() })
    }

    fn is_current(&self, list: &str) -> bool {
        list == self.filter.list()
    }

    fn nothing(&self) -> &'static str {
        LISTS
            .iter()
            .find(|(list, ..)| *list == self.filter.list())
            .map_or("Nothing here", |(.., words)| words)
    }

    pub(crate) fn sample(shell: Shell) -> Self {
        let people = People::new(&sample::user(model::Role::Owner), &[sample::user(model::Role::Admin)]);
        let filter = Filter { status: "all".to_owned(), ..Filter::default() };
        Self::new(shell, filter, sample::registrations(), Names::sample(), people, "next".to_owned())
    }

    pub(crate) fn sample_none(shell: Shell) -> Self {
        let (filter, names) = (Filter::default(), Names::default());
        Self::new(shell, filter, Vec::new(), names, People::default(), String::new())
    }
}

/// `GET /attribution/registrations`.
pub(crate) async fn show(
    State(app): State<App>,
    visitor: Visitor,
    Query(filter): Query<Filter>,
) -> Result<QueuePage, Failure> {
    let status = if filter.list() == "all" { String::new() } else { filter.list().to_owned() };
    let (partner_id, page) = (filter.partner.clone(), filter.page.clone());
    let request = ListDealRegistrationsRequest { partner_id, status, limit: PAGE, page };
    let list = app.rooms().crm().list_deal_registrations(visitor.ask(request)?).await?.into_inner();
    let partners = list.registrations.iter().map(|it| it.partner_id.clone());
    let partners: BTreeSet<String> = partners.chain([filter.partner.clone()]).collect();
    let names = Names::load(&app, &visitor, partners).await?;
    let people = People::load(&app, &visitor).await?;
    let shell = visitor.shell("Deal registrations", Nav::Registrations);
    Ok(QueuePage::new(shell, filter, list.registrations, names, people, list.next_page))
}
