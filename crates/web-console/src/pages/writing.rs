use askama::Template;
use axum::{
    extract::{Path, State},
    response::Response,
};
use proto::{
    connections::{Connection, ConnectionRequest},
    sync::{AttributionField, AttributionWriting, AttributionWritingRequest, SetAttributionWritingRequest},
};
use serde::Deserialize;

use crate::{
    app::App,
    failure::Failure,
    flash::Flash,
    form::Form,
    pages::connection,
    respond, sample,
    session::Visitor,
    shell::{Nav, Shell},
    ui,
};

/// Whether partner attribution is written to the CRM of a connection, and which of its fields it goes to.
#[derive(Template)]
#[template(path = "writing.html")]
pub(crate) struct WritingPage {
    shell: Shell,
    vendor: String,
    base: String,
    connection: Connection,
    writing: AttributionWriting,
}
respond::page_response!(WritingPage);

impl WritingPage {
    fn new(shell: Shell, connection: Connection, writing: AttributionWriting) -> Self {
        Self {
            shell,
            vendor: ui::vendor(&connection.vendor),
            base: format!("/settings/integrations/{}/{}", connection.vendor, connection.id),
            connection,
            writing,
        }
    }

    fn fields(&self) -> impl Iterator<Item = &AttributionField> {
        self.writing.objects.iter().flat_map(|object| &object.fields)
    }

    fn has(&self, state: &str) -> bool {
        self.fields().any(|field| field.state == state)
    }

    /// What an administrator would call a missing field in the CRM, with what it holds.
    fn wanted(&self, field: &AttributionField) -> String {
        let kind = if field.r#type == "number" { "a number" } else { "a text" };
        format!("{kind} named {}", self.name_there(&field.name))
    }

    fn name_there(&self, name: &str) -> String {
        if self.connection.vendor != "salesforce" {
            return name.to_owned();
        }
        let mut is_first = true;
        let spelled = |letter: char| {
            let letter = if is_first { letter.to_ascii_uppercase() } else { letter };
            is_first = letter == '_';
            letter
        };
        format!("{}__c", name.chars().map(spelled).collect::<String>())
    }

    pub(crate) fn sample(shell: Shell) -> Self {
        Self::new(shell, sample::connection("active"), sample::attribution_writing(true))
    }

    pub(crate) fn sample_off(shell: Shell) -> Self {
        Self::new(shell, sample::connection("active"), sample::attribution_writing(false))
    }

    pub(crate) fn sample_salesforce(shell: Shell) -> Self {
        Self::new(shell, sample::salesforce_connection(), sample::attribution_writing(true))
    }
}

/// What a field's state is called.
fn state(state: &str) -> (&'static str, &'static str) {
    match state {
        "mapped" => ("good", "Written"),
        "waiting" => ("warn", "Waits for its plan"),
        "missing" => ("bad", "Missing there"),
        _ => ("", "Not mapped"),
    }
}

/// `GET …/attribution`.
pub(crate) async fn show(
    State(app): State<App>,
    visitor: Visitor,
    Path((vendor, id)): Path<(String, String)>,
) -> Result<WritingPage, Failure> {
    let connection = connection::find(&app, &visitor, &vendor, &id).await?;
    let request = visitor.ask(AttributionWritingRequest { connection_id: id })?;
    let writing = app.rooms().sync().get_attribution_writing(request).await?.into_inner();
    let shell = visitor.shell(format!("{} attribution", ui::vendor(&vendor)), Nav::Integrations);
    Ok(WritingPage::new(shell, connection, writing))
}

#[derive(Deserialize)]
pub(crate) struct Wish {
    /// `on`, `off`, or `create` for the missing fields.
    writing: String,
    /// Whether the missing fields may be created, where it is switched on.
    #[serde(default)]
    create: String,
}

/// `POST …/attribution`.
pub(crate) async fn set(
    State(app): State<App>,
    Path((vendor, id)): Path<(String, String)>,
    Form(visitor, wish): Form<Wish>,
) -> Result<Response, Failure> {
    let connection_id = connection::find(&app, &visitor, &vendor, &id).await?.id;
    let label = ui::vendor(&vendor);
    let enabled = match wish.writing.as_str() {
        "on" | "create" => true,
        "off" => false,
        _ => return Err(Failure::invalid("writing_unknown", "Choose on or off.")),
    };
    let request = SetAttributionWritingRequest { connection_id: connection_id.clone(), enabled };
    app.rooms().sync().set_attribution_writing(visitor.ask(request)?).await?;
    let creates = wish.writing == "create" || !wish.create.is_empty();
    let text = if !enabled {
        format!(
            "Attribution is no longer written to {label}. Apply the plans of the mappings below to end their mapping, too."
        )
    } else if creates {
        let request = visitor.ask(ConnectionRequest { connection_id })?;
        app.rooms().connections().create_attribution_fields(request).await?;
        format!("The fields are in {label}. Look at the plans of the mappings below, and apply them.")
    } else {
        format!("Attribution is written to {label} once the mappings below have the fields.")
    };
    Ok(respond::redirect(&format!("/settings/integrations/{vendor}/{id}/attribution"), &Flash::good(text)))
}
