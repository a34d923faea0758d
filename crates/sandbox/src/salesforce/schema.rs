//! Objects and fields as the vendor describes them: recorded ones, and those that are added.

use std::collections::HashMap;
use std::sync::Arc;

use serde::Deserialize;
use serde_json::{Map, Value};

/// The recorded describes, in the order in which the org lists its objects.
const RECORDED: [&str; 11] = [
    include_str!("../../data/salesforce/Account.json"),
    include_str!("../../data/salesforce/Contact.json"),
    include_str!("../../data/salesforce/Lead.json"),
    include_str!("../../data/salesforce/Opportunity.json"),
    include_str!("../../data/salesforce/Custom__c.json"),
    include_str!("../../data/salesforce/User.json"),
    include_str!("../../data/salesforce/RecordType.json"),
    include_str!("../../data/salesforce/Organization.json"),
    include_str!("../../data/salesforce/PermissionSet.json"),
    include_str!("../../data/salesforce/FieldPermissions.json"),
    include_str!("../../data/salesforce/OpportunityContactRole.json"),
];
/// A whole field with the values that most fields have; recorded fields say only what differs.
const FIELD: &str = include_str!("../../data/salesforce/field.json");

/// What a field holds.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Kind {
    Id,
    Reference,
    Text,
    Email,
    Boolean,
    Int,
    Double,
    Date,
    DateTime,
    Time,
    Picklist,
    MultiPicklist,
    /// An address: put together from other fields, never written.
    Compound,
}

impl Kind {
    fn of(word: &str) -> Self {
        match word {
            "id" => Kind::Id,
            "reference" => Kind::Reference,
            "email" => Kind::Email,
            "boolean" => Kind::Boolean,
            "int" | "long" => Kind::Int,
            "double" | "currency" | "percent" => Kind::Double,
            "date" => Kind::Date,
            "datetime" => Kind::DateTime,
            "time" => Kind::Time,
            "picklist" => Kind::Picklist,
            "multipicklist" => Kind::MultiPicklist,
            "address" | "location" => Kind::Compound,
            _ => Kind::Text,
        }
    }
}

/// Where a field's value is kept.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Place {
    /// Among the cells of the record, at the field's position.
    Cell,
    Id,
    IsDeleted,
    MasterRecordId,
    CreatedDate,
    CreatedById,
    LastModifiedDate,
    LastModifiedById,
    SystemModstamp,
    /// Nowhere: an address of the components whose names begin so.
    Address,
}

#[derive(Debug, Clone, Deserialize)]
pub(crate) struct Choice {
    pub(crate) value: String,
    pub(crate) active: bool,
    #[serde(rename = "defaultValue")]
    pub(crate) default: bool,
}

/// What the simulator needs to know of a field, read from its describe.
#[derive(Debug, Deserialize)]
#[serde(rename_all = "camelCase")]
struct Facts {
    name: String,
    label: String,
    #[serde(rename = "type")]
    kind: String,
    length: usize,
    createable: bool,
    updateable: bool,
    nillable: bool,
    defaulted_on_create: bool,
    unique: bool,
    external_id: bool,
    id_lookup: bool,
    case_sensitive: bool,
    restricted_picklist: bool,
    picklist_values: Vec<Choice>,
    reference_to: Vec<String>,
    relationship_name: Option<String>,
    compound_field_name: Option<String>,
    digits: u32,
    precision: u32,
    scale: u32,
    filterable: bool,
    sortable: bool,
    custom: bool,
    default_value: Value,
}

/// A field.
#[derive(Debug, Clone)]
pub(crate) struct Field {
    pub(crate) at: u16,
    pub(crate) name: Arc<str>,
    pub(crate) label: String,
    pub(crate) kind: Kind,
    pub(crate) place: Place,
    pub(crate) length: usize,
    pub(crate) createable: bool,
    pub(crate) updateable: bool,
    pub(crate) nillable: bool,
    pub(crate) defaulted: bool,
    pub(crate) unique: bool,
    pub(crate) external_id: bool,
    pub(crate) id_lookup: bool,
    pub(crate) case_sensitive: bool,
    pub(crate) restricted: bool,
    pub(crate) choices: Vec<Choice>,
    pub(crate) reference_to: Vec<String>,
    pub(crate) relationship: Option<String>,
    pub(crate) compound: Option<String>,
    pub(crate) digits: u32,
    pub(crate) precision: u32,
    pub(crate) scale: u32,
    pub(crate) filterable: bool,
    pub(crate) sortable: bool,
    pub(crate) custom: bool,
    pub(crate) default: Value,
    /// Of lists that line breaks are kept in.
    pub(crate) long: bool,
    /// No client sees it.
    pub(crate) removed: bool,
    /// It is there, but nobody was given the right to see it yet.
    pub(crate) hidden: bool,
    /// The field as the describe shows it.
    pub(crate) raw: Map<String, Value>,
}

