//! The primary company of a record. HubSpot keeps it as an association: it is read beside the record and set after it.

use std::collections::{BTreeMap, HashMap};

use connector::{Change, Error, ErrorKind};
use model::{ApplyWrite, CoveredValue, IssueCategory, Value, WriteKind, WriteOutcome};

use crate::{
    client::Client,
    objects::{COMPANY, Object, time_from_version},
    wire::{
        AssociationInput, Associations, AssociationsOf, AssociationsRead, AssociationsWrite,
        AssociationsWritten, RecordId, TypeToSet,
    },
    write::Outcome,
};

/// Records per reading of associations, the most that HubSpot takes.
pub(crate) const READ_SIZE: usize = 1_000;

/// Adds the primary company to the fields of records.
pub(crate) async fn add(client: Client<'_>, object: &Object, changes: &mut [Change]) -> Result<(), Error> {
    let Some(kind) = object.company else { return Ok(()) };
    let ids = changes.iter().map(|change| change.id.clone()).collect();
    let mut companies = primary(client, &object.name, kind, ids).await?;
    for change in changes {
        let company = companies.remove(&change.id).map_or(Value::Null, Value::Text);
        change.fields.insert(COMPANY.to_owned(), company);
    }
    Ok(())
}

/// The records whose primary company is another one than the known one.
pub(crate) async fn moved(
    client: Client<'_>,
    object: &Object,
    known: &BTreeMap<String, BTreeMap<String, Value>>,
) -> Result<Vec<String>, Error> {
    let Some(kind) = object.company else { return Ok(Vec::new()) };
    let mut now = primary(client, &object.name, kind, known.keys().cloned().collect()).await?;
    let mut moved = Vec::new();
    for (id, values) in known {
        let company = now.remove(id).map_or(Value::Null, Value::Text);
        if values.get(COMPANY) != Some(&company) {
            moved.push(id.clone());
        }
    }
    Ok(moved)
}

/// The primary company of each record that has one.
async fn primary(
    client: Client<'_>,
    object: &str,
    kind: u32,
    ids: Vec<String>,
) -> Result<HashMap<String, String>, Error> {
    let mut primary = HashMap::with_capacity(ids.len());
    let mut waiting: Vec<(String, Option<String>)> = ids.into_iter().map(|id| (id, None)).collect();
    while !waiting.is_empty() {
        let rest = waiting.split_off(waiting.len().min(READ_SIZE));
        let inputs = waiting.iter().map(|(id, after)| AssociationsOf { id, after: after.as_deref() });
        let read = AssociationsRead { inputs: inputs.collect() };
        let answer = client.read_associations(object, "companies", &read).await?;
        let found: Associations<'_> = answer.read()?;
        waiting = rest;
        for one in found.results {
            let is_primary = |id: &&crate::wire::Association<'_>| {
                id.association_types.iter().any(|found| found.type_id == kind)
            };
            if let Some(company) = one.to.iter().find(is_primary) {
                primary.insert(one.from.id.to_string(), company.to_object_id.to_string());
            } else if let Some(next) = one.paging.and_then(|paging| paging.next) {
                // It is associated with more companies than one answer shows.
                waiting.push((one.from.id.to_string(), Some(next.after.to_string())));
            }
        }
    }
    Ok(primary)
}

/// A record whose primary company is to be another one.
struct Wish<'a> {
    at: usize,
    record: String,
    wanted: &'a Value,
    /// What we believe to be there.
    expected: Option<&'a Value>,
    now: Value,
}

