//! The addresses of the attribution API: `/X`, `/api/X`, `/t/{slug}/X` and `/api/t/{slug}/X` are the same for every X.

use axum::{
    Router,
    extract::{Request, State},
    response::{IntoResponse, Response},
};
use http::Uri;
use tower::ServiceExt;

use crate::pages;

/// What the addresses begin with, without their base.
const FIRST_SEGMENTS: [&str; 16] = [
    "attribution",
    "attributions",
    "auth",
    "api-keys",
    "campaigns",
    "clicks",
    "commissions",
    "events",
    "ingest",
    "ledger",
    "partners",
    "payouts",
    "programs",
    "r",
    "reviews",
    "webhooks",
];

/// The slug of an organization in an address.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Slug(pub(super) String);

/// Takes the base off an address and hands the request on; what is no address of this API is nobody's.
pub(super) async fn enter(State(inner): State<Router>, mut request: Request) -> Response {
    let Some((slug, rest)) = split(request.uri().path()) else {
        return pages::not_found().await.into_response();
    };
    let rest = match request.uri().query() {
        Some(query) => format!("{rest}?{query}"),
        None => rest.to_owned(),
    };
    let Ok(uri) = rest.parse::<Uri>() else { return pages::not_found().await.into_response() };
    *request.uri_mut() = uri;
    if let Some(slug) = slug {
        request.extensions_mut().insert(slug);
    }
    match inner.oneshot(request).await {
        Ok(response) => response,
        Err(never) => match never {},
    }
}

/// The slug and the address without its base; none for an address of something else.
fn split(path: &str) -> Option<(Option<Slug>, &str)> {
    let path = path.strip_prefix("/api").filter(|rest| rest.starts_with('/')).unwrap_or(path);
    if let Some(rest) = path.strip_prefix("/t/") {
        let end = rest.find('/')?;
        let (slug, rest) = rest.split_at(end);
        return Some((Some(Slug(decoded(slug)?)), rest));
    }
    let first = path.strip_prefix('/')?.split('/').next()?;
    FIRST_SEGMENTS.contains(&first).then_some((None, path))
}

/// A slug as it was before it was put into an address: a name in any script.
fn decoded(slug: &str) -> Option<String> {
    let mut bytes = Vec::with_capacity(slug.len());
    let mut rest = slug.bytes();
    while let Some(byte) = rest.next() {
        bytes.push(match byte {
            b'%' => {
                let digit = |byte: Option<u8>| char::from(byte?).to_digit(16);
                u8::try_from(digit(rest.next())? * 16 + digit(rest.next())?).ok()?
            }
            _ => byte,
        });
    }
    String::from_utf8(bytes).ok()
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn the_four_bases_lead_to_the_same_place() {
        let slug = Some(Slug("north wind".to_owned()));
        for (path, expected) in [
            ("/attribution/events", Some((None, "/attribution/events"))),
            ("/api/attribution/events", Some((None, "/attribution/events"))),
            ("/t/north%20wind/attribution/events", Some((slug.clone(), "/attribution/events"))),
            ("/api/t/north%20wind/attribution/events", Some((slug.clone(), "/attribution/events"))),
            ("/api/t/north%20wind/nothing", Some((slug, "/nothing"))),
            ("/t/northwind", None),
            ("/t/%ff/attribution/events", None),
            ("/t/%zz/attribution/events", None),
            ("/api", None),
            ("/apiattribution/events", None),
            ("/api/v1/attribution/events", None),
            ("/api/api/attribution/events", None),
            ("/attributionx", None),
            ("/", None),
        ] {
            assert_eq!(split(path), expected, "{path}");
        }
    }

    proptest! {
        #[test]
        fn no_path_makes_a_panic(path in "[/a-z%0-9]{0,40}") {
            let _ = split(&path);
        }
    }
}
