//! Between Salesforce's records and ours, both ways: pure.

mod schema;
mod value;
mod version;

use std::{borrow::Cow, collections::BTreeMap};

use connector::Change;
use jiff::Timestamp;
use model::{ChangeKind, FieldType, ObjectSchema, Value};

pub(crate) use self::{
    schema::{from_wire as schema_from_wire, is_offered},
    value::{
        from_double as value_from_double, from_text as value_from_text, time_from_wire, time_of_day,
        to_wire as value_to_wire,
    },
    version::{of_event, of_reading},
};
use crate::wire::{Record, text};

/// The objects that sync out of the box.
pub(crate) const NAMES: [&str; 4] = ["Account", "Contact", "Opportunity", "Lead"];
/// Standard objects that are offered; the hundreds of others are Salesforce's own machinery.
const STANDARD: [&str; 16] = [
    "Account",
    "Asset",
    "Campaign",
    "CampaignMember",
    "Case",
    "Contact",
    "Contract",
    "Event",
    "Lead",
    "Opportunity",
    "Order",
    "Pricebook2",
    "Product2",
    "Quote",
    "Task",
    "User",
];
/// Objects whose records can be merged.
pub(crate) const MERGED: [&str; 3] = ["Account", "Contact", "Lead"];
/// Editions with Change Data Capture, as parts of `OrganizationType`.
pub(crate) const EDITIONS_WITH_EVENTS: [&str; 4] = ["Developer", "Enterprise", "Unlimited", "Performance"];
/// The unique field that holds our record id, which makes creating idempotent.
pub(crate) const RECORD_ID: &str = "Accord_Id__c";
/// When a record was modified last, by a person or by Salesforce itself; in whole seconds, when the statement ran and
/// not when its transaction was committed.
pub(crate) const STAMP: &str = "SystemModstamp";

/// Which fields of a record are wanted, and as what.
#[derive(Debug)]
pub(crate) struct Decoder<'a> {
    wanted: Vec<(&'a str, FieldType)>,
}

impl<'a> Decoder<'a> {
    /// A field that the schema does not know is read as text.
    pub(crate) fn new(schema: &ObjectSchema, names: impl IntoIterator<Item = &'a str>) -> Self {
        let types: BTreeMap<&str, FieldType> =
            schema.fields.iter().map(|field| (field.name.as_str(), field.field_type)).collect();
        let typed = |name| (name, types.get(name).copied().unwrap_or(FieldType::Text));
        let mut wanted: Vec<_> = names.into_iter().map(typed).collect();
        wanted.sort_unstable_by_key(|(name, _)| *name);
        wanted.dedup_by_key(|(name, _)| *name);
        Self { wanted }
    }

    pub(crate) fn field_type(&self, name: &str) -> Option<FieldType> {
        let at = self.wanted.binary_search_by_key(&name, |(wanted, _)| *wanted).ok()?;
        Some(self.wanted[at].1)
    }

    pub(crate) fn names(&self) -> impl Iterator<Item = &'a str> {
        self.wanted.iter().map(|(name, _)| *name)
    }

    /// The wanted ones of a record's fields; a field without a value is there and blank.
    pub(crate) fn fields(&self, record: &Record<'_>) -> BTreeMap<String, Value> {
        let decode = |(name, raw): &(Cow<'_, str>, &serde_json::value::RawValue)| {
            let field_type = self.field_type(name)?;
            Some(((**name).to_owned(), value::from_wire(field_type, raw)))
        };
        record.0.iter().filter_map(decode).collect()
    }

    /// A record that was read as a change; none when it does not say its id and when it was modified. `not_before_s` is
    /// a moment of Salesforce's clock before which it was not read.
    pub(crate) fn change(&self, record: &Record<'_>, not_before_s: i64) -> Option<Change> {
        let changed_at = stamp(record)?;
        Some(Change {
            id: record.text("Id")?.into_owned(),
            kind: ChangeKind::Upserted,
            version: of_reading(changed_at.as_second(), not_before_s),
            changed_at,
            fields: self.fields(record),
            is_partial: false,
            field_times: BTreeMap::new(),
            external_id: record.text(RECORD_ID).map(Cow::into_owned),
            merged_ids: Vec::new(),
            says_ours: false,
        })
    }
}

/// When a record was modified last.
pub(crate) fn stamp(record: &Record<'_>) -> Option<Timestamp> {
    time_from_wire(&text(record.get(STAMP)?)?)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_record_becomes_a_change_with_its_wanted_fields() {
        let schema = schema_from_wire(
            serde_json::from_str(
                r#"{"name":"Account","fields":[{"name":"Name","type":"string"},{"name":"AnnualRevenue","type":"currency"},
                {"name":"Phone","type":"phone"},{"name":"Rating","type":"multipicklist"}]}"#,
            )
            .unwrap(),
        );
        let json = r#"{"attributes":{"type":"Account"},"Id":"001D0000001AbCdEAK","Name":"Müller","AnnualRevenue":1500.50,
            "Phone":null,"Rating":"b;a","SystemModstamp":"2024-01-31T23:00:05.000+0000","Accord_Id__c":"rec_1","X":1}"#;
        let record: Record<'_> = serde_json::from_str(json).unwrap();
        let decoder = Decoder::new(&schema, ["Name", "AnnualRevenue", "Phone", "Rating"]);
        let change = decoder.change(&record, i64::MAX).unwrap();
        assert_eq!(change.id, "001D0000001AbCdEAK");
        assert_eq!(change.changed_at, "2024-01-31T23:00:05Z".parse().unwrap());
        assert_eq!(change.external_id.as_deref(), Some("rec_1"));
        assert_eq!(change.fields["AnnualRevenue"], Value::Number("1500.5".parse().unwrap()));
        assert_eq!(change.fields["Phone"], Value::Null);
        assert_eq!(change.fields["Rating"], Value::list(["a".into(), "b".into()]));
        assert_eq!(change.fields.len(), 4);
    }
}
