use axum::extract::State;
use proto::crm as wire;
use utoipa_axum::{router::OpenApiRouter, routes};

use crate::{
    extract::{Caller, Json, Query},
    failure::{ApiError, Conflicts, Refusals},
    rooms::Rooms,
    view::activity::{GetTimeline, NewActivities, RecordedActivities, Timeline},
};

pub(super) fn router() -> OpenApiRouter<Rooms> {
    OpenApiRouter::new().routes(routes!(timeline)).routes(routes!(record))
}

/// Read what happened with a company, contact, partner or deal, newest first.
///
/// Scope `records:read`.
#[utoipa::path(
    get, path = "/timeline", tag = "crm", params(GetTimeline), responses((status = 200, body = Timeline), Refusals)
)]
async fn timeline(
    State(rooms): State<Rooms>,
    caller: Caller,
    Query(query): Query<GetTimeline>,
) -> Result<Json<Timeline>, ApiError> {
    let request: wire::GetTimelineRequest = query.into();
    Ok(Json(rooms.crm().get_timeline(caller.asks(request)?).await?.into_inner().into()))
}

/// Record activities. One that is known by its source and external id is left as it is, unless its version is greater.
///
/// Scope `records:write`.
#[utoipa::path(
    post, path = "/activities", tag = "crm", request_body = NewActivities,
    responses((status = 200, body = RecordedActivities), Refusals, Conflicts)
)]
async fn record(
    State(rooms): State<Rooms>,
    caller: Caller,
    Json(news): Json<NewActivities>,
) -> Result<Json<RecordedActivities>, ApiError> {
    let request: wire::RecordActivitiesRequest = news.into();
    Ok(Json(rooms.crm().record_activities(caller.asks(request)?).await?.into_inner().into()))
}
