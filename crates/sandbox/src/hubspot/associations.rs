//! Links between records, version 4 of the vendor's API, with HubSpot's own association types.

use http::StatusCode;
use serde::Deserialize;
use serde_json::{Map, Value, json};

use super::batch::{answer, inputs};
use super::call::{Call, Outcome, Reply, text};
use super::errors::Failure;
use super::object::Object;
use super::objects::locate;
use super::portal::Portal;
use super::record::Record;
use super::sim::Sim;

/// An association type HubSpot defines, as seen from one side.
struct Kind {
    from: &'static str,
    to: &'static str,
    id: u32,
    inverse: u32,
    primary: bool,
}

const KINDS: [Kind; 10] = [
    kind("contacts", "companies", 279, 280, false),
    kind("companies", "contacts", 280, 279, false),
    kind("contacts", "companies", 1, 2, true),
    kind("companies", "contacts", 2, 1, true),
    kind("deals", "contacts", 3, 4, false),
    kind("contacts", "deals", 4, 3, false),
    kind("deals", "companies", 341, 342, false),
    kind("companies", "deals", 342, 341, false),
    kind("deals", "companies", 5, 6, true),
    kind("companies", "deals", 6, 5, true),
];

const fn kind(from: &'static str, to: &'static str, id: u32, inverse: u32, primary: bool) -> Kind {
    Kind { from, to, id, inverse, primary }
}

/// The first type id of pairs HubSpot has no fixed one for; such a type is its own inverse.
const OTHER_TYPES: u32 = 10_000;

/// The type seen from the other side.
pub(crate) fn inverse(id: u32) -> u32 {
    KINDS.iter().find(|kind| kind.id == id).map_or(id, |kind| kind.inverse)
}

fn is_primary(id: u32) -> bool {
    KINDS.iter().any(|kind| kind.id == id && kind.primary)
}

fn primary_of(from: &Object, to: &Object) -> Option<u32> {
    KINDS.iter().find(|k| k.from == from.name && k.to == to.name && k.primary).map(|k| k.id)
}

/// The unlabelled type between two objects.
pub(crate) fn default_type(portal: &Portal, from: usize, to: usize) -> u32 {
    let (a, b) = (&portal.objects[from], &portal.objects[to]);
    let fixed = KINDS.iter().find(|k| k.from == a.name && k.to == b.name && !k.primary);
    let (low, high) = (from.min(to) as u32, from.max(to) as u32);
    fixed.map_or(OTHER_TYPES + low * 100 + high, |kind| kind.id)
}

fn valid_types(portal: &Portal, from: usize, to: usize) -> Vec<u32> {
    let primary = primary_of(&portal.objects[from], &portal.objects[to]);
    primary.into_iter().chain([default_type(portal, from, to)]).collect()
}

/// A type in a request.
#[derive(Debug, Deserialize)]
#[serde(rename_all = "camelCase")]
pub(crate) struct TypeRef {
    #[serde(default, rename = "associationCategory")]
    _category: Option<String>,
    association_type_id: u32,
}

/// A link a new record comes with.
#[derive(Debug, Deserialize)]
pub(crate) struct NewLink {
    to: Target,
    #[serde(default)]
    types: Vec<TypeRef>,
}

#[derive(Debug, Deserialize)]
struct Target {
    #[serde(deserialize_with = "text")]
    id: String,
}

type Side = (usize, u64);

/// Finds what a new record wants to be linked to: the type says which object.
pub(crate) fn resolve(
    portal: &Portal,
    from: usize,
    links: &[NewLink],
) -> Result<Vec<(Side, Vec<u32>)>, Failure> {
    let mut resolved = Vec::with_capacity(links.len());
    for link in links {
        let types: Vec<u32> = link.types.iter().map(|one| one.association_type_id).collect();
        let to = (0..portal.objects.len())
            .find(|to| types.iter().all(|id| valid_types(portal, from, *to).contains(id)))
            .filter(|_| !types.is_empty())
            .ok_or_else(|| Failure::validation(format!("invalid association types: {types:?}")))?;
        let id = existing(portal, to, &link.to.id)?;
        resolved.push(((to, id), types));
    }
    Ok(resolved)
}

