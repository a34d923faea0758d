use axum::extract::State;
use http::{HeaderMap, StatusCode};
use model::CanonicalObject;
use proto::sync as wire;
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;
use utoipa_axum::{router::OpenApiRouter, routes};

use crate::{
    extract::{Caller, Json, Path, Query, idempotency_key},
    failure::{ApiError, Conflicts, Refusals},
    rooms::Rooms,
    view::{
        lineage::{Lineage, LineageQuery},
        record::{History, HistoryQuery, ListRecords, NewRecord, Record, RecordEdit, RecordList},
        value::{Field, ObjectSchema, given},
    },
};

pub(super) fn router() -> OpenApiRouter<Rooms> {
    OpenApiRouter::new()
        .routes(routes!(objects))
        .routes(routes!(add_field))
        .routes(routes!(list, create))
        .routes(routes!(get, update, archive))
        .routes(routes!(history))
        .routes(routes!(lineage))
}

/// The objects of the partner workspace.
#[derive(Serialize, ToSchema)]
struct ObjectList {
    data: Vec<ObjectSchema>,
}

/// A custom field to be added.
#[derive(Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
struct NewField {
    /// Its internal name: lower-case letters, digits and underscores.
    name: String,
    label: String,
    /// `text`, `number`, `date`, `boolean`, `picklist` …
    r#type: String,
    #[serde(default)]
    description: String,
    /// The choices of a picklist.
    #[serde(default)]
    options: Vec<NewOption>,
}

/// A choice of a picklist.
#[derive(Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
struct NewOption {
    value: String,
    label: String,
}

/// The object with this name, singular or plural.
fn object(name: &str) -> Result<String, ApiError> {
    let matches = |object: &CanonicalObject| {
        let singular = object.name();
        name == singular || name == object.label().to_ascii_lowercase()
    };
    let found = CanonicalObject::ALL.into_iter().find(matches).map(|object| object.name().to_owned());
    let message = "There is no such object. There are partners, companies, deals, contacts and leads.";
    found.ok_or_else(|| ApiError::new(StatusCode::NOT_FOUND, "object_unknown", message).at("object"))
}

/// The record with this id, if it is one of this object.
pub(super) async fn find(
    rooms: &Rooms,
    caller: &Caller,
    object_name: &str,
    id: String,
) -> Result<Record, ApiError> {
    let object = object(object_name)?;
    let found = rooms.sync().get_record(caller.asks(wire::GetRecordRequest { id })?).await?.into_inner();
    if found.object == object {
        return Ok(found.into());
    }
    Err(ApiError::new(StatusCode::NOT_FOUND, "record_not_found", "There is no such record."))
}

/// List the objects and their fields.
///
/// Scope `records:read`.
#[utoipa::path(get, path = "/objects", tag = "records", responses((status = 200, body = ObjectList), Refusals))]
async fn objects(State(rooms): State<Rooms>, caller: Caller) -> Result<Json<ObjectList>, ApiError> {
    let list = rooms.sync().list_objects(caller.asks(wire::ListObjectsRequest {})?).await?.into_inner();
    Ok(Json(ObjectList { data: list.objects.into_iter().map(Into::into).collect() }))
}

/// Add a custom field to an object.
///
/// Scope `mappings:write`.
#[utoipa::path(
    post, path = "/objects/{object}/fields", tag = "records", request_body = NewField,
    params(("object" = String, Path, description = "`company` or `companies`, …")),
    responses((status = 201, body = Field), Refusals, Conflicts)
)]
async fn add_field(
    State(rooms): State<Rooms>,
    caller: Caller,
    Path(name): Path<String>,
    Json(field): Json<NewField>,
) -> Result<(StatusCode, Json<Field>), ApiError> {
    let option = |option: NewOption| proto::v1::PicklistOption { value: option.value, label: option.label };
    let field = proto::v1::Field {
        name: field.name,
        label: field.label,
        r#type: field.r#type,
        description: field.description,
        options: field.options.into_iter().map(option).collect(),
        custom: true,
        ..Default::default()
    };
    let request = wire::AddCustomFieldRequest { object: object(&name)?, field: Some(field) };
    let added = rooms.sync().add_custom_field(caller.asks(request)?).await?.into_inner();
    Ok((StatusCode::CREATED, Json(added.into())))
}

/// List records, newest first; or find the one that is linked to a vendor's record.
///
/// Scope `records:read`.
#[utoipa::path(
    get, path = "/records/{object}", tag = "records",
    params(("object" = String, Path, description = "`company` or `companies`, …"), ListRecords),
    responses((status = 200, body = RecordList), Refusals)
)]
async fn list(
    State(rooms): State<Rooms>,
    caller: Caller,
    Path(name): Path<String>,
    Query(query): Query<ListRecords>,
) -> Result<Json<RecordList>, ApiError> {
    let request = wire::ListRecordsRequest {
        object: object(&name)?,
        vendor: query.vendor.unwrap_or_default(),
        vendor_id: query.vendor_id.unwrap_or_default(),
        query: query.query.unwrap_or_default(),
        limit: query.limit.unwrap_or_default(),
        page: query.page.unwrap_or_default(),
        include_archived: query.include_archived,
    };
    Ok(Json(rooms.sync().list_records(caller.asks(request)?).await?.into_inner().into()))
}

