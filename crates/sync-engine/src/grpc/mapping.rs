use model::{Caller, CanonicalObject, ObjectSchema, Scope};
use proto::{sync as wire, to_wire_time, v1};
use sqlx::PgConnection;

use super::{id, optional_id};
use crate::{
    Error,
    domain::{
        filter::{Filter, NoCondition},
        mapping::{Direction, Mapping, Policy},
        plan::PlanState,
        rule::{Blank, DeletePolicy, NoTransform, Transform, ValuePair},
        transform,
    },
    engine::Engine,
    review::{Change, FieldWish, MappingWish, pending},
    store::{self, plans::StoredPlan},
};

/// Pairs of canonical and vendor objects that are offered, by the vendor object's name.
const OFFERED: [(CanonicalObject, &str, bool); 11] = [
    (CanonicalObject::Company, "companies", true),
    (CanonicalObject::Partner, "companies", false),
    (CanonicalObject::Deal, "deals", true),
    (CanonicalObject::Contact, "contacts", true),
    (CanonicalObject::Lead, "contacts", false),
    (CanonicalObject::Lead, "leads", true),
    (CanonicalObject::Company, "Account", true),
    (CanonicalObject::Partner, "Account", false),
    (CanonicalObject::Deal, "Opportunity", true),
    (CanonicalObject::Contact, "Contact", true),
    (CanonicalObject::Lead, "Lead", true),
];

pub(super) async fn pairs(
    engine: &Engine,
    caller: &Caller,
    request: wire::ListPairsRequest,
) -> Result<wire::ListPairsResponse, Error> {
    let mut db = engine.pool.acquire().await?;
    let connection = engine.connection(&mut db, caller, id("connection", &request.connection_id)?).await?;
    let mappings = store::mappings::list(&mut db, caller.organization, Some(connection.id)).await?;
    let pair = |object: CanonicalObject, vendor: &ObjectSchema, recommended: bool| {
        let mapping = mappings.iter().find(|m| m.object == object && m.vendor_object == vendor.name);
        wire::Pair {
            object: object.name().to_owned(),
            object_label: object.label().to_owned(),
            vendor_object: vendor.name.clone(),
            vendor_object_label: vendor.label.clone(),
            mapping_id: mapping.map(|mapping| mapping.id.to_string()).unwrap_or_default(),
            recommended,
        }
    };
    let known = OFFERED.iter().filter_map(|(object, name, recommended)| {
        Some(pair(*object, connection.object(name)?, *recommended))
    });
    // An object that the vendor's own customer made can be anything: whoever maps it knows what it is.
    let custom =
        connection.objects.iter().filter(|vendor| OFFERED.iter().all(|(_, name, _)| vendor.name != *name));
    let custom =
        custom.flat_map(|vendor| CanonicalObject::ALL.into_iter().map(|object| pair(object, vendor, false)));
    Ok(wire::ListPairsResponse { pairs: known.chain(custom).collect() })
}

pub(super) async fn create(
    engine: &Engine,
    caller: &Caller,
    request: wire::CreateMappingRequest,
) -> Result<wire::Mapping, Error> {
    let object = request.object.parse().map_err(|_| {
        Error::invalid_field(
            "object_unknown",
            "object",
            "expected one of partner, company, deal, contact, lead",
        )
    })?;
    let connection = id("connection", &request.connection_id)?;
    let mapping = engine.create_mapping(caller, connection, object, &request.vendor_object).await?;
    answer(engine, caller, mapping).await
}

pub(super) async fn list(
    engine: &Engine,
    caller: &Caller,
    request: wire::ListMappingsRequest,
) -> Result<wire::ListMappingsResponse, Error> {
    let connection = optional_id("connection", &request.connection_id)?;
    let mut db = engine.pool.acquire().await?;
    let mut mappings = Vec::new();
    for mapping in store::mappings::list(&mut db, caller.organization, connection).await? {
        mappings.push(show(engine, &mut db, caller, mapping).await?);
    }
    Ok(wire::ListMappingsResponse { mappings })
}

pub(super) async fn get(
    engine: &Engine,
    caller: &Caller,
    request: wire::MappingRequest,
) -> Result<wire::Mapping, Error> {
    let mut db = engine.pool.acquire().await?;
    let mapping = own(&mut db, caller, &request.mapping_id).await?;
    show(engine, &mut db, caller, mapping).await
}