impl Field {
    fn read(at: usize, differences: Map<String, Value>) -> Result<Self, serde_json::Error> {
        let mut raw: Map<String, Value> = serde_json::from_str(FIELD)?;
        raw.extend(differences);
        let facts: Facts = serde_json::from_value(Value::Object(raw.clone()))?;
        let kind = Kind::of(&facts.kind);
        let place = match facts.name.as_str() {
            "Id" => Place::Id,
            "IsDeleted" => Place::IsDeleted,
            "MasterRecordId" => Place::MasterRecordId,
            "CreatedDate" => Place::CreatedDate,
            "CreatedById" => Place::CreatedById,
            "LastModifiedDate" => Place::LastModifiedDate,
            "LastModifiedById" => Place::LastModifiedById,
            "SystemModstamp" => Place::SystemModstamp,
            _ if kind == Kind::Compound => Place::Address,
            _ => Place::Cell,
        };
        Ok(Self {
            at: u16::try_from(at).unwrap_or(u16::MAX),
            name: facts.name.into(),
            label: facts.label,
            kind,
            place,
            length: facts.length,
            createable: facts.createable,
            updateable: facts.updateable,
            nillable: facts.nillable,
            defaulted: facts.defaulted_on_create,
            unique: facts.unique,
            external_id: facts.external_id,
            id_lookup: facts.id_lookup,
            case_sensitive: facts.case_sensitive,
            restricted: facts.restricted_picklist,
            choices: facts.picklist_values,
            reference_to: facts.reference_to,
            relationship: facts.relationship_name,
            compound: facts.compound_field_name,
            digits: facts.digits,
            precision: facts.precision,
            scale: facts.scale,
            filterable: facts.filterable,
            sortable: facts.sortable,
            custom: facts.custom,
            default: facts.default_value,
            long: facts.kind == "textarea",
            removed: false,
            hidden: false,
            raw,
        })
    }

    /// Whether records can be found by its value.
    pub(crate) fn is_key(&self) -> bool {
        self.place == Place::Cell && (self.unique || self.external_id || self.id_lookup)
    }

    /// Whether a creation must give a value.
    pub(crate) fn is_required(&self) -> bool {
        self.createable && !self.nillable && !self.defaulted && self.kind != Kind::Boolean
    }
}

/// An object's description.
#[derive(Debug)]
pub(crate) struct Schema {
    pub(crate) name: String,
    pub(crate) label: String,
    pub(crate) prefix: String,
    pub(crate) fields: Vec<Arc<Field>>,
    pub(crate) createable: bool,
    pub(crate) updateable: bool,
    pub(crate) deletable: bool,
    pub(crate) mergeable: bool,
    /// Child object, its field and whether a deletion takes the children along.
    pub(crate) children: Vec<(String, String, bool)>,
    /// When the description changed last.
    pub(crate) changed_s: i64,
    /// The description without its fields.
    pub(crate) raw: Map<String, Value>,
    by_name: HashMap<String, u16>,
}

impl Schema {
    /// The objects of a new org. The data is part of this program: what cannot be read is left out
    /// and its story fails.
    pub(crate) fn recorded() -> Vec<Self> {
        RECORDED.iter().filter_map(|text| Self::read(text).ok()).collect()
    }

    fn read(text: &str) -> Result<Self, serde_json::Error> {
        let mut raw: Map<String, Value> = serde_json::from_str(text)?;
        let fields: Vec<Map<String, Value>> =
            serde_json::from_value(raw.remove("fields").unwrap_or_default())?;
        let word = |key: &str| raw.get(key).and_then(Value::as_str).unwrap_or_default().to_owned();
        let flag = |key: &str| raw.get(key).and_then(Value::as_bool).unwrap_or_default();
        let children = raw["childRelationships"].as_array().into_iter().flatten();
        let children = children
            .map(|child| {
                let word = |key: &str| child[key].as_str().unwrap_or_default().to_owned();
                (word("childSObject"), word("field"), child["cascadeDelete"] == true)
            })
            .collect();
        let mut schema = Self {
            name: word("name"),
            label: word("label"),
            prefix: word("keyPrefix"),
            fields: Vec::with_capacity(fields.len()),
            createable: flag("createable"),
            updateable: flag("updateable"),
            deletable: flag("deletable"),
            mergeable: flag("mergeable"),
            children,
            changed_s: 0,
            by_name: HashMap::new(),
            raw,
        };
        for field in fields {
            schema.add(field)?;
        }
        Ok(schema)
    }

