use askama::Template;
use axum::{
    extract::{Query, State},
    response::Response,
};
use model::Scope;
use proto::crm::{AddSuppressionsRequest, ListSuppressionsRequest, RemoveSuppressionRequest, Suppression};
use serde::{Deserialize, Serialize};

use super::{ONLY_WRITERS, PATH};
use crate::{
    app::App,
    failure::Failure,
    flash::Flash,
    form::Form,
    pages::attribution::address,
    respond, sample,
    session::Visitor,
    shell::{Nav, Shell},
    ui,
};

const PAGE: u32 = 100;
const HERE: &str = "/campaigns/suppressions";

/// Who gets no mail.
#[derive(Template)]
#[template(path = "campaigns/suppressions.html")]
pub(crate) struct SuppressionsPage {
    shell: Shell,
    suppressions: Vec<Suppression>,
    filter: Filter,
    next: String,
}
respond::page_response!(SuppressionsPage);

/// Which of them.
#[derive(Debug, Clone, Default, Deserialize, Serialize)]
pub(crate) struct Filter {
    #[serde(default, skip_serializing_if = "String::is_empty")]
    query: String,
    #[serde(default, skip_serializing_if = "String::is_empty")]
    page: String,
}

/// Why somebody gets no mail, in words.
fn why(reason: &str) -> &str {
    match reason {
        "opted_out" => "Opted out",
        "bounced" => "A mail came back",
        "manual" => "Added by hand",
        other => other,
    }
}

impl SuppressionsPage {
    pub(crate) fn sample(shell: Shell) -> Self {
        Self {
            shell,
            suppressions: sample::suppressions(),
            filter: Filter::default(),
            next: "next".to_owned(),
        }
    }

    pub(crate) fn sample_none(shell: Shell) -> Self {
        Self { shell, suppressions: Vec::new(), filter: Filter::default(), next: String::new() }
    }
}

/// `GET /campaigns/suppressions`.
pub(crate) async fn show(
    State(app): State<App>,
    visitor: Visitor,
    Query(filter): Query<Filter>,
) -> Result<SuppressionsPage, Failure> {
    let (query, page) = (filter.query.clone(), filter.page.clone());
    let request = visitor.ask(ListSuppressionsRequest { query, limit: PAGE, page })?;
    let list = app.rooms().crm().list_suppressions(request).await?.into_inner();
    let next = match list.next_page {
        page if page.is_empty() => page,
        page => address(HERE, &Filter { page, ..filter.clone() }),
    };
    let shell = visitor.shell("Who gets no mail", Nav::Campaigns);
    Ok(SuppressionsPage { shell, suppressions: list.suppressions, filter, next })
}

/// What is done with the list.
#[derive(Deserialize)]
pub(crate) struct Action {
    action: String,
    emails: String,
}

/// `POST /campaigns/suppressions`: puts addresses on the list, or takes one away.
pub(crate) async fn act(
    State(app): State<App>,
    Form(visitor, form): Form<Action>,
) -> Result<Response, Failure> {
    visitor.must(Scope::RecordsWrite, ONLY_WRITERS)?;
    let mut room = app.rooms().crm();
    let flash = match form.action.as_str() {
        "add" => {
            let emails = form.emails.split(|c: char| c.is_whitespace() || c == ',' || c == ';');
            let emails = emails.filter(|it| !it.is_empty()).map(str::to_owned).collect();
            match room.add_suppressions(visitor.ask(AddSuppressionsRequest { emails })?).await {
                Ok(told) => {
                    let told = told.into_inner();
                    let text = format!(
                        "{} added, {} known, {} no address.",
                        told.added,
                        told.known,
                        told.refused.len()
                    );
                    if told.refused.is_empty() {
                        Flash::good(text)
                    } else {
                        Flash::bad(text, "address_invalid")
                    }
                }
                Err(status) => {
                    let failure = Failure::from(status);
                    if !failure.is_fixable() {
                        return Err(failure);
                    }
                    Flash::bad(failure.message, failure.code)
                }
            }
        }
        "remove" => {
            room.remove_suppression(visitor.ask(RemoveSuppressionRequest { email: form.emails })?).await?;
            Flash::good("The address may get mails again.")
        }
        _ => return Err(Failure::not_found()),
    };
    Ok(respond::redirect(HERE, &flash))
}
