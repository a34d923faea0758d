//! The Avro schema of an object's change events, made from the object's describe.

use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use serde_json::{Map, Value, json};
use sha2::{Digest, Sha256};

/// Fields of a describe that change events do not have: they are in the header, follow from other records, or tell
/// about the reader.
const LEFT_OUT: [&str; 19] = [
    "Id",
    "IsDeleted",
    "MasterRecordId",
    "SystemModstamp",
    "LastActivityDate",
    "LastViewedDate",
    "LastReferencedDate",
    "PhotoUrl",
    "IsPartner",
    "IsCustomerPortal",
    "ChannelProgramName",
    "ChannelProgramLevelName",
    "IsEmailBounced",
    "IsUnreadByOwner",
    "Fiscal",
    "FiscalQuarter",
    "FiscalYear",
    "HasOpenActivity",
    "HasOverdueTask",
];

const ADDRESS: [(&str, Kind); 10] = [
    ("Street", Kind::Text),
    ("City", Kind::Text),
    ("State", Kind::Text),
    ("PostalCode", Kind::Text),
    ("Country", Kind::Text),
    ("StateCode", Kind::Text),
    ("CountryCode", Kind::Text),
    ("Latitude", Kind::Double),
    ("Longitude", Kind::Double),
    ("GeocodeAccuracy", Kind::Text),
];
const LOCATION: [(&str, Kind); 2] = [("Latitude", Kind::Double), ("Longitude", Kind::Double)];
const PERSON: [(&str, Kind); 3] =
    [("Salutation", Kind::Text), ("FirstName", Kind::Text), ("LastName", Kind::Text)];
/// Present only in orgs that have them.
const MORE_PERSON: [&str; 3] = ["MiddleName", "Suffix", "InformalName"];

const CHANGE_TYPES: [&str; 10] = [
    "CREATE",
    "UPDATE",
    "DELETE",
    "UNDELETE",
    "GAP_CREATE",
    "GAP_UPDATE",
    "GAP_DELETE",
    "GAP_UNDELETE",
    "GAP_OVERFLOW",
    "SNAPSHOT",
];

/// How a value is written.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Kind {
    /// A string.
    Text,
    Boolean,
    Int,
    Double,
    /// Milliseconds since 1970.
    DateTime,
    /// Milliseconds since 1970 at midnight UTC.
    Date,
    /// Milliseconds since midnight.
    Time,
}

impl Kind {
    fn avro(self) -> &'static str {
        match self {
            Kind::Text => "string",
            Kind::Boolean => "boolean",
            Kind::Int => "int",
            Kind::Double => "double",
            Kind::DateTime | Kind::Date | Kind::Time => "long",
        }
    }
}

/// What a field of the schema holds.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum Shape {
    /// The value of the REST field of the same name.
    Plain { kind: Kind, long_text: bool },
    /// A record of the values of several REST fields.
    Compound(Vec<Part>),
}

/// One value inside a compound field.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct Part {
    /// The field's name over REST: `BillingStreet` for `BillingAddress.Street`.
    pub(crate) rest: String,
    pub(crate) kind: Kind,
}

/// A field of the schema after the header.
#[derive(Debug)]
pub(crate) struct Field {
    pub(crate) name: String,
    pub(crate) shape: Shape,
}

/// The schema of an object's change events at some moment.
#[derive(Debug)]
pub(crate) struct EventSchema {
    /// 22 characters of base64url, from the schema's digest.
    pub(crate) id: String,
    pub(crate) json: String,
    /// The field at position 1 of the schema comes first; position 0 is the header.
    pub(crate) fields: Vec<Field>,
}

/// What a schema needs to know of a field; the names are those of a describe.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Described<'a> {
    pub(crate) name: &'a str,
    pub(crate) kind: &'a str,
    pub(crate) length: u64,
    pub(crate) compound: Option<&'a str>,
    pub(crate) extra: Option<&'a str>,
    pub(crate) custom: bool,
    pub(crate) calculated: bool,
    pub(crate) restricted: bool,
}

