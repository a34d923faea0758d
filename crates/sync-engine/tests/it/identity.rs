//! Identity as far as a guard asks it: the credential names the role, `stranger` is of another organization, and `mapper` may
//! see mappings and nothing else.

use std::{
    convert::Infallible,
    task::{Context, Poll},
};

use model::{OrganizationId, Role, Scope, UserId};
use proto::identity::{CheckRequest, CheckResponse};
use tonic::{
    Request, Response, Status,
    body::Body,
    codegen::{BoxFuture, Service, http},
    server::{Grpc, NamedService, UnaryService},
};

/// Answers `Check` and nothing else.
#[derive(Clone)]
pub(crate) struct Identity {
    pub(crate) organization: OrganizationId,
    pub(crate) other: OrganizationId,
}

impl Identity {
    /// The person behind a credential, as events name them.
    pub(crate) fn actor(&self, credential: &str) -> String {
        let organization = if credential == "stranger" { self.other } else { self.organization };
        let id = uuid::Uuid::new_v5(&organization.uuid(), credential.as_bytes());
        format!("user:{}", UserId::from_uuid(id))
    }

    fn answer(&self, credential: &str) -> Option<CheckResponse> {
        let name = credential.strip_prefix("as_")?;
        let (organization, role) = match name {
            "stranger" => (self.other, Role::Owner),
            "mapper" => (self.organization, Role::Viewer),
            name => (self.organization, name.parse().ok()?),
        };
        let scopes = if name == "mapper" { [Scope::MappingsRead].into() } else { role.scopes() };
        Some(CheckResponse {
            organization_id: organization.to_string(),
            actor: self.actor(name),
            role: role.to_string(),
            scopes: scopes.into_iter().map(|scope| scope.to_string()).collect(),
            credential_id: credential.to_owned(),
            ..CheckResponse::default()
        })
    }
}

impl NamedService for Identity {
    const NAME: &'static str = "accord.identity.v1.Identity";
}

impl Service<http::Request<Body>> for Identity {
    type Response = http::Response<Body>;
    type Error = Infallible;
    type Future = BoxFuture<Self::Response, Infallible>;

    fn poll_ready(&mut self, _: &mut Context<'_>) -> Poll<Result<(), Infallible>> {
        Poll::Ready(Ok(()))
    }

    fn call(&mut self, request: http::Request<Body>) -> Self::Future {
        let check = Check(self.clone());
        Box::pin(async move {
            let codec = tonic_prost::ProstCodec::<CheckResponse, CheckRequest>::default();
            Ok(Grpc::new(codec).unary(check, request).await)
        })
    }
}

struct Check(Identity);

impl UnaryService<CheckRequest> for Check {
    type Response = CheckResponse;
    type Future = BoxFuture<Response<CheckResponse>, Status>;

    fn call(&mut self, request: Request<CheckRequest>) -> Self::Future {
        let answer = self.0.answer(&request.get_ref().credential);
        Box::pin(async move {
            answer.map(Response::new).ok_or_else(|| Status::unauthenticated("nobody has this credential"))
        })
    }
}
