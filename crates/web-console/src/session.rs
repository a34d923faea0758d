//! Who is looking: the session cookie, the token in every form, the message carried over a redirect.

use std::{collections::BTreeSet, sync::Arc};

use axum::{
    extract::{FromRequestParts, Request, State},
    http::{HeaderMap, Method, StatusCode, header, request::Parts},
    middleware::Next,
    response::{IntoResponse, Redirect, Response},
};
use axum_extra::extract::cookie::{Cookie, CookieJar, SameSite};
use base64::{Engine, prelude::BASE64_URL_SAFE_NO_PAD};
use hmac::Mac;
use jiff::Timestamp;
use model::Scope;
use proto::identity::{User, WhoAmIRequest, WhoAmIResponse};
use secrecy::{ExposeSecret, SecretString};
use tonic::metadata::MetadataValue;

use crate::{
    app::App,
    failure::Failure,
    flash::{self, Flash},
    pages::error::ErrorPage,
    respond,
    shell::{Nav, Shell, Who},
};

/// The cookie that holds the session's secret.
const COOKIE: &str = "accord_session";
/// The header by which the script marks its own requests: they get fragments and plain messages, not pages.
const SCRIPT_HEADER: &str = "x-accord-script";

/// The person whose request this is. Clones share it.
#[derive(Clone)]
pub(crate) struct Visitor(Arc<Inner>);

struct Inner {
    token: SecretString,
    user: User,
    organization: String,
    organization_id: String,
    organization_slug: String,
    scopes: BTreeSet<Scope>,
    csrf: String,
    flash: Option<Flash>,
    now: Timestamp,
    by_script: bool,
    /// Whether the page asks by itself, so that nobody may be there.
    passive: bool,
}

impl Visitor {
    /// The visitor that identity describes.
    pub(crate) fn new(
        app: &App,
        token: SecretString,
        who: WhoAmIResponse,
        (headers, passive): (&HeaderMap, bool),
    ) -> Self {
        Self(Arc::new(Inner {
            csrf: form_token(app, &token),
            token,
            user: who.user.unwrap_or_default(),
            organization: who.organization_name,
            organization_id: who.organization_id,
            organization_slug: who.organization_slug,
            scopes: who.scopes.iter().filter_map(|scope| scope.parse().ok()).collect(),
            flash: flash::read(headers),
            now: app.now(),
            by_script: headers.contains_key(SCRIPT_HEADER),
            passive,
        }))
    }

    async fn recognize(app: &App, (headers, passive): (&HeaderMap, bool)) -> Result<Self, Failure> {
        let jar = CookieJar::from_headers(headers);
        let token =
            jar.get(COOKIE).map(|cookie| SecretString::from(cookie.value())).ok_or_else(signed_out)?;
        let request = with_credential(&token, passive, WhoAmIRequest {})?;
        let who = app.rooms().identity().who_am_i(request).await?.into_inner();
        Ok(Self::new(app, token, who, (headers, passive)))
    }

    pub(crate) fn may(&self, scope: Scope) -> bool {
        self.0.scopes.contains(&scope)
    }

    /// Refuses early what the room would refuse too, so that no half-usable form is shown.
    pub(crate) fn must(&self, scope: Scope, what: &str) -> Result<(), Failure> {
        if self.may(scope) { Ok(()) } else { Err(Failure::refused(what)) }
    }

    pub(crate) fn user(&self) -> &User {
        &self.0.user
    }

    /// The organization that the person belongs to.
    pub(crate) fn organization_id(&self) -> &str {
        &self.0.organization_id
    }

    /// The organization's name in the addresses of the public API.
    pub(crate) fn organization_slug(&self) -> &str {
        &self.0.organization_slug
    }

    pub(crate) fn now(&self) -> Timestamp {
        self.0.now
    }

    /// The token that every form of this session carries.
    pub(crate) fn csrf(&self) -> &str {
        &self.0.csrf
    }

    pub(crate) fn is_by_script(&self) -> bool {
        self.0.by_script
    }

    /// A question to a room in this person's name.
    pub(crate) fn ask<T>(&self, message: T) -> Result<tonic::Request<T>, Failure> {
        with_credential(&self.0.token, self.0.passive, message)
    }

    /// The frame of a page for this person.
    pub(crate) fn shell(&self, title: impl Into<String>, nav: Nav) -> Shell {
        let Inner { user, organization, csrf, scopes, flash, now, .. } = &*self.0;
        let who = Who::new(user, organization, csrf, scopes);
        Shell::signed_in(title, nav, who, flash.clone(), *now)
    }
}

impl<S: Sync> FromRequestParts<S> for Visitor {
    type Rejection = Failure;

    async fn from_request_parts(parts: &mut Parts, _: &S) -> Result<Self, Failure> {
        parts.extensions.get::<Self>().cloned().ok_or_else(signed_out)
    }
}

