use askama::Template;
use axum::{
    extract::{Path, State},
    http::StatusCode,
    response::{IntoResponse, Response},
};
use model::Scope;
use proto::attribution::{
    CreateIngestUrlRequest, CreateIngestUrlResponse, IngestMapping, IngestUrl, IngestedBody,
    ListIngestUrlsRequest, PreviewIngestRequest, RevokeIngestUrlRequest, UpdateIngestUrlRequest,
};

use super::conversion_rules::{read_conditions, typed};
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

const PATH: &str = "/settings/crm/ingest";
const ONLY_MANAGERS: &str = "Only an Owner or Admin sees and changes ingest URLs.";
/// The CRMs whose webhooks are known.
const VENDORS: &[(&str, &str)] =
    &[("pipedrive", "Pipedrive"), ("close", "Close"), ("copper", "Copper"), ("other", "Another")];

/// Addresses that a CRM's own webhook is pointed at.
#[derive(Template)]
#[template(path = "attribution/ingest_urls.html")]
pub(crate) struct IngestUrlsPage {
    shell: Shell,
    urls: Vec<IngestUrl>,
    /// What was just made, with what is shown once.
    made: Option<CreateIngestUrlResponse>,
    gateway: String,
}
respond::page_response!(IngestUrlsPage);

/// One address: its mapping, and what it makes of the last bodies.
#[derive(Template)]
#[template(path = "attribution/ingest_url.html")]
pub(crate) struct IngestUrlPage {
    shell: Shell,
    url: IngestUrl,
    name: String,
    draft: Draft,
    bodies: Vec<IngestedBody>,
    /// Whether the bodies are shown by a mapping that is not saved.
    is_draft: bool,
}
respond::page_response!(IngestUrlPage);

/// A mapping as it is typed; paths that are tried in turn are separated by commas.
#[derive(Debug, Clone, Default, PartialEq)]
struct Draft {
    user_id: String,
    event_type: String,
    value: String,
    in_minor_units: bool,
    currency: String,
    default_currency: String,
    external_event_id: String,
    ts: String,
    /// `name = path`, one a line.
    metadata: String,
    conditions: String,
    follow_records: bool,
}

impl Draft {
    fn of(mapping: &IngestMapping) -> Self {
        let mut metadata: Vec<String> =
            mapping.metadata.iter().map(|(name, path)| format!("{name} = {path}")).collect();
        metadata.sort();
        Self {
            user_id: mapping.user_id.join(", "),
            event_type: mapping.event_type.clone(),
            value: mapping.value.join(", "),
            in_minor_units: mapping.value_in_minor_units,
            currency: mapping.currency.join(", "),
            default_currency: mapping.default_currency.clone(),
            external_event_id: mapping.external_event_id.join(", "),
            ts: mapping.ts.join(", "),
            metadata: metadata.join("\n"),
            conditions: typed(&mapping.conditions),
            follow_records: mapping.follow_records,
        }
    }

    fn read(form: &Pairs) -> Self {
        let text = |name: &str| one(form, name).replace('\r', "");
        Self {
            user_id: text("user_id"),
            event_type: text("event_type"),
            value: text("value"),
            in_minor_units: text("minor") == "yes",
            currency: text("currency"),
            default_currency: text("default_currency").to_uppercase(),
            external_event_id: text("external_event_id"),
            ts: text("ts"),
            metadata: text("metadata"),
            conditions: text("conditions"),
            follow_records: text("follow") == "yes",
        }
    }

    fn to_wire(&self) -> Result<IngestMapping, Failure> {
        let paths = |text: &str| -> Vec<String> {
            text.split(',').map(str::trim).filter(|path| !path.is_empty()).map(str::to_owned).collect()
        };
        let pair = |line: &str| {
            let (name, path) = line.split_once('=').ok_or_else(|| {
                let message = format!("Write “{line}” as deal_id = data.id.");
                Failure::invalid("metadata_malformed", message)
            })?;
            Ok::<_, Failure>((name.trim().to_owned(), path.trim().to_owned()))
        };
        let lines = self.metadata.lines().map(str::trim).filter(|line| !line.is_empty());
        Ok(IngestMapping {
            user_id: paths(&self.user_id),
            event_type: self.event_type.clone(),
            value: paths(&self.value),
            value_in_minor_units: self.in_minor_units,
            currency: paths(&self.currency),
            default_currency: self.default_currency.clone(),
            external_event_id: paths(&self.external_event_id),
            ts: paths(&self.ts),
            metadata: lines.map(pair).collect::<Result<_, _>>()?,
            conditions: read_conditions(&self.conditions)?,
            follow_records: self.follow_records,
        })
    }
}

