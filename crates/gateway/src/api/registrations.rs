use axum::extract::State;
use http::StatusCode;
use proto::crm as wire;
use utoipa_axum::{router::OpenApiRouter, routes};

use crate::{
    extract::{Caller, Json, Path, Query},
    failure::{ApiError, Conflicts, Refusals},
    rooms::Rooms,
    view::registration::{
        Approval, CrmSettings, ListRegistrations, NewRegistration, Registration, RegistrationList, Rejection,
    },
};

pub(super) fn router() -> OpenApiRouter<Rooms> {
    OpenApiRouter::new()
        .routes(routes!(list, submit))
        .routes(routes!(get))
        .routes(routes!(review))
        .routes(routes!(approve))
        .routes(routes!(reject))
        .routes(routes!(settings, set_settings))
}

/// List the deals that partners registered, newest first.
///
/// Scope `partners:read`, or the key of a partner, who sees its own.
#[utoipa::path(
    get, path = "/deal-registrations", tag = "crm", params(ListRegistrations),
    responses((status = 200, body = RegistrationList), Refusals)
)]
async fn list(
    State(rooms): State<Rooms>,
    caller: Caller,
    Query(query): Query<ListRegistrations>,
) -> Result<Json<RegistrationList>, ApiError> {
    let request = wire::ListDealRegistrationsRequest {
        partner_id: query.partner_id.unwrap_or_default(),
        status: query.status.unwrap_or_default(),
        limit: query.limit.unwrap_or_default(),
        page: query.page.unwrap_or_default(),
    };
    Ok(Json(rooms.crm().list_deal_registrations(caller.asks(request)?).await?.into_inner().into()))
}

/// Register a deal. Other registrations of the company are told in `conflicts`; only the same deal of the same partner is
/// refused: `deal_already_registered`.
///
/// Scope `records:write`, or the key of a partner.
#[utoipa::path(
    post, path = "/deal-registrations", tag = "crm", request_body = NewRegistration,
    responses((status = 201, body = Registration), Refusals, Conflicts)
)]
async fn submit(
    State(rooms): State<Rooms>,
    caller: Caller,
    Json(new): Json<NewRegistration>,
) -> Result<(StatusCode, Json<Registration>), ApiError> {
    let request: wire::SubmitDealRegistrationRequest = new.into();
    let made = rooms.crm().submit_deal_registration(caller.asks(request)?).await?;
    Ok((StatusCode::CREATED, Json(made.into_inner().into())))
}

/// Read a deal registration.
///
/// Scope `partners:read`, or the key of the partner whose it is.
#[utoipa::path(
    get, path = "/deal-registrations/{id}", tag = "crm", params(("id" = String, Path, description = "`dreg_…`")),
    responses((status = 200, body = Registration), Refusals)
)]
async fn get(
    State(rooms): State<Rooms>,
    caller: Caller,
    Path(id): Path<String>,
) -> Result<Json<Registration>, ApiError> {
    let request = caller.asks(wire::DealRegistrationRequest { id })?;
    Ok(Json(rooms.crm().get_deal_registration(request).await?.into_inner().into()))
}

/// Look into a deal registration, so that others see who does.
///
/// Scope `partners:write`.
#[utoipa::path(
    post, path = "/deal-registrations/{id}/review", tag = "crm", params(("id" = String, Path)),
    responses((status = 200, body = Registration), Refusals, Conflicts)
)]
async fn review(
    State(rooms): State<Rooms>,
    caller: Caller,
    Path(id): Path<String>,
) -> Result<Json<Registration>, ApiError> {
    let request = caller.asks(wire::DealRegistrationRequest { id })?;
    Ok(Json(rooms.crm().review_deal_registration(request).await?.into_inner().into()))
}

/// Approve a deal registration, which creates the deal. Where somebody else decided before: `already_decided`.
///
/// Scope `partners:write`.
#[utoipa::path(
    post, path = "/deal-registrations/{id}/approve", tag = "crm", params(("id" = String, Path)),
    request_body = Approval, responses((status = 200, body = Registration), Refusals, Conflicts)
)]
async fn approve(
    State(rooms): State<Rooms>,
    caller: Caller,
    Path(id): Path<String>,
    Json(approval): Json<Approval>,
) -> Result<Json<Registration>, ApiError> {
    let request = wire::ApproveDealRegistrationRequest { id, days: approval.days.unwrap_or_default() };
    Ok(Json(rooms.crm().approve_deal_registration(caller.asks(request)?).await?.into_inner().into()))
}

/// Reject a deal registration with a reason. Where somebody else decided before: `already_decided`.
///
/// Scope `partners:write`.
#[utoipa::path(
    post, path = "/deal-registrations/{id}/reject", tag = "crm", params(("id" = String, Path)),
    request_body = Rejection, responses((status = 200, body = Registration), Refusals, Conflicts)
)]
async fn reject(
    State(rooms): State<Rooms>,
    caller: Caller,
    Path(id): Path<String>,
    Json(Rejection { reason }): Json<Rejection>,
) -> Result<Json<Registration>, ApiError> {
    let request = caller.asks(wire::RejectDealRegistrationRequest { id, reason })?;
    Ok(Json(rooms.crm().reject_deal_registration(request).await?.into_inner().into()))
}

/// Read how long registrations are protected and wait for a decision, and which domains match no company.
///
/// Scope `partners:read`.
#[utoipa::path(
    get, path = "/crm/settings", tag = "crm", responses((status = 200, body = CrmSettings), Refusals)
)]
async fn settings(State(rooms): State<Rooms>, caller: Caller) -> Result<Json<CrmSettings>, ApiError> {
    let request = caller.asks(wire::GetSettingsRequest {})?;
    Ok(Json(rooms.crm().get_settings(request).await?.into_inner().into()))
}

/// Set how long registrations are protected and wait for a decision, and which domains match no company.
///
/// Scope `partners:write`.
#[utoipa::path(
    put, path = "/crm/settings", tag = "crm", request_body = CrmSettings,
    responses((status = 200, body = CrmSettings), Refusals, Conflicts)
)]
async fn set_settings(
    State(rooms): State<Rooms>,
    caller: Caller,
    Json(settings): Json<CrmSettings>,
) -> Result<Json<CrmSettings>, ApiError> {
    let settings: wire::Settings = settings.into();
    Ok(Json(rooms.crm().set_settings(caller.asks(settings)?).await?.into_inner().into()))
}
