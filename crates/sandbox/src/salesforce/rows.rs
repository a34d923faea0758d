//! Single records: create, read, update, delete, by id and by key.

use http::StatusCode;
use serde_json::{Value, json};

use super::call::{Call, Outcome, Reply};
use super::dml::Upserted;
use super::errors::{Failure, Problem};
use super::id::Id;
use super::object::Object;
use super::record::Record;
use super::sim::Sim;
use super::time::{http, parse_http};

/// From this release on a successful upsert says what it did.
const TALKATIVE_UPSERT: u32 = 46;

/// `POST /sobjects/{object}`
pub(crate) fn create(sim: &mut Sim, call: &Call) -> Outcome {
    let at = sim.object(call.param("object"))?;
    let body = call.object()?;
    let mut transaction = sim.begin(call);
    let id = sim.insert_row(&mut transaction, call, at, &body)?;
    sim.org.commit(transaction, call.now_ms);
    created(call, at, sim, id, None)
}

fn created(call: &Call, at: usize, sim: &Sim, id: Id, said: Option<bool>) -> Outcome {
    let mut body = json!({"id": id, "success": true, "errors": []});
    if let Some(created) = said {
        body["created"] = created.into();
    }
    let mut reply =
        Reply::json(if said == Some(false) { StatusCode::OK } else { StatusCode::CREATED }, &body)?;
    if said != Some(false) {
        reply.headers.push(("location", url(&sim.org.objects[at], call.version(), id)));
    }
    Ok(reply)
}

/// The address of a record.
pub(crate) fn url(object: &Object, version: &str, id: Id) -> String {
    format!("/services/data/{version}/sobjects/{}/{id}", object.schema.name)
}

/// The record a path means.
fn target(sim: &Sim, call: &Call) -> Result<(usize, Id), Failure> {
    let at = sim.object(call.param("object"))?;
    let object = &sim.org.objects[at];
    let text = call.param("id");
    let Some(id) = Id::parse(text).filter(|id| id.prefix() == object.schema.prefix) else {
        let message = format!("Provided external ID field does not exist or is not accessible: {text}");
        return Err(Failure::new(StatusCode::NOT_FOUND, "NOT_FOUND", message));
    };
    match object.get(id) {
        Some(record) if record.is_live() => Ok((at, id)),
        Some(_) => Err(Problem::new("ENTITY_IS_DELETED", "entity is deleted").into()),
        None => Err(Failure::not_found()),
    }
}

/// The record that a key finds, or the answer that there are several.
fn by_key(sim: &Sim, call: &Call) -> Result<Result<(usize, Id), Outcome>, Failure> {
    let at = sim.object(call.param("object"))?;
    let key = sim.key_field(at, call.param("field"))?;
    match sim.org.objects[at].find(key, call.param("value")) {
        [] => Err(Failure::not_found()),
        [id] => Ok(Ok((at, *id))),
        several => Ok(Err(choices(sim, call, at, several))),
    }
}

fn choices(sim: &Sim, call: &Call, at: usize, ids: &[Id]) -> Outcome {
    let object = &sim.org.objects[at];
    let urls: Vec<String> = ids.iter().map(|id| url(object, call.version(), *id)).collect();
    Reply::json(StatusCode::MULTIPLE_CHOICES, &urls)
}

/// 412 or 304 when the record does not meet the conditions of the call.
fn conditions(call: &Call, record: &Record) -> Result<(), Failure> {
    let time = |name| call.header(name).and_then(parse_http);
    if time("if-unmodified-since").is_some_and(|since| record.modified_s > since) {
        return Err(Failure::bare(StatusCode::PRECONDITION_FAILED));
    }
    if time("if-modified-since").is_some_and(|since| record.modified_s <= since) {
        return Err(Failure::bare(StatusCode::NOT_MODIFIED));
    }
    Ok(())
}

/// `GET /sobjects/{object}/{id}`
pub(crate) fn get(sim: &mut Sim, call: &Call) -> Outcome {
    let found = target(sim, call)?;
    show(sim, call, found)
}

/// `GET /sobjects/{object}/{field}/{value}`
pub(crate) fn get_by_key(sim: &mut Sim, call: &Call) -> Outcome {
    match by_key(sim, call)? {
        Ok(found) => show(sim, call, found),
        Err(several) => several,
    }
}

