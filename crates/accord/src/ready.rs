//! The ready file: what outside tools need to drive a running Accord.

use std::collections::BTreeMap;

use serde::Serialize;

/// Addresses, sign-in links and keys. Only the owner of the file can read it.
#[derive(Debug, Clone, Serialize)]
pub(crate) struct Ready {
    pub(crate) console_url: String,
    pub(crate) api_url: String,
    pub(crate) grpc_url: String,
    pub(crate) nats_url: String,
    pub(crate) database_url: String,
    pub(crate) organization_id: String,
    /// One-time links by role.
    pub(crate) sign_in: BTreeMap<String, String>,
    /// An API key with all scopes.
    pub(crate) api_key: String,
    /// An integration key with all scopes, of the product `outside`.
    pub(crate) integration_key: String,
    pub(crate) sandboxes: BTreeMap<String, Sandbox>,
}

/// A running vendor sandbox.
#[derive(Debug, Clone, Serialize)]
pub(crate) struct Sandbox {
    pub(crate) url: String,
    pub(crate) access_token: String,
    /// HubSpot's id of the account.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) portal_id: Option<u64>,
    /// Salesforce's.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) organization_id: Option<String>,
    /// Where Salesforce's change events are.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) events_url: Option<String>,
}
