//! What the org has: versions, objects, fields.

use http::StatusCode;
use serde_json::{Map, Value, json};

use super::call::{Call, Outcome, Reply};
use super::errors::Failure;
use super::schema::Schema;
use super::sim::Sim;
use super::time::{http, parse_http};

pub(crate) const OLDEST: u32 = 31;
pub(crate) const NEWEST: u32 = 67;

/// `GET /services/data`
pub(crate) fn versions(_sim: &mut Sim, _call: &Call) -> Outcome {
    let versions: Vec<Value> = (OLDEST..=NEWEST)
        .map(|release| {
            let season = ["Spring", "Summer", "Winter"][(release % 3) as usize];
            let year = (release + 13) / 3;
            json!({"label": format!("{season} '{year}"), "url": format!("/services/data/v{release}.0"),
                "version": format!("{release}.0")})
        })
        .collect();
    Reply::ok(&versions)
}

/// `GET /services/data/{version}`
pub(crate) fn resources(_sim: &mut Sim, call: &Call) -> Outcome {
    let base = format!("/services/data/{}", call.version());
    let names = ["sobjects", "query", "queryAll", "composite", "limits", "jobs", "tooling"];
    let resources: Map<String, Value> =
        names.iter().map(|name| ((*name).to_owned(), json!(format!("{base}/{name}")))).collect();
    Reply::ok(&resources)
}

/// 304 when nothing changed since the client looked.
fn unchanged(call: &Call, changed_s: i64) -> Result<(), Failure> {
    match call.header("if-modified-since").and_then(parse_http) {
        Some(since) if changed_s <= since => Err(Failure::bare(StatusCode::NOT_MODIFIED)),
        _ => Ok(()),
    }
}

fn dated(outcome: Outcome, changed_s: i64) -> Outcome {
    let mut reply = outcome?;
    reply.headers.push(("last-modified", http(changed_s)));
    Ok(reply)
}

/// `GET /sobjects`
pub(crate) fn global(sim: &mut Sim, call: &Call) -> Outcome {
    let visible = sim.org.objects.iter().filter(|object| sim.visible(&object.schema.name).is_some());
    let changed_s =
        visible.clone().map(|object| object.schema.changed_s).max().unwrap_or(0).max(sim.org_made_s());
    unchanged(call, changed_s)?;
    let objects: Vec<Value> = visible.map(|object| brief(sim, call, &object.schema)).collect();
    dated(Reply::ok(&json!({"encoding": "UTF-8", "maxBatchSize": 200, "sobjects": objects})), changed_s)
}

/// What the list of objects says of one.
fn brief(sim: &Sim, call: &Call, schema: &Schema) -> Value {
    let heavy =
        ["childRelationships", "recordTypeInfos", "supportedScopes", "namedLayoutInfos", "actionOverrides"];
    let mut brief = schema.raw.clone();
    brief.retain(|key, _| !heavy.contains(&key.as_str()));
    finish(sim, call, schema, &mut brief);
    Value::Object(brief)
}

fn finish(sim: &Sim, call: &Call, schema: &Schema, to: &mut Map<String, Value>) {
    if sim.is_read_only(schema) {
        for key in ["createable", "updateable", "deletable", "undeletable", "mergeable"] {
            to.insert(key.to_owned(), json!(false));
        }
    }
    let base = format!("/services/data/{}/sobjects/{}", call.version(), schema.name);
    to.insert(
        "urls".to_owned(),
        json!({"sobject": base, "describe": format!("{base}/describe"),
        "rowTemplate": format!("{base}/{{ID}}"), "layouts": format!("{base}/describe/layouts")}),
    );
}

/// `GET /sobjects/{object}`
pub(crate) fn basics(sim: &mut Sim, call: &Call) -> Outcome {
    let at = sim.object(call.param("object"))?;
    let brief = brief(sim, call, &sim.org.objects[at].schema);
    Reply::ok(&json!({"objectDescribe": brief, "recentItems": []}))
}

/// `GET /sobjects/{object}/describe`
pub(crate) fn describe(sim: &mut Sim, call: &Call) -> Outcome {
    let at = sim.object(call.param("object"))?;
    let schema = &sim.org.objects[at].schema;
    let changed_s = schema.changed_s.max(sim.org_made_s());
    unchanged(call, changed_s)?;
    let read_only = sim.is_read_only(schema);
    let fields: Vec<Value> = schema
        .live_fields()
        .map(|field| {
            let mut raw = field.raw.clone();
            if read_only {
                raw.insert("createable".to_owned(), json!(false));
                raw.insert("updateable".to_owned(), json!(false));
            }
            Value::Object(raw)
        })
        .collect();
    let mut body = schema.raw.clone();
    finish(sim, call, schema, &mut body);
    body.insert("actionOverrides".to_owned(), json!([]));
    body.insert("fields".to_owned(), json!(fields));
    dated(Reply::ok(&body), changed_s)
}
