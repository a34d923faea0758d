//! Records one at a time: list, get, create, update, archive, merge, delete for good.

use std::ops::Bound;

use http::StatusCode;
use serde::{Deserialize, Serialize};
use serde_json::{Map, Value, json};

use super::associations;
use super::call::{Call, Outcome, Reply, text};
use super::errors::Failure;
use super::object::Object;
use super::pipelines::DEFAULT_PIPELINE;
use super::portal::{Changes, Portal};
use super::record::{Record, Source};
use super::sim::Sim;
use super::values::check;
use super::wire::{Shape, View};

/// A record to create, alone or in a batch.
#[derive(Debug, Deserialize)]
#[serde(rename_all = "camelCase")]
pub(crate) struct NewRecord {
    #[serde(default)]
    pub(crate) properties: Map<String, Value>,
    #[serde(default)]
    pub(crate) associations: Vec<associations::NewLink>,
    #[serde(default)]
    pub(crate) object_write_trace_id: Option<String>,
}

#[derive(Serialize)]
struct Page<'a> {
    results: Vec<View<'a>>,
    #[serde(skip_serializing_if = "Option::is_none")]
    paging: Option<Value>,
}

/// `GET /crm/v3/objects/{type}`
pub(crate) fn list(sim: &mut Sim, call: &Call) -> Outcome {
    let portal = &*sim.portal(call)?;
    let at = portal.object_at(call.param("type"))?;
    let object = &portal.objects[at];
    let history = call.list("propertiesWithHistory").unwrap_or_default();
    let limit = call.limit(10, if history.is_empty() { 100 } else { 50 })?;
    let after = match call.query("after") {
        Some(text) if !text.is_empty() => Call::id(text)?,
        _ => 0,
    };
    let wanted = call.list("properties");
    let shape = Shape::of(object, wanted.as_deref(), &history);
    let mut records = page_of(object, call.flag("archived"), after, limit + 1);
    let more = records.len() > limit;
    records.truncate(limit);
    let others = linked_objects(portal, call)?;
    let paging = more.then(|| {
        let last = records.last().map(|record| record.id).unwrap_or_default();
        json!({"next": {"after": last.to_string(), "link": format!("{}?after={last}", call.path)}})
    });
    let results = records.into_iter().map(|record| view(portal, object, record, &shape, &others)).collect();
    Reply::ok(&Page { results, paging })
}

fn page_of(object: &Object, archived: bool, after: u64, most: usize) -> Vec<&Record> {
    let from = (Bound::Excluded(after), Bound::Unbounded);
    if archived {
        return object.archived.range(from).filter_map(|id| object.records.get(id)).take(most).collect();
    }
    let live = object.records.range(from).map(|(_, record)| record);
    live.filter(|record| record.archived_ms.is_none()).take(most).collect()
}

fn linked_objects(portal: &Portal, call: &Call) -> Result<Vec<usize>, Failure> {
    call.list("associations").unwrap_or_default().iter().map(|name| portal.object_at(name)).collect()
}

fn view<'a>(
    portal: &'a Portal,
    object: &'a Object,
    record: &'a Record,
    shape: &'a Shape,
    others: &[usize],
) -> View<'a> {
    let mut view = View::new(portal.id, object, record, shape);
    if !others.is_empty() {
        view.associations = associations::summary(portal, object, record, others);
    }
    view
}

/// `GET /crm/v3/objects/{type}/{id}`
pub(crate) fn get(sim: &mut Sim, call: &Call) -> Outcome {
    let portal = &*sim.portal(call)?;
    let at = portal.object_at(call.param("type"))?;
    let object = &portal.objects[at];
    let archived = call.flag("archived");
    let record = locate(object, call.param("id"), call.query("idProperty"), archived)?;
    let wanted = call.list("properties");
    let shape = Shape::of(object, wanted.as_deref(), &call.list("propertiesWithHistory").unwrap_or_default());
    let others = linked_objects(portal, call)?;
    Reply::ok(&view(portal, object, record, &shape, &others))
}

