//! What a repeat of an event is recognized by.

use jiff::Timestamp;
use model::{ConversionId, ConversionRuleId, OrganizationId};
use serde_json::Value;
use sha2::{Digest, Sha256};
use uuid::Uuid;

use crate::domain::facts::Change;

/// Keys of the metadata that name the CRM's record, in the order in which they are asked.
const RECORD_IDS: [&str; 7] =
    ["deal_id", "hubspot_deal_id", "opportunity_id", "record_id", "crm_record_id", "lead_id", "external_id"];

/// What an event says of itself.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Named<'a> {
    pub(crate) external: &'a str,
    pub(crate) idempotency: &'a str,
    pub(crate) kind: &'a str,
    pub(crate) user_id: &'a str,
    pub(crate) value: Option<i64>,
    pub(crate) currency: &'static str,
    /// As it was sent; none where it was not.
    pub(crate) ts: Option<Timestamp>,
    /// The API key it was sent with.
    pub(crate) credential: &'a str,
}

/// The key of an event; none where nothing tells a repeat from another event.
pub(crate) fn of(named: &Named<'_>, metadata: &Value) -> Option<Uuid> {
    if !named.external.is_empty() {
        return Some(external(named.external));
    }
    if !named.idempotency.is_empty() {
        // Two integrations may count their calls alike: a key of the one is none of the other's.
        return Some(digest(&["idempotency of", named.credential, named.idempotency]));
    }
    let record = RECORD_IDS.iter().find_map(|name| match metadata.get(name)? {
        Value::String(id) if !id.is_empty() => Some((name, id.clone())),
        Value::Number(id) => Some((name, id.to_string())),
        _ => None,
    });
    if let Some((name, id)) = record {
        return Some(digest(&["record", name, &id, named.kind]));
    }
    let ts = named.ts?.to_string();
    let value = named.value.map(|value| value.to_string()).unwrap_or_default();
    Some(digest(&["fields", named.credential, named.user_id, named.kind, &value, named.currency, &ts]))
}

/// The key of an event with this id of its sender's.
pub(crate) fn external(id: &str) -> Uuid {
    digest(&["external", id])
}

/// The key of an event that a webhook told; the text names the webhook's address too.
pub(crate) fn of_webhook(key: &str) -> Uuid {
    digest(&["idempotency", key])
}

/// The key of the event that a rule records of a record for the time after so many others.
pub(crate) fn of_record(rule: ConversionRuleId, record: &str, cycle: i32) -> Uuid {
    digest(&["rule", &rule.to_string(), record, &cycle.to_string()])
}

/// The id of an event whose sender says when it happened. Events count in the order of their times and ids: of two of the
/// same time it is decided by what they are recognized by, whichever came first.
pub(crate) fn event_id(organization: OrganizationId, at: Timestamp, key: Uuid) -> ConversionId {
    let chance = digest(&["event", &organization.to_string(), &key.to_string()]).into_bytes();
    let ms = u64::try_from(at.as_millisecond()).unwrap_or_default();
    let mut bytes = [0; 10];
    bytes.copy_from_slice(&chance[..10]);
    ConversionId::from_uuid(uuid::Builder::from_unix_timestamp_millis(ms, &bytes).into_uuid())
}

/// The id of a correction whose sender says when it happened. Of those of the same time a value counts first, then refunds,
/// then that the deal is lost, then that it is won again; two of a kind count by their keys, whichever came first.
pub(crate) fn correction_id(event: ConversionId, change: &Change, key: &str) -> Uuid {
    let rank = match change {
        Change::Value(_) => 0,
        Change::Refund(_) => 1,
        Change::Void => 2,
        Change::Restore => 3,
    };
    let mut bytes = digest(&["correction", &event.to_string(), key]).into_bytes();
    bytes[0] = rank;
    uuid::Builder::from_custom_bytes(bytes).into_uuid()
}

fn digest(parts: &[&str]) -> Uuid {
    let mut hash = Sha256::new();
    for part in parts {
        hash.update((part.len() as u64).to_be_bytes());
        hash.update(part);
    }
    let mut bytes = [0; 16];
    bytes.copy_from_slice(&hash.finalize()[..16]);
    uuid::Builder::from_custom_bytes(bytes).into_uuid()
}
