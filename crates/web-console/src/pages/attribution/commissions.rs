use std::collections::HashMap;

use askama::Template;
use axum::{
    extract::{Query, State},
    response::Response,
};
use proto::attribution::{
    Commission, CommissionAnswer, ConversionEvent, DecideCommissionsRequest, ListCommissionsRequest,
    ListEventsRequest, commission_answer::Answer,
};
use serde::{Deserialize, Serialize};

use super::{Names, address, because};
use crate::{
    app::App,
    failure::Failure,
    flash::Flash,
    form::{Form, Pairs, all, one},
    respond, sample,
    session::Visitor,
    shell::{Nav, Shell},
    ui,
};

const PAGE: u32 = 50;
const PATH: &str = "/attribution/commissions";
/// The statuses to choose from.
const STATUSES: &[(&str, &str)] = &[
    ("", "All"),
    ("accrued", "Accrued"),
    ("approved", "Approved"),
    ("paid", "Paid"),
    ("reversed", "Reversed"),
];

/// Commissions of one partner or all, to approve and reverse one or many.
#[derive(Template)]
#[template(path = "attribution/commissions.html")]
pub(crate) struct CommissionsPage {
    shell: Shell,
    filter: Filter,
    commissions: Vec<Commission>,
    /// What they are for, by the event's id.
    events: HashMap<String, ConversionEvent>,
    names: Names,
    next: String,
}
respond::page_response!(CommissionsPage);

/// What the list is narrowed by.
#[derive(Debug, Clone, Default, Deserialize, Serialize)]
pub(crate) struct Filter {
    #[serde(default, skip_serializing_if = "String::is_empty")]
    status: String,
    #[serde(default, skip_serializing_if = "String::is_empty")]
    partner: String,
    #[serde(default, skip_serializing_if = "String::is_empty")]
    program: String,
    #[serde(default, skip_serializing_if = "String::is_empty")]
    cursor: String,
}

impl CommissionsPage {
    fn new(
        shell: Shell,
        filter: Filter,
        commissions: Vec<Commission>,
        events: Vec<ConversionEvent>,
        names: Names,
        cursor: String,
    ) -> Self {
        let next = Filter { cursor, ..filter.clone() };
        let next = if next.cursor.is_empty() { String::new() } else { address(PATH, &next) };
        let events = events.into_iter().map(|event| (event.id.clone(), event)).collect();
        Self { shell, filter, commissions, events, names, next }
    }

    /// The address of the same list with this status.
    fn of(&self, status: &str) -> String {
        address(PATH, &Filter { status: status.to_owned(), cursor: String::new(), ..self.filter.clone() })
    }

    fn event(&self, id: &str) -> Option<&ConversionEvent> {
        self.events.get(id)
    }

    pub(crate) fn sample(shell: Shell) -> Self {
        let filter = Filter { partner: sample::partner(1).id, ..Filter::default() };
        let events = sample::conversions();
        Self::new(shell, filter, sample::commissions(), events, Names::sample(), String::new())
    }

    pub(crate) fn sample_none(shell: Shell) -> Self {
        Self::new(shell, Filter::default(), Vec::new(), Vec::new(), Names::default(), String::new())
    }
}

/// `GET /attribution/commissions`.
pub(crate) async fn show(
    State(app): State<App>,
    visitor: Visitor,
    Query(filter): Query<Filter>,
) -> Result<CommissionsPage, Failure> {
    let request = ListCommissionsRequest {
        status: filter.status.clone(),
        partner_id: filter.partner.clone(),
        program_id: filter.program.clone(),
        held: false,
        limit: PAGE,
        cursor: filter.cursor.clone(),
    };
    let mut room = app.rooms().attribution();
    let list = room.list_commissions(visitor.ask(request)?).await?.into_inner();
    let events = if list.commissions.is_empty() {
        Vec::new()
    } else {
        let event_ids = list.commissions.iter().map(|commission| commission.event_id.clone()).collect();
        let request = ListEventsRequest { event_ids, limit: PAGE, ..ListEventsRequest::default() };
        room.list_events(visitor.ask(request)?).await?.into_inner().events
    };
    let ids = list.commissions.iter().map(|commission| commission.partner_id.clone());
    let names = Names::load(&app, &visitor, ids.chain([filter.partner.clone()]).collect()).await?;
    let shell = visitor.shell("Commissions", Nav::Commissions);
    Ok(CommissionsPage::new(shell, filter, list.commissions, events, names, list.next_cursor))
}

/// `POST /attribution/commissions`: approves, reverses, holds or releases the chosen ones.
pub(crate) async fn decide(
    State(app): State<App>,
    Form(visitor, form): Form<Pairs>,
) -> Result<Response, Failure> {
    let back = one(&form, "back");
    let back = respond::local_path(&back).filter(|path| path.starts_with("/attribution/")).unwrap_or(PATH);
    let commission_ids = all(&form, "commission");
    if commission_ids.is_empty() {
        return Ok(respond::redirect(back, &Flash::bad("Choose at least one first.", "nothing_chosen")));
    }
    let request = DecideCommissionsRequest { commission_ids, note: one(&form, "note") };
    let request = visitor.ask(request)?;
    let mut room = app.rooms().deriver();
    let (answers, done) = match &*one(&form, "action") {
        "approve" => (room.approve_commissions(request).await?, "approved"),
        "reverse" => (room.reverse_commissions(request).await?, "reversed"),
        "hold" => (room.hold_commissions(request).await?, "held back"),
        "release" => (room.release_commissions(request).await?, "released"),
        _ => return Err(Failure::not_found()),
    };
    Ok(respond::redirect(back, &told(&answers.into_inner().answers, done)))
}

/// What became of the chosen ones: how many, and why the others did not.
pub(super) fn told(answers: &[CommissionAnswer], done: &str) -> Flash {
    let mut refused: Vec<(&str, &str, u64)> = Vec::new();
    for answer in answers {
        let Some(Answer::Refused(refusal)) = &answer.answer else { continue };
        match refused.iter_mut().find(|(code, ..)| *code == refusal.code) {
            Some((.., count)) => *count += 1,
            None => refused.push((&refusal.code, &refusal.message, 1)),
        }
    }
    let failed: u64 = refused.iter().map(|(.., count)| count).sum();
    let good = (answers.len() as u64).saturating_sub(failed);
    let mut text = format!("{} {done}.", ui::count(&good, "commission is", "commissions are"));
    for (_, message, count) in &refused {
        text += &format!(" {} not: {}", ui::number(count), ui::sentence(message));
    }
    match refused.first() {
        Some((code, ..)) => Flash::bad(text, *code),
        None => Flash::good(text),
    }
}
