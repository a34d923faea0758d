//! HubSpot's JSON, spelled as HubSpot spells it. What pages of records are made of borrows from the answer's body.

use std::{borrow::Cow, collections::BTreeMap, fmt};

use serde::{Deserialize, Deserializer, Serialize, de};

/// A text that borrows from the body where it holds no escapes; HubSpot sends nearly every value as one. A number or
/// a boolean is taken as its text, because newer versions send some ids as numbers.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct Text<'a>(pub(crate) Cow<'a, str>);

impl std::ops::Deref for Text<'_> {
    type Target = str;

    fn deref(&self) -> &str {
        &self.0
    }
}

impl<'de: 'a, 'a> Deserialize<'de> for Text<'a> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_any(TextVisitor)
    }
}

struct TextVisitor;

impl<'de> de::Visitor<'de> for TextVisitor {
    type Value = Text<'de>;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a string, a number or a boolean")
    }

    fn visit_borrowed_str<E>(self, text: &'de str) -> Result<Text<'de>, E> {
        Ok(Text(Cow::Borrowed(text)))
    }

    fn visit_str<E>(self, text: &str) -> Result<Text<'de>, E> {
        Ok(Text(Cow::Owned(text.to_owned())))
    }

    fn visit_string<E>(self, text: String) -> Result<Text<'de>, E> {
        Ok(Text(Cow::Owned(text)))
    }

    fn visit_bool<E>(self, yes: bool) -> Result<Text<'de>, E> {
        Ok(Text(Cow::Borrowed(if yes { "true" } else { "false" })))
    }

    fn visit_u64<E>(self, number: u64) -> Result<Text<'de>, E> {
        Ok(Text(Cow::Owned(number.to_string())))
    }

    fn visit_i64<E>(self, number: i64) -> Result<Text<'de>, E> {
        Ok(Text(Cow::Owned(number.to_string())))
    }

    fn visit_f64<E>(self, number: f64) -> Result<Text<'de>, E> {
        Ok(Text(Cow::Owned(number.to_string())))
    }
}

/// A record's properties in the order of the answer.
#[derive(Clone, Debug, Default)]
pub(crate) struct Properties<'a>(pub(crate) Vec<(Text<'a>, Option<Text<'a>>)>);

impl<'a> Properties<'a> {
    /// A property's value; an empty one counts as none.
    pub(crate) fn get(&self, name: &str) -> Option<&str> {
        self.0
            .iter()
            .find(|(key, _)| &**key == name)
            .and_then(|(_, value)| value.as_deref())
            .filter(|value| !value.is_empty())
    }
}

impl<'de: 'a, 'a> Deserialize<'de> for Properties<'a> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct Visitor;
        impl<'de> de::Visitor<'de> for Visitor {
            type Value = Properties<'de>;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("an object of properties")
            }

            fn visit_map<A: de::MapAccess<'de>>(self, mut map: A) -> Result<Properties<'de>, A::Error> {
                let mut properties = Vec::with_capacity(map.size_hint().unwrap_or(16));
                while let Some(property) = map.next_entry()? {
                    properties.push(property);
                }
                Ok(Properties(properties))
            }
        }
        deserializer.deserialize_map(Visitor)
    }
}

/// A record as listings, searches and batches show it.
#[derive(Clone, Debug, Deserialize)]
#[serde(rename_all = "camelCase")]
pub(crate) struct Record<'a> {
    #[serde(borrow)]
    pub(crate) id: Text<'a>,
    #[serde(borrow, default)]
    pub(crate) properties: Properties<'a>,
    #[serde(borrow, default)]
    pub(crate) properties_with_history: BTreeMap<Cow<'a, str>, Vec<PastValue<'a>>>,
    #[serde(borrow)]
    pub(crate) updated_at: Option<Text<'a>>,
    #[serde(borrow)]
    pub(crate) archived_at: Option<Text<'a>>,
}

