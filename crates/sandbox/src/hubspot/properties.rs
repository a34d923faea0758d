//! Property definitions over HTTP: list, read, create, change, archive, and their groups.

use std::collections::BTreeMap;

use http::StatusCode;
use serde::Deserialize;
use serde_json::{Value, json};

use super::batch::{answer, inputs};
use super::call::{Call, Outcome, Reply};
use super::clock::iso;
use super::definition::{Choice, Definition, Kind, Modification};
use super::errors::Failure;
use super::object::Object;
use super::portal::{Portal, Touched};
use super::sim::Sim;

/// How many unique properties an object may have.
const UNIQUE_MOST: usize = 10;

const FIELD_TYPES: [&str; 15] = [
    "text",
    "textarea",
    "html",
    "file",
    "number",
    "date",
    "select",
    "radio",
    "checkbox",
    "booleancheckbox",
    "phonenumber",
    "calculation_equation",
    "calculation_rollup",
    "calculation_read_time",
    "calculation_score",
];

/// A definition a client sends.
#[derive(Debug, Deserialize)]
#[serde(rename_all = "camelCase")]
pub(crate) struct NewProperty {
    pub(crate) name: String,
    label: String,
    #[serde(rename = "type")]
    kind: Kind,
    field_type: String,
    group_name: Option<String>,
    #[serde(default)]
    description: Option<String>,
    #[serde(default)]
    options: Option<Vec<Choice>>,
    #[serde(default)]
    display_order: Option<i64>,
    #[serde(default)]
    hidden: Option<bool>,
    #[serde(default)]
    has_unique_value: Option<bool>,
    #[serde(default)]
    form_field: Option<bool>,
}

/// `GET /crm/v3/properties/{type}`
pub(crate) fn list(sim: &mut Sim, call: &Call) -> Outcome {
    let portal = &*sim.portal(call)?;
    let object = &portal.objects[portal.object_at(call.param("type"))?];
    let archived = call.flag("archived");
    let sensitive = call.query("dataSensitivity").is_some_and(|wanted| wanted != "non_sensitive");
    let results: Vec<&Definition> = object
        .definitions
        .values()
        .filter(|definition| definition.archived == archived && !sensitive)
        .collect();
    Reply::ok(&json!({"results": results}))
}

/// `GET /crm/v3/properties/{type}/{name}`
pub(crate) fn get(sim: &mut Sim, call: &Call) -> Outcome {
    let portal = &*sim.portal(call)?;
    let object = &portal.objects[portal.object_at(call.param("type"))?];
    Reply::ok(found(object, call.param("name"), call.flag("archived"))?)
}

fn found<'a>(object: &'a Object, name: &str, archived: bool) -> Result<&'a Definition, Failure> {
    let known = object.definitions.get(name).filter(|definition| definition.archived == archived);
    known.ok_or_else(|| Failure::not_found(format!("Property {name} does not exist")))
}

/// `POST /crm/v3/properties/{type}`
pub(crate) fn create(sim: &mut Sim, call: &Call) -> Outcome {
    let input: NewProperty = call.json()?;
    let user = call.source().user();
    let portal = sim.portal(call)?;
    let at = portal.object_at(call.param("type"))?;
    let definition = define(portal, at, input, user, call.now_ms)?;
    Reply::json(StatusCode::CREATED, &definition)
}

/// Checks a new definition and adds it to the object.
pub(crate) fn define(
    portal: &mut Portal,
    at: usize,
    input: NewProperty,
    user: Option<u64>,
    now_ms: i64,
) -> Result<Definition, Failure> {
    let object = &portal.objects[at];
    check_new(object, &input)?;
    let definition = Definition {
        name: input.name.as_str().into(),
        label: input.label,
        kind: input.kind,
        field_type: input.field_type,
        description: input.description.unwrap_or_default(),
        group_name: input.group_name.unwrap_or_else(|| format!("{}information", object.singular)),
        options: input.options.unwrap_or_default(),
        display_order: input.display_order.unwrap_or(-1),
        hidden: input.hidden.unwrap_or(false),
        calculated: false,
        external_options: false,
        has_unique_value: input.has_unique_value.unwrap_or(false),
        form_field: input.form_field.unwrap_or(false),
        hubspot_defined: false,
        referenced_object_type: None,
        modification_metadata: Modification {
            archivable: true,
            read_only_definition: false,
            read_only_value: false,
            read_only_options: Some(false),
        },
        created_at: Some(iso(now_ms)),
        updated_at: Some(iso(now_ms)),
        created_user_id: user.map(|user| user.to_string()),
        archived: false,
        data_sensitivity: "non_sensitive".to_owned(),
    };
    store(portal, at, definition.clone());
    Ok(definition)
}

fn store(portal: &mut Portal, at: usize, definition: Definition) {
    portal.touched.push(Touched::Property(at, definition.name.clone()));
    portal.objects[at].define(definition);
}

