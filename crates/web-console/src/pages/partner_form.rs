//! The page by which a partner registers deals without an account: whoever has its link is the partner there.

use askama::Template;
use axum::{
    extract::{Path, Query, State},
    http::{HeaderMap, StatusCode},
    response::{IntoResponse, Response},
};
use proto::{
    crm::{
        DealForm, DealRegistration, GetDealFormRequest, ListDealRegistrationsRequest,
        SubmitDealRegistrationRequest,
    },
    identity::WhoAmIRequest,
};
use secrecy::SecretString;
use serde::Deserialize;
use subtle::ConstantTimeEq;
use tonic::Status;

use super::{error::ErrorPage, registrations::state};
use crate::{
    app::App,
    failure::Failure,
    flash::{self, Flash},
    form::{OpenForm, Pairs, one},
    respond, sample,
    session::{form_token, with_credential},
    shell::Shell,
    ui,
};

/// Fields of the form: name, label, kind of input, the most letters, whether it must be filled in, an example.
const FIELDS: [(&str, &str, &str, u16, bool, &str); 9] = [
    ("deal_name", "Name of the deal", "text", 200, true, "Ten presses"),
    ("company_name", "Company", "text", 200, true, ""),
    ("company_domain", "Its domain", "text", 253, true, "acme.example"),
    ("contact_name", "Contact there", "text", 200, true, ""),
    ("contact_email", "Contact\u{2019}s e-mail", "email", 320, true, ""),
    ("amount", "Value, if known", "text", 20, false, "45000.00"),
    ("currency", "Currency", "text", 3, false, "USD"),
    ("expected_close", "Expected close, if known", "date", 10, false, ""),
    ("note", "Note", "note", 2000, false, ""),
];

/// A field of the form as it is shown.
struct Field {
    name: &'static str,
    label: &'static str,
    kind: &'static str,
    longest: u16,
    is_needed: bool,
    example: &'static str,
    typed: String,
    /// What is wrong with it; empty where nothing is.
    wrong: &'static str,
}

/// What a partner registers, and what became of what it did.
#[derive(Template)]
#[template(path = "partner_form.html")]
pub(crate) struct PartnerFormPage {
    shell: Shell,
    partner: String,
    organization: String,
    here: String,
    token: String,
    fields: Vec<Field>,
    registrations: Vec<DealRegistration>,
    /// The next page of them; empty where there is none.
    older: String,
}
respond::page_response!(PartnerFormPage);

/// What is there instead, where a link leads to no form.
#[derive(Template)]
#[template(path = "partner_form_closed.html")]
pub(crate) struct ClosedPage {
    shell: Shell,
    /// Whether the link works and the partner was revoked.
    is_revoked: bool,
}

impl PartnerFormPage {
    fn sample_with(shell: Shell, registrations: Vec<DealRegistration>, wrong: &[(&str, &str)]) -> Self {
        let typed = vec![("company_name".to_owned(), "Acme <Presses>".to_owned())];
        let code = |name: &str| wrong.iter().find(|(field, _)| *field == name).map_or("", |(_, code)| *code);
        Self {
            shell,
            partner: "Ada Writes".to_owned(),
            organization: "Northwind Partners".to_owned(),
            here: "/deals/ak_sample".to_owned(),
            token: "sample-token".to_owned(),
            fields: fields(&typed, code),
            registrations,
            older: "p2".to_owned(),
        }
    }

    pub(crate) fn sample(shell: Shell) -> Self {
        Self::sample_with(shell, sample::registrations(), &[])
    }

    pub(crate) fn sample_none(shell: Shell) -> Self {
        Self { older: String::new(), ..Self::sample_with(shell, Vec::new(), &[]) }
    }

    pub(crate) fn sample_refused(mut shell: Shell) -> Self {
        shell.flash = Some(Flash::bad(SEE_BELOW, "domain_of_free_mail"));
        Self::sample_with(shell, Vec::new(), &[("company_domain", "domain_of_free_mail")])
    }
}

impl ClosedPage {
    pub(crate) fn sample(shell: Shell) -> Self {
        Self { shell, is_revoked: false }
    }

    pub(crate) fn sample_revoked(shell: Shell) -> Self {
        Self { shell, is_revoked: true }
    }
}

const REVOKED: &str = "partner_revoked";
const SEE_BELOW: &str = "Nothing was registered yet: see what is marked below.";