/// What revoking one means, before anything happens.
#[derive(Template)]
#[template(path = "attribution/revoke_ingest.html")]
pub(crate) struct RevokeIngestPage {
    shell: Shell,
    url: IngestUrl,
}
respond::page_response!(RevokeIngestPage);

impl RevokeIngestPage {
    pub(crate) fn sample(shell: Shell) -> Self {
        Self { shell, url: sample::ingest_urls().remove(0) }
    }
}

impl IngestUrlsPage {
    pub(crate) fn sample(shell: Shell) -> Self {
        let gateway = "https://api.accord.example".to_owned();
        Self { shell, urls: sample::ingest_urls(), made: None, gateway }
    }

    pub(crate) fn sample_made(shell: Shell) -> Self {
        let url = sample::ingest_urls().remove(0);
        let made = CreateIngestUrlResponse {
            secret_path: format!("{}/in_sample5Zk1", url.path),
            user: "accord".to_owned(),
            secret: "sample5Zk1".to_owned(),
            url: Some(url),
        };
        Self { made: Some(made), ..Self::sample(shell) }
    }
}

impl IngestUrlPage {
    pub(crate) fn sample(shell: Shell) -> Self {
        let url = sample::ingest_urls().remove(0);
        let draft = Draft::of(&url.mapping.clone().unwrap_or_default());
        Self { shell, name: url.name.clone(), url, draft, bodies: sample::ingested(), is_draft: false }
    }
}

/// A CRM's name for people.
fn vendor(name: &str) -> String {
    VENDORS
        .iter()
        .find(|(known, _)| *known == name)
        .map_or_else(|| ui::vendor(name), |(_, label)| (*label).into())
}

/// How a deal is, in words.
fn status(name: &str) -> &str {
    match name {
        "lost" => "lost or open",
        other => other,
    }
}

/// What to do in the CRM.
fn how(vendor: &str) -> &'static str {
    match vendor {
        "pipedrive" => {
            "Pipedrive: Settings > Tools and apps > Webhooks. Event “updated”, object “deal”, with the user and the password as HTTP auth. Where later bodies correct events: event “all”."
        }
        "close" => {
            "Close: make a webhook subscription for opportunity.updated by its API, and for opportunity.deleted where later bodies correct events. Set the signature key that it gives here."
        }
        "copper" => {
            "Copper: make a webhook subscription for updates of opportunities by its API, with the secret as “secret”, and one for deletions where later bodies correct events."
        }
        _ => "Point the webhook of the CRM at the address, as JSON by POST.",
    }
}

/// JSON as people read it.
fn pretty(json: &str) -> String {
    serde_json::from_str::<serde_json::Value>(json)
        .and_then(|value| serde_json::to_string_pretty(&value))
        .unwrap_or_else(|_| json.to_owned())
}

async fn urls(app: &App, visitor: &Visitor) -> Result<Vec<IngestUrl>, Failure> {
    visitor.must(Scope::ProgramsWrite, ONLY_MANAGERS)?;
    let request = visitor.ask(ListIngestUrlsRequest {})?;
    Ok(app.rooms().ingest_urls().list_ingest_urls(request).await?.into_inner().urls)
}

async fn find(app: &App, visitor: &Visitor, id: &str) -> Result<IngestUrl, Failure> {
    urls(app, visitor).await?.into_iter().find(|url| url.id == id).ok_or_else(Failure::not_found)
}

async fn bodies(
    app: &App,
    visitor: &Visitor,
    ingest_url_id: &str,
    mapping: Option<IngestMapping>,
) -> Result<Vec<IngestedBody>, Failure> {
    let request = PreviewIngestRequest { ingest_url_id: ingest_url_id.to_owned(), mapping };
    Ok(app.rooms().ingest_urls().preview_ingest(visitor.ask(request)?).await?.into_inner().bodies)
}

/// `GET /settings/crm/ingest`.
pub(crate) async fn show(State(app): State<App>, visitor: Visitor) -> Result<IngestUrlsPage, Failure> {
    load(&app, &visitor, None).await
}

async fn load(
    app: &App,
    visitor: &Visitor,
    made: Option<CreateIngestUrlResponse>,
) -> Result<IngestUrlsPage, Failure> {
    let urls = urls(app, visitor).await?;
    let gateway = app.gateway_url().as_str().trim_end_matches('/').to_owned();
    Ok(IngestUrlsPage { shell: visitor.shell("Ingest URLs", Nav::Crm), urls, made, gateway })
}

