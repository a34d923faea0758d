//! Writing in batches. HubSpot refuses a whole batch for one bad value, so a refused batch is divided until the bad
//! ones stand alone. After a write the records are read back: what HubSpot made of the values, and whether the write
//! covered a value that somebody else had set in the meantime.

use std::collections::{BTreeMap, BTreeSet};

use connector::{Error, ErrorKind};
use jiff::Timestamp;
use model::{ApplyWrite, CoveredValue, IssueCategory, ObjectSchema, Value, WriteKind, WriteOutcome};

use crate::{
    archive::archive,
    client::{Answer, Client},
    companies,
    history::{Entry, HISTORY_BATCH_SIZE},
    objects::{COMPANY, Decoder, Object, RECORD_ID, merged_ids, time_from_wire, value_to_wire},
    read::BATCH_SIZE,
    wire::{Batch, BatchRead, BatchWrite, Record, RecordId, WriteInput, texts},
};

pub(crate) type Outcome = Result<WriteOutcome, Error>;

/// A write on its way.
struct Planned<'a> {
    /// Its place among the writes and their outcomes.
    at: usize,
    write: &'a ApplyWrite,
    /// The id by which HubSpot finds the record: its own, or ours for one that is to be created.
    key: &'a str,
    properties: BTreeMap<&'a str, String>,
    /// When HubSpot carried it out, by HubSpot's clock.
    applied: Option<(Timestamp, Timestamp)>,
}

impl<'a> Planned<'a> {
    /// The values that we believe to be there and must not cover unseen.
    fn expected(&self) -> Option<&'a BTreeMap<String, Value>> {
        match &self.write.write {
            WriteKind::Update { expected, .. } if !expected.is_empty() => Some(expected),
            _ => None,
        }
    }

    fn creates(&self) -> bool {
        matches!(self.write.write, WriteKind::Create { .. })
    }
}

/// Makes the writes, one outcome for each in their order.
pub(crate) async fn write(
    client: Client<'_>,
    object: &Object,
    schema: &ObjectSchema,
    writes: &[ApplyWrite],
) -> Vec<Outcome> {
    let names = writes.iter().flat_map(|write| write.fields.keys().map(String::as_str));
    let decoder = Decoder::new(object, schema, names);
    let mut batches = Batches { client, object, decoder, outcomes: BTreeMap::new() };
    let mut planned = Vec::with_capacity(writes.len());
    for (at, outcome) in archive(client, &object.name, writes).await {
        batches.settle(at, outcome);
    }
    for (at, write) in writes.iter().enumerate() {
        match plan(schema, at, write) {
            Ok(plan) => planned.extend(plan),
            Err(rejected) => batches.settle(at, Ok(rejected)),
        }
    }
    for batch in rounds(planned) {
        let landed = batches.apply(batch).await;
        let of_companies: Vec<(usize, &ApplyWrite)> = landed
            .iter()
            .filter(|plan| plan.write.fields.contains_key(COMPANY))
            .map(|plan| (plan.at, plan.write))
            .collect();
        batches.read_back(landed).await;
        if !of_companies.is_empty() {
            companies::set(client, object, &of_companies, &mut batches.outcomes).await;
        }
    }
    let unanswered =
        || Err(Error::new(ErrorKind::Protocol, "write HubSpot records", "a write got no answer"));
    (0..writes.len()).map(|at| batches.outcomes.remove(&at).unwrap_or_else(unanswered)).collect()
}

/// What a write sets, and where; none for one that sets nothing.
fn plan<'a>(
    schema: &ObjectSchema,
    at: usize,
    write: &'a ApplyWrite,
) -> Result<Option<Planned<'a>>, WriteOutcome> {
    let mut properties = BTreeMap::new();
    for (name, value) in &write.fields {
        let Some(field) = schema.field(name) else {
            let message = "HubSpot does not have this property any more".to_owned();
            return Err(rejected(IssueCategory::SchemaDrift, message, Some(name.clone())));
        };
        let text = value_to_wire(field.field_type, value).map_err(|_| {
            let message = format!(
                "a {} does not fit a HubSpot property of type {}",
                value.type_name(),
                field.field_type.name()
            );
            rejected(IssueCategory::Value, message, Some(name.clone()))
        })?;
        if name != COMPANY {
            properties.insert(name.as_str(), text);
        }
    }
    let key = match &write.write {
        WriteKind::Create { external_id } => external_id,
        WriteKind::Update { id, .. } => id,
        WriteKind::Archive { .. } => return Ok(None),
    };
    Ok(Some(Planned { at, write, key, properties, applied: None }))
}