/// Create a record.
///
/// Scope `records:write`. With the header `Idempotency-Key`, repeating the request gives the first record again; another
/// request under the same key is refused with `idempotency_key_reused`. A key belongs to the credential and the object.
#[utoipa::path(
    post, path = "/records/{object}", tag = "records", request_body = NewRecord,
    params(
        ("object" = String, Path, description = "`company` or `companies`, …"),
        ("Idempotency-Key" = Option<String>, Header, description = "1 to 255 visible ASCII characters"),
    ),
    responses((status = 201, body = Record), Refusals, Conflicts)
)]
async fn create(
    State(rooms): State<Rooms>,
    caller: Caller,
    Path(name): Path<String>,
    headers: HeaderMap,
    Json(new): Json<NewRecord>,
) -> Result<(StatusCode, Json<Record>), ApiError> {
    let request = wire::CreateRecordRequest {
        object: object(&name)?,
        fields: given(new.fields)?,
        idempotency_key: idempotency_key(&headers)?,
    };
    let created = rooms.sync().create_record(caller.asks(request)?).await?.into_inner();
    Ok((StatusCode::CREATED, Json(created.into())))
}

/// Read a record.
///
/// Scope `records:read`.
#[utoipa::path(
    get, path = "/records/{object}/{id}", tag = "records",
    params(("object" = String, Path), ("id" = String, Path, description = "`rec_…`")),
    responses((status = 200, body = Record), Refusals)
)]
async fn get(
    State(rooms): State<Rooms>,
    caller: Caller,
    Path((name, id)): Path<(String, String)>,
) -> Result<Json<Record>, ApiError> {
    Ok(Json(find(&rooms, &caller, &name, id).await?))
}

/// Change fields of a record; the change goes on to the vendors that it is linked to.
///
/// Scopes `records:read` and `records:write`.
#[utoipa::path(
    patch, path = "/records/{object}/{id}", tag = "records", request_body = RecordEdit,
    params(("object" = String, Path), ("id" = String, Path, description = "`rec_…`")),
    responses((status = 200, body = Record), Refusals, Conflicts)
)]
async fn update(
    State(rooms): State<Rooms>,
    caller: Caller,
    Path((name, id)): Path<(String, String)>,
    Json(edit): Json<RecordEdit>,
) -> Result<Json<Record>, ApiError> {
    let fields = given(edit.fields)?;
    let id = find(&rooms, &caller, &name, id).await?.id;
    let request = wire::UpdateRecordRequest { id, fields, if_version: edit.if_version };
    Ok(Json(rooms.sync().update_record(caller.asks(request)?).await?.into_inner().into()))
}

/// Archive a record.
///
/// Scopes `records:read` and `records:write`.
#[utoipa::path(
    delete, path = "/records/{object}/{id}", tag = "records",
    params(("object" = String, Path), ("id" = String, Path, description = "`rec_…`")),
    responses((status = 200, body = Record), Refusals, Conflicts)
)]
async fn archive(
    State(rooms): State<Rooms>,
    caller: Caller,
    Path((name, id)): Path<(String, String)>,
) -> Result<Json<Record>, ApiError> {
    let id = find(&rooms, &caller, &name, id).await?.id;
    let request = wire::ArchiveRecordRequest { id };
    Ok(Json(rooms.sync().archive_record(caller.asks(request)?).await?.into_inner().into()))
}

/// Read what happened to a record, newest first.
///
/// Scope `records:read`.
#[utoipa::path(
    get, path = "/records/{object}/{id}/history", tag = "records",
    params(("object" = String, Path), ("id" = String, Path, description = "`rec_…`"), HistoryQuery),
    responses((status = 200, body = History), Refusals)
)]
async fn history(
    State(rooms): State<Rooms>,
    caller: Caller,
    Path((name, id)): Path<(String, String)>,
    Query(query): Query<HistoryQuery>,
) -> Result<Json<History>, ApiError> {
    let id = find(&rooms, &caller, &name, id).await?.id;
    let request = wire::GetHistoryRequest {
        id,
        limit: query.limit.unwrap_or_default(),
        before_version: query.before_version.unwrap_or_default(),
    };
    Ok(Json(rooms.sync().get_history(caller.asks(request)?).await?.into_inner().into()))
}

/// Read why a field has its value: the edit, the mapping that took it in, conflicts, and what each vendor made of it.
///
/// Scope `records:read`.
#[utoipa::path(
    get, path = "/records/{object}/{id}/lineage", tag = "records",
    params(("object" = String, Path), ("id" = String, Path, description = "`rec_…`"), LineageQuery),
    responses((status = 200, body = Lineage), Refusals)
)]
async fn lineage(
    State(rooms): State<Rooms>,
    caller: Caller,
    Path((name, id)): Path<(String, String)>,
    Query(query): Query<LineageQuery>,
) -> Result<Json<Lineage>, ApiError> {
    let object = object(&name)?;
    let request = wire::GetLineageRequest {
        record_id: id,
        field: query.field,
        version: query.version.unwrap_or_default(),
    };
    let found = rooms.sync().get_lineage(caller.asks(request)?).await?.into_inner();
    if found.object != object {
        return Err(ApiError::new(StatusCode::NOT_FOUND, "record_not_found", "There is no such record."));
    }
    Ok(Json(found.into()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_object_is_known_by_its_singular_and_its_plural() {
        for (name, found) in [("company", "company"), ("companies", "company"), ("deals", "deal")] {
            assert_eq!(object(name).unwrap(), found);
        }
        assert!(object("Company").is_err() && object("").is_err());
    }
}
