use axum::extract::State;
use proto::sync as wire;
use utoipa_axum::{router::OpenApiRouter, routes};

use crate::{
    extract::{Caller, Json, Path, Query},
    failure::{ApiError, Conflicts, Refusals},
    rooms::Rooms,
    view::decision::{DecisionList, ListDecisions, OfVendor, Settled, Settlement, SyncReasons},
};

pub(super) fn router() -> OpenApiRouter<Rooms> {
    OpenApiRouter::new()
        .routes(routes!(list))
        .routes(routes!(settle))
        .routes(routes!(explain_record))
        .routes(routes!(explain_vendor_record))
}

/// List the vendor records that match several records here and wait for somebody to decide.
///
/// Scope `mappings:read`.
#[utoipa::path(
    get, path = "/decisions", tag = "review", params(ListDecisions),
    responses((status = 200, body = DecisionList), Refusals)
)]
async fn list(
    State(rooms): State<Rooms>,
    caller: Caller,
    Query(query): Query<ListDecisions>,
) -> Result<Json<DecisionList>, ApiError> {
    let request = wire::ListDecisionsRequest {
        connection_id: query.connection_id.unwrap_or_default(),
        limit: query.limit.unwrap_or_default(),
    };
    Ok(Json(rooms.sync().list_decisions(caller.asks(request)?).await?.into_inner().into()))
}

/// Link a vendor record to one of its candidates, create a new record for it, or leave it alone.
///
/// Scope `mappings:write`.
#[utoipa::path(
    post, path = "/decisions/{id}/settle", tag = "review", params(("id" = String, Path)),
    request_body = Settlement, responses((status = 200, body = Settled), Refusals, Conflicts)
)]
async fn settle(
    State(rooms): State<Rooms>,
    caller: Caller,
    Path(decision_id): Path<String>,
    Json(settlement): Json<Settlement>,
) -> Result<Json<Settled>, ApiError> {
    let request = wire::SettleDecisionRequest {
        decision_id,
        action: settlement.action,
        record_id: settlement.record_id.unwrap_or_default(),
    };
    Ok(Json(rooms.sync().settle_decision(caller.asks(request)?).await?.into_inner().into()))
}

/// Say why a record is or is not synced, for each mapping of its object.
///
/// Scopes `records:read` and `mappings:read`.
#[utoipa::path(
    get, path = "/records/{object}/{id}/sync", tag = "records",
    params(("object" = String, Path), ("id" = String, Path, description = "`rec_…`")),
    responses((status = 200, body = SyncReasons), Refusals)
)]
async fn explain_record(
    State(rooms): State<Rooms>,
    caller: Caller,
    Path((name, record_id)): Path<(String, String)>,
) -> Result<Json<SyncReasons>, ApiError> {
    super::records::find(&rooms, &caller, &name, record_id.clone()).await?;
    let request = wire::ExplainSyncRequest { record_id, ..wire::ExplainSyncRequest::default() };
    Ok(Json(rooms.sync().explain_sync(caller.asks(request)?).await?.into_inner().into()))
}

/// Say why a vendor's record is or is not synced by a mapping.
///
/// Scope `mappings:read`.
#[utoipa::path(
    get, path = "/mappings/{id}/sync", tag = "mappings", params(("id" = String, Path), OfVendor),
    responses((status = 200, body = SyncReasons), Refusals)
)]
async fn explain_vendor_record(
    State(rooms): State<Rooms>,
    caller: Caller,
    Path(mapping_id): Path<String>,
    Query(query): Query<OfVendor>,
) -> Result<Json<SyncReasons>, ApiError> {
    let request = wire::ExplainSyncRequest { mapping_id, vendor_id: query.vendor_id, ..Default::default() };
    Ok(Json(rooms.sync().explain_sync(caller.asks(request)?).await?.into_inner().into()))
}
