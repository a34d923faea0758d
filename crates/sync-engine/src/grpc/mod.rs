//! Requests in: the gRPC service, thin over the engine. Every method first asks the guard.

mod attribution;
mod decisions;
mod health;
mod issues;
mod lineage;
mod lists;
mod mapping;
mod reconcile;
mod record;
mod runs;

use std::{collections::BTreeMap, sync::Arc};

use chassis::guard::{self, Guard};
use jiff::Timestamp;
use model::{Caller, Scope, Value};
use proto::{sync as wire, v1};
use tonic::{Code, Request, Response, Status, metadata::MetadataMap};

use crate::{Error, Refusal, engine::Engine};

type Answer<T> = Result<Response<T>, Status>;

/// The sync-engine's gRPC service.
#[derive(Clone)]
pub struct Service {
    engine: Arc<Engine>,
    guard: Guard,
}

impl std::fmt::Debug for Service {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("sync_engine::Service").finish_non_exhaustive()
    }
}

impl Service {
    pub(crate) const fn new(engine: Arc<Engine>, guard: Guard) -> Self {
        Self { engine, guard }
    }

    async fn caller(&self, metadata: &MetadataMap, scope: Scope) -> Result<Caller, Status> {
        Ok(self.guard.authorize(metadata, scope).await?.caller)
    }
}

/// How many times a request is tried whose transaction gave way to others, so that nothing of it is left.
const TRIES: usize = 5;

/// One method: check the scope, call the function with the caller and the message, as often as it gives way, wrap
/// the answer.
macro_rules! methods {
    ($($name:ident($request:ident) -> $reply:ty, $scope:ident, $call:path;)+) => {
        #[tonic::async_trait]
        impl proto::sync::sync_server::Sync for Service {
            $(
                async fn $name(&self, request: Request<wire::$request>) -> Answer<$reply> {
                    let caller = self.caller(request.metadata(), Scope::$scope).await?;
                    let message = request.into_inner();
                    for _ in 1..TRIES {
                        match $call(&self.engine, &caller, message.clone()).await {
                            Err(error) if error.gave_way() => {
                                tracing::debug!(%error, "a request is tried again");
                            }
                            answer => return answer.map(Response::new).map_err(refuse),
                        }
                    }
                    $call(&self.engine, &caller, message).await.map(Response::new).map_err(refuse)
                }
            )+
        }
    };
}

methods! {
    list_objects(ListObjectsRequest) -> wire::ListObjectsResponse, RecordsRead, record::objects;
    list_records(ListRecordsRequest) -> wire::ListRecordsResponse, RecordsRead, record::list;
    get_record(GetRecordRequest) -> wire::Record, RecordsRead, record::get;
    create_record(CreateRecordRequest) -> wire::Record, RecordsWrite, record::create;
    update_record(UpdateRecordRequest) -> wire::Record, RecordsWrite, record::update;
    archive_record(ArchiveRecordRequest) -> wire::Record, RecordsWrite, record::archive;
    get_history(GetHistoryRequest) -> wire::GetHistoryResponse, RecordsRead, record::history;
    get_lineage(GetLineageRequest) -> wire::Lineage, RecordsRead, lineage::get;
    add_custom_field(AddCustomFieldRequest) -> v1::Field, MappingsWrite, record::add_custom_field;
    get_attribution_writing(AttributionWritingRequest) -> wire::AttributionWriting, MappingsRead, attribution::get;
    set_attribution_writing(SetAttributionWritingRequest) -> wire::AttributionWriting, ConnectionsManage, attribution::set;
    list_pairs(ListPairsRequest) -> wire::ListPairsResponse, MappingsRead, mapping::pairs;
    create_mapping(CreateMappingRequest) -> wire::Mapping, MappingsWrite, mapping::create;
    list_mappings(ListMappingsRequest) -> wire::ListMappingsResponse, MappingsRead, mapping::list;
    get_mapping(MappingRequest) -> wire::Mapping, MappingsRead, mapping::get;
    suggest_mappings(MappingRequest) -> wire::Mapping, MappingsWrite, mapping::suggest;
    set_field(SetFieldRequest) -> wire::Mapping, MappingsWrite, mapping::set_field;
    set_mapping(SetMappingRequest) -> wire::Mapping, MappingsWrite, mapping::set;
    discard_changes(MappingRequest) -> wire::Mapping, MappingsWrite, mapping::discard;
    request_plan(MappingRequest) -> wire::Plan, MappingsWrite, mapping::request_plan;
    get_plan(MappingRequest) -> wire::Plan, MappingsRead, mapping::get_plan;
    activate(ActivateRequest) -> wire::Mapping, MappingsWrite, mapping::activate;
    pause_mapping(MappingRequest) -> wire::Mapping, MappingsWrite, mapping::pause;
    resume_mapping(MappingRequest) -> wire::Mapping, MappingsWrite, mapping::resume;
    list_decisions(ListDecisionsRequest) -> wire::ListDecisionsResponse, MappingsRead, decisions::list;
    settle_decision(SettleDecisionRequest) -> wire::SettleDecisionResponse, MappingsWrite, decisions::settle;
    explain_sync(ExplainSyncRequest) -> wire::ExplainSyncResponse, MappingsRead, decisions::explain;
    list_conflicts(ListConflictsRequest) -> wire::ListConflictsResponse, MappingsRead, lists::conflicts;
    restore_conflict(RestoreConflictRequest) -> wire::Record, RecordsWrite, lists::restore_conflict;
    list_issues(ListIssuesRequest) -> wire::ListIssuesResponse, MappingsRead, issues::list;
    retry_issue(IssueRequest) -> wire::Issue, MappingsWrite, issues::retry;
    dismiss_issue(IssueRequest) -> wire::Issue, MappingsWrite, issues::dismiss;
    settle_conflict(SettleConflictRequest) -> wire::Issue, RecordsWrite, issues::settle_conflict;
    retry_issues(ChangeIssuesRequest) -> wire::ChangeIssuesResponse, MappingsWrite, issues::retry_many;
    dismiss_issues(ChangeIssuesRequest) -> wire::ChangeIssuesResponse, MappingsWrite, issues::dismiss_many;
    list_runs(ListRunsRequest) -> wire::ListRunsResponse, MappingsRead, runs::list;
    get_run(RunRequest) -> wire::Run, MappingsRead, runs::get;
    preview_undo(RunRequest) -> wire::UndoPreview, RecordsWrite, runs::preview;
    undo_run(RunRequest) -> wire::Run, RecordsWrite, runs::undo;
    reconcile(ReconcileRequest) -> wire::ListReconcilesResponse, ConnectionsManage, reconcile::begin;
    list_reconciles(ListReconcilesRequest) -> wire::ListReconcilesResponse, MappingsRead, reconcile::list;
    get_reconcile(GetReconcileRequest) -> wire::Reconcile, MappingsRead, reconcile::get;
    get_sync_health(GetSyncHealthRequest) -> wire::GetSyncHealthResponse, ConnectionsRead, health::health;
}

