//! Money in minor units of a currency, and the only three things that are done with it: a percentage of it, a part
//! of it in proportion, and its exact split.

use std::{fmt, str::FromStr};

use rust_decimal::{Decimal, RoundingStrategy, prelude::ToPrimitive};
use serde::{Deserialize, Deserializer, Serialize, Serializer};

/// The largest amount that is taken, in minor units: ten trillion dollars. A thousand of them still fit a column.
pub(crate) const MAX_MINOR: i64 = 1_000_000_000_000_000;

/// An amount or a percentage that is refused.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub(crate) enum InvalidMoney {
    /// Not a currency of ISO 4217 that has amounts: gold has none.
    #[error("the currency is not an ISO 4217 code")]
    Currency,
    /// Below zero.
    #[error("the amount is below zero")]
    Negative,
    /// Above [`MAX_MINOR`].
    #[error("the amount is too large")]
    TooLarge,
    /// Not within 0..=100 with at most six decimals.
    #[error("the percentage is not between 0 and 100 with at most six decimals")]
    Percent,
}

/// A currency of ISO 4217 that amounts exist in.
#[derive(Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub(crate) struct Currency(iso_currency::Currency);

impl Currency {
    /// What an event has that names none.
    pub(crate) const USD: Self = Self(iso_currency::Currency::USD);

    /// The three letters.
    pub(crate) fn code(self) -> &'static str {
        self.0.code()
    }

    /// How many decimals its amounts have: two of USD, none of JPY, three of KWD.
    pub(crate) fn digits(self) -> u32 {
        self.0.exponent().map_or(0, u32::from)
    }
}

impl FromStr for Currency {
    type Err = InvalidMoney;

    /// Takes the code as ISO writes it, in capitals.
    fn from_str(code: &str) -> Result<Self, InvalidMoney> {
        iso_currency::Currency::from_code(code)
            .filter(|currency| currency.exponent().is_some())
            .map(Self)
            .ok_or(InvalidMoney::Currency)
    }
}

impl Serialize for Currency {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_str(self.code())
    }
}

impl<'de> Deserialize<'de> for Currency {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let code = String::deserialize(deserializer)?;
        code.parse().map_err(serde::de::Error::custom)
    }
}

impl fmt::Display for Currency {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.code())
    }
}

impl fmt::Debug for Currency {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.code())
    }
}

/// An amount of at least zero and at most [`MAX_MINOR`].
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(crate) struct Money {
    minor: i64,
    currency: Currency,
}

impl Money {
    /// The amount in major units, rounded half up to the currency's minor unit.
    pub(crate) fn try_new(major: Decimal, currency: Currency) -> Result<Self, InvalidMoney> {
        if major < Decimal::ZERO {
            return Err(InvalidMoney::Negative);
        }
        let rounded = major.round_dp_with_strategy(currency.digits(), RoundingStrategy::MidpointAwayFromZero);
        let minor = Decimal::from(10_i64.pow(currency.digits()))
            .checked_mul(rounded)
            .and_then(|minor| minor.to_i64())
            .ok_or(InvalidMoney::TooLarge)?;
        Self::try_from_minor(minor, currency)
    }

    /// The amount in minor units, as it is stored.
    pub(crate) const fn try_from_minor(minor: i64, currency: Currency) -> Result<Self, InvalidMoney> {
        match minor {
            i64::MIN..=-1 => Err(InvalidMoney::Negative),
            0..=MAX_MINOR => Ok(Self { minor, currency }),
            _ => Err(InvalidMoney::TooLarge),
        }
    }

    /// In minor units.
    pub(crate) const fn minor(self) -> i64 {
        self.minor
    }

    /// What it is an amount of.
    pub(crate) const fn currency(self) -> Currency {
        self.currency
    }
}

/// Any number of minor units, below zero too, in major units with the currency's decimals: 900.00, -3, 0.125.
pub(crate) fn major(minor: i64, currency: Currency) -> Decimal {
    Decimal::new(minor, currency.digits())
}

/// A percentage between 0 and 100 with at most six decimals.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub(crate) struct Percent {
    /// Of 100,000,000 for the whole.
    parts: u32,
}

impl Percent {
    const WHOLE: i128 = 100_000_000;

    /// From the number before the percent sign.
    pub(crate) fn try_new(percent: Decimal) -> Result<Self, InvalidMoney> {
        let parts = percent.checked_mul(Decimal::from(1_000_000)).ok_or(InvalidMoney::Percent)?;
        let whole = parts.is_integer() && parts >= Decimal::ZERO;
        let parts = parts.to_u32().filter(|parts| whole && i128::from(*parts) <= Self::WHOLE);
        parts.map(|parts| Self { parts }).ok_or(InvalidMoney::Percent)
    }

    /// The number before the percent sign.
    #[cfg(test)]
    pub(crate) fn decimal(self) -> Decimal {
        Decimal::new(i64::from(self.parts), 6).normalize()
    }

    /// So much of an amount, rounded half up.
    pub(crate) fn of(self, minor: i64) -> i64 {
        ratio(minor, i128::from(self.parts), Self::WHOLE)
    }
}

/// `minor * numerator / denominator` of an amount of at least zero, rounded half up; zero of nothing.
fn ratio(minor: i64, numerator: i128, denominator: i128) -> i64 {
    if denominator <= 0 {
        return 0;
    }
    let product = i128::from(minor) * numerator;
    let half = if broken!(RoundedDown) { 0 } else { denominator };
    i64::try_from((2 * product + half) / (2 * denominator)).unwrap_or(i64::MAX)
}

/// The part of `minor` that `part` is of `whole`, rounded half up: what is left of a fixed amount after a refund.
pub(crate) fn proportion(minor: i64, part: i64, whole: i64) -> i64 {
    ratio(minor, i128::from(part), i128::from(whole))
}

/// Splits `total` by weights that sum to `denominator`, so that the parts sum to the total: each gets what is due to it
/// rounded down, and the largest remainders get one more each; of equal remainders the earlier.
pub(crate) fn split(
    total: i64,
    weights: impl ExactSizeIterator<Item = i64> + Clone,
    denominator: i64,
) -> Vec<i64> {
    let denominator = i128::from(denominator.max(1));
    let exact = weights.map(|weight| i128::from(total) * i128::from(weight));
    let mut parts: Vec<i64> =
        exact.clone().map(|exact| i64::try_from(exact / denominator).unwrap_or(i64::MAX)).collect();
    let left = total - parts.iter().sum::<i64>();
    if left > 0 && !broken!(RemainderLost) {
        let mut order: Vec<(i128, usize)> =
            exact.enumerate().map(|(place, exact)| (-(exact % denominator), place)).collect();
        order.sort_unstable();
        if broken!(RemainderToLater) {
            order.sort_unstable_by_key(|(remainder, place)| (*remainder, std::cmp::Reverse(*place)));
        }
        for (_, place) in order.into_iter().take(usize::try_from(left).unwrap_or(0)) {
            parts[place] += 1;
        }
    }
    parts
}
