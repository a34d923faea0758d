//! The one answer of identity that a guard needs: who holds this credential.

use std::{
    convert::Infallible,
    pin::Pin,
    task::{Context, Poll},
};

use model::{OrganizationId, Role};
use proto::identity::{CheckRequest, CheckResponse};
use tonic::{
    Request, Response, Status,
    body::Body,
    server::{Grpc, NamedService, UnaryService},
};
use tower::Service;

/// Knows the credentials `owner`, `admin`, `viewer` and `stranger`; the last one is of another organization.
#[derive(Clone)]
pub(crate) struct Identity {
    pub(crate) organization: OrganizationId,
    pub(crate) other: OrganizationId,
}

impl NamedService for Identity {
    const NAME: &'static str = "accord.identity.v1.Identity";
}

type Answer<T, E> = Pin<Box<dyn Future<Output = Result<T, E>> + Send>>;

impl Service<axum::http::Request<Body>> for Identity {
    type Response = axum::http::Response<Body>;
    type Error = Infallible;
    type Future = Answer<Self::Response, Infallible>;

    fn poll_ready(&mut self, _: &mut Context<'_>) -> Poll<Result<(), Infallible>> {
        Poll::Ready(Ok(()))
    }

    fn call(&mut self, request: axum::http::Request<Body>) -> Self::Future {
        let check = Check(self.clone());
        Box::pin(async move {
            let mut grpc = Grpc::new(tonic_prost::ProstCodec::<CheckResponse, CheckRequest>::default());
            Ok(grpc.unary(check, request).await)
        })
    }
}

/// Who holds the credential of this role in the organization.
pub(crate) fn user(role: Role, organization: OrganizationId) -> String {
    let rank = Role::ALL.iter().position(|known| *known == role).unwrap();
    let id = uuid::Uuid::from_u128(organization.uuid().as_u128() + rank as u128);
    format!("user:{}", model::UserId::from_uuid(id))
}

struct Check(Identity);

impl UnaryService<CheckRequest> for Check {
    type Response = CheckResponse;
    type Future = Answer<Response<CheckResponse>, Status>;

    fn call(&mut self, request: Request<CheckRequest>) -> Self::Future {
        let (role, organization) = match request.get_ref().credential.as_str() {
            "as_owner" => (Role::Owner, self.0.organization),
            "as_admin" => (Role::Admin, self.0.organization),
            "as_viewer" => (Role::Viewer, self.0.organization),
            "as_stranger" => (Role::Owner, self.0.other),
            _ => return Box::pin(async { Err(Status::unauthenticated("unknown")) }),
        };
        let answer = CheckResponse {
            organization_id: organization.to_string(),
            actor: user(role, organization),
            role: role.name().to_owned(),
            scopes: role.scopes().into_iter().map(|scope| scope.name().to_owned()).collect(),
            credential_id: request.get_ref().credential.clone(),
            expires_at: None,
            product: String::new(),
        };
        Box::pin(async { Ok(Response::new(answer)) })
    }
}
