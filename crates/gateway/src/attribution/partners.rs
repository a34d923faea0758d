//! Partners and their links.

use axum::{Json, extract::State};
use http::StatusCode;
use model::Scope;
use proto::attribution as room;
use serde::Serialize;
use serde_json::value::RawValue;
use utoipa::ToSchema;
use utoipa_axum::{router::OpenApiRouter, routes};

use super::{
    Surface,
    caller::{Body, Key, Path},
    clicks::note,
    fields::{Faults, Fields, Length},
    query::Params,
    refusal::{AttributionRefusals, Refusal},
    wire::{Done, instant, object, text},
};

pub(super) fn router() -> OpenApiRouter<Surface> {
    OpenApiRouter::new()
        .routes(routes!(list, create))
        .routes(routes!(show))
        .routes(routes!(revoke))
        .routes(routes!(reinstate))
        .routes(routes!(invite))
        .routes(routes!(activate))
        .routes(routes!(links, create_link))
}

/// Somebody who brings customers.
#[derive(Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
struct Partner {
    id: String,
    /// The organization, `org_…`.
    tenant_id: String,
    email: String,
    name: String,
    #[schema(value_type = Object)]
    metadata: Box<RawValue>,
    /// `invited`, `active` or `revoked`.
    status: String,
    created_at: Option<String>,
    invited_at: Option<String>,
    /// Partners are active as soon as they are created, but for those who are invited: they are from the first use of a key of
    /// their own.
    activated_at: Option<String>,
    revoked_at: Option<String>,
}

impl Partner {
    fn of(partner: room::Partner, tenant_id: String) -> Self {
        Self {
            id: partner.id,
            tenant_id,
            email: partner.email,
            name: partner.name,
            metadata: object(partner.metadata_json),
            status: partner.status,
            created_at: instant(partner.created_at),
            invited_at: instant(partner.invited_at),
            activated_at: instant(partner.activated_at),
            revoked_at: instant(partner.revoked_at),
        }
    }
}

/// A new partner.
#[derive(ToSchema)]
#[schema(rename_all = "camelCase")]
#[expect(dead_code, reason = "describes the body to OpenAPI; it is read field by field")]
struct NewPartner {
    email: String,
    name: String,
    #[schema(value_type = Option<Object>)]
    metadata: Option<serde_json::Value>,
    /// Invited, and active from the first use of a key of their own. Nobody is written to: give them a key.
    send_invite: Option<bool>,
}

/// A partner was created.
#[derive(Serialize, ToSchema)]
struct CreatedPartner {
    #[serde(flatten)]
    partner: Partner,
    /// Whether they were written to.
    invited: bool,
}

/// Partners, newest first.
#[derive(Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
struct PartnerPage {
    partners: Vec<Partner>,
    /// Where the next page begins; null on the last one.
    next_cursor: Option<String>,
}

/// List the partners, newest first.
///
/// Scope `partners:read`.
#[utoipa::path(
    get, path = "/partners", tag = "attribution",
    params(
        ("status" = Option<String>, Query, description = "`invited`, `active` or `revoked`"),
        ("limit" = Option<u32>, Query, description = "1 to 500, which it is without it"),
        ("cursor" = Option<String>, Query),
    ),
    responses((status = 200, body = PartnerPage), AttributionRefusals)
)]
async fn list(
    State(surface): State<Surface>,
    key: Key,
    mut params: Params,
) -> Result<Json<PartnerPage>, Refusal> {
    let request = room::ListPartnersRequest {
        status: params.one_of("status", &["invited", "active", "revoked"]).unwrap_or_default().to_owned(),
        limit: params.integer("limit", 1, 500).unwrap_or(500),
        cursor: params.text_or_empty("cursor"),
    };
    let request = key.queried(Scope::PartnersRead, params.done(request)).await?;
    let listed = surface.attribution().list_partners(key.asks(request)?).await;
    let listed = listed.map_err(|status| Refusal::of_query(&status, Scope::PartnersRead))?.into_inner();
    let tenant = key.caller().await?.organization.to_string();
    let partners = listed.partners.into_iter().map(|partner| Partner::of(partner, tenant.clone())).collect();
    Ok(Json(PartnerPage { partners, next_cursor: text(listed.next_cursor) }))
}

/// Create a partner. `email_taken` when there is one with this address.
///
/// Scope `partners:write`.
#[utoipa::path(
    post, path = "/partners", tag = "attribution", request_body = NewPartner,
    responses((status = 201, body = CreatedPartner), AttributionRefusals)
)]
async fn create(
    State(surface): State<Surface>,
    key: Key,
    Body(body): Body,
) -> Result<(StatusCode, Json<CreatedPartner>), Refusal> {
    let request = key.read(Scope::PartnersWrite, Fields::of_body(&body).and_then(new_partner)).await?;
    let created = surface.attribution().create_partner(key.asks(request)?).await;
    let created = created.map_err(|status| Refusal::of_room(&status, Scope::PartnersWrite))?.into_inner();
    let partner = Partner::of(created, key.caller().await?.organization.to_string());
    Ok((StatusCode::CREATED, Json(CreatedPartner { partner, invited: false })))
}

