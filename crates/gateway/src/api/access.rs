use axum::extract::State;
use http::StatusCode;
use proto::identity as wire;
use utoipa_axum::{router::OpenApiRouter, routes};

use crate::{
    extract::{Caller, Json, Path},
    failure::{ApiError, Conflicts, Refusals},
    rooms::Rooms,
    view::{
        access::{
            Invitation, Invited, Key, KeyList, Me, MintedKey, NewApiKey, NewIntegrationKey, RemovedUser,
            RoleEdit, Rotation, SessionsEnded, User, UserList,
        },
        moment, to_wire,
    },
};

pub(super) fn router() -> OpenApiRouter<Rooms> {
    OpenApiRouter::new()
        .routes(routes!(me))
        .routes(routes!(users, invite))
        .routes(routes!(set_role, remove))
        .routes(routes!(end_other_sessions))
        .routes(routes!(api_keys, mint_api_key))
        .routes(routes!(revoke_api_key))
        .routes(routes!(integration_keys, mint_integration_key))
        .routes(routes!(rotate_integration_key))
        .routes(routes!(revoke_integration_key))
}

/// Say whom the credential stands for.
#[utoipa::path(get, path = "/me", tag = "access", responses((status = 200, body = Me), Refusals))]
async fn me(State(rooms): State<Rooms>, caller: Caller) -> Result<Json<Me>, ApiError> {
    Ok(Json(rooms.identity().who_am_i(caller.asks(wire::WhoAmIRequest {})?).await?.into_inner().into()))
}

/// List the people of the organization.
///
/// Scope `users:manage`.
#[utoipa::path(get, path = "/users", tag = "access", responses((status = 200, body = UserList), Refusals))]
async fn users(State(rooms): State<Rooms>, caller: Caller) -> Result<Json<UserList>, ApiError> {
    Ok(Json(rooms.identity().list_users(caller.asks(wire::ListUsersRequest {})?).await?.into_inner().into()))
}

/// Invite somebody: the user and a one-time link to sign in by.
///
/// Scope `users:manage`.
#[utoipa::path(
    post, path = "/users", tag = "access", request_body = Invitation,
    responses((status = 201, body = Invited), Refusals, Conflicts)
)]
async fn invite(
    State(rooms): State<Rooms>,
    caller: Caller,
    Json(invitation): Json<Invitation>,
) -> Result<(StatusCode, Json<Invited>), ApiError> {
    let request =
        wire::InviteUserRequest { email: invitation.email, name: invitation.name, role: invitation.role };
    let invited = rooms.identity().invite_user(caller.asks(request)?).await?.into_inner();
    let sign_in_url = rooms.config().console(&format!("/sign-in/link/{}", invited.link_token)).into();
    let expires_at = moment(invited.expires_at);
    Ok((StatusCode::CREATED, Json(Invited { user: invited.user.map(Into::into), sign_in_url, expires_at })))
}

/// Change a person's role. The last owner stays one. Keys that the person made are narrowed to the new role.
///
/// Scope `users:manage`.
#[utoipa::path(
    patch, path = "/users/{id}", tag = "access", params(("id" = String, Path, description = "`user_…`")),
    request_body = RoleEdit, responses((status = 200, body = User), Refusals, Conflicts)
)]
async fn set_role(
    State(rooms): State<Rooms>,
    caller: Caller,
    Path(user_id): Path<String>,
    Json(edit): Json<RoleEdit>,
) -> Result<Json<User>, ApiError> {
    let request = wire::SetRoleRequest { user_id, role: edit.role };
    Ok(Json(rooms.identity().set_role(caller.asks(request)?).await?.into_inner().into()))
}

/// Remove a person: their sessions, links and keys end at once. The last owner stays, and nobody removes themselves.
///
/// Scope `users:manage`.
#[utoipa::path(
    delete, path = "/users/{id}", tag = "access", params(("id" = String, Path, description = "`user_…`")),
    responses((status = 200, body = RemovedUser), Refusals, Conflicts)
)]
async fn remove(
    State(rooms): State<Rooms>,
    caller: Caller,
    Path(user_id): Path<String>,
) -> Result<Json<RemovedUser>, ApiError> {
    let request = caller.asks(wire::RemoveUserRequest { user_id })?;
    let removed = rooms.identity().remove_user(request).await?.into_inner();
    Ok(Json(RemovedUser { revoked_keys: removed.revoked_keys }))
}

/// End the caller's other sessions and unused sign-in links.
///
/// Needs a session: a key is refused with `session_required`.
#[utoipa::path(
    post, path = "/me/end-other-sessions", tag = "access",
    responses((status = 200, body = SessionsEnded), Refusals)
)]
async fn end_other_sessions(
    State(rooms): State<Rooms>,
    caller: Caller,
) -> Result<Json<SessionsEnded>, ApiError> {
    let request = caller.asks(wire::EndOtherSessionsRequest {})?;
    let done = rooms.identity().end_other_sessions(request).await?.into_inner();
    Ok(Json(SessionsEnded { ended: done.ended }))
}

