//! From commits to change events.

use std::collections::HashMap;
use std::sync::Arc;

use bytes::Bytes;
use rand::Rng;
use rand::rngs::StdRng;
use uuid::Uuid;

use super::StreamSettings;
use super::event::{Body, ChangeType, Header};
use super::log::Log;
use super::schema::EventSchema;
use super::wire::{ConsumerEvent, ProducerEvent};
use crate::salesforce::journal::{Changed, Commit, Kind};

/// What the record ids of an overflow are.
pub(crate) const NO_RECORD: &str = "000000000000000AAA";

impl From<Kind> for ChangeType {
    fn from(kind: Kind) -> Self {
        match kind {
            Kind::Create => ChangeType::Create,
            Kind::Update => ChangeType::Update,
            Kind::Delete => ChangeType::Delete,
            Kind::Undelete => ChangeType::Undelete,
        }
    }
}

/// One event in the making.
#[derive(Debug)]
pub(crate) struct Draft {
    pub(crate) entity: Arc<str>,
    pub(crate) schema: Arc<EventSchema>,
    pub(crate) change: ChangeType,
    pub(crate) ids: Vec<String>,
    pub(crate) body: Body,
}

impl Draft {
    /// An event that says of records only that they changed.
    pub(crate) fn gap(entity: &str, schema: Arc<EventSchema>, change: ChangeType, ids: Vec<String>) -> Self {
        let body = Body::empty(&schema);
        Self { entity: entity.into(), schema, change, ids, body }
    }

    /// The event of a change; none when nothing changed that events tell of.
    fn of(
        change: &Changed,
        schema: &Arc<EventSchema>,
        settings: &StreamSettings,
        rng: &mut StdRng,
    ) -> Option<Self> {
        let kind = ChangeType::from(change.kind);
        let body = match change.kind {
            Kind::Create | Kind::Undelete => Body::full(schema, &change.after),
            Kind::Update => Body::update(schema, &change.before, &change.after, settings.diff_min_chars),
            Kind::Delete => Ok(Body::empty(schema)),
        };
        if change.kind == Kind::Update && body.as_ref().is_ok_and(|body| body.changed.is_empty()) {
            return None;
        }
        let lost = rng.random_range(0..100) < settings.gap_percent;
        let (entity, schema, ids) = (change.object.as_str().into(), schema.clone(), change.ids.clone());
        Some(match body {
            Ok(body) if !lost => Self { entity, schema, change: kind, ids, body },
            Ok(_) => Self::gap(&change.object, schema, kind.gap(), ids),
            Err(misfit) => {
                tracing::warn!(%misfit, object = change.object, "a change becomes a gap event");
                Self::gap(&change.object, schema, kind.gap(), ids)
            }
        })
    }
}

/// The events of a commit: one per record, records that changed alike together, and an overflow for each object with
/// more changes than the threshold. Objects without a schema are not captured.
pub(crate) fn drafts(
    commit: &Commit,
    schema: &mut dyn FnMut(&str) -> Option<Arc<EventSchema>>,
    settings: &StreamSettings,
    rng: &mut StdRng,
) -> Vec<Draft> {
    let mut counts: HashMap<&str, usize> = HashMap::new();
    let mut overflows = Vec::new();
    let mut drafts = Vec::new();
    for change in &commit.changes {
        let Some(schema) = schema(&change.object) else { continue };
        let count = counts.entry(&change.object).or_default();
        let before = *count;
        *count += change.ids.len();
        if *count <= settings.overflow_threshold {
            drafts.extend(Draft::of(change, &schema, settings, rng));
        } else if before <= settings.overflow_threshold {
            let ids = vec![NO_RECORD.to_owned()];
            overflows.push(Draft::gap(&change.object, schema, ChangeType::GapOverflow, ids));
        }
    }
    let mut drafts = merged(drafts);
    drafts.append(&mut overflows);
    drafts
}

/// Puts the records of equal events into the first of them.
fn merged(drafts: Vec<Draft>) -> Vec<Draft> {
    if drafts.len() < 2 {
        return drafts;
    }
    let mut first: HashMap<(Arc<str>, ChangeType, Body), usize> = HashMap::new();
    let mut merged: Vec<Draft> = Vec::with_capacity(drafts.len());
    for draft in drafts {
        let key = (draft.entity.clone(), draft.change, draft.body.clone());
        let at = *first.entry(key).or_insert(merged.len());
        match merged.get_mut(at) {
            Some(event) => event.ids.extend(draft.ids),
            None => merged.push(draft),
        }
    }
    merged
}

/// Writes the events of a commit into the log, numbered within their transaction.
pub(crate) fn publish(log: &mut Log, commit: &Commit, drafts: Vec<Draft>, max_event_bytes: usize) {
    let transaction = commit.transaction.to_string();
    for (sequence, draft) in (1_i64..).zip(drafts) {
        let mut header = Header {
            entity: &draft.entity,
            ids: &draft.ids,
            change: draft.change,
            origin: &commit.origin,
            transaction: &transaction,
            sequence,
            commit_ms: commit.at.as_millisecond(),
            commit_number: commit.number,
            user: &commit.user,
        };
        let mut payload = draft.body.datum(&header);
        if payload.len() > max_event_bytes {
            header.change = draft.change.gap();
            payload = Body::empty(&draft.schema).datum(&header);
        }
        let payload = Bytes::from(payload);
        let event_id = Uuid::new_v5(&commit.transaction, &sequence.to_be_bytes());
        let at_ms = commit.at.as_millisecond();
        log.append(commit.number, sequence.cast_unsigned(), &draft.entity, at_ms, |replay_id| {
            consumer_event(event_id, &draft.schema.id, payload, replay_id)
        });
    }
}

fn consumer_event(id: Uuid, schema_id: &str, payload: Bytes, replay_id: Bytes) -> ConsumerEvent {
    let (id, schema_id) = (id.to_string(), schema_id.to_owned());
    let event = ProducerEvent { id, schema_id, payload, headers: Vec::new() };
    ConsumerEvent { event: Some(event), replay_id }
}