/// The record behind an id or behind the value of a property that identifies records.
pub(crate) fn locate<'a>(
    object: &'a Object,
    id: &str,
    id_property: Option<&str>,
    archived: bool,
) -> Result<&'a Record, Failure> {
    let missing = || Failure::not_found("resource not found");
    let id = match id_property {
        Some(property) if property != "hs_object_id" => {
            check_identifying(object, property)?;
            object.holder(property, id).ok_or_else(missing)?
        }
        _ => id.parse().map_err(|_| missing())?,
    };
    object.find(id, archived).ok_or_else(missing)
}

pub(crate) fn check_identifying(object: &Object, property: &str) -> Result<(), Failure> {
    if object.identifying().iter().any(|name| &**name == property) {
        return Ok(());
    }
    Err(Failure::validation(format!("Property '{property}' is not a unique property of {}", object.name)))
}

/// `POST /crm/v3/objects/{type}`
pub(crate) fn create(sim: &mut Sim, call: &Call) -> Outcome {
    let source = call.source();
    let input: NewRecord = call.json()?;
    let (at, id) = create_one(sim, call, call.param("type"), &input, source)?;
    let portal = &*sim.portal(call)?;
    let object = &portal.objects[at];
    let shape = Shape::full(object);
    let mut view = View::new(portal.id, object, &object.records[&id], &shape);
    view.trace = input.object_write_trace_id;
    Reply::json(StatusCode::CREATED, &view)
}

pub(crate) fn create_one(
    sim: &mut Sim,
    call: &Call,
    object: &str,
    input: &NewRecord,
    source: Source,
) -> Result<(usize, u64), Failure> {
    let (reformat, delay) = (sim.dials.reformat, sim.settings.index_delay_ms);
    let portal = sim.portal(call)?;
    let at = portal.object_at(object)?;
    let changes = prepare_new(portal, at, &input.properties, reformat)?;
    let links = associations::resolve(portal, at, &input.associations)?;
    let stamp = portal.stamp(call.now_ms, delay, source);
    let id = portal.create(at, changes, stamp);
    for (to, types) in links {
        associations::connect(portal, (at, id), to, &types);
    }
    Ok((at, id))
}

/// Checks the values of a new record and adds what the vendor sets by itself.
pub(crate) fn prepare_new(
    portal: &Portal,
    at: usize,
    values: &Map<String, Value>,
    reformat: bool,
) -> Result<Changes, Failure> {
    let mut changes = check(portal, at, values, reformat)?;
    let object = &portal.objects[at];
    if let Some(schema) = &object.schema {
        let given = |name: &String| changes.iter().any(|(key, value)| **key == **name && !value.is_empty());
        if let Some(missing) = schema.required_properties.iter().find(|name| !given(name)) {
            let message =
                format!("Error creating {}. Some required properties were not set: {missing}", object.name);
            return Err(Failure::validation(message));
        }
    }
    if object.name == "deals" && !values.contains_key("pipeline") {
        changes.push(("pipeline".into(), DEFAULT_PIPELINE.to_owned()));
    }
    check_unique(object, &changes, None)?;
    Ok(changes)
}

/// Refuses a value that identifies another record already.
pub(crate) fn check_unique(object: &Object, changes: &Changes, own: Option<u64>) -> Result<(), Failure> {
    for name in object.identifying() {
        let Some((_, value)) = changes.iter().find(|(key, value)| key == name && !value.is_empty()) else {
            continue;
        };
        let Some(holder) = object.holder(name, value).filter(|holder| Some(*holder) != own) else {
            continue;
        };
        let singular = capitalized(&object.singular);
        return Err(Failure::conflict(format!("{singular} already exists. Existing ID: {holder}")));
    }
    Ok(())
}

fn capitalized(word: &str) -> String {
    let mut letters = word.chars();
    letters.next().map(|first| first.to_uppercase().chain(letters).collect()).unwrap_or_default()
}

