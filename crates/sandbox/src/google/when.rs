//! When something is: a day of the calendar, or a moment with the time zone it was set in.

use jiff::civil::{Date, DateTime};
use jiff::tz::TimeZone;
use jiff::{Timestamp, ToSpan};
use serde::{Deserialize, Serialize};
use serde_json::{Value, json};

use super::errors::Failure;

/// The start or end of an event.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub(crate) enum When {
    Day(Date),
    Moment(Timestamp, Option<String>),
}

/// A time zone by its name in the tz database.
pub(crate) fn zone(name: &str) -> Option<TimeZone> {
    TimeZone::get(name).ok()
}

/// Milliseconds of a civil time in a zone.
fn ms(at: DateTime, zone: &TimeZone) -> i64 {
    zone.to_ambiguous_zoned(at).compatible().map_or(0, |zoned| zoned.timestamp().as_millisecond())
}

impl When {
    /// Reads `{date}` or `{dateTime, timeZone}`; `home` is the zone of times without an offset.
    pub(crate) fn read(value: &Value, home: &str) -> Result<Self, Failure> {
        let text = |name: &str| value[name].as_str();
        if let Some(date) = text("date") {
            let date = Some(date).filter(|date| date.len() == 10).and_then(|date| date.parse().ok());
            return date.map(Self::Day).ok_or_else(|| Failure::bad("invalid", "Invalid value for: date"));
        }
        let moment = text("dateTime").ok_or_else(|| Failure::bad("required", "Missing end time."))?;
        let name = text("timeZone");
        if name.is_some_and(|name| zone(name).is_none()) {
            return Err(Failure::bad("invalid", "Invalid time zone definition for start time."));
        }
        let wrong = || Failure::bad("invalid", "Invalid value for: dateTime");
        let at = match moment.parse::<Timestamp>() {
            Ok(at) => at,
            Err(_) => {
                let civil: DateTime = moment.parse().map_err(|_| wrong())?;
                let zone = zone(name.unwrap_or(home)).ok_or_else(wrong)?;
                civil.to_zoned(zone).map_err(|_| wrong())?.timestamp()
            }
        };
        Ok(Self::Moment(at, name.map(str::to_owned)))
    }

    /// As the vendor writes it, in a zone.
    pub(crate) fn wire(&self, shown_in: &TimeZone, home: &str) -> Value {
        match self {
            Self::Day(date) => json!({"date": date.to_string()}),
            Self::Moment(at, name) => {
                let at = at.to_zoned(shown_in.clone());
                let offset = at.strftime("%:z").to_string();
                let offset = if offset == "+00:00" { "Z".to_owned() } else { offset };
                let text = format!("{}{offset}", at.strftime("%Y-%m-%dT%H:%M:%S"));
                json!({"dateTime": text, "timeZone": name.as_deref().unwrap_or(home)})
            }
        }
    }

    /// Milliseconds since 1970; a day begins at midnight in the zone.
    pub(crate) fn ms(&self, home: &TimeZone) -> i64 {
        match self {
            Self::Day(date) => ms(date.at(0, 0, 0, 0), home),
            Self::Moment(at, _) => at.as_millisecond(),
        }
    }

    /// What a clock on the wall shows, in the zone it was set in.
    pub(crate) fn civil(&self, home: &str) -> DateTime {
        match self {
            Self::Day(date) => date.at(0, 0, 0, 0),
            Self::Moment(at, name) => at.to_zoned(self.tz(name.as_deref(), home)).datetime(),
        }
    }

    fn tz(&self, name: Option<&str>, home: &str) -> TimeZone {
        zone(name.unwrap_or(home)).unwrap_or(TimeZone::UTC)
    }

    /// The same kind of time at another time of the wall's clock.
    pub(crate) fn at(&self, civil: DateTime, home: &str) -> Option<Self> {
        match self {
            Self::Day(_) => Some(Self::Day(civil.date())),
            Self::Moment(_, name) => {
                let zoned = civil.to_zoned(self.tz(name.as_deref(), home)).ok()?;
                Some(Self::Moment(zoned.timestamp(), name.clone()))
            }
        }
    }

    /// The end of something that starts here and lasts as long as from `from` to `to`.
    pub(crate) fn after(&self, from: &Self, to: &Self) -> Self {
        match (self, from, to) {
            (Self::Day(start), Self::Day(from), Self::Day(to)) => {
                let days = from.until(*to).map_or(1, |span| span.get_days());
                Self::Day(start.checked_add(days.days()).unwrap_or(*start))
            }
            (Self::Moment(start, _), Self::Moment(from, _), Self::Moment(to, name)) => {
                let lasts = to.duration_since(*from);
                Self::Moment(start.checked_add(lasts).unwrap_or(*start), name.clone())
            }
            _ => self.clone(),
        }
    }

    /// What an instance's id ends with.
    pub(crate) fn suffix(&self) -> String {
        match self {
            Self::Day(date) => date.strftime("%Y%m%d").to_string(),
            Self::Moment(at, _) => at.strftime("%Y%m%dT%H%M%SZ").to_string(),
        }
    }
}
