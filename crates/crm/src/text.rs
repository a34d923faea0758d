//! What is checked of every text, time and amount that comes in.

use iso_currency::Currency;
use jiff::{Timestamp, Unit, civil::Date};
use rust_decimal::Decimal;

use crate::error::Refusal;

/// The longest name, in bytes.
pub(crate) const LONGEST_NAME: usize = 512;
/// The longest subject, address or id of others, in bytes.
pub(crate) const LONGEST_LINE: usize = 2_048;
/// The longest note or reason, in bytes.
pub(crate) const LONGEST_NOTE: usize = 8_192;
/// The largest amount that is taken, in major units.
const LARGEST: i64 = 10_000_000_000_000;

/// A text that is there, not too long, and that Postgres can store.
pub(crate) fn required(field: &str, text: &str, longest: usize) -> Result<String, Refusal> {
    if text.trim().is_empty() {
        return Err(Refusal::invalid(field, "required", format!("{field} is required.")));
    }
    optional(field, text, longest)
}

/// The same, where it may be empty.
pub(crate) fn optional(field: &str, text: &str, longest: usize) -> Result<String, Refusal> {
    if text.len() > longest {
        return Err(Refusal::invalid(field, "too_long", format!("{field} is longer than {longest} bytes.")));
    }
    if text.contains('\0') {
        return Err(Refusal::invalid(field, "invalid_text", format!("{field} holds a NUL character.")));
    }
    Ok(text.trim().to_owned())
}

/// A moment, to the microsecond, as the database keeps it.
pub(crate) fn moment(field: &str, at: Option<&prost_types::Timestamp>) -> Result<Timestamp, Refusal> {
    let Some(at) = at else {
        return Err(Refusal::invalid(field, "required", format!("{field} is required.")));
    };
    // From the year 1900 to the year 2999.
    let range = -2_208_988_800..=32_503_679_999_i64;
    let moment = proto::from_wire_time(at).filter(|at| range.contains(&at.as_second()));
    let message = || Refusal::invalid(field, "time_invalid", format!("{field} is out of range."));
    moment.map(micros).ok_or_else(message)
}

/// A calendar day; none where it is empty.
pub(crate) fn day(field: &str, text: &str) -> Result<Option<Date>, Refusal> {
    if text.is_empty() {
        return Ok(None);
    }
    let found: Option<Date> = text.parse().ok().filter(|_| text.len() == 10);
    let found = found.filter(|day| (1900..=2999).contains(&day.year()));
    let message =
        || Refusal::invalid(field, "date_invalid", format!("{field} is no day of the form 2027-01-31."));
    found.map(Some).ok_or_else(message)
}

/// To the microsecond.
pub(crate) fn micros(at: Timestamp) -> Timestamp {
    at.round(Unit::Microsecond).unwrap_or(at)
}

/// An amount in major units with its currency, with all decimals of it; none where both are empty.
pub(crate) fn money(amount: &str, currency: &str) -> Result<Option<(Decimal, &'static str)>, Refusal> {
    let known = if currency.is_empty() { Some(Currency::USD) } else { Currency::from_code(currency) };
    let known = known.and_then(|currency| Some((currency.code(), u32::from(currency.exponent()?))));
    let Some((code, digits)) = known else {
        return Err(Refusal::invalid("currency", "currency_invalid", "currency is no ISO 4217 code."));
    };
    if amount.is_empty() {
        return Ok(None);
    }
    let invalid = |code, message: &str| Refusal::invalid("amount", code, message);
    let is_plain = amount.bytes().all(|byte| byte.is_ascii_digit() || byte == b'.' || byte == b'-');
    let mut found: Decimal = amount
        .parse()
        .ok()
        .filter(|_| is_plain)
        .ok_or_else(|| invalid("amount_invalid", "amount is no decimal number."))?;
    if found.is_sign_negative() && !found.is_zero() {
        return Err(invalid("negative", "amount is below zero."));
    }
    if found > Decimal::from(LARGEST) {
        return Err(invalid("too_large", "amount is too large."));
    }
    if found.normalize().scale() > digits {
        return Err(invalid("amount_invalid", "amount has more decimals than its currency."));
    }
    found = found.abs();
    found.rescale(digits);
    Ok(Some((found, code)))
}

/// An id of a request.
pub(crate) fn id<T: std::str::FromStr>(code: &'static str, what: &str, text: &str) -> Result<T, Refusal> {
    // A text that is no such id names nothing that there is.
    text.parse().map_err(|_| Refusal::missing(code, format!("There is no such {what}.")))
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn money_is_exact_and_has_the_decimals_of_its_currency() {
        let of =
            |amount, currency| money(amount, currency).map(|it| it.map(|(it, code)| format!("{it} {code}")));
        assert_eq!(of("45000.1", "EUR"), Ok(Some("45000.10 EUR".to_owned())));
        assert_eq!(of("7", ""), Ok(Some("7.00 USD".to_owned())));
        assert_eq!(of("700", "JPY"), Ok(Some("700 JPY".to_owned())));
        assert_eq!(of("", ""), Ok(None));
        let code = |amount, currency| of(amount, currency).unwrap_err().code;
        assert_eq!(code("700.5", "JPY"), "amount_invalid");
        assert_eq!(code("-1", "EUR"), "negative");
        assert_eq!(code("1e3", "EUR"), "amount_invalid");
        assert_eq!(code("10000000000000.01", "EUR"), "too_large");
        assert_eq!(code("1", "XAU"), "currency_invalid");
        assert_eq!(code("", "eur"), "currency_invalid");
    }

    proptest! {
        #[test]
        fn any_text_is_an_amount_or_refused(amount in ".{0,40}", digits in "[0-9.-]{0,40}") {
            for text in [amount, digits] {
                if let Ok(Some((found, _))) = money(&text, "EUR") {
                    prop_assert!(!found.is_sign_negative() && found.scale() == 2);
                }
            }
        }
    }
}