impl<'a> Described<'a> {
    /// Reads a member of a describe's `fields`.
    pub(crate) fn read(field: &'a Map<String, Value>) -> Option<Self> {
        let text = |key: &str| field.get(key).and_then(Value::as_str);
        let flag = |key: &str| field.get(key).and_then(Value::as_bool).unwrap_or(false);
        let name = text("name")?;
        Some(Self {
            name,
            kind: text("type")?,
            length: field.get("length").and_then(Value::as_u64).unwrap_or(0),
            compound: text("compoundFieldName"),
            extra: text("extraTypeInfo"),
            custom: flag("custom") || name.ends_with("__c") || name.ends_with("__s"),
            calculated: flag("calculated"),
            restricted: flag("restrictedPicklist"),
        })
    }

    fn is_person_name(&self) -> bool {
        self.name == "Name" && self.extra == Some("personname")
    }

    fn is_compound(&self) -> bool {
        matches!(self.kind, "address" | "location") || self.is_person_name()
    }

    fn is_long_text(&self) -> bool {
        self.kind == "textarea" && self.length > 255
    }

    fn value_kind(&self) -> Option<Kind> {
        Some(match self.kind {
            "boolean" => Kind::Boolean,
            "int" => Kind::Int,
            "double" | "currency" | "percent" | "long" => Kind::Double,
            "datetime" => Kind::DateTime,
            "date" => Kind::Date,
            "time" => Kind::Time,
            "anyType" | "base64" | "complexvalue" | "id" => return None,
            _ => Kind::Text,
        })
    }

    /// The vendor's name of the field's type, as it stands in recorded schemas.
    fn doc(&self) -> &'static str {
        match self.kind {
            _ if self.extra == Some("switchablepersonname") => "Data:Switchable_PersonName",
            _ if self.is_person_name() => "Data:PersonName",
            _ if self.name == "CreatedDate" => "CreatedDate:DateTime",
            _ if self.name.starts_with("Jigsaw") && self.name.ends_with("Id") => {
                "ExternalForeignKey:ExternalId"
            }
            "address" => "Data:Address",
            "location" => "Data:Location",
            "textarea" if self.extra == Some("richtextarea") => "Data:HtmlStringPlusClob",
            "textarea" if self.is_long_text() => "Data:StringPlusClob",
            "picklist" if self.restricted && !self.custom => "Data:StaticEnum",
            "picklist" | "combobox" => "Data:DynamicEnum",
            "multipicklist" => "Data:MultiEnum",
            "reference" => "ForeignKey:EntityId",
            "phone" => "Data:Phone",
            "email" => "Data:Email",
            "url" => "Data:Url",
            "currency" => "Data:Currency",
            "percent" => "Data:Percent",
            "double" | "long" => "Data:Double",
            "int" => "Data:Integer",
            "boolean" => "Data:Boolean",
            "datetime" => "Data:DateTime",
            "date" => "Data:DateOnly",
            "time" => "Data:TimeOnly",
            _ => "Data:Text",
        }
    }
}

