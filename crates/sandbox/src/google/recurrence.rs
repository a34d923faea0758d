//! Which times a recurring event has: the part of RFC 5545 that calendars use.

use jiff::civil::{Date, DateTime, Weekday};
use jiff::tz::TimeZone;
use jiff::{Span, Timestamp, ToSpan};

/// How many periods are looked at, however a rule is made.
const MOST_PERIODS: i64 = 60_000;

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Frequency {
    Daily,
    Weekly,
    Monthly,
    Yearly,
}

/// One rule with its exceptions.
#[derive(Debug, Clone)]
pub(crate) struct Rule {
    frequency: Frequency,
    interval: i64,
    count: Option<usize>,
    /// The last time, on the wall's clock of the event.
    until: Option<DateTime>,
    /// Weekdays, with the position in the month where it was given.
    days: Vec<(i8, Weekday)>,
    month_days: Vec<i8>,
    except: Vec<DateTime>,
}

impl Rule {
    /// Reads `RRULE:` and `EXDATE` lines; None when one of them is not understood. `zone` is the event's.
    pub(crate) fn read(lines: &[String], zone: &TimeZone) -> Option<Self> {
        let mut rule: Option<Self> = None;
        let mut except = Vec::new();
        for line in lines {
            let (head, rest) = line.split_once(':')?;
            match head.split(';').next()? {
                "RRULE" if rule.is_none() => rule = Some(Self::parse(rest, zone)?),
                "EXDATE" => {
                    for one in rest.split(',') {
                        except.push(stamp(one, zone)?);
                    }
                }
                _ => return None,
            }
        }
        let mut rule = rule?;
        rule.except = except;
        Some(rule)
    }

    fn parse(text: &str, zone: &TimeZone) -> Option<Self> {
        let mut rule = Self {
            frequency: Frequency::Daily,
            interval: 1,
            count: None,
            until: None,
            days: Vec::new(),
            month_days: Vec::new(),
            except: Vec::new(),
        };
        let mut known = false;
        for part in text.trim_end_matches(';').split(';') {
            let (name, value) = part.split_once('=')?;
            match name {
                "FREQ" => {
                    known = true;
                    rule.frequency = match value {
                        "DAILY" => Frequency::Daily,
                        "WEEKLY" => Frequency::Weekly,
                        "MONTHLY" => Frequency::Monthly,
                        "YEARLY" => Frequency::Yearly,
                        _ => return None,
                    }
                }
                "INTERVAL" => rule.interval = value.parse().ok().filter(|n| (1..=1_000).contains(n))?,
                "COUNT" => rule.count = Some(value.parse().ok().filter(|n| *n > 0)?),
                "UNTIL" => rule.until = Some(last(value, zone)?),
                "BYDAY" => rule.days = value.split(',').map(day).collect::<Option<_>>()?,
                "BYMONTHDAY" => {
                    rule.month_days = value.split(',').map(|n| n.parse().ok()).collect::<Option<_>>()?;
                }
                "WKST" => {
                    weekday(value)?;
                }
                _ => return None,
            }
        }
        known.then_some(rule)
    }

    /// The times from `start` on, up to and with `end`, in order.
    pub(crate) fn times(&self, start: DateTime, end: DateTime) -> Vec<DateTime> {
        let mut times = Vec::new();
        let mut counted = 0;
        for period in 0..MOST_PERIODS {
            let Some(base) = self.period(start.date(), period) else { break };
            if base > end.date() {
                break;
            }
            for date in self.dates(base, start.date()) {
                let at = date.to_datetime(start.time());
                if at < start {
                    continue;
                }
                let over = self.until.is_some_and(|until| at > until)
                    || self.count.is_some_and(|most| counted >= most)
                    || at > end;
                if over {
                    return times;
                }
                counted += 1;
                if !self.except.contains(&at) {
                    times.push(at);
                }
            }
        }
        times
    }

    /// The first day of a period.
    fn period(&self, start: Date, number: i64) -> Option<Date> {
        let by = number.checked_mul(self.interval)?;
        let span = match self.frequency {
            Frequency::Daily => Span::new().try_days(by),
            Frequency::Weekly => Span::new().try_weeks(by),
            Frequency::Monthly => Span::new().try_months(by),
            Frequency::Yearly => Span::new().try_years(by),
        };
        let first = match self.frequency {
            Frequency::Daily => start,
            Frequency::Weekly => {
                let back = i64::from(start.weekday().to_monday_zero_offset());
                start.checked_sub(back.days()).ok()?
            }
            Frequency::Monthly | Frequency::Yearly => start.first_of_month(),
        };
        first.checked_add(span.ok()?).ok()
    }

    /// The days of a period that the rule names.
    fn dates(&self, base: Date, start: Date) -> Vec<Date> {
        match self.frequency {
            Frequency::Daily => {
                let fits = self.days.is_empty() || self.days.iter().any(|(_, day)| *day == base.weekday());
                if fits { vec![base] } else { Vec::new() }
            }
            Frequency::Weekly if self.days.is_empty() => {
                let ahead = i64::from(start.weekday().to_monday_zero_offset());
                base.checked_add(ahead.days()).into_iter().collect()
            }
            Frequency::Weekly => {
                let on = |(_, day): &(i8, Weekday)| {
                    base.checked_add(i64::from(day.to_monday_zero_offset()).days()).ok()
                };
                let mut dates: Vec<Date> = self.days.iter().filter_map(on).collect();
                dates.sort_unstable();
                dates.dedup();
                dates
            }
            Frequency::Monthly | Frequency::Yearly => self.of_month(base, start),
        }
    }

