//! A message for the next page, carried over a redirect in a cookie that is taken away when it was shown.

use axum::http::HeaderMap;
use axum_extra::extract::cookie::{Cookie, CookieJar, SameSite};
use base64::{Engine, prelude::BASE64_URL_SAFE_NO_PAD};
use serde::{Deserialize, Serialize};

const COOKIE: &str = "accord_flash";

/// What happened, for people.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Flash {
    pub good: bool,
    pub text: String,
    /// The stable code of a failure.
    #[serde(default)]
    pub code: String,
}

impl Flash {
    pub(crate) fn good(text: impl Into<String>) -> Self {
        Self { good: true, text: text.into(), code: String::new() }
    }

    pub(crate) fn bad(text: impl Into<String>, code: impl Into<String>) -> Self {
        Self { good: false, text: text.into(), code: code.into() }
    }

    pub(crate) fn to_cookie(&self) -> Cookie<'static> {
        let json = serde_json::to_vec(self).unwrap_or_default();
        named(BASE64_URL_SAFE_NO_PAD.encode(json))
    }
}

fn named(value: String) -> Cookie<'static> {
    Cookie::build((COOKIE, value)).path("/").http_only(true).same_site(SameSite::Lax).build()
}

/// The message of this request; none when there is none, or somebody else wrote it.
pub(crate) fn read(headers: &HeaderMap) -> Option<Flash> {
    let jar = CookieJar::from_headers(headers);
    let bytes = BASE64_URL_SAFE_NO_PAD.decode(jar.get(COOKIE)?.value()).ok()?;
    serde_json::from_slice(&bytes).ok()
}

/// The cookie that takes the message away once it was shown.
pub(crate) fn remove() -> Cookie<'static> {
    let mut cookie = named(String::new());
    cookie.make_removal();
    cookie
}
