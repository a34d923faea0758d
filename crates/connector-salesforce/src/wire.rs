//! Salesforce's JSON, spelled as Salesforce spells it.

use std::{borrow::Cow, collections::BTreeMap, fmt};

use secrecy::SecretString;
use serde::{
    Deserialize, Deserializer, Serialize,
    de::{MapAccess, Visitor},
};
use serde_json::value::RawValue;

/// One failure: of a call (`errorCode`), or of one record of a call (`statusCode`).
#[derive(Debug, Default, Deserialize)]
pub(crate) struct Failure {
    #[serde(alias = "errorCode", alias = "statusCode")]
    pub(crate) code: String,
    #[serde(default)]
    pub(crate) message: String,
    #[serde(default)]
    pub(crate) fields: Vec<String>,
}

/// A failure of the token endpoint.
#[derive(Debug, Deserialize)]
pub(crate) struct OAuthFailure {
    pub(crate) error: String,
    #[serde(default)]
    pub(crate) error_description: String,
}

/// The token endpoint's answer. It says nothing of how long the token lives.
#[derive(Debug, Deserialize)]
pub(crate) struct Tokens {
    pub(crate) access_token: SecretString,
    #[serde(default)]
    pub(crate) refresh_token: Option<SecretString>,
    pub(crate) instance_url: String,
}

/// What the token endpoint knows about a token.
#[derive(Debug, Deserialize)]
pub(crate) struct TokenInfo {
    pub(crate) active: bool,
    #[serde(default)]
    pub(crate) scope: String,
    /// Whose it is, as the address of an identity.
    #[serde(default)]
    pub(crate) sub: String,
}

/// Who a token is of.
#[derive(Debug, Deserialize)]
pub(crate) struct UserInfo {
    pub(crate) user_id: String,
}

/// The one record of `Organization`.
#[derive(Debug, Deserialize)]
#[serde(rename_all = "PascalCase")]
pub(crate) struct Organization {
    pub(crate) id: String,
    pub(crate) name: String,
    pub(crate) organization_type: Option<String>,
    #[serde(default)]
    pub(crate) is_sandbox: bool,
    pub(crate) instance_name: Option<String>,
}

/// Rows of a query.
#[derive(Debug, Deserialize)]
#[serde(rename_all = "camelCase", bound = "T: Deserialize<'de>")]
pub(crate) struct Rows<T> {
    pub(crate) total_size: u64,
    pub(crate) done: bool,
    #[serde(default = "Vec::new")]
    pub(crate) records: Vec<T>,
}

/// A contact's role in an opportunity.
#[derive(Debug, Deserialize)]
pub(crate) struct RoleRow {
    #[serde(rename = "OpportunityId")]
    pub(crate) opportunity: String,
    #[serde(rename = "Contact")]
    pub(crate) contact: ContactRow,
}

#[derive(Debug, Deserialize)]
pub(crate) struct ContactRow {
    #[serde(rename = "Email")]
    pub(crate) email: String,
}

/// An id alone.
#[derive(Debug, Deserialize)]
pub(crate) struct IdRow {
    #[serde(rename = "Id")]
    pub(crate) id: String,
}

/// A user's profile, as rights are kept with it.
#[derive(Debug, Deserialize)]
#[serde(rename_all = "PascalCase")]
pub(crate) struct UserRow {
    pub(crate) profile_id: String,
}

/// A record that lost a merge.
#[derive(Debug, Deserialize)]
#[serde(rename_all = "PascalCase")]
pub(crate) struct MergedRow {
    pub(crate) id: String,
    pub(crate) master_record_id: Option<String>,
}

/// A record: its fields in the order of the answer, each value as it is spelled, so that no number is rounded.
#[derive(Debug)]
pub(crate) struct Record<'a>(pub(crate) Vec<(Cow<'a, str>, &'a RawValue)>);

impl<'a> Record<'a> {
    pub(crate) fn get(&self, name: &str) -> Option<&'a RawValue> {
        self.0.iter().find(|(field, _)| field == name).map(|(_, value)| *value)
    }

    /// A field that is a text; none when it is null or something else.
    pub(crate) fn text(&self, name: &str) -> Option<Cow<'a, str>> {
        text(self.get(name)?)
    }
}

