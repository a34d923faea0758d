//! API keys, as callers of this API know them. They are the keys of the rest of the house.

use std::collections::BTreeSet;

use axum::{Json, extract::State};
use http::StatusCode;
use model::Scope;
use proto::identity as room;
use serde::Serialize;
use utoipa::ToSchema;
use utoipa_axum::{router::OpenApiRouter, routes};

use super::{
    Surface,
    caller::{Body, Key, Path},
    fields::{Faults, Fields, Length},
    query::Params,
    refusal::{AttributionRefusals, Refusal},
    wire::{Done, instant, text},
};

/// What a key is called that nobody named.
const UNNAMED: &str = "API key";
const LONGEST_LABEL: usize = 200;

pub(super) fn router() -> OpenApiRouter<Surface> {
    OpenApiRouter::new()
        .routes(routes!(list, mint))
        .routes(routes!(mint_scoped))
        .routes(routes!(revoke))
        .routes(routes!(introspect))
        .routes(routes!(list_of_partner, mint_for_partner))
}

/// How to call a key.
#[derive(ToSchema)]
#[expect(dead_code, reason = "describes the body to OpenAPI; it is read field by field")]
struct NewKey {
    label: Option<String>,
}

/// A key for some scopes.
#[derive(ToSchema)]
#[expect(dead_code, reason = "describes the body to OpenAPI; it is read field by field")]
struct NewScopedKey {
    /// `events:write` …; at most those of the key that mints it.
    scopes: Vec<String>,
    label: Option<String>,
}

/// A new key. What it says is shown here and never again.
#[derive(Serialize, ToSchema)]
struct Minted {
    id: String,
    plaintext: String,
    #[serde(skip_serializing_if = "Option::is_none")]
    scopes: Option<Vec<String>>,
}

/// A key, without what it says.
#[derive(Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
struct KeyView {
    id: String,
    /// The first characters, to tell keys apart.
    prefix: String,
    label: String,
    scopes: Vec<String>,
    created_at: Option<String>,
    last_used_at: Option<String>,
    revoked_at: Option<String>,
}

/// Keys for some scopes.
#[derive(Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
struct Keys {
    api_keys: Vec<KeyView>,
}

/// Mint an API key for everything.
///
/// Needs a key for everything: `forbidden` otherwise.
#[utoipa::path(
    post, path = "/api-keys", tag = "attribution", request_body = NewKey,
    responses((status = 201, body = Minted), AttributionRefusals)
)]
async fn mint(
    State(surface): State<Surface>,
    key: Key,
    Body(body): Body,
) -> Result<(StatusCode, Json<Minted>), Refusal> {
    if !is_unrestricted(&key.caller().await?.scopes) {
        return Err(Refusal::new(StatusCode::FORBIDDEN, "forbidden"));
    }
    let label = |mut fields: Fields<'_>| {
        let label = label(&mut fields);
        fields.done(label)
    };
    let label = key.read(Scope::KeysManage, Fields::of_body(&body).and_then(label)).await?;
    let scopes = Scope::ALL.map(|scope| scope.name().to_owned()).into();
    let minted = minted(&surface, &key, room::MintApiKeyRequest { label, scopes, expires_at: None }).await?;
    Ok((StatusCode::CREATED, Json(Minted { scopes: None, ..minted })))
}

/// Mint an API key for some scopes.
///
/// Scope `keys:manage`.
#[utoipa::path(
    post, path = "/api-keys/scoped", tag = "attribution", request_body = NewScopedKey,
    responses((status = 201, body = Minted), AttributionRefusals)
)]
async fn mint_scoped(
    State(surface): State<Surface>,
    key: Key,
    Body(body): Body,
) -> Result<(StatusCode, Json<Minted>), Refusal> {
    let request = key.read(Scope::KeysManage, Fields::of_body(&body).and_then(scoped)).await?;
    Ok((StatusCode::CREATED, Json(minted(&surface, &key, request).await?)))
}

fn scoped(mut fields: Fields<'_>) -> Result<room::MintApiKeyRequest, Faults> {
    let scopes = fields.texts("scopes", Scope::ALL.len());
    let label = label(&mut fields);
    fields.done(room::MintApiKeyRequest { label, scopes, expires_at: None })
}

fn label(fields: &mut Fields<'_>) -> String {
    fields
        .text("label", Length::between(0, LONGEST_LABEL))
        .and_then(text)
        .unwrap_or_else(|| UNNAMED.to_owned())
}

async fn minted(surface: &Surface, key: &Key, request: room::MintApiKeyRequest) -> Result<Minted, Refusal> {
    let minted = surface.rooms().identity().mint_api_key(key.asks(request)?).await;
    let minted = minted.map_err(|status| Refusal::of_room(&status, Scope::KeysManage))?.into_inner();
    let key = minted.key.unwrap_or_default();
    Ok(Minted { id: key.id, plaintext: minted.secret, scopes: Some(key.scopes) })
}

/// List the API keys for some scopes, the newest first.
///
/// Scope `keys:manage`. `scope` leaves those that have it.
#[utoipa::path(
    get, path = "/api-keys", tag = "attribution", params(("scope" = Option<String>, Query)),
    responses((status = 200, body = Keys), AttributionRefusals)
)]
async fn list(State(surface): State<Surface>, key: Key, mut params: Params) -> Result<Json<Keys>, Refusal> {
    let wanted = params.text("scope");
    let wanted = key.queried(Scope::KeysManage, params.done(wanted)).await?;
    let listed = surface.rooms().identity().list_api_keys(key.asks(room::ListKeysRequest {})?).await;
    let listed = listed.map_err(|status| Refusal::of_query(&status, Scope::KeysManage))?.into_inner();
    let is_scoped = |key: &room::Key| key.scopes.len() < Scope::ALL.len() && key.product.is_empty();
    let fits = |key: &room::Key| wanted.as_ref().is_none_or(|wanted| key.scopes.contains(wanted));
    let api_keys = listed.keys.into_iter().filter(is_scoped).filter(fits).map(KeyView::from).collect();
    Ok(Json(Keys { api_keys }))
}