fn signed_out() -> Failure {
    Failure::new(StatusCode::UNAUTHORIZED, "unauthenticated", "Sign in again.")
}

/// A question to a room with this credential.
pub(crate) fn with_credential<T>(
    token: &SecretString,
    passive: bool,
    message: T,
) -> Result<tonic::Request<T>, Failure> {
    let mut request = tonic::Request::new(message);
    let mut bearer =
        MetadataValue::try_from(format!("Bearer {}", token.expose_secret())).map_err(|_| signed_out())?;
    bearer.set_sensitive(true);
    request.metadata_mut().insert("authorization", bearer);
    if passive {
        request.metadata_mut().insert("accord-passive", MetadataValue::from_static("1"));
    }
    Ok(request)
}

/// The token that a form of this session, or behind this link, carries: only we can make it, and it is of no use in another.
pub(crate) fn form_token(app: &App, token: &SecretString) -> String {
    let mut digest = app.token_digest();
    digest.update(b"accord form token\0");
    digest.update(token.expose_secret().as_bytes());
    BASE64_URL_SAFE_NO_PAD.encode(digest.finalize().into_bytes())
}

/// The cookie of a new session. It ends with the browser; how long the session lasts is identity's to say.
pub(crate) fn cookie(app: &App, token: String) -> Cookie<'static> {
    Cookie::build((COOKIE, token))
        .path("/")
        .http_only(true)
        .same_site(SameSite::Lax)
        .secure(app.is_secure())
        .build()
}

/// The cookie that takes the session away.
pub(crate) fn no_cookie(app: &App) -> Cookie<'static> {
    let mut cookie = cookie(app, String::new());
    cookie.make_removal();
    cookie
}

/// Lets signed-in people through, sends others to sign in, and draws failures as pages.
pub(crate) async fn layer(State(app): State<App>, mut request: Request, next: Next) -> Response {
    let place = Place::of(&request);
    // What the script reads, it reads by a timer; what somebody does, it posts.
    let passive = place.by_script && place.method == Method::GET;
    let visitor = match Visitor::recognize(&app, (request.headers(), passive)).await {
        Ok(visitor) => visitor,
        Err(failure) => return turn_away(&app, failure, &place),
    };
    request.extensions_mut().insert(visitor.clone());
    let mut response = next.run(request).await;
    if let Some(failure) = response.extensions_mut().remove::<Failure>() {
        response = explain(&app, failure, &place, &visitor);
    } else if visitor.0.flash.is_some() && respond::is_page(&response) {
        respond::set_cookie(&mut response, &flash::remove());
    }
    response
}

/// Where a request came from and went to, kept for the case that it fails.
struct Place {
    method: Method,
    path: String,
    from: Option<String>,
    by_script: bool,
}

impl Place {
    fn of(request: &Request) -> Self {
        let headers = request.headers();
        Self {
            method: request.method().clone(),
            path: request.uri().path_and_query().map_or("/", |path| path.as_str()).to_owned(),
            from: respond::referring_path(headers),
            by_script: headers.contains_key(SCRIPT_HEADER),
        }
    }
}

fn turn_away(app: &App, failure: Failure, place: &Place) -> Response {
    if place.by_script {
        return (failure.status, failure.message).into_response();
    }
    if !failure.is_signed_out() {
        return ErrorPage::new(Shell::bare(failure.title(), app.now()), failure, None).into_response();
    }
    let query = if place.method == Method::GET && place.path != "/" {
        let next = serde_urlencoded::to_string([("next", &place.path)]).unwrap_or_default();
        format!("?{next}")
    } else {
        String::new()
    };
    let mut response = Redirect::to(&format!("/sign-in{query}")).into_response();
    respond::set_cookie(&mut response, &no_cookie(app));
    response
}

fn explain(app: &App, failure: Failure, place: &Place, visitor: &Visitor) -> Response {
    if failure.is_signed_out() || place.by_script {
        return turn_away(app, failure, place);
    }
    match &place.from {
        Some(from) if place.method == Method::POST && failure.is_fixable() => {
            respond::redirect(from, &Flash::bad(failure.message, failure.code))
        }
        from => {
            let shell = visitor.shell(failure.title(), Nav::None);
            ErrorPage::new(shell, failure, from.clone()).into_response()
        }
    }
}

/// Whether the header says that the request was made by a page of ours. Browsers always say it on a POST.
pub(crate) fn is_from_our_page(app: &App, headers: &HeaderMap) -> bool {
    if let Some(origin) = headers.get(header::ORIGIN) {
        let Ok(origin) = origin.to_str() else { return false };
        let host = headers.get(header::HOST).and_then(|host| host.to_str().ok());
        let authority = origin.split_once("://").map(|(_, authority)| authority);
        return origin == app.public_url().origin().ascii_serialization()
            || (authority.is_some() && authority == host);
    }
    headers.get("sec-fetch-site").is_none_or(|site| site == "same-origin" || site == "none")
}
