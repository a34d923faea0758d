use askama::Template;
use axum::{
    extract::State,
    response::{IntoResponse, Response},
};
use model::Scope;
use proto::crm::{GetSettingsRequest, Settings};

use super::PATH;
use crate::{
    app::App,
    failure::Failure,
    flash::Flash,
    form::{Form, Pairs, one},
    respond, sample,
    session::Visitor,
    shell::{Nav, Shell},
};

const HERE: &str = "/settings/registrations";

/// How long registrations stand, and which domains say nothing of a company.
#[derive(Template)]
#[template(path = "registrations/settings.html")]
pub(crate) struct SettingsPage {
    shell: Shell,
    draft: Draft,
}
respond::page_response!(SettingsPage);

/// The settings as the form holds them.
struct Draft {
    protected_days: String,
    review_days: String,
    /// One a line.
    free_domains: String,
}

impl Draft {
    fn of(settings: &Settings) -> Self {
        Self {
            protected_days: settings.protected_days.to_string(),
            review_days: settings.review_days.to_string(),
            free_domains: settings.free_domains.join("\n"),
        }
    }

    fn typed(form: &Pairs) -> Self {
        Self {
            protected_days: one(form, "protected_days"),
            review_days: one(form, "review_days"),
            free_domains: one(form, "free_domains").replace('\r', ""),
        }
    }

    fn to_wire(&self) -> Result<Settings, Failure> {
        let days = |text: &str| {
            let message = "Write the days as whole numbers, such as 90.";
            text.parse().map_err(|_| Failure::invalid("days_malformed", message))
        };
        let domains = self.free_domains.split(|c: char| c.is_whitespace() || c == ',');
        Ok(Settings {
            protected_days: days(&self.protected_days)?,
            review_days: days(&self.review_days)?,
            free_domains: domains.filter(|text| !text.is_empty()).map(str::to_owned).collect(),
        })
    }
}

impl SettingsPage {
    fn new(visitor: &Visitor, draft: Draft) -> Self {
        Self { shell: visitor.shell("Settings of deal registrations", Nav::Registrations), draft }
    }

    pub(crate) fn sample(shell: Shell) -> Self {
        Self { shell, draft: Draft::of(&sample::crm_settings()) }
    }
}

/// `GET /settings/registrations`.
pub(crate) async fn show(State(app): State<App>, visitor: Visitor) -> Result<SettingsPage, Failure> {
    let settings = app.rooms().crm().get_settings(visitor.ask(GetSettingsRequest {})?).await?.into_inner();
    Ok(SettingsPage::new(&visitor, Draft::of(&settings)))
}

/// `POST /settings/registrations`. What is refused comes back as it was typed.
pub(crate) async fn save(
    State(app): State<App>,
    Form(visitor, form): Form<Pairs>,
) -> Result<Response, Failure> {
    visitor.must(Scope::PartnersWrite, "Only an Owner or Admin changes how long registrations stand.")?;
    let draft = Draft::typed(&form);
    let saved = async {
        app.rooms().crm().set_settings(visitor.ask(draft.to_wire()?)?).await?;
        Ok::<_, Failure>(())
    };
    match saved.await {
        Ok(()) => {
            let text = "Saved. Days hold for what is registered and approved from now on.";
            Ok(respond::redirect(HERE, &Flash::good(text)))
        }
        Err(failure) if failure.is_fixable() => {
            let mut page = SettingsPage::new(&visitor, draft);
            let status = failure.status;
            page.shell.flash = Some(Flash::bad(in_words(&failure), failure.code));
            Ok((status, page).into_response())
        }
        Err(failure) => Err(failure),
    }
}

/// What the room refuses, in the words of the form.
fn in_words(failure: &Failure) -> String {
    match failure.code.as_str() {
        "days_invalid" => "Days are from 1 to 3,650.".to_owned(),
        "domain_invalid" => "One of the free e-mail domains is no domain, such as mail.example.".to_owned(),
        _ => failure.message.clone(),
    }
}
