//! The browser's way to a vendor's consent page and back.

use axum::{
    extract::State,
    response::{IntoResponse, Redirect, Response},
};
use axum_extra::extract::cookie::{Cookie, CookieJar, SameSite};
use http::{HeaderMap, StatusCode, header};
use proto::connections::{CompleteAuthorizationRequest, StartAuthorizationRequest};
use serde::Deserialize;

use crate::{
    extract::{Path, Query, anonymous},
    failure::ApiError,
    rooms::Rooms,
};

/// Binds the consent to the browser that asked for it.
const COOKIE: &str = "accord_oauth";
const COOKIE_PATH: &str = "/oauth";
/// The page of the console that shows what became of it.
const SETTINGS: &str = "/settings/integrations";

#[derive(Deserialize)]
pub(crate) struct Start {
    #[serde(default)]
    ticket: String,
}

/// `GET /oauth/start`: the ticket is spent for the vendor's consent page.
pub(crate) async fn start(
    State(rooms): State<Rooms>,
    headers: HeaderMap,
    jar: CookieJar,
    Query(Start { ticket }): Query<Start>,
) -> Response {
    let started =
        rooms.connections().start_authorization(anonymous(StartAuthorizationRequest { ticket })).await;
    let started = match started {
        Ok(started) => started.into_inner(),
        Err(status) => return refused(&rooms, &headers, status.into()),
    };
    let cookie = Cookie::build((COOKIE, started.browser_nonce))
        .http_only(true)
        .same_site(SameSite::Lax)
        .secure(rooms.config().public_api_url.scheme() == "https")
        .path(COOKIE_PATH);
    (jar.add(cookie), found(&started.authorize_url)).into_response()
}

/// What a vendor sends the browser back with; vendors add parameters of their own.
#[derive(Deserialize)]
pub(crate) struct Callback {
    #[serde(default)]
    state: String,
    #[serde(default)]
    code: String,
    #[serde(default)]
    error: String,
}

/// `GET /oauth/callback/{vendor}`: the vendor sent the browser back.
pub(crate) async fn callback(
    State(rooms): State<Rooms>,
    headers: HeaderMap,
    jar: CookieJar,
    Path(vendor): Path<String>,
    Query(callback): Query<Callback>,
) -> Response {
    let browser_nonce = jar.get(COOKIE).map(|cookie| cookie.value().to_owned()).unwrap_or_default();
    let request = CompleteAuthorizationRequest {
        vendor,
        state: callback.state,
        code: callback.code,
        error: callback.error,
        browser_nonce,
    };
    let completed = rooms.connections().complete_authorization(anonymous(request)).await;
    let jar = jar.remove(Cookie::build(COOKIE).path(COOKIE_PATH));
    match completed {
        Ok(completed) => (jar, Redirect::to(&completed.into_inner().confirm_url)).into_response(),
        Err(status) => (jar, refused(&rooms, &headers, status.into())).into_response(),
    }
}

/// A browser is sent to the console, which says it in words; a program gets the error itself.
fn refused(rooms: &Rooms, headers: &HeaderMap, error: ApiError) -> Response {
    let accepts = headers.get(header::ACCEPT).and_then(|value| value.to_str().ok()).unwrap_or_default();
    if !accepts.contains("text/html") {
        return error.into_response();
    }
    let mut url = rooms.config().console(SETTINGS);
    url.query_pairs_mut().append_pair("error", error.code());
    Redirect::to(url.as_str()).into_response()
}

fn found(url: &str) -> Response {
    match http::HeaderValue::from_str(url) {
        Ok(location) => (StatusCode::FOUND, [(header::LOCATION, location)]).into_response(),
        Err(_) => ApiError::new(
            StatusCode::BAD_GATEWAY,
            "authorize_url_invalid",
            "The vendor's address is invalid.",
        )
        .into_response(),
    }
}