const fn rejected(category: IssueCategory, message: String, field: Option<String>) -> WriteOutcome {
    WriteOutcome::Rejected { category, message, field }
}

/// Batches of one kind in which no record is named twice, which HubSpot would refuse; a second write of a record waits
/// for the first one's batch.
fn rounds(planned: Vec<Planned<'_>>) -> Vec<Vec<Planned<'_>>> {
    let mut rounds: Vec<(bool, BTreeSet<&str>, Vec<Planned<'_>>)> = Vec::new();
    for plan in planned {
        let fits = |(creates, keys, batch): &(bool, BTreeSet<&str>, Vec<Planned<'_>>)| {
            *creates == plan.creates() && !keys.contains(plan.key) && batch.len() < BATCH_SIZE
        };
        match rounds.iter_mut().find(|round| fits(round)) {
            Some((_, keys, batch)) => {
                keys.insert(plan.key);
                batch.push(plan);
            }
            None => rounds.push((plan.creates(), BTreeSet::from([plan.key]), vec![plan])),
        }
    }
    rounds.into_iter().map(|(_, _, batch)| batch).collect()
}

/// The batches of one call and what has come of them.
struct Batches<'a> {
    client: Client<'a>,
    object: &'a Object,
    decoder: Decoder<'a>,
    outcomes: BTreeMap<usize, Outcome>,
}

impl<'a> Batches<'a> {
    fn settle(&mut self, at: usize, outcome: Outcome) {
        self.outcomes.insert(at, outcome);
    }

    /// Makes one batch, divided where it must be, and returns the writes that HubSpot carried out.
    async fn apply(&mut self, batch: Vec<Planned<'a>>) -> Vec<Planned<'a>> {
        // Where an association is all that changes, there is no property to write.
        let (batch, mut landed): (Vec<_>, Vec<_>) =
            batch.into_iter().partition(|plan| plan.creates() || !plan.properties.is_empty());
        let mut waiting = vec![batch];
        while let Some(batch) = waiting.pop() {
            if batch.is_empty() {
                continue;
            }
            match self.send(&batch).await {
                Ok(answer) => self.sort_out(&answer, batch, &mut landed, &mut waiting),
                Err(error) if is_about_one(&error) && batch.len() > 1 => {
                    waiting.extend(divide(batch, error.field.as_deref()));
                }
                Err(error) => batch.iter().for_each(|plan| self.settle(plan.at, refusal(&error))),
            }
        }
        landed
    }

    async fn send(&self, batch: &[Planned<'_>]) -> Result<Answer, Error> {
        let creates = batch.first().is_some_and(Planned::creates);
        let input = |plan| {
            let Planned { key, properties, .. }: &Planned<'_> = plan;
            WriteInput { id: key, id_property: creates.then_some(RECORD_ID), properties }
        };
        let body = BatchWrite { inputs: batch.iter().map(input).collect() };
        if creates {
            self.client.batch_upsert(&self.object.name, &body).await
        } else {
            self.client.batch_update(&self.object.name, &body).await
        }
    }

    /// Which writes of an answered batch HubSpot carried out: all that it names no error for. Where it has errors
    /// without saying whose, each write is made alone.
    fn sort_out(
        &mut self,
        answer: &Answer,
        batch: Vec<Planned<'a>>,
        landed: &mut Vec<Planned<'a>>,
        waiting: &mut Vec<Vec<Planned<'a>>>,
    ) {
        let answer: Batch<'_> = match answer.read() {
            Ok(answer) => answer,
            Err(error) => return batch.iter().for_each(|plan| self.settle(plan.at, Err(error.again()))),
        };
        let applied = times(&answer);
        let blamed: BTreeMap<&str, &str> = answer
            .errors
            .iter()
            .flat_map(|error| texts(&error.context, "ids").map(|id| (id, error.category.as_str())))
            .collect();
        let anonymous = answer.errors.iter().find(|error| texts(&error.context, "ids").next().is_none());
        let alone = batch.len() == 1;
        for plan in batch {
            match (blamed.get(plan.key).copied(), anonymous) {
                (Some(category), _) => self.settle(plan.at, Ok(blame(category))),
                (None, Some(error)) if alone => self.settle(plan.at, Ok(blame(&error.category))),
                (None, Some(_)) => waiting.push(vec![plan]),
                (None, None) => landed.push(Planned { applied, ..plan }),
            }
        }
    }

    /// Reads the written records and settles their writes.
    async fn read_back(&mut self, landed: Vec<Planned<'a>>) {
        let (guarded, plain): (Vec<_>, Vec<_>) =
            landed.into_iter().partition(|plan| plan.expected().is_some());
        for (writes, size) in [(guarded, HISTORY_BATCH_SIZE), (plain, BATCH_SIZE)] {
            let mut rest = writes.as_slice();
            while !rest.is_empty() {
                let (chunk, others) = rest.split_at(rest.len().min(size));
                self.read_chunk(chunk).await;
                rest = others;
            }
        }
    }

    async fn read_chunk(&mut self, chunk: &[Planned<'a>]) {
        let creates = chunk.first().is_some_and(Planned::creates);
        let names: BTreeSet<&str> = chunk.iter().flat_map(|plan| plan.properties.keys().copied()).collect();
        let guarded = chunk.iter().filter_map(Planned::expected).flat_map(BTreeMap::keys).map(String::as_str);
        let guarded = guarded.filter(|name| names.contains(name));
        let batch = BatchRead {
            properties_with_history: guarded.collect::<BTreeSet<_>>().into_iter().collect(),
            properties: names.into_iter().chain(self.object.always()).collect(),
            id_property: creates.then_some(RECORD_ID),
            inputs: chunk.iter().map(|plan| RecordId { id: plan.key }).collect(),
        };
        let answer = self.client.batch_read(&self.object.name, &batch).await;
        let read = answer.as_ref().map_err(|error| error.again()).and_then(Answer::read::<Batch<'_>>);
        let batch = match read {
            Ok(batch) => batch,
            Err(error) => return chunk.iter().for_each(|plan| self.settle(plan.at, Err(error.again()))),
        };
        for plan in chunk {
            let outcome = match batch.results.iter().find(|record| is_of(record, plan)) {
                Some(record) => self.applied(plan, record),
                None => Ok(blame("OBJECT_NOT_FOUND")),
            };
            self.settle(plan.at, outcome);
        }
    }

    fn applied(&self, plan: &Planned<'_>, record: &Record<'_>) -> Outcome {
        let version = self.decoder.modified(record).ok_or_else(|| {
            let message = "HubSpot shows a record without a modification time";
            Error::new(ErrorKind::Protocol, "read HubSpot records", message)
        })?;
        let mut fields = self.decoder.fields(record);
        fields.retain(|name, _| plan.properties.contains_key(name.as_str()));
        let mut covered = BTreeMap::new();
        for (name, expected) in plan.expected().into_iter().flatten() {
            let history = Entry::all(&self.decoder, name, record);
            let Some(wrote) = plan.write.fields.get(name).map(|value| self.canonical(name, value)) else {
                continue;
            };
            // What somebody wrote after us is the next listing's to tell, not this answer's.
            if let Some(ours) = our_entry(&history, &wrote, plan.applied) {
                fields.insert(name.clone(), history[ours].value.clone());
            }
            if let Some(value) = covered_value(&history, &wrote, expected, plan.applied) {
                covered.insert(name.clone(), value);
            }
        }
        let version = version.as_millisecond();
        Ok(WriteOutcome::Applied { vendor_id: record.id.to_string(), version, fields, covered })
    }

    /// The value in the form in which HubSpot's answers are read.
    fn canonical(&self, name: &str, value: &Value) -> Value {
        self.decoder.field_type(name).coerce(value.clone()).unwrap_or_else(|_| value.clone())
    }
}

/// Whether a record is the one that a write was for; after a merge HubSpot answers with the surviving record.
fn is_of(record: &Record<'_>, plan: &Planned<'_>) -> bool {
    if plan.creates() {
        record.properties.get(RECORD_ID) == Some(plan.key)
    } else {
        *record.id == *plan.key || merged_ids(record).iter().any(|id| id == plan.key)
    }
}

/// Whether a failure is about one write of a batch and not about the call.
const fn is_about_one(error: &Error) -> bool {
    matches!(
        error.kind,
        ErrorKind::Validation | ErrorKind::SchemaDrift | ErrorKind::Duplicate | ErrorKind::NotFound
    )
}

/// A refused batch in two: the writes that set the property which HubSpot complains about apart from the others, or
/// halves.
fn divide<'a>(batch: Vec<Planned<'a>>, field: Option<&str>) -> [Vec<Planned<'a>>; 2] {
    let suspect = |plan: &Planned<'_>| field.is_some_and(|field| plan.properties.contains_key(field));
    let suspects = batch.iter().filter(|plan| suspect(plan)).count();
    if suspects > 0 && suspects < batch.len() {
        let (suspected, others) = batch.into_iter().partition(suspect);
        return [suspected, others];
    }
    let mut first = batch;
    let second = first.split_off(first.len() / 2);
    [second, first]
}

/// What a failed call means for one of its writes: a failure that time does not heal is the write's outcome.
fn refusal(error: &Error) -> Outcome {
    if is_about_one(error) || error.kind == ErrorKind::Permission {
        Ok(rejected(error.kind.category(), error.message.clone(), error.field.as_deref().map(str::to_owned)))
    } else {
        Err(error.again())
    }
}

fn blame(category: &str) -> WriteOutcome {
    let (category, message) = match category {
        "OBJECT_NOT_FOUND" => {
            (IssueCategory::Missing, "HubSpot has no such record: it was archived or deleted")
        }
        "CONFLICT" => (IssueCategory::Duplicate, "HubSpot has a record with this unique value already"),
        _ => (IssueCategory::Validation, "HubSpot refuses the record"),
    };
    rejected(category, message.to_owned(), None)
}

fn times(answer: &Batch<'_>) -> Option<(Timestamp, Timestamp)> {
    let started = answer.started_at.as_deref().and_then(time_from_wire)?;
    let completed = answer.completed_at.as_deref().and_then(time_from_wire)?;
    Some((started, completed))
}

/// Where in the history, which is newest first, our write stands; `applied` is when HubSpot made it, by its own clock.
///
/// Our entry is the one that an app made with our value at that time. A write that is made again after a lost answer
/// leaves no second entry, so else it is the newest entry with our value. HubSpot may have reformatted our value: then
/// it is the newest that an app made at that time.
fn our_entry(history: &[Entry], wrote: &Value, applied: Option<(Timestamp, Timestamp)>) -> Option<usize> {
    let then =
        |entry: &Entry| entry.by_app && applied.is_some_and(|(from, to)| entry.at >= from && entry.at <= to);
    history
        .iter()
        .position(|entry| entry.value == *wrote && then(entry))
        .or_else(|| history.iter().position(|entry| entry.value == *wrote))
        .or_else(|| history.iter().position(then))
}

/// The value that our write covered although it was not the expected one; none where a person had written our value,
/// so that our write changed nothing.
fn covered_value(
    history: &[Entry],
    wrote: &Value,
    expected: &Value,
    applied: Option<(Timestamp, Timestamp)>,
) -> Option<CoveredValue> {
    let ours = our_entry(history, wrote, applied)?;
    if !history[ours].by_app {
        return None;
    }
    let before = history.get(ours + 1)?;
    let foreign = before.value != *expected && before.value != *wrote;
    foreign.then(|| CoveredValue { value: before.value.clone(), at: before.at })
}

#[cfg(test)]
mod tests;
