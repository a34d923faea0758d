use askama::Template;
use axum::{extract::State, response::Response};
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
    /// The secret that was just made.
    secret: Option<String>,
}
respond::page_response!(GuardsPage);

impl GuardsPage {
    pub(crate) fn sample(shell: Shell) -> Self {
        Self { shell, guards: sample::guards(), secret: None }
    }

    pub(crate) fn sample_made(shell: Shell) -> Self {
        Self { shell, guards: sample::guards(), secret: Some("is_sample".repeat(4)) }
    }
}

/// A limit as a form holds it.
fn limit(limit: &u32) -> String {
    if *limit == 0 { String::new() } else { limit.to_string() }
}

/// `GET /settings/guards`.
pub(crate) async fn show(State(app): State<App>, visitor: Visitor) -> Result<GuardsPage, Failure> {
    visitor.must(Scope::ProgramsWrite, ONLY_MANAGERS)?;
    let guards = app.rooms().attribution().get_guards(visitor.ask(GetGuardsRequest {})?).await?.into_inner();
    Ok(GuardsPage { shell: visitor.shell("Fraud guards", Nav::Review), guards, secret: None })
}

/// `POST /settings/guards`.
pub(crate) async fn save(
    State(app): State<App>,
    Form(visitor, form): Form<Pairs>,
) -> Result<Response, Failure> {
    let number = |name: &str| {
        let text = one(&form, name);
        if text.is_empty() {
            return Ok(0);
        }
        text.parse::<u32>().map_err(|_| {
            Failure::invalid("number_malformed", "Write limits as whole numbers, or leave them empty.")
        })
    };
    let is_checked = |name: &str| one(&form, name) == "yes";
    let guards = Guards {
        signed_identify: one(&form, "signed_identify"),
        secret_created_at: None,
        users_per_click: number("users_per_click")?,
        identifies_per_address_hour: number("identifies_per_address_hour")?,
        events_per_partner_hour: number("events_per_partner_hour")?,
        one_stitch_per_day: is_checked("one_stitch_per_day"),
        known_customers_wait: is_checked("known_customers_wait"),
    };
    app.rooms().attribution().set_guards(visitor.ask(guards)?).await?;
    Ok(respond::redirect(PATH, &Flash::good("Saved. It holds for what comes from now on.")))
}

/// `POST /settings/guards/secret`: the answer is the page with the secret, which is nowhere else ever again.
pub(crate) async fn rotate(
    State(app): State<App>,
    Form(visitor, _): Form<Nothing>,
) -> Result<GuardsPage, Failure> {
    let request = visitor.ask(RotateIdentifySecretRequest {})?;
    let made = app.rooms().attribution().rotate_identify_secret(request).await?.into_inner();
    Ok(GuardsPage {
        shell: visitor.shell("Fraud guards", Nav::Review),
        guards: made.guards.unwrap_or_default(),
        secret: Some(made.secret),
    })
}
