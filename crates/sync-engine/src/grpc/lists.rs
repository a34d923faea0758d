use jiff::SignedDuration;
use model::{Caller, Scope};
use proto::{sync as wire, to_wire_time};
use sqlx::PgConnection;

use super::{id, limit, optional_id, record, uuid};
use crate::{
    Error,
    domain::health::{BUCKETS, percentile},
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
        store::conflicts::list(&mut db, caller.organization, connection, record, before, limit).await?;
    let full = i64::try_from(found.len()).is_ok_and(|count| count == limit);
    let next_page = found.last().filter(|_| full).map(|conflict| conflict.id.to_string()).unwrap_or_default();
    let mut conflicts = Vec::new();
    for conflict in found {
        let title = title(&mut db, caller, Some(conflict.record)).await?;
        let conflict = show_conflict(conflict, title);
        conflicts.push(if caller.may(Scope::RecordsRead) { conflict } else { without_values(conflict) });
    }
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

pub(super) async fn health(
    engine: &Engine,
    caller: &Caller,
    request: wire::GetSyncHealthRequest,
) -> Result<wire::GetSyncHealthResponse, Error> {
    let mut db = engine.pool.acquire().await?;
    let connection = engine.connection(&mut db, caller, id("connection", &request.connection_id)?).await?;
    let minutes = if request.minutes == 0 { 60 } else { request.minutes.min(7 * 24 * 60) };
    let since = engine.clock.now() - SignedDuration::from_mins(i64::from(minutes));
    let minutes = store::activity::since(&mut db, connection.id, since).await?;
    let count = |count: i64| u64::try_from(count).unwrap_or_default();
    let lag = |buckets: &[i64], share| count(percentile(buckets, share).unwrap_or_default());
    let mut all = vec![0; BUCKETS];
    for minute in &minutes {
        for (sum, bucket) in all.iter_mut().zip(&minute.lag_buckets) {
            *sum += bucket;
        }
    }
    Ok(wire::GetSyncHealthResponse {
        lag_p50_ms: lag(&all, 0.5),
        lag_p99_ms: lag(&all, 0.99),
        applied: count(minutes.iter().map(|minute| minute.applied).sum()),
        failed: count(minutes.iter().map(|minute| minute.failed).sum()),
        echoes: count(minutes.iter().map(|minute| minute.echoes).sum()),
        conflicts: count(minutes.iter().map(|minute| minute.conflicts).sum()),
        open_issues: count(store::issues::count(&mut db, connection.id).await?),
        points: minutes
            .iter()
            .map(|minute| wire::HealthPoint {
                minute: Some(to_wire_time(minute.minute)),
                applied: count(minute.applied),
                failed: count(minute.failed),
                lag_p50_ms: lag(&minute.lag_buckets, 0.5),
                lag_max_ms: count(minute.lag_max_ms),
            })
            .collect(),
    })
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
        kept: Some((&conflict.kept).into()),
        lost: Some((&conflict.lost).into()),
        pii: conflict.pii,
        within_clock_skew: conflict.within_clock_skew,
        at: Some(to_wire_time(conflict.at)),
        restored_at: conflict.restored_at.map(to_wire_time),
    }
}
