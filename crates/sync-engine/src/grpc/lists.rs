use model::{Caller, Scope};
use proto::{sync as wire, to_wire_time};
use sqlx::PgConnection;

use super::{fitting, limit, optional_id, page, record, uuid};
use crate::{
    Error,
    engine::Engine,
    store::{self, conflicts::StoredConflict},
};

pub(super) async fn conflicts(
    engine: &Engine,
    caller: &Caller,
    request: wire::ListConflictsRequest,
) -> Result<wire::ListConflictsResponse, Error> {
    let connection = optional_id("connection", &request.connection_id)?;
    let record = record::optional_record(&request.record_id)?;
    let before = if request.page.is_empty() { None } else { Some(uuid("page", &request.page)?) };
    let limit = limit(request.limit, 50);
    let mut db = engine.pool.acquire().await?;
    let found =
        store::conflicts::list(&mut db, caller.organization, connection, record, before, limit + 1).await?;
    let (found, next_page) = page(found, limit, |conflict| conflict.id.to_string());
    let mut conflicts = Vec::new();
    for conflict in found {
        let title = title(&mut db, caller, Some(conflict.record)).await?;
        let conflict = show_conflict(conflict, title);
        conflicts.push(if caller.may(Scope::RecordsRead) { conflict } else { without_values(conflict) });
    }
    let (conflicts, next_page) = fitting(conflicts, next_page, |conflict| conflict.id.clone());
    Ok(wire::ListConflictsResponse { conflicts, next_page })
}

pub(super) async fn restore_conflict(
    engine: &Engine,
    caller: &Caller,
    request: wire::RestoreConflictRequest,
) -> Result<wire::Record, Error> {
    let restored = engine.restore_conflict(caller, uuid("conflict", &request.conflict_id)?).await?;
    let mut db = engine.pool.acquire().await?;
    record::one(engine, &mut db, restored).await
}

async fn title(
    db: &mut PgConnection,
    caller: &Caller,
    record: Option<model::RecordId>,
) -> Result<String, Error> {
    let Some(record) = record else { return Ok(String::new()) };
    let record = store::records::get(db, caller.organization, record).await?;
    Ok(record.map(|record| record.title()).unwrap_or_default())
}

/// A conflict for whoever may see mappings and not records.
fn without_values(conflict: wire::Conflict) -> wire::Conflict {
    wire::Conflict { record_title: String::new(), kept: None, lost: None, ..conflict }
}

fn show_conflict(conflict: StoredConflict, title: String) -> wire::Conflict {
    let label = conflict
        .object
        .parse::<model::CanonicalObject>()
        .ok()
        .and_then(|object| object.schema().field(&conflict.field).map(|field| field.label.clone()));
    // Personal data is not shown out of its record; what was lost can be restored unseen.
    let value = |value: &model::Value| (!conflict.pii).then(|| value.into());
    wire::Conflict {
        id: conflict.id.to_string(),
        record_id: conflict.record.to_string(),
        record_title: title,
        object: conflict.object,
        field_label: label.unwrap_or_else(|| conflict.field.clone()),
        field: conflict.field,
        connection_id: conflict.connection.to_string(),
        policy: conflict.policy,
        winner: conflict.winner,
        kept: value(&conflict.kept),
        lost: value(&conflict.lost),
        pii: conflict.pii,
        within_clock_skew: conflict.within_clock_skew,
        at: Some(to_wire_time(conflict.at)),
        restored_at: conflict.restored_at.map(to_wire_time),
    }
}
