//! Up to 200 records in one call, each with its own outcome.

use serde::Deserialize;
use serde_json::{Value, json};

use super::call::{Call, Outcome, Reply};
use super::dml::{Body, Upserted};
use super::errors::{Failure, Problem};
use super::id::Id;
use super::org::Transaction;
use super::rows::whole;
use super::sim::Sim;

const MOST: usize = 200;
const CHUNKS: usize = 10;
const READ_MOST: usize = 2_000;
const ROLLED_BACK: &str =
    "Record rolled back because not all records were valid and the request was using AllOrNone header";

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Batch {
    #[serde(default)]
    all_or_none: bool,
    records: Vec<Body>,
}

/// What became of one record.
type Done = Result<(Id, Option<bool>), Vec<Problem>>;

fn batch(call: &Call) -> Result<Batch, Failure> {
    let batch: Batch = call.shape()?;
    if batch.records.len() > MOST {
        return Err(too_many());
    }
    let types: Vec<&str> = batch.records.iter().map(|record| type_of(record).unwrap_or_default()).collect();
    let chunks = 1 + types.windows(2).filter(|pair| pair[0] != pair[1]).count();
    if chunks > CHUNKS {
        let message = format!("Your request has more than {CHUNKS} chunks of records of one type");
        return Err(Failure::bad("LIMIT_EXCEEDED", message));
    }
    Ok(batch)
}

fn too_many() -> Failure {
    Failure::bad(
        "EXCEEDED_MAX_SIZE_REQUEST",
        format!("record limit reached. cannot submit more than {MOST} records in this operation"),
    )
}

fn type_of(record: &Body) -> Option<&str> {
    record.get("attributes")?.get("type")?.as_str()
}

impl Sim {
    fn object_of_record(&self, record: &Body) -> Result<usize, Vec<Problem>> {
        let Some(name) = type_of(record) else {
            let message = "Include an entity type in the attributes of the record";
            return Err(vec![Problem::new("INVALID_INPUT", message)]);
        };
        let unknown =
            || vec![Problem::new("INVALID_TYPE", format!("sObject type '{name}' is not supported."))];
        self.visible(name).ok_or_else(unknown)
    }

    /// Does every item, then answers for each. All or none means that one failure undoes the rest.
    fn every<T>(
        &mut self,
        call: &Call,
        items: &[T],
        all_or_none: bool,
        mut one: impl FnMut(&mut Sim, &mut Transaction, &T) -> Done,
    ) -> Outcome {
        let mut transaction = self.begin(call);
        let mut done: Vec<Done> = items.iter().map(|item| one(self, &mut transaction, item)).collect();
        if all_or_none && done.iter().any(Result::is_err) {
            self.org.rollback(transaction);
            for outcome in done.iter_mut().filter(|outcome| outcome.is_ok()) {
                *outcome = Err(vec![Problem::new("ALL_OR_NONE_OPERATION_ROLLED_BACK", ROLLED_BACK)]);
            }
        } else {
            self.org.commit(transaction, call.now_ms);
        }
        Reply::ok(&done.iter().map(item).collect::<Vec<Value>>())
    }
}

fn item(done: &Done) -> Value {
    match done {
        Ok((id, None)) => json!({"id": id, "success": true, "errors": []}),
        Ok((id, Some(created))) => json!({"id": id, "success": true, "errors": [], "created": created}),
        Err(problems) => {
            json!({"success": false, "errors": problems.iter().map(Problem::item).collect::<Vec<_>>()})
        }
    }
}

/// `POST /composite/sobjects`
pub(crate) fn create(sim: &mut Sim, call: &Call) -> Outcome {
    let batch = batch(call)?;
    sim.every(call, &batch.records, batch.all_or_none, |sim, transaction, record| {
        let at = sim.object_of_record(record)?;
        sim.insert_row(transaction, call, at, record).map(|id| (id, None))
    })
}

/// `PATCH /composite/sobjects`
pub(crate) fn update(sim: &mut Sim, call: &Call) -> Outcome {
    let batch = batch(call)?;
    sim.every(call, &batch.records, batch.all_or_none, |sim, transaction, record| {
        let at = sim.object_of_record(record)?;
        let mut record = record.clone();
        let id = record.remove("id").or_else(|| record.remove("Id"));
        let Some(Value::String(id)) = id else {
            let message = "Id not specified in an update call";
            return Err(vec![Problem::on("MISSING_ARGUMENT", "Id", message)]);
        };
        let id = sim.live_id(at, &id).map_err(|problem| vec![problem])?;
        sim.update_row(transaction, call, at, id, &record).map(|()| (id, None))
    })
}

