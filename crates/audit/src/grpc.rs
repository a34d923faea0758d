//! Requests in: list, export, verify.

use std::pin::Pin;

use chassis::guard::{Guard, at_field, status};
use futures::{Stream, StreamExt, TryStreamExt, stream};
use jiff::Timestamp;
use model::{OrganizationId, Scope};
use proto::audit::{
    Entry as WireEntry, ListEntriesRequest, ListEntriesResponse, VerifyRequest, VerifyResponse,
    audit_server::Audit,
};
use sqlx::PgPool;
use tonic::{Code, Request, Response, Status, metadata::MetadataMap};

use crate::{
    domain::{
        chain::Hash,
        entry::{Entry, Outcome},
    },
    store::{entries, filter::Filter},
    verifier::Verifier,
};

/// Entries of one page where the request does not say.
const USUAL_LIMIT: u32 = 50;
/// The most entries of one page.
const LARGEST_LIMIT: u32 = 200;
const EXPORT_CHUNK: i64 = 500;
const LONGEST_FILTER: usize = 400;

/// The gRPC service `accord.audit.v1.Audit`. Every call needs the scope `audit:read`.
#[derive(Clone, Debug)]
pub struct Service {
    pool: PgPool,
    verifier: Verifier,
    guard: Guard,
}

impl Service {
    pub(crate) const fn new(pool: PgPool, verifier: Verifier, guard: Guard) -> Self {
        Self { pool, verifier, guard }
    }

    async fn organization(&self, metadata: &MetadataMap) -> Result<OrganizationId, Status> {
        Ok(self.guard.authorize(metadata, Scope::AuditRead).await?.caller.organization)
    }
}

#[tonic::async_trait]
impl Audit for Service {
    async fn list_entries(
        &self,
        request: Request<ListEntriesRequest>,
    ) -> Result<Response<ListEntriesResponse>, Status> {
        let organization = self.organization(request.metadata()).await?;
        let request = request.into_inner();
        let filter = filter(&request)?;
        let before = match request.before {
            0 => None,
            before if before > 0 => Some(before),
            _ => return Err(invalid("before", "before_invalid", "before must be a sequence number.")),
        };
        let limit = match request.limit {
            0 => USUAL_LIMIT,
            limit => limit.min(LARGEST_LIMIT),
        };
        // One more than asked for tells whether there is a next page.
        let found = entries::newest(&self.pool, organization, &filter, before, i64::from(limit) + 1).await?;
        let mut entries: Vec<WireEntry> = found.iter().map(to_wire).collect();
        let more = entries.len() > usize::try_from(limit).unwrap_or(usize::MAX);
        entries.truncate(usize::try_from(limit).unwrap_or(usize::MAX));
        let next_before = if more { entries.last().map_or(0, |entry| entry.sequence) } else { 0 };
        Ok(Response::new(ListEntriesResponse { entries, next_before }))
    }

    type ExportStream = Pin<Box<dyn Stream<Item = Result<WireEntry, Status>> + Send>>;

    async fn export(
        &self,
        request: Request<ListEntriesRequest>,
    ) -> Result<Response<Self::ExportStream>, Status> {
        let organization = self.organization(request.metadata()).await?;
        let filter = filter(&request.into_inner())?;
        let pool = self.pool.clone();
        let chunks = stream::try_unfold(Some(0), move |after: Option<i64>| {
            let (pool, filter) = (pool.clone(), filter.clone());
            async move {
                let Some(after) = after else { return Ok::<_, Status>(None) };
                let chunk = entries::oldest(&pool, organization, &filter, after, EXPORT_CHUNK).await?;
                let next = chunk.last().map(|entry| entry.sequence);
                Ok((!chunk.is_empty()).then_some((chunk, next)))
            }
        });
        let entries = chunks
            .map_ok(|chunk| stream::iter(chunk).map(|entry| Ok::<_, Status>(to_wire(&entry))))
            .try_flatten();
        Ok(Response::new(Box::pin(entries)))
    }