fn fields<'a>(typed: &Pairs, code: impl Fn(&str) -> &'a str) -> Vec<Field> {
    let field = |(name, label, kind, longest, is_needed, example)| Field {
        name,
        label,
        kind,
        longest,
        is_needed,
        example,
        typed: one(typed, name),
        wrong: in_words(code(name)),
    };
    FIELDS.into_iter().map(field).collect()
}

/// What is wrong with a field, by the code of the refusal.
fn in_words(code: &str) -> &'static str {
    match code {
        "" => "",
        "required" => "This is needed.",
        "too_long" => "This is too long.",
        "domain_invalid" => "This is no domain. Write it as acme.example.",
        "domain_of_free_mail" => {
            "Everybody can have an e-mail address of this domain. Write the company\u{2019}s own."
        }
        "email_invalid" => "This is no e-mail address.",
        "currency_invalid" => "This is no currency. Write three letters, such as EUR.",
        "amount_invalid" => "Write a number, such as 45000.00.",
        "negative" => "A value is not below zero.",
        "too_large" => "This is too large.",
        "date_invalid" => "This is no day.",
        _ => "This cannot be taken.",
    }
}

/// A link that leads to a form, and whoever has it.
struct Partner {
    link: SecretString,
    here: String,
    form: DealForm,
    organization: String,
}

impl Partner {
    /// Whose form it is.
    async fn find(app: &App, headers: &HeaderMap, link: String) -> Result<Self, Failure> {
        let client = app.client(headers).map(|client| client.to_string());
        let asking = [Some(link.as_str()), client.as_deref()];
        if !asking.into_iter().flatten().all(|who| app.pace().admits(who, app.now())) {
            let slow = "Wait a minute, then go on.";
            return Err(Failure::new(StatusCode::TOO_MANY_REQUESTS, "too_many", slow));
        }
        let here = format!("/deals/{link}");
        let link = SecretString::from(link);
        let (form, organization) = Self::known(app, &link).await?;
        if form.revoked {
            return Err(Failure::new(StatusCode::FORBIDDEN, REVOKED, "The partner was revoked."));
        }
        Ok(Self { link, here, form, organization })
    }

    async fn known(app: &App, link: &SecretString) -> Result<(DealForm, String), Failure> {
        let request = with_credential(link, false, GetDealFormRequest {})?;
        let form = app.rooms().crm().get_deal_form(request).await?.into_inner();
        let request = with_credential(link, false, WhoAmIRequest {})?;
        let who = app.rooms().identity().who_am_i(request).await?.into_inner();
        Ok((form, who.organization_name))
    }

    /// The form as it was filled in, with what is wrong in it, above what was registered before.
    async fn page(
        &self,
        app: &App,
        (typed, refused): (&Pairs, (&str, &str)),
        page: String,
    ) -> Result<PartnerFormPage, Failure> {
        let request = ListDealRegistrationsRequest { page, ..ListDealRegistrationsRequest::default() };
        let request = with_credential(&self.link, false, request)?;
        let listed = app.rooms().crm().list_deal_registrations(request).await?.into_inner();
        let (field, code) = refused;
        Ok(PartnerFormPage {
            shell: Shell::bare("Register a deal", app.now()),
            partner: self.form.partner_name.clone(),
            organization: self.organization.clone(),
            here: self.here.clone(),
            token: form_token(app, &self.link),
            fields: fields(typed, |name| if name == field { code } else { "" }),
            registrations: listed.registrations,
            older: listed.next_page,
        })
    }

    async fn submit(&self, app: &App, typed: &Pairs) -> Result<DealRegistration, Status> {
        let request = SubmitDealRegistrationRequest {
            partner_id: String::new(),
            partner_record_id: String::new(),
            company_name: one(typed, "company_name"),
            company_domain: one(typed, "company_domain"),
            contact_name: one(typed, "contact_name"),
            contact_email: one(typed, "contact_email"),
            deal_name: one(typed, "deal_name"),
            amount: one(typed, "amount"),
            currency: one(typed, "currency").to_uppercase(),
            expected_close: one(typed, "expected_close"),
            note: one(typed, "note"),
        };
        let request = with_credential(&self.link, false, request)
            .map_err(|_| Status::unauthenticated("the link cannot be sent"))?;
        Ok(app.rooms().crm().submit_deal_registration(request).await?.into_inner())
    }
}

