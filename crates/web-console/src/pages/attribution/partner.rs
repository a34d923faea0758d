use askama::Template;
use axum::{
    extract::{Path, Query, State},
    response::Response,
};
use jiff::{SignedDuration, Timestamp};
use model::Scope;
use proto::{
    attribution::{
        Balance, CreateLinkRequest, Dashboard, DashboardRequest, Day, GetPartnerRequest, ListBalancesRequest,
        ListPartnerTermsRequest, Money, Partner, PartnerTerms, Program, Rule, SetPartnerTermsRequest, Terms,
        TimeseriesRequest, rule::Reward,
    },
    identity::{Key, ListKeysRequest, MintApiKeyRequest, RevokeKeyRequest},
    to_wire_time,
};
use serde::Deserialize;

use super::{all_programs, earnings, money, program, program_form::moment, rule, sums};
use crate::{
    app::App,
    failure::Failure,
    flash::Flash,
    form::{Form, Nothing},
    respond, sample,
    session::Visitor,
    shell::{Nav, Shell},
    ui::{self, Chart},
};

const ONLY_MANAGERS: &str = "Only an Owner or Admin makes and revokes links to a partner's form.";
/// What the link to a form is called among the keys.
const FORM_LABEL: &str = "Link to a partner's form";
/// The spans to choose from, in days.
const SPANS: &[(u16, &str)] = &[(30, "30 days"), (90, "90 days"), (365, "A year")];

/// A partner: what their links brought and what they earned.
#[derive(Template)]
#[template(path = "attribution/partner.html")]
pub(crate) struct PartnerPage {
    shell: Shell,
    partner: Partner,
    days: u16,
    dashboard: Dashboard,
    charts: Vec<Chart>,
    balances: Vec<Balance>,
    programs: Vec<Program>,
    /// What they get instead of programs' terms, the newest of each program first.
    terms: Vec<PartnerTerms>,
    /// What the addresses of links begin with. They name the organization: another one may have a link of the same key, and
    /// then neither is followed without.
    link_base: String,
    /// The links to their form that work, where the visitor may know of them.
    forms: Vec<Key>,
    /// The address of the link that was just made.
    made_form: Option<String>,
}
respond::page_response!(PartnerPage);

impl PartnerPage {
    fn program(&self, id: &str) -> &str {
        self.programs.iter().find(|program| program.id == id).map_or("a program", |program| &program.name)
    }

    /// What was earned in this status, one amount for each currency.
    fn earned(&self, status: &str) -> String {
        let totals = self.dashboard.commission_by_status.iter().filter(|total| total.status == status);
        sums(&totals.filter_map(|total| total.total.clone()).collect::<Vec<Money>>())
    }

    /// How many commissions that is.
    fn counted(&self, status: &str) -> String {
        let totals = self.dashboard.commission_by_status.iter();
        let count = totals.filter(|total| total.status == status).map(|total| total.count).sum();
        ui::count(&count, "commission", "commissions")
    }

    pub(crate) fn sample(shell: Shell) -> Self {
        let (since, until) = span(30, shell.now);
        Self {
            partner: sample::partner(1),
            days: 30,
            dashboard: sample::dashboard(),
            charts: earnings::charts(&sample::days(), since, until),
            balances: sample::balances().split_off(2),
            programs: sample::programs(),
            terms: sample::partner_terms(),
            link_base: "https://api.accord.example/t/northwind-partners/r/".to_owned(),
            forms: Vec::from_iter(shell.may(Scope::KeysManage).then(|| sample::form_link(1))),
            made_form: None,
            shell,
        }
    }

    pub(crate) fn sample_form_made(shell: Shell) -> Self {
        let made_form = Some("https://accord.example/deals/ak_sample".to_owned());
        Self { made_form, ..Self::sample(shell) }
    }

    pub(crate) fn sample_new(shell: Shell) -> Self {
        let (since, until) = span(30, shell.now);
        Self {
            dashboard: Dashboard::default(),
            charts: earnings::charts(&[], since, until),
            balances: Vec::new(),
            terms: Vec::new(),
            partner: sample::partner(2),
            forms: Vec::new(),
            ..Self::sample(shell)
        }
    }
}

