//! Requests in: reads the wire, checks the caller, hands over to the service.

use std::{sync::Arc, time::Duration};

use chassis::guard::{Credential, is_passive};
use jiff::Timestamp;
use model::{ApiKeyId, Caller, IntegrationKeyId, Role, Scope};
use proto::{
    from_wire_time,
    identity::{
        self as wire, CheckRequest, CheckResponse, EndOtherSessionsRequest, EndOtherSessionsResponse,
        FindOrganizationRequest, FindOrganizationResponse, InviteUserRequest, InviteUserResponse,
        ListKeysRequest, ListKeysResponse, ListUsersRequest, ListUsersResponse, MintApiKeyRequest,
        MintIntegrationKeyRequest, RemoveUserRequest, RemoveUserResponse, RevokeKeyRequest,
        RotateIntegrationKeyRequest, SetPasswordRequest, SetPasswordResponse, SetRoleRequest,
        SignInWithLinkRequest, SignInWithPasswordRequest, SignOutRequest, SignOutResponse, WhoAmIRequest,
        WhoAmIResponse, identity_server::Identity,
    },
    to_wire_time,
};
use secrecy::ExposeSecret;
use tonic::{Request, Response, Status, metadata::MetadataMap};
use uuid::Uuid;

use crate::{
    domain::key::{self, KeyKind, NewKey},
    error::Refusal,
    service::{Checked, MintedKey, RotateKey, Service, SignedIn},
    store::{keys::Key, users::User},
};

/// The gRPC service `accord.identity.v1.Identity`.
#[derive(Clone)]
pub struct Grpc(Arc<Service>);

impl std::fmt::Debug for Grpc {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Grpc").finish_non_exhaustive()
    }
}

type Answer<T> = Result<Response<T>, Status>;

impl Grpc {
    pub(crate) const fn new(service: Arc<Service>) -> Self {
        Self(service)
    }

    async fn authenticate(&self, metadata: &MetadataMap) -> Result<Arc<Checked>, Status> {
        let credential = Credential::from_metadata(metadata)?;
        Ok(self.0.check(credential.secret(), is_passive(metadata)).await?)
    }

    async fn authorize(&self, metadata: &MetadataMap, scope: Scope) -> Result<Caller, Status> {
        let checked = self.authenticate(metadata).await?;
        Ok(checked.authorized.clone().require(scope)?.caller)
    }

    async fn mint(&self, metadata: &MetadataMap, kind: KeyKind, wanted: Wanted) -> Answer<wire::MintedKey> {
        let caller = self.authorize(metadata, Scope::KeysManage).await?;
        let new = NewKey {
            label: wanted.label,
            product: wanted.product,
            scopes: key::scopes(&wanted.scopes)?,
            expires_at: wanted.expires_at.map(|at| moment(&at)).transpose()?,
        };
        let minted = self.0.mint_key(&caller, kind, new).await?;
        Ok(Response::new(minted.into()))
    }

    async fn revoke(&self, request: Request<RevokeKeyRequest>, kind: KeyKind) -> Answer<wire::Key> {
        let caller = self.authorize(request.metadata(), Scope::KeysManage).await?;
        let key = self.0.revoke_key(&caller, kind, key_id(kind, &request.get_ref().key_id)?).await?;
        Ok(Response::new(key.into()))
    }

    async fn list(&self, metadata: &MetadataMap, kind: KeyKind) -> Answer<ListKeysResponse> {
        let caller = self.authorize(metadata, Scope::KeysManage).await?;
        let keys = self.0.list_keys(&caller, kind).await?;
        Ok(Response::new(ListKeysResponse { keys: keys.into_iter().map(Into::into).collect() }))
    }
}

/// A key as it is asked for on the wire.
struct Wanted {
    label: String,
    product: String,
    scopes: Vec<String>,
    expires_at: Option<prost_types::Timestamp>,
}

#[tonic::async_trait]
impl Identity for Grpc {
    async fn check(&self, request: Request<CheckRequest>) -> Answer<CheckResponse> {
        let CheckRequest { credential, passive } = request.into_inner();
        let checked = self.0.check(&credential.into(), passive).await?;
        Ok(Response::new(checked.response.clone()))
    }

    async fn find_organization(
        &self,
        request: Request<FindOrganizationRequest>,
    ) -> Answer<FindOrganizationResponse> {
        let found = self.0.find_organization(&request.get_ref().slug).await?;
        Ok(Response::new(FindOrganizationResponse { organization_id: found.to_string() }))
    }