impl From<room::Key> for KeyView {
    fn from(key: room::Key) -> Self {
        Self {
            id: key.id,
            prefix: key.prefix,
            label: key.label,
            scopes: key.scopes,
            created_at: instant(key.created_at),
            last_used_at: instant(key.last_used_at),
            revoked_at: instant(key.revoked_at),
        }
    }
}

/// Mint an API key for a partner, who sees their own commissions, links and figures by it, and nothing else.
///
/// Scope `keys:manage`.
#[utoipa::path(
    post, path = "/partners/{id}/api-keys", tag = "attribution", params(("id" = String, Path)), request_body = NewKey,
    responses((status = 201, body = Minted), AttributionRefusals)
)]
async fn mint_for_partner(
    State(surface): State<Surface>,
    key: Key,
    Path(partner_id): Path<String>,
    Body(body): Body,
) -> Result<(StatusCode, Json<Minted>), Refusal> {
    let label = |mut fields: Fields<'_>| {
        let label = label(&mut fields);
        fields.done(label)
    };
    let label = key.read(Scope::KeysManage, Fields::of_body(&body).and_then(label)).await?;
    let partner = partner(&surface, &key, partner_id).await?;
    let request =
        room::MintApiKeyRequest { label, scopes: vec![format!("partner:{partner}")], expires_at: None };
    let minted = minted(&surface, &key, request).await?;
    Ok((StatusCode::CREATED, Json(Minted { scopes: None, ..minted })))
}

/// List the API keys of a partner, the newest first.
///
/// Scope `keys:manage`.
#[utoipa::path(
    get, path = "/partners/{id}/api-keys", tag = "attribution", params(("id" = String, Path)),
    responses((status = 200, body = Keys), AttributionRefusals)
)]
async fn list_of_partner(
    State(surface): State<Surface>,
    key: Key,
    Path(partner_id): Path<String>,
) -> Result<Json<Keys>, Refusal> {
    key.must_have(Scope::KeysManage).await?;
    let partner = partner(&surface, &key, partner_id).await?;
    let listed = surface.rooms().identity().list_api_keys(key.asks(room::ListKeysRequest {})?).await;
    let listed = listed.map_err(|status| Refusal::of_query(&status, Scope::KeysManage))?.into_inner();
    let own = listed.keys.into_iter().filter(|key| key.product == partner);
    Ok(Json(Keys { api_keys: own.map(KeyView::from).collect() }))
}

/// The id of a partner that there is.
async fn partner(surface: &Surface, key: &Key, partner_id: String) -> Result<String, Refusal> {
    let request = proto::attribution::GetPartnerRequest { partner_id };
    let found = surface.attribution().get_partner(key.asks(request)?).await;
    Ok(found.map_err(|status| Refusal::of_room(&status, Scope::PartnersRead))?.into_inner().id)
}

/// Revoke an API key, at once and for good.
///
/// Scope `keys:manage`.
#[utoipa::path(
    delete, path = "/api-keys/{id}", tag = "attribution", params(("id" = String, Path)),
    responses((status = 200, body = Done), AttributionRefusals)
)]
async fn revoke(
    State(surface): State<Surface>,
    key: Key,
    Path(key_id): Path<String>,
) -> Result<Json<Done>, Refusal> {
    // A text that is no id names no key.
    if key_id.parse::<model::ApiKeyId>().is_err() {
        key.must_have(Scope::KeysManage).await?;
        return Err(Refusal::new(StatusCode::NOT_FOUND, "not_found"));
    }
    let revoked =
        surface.rooms().identity().revoke_api_key(key.asks(room::RevokeKeyRequest { key_id })?).await;
    revoked.map_err(|status| Refusal::of_room(&status, Scope::KeysManage))?;
    Ok(Json(Done { ok: true }))
}

/// Whom a key stands for.
#[derive(Serialize, ToSchema)]
#[serde(untagged)]
enum Introspected {
    /// It may do everything.
    Admin {
        /// `admin`
        role: &'static str,
        /// True.
        unrestricted: bool,
    },
    /// It is a partner's.
    #[serde(rename_all = "camelCase")]
    Partner {
        /// `partner`
        role: &'static str,
        /// `ptnr_…`
        partner_id: String,
    },
    /// It has some scopes.
    Scoped {
        /// `scoped`
        role: &'static str,
        /// `events:write` …
        scopes: Vec<String>,
    },
}

/// Say what the key may do.
#[utoipa::path(
    get, path = "/auth/introspect", tag = "attribution",
    responses((status = 200, body = Introspected), AttributionRefusals)
)]
async fn introspect(key: Key) -> Result<Json<Introspected>, Refusal> {
    let known = key.known().await?;
    if let Some(partner) = known.partner() {
        return Ok(Json(Introspected::Partner { role: "partner", partner_id: partner.to_string() }));
    }
    let scopes = known.caller.scopes;
    Ok(Json(match is_unrestricted(&scopes) {
        true => Introspected::Admin { role: "admin", unrestricted: true },
        false => Introspected::Scoped {
            role: "scoped",
            scopes: scopes.into_iter().map(|scope| scope.name().to_owned()).collect(),
        },
    }))
}

fn is_unrestricted(scopes: &BTreeSet<Scope>) -> bool {
    scopes.len() == Scope::ALL.len()
}
