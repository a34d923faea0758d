use axum::extract::State;
use proto::{connections as wire, sync};
use utoipa_axum::{router::OpenApiRouter, routes};

use crate::{
    extract::{Caller, Json, Path, Query},
    failure::{ApiError, Conflicts, Refusals},
    rooms::Rooms,
    view::connection::{
        Authorization, Authorize, ChannelList, Confirm, Connection, ConnectionList, PairList, Progress,
        Reading, Schema, SetReading, SyncStarted, VendorList,
    },
    view::health::{Budget, Health, SetBudget, Span, Usage},
    view::telling::{AttributionWriting, SetAttributionWriting},
};

pub(super) fn router() -> OpenApiRouter<Rooms> {
    OpenApiRouter::new()
        .routes(routes!(vendors))
        .routes(routes!(list))
        .routes(routes!(authorize))
        .routes(routes!(confirm))
        .routes(routes!(get))
        .routes(routes!(sync_now))
        .routes(routes!(pause))
        .routes(routes!(resume))
        .routes(routes!(disconnect))
        .routes(routes!(refresh_schema))
        .routes(routes!(schema))
        .routes(routes!(channels))
        .routes(routes!(usage))
        .routes(routes!(budget))
        .routes(routes!(set_budget))
        .routes(routes!(reading, set_reading))
        .routes(routes!(attribution_writing, set_attribution_writing))
        .routes(routes!(create_attribution_fields))
        .routes(routes!(progress))
        .routes(routes!(health))
        .routes(routes!(pairs))
}

const fn named(connection_id: String) -> wire::ConnectionRequest {
    wire::ConnectionRequest { connection_id }
}

/// List the vendors that can be connected.
///
/// Scope `connections:read`.
#[utoipa::path(get, path = "/vendors", tag = "connections", responses((status = 200, body = VendorList), Refusals))]
async fn vendors(State(rooms): State<Rooms>, caller: Caller) -> Result<Json<VendorList>, ApiError> {
    let request = caller.asks(wire::ListVendorsRequest {})?;
    Ok(Json(rooms.connections().list_vendors(request).await?.into_inner().into()))
}

/// List the connections.
///
/// Scope `connections:read`.
#[utoipa::path(
    get, path = "/connections", tag = "connections", responses((status = 200, body = ConnectionList), Refusals)
)]
async fn list(State(rooms): State<Rooms>, caller: Caller) -> Result<Json<ConnectionList>, ApiError> {
    let request = caller.asks(wire::ListConnectionsRequest {})?;
    Ok(Json(rooms.connections().list_connections(request).await?.into_inner().into()))
}

/// Begin to connect a vendor: an address to be opened in a browser.
///
/// Scope `connections:manage`.
#[utoipa::path(
    post, path = "/connections/authorize", tag = "connections", request_body = Authorize,
    responses((status = 200, body = Authorization), Refusals, Conflicts)
)]
async fn authorize(
    State(rooms): State<Rooms>,
    caller: Caller,
    Json(wish): Json<Authorize>,
) -> Result<Json<Authorization>, ApiError> {
    let request = wire::BeginAuthorizationRequest {
        vendor: wish.vendor,
        return_path: wish.return_path,
        connection_id: wish.connection_id.unwrap_or_default(),
        site: wish.site.unwrap_or_default(),
    };
    let begun = rooms.connections().begin_authorization(caller.asks(request)?).await?.into_inner();
    Ok(Json(Authorization { start_url: begun.start_url }))
}

/// Finish connecting a vendor, by whoever began it.
///
/// The browser that came back from the vendor ends at an address of the console with the parameter `confirm`: the
/// token. Scope `connections:manage`, with the credential that began. Another one is refused with
/// `oauth_confirm_not_yours`, and then nobody can use the token any more.
#[utoipa::path(
    post, path = "/connections/confirm", tag = "connections", request_body = Confirm,
    responses((status = 200, body = Connection), Refusals, Conflicts)
)]
async fn confirm(
    State(rooms): State<Rooms>,
    caller: Caller,
    Json(wish): Json<Confirm>,
) -> Result<Json<Connection>, ApiError> {
    let request = wire::ConfirmAuthorizationRequest { token: wish.token };
    let confirmed = rooms.connections().confirm_authorization(caller.asks(request)?).await?.into_inner();
    Ok(Json(confirmed.connection.unwrap_or_default().into()))
}

