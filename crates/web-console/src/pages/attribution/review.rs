use askama::Template;
use axum::{
    extract::{Query, State},
    response::Response,
};
use proto::attribution::{
    DecideCommissionsRequest, DecideReviewsRequest, ListReviewsRequest, ReviewItem, ReviewTotal,
};
use serde::{Deserialize, Serialize};

use super::{address, commissions::told};
use crate::{
    app::App,
    failure::Failure,
    flash::Flash,
    form::{Form, Pairs, all, one},
    people::People,
    respond, sample,
    session::Visitor,
    shell::{Nav, Shell},
    ui,
};

const PAGE: u32 = 50;
const PATH: &str = "/attribution/review";

/// What waits for a person: why, since when, and what is at stake.
#[derive(Template)]
#[template(path = "attribution/review.html")]
pub(crate) struct ReviewPage {
    shell: Shell,
    filter: Filter,
    items: Vec<ReviewItem>,
    totals: Vec<ReviewTotal>,
    people: People,
    next: String,
}
respond::page_response!(ReviewPage);

/// What the list is narrowed by.
#[derive(Debug, Clone, Default, Deserialize, Serialize)]
pub(crate) struct Filter {
    /// held, accrued; empty: held.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    state: String,
    #[serde(default, skip_serializing_if = "String::is_empty")]
    partner: String,
    #[serde(default, skip_serializing_if = "String::is_empty")]
    reason: String,
    #[serde(default, skip_serializing_if = "String::is_empty")]
    cursor: String,
}

impl ReviewPage {
    fn new(
        shell: Shell,
        filter: Filter,
        items: Vec<ReviewItem>,
        totals: Vec<ReviewTotal>,
        people: People,
        cursor: String,
    ) -> Self {
        let next = Filter { cursor, ..filter.clone() };
        let next = if next.cursor.is_empty() { String::new() } else { address(PATH, &next) };
        Self { shell, filter, items, totals, people, next }
    }

    /// The address of the list in this state and for this reason.
    fn of(&self, state: &str, reason: &str) -> String {
        let (state, reason) = (state.to_owned(), reason.to_owned());
        address(PATH, &Filter { state, reason, partner: self.filter.partner.clone(), cursor: String::new() })
    }

    fn here(&self) -> String {
        self.of(&self.filter.state, &self.filter.reason)
    }

    fn is_held(&self) -> bool {
        self.filter.state != "accrued"
    }

    pub(crate) fn sample(shell: Shell) -> Self {
        let people = People::new(&sample::user(model::Role::Owner), &[]);
        let (items, totals) = (sample::reviews(), sample::review_totals());
        Self::new(shell, Filter::default(), items, totals, people, "next".to_owned())
    }

    pub(crate) fn sample_none(shell: Shell) -> Self {
        Self::new(shell, Filter::default(), Vec::new(), Vec::new(), People::default(), String::new())
    }
}

/// Why something waits, in two or three words.
fn label(reason: &str) -> String {
    match reason {
        "" => "Waits for approval".to_owned(),
        "self_referral" => "Partner is the customer".to_owned(),
        "known_customer" => "Customer before the click".to_owned(),
        "duplicate_customer" => "Same customer twice".to_owned(),
        "users_per_click" => "Many users of one click".to_owned(),
        "identifies_per_address" => "Many users of one address".to_owned(),
        "early_event" => "Its time lies ahead".to_owned(),
        "events_per_partner" => "Many events in an hour".to_owned(),
        "held_by_hand" => "Held by somebody".to_owned(),
        other => ui::spaced(other),
    }
}

/// A decision in the past tense.
fn verb(decision: &str) -> String {
    match decision {
        "approve" => "approved it".to_owned(),
        "mature" => "approved it: its hold period was over".to_owned(),
        "reverse" => "reversed it".to_owned(),
        "hold" => "held it back".to_owned(),
        "release" => "cleared it".to_owned(),
        "flag" => "flagged the click as fraud".to_owned(),
        "clear" => "cleared the click".to_owned(),
        other => ui::spaced(other).to_lowercase(),
    }
}

/// `GET /attribution/review`.
pub(crate) async fn show(
    State(app): State<App>,
    visitor: Visitor,
    Query(filter): Query<Filter>,
) -> Result<ReviewPage, Failure> {
    let request = ListReviewsRequest {
        state: filter.state.clone(),
        partner_id: filter.partner.clone(),
        reason: filter.reason.clone(),
        limit: PAGE,
        cursor: filter.cursor.clone(),
    };
    let list = app.rooms().attribution().list_reviews(visitor.ask(request)?).await?.into_inner();
    let people = People::load(&app, &visitor).await?;
    let shell = visitor.shell("Review queue", Nav::Review);
    Ok(ReviewPage::new(shell, filter, list.items, list.totals, people, list.next_cursor))
}

/// `POST /attribution/review`: clears, rejects or approves the chosen ones.
pub(crate) async fn decide(
    State(app): State<App>,
    Form(visitor, form): Form<Pairs>,
) -> Result<Response, Failure> {
    let back = one(&form, "back");
    let back = respond::local_path(&back).filter(|path| path.starts_with(PATH)).unwrap_or(PATH);
    let (commission_ids, note) = (all(&form, "commission"), one(&form, "note"));
    if commission_ids.is_empty() {
        return Ok(respond::redirect(back, &Flash::bad("Choose at least one first.", "nothing_chosen")));
    }
    let mut room = app.rooms().deriver();
    let action = one(&form, "action");
    let (answers, done) = match &*action {
        "approve" => {
            let request = DecideCommissionsRequest { commission_ids, note };
            (room.approve_commissions(visitor.ask(request)?).await?, "approved")
        }
        "clear" | "reject" => {
            let with_click = one(&form, "with_click") == "yes";
            let request = DecideReviewsRequest { commission_ids, decision: action.clone(), with_click, note };
            let done = if action == "clear" { "cleared" } else { "rejected" };
            (room.decide_reviews(visitor.ask(request)?).await?, done)
        }
        _ => return Err(Failure::not_found()),
    };
    Ok(respond::redirect(back, &told(&answers.into_inner().answers, done)))
}
