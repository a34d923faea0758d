//! The CRMs whose webhooks are known: what their bodies look like, and how a sender proves itself.

use std::collections::{BTreeMap, HashMap};

use hmac::{Hmac, KeyInit, Mac};
use jiff::Timestamp;
use serde_json::Value;
use sha2::Sha256;
use subtle::ConstantTimeEq;

use super::{
    follow::{Status, Told},
    mapping::{self, Mapping},
    path,
};
use crate::{
    rules::spec::{Condition, Operator},
    text::micros,
};

/// The key of the secret that Copper is told to send with every notification.
pub(crate) const COPPER_SECRET: &str = "accord_secret";

/// Whose webhook it is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Vendor {
    /// Webhooks of version 1 (`current`) and 2 (`data`), with HTTP Basic authentication,
    /// <https://pipedrive.readme.io/docs/guide-for-webhooks-v2>.
    Pipedrive,
    /// Signed by the key of the webhook subscription, <https://developer.close.com/api/resources/webhooks>.
    Close,
    /// With a secret in the body, <https://developer.copper.com/webhooks/overview.html>.
    Copper,
    /// Any other, which knows the secret of the address.
    Other,
}

/// What these paths lead to is this value.
fn is(paths: &str, value: &str) -> Condition {
    let (field, values) = (paths.to_owned(), vec![value.to_owned()]);
    Condition { field, operator: Operator::OneOf, values }
}

/// It is another one, or nothing.
fn is_not(paths: &str, value: &str) -> Condition {
    Condition { operator: Operator::NoneOf, ..is(paths, value) }
}

fn paths(some: &[&str]) -> Vec<String> {
    some.iter().map(|path| (*path).to_owned()).collect()
}

impl Vendor {
    pub(crate) const ALL: [Self; 4] = [Self::Pipedrive, Self::Close, Self::Copper, Self::Other];

    pub(crate) const fn name(self) -> &'static str {
        match self {
            Self::Pipedrive => "pipedrive",
            Self::Close => "close",
            Self::Copper => "copper",
            Self::Other => "other",
        }
    }

    pub(crate) fn named(name: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|vendor| vendor.name() == name)
    }

    /// The usual mapping: a deal that was won. None of these bodies has an e-mail address, so where the user is must be chosen.
    pub(crate) fn mapping(self) -> Mapping {
        let base = Mapping {
            event_type: "opportunity_won".to_owned(),
            default_currency: "USD".to_owned(),
            ..Mapping::default()
        };
        let kept = |path: &str| BTreeMap::from([("record_id".to_owned(), path.to_owned())]);
        match self {
            Self::Pipedrive => Mapping {
                value: paths(&["data.value", "current.value"]),
                currency: paths(&["data.currency", "current.currency"]),
                external_event_id: paths(&["data.id", "current.id"]),
                ts: paths(&["data.won_time", "current.won_time", "meta.timestamp"]),
                metadata: kept("data.id,current.id"),
                conditions: vec![
                    is("meta.entity,meta.object", "deal"),
                    is("data.status,current.status", "won"),
                    is_not("previous.status", "won"),
                ],
                ..base
            },
            Self::Close => Mapping {
                value: paths(&["event.data.value"]),
                // Close counts in cents.
                value_in_minor_units: true,
                currency: paths(&["event.data.value_currency"]),
                external_event_id: paths(&["event.object_id"]),
                ts: paths(&["event.date_created"]),
                metadata: kept("event.object_id"),
                conditions: vec![
                    is("event.object_type", "opportunity"),
                    is("event.data.status_type", "won"),
                    is_not("event.previous_data.status_type", "won"),
                ],
                ..base
            },
            Self::Copper => Mapping {
                value: paths(&["updated_attributes.monetary_value.1"]),
                external_event_id: paths(&["ids.0"]),
                ts: paths(&["timestamp"]),
                metadata: kept("ids.0"),
                conditions: vec![is("type", "opportunity"), is("updated_attributes.status.1", "Won")],
                ..base
            },
            Self::Other => Mapping { user_id: paths(&["userId"]), value: paths(&["value"]), ..base },
        }
    }

    /// Whether its bodies tell how a record is, each with the record's id and the time.
    pub(crate) const fn tells_records(self) -> bool {
        !matches!(self, Self::Other)
    }

    /// What a body tells of a deal; none where it is of something else, or does not say which or when.
    pub(crate) fn told(self, body: &Value) -> Option<Told> {
        /// The longest id of a record.
        const LONGEST: usize = 255;
        let text = |paths: &str| path::text(path::first(body, paths)?);
        let at = |paths: &str| mapping::moment(path::first(body, paths)?);
        let (kind, record, at, deleted, status) = match self {
            Self::Pipedrive => {
                // The seconds of version 1 do not tell the order of two changes; its microseconds do.
                let exact = path::first(body, "meta.timestamp_micro").and_then(Value::as_i64);
                let exact = exact.and_then(|count| Timestamp::from_microsecond(count).ok());
                (
                    text("meta.entity,meta.object")? == "deal",
                    text("meta.entity_id,meta.id,data.id,current.id")?,
                    exact.or_else(|| at("meta.timestamp"))?,
                    text("meta.action").is_some_and(|action| matches!(action.as_str(), "delete" | "deleted")),
                    text("data.status,current.status"),
                )
            }
            Self::Close => (
                text("event.object_type")? == "opportunity",
                text("event.object_id")?,
                at("event.date_updated,event.date_created")?,
                text("event.action").is_some_and(|action| action == "deleted"),
                text("event.data.status_type"),
            ),
            Self::Copper => (
                text("type")? == "opportunity",
                text("ids.0")?,
                at("timestamp")?,
                text("event").is_some_and(|event| event == "delete"),
                text("updated_attributes.status.1"),
            ),
            Self::Other => return None,
        };
        let status = match status.map(|status| status.to_ascii_lowercase()).as_deref() {
            _ if deleted => Some(Status::Deleted),
            Some("deleted") => Some(Status::Deleted),
            Some("won") => Some(Status::Won),
            Some(_) => Some(Status::Lost),
            None => None,
        };
        let is_named = record.len() <= LONGEST && !record.contains('\0');
        (kind && is_named).then(|| Told { record, at: micros(at), status })
    }

    /// The bodies of one notification: Copper tells of several records at once.
    pub(crate) fn divide(self, body: Value) -> Vec<Value> {
        let Some(ids) = body.get("ids").and_then(Value::as_array).filter(|ids| ids.len() > 1) else {
            return vec![body];
        };
        if self != Self::Copper {
            return vec![body];
        }
        let of = |id: &Value| {
            let mut one = body.clone();
            one["ids"] = Value::Array(vec![id.clone()]);
            one
        };
        ids.iter().map(of).collect()
    }

    /// The body without what its sender proves itself by.
    pub(crate) fn without_secret(self, mut body: Value) -> Value {
        if let (Self::Copper, Some(object)) = (self, body.as_object_mut()) {
            object.remove(COPPER_SECRET);
        }
        body
    }

    /// Whether this sender is who the secret was given to.
    pub(crate) fn authenticates(self, secret: &str, sent: &Sent<'_>) -> bool {
        match self {
            Self::Pipedrive => sent.password().is_some_and(|password| same(&password, secret)),
            Self::Close => sent.is_signed_by(secret),
            Self::Copper => {
                let told = sent.json.and_then(|body| body.get(COPPER_SECRET)).and_then(Value::as_str);
                told.is_some_and(|told| same(told, secret))
            }
            Self::Other => same(sent.secret, secret),
        }
    }
}

