//! The control API: what a test or a demo does to the org from outside the vendor's API.

use serde_json::{Map, Value, json};

use super::call::{Call, Outcome, Reply};
use super::sim::Sim;

/// `GET /_sandbox/health`
pub(crate) fn health(sim: &mut Sim, call: &Call) -> Outcome {
    let objects = sim.org.objects.iter();
    let records: Map<String, Value> =
        objects.map(|object| (object.schema.name.clone(), json!(object.live().count()))).collect();
    Reply::ok(
        &json!({"status": "ok", "organization_id": sim.org.id, "now_ms": call.now_ms, "records": records,
        "commit": sim.org.journal.newest()}),
    )
}
