use axum::extract::State;
use http::StatusCode;
use proto::sync as wire;
use utoipa_axum::{router::OpenApiRouter, routes};

use crate::{
    extract::{Caller, Json, Path},
    failure::{ApiError, Refusals},
    rooms::Rooms,
    view::reconcile::{ReconcileDetail, ReconcileList},
};

pub(super) fn router() -> OpenApiRouter<Rooms> {
    OpenApiRouter::new().routes(routes!(begin, list)).routes(routes!(get))
}

/// Compare everything that the connection syncs with the vendor now, and repair what differs. In the background: the answer
/// is the comparisons that are at work, one per object of the vendor.
///
/// Scope `connections:manage`.
#[utoipa::path(
    post, path = "/connections/{id}/reconciles", tag = "review", params(("id" = String, Path)),
    responses((status = 202, body = ReconcileList), Refusals)
)]
async fn begin(
    State(rooms): State<Rooms>,
    caller: Caller,
    Path(connection_id): Path<String>,
) -> Result<(StatusCode, Json<ReconcileList>), ApiError> {
    let request = caller.asks(wire::ReconcileRequest { connection_id })?;
    let begun = rooms.sync().reconcile(request).await?.into_inner();
    Ok((StatusCode::ACCEPTED, Json(begun.into())))
}

/// List the newest comparisons of a connection: as of when both sides were equal, and how much was repaired for it.
///
/// Scope `mappings:read`.
#[utoipa::path(
    get, path = "/connections/{id}/reconciles", tag = "review", params(("id" = String, Path)),
    responses((status = 200, body = ReconcileList), Refusals)
)]
async fn list(
    State(rooms): State<Rooms>,
    caller: Caller,
    Path(connection_id): Path<String>,
) -> Result<Json<ReconcileList>, ApiError> {
    let request = caller.asks(wire::ListReconcilesRequest { connection_id, limit: 0 })?;
    Ok(Json(rooms.sync().list_reconciles(request).await?.into_inner().into()))
}

/// Read a comparison with what differed and was repaired, 500 records at most.
///
/// Scope `mappings:read`.
#[utoipa::path(
    get, path = "/reconciles/{id}", tag = "review", params(("id" = String, Path)),
    responses((status = 200, body = ReconcileDetail), Refusals)
)]
async fn get(
    State(rooms): State<Rooms>,
    caller: Caller,
    Path(id): Path<String>,
) -> Result<Json<ReconcileDetail>, ApiError> {
    let request = caller.asks(wire::GetReconcileRequest { id })?;
    Ok(Json(rooms.sync().get_reconcile(request).await?.into_inner().into()))
}