    fn of_month(&self, base: Date, start: Date) -> Vec<Date> {
        let last = base.last_of_month().day();
        let numbered = |day: i8| {
            let day = if day < 0 { last + 1 + day } else { day };
            (1..=last).contains(&day).then(|| base.with().day(day).build().ok()).flatten()
        };
        let mut dates: Vec<Date> = if !self.month_days.is_empty() {
            self.month_days.iter().filter_map(|day| numbered(*day)).collect()
        } else if self.days.is_empty() {
            numbered(start.day()).into_iter().collect()
        } else {
            let mut dates = Vec::new();
            for (nth, day) in &self.days {
                match nth {
                    0 => dates.extend((1..=5).filter_map(|nth| base.nth_weekday_of_month(nth, *day).ok())),
                    nth => dates.extend(base.nth_weekday_of_month(*nth, *day)),
                }
            }
            dates
        };
        dates.sort_unstable();
        dates.dedup();
        dates
    }
}

/// `20240105`, `20240105T090000` or `20240105T090000Z` on the wall's clock of the zone.
fn stamp(text: &str, zone: &TimeZone) -> Option<DateTime> {
    match text.len() {
        8 => Date::strptime("%Y%m%d", text).ok().map(|date| date.at(0, 0, 0, 0)),
        15 => DateTime::strptime("%Y%m%dT%H%M%S", text).ok(),
        16 => {
            let utc = DateTime::strptime("%Y%m%dT%H%M%SZ", text).ok()?;
            let at: Timestamp = utc.to_zoned(TimeZone::UTC).ok()?.timestamp();
            Some(at.to_zoned(zone.clone()).datetime())
        }
        _ => None,
    }
}

/// The last time of a rule; a day counts whole.
fn last(text: &str, zone: &TimeZone) -> Option<DateTime> {
    let at = stamp(text, zone)?;
    if text.len() == 8 { Some(at.date().at(23, 59, 59, 0)) } else { Some(at) }
}

/// `MO`, `2TU`, `-1FR`.
fn day(text: &str) -> Option<(i8, Weekday)> {
    let at = text.len().checked_sub(2).filter(|at| text.is_char_boundary(*at))?;
    let (nth, name) = text.split_at(at);
    let nth = if nth.is_empty() { 0 } else { nth.parse().ok()? };
    Some((nth, weekday(name)?))
}

fn weekday(name: &str) -> Option<Weekday> {
    Some(match name {
        "MO" => Weekday::Monday,
        "TU" => Weekday::Tuesday,
        "WE" => Weekday::Wednesday,
        "TH" => Weekday::Thursday,
        "FR" => Weekday::Friday,
        "SA" => Weekday::Saturday,
        "SU" => Weekday::Sunday,
        _ => return None,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn times(rule: &str, start: &str, end: &str) -> Vec<String> {
        let zone = TimeZone::get("Europe/Zurich").expect("a zone");
        let lines: Vec<String> = rule.lines().map(str::to_owned).collect();
        let rule = Rule::read(&lines, &zone).expect("a rule");
        let times = rule.times(start.parse().expect("a start"), end.parse().expect("an end"));
        times.iter().map(|at| at.strftime("%m-%dT%H").to_string()).collect()
    }

    #[test]
    fn rules_name_the_days_that_a_person_expects() {
        let start = "2026-01-07T10:00";
        let far = "2026-12-31T00:00";
        assert_eq!(times("RRULE:FREQ=DAILY;COUNT=3", start, far), ["01-07T10", "01-08T10", "01-09T10"]);
        let week = "RRULE:FREQ=WEEKLY;INTERVAL=2;BYDAY=FR,MO,WE;UNTIL=20260123T230000Z";
        assert_eq!(times(week, start, far), ["01-07T10", "01-09T10", "01-19T10", "01-21T10", "01-23T10"]);
        let month = "RRULE:FREQ=MONTHLY;BYDAY=-1FR;COUNT=2";
        assert_eq!(times(month, start, far), ["01-30T10", "02-27T10"]);
        let short = "RRULE:FREQ=MONTHLY;BYMONTHDAY=31;COUNT=3";
        assert_eq!(times(short, start, far), ["01-31T10", "03-31T10", "05-31T10"]);
        let except = "RRULE:FREQ=DAILY;COUNT=3\nEXDATE;TZID=Europe/Zurich:20260108T100000";
        assert_eq!(times(except, start, far), ["01-07T10", "01-09T10"]);
        let utc = "RRULE:FREQ=DAILY;COUNT=3\nEXDATE:20260108T090000Z";
        assert_eq!(times(utc, start, far), ["01-07T10", "01-09T10"]);
        assert_eq!(times("RRULE:FREQ=YEARLY", start, "2029-01-01T00:00").len(), 3);
        assert_eq!(times("RRULE:FREQ=DAILY", start, "2026-01-08T09:00"), ["01-07T10"]);
    }

    #[test]
    fn rules_that_make_no_sense_are_refused() {
        for rule in [
            "",
            "RRULE",
            "RRULE:",
            "RRULE:COUNT=1",
            "RRULE:FREQ=HOURLY",
            "RRULE:FREQ=DAILY;INTERVAL=0",
            "RRULE:FREQ=DAILY;COUNT=0",
            "RRULE:FREQ=WEEKLY;BYDAY=é",
            "RRULE:FREQ=DAILY;UNTIL=soon",
            "EXDATE:20260108",
            "RDATE:20260108",
        ] {
            assert!(Rule::read(&[rule.to_owned()], &TimeZone::UTC).is_none(), "{rule}");
        }
    }
}
