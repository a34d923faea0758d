//! Between HubSpot's records and ours, both ways: pure. What differs from object to object is in one file each.

mod companies;
mod contacts;
mod custom;
mod deals;
mod schema;
mod value;

use std::{borrow::Cow, collections::BTreeMap};

use connector::{Change, Cursor};
use jiff::Timestamp;
use model::{ChangeKind, FieldSchema, FieldType, ObjectSchema, Value};

pub(crate) use self::{
    custom::from_wire as custom_from_wire,
    schema::{add_pipelines, from_wire as schema_from_wire},
    value::{from_wire as value_from_wire, time_from_wire, to_wire as value_to_wire},
};
use crate::wire::{NewProperty, Record};

/// The unique property that holds our record id, which makes creating idempotent.
pub(crate) const RECORD_ID: &str = "accord_record_id";
/// When a record was modified last. It moves with every write of a property, ours included, but not with archiving.
/// Contacts have another one.
const MODIFIED: &str = "hs_lastmodifieddate";
/// The record's id as a property, which filters and sorts as a number.
pub(crate) const ID: &str = "hs_object_id";
/// The ids that were merged into a record, separated by semicolons.
pub(crate) const MERGED_IDS: &str = "hs_merged_object_ids";
/// The field that holds the id of a record's primary company, which HubSpot keeps as an association and not as a
/// property; no property can have such a name.
pub(crate) const COMPANY: &str = "associations.company";

/// An object of HubSpot that we sync.
#[derive(Clone, Debug)]
pub(crate) struct Object {
    /// HubSpot's name of it, in paths.
    pub(crate) name: Cow<'static, str>,
    /// What people call it, in the plural.
    pub(crate) label: Cow<'static, str>,
    /// The group of properties where [`RECORD_ID`] is filed.
    pub(crate) group: Cow<'static, str>,
    /// The property that tells when a record was modified last.
    pub(crate) modified: &'static str,
    /// HubSpot's type of the association with the primary company, where the object has one.
    pub(crate) company: Option<u32>,
    /// A property that says the same as something else that is read.
    hidden: Option<&'static str>,
    /// Properties that mean more than their HubSpot type says.
    refined: &'static [(&'static str, FieldType)],
    /// Whether its records move through pipelines, whose stages are options.
    pub(crate) pipelines: bool,
}

/// The objects that every portal has.
pub(crate) const STANDARD: [&Object; 3] = [&companies::COMPANIES, &deals::DEALS, &contacts::CONTACTS];
/// Their names.
pub(crate) const NAMES: [&str; 3] = ["companies", "deals", "contacts"];

impl Object {
    /// The object with this name: a standard one, or a custom one by its fully qualified name.
    pub(crate) fn named(name: &str) -> Option<Self> {
        STANDARD.into_iter().find(|object| object.name == name).cloned().or_else(|| custom::named(name))
    }

    /// The properties that every read asks for beside the wanted ones.
    pub(crate) const fn always(&self) -> [&'static str; 4] {
        [self.modified, ID, MERGED_IDS, RECORD_ID]
    }

    /// The property for our record id.
    pub(crate) fn record_id_property(&self) -> NewProperty<'_> {
        NewProperty {
            name: RECORD_ID,
            label: "Accord record ID",
            description: "The id of this record in Accord. Accord sets it and finds the record by it.",
            kind: "string",
            field_type: "text",
            group_name: &self.group,
            has_unique_value: true,
            form_field: false,
        }
    }

    /// A property for a field of ours.
    pub(crate) fn property<'a>(&'a self, field: &'a FieldSchema) -> NewProperty<'a> {
        let (kind, field_type) = match field.field_type {
            FieldType::Number => ("number", "number"),
            _ => ("string", "text"),
        };
        NewProperty {
            name: &field.name,
            label: &field.label,
            description: &field.description,
            kind,
            field_type,
            group_name: &self.group,
            has_unique_value: false,
            form_field: false,
        }
    }
}

/// Which properties of a record are wanted, and as what.
#[derive(Debug)]
pub(crate) struct Decoder<'a> {
    modified: &'static str,
    wanted: Vec<(&'a str, FieldType)>,
}

impl<'a> Decoder<'a> {
    /// A property that the schema does not know is read as text.
    pub(crate) fn new(
        object: &Object,
        schema: &ObjectSchema,
        names: impl IntoIterator<Item = &'a str>,
    ) -> Self {
        let types: BTreeMap<&str, FieldType> =
            schema.fields.iter().map(|field| (field.name.as_str(), field.field_type)).collect();
        let typed = |name| (name, types.get(name).copied().unwrap_or(FieldType::Text));
        let mut wanted: Vec<_> = names.into_iter().map(typed).collect();
        wanted.sort_unstable_by_key(|(name, _)| *name);
        wanted.dedup_by_key(|(name, _)| *name);
        Self { modified: object.modified, wanted }
    }

    pub(crate) fn field_type(&self, name: &str) -> FieldType {
        let at = self.wanted.binary_search_by_key(&name, |(wanted, _)| *wanted);
        at.map_or(FieldType::Text, |at| self.wanted[at].1)
    }

    /// The wanted ones of a record's properties; a property without a value is there and blank.
    pub(crate) fn fields(&self, record: &Record<'_>) -> BTreeMap<String, Value> {
        let decode = |(name, raw): &(crate::wire::Text<'_>, Option<crate::wire::Text<'_>>)| {
            let at = self.wanted.binary_search_by_key(&&**name, |(wanted, _)| *wanted).ok()?;
            let value = raw.as_deref().map_or(Value::Null, |raw| value_from_wire(self.wanted[at].1, raw));
            Some((self.wanted[at].0.to_owned(), value))
        };
        record.properties.0.iter().filter_map(decode).collect()
    }

