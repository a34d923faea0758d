//! Custom fields, made the way clients make them.

use http::StatusCode;
use serde::Deserialize;
use serde_json::{Map, Value, json};

use super::call::{Call, Outcome, Reply};
use super::errors::{Failure, Problem};
use super::id::Id;
use super::sim::Sim;

#[derive(Deserialize)]
#[serde(rename_all = "PascalCase")]
struct Order {
    full_name: String,
    metadata: Metadata,
}

/// The part of a custom field's metadata that the simulator understands.
#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
pub(crate) struct Metadata {
    #[serde(rename = "type")]
    kind: String,
    #[serde(default)]
    label: Option<String>,
    #[serde(default)]
    length: Option<u32>,
    #[serde(default)]
    precision: Option<u32>,
    #[serde(default)]
    scale: Option<u32>,
    #[serde(default)]
    unique: bool,
    #[serde(default)]
    external_id: bool,
    #[serde(default)]
    case_sensitive: bool,
    #[serde(default)]
    required: bool,
    #[serde(default)]
    value_set: Option<Value>,
    #[serde(default)]
    reference_to: Option<String>,
}

/// `POST /tooling/sobjects/CustomField`
pub(crate) fn create_field(sim: &mut Sim, call: &Call) -> Outcome {
    if !sim.settings.customize_application {
        let message = "insufficient access rights on cross-reference id";
        return Err(Failure::new(StatusCode::FORBIDDEN, "INSUFFICIENT_ACCESS_OR_READONLY", message));
    }
    let order: Order = call.shape()?;
    let (object, name) = order
        .full_name
        .split_once('.')
        .ok_or_else(|| Failure::bad("INVALID_FIELD", "FullName is Object.Field__c"))?;
    let at = sim.visible(object).ok_or_else(|| {
        let message = format!("Entity Enumeration Or ID: bad value for restricted picklist field: {object}");
        Failure::from(Problem::on("INVALID_OR_NULL_FOR_RESTRICTED_PICKLIST", "EntityDefinitionId", message))
    })?;
    let id = sim.add_field(at, name, &order.metadata, sim.settings.hide_new_fields, call.now_s())?;
    let body = json!({"id": id, "success": true, "errors": [], "warnings": [], "infos": []});
    Reply::json(StatusCode::CREATED, &body)
}

impl Sim {
    /// Adds a custom field to an object and tells its id.
    pub(crate) fn add_field(
        &mut self,
        at: usize,
        name: &str,
        metadata: &Metadata,
        hidden: bool,
        now_s: i64,
    ) -> Result<Id, Failure> {
        let schema = &mut self.org.objects[at].schema;
        let stem = name.strip_suffix("__c").filter(|stem| is_developer_name(stem)).ok_or_else(|| {
            let message = "Field Name: The field name can only contain underscores and alphanumeric characters. It \
                           must begin with a letter, not end with an underscore, and end with __c";
            Failure::from(Problem::on("INVALID_FIELD", "DeveloperName", message))
        })?;
        if schema.field(name).or(schema.hidden(name)).is_some() {
            let message = format!("There is already a field named {stem} on {}.", schema.label);
            return Err(Problem::on("DUPLICATE_DEVELOPER_NAME", "DeveloperName", message).into());
        }
        let differences = described(name, metadata)?;
        let field = schema
            .add(differences)
            .map_err(|error| Failure::bad("INVALID_FIELD", format!("the field cannot be made: {error}")))?;
        if hidden {
            schema.remove(name, true);
        }
        schema.changed_s = now_s;
        self.org.touched_fields.push((at, name.to_owned()));
        Ok(Id::new("00N", at as u64 * 1_000 + u64::from(field.at)))
    }

    /// Gives the right that a new `FieldPermissions` record tells of.
    pub(crate) fn permit_field(&mut self, body: &Map<String, Value>, now_s: i64) -> Result<(), Vec<Problem>> {
        if !self.settings.customize_application {
            let message = "insufficient access rights on object id";
            return Err(vec![Problem::new("INSUFFICIENT_ACCESS_OR_READONLY", message)]);
        }
        let path = body.get("Field").and_then(Value::as_str).and_then(|path| path.split_once('.'));
        let field = path.and_then(|(object, name)| Some((self.org.find(object)?, name)));
        let Some((at, name)) = field.filter(|(at, name)| {
            let schema = &self.org.objects[*at].schema;
            schema.field(name).or(schema.hidden(name)).is_some()
        }) else {
            let message = "Field Name: bad value for restricted picklist field";
            return Err(vec![Problem::on("INVALID_OR_NULL_FOR_RESTRICTED_PICKLIST", "Field", message)]);
        };
        let schema = &mut self.org.objects[at].schema;
        if body.get("PermissionsRead") == Some(&Value::Bool(true)) && schema.show(name) {
            schema.changed_s = now_s;
            self.org.touched_fields.push((at, name.to_owned()));
        }
        Ok(())
    }