/// Read a connection.
///
/// Scope `connections:read`.
#[utoipa::path(
    get, path = "/connections/{id}", tag = "connections", params(("id" = String, Path, description = "`conn_…`")),
    responses((status = 200, body = Connection), Refusals)
)]
async fn get(
    State(rooms): State<Rooms>,
    caller: Caller,
    Path(id): Path<String>,
) -> Result<Json<Connection>, ApiError> {
    Ok(Json(rooms.connections().get_connection(caller.asks(named(id))?).await?.into_inner().into()))
}

/// Read the vendor's changes now instead of at the next poll.
///
/// Scope `connections:manage`.
#[utoipa::path(
    post, path = "/connections/{id}/sync", tag = "connections", params(("id" = String, Path)),
    responses((status = 202, body = SyncStarted), Refusals, Conflicts)
)]
async fn sync_now(
    State(rooms): State<Rooms>,
    caller: Caller,
    Path(id): Path<String>,
) -> Result<(http::StatusCode, Json<SyncStarted>), ApiError> {
    let started = rooms.connections().sync_now(caller.asks(named(id))?).await?.into_inner();
    Ok((http::StatusCode::ACCEPTED, Json(SyncStarted { objects: started.objects })))
}

/// Pause a connection: nothing is read or written until it is resumed.
///
/// Scope `connections:manage`.
#[utoipa::path(
    post, path = "/connections/{id}/pause", tag = "connections", params(("id" = String, Path)),
    responses((status = 200, body = Connection), Refusals, Conflicts)
)]
async fn pause(
    State(rooms): State<Rooms>,
    caller: Caller,
    Path(id): Path<String>,
) -> Result<Json<Connection>, ApiError> {
    Ok(Json(rooms.connections().pause(caller.asks(named(id))?).await?.into_inner().into()))
}

/// Resume a paused connection.
///
/// Scope `connections:manage`.
#[utoipa::path(
    post, path = "/connections/{id}/resume", tag = "connections", params(("id" = String, Path)),
    responses((status = 200, body = Connection), Refusals, Conflicts)
)]
async fn resume(
    State(rooms): State<Rooms>,
    caller: Caller,
    Path(id): Path<String>,
) -> Result<Json<Connection>, ApiError> {
    Ok(Json(rooms.connections().resume(caller.asks(named(id))?).await?.into_inner().into()))
}

/// Disconnect: the authorization is given back to the vendor.
///
/// Scope `connections:manage`.
#[utoipa::path(
    post, path = "/connections/{id}/disconnect", tag = "connections", params(("id" = String, Path)),
    responses((status = 200, body = Connection), Refusals, Conflicts)
)]
async fn disconnect(
    State(rooms): State<Rooms>,
    caller: Caller,
    Path(id): Path<String>,
) -> Result<Json<Connection>, ApiError> {
    Ok(Json(rooms.connections().disconnect(caller.asks(named(id))?).await?.into_inner().into()))
}

/// Read the vendor's objects and fields anew.
///
/// Scope `connections:manage`.
#[utoipa::path(
    post, path = "/connections/{id}/refresh-schema", tag = "connections", params(("id" = String, Path)),
    responses((status = 200, body = Schema), Refusals, Conflicts)
)]
async fn refresh_schema(
    State(rooms): State<Rooms>,
    caller: Caller,
    Path(id): Path<String>,
) -> Result<Json<Schema>, ApiError> {
    Ok(Json(rooms.connections().refresh_schema(caller.asks(named(id))?).await?.into_inner().into()))
}

/// Read the vendor's objects and fields as they were read last.
///
/// Scope `connections:read`.
#[utoipa::path(
    get, path = "/connections/{id}/schema", tag = "connections", params(("id" = String, Path)),
    responses((status = 200, body = Schema), Refusals)
)]
async fn schema(
    State(rooms): State<Rooms>,
    caller: Caller,
    Path(id): Path<String>,
) -> Result<Json<Schema>, ApiError> {
    Ok(Json(rooms.connections().get_schema(caller.asks(named(id))?).await?.into_inner().into()))
}