impl EventSchema {
    /// The schema of an object with these fields, in the order of its describe, custom fields last.
    pub(crate) fn of(entity: &str, described: &[Described<'_>]) -> Self {
        let event = event_name(entity);
        let mut made = Made { records: Vec::new(), fields: Vec::new(), json: vec![header()] };
        for custom in [false, true] {
            for field in described.iter().filter(|field| field.custom == custom) {
                made.add(entity, described, field);
            }
        }
        let json = json!({
            "type": "record", "name": event, "namespace": "com.sforce.eventbus", "fields": made.json,
        })
        .to_string();
        let digest = Sha256::digest(json.as_bytes());
        Self { id: URL_SAFE_NO_PAD.encode(&digest[..16]), json, fields: made.fields }
    }
}

/// `AccountChangeEvent`, and `Invoice__ChangeEvent` of `Invoice__c`.
pub(crate) fn event_name(entity: &str) -> String {
    match entity.strip_suffix("__c") {
        Some(stem) => format!("{stem}__ChangeEvent"),
        None => format!("{entity}ChangeEvent"),
    }
}

/// A schema in the making.
struct Made {
    /// The compound types that are defined already.
    records: Vec<&'static str>,
    fields: Vec<Field>,
    json: Vec<Value>,
}

impl Made {
    fn add(&mut self, entity: &str, described: &[Described<'_>], field: &Described<'_>) {
        // A compound stands where its first part does in the describe.
        let owner = field.compound.and_then(|name| described.iter().find(|other| other.name == name));
        let field = match owner {
            Some(compound) if compound.is_compound() => compound,
            _ => field,
        };
        let known = self.fields.iter().any(|made| made.name == field.name);
        if known || LEFT_OUT.contains(&field.name) || field.calculated {
            return;
        }
        let Some((shape, avro)) = self.shape(described, field) else { return };
        let mut doc = field.doc().to_owned();
        if field.custom {
            doc = format!("{doc}:{}", field_definition_id(entity, field.name));
        }
        self.json.push(json!({"name": field.name, "type": avro, "doc": doc, "default": null}));
        self.fields.push(Field { name: field.name.to_owned(), shape });
    }

    fn shape(&mut self, described: &[Described<'_>], field: &Described<'_>) -> Option<(Shape, Value)> {
        if !field.is_compound() {
            let kind = field.value_kind()?;
            let mut avro = vec![json!("null"), json!(kind.avro())];
            if field.extra == Some("switchablepersonname") {
                avro.push(self.record("Switchable_PersonName", &PERSON));
            }
            return Some((Shape::Plain { kind, long_text: field.is_long_text() }, avro.into()));
        }
        let (record, parts, prefix) = match field.kind {
            "address" => {
                let prefix = field.name.strip_suffix("Address").unwrap_or_default();
                ("Address", ADDRESS.to_vec(), prefix.to_owned())
            }
            "location" => {
                let prefix = field.name.strip_suffix('c').unwrap_or(field.name);
                ("Location", LOCATION.to_vec(), prefix.to_owned())
            }
            _ => {
                let mut parts = PERSON.to_vec();
                let more =
                    MORE_PERSON.iter().filter(|name| described.iter().any(|other| other.name == **name));
                parts.extend(more.map(|name| (*name, Kind::Text)));
                ("PersonName", parts, String::new())
            }
        };
        let suffix = if record == "Location" { "__s" } else { "" };
        let avro = json!(["null", self.record(record, &parts)]);
        let parts =
            parts.iter().map(|(name, kind)| Part { rest: format!("{prefix}{name}{suffix}"), kind: *kind });
        Some((Shape::Compound(parts.collect()), avro))
    }

    /// A record type: in full where it is used first, by its name after that.
    fn record(&mut self, name: &'static str, parts: &[(&str, Kind)]) -> Value {
        if self.records.contains(&name) {
            return json!(name);
        }
        self.records.push(name);
        let fields: Vec<Value> = parts
            .iter()
            .map(|(name, kind)| json!({"name": name, "type": ["null", kind.avro()], "default": null}))
            .collect();
        json!({"type": "record", "name": name, "fields": fields})
    }
}

fn header() -> Value {
    let strings = json!({"type": "array", "items": "string"});
    let field = |name: &str, kind: Value| json!({"name": name, "type": kind});
    let text = |name: &str| field(name, json!("string"));
    let fields = [
        text("entityName"),
        field("recordIds", strings.clone()),
        field("changeType", json!({"type": "enum", "name": "ChangeType", "symbols": CHANGE_TYPES})),
        text("changeOrigin"),
        text("transactionKey"),
        field("sequenceNumber", json!("int")),
        field("commitTimestamp", json!("long")),
        field("commitNumber", json!("long")),
        text("commitUser"),
        field("nulledFields", strings.clone()),
        field("diffFields", strings.clone()),
        field("changedFields", strings),
    ];
    json!({
        "name": "ChangeEventHeader", "doc": "Data:ComplexValueType",
        "type": {"type": "record", "name": "ChangeEventHeader", "fields": fields},
    })
}

/// The 15-character id of a custom field's definition; the same for the same name, so that a field which was removed
/// and made again is the same field.
fn field_definition_id(entity: &str, field: &str) -> String {
    const DIGITS: &[u8; 62] = b"0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz";
    let digest = Sha256::digest(format!("{entity}.{field}").as_bytes());
    let tail = digest[..6].iter().map(|byte| char::from(DIGITS[usize::from(*byte) % 62]));
    "00NHr0000".chars().chain(tail).collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::salesforce::schema::Schema;

    fn made(object: &str) -> EventSchema {
        let schemas = Schema::recorded();
        let schema = schemas.iter().find(|schema| schema.name == object).expect("a recorded object");
        let described: Vec<Described<'_>> =
            schema.live_fields().filter_map(|field| Described::read(&field.raw)).collect();
        EventSchema::of(object, &described)
    }

    fn fields(schema: &str) -> Vec<Value> {
        let schema: Value = serde_json::from_str(schema).expect("JSON");
        assert_eq!(
            (schema["type"].as_str(), schema["namespace"].as_str()),
            (Some("record"), Some("com.sforce.eventbus"))
        );
        schema["fields"].as_array().expect("fields").clone()
    }

    /// The recorded orgs had more features, and customs of their own; what both have must be the same, in the same order.
    #[test]
    fn schemas_agree_with_the_recorded_ones() {
        let recorded = [
            ("Account", include_str!("../../../data/salesforce/cdc/AccountChangeEvent.avsc"), 37),
            ("Contact", include_str!("../../../data/salesforce/cdc/ContactChangeEvent.avsc"), 32),
        ];
        for (object, recorded, count) in recorded {
            let recorded = fields(recorded);
            let ours = fields(&made(object).json);
            let of_both: Vec<&Value> =
                recorded.iter().filter(|field| ours.iter().any(|our| our["name"] == field["name"])).collect();
            let standard: Vec<&Value> = ours
                .iter()
                .filter(|field| !field["name"].as_str().is_some_and(|name| name.ends_with("__c")))
                .collect();
            assert_eq!(standard, of_both, "{object}");
            assert_eq!(of_both.len(), count, "{object}");
        }
        let account = made("Account");
        let position =
            |name: &str| account.fields.iter().position(|field| field.name == name).map(|at| at + 1);
        assert_eq!((position("ShippingAddress"), position("LastModifiedDate")), (Some(6), Some(23)));
    }

    #[test]
    fn every_object_has_a_schema_and_an_id_of_22_characters() {
        for object in ["Account", "Contact", "Lead", "Opportunity", "Custom__c"] {
            let schema = made(object);
            assert_eq!(schema.id.len(), 22, "{object}");
            assert_eq!(fields(&schema.json).len(), schema.fields.len() + 1, "{object}");
        }
        assert_eq!(event_name("Custom__c"), "Custom__ChangeEvent");
    }

    #[test]
    fn custom_fields_come_last_and_name_their_definition() {
        let json = |name: &str, kind: &str, compound: Value| {
            let field = json!({"name": name, "type": kind, "custom": name.contains("__"), "length": 80,
                "compoundFieldName": compound});
            field.as_object().expect("an object").clone()
        };
        let raw = [
            json("Level__c", "string", Value::Null),
            json("Place__Latitude__s", "double", json!("Place__c")),
            json("Place__Longitude__s", "double", json!("Place__c")),
            json("Place__c", "location", Value::Null),
            json("Phone", "phone", Value::Null),
        ];
        let described: Vec<Described<'_>> = raw.iter().filter_map(Described::read).collect();
        let schema = EventSchema::of("Account", &described);
        let names: Vec<&str> = schema.fields.iter().map(|field| field.name.as_str()).collect();
        assert_eq!(names, ["Phone", "Level__c", "Place__c"]);
        let Shape::Compound(parts) = &schema.fields[2].shape else { panic!("{:?}", schema.fields[2]) };
        assert_eq!(parts[1], Part { rest: "Place__Longitude__s".to_owned(), kind: Kind::Double });
        let doc = fields(&schema.json)[2]["doc"].as_str().expect("a doc").to_owned();
        assert!(doc.starts_with("Data:Text:00N") && doc.len() == "Data:Text:".len() + 15, "{doc}");
    }
}
