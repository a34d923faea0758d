use axum::extract::State;
use proto::crm as wire;
use utoipa_axum::{router::OpenApiRouter, routes};

use crate::{
    extract::{Caller, Json, Path},
    failure::{ApiError, Conflicts, Refusals},
    rooms::Rooms,
    view::notification::{
        NewNotificationRules, NotificationRules, VendorUser, VendorUserConfirmed, VendorUserRemoved,
        VendorUsers,
    },
};

pub(super) fn router() -> OpenApiRouter<Rooms> {
    OpenApiRouter::new()
        .routes(routes!(rules, set_rules))
        .routes(routes!(vendor_users))
        .routes(routes!(confirm_vendor_user, remove_vendor_user))
}

/// Read which events are told in which channel, and how that goes.
///
/// Scope `partners:read`.
#[utoipa::path(
    get, path = "/notification-rules", tag = "crm",
    responses((status = 200, body = NotificationRules), Refusals)
)]
async fn rules(State(rooms): State<Rooms>, caller: Caller) -> Result<Json<NotificationRules>, ApiError> {
    let request = caller.asks(wire::ListNotificationRulesRequest {})?;
    Ok(Json(rooms.crm().list_notification_rules(request).await?.into_inner().into()))
}

/// Set which events are told in which channels of a connection. Rules that are not named are deleted. The answer has the
/// rules of all connections.
///
/// Scope `partners:write`.
#[utoipa::path(
    put, path = "/notification-rules", tag = "crm", request_body = NewNotificationRules,
    responses((status = 200, body = NotificationRules), Refusals, Conflicts)
)]
async fn set_rules(
    State(rooms): State<Rooms>,
    caller: Caller,
    Json(rules): Json<NewNotificationRules>,
) -> Result<Json<NotificationRules>, ApiError> {
    let request: wire::SetNotificationRulesRequest = rules.into();
    Ok(Json(rooms.crm().set_notification_rules(caller.asks(request)?).await?.into_inner().into()))
}

/// List the people at vendors who clicked something, each with who it is here, or seems to be by the e-mail address.
///
/// Scope `users:manage`.
#[utoipa::path(
    get, path = "/vendor-users", tag = "crm", responses((status = 200, body = VendorUsers), Refusals)
)]
async fn vendor_users(State(rooms): State<Rooms>, caller: Caller) -> Result<Json<VendorUsers>, ApiError> {
    let request = caller.asks(wire::ListVendorUsersRequest {})?;
    Ok(Json(rooms.crm().list_vendor_users(request).await?.into_inner().into()))
}

/// Confirm who a person at a vendor is: what the person clicks is done in that user's name, as far as the user's role lets it.
///
/// Scope `users:manage`.
#[utoipa::path(
    put, path = "/vendor-users/{connection_id}/{vendor_user_id}", tag = "crm",
    params(
        ("connection_id" = String, Path, description = "`conn_…`"),
        ("vendor_user_id" = String, Path, description = "The vendor's id of the person."),
    ),
    request_body = VendorUserConfirmed, responses((status = 200, body = VendorUser), Refusals, Conflicts)
)]
async fn confirm_vendor_user(
    State(rooms): State<Rooms>,
    caller: Caller,
    Path((connection_id, vendor_user_id)): Path<(String, String)>,
    Json(VendorUserConfirmed { user_id }): Json<VendorUserConfirmed>,
) -> Result<Json<VendorUser>, ApiError> {
    let request = wire::ConfirmVendorUserRequest { connection_id, vendor_user_id, user_id };
    Ok(Json(rooms.crm().confirm_vendor_user(caller.asks(request)?).await?.into_inner().into()))
}

/// Forget a person at a vendor, who then decides nothing any more.
///
/// Scope `users:manage`.
#[utoipa::path(
    delete, path = "/vendor-users/{connection_id}/{vendor_user_id}", tag = "crm",
    params(
        ("connection_id" = String, Path, description = "`conn_…`"),
        ("vendor_user_id" = String, Path, description = "The vendor's id of the person."),
    ),
    responses((status = 200, body = VendorUserRemoved), Refusals)
)]
async fn remove_vendor_user(
    State(rooms): State<Rooms>,
    caller: Caller,
    Path((connection_id, vendor_user_id)): Path<(String, String)>,
) -> Result<Json<VendorUserRemoved>, ApiError> {
    let request = wire::VendorUserRequest { connection_id, vendor_user_id: vendor_user_id.clone() };
    rooms.crm().remove_vendor_user(caller.asks(request)?).await?;
    Ok(Json(VendorUserRemoved { vendor_user_id }))
}