/// List the channels of a connection to a vendor that posts messages.
///
/// Scope `connections:read`.
#[utoipa::path(
    get, path = "/connections/{id}/channels", tag = "connections", params(("id" = String, Path)),
    responses((status = 200, body = ChannelList), Refusals, Conflicts)
)]
async fn channels(
    State(rooms): State<Rooms>,
    caller: Caller,
    Path(id): Path<String>,
) -> Result<Json<ChannelList>, ApiError> {
    Ok(Json(rooms.connections().list_channels(caller.asks(named(id))?).await?.into_inner().into()))
}

/// Read whether and how partner attribution is written to the CRM's contacts and deals.
///
/// Scope `mappings:read`.
#[utoipa::path(
    get, path = "/connections/{id}/attribution", tag = "connections", params(("id" = String, Path)),
    responses((status = 200, body = AttributionWriting), Refusals)
)]
async fn attribution_writing(
    State(rooms): State<Rooms>,
    caller: Caller,
    Path(connection_id): Path<String>,
) -> Result<Json<AttributionWriting>, ApiError> {
    let request = sync::AttributionWritingRequest { connection_id };
    Ok(Json(rooms.sync().get_attribution_writing(caller.asks(request)?).await?.into_inner().into()))
}

/// Have partner attribution written to the CRM's contacts and deals, or written no more.
///
/// The fields are mapped, outward only, to those that the CRM has for them; changes of a mapping that was activated wait until
/// its plan is applied. Scope `connections:manage`.
#[utoipa::path(
    put, path = "/connections/{id}/attribution", tag = "connections", params(("id" = String, Path)),
    request_body = SetAttributionWriting, responses((status = 200, body = AttributionWriting), Refusals, Conflicts)
)]
async fn set_attribution_writing(
    State(rooms): State<Rooms>,
    caller: Caller,
    Path(connection_id): Path<String>,
    Json(wish): Json<SetAttributionWriting>,
) -> Result<Json<AttributionWriting>, ApiError> {
    let request = sync::SetAttributionWritingRequest { connection_id, enabled: wish.enabled };
    Ok(Json(rooms.sync().set_attribution_writing(caller.asks(request)?).await?.into_inner().into()))
}

/// Create the fields for partner attribution in the CRM, where its contacts and deals lack them.
///
/// The CRM's schema is read anew, and what is there then is mapped where attribution is to be written. Scope `connections:manage`.
#[utoipa::path(
    post, path = "/connections/{id}/attribution/fields", tag = "connections", params(("id" = String, Path)),
    responses((status = 200, body = Schema), Refusals, Conflicts)
)]
async fn create_attribution_fields(
    State(rooms): State<Rooms>,
    caller: Caller,
    Path(id): Path<String>,
) -> Result<Json<Schema>, ApiError> {
    let created = rooms.connections().create_attribution_fields(caller.asks(named(id))?).await?;
    Ok(Json(created.into_inner().into()))
}

/// Read the calls of the vendor's API over time.
///
/// Scope `connections:read`.
#[utoipa::path(
    get, path = "/connections/{id}/usage", tag = "connections", params(("id" = String, Path), Span),
    responses((status = 200, body = Usage), Refusals)
)]
async fn usage(
    State(rooms): State<Rooms>,
    caller: Caller,
    Path(connection_id): Path<String>,
    Query(span): Query<Span>,
) -> Result<Json<Usage>, ApiError> {
    let request = wire::GetUsageRequest { connection_id, minutes: span.minutes.unwrap_or(60) };
    Ok(Json(rooms.connections().get_usage(caller.asks(request)?).await?.into_inner().into()))
}

/// Read the budget of API calls, and what is used of it.
///
/// Scope `connections:read`.
#[utoipa::path(
    get, path = "/connections/{id}/budget", tag = "connections", params(("id" = String, Path)),
    responses((status = 200, body = Budget), Refusals)
)]
async fn budget(
    State(rooms): State<Rooms>,
    caller: Caller,
    Path(id): Path<String>,
) -> Result<Json<Budget>, ApiError> {
    Ok(Json(rooms.connections().get_budget(caller.asks(named(id))?).await?.into_inner().into()))
}