    async fn sign_in_with_link(&self, request: Request<SignInWithLinkRequest>) -> Answer<wire::Session> {
        let signed_in = self.0.sign_in_with_link(&request.into_inner().token.into()).await?;
        Ok(Response::new(signed_in.into()))
    }

    async fn sign_in_with_password(
        &self,
        request: Request<SignInWithPasswordRequest>,
    ) -> Answer<wire::Session> {
        let SignInWithPasswordRequest { email, password, client } = request.into_inner();
        let signed_in = self.0.sign_in_with_password(&email, password.into(), &client).await?;
        Ok(Response::new(signed_in.into()))
    }

    async fn sign_out(&self, request: Request<SignOutRequest>) -> Answer<SignOutResponse> {
        let checked = self.authenticate(request.metadata()).await?;
        self.0.sign_out(&checked).await?;
        Ok(Response::new(SignOutResponse {}))
    }

    async fn who_am_i(&self, request: Request<WhoAmIRequest>) -> Answer<WhoAmIResponse> {
        let checked = self.authenticate(request.metadata()).await?;
        let known = self.0.who_am_i(&checked.authorized.caller).await?;
        Ok(Response::new(WhoAmIResponse {
            user: known.user.map(Into::into),
            organization_id: checked.response.organization_id.clone(),
            organization_name: known.organization_name,
            organization_slug: known.organization_slug,
            scopes: checked.response.scopes.clone(),
        }))
    }

    async fn list_users(&self, request: Request<ListUsersRequest>) -> Answer<ListUsersResponse> {
        let caller = self.authorize(request.metadata(), Scope::UsersManage).await?;
        let users = self.0.list_users(&caller).await?;
        Ok(Response::new(ListUsersResponse { users: users.into_iter().map(Into::into).collect() }))
    }

    async fn invite_user(&self, request: Request<InviteUserRequest>) -> Answer<InviteUserResponse> {
        let caller = self.authorize(request.metadata(), Scope::UsersManage).await?;
        let InviteUserRequest { email, name, role } = request.into_inner();
        let invited = self.0.invite(&caller, &email, &name, role_named(&role)?).await?;
        Ok(Response::new(InviteUserResponse {
            user: Some(invited.user.into()),
            link_token: invited.token.expose_secret().to_owned(),
            expires_at: Some(to_wire_time(invited.expires_at)),
        }))
    }

    async fn set_role(&self, request: Request<SetRoleRequest>) -> Answer<wire::User> {
        let caller = self.authorize(request.metadata(), Scope::UsersManage).await?;
        let SetRoleRequest { user_id, role } = request.into_inner();
        let user_id = user_id.parse().map_err(|_| id_invalid("user_id"))?;
        let user = self.0.set_role(&caller, user_id, role_named(&role)?).await?;
        Ok(Response::new(user.into()))
    }

    async fn remove_user(&self, request: Request<RemoveUserRequest>) -> Answer<RemoveUserResponse> {
        let caller = self.authorize(request.metadata(), Scope::UsersManage).await?;
        let user_id = request.get_ref().user_id.parse().map_err(|_| id_invalid("user_id"))?;
        let revoked = self.0.remove_user(&caller, user_id).await?;
        Ok(Response::new(RemoveUserResponse { revoked_keys: counted(revoked) }))
    }

    async fn end_other_sessions(
        &self,
        request: Request<EndOtherSessionsRequest>,
    ) -> Answer<EndOtherSessionsResponse> {
        let checked = self.authenticate(request.metadata()).await?;
        let ended = self.0.end_other_sessions(&checked).await?;
        Ok(Response::new(EndOtherSessionsResponse { ended: counted(ended) }))
    }

    async fn set_password(&self, request: Request<SetPasswordRequest>) -> Answer<SetPasswordResponse> {
        let checked = self.authenticate(request.metadata()).await?;
        let SetPasswordRequest { current_password, new_password } = request.into_inner();
        self.0.set_password(&checked, current_password.into(), new_password.into()).await?;
        Ok(Response::new(SetPasswordResponse {}))
    }

    async fn mint_integration_key(
        &self,
        request: Request<MintIntegrationKeyRequest>,
    ) -> Answer<wire::MintedKey> {
        let (metadata, _, wanted) = request.into_parts();
        let MintIntegrationKeyRequest { product, label, scopes, expires_at } = wanted;
        self.mint(&metadata, KeyKind::Integration, Wanted { label, product, scopes, expires_at }).await
    }

