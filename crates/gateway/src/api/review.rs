use axum::extract::State;
use proto::sync as wire;
use utoipa_axum::{router::OpenApiRouter, routes};

use crate::{
    extract::{Caller, Json, Path, Query},
    failure::{ApiError, Conflicts, Refusals},
    rooms::Rooms,
    view::{
        record::Record,
        review::{
            ChangedIssues, ConflictList, Issue, IssueList, ListConflicts, ListIssues, Settlement, WhichIssues,
        },
    },
};

pub(super) fn router() -> OpenApiRouter<Rooms> {
    OpenApiRouter::new()
        .routes(routes!(conflicts))
        .routes(routes!(restore))
        .routes(routes!(issues))
        .routes(routes!(retry))
        .routes(routes!(dismiss))
        .routes(routes!(settle))
        .routes(routes!(retry_many))
        .routes(routes!(dismiss_many))
}

/// List the conflicts that policies decided, newest first.
///
/// Scope `mappings:read`.
#[utoipa::path(
    get, path = "/conflicts", tag = "review", params(ListConflicts),
    responses((status = 200, body = ConflictList), Refusals)
)]
async fn conflicts(
    State(rooms): State<Rooms>,
    caller: Caller,
    Query(query): Query<ListConflicts>,
) -> Result<Json<ConflictList>, ApiError> {
    let request = wire::ListConflictsRequest {
        connection_id: query.connection_id.unwrap_or_default(),
        record_id: query.record_id.unwrap_or_default(),
        limit: query.limit.unwrap_or_default(),
        page: query.page.unwrap_or_default(),
    };
    Ok(Json(rooms.sync().list_conflicts(caller.asks(request)?).await?.into_inner().into()))
}

/// Put the value back that lost, as an edit of the caller.
///
/// Scope `records:write`.
#[utoipa::path(
    post, path = "/conflicts/{id}/restore", tag = "review", params(("id" = String, Path)),
    responses((status = 200, body = Record), Refusals, Conflicts)
)]
async fn restore(
    State(rooms): State<Rooms>,
    caller: Caller,
    Path(conflict_id): Path<String>,
) -> Result<Json<Record>, ApiError> {
    let request = wire::RestoreConflictRequest { conflict_id };
    Ok(Json(rooms.sync().restore_conflict(caller.asks(request)?).await?.into_inner().into()))
}

/// List what could not be read or written, newest first, with how many wait by category.
///
/// Scope `mappings:read`.
#[utoipa::path(
    get, path = "/issues", tag = "review", params(ListIssues), responses((status = 200, body = IssueList), Refusals)
)]
async fn issues(
    State(rooms): State<Rooms>,
    caller: Caller,
    Query(query): Query<ListIssues>,
) -> Result<Json<IssueList>, ApiError> {
    let request = wire::ListIssuesRequest {
        connection_id: query.connection_id.unwrap_or_default(),
        limit: query.limit.unwrap_or_default(),
        category: query.category.unwrap_or_default(),
        field: query.field.unwrap_or_default(),
        record_id: query.record_id.unwrap_or_default(),
        page: query.page.unwrap_or_default(),
        state: query.state.unwrap_or_default(),
    };
    Ok(Json(rooms.sync().list_issues(caller.asks(request)?).await?.into_inner().into()))
}

/// Try again what an issue is about.
///
/// Scope `mappings:write`.
#[utoipa::path(
    post, path = "/issues/{id}/retry", tag = "review", params(("id" = String, Path)),
    responses((status = 200, body = Issue), Refusals, Conflicts)
)]
async fn retry(
    State(rooms): State<Rooms>,
    caller: Caller,
    Path(issue_id): Path<String>,
) -> Result<Json<Issue>, ApiError> {
    let request = wire::IssueRequest { issue_id };
    Ok(Json(rooms.sync().retry_issue(caller.asks(request)?).await?.into_inner().into()))
}

/// Leave an issue as it is.
///
/// Scope `mappings:write`.
#[utoipa::path(
    post, path = "/issues/{id}/dismiss", tag = "review", params(("id" = String, Path)),
    responses((status = 200, body = Issue), Refusals, Conflicts)
)]
async fn dismiss(
    State(rooms): State<Rooms>,
    caller: Caller,
    Path(issue_id): Path<String>,
) -> Result<Json<Issue>, ApiError> {
    let request = wire::IssueRequest { issue_id };
    Ok(Json(rooms.sync().dismiss_issue(caller.asks(request)?).await?.into_inner().into()))
}

/// Decide a conflict that waits for a person: an issue of the category `conflict`.
///
/// Scope `records:write`. The other value is kept in the conflict's entry, and can be restored.
#[utoipa::path(
    post, path = "/issues/{id}/settle", tag = "review", params(("id" = String, Path)), request_body = Settlement,
    responses((status = 200, body = Issue), Refusals, Conflicts)
)]
async fn settle(
    State(rooms): State<Rooms>,
    caller: Caller,
    Path(issue_id): Path<String>,
    Json(settlement): Json<Settlement>,
) -> Result<Json<Issue>, ApiError> {
    let request = wire::SettleConflictRequest { issue_id, winner: settlement.winner };
    Ok(Json(rooms.sync().settle_conflict(caller.asks(request)?).await?.into_inner().into()))
}

/// Try again all issues that are named, or that fit a filter; it is done in the background.
///
/// Scope `mappings:write`.
#[utoipa::path(
    post, path = "/issues/retry", tag = "review", request_body = WhichIssues,
    responses((status = 200, body = ChangedIssues), Refusals)
)]
async fn retry_many(
    State(rooms): State<Rooms>,
    caller: Caller,
    Json(which): Json<WhichIssues>,
) -> Result<Json<ChangedIssues>, ApiError> {
    let changed = rooms.sync().retry_issues(caller.asks(which.into())?).await?.into_inner();
    Ok(Json(ChangedIssues { count: changed.count }))
}

/// Leave all issues as they are that are named, or that fit a filter.
///
/// Scope `mappings:write`.
#[utoipa::path(
    post, path = "/issues/dismiss", tag = "review", request_body = WhichIssues,
    responses((status = 200, body = ChangedIssues), Refusals)
)]
async fn dismiss_many(
    State(rooms): State<Rooms>,
    caller: Caller,
    Json(which): Json<WhichIssues>,
) -> Result<Json<ChangedIssues>, ApiError> {
    let changed = rooms.sync().dismiss_issues(caller.asks(which.into())?).await?.into_inner();
    Ok(Json(ChangedIssues { count: changed.count }))
}