pub(super) async fn suggest(
    engine: &Engine,
    caller: &Caller,
    request: wire::MappingRequest,
) -> Result<wire::Mapping, Error> {
    let mapping = engine.suggest_mappings(caller, id("mapping", &request.mapping_id)?).await?;
    answer(engine, caller, mapping).await
}

pub(super) async fn set_field(
    engine: &Engine,
    caller: &Caller,
    request: wire::SetFieldRequest,
) -> Result<wire::Mapping, Error> {
    if request.action == "resume" {
        let id = id("mapping", &request.mapping_id)?;
        let mapping =
            engine.resume_field(caller.organization, &caller.actor.to_string(), id, &request.field).await?;
        return answer(engine, caller, mapping).await;
    }
    let wish = FieldWish {
        action: request.action,
        vendor_field: request.vendor_field,
        direction: match request.direction.as_deref() {
            None => None,
            Some("") => Some(None),
            Some(name) => Some(Some(direction(name)?)),
        },
        policy: request.policy.as_deref().map(policy).transpose()?,
        pii: request.pii,
        blank: request.blank_rule.as_deref().map(blank).transpose()?,
        transforms: request.transforms.map(|t| transforms(&t.lines)).transpose()?,
        values: request.values.map(|map| {
            let way = |pair: wire::ValuePair| ValuePair { ours: pair.ours, theirs: pair.theirs };
            map.pairs.into_iter().map(way).collect()
        }),
    };
    let mapping = engine.set_field(caller, id("mapping", &request.mapping_id)?, &request.field, wish).await?;
    answer(engine, caller, mapping).await
}

pub(super) async fn set(
    engine: &Engine,
    caller: &Caller,
    request: wire::SetMappingRequest,
) -> Result<wire::Mapping, Error> {
    let wish = MappingWish {
        direction: request.direction.as_deref().map(direction).transpose()?,
        default_policy: request.default_policy.as_deref().map(policy).transpose()?,
        match_keys: request.match_keys,
        confirm_all: request.confirm_all,
        delete_policy: request.delete_policy.as_deref().map(delete_policy).transpose()?,
        filter: request.filter.map(|given| filter(&given)).transpose()?,
        time_zone: request.time_zone,
    };
    let mapping = engine.set_mapping(caller, id("mapping", &request.mapping_id)?, wish).await?;
    answer(engine, caller, mapping).await
}

pub(super) async fn discard(
    engine: &Engine,
    caller: &Caller,
    request: wire::MappingRequest,
) -> Result<wire::Mapping, Error> {
    let mapping = engine.discard_changes(caller, id("mapping", &request.mapping_id)?).await?;
    answer(engine, caller, mapping).await
}

pub(super) async fn request_plan(
    engine: &Engine,
    caller: &Caller,
    request: wire::MappingRequest,
) -> Result<wire::Plan, Error> {
    let plan = engine.request_plan(caller, id("mapping", &request.mapping_id)?).await?;
    let mut db = engine.pool.acquire().await?;
    show_plan(&mut db, caller, plan).await
}

pub(super) async fn get_plan(
    engine: &Engine,
    caller: &Caller,
    request: wire::MappingRequest,
) -> Result<wire::Plan, Error> {
    let mut db = engine.pool.acquire().await?;
    let mapping = own(&mut db, caller, &request.mapping_id).await?;
    let plan = store::plans::get(&mut db, mapping.id).await?.ok_or_else(|| Error::not_found("plan"))?;
    let stale = plan.state == PlanState::Ready && plan.revision != mapping.revision;
    let mut plan = show_plan(&mut db, caller, plan).await?;
    if stale {
        plan.state = "stale".to_owned();
    }
    Ok(plan)
}

pub(super) async fn activate(
    engine: &Engine,
    caller: &Caller,
    request: wire::ActivateRequest,
) -> Result<wire::Mapping, Error> {
    let mapping = engine.activate(caller, id("mapping", &request.mapping_id)?, &request.plan_hash).await?;
    answer(engine, caller, mapping).await
}

pub(super) async fn pause(
    engine: &Engine,
    caller: &Caller,
    request: wire::MappingRequest,
) -> Result<wire::Mapping, Error> {
    let mapping = engine.pause_mapping(caller, id("mapping", &request.mapping_id)?, true).await?;
    answer(engine, caller, mapping).await
}

pub(super) async fn resume(
    engine: &Engine,
    caller: &Caller,
    request: wire::MappingRequest,
) -> Result<wire::Mapping, Error> {
    let mapping = engine.pause_mapping(caller, id("mapping", &request.mapping_id)?, false).await?;
    answer(engine, caller, mapping).await
}