fn existing(portal: &Portal, object: usize, id: &str) -> Result<u64, Failure> {
    let object = &portal.objects[object];
    locate(object, id, None, false)
        .map(|record| record.id)
        .map_err(|_| Failure::validation(format!("{}={id} is not valid", object.singular.to_uppercase())))
}

/// Links two records. A primary type implies the plain one and takes the place of another primary;
/// the first plain link to a company becomes the primary one.
pub(crate) fn connect(portal: &mut Portal, from: Side, to: Side, types: &[u32]) {
    let plain = default_type(portal, from.0, to.0);
    let primary = primary_of(&portal.objects[from.0], &portal.objects[to.0]);
    let towards_company = portal.objects[to.0].name == "companies";
    portal.link(from, to, plain);
    let Some(primary) = primary else { return };
    let owner = if towards_company { from } else { to };
    let company = if towards_company { to.0 } else { from.0 };
    let before = portal.objects[owner.0]
        .records
        .get(&owner.1)
        .and_then(|record| record.links_to(company).find(|link| link.types.iter().any(|id| is_primary(*id))))
        .map(|link| link.id);
    let asked = types.iter().any(|id| is_primary(*id));
    if let Some(before) = before.filter(|_| asked) {
        let type_id = if towards_company { primary } else { inverse(primary) };
        portal.unlink(owner, (company, before), Some(&[type_id]));
    }
    if asked || before.is_none() {
        portal.link(from, to, primary);
    }
}

/// The `associations` part of a record that was asked for it.
pub(crate) fn summary(portal: &Portal, object: &Object, record: &Record, others: &[usize]) -> Option<Value> {
    let mut all = Map::new();
    for other in others {
        let name = &portal.objects[*other].name;
        let singular = &portal.objects[*other].singular;
        let mut results = Vec::new();
        for link in record.links_to(*other) {
            for id in &link.types {
                let labelled = if is_primary(*id) { "" } else { "_unlabeled" };
                let kind = format!("{}_to_{singular}{labelled}", object.singular);
                results.push(json!({"id": link.id.to_string(), "type": kind}));
            }
        }
        if !results.is_empty() {
            all.insert(name.clone(), json!({"results": results}));
        }
    }
    (!all.is_empty()).then_some(Value::Object(all))
}

fn types_wire(types: &[u32]) -> Vec<Value> {
    let label = |id: u32| if is_primary(id) { json!("Primary") } else { Value::Null };
    let category = |id: u32| if id < OTHER_TYPES { "HUBSPOT_DEFINED" } else { "USER_DEFINED" };
    types.iter().map(|id| json!({"category": category(*id), "typeId": id, "label": label(*id)})).collect()
}

fn linked(record: &Record, to: usize, after: u64, limit: usize, dated: bool) -> (Vec<Value>, Option<Value>) {
    let mut links: Vec<_> = record.links_to(to).filter(|link| link.id > after).collect();
    links.sort_unstable_by_key(|link| link.id);
    let more = links.len() > limit;
    links.truncate(limit);
    let next = links
        .last()
        .filter(|_| more)
        .map(|link| json!({"next": {"after": link.id.to_string(), "link": format!("?after={}", link.id)}}));
    let id = |id: u64| if dated { json!(id.to_string()) } else { json!(id) };
    let rows = links
        .into_iter()
        .map(|link| json!({"toObjectId": id(link.id), "associationTypes": types_wire(&link.types)}))
        .collect();
    (rows, next)
}

/// `GET /crm/v4/objects/{from}/{id}/associations/{to}`
pub(crate) fn list(sim: &mut Sim, call: &Call) -> Outcome {
    let portal = &*sim.portal(call)?;
    let from = portal.object_at(call.param("type"))?;
    let to = portal.object_at(call.param("to"))?;
    let record = locate(&portal.objects[from], call.param("id"), None, false)?;
    let after = call.query("after").map(Call::id).transpose()?.unwrap_or(0);
    let (results, paging) = linked(record, to, after, call.limit(500, 500)?, call.dated);
    let mut body = json!({"results": results});
    if let Some(paging) = paging {
        body["paging"] = paging;
    }
    Reply::ok(&body)
}