/// One entry of a property's history, which is newest first.
#[derive(Clone, Debug, Deserialize)]
#[serde(rename_all = "camelCase")]
pub(crate) struct PastValue<'a> {
    #[serde(borrow)]
    pub(crate) value: Option<Text<'a>>,
    #[serde(borrow)]
    pub(crate) timestamp: Text<'a>,
    #[serde(borrow)]
    pub(crate) source_type: Option<Text<'a>>,
}

/// A page of a search or of a listing.
#[derive(Clone, Debug, Deserialize)]
pub(crate) struct Records<'a> {
    pub(crate) total: Option<u64>,
    #[serde(borrow)]
    pub(crate) results: Vec<Record<'a>>,
    #[serde(borrow)]
    pub(crate) paging: Option<Paging<'a>>,
}

#[derive(Clone, Debug, Deserialize)]
pub(crate) struct Paging<'a> {
    #[serde(borrow)]
    pub(crate) next: Option<NextPage<'a>>,
}

#[derive(Clone, Debug, Deserialize)]
pub(crate) struct NextPage<'a> {
    #[serde(borrow)]
    pub(crate) after: Text<'a>,
}

impl Records<'_> {
    /// The token of the next page; none on the last.
    pub(crate) fn after(&self) -> Option<&str> {
        self.paging.as_ref()?.next.as_ref().map(|next| &*next.after)
    }
}

/// The answer to a batch.
#[derive(Clone, Debug, Deserialize)]
#[serde(rename_all = "camelCase")]
pub(crate) struct Batch<'a> {
    #[serde(borrow, default)]
    pub(crate) results: Vec<Record<'a>>,
    #[serde(default)]
    pub(crate) errors: Vec<BatchError>,
    #[serde(borrow)]
    pub(crate) started_at: Option<Text<'a>>,
    #[serde(borrow)]
    pub(crate) completed_at: Option<Text<'a>>,
}

/// What a 207 says about inputs that failed.
#[derive(Clone, Debug, Default, Deserialize)]
#[serde(default)]
pub(crate) struct BatchError {
    pub(crate) category: String,
    pub(crate) context: serde_json::Value,
}

/// `POST …/search`
#[derive(Debug, Serialize)]
#[serde(rename_all = "camelCase")]
pub(crate) struct Search<'a> {
    pub(crate) filter_groups: [FilterGroup; 1],
    pub(crate) sorts: [Sort; 1],
    pub(crate) properties: &'a [&'a str],
    pub(crate) limit: usize,
}

#[derive(Debug, Serialize)]
pub(crate) struct FilterGroup {
    pub(crate) filters: Vec<Filter>,
}

#[derive(Debug, Serialize)]
#[serde(rename_all = "camelCase")]
pub(crate) struct Filter {
    pub(crate) property_name: &'static str,
    pub(crate) operator: &'static str,
    pub(crate) value: String,
}

#[derive(Debug, Serialize)]
#[serde(rename_all = "camelCase")]
pub(crate) struct Sort {
    pub(crate) property_name: &'static str,
    pub(crate) direction: &'static str,
}

/// `POST …/batch/read`
#[derive(Debug, Serialize)]
#[serde(rename_all = "camelCase")]
pub(crate) struct BatchRead<'a> {
    pub(crate) properties: Vec<&'a str>,
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub(crate) properties_with_history: Vec<&'a str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) id_property: Option<&'static str>,
    pub(crate) inputs: Vec<RecordId<'a>>,
}

#[derive(Debug, Serialize)]
pub(crate) struct RecordId<'a> {
    pub(crate) id: &'a str,
}

/// `POST …/batch/archive`
#[derive(Debug, Serialize)]
pub(crate) struct BatchIds<'a> {
    pub(crate) inputs: Vec<RecordId<'a>>,
}

/// `POST …/batch/update` and `POST …/batch/upsert`
#[derive(Debug, Serialize)]
pub(crate) struct BatchWrite<'a> {
    pub(crate) inputs: Vec<WriteInput<'a>>,
}

