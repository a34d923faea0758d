//! The control API: what a test or a demo does to the portal from outside the vendor's API.

use std::collections::HashSet;

use http::StatusCode;
use serde::Deserialize;
use serde_json::{Map, Value, json};

use super::Tier;
use super::call::{Call, Outcome, Reply, text};
use super::errors::Failure;
use super::faults::Fault;
use super::objects::{NewRecord, check_unique, create_one, survivor};
use super::pipelines::OWNERS;
use super::portal::Portal;
use super::record::Source;
use super::seed::{self, Order};
use super::sim::Sim;
use super::values::check;
use super::wire::{Shape, View};

/// `GET /_sandbox/health`
pub(crate) fn health(sim: &mut Sim, call: &Call) -> Outcome {
    let portal = sim.portal(call)?;
    let live = |object: &super::object::Object| object.records.len() - object.archived.len();
    let records: Map<String, Value> =
        portal.objects.iter().map(|object| (object.name.clone(), json!(live(object)))).collect();
    Reply::ok(&json!({"status": "ok", "portal_id": portal.id, "now_ms": call.now_ms, "records": records}))
}

/// `POST /_sandbox/seed`
pub(crate) fn seed(sim: &mut Sim, call: &Call) -> Outcome {
    let order: Order = call.json()?;
    let portal_id = sim.portal(call)?.id;
    let Sim { portals, clock, settings, .. } = sim;
    let portal = portals.iter_mut().find(|portal| portal.id == portal_id);
    let portal = portal.ok_or_else(Sim::unknown_path)?;
    let ids = seed::plant(portal, &order, settings.seed, settings.index_delay_ms, clock)?;
    Reply::ok(
        &json!({"object": order.object, "created": ids.len(), "first_id": ids.first().map(u64::to_string),
                      "last_id": ids.last().map(u64::to_string)}),
    )
}

#[derive(Deserialize)]
struct Target {
    object: String,
    #[serde(deserialize_with = "text")]
    id: String,
    #[serde(default)]
    properties: Map<String, Value>,
    #[serde(default)]
    user_id: Option<u64>,
    /// The modification date stays, as when the vendor mends its own data.
    #[serde(default)]
    unnoticed: bool,
}

impl Target {
    fn find(&self, portal: &Portal) -> Result<(usize, u64), Failure> {
        let at = portal.object_at(&self.object)?;
        let id = survivor(portal, at, Call::id(&self.id)?);
        Ok((at, id.ok_or_else(|| Failure::not_found("resource not found"))?))
    }

    fn source(&self) -> Source {
        Source::User(self.user_id.unwrap_or(OWNERS[1].user_id))
    }
}

#[derive(Deserialize)]
struct Creation {
    object: String,
    #[serde(flatten)]
    record: NewRecord,
}

/// `POST /_sandbox/create`: a portal user adds a record.
pub(crate) fn create(sim: &mut Sim, call: &Call) -> Outcome {
    let Creation { object, record } = call.json()?;
    let source = Source::User(OWNERS[1].user_id);
    let (at, id) = create_one(sim, call, &object, &record, source)?;
    show(sim.portal(call)?, at, id, StatusCode::CREATED)
}

/// `POST /_sandbox/edit`: a portal user changes a record.
pub(crate) fn edit(sim: &mut Sim, call: &Call) -> Outcome {
    let target: Target = call.json()?;
    let delay = sim.settings.index_delay_ms;
    let portal = sim.portal(call)?;
    let (at, id) = target.find(portal)?;
    let changes = check(portal, at, &target.properties, false)?;
    check_unique(&portal.objects[at], &changes, Some(id))?;
    let modified = portal.objects[at].records.get(&id).map(|record| record.modified_ms);
    let now = modified.filter(|_| target.unnoticed).unwrap_or(call.now_ms);
    let stamp = portal.stamp(now, delay, target.source());
    portal.update(at, id, changes, stamp);
    show(portal, at, id, StatusCode::OK)
}

/// `POST /_sandbox/archive`: a portal user puts a record into the recycle bin.
pub(crate) fn archive(sim: &mut Sim, call: &Call) -> Outcome {
    let target: Target = call.json()?;
    let portal = sim.portal(call)?;
    let (at, id) = target.find(portal)?;
    portal.archive(at, id, call.now_ms);
    show(portal, at, id, StatusCode::OK)
}