async fn own(db: &mut PgConnection, caller: &Caller, text: &str) -> Result<Mapping, Error> {
    store::mappings::get(db, id("mapping", text)?)
        .await?
        .filter(|mapping| mapping.organization == caller.organization)
        .ok_or_else(|| Error::not_found("mapping"))
}

async fn answer(engine: &Engine, caller: &Caller, mapping: Mapping) -> Result<wire::Mapping, Error> {
    let mut db = engine.pool.acquire().await?;
    show(engine, &mut db, caller, mapping).await
}

async fn show(
    engine: &Engine,
    db: &mut PgConnection,
    caller: &Caller,
    mapping: Mapping,
) -> Result<wire::Mapping, Error> {
    let (canonical, vendor) = engine.schemas(db, caller, &mapping).await?;
    let vendor = vendor.unwrap_or_else(|| ObjectSchema {
        name: mapping.vendor_object.clone(),
        label: mapping.vendor_object.clone(),
        fields: Vec::new(),
    });
    let (_, linked) = store::links::count(db, mapping.id).await?;
    let pending_changes =
        mapping.draft.as_ref().map_or_else(Vec::new, |draft| pending(&mapping.settings, draft));
    let pending_changes = pending_changes.into_iter().map(|change| show_change(change, &canonical)).collect();
    let mapping = mapping.with_changes();
    let mut fields: Vec<wire::FieldMapping> =
        canonical.fields.iter().map(|field| show_field(&mapping, field, &vendor)).collect();
    for drift in store::drifts::of(db, mapping.id).await? {
        if let Some(field) = fields.iter_mut().find(|field| field.field == drift.field) {
            field.drift = drift.change;
            field.drift_message = drift.message;
            field.drift_returned = drift.returned;
        }
    }
    Ok(wire::Mapping {
        id: mapping.id.to_string(),
        connection_id: mapping.connection.to_string(),
        vendor: mapping.vendor.clone(),
        object: mapping.object.name().to_owned(),
        object_label: canonical.label.clone(),
        vendor_object: vendor.name.clone(),
        vendor_object_label: vendor.label.clone(),
        state: mapping.state.name().to_owned(),
        direction: mapping.settings.direction.name().to_owned(),
        match_keys: mapping.settings.match_keys.clone(),
        revision: mapping.revision,
        fields,
        vendor_fields: vendor.fields.iter().map(Into::into).collect(),
        activated_at: mapping.activated_at.map(to_wire_time),
        activated_by: mapping.activated_by.unwrap_or_default(),
        linked_records: u64::try_from(linked).unwrap_or_default(),
        default_policy: mapping.settings.default_policy.name().to_owned(),
        delete_policy: mapping.settings.delete_policy.name().to_owned(),
        filter: mapping.settings.filter.as_ref().map(|filter| wire::Filter {
            any: filter.any,
            conditions: filter.conditions.iter().map(ToString::to_string).collect(),
        }),
        time_zone: mapping.settings.time_zone.unwrap_or_default(),
        pending_changes,
    })
}

fn show_change(change: Change, canonical: &ObjectSchema) -> wire::PendingChange {
    let label = canonical.field(&change.field).map(|field| field.label.clone());
    let Change { field, setting, before, after } = change;
    wire::PendingChange { field, field_label: label.unwrap_or_default(), setting, before, after }
}

fn show_field(mapping: &Mapping, field: &model::FieldSchema, vendor: &ObjectSchema) -> wire::FieldMapping {
    let mut wire = wire::FieldMapping {
        field: field.name.clone(),
        field_label: field.label.clone(),
        field_type: field.field_type.name().to_owned(),
        state: "unmapped".to_owned(),
        policy: mapping.settings.default_policy.name().to_owned(),
        blank_rule: Blank::Wins.name().to_owned(),
        options: field.options.iter().map(option).collect(),
        ..wire::FieldMapping::default()
    };
    let Some(state) = mapping.settings.fields.get(&field.name) else { return wire };
    state.state.name().clone_into(&mut wire.state);
    wire.confidence = state.confidence;
    wire.evidence.clone_from(&state.evidence);
    wire.direction = state.direction.map_or_else(String::new, |direction| direction.name().to_owned());
    wire.policy = state.policy.unwrap_or(mapping.settings.default_policy).name().to_owned();
    wire.pii = state.pii;
    state.blank.unwrap_or(Blank::Wins).name().clone_into(&mut wire.blank_rule);
    wire.transforms = state.transforms.iter().map(ToString::to_string).collect();
    wire.values = state.values.iter().map(value_pair).collect();
    if let Some(theirs) = state.vendor_field.as_deref() {
        theirs.clone_into(&mut wire.vendor_field);
        if let Some(theirs) = vendor.field(theirs) {
            wire.vendor_options = theirs.options.iter().map(option).collect();
            wire.suggested_values = transform::suggest_values(field, theirs).iter().map(value_pair).collect();
            wire.vendor_field_label.clone_from(&theirs.label);
            theirs.field_type.name().clone_into(&mut wire.vendor_field_type);
            wire.vendor_read_only = theirs.read_only;
        }
    }
    wire
}