fn sides(portal: &Portal, call: &Call) -> Result<(Side, Side), Failure> {
    let from = portal.object_at(call.param("type"))?;
    let to = portal.object_at(call.param("to"))?;
    let from_id = locate(&portal.objects[from], call.param("id"), None, false)?.id;
    let to_id = locate(&portal.objects[to], call.param("toId"), None, false)?.id;
    Ok(((from, from_id), (to, to_id)))
}

fn check_types(portal: &Portal, from: usize, to: usize, types: &[u32]) -> Result<(), Failure> {
    let valid = valid_types(portal, from, to);
    match types.iter().find(|id| !valid.contains(id)) {
        None if types.is_empty() => Err(Failure::validation("at least one association type is required")),
        None => Ok(()),
        Some(id) => {
            let (a, b) = (&portal.objects[from].singular, &portal.objects[to].singular);
            Err(Failure::validation(format!("association type {id} is not valid from {a} to {b}")))
        }
    }
}

/// `PUT /crm/v4/objects/{from}/{id}/associations/{to}/{toId}`
pub(crate) fn put(sim: &mut Sim, call: &Call) -> Outcome {
    let types: Vec<TypeRef> = call.json_list()?;
    let types: Vec<u32> = types.iter().map(|one| one.association_type_id).collect();
    let portal = sim.portal(call)?;
    let (from, to) = sides(portal, call)?;
    check_types(portal, from.0, to.0, &types)?;
    connect(portal, from, to, &types);
    Reply::json(StatusCode::CREATED, &link_wire(portal, from, to, &types))
}

fn link_wire(portal: &Portal, from: Side, to: Side, types: &[u32]) -> Value {
    let labels: Vec<&str> = types.iter().filter(|id| is_primary(**id)).map(|_| "Primary").collect();
    json!({"fromObjectTypeId": portal.objects[from.0].type_id, "fromObjectId": from.1,
           "toObjectTypeId": portal.objects[to.0].type_id, "toObjectId": to.1, "labels": labels})
}

/// `PUT /crm/v4/objects/{from}/{id}/associations/default/{to}/{toId}`
pub(crate) fn put_default(sim: &mut Sim, call: &Call) -> Outcome {
    let portal = sim.portal(call)?;
    let (from, to) = sides(portal, call)?;
    connect(portal, from, to, &[]);
    let results = vec![default_wire(portal, from, to), default_wire(portal, to, from)];
    answer(StatusCode::OK, results, Vec::new(), call.now_ms)
}

fn default_wire(portal: &Portal, from: Side, to: Side) -> Value {
    let type_id = default_type(portal, from.0, to.0);
    json!({"from": {"id": from.1.to_string()}, "to": {"id": to.1.to_string()},
           "associationSpec": {"associationCategory": "HUBSPOT_DEFINED", "associationTypeId": type_id}})
}

/// `DELETE /crm/v4/objects/{from}/{id}/associations/{to}/{toId}`
pub(crate) fn delete(sim: &mut Sim, call: &Call) -> Outcome {
    let portal = sim.portal(call)?;
    let (from, to) = sides(portal, call)?;
    portal.unlink(from, to, None);
    Reply::empty()
}

/// `GET /crm/v4/associations/{from}/{to}/labels`
pub(crate) fn labels(sim: &mut Sim, call: &Call) -> Outcome {
    let portal = &*sim.portal(call)?;
    let (from, to) = pair(portal, call)?;
    Reply::ok(&json!({"results": types_wire(&valid_types(portal, from, to))}))
}

fn pair(portal: &Portal, call: &Call) -> Result<(usize, usize), Failure> {
    Ok((portal.object_at(call.param("type"))?, portal.object_at(call.param("to"))?))
}

#[derive(Deserialize)]
struct ReadInput {
    #[serde(deserialize_with = "text")]
    id: String,
    #[serde(default)]
    after: Option<String>,
}