/// The moment so many whole days ago, and now.
fn span(days: u16, now: Timestamp) -> (Timestamp, Timestamp) {
    let since = now.checked_sub(SignedDuration::from_hours(24 * (i64::from(days) - 1))).unwrap_or(now);
    let midnight = since.as_second() - since.as_second().rem_euclid(86_400);
    (Timestamp::from_second(midnight).unwrap_or(since), now)
}

#[derive(Deserialize)]
pub(crate) struct Span {
    days: Option<u16>,
}

/// `GET /attribution/partners/{partner}`.
pub(crate) async fn show(
    State(app): State<App>,
    visitor: Visitor,
    Path(partner_id): Path<String>,
    Query(asked): Query<Span>,
) -> Result<PartnerPage, Failure> {
    let days = asked.days.filter(|days| SPANS.iter().any(|(known, _)| known == days)).unwrap_or(30);
    load(&app, &visitor, partner_id, days).await
}

async fn load(app: &App, visitor: &Visitor, partner_id: String, days: u16) -> Result<PartnerPage, Failure> {
    let (from, until) = span(days, visitor.now());
    let since = Some(to_wire_time(from));
    let id = || partner_id.clone();
    let room = || app.rooms().attribution();
    let (mut partners, mut dashboards, mut times, mut balances) = (room(), room(), room(), room());
    let (partner, dashboard, series, balances) = tokio::try_join!(
        partners.get_partner(visitor.ask(GetPartnerRequest { partner_id: id() })?),
        dashboards.get_dashboard(visitor.ask(DashboardRequest {
            partner_id: id(),
            since,
            include_links: true
        })?),
        times.get_timeseries(visitor.ask(TimeseriesRequest { partner_id: id(), since, until: None })?),
        balances.list_balances(visitor.ask(ListBalancesRequest { partner_id: id() })?),
    )?;
    let programs = all_programs(app, visitor).await?;
    let forms = forms(app, visitor, &partner_id).await?;
    let own = ListPartnerTermsRequest { partner_id: id(), program_id: String::new() };
    let terms = room().list_partner_terms(visitor.ask(own)?).await?.into_inner().terms;
    let (partner, series): (Partner, Vec<Day>) = (partner.into_inner(), series.into_inner().days);
    Ok(PartnerPage {
        shell: visitor.shell(&partner.name, Nav::Partners),
        partner,
        days,
        dashboard: dashboard.into_inner(),
        charts: earnings::charts(&series, from, until),
        balances: balances.into_inner().balances,
        programs,
        terms,
        link_base: link_base(app, visitor),
        forms,
        made_form: None,
    })
}

/// The links to the partner's form that work, the newest first; none where the visitor may not know of keys.
async fn forms(app: &App, visitor: &Visitor, partner_id: &str) -> Result<Vec<Key>, Failure> {
    if !visitor.may(Scope::KeysManage) {
        return Ok(Vec::new());
    }
    let keys =
        app.rooms().identity().list_api_keys(visitor.ask(ListKeysRequest {})?).await?.into_inner().keys;
    let is_form = |key: &Key| key.product == format!("form:{partner_id}") && key.revoked_at.is_none();
    Ok(keys.into_iter().filter(is_form).collect())
}

/// `POST /attribution/partners/{partner}/forms`. The answer is the page with the link, which is shown once.
pub(crate) async fn make_form(
    State(app): State<App>,
    Path(partner_id): Path<String>,
    Form(visitor, Nothing {}): Form<Nothing>,
) -> Result<PartnerPage, Failure> {
    visitor.must(Scope::KeysManage, ONLY_MANAGERS)?;
    visitor.must(Scope::RecordsWrite, ONLY_MANAGERS)?;
    let request = visitor.ask(GetPartnerRequest { partner_id })?;
    let partner = app.rooms().attribution().get_partner(request).await?.into_inner();
    let request = MintApiKeyRequest {
        label: FORM_LABEL.to_owned(),
        scopes: vec![format!("form:{}", partner.id)],
        expires_at: None,
    };
    let minted = app.rooms().identity().mint_api_key(visitor.ask(request)?).await?.into_inner();
    let link = format!("{}/deals/{}", app.public_url().as_str().trim_end_matches('/'), minted.secret);
    Ok(PartnerPage { made_form: Some(link), ..load(&app, &visitor, partner.id, 30).await? })
}