/// What came.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Sent<'a> {
    /// Of the address.
    pub(crate) secret: &'a str,
    pub(crate) body: &'a [u8],
    /// The body, where it is JSON.
    pub(crate) json: Option<&'a Value>,
    /// By their names in small letters.
    pub(crate) headers: &'a HashMap<String, String>,
}

impl Sent<'_> {
    /// The password of HTTP Basic authentication.
    fn password(&self) -> Option<String> {
        use base64::{Engine as _, prelude::BASE64_STANDARD};
        let (scheme, encoded) = self.headers.get("authorization")?.split_once(' ')?;
        let decoded = BASE64_STANDARD.decode(encoded.trim()).ok()?;
        let pair = String::from_utf8(decoded).ok()?;
        let (_, password) = pair.split_once(':').filter(|_| scheme.eq_ignore_ascii_case("basic"))?;
        Some(password.to_owned())
    }

    /// Close signs the timestamp with the body behind it; the key is hexadecimal.
    fn is_signed_by(&self, key: &str) -> bool {
        let signed = || {
            let (at, signature) =
                (self.headers.get("close-sig-timestamp")?, self.headers.get("close-sig-hash")?);
            let mut mac = Hmac::<Sha256>::new_from_slice(&unhex(key)?).ok()?;
            mac.update(at.as_bytes());
            mac.update(self.body);
            mac.verify_slice(&unhex(signature)?).ok()
        };
        signed().is_some()
    }
}

fn same(one: &str, other: &str) -> bool {
    !other.is_empty() && bool::from(one.as_bytes().ct_eq(other.as_bytes()))
}

/// The bytes of a hexadecimal text; none of anything else, and of an empty one.
pub(crate) fn unhex(text: &str) -> Option<Vec<u8>> {
    let text = text.trim();
    if text.is_empty() || !text.len().is_multiple_of(2) || !text.is_ascii() {
        return None;
    }
    (0..text.len()).step_by(2).map(|at| u8::from_str_radix(text.get(at..at + 2)?, 16).ok()).collect()
}
