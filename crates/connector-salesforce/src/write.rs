//! Writing: only the given fields, two hundred records a call, each succeeding or failing by itself.
//!
//! A guarded update reads the record first: a foreign value that it is about to cover is told. It goes out as a
//! conditional request, which Salesforce refuses when the record was modified since; then the record is looked at
//! again. Conditions are headers of single requests, and a composite call holds twenty-five of these. What was written is
//! read back: Salesforce trims and rounds.

use std::collections::{BTreeMap, BTreeSet, HashMap};

use connector::{Change, Error, ErrorKind};
use jiff::Timestamp;
use model::{
    ApplyWrite, CoveredValue, FieldType, IssueCategory, ObjectSchema, Value, WriteKind, WriteOutcome,
};
use serde::Serialize;
use serde_json::value::{RawValue, to_raw_value};

use crate::{
    client::{Client, data},
    deleted,
    error::read as read_failure,
    objects::{RECORD_ID, value_to_wire},
    read::{IDS_PER_CALL, Lacking, Reader},
    wire::{Collection, Composite, CompositeAnswer, Failure, Part, Saved, Values},
};

pub(crate) type Outcome = Result<WriteOutcome, Error>;

/// Parts of one composite call.
const PARTS: usize = 25;
/// How often a record is looked at that others keep changing.
const LOOKS: usize = 3;

/// A write on its way.
#[derive(Debug)]
struct Planned<'a> {
    /// Its place among the writes and their outcomes.
    at: usize,
    write: &'a ApplyWrite,
    /// Salesforce's id, or ours for a record that is to be created.
    key: &'a str,
    values: Values<'a>,
    covered: BTreeMap<String, CoveredValue>,
}

impl<'a> Planned<'a> {
    /// The values that we believe to be there and must not cover unseen.
    fn expected(&self) -> Option<&'a BTreeMap<String, Value>> {
        match &self.write.write {
            WriteKind::Update { expected, .. } if !expected.is_empty() => Some(expected),
            _ => None,
        }
    }
}

/// Makes the writes, one outcome for each in their order.
pub(crate) async fn write(
    client: Client<'_>,
    lacking: &Lacking,
    schema: &ObjectSchema,
    writes: &[ApplyWrite],
) -> Vec<Outcome> {
    let names = writes.iter().flat_map(|write| write.fields.keys().map(String::as_str));
    let names = names.filter(|name| schema.field(name).is_some());
    let reader = Reader::new(client, lacking, schema, names, u64::MAX);
    let mut writer = Writer { reader, outcomes: BTreeMap::new() };
    let (mut doomed, mut creates, mut updates) = (Vec::new(), Vec::new(), Vec::new());
    for (at, write) in writes.iter().enumerate() {
        let (key, kind) = match &write.write {
            WriteKind::Archive { id } => {
                doomed.push((at, id.as_str()));
                continue;
            }
            WriteKind::Create { external_id } => (external_id, &mut creates),
            WriteKind::Update { id, .. } => (id, &mut updates),
        };
        match values(schema, write) {
            Ok(values) => kind.push(Planned { at, write, key, values, covered: BTreeMap::new() }),
            Err(rejected) => writer.settle(at, Ok(rejected)),
        }
    }
    writer.archive(doomed).await;
    for round in rounds(creates) {
        writer.create(round).await;
    }
    for round in rounds(updates) {
        writer.update(round).await;
    }
    let unanswered =
        || Err(Error::new(ErrorKind::Protocol, "write Salesforce records", "a write got no answer"));
    (0..writes.len()).map(|at| writer.outcomes.remove(&at).unwrap_or_else(unanswered)).collect()
}