/// `POST /attribution/partners/{partner}/forms/{form}/revoke`.
pub(crate) async fn revoke_form(
    State(app): State<App>,
    Path((partner_id, key_id)): Path<(String, String)>,
    Form(visitor, Nothing {}): Form<Nothing>,
) -> Result<Response, Failure> {
    visitor.must(Scope::KeysManage, ONLY_MANAGERS)?;
    if !forms(&app, &visitor, &partner_id).await?.iter().any(|form| form.id == key_id) {
        return Err(Failure::not_found());
    }
    app.rooms().identity().revoke_api_key(visitor.ask(RevokeKeyRequest { key_id })?).await?;
    let flash = Flash::good("The link is revoked: it leads to no form any more.");
    Ok(respond::redirect(&format!("/attribution/partners/{partner_id}"), &flash))
}

fn link_base(app: &App, visitor: &Visitor) -> String {
    let mut url = app.gateway_url().clone();
    if let Ok(mut path) = url.path_segments_mut() {
        path.pop_if_empty().extend(["t", visitor.organization_slug(), "r", ""]);
    }
    url.into()
}

#[derive(Deserialize)]
pub(crate) struct NewLink {
    key: String,
    program: String,
    #[serde(default)]
    destination_url: String,
}

/// `POST /attribution/partners/{partner}/links`.
pub(crate) async fn link(
    State(app): State<App>,
    Path(partner_id): Path<String>,
    Form(visitor, form): Form<NewLink>,
) -> Result<Response, Failure> {
    let request = CreateLinkRequest {
        key: form.key.trim().to_owned(),
        partner_id: partner_id.clone(),
        program_id: form.program,
        destination_url: form.destination_url.trim().to_owned(),
    };
    let link = app.rooms().attribution().create_link(visitor.ask(request)?).await?.into_inner();
    let text = format!("The link {} works at once.", link.key);
    Ok(respond::redirect(&format!("/attribution/partners/{partner_id}"), &Flash::good(text)))
}

/// Terms of a partner as they are typed: a rate for every event, or the program's terms again.
#[derive(Deserialize)]
pub(crate) struct OwnTerms {
    program: String,
    #[serde(default)]
    percent: String,
    #[serde(default)]
    from: String,
}

/// `POST /attribution/partners/{partner}/terms`.
pub(crate) async fn agree(
    State(app): State<App>,
    Path(partner_id): Path<String>,
    Form(visitor, form): Form<OwnTerms>,
) -> Result<Response, Failure> {
    visitor.must(Scope::ProgramsWrite, "Only an Owner or Admin agrees on terms.")?;
    let program = program::find(&app, &visitor, &form.program).await?;
    let percent = form.percent.trim();
    let terms = (!percent.is_empty()).then(|| {
        let reward = Some(Reward::Percent(percent.to_owned()));
        let rules = vec![Rule { trigger: "every".to_owned(), reward, ..Rule::default() }];
        Terms { rules, ..program.terms.clone().unwrap_or_default() }
    });
    let text = match &terms {
        Some(_) => format!("{} pays {percent} % for every event of this partner.", program.name),
        None => format!("The terms of {} hold for this partner.", program.name),
    };
    let effective_from = moment(&form.from)?;
    let request = SetPartnerTermsRequest {
        partner_id: partner_id.clone(),
        program_id: program.id,
        terms,
        effective_from,
    };
    app.rooms().deriver().set_partner_terms(visitor.ask(request)?).await?;
    Ok(respond::redirect(&format!("/attribution/partners/{partner_id}"), &Flash::good(text)))
}
