use model::{Caller, Scope, Value};
use proto::{sync as wire, to_wire_time};

use super::{behind, limit, moment, optional_id, page, uuid};
use crate::{
    Error,
    domain::{
        cell::Record,
        undo::{Inverse, Item},
    },
    engine::Engine,
    store::{self, runs::Run},
};

pub(super) async fn list(
    engine: &Engine,
    caller: &Caller,
    request: wire::ListRunsRequest,
) -> Result<wire::ListRunsResponse, Error> {
    let connection = optional_id("connection", &request.connection_id)?;
    let limit = limit(request.limit, 50);
    let behind = behind(&request.page)?;
    let mut db = engine.pool.acquire().await?;
    let found = store::runs::list(&mut db, caller.organization, connection, behind, limit + 1).await?;
    let (runs, next_page) = page(found, limit, |run| moment(run.started_at, run.id));
    Ok(wire::ListRunsResponse { runs: runs.into_iter().map(show).collect(), next_page })
}

pub(super) async fn get(
    engine: &Engine,
    caller: &Caller,
    request: wire::RunRequest,
) -> Result<wire::Run, Error> {
    Ok(show(engine.run(caller, uuid("run", &request.run_id)?).await?))
}

pub(super) async fn preview(
    engine: &Engine,
    caller: &Caller,
    request: wire::RunRequest,
) -> Result<wire::UndoPreview, Error> {
    let preview = engine.preview_undo(caller, uuid("run", &request.run_id)?).await?;
    Ok(wire::UndoPreview {
        run_id: request.run_id,
        records: preview.records,
        put_back: preview.put_back,
        stays: preview.stays,
        complete: preview.complete,
        samples: preview
            .samples
            .iter()
            .filter(|_| caller.may(Scope::RecordsRead))
            .flat_map(|(record, inverse)| samples(record, inverse))
            .collect(),
    })
}

pub(super) async fn undo(
    engine: &Engine,
    caller: &Caller,
    request: wire::RunRequest,
) -> Result<wire::Run, Error> {
    Ok(show(engine.undo_run(caller, uuid("run", &request.run_id)?).await?))
}

fn samples(record: &Record, inverse: &Inverse) -> Vec<wire::UndoSample> {
    let action = |item: &Item| match item.stays {
        Some(stays) => stays.name(),
        None if inverse.archive => "archive",
        None if inverse.reopen => "reopen",
        None => "put_back",
    };
    let label = |field: &str| {
        record.object.schema().field(field).map_or_else(|| field.to_owned(), |field| field.label.clone())
    };
    let value = |value: &Value| Some(value.into());
    let sample = |item: &Item| wire::UndoSample {
        record_id: record.id.to_string(),
        object: record.object.name().to_owned(),
        title: record.title(),
        field: item.field.clone(),
        field_label: label(&item.field),
        now: value(&item.now),
        back: value(&item.back),
        action: action(item).to_owned(),
    };
    inverse.items.iter().map(sample).collect()
}

fn show(run: Run) -> wire::Run {
    let count = |number: i64| u64::try_from(number).unwrap_or_default();
    wire::Run {
        id: run.id.to_string(),
        connection_id: run.connection.to_string(),
        vendor: run.vendor,
        vendor_object: run.vendor_object,
        kind: run.kind,
        can_undo: run.state == "done" && run.undone_by.is_none(),
        state: run.state,
        actor: run.actor,
        started_at: Some(to_wire_time(run.started_at)),
        finished_at: run.finished_at.map(to_wire_time),
        read: count(run.read),
        total: count(run.total),
        done: count(run.done),
        put_back: count(run.put_back),
        stayed: count(run.stayed),
        undo_of: run.undo_of.map(|id| id.to_string()).unwrap_or_default(),
        undone_by: run.undone_by.map(|id| id.to_string()).unwrap_or_default(),
    }
}