/// List the API keys.
///
/// Scope `keys:manage`.
#[utoipa::path(get, path = "/api-keys", tag = "access", responses((status = 200, body = KeyList), Refusals))]
async fn api_keys(State(rooms): State<Rooms>, caller: Caller) -> Result<Json<KeyList>, ApiError> {
    let request = caller.asks(wire::ListKeysRequest {})?;
    Ok(Json(rooms.identity().list_api_keys(request).await?.into_inner().into()))
}

/// Mint an API key. Its secret is in this answer and nowhere else.
///
/// Scope `keys:manage`.
#[utoipa::path(
    post, path = "/api-keys", tag = "access", request_body = NewApiKey,
    responses((status = 201, body = MintedKey), Refusals, Conflicts)
)]
async fn mint_api_key(
    State(rooms): State<Rooms>,
    caller: Caller,
    Json(new): Json<NewApiKey>,
) -> Result<(StatusCode, Json<MintedKey>), ApiError> {
    let request =
        wire::MintApiKeyRequest { label: new.label, scopes: new.scopes, expires_at: to_wire(new.expires_at) };
    let minted = rooms.identity().mint_api_key(caller.asks(request)?).await?.into_inner();
    Ok((StatusCode::CREATED, Json(minted.into())))
}

/// Revoke an API key, at once and for good.
///
/// Scope `keys:manage`.
#[utoipa::path(
    post, path = "/api-keys/{id}/revoke", tag = "access", params(("id" = String, Path)),
    responses((status = 200, body = Key), Refusals, Conflicts)
)]
async fn revoke_api_key(
    State(rooms): State<Rooms>,
    caller: Caller,
    Path(key_id): Path<String>,
) -> Result<Json<Key>, ApiError> {
    let request = caller.asks(wire::RevokeKeyRequest { key_id })?;
    Ok(Json(rooms.identity().revoke_api_key(request).await?.into_inner().into()))
}

/// List the integration keys of sibling products.
///
/// Scope `keys:manage`.
#[utoipa::path(get, path = "/integration-keys", tag = "access", responses((status = 200, body = KeyList), Refusals))]
async fn integration_keys(State(rooms): State<Rooms>, caller: Caller) -> Result<Json<KeyList>, ApiError> {
    let request = caller.asks(wire::ListKeysRequest {})?;
    Ok(Json(rooms.identity().list_integration_keys(request).await?.into_inner().into()))
}

/// Mint an integration key. Its secret is in this answer and nowhere else.
///
/// Scope `keys:manage`.
#[utoipa::path(
    post, path = "/integration-keys", tag = "access", request_body = NewIntegrationKey,
    responses((status = 201, body = MintedKey), Refusals, Conflicts)
)]
async fn mint_integration_key(
    State(rooms): State<Rooms>,
    caller: Caller,
    Json(new): Json<NewIntegrationKey>,
) -> Result<(StatusCode, Json<MintedKey>), ApiError> {
    let request = wire::MintIntegrationKeyRequest {
        product: new.product,
        label: new.label,
        scopes: new.scopes,
        expires_at: to_wire(new.expires_at),
    };
    let minted = rooms.identity().mint_integration_key(caller.asks(request)?).await?.into_inner();
    Ok((StatusCode::CREATED, Json(minted.into())))
}

/// Replace an integration key; the old one stays valid for the overlap.
///
/// Scope `keys:manage`.
#[utoipa::path(
    post, path = "/integration-keys/{id}/rotate", tag = "access", params(("id" = String, Path)),
    request_body = Rotation, responses((status = 201, body = MintedKey), Refusals, Conflicts)
)]
async fn rotate_integration_key(
    State(rooms): State<Rooms>,
    caller: Caller,
    Path(key_id): Path<String>,
    Json(rotation): Json<Rotation>,
) -> Result<(StatusCode, Json<MintedKey>), ApiError> {
    let request = wire::RotateIntegrationKeyRequest { key_id, overlap_seconds: rotation.overlap_seconds };
    let minted = rooms.identity().rotate_integration_key(caller.asks(request)?).await?.into_inner();
    Ok((StatusCode::CREATED, Json(minted.into())))
}

/// Revoke an integration key, at once and for good.
///
/// Scope `keys:manage`.
#[utoipa::path(
    post, path = "/integration-keys/{id}/revoke", tag = "access", params(("id" = String, Path)),
    responses((status = 200, body = Key), Refusals, Conflicts)
)]
async fn revoke_integration_key(
    State(rooms): State<Rooms>,
    caller: Caller,
    Path(key_id): Path<String>,
) -> Result<Json<Key>, ApiError> {
    let request = caller.asks(wire::RevokeKeyRequest { key_id })?;
    Ok(Json(rooms.identity().revoke_integration_key(request).await?.into_inner().into()))
}
