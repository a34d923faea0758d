use std::{
    convert::Infallible,
    fmt,
    sync::Arc,
    task::{Context, Poll},
};

use model::{Actor, ApiKeyId, OrganizationId, Role, Scope, UserId};
use proto::identity::{CheckRequest, CheckResponse, ListUsersRequest, ListUsersResponse, User};
use tonic::{
    Request, Response, Status,
    body::Body,
    codegen::{BoxFuture, Service, http},
    server::{Grpc, NamedService, UnaryService},
};
use uuid::Uuid;

type Known = dyn Fn(&str) -> Option<CheckResponse> + Send + Sync;

/// The identity service as far as a guard asks it: who holds a credential, and who the people are. Nothing else is there.
#[derive(Clone)]
pub struct Identity {
    known: Arc<Known>,
    people: Vec<User>,
}

impl Identity {
    /// One that knows these credentials.
    pub fn new(known: impl Fn(&str) -> Option<CheckResponse> + Send + Sync + 'static) -> Self {
        Self { known: Arc::new(known), people: Vec::new() }
    }

    /// The same one, which tells anybody of these people.
    #[must_use]
    pub fn with_people(self, people: Vec<User>) -> Self {
        Self { people, ..self }
    }

    /// What it says of the person who has this role in an organization.
    #[must_use]
    pub fn person(organization: OrganizationId, role: Role) -> CheckResponse {
        let person = Uuid::new_v5(&organization.uuid(), role.name().as_bytes());
        let answer = of(organization, Actor::User(UserId::from_uuid(person)), role.scopes());
        CheckResponse { role: role.to_string(), ..answer }
    }

    /// What it says of a key of an organization that may do so much.
    #[must_use]
    pub fn key(organization: OrganizationId, scopes: impl IntoIterator<Item = Scope>) -> CheckResponse {
        of(organization, Actor::ApiKey(ApiKeyId::from_uuid(Uuid::nil())), scopes)
    }
}

fn of(organization: OrganizationId, actor: Actor, scopes: impl IntoIterator<Item = Scope>) -> CheckResponse {
    CheckResponse {
        organization_id: organization.to_string(),
        actor: actor.to_string(),
        scopes: scopes.into_iter().map(|scope| scope.to_string()).collect(),
        credential_id: format!("{organization} {actor}"),
        ..CheckResponse::default()
    }
}

impl fmt::Debug for Identity {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("Identity").finish_non_exhaustive()
    }
}

impl NamedService for Identity {
    const NAME: &'static str = proto::identity::identity_server::SERVICE_NAME;
}

impl Service<http::Request<Body>> for Identity {
    type Response = http::Response<Body>;
    type Error = Infallible;
    type Future = BoxFuture<Self::Response, Infallible>;

    fn poll_ready(&mut self, _: &mut Context<'_>) -> Poll<Result<(), Infallible>> {
        Poll::Ready(Ok(()))
    }

    fn call(&mut self, request: http::Request<Body>) -> Self::Future {
        let identity = self.clone();
        Box::pin(async move {
            if request.uri().path().ends_with("/ListUsers") {
                let codec = tonic_prost::ProstCodec::<ListUsersResponse, ListUsersRequest>::default();
                return Ok(Grpc::new(codec).unary(identity, request).await);
            }
            if !request.uri().path().ends_with("/Check") {
                return Ok(Status::unimplemented("a stand-in answers Check and ListUsers alone").into_http());
            }
            let codec = tonic_prost::ProstCodec::<CheckResponse, CheckRequest>::default();
            Ok(Grpc::new(codec).unary(identity, request).await)
        })
    }
}

impl UnaryService<CheckRequest> for Identity {
    type Response = CheckResponse;
    type Future = BoxFuture<Response<CheckResponse>, Status>;

    fn call(&mut self, request: Request<CheckRequest>) -> Self::Future {
        let answer = (self.known)(&request.get_ref().credential);
        let answer = answer.ok_or_else(|| Status::unauthenticated("nobody has this credential"));
        Box::pin(std::future::ready(answer.map(Response::new)))
    }
}

impl UnaryService<ListUsersRequest> for Identity {
    type Response = ListUsersResponse;
    type Future = BoxFuture<Response<ListUsersResponse>, Status>;

    fn call(&mut self, _: Request<ListUsersRequest>) -> Self::Future {
        let answer = ListUsersResponse { users: self.people.clone() };
        Box::pin(std::future::ready(Ok(Response::new(answer))))
    }
}
