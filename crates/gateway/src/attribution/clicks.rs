//! Clicks: those that come here and are sent on, those that somebody else sent on, and those that are fraud.

use axum::{
    Json,
    extract::{Request, State},
    response::{IntoResponse, Response},
};
use hmac::{KeyInit, Mac};
use http::{HeaderMap, HeaderName, HeaderValue, StatusCode, header};
use model::Scope;
use proto::attribution as room;
use secrecy::ExposeSecret;
use serde::Serialize;
use utoipa::ToSchema;
use utoipa_axum::{router::OpenApiRouter, routes};

use super::{
    Surface,
    base::Slug,
    caller::{Body, Key, Path},
    fields::{Faults, Fields, Length},
    refusal::{AttributionRefusals, Refusal},
};
use crate::{extract::anonymous, view::to_wire};

/// For how long a browser keeps the click: 90 days, in seconds.
const COOKIE_LIFETIME: u32 = 90 * 24 * 3600;
/// How much of a header is kept, in characters.
const LONGEST_HEADER: usize = 500;

pub(super) fn router() -> OpenApiRouter<Surface> {
    OpenApiRouter::new().routes(routes!(record)).routes(routes!(flag)).routes(routes!(clear))
}

/// Visitors have no budget: a partner's newsletter comes from few addresses at once.
pub(super) fn redirect() -> OpenApiRouter<Surface> {
    OpenApiRouter::new().routes(routes!(follow))
}

/// Follow a partner's link.
///
/// Records the click and sends the browser to the link's destination, with the click's id as `cref` in the address and in the cookie
/// `_cref`, which the destination's own pages read. `to` names another address, where the program allows its domain.
#[utoipa::path(
    get, path = "/r/{linkKey}", tag = "attribution", security(()),
    params(("linkKey" = String, Path), ("to" = Option<String>, Query)),
    responses((status = 302, description = "To the destination"), AttributionRefusals)
)]
async fn follow(
    State(surface): State<Surface>,
    Path(link_key): Path<String>,
    mut params: super::query::Params,
    slug: Option<axum::Extension<Slug>>,
    request: Request,
) -> Result<Response, Refusal> {
    let link_not_found = || Refusal::new(StatusCode::NOT_FOUND, "link_not_found");
    let mut organization_id = String::new();
    if let Some(axum::Extension(slug)) = slug {
        organization_id = surface.organization(&slug).await?.ok_or_else(link_not_found)?.to_string();
    }
    let headers = request.headers();
    let deep_link = params.text("to");
    let deep_link = params.done(deep_link).map_err(|faults| faults.refusal("invalid_query"))?;
    let request = room::FollowLinkRequest {
        link_key,
        organization_id,
        ip_hash: ip_hash(&surface, &request),
        user_agent: shortened(headers, header::USER_AGENT),
        referer: shortened(headers, header::REFERER),
        deep_link: deep_link.unwrap_or_default(),
    };
    let followed = surface.attribution().follow_link(anonymous(request)).await;
    let followed = followed.map_err(|status| Refusal::of_open_room(&status))?.into_inner();
    sent_on(&surface, &followed)
        .ok_or_else(|| Refusal::new(StatusCode::INTERNAL_SERVER_ERROR, "internal_error"))
}

/// The redirect and its cookie. A page's script reads the cookie, so it is not `HttpOnly`.
fn sent_on(surface: &Surface, followed: &room::FollowLinkResponse) -> Option<Response> {
    let click = &followed.click_id;
    let domain = surface.rooms().config().cookie_domain.as_deref();
    let domain = domain.map(|domain| format!(" Domain={domain};")).unwrap_or_default();
    let cookie = format!("_cref={click};{domain} Path=/; Max-Age={COOKIE_LIFETIME}; SameSite=Lax");
    let location = HeaderValue::try_from(with_cref(&followed.destination_url, click)).ok()?;
    let cookie = HeaderValue::try_from(cookie).ok()?;
    Some((StatusCode::FOUND, [(header::LOCATION, location), (header::SET_COOKIE, cookie)]).into_response())
}

