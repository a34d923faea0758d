use askama::Template;
use axum::{
    extract::{Query, State},
    response::{IntoResponse, Response},
};
use model::Scope;
use proto::{
    attribution::{GetPartnerRequest, ListPartnersRequest, Partner},
    crm::SubmitDealRegistrationRequest,
};

use super::PATH;
use crate::{
    app::App,
    failure::Failure,
    flash::Flash,
    form::{Form, Pairs, one},
    respond, sample,
    session::Visitor,
    shell::{Nav, Shell},
    ui,
};

const ONLY_WRITERS: &str = "Only an Owner, Admin or Member registers deals.";
/// The most partners to choose from.
const MOST_PARTNERS: u32 = 200;

/// A deal that somebody registers for a partner.
#[derive(Template)]
#[template(path = "registrations/form.html")]
pub(crate) struct FormPage {
    shell: Shell,
    /// Who can be chosen.
    partners: Vec<Partner>,
    /// Whether there are more partners than can be chosen from here.
    has_more: bool,
    draft: Draft,
}
respond::page_response!(FormPage);

/// What was typed.
#[derive(Default)]
struct Draft {
    partner: String,
    company_name: String,
    company_domain: String,
    contact_name: String,
    contact_email: String,
    deal_name: String,
    amount: String,
    currency: String,
    expected_close: String,
    note: String,
}

impl Draft {
    fn read(form: &Pairs) -> Self {
        Self {
            partner: one(form, "partner"),
            company_name: one(form, "company_name"),
            company_domain: one(form, "company_domain"),
            contact_name: one(form, "contact_name"),
            contact_email: one(form, "contact_email"),
            deal_name: one(form, "deal_name"),
            amount: one(form, "amount"),
            currency: one(form, "currency").to_uppercase(),
            expected_close: one(form, "expected_close"),
            note: one(form, "note"),
        }
    }

    fn to_wire(&self) -> SubmitDealRegistrationRequest {
        SubmitDealRegistrationRequest {
            partner_id: self.partner.clone(),
            partner_record_id: String::new(),
            company_name: self.company_name.clone(),
            company_domain: self.company_domain.clone(),
            contact_name: self.contact_name.clone(),
            contact_email: self.contact_email.clone(),
            deal_name: self.deal_name.clone(),
            amount: self.amount.clone(),
            currency: self.currency.clone(),
            expected_close: self.expected_close.clone(),
            note: self.note.clone(),
        }
    }
}

impl FormPage {
    /// The form, with the partners that can be chosen, and the one that was chosen among them.
    async fn load(app: &App, visitor: &Visitor, draft: Draft) -> Result<Self, Failure> {
        let request = ListPartnersRequest { limit: MOST_PARTNERS, ..ListPartnersRequest::default() };
        let list = app.rooms().attribution().list_partners(visitor.ask(request)?).await?.into_inner();
        let mut partners = list.partners;
        if !draft.partner.is_empty() && !partners.iter().any(|partner| partner.id == draft.partner) {
            let request = visitor.ask(GetPartnerRequest { partner_id: draft.partner.clone() })?;
            partners.push(app.rooms().attribution().get_partner(request).await?.into_inner());
        }
        partners.retain(|partner| partner.status != "revoked");
        partners.sort_by_key(|partner| partner.name.to_lowercase());
        let shell = visitor.shell("Register a deal", Nav::Registrations);
        Ok(Self { shell, partners, has_more: !list.next_cursor.is_empty(), draft })
    }

    fn is_chosen(&self, partner: &Partner) -> bool {
        partner.id == self.draft.partner
    }

    pub(crate) fn sample(shell: Shell) -> Self {
        let draft = Draft { company_name: "Acme <Presses>".to_owned(), ..Draft::default() };
        Self { shell, partners: vec![sample::partner(1)], has_more: true, draft }
    }

    pub(crate) fn sample_nobody(shell: Shell) -> Self {
        Self { shell, partners: Vec::new(), has_more: false, draft: Draft::default() }
    }
}

#[derive(serde::Deserialize)]
pub(crate) struct For {
    #[serde(default)]
    partner: String,
}

/// `GET /attribution/registrations/new`.
pub(crate) async fn show(
    State(app): State<App>,
    visitor: Visitor,
    Query(asked): Query<For>,
) -> Result<FormPage, Failure> {
    visitor.must(Scope::RecordsWrite, ONLY_WRITERS)?;
    FormPage::load(&app, &visitor, Draft { partner: asked.partner, ..Draft::default() }).await
}

/// `POST /attribution/registrations`. What is refused comes back as it was typed.
pub(crate) async fn submit(
    State(app): State<App>,
    Form(visitor, form): Form<Pairs>,
) -> Result<Response, Failure> {
    visitor.must(Scope::RecordsWrite, ONLY_WRITERS)?;
    let draft = Draft::read(&form);
    let request = visitor.ask(draft.to_wire())?;
    match app.rooms().crm().submit_deal_registration(request).await.map_err(Failure::from) {
        Ok(made) => {
            let made = made.into_inner();
            let text = match made.conflicts.len() {
                0 => "Registered. Nobody else had registered the company.",
                1 => "Registered. Another registration of the company stands: see the conflict.",
                _ => "Registered. Other registrations of the company stand: see the conflicts.",
            };
            Ok(respond::redirect(&format!("{PATH}/{}", made.id), &Flash::good(text)))
        }
        Err(failure) if failure.is_fixable() => {
            let mut page = FormPage::load(&app, &visitor, draft).await?;
            let status = failure.status;
            page.shell.flash = Some(Flash::bad(in_words(&failure), failure.code));
            Ok((status, page).into_response())
        }
        Err(failure) => Err(failure),
    }
}

/// What the room refuses, in the words of the form.
fn in_words(failure: &Failure) -> String {
    let words = match failure.code.as_str() {
        "domain_invalid" => "The company's domain is none. Write it as acme.example.",
        "domain_of_free_mail" => {
            "Everybody can have an e-mail address of this domain, so it says nothing of a company. Write the company's own."
        }
        "email_invalid" => "The contact's e-mail address is none.",
        "deal_already_registered" => "The partner registered this deal of this company before.",
        "date_invalid" => "The expected close is no day.",
        "partner_revoked" => "The partner was revoked and registers nothing.",
        _ => return failure.message.clone(),
    };
    words.to_owned()
}