fn new_partner(mut fields: Fields<'_>) -> Result<room::CreatePartnerRequest, Faults> {
    let email = fields.required_text("email", Length::ANY);
    if fields.raw("email").is_some() && fields.faults.is_empty() && !is_address(&email) {
        fields.faults.add("email", "Invalid email");
    }
    let request = room::CreatePartnerRequest {
        email,
        name: fields.required_text("name", Length::SOME),
        metadata_json: fields.object("metadata").unwrap_or_default().to_owned(),
        invite: fields.boolean("sendInvite").unwrap_or_default(),
    };
    fields.done(request)
}

fn is_address(text: &str) -> bool {
    let sound = !text.chars().any(|c| c.is_whitespace() || c.is_control());
    sound
        && text.split_once('@').is_some_and(|(name, host)| {
            !name.is_empty()
                && host.contains('.')
                && !host.contains('@')
                && !host.starts_with('.')
                && !host.ends_with('.')
        })
}

/// Show a partner.
///
/// Scope `partners:read`.
#[utoipa::path(
    get, path = "/partners/{id}", tag = "attribution", params(("id" = String, Path)),
    responses((status = 200, body = Partner), AttributionRefusals)
)]
async fn show(
    State(surface): State<Surface>,
    key: Key,
    Path(partner_id): Path<String>,
) -> Result<Json<Partner>, Refusal> {
    let found = surface.attribution().get_partner(key.asks(room::GetPartnerRequest { partner_id })?).await;
    let found = found.map_err(|status| Refusal::of_room(&status, Scope::PartnersRead))?.into_inner();
    Ok(Json(Partner::of(found, key.caller().await?.organization.to_string())))
}

/// Why.
#[derive(ToSchema)]
#[expect(dead_code, reason = "describes the body to OpenAPI; it is read field by field")]
struct Reason {
    reason: Option<String>,
}

/// A partner was revoked.
#[derive(Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
struct Revoked {
    ok: bool,
    revoked_at: Option<String>,
    /// Nobody is written to.
    notified: bool,
}

/// Revoke a partner: their clicks earn nothing any more.
///
/// Scope `partners:write`.
#[utoipa::path(
    post, path = "/partners/{id}/revoke", tag = "attribution", params(("id" = String, Path)), request_body = Reason,
    responses((status = 200, body = Revoked), AttributionRefusals)
)]
async fn revoke(
    State(surface): State<Surface>,
    key: Key,
    Path(id): Path<String>,
    body: Body,
) -> Result<Json<Revoked>, Refusal> {
    let partner = decide(&surface, &key, (id, "revoke"), body).await?;
    Ok(Json(Revoked { ok: true, revoked_at: instant(partner.revoked_at), notified: false }))
}

/// Take a partner in again who was revoked.
///
/// Scope `partners:write`.
#[utoipa::path(
    post, path = "/partners/{id}/reinstate", tag = "attribution", params(("id" = String, Path)), request_body = Reason,
    responses((status = 200, body = Done), AttributionRefusals)
)]
async fn reinstate(
    State(surface): State<Surface>,
    key: Key,
    Path(id): Path<String>,
    body: Body,
) -> Result<Json<Done>, Refusal> {
    decide(&surface, &key, (id, "reinstate"), body).await?;
    Ok(Json(Done { ok: true }))
}

async fn decide(
    surface: &Surface,
    key: &Key,
    (partner_id, decision): (String, &str),
    Body(body): Body,
) -> Result<room::Partner, Refusal> {
    let note = key.read(Scope::PartnersWrite, Fields::of_body(&body).and_then(note)).await?;
    let request = room::DecidePartnerRequest { partner_id, decision: decision.to_owned(), note };
    let decided = surface.attribution().decide_partner(key.asks(request)?).await;
    Ok(decided.map_err(|status| Refusal::of_room(&status, Scope::PartnersWrite))?.into_inner())
}

/// A partner was invited once more.
#[derive(Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
struct Invited {
    ok: bool,
    invited_at: Option<String>,
    /// Nobody is written to.
    notified: bool,
}

/// Invite a partner once more. They are not written to: give them a key of their own, whose first use activates them.
///
/// Scope `partners:write`. `already_activated` for one who is active, `partner_revoked` for one who was revoked.
#[utoipa::path(
    post, path = "/partners/{id}/invite", tag = "attribution", params(("id" = String, Path)),
    responses((status = 200, body = Invited), AttributionRefusals)
)]
async fn invite(
    State(surface): State<Surface>,
    key: Key,
    Path(id): Path<String>,
) -> Result<Json<Invited>, Refusal> {
    let partner = let_in(&surface, &key, (id, "invite")).await?;
    Ok(Json(Invited { ok: true, invited_at: instant(partner.invited_at), notified: false }))
}