/// `POST /settings/crm/ingest`: the answer is the page with the secrets, which are nowhere else ever again.
pub(crate) async fn create(
    State(app): State<App>,
    Form(visitor, form): Form<Pairs>,
) -> Result<IngestUrlsPage, Failure> {
    let request = CreateIngestUrlRequest {
        name: one(&form, "name"),
        vendor: one(&form, "vendor"),
        mapping: None,
        signature_key: one(&form, "signature_key"),
    };
    let made = app.rooms().ingest_urls().create_ingest_url(visitor.ask(request)?).await?.into_inner();
    load(&app, &visitor, Some(made)).await
}

/// `GET /settings/crm/ingest/{url}`.
pub(crate) async fn one_of_them(
    State(app): State<App>,
    visitor: Visitor,
    Path(id): Path<String>,
) -> Result<IngestUrlPage, Failure> {
    let url = find(&app, &visitor, &id).await?;
    let bodies = bodies(&app, &visitor, &id, None).await?;
    let draft = Draft::of(&url.mapping.clone().unwrap_or_default());
    let shell = visitor.shell(&url.name, Nav::Crm);
    Ok(IngestUrlPage { shell, name: url.name.clone(), url, draft, bodies, is_draft: false })
}

/// `POST /settings/crm/ingest/{url}`: saves the mapping, or shows what it would make of the last bodies.
pub(crate) async fn update(
    State(app): State<App>,
    Path(id): Path<String>,
    Form(visitor, form): Form<Pairs>,
) -> Result<Response, Failure> {
    let url = find(&app, &visitor, &id).await?;
    let (draft, name) = (Draft::read(&form), one(&form, "name"));
    let is_preview = one(&form, "action") == "preview";
    let done = async {
        let mapping = Some(draft.to_wire()?);
        if is_preview {
            return bodies(&app, &visitor, &id, mapping).await;
        }
        let signature_key = one(&form, "signature_key");
        let request =
            UpdateIngestUrlRequest { ingest_url_id: id.clone(), name: name.clone(), mapping, signature_key };
        app.rooms().ingest_urls().update_ingest_url(visitor.ask(request)?).await?;
        Ok(Vec::new())
    };
    let mut shell = visitor.shell(&url.name, Nav::Crm);
    match done.await {
        Ok(bodies) if is_preview => {
            Ok(IngestUrlPage { shell, url, name, draft, bodies, is_draft: true }.into_response())
        }
        Ok(_) => Ok(respond::redirect(
            &format!("{PATH}/{id}"),
            &Flash::good("Saved. It holds for what comes from now on."),
        )),
        Err(failure) if failure.is_fixable() => {
            let status: StatusCode = failure.status;
            shell.flash = Some(Flash::bad(failure.message, failure.code));
            let bodies = bodies(&app, &visitor, &id, None).await?;
            let page = IngestUrlPage { shell, url, name, draft, bodies, is_draft: false };
            Ok((status, page.into_response()).into_response())
        }
        Err(failure) => Err(failure),
    }
}

/// `GET /settings/crm/ingest/{url}/revoke`.
pub(crate) async fn confirm_revocation(
    State(app): State<App>,
    visitor: Visitor,
    Path(ingest_url_id): Path<String>,
) -> Result<RevokeIngestPage, Failure> {
    let url = find(&app, &visitor, &ingest_url_id).await?;
    Ok(RevokeIngestPage { shell: visitor.shell(format!("Revoke {}", url.name), Nav::Crm), url })
}

/// `POST /settings/crm/ingest/{url}/revoke`.
pub(crate) async fn revoke(
    State(app): State<App>,
    Path(ingest_url_id): Path<String>,
    Form(visitor, _): Form<Nothing>,
) -> Result<Response, Failure> {
    let request = visitor.ask(RevokeIngestUrlRequest { ingest_url_id })?;
    let url = app.rooms().ingest_urls().revoke_ingest_url(request).await?.into_inner();
    let text = format!("The address of {} is revoked for good.", url.name);
    Ok(respond::redirect(PATH, &Flash::good(text)))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_mapping_survives_the_way_through_the_form() {
        let mapping = sample::ingest_urls().remove(0).mapping.unwrap();
        assert_eq!(Draft::of(&mapping).to_wire().unwrap(), mapping);
        let odd = Draft { metadata: "deal_id".to_owned(), ..Draft::default() };
        assert_eq!(odd.to_wire().unwrap_err().code, "metadata_malformed");
    }
}
