//! Forms: read only when a page of ours sent them, with the token of the session.

use axum::{
    extract::{FromRequest, FromRequestParts, Request},
    http::StatusCode,
};
use serde::de::DeserializeOwned;
use subtle::ConstantTimeEq;

use crate::{
    app::App,
    failure::Failure,
    session::{Visitor, is_from_our_page},
};

/// No form of ours comes near this.
const MAX_BYTES: usize = 1024 * 1024;

/// A form of a signed-in person, its token checked.
pub(crate) struct Form<T>(pub Visitor, pub T);

/// A form that holds no more than its token.
#[derive(serde::Deserialize)]
pub(crate) struct Nothing {}

/// The fields of a form in the order they were sent; a field may come more than once.
pub(crate) type Pairs = Vec<(String, String)>;

/// The field of this name without the spaces around it; empty when it was not sent.
pub(crate) fn one(pairs: &Pairs, name: &str) -> String {
    pairs.iter().find(|(key, _)| key == name).map(|(_, value)| value.trim().to_owned()).unwrap_or_default()
}

/// All fields of this name.
pub(crate) fn all(pairs: &Pairs, name: &str) -> Vec<String> {
    pairs.iter().filter(|(key, _)| key == name).map(|(_, value)| value.clone()).collect()
}

/// A form of somebody who has no session yet.
pub(crate) struct OpenForm<T>(pub T);

impl<T: DeserializeOwned> FromRequest<App> for Form<T> {
    type Rejection = Failure;

    async fn from_request(request: Request, app: &App) -> Result<Self, Failure> {
        let (mut parts, body) = request.into_parts();
        let visitor = Visitor::from_request_parts(&mut parts, app).await?;
        let body = read(Request::from_parts(parts, body), app).await?;
        let pairs: Vec<(String, String)> = decode(&body)?;
        let token = pairs.iter().find(|(name, _)| name == "_token").map_or("", |(_, value)| value);
        if !bool::from(token.as_bytes().ct_eq(visitor.csrf().as_bytes())) {
            return Err(Failure::new(
                StatusCode::FORBIDDEN,
                "form_token_wrong",
                "This form belongs to another session. Open the page again and repeat what you did.",
            ));
        }
        Ok(Self(visitor, decode(&body)?))
    }
}

impl<T: DeserializeOwned> FromRequest<App> for OpenForm<T> {
    type Rejection = Failure;

    async fn from_request(request: Request, app: &App) -> Result<Self, Failure> {
        decode(&read(request, app).await?).map(Self)
    }
}

async fn read(request: Request, app: &App) -> Result<axum::body::Bytes, Failure> {
    if !is_from_our_page(app, request.headers()) {
        return Err(Failure::new(
            StatusCode::FORBIDDEN,
            "other_origin",
            "This form was sent from another site, so it was not done.",
        ));
    }
    axum::body::to_bytes(request.into_body(), MAX_BYTES).await.map_err(|_| {
        Failure::new(StatusCode::PAYLOAD_TOO_LARGE, "too_large", "This is more than a form may hold.")
    })
}

fn decode<T: DeserializeOwned>(body: &[u8]) -> Result<T, Failure> {
    serde_urlencoded::from_bytes(body).map_err(|_| {
        Failure::new(
            StatusCode::BAD_REQUEST,
            "form_malformed",
            "A field of this form is missing or malformed.",
        )
    })
}