/// What a write sets, as Salesforce's JSON.
fn values<'a>(schema: &ObjectSchema, write: &'a ApplyWrite) -> Result<Values<'a>, WriteOutcome> {
    let value = |(name, value): (&'a String, &Value)| {
        let refused = |category, message| rejected(category, message, Some(name.clone()));
        let Some(field) = schema.field(name) else {
            let message = "Salesforce does not have this field any more".to_owned();
            return Err(refused(IssueCategory::SchemaDrift, message));
        };
        if field.read_only {
            let message = "Salesforce sets this field itself: it is read-only".to_owned();
            return Err(refused(IssueCategory::Validation, message));
        }
        let raw = value_to_wire(field.field_type, value).map_err(|_| {
            let (given, wanted) = (value.type_name(), field.field_type.name());
            refused(
                IssueCategory::Value,
                format!("a {given} does not fit a Salesforce field of type {wanted}"),
            )
        })?;
        Ok((name.as_str(), raw))
    };
    write.fields.iter().map(value).collect()
}

const fn rejected(category: IssueCategory, message: String, field: Option<String>) -> WriteOutcome {
    WriteOutcome::Rejected { category, message, field }
}

/// Batches in which no record is named twice, which Salesforce would refuse; a second write of a record waits for the first
/// one's batch.
fn rounds(planned: Vec<Planned<'_>>) -> Vec<Vec<Planned<'_>>> {
    let mut rounds: Vec<(BTreeSet<&str>, Vec<Planned<'_>>)> = Vec::new();
    for plan in planned {
        let fits = |(keys, batch): &(BTreeSet<&str>, Vec<Planned<'_>>)| {
            !keys.contains(plan.key) && batch.len() < IDS_PER_CALL
        };
        // A third write of a record must not overtake its second one.
        let last = rounds.iter().rposition(|(keys, _)| keys.contains(plan.key)).map_or(0, |at| at + 1);
        match rounds[last..].iter_mut().find(|round| fits(round)) {
            Some((keys, batch)) => {
                keys.insert(plan.key);
                batch.push(plan);
            }
            None => rounds.push((BTreeSet::from([plan.key]), vec![plan])),
        }
    }
    rounds.into_iter().map(|(_, batch)| batch).collect()
}

/// Writes under way and what has come of them.
struct Writer<'a> {
    reader: Reader<'a>,
    outcomes: BTreeMap<usize, Outcome>,
}

impl<'a> Writer<'a> {
    fn settle(&mut self, at: usize, outcome: Outcome) {
        self.outcomes.insert(at, outcome);
    }

    fn fail(&mut self, batch: &[Planned<'_>], error: &Error) {
        batch.iter().for_each(|plan| self.settle(plan.at, refusal(error.again())));
    }

    /// Creates by upserting with our record id, so that making it twice makes one record.
    async fn create(&mut self, batch: Vec<Planned<'a>>) {
        let landed = self.save(Deed::Create, batch).await;
        self.read_back(landed).await;
    }

    async fn update(&mut self, batch: Vec<Planned<'a>>) {
        let (guarded, plain): (Vec<_>, Vec<_>) =
            batch.into_iter().partition(|plan| plan.expected().is_some());
        let mut landed = self.save(Deed::Update, plain).await;
        let mut seen = self.look(guarded).await;
        for _ in 0..LOOKS {
            if seen.is_empty() {
                break;
            }
            let mut overtaken = Vec::new();
            while !seen.is_empty() {
                let rest = seen.split_off(seen.len().min(PARTS));
                overtaken.extend(self.update_unless_modified(seen, &mut landed).await);
                seen = rest;
            }
            seen = self.look(overtaken).await;
        }
        let message = "others keep changing the record in Salesforce";
        let error = Error::new(ErrorKind::Unavailable, "update Salesforce records", message);
        seen.iter().for_each(|(plan, _)| self.settle(plan.at, Err(error.again())));
        self.read_back(landed).await;
    }

    /// Looks at records before they are written: what is gone or is so already is settled, and what a write is about to
    /// cover is noted. Gives the others, each with the time since when it is as it was seen.
    async fn look(&mut self, guarded: Vec<Planned<'a>>) -> Vec<(Planned<'a>, Timestamp)> {
        let ids: Vec<&str> = guarded.iter().map(|plan| plan.key).collect();
        let read = match self.reader.fetch_records(&ids).await {
            Ok(read) => read,
            Err(error) => {
                self.fail(&guarded, &error);
                return Vec::new();
            }
        };
        let current: HashMap<&str, &Change> =
            read.iter().map(|change| (change.id.as_str(), change)).collect();
        let mut to_write = Vec::with_capacity(guarded.len());
        for mut plan in guarded {
            let Some(current) = current.get(plan.key) else {
                self.settle(plan.at, Ok(missing()));
                continue;
            };
            let ours: BTreeMap<&str, Value> = plan
                .write
                .fields
                .iter()
                .map(|(name, value)| (name.as_str(), self.canonical(name, value)))
                .collect();
            if ours.iter().all(|(name, ours)| current.fields.get(*name) == Some(ours)) {
                // What a write whose answer was lost had covered stays noted.
                let applied = applied(&plan, current);
                self.settle(plan.at, Ok(applied));
                continue;
            }
            let expected = plan.expected().into_iter().flatten();
            let covered = expected.filter_map(|(name, expected)| {
                let (value, ours) = (current.fields.get(name)?, ours.get(name.as_str())?);
                let foreign = value != expected && value != ours;
                foreign.then(|| (name.clone(), CoveredValue { value: value.clone(), at: current.changed_at }))
            });
            plan.covered = covered.collect();
            to_write.push((plan, current.changed_at));
        }
        to_write
    }

    /// Updates records that nobody modified since they were looked at, and gives those that somebody did.
    async fn update_unless_modified(
        &mut self,
        batch: Vec<(Planned<'a>, Timestamp)>,
        landed: &mut Vec<Landed<'a>>,
    ) -> Vec<Planned<'a>> {
        let parts = batch.iter().enumerate().map(|(at, (plan, since))| Part {
            method: "PATCH",
            url: data(&format!("/sobjects/{}/{}", self.reader.object, plan.key)),
            reference_id: format!("r{at}"),
            http_headers: BTreeMap::from([("If-Unmodified-Since", http_date(*since))]),
            body: &plan.values,
        });
        let composite = Composite { all_or_none: false, composite_request: parts.collect() };
        let answer = self.reader.client.composite(&composite).await;
        let answer = answer.and_then(|answer| answer.read::<CompositeAnswer>());
        let batch: Vec<Planned<'a>> = batch.into_iter().map(|(plan, _)| plan).collect();
        let mut answers = match answer {
            Ok(answer) => answer.composite_response,
            Err(error) => {
                self.fail(&batch, &error);
                return Vec::new();
            }
        };
        let mut overtaken = Vec::new();
        for (at, plan) in batch.into_iter().enumerate() {
            let reference = format!("r{at}");
            let Some(found) = answers.iter().position(|answer| answer.reference_id == reference) else {
                continue;
            };
            let answer = answers.swap_remove(found);
            match answer.http_status_code {
                200..=299 => landed.push(Landed { id: plan.key.to_owned(), plan }),
                412 => overtaken.push(plan),
                _ => {
                    let failures: Vec<Failure> = serde_json::from_value(answer.body).unwrap_or_default();
                    self.settle(plan.at, refusal(first(failures)));
                }
            }
        }
        overtaken
    }

    /// Saves a batch whose records succeed or fail each by itself, and gives those that were saved. A call that is refused
    /// as a whole is divided until the bad record stands alone.
    async fn save(&mut self, deed: Deed, batch: Vec<Planned<'a>>) -> Vec<Landed<'a>> {
        let mut waiting = vec![batch];
        let mut landed = Vec::new();
        while let Some(mut batch) = waiting.pop() {
            if batch.is_empty() {
                continue;
            }
            match self.send(deed, &batch).await {
                Ok(saved) => {
                    for (plan, saved) in batch.into_iter().zip(saved) {
                        match saved {
                            Saved { success: true, id: Some(id), .. } => landed.push(Landed { id, plan }),
                            Saved { errors, .. } => self.settle(plan.at, refusal(first(errors))),
                        }
                    }
                }
                Err(error) if is_about_one(&error) && batch.len() > 1 => {
                    let second = batch.split_off(batch.len() / 2);
                    waiting.extend([second, batch]);
                }
                Err(error) => self.fail(&batch, &error),
            }
        }
        landed
    }

    async fn send(&self, deed: Deed, batch: &[Planned<'a>]) -> Result<Vec<Saved>, Error> {
        let object = self.reader.object;
        let record = |plan: &Planned<'a>| {
            let mut values = plan.values.clone();
            values.insert("attributes", raw(&Attributes { kind: object })?);
            values.insert(if deed == Deed::Create { RECORD_ID } else { "id" }, raw(plan.key)?);
            Ok(values)
        };
        let records = batch.iter().map(record).collect::<Result<_, Error>>()?;
        let collection = Collection { all_or_none: false, records };
        let answer = match deed {
            Deed::Create => self.reader.client.upsert(object, RECORD_ID, &collection).await?,
            Deed::Update => self.reader.client.update(&collection).await?,
        };
        answer.read()
    }

    /// Reads the written records and settles their writes.
    async fn read_back(&mut self, landed: Vec<Landed<'a>>) {
        for chunk in landed.chunks(IDS_PER_CALL) {
            let ids: Vec<&str> = chunk.iter().map(|landed| landed.id.as_str()).collect();
            let read = self.reader.fetch_records(&ids).await;
            for Landed { id, plan } in chunk {
                let outcome = match &read {
                    Ok(read) => Ok(read
                        .iter()
                        .find(|change| change.id == *id)
                        .map_or_else(missing, |stored| applied(plan, stored))),
                    Err(error) => Err(error.again()),
                };
                self.settle(plan.at, outcome);
            }
        }
    }

    /// The value in the form in which Salesforce's answers are read.
    fn canonical(&self, name: &str, value: &Value) -> Value {
        let field_type = self.reader.decoder.field_type(name).unwrap_or(FieldType::Text);
        field_type.coerce(value.clone()).unwrap_or_else(|_| value.clone())
    }

    /// Deletes; what is gone already is as well.
    async fn archive(&mut self, doomed: Vec<(usize, &str)>) {
        let mut waiting: Vec<&[(usize, &str)]> = doomed.chunks(IDS_PER_CALL).collect();
        while let Some(chunk) = waiting.pop() {
            let ids: Vec<&str> = chunk.iter().map(|(_, id)| *id).collect();
            let deleted =
                self.reader.client.delete(&ids).await.and_then(|answer| answer.read::<Vec<Saved>>());
            let deleted = match deleted {
                Ok(deleted) => deleted,
                Err(error) if is_about_one(&error) && chunk.len() > 1 => {
                    waiting.extend([&chunk[chunk.len() / 2..], &chunk[..chunk.len() / 2]]);
                    continue;
                }
                Err(error) => {
                    chunk.iter().for_each(|(at, _)| self.settle(*at, refusal(error.again())));
                    continue;
                }
            };
            let versions = deleted::versions(self.reader.client, self.reader.object, &ids).await;
            for ((at, id), deleted) in chunk.iter().zip(deleted) {
                let failure = (!deleted.success).then(|| first(deleted.errors));
                let outcome = match (failure, &versions) {
                    (Some(failure), _) if failure.kind != ErrorKind::NotFound => refusal(failure),
                    (_, Err(error)) => Err(error.again()),
                    (_, Ok(versions)) => Ok(WriteOutcome::Applied {
                        vendor_id: (*id).to_owned(),
                        version: versions.get(*id).copied().unwrap_or_default(),
                        fields: BTreeMap::new(),
                        covered: BTreeMap::new(),
                    }),
                };
                self.settle(*at, outcome);
            }
        }
    }
}

/// What a call does with its records.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Deed {
    Create,
    Update,
}

/// A write that Salesforce carried out, with its id of the record.
#[derive(Debug)]
struct Landed<'a> {
    id: String,
    plan: Planned<'a>,
}

/// What a record is, in a collection.
#[derive(Serialize)]
struct Attributes<'a> {
    #[serde(rename = "type")]
    kind: &'a str,
}

