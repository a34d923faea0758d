use askama::Template;
use axum::{
    extract::{Path, State},
    response::Response,
};
use model::Scope;
use proto::identity::{
    Key, ListKeysRequest, MintApiKeyRequest, MintIntegrationKeyRequest, RevokeKeyRequest,
    RotateIntegrationKeyRequest,
};
use serde::Deserialize;

use crate::{
    app::App,
    failure::Failure,
    flash::Flash,
    form::{Form, Nothing, Pairs, all, one},
    people::People,
    respond, sample,
    session::Visitor,
    shell::{Nav, Shell},
    ui,
};

const ONLY_MANAGERS: &str = "Only an Owner or Admin can see and make keys.";
/// The sibling products that keys are made for most often.
const PRODUCTS: &[&str] = &["psa", "books", "hub", "voice", "portal"];
/// How long a rotated key stays valid beside its successor.
const OVERLAP_SECONDS: u32 = 24 * 3600;

/// API keys and integration keys; a new one is shown once.
#[derive(Template)]
#[template(path = "keys.html")]
pub(crate) struct KeysPage {
    shell: Shell,
    api_keys: Vec<(Key, String)>,
    integration_keys: Vec<(Key, String)>,
    /// The secret that was just made, and the label of its key.
    secret: Option<(String, String)>,
    gateway: String,
}
respond::page_response!(KeysPage);

impl KeysPage {
    fn scopes(&self) -> &'static [Scope] {
        &Scope::ALL
    }

    fn sample_with(shell: Shell, secret: Option<(String, String)>) -> Self {
        let mara = || "you".to_owned();
        Self {
            shell,
            api_keys: vec![(sample::key(1, "", false), mara()), (sample::key(2, "", true), mara())],
            integration_keys: vec![(sample::key(1, "psa", false), mara())],
            secret,
            gateway: "https://api.accord.example".to_owned(),
        }
    }

    pub(crate) fn sample(shell: Shell) -> Self {
        Self::sample_with(shell, None)
    }

    pub(crate) fn sample_minted(shell: Shell) -> Self {
        Self::sample_with(shell, Some(("ak_sample_5Zk1".repeat(3), "Reporting job".to_owned())))
    }
}

/// `GET /settings/keys`.
pub(crate) async fn show(State(app): State<App>, visitor: Visitor) -> Result<KeysPage, Failure> {
    load(&app, &visitor, None).await
}

async fn load(app: &App, visitor: &Visitor, secret: Option<(String, String)>) -> Result<KeysPage, Failure> {
    visitor.must(Scope::KeysManage, ONLY_MANAGERS)?;
    let (mut api, mut integration) = (app.rooms().identity(), app.rooms().identity());
    let (api_keys, integration_keys) = tokio::try_join!(
        api.list_api_keys(visitor.ask(ListKeysRequest {})?),
        integration.list_integration_keys(visitor.ask(ListKeysRequest {})?),
    )?;
    let people = People::load(app, visitor).await?;
    let named = |keys: Vec<Key>| {
        keys.into_iter()
            .map(|key| {
                let by = people.by(&key.created_by);
                (key, by)
            })
            .collect()
    };
    Ok(KeysPage {
        shell: visitor.shell("Keys", Nav::Keys),
        api_keys: named(api_keys.into_inner().keys),
        integration_keys: named(integration_keys.into_inner().keys),
        secret,
        gateway: app.gateway_url().as_str().trim_end_matches('/').to_owned(),
    })
}

fn expiry(pairs: &Pairs, visitor: &Visitor) -> Result<Option<prost_types::Timestamp>, Failure> {
    let days = one(pairs, "days");
    if days.is_empty() {
        return Ok(None);
    }
    days.parse::<u16>()
        .ok()
        .and_then(|days| {
            visitor.now().checked_add(jiff::SignedDuration::from_hours(i64::from(days) * 24)).ok()
        })
        .map(|at| Some(proto::to_wire_time(at)))
        .ok_or_else(|| {
            Failure::invalid("days_malformed", "Write the days until the key ends as a whole number.")
        })
}

/// `POST /settings/keys/api`. The answer is the page with the secret, which is nowhere else ever again.
pub(crate) async fn mint_api(
    State(app): State<App>,
    Form(visitor, form): Form<Pairs>,
) -> Result<KeysPage, Failure> {
    let request = MintApiKeyRequest {
        label: one(&form, "label"),
        scopes: all(&form, "scope"),
        expires_at: expiry(&form, &visitor)?,
    };
    let minted = app.rooms().identity().mint_api_key(visitor.ask(request)?).await?.into_inner();
    load(&app, &visitor, Some((minted.secret, minted.key.unwrap_or_default().label))).await
}

/// `POST /settings/keys/integration`.
pub(crate) async fn mint_integration(
    State(app): State<App>,
    Form(visitor, form): Form<Pairs>,
) -> Result<KeysPage, Failure> {
    let request = MintIntegrationKeyRequest {
        product: one(&form, "product"),
        label: one(&form, "label"),
        scopes: all(&form, "scope"),
        expires_at: expiry(&form, &visitor)?,
    };
    let minted = app.rooms().identity().mint_integration_key(visitor.ask(request)?).await?.into_inner();
    load(&app, &visitor, Some((minted.secret, minted.key.unwrap_or_default().label))).await
}

/// `POST /settings/keys/integration/{key}/rotate`.
pub(crate) async fn rotate(
    State(app): State<App>,
    Path(key_id): Path<String>,
    Form(visitor, _): Form<Nothing>,
) -> Result<KeysPage, Failure> {
    let request = RotateIntegrationKeyRequest { key_id, overlap_seconds: OVERLAP_SECONDS };
    let minted = app.rooms().identity().rotate_integration_key(visitor.ask(request)?).await?.into_inner();
    load(&app, &visitor, Some((minted.secret, minted.key.unwrap_or_default().label))).await
}

#[derive(Deserialize)]
#[serde(rename_all = "lowercase")]
pub(crate) enum Kind {
    Api,
    Integration,
}

/// `POST /settings/keys/{api|integration}/{key}/revoke`.
pub(crate) async fn revoke(
    State(app): State<App>,
    Path((kind, key_id)): Path<(Kind, String)>,
    Form(visitor, _): Form<Nothing>,
) -> Result<Response, Failure> {
    let request = visitor.ask(RevokeKeyRequest { key_id })?;
    let mut identity = app.rooms().identity();
    let key = match kind {
        Kind::Api => identity.revoke_api_key(request).await?,
        Kind::Integration => identity.revoke_integration_key(request).await?,
    };
    let text = format!("The key “{}” is revoked and refused from now on.", key.into_inner().label);
    Ok(respond::redirect("/settings/keys", &Flash::good(text)))
}
