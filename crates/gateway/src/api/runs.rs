use axum::extract::State;
use http::StatusCode;
use proto::sync as wire;
use utoipa_axum::{router::OpenApiRouter, routes};

use crate::{
    extract::{Caller, Json, Path, Query},
    failure::{ApiError, Conflicts, Refusals},
    rooms::Rooms,
    view::run::{ListRuns, Run, RunList, UndoPreview},
};

pub(super) fn router() -> OpenApiRouter<Rooms> {
    OpenApiRouter::new().routes(routes!(list)).routes(routes!(get)).routes(routes!(preview, undo))
}

/// List the runs that changed records, newest first: readings of a vendor, applied mappings, and runs put back.
///
/// Scope `mappings:read`.
#[utoipa::path(
    get, path = "/runs", tag = "review", params(ListRuns), responses((status = 200, body = RunList), Refusals)
)]
async fn list(
    State(rooms): State<Rooms>,
    caller: Caller,
    Query(query): Query<ListRuns>,
) -> Result<Json<RunList>, ApiError> {
    let request = wire::ListRunsRequest {
        connection_id: query.connection_id.unwrap_or_default(),
        limit: query.limit.unwrap_or_default(),
        page: query.page.unwrap_or_default(),
    };
    Ok(Json(rooms.sync().list_runs(caller.asks(request)?).await?.into_inner().into()))
}

/// Read a run, and how far it is put back when it puts another one back.
///
/// Scope `mappings:read`.
#[utoipa::path(
    get, path = "/runs/{id}", tag = "review", params(("id" = String, Path)),
    responses((status = 200, body = Run), Refusals)
)]
async fn get(
    State(rooms): State<Rooms>,
    caller: Caller,
    Path(run_id): Path<String>,
) -> Result<Json<Run>, ApiError> {
    Ok(Json(rooms.sync().get_run(caller.asks(wire::RunRequest { run_id })?).await?.into_inner().into()))
}

/// Read what putting a run back would do now: which values come back, and which stay because they are not the run's
/// any more.
///
/// Scope `records:write`; the samples are for `records:read`.
#[utoipa::path(
    get, path = "/runs/{id}/undo", tag = "review", params(("id" = String, Path)),
    responses((status = 200, body = UndoPreview), Refusals)
)]
async fn preview(
    State(rooms): State<Rooms>,
    caller: Caller,
    Path(run_id): Path<String>,
) -> Result<Json<UndoPreview>, ApiError> {
    let request = caller.asks(wire::RunRequest { run_id })?;
    Ok(Json(rooms.sync().preview_undo(request).await?.into_inner().into()))
}

/// Put a run back, in the background: the answer is the run that does it, which can be put back in turn.
///
/// Scope `records:write`.
#[utoipa::path(
    post, path = "/runs/{id}/undo", tag = "review", params(("id" = String, Path)),
    responses((status = 202, body = Run), Refusals, Conflicts)
)]
async fn undo(
    State(rooms): State<Rooms>,
    caller: Caller,
    Path(run_id): Path<String>,
) -> Result<(StatusCode, Json<Run>), ApiError> {
    let request = caller.asks(wire::RunRequest { run_id })?;
    let run = rooms.sync().undo_run(request).await?.into_inner();
    Ok((StatusCode::ACCEPTED, Json(run.into())))
}