    async fn rotate_integration_key(
        &self,
        request: Request<RotateIntegrationKeyRequest>,
    ) -> Answer<wire::MintedKey> {
        let caller = self.authorize(request.metadata(), Scope::KeysManage).await?;
        let RotateIntegrationKeyRequest { key_id: id, overlap_seconds } = request.into_inner();
        let id = key_id(KeyKind::Integration, &id)?;
        let rotate = RotateKey { id, overlap: Duration::from_secs(overlap_seconds.into()) };
        let minted = self.0.rotate_key(&caller, KeyKind::Integration, rotate).await?;
        Ok(Response::new(minted.into()))
    }

    async fn revoke_integration_key(&self, request: Request<RevokeKeyRequest>) -> Answer<wire::Key> {
        self.revoke(request, KeyKind::Integration).await
    }

    async fn list_integration_keys(&self, request: Request<ListKeysRequest>) -> Answer<ListKeysResponse> {
        self.list(request.metadata(), KeyKind::Integration).await
    }

    async fn mint_api_key(&self, request: Request<MintApiKeyRequest>) -> Answer<wire::MintedKey> {
        let (metadata, _, wanted) = request.into_parts();
        let MintApiKeyRequest { label, scopes, expires_at } = wanted;
        let (product, scopes) = key::for_partner(&scopes).unwrap_or((String::new(), scopes));
        self.mint(&metadata, KeyKind::Api, Wanted { label, product, scopes, expires_at }).await
    }

    async fn revoke_api_key(&self, request: Request<RevokeKeyRequest>) -> Answer<wire::Key> {
        self.revoke(request, KeyKind::Api).await
    }

    async fn list_api_keys(&self, request: Request<ListKeysRequest>) -> Answer<ListKeysResponse> {
        self.list(request.metadata(), KeyKind::Api).await
    }
}

fn counted(count: usize) -> u32 {
    u32::try_from(count).unwrap_or(u32::MAX)
}

fn role_named(name: &str) -> Result<Role, Refusal> {
    name.parse().map_err(|_| {
        Refusal::invalid("role_unknown", "A role is one of owner, admin, member, viewer.").at("role")
    })
}

fn key_id(kind: KeyKind, text: &str) -> Result<Uuid, Refusal> {
    let id = match kind {
        KeyKind::Api => text.parse().map(ApiKeyId::uuid),
        KeyKind::Integration => text.parse().map(IntegrationKeyId::uuid),
    };
    id.map_err(|_| id_invalid("key_id"))
}

fn id_invalid(field: &'static str) -> Refusal {
    Refusal::invalid("id_invalid", format!("The {field} is no id of that kind.")).at(field)
}

fn moment(at: &prost_types::Timestamp) -> Result<Timestamp, Refusal> {
    let moment = from_wire_time(at);
    moment
        .ok_or_else(|| Refusal::invalid("expires_at_invalid", "This is no moment in time.").at("expires_at"))
}

impl From<User> for wire::User {
    fn from(user: User) -> Self {
        Self {
            id: user.id.to_string(),
            email: user.email,
            name: user.name,
            role: user.role.name().to_owned(),
            last_signed_in_at: user.last_signed_in_at.map(to_wire_time),
        }
    }
}

impl From<SignedIn> for wire::Session {
    fn from(signed_in: SignedIn) -> Self {
        Self {
            token: signed_in.token.expose_secret().to_owned(),
            expires_at: Some(to_wire_time(signed_in.expires_at)),
            user: Some(signed_in.user.into()),
        }
    }
}

impl From<MintedKey> for wire::MintedKey {
    fn from(minted: MintedKey) -> Self {
        Self { secret: minted.secret.expose_secret().to_owned(), key: Some(minted.key.into()) }
    }
}

impl From<Key> for wire::Key {
    fn from(key: Key) -> Self {
        Self {
            id: key.public_id(),
            label: key.label,
            prefix: key.prefix,
            scopes: key.scopes.iter().map(|scope| scope.name().to_owned()).collect(),
            product: key.product,
            created_by: key.created_by,
            created_at: Some(to_wire_time(key.created_at)),
            expires_at: key.expires_at.map(to_wire_time),
            last_used_at: key.last_used_at.map(to_wire_time),
            revoked_at: key.revoked_at.map(to_wire_time),
        }
    }
}
