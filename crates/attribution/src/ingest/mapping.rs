//! What of a body is what of an event.

use std::collections::BTreeMap;

use jiff::{Timestamp, civil::DateTime, tz::TimeZone};
use proto::attribution as wire;
use rust_decimal::Decimal;
use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};

use super::path;
use crate::{
    domain::money::Currency,
    error::Refusal,
    rules::spec::{self, Condition},
    text,
};

/// The most paths of one thing, and things of the metadata.
const MOST: usize = 20;
const LONGEST: usize = 255;

/// Where a body tells what. Several paths of one thing are tried in turn.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Mapping {
    pub(crate) user_id: Vec<String>,
    pub(crate) event_type: String,
    pub(crate) value: Vec<String>,
    #[serde(default)]
    pub(crate) value_in_minor_units: bool,
    pub(crate) currency: Vec<String>,
    pub(crate) default_currency: String,
    pub(crate) external_event_id: Vec<String>,
    pub(crate) ts: Vec<String>,
    pub(crate) metadata: BTreeMap<String, String>,
    pub(crate) conditions: Vec<Condition>,
    /// Bodies of a record correct the event that one of them made.
    #[serde(default)]
    pub(crate) follow_records: bool,
}

/// What a body says by a mapping.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct Reading {
    pub(crate) meets_conditions: bool,
    pub(crate) user_id: Option<String>,
    pub(crate) event_type: String,
    /// In major units.
    pub(crate) value: Option<Decimal>,
    pub(crate) currency: String,
    /// Whether the body tells the currency.
    pub(crate) tells_currency: bool,
    pub(crate) external_event_id: Option<String>,
    pub(crate) ts: Option<Timestamp>,
    pub(crate) metadata: Map<String, Value>,
    /// What cannot be read, in words; without it there is an event.
    pub(crate) problems: Vec<String>,
}

fn paths(field: &'static str, given: &[String]) -> Result<Vec<String>, Refusal> {
    if given.len() > MOST {
        return Err(Refusal::invalid(field, "too_many", format!("{field} has at most {MOST} paths.")));
    }
    given.iter().map(|path| text::required(field, path, LONGEST)).collect()
}

impl Mapping {
    pub(crate) fn from_wire(wire: &wire::IngestMapping) -> Result<Self, Refusal> {
        if wire.metadata.len() > MOST {
            let message = format!("metadata has at most {MOST} things.");
            return Err(Refusal::invalid("metadata", "too_many", message));
        }
        let kept = |(name, path): (&String, &String)| {
            let name = text::required("metadata", name, LONGEST)?;
            Ok((name, text::required("metadata", path, LONGEST)?))
        };
        let conditions = match wire.conditions.as_slice() {
            [] => Vec::new(),
            some => spec::conditions(some)?,
        };
        Ok(Self {
            user_id: paths("user_id", &wire.user_id)?,
            event_type: text::required("event_type", &wire.event_type, LONGEST)?,
            value: paths("value", &wire.value)?,
            value_in_minor_units: wire.value_in_minor_units,
            currency: paths("currency", &wire.currency)?,
            default_currency: text::currency("default_currency", &wire.default_currency)?.code().to_owned(),
            external_event_id: paths("external_event_id", &wire.external_event_id)?,
            ts: paths("ts", &wire.ts)?,
            metadata: wire.metadata.iter().map(kept).collect::<Result<_, Refusal>>()?,
            conditions,
            follow_records: wire.follow_records,
        })
    }

    pub(crate) fn to_wire(&self) -> wire::IngestMapping {
        wire::IngestMapping {
            user_id: self.user_id.clone(),
            event_type: self.event_type.clone(),
            value: self.value.clone(),
            value_in_minor_units: self.value_in_minor_units,
            currency: self.currency.clone(),
            default_currency: self.default_currency.clone(),
            external_event_id: self.external_event_id.clone(),
            ts: self.ts.clone(),
            metadata: self.metadata.clone().into_iter().collect(),
            conditions: self.conditions.iter().map(Condition::to_wire).collect(),
            follow_records: self.follow_records,
        }
    }

    /// What a body says.
    pub(crate) fn read(&self, body: &Value) -> Reading {
        let find = |paths: &[String]| paths.iter().find_map(|one| path::first(body, one));
        let told = |paths: &[String]| paths.iter().find_map(|one| path::text(path::first(body, one)?));
        let mut problems = Vec::new();
        let user_id = told(&self.user_id);
        if user_id.is_none() {
            problems.push(match self.user_id.as_slice() {
                [] => "The mapping does not say where the user is.".to_owned(),
                some => format!("Nobody is named at {}.", some.join(" or ")),
            });
        }
        let code = told(&self.currency).map(|code| code.to_ascii_uppercase());
        let tells_currency = code.is_some();
        let currency = code.unwrap_or_else(|| self.default_currency.clone());
        let known: Option<Currency> = currency.parse().ok();
        if known.is_none() {
            problems.push(format!("{currency} is no ISO 4217 code."));
        }
        let value = told(&self.value).and_then(|text| {
            let number = text.parse::<Decimal>().or_else(|_| Decimal::from_scientific(&text)).ok();
            let digits = known.map_or(0, Currency::digits);
            let scaled = number.and_then(|number| self.in_major_units(number, digits));
            if scaled.is_none() {
                problems.push("The value is no decimal number.".to_owned());
            }
            scaled
        });
        let ts = find(&self.ts).and_then(|found| {
            let moment = moment(found);
            if moment.is_none() {
                problems.push("The time is no ISO 8601 text and no count of seconds since 1970.".to_owned());
            }
            moment
        });
        let kept = self
            .metadata
            .iter()
            .filter_map(|(name, paths)| Some((name.clone(), path::first(body, paths).cloned()?)));
        Reading {
            meets_conditions: self.conditions.iter().all(|condition| holds(condition, body)),
            user_id,
            event_type: self.event_type.clone(),
            value,
            currency,
            tells_currency,
            external_event_id: told(&self.external_event_id),
            ts,
            metadata: kept.collect(),
            problems,
        }
    }

    fn in_major_units(&self, number: Decimal, digits: u32) -> Option<Decimal> {
        if !self.value_in_minor_units {
            return Some(number);
        }
        number.checked_div(Decimal::from(10_u64.pow(digits)))
    }
}

/// Whether a condition holds of what its path leads to.
fn holds(condition: &Condition, body: &Value) -> bool {
    let found = path::first(body, &condition.field);
    let texts: Vec<String> = match found {
        Some(Value::Array(list)) => list.iter().filter_map(path::text).collect(),
        Some(value) => path::text(value).into_iter().collect(),
        None => Vec::new(),
    };
    condition.holds(texts.iter().map(String::as_str))
}

/// A moment as CRMs write it: ISO 8601, in UTC where no offset is given; or seconds or milliseconds since 1970.
pub(super) fn moment(value: &Value) -> Option<Timestamp> {
    // A count of seconds has reached ten digits since 2001, one of milliseconds has thirteen.
    const MILLISECONDS: i64 = 100_000_000_000;
    if let Value::Number(number) = value {
        let count = number.as_i64()?;
        let read =
            if count.abs() >= MILLISECONDS { Timestamp::from_millisecond } else { Timestamp::from_second };
        return read(count).ok();
    }
    let text = path::text(value)?;
    let in_utc = || text.parse::<DateTime>().ok()?.to_zoned(TimeZone::UTC).ok().map(|at| at.timestamp());
    text.parse::<Timestamp>().ok().or_else(in_utc)
}
