//! Records up to a hundred at a time. A batch of writes is valid as a whole or not at all.

use std::collections::HashSet;

use http::StatusCode;
use serde::de::DeserializeOwned;
use serde::{Deserialize, Serialize};
use serde_json::{Map, Value, json};

use super::associations;
use super::call::{Call, Outcome, Reply, text};
use super::clock::iso;
use super::errors::Failure;
use super::object::Object;
use super::objects::{NewRecord, check_identifying, check_unique, locate, prepare_new, survivor};
use super::portal::{Changes, Portal};
use super::sim::Sim;
use super::values::check;
use super::wire::{Shape, View};

const INPUTS_MOST: usize = 100;
const INPUTS_MOST_WITH_HISTORY: usize = 50;

#[derive(Deserialize)]
struct Inputs<T> {
    inputs: Vec<T>,
}

/// The answer around the results of a batch.
#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
pub(crate) struct Envelope<T> {
    status: &'static str,
    results: Vec<T>,
    #[serde(skip_serializing_if = "Option::is_none")]
    num_errors: Option<usize>,
    #[serde(skip_serializing_if = "Vec::is_empty")]
    errors: Vec<Value>,
    requested_at: String,
    started_at: String,
    completed_at: String,
}

/// Answers a batch: 207 as soon as one input failed, else `done`.
pub(crate) fn answer<T: Serialize>(
    done: StatusCode,
    results: Vec<T>,
    errors: Vec<Value>,
    now_ms: i64,
) -> Outcome {
    let num_errors = (!errors.is_empty()).then_some(errors.len());
    let status = if errors.is_empty() { done } else { StatusCode::MULTI_STATUS };
    let at = iso(now_ms);
    let (requested_at, started_at) = (at.clone(), at.clone());
    let envelope = Envelope {
        status: "COMPLETE",
        results,
        num_errors,
        errors,
        requested_at,
        started_at,
        completed_at: at,
    };
    Reply::json(status, &envelope)
}

/// The inputs of a batch, at least one and at most `most`.
pub(crate) fn inputs<T: DeserializeOwned>(call: &Call, most: usize) -> Result<Vec<T>, Failure> {
    let Inputs { inputs } = call.json()?;
    if inputs.is_empty() {
        return Err(Failure::validation("The batch has no inputs"));
    }
    if inputs.len() > most {
        let message = format!("The maximum batch size is {most}; {} inputs were sent", inputs.len());
        return Err(Failure::validation(message));
    }
    Ok(inputs)
}