fn raw(value: &(impl Serialize + ?Sized)) -> Result<Box<RawValue>, Error> {
    to_raw_value(value).map_err(|source| {
        let message = "the request cannot be written as JSON";
        Error::new(ErrorKind::Protocol, "write Salesforce records", message).with_source(source)
    })
}

/// What a record shows after a write, or had before one that changes nothing.
fn applied(plan: &Planned<'_>, stored: &Change) -> WriteOutcome {
    let mut fields = stored.fields.clone();
    fields.retain(|name, _| plan.write.fields.contains_key(name));
    let (vendor_id, covered) = (stored.id.clone(), plan.covered.clone());
    WriteOutcome::Applied { vendor_id, version: stored.version, fields, covered }
}

fn missing() -> WriteOutcome {
    let message = "Salesforce has no such record: it was deleted, or is hidden from the user who connected";
    rejected(IssueCategory::Missing, message.to_owned(), None)
}

fn first(failures: Vec<Failure>) -> Error {
    read_failure(&failures.into_iter().next().unwrap_or_default())
}

/// Whether a failure is about one write of a call and not about the call.
const fn is_about_one(error: &Error) -> bool {
    matches!(
        error.kind,
        ErrorKind::Validation | ErrorKind::SchemaDrift | ErrorKind::Duplicate | ErrorKind::NotFound
    )
}