    /// Adds a field, told by what differs from most fields. A removed one of the same name comes back.
    pub(crate) fn add(&mut self, differences: Map<String, Value>) -> Result<Arc<Field>, serde_json::Error> {
        let mut field = Field::read(self.fields.len(), differences)?;
        let key = field.name.to_lowercase();
        let known = self.fields.iter().position(|known| known.name.to_lowercase() == key);
        let field = match known {
            Some(at) => {
                field.at = u16::try_from(at).unwrap_or(u16::MAX);
                self.fields[at] = Arc::new(field);
                self.fields[at].clone()
            }
            None => {
                self.fields.push(Arc::new(field));
                self.fields[self.fields.len() - 1].clone()
            }
        };
        self.by_name.insert(key, field.at);
        Ok(field)
    }

    /// Takes a field from every client's sight; a hidden one can be shown again.
    pub(crate) fn remove(&mut self, name: &str, hidden: bool) -> bool {
        let Some(at) = self.by_name.remove(&name.to_lowercase()) else { return false };
        let mut field = (*self.fields[usize::from(at)]).clone();
        field.removed = true;
        field.hidden = hidden;
        self.fields[usize::from(at)] = Arc::new(field);
        true
    }

    /// Shows a hidden field. Answers whether there is a field of this name now.
    pub(crate) fn show(&mut self, name: &str) -> bool {
        if let Some(mut field) = self.hidden(name).map(|field| Field::clone(field)) {
            field.removed = false;
            field.hidden = false;
            self.by_name.insert(name.to_lowercase(), field.at);
            let at = usize::from(field.at);
            self.fields[at] = Arc::new(field);
        }
        self.field(name).is_some()
    }

    /// A field that is there and that nobody may see yet.
    pub(crate) fn hidden(&self, name: &str) -> Option<&Arc<Field>> {
        self.fields.iter().find(|field| field.hidden && field.name.eq_ignore_ascii_case(name))
    }

    /// A field by its name in any case.
    pub(crate) fn field(&self, name: &str) -> Option<&Arc<Field>> {
        let at = match self.by_name.get(name) {
            Some(at) => *at,
            None => *self.by_name.get(&name.to_lowercase())?,
        };
        self.fields.get(usize::from(at))
    }

    /// The fields clients see, in order.
    pub(crate) fn live_fields(&self) -> impl Iterator<Item = &Arc<Field>> {
        self.fields.iter().filter(|field| !field.removed)
    }

    /// The reference whose parent is spelled so in a query.
    pub(crate) fn relationship(&self, name: &str) -> Option<&Arc<Field>> {
        self.live_fields()
            .find(|field| field.relationship.as_deref().is_some_and(|known| known.eq_ignore_ascii_case(name)))
    }

    /// The fields an address is put together from, with the name of each part.
    pub(crate) fn parts<'a>(&'a self, address: &'a Field) -> impl Iterator<Item = (String, &'a Arc<Field>)> {
        self.live_fields().filter(|field| field.compound.as_deref() == Some(&*address.name)).map(|field| {
            let prefix = address.name.strip_suffix("Address").unwrap_or(&address.name);
            let part = field.name.strip_prefix(prefix).unwrap_or(&field.name);
            let mut letters = part.chars();
            let first = letters.next().map(|letter| letter.to_ascii_lowercase());
            (first.into_iter().chain(letters).collect(), field)
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_recorded_description_can_be_read() {
        let counts: Vec<(String, usize)> =
            Schema::recorded().iter().map(|schema| (schema.name.clone(), schema.fields.len())).collect();
        let expected = [
            ("Account", 64),
            ("Contact", 59),
            ("Lead", 54),
            ("Opportunity", 40),
            ("Custom__c", 10),
            ("User", 19),
            ("RecordType", 11),
            ("Organization", 13),
            ("PermissionSet", 10),
            ("FieldPermissions", 11),
            ("OpportunityContactRole", 11),
        ];
        assert_eq!(counts, expected.map(|(name, fields)| (name.to_owned(), fields)));
    }
}