/// A plan; its samples show records, so that they are for whoever may see those.
async fn show_plan(db: &mut PgConnection, caller: &Caller, plan: StoredPlan) -> Result<wire::Plan, Error> {
    let read = if matches!(plan.state, PlanState::Reading | PlanState::Computing) {
        let (staged, _) = store::links::count(db, plan.mapping).await?;
        staged.max(store::beside::count(db, plan.mapping).await?)
    } else {
        plan.read
    };
    let count = |count: i64| u64::try_from(count).unwrap_or_default();
    let applied =
        if plan.state == PlanState::Applied { plan.to_apply } else { plan.applied.min(plan.to_apply) };
    let result = plan.result.unwrap_or_default();
    Ok(wire::Plan {
        mapping_id: plan.mapping.to_string(),
        state: plan.state.name().to_owned(),
        hash: plan.hash.unwrap_or_default(),
        mapping_revision: plan.revision,
        made_at: Some(to_wire_time(plan.changed_at)),
        read: count(read),
        total: count(plan.total),
        categories: result
            .categories
            .into_iter()
            .map(|(category, tally)| wire::PlanCategory {
                name: category.name().to_owned(),
                label: category.label().to_owned(),
                count: tally.count,
                samples: tally
                    .samples
                    .into_iter()
                    .filter(|_| caller.may(Scope::RecordsRead))
                    .map(|sample| wire::PlanSample {
                        title: sample.title,
                        vendor_id: sample.vendor_id,
                        record_id: sample.record_id,
                        note: sample.note,
                    })
                    .collect(),
            })
            .collect(),
        vendor_calls: result.vendor_calls,
        seconds: result.seconds,
        applied: count(applied),
        to_apply: count(plan.to_apply),
    })
}

fn direction(name: &str) -> Result<Direction, Error> {
    name.parse().map_err(|_| {
        let message = "expected bidirectional, to_vendor or from_vendor";
        Error::invalid_field("direction_unknown", "direction", message)
    })
}

fn policy(name: &str) -> Result<Policy, Error> {
    name.parse().map_err(|_| {
        let message = "expected platform_wins, crm_wins, newest_wins or manual";
        Error::invalid_field("policy_unknown", "policy", message)
    })
}

fn option(option: &model::PicklistOption) -> v1::PicklistOption {
    v1::PicklistOption { value: option.value.clone(), label: option.label.clone() }
}

fn value_pair(pair: &ValuePair) -> wire::ValuePair {
    wire::ValuePair { ours: pair.ours.clone(), theirs: pair.theirs.clone() }
}

fn blank(name: &str) -> Result<Blank, Error> {
    name.parse().map_err(|_| {
        let message = "expected wins, never_overwrites or only_fills";
        Error::invalid_field("blank_rule_unknown", "blank_rule", message)
    })
}

fn delete_policy(name: &str) -> Result<DeletePolicy, Error> {
    name.parse().map_err(|_| {
        let message = "expected detach, archive or delete";
        Error::invalid_field("delete_policy_unknown", "delete_policy", message)
    })
}

fn transforms(lines: &[String]) -> Result<Vec<Transform>, Error> {
    let read = |line: &String| {
        let wrong =
            |error: NoTransform| Error::invalid_field("transform_invalid", "transforms", error.to_string());
        line.parse().map_err(wrong)
    };
    lines.iter().map(read).collect()
}

fn filter(given: &wire::Filter) -> Result<Filter, Error> {
    let read = |line: &String| {
        let wrong = |error: NoCondition| Error::invalid_field("filter_invalid", "filter", error.to_string());
        line.parse().map_err(wrong)
    };
    let conditions = given.conditions.iter().map(read).collect::<Result<_, _>>()?;
    Ok(Filter { any: given.any, conditions })
}
