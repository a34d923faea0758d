//! The portal itself: account details, API usage, owners, pipelines, custom object schemas.

use std::collections::BTreeMap;

use http::StatusCode;
use serde::Deserialize;
use serde_json::{Value, json};

use super::Tier;
use super::call::{Call, Outcome, Reply};
use super::clock::iso;
use super::errors::Failure;
use super::object::{Labels, Object, Schema};
use super::pipelines::{self, DEFAULT_PIPELINE, OWNERS, STAGES};
use super::portal::{Portal, Touched};
use super::properties::{NewProperty, define};
use super::sim::Sim;

/// `GET /account-info/v3/details`
pub(crate) fn details(sim: &mut Sim, call: &Call) -> Outcome {
    let portal = sim.portal(call)?;
    Reply::ok(&json!({
        "portalId": portal.id, "accountType": "STANDARD", "timeZone": "US/Eastern", "companyCurrency": "USD",
        "additionalCurrencies": [], "utcOffset": "-05:00", "utcOffsetMilliseconds": -18_000_000,
        "uiDomain": "app.hubspot.com", "dataHostingLocation": "na1",
    }))
}

/// `GET /account-info/v3/api-usage/daily/private-apps`
pub(crate) fn daily_usage(sim: &mut Sim, call: &Call) -> Outcome {
    if !call.caller.as_ref().is_some_and(|caller| caller.private) {
        return Err(Failure::new(StatusCode::FORBIDDEN, "BANNED", "only private apps may read their usage"));
    }
    let usage = sim.calls.total();
    Reply::ok(&json!({"results": [{"name": "private-apps-api-calls-daily", "usageLimit": 250_000,
        "currentUsage": usage, "fetchStatus": "SUCCESS", "collectedAt": iso(call.now_ms)}]}))
}

/// `GET /crm/v3/owners`
pub(crate) fn owners(sim: &mut Sim, call: &Call) -> Outcome {
    let _portal = sim.portal(call)?;
    let limit = call.limit(100, 500)?;
    let after = call.query("after").filter(|text| !text.is_empty()).map(Call::id).transpose()?.unwrap_or(0);
    let mut matching: Vec<_> = OWNERS
        .iter()
        .filter(|owner| owner.archived == call.flag("archived") && owner.id > after)
        .filter(|owner| call.query("email").is_none_or(|email| owner.email() == email))
        .collect();
    let more = matching.len() > limit;
    matching.truncate(limit);
    let mut body = json!({"results": matching.iter().map(|owner| owner.wire()).collect::<Vec<_>>()});
    if let Some(last) = matching.last().filter(|_| more) {
        body["paging"] =
            json!({"next": {"after": last.id.to_string(), "link": format!("?after={}", last.id)}});
    }
    Reply::ok(&body)
}

/// `GET /crm/v3/owners/{id}`, by owner id or by user id.
pub(crate) fn owner(sim: &mut Sim, call: &Call) -> Outcome {
    let _portal = sim.portal(call)?;
    let wanted = Call::id(call.param("id"))?;
    let by_user = call.query("idProperty") == Some("userId");
    let found = OWNERS.iter().find(|owner| if by_user { owner.user_id } else { owner.id } == wanted);
    match found.filter(|owner| owner.archived == call.flag("archived")) {
        Some(owner) => Reply::ok(&owner.wire()),
        None => Err(Failure::not_found("resource not found")),
    }
}

/// `GET /crm/v3/pipelines/{type}`
pub(crate) fn pipelines(sim: &mut Sim, call: &Call) -> Outcome {
    let results = if has_pipelines(sim.portal(call)?, call)? { vec![pipelines::wire()] } else { Vec::new() };
    Reply::ok(&json!({"results": results}))
}

/// `GET /crm/v3/pipelines/{type}/{pipeline}`
pub(crate) fn pipeline(sim: &mut Sim, call: &Call) -> Outcome {
    known_pipeline(sim, call)?;
    Reply::ok(&pipelines::wire())
}

/// `GET /crm/v3/pipelines/{type}/{pipeline}/stages`
pub(crate) fn stages(sim: &mut Sim, call: &Call) -> Outcome {
    known_pipeline(sim, call)?;
    Reply::ok(&json!({"results": pipelines::stages_wire()}))
}