#[derive(Deserialize)]
struct Id {
    #[serde(deserialize_with = "text")]
    id: String,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct ReadRequest {
    #[serde(default)]
    properties: Option<Vec<String>>,
    #[serde(default)]
    properties_with_history: Option<Vec<String>>,
    #[serde(default)]
    id_property: Option<String>,
}

/// `POST /crm/v3/objects/{type}/batch/read`
pub(crate) fn read(sim: &mut Sim, call: &Call) -> Outcome {
    let request: ReadRequest = call.json()?;
    let history = request.properties_with_history.unwrap_or_default();
    let most = if history.is_empty() { INPUTS_MOST } else { INPUTS_MOST_WITH_HISTORY };
    let ids: Vec<Id> = inputs(call, most)?;
    let portal = &*sim.portal(call)?;
    let object = &portal.objects[portal.object_at(call.param("type"))?];
    let property = request.id_property.as_deref();
    if let Some(property) = property.filter(|name| *name != "hs_object_id") {
        check_identifying(object, property)?;
    }
    let mut found = Vec::new();
    let mut missing = Vec::new();
    for Id { id } in &ids {
        match locate(object, id, property, call.flag("archived")) {
            Ok(record) => found.push(record),
            Err(_) => missing.push(id.as_str()),
        }
    }
    // The vendor does not promise the order of the inputs.
    found.sort_unstable_by_key(|record| record.id);
    found.dedup_by_key(|record| record.id);
    let shape = Shape::of(object, request.properties.as_deref(), &history);
    let results = found.into_iter().map(|record| View::new(portal.id, object, record, &shape)).collect();
    answer(StatusCode::OK, results, not_found(&missing), call.now_ms)
}

fn not_found(ids: &[&str]) -> Vec<Value> {
    if ids.is_empty() {
        return Vec::new();
    }
    vec![json!({"status": "error", "category": "OBJECT_NOT_FOUND", "context": {"ids": ids},
                "message": "Could not get some objects, they may be deleted or not exist. Check that ids are valid."})]
}

/// A record that a batch is about to write.
struct Planned {
    id: Option<u64>,
    changes: Changes,
    trace: Option<String>,
}

/// `POST /crm/v3/objects/{type}/batch/create`
pub(crate) fn create(sim: &mut Sim, call: &Call) -> Outcome {
    let inputs: Vec<NewRecord> = inputs(call, INPUTS_MOST)?;
    let reformat = sim.dials.reformat;
    let portal = sim.portal(call)?;
    let at = portal.object_at(call.param("type"))?;
    let mut planned = Vec::with_capacity(inputs.len());
    let mut links = Vec::with_capacity(inputs.len());
    for input in &inputs {
        let changes = prepare_new(portal, at, &input.properties, reformat)?;
        planned.push(Planned { id: None, changes, trace: input.object_write_trace_id.clone() });
        links.push(associations::resolve(portal, at, &input.associations)?);
    }
    check_within(&portal.objects[at], &planned)?;
    let mut written = apply(sim, call, at, planned)?;
    written.iter_mut().for_each(|one| one.new = None);
    let portal = sim.portal(call)?;
    for (written, links) in written.iter().zip(links) {
        for (to, types) in links {
            associations::connect(portal, (at, written.id), to, &types);
        }
    }
    let shape = Shape::full(&portal.objects[at]);
    respond(StatusCode::CREATED, portal, at, &shape, written, Vec::new(), call.now_ms)
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Change {
    #[serde(deserialize_with = "text")]
    id: String,
    #[serde(default)]
    id_property: Option<String>,
    #[serde(default)]
    properties: Map<String, Value>,
    #[serde(default)]
    object_write_trace_id: Option<String>,
}

/// `POST /crm/v3/objects/{type}/batch/update`
pub(crate) fn update(sim: &mut Sim, call: &Call) -> Outcome {
    let inputs: Vec<Change> = inputs(call, INPUTS_MOST)?;
    let reformat = sim.dials.reformat;
    let portal = sim.portal(call)?;
    let at = portal.object_at(call.param("type"))?;
    let object = &portal.objects[at];
    let mut planned = Vec::with_capacity(inputs.len());
    let mut missing = Vec::new();
    for input in &inputs {
        let changes = check(portal, at, &input.properties, reformat)?;
        let Ok(record) = locate(object, &input.id, input.id_property.as_deref(), false) else {
            missing.push(input.id.as_str());
            continue;
        };
        check_unique(object, &changes, Some(record.id))?;
        planned.push(Planned { id: Some(record.id), changes, trace: input.object_write_trace_id.clone() });
    }
    check_within(object, &planned)?;
    let errors = not_found(&missing);
    let mut written = apply(sim, call, at, planned)?;
    written.iter_mut().for_each(|one| one.new = None);
    finish(sim, call, at, inputs, written, errors)
}

/// `POST /crm/v3/objects/{type}/batch/upsert`
pub(crate) fn upsert(sim: &mut Sim, call: &Call) -> Outcome {
    let inputs: Vec<Change> = inputs(call, INPUTS_MOST)?;
    let reformat = sim.dials.reformat;
    let portal = sim.portal(call)?;
    let at = portal.object_at(call.param("type"))?;
    let mut planned = Vec::with_capacity(inputs.len());
    for input in &inputs {
        planned.push(plan_upsert(portal, at, input, reformat)?);
    }
    check_within(&portal.objects[at], &planned)?;
    let written = apply(sim, call, at, planned)?;
    finish(sim, call, at, inputs, written, Vec::new())
}

fn plan_upsert(portal: &Portal, at: usize, input: &Change, reformat: bool) -> Result<Planned, Failure> {
    let object = &portal.objects[at];
    let trace = input.object_write_trace_id.clone();
    let property = input.id_property.as_deref().unwrap_or("hs_object_id");
    if property == "hs_object_id" {
        let record = locate(object, &input.id, None, false)?;
        let changes = check(portal, at, &input.properties, reformat)?;
        check_unique(object, &changes, Some(record.id))?;
        return Ok(Planned { id: Some(record.id), changes, trace });
    }
    check_identifying(object, property)?;
    let mut values = input.properties.clone();
    values.entry(property.to_owned()).or_insert_with(|| json!(input.id));
    let Some(id) = object.holder(property, &input.id) else {
        return Ok(Planned { id: None, changes: prepare_new(portal, at, &values, reformat)?, trace });
    };
    let changes = check(portal, at, &values, reformat)?;
    check_unique(object, &changes, Some(id))?;
    Ok(Planned { id: Some(id), changes, trace })
}

/// Two inputs of one batch may neither be the same record nor claim the same identifying value.
fn check_within(object: &Object, planned: &[Planned]) -> Result<(), Failure> {
    let mut ids = HashSet::new();
    let mut claimed = HashSet::new();
    for plan in planned {
        if let Some(id) = plan.id.filter(|id| !ids.insert(*id)) {
            return Err(Failure::validation(format!("Duplicate IDs found in batch input: [{id}]")));
        }
        for (name, value) in &plan.changes {
            let identifies = !value.is_empty() && object.identifying().contains(name);
            if identifies && !claimed.insert((name.clone(), value.to_lowercase())) {
                let message = format!("Duplicate values of {name} found in batch input: [{value}]");
                return Err(Failure::validation(message));
            }
        }
    }
    Ok(())
}

/// A record that a batch wrote.
struct Written {
    id: u64,
    /// Whether the record did not exist before; only upserts tell.
    new: Option<bool>,
    trace: Option<String>,
}

fn apply(sim: &mut Sim, call: &Call, at: usize, planned: Vec<Planned>) -> Result<Vec<Written>, Failure> {
    let (delay, source) = (sim.settings.index_delay_ms, call.source());
    let portal = sim.portal(call)?;
    let mut written = Vec::with_capacity(planned.len());
    for Planned { id, changes, trace } in planned {
        let stamp = portal.stamp(call.now_ms, delay, source);
        let (id, new) = match id {
            Some(id) => {
                portal.update(at, id, changes, stamp);
                (id, false)
            }
            None => (portal.create(at, changes, stamp), true),
        };
        written.push(Written { id, new: Some(new), trace });
    }
    Ok(written)
}

fn finish(
    sim: &mut Sim,
    call: &Call,
    at: usize,
    inputs: Vec<Change>,
    written: Vec<Written>,
    errors: Vec<Value>,
) -> Outcome {
    let portal = sim.portal(call)?;
    let mut names: Vec<String> =
        inputs.into_iter().flat_map(|input| input.properties.into_iter().map(|(name, _)| name)).collect();
    names.sort_unstable();
    names.dedup();
    let shape = Shape::of(&portal.objects[at], Some(&names), &[]);
    respond(StatusCode::OK, portal, at, &shape, written, errors, call.now_ms)
}

fn respond(
    done: StatusCode,
    portal: &Portal,
    at: usize,
    shape: &Shape,
    mut written: Vec<Written>,
    errors: Vec<Value>,
    now_ms: i64,
) -> Outcome {
    let object = &portal.objects[at];
    written.sort_unstable_by_key(|one| one.id);
    let results: Vec<View<'_>> = written
        .into_iter()
        .filter_map(|one| object.records.get(&one.id).map(|record| (one, record)))
        .map(|(one, record)| {
            let mut view = View::new(portal.id, object, record, shape);
            view.trace = one.trace;
            view.new = one.new;
            view
        })
        .collect();
    answer(done, results, errors, now_ms)
}

/// `POST /crm/v3/objects/{type}/batch/archive`; unknown ids are ignored.
pub(crate) fn archive(sim: &mut Sim, call: &Call) -> Outcome {
    let ids: Vec<Id> = inputs(call, INPUTS_MOST)?;
    let portal = sim.portal(call)?;
    let at = portal.object_at(call.param("type"))?;
    for Id { id } in ids {
        if let Some(id) = id.parse().ok().and_then(|id| survivor(portal, at, id)) {
            portal.archive(at, id, call.now_ms);
        }
    }
    Reply::empty()
}