fn show(sim: &Sim, call: &Call, (at, id): (usize, Id)) -> Outcome {
    let object = &sim.org.objects[at];
    let record = object.get(id).ok_or_else(Failure::not_found)?;
    conditions(call, record)?;
    let wanted = call.query("fields").map(|names| sim.fields(at, names)).transpose()?;
    let mut reply = Reply::ok(&whole(object, record, call.version(), wanted.as_deref()))?;
    reply.headers.push(("last-modified", http(record.modified_s)));
    Ok(reply)
}

/// A record with the fields asked for and its id, or with every field.
pub(crate) fn whole(object: &Object, record: &Record, version: &str, wanted: Option<&[u16]>) -> Value {
    let attributes = json!({"type": object.schema.name, "url": url(object, version, record.id)});
    let mut body = json!({"attributes": attributes, "Id": record.id});
    let shown = |field: u16| wanted.is_none_or(|wanted| wanted.contains(&field));
    for field in object.schema.live_fields().filter(|field| shown(field.at)) {
        body[&*field.name] = object.read(record, field);
    }
    body
}

/// `PATCH /sobjects/{object}/{id}`
pub(crate) fn update(sim: &mut Sim, call: &Call) -> Outcome {
    let (at, id) = target(sim, call)?;
    if let Some(record) = sim.org.objects[at].get(id) {
        conditions(call, record)?;
    }
    let body = call.object()?;
    let mut transaction = sim.begin(call);
    sim.update_row(&mut transaction, call, at, id, &body)?;
    sim.org.commit(transaction, call.now_ms);
    Reply::empty(StatusCode::NO_CONTENT)
}

/// `DELETE /sobjects/{object}/{id}`
pub(crate) fn delete(sim: &mut Sim, call: &Call) -> Outcome {
    let found = target(sim, call)?;
    remove(sim, call, found)
}

/// `DELETE /sobjects/{object}/{field}/{value}`
pub(crate) fn delete_by_key(sim: &mut Sim, call: &Call) -> Outcome {
    match by_key(sim, call)? {
        Ok(found) => remove(sim, call, found),
        Err(several) => several,
    }
}

fn remove(sim: &mut Sim, call: &Call, (at, id): (usize, Id)) -> Outcome {
    if let Some(record) = sim.org.objects[at].get(id) {
        conditions(call, record)?;
    }
    let mut transaction = sim.begin(call);
    sim.delete_row(&mut transaction, call, at, id)?;
    sim.org.commit(transaction, call.now_ms);
    Reply::empty(StatusCode::NO_CONTENT)
}

/// `PATCH /sobjects/{object}/{field}/{value}`: upsert. The body may name neither the key nor `Id`.
pub(crate) fn upsert(sim: &mut Sim, call: &Call) -> Outcome {
    let at = sim.object(call.param("object"))?;
    let (key, value) = (call.param("field"), call.param("value"));
    let body = call.object()?;
    let twice = |name: &&String| name.eq_ignore_ascii_case(key) || name.eq_ignore_ascii_case("Id");
    if let Some(name) = body.keys().find(twice) {
        let message = format!(
            "The {name} field should not be specified in the sobject data as it is part of the URL of the request"
        );
        return Err(Failure::bad("INVALID_FIELD", message));
    }
    let existing = sim.key_field(at, key).ok().map(|key| sim.org.objects[at].find(key, value));
    if let Some([id]) = existing
        && let Some(record) = sim.org.objects[at].get(*id)
    {
        conditions(call, record)?;
    }
    let mut transaction = sim.begin(call);
    let done = sim.upsert_row(&mut transaction, call, at, (key, value), &body)?;
    sim.org.commit(transaction, call.now_ms);
    let talks = call.release() >= TALKATIVE_UPSERT;
    match done {
        Upserted::Created(id) => created(call, at, sim, id, talks.then_some(true)),
        Upserted::Updated(id) if talks => created(call, at, sim, id, Some(false)),
        Upserted::Updated(_) => Reply::empty(StatusCode::NO_CONTENT),
        Upserted::Several(ids) => choices(sim, call, at, &ids),
    }
}