/// Give a connection a budget of API calls, change it or take it away.
///
/// From the warning on people are told and history waits; when all is used everything waits, and goes on by itself in
/// the next window. Scope `connections:manage`.
#[utoipa::path(
    put, path = "/connections/{id}/budget", tag = "connections", params(("id" = String, Path)),
    request_body = SetBudget, responses((status = 200, body = Budget), Refusals)
)]
async fn set_budget(
    State(rooms): State<Rooms>,
    caller: Caller,
    Path(connection_id): Path<String>,
    Json(wish): Json<SetBudget>,
) -> Result<Json<Budget>, ApiError> {
    let request = wire::SetBudgetRequest {
        connection_id,
        calls: wish.calls.unwrap_or_default(),
        window_seconds: wish.window.seconds(),
        warn_percent: wish.warn_percent,
    };
    Ok(Json(rooms.connections().set_budget(caller.asks(request)?).await?.into_inner().into()))
}

/// Read how often mails, meetings and calls are read, and how much of them is kept.
///
/// Scope `connections:read`.
#[utoipa::path(
    get, path = "/connections/{id}/reading", tag = "connections", params(("id" = String, Path)),
    responses((status = 200, body = Reading), Refusals, Conflicts)
)]
async fn reading(
    State(rooms): State<Rooms>,
    caller: Caller,
    Path(id): Path<String>,
) -> Result<Json<Reading>, ApiError> {
    Ok(Json(rooms.connections().get_reading(caller.asks(named(id))?).await?.into_inner().into()))
}

/// Change how often mails, meetings and calls are read, and how much of them is kept.
///
/// It holds from then on: what is kept already stays as it is. Scope `connections:manage`.
#[utoipa::path(
    put, path = "/connections/{id}/reading", tag = "connections", params(("id" = String, Path)),
    request_body = SetReading, responses((status = 200, body = Reading), Refusals, Conflicts)
)]
async fn set_reading(
    State(rooms): State<Rooms>,
    caller: Caller,
    Path(connection_id): Path<String>,
    Json(wish): Json<SetReading>,
) -> Result<Json<Reading>, ApiError> {
    let request = wire::SetReadingRequest {
        connection_id,
        interval_minutes: wish.interval_minutes.unwrap_or_default(),
        bodies: wish.bodies,
    };
    Ok(Json(rooms.connections().set_reading(caller.asks(request)?).await?.into_inner().into()))
}

/// Read how far reading the vendor's objects is.
///
/// Scope `connections:read`.
#[utoipa::path(
    get, path = "/connections/{id}/progress", tag = "connections", params(("id" = String, Path)),
    responses((status = 200, body = Progress), Refusals)
)]
async fn progress(
    State(rooms): State<Rooms>,
    caller: Caller,
    Path(id): Path<String>,
) -> Result<Json<Progress>, ApiError> {
    Ok(Json(rooms.connections().get_progress(caller.asks(named(id))?).await?.into_inner().into()))
}

/// Read sync lag and applied and failed changes over time.
///
/// Scope `connections:read`.
#[utoipa::path(
    get, path = "/connections/{id}/health", tag = "connections", params(("id" = String, Path), Span),
    responses((status = 200, body = Health), Refusals)
)]
async fn health(
    State(rooms): State<Rooms>,
    caller: Caller,
    Path(connection_id): Path<String>,
    Query(span): Query<Span>,
) -> Result<Json<Health>, ApiError> {
    let request = sync::GetSyncHealthRequest { connection_id, minutes: span.minutes.unwrap_or(60) };
    Ok(Json(rooms.sync().get_sync_health(caller.asks(request)?).await?.into_inner().into()))
}

/// List the pairs of objects that can be mapped.
///
/// Scope `mappings:read`.
#[utoipa::path(
    get, path = "/connections/{id}/pairs", tag = "connections", params(("id" = String, Path)),
    responses((status = 200, body = PairList), Refusals)
)]
async fn pairs(
    State(rooms): State<Rooms>,
    caller: Caller,
    Path(connection_id): Path<String>,
) -> Result<Json<PairList>, ApiError> {
    let request = sync::ListPairsRequest { connection_id };
    Ok(Json(rooms.sync().list_pairs(caller.asks(request)?).await?.into_inner().into()))
}