/// The address with this click as its `cref`; the rest of its query stays as it is.
fn with_cref(destination: &str, click: &str) -> String {
    let (address, fragment) = match destination.split_once('#') {
        Some((address, fragment)) => (address, Some(fragment)),
        None => (destination, None),
    };
    let (path, query) = address.split_once('?').unwrap_or((address, ""));
    let is_other = |pair: &&str| !pair.is_empty() && pair.split('=').next() != Some("cref");
    let mut text = format!("{path}?");
    for pair in query.split('&').filter(is_other) {
        text.push_str(pair);
        text.push('&');
    }
    text.push_str("cref=");
    text.push_str(click);
    if let Some(fragment) = fragment {
        text.push('#');
        text.push_str(fragment);
    }
    text
}

fn shortened(headers: &HeaderMap, name: HeaderName) -> String {
    let text = headers.get(name).map(|value| String::from_utf8_lossy(value.as_bytes())).unwrap_or_default();
    text.chars().take(LONGEST_HEADER).collect()
}

/// A keyed digest of where a click comes from, by which many clicks of one place are seen; the address itself is kept nowhere.
fn ip_hash(surface: &Surface, request: &Request) -> String {
    let Some(address) = surface.client(request.headers(), request.extensions()) else { return String::new() };
    let key = surface.rooms().config().visitor_secret.expose_secret();
    let digest = hmac::Hmac::<sha2::Sha256>::new_from_slice(key.as_bytes());
    let Some(mut digest) = digest.ok().filter(|_| !key.is_empty()) else { return String::new() };
    digest.update(address.to_canonical().to_string().as_bytes());
    let digest = digest.finalize().into_bytes();
    digest.iter().take(16).map(|byte| format!("{byte:02x}")).collect()
}

/// A click that somebody else sent on.
#[derive(ToSchema)]
#[schema(rename_all = "camelCase")]
#[expect(dead_code, reason = "describes the body to OpenAPI; it is read field by field")]
struct NewClick {
    /// 20 to 40 characters that nobody else uses.
    id: String,
    link_key: String,
    landing_url: String,
    ip_hash: Option<String>,
    user_agent: Option<String>,
    referer: Option<String>,
    /// `velocity`, `manual` or `revoked`: the click pays nothing.
    fraud_flag: Option<String>,
    /// When it was clicked.
    ts: String,
}

/// The click is recorded.
#[derive(Serialize, ToSchema)]
struct RecordedClick {
    ok: bool,
    id: String,
    /// Whether it was known before.
    #[serde(skip_serializing_if = "Option::is_none")]
    replayed: Option<bool>,
}

/// Record a click that somebody else sent on.
///
/// Scope `clicks:write`. 201 the first time, 200 with `replayed` after that.
#[utoipa::path(
    post, path = "/clicks", tag = "attribution", request_body = NewClick,
    responses((status = 201, body = RecordedClick), (status = 200, body = RecordedClick), AttributionRefusals)
)]
async fn record(
    State(surface): State<Surface>,
    key: Key,
    Body(body): Body,
) -> Result<(StatusCode, Json<RecordedClick>), Refusal> {
    let click = key.read(Scope::ClicksWrite, Fields::of_body(&body).and_then(new_click)).await?;
    let recorded = surface.attribution().record_click(key.asks(click)?).await;
    let recorded = recorded.map_err(|status| Refusal::of_room(&status, Scope::ClicksWrite))?.into_inner();
    let status = if recorded.replayed { StatusCode::OK } else { StatusCode::CREATED };
    let replayed = recorded.replayed.then_some(true);
    Ok((status, Json(RecordedClick { ok: true, id: recorded.id, replayed })))
}