/// `PATCH /composite/sobjects/{object}/{field}`
pub(crate) fn upsert(sim: &mut Sim, call: &Call) -> Outcome {
    let batch = batch(call)?;
    let at = sim.object(call.param("object"))?;
    let key = sim.key_field(at, call.param("field"))?.name.to_string();
    sim.every(call, &batch.records, batch.all_or_none, |sim, transaction, record| {
        if sim.object_of_record(record)? != at {
            let message = "all records of an upsert must be of the type that its address names";
            return Err(vec![Problem::new("INVALID_TYPE", message)]);
        }
        let mut record = record.clone();
        let name = record.keys().find(|name| name.eq_ignore_ascii_case(&key)).cloned();
        let value = match name.and_then(|name| record.remove(&name)) {
            Some(Value::String(text)) if !text.trim().is_empty() => text.trim().to_owned(),
            Some(Value::Number(number)) => number.to_string(),
            _ => {
                let message = format!("{key} not specified");
                return Err(vec![Problem::on("MISSING_ARGUMENT", &key, message)]);
            }
        };
        match sim.upsert_row(transaction, call, at, (&key, &value), &record)? {
            Upserted::Created(id) => Ok((id, Some(true))),
            Upserted::Updated(id) => Ok((id, Some(false))),
            Upserted::Several(ids) => {
                let ids: Vec<String> = ids.iter().map(Id::to_string).collect();
                let message =
                    format!("more than one record found for external id field: [{}]", ids.join(", "));
                Err(vec![Problem::on("DUPLICATE_EXTERNAL_ID", &key, message)])
            }
        }
    })
}

/// `DELETE /composite/sobjects?ids=`
pub(crate) fn delete(sim: &mut Sim, call: &Call) -> Outcome {
    let ids = list(call.query("ids"));
    if ids.len() > MOST {
        return Err(too_many());
    }
    let all_or_none = call.query("allOrNone").is_some_and(|text| text.eq_ignore_ascii_case("true"));
    sim.every(call, &ids, all_or_none, |sim, transaction, text| {
        let wrong = || vec![Problem::new("MALFORMED_ID", format!("malformed id {text}"))];
        let at = Id::parse(text).and_then(|id| sim.org.object_of(id)).ok_or_else(wrong)?;
        let id = sim.live_id(at, text).map_err(|problem| vec![problem])?;
        sim.delete_row(transaction, call, at, id).map(|()| (id, None))
    })
}

fn list(text: Option<&str>) -> Vec<String> {
    let parts = text.unwrap_or_default().split(',').map(str::trim);
    parts.filter(|part| !part.is_empty()).map(str::to_owned).collect()
}

#[derive(Deserialize)]
struct Wanted {
    ids: Vec<String>,
    fields: Vec<String>,
}

/// `GET /composite/sobjects/{object}?ids=&fields=`
pub(crate) fn read(sim: &mut Sim, call: &Call) -> Outcome {
    let wanted = Wanted { ids: list(call.query("ids")), fields: list(call.query("fields")) };
    show(sim, call, &wanted)
}

/// `POST /composite/sobjects/{object}`
pub(crate) fn read_many(sim: &mut Sim, call: &Call) -> Outcome {
    let wanted: Wanted = call.shape()?;
    show(sim, call, &wanted)
}

fn show(sim: &Sim, call: &Call, wanted: &Wanted) -> Outcome {
    let at = sim.object(call.param("object"))?;
    if wanted.ids.len() > READ_MOST {
        let message =
            format!("record limit reached. cannot read more than {READ_MOST} records in this operation");
        return Err(Failure::bad("EXCEEDED_MAX_SIZE_REQUEST", message));
    }
    if wanted.ids.is_empty() || wanted.fields.is_empty() {
        return Err(Failure::bad("MISSING_ARGUMENT", "The ids and fields parameters are required"));
    }
    let object = &sim.org.objects[at];
    let fields = sim.fields(at, &wanted.fields.join(","))?;
    let one = |text: &String| {
        let record = Id::parse(text).and_then(|id| object.get(id)).filter(|record| record.is_live());
        record.map_or(Value::Null, |record| whole(object, record, call.version(), Some(&fields)))
    };
    Reply::ok(&wanted.ids.iter().map(one).collect::<Vec<Value>>())
}