#[derive(Deserialize)]
struct Update {
    #[serde(default)]
    properties: Map<String, Value>,
}

/// `PATCH /crm/v3/objects/{type}/{id}`
pub(crate) fn update(sim: &mut Sim, call: &Call) -> Outcome {
    let source = call.source();
    let input: Update = call.json()?;
    let (reformat, delay) = (sim.dials.reformat, sim.settings.index_delay_ms);
    let portal = sim.portal(call)?;
    let at = portal.object_at(call.param("type"))?;
    let id = locate(&portal.objects[at], call.param("id"), call.query("idProperty"), false)?.id;
    let changes = check(portal, at, &input.properties, reformat)?;
    check_unique(&portal.objects[at], &changes, Some(id))?;
    let stamp = portal.stamp(call.now_ms, delay, source);
    portal.update(at, id, changes, stamp);
    let portal = &*portal;
    let object = &portal.objects[at];
    let written: Vec<String> = input.properties.keys().cloned().collect();
    let shape = Shape::of(object, Some(&written), &[]);
    Reply::ok(&View::new(portal.id, object, &object.records[&id], &shape))
}

/// `DELETE /crm/v3/objects/{type}/{id}`: into the recycle bin, any number of times.
pub(crate) fn archive(sim: &mut Sim, call: &Call) -> Outcome {
    let portal = sim.portal(call)?;
    let at = portal.object_at(call.param("type"))?;
    if let Some(id) = call.param("id").parse::<u64>().ok().and_then(|id| survivor(portal, at, id)) {
        portal.archive(at, id, call.now_ms);
    }
    Reply::empty()
}

pub(crate) fn survivor(portal: &Portal, at: usize, id: u64) -> Option<u64> {
    portal.objects[at].find(id, false).map(|record| record.id)
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Merge {
    #[serde(deserialize_with = "text")]
    primary_object_id: String,
    #[serde(deserialize_with = "text")]
    object_id_to_merge: String,
}

/// `POST /crm/v3/objects/{type}/merge`
pub(crate) fn merge(sim: &mut Sim, call: &Call) -> Outcome {
    let source = call.source();
    let input: Merge = call.json()?;
    let (delay, new_id) = (sim.settings.index_delay_ms, sim.dials.merge_issues_new_id);
    let portal = sim.portal(call)?;
    let at = portal.object_at(call.param("type"))?;
    let primary = locate(&portal.objects[at], &input.primary_object_id, None, false)?.id;
    let loser = locate(&portal.objects[at], &input.object_id_to_merge, None, false)?.id;
    if primary == loser {
        return Err(Failure::validation("a record cannot be merged with itself"));
    }
    let stamp = portal.stamp(call.now_ms, delay, source);
    let id = portal
        .merge(at, primary, loser, stamp, new_id)
        .ok_or_else(|| Failure::not_found("resource not found"))?;
    let portal = &*portal;
    let object = &portal.objects[at];
    let shape = Shape::full(object);
    Reply::ok(&View::new(portal.id, object, &object.records[&id], &shape))
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Erase {
    #[serde(deserialize_with = "text")]
    object_id: String,
    #[serde(default)]
    id_property: Option<String>,
}

/// `POST /crm/v3/objects/{type}/gdpr-delete`: gone for good.
pub(crate) fn gdpr_delete(sim: &mut Sim, call: &Call) -> Outcome {
    let input: Erase = call.json()?;
    let portal = sim.portal(call)?;
    let at = portal.object_at(call.param("type"))?;
    let object = &portal.objects[at];
    let property = input.id_property.as_deref();
    let live = locate(object, &input.object_id, property, false);
    let id = live.or_else(|_| locate(object, &input.object_id, property, true))?.id;
    portal.purge(at, id);
    Reply::empty()
}

impl Call {
    /// Who writes when this call writes.
    pub(crate) fn source(&self) -> Source {
        self.caller.as_ref().map_or(Source::User(super::pipelines::OWNERS[0].user_id), |c| c.source())
    }
}
