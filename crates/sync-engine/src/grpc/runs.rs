use jiff::Timestamp;
use model::{Caller, Scope, Value};
use proto::{sync as wire, to_wire_time};
use uuid::Uuid;

use super::{limit, optional_id, uuid};
use crate::{
    Error, Refusal,
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
    let behind = if request.page.is_empty() { None } else { Some(place(&request.page)?) };
    let mut db = engine.pool.acquire().await?;
    let runs = store::runs::list(&mut db, caller.organization, connection, behind, limit).await?;
    let full = i64::try_from(runs.len()).is_ok_and(|count| count == limit);
    let page = |run: &Run| format!("{}.{}", run.started_at.as_microsecond(), run.id);
    Ok(wire::ListRunsResponse {
        next_page: runs.last().filter(|_| full).map(page).unwrap_or_default(),
        runs: runs.into_iter().map(show).collect(),
    })
}

fn place(page: &str) -> Result<(Timestamp, Uuid), Error> {
    let read = || {
        let (at, id) = page.split_once('.')?;
        Some((Timestamp::from_microsecond(at.parse().ok()?).ok()?, Uuid::try_parse(id).ok()?))
    };
    let wrong = || Error::refused(Refusal::Invalid, "page_invalid", "this is not a page of a listing");
    read().ok_or_else(wrong)
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