#[derive(Debug, Serialize)]
#[serde(rename_all = "camelCase")]
pub(crate) struct WriteInput<'a> {
    pub(crate) id: &'a str,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) id_property: Option<&'static str>,
    pub(crate) properties: &'a BTreeMap<&'a str, String>,
}

/// `GET /crm/v3/properties/{type}`
#[derive(Debug, Deserialize)]
pub(crate) struct PropertyList {
    pub(crate) results: Vec<Property>,
}

/// A property's definition.
#[derive(Debug, Default, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub(crate) struct Property {
    pub(crate) name: String,
    pub(crate) label: String,
    #[serde(rename = "type")]
    pub(crate) kind: String,
    pub(crate) field_type: String,
    pub(crate) description: Option<String>,
    pub(crate) options: Vec<PropertyOption>,
    pub(crate) has_unique_value: bool,
    pub(crate) hubspot_defined: bool,
    pub(crate) calculated: bool,
    pub(crate) archived: bool,
    pub(crate) referenced_object_type: Option<String>,
    pub(crate) show_currency_symbol: Option<bool>,
    pub(crate) number_display_hint: Option<String>,
    pub(crate) modification_metadata: ModificationMetadata,
}

#[derive(Debug, Default, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub(crate) struct ModificationMetadata {
    pub(crate) read_only_value: bool,
}

#[derive(Debug, Default, Deserialize)]
#[serde(default)]
pub(crate) struct PropertyOption {
    pub(crate) label: String,
    pub(crate) value: String,
}

/// `POST /crm/v3/properties/{type}`
#[derive(Debug, Serialize)]
#[serde(rename_all = "camelCase")]
pub(crate) struct NewProperty<'a> {
    pub(crate) name: &'a str,
    pub(crate) label: &'a str,
    pub(crate) description: &'a str,
    #[serde(rename = "type")]
    pub(crate) kind: &'static str,
    pub(crate) field_type: &'static str,
    pub(crate) group_name: &'a str,
    pub(crate) has_unique_value: bool,
    pub(crate) form_field: bool,
}

/// `GET /crm-object-schemas/v3/schemas`
#[derive(Debug, Deserialize)]
pub(crate) struct CustomObjects {
    pub(crate) results: Vec<CustomObject>,
}

#[derive(Debug, Default, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub(crate) struct CustomObject {
    pub(crate) name: String,
    pub(crate) fully_qualified_name: String,
    pub(crate) labels: Labels,
    pub(crate) required_properties: Vec<String>,
    pub(crate) archived: bool,
}

#[derive(Debug, Default, Deserialize)]
#[serde(default)]
pub(crate) struct Labels {
    pub(crate) plural: Option<String>,
}

/// `POST /crm/v4/associations/{from}/{to}/batch/read`
#[derive(Debug, Serialize)]
pub(crate) struct AssociationsRead<'a> {
    pub(crate) inputs: Vec<AssociationsOf<'a>>,
}

#[derive(Debug, Serialize)]
pub(crate) struct AssociationsOf<'a> {
    pub(crate) id: &'a str,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) after: Option<&'a str>,
}

#[derive(Debug, Deserialize)]
pub(crate) struct Associations<'a> {
    #[serde(borrow)]
    pub(crate) results: Vec<AssociationsFrom<'a>>,
}

#[derive(Debug, Deserialize)]
pub(crate) struct AssociationsFrom<'a> {
    #[serde(borrow)]
    pub(crate) from: AnswerId<'a>,
    #[serde(borrow)]
    pub(crate) to: Vec<Association<'a>>,
    #[serde(borrow)]
    pub(crate) paging: Option<Paging<'a>>,
}

#[derive(Debug, Deserialize)]
pub(crate) struct AnswerId<'a> {
    #[serde(borrow)]
    pub(crate) id: Text<'a>,
}