    /// Takes a custom field away.
    pub(crate) fn remove_field(&mut self, at: usize, name: &str, now_s: i64) -> Result<(), Failure> {
        let schema = &mut self.org.objects[at].schema;
        if !schema.field(name).is_some_and(|field| field.custom) || !schema.remove(name, false) {
            return Err(Failure::not_found());
        }
        schema.changed_s = now_s;
        self.org.touched_fields.push((at, name.to_owned()));
        Ok(())
    }
}

fn is_developer_name(stem: &str) -> bool {
    stem.starts_with(|letter: char| letter.is_ascii_alphabetic())
        && !stem.ends_with('_')
        && !stem.contains("__")
        && stem.chars().all(|letter| letter.is_ascii_alphanumeric() || letter == '_')
}

/// What the describe says of a field made from this metadata.
fn described(name: &str, metadata: &Metadata) -> Result<Map<String, Value>, Failure> {
    let label = metadata.label.clone().unwrap_or_else(|| name.trim_end_matches("__c").replace('_', " "));
    let text = |kind: &'static str, length: u32| (kind, "xsd:string", length);
    let long = matches!(metadata.kind.as_str(), "LongTextArea" | "Html");
    let (most, usual) = if long { (131_072, 32_768) } else { (255, 255) };
    let wanted = metadata.length.unwrap_or(usual);
    let digits = metadata.precision.unwrap_or(18);
    if !(1..=most).contains(&wanted) || !(1..=18).contains(&digits) || metadata.scale.unwrap_or(0) > digits {
        let message =
            format!("a length is between 1 and {most}, a precision between 1 and 18 and not below the scale");
        return Err(Failure::bad("NUMBER_OUTSIDE_VALID_RANGE", message));
    }
    let (kind, soap, length) = match metadata.kind.as_str() {
        "Text" => text("string", wanted),
        "TextArea" => text("textarea", 255),
        "LongTextArea" | "Html" => text("textarea", wanted),
        "Email" => text("email", 80),
        "Phone" => text("phone", 40),
        "Url" => text("url", 255),
        "Picklist" => text("picklist", 255),
        "MultiselectPicklist" => text("multipicklist", 4_099),
        "Lookup" => ("reference", "tns:ID", 18),
        "Checkbox" => ("boolean", "xsd:boolean", 0),
        "Number" => ("double", "xsd:double", 0),
        "Currency" => ("currency", "xsd:double", 0),
        "Percent" => ("percent", "xsd:double", 0),
        "Date" => ("date", "xsd:date", 0),
        "DateTime" => ("datetime", "xsd:dateTime", 0),
        other => {
            return Err(Failure::bad("INVALID_FIELD", format!("Field type {other} cannot be made here")));
        }
    };
    let numeric = matches!(kind, "double" | "currency" | "percent");
    let boolean = kind == "boolean";
    let facts = json!({
        "name": name, "label": label, "type": kind, "soapType": soap, "length": length,
        "byteLength": length * 3, "custom": true, "createable": true, "updateable": true,
        "nillable": !metadata.required && !boolean, "defaultedOnCreate": boolean,
        "defaultValue": if boolean { json!(false) } else { Value::Null },
        "unique": metadata.unique, "externalId": metadata.external_id, "idLookup": metadata.external_id,
        "caseSensitive": metadata.case_sensitive, "filterable": length <= 255 || kind == "multipicklist",
        "sortable": length <= 255, "groupable": length <= 255 && !numeric,
        "precision": if numeric { digits } else { 0 },
        "scale": if numeric { metadata.scale.unwrap_or(0) } else { 0 },
        "restrictedPicklist": metadata.value_set.as_ref().is_some_and(|set| set["restricted"] == true),
        "picklistValues": choices(metadata.value_set.as_ref()),
        "referenceTo": metadata.reference_to.as_slice(),
        "relationshipName": metadata.reference_to.as_ref().map(|_| name.replace("__c", "__r")),
        "relationshipOrder": null, "inlineHelpText": null,
    });
    Ok(facts.as_object().cloned().unwrap_or_default())
}

fn choices(set: Option<&Value>) -> Vec<Value> {
    let values = set.and_then(|set| set["valueSetDefinition"]["value"].as_array()).into_iter().flatten();
    values
        .filter_map(|value| {
            let name = value["fullName"].as_str().or_else(|| value["valueName"].as_str())?;
            let label = value["label"].as_str().unwrap_or(name);
            Some(json!({"active": value["isActive"] != false, "defaultValue": value["default"] == true,
                "label": label, "validFor": null, "value": name}))
        })
        .collect()
}
