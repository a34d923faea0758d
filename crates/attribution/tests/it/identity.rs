//! An identity that knows three credentials, for the guard.

use proto::identity::{self as wire, identity_server::Identity};
use tonic::{Request, Response, Status};

/// Answers `Check`: `ak_all` may do all, `ak_events` may record events alone; `ak_other` is of another organization.
pub(crate) struct FakeIdentity {
    pub(crate) organization: String,
    pub(crate) other: String,
}

macro_rules! identity {
    ($($method:ident: $request:ident -> $response:ident),* $(,)?) => {
        #[tonic::async_trait]
        impl Identity for FakeIdentity {
            async fn check(
                &self,
                request: Request<wire::CheckRequest>,
            ) -> Result<Response<wire::CheckResponse>, Status> {
                let credential = request.into_inner().credential;
                let all = || model::Scope::ALL.map(|scope| scope.name().to_owned()).to_vec();
                let (organization, scopes) = match credential.as_str() {
                    "ak_all" => (&self.organization, all()),
                    "ak_events" => (&self.organization, vec!["events:write".to_owned()]),
                    "ak_other" => (&self.other, all()),
                    _ => return Err(Status::unauthenticated("unknown")),
                };
                Ok(Response::new(wire::CheckResponse {
                    organization_id: organization.clone(),
                    actor: format!("api_key:{}", model::ApiKeyId::from_uuid(uuid::Uuid::nil())),
                    scopes,
                    credential_id: "apikey_1".to_owned(),
                    ..Default::default()
                }))
            }

            $(async fn $method(
                &self,
                _request: Request<wire::$request>,
            ) -> Result<Response<wire::$response>, Status> {
                Err(Status::unimplemented("the stories need only Check"))
            })*
        }
    };
}

identity! {
    sign_in_with_link: SignInWithLinkRequest -> Session,
    sign_in_with_password: SignInWithPasswordRequest -> Session,
    sign_out: SignOutRequest -> SignOutResponse,
    who_am_i: WhoAmIRequest -> WhoAmIResponse,
    find_organization: FindOrganizationRequest -> FindOrganizationResponse,
    list_users: ListUsersRequest -> ListUsersResponse,
    invite_user: InviteUserRequest -> InviteUserResponse,
    set_role: SetRoleRequest -> User,
    remove_user: RemoveUserRequest -> RemoveUserResponse,
    end_other_sessions: EndOtherSessionsRequest -> EndOtherSessionsResponse,
    set_password: SetPasswordRequest -> SetPasswordResponse,
    mint_integration_key: MintIntegrationKeyRequest -> MintedKey,
    rotate_integration_key: RotateIntegrationKeyRequest -> MintedKey,
    revoke_integration_key: RevokeKeyRequest -> Key,
    list_integration_keys: ListKeysRequest -> ListKeysResponse,
    mint_api_key: MintApiKeyRequest -> MintedKey,
    revoke_api_key: RevokeKeyRequest -> Key,
    list_api_keys: ListKeysRequest -> ListKeysResponse,
}