/// `POST /crm/v4/associations/{from}/{to}/batch/read`
pub(crate) fn batch_read(sim: &mut Sim, call: &Call) -> Outcome {
    const PAGE: usize = 500;
    let inputs: Vec<ReadInput> = inputs(call, 1_000)?;
    let portal = &*sim.portal(call)?;
    let (from, to) = pair(portal, call)?;
    let (mut results, mut errors) = (Vec::new(), Vec::new());
    for input in &inputs {
        let Ok(record) = locate(&portal.objects[from], &input.id, None, false) else {
            errors.push(missing(&portal.objects[from], &input.id));
            continue;
        };
        let after = input.after.as_deref().map(Call::id).transpose()?.unwrap_or(0);
        let (rows, paging) = linked(record, to, after, PAGE, call.dated);
        if rows.is_empty() {
            continue;
        }
        let mut row = json!({"from": {"id": input.id}, "to": rows});
        if let Some(paging) = paging {
            row["paging"] = paging;
        }
        results.push(row);
    }
    answer(StatusCode::OK, results, errors, call.now_ms)
}

fn missing(object: &Object, id: &str) -> Value {
    let name = object.singular.to_uppercase();
    json!({"status": "error", "category": "VALIDATION_ERROR", "message": format!("{name}={id} is not valid"),
           "context": {"ids": [id]}})
}

#[derive(Deserialize)]
struct PairInput {
    from: Target,
    to: Targets,
    #[serde(default)]
    types: Vec<TypeRef>,
}

#[derive(Deserialize)]
#[serde(untagged)]
enum Targets {
    One(Target),
    Many(Vec<Target>),
}

impl Targets {
    fn all(&self) -> &[Target] {
        match self {
            Targets::One(one) => std::slice::from_ref(one),
            Targets::Many(many) => many,
        }
    }
}

/// What a batch does with each pair.
#[derive(Clone, Copy, PartialEq)]
enum Deed {
    Link,
    LinkByDefault,
    Unlink,
    UnlinkTypes,
}

/// `POST /crm/v4/associations/{from}/{to}/batch/create`
pub(crate) fn batch_create(sim: &mut Sim, call: &Call) -> Outcome {
    batch(sim, call, Deed::Link)
}

/// `POST /crm/v4/associations/{from}/{to}/batch/associate/default`
pub(crate) fn batch_default(sim: &mut Sim, call: &Call) -> Outcome {
    batch(sim, call, Deed::LinkByDefault)
}

/// `POST /crm/v4/associations/{from}/{to}/batch/archive`
pub(crate) fn batch_archive(sim: &mut Sim, call: &Call) -> Outcome {
    batch(sim, call, Deed::Unlink)
}

/// `POST /crm/v4/associations/{from}/{to}/batch/labels/archive`
pub(crate) fn batch_archive_labels(sim: &mut Sim, call: &Call) -> Outcome {
    batch(sim, call, Deed::UnlinkTypes)
}

fn batch(sim: &mut Sim, call: &Call, deed: Deed) -> Outcome {
    let inputs: Vec<PairInput> = inputs(call, 2_000)?;
    let portal = sim.portal(call)?;
    let (from, to) = pair(portal, call)?;
    let (mut results, mut errors) = (Vec::new(), Vec::new());
    for input in &inputs {
        let types: Vec<u32> = input.types.iter().map(|one| one.association_type_id).collect();
        if matches!(deed, Deed::Link | Deed::UnlinkTypes) {
            check_types(portal, from, to, &types)?;
        }
        for target in input.to.all() {
            let ids = existing(portal, from, &input.from.id)
                .and_then(|a| existing(portal, to, &target.id).map(|b| (a, b)));
            match ids {
                Ok((a, b)) => results.push(perform(portal, deed, (from, a), (to, b), &types)),
                Err(failure) => errors.push(failure.body),
            }
        }
    }
    match deed {
        Deed::Unlink | Deed::UnlinkTypes => Reply::empty(),
        Deed::Link => answer(StatusCode::CREATED, results, errors, call.now_ms),
        Deed::LinkByDefault => answer(StatusCode::OK, results, errors, call.now_ms),
    }
}

fn perform(portal: &mut Portal, deed: Deed, from: Side, to: Side, types: &[u32]) -> Value {
    match deed {
        Deed::Link => {
            connect(portal, from, to, types);
            link_wire(portal, from, to, types)
        }
        Deed::LinkByDefault => {
            connect(portal, from, to, &[]);
            default_wire(portal, from, to)
        }
        Deed::Unlink => {
            portal.unlink(from, to, None);
            Value::Null
        }
        Deed::UnlinkTypes => {
            portal.unlink(from, to, Some(types));
            Value::Null
        }
    }
}