/// Sets the primary company of records that were written, and completes their outcomes. The company that was the
/// primary one stays associated; where there is to be none, its association ends.
pub(crate) async fn set(
    client: Client<'_>,
    object: &Object,
    writes: &[(usize, &ApplyWrite)],
    outcomes: &mut BTreeMap<usize, Outcome>,
) {
    let Some(kind) = object.company else { return };
    let mut wishes: Vec<Wish<'_>> =
        writes.iter().filter_map(|(at, write)| wish(*at, write, outcomes.get(at)?)).collect();
    let records = wishes.iter().map(|wish| wish.record.clone()).collect();
    let mut current = match primary(client, &object.name, kind, records).await {
        Ok(current) => current,
        Err(error) => {
            return wishes.iter().for_each(|wish| {
                outcomes.insert(wish.at, Err(error.again()));
            });
        }
    };
    for wish in &mut wishes {
        wish.now = current.remove(&wish.record).map_or(Value::Null, Value::Text);
    }
    let (done, to_do): (Vec<_>, Vec<_>) = wishes.into_iter().partition(|wish| wish.now == *wish.wanted);
    done.iter().for_each(|wish| settle(wish, Ok(()), outcomes));
    let (ended, made): (Vec<_>, Vec<_>) = to_do.into_iter().partition(|wish| wish.wanted.is_blank());
    for (wishes, types) in [(made, Some(kind)), (ended, None)] {
        let mut waiting = vec![wishes];
        while let Some(wishes) = waiting.pop() {
            if wishes.is_empty() {
                continue;
            }
            match associate(client, object, &wishes, types).await {
                // HubSpot does not say for certain which of them it refuses.
                Err(error) if wishes.len() > 1 && error.kind == ErrorKind::Validation => {
                    waiting.extend(wishes.into_iter().map(|wish| vec![wish]));
                }
                Err(error) => wishes.iter().for_each(|wish| settle(wish, Err(&error), outcomes)),
                Ok(()) => wishes.iter().for_each(|wish| settle(wish, Ok(()), outcomes)),
            }
        }
    }
}

fn wish<'a>(at: usize, write: &'a ApplyWrite, outcome: &Outcome) -> Option<Wish<'a>> {
    let Ok(WriteOutcome::Applied { vendor_id, .. }) = outcome else { return None };
    let expected = match &write.write {
        WriteKind::Update { expected, .. } => expected.get(COMPANY),
        WriteKind::Create { .. } | WriteKind::Archive { .. } => None,
    };
    let (record, wanted) = (vendor_id.clone(), write.fields.get(COMPANY)?);
    Some(Wish { at, record, wanted, expected, now: Value::Null })
}

async fn associate(
    client: Client<'_>,
    object: &Object,
    wishes: &[Wish<'_>],
    kind: Option<u32>,
) -> Result<(), Error> {
    let ids: Vec<(String, String)> = wishes
        .iter()
        .map(|wish| (wish.record.clone(), if kind.is_some() { wish.wanted } else { &wish.now }.to_string()))
        .collect();
    let types = |kind| TypeToSet { association_category: "HUBSPOT_DEFINED", association_type_id: kind };
    let inputs = ids.iter().map(|(from, to)| AssociationInput {
        from: RecordId { id: from },
        to: RecordId { id: to },
        types: kind.map(types).into_iter().collect(),
    });
    let write = AssociationsWrite { inputs: inputs.collect() };
    let Some(answer) = client.write_companies(&object.name, kind.is_some(), &write).await? else {
        return Ok(());
    };
    let answer: AssociationsWritten = answer.read()?;
    if answer.errors.is_empty() {
        return Ok(());
    }
    let message = "HubSpot refuses the company: it was archived or deleted";
    Err(Error::new(ErrorKind::Validation, "associate HubSpot records", message))
}

/// Completes an outcome by what came of the association.
fn settle(wish: &Wish<'_>, result: Result<(), &Error>, outcomes: &mut BTreeMap<usize, Outcome>) {
    let Some(Ok(WriteOutcome::Applied { version, fields, covered, .. })) = outcomes.get_mut(&wish.at) else {
        return;
    };
    match result {
        Ok(()) => {
            fields.insert(COMPANY.to_owned(), wish.wanted.clone());
            let foreign = wish.expected.is_some_and(|expected| *expected != wish.now);
            if foreign && wish.now != *wish.wanted {
                let covers = CoveredValue { value: wish.now.clone(), at: time_from_version(*version) };
                covered.insert(COMPANY.to_owned(), covers);
            }
        }
        Err(error) if error.kind == ErrorKind::Validation => {
            let (message, field) = (error.message.clone(), Some(COMPANY.to_owned()));
            let refused = WriteOutcome::Rejected { category: IssueCategory::Missing, message, field };
            outcomes.insert(wish.at, Ok(refused));
        }
        Err(error) => {
            outcomes.insert(wish.at, Err(error.again()));
        }
    }
}