/// `GET /crm/v3/pipelines/{type}/{pipeline}/stages/{stage}`
pub(crate) fn stage(sim: &mut Sim, call: &Call) -> Outcome {
    known_pipeline(sim, call)?;
    let at = STAGES.iter().position(|stage| stage.id == call.param("stage"));
    let stage = at.and_then(|at| pipelines::stages_wire().into_iter().nth(at));
    Reply::ok(&stage.ok_or_else(|| Failure::not_found("resource not found"))?)
}

fn has_pipelines(portal: &Portal, call: &Call) -> Result<bool, Failure> {
    Ok(portal.objects[portal.object_at(call.param("type"))?].name == "deals")
}

fn known_pipeline(sim: &mut Sim, call: &Call) -> Result<(), Failure> {
    let exists = has_pipelines(sim.portal(call)?, call)? && call.param("pipeline") == DEFAULT_PIPELINE;
    if exists { Ok(()) } else { Err(Failure::not_found("resource not found")) }
}

/// `GET /crm-object-schemas/v3/schemas`: nothing unless the subscription has custom objects.
pub(crate) fn schemas(sim: &mut Sim, call: &Call) -> Outcome {
    let enterprise = sim.settings.tier == Tier::Enterprise;
    let portal = sim.portal(call)?;
    let custom = portal
        .objects
        .iter()
        .filter(|object| enterprise && !call.flag("archived") && object.schema.is_some());
    let results: Vec<Value> = custom.map(schema_wire).collect();
    Reply::ok(&json!({"results": results}))
}

/// `GET /crm-object-schemas/v3/schemas/{type}`
pub(crate) fn schema(sim: &mut Sim, call: &Call) -> Outcome {
    let portal = sim.portal(call)?;
    let object = &portal.objects[portal.object_at(call.param("type"))?];
    if object.schema.is_none() {
        return Err(Failure::not_found("resource not found"));
    }
    Reply::ok(&schema_wire(object))
}

fn schema_wire(object: &Object) -> Value {
    let mut wire = serde_json::to_value(&object.schema).unwrap_or(Value::Null);
    wire["properties"] = object.definitions.values().map(|definition| definition.wire()).collect();
    wire["associations"] = json!([]);
    wire["archived"] = json!(false);
    wire["metaType"] = json!("PORTAL_SPECIFIC");
    wire
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct NewSchema {
    name: String,
    labels: Labels,
    #[serde(default)]
    properties: Vec<NewProperty>,
    #[serde(default)]
    required_properties: Vec<String>,
    #[serde(default)]
    searchable_properties: Vec<String>,
    #[serde(default)]
    primary_display_property: Option<String>,
    #[serde(default)]
    secondary_display_properties: Vec<String>,
}

/// `POST /crm-object-schemas/v3/schemas`
pub(crate) fn create_schema(sim: &mut Sim, call: &Call) -> Outcome {
    if sim.settings.tier != Tier::Enterprise {
        let message = "This account's subscription does not include custom objects";
        return Err(Failure::new(StatusCode::FORBIDDEN, "BANNED", message));
    }
    let input: NewSchema = call.json()?;
    let user = call.source().user();
    let portal = sim.portal(call)?;
    if portal.object_at(&input.name).is_ok() {
        return Err(Failure::conflict(format!("An object named {} already exists", input.name)));
    }
    let mut seen = BTreeMap::new();
    if input.properties.iter().any(|property| seen.insert(property.name.clone(), ()).is_some()) {
        return Err(Failure::validation("two properties have the same name"));
    }
    let id = portal.next_id;
    portal.next_id += 1;
    let at = iso(call.now_ms);
    let schema = Schema {
        id: id.to_string(),
        object_type_id: format!("2-{}", id % 100_000_000),
        fully_qualified_name: format!("p{}_{}", portal.id, input.name),
        name: input.name,
        labels: input.labels,
        required_properties: input.required_properties,
        searchable_properties: input.searchable_properties,
        primary_display_property: input.primary_display_property,
        secondary_display_properties: input.secondary_display_properties,
        created_at: at.clone(),
        updated_at: at,
    };
    let position = portal.objects.len();
    portal.objects.push(Object::custom(schema));
    portal.touched.push(Touched::Schema(position));
    for property in input.properties {
        if let Err(failure) = define(portal, position, property, user, call.now_ms) {
            portal.objects.pop();
            portal.touched.retain(|touched| !touched.is_about(position));
            return Err(failure);
        }
    }
    Reply::json(StatusCode::CREATED, &schema_wire(&portal.objects[position]))
}
