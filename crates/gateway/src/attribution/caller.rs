//! Who calls: a key, and the organization that the address names.

use axum::extract::{FromRequest, FromRequestParts, Request};
use bytes::Bytes;
use chassis::guard::{Authorized, Credential};
use http::{StatusCode, request::Parts};
use model::{Caller, Scope};
use serde::de::DeserializeOwned;
use tonic::metadata::MetadataMap;

use super::{Surface, base::Slug, fields::Faults, refusal::Refusal};
use crate::extract;

/// A caller with a key. Whether it may do what it asks for is the room's to say; where the room is not asked, it is said here.
pub(super) struct Key {
    credential: Credential,
    surface: Surface,
}

impl FromRequestParts<Surface> for Key {
    type Rejection = Refusal;

    /// A key of another organization than the address names is no key here.
    async fn from_request_parts(parts: &mut Parts, surface: &Surface) -> Result<Self, Refusal> {
        let credential = Credential::from_headers(&parts.headers).map_err(|_| Refusal::unauthorized())?;
        let key = Self { credential, surface: surface.clone() };
        if let Some(slug) = parts.extensions.get::<Slug>() {
            let named = surface.organization(slug).await?.ok_or_else(Refusal::unauthorized)?;
            if key.caller().await?.organization != named {
                return Err(Refusal::unauthorized());
            }
        }
        Ok(key)
    }
}

impl Key {
    /// A request to a room in the caller's name.
    pub(super) fn asks<T>(&self, message: T) -> Result<tonic::Request<T>, Refusal> {
        extract::in_name_of(&self.credential, message).map_err(|_| Refusal::unauthorized())
    }

    /// Who it is; the answer of identity is remembered for some seconds.
    pub(super) async fn caller(&self) -> Result<Caller, Refusal> {
        Ok(self.known().await?.caller)
    }

    /// The same, with the partner where the key is one's.
    pub(super) async fn known(&self) -> Result<Authorized, Refusal> {
        let mut metadata = MetadataMap::new();
        self.credential.apply(&mut metadata).map_err(|_| Refusal::unauthorized())?;
        let known = self.surface.guard().authenticate(&metadata).await;
        known.map_err(|status| Refusal::of_open_room(&status))
    }

    /// Refuses a caller who lacks the scope, before anything is asked of a room.
    pub(super) async fn must_have(&self, needs: Scope) -> Result<(), Refusal> {
        let known = self.known().await?;
        match known.partner() {
            Some(_) => Err(Refusal::new(StatusCode::FORBIDDEN, "forbidden")),
            None if known.caller.may(needs) => Ok(()),
            None => Err(Refusal::forbidden_scope(needs)),
        }
    }

    /// What was read of a body. Whoever may not do what they ask for is told that, and not what is wrong in the body.
    pub(super) async fn read<T>(&self, needs: Scope, read: Result<T, Faults>) -> Result<T, Refusal> {
        self.refused("invalid_body", needs, read).await
    }

    /// The same for the query of an address.
    pub(super) async fn queried<T>(&self, needs: Scope, read: Result<T, Faults>) -> Result<T, Refusal> {
        self.refused("invalid_query", needs, read).await
    }

    async fn refused<T>(
        &self,
        error: &'static str,
        needs: Scope,
        read: Result<T, Faults>,
    ) -> Result<T, Refusal> {
        match read {
            Ok(read) => Ok(read),
            Err(faults) => {
                self.must_have(needs).await?;
                Err(faults.refusal(error))
            }
        }
    }
}

/// A body as it came, of at most 1 MiB, whatever it is declared as: some systems that call this say nothing, or something else.
pub(super) struct Body(pub(super) Bytes);

impl FromRequest<Surface> for Body {
    type Rejection = Refusal;

    async fn from_request(request: Request, surface: &Surface) -> Result<Self, Refusal> {
        let reading = tokio::time::timeout(extract::BODY_WITHIN, Bytes::from_request(request, surface)).await;
        let read = reading.map_err(|_| Refusal::new(StatusCode::REQUEST_TIMEOUT, "body_timeout"))?;
        read.map(Self).map_err(|rejection| match rejection.status() {
            StatusCode::PAYLOAD_TOO_LARGE => Refusal::new(StatusCode::PAYLOAD_TOO_LARGE, "body_too_large"),
            _ => Faults::of_form("The body did not come whole").refusal("invalid_body"),
        })
    }
}

/// Parts of the path.
pub(super) struct Path<T>(pub(super) T);

impl<T: DeserializeOwned + Send> FromRequestParts<Surface> for Path<T> {
    type Rejection = Refusal;

    async fn from_request_parts(parts: &mut Parts, surface: &Surface) -> Result<Self, Refusal> {
        let invalid = || Refusal::new(StatusCode::BAD_REQUEST, "invalid_path");
        // No text here holds the character U+0000, and no database of ours can.
        if parts.uri.path().contains("%00") {
            return Err(invalid());
        }
        let path = axum::extract::Path::from_request_parts(parts, surface).await;
        path.map(|axum::extract::Path(path)| Self(path)).map_err(|_| invalid())
    }
}