/// What is there instead of the form of a link.
fn instead(app: &App, failure: Failure) -> Response {
    if !matches!(failure.status, StatusCode::UNAUTHORIZED | StatusCode::FORBIDDEN) {
        return failed(app, failure);
    }
    let shell = Shell::bare("No form here", app.now());
    respond::page_with(StatusCode::NOT_FOUND, &ClosedPage { shell, is_revoked: failure.code == REVOKED })
}

/// The page of a failure, which leads nowhere: whoever sees it has no account.
fn failed(app: &App, failure: Failure) -> Response {
    ErrorPage::outside(Shell::bare(failure.title(), app.now()), failure).into_response()
}

#[derive(Deserialize)]
pub(crate) struct Older {
    #[serde(default)]
    page: String,
}

/// `GET /deals/{link}`.
pub(crate) async fn show(
    State(app): State<App>,
    headers: HeaderMap,
    Path(link): Path<String>,
    Query(Older { page }): Query<Older>,
) -> Response {
    let partner = match Partner::find(&app, &headers, link).await {
        Ok(partner) => partner,
        Err(failure) => return instead(&app, failure),
    };
    match partner.page(&app, (&Pairs::new(), ("", "")), page).await {
        Ok(mut page) => {
            page.shell.flash = flash::read(&headers);
            let shown = page.shell.flash.is_some();
            let mut response = page.into_response();
            if shown {
                respond::set_cookie(&mut response, &flash::remove());
            }
            response
        }
        Err(failure) => failed(&app, failure),
    }
}

/// `POST /deals/{link}`. What is refused comes back as it was typed.
pub(crate) async fn submit(
    State(app): State<App>,
    headers: HeaderMap,
    Path(link): Path<String>,
    form: Result<OpenForm<Pairs>, Failure>,
) -> Response {
    let partner = match Partner::find(&app, &headers, link).await {
        Ok(partner) => partner,
        Err(failure) => return instead(&app, failure),
    };
    let typed = match form {
        Ok(OpenForm(typed)) => typed,
        Err(failure) => return failed(&app, failure),
    };
    let token = form_token(&app, &partner.link);
    if !bool::from(one(&typed, "_token").as_bytes().ct_eq(token.as_bytes())) {
        let wrong = "This form belongs to another link. Open the link again.";
        return failed(&app, Failure::new(StatusCode::FORBIDDEN, "form_token_wrong", wrong));
    }
    let status = match partner.submit(&app, &typed).await {
        Ok(made) => return respond::redirect(&partner.here, &Flash::good(registered(&made))),
        Err(status) => status,
    };
    let field = status.metadata().get("accord-field").and_then(|field| field.to_str().ok()).unwrap_or("");
    let field = field.to_owned();
    let failure = Failure::from(status);
    if !failure.is_fixable() {
        return failed(&app, failure);
    }
    match partner.page(&app, (&typed, (&field, &failure.code)), String::new()).await {
        Ok(mut page) => {
            page.shell.flash = Some(Flash::bad(refused(&field, &failure), failure.code));
            (failure.status, page).into_response()
        }
        Err(failure) => failed(&app, failure),
    }
}

fn registered(made: &DealRegistration) -> &'static str {
    if made.conflicts.iter().any(|conflict| conflict.kind == "channel") {
        "Registered. Another partner has registered this company as well, which is looked into before anybody decides."
    } else if made.conflicts.is_empty() {
        "Registered. You see below what becomes of it."
    } else {
        "Registered. You have registered another deal of this company before."
    }
}

/// What the room refuses, above the form.
fn refused(field: &str, failure: &Failure) -> String {
    let words = match failure.code.as_str() {
        _ if !field.is_empty() => SEE_BELOW,
        "deal_already_registered" => "You have registered this deal of this company before: see below.",
        REVOKED => "You cannot register deals any more.",
        "too_many_registrations" => {
            "That are many deals within an hour. Go on later: nothing of this one was kept."
        }
        _ => return failure.message.clone(),
    };
    words.to_owned()
}

/// What stands against a registration, without of whom it is.
fn conflict(it: &DealRegistration) -> &'static str {
    if it.conflicts.iter().any(|conflict| conflict.kind == "channel") {
        "Another partner has registered this company as well."
    } else if it.conflicts.is_empty() {
        ""
    } else {
        "You had registered another deal of this company before."
    }
}
