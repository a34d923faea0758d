use std::time::Duration;

use axum::{
    body::Body,
    extract::State,
    response::{IntoResponse, Response},
};
use bytes::Bytes;
use futures::StreamExt;
use http::header;
use proto::{AuditLine, audit as wire};
use utoipa_axum::{router::OpenApiRouter, routes};

use crate::{
    extract::{Caller, Json, Query},
    failure::{ApiError, Refusals},
    rooms::Rooms,
    view::audit::{AuditFilter, ChainState, Entry, EntryList},
};

/// Walking a long chain takes its time.
const VERIFIED_WITHIN: Duration = Duration::from_secs(600);
/// Entries written to the answer at once.
const CHUNK: usize = 100;

pub(super) fn router() -> OpenApiRouter<Rooms> {
    OpenApiRouter::new().routes(routes!(list)).routes(routes!(export)).routes(routes!(verify))
}

/// List entries of the audit log, newest first.
///
/// Scope `audit:read`.
#[utoipa::path(
    get, path = "/audit", tag = "audit", params(AuditFilter), responses((status = 200, body = EntryList), Refusals)
)]
async fn list(
    State(rooms): State<Rooms>,
    caller: Caller,
    Query(filter): Query<AuditFilter>,
) -> Result<Json<EntryList>, ApiError> {
    let request = caller.asks(wire::ListEntriesRequest::from(filter))?;
    Ok(Json(rooms.audit().list_entries(request).await?.into_inner().into()))
}

/// Export all entries that fit, oldest first, as JSON lines that can be verified alone.
///
/// Scope `audit:read`.
#[utoipa::path(
    get, path = "/audit/export", tag = "audit", params(AuditFilter),
    responses(
        (status = 200, content_type = "application/x-ndjson", body = Entry, description = "One entry a line"),
        Refusals
    )
)]
async fn export(
    State(rooms): State<Rooms>,
    caller: Caller,
    Query(filter): Query<AuditFilter>,
) -> Result<Response, ApiError> {
    let request = caller.asks_within(VERIFIED_WITHIN, wire::ListEntriesRequest::from(filter))?;
    let entries = rooms.audit().export(request).await?.into_inner();
    // An export that fails in the middle ends the connection, so that nobody takes it for whole.
    let chunks = entries.ready_chunks(CHUNK).map(|chunk| {
        let mut lines = Vec::with_capacity(chunk.len() * 1024);
        for entry in chunk {
            let entry = entry.map_err(|_| std::io::Error::other("the audit room ended the export"))?;
            serde_json::to_writer(&mut lines, &AuditLine::from(&entry))?;
            lines.push(b'\n');
        }
        Ok::<_, std::io::Error>(Bytes::from(lines))
    });
    let headers = [
        (header::CONTENT_TYPE, "application/x-ndjson"),
        (header::CONTENT_DISPOSITION, "attachment; filename=\"audit.jsonl\""),
    ];
    Ok((headers, Body::from_stream(chunks)).into_response())
}

/// Walk the chain of the audit log and say whether it is whole.
///
/// Scope `audit:read`.
#[utoipa::path(get, path = "/audit/verify", tag = "audit", responses((status = 200, body = ChainState), Refusals))]
async fn verify(State(rooms): State<Rooms>, caller: Caller) -> Result<Json<ChainState>, ApiError> {
    let request = caller.asks_within(VERIFIED_WITHIN, wire::VerifyRequest {})?;
    Ok(Json(rooms.audit().verify(request).await?.into_inner().into()))
}
