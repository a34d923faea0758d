//! The shapes of our answers: a page, a fragment for the script, a redirect with a message.

use askama::Template;
use axum::{
    http::{HeaderMap, HeaderValue, StatusCode, header},
    response::{Html, IntoResponse, Redirect, Response},
};
use axum_extra::extract::cookie::Cookie;
use base64::{Engine, prelude::BASE64_URL_SAFE_NO_PAD};
use sha2::{Digest, Sha256};
use url::Url;

use crate::flash::Flash;

/// A whole page; it is never kept by a cache, because it shows one person's data.
pub(crate) fn page(template: &impl Template) -> Response {
    page_with(StatusCode::OK, template)
}

pub(crate) fn page_with(status: StatusCode, template: &impl Template) -> Response {
    match template.render() {
        Ok(html) => (status, [(header::CACHE_CONTROL, "no-store")], Html(html)).into_response(),
        Err(error) => {
            tracing::error!(%error, "failed to draw a page");
            StatusCode::INTERNAL_SERVER_ERROR.into_response()
        }
    }
}

/// A part of a page, for the script that keeps it fresh. Unchanged, it is 304 and no body.
pub(crate) fn fragment(headers: &HeaderMap, template: &impl Template) -> Response {
    let html = match template.render() {
        Ok(html) => html,
        Err(error) => {
            tracing::error!(%error, "failed to draw a fragment");
            return StatusCode::INTERNAL_SERVER_ERROR.into_response();
        }
    };
    let tag = format!("W/\"{}\"", BASE64_URL_SAFE_NO_PAD.encode(&Sha256::digest(&html)[..12]));
    let known = headers.get(header::IF_NONE_MATCH).is_some_and(|known| known.as_bytes() == tag.as_bytes());
    let fresh = [(header::CACHE_CONTROL, "private, no-cache".to_owned()), (header::ETAG, tag)];
    if known {
        (StatusCode::NOT_MODIFIED, fresh).into_response()
    } else {
        (fresh, Html(html)).into_response()
    }
}

/// 303 to a path of the console, where the message is shown.
pub(crate) fn redirect(path: &str, flash: &Flash) -> Response {
    let mut response = Redirect::to(path).into_response();
    set_cookie(&mut response, &flash.to_cookie());
    response
}

pub(crate) fn set_cookie(response: &mut Response, cookie: &Cookie<'_>) {
    if let Ok(value) = HeaderValue::from_str(&cookie.to_string()) {
        response.headers_mut().append(header::SET_COOKIE, value);
    }
}

/// Whether this is a whole page that a person will look at.
pub(crate) fn is_page(response: &Response) -> bool {
    let is_html = response
        .headers()
        .get(header::CONTENT_TYPE)
        .is_some_and(|content_type| content_type.as_bytes().starts_with(b"text/html"));
    is_html && !response.headers().contains_key(header::ETAG)
}

/// The path of ours that the request came from, by its Referer.
pub(crate) fn referring_path(headers: &HeaderMap) -> Option<String> {
    let referrer = Url::parse(headers.get(header::REFERER)?.to_str().ok()?).ok()?;
    let path = referrer
        .query()
        .map_or_else(|| referrer.path().to_owned(), |query| format!("{}?{query}", referrer.path()));
    local_path(&path).map(str::to_owned)
}

/// The text, when it is a path of ours and no way to another site.
pub(crate) fn local_path(text: &str) -> Option<&str> {
    let is_local = text.starts_with('/')
        && !text.starts_with("//")
        && !text.contains('\\')
        && text.chars().all(|letter| !letter.is_control());
    is_local.then_some(text)
}

/// Writes the template as an answer in its own right.
macro_rules! page_response {
    ($($page:ty),+ $(,)?) => {$(
        impl axum::response::IntoResponse for $page {
            fn into_response(self) -> axum::response::Response {
                $crate::respond::page(&self)
            }
        }
    )+};
}
pub(crate) use page_response;
