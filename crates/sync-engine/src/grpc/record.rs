use std::collections::HashMap;

use model::{Caller, CanonicalObject, FieldSchema, FieldType, PicklistOption};
use proto::{field_type, sync as wire, to_wire_time, v1};

use super::{fitting, id, limit, optional_id, page, values};
use crate::{
    Error, Refusal,
    domain::{
        cell::Record,
        sync::{Link, LinkState, Reason},
    },
    engine::Engine,
    mappings,
    store::{self, records::Listing, revisions::Revision},
};

fn object(name: &str) -> Result<CanonicalObject, Error> {
    name.parse().map_err(|_| {
        let message = "expected one of partner, company, deal, contact, lead";
        Error::refused(Refusal::NotFound, "object_unknown", message)
    })
}

pub(super) async fn objects(
    engine: &Engine,
    caller: &Caller,
    _: wire::ListObjectsRequest,
) -> Result<wire::ListObjectsResponse, Error> {
    let mut db = engine.pool.acquire().await?;
    let mapped = engine.mappings.load(&mut db, &[caller.organization]).await?;
    let mut objects = Vec::new();
    for object in CanonicalObject::ALL {
        let mut schema = mappings::canonical_schema(&mut db, caller.organization, object).await?;
        for field in &mut schema.fields {
            let is_open = matches!(field.field_type, FieldType::Picklist | FieldType::MultiPicklist)
                && field.options.is_empty();
            if is_open && let Some(options) = mapped.options(caller.organization, object, &field.name) {
                field.options = options.to_vec();
            }
        }
        objects.push((&schema).into());
    }
    Ok(wire::ListObjectsResponse { objects })
}

pub(super) async fn list(
    engine: &Engine,
    caller: &Caller,
    request: wire::ListRecordsRequest,
) -> Result<wire::ListRecordsResponse, Error> {
    if request.vendor.is_empty() != request.vendor_id.is_empty() {
        let message = "vendor and vendor_id go together";
        return Err(Error::refused(Refusal::Invalid, "vendor_filter_incomplete", message));
    }
    let before = if request.page.is_empty() {
        None
    } else {
        let wrong = |_| Error::refused(Refusal::Invalid, "page_invalid", "this is not a page of a listing");
        Some(request.page.parse().map_err(wrong)?)
    };
    let listing = Listing {
        object: object(&request.object)?,
        query: request.query,
        vendor: (!request.vendor.is_empty()).then_some((request.vendor, request.vendor_id)),
        before,
        archived: request.include_archived,
        limit: limit(request.limit, 50),
    };
    let mut db = engine.pool.acquire().await?;
    let found = store::records::list(&mut db, caller.organization, &listing).await?;
    let total = store::records::count(&mut db, caller.organization, &listing).await?;
    let (records, next_page) = page(found, listing.limit, |record| record.id.to_string());
    let records = with_links(engine, &mut db, records).await?;
    let (records, next_page) = fitting(records, next_page, |record| record.id.clone());
    Ok(wire::ListRecordsResponse { records, next_page, total: u64::try_from(total).unwrap_or_default() })
}

pub(super) async fn get(
    engine: &Engine,
    caller: &Caller,
    request: wire::GetRecordRequest,
) -> Result<wire::Record, Error> {
    let mut db = engine.pool.acquire().await?;
    let record = store::records::get(&mut db, caller.organization, id("record", &request.id)?)
        .await?
        .ok_or_else(|| Error::not_found("record"))?;
    one(engine, &mut db, record).await
}

pub(super) async fn create(
    engine: &Engine,
    caller: &Caller,
    request: wire::CreateRecordRequest,
) -> Result<wire::Record, Error> {
    let object = object(&request.object)?;
    let record =
        engine.create_record(caller, object, values(request.fields)?, &request.idempotency_key).await?;
    answer(engine, record).await
}

pub(super) async fn update(
    engine: &Engine,
    caller: &Caller,
    request: wire::UpdateRecordRequest,
) -> Result<wire::Record, Error> {
    let fields = values(request.fields)?;
    let record = id("record", &request.id)?;
    let record = engine.update_record(caller, record, fields, request.if_version, Reason::Edited).await?;
    answer(engine, record).await
}

pub(super) async fn archive(
    engine: &Engine,
    caller: &Caller,
    request: wire::ArchiveRecordRequest,
) -> Result<wire::Record, Error> {
    let record = engine.archive_record(caller, id("record", &request.id)?).await?;
    answer(engine, record).await
}

pub(super) async fn history(
    engine: &Engine,
    caller: &Caller,
    request: wire::GetHistoryRequest,
) -> Result<wire::GetHistoryResponse, Error> {
    let mut db = engine.pool.acquire().await?;
    let record = store::records::get(&mut db, caller.organization, id("record", &request.id)?)
        .await?
        .ok_or_else(|| Error::not_found("record"))?;
    let before = (request.before_version > 0).then_some(request.before_version);
    let revisions = store::revisions::of_record(&mut db, record.id, before, limit(request.limit, 50)).await?;
    let revisions = revisions.into_iter().map(revision).collect();
    let (revisions, _) = fitting(revisions, String::new(), |_| String::new());
    Ok(wire::GetHistoryResponse { revisions })
}