/// `POST /_sandbox/restore`: a portal user takes a record out of the recycle bin.
pub(crate) fn restore(sim: &mut Sim, call: &Call) -> Outcome {
    let target: Target = call.json()?;
    let delay = sim.settings.index_delay_ms;
    let portal = sim.portal(call)?;
    let at = portal.object_at(&target.object)?;
    let id = Call::id(&target.id)?;
    let stamp = portal.stamp(call.now_ms, delay, target.source());
    if !portal.restore(at, id, stamp) {
        return Err(Failure::not_found("no archived record has this id"));
    }
    show(portal, at, id, StatusCode::OK)
}

#[derive(Deserialize)]
struct Merge {
    object: String,
    #[serde(deserialize_with = "text")]
    primary_id: String,
    #[serde(deserialize_with = "text")]
    id: String,
}

/// `POST /_sandbox/merge`: a portal user merges `id` into `primary_id`.
pub(crate) fn merge(sim: &mut Sim, call: &Call) -> Outcome {
    let input: Merge = call.json()?;
    let (delay, new_id) = (sim.settings.index_delay_ms, sim.dials.merge_issues_new_id);
    let portal = sim.portal(call)?;
    let at = portal.object_at(&input.object)?;
    let live = |text: &str| -> Result<u64, Failure> {
        survivor(portal, at, Call::id(text)?).ok_or_else(|| Failure::not_found("resource not found"))
    };
    let (primary, loser) = (live(&input.primary_id)?, live(&input.id)?);
    if primary == loser {
        return Err(Failure::validation("a record cannot be merged with itself"));
    }
    let stamp = portal.stamp(call.now_ms, delay, Source::User(OWNERS[1].user_id));
    let id = portal.merge(at, primary, loser, stamp, new_id);
    show(portal, at, id.ok_or_else(|| Failure::not_found("resource not found"))?, StatusCode::OK)
}

fn show(portal: &Portal, at: usize, id: u64, status: StatusCode) -> Outcome {
    let object = &portal.objects[at];
    let shape = Shape::full(object);
    let record = object.records.get(&id).ok_or_else(|| Failure::not_found("resource not found"))?;
    Reply::json(status, &View::new(portal.id, object, record, &shape))
}

/// `GET /_sandbox/state/{object}?ids=&fields=`: every record or those named, archived ones too, for comparisons.
pub(crate) fn state(sim: &mut Sim, call: &Call) -> Outcome {
    let portal = &*sim.portal(call)?;
    let object = &portal.objects[portal.object_at(call.param("object"))?];
    let shape = match call.list("fields") {
        Some(fields) => Shape::of(object, Some(&fields), &[]),
        None => Shape::full(object),
    };
    let ids: Option<HashSet<u64>> = match call.list("ids") {
        Some(ids) => Some(ids.iter().map(|id| Call::id(id)).collect::<Result<_, _>>()?),
        None => None,
    };
    let others: Vec<usize> = (0..portal.objects.len()).collect();
    let results: Vec<View<'_>> = object
        .records
        .iter()
        .filter(|(id, _)| ids.as_ref().is_none_or(|ids| ids.contains(id)))
        .map(|(_, record)| {
            let mut view = View::new(portal.id, object, record, &shape);
            if call.flag("associations") {
                view.associations = super::associations::summary(portal, object, record, &others);
            }
            view
        })
        .collect();
    Reply::ok(&json!({"total": results.len(), "results": results}))
}

#[derive(Default, Deserialize)]
#[serde(default, deny_unknown_fields)]
struct Turn {
    tier: Option<Tier>,
    index_delay_ms: Option<u64>,
    rate_limits: Option<bool>,
    rotate_refresh_token: Option<bool>,
    reject_rotated: Option<bool>,
    living_edits_per_minute: Option<u32>,
    reformat: Option<bool>,
    merge_issues_new_id: Option<bool>,
    /// A list limits consent, `"all"` lifts the limit.
    scopes_granted: Option<Value>,
}

