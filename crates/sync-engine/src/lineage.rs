//! "Why does this field have this value?", read from what every change stored of itself: a few rows by their keys,
//! however many changes there are.

use model::{Caller, RecordId, Value, WriteId};
use sqlx::PgConnection;

use crate::{
    Error,
    domain::{
        cell::Record,
        lineage::{Ask, Clash, Origin, Reply, Step, story},
    },
    engine::Engine,
    error::Refusal,
    mappings::{self, Mappings},
    store::{self, revisions::Revision, writes::StoredWrite},
};

/// How many conflicts of a field are looked at.
const CONFLICTS: i64 = 20;
/// How many writes behind a version are looked at.
const WRITES: i64 = 50;

/// The story of a field's value.
#[derive(Debug)]
pub(crate) struct Lineage {
    pub(crate) record: Record,
    pub(crate) field: String,
    pub(crate) label: String,
    pub(crate) value: Value,
    pub(crate) pii: bool,
    /// The record's version that brought the value; zero when nobody ever set it.
    pub(crate) version: i64,
    /// The version that had brought the value before; zero when nothing had.
    pub(crate) previous: i64,
    pub(crate) steps: Vec<Step>,
    pub(crate) mappings: Mappings,
}

impl Engine {
    /// The story of the present value of a field, or of the one that a version brought.
    pub(crate) async fn lineage(
        &self,
        caller: &Caller,
        id: RecordId,
        field: &str,
        version: Option<i64>,
    ) -> Result<Lineage, Error> {
        let mut db = self.pool.acquire().await?;
        let record = store::records::get(&mut db, caller.organization, id)
            .await?
            .ok_or_else(|| Error::not_found("record"))?;
        let schema = mappings::canonical_schema(&mut db, caller.organization, record.object).await?;
        let Some(schema) = schema.field(field) else {
            return Err(Error::refused(Refusal::NotFound, "field_unknown", "there is no such field"));
        };
        let mappings = self.mappings.load(&mut db, &[caller.organization]).await?;
        let revision = revision(&mut db, &record, field, version).await?;
        if version.is_some() && revision.is_none() {
            let message = "no change of this version touched the field";
            return Err(Error::refused(Refusal::NotFound, "version_unknown", message));
        }
        let origin = revision.and_then(|revision| origin(revision, field));
        let steps = match &origin {
            None => Vec::new(),
            Some(origin) => {
                let until = match version {
                    None => None,
                    Some(version) => store::revisions::next_of_field(&mut db, id, field, version).await?,
                };
                let clashes = clashes(&mut db, id, field).await?;
                let asks = asks(&mut db, id, field, origin.version).await?;
                story(origin, until, &clashes, &asks)
            }
        };
        Ok(Lineage {
            label: schema.label.clone(),
            value: match (&origin, version) {
                (Some(origin), Some(_)) => origin.after.clone(),
                _ => record.value(field).clone(),
            },
            pii: mappings.pii(caller.organization, record.object).contains(field),
            version: origin.as_ref().map_or(0, |origin| origin.version),
            previous: origin.as_ref().map_or(0, |origin| origin.previous),
            field: field.to_owned(),
            record,
            steps,
            mappings,
        })
    }
}

/// The revision that brought the value.
async fn revision(
    db: &mut PgConnection,
    record: &Record,
    field: &str,
    version: Option<i64>,
) -> Result<Option<Revision>, Error> {
    let touches = |revision: &Revision| revision.changes.iter().any(|change| change.field == field);
    let known = record.cells.get(field).map(|cell| cell.version);
    match (version, known) {
        (Some(version), _) => Ok(store::revisions::get(db, record.id, version).await?.filter(touches)),
        (None, Some(0)) => store::revisions::last_of_field(db, record.id, field).await,
        (None, Some(version)) => store::revisions::get(db, record.id, version).await,
        (None, None) => Ok(None),
    }
}

fn origin(revision: Revision, field: &str) -> Option<Origin> {
    let change = revision.changes.into_iter().find(|change| change.field == field)?;
    Some(Origin {
        version: revision.version,
        previous: change.previous,
        event: revision.cause,
        actor: revision.actor,
        vendor: revision.vendor,
        at: revision.at,
        taken_at: revision.taken_at,
        before: change.before,
        after: change.after,
        reason: change.reason,
        via: revision.via,
    })
}

async fn clashes(db: &mut PgConnection, record: RecordId, field: &str) -> Result<Vec<Clash>, Error> {
    let conflicts = store::conflicts::of_field(db, record, field, CONFLICTS).await?;
    let clash = |conflict: store::conflicts::StoredConflict| Clash {
        id: conflict.id.to_string(),
        event: conflict.cause,
        version: conflict.version,
        via: conflict.via,
        policy: conflict.policy,
        winner: conflict.winner,
        kept: conflict.kept,
        lost: conflict.lost,
        at: conflict.at,
        within_clock_skew: conflict.within_clock_skew,
    };
    Ok(conflicts.into_iter().map(clash).collect())
}

/// The writes that carried the field from this version on: the first ones, and the last one of each link, which the link
/// knows.
async fn asks(db: &mut PgConnection, record: RecordId, field: &str, version: i64) -> Result<Vec<Ask>, Error> {
    let mut writes = store::writes::since(db, record, version, WRITES).await?;
    let links = store::links::of_records(db, &[record]).await?;
    let mut last: Vec<WriteId> = links.iter().filter_map(|link| link.fields.get(field)?.asked).collect();
    last.retain(|id| writes.iter().all(|write| write.asked.id != *id));
    if !last.is_empty() {
        writes.extend(store::writes::get(db, &last).await?);
    }
    Ok(writes.into_iter().filter_map(|write| ask(write, field)).collect())
}

fn ask(write: StoredWrite, field: &str) -> Option<Ask> {
    let asked = write.asked;
    let its = asked.fields.into_iter().find(|(name, _)| name == field)?.1;
    let reply = write.answer.map(|answer| Reply {
        event: answer.event,
        at: answer.at,
        holds: answer
            .category
            .is_none()
            .then(|| answer.fields.get(&its.vendor_field).cloned().unwrap_or(Value::Null)),
        category: answer.category.unwrap_or_default(),
        message: answer.message.unwrap_or_default(),
    });
    Some(Ask {
        id: asked.id.to_string(),
        via: (asked.mapping, asked.mapping_revision),
        version: asked.version,
        vendor_field: its.vendor_field,
        asked: its.asked,
        at: asked.asked_at,
        answer: reply,
        shown: write.shown.map(|shown| (shown.event, shown.at)),
    })
}
