use axum::extract::State;
use http::StatusCode;
use proto::sync as wire;
use utoipa_axum::{router::OpenApiRouter, routes};

use crate::{
    extract::{Caller, Json, Path, Query},
    failure::{ApiError, Conflicts, Refusals},
    rooms::Rooms,
    view::mapping::{
        Activation, FieldEdit, ListMappings, Mapping, MappingEdit, MappingList, NewMapping, Plan,
    },
};

pub(super) fn router() -> OpenApiRouter<Rooms> {
    OpenApiRouter::new()
        .routes(routes!(list, create))
        .routes(routes!(get, edit))
        .routes(routes!(suggest))
        .routes(routes!(edit_field))
        .routes(routes!(discard))
        .routes(routes!(plan, request_plan))
        .routes(routes!(activate))
        .routes(routes!(pause))
        .routes(routes!(resume))
}

const fn named(mapping_id: String) -> wire::MappingRequest {
    wire::MappingRequest { mapping_id }
}

/// List the mappings.
///
/// Scope `mappings:read`.
#[utoipa::path(
    get, path = "/mappings", tag = "mappings", params(ListMappings),
    responses((status = 200, body = MappingList), Refusals)
)]
async fn list(
    State(rooms): State<Rooms>,
    caller: Caller,
    Query(query): Query<ListMappings>,
) -> Result<Json<MappingList>, ApiError> {
    let request = wire::ListMappingsRequest { connection_id: query.connection_id.unwrap_or_default() };
    Ok(Json(rooms.sync().list_mappings(caller.asks(request)?).await?.into_inner().into()))
}

/// Create a mapping, a draft.
///
/// Scope `mappings:write`.
#[utoipa::path(
    post, path = "/mappings", tag = "mappings", request_body = NewMapping,
    responses((status = 201, body = Mapping), Refusals, Conflicts)
)]
async fn create(
    State(rooms): State<Rooms>,
    caller: Caller,
    Json(new): Json<NewMapping>,
) -> Result<(StatusCode, Json<Mapping>), ApiError> {
    let request = wire::CreateMappingRequest {
        connection_id: new.connection_id,
        object: new.object,
        vendor_object: new.vendor_object,
    };
    let created = rooms.sync().create_mapping(caller.asks(request)?).await?.into_inner();
    Ok((StatusCode::CREATED, Json(created.into())))
}

/// Read a mapping and its fields.
///
/// Scope `mappings:read`.
#[utoipa::path(
    get, path = "/mappings/{id}", tag = "mappings", params(("id" = String, Path, description = "`map_…`")),
    responses((status = 200, body = Mapping), Refusals)
)]
async fn get(
    State(rooms): State<Rooms>,
    caller: Caller,
    Path(id): Path<String>,
) -> Result<Json<Mapping>, ApiError> {
    Ok(Json(rooms.sync().get_mapping(caller.asks(named(id))?).await?.into_inner().into()))
}

/// Change the direction, the usual policy, the match keys, the delete policy, the filter or the time zone; or confirm all
/// suggestions. Once the mapping was activated, what would sync records otherwise waits in `pending_changes` until a plan
/// of it is applied.
///
/// Scope `mappings:write`.
#[utoipa::path(
    patch, path = "/mappings/{id}", tag = "mappings", params(("id" = String, Path)), request_body = MappingEdit,
    responses((status = 200, body = Mapping), Refusals, Conflicts)
)]
async fn edit(
    State(rooms): State<Rooms>,
    caller: Caller,
    Path(mapping_id): Path<String>,
    Json(edit): Json<MappingEdit>,
) -> Result<Json<Mapping>, ApiError> {
    let request = wire::SetMappingRequest {
        mapping_id,
        direction: edit.direction,
        default_policy: edit.default_policy,
        match_keys: edit.match_keys,
        confirm_all: edit.confirm_all,
        delete_policy: edit.delete_policy,
        filter: edit.filter.map(Into::into),
        time_zone: edit.time_zone,
    };
    Ok(Json(rooms.sync().set_mapping(caller.asks(request)?).await?.into_inner().into()))
}

/// Suggest a vendor field for each field that is not decided yet.
///
/// Scope `mappings:write`.
#[utoipa::path(
    post, path = "/mappings/{id}/suggest", tag = "mappings", params(("id" = String, Path)),
    responses((status = 200, body = Mapping), Refusals, Conflicts)
)]
async fn suggest(
    State(rooms): State<Rooms>,
    caller: Caller,
    Path(id): Path<String>,
) -> Result<Json<Mapping>, ApiError> {
    Ok(Json(rooms.sync().suggest_mappings(caller.asks(named(id))?).await?.into_inner().into()))
}