/// `POST /_sandbox/settings`: what is named changes, the rest stays. Answers with all of it.
pub(crate) fn settings(sim: &mut Sim, call: &Call) -> Outcome {
    let turn: Turn = if call.body.is_empty() { Turn::default() } else { call.json()? };
    let (settings, dials) = (&mut sim.settings, &mut sim.dials);
    if let Some(scopes) = turn.scopes_granted {
        dials.scopes_granted = match scopes {
            Value::String(all) if all == "all" => None,
            list => Some(
                serde_json::from_value(list)
                    .map_err(|_| Failure::validation("scopes_granted is a list of scopes or \"all\""))?,
            ),
        };
    }
    settings.tier = turn.tier.unwrap_or(settings.tier);
    settings.index_delay_ms = turn.index_delay_ms.unwrap_or(settings.index_delay_ms);
    settings.rate_limits = turn.rate_limits.unwrap_or(settings.rate_limits);
    settings.rotate_refresh_token = turn.rotate_refresh_token.unwrap_or(settings.rotate_refresh_token);
    settings.reject_rotated = turn.reject_rotated.unwrap_or(settings.reject_rotated);
    settings.living_edits_per_minute =
        turn.living_edits_per_minute.unwrap_or(settings.living_edits_per_minute);
    dials.reformat = turn.reformat.unwrap_or(dials.reformat);
    dials.merge_issues_new_id = turn.merge_issues_new_id.unwrap_or(dials.merge_issues_new_id);
    Reply::ok(&json!({
        "tier": settings.tier, "index_delay_ms": settings.index_delay_ms,
        "rate_limits": settings.rate_limits, "rotate_refresh_token": settings.rotate_refresh_token,
        "reject_rotated": settings.reject_rotated,
        "living_edits_per_minute": settings.living_edits_per_minute, "reformat": dials.reformat,
        "merge_issues_new_id": dials.merge_issues_new_id, "scopes_granted": dials.scopes_granted,
    }))
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Advance {
    advance_ms: i64,
}

/// `POST /_sandbox/clock`: forward, or back, as a clock is set right; what was stamped before keeps its stamp.
pub(crate) fn clock(sim: &mut Sim, call: &Call) -> Outcome {
    let Advance { advance_ms } = call.json()?;
    if call.now_ms.saturating_add(advance_ms) < 0 {
        return Err(Failure::validation("the clock begins in 1970"));
    }
    sim.clock.advance(advance_ms);
    Reply::ok(&json!({"now_ms": sim.clock.now_ms(), "offset_ms": sim.clock.offset_ms()}))
}

/// `POST /_sandbox/revoke`: a user removes the app; every token of it is dead.
pub(crate) fn revoke(sim: &mut Sim, call: &Call) -> Outcome {
    let portal_id = sim.portal(call)?.id;
    Reply::ok(&json!({"revoked_grants": sim.auth.revoke(portal_id)}))
}

/// `POST /_sandbox/expire_tokens`: access tokens expire now, refresh tokens live on.
pub(crate) fn expire_tokens(sim: &mut Sim, call: &Call) -> Outcome {
    Reply::ok(&json!({"expired_tokens": sim.auth.expire_access(call.now_ms)}))
}

/// `GET /_sandbox/faults`
pub(crate) fn faults(sim: &mut Sim, _call: &Call) -> Outcome {
    Reply::ok(&json!({"faults": sim.faults.set}))
}

/// `POST /_sandbox/faults`
pub(crate) fn add_fault(sim: &mut Sim, call: &Call) -> Outcome {
    let fault: Fault = call.json()?;
    if !sim.faults.try_set(fault) {
        return Err(Failure::validation("times starts at 1 and probability is between 0 and 1"));
    }
    faults(sim, call)
}

/// `DELETE /_sandbox/faults`
pub(crate) fn clear_faults(sim: &mut Sim, _call: &Call) -> Outcome {
    sim.faults.set.clear();
    Reply::empty()
}

/// `GET /_sandbox/calls`
pub(crate) fn calls(sim: &mut Sim, call: &Call) -> Outcome {
    let last = call.query("last").and_then(|text| text.parse().ok()).unwrap_or(50);
    Reply::ok(&sim.calls.wire(last))
}

/// `DELETE /_sandbox/calls`
pub(crate) fn clear_calls(sim: &mut Sim, _call: &Call) -> Outcome {
    sim.calls = crate::calls::CallLog::default();
    Reply::empty()
}