/// A JSON string as text.
pub(crate) fn text(raw: &RawValue) -> Option<Cow<'_, str>> {
    /// Borrows where nothing is escaped, which serde does not do for `Cow` by itself.
    #[derive(Deserialize)]
    struct Text<'a>(#[serde(borrow)] Cow<'a, str>);
    serde_json::from_str::<Option<Text<'_>>>(raw.get()).ok().flatten().map(|text| text.0)
}

impl<'de: 'a, 'a> Deserialize<'de> for Record<'a> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct Fields;
        impl<'de> Visitor<'de> for Fields {
            type Value = Record<'de>;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("a record")
            }

            fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Record<'de>, A::Error> {
                #[derive(Deserialize)]
                struct Name<'a>(#[serde(borrow)] Cow<'a, str>);
                let mut fields = Vec::with_capacity(map.size_hint().unwrap_or(32));
                while let Some((Name(name), value)) = map.next_entry::<Name<'de>, &'de RawValue>()? {
                    fields.push((name, value));
                }
                Ok(Record(fields))
            }
        }
        deserializer.deserialize_map(Fields)
    }
}

/// All objects of an organization.
#[derive(Debug, Deserialize)]
pub(crate) struct Global {
    pub(crate) sobjects: Vec<GlobalObject>,
}

/// What the user who connected may do with an object.
#[derive(Debug, Default, Deserialize)]
#[serde(rename_all = "camelCase", default)]
#[expect(clippy::struct_excessive_bools, reason = "Salesforce spells rights as flags")]
pub(crate) struct GlobalObject {
    pub(crate) name: String,
    pub(crate) queryable: bool,
    pub(crate) createable: bool,
    pub(crate) updateable: bool,
    pub(crate) custom: bool,
    pub(crate) custom_setting: bool,
    pub(crate) deprecated_and_hidden: bool,
}

/// An object with its fields.
#[derive(Debug, Deserialize)]
#[serde(rename_all = "camelCase")]
pub(crate) struct Describe {
    pub(crate) name: String,
    #[serde(default)]
    pub(crate) label_plural: String,
    pub(crate) fields: Vec<Field>,
}

/// A field of an object.
#[derive(Debug, Default, Deserialize)]
#[serde(rename_all = "camelCase", default)]
#[expect(clippy::struct_excessive_bools, reason = "Salesforce spells what a field is as flags")]
pub(crate) struct Field {
    pub(crate) name: String,
    pub(crate) label: String,
    #[serde(rename = "type")]
    pub(crate) kind: String,
    pub(crate) inline_help_text: Option<String>,
    pub(crate) picklist_values: Vec<PicklistValue>,
    pub(crate) reference_to: Vec<String>,
    pub(crate) createable: bool,
    pub(crate) updateable: bool,
    pub(crate) nillable: bool,
    pub(crate) defaulted_on_create: bool,
    pub(crate) unique: bool,
    pub(crate) external_id: bool,
    pub(crate) custom: bool,
    pub(crate) deprecated_and_hidden: bool,
}

/// A value of a picklist.
#[derive(Debug, Default, Deserialize)]
#[serde(default)]
pub(crate) struct PicklistValue {
    pub(crate) active: bool,
    pub(crate) label: Option<String>,
    pub(crate) value: String,
}

/// A request for records by their ids.
#[derive(Debug, Serialize)]
pub(crate) struct Retrieve<'a> {
    pub(crate) ids: &'a [&'a str],
    pub(crate) fields: &'a [&'a str],
}

/// Values to write, by field name; exact numbers are spelled already.
pub(crate) type Values<'a> = BTreeMap<&'a str, Box<RawValue>>;

/// Writes of one call, each succeeding or failing by itself.
#[derive(Debug, Serialize)]
#[serde(rename_all = "camelCase")]
pub(crate) struct Collection<'a> {
    pub(crate) all_or_none: bool,
    pub(crate) records: Vec<Values<'a>>,
}