/// What a failure means for a write: one that time does not heal is its outcome.
fn refusal(error: Error) -> Outcome {
    if is_about_one(&error) || (error.kind == ErrorKind::Permission && !error.is_transient()) {
        return Ok(rejected(error.kind.category(), error.message, error.field.map(String::from)));
    }
    Err(error)
}

/// A moment as HTTP's headers spell it.
fn http_date(at: Timestamp) -> String {
    at.strftime("%a, %d %b %Y %H:%M:%S GMT").to_string()
}

#[cfg(test)]
mod tests {
    use model::{ConnectionId, LinkId, MappingId, RecordId, WriteId};

    use super::*;

    fn order(id: &str) -> ApplyWrite {
        let now = Timestamp::UNIX_EPOCH;
        ApplyWrite {
            id: WriteId::generate(now),
            connection: ConnectionId::generate(now),
            object: "Account".into(),
            mapping: MappingId::generate(now),
            link: LinkId::generate(now),
            record: RecordId::generate(now),
            write: WriteKind::Update { id: id.into(), expected: BTreeMap::new() },
            fields: BTreeMap::new(),
            edited_at: now,
        }
    }

    #[test]
    fn writes_of_one_record_keep_their_order() {
        let orders: Vec<ApplyWrite> = ["a", "b", "a", "c", "a"].into_iter().map(order).collect();
        let planned = orders.iter().zip(["a", "b", "a", "c", "a"]).enumerate().map(|(at, (write, key))| {
            Planned { at, write, key, values: Values::new(), covered: BTreeMap::new() }
        });
        let rounds = rounds(planned.collect());
        let places: Vec<Vec<usize>> =
            rounds.iter().map(|round| round.iter().map(|plan| plan.at).collect()).collect();
        assert_eq!(places, [vec![0, 1, 3], vec![2], vec![4]]);
    }

    #[test]
    fn a_moment_is_spelled_as_http_has_it() {
        let at = "2024-01-31T23:00:05Z".parse().unwrap();
        assert_eq!(http_date(at), "Wed, 31 Jan 2024 23:00:05 GMT");
    }
}
