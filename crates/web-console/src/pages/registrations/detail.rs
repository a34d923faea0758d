use std::collections::BTreeSet;

use askama::Template;
use axum::{
    extract::{Path, State},
    response::Response,
};
use futures::{StreamExt, TryStreamExt, stream};
use model::Scope;
use proto::{
    crm::{
        ApproveDealRegistrationRequest, DealRegistration, DealRegistrationRequest, GetSettingsRequest,
        RegistrationConflict, RejectDealRegistrationRequest,
    },
    sync::GetRecordRequest,
};
use serde::Deserialize;
use tonic::Code;

use super::{PATH, is_open, state};
use crate::{
    app::App,
    failure::Failure,
    flash::Flash,
    form::Form,
    pages::attribution::Names,
    people::People,
    respond, sample,
    session::Visitor,
    shell::{Nav, Shell},
    ui,
};

/// The most conflicts of which is told how they stand by now.
const MOST_LOOKED_UP: usize = 20;
const AT_ONCE: usize = 8;

/// A deal that a partner registered: what stands against it, who decides, and what became of it.
#[derive(Template)]
#[template(path = "registrations/detail.html")]
pub(crate) struct DetailPage {
    shell: Shell,
    it: DealRegistration,
    conflicts: Vec<Conflict>,
    steps: Vec<Step>,
    names: Names,
    people: People,
    /// For how many days an approval protects unless somebody says otherwise.
    protected_days: u32,
    /// Whether the deal that approving it created is there by now.
    has_deal: bool,
}
respond::page_response!(DetailPage);

/// Another registration of the company.
struct Conflict {
    told: RegistrationConflict,
    /// As it stands by now, where that was looked up.
    now: Option<DealRegistration>,
}

impl Conflict {
    fn is_channel(&self) -> bool {
        self.told.kind == "channel"
    }
}

/// Something that happened, or will.
struct Step {
    words: String,
    at: Option<prost_types::Timestamp>,
    note: String,
}

impl DetailPage {
    fn new(
        shell: Shell,
        it: DealRegistration,
        conflicts: Vec<Conflict>,
        names: Names,
        people: People,
    ) -> Self {
        let steps = steps(&it, &people);
        Self { shell, it, conflicts, steps, names, people, protected_days: 0, has_deal: false }
    }

    /// Whether the visitor is the one who looks into it.
    fn is_mine(&self) -> bool {
        self.people.name(&self.it.reviewer) == "You"
    }

    fn sample_of(shell: Shell, n: usize) -> Self {
        let mut all = sample::registrations();
        let it = all.remove(n);
        let now = |told: &RegistrationConflict| all.iter().find(|it| it.id == told.registration_id).cloned();
        let conflicts = it.conflicts.iter().map(|told| Conflict { now: now(told), told: told.clone() });
        let conflicts = conflicts.collect();
        let people = People::new(&sample::user(model::Role::Owner), &[sample::user(model::Role::Admin)]);
        let has_deal = !it.deal_id.is_empty();
        let page = Self::new(shell, it, conflicts, Names::sample(), people);
        Self { protected_days: 90, has_deal, ..page }
    }

    pub(crate) fn sample(shell: Shell) -> Self {
        Self::sample_of(shell, 0)
    }

    pub(crate) fn sample_reviewed(shell: Shell) -> Self {
        Self::sample_of(shell, 1)
    }

    pub(crate) fn sample_approved(shell: Shell) -> Self {
        Self::sample_of(shell, 2)
    }

    pub(crate) fn sample_rejected(shell: Shell) -> Self {
        Self::sample_of(shell, 3)
    }

    pub(crate) fn sample_expired(shell: Shell) -> Self {
        Self::sample_of(shell, 4)
    }
}

/// The history of a registration, oldest first, and what comes by itself.
fn steps(it: &DealRegistration, people: &People) -> Vec<Step> {
    let step = |words: String, at, note: &str| Step { words, at, note: note.to_owned() };
    let mut steps =
        vec![step(format!("{} registered the deal", people.name(&it.submitted_by)), it.submitted_at, "")];
    if !it.reviewer.is_empty() {
        let verb = match (is_open(&it.status), people.name(&it.reviewer) == "You") {
            (true, true) => "look into it",
            (true, false) => "looks into it",
            (false, _) => "looked into it",
        };
        steps.push(step(format!("{} {verb}", people.name(&it.reviewer)), None, ""));
    }
    if !it.decided_by.is_empty() {
        let verb = if it.reason.is_empty() { "approved" } else { "rejected" };
        let words = format!("{} {verb} it", people.name(&it.decided_by));
        steps.push(step(words, it.decided_at, &it.reason));
    }
    let end = match (it.status.as_str(), it.decided_by.is_empty()) {
        ("submitted" | "under_review", _) => "Expires, unless somebody decides",
        ("approved", _) => "The protection ends",
        ("expired", true) => "Expired: nobody decided in time",
        ("expired", false) => "The protection ended",
        _ => return steps,
    };
    steps.push(step(end.to_owned(), it.expires_at, ""));
    steps
}