/// What came of one record of a collection.
#[derive(Debug, Deserialize)]
pub(crate) struct Saved {
    #[serde(default)]
    pub(crate) id: Option<String>,
    pub(crate) success: bool,
    #[serde(default)]
    pub(crate) errors: Vec<Failure>,
}

/// Several calls in one.
#[derive(Debug, Serialize)]
#[serde(rename_all = "camelCase")]
pub(crate) struct Composite<'a> {
    pub(crate) all_or_none: bool,
    pub(crate) composite_request: Vec<Part<'a>>,
}

/// One call of several.
#[derive(Debug, Serialize)]
#[serde(rename_all = "camelCase")]
pub(crate) struct Part<'a> {
    pub(crate) method: &'static str,
    pub(crate) url: String,
    pub(crate) reference_id: String,
    pub(crate) http_headers: BTreeMap<&'static str, String>,
    pub(crate) body: &'a Values<'a>,
}

/// The answers of several calls.
#[derive(Debug, Deserialize)]
#[serde(rename_all = "camelCase")]
pub(crate) struct CompositeAnswer {
    pub(crate) composite_response: Vec<PartAnswer>,
}

/// The answer of one call of several.
#[derive(Debug, Deserialize)]
#[serde(rename_all = "camelCase")]
pub(crate) struct PartAnswer {
    pub(crate) http_status_code: u16,
    pub(crate) reference_id: String,
    #[serde(default)]
    pub(crate) body: serde_json::Value,
}

/// A new field, for the Tooling API.
#[derive(Debug, Serialize)]
#[serde(rename_all = "PascalCase")]
pub(crate) struct NewField<'a> {
    pub(crate) full_name: String,
    pub(crate) metadata: FieldMetadata<'a>,
}

/// What a new field is.
#[derive(Debug, Default, Serialize)]
#[serde(rename_all = "camelCase")]
pub(crate) struct FieldMetadata<'a> {
    pub(crate) label: &'a str,
    pub(crate) description: &'a str,
    #[serde(rename = "type")]
    pub(crate) kind: &'static str,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) length: Option<u32>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) precision: Option<u32>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) scale: Option<u32>,
    #[serde(skip_serializing_if = "std::ops::Not::not")]
    pub(crate) external_id: bool,
    #[serde(skip_serializing_if = "std::ops::Not::not")]
    pub(crate) unique: bool,
    #[serde(skip_serializing_if = "std::ops::Not::not")]
    pub(crate) case_sensitive: bool,
}

/// A right on a field, kept with a profile's own permission set.
#[derive(Debug, Serialize)]
#[serde(rename_all = "PascalCase")]
pub(crate) struct FieldPermission<'a> {
    pub(crate) parent_id: &'a str,
    pub(crate) sobject_type: &'a str,
    pub(crate) field: String,
    pub(crate) permissions_read: bool,
    pub(crate) permissions_edit: bool,
}

/// A query of the Bulk API.
#[derive(Debug, Serialize)]
pub(crate) struct NewJob<'a> {
    pub(crate) operation: &'static str,
    pub(crate) query: &'a str,
}

/// A job of the Bulk API.
#[derive(Debug, Deserialize)]
pub(crate) struct Job {
    pub(crate) id: String,
    pub(crate) state: String,
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_record_keeps_its_numbers_as_they_are_spelled() {
        let json =
            r#"{"attributes":{"type":"A"},"Id":"001","Amount":1234567890123456.78,"N":null,"T":"a\"b"}"#;
        let record: Record<'_> = serde_json::from_str(json).unwrap();
        assert_eq!(record.get("Amount").unwrap().get(), "1234567890123456.78");
        assert_eq!(record.text("T").as_deref(), Some("a\"b"));
        assert_eq!(record.text("N"), None);
        assert!(matches!(record.text("Id"), Some(Cow::Borrowed("001"))));
    }

    #[test]
    fn failures_of_calls_and_of_records_read_alike() {
        for json in
            [r#"{"errorCode":"X","message":"m"}"#, r#"{"statusCode":"X","message":"m","fields":["F"]}"#]
        {
            assert_eq!(serde_json::from_str::<Failure>(json).unwrap().code, "X");
        }
    }
}