    async fn verify(&self, request: Request<VerifyRequest>) -> Result<Response<VerifyResponse>, Status> {
        let organization = self.organization(request.metadata()).await?;
        let found = self.verifier.verify(organization).await?;
        Ok(Response::new(VerifyResponse {
            whole: found.is_whole(),
            entries: found.entries,
            broken_at: found.broken.map_or(0, |broken| broken.at),
            reason: found.broken.map(|broken| broken.fault.to_string()).unwrap_or_default(),
            head_hash: found.head.hash.to_string(),
        }))
    }
}

fn filter(request: &ListEntriesRequest) -> Result<Filter, Status> {
    let action = text("action", &request.action)?;
    let readable = |action: &String| {
        let fixed = action.strip_suffix('*').unwrap_or(action);
        fixed.bytes().all(|b| b.is_ascii_lowercase() || b.is_ascii_digit() || b == b'.' || b == b'_')
    };
    if !action.as_ref().is_none_or(readable) {
        let message = "action must be of the form mapping.activated or mapping.*.";
        return Err(invalid("action", "action_invalid", message));
    }
    let connection = text("connection_id", &request.connection_id)?;
    let connection = connection.map(|id| id.parse()).transpose().map_err(|_| {
        invalid("connection_id", "connection_id_invalid", "connection_id must be of the form conn_….")
    })?;
    let outcome = match request.outcome.as_str() {
        "" => None,
        name => Some(Outcome::ALL.into_iter().find(|outcome| outcome.name() == name).ok_or_else(|| {
            invalid("outcome", "outcome_invalid", "outcome must be one of ok, failed, refused.")
        })?),
    };
    let (from, to) = (moment("from", request.from.as_ref())?, moment("to", request.to.as_ref())?);
    if from.zip(to).is_some_and(|(from, to)| from > to) {
        return Err(invalid("from", "time_range_invalid", "from must not be after to."));
    }
    let (actor, target) = (text("actor", &request.actor)?, text("target", &request.target)?);
    Ok(Filter { action, actor, target, connection, outcome, from, to })
}

fn text(field: &'static str, text: &str) -> Result<Option<String>, Status> {
    if text.len() > LONGEST_FILTER || text.contains(char::is_control) {
        let message = format!("{field} is too long or holds a control character.");
        return Err(invalid(field, "filter_invalid", message));
    }
    Ok((!text.is_empty()).then(|| text.to_owned()))
}

fn moment(field: &'static str, at: Option<&prost_types::Timestamp>) -> Result<Option<Timestamp>, Status> {
    let Some(at) = at else { return Ok(None) };
    // Postgres reaches further than this, and audit entries not as far.
    let range = -62_135_596_800..=253_402_300_799_i64;
    let moment = proto::from_wire_time(at).filter(|at| range.contains(&at.as_second()));
    let message = format!("{field} is out of range.");
    moment.map(Some).ok_or_else(|| invalid(field, "time_invalid", message))
}

fn invalid(field: &'static str, code: &'static str, message: impl Into<String>) -> Status {
    at_field(status(Code::InvalidArgument, code, message), field)
}

fn to_wire(entry: &Entry) -> WireEntry {
    let hex = |bytes: &[u8]| Hash::from_bytes(bytes).map(|hash| hash.to_string()).unwrap_or_default();
    WireEntry {
        sequence: entry.sequence,
        event_id: entry.event_id.clone(),
        action: entry.action.clone(),
        actor: entry.actor.clone(),
        target: entry.target.clone(),
        connection_id: entry.connection.map(|id| id.to_string()).unwrap_or_default(),
        outcome: entry.outcome.clone(),
        occurred_at: Some(proto::to_wire_time(entry.occurred_at)),
        recorded_at: Some(proto::to_wire_time(entry.recorded_at)),
        cause: entry.cause.clone(),
        summary: entry.summary.clone(),
        details_json: entry.details.clone(),
        hash: hex(&entry.hash),
        previous_hash: hex(&entry.previous_hash),
    }
}