/// Confirm, choose, ignore or unmap a field, or change its rules: direction, policy, blanks, transforms, value map and
/// the mark of personal data. Once the mapping was activated, what would sync records otherwise waits in `pending_changes`
/// until a plan of it is applied; a mark of personal data holds at once.
///
/// Scope `mappings:write`.
#[utoipa::path(
    patch, path = "/mappings/{id}/fields/{field}", tag = "mappings", request_body = FieldEdit,
    params(("id" = String, Path), ("field" = String, Path, description = "The name of our field")),
    responses((status = 200, body = Mapping), Refusals, Conflicts)
)]
async fn edit_field(
    State(rooms): State<Rooms>,
    caller: Caller,
    Path((mapping_id, field)): Path<(String, String)>,
    Json(edit): Json<FieldEdit>,
) -> Result<Json<Mapping>, ApiError> {
    let request = wire::SetFieldRequest {
        mapping_id,
        field,
        action: edit.action,
        vendor_field: edit.vendor_field.unwrap_or_default(),
        direction: edit.direction,
        policy: edit.policy,
        pii: edit.pii,
        blank_rule: edit.blank_rule,
        transforms: edit.transforms.map(|lines| wire::Transforms { lines }),
        values: edit
            .values
            .map(|pairs| wire::ValueMap { pairs: pairs.into_iter().map(Into::into).collect() }),
    };
    Ok(Json(rooms.sync().set_field(caller.asks(request)?).await?.into_inner().into()))
}

/// Drop the pending changes of a mapping.
///
/// Scope `mappings:write`.
#[utoipa::path(
    post, path = "/mappings/{id}/discard", tag = "mappings", params(("id" = String, Path)),
    responses((status = 200, body = Mapping), Refusals, Conflicts)
)]
async fn discard(
    State(rooms): State<Rooms>,
    caller: Caller,
    Path(id): Path<String>,
) -> Result<Json<Mapping>, ApiError> {
    Ok(Json(rooms.sync().discard_changes(caller.asks(named(id))?).await?.into_inner().into()))
}

/// Read the plan that was made last.
///
/// Scope `mappings:read`.
#[utoipa::path(
    get, path = "/mappings/{id}/plan", tag = "mappings", params(("id" = String, Path)),
    responses((status = 200, body = Plan), Refusals)
)]
async fn plan(
    State(rooms): State<Rooms>,
    caller: Caller,
    Path(id): Path<String>,
) -> Result<Json<Plan>, ApiError> {
    Ok(Json(rooms.sync().get_plan(caller.asks(named(id))?).await?.into_inner().into()))
}

/// Begin to work out what activation would do, or what the pending changes of a mapping would. Nothing moves, and an
/// active mapping syncs on as it did.
///
/// Scope `mappings:write`.
#[utoipa::path(
    post, path = "/mappings/{id}/plan", tag = "mappings", params(("id" = String, Path)),
    responses((status = 202, body = Plan), Refusals, Conflicts)
)]
async fn request_plan(
    State(rooms): State<Rooms>,
    caller: Caller,
    Path(id): Path<String>,
) -> Result<(StatusCode, Json<Plan>), ApiError> {
    let plan = rooms.sync().request_plan(caller.asks(named(id))?).await?.into_inner();
    Ok((StatusCode::ACCEPTED, Json(plan.into())))
}

/// Activate a mapping, apply its pending changes, or let a paused one go on, as its plan says.
///
/// Scope `mappings:write`.
#[utoipa::path(
    post, path = "/mappings/{id}/activate", tag = "mappings", params(("id" = String, Path)),
    request_body = Activation, responses((status = 200, body = Mapping), Refusals, Conflicts)
)]
async fn activate(
    State(rooms): State<Rooms>,
    caller: Caller,
    Path(mapping_id): Path<String>,
    Json(activation): Json<Activation>,
) -> Result<Json<Mapping>, ApiError> {
    let request = wire::ActivateRequest { mapping_id, plan_hash: activation.plan_hash };
    Ok(Json(rooms.sync().activate(caller.asks(request)?).await?.into_inner().into()))
}

/// Pause a mapping.
///
/// Scope `mappings:write`.
#[utoipa::path(
    post, path = "/mappings/{id}/pause", tag = "mappings", params(("id" = String, Path)),
    responses((status = 200, body = Mapping), Refusals, Conflicts)
)]
async fn pause(
    State(rooms): State<Rooms>,
    caller: Caller,
    Path(id): Path<String>,
) -> Result<Json<Mapping>, ApiError> {
    Ok(Json(rooms.sync().pause_mapping(caller.asks(named(id))?).await?.into_inner().into()))
}

/// Resume a paused mapping by the settings that it had; pending changes still wait.
///
/// Scope `mappings:write`.
#[utoipa::path(
    post, path = "/mappings/{id}/resume", tag = "mappings", params(("id" = String, Path)),
    responses((status = 200, body = Mapping), Refusals, Conflicts)
)]
async fn resume(
    State(rooms): State<Rooms>,
    caller: Caller,
    Path(id): Path<String>,
) -> Result<Json<Mapping>, ApiError> {
    Ok(Json(rooms.sync().resume_mapping(caller.asks(named(id))?).await?.into_inner().into()))
}