fn new_click(mut fields: Fields<'_>) -> Result<room::RecordClickRequest, Faults> {
    for name in ["landingUrl", "ts"] {
        fields.require(name);
    }
    let request = room::RecordClickRequest {
        id: fields.required_text("id", Length::between(20, 40)),
        link_key: fields.required_text("linkKey", Length::between(3, 64)),
        landing_url: fields.url("landingUrl", Length::between(0, 2048)).unwrap_or_default(),
        ip_hash: fields.text("ipHash", Length::between(0, 64)).unwrap_or_default(),
        user_agent: fields.text("userAgent", Length::between(0, LONGEST_HEADER)).unwrap_or_default(),
        referer: fields.text("referer", Length::between(0, LONGEST_HEADER)).unwrap_or_default(),
        fraud: fields.one_of("fraudFlag", &["velocity", "manual", "revoked"]).is_some(),
        ts: to_wire(fields.moment("ts")),
    };
    fields.done(request)
}

/// What a decision on a click changed.
#[derive(Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
struct DecidedClick {
    ok: bool,
    /// How many events are attributed otherwise now.
    reattributed_events: u32,
}

/// Why it was decided so.
#[derive(ToSchema)]
#[expect(dead_code, reason = "describes the body to OpenAPI; it is read field by field")]
pub(super) struct Note {
    note: Option<String>,
}

/// Flag a click as fraud: what it earned is taken back.
///
/// Scope `commissions:write`.
#[utoipa::path(
    post, path = "/clicks/{id}/flag", tag = "attribution", params(("id" = String, Path)), request_body = Note,
    responses((status = 200, body = DecidedClick), AttributionRefusals)
)]
async fn flag(
    State(surface): State<Surface>,
    key: Key,
    Path(id): Path<String>,
    body: Body,
) -> Result<Json<DecidedClick>, Refusal> {
    decide(&surface, &key, (id, "flag"), body).await
}

/// Clear a click that was flagged: it earns again.
///
/// Scope `commissions:write`.
#[utoipa::path(
    post, path = "/clicks/{id}/clear", tag = "attribution", params(("id" = String, Path)), request_body = Note,
    responses((status = 200, body = DecidedClick), AttributionRefusals)
)]
async fn clear(
    State(surface): State<Surface>,
    key: Key,
    Path(id): Path<String>,
    body: Body,
) -> Result<Json<DecidedClick>, Refusal> {
    decide(&surface, &key, (id, "clear"), body).await
}

async fn decide(
    surface: &Surface,
    key: &Key,
    (click_id, decision): (String, &str),
    Body(body): Body,
) -> Result<Json<DecidedClick>, Refusal> {
    let note = key.read(Scope::CommissionsWrite, Fields::of_body(&body).and_then(note)).await?;
    let request = room::DecideClickRequest { click_id, decision: decision.to_owned(), note };
    let decided = surface.attribution().decide_click(key.asks(request)?).await;
    let decided = decided.map_err(|status| Refusal::of_room(&status, Scope::CommissionsWrite))?.into_inner();
    Ok(Json(DecidedClick { ok: true, reattributed_events: decided.reattributed_events }))
}

/// The note of a decision; callers of old call it the reason.
pub(super) fn note(mut fields: Fields<'_>) -> Result<String, Faults> {
    let note = fields.text("note", Length::between(0, 500));
    let reason = fields.text("reason", Length::between(0, 500));
    fields.done(note.or(reason).unwrap_or_default())
}

#[cfg(test)]
mod tests {
    use super::with_cref;

    #[test]
    fn the_click_is_added_to_an_address_and_nothing_else_changes() {
        for (address, expected) in [
            ("https://shop.example/", "https://shop.example/?cref=C"),
            ("https://shop.example/a?b=c%20d&e", "https://shop.example/a?b=c%20d&e&cref=C"),
            ("https://shop.example/?cref=old&x=1&cref", "https://shop.example/?x=1&cref=C"),
            ("https://shop.example/?crefs=1#top?x", "https://shop.example/?crefs=1&cref=C#top?x"),
            ("https://shop.example/?", "https://shop.example/?cref=C"),
        ] {
            assert_eq!(with_cref(address, "C"), expected);
        }
    }
}