    /// The record as a change; none when it does not say when it was modified.
    pub(crate) fn change(&self, record: &Record<'_>) -> Option<Change> {
        let changed_at = self.modified(record)?;
        Some(Change {
            id: record.id.to_string(),
            kind: ChangeKind::Upserted,
            version: changed_at.as_millisecond(),
            changed_at,
            fields: self.fields(record),
            is_partial: false,
            field_times: BTreeMap::new(),
            external_id: record.properties.get(RECORD_ID).map(str::to_owned),
            merged_ids: merged_ids(record),
            says_ours: false,
        })
    }

    /// When the record was modified, in whole milliseconds.
    pub(crate) fn modified(&self, record: &Record<'_>) -> Option<Timestamp> {
        let said = record.properties.get(self.modified).or(record.updated_at.as_deref());
        said.and_then(time_from_wire)
    }
}

/// The record's deletion; none when it does not say when it was archived.
pub(crate) fn deletion(record: &Record<'_>) -> Option<Change> {
    let archived_at = time_from_wire(record.archived_at.as_deref()?)?;
    Some(Change {
        id: record.id.to_string(),
        kind: ChangeKind::Deleted,
        version: archived_at.as_millisecond(),
        changed_at: archived_at,
        fields: BTreeMap::new(),
        is_partial: false,
        field_times: BTreeMap::new(),
        external_id: record.properties.get(RECORD_ID).map(str::to_owned),
        merged_ids: merged_ids(record),
        says_ours: false,
    })
}

/// When a version was made: it is the record's time of modification.
pub(crate) fn time_from_version(version: i64) -> Timestamp {
    Timestamp::from_millisecond(version).unwrap_or(Timestamp::UNIX_EPOCH)
}

pub(crate) fn merged_ids(record: &Record<'_>) -> Vec<String> {
    let ids = record.properties.get(MERGED_IDS).unwrap_or_default();
    ids.split(';').filter(|id| !id.is_empty()).map(str::to_owned).collect()
}

/// HubSpot's ids are numbers in strings and its filters compare them as numbers.
pub(crate) fn id_order(id: &str) -> (usize, &str) {
    let digits = id.trim_start_matches('0');
    (digits.len(), digits)
}

/// Whether a record at this place is still to be read from the cursor.
pub(crate) fn is_behind(cursor: &Cursor, time: Timestamp, id: &str) -> bool {
    time > cursor.time
        || (time == cursor.time && cursor.id.as_deref().is_none_or(|read| id_order(id) > id_order(read)))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::wire::Records;

    fn schema() -> ObjectSchema {
        let companies: crate::wire::PropertyList =
            serde_json::from_str(include_str!("../../fixtures/properties_companies.json")).unwrap();
        schema_from_wire(&companies::COMPANIES, companies)
    }

    #[test]
    fn a_search_answer_becomes_typed_changes() {
        let body = include_str!("../../fixtures/search_companies.json");
        let answer: Records<'_> = serde_json::from_str(body).unwrap();
        let schema = schema();
        let names: Vec<&str> = schema.fields.iter().map(|field| field.name.as_str()).collect();
        let change = Decoder::new(&companies::COMPANIES, &schema, names).change(&answer.results[0]).unwrap();
        assert_eq!(change.id, "512");
        assert_eq!(change.version, 1_704_449_472_345);
        assert_eq!(change.external_id.as_deref(), Some("rec_1"));
        assert_eq!(change.merged_ids, ["498", "7"]);
        assert_eq!(change.fields["name"], Value::text("Müller & Söhne"));
        assert_eq!(change.fields["annualrevenue"], Value::Number("1500.50".parse().unwrap()));
        assert_eq!(change.fields["hs_analytics_source"], Value::text("DIRECT"));
        assert_eq!(change.fields["is_partner"], Value::Bool(true));
        assert_eq!(change.fields["regions"], Value::list(["emea".into(), "apac".into()]));
        assert_eq!(change.fields["first_deal"], Value::Date(jiff::civil::date(2024, 1, 31)));
        assert_eq!(change.fields["phone"], Value::Null);
        assert!(!change.fields.contains_key("never_asked_for"));
        // It does not fit its type: the raw text arrives, and people see an issue.
        assert_eq!(change.fields["numberofemployees"], Value::text("about a dozen"));
    }

    #[test]
    fn only_wanted_properties_are_taken() {
        let body = include_str!("../../fixtures/search_companies.json");
        let answer: Records<'_> = serde_json::from_str(body).unwrap();
        let change =
            Decoder::new(&companies::COMPANIES, &schema(), ["name"]).change(&answer.results[0]).unwrap();
        assert_eq!(change.fields.keys().collect::<Vec<_>>(), ["name"]);
    }

    #[test]
    fn ids_order_as_numbers() {
        let cursor = Cursor { time: Timestamp::UNIX_EPOCH, id: Some("99".into()) };
        assert!(is_behind(&cursor, Timestamp::UNIX_EPOCH, "100"));
        assert!(!is_behind(&cursor, Timestamp::UNIX_EPOCH, "9"));
        assert!(!is_behind(&cursor, Timestamp::UNIX_EPOCH, "99"));
        assert!(is_behind(&Cursor::at(Timestamp::UNIX_EPOCH), Timestamp::UNIX_EPOCH, "1"));
    }

    proptest::proptest! {
        #[test]
        fn ids_order_as_numbers_of_any_length(a: u64, b: u64) {
            let (x, y) = (a.to_string(), b.to_string());
            proptest::prop_assert_eq!(id_order(&x).cmp(&id_order(&y)), a.cmp(&b));
        }
    }
}