/// Activate a partner who was invited, without waiting for the first use of their key.
///
/// Scope `partners:write`. One who is active stays so.
#[utoipa::path(
    post, path = "/partners/{id}/activate", tag = "attribution", params(("id" = String, Path)),
    responses((status = 200, body = Done), AttributionRefusals)
)]
async fn activate(
    State(surface): State<Surface>,
    key: Key,
    Path(id): Path<String>,
) -> Result<Json<Done>, Refusal> {
    let_in(&surface, &key, (id, "activate")).await?;
    Ok(Json(Done { ok: true }))
}

async fn let_in(
    surface: &Surface,
    key: &Key,
    (partner_id, decision): (String, &str),
) -> Result<room::Partner, Refusal> {
    key.must_have(Scope::PartnersWrite).await?;
    let request =
        room::DecidePartnerRequest { partner_id, decision: decision.to_owned(), note: String::new() };
    let decided = surface.attribution().decide_partner(key.asks(request)?).await;
    Ok(decided.map_err(|status| Refusal::of_room(&status, Scope::PartnersWrite))?.into_inner())
}

/// A partner's link.
#[derive(Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
struct PartnerLink {
    link_key: String,
    partner_id: String,
    program_id: String,
    destination_url: String,
    /// What visitors follow.
    url: String,
    created_at: Option<String>,
}

impl PartnerLink {
    fn of(link: room::Link, surface: &Surface) -> Self {
        let base = surface.rooms().config().public_api_url.as_str().trim_end_matches('/');
        Self {
            url: format!("{base}/r/{}", link.key),
            link_key: link.key,
            partner_id: link.partner_id,
            program_id: link.program_id,
            destination_url: link.destination_url,
            created_at: instant(link.created_at),
        }
    }
}

/// The links of a partner, newest first.
#[derive(Serialize, ToSchema)]
struct Links {
    links: Vec<PartnerLink>,
}

/// List the links of a partner.
///
/// Scope `partners:read`.
#[utoipa::path(
    get, path = "/partners/{id}/links", tag = "attribution", params(("id" = String, Path)),
    responses((status = 200, body = Links), AttributionRefusals)
)]
async fn links(
    State(surface): State<Surface>,
    key: Key,
    Path(partner_id): Path<String>,
) -> Result<Json<Links>, Refusal> {
    let listed = surface.attribution().list_links(key.asks(room::ListLinksRequest { partner_id })?).await;
    let listed = listed.map_err(|status| Refusal::of_query(&status, Scope::PartnersRead))?.into_inner();
    Ok(Json(Links { links: listed.links.into_iter().map(|link| PartnerLink::of(link, &surface)).collect() }))
}

/// A new link.
#[derive(ToSchema)]
#[schema(rename_all = "camelCase")]
#[expect(dead_code, reason = "describes the body to OpenAPI; it is read field by field")]
struct NewLink {
    /// 3 to 64 letters, digits, `_` and `-`.
    link_key: String,
    /// Once called `campaignId`.
    program_id: String,
    /// The program's without it.
    destination_url: Option<String>,
}

/// Give a partner a link. `linkKey_taken` when there is one with this key.
///
/// Scope `partners:write`.
#[utoipa::path(
    post, path = "/partners/{id}/links", tag = "attribution", params(("id" = String, Path)), request_body = NewLink,
    responses((status = 201, body = PartnerLink), AttributionRefusals)
)]
async fn create_link(
    State(surface): State<Surface>,
    key: Key,
    Path(partner_id): Path<String>,
    Body(body): Body,
) -> Result<(StatusCode, Json<PartnerLink>), Refusal> {
    let read = Fields::of_body(&body).and_then(|fields| new_link(fields, partner_id));
    let request = key.read(Scope::PartnersWrite, read).await?;
    let created = surface.attribution().create_link(key.asks(request)?).await;
    let created = created.map_err(|status| Refusal::of_room(&status, Scope::PartnersWrite))?.into_inner();
    Ok((StatusCode::CREATED, Json(PartnerLink::of(created, &surface))))
}

fn new_link(mut fields: Fields<'_>, partner_id: String) -> Result<room::CreateLinkRequest, Faults> {
    let key = fields.required_text("linkKey", Length::between(3, 64));
    if !key.bytes().all(|byte| byte.is_ascii_alphanumeric() || b"_-".contains(&byte)) {
        fields.faults.add("linkKey", "linkKey must be url-safe");
    }
    let by_old_name = fields.raw("programId").is_none() && fields.raw("campaignId").is_some();
    let program = if by_old_name { "campaignId" } else { "programId" };
    let request = room::CreateLinkRequest {
        key,
        partner_id,
        program_id: fields.required_text(program, Length::SOME),
        destination_url: fields.url("destinationUrl", Length::between(0, 2_048)).unwrap_or_default(),
    };
    fields.done(request)
}
