use askama::Template;
use axum::{
    extract::State,
    response::{IntoResponse, Response},
};
use model::Scope;
use proto::attribution::{GetGuardsRequest, Guards, RotateIdentifySecretRequest};

use crate::{
    app::App,
    failure::Failure,
    flash::Flash,
    form::{Form, Nothing, Pairs, one},
    respond, sample,
    session::Visitor,
    shell::{Nav, Shell},
    ui,
};

const PATH: &str = "/settings/guards";
const ONLY_MANAGERS: &str = "Only an Owner or Admin changes what is believed without asking.";
/// How much a signature of the user ID counts.
const SIGNED: &[(&str, &str)] = &[
    ("off", "Not looked at"),
    ("on", "Checked where there is one; a wrong one is refused"),
    ("required", "Required: without one nobody is identified"),
];

/// What is believed without asking, and what waits for a person.
#[derive(Template)]
#[template(path = "attribution/guards.html")]
pub(crate) struct GuardsPage {
    shell: Shell,
    guards: Guards,
    limits: Limits,
    /// The secret that was just made.
    secret: Option<String>,
}
respond::page_response!(GuardsPage);

/// The limits as the form holds them.
struct Limits {
    users_per_click: String,
    identifies_per_address_hour: String,
    events_per_partner_hour: String,
}

impl Limits {
    fn of(guards: &Guards) -> Self {
        let limit = |limit: u32| if limit == 0 { String::new() } else { limit.to_string() };
        Self {
            users_per_click: limit(guards.users_per_click),
            identifies_per_address_hour: limit(guards.identifies_per_address_hour),
            events_per_partner_hour: limit(guards.events_per_partner_hour),
        }
    }

    fn typed(form: &Pairs) -> Self {
        Self {
            users_per_click: one(form, "users_per_click"),
            identifies_per_address_hour: one(form, "identifies_per_address_hour"),
            events_per_partner_hour: one(form, "events_per_partner_hour"),
        }
    }

    /// The same guards with these limits.
    fn put(&self, guards: Guards) -> Result<Guards, Failure> {
        let number = |text: &str| {
            if text.is_empty() {
                return Ok(0);
            }
            text.parse::<u32>().map_err(|_| {
                let message = "Write limits as whole numbers, or leave them empty.";
                Failure::invalid("number_malformed", message)
            })
        };
        Ok(Guards {
            users_per_click: number(&self.users_per_click)?,
            identifies_per_address_hour: number(&self.identifies_per_address_hour)?,
            events_per_partner_hour: number(&self.events_per_partner_hour)?,
            ..guards
        })
    }
}

impl GuardsPage {
    fn new(visitor: &Visitor, guards: Guards, secret: Option<String>) -> Self {
        let (shell, limits) = (visitor.shell("Fraud guards", Nav::Review), Limits::of(&guards));
        Self { shell, guards, limits, secret }
    }

    pub(crate) fn sample(shell: Shell) -> Self {
        let guards = sample::guards();
        Self { shell, limits: Limits::of(&guards), guards, secret: None }
    }

    pub(crate) fn sample_made(shell: Shell) -> Self {
        Self { secret: Some("is_sample".repeat(4)), ..Self::sample(shell) }
    }
}

/// `GET /settings/guards`.
pub(crate) async fn show(State(app): State<App>, visitor: Visitor) -> Result<GuardsPage, Failure> {
    Ok(GuardsPage::new(&visitor, stored(&app, &visitor).await?, None))
}

async fn stored(app: &App, visitor: &Visitor) -> Result<Guards, Failure> {
    visitor.must(Scope::ProgramsWrite, ONLY_MANAGERS)?;
    Ok(app.rooms().attribution().get_guards(visitor.ask(GetGuardsRequest {})?).await?.into_inner())
}

/// `POST /settings/guards`. What is refused comes back as it was chosen.
pub(crate) async fn save(
    State(app): State<App>,
    Form(visitor, form): Form<Pairs>,
) -> Result<Response, Failure> {
    let is_checked = |name: &str| one(&form, name) == "yes";
    let limits = Limits::typed(&form);
    let chosen = Guards {
        signed_identify: one(&form, "signed_identify"),
        one_stitch_per_day: is_checked("one_stitch_per_day"),
        known_customers_wait: is_checked("known_customers_wait"),
        ..Guards::default()
    };
    let saved = async {
        let guards = limits.put(chosen.clone())?;
        app.rooms().attribution().set_guards(visitor.ask(guards)?).await?;
        Ok::<_, Failure>(())
    };
    match saved.await {
        Ok(()) => Ok(respond::redirect(PATH, &Flash::good("Saved. It holds for what comes from now on."))),
        Err(failure) if failure.is_fixable() => {
            let secret_created_at = stored(&app, &visitor).await?.secret_created_at;
            let mut page = GuardsPage::new(&visitor, Guards { secret_created_at, ..chosen }, None);
            let status = failure.status;
            page.limits = limits;
            page.shell.flash = Some(Flash::bad(failure.message, failure.code));
            Ok((status, page).into_response())
        }
        Err(failure) => Err(failure),
    }
}

/// `POST /settings/guards/secret`: the answer is the page with the secret, which is nowhere else ever again.
pub(crate) async fn rotate(
    State(app): State<App>,
    Form(visitor, _): Form<Nothing>,
) -> Result<GuardsPage, Failure> {
    let request = visitor.ask(RotateIdentifySecretRequest {})?;
    let made = app.rooms().attribution().rotate_identify_secret(request).await?.into_inner();
    Ok(GuardsPage::new(&visitor, made.guards.unwrap_or_default(), Some(made.secret)))
}