/// `GET /attribution/registrations/{registration}`.
pub(crate) async fn show(
    State(app): State<App>,
    visitor: Visitor,
    Path(id): Path<String>,
) -> Result<DetailPage, Failure> {
    let it = find(&app, &visitor, id).await?;
    let conflicts = conflicts(&app, &visitor, &it).await?;
    let partners = conflicts.iter().map(|conflict| conflict.told.partner_id.clone());
    let partners: BTreeSet<String> = partners.chain([it.partner_id.clone()]).collect();
    let names = Names::load(&app, &visitor, partners).await?;
    let people = People::load(&app, &visitor).await?;
    let settings = app.rooms().crm().get_settings(visitor.ask(GetSettingsRequest {})?).await?.into_inner();
    let has_deal = has_deal(&app, &visitor, &it.deal_id).await?;
    let shell = visitor.shell(&it.deal_name, Nav::Registrations);
    let page = DetailPage::new(shell, it, conflicts, names, people);
    Ok(DetailPage { protected_days: settings.protected_days, has_deal, ..page })
}

async fn find(app: &App, visitor: &Visitor, id: String) -> Result<DealRegistration, Failure> {
    let request = visitor.ask(DealRegistrationRequest { id })?;
    Ok(app.rooms().crm().get_deal_registration(request).await?.into_inner())
}

/// The conflicts, with how the first of them stand by now.
async fn conflicts(app: &App, visitor: &Visitor, it: &DealRegistration) -> Result<Vec<Conflict>, Failure> {
    let look_up = |(place, told): (usize, RegistrationConflict)| async move {
        if place >= MOST_LOOKED_UP {
            return Ok(Conflict { told, now: None });
        }
        match find(app, visitor, told.registration_id.clone()).await {
            Ok(now) => Ok(Conflict { told, now: Some(now) }),
            Err(failure) if failure.status == axum::http::StatusCode::NOT_FOUND => {
                Ok(Conflict { told, now: None })
            }
            Err(failure) => Err(failure),
        }
    };
    let all: Vec<_> = it.conflicts.iter().cloned().enumerate().map(look_up).collect();
    stream::iter(all).buffered(AT_ONCE).try_collect().await
}

/// The deal is created a moment after the approval.
async fn has_deal(app: &App, visitor: &Visitor, id: &str) -> Result<bool, Failure> {
    if id.is_empty() {
        return Ok(false);
    }
    match app.rooms().sync().get_record(visitor.ask(GetRecordRequest { id: id.to_owned() })?).await {
        Ok(_) => Ok(true),
        Err(status) if status.code() == Code::NotFound => Ok(false),
        Err(status) => Err(status.into()),
    }
}

/// What is decided.
#[derive(Deserialize)]
pub(crate) struct Decision {
    action: String,
    #[serde(default)]
    days: String,
    #[serde(default)]
    reason: String,
}

/// `POST /attribution/registrations/{registration}`: looks into it, approves or rejects it.
pub(crate) async fn decide(
    State(app): State<App>,
    Path(id): Path<String>,
    Form(visitor, form): Form<Decision>,
) -> Result<Response, Failure> {
    visitor.must(Scope::PartnersWrite, "Only an Owner or Admin decides about registrations.")?;
    let flash = match done(&app, &visitor, &id, form).await {
        Ok(text) => Flash::good(text),
        Err(failure) if failure.code == "already_decided" => {
            let it = find(&app, &visitor, id.clone()).await?;
            let people = People::load(&app, &visitor).await?;
            Flash::bad(late(&it, &people, &visitor), failure.code)
        }
        Err(failure) if failure.code == "registration_expired" => {
            let text =
                "It expired before anybody decided, so nothing was done. The partner can register it again.";
            Flash::bad(text, failure.code)
        }
        Err(failure) => return Err(failure),
    };
    Ok(respond::redirect(&format!("{PATH}/{id}"), &flash))
}

/// Does what was decided, and says so.
async fn done(app: &App, visitor: &Visitor, id: &str, form: Decision) -> Result<String, Failure> {
    let (mut room, id) = (app.rooms().crm(), id.to_owned());
    match form.action.as_str() {
        "review" => {
            room.review_deal_registration(visitor.ask(DealRegistrationRequest { id })?).await?;
            Ok("Others see that you look into it.".to_owned())
        }
        "approve" => {
            let days = days(&form.days)?;
            let request = visitor.ask(ApproveDealRegistrationRequest { id, days })?;
            let made = room.approve_deal_registration(request).await?.into_inner();
            Ok(format!("Approved. The deal {} is being created.", made.deal_name))
        }
        "reject" => {
            let request = visitor.ask(RejectDealRegistrationRequest { id, reason: form.reason })?;
            let made = room.reject_deal_registration(request).await?.into_inner();
            Ok(format!("{} is rejected. The partner sees the reason.", made.deal_name))
        }
        _ => Err(Failure::not_found()),
    }
}

/// A number of days as it is typed; none is what the organization set.
fn days(text: &str) -> Result<u32, Failure> {
    let text = text.trim();
    if text.is_empty() {
        return Ok(0);
    }
    let days = text.parse().ok().filter(|days| *days > 0);
    days.ok_or_else(|| Failure::invalid("days_malformed", "Write the days as a whole number, such as 90."))
}

/// That somebody decided first, in words.
fn late(it: &DealRegistration, people: &People, visitor: &Visitor) -> String {
    let verb = if it.reason.is_empty() { "approved" } else { "rejected" };
    let when = ui::to_time(it.decided_at.as_ref()).map(|at| ui::ago(at, visitor.now()));
    let when = when.unwrap_or_else(|| "before".to_owned());
    let reason = if it.reason.is_empty() { String::new() } else { format!(": “{}”", it.reason) };
    let who = people.name(&it.decided_by);
    format!("{who} {verb} it {when}{reason}. The first decision stands, so yours was not taken.")
}
