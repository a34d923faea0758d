//! A partner's days as charts.

use std::collections::{BTreeMap, BTreeSet};

use jiff::{SignedDuration, Timestamp};
use proto::attribution::{Day, Money};

use crate::ui::{self, Bar, Chart, Part, Unit};

/// More bars than this do not fit a phone.
const MAX_BARS: usize = 60;
const DAY: SignedDuration = SignedDuration::from_hours(24);

/// Clicks, conversions, and what was earned in each currency, day by day from the one moment to the other.
pub(super) fn charts(days: &[Day], since: Timestamp, until: Timestamp) -> Vec<Chart> {
    let by_date: BTreeMap<&str, &Day> = days.iter().map(|day| (day.date.as_str(), day)).collect();
    let mut all = Vec::new();
    let mut at = since;
    while at <= until {
        let date = at.strftime("%Y-%m-%d").to_string();
        all.push((at, by_date.get(date.as_str()).copied()));
        let Ok(next) = at.checked_add(DAY) else { break };
        at = next;
    }
    let mut charts = vec![
        pieces("clicks", "Clicks", ("click", "clicks"), &all, |day| day.clicks),
        pieces("conversions", "Conversions", ("conversion", "conversions"), &all, |day| day.events),
    ];
    let currencies: BTreeSet<&str> =
        days.iter().flat_map(|day| &day.commission).map(|money| money.currency.as_str()).collect();
    charts.extend(currencies.into_iter().map(|currency| earned(currency, days, &all)));
    charts
}

type Days<'d> = [(Timestamp, Option<&'d Day>)];

fn pieces(id: &str, title: &str, (one, many): (&str, &str), all: &Days<'_>, value: fn(&Day) -> u64) -> Chart {
    let bars = bars(all, value);
    let sum: u64 = bars.iter().flat_map(|bar| &bar.values).sum();
    Chart {
        id: id.to_owned(),
        title: title.to_owned(),
        summary: format!("{} in all.", ui::count(&sum, one, many)),
        parts: vec![Part { label: "Count", class: "good" }],
        bars,
        unit: Unit::Pieces,
    }
}

fn earned(currency: &str, days: &[Day], all: &Days<'_>) -> Chart {
    let of = |day: &Day| day.commission.iter().find(|money| money.currency == currency).cloned();
    let decimals = days.iter().find_map(of).map_or(2, |money| decimals(&money));
    let bars = bars(all, |day| of(day).as_ref().map_or(0, minor));
    let sum: u64 = bars.iter().flat_map(|bar| &bar.values).sum();
    let unit = Unit::Money { decimals, currency: currency.to_owned() };
    Chart {
        id: format!("earnings-{}", currency.to_lowercase()),
        title: format!("Earnings in {currency}"),
        summary: format!("{} in all, by the day of the sale.", unit.write(&sum)),
        parts: vec![Part { label: "Earned", class: "good" }],
        bars,
        unit,
    }
}

fn decimals(money: &Money) -> usize {
    money.amount.split_once('.').map_or(0, |(_, fraction)| fraction.len())
}

/// The amount in the currency's smallest unit; a negative one has no bar.
fn minor(money: &Money) -> u64 {
    money.amount.replace('.', "").parse().unwrap_or(0)
}

/// Days in time order, gathered so that they fit.
fn bars(all: &Days<'_>, value: impl Fn(&Day) -> u64) -> Vec<Bar> {
    all.chunks(all.len().div_ceil(MAX_BARS).max(1))
        .map(|chunk| Bar {
            label: chunk.first().map(|(at, _)| at.strftime("%-d %b").to_string()).unwrap_or_default(),
            values: vec![chunk.iter().filter_map(|(_, day)| *day).map(&value).sum()],
        })
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn day(date: &str, clicks: u64, earned: &[(&str, &str)]) -> Day {
        let money = |(amount, currency): &(&str, &str)| Money {
            amount: (*amount).into(),
            currency: (*currency).into(),
        };
        Day {
            date: date.to_owned(),
            clicks,
            commission: earned.iter().map(money).collect(),
            ..Day::default()
        }
    }

    #[test]
    fn days_without_anything_are_bars_of_nothing_and_each_currency_has_a_chart() {
        let days = [
            day("2026-03-01", 3, &[("10.00", "EUR")]),
            day("2026-03-04", 4, &[("0.50", "EUR"), ("900", "JPY")]),
        ];
        let moment = |text: &str| text.parse::<Timestamp>().unwrap();
        let charts = charts(&days, moment("2026-03-01T00:00:00Z"), moment("2026-03-05T12:00:00Z"));
        let told: Vec<_> =
            charts.iter().map(|chart| (chart.title.as_str(), chart.summary.as_str())).collect();
        assert_eq!(
            told,
            [
                ("Clicks", "7 clicks in all."),
                ("Conversions", "0 conversions in all."),
                ("Earnings in EUR", "10.50 EUR in all, by the day of the sale."),
                ("Earnings in JPY", "900 JPY in all, by the day of the sale."),
            ]
        );
        let clicks: Vec<u64> = charts[0].bars.iter().map(|bar| bar.values[0]).collect();
        assert_eq!(clicks, [3, 0, 0, 4, 0]);
        assert_eq!((charts[0].first_label(), charts[0].last_label()), ("1 Mar", "5 Mar"));
    }

    #[test]
    fn a_year_is_gathered_into_bars_that_fit() {
        let (since, until) =
            ("2025-03-01T00:00:00Z".parse().unwrap(), "2026-02-28T12:00:00Z".parse().unwrap());
        let charts = charts(&[day("2026-02-28", 5, &[])], since, until);
        assert!(charts[0].bars.len() <= MAX_BARS);
        assert_eq!(charts[0].bars.iter().map(|bar| bar.values[0]).sum::<u64>(), 5);
    }
}
