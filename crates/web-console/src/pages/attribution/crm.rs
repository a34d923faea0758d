use askama::Template;
use axum::{
    extract::{Path, Query, State},
    response::Response,
};
use model::Scope;
use proto::{
    attribution::{ConversionEvent, ListEventsRequest},
    identity::{Key, ListKeysRequest, MintApiKeyRequest, RevokeKeyRequest},
};
use serde::Deserialize;

use super::{
    reason,
    recipes::{Recipe, events_url, recipes},
    test_event::{self, Links},
};
use crate::{
    app::App,
    failure::Failure,
    flash::Flash,
    form::{Form, Nothing},
    people::People,
    respond, sample,
    session::Visitor,
    shell::{Nav, Shell},
    ui,
};

pub(super) const PATH: &str = "/settings/crm";
const ONLY_MANAGERS: &str = "Only an Owner or Admin connects a CRM and makes its keys.";

/// Admin > CRM integration: keys that send events and nothing else, what to paste into the CRM, and a test.
#[derive(Template)]
#[template(path = "attribution/crm.html")]
pub(crate) struct CrmPage {
    shell: Shell,
    keys: Vec<(Key, String)>,
    /// The secret that was just made, and the label of its key.
    secret: Option<(String, String)>,
    url: String,
    recipes: Vec<Recipe>,
    links: Links,
    /// The event that was sent to try.
    tested: Option<ConversionEvent>,
}
respond::page_response!(CrmPage);

impl CrmPage {
    fn sample_with(shell: Shell, secret: Option<(String, String)>, tested: Option<ConversionEvent>) -> Self {
        let gateway = "https://api.accord.example";
        Self {
            shell,
            keys: [sample::crm_key(1, false), sample::crm_key(2, true)]
                .map(|key| (key, "you".to_owned()))
                .to_vec(),
            url: events_url(gateway),
            recipes: recipes(gateway, secret.as_ref().map(|(secret, _)| secret.as_str())).unwrap_or_default(),
            secret,
            links: Links::sample(),
            tested,
        }
    }

    pub(crate) fn sample(shell: Shell) -> Self {
        Self::sample_with(shell, None, sample::conversions().into_iter().next())
    }

    pub(crate) fn sample_minted(shell: Shell) -> Self {
        Self::sample_with(shell, Some(("ak_sample_5Zk1".repeat(3), "HubSpot".to_owned())), None)
    }
}

/// Whether the key sends events and does nothing else.
fn is_of_crm(key: &Key) -> bool {
    matches!(&*key.scopes, [scope] if scope == Scope::EventsWrite.name())
}

#[derive(Default, Deserialize)]
pub(crate) struct Tested {
    /// The event that was sent to try.
    #[serde(default)]
    tested: String,
}

/// `GET /settings/crm`.
pub(crate) async fn show(
    State(app): State<App>,
    visitor: Visitor,
    Query(query): Query<Tested>,
) -> Result<CrmPage, Failure> {
    load(&app, &visitor, None, query).await
}

async fn load(
    app: &App,
    visitor: &Visitor,
    secret: Option<(String, String)>,
    query: Tested,
) -> Result<CrmPage, Failure> {
    visitor.must(Scope::KeysManage, ONLY_MANAGERS)?;
    let keys = keys(app, visitor).await?;
    let people = People::load(app, visitor).await?;
    let tested = if query.tested.is_empty() {
        None
    } else {
        let request = ListEventsRequest { event_ids: vec![query.tested], ..ListEventsRequest::default() };
        app.rooms().attribution().list_events(visitor.ask(request)?).await?.into_inner().events.pop()
    };
    let recipes = recipes(app.gateway_url().as_str(), secret.as_ref().map(|(secret, _)| secret.as_str()));
    Ok(CrmPage {
        shell: visitor.shell("CRM integration", Nav::Crm),
        keys: keys
            .into_iter()
            .map(|key| {
                let by = people.by(&key.created_by);
                (key, by)
            })
            .collect(),
        url: events_url(app.gateway_url().as_str()),
        recipes: recipes.map_err(|error| {
            tracing::error!(%error, "failed to draw the recipes");
            Failure::new(
                axum::http::StatusCode::INTERNAL_SERVER_ERROR,
                "internal",
                "The recipes cannot be drawn.",
            )
        })?,
        links: Links::load(app, visitor).await?,
        secret,
        tested,
    })
}

async fn keys(app: &App, visitor: &Visitor) -> Result<Vec<Key>, Failure> {
    let keys =
        app.rooms().identity().list_api_keys(visitor.ask(ListKeysRequest {})?).await?.into_inner().keys;
    Ok(keys.into_iter().filter(is_of_crm).collect())
}

#[derive(Deserialize)]
pub(crate) struct NewKey {
    label: String,
}

/// `POST /settings/crm/keys`: the answer is the page with the key, which is nowhere else ever again.
pub(crate) async fn mint(
    State(app): State<App>,
    Form(visitor, form): Form<NewKey>,
) -> Result<CrmPage, Failure> {
    let secret = mint_key(&app, &visitor, form.label.trim()).await?;
    load(&app, &visitor, Some(secret), Tested::default()).await
}

async fn mint_key(app: &App, visitor: &Visitor, label: &str) -> Result<(String, String), Failure> {
    let request = MintApiKeyRequest {
        label: label.to_owned(),
        scopes: vec![Scope::EventsWrite.name().to_owned()],
        expires_at: None,
    };
    let minted = app.rooms().identity().mint_api_key(visitor.ask(request)?).await?.into_inner();
    Ok((minted.secret, minted.key.unwrap_or_default().label))
}

/// `POST /settings/crm/keys/{key}/again`: another key for the same integration; one that is still valid is revoked.
pub(crate) async fn mint_again(
    State(app): State<App>,
    Path(key_id): Path<String>,
    Form(visitor, _): Form<Nothing>,
) -> Result<CrmPage, Failure> {
    let keys = keys(&app, &visitor).await?;
    let key = keys.into_iter().find(|key| key.id == key_id).ok_or_else(Failure::not_found)?;
    let secret = mint_key(&app, &visitor, &key.label).await?;
    if key.revoked_at.is_none() {
        app.rooms().identity().revoke_api_key(visitor.ask(RevokeKeyRequest { key_id })?).await?;
    }
    load(&app, &visitor, Some(secret), Tested::default()).await
}

/// `POST /settings/crm/keys/{key}/revoke`.
pub(crate) async fn revoke(
    State(app): State<App>,
    Path(key_id): Path<String>,
    Form(visitor, _): Form<Nothing>,
) -> Result<Response, Failure> {
    let request = visitor.ask(RevokeKeyRequest { key_id })?;
    let key = app.rooms().identity().revoke_api_key(request).await?.into_inner();
    let text = format!("The key of {} is revoked and refused from now on.", key.label);
    Ok(respond::redirect(PATH, &Flash::good(text)))
}

/// `POST /settings/crm/test`: sends an event to see what becomes of it.
pub(crate) async fn test(
    State(app): State<App>,
    Form(visitor, form): Form<test_event::Wish>,
) -> Result<Response, Failure> {
    let event = test_event::send(&app, &visitor, form).await?;
    let text = "The test event is recorded. What became of it stands below.";
    Ok(respond::redirect(&format!("{PATH}?tested={event}#test"), &Flash::good(text)))
}