/// An error as the caller sees it. What is not the caller's doing is logged here, once, and told without detail.
fn refuse(error: Error) -> Status {
    if error.is_unstorable_text() {
        let message = "A text holds a character that cannot be stored: U+0000.";
        return guard::status(Code::InvalidArgument, "text_invalid", message);
    }
    let Error::Refused { kind, code, message, field } = error else {
        tracing::error!(%error, "a request failed");
        return guard::status(
            Code::Unavailable,
            "sync_unavailable",
            "This cannot be done now. Try again soon.",
        );
    };
    let kind = match kind {
        Refusal::Invalid => Code::InvalidArgument,
        Refusal::NotFound => Code::NotFound,
        Refusal::Exists => Code::AlreadyExists,
        Refusal::NotReady => Code::FailedPrecondition,
        Refusal::Changed => Code::Aborted,
    };
    let status = guard::status(kind, code, message);
    match field {
        Some(field) => guard::at_field(status, &field),
        None => status,
    }
}

/// Reads an id of the caller's own organization; what does not read as one is not found.
fn id<T: std::str::FromStr>(what: &'static str, text: &str) -> Result<T, Error> {
    text.parse().map_err(|_| Error::not_found(what))
}

/// An id that may be left out.
fn optional_id<T: std::str::FromStr>(what: &'static str, text: &str) -> Result<Option<T>, Error> {
    if text.is_empty() { Ok(None) } else { id(what, text).map(Some) }
}

fn uuid(what: &'static str, text: &str) -> Result<uuid::Uuid, Error> {
    uuid::Uuid::try_parse(text).map_err(|_| Error::not_found(what))
}

/// What was found of a page, and where the next one begins: one more than fits was asked for.
fn page<T>(mut found: Vec<T>, limit: i64, place: impl Fn(&T) -> String) -> (Vec<T>, String) {
    let most = usize::try_from(limit).unwrap_or(usize::MAX);
    let more = found.len() > most;
    found.truncate(most);
    let next = found.last().filter(|_| more).map(place).unwrap_or_default();
    (found, next)
}

/// Cuts off, in bytes, what would make an answer too large for whoever asked; the next page begins there. The first entry
/// always stays.
fn fitting<T: prost::Message>(
    mut list: Vec<T>,
    next_page: String,
    place: impl Fn(&T) -> String,
) -> (Vec<T>, String) {
    const LARGEST: usize = 8 * 1024 * 1024;
    let mut bytes = 0;
    let fits = list.iter().take_while(|entry| {
        bytes += entry.encoded_len();
        bytes <= LARGEST
    });
    let fits = fits.count().max(1);
    if fits >= list.len() {
        return (list, next_page);
    }
    list.truncate(fits);
    let next_page = list.last().map(place).unwrap_or_default();
    (list, next_page)
}

/// Where a page of what happened ends: the moment in microseconds and the id of its last entry.
fn moment(at: Timestamp, id: uuid::Uuid) -> String {
    format!("{}.{id}", at.as_microsecond())
}

/// Reads what [`moment`] wrote; none where a listing begins.
fn behind(page: &str) -> Result<Option<(Timestamp, uuid::Uuid)>, Error> {
    if page.is_empty() {
        return Ok(None);
    }
    let read = || {
        let (at, id) = page.split_once('.')?;
        // Nothing happened before, and the database knows no moment much earlier.
        let at =
            Timestamp::from_microsecond(at.parse().ok()?).ok().filter(|at| *at >= Timestamp::UNIX_EPOCH)?;
        Some((at, uuid::Uuid::try_parse(id).ok()?))
    };
    let wrong = || Error::refused(Refusal::Invalid, "page_invalid", "this is not a page of a listing");
    read().ok_or_else(wrong).map(Some)
}

fn limit(asked: u32, usual: u32) -> i64 {
    i64::from(if asked == 0 { usual } else { asked.min(500) })
}

fn values(fields: std::collections::HashMap<String, v1::Value>) -> Result<BTreeMap<String, Value>, Error> {
    fields
        .into_iter()
        .map(|(name, value)| match Value::try_from(value) {
            Ok(value) => Ok((name, value)),
            Err(_) => Err(Error::invalid_field("value_invalid", &name, "this is not a value")),
        })
        .collect()
}
