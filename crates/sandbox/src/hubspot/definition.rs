//! Property definitions: the recorded lists of companies, deals and contacts, and those made later.

use std::collections::BTreeMap;
use std::sync::Arc;

use serde::{Deserialize, Serialize};
use serde_json::Value;

/// The type of a property's values.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub(crate) enum Kind {
    String,
    Number,
    Date,
    Datetime,
    Enumeration,
    Bool,
    PhoneNumber,
    ObjectCoordinates,
    Json,
}

/// One choice of an enumeration.
#[derive(Debug, Clone, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub(crate) struct Choice {
    pub(crate) label: String,
    pub(crate) value: String,
    #[serde(default)]
    pub(crate) description: String,
    #[serde(default = "unordered")]
    pub(crate) display_order: i64,
    #[serde(default)]
    pub(crate) hidden: bool,
}

/// What may be changed about a property and its values.
#[derive(Debug, Clone, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub(crate) struct Modification {
    pub(crate) archivable: bool,
    pub(crate) read_only_definition: bool,
    pub(crate) read_only_value: bool,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) read_only_options: Option<bool>,
}

/// A property definition in the vendor's own spelling.
#[derive(Debug, Clone, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub(crate) struct Definition {
    pub(crate) name: Arc<str>,
    pub(crate) label: String,
    #[serde(rename = "type")]
    pub(crate) kind: Kind,
    pub(crate) field_type: String,
    #[serde(default)]
    pub(crate) description: String,
    pub(crate) group_name: String,
    #[serde(default)]
    pub(crate) options: Vec<Choice>,
    #[serde(default = "unordered")]
    pub(crate) display_order: i64,
    #[serde(default)]
    pub(crate) hidden: bool,
    #[serde(default)]
    pub(crate) calculated: bool,
    #[serde(default)]
    pub(crate) external_options: bool,
    #[serde(default)]
    pub(crate) has_unique_value: bool,
    #[serde(default)]
    pub(crate) form_field: bool,
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub(crate) hubspot_defined: bool,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) referenced_object_type: Option<String>,
    pub(crate) modification_metadata: Modification,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) created_at: Option<String>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) updated_at: Option<String>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) created_user_id: Option<String>,
    #[serde(default)]
    pub(crate) archived: bool,
    #[serde(default = "non_sensitive")]
    pub(crate) data_sensitivity: String,
}

fn unordered() -> i64 {
    -1
}

fn non_sensitive() -> String {
    "non_sensitive".to_owned()
}

impl Definition {
    pub(crate) fn read_only(&self) -> bool {
        self.modification_metadata.read_only_value || self.calculated
    }

    /// A field where people type words: neither an address, a link nor a number kept as text.
    pub(crate) fn is_prose(&self) -> bool {
        let typed = matches!(self.field_type.as_str(), "text" | "textarea");
        let address = ["domain", "website", "email", "url"].iter().any(|word| self.name.contains(word));
        self.kind == Kind::String && typed && !address
    }

    pub(crate) fn wire(&self) -> Value {
        serde_json::to_value(self).unwrap_or(Value::Null)
    }
}

const COMPANIES: &str = include_str!("../../data/hubspot-companies.json");
const CONTACTS: &str = include_str!("../../data/hubspot-contacts.json");
const DEALS: &str = include_str!("../../data/hubspot-deals.json");

/// The definitions every portal has for an object.
pub(crate) fn standard(object: &str) -> BTreeMap<Arc<str>, Definition> {
    let data = match object {
        "companies" => COMPANIES,
        "contacts" => CONTACTS,
        "deals" => DEALS,
        _ => return custom_base(),
    };
    index(serde_json::from_str(data).expect("the recorded property lists are valid JSON"))
}

/// What a new custom object has before its own properties: the system properties of deals.
fn custom_base() -> BTreeMap<Arc<str>, Definition> {
    const SYSTEM: [&str; 7] = [
        "hs_object_id",
        "hs_createdate",
        "hs_lastmodifieddate",
        "hs_merged_object_ids",
        "hs_updated_by_user_id",
        "hs_created_by_user_id",
        "hubspot_owner_id",
    ];
    let mut all = standard("deals");
    all.retain(|name, _| SYSTEM.contains(&&**name));
    all
}

fn index(list: Vec<Definition>) -> BTreeMap<Arc<str>, Definition> {
    list.into_iter().map(|definition| (definition.name.clone(), definition)).collect()
}
