//! The part of the control API that is about the event stream.

use http::StatusCode;
use serde::Deserialize;
use serde_json::json;

use super::StreamSettings;
use super::capture::NO_RECORD;
use super::event::ChangeType;
use super::events::Events;
use super::faults::{StreamFault, StreamFaultKind};
use crate::salesforce::call::{Call, Outcome, Reply};
use crate::salesforce::errors::Failure;
use crate::salesforce::sim::Sim;

fn refused(message: impl Into<String>) -> Failure {
    Failure::bad("INVALID_INPUT", message)
}

/// `GET /_sandbox/stream`: the settings, the faults that are set, how many events are kept, and how many
/// calls with a good token named an instance at which the org is no more.
pub(crate) fn stream(sim: &mut Sim, _call: &Call) -> Outcome {
    let Events { settings, faults, log, misaddressed, .. } = &sim.events;
    Reply::ok(
        &json!({"settings": settings, "faults": faults.set, "events": log.len(), "misaddressed": misaddressed}),
    )
}

/// `POST /_sandbox/stream/settings`: what is named changes for what is committed from now on, the rest stays.
pub(crate) fn settings(sim: &mut Sim, call: &Call) -> Outcome {
    let changes = call.object()?;
    let mut all = json!(sim.events.settings);
    changes.into_iter().for_each(|(name, value)| all[name] = value);
    let settings: StreamSettings = serde_json::from_value(all).map_err(|error| refused(error.to_string()))?;
    settings.check().map_err(refused)?;
    if settings.tls != sim.events.settings.tls {
        return Err(refused("tls is chosen before the stream is served"));
    }
    sim.events.settings = settings;
    sim.events.ring();
    stream(sim, call)
}

#[derive(Deserialize)]
#[serde(rename_all = "snake_case")]
enum Gap {
    Create,
    Update,
    Delete,
    Undelete,
    Overflow,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct GapOrder {
    object: String,
    kind: Gap,
    /// Record ids, or a wildcard such as `001*`; an overflow has none.
    #[serde(default)]
    ids: Vec<String>,
}

/// `POST /_sandbox/stream/gap`: the stream says of records, or of a whole object, only that they changed.
pub(crate) fn gap(sim: &mut Sim, call: &Call) -> Outcome {
    let GapOrder { object, kind, mut ids } = call.shape()?;
    let change = match kind {
        Gap::Create => ChangeType::GapCreate,
        Gap::Update => ChangeType::GapUpdate,
        Gap::Delete => ChangeType::GapDelete,
        Gap::Undelete => ChangeType::GapUndelete,
        Gap::Overflow => ChangeType::GapOverflow,
    };
    if change == ChangeType::GapOverflow {
        ids = vec![NO_RECORD.to_owned()];
    }
    if ids.is_empty() {
        return Err(refused("a gap needs ids"));
    }
    let Sim { events, org, .. } = sim;
    if !events.gap(org, &object, change, ids, call.now_ms) {
        return Err(refused("the object does not exist"));
    }
    stream(sim, call)
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct CutOrder {
    kind: StreamFaultKind,
}

/// `POST /_sandbox/stream/cut`: every running subscription is hit by a fault now.
pub(crate) fn cut(sim: &mut Sim, call: &Call) -> Outcome {
    let CutOrder { kind } = call.shape()?;
    sim.events.cut_all(kind);
    stream(sim, call)
}

/// `POST /_sandbox/stream/migrate`: the org moves to another instance, and every replay id is unknown from now on.
pub(crate) fn migrate(sim: &mut Sim, call: &Call) -> Outcome {
    sim.events.migrate();
    stream(sim, call)
}

/// `POST /_sandbox/stream/faults`
pub(crate) fn add_fault(sim: &mut Sim, call: &Call) -> Outcome {
    let fault: StreamFault = call.shape()?;
    if !sim.events.faults.try_set(fault) {
        return Err(refused("times starts at 1 and probability is between 0 and 1"));
    }
    stream(sim, call)
}

/// `DELETE /_sandbox/stream/faults`
pub(crate) fn clear_faults(sim: &mut Sim, _call: &Call) -> Outcome {
    sim.events.faults.set.clear();
    Reply::empty(StatusCode::NO_CONTENT)
}