/// Its id is a number in version 4 and a text in date-based ones.
#[derive(Debug, Deserialize)]
#[serde(rename_all = "camelCase")]
pub(crate) struct Association<'a> {
    #[serde(borrow)]
    pub(crate) to_object_id: Text<'a>,
    pub(crate) association_types: Vec<AssociationType>,
}

#[derive(Debug, Deserialize)]
#[serde(rename_all = "camelCase")]
pub(crate) struct AssociationType {
    pub(crate) type_id: u32,
}

/// `POST /crm/v4/associations/{from}/{to}/batch/create` and `…/archive`, whose inputs name no types
#[derive(Debug, Serialize)]
pub(crate) struct AssociationsWrite<'a> {
    pub(crate) inputs: Vec<AssociationInput<'a>>,
}

#[derive(Debug, Serialize)]
pub(crate) struct AssociationInput<'a> {
    pub(crate) from: RecordId<'a>,
    pub(crate) to: RecordId<'a>,
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub(crate) types: Vec<TypeToSet>,
}

#[derive(Debug, Serialize)]
#[serde(rename_all = "camelCase")]
pub(crate) struct TypeToSet {
    pub(crate) association_category: &'static str,
    pub(crate) association_type_id: u32,
}

/// What of the answer counts: 207 and the inputs that failed.
#[derive(Debug, Deserialize)]
pub(crate) struct AssociationsWritten {
    #[serde(default)]
    pub(crate) errors: Vec<BatchError>,
}

/// `GET /crm/v3/pipelines/{type}`
#[derive(Debug, Deserialize)]
pub(crate) struct PipelineList {
    pub(crate) results: Vec<Pipeline>,
}

#[derive(Debug, Deserialize)]
pub(crate) struct Pipeline {
    pub(crate) id: String,
    pub(crate) label: String,
    #[serde(default)]
    pub(crate) stages: Vec<Stage>,
}

#[derive(Debug, Deserialize)]
pub(crate) struct Stage {
    pub(crate) id: String,
    pub(crate) label: String,
}

/// The answer of the token endpoint.
#[derive(Deserialize)]
pub(crate) struct Tokens {
    pub(crate) access_token: secrecy::SecretString,
    pub(crate) refresh_token: Option<secrecy::SecretString>,
    pub(crate) expires_in: u64,
}

/// What HubSpot tells about a token.
#[derive(Debug, Default, Deserialize)]
#[serde(default)]
pub(crate) struct TokenInfo {
    pub(crate) active: bool,
    pub(crate) hub_id: u64,
    pub(crate) hub_domain: Option<String>,
    pub(crate) scopes: Vec<String>,
}

/// `GET /account-info/v3/details`
#[derive(Debug, Default, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub(crate) struct AccountDetails {
    pub(crate) account_type: String,
}

/// An error answer of either family: CRM (category) or OAuth (`status` is `BAD_…`, newer paths add `error`).
#[derive(Debug, Default, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub(crate) struct Failure {
    pub(crate) status: String,
    pub(crate) error: Option<String>,
    pub(crate) message: String,
    pub(crate) category: String,
    pub(crate) policy_name: Option<String>,
    pub(crate) errors: Vec<FailureDetail>,
}

#[derive(Debug, Default, Deserialize)]
#[serde(default)]
pub(crate) struct FailureDetail {
    pub(crate) code: Option<String>,
    pub(crate) context: serde_json::Value,
}

/// The texts that an error's context holds under a name.
pub(crate) fn texts<'a>(context: &'a serde_json::Value, name: &str) -> impl Iterator<Item = &'a str> {
    context.get(name).and_then(|list| list.as_array()).into_iter().flatten().filter_map(|item| item.as_str())
}

/// One refused value, as HubSpot embeds a list of them in an error's message.
#[derive(Debug, Deserialize)]
pub(crate) struct RefusedValue {
    pub(crate) name: String,
    pub(crate) error: String,
}