fn check_new(object: &Object, input: &NewProperty) -> Result<(), Failure> {
    let spelled = input.name.starts_with(|letter: char| letter.is_ascii_lowercase())
        && input.name.chars().all(|c| c.is_ascii_lowercase() || c.is_ascii_digit() || c == '_');
    if !spelled {
        let message =
            format!("Property name {} may only have a-z, 0-9 and _ and starts with a letter", input.name);
        return Err(Failure::validation(message));
    }
    // The name of an archived one is free again.
    if object.definitions.get(input.name.as_str()).is_some_and(|known| !known.archived) {
        return Err(Failure::conflict(format!("A property named '{}' already exists.", input.name)));
    }
    if !FIELD_TYPES.contains(&input.field_type.as_str()) {
        return Err(Failure::validation(format!("{} is not a field type", input.field_type)));
    }
    let needs_options = input.kind == Kind::Enumeration && input.field_type != "booleancheckbox";
    if needs_options && input.options.as_ref().is_none_or(Vec::is_empty) {
        return Err(Failure::validation("an enumeration property needs options"));
    }
    let unique =
        object.definitions.values().filter(|known| known.has_unique_value && !known.hubspot_defined).count();
    if input.has_unique_value == Some(true) && unique >= UNIQUE_MOST {
        return Err(Failure::validation(format!("an object has at most {UNIQUE_MOST} unique properties")));
    }
    Ok(())
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Edit {
    label: Option<String>,
    description: Option<String>,
    group_name: Option<String>,
    options: Option<Vec<Choice>>,
    hidden: Option<bool>,
    display_order: Option<i64>,
}

/// `PATCH /crm/v3/properties/{type}/{name}`
pub(crate) fn update(sim: &mut Sim, call: &Call) -> Outcome {
    let edit: Edit = call.json()?;
    let portal = sim.portal(call)?;
    let at = portal.object_at(call.param("type"))?;
    let mut definition = found(&portal.objects[at], call.param("name"), false)?.clone();
    let fixed = definition.modification_metadata.read_only_definition;
    let fixed_options = definition.modification_metadata.read_only_options == Some(true);
    if (fixed && (edit.label.is_some() || edit.group_name.is_some()))
        || (fixed_options && edit.options.is_some())
    {
        return Err(Failure::validation(format!("{} is read only", definition.name)));
    }
    definition.label = edit.label.unwrap_or(definition.label);
    definition.description = edit.description.unwrap_or(definition.description);
    definition.group_name = edit.group_name.unwrap_or(definition.group_name);
    definition.options = edit.options.unwrap_or(definition.options);
    definition.hidden = edit.hidden.unwrap_or(definition.hidden);
    definition.display_order = edit.display_order.unwrap_or(definition.display_order);
    definition.updated_at = Some(iso(call.now_ms));
    store(portal, at, definition.clone());
    Reply::ok(&definition)
}

/// `DELETE /crm/v3/properties/{type}/{name}`
pub(crate) fn archive(sim: &mut Sim, call: &Call) -> Outcome {
    let portal = sim.portal(call)?;
    let at = portal.object_at(call.param("type"))?;
    archive_one(portal, at, call.param("name"))?;
    Reply::empty()
}

fn archive_one(portal: &mut Portal, at: usize, name: &str) -> Result<(), Failure> {
    let mut definition = found(&portal.objects[at], name, false)?.clone();
    if !definition.modification_metadata.archivable {
        return Err(Failure::validation(format!("{name} cannot be archived")));
    }
    definition.archived = true;
    store(portal, at, definition);
    Ok(())
}

#[derive(Deserialize)]
struct Named {
    name: String,
}

/// `POST /crm/v3/properties/{type}/batch/read`
pub(crate) fn batch_read(sim: &mut Sim, call: &Call) -> Outcome {
    let names: Vec<Named> = inputs(call, 100)?;
    let portal = &*sim.portal(call)?;
    let object = &portal.objects[portal.object_at(call.param("type"))?];
    let (mut results, mut errors) = (Vec::new(), Vec::new());
    for Named { name } in &names {
        match found(object, name, false) {
            Ok(definition) => results.push(definition),
            Err(mut failure) => {
                failure.set("context", json!({"name": [name]}));
                errors.push(failure.body);
            }
        }
    }
    answer(StatusCode::OK, results, errors, call.now_ms)
}

/// `POST /crm/v3/properties/{type}/batch/create`
pub(crate) fn batch_create(sim: &mut Sim, call: &Call) -> Outcome {
    let list: Vec<NewProperty> = inputs(call, 100)?;
    let user = call.source().user();
    let portal = sim.portal(call)?;
    let at = portal.object_at(call.param("type"))?;
    for input in &list {
        check_new(&portal.objects[at], input)?;
    }
    let mut results = Vec::with_capacity(list.len());
    for input in list {
        results.push(define(portal, at, input, user, call.now_ms)?);
    }
    answer(StatusCode::CREATED, results, Vec::new(), call.now_ms)
}

/// `POST /crm/v3/properties/{type}/batch/archive`
pub(crate) fn batch_archive(sim: &mut Sim, call: &Call) -> Outcome {
    let names: Vec<Named> = inputs(call, 100)?;
    let portal = sim.portal(call)?;
    let at = portal.object_at(call.param("type"))?;
    for Named { name } in names {
        archive_one(portal, at, &name)?;
    }
    Reply::empty()
}

/// `GET /crm/v3/properties/{type}/groups`: the groups that properties are in.
pub(crate) fn groups(sim: &mut Sim, call: &Call) -> Outcome {
    let portal = &*sim.portal(call)?;
    let object = &portal.objects[portal.object_at(call.param("type"))?];
    let names: BTreeMap<&str, usize> =
        object.definitions.values().map(|definition| (definition.group_name.as_str(), 0)).collect();
    let results: Vec<Value> = names
        .keys()
        .enumerate()
        .map(|(order, name)| json!({"name": name, "label": name, "displayOrder": order, "archived": false}))
        .collect();
    Reply::ok(&json!({"results": results}))
}