pub(super) async fn add_custom_field(
    engine: &Engine,
    caller: &Caller,
    request: wire::AddCustomFieldRequest,
) -> Result<v1::Field, Error> {
    let field = custom_field(request.field.unwrap_or_default())?;
    engine.add_custom_field(caller, object(&request.object)?, &field).await?;
    Ok((&field).into())
}

/// The field that a caller asks for, as far as its parts can be read.
fn custom_field(wish: v1::Field) -> Result<FieldSchema, Error> {
    let Some(field_type) = field_type(&wish.r#type) else {
        return Err(Error::invalid_field("type_unknown", "type", "there is no such field type"));
    };
    let label = Some(wish.label.trim()).filter(|label| !label.is_empty()).unwrap_or(&wish.name).to_owned();
    let option = |option: v1::PicklistOption| PicklistOption {
        label: if option.label.trim().is_empty() { option.value.clone() } else { option.label },
        value: option.value,
    };
    Ok(FieldSchema {
        label,
        name: wish.name,
        field_type,
        description: wish.description,
        options: wish.options.into_iter().map(option).collect(),
        read_only: false,
        required: false,
        unique: false,
        custom: true,
        references: None,
    })
}

async fn answer(engine: &Engine, record: Record) -> Result<wire::Record, Error> {
    let mut db = engine.pool.acquire().await?;
    one(engine, &mut db, record).await
}

pub(super) async fn one(
    engine: &Engine,
    db: &mut sqlx::PgConnection,
    record: Record,
) -> Result<wire::Record, Error> {
    let id = record.id;
    with_links(engine, db, vec![record]).await?.pop().ok_or_else(|| Error::stored("a record", Gone(id)))
}

#[derive(Debug, thiserror::Error)]
#[error("{0} is gone")]
struct Gone(model::RecordId);

async fn with_links(
    engine: &Engine,
    db: &mut sqlx::PgConnection,
    records: Vec<Record>,
) -> Result<Vec<wire::Record>, Error> {
    let ids: Vec<model::RecordId> = records.iter().map(|record| record.id).collect();
    let mut organizations: Vec<model::OrganizationId> =
        records.iter().map(|record| record.organization).collect();
    organizations.dedup();
    let mappings = engine.mappings.load(db, &organizations).await?;
    let mut links: HashMap<model::RecordId, Vec<wire::RecordLink>> = HashMap::new();
    for link in store::links::of_records(db, &ids).await? {
        let (Some(record), Some(mapping)) = (link.record, mappings.get(link.mapping)) else { continue };
        let mapping = &mapping.mapping;
        links.entry(record).or_default().push(wire::RecordLink {
            id: link.id.to_string(),
            connection_id: mapping.connection.to_string(),
            vendor: mapping.vendor.clone(),
            vendor_object: mapping.vendor_object.clone(),
            state: state(&link).to_owned(),
            seen_at: link.seen_at.map(to_wire_time),
            mapping_id: mapping.id.to_string(),
            vendor_id: link.vendor_id.unwrap_or_default(),
        });
    }
    Ok(records
        .into_iter()
        .map(|record| {
            let links = links.remove(&record.id).unwrap_or_default();
            to_wire(&record, links)
        })
        .collect())
}

fn state(link: &Link) -> &'static str {
    match link.state {
        LinkState::Detached => "detached",
        LinkState::Ambiguous => "ambiguous",
        LinkState::Staged => "staged",
        LinkState::Filtered => "filtered",
        LinkState::Ignored => "ignored",
        LinkState::Linked if link.write.is_some() => "writing",
        LinkState::Linked if link.is_refused() => "blocked",
        LinkState::Linked => "in_sync",
    }
}

fn to_wire(record: &Record, links: Vec<wire::RecordLink>) -> wire::Record {
    wire::Record {
        id: record.id.to_string(),
        object: record.object.name().to_owned(),
        version: record.version,
        fields: record
            .cells
            .iter()
            .filter(|(_, cell)| !cell.value.is_blank())
            .map(|(name, cell)| (name.clone(), (&cell.value).into()))
            .collect(),
        links,
        created_at: Some(to_wire_time(record.created_at)),
        updated_at: Some(to_wire_time(record.updated_at)),
        archived_at: record.archived_at.map(to_wire_time),
        title: record.title(),
    }
}

fn revision(revision: Revision) -> wire::Revision {
    wire::Revision {
        version: revision.version,
        at: Some(to_wire_time(revision.at)),
        actor: revision.actor,
        cause: revision.cause,
        vendor: revision.vendor.unwrap_or_default(),
        changes: revision
            .changes
            .iter()
            .map(|change| wire::FieldChange {
                field: change.field.clone(),
                before: Some((&change.before).into()),
                after: Some((&change.after).into()),
                reason: change.reason.name().to_owned(),
            })
            .collect(),
    }
}

/// A record's id that may be left out.
pub(super) fn optional_record(text: &str) -> Result<Option<model::RecordId>, Error> {
    optional_id("record", text)
}
