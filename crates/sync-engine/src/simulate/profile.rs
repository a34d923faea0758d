//! What is peculiar about a vendor: how it versions, lists, guards and reformats.

use model::{FieldType, Value};
use rust_decimal::RoundingStrategy;

/// How changes are read.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Feed {
    /// By listing what was modified: a read shows the whole record as the index has it.
    Listing,
    /// As a stream of changes, each with what changed; what that does not say is read by the record's id.
    Stream,
}

/// How a write that would cover a value that nobody here has seen tells so.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Guard {
    /// The history of the field is read back after the write.
    History,
    /// The vendor compares before it writes, and the connector keeps what it was told until the write is answered.
    Precondition,
}

/// One vendor.
#[derive(Debug)]
pub(super) struct Profile {
    pub(super) name: &'static str,
    pub(super) feed: Feed,
    pub(super) guard: Guard,
    /// The grain of its versions in milliseconds. What was modified in an unfinished tick is not listed yet.
    pub(super) tick_ms: i64,
    /// The most by which its index is late, in milliseconds.
    pub(super) lag_ms: usize,
    /// The most by which its clock is wrong, in milliseconds.
    pub(super) skew_ms: usize,
    /// What it makes of a text.
    text: fn(&str) -> String,
    /// The digits behind the point that it keeps.
    scale: u32,
    /// Whether a refusal names the field.
    pub(super) names_field: bool,
    /// Whether a write that changes nothing moves the version.
    pub(super) idle_write_moves: bool,
    /// Whether it tells when each field was set, not only the record.
    pub(super) dates_fields: bool,
}

const HUBSPOT: Profile = Profile {
    name: "hubspot",
    feed: Feed::Listing,
    guard: Guard::History,
    tick_ms: 1,
    lag_ms: 30_000,
    skew_ms: 1_500,
    text: |text| text.trim().to_owned(),
    scale: 6,
    names_field: true,
    idle_write_moves: false,
    dates_fields: true,
};

const SALESFORCE: Profile = Profile {
    name: "salesforce",
    feed: Feed::Listing,
    guard: Guard::Precondition,
    tick_ms: 1_000,
    lag_ms: 5_000,
    skew_ms: 1_500,
    text: |text| text.trim().to_owned(),
    scale: 2,
    names_field: true,
    idle_write_moves: true,
    dates_fields: false,
};

const STREAM: Profile = Profile {
    name: "stream",
    feed: Feed::Stream,
    guard: Guard::Precondition,
    tick_ms: 1,
    lag_ms: 0,
    skew_ms: 1_500,
    text: |text| text.to_owned(),
    scale: 2,
    names_field: true,
    idle_write_moves: false,
    dates_fields: false,
};

const NASTY: Profile = Profile {
    name: "nasty",
    feed: Feed::Listing,
    guard: Guard::History,
    tick_ms: 5_000,
    lag_ms: 300_000,
    skew_ms: 600_000,
    text: |text| text.to_lowercase().split_whitespace().collect::<Vec<_>>().join(" "),
    scale: 0,
    names_field: false,
    idle_write_moves: true,
    dates_fields: true,
};

/// All of them.
pub(super) const PROFILES: [&Profile; 4] = [&HUBSPOT, &SALESFORCE, &STREAM, &NASTY];

impl Profile {
    /// The value as the vendor stores it.
    pub(super) fn stores(&self, field_type: FieldType, value: &Value) -> Value {
        match value {
            Value::Text(text) if field_type == FieldType::Text => Value::text((self.text)(text)),
            Value::Number(number) => Value::Number(
                number.round_dp_with_strategy(self.scale, RoundingStrategy::MidpointAwayFromZero).normalize(),
            ),
            other => other.clone(),
        }
    }

    /// Whether the vendor refuses to store it.
    pub(super) fn refuses(&self, value: &Value) -> bool {
        matches!(value, Value::Text(text) if text.contains("refused"))
    }
}
