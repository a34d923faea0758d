//! What people may set on a pair of fields besides direction and policy: what a blank does, which option is which, and
//! how a value is rewritten on its way. A transform is one line of text, in the API as in the database: `scale 2`.

use std::{fmt, str::FromStr};

use jiff::tz::TimeZone;
use model::Value;
use serde::{Deserialize, Serialize};

use super::mapping::{Direction, Policy};

named! {
    /// What a blank does to a value, and a value to a blank, in both directions.
    Blank {
        /// A blank is a value like any other.
        Wins = "wins",
        /// A blank never overwrites a value; what one side emptied stays empty there until the other side's changes.
        NeverOverwrites = "never_overwrites",
        /// A value only ever fills a blank one.
        OnlyFills = "only_fills",
    }
}

named! {
    /// What becomes of one side's record when the other side's is deleted or archived.
    DeletePolicy {
        /// It stays, and the two are synced no longer.
        Detach = "detach",
        /// It is archived.
        Archive = "archive",
        /// It is deleted: nobody finds it any more, unless the other side's comes back.
        Delete = "delete",
    }
}

/// What decides when the two values of a field differ.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Rules {
    pub(crate) direction: Direction,
    pub(crate) policy: Policy,
    pub(crate) blank: Blank,
}

/// An option here and its counterpart at the vendor. Several may share one side; the first of them is the way back.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct ValuePair {
    #[serde(rename = "o")]
    pub(crate) ours: String,
    #[serde(rename = "t")]
    pub(crate) theirs: String,
}

named! {
    /// How letters are written.
    Case {
        /// `ada`.
        Lower = "lower",
        /// `ADA`.
        Upper = "upper",
    }
}

/// How a value is rewritten on its way. Outward they apply in their order, inward in reverse.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub(crate) enum Transform {
    /// `trim`: no space around a text.
    Trim,
    /// `lower` and `upper`.
    Case(Case),
    /// `scale 2`: the vendor's number is ours times ten to this power; cents for units, `12` for `0.12`.
    Scale(i8),
    /// `round 2`: at most this many decimal places on both sides.
    Round(u32),
    /// `currency EUR`: an amount has the decimal places of its currency, and is read from a text like `€ 1,234.50`.
    Currency(String),
    /// `boolean Yes/No`: how the vendor spells the two.
    Boolean {
        /// True.
        yes: String,
        /// False.
        no: String,
    },
    /// `join ;`: a list here is one text there, divided by this.
    Join(String),
    /// `time_zone Europe/Berlin`: where a moment's day is told, other than in the mapping's time zone.
    TimeZone(String),
    /// `template_there {first_name} {last_name}`: the vendor's value is made of fields here; it flows outward only.
    TemplateThere(String),
    /// `template_here {firstname} {lastname}`: our value is made of the vendor's fields; it flows inward only.
    TemplateHere(String),
}

/// A text that is no transform, with what would be one.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{0}")]
pub(crate) struct NoTransform(String);

/// The most decimal places and the largest power of ten; a number has 28 digits.
const MOST_PLACES: i8 = 12;

impl Transform {
    /// The fields that a template is made of, here or at the vendor.
    pub(crate) fn template_fields(&self) -> Vec<&str> {
        match self {
            Self::TemplateThere(text) | Self::TemplateHere(text) => {
                pieces(text).filter_map(|piece| piece.err()).collect()
            }
            _ => Vec::new(),
        }
    }
}

impl FromStr for Transform {
    type Err = NoTransform;

    fn from_str(line: &str) -> Result<Self, NoTransform> {
        let no = |text: &str| NoTransform(text.to_owned());
        let line = line.trim_start();
        let (word, rest) = line.split_once(' ').unwrap_or((line.trim_end(), ""));
        let trimmed = rest.trim();
        let transform = match word {
            "trim" => Self::Trim,
            "lower" => Self::Case(Case::Lower),
            "upper" => Self::Case(Case::Upper),
            "scale" => match trimmed.parse::<i8>() {
                Ok(places) if places.abs() <= MOST_PLACES => Self::Scale(places),
                _ => return Err(no("scale takes a power of ten from -12 to 12: scale 2")),
            },
            "round" => match trimmed.parse::<i8>() {
                Ok(places @ 0..=MOST_PLACES) => Self::Round(u32::from(places.unsigned_abs())),
                _ => return Err(no("round takes decimal places from 0 to 12: round 2")),
            },
            "currency" if trimmed.len() == 3 && trimmed.chars().all(|c| c.is_ascii_uppercase()) => {
                Self::Currency(trimmed.to_owned())
            }
            "currency" => return Err(no("currency takes a code of ISO 4217: currency EUR")),
            "boolean" => match trimmed.split_once('/') {
                Some((yes, no_word)) if !yes.is_empty() && !no_word.is_empty() && !same(yes, no_word) => {
                    Self::Boolean { yes: yes.trim().to_owned(), no: no_word.trim().to_owned() }
                }
                _ => return Err(no("boolean takes two different words: boolean Yes/No")),
            },
            "join" if !rest.is_empty() && rest.chars().count() <= 3 => Self::Join(rest.to_owned()),
            "join" => return Err(no("join takes what stands between two options: join ;")),
            "time_zone" => {
                TimeZone::get(trimmed).map_err(|_| no("time_zone takes a name like Europe/Berlin"))?;
                Self::TimeZone(trimmed.to_owned())
            }
            "template_there" | "template_here" => {
                if !pieces(trimmed).any(|piece| piece.is_err()) {
                    return Err(no("a template names at least one field: {first_name} {last_name}"));
                }
                let make = if word == "template_there" { Self::TemplateThere } else { Self::TemplateHere };
                make(trimmed.to_owned())
            }
            _ => {
                return Err(no("expected trim, lower, upper, scale, round, currency, boolean, join, \
                               time_zone, template_there or template_here"));
            }
        };
        Ok(transform)
    }
}

impl fmt::Display for Transform {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Trim => f.write_str("trim"),
            Self::Case(case) => f.write_str(case.name()),
            Self::Scale(places) => write!(f, "scale {places}"),
            Self::Round(places) => write!(f, "round {places}"),
            Self::Currency(code) => write!(f, "currency {code}"),
            Self::Boolean { yes, no } => write!(f, "boolean {yes}/{no}"),
            Self::Join(separator) => write!(f, "join {separator}"),
            Self::TimeZone(zone) => write!(f, "time_zone {zone}"),
            Self::TemplateThere(text) => write!(f, "template_there {text}"),
            Self::TemplateHere(text) => write!(f, "template_here {text}"),
        }
    }
}

impl TryFrom<String> for Transform {
    type Error = NoTransform;

    fn try_from(line: String) -> Result<Self, NoTransform> {
        line.parse()
    }
}

impl From<Transform> for String {
    fn from(transform: Transform) -> Self {
        transform.to_string()
    }
}

/// Fills a template in; none when a field that it names is not known, and blank when all of them are.
pub(crate) fn fill<'a>(template: &str, value: impl Fn(&str) -> Option<&'a Value>) -> Option<Value> {
    let mut text = String::with_capacity(template.len());
    let mut blank = true;
    for piece in pieces(template) {
        match piece {
            Ok(literal) => text.push_str(literal),
            Err(field) => {
                let value = value(field)?;
                blank &= value.is_blank();
                text.push_str(&value.to_string());
            }
        }
    }
    Some(if blank { Value::Null } else { Value::text(text.trim()) })
}

/// The pieces of a template: a literal is `Ok`, a field `Err`.
fn pieces(template: &str) -> impl Iterator<Item = Result<&str, &str>> {
    let mut rest = template;
    std::iter::from_fn(move || {
        if rest.is_empty() {
            return None;
        }
        let named = rest.strip_prefix('{').and_then(|after| after.split_once('}'));
        if let Some((field, after)) = named.filter(|(field, _)| is_name(field)) {
            rest = after;
            return Some(Err(field));
        }
        let first = rest.chars().next().map_or(1, char::len_utf8);
        let end = rest[first..].find('{').map_or(rest.len(), |at| at + first);
        let (literal, after) = rest.split_at(end);
        rest = after;
        Some(Ok(literal))
    })
}

fn is_name(text: &str) -> bool {
    !text.is_empty() && text.chars().all(|c| c.is_alphanumeric() || matches!(c, '_' | '-' | '.'))
}

/// Whether two words are the same but for case and the space around them.
pub(crate) fn same(one: &str, other: &str) -> bool {
    one.trim().to_lowercase() == other.trim().to_lowercase()
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    proptest! {
        #[test]
        fn a_transform_that_was_read_is_written_the_same(line in ".{0,40}") {
            if let Ok(transform) = line.parse::<Transform>() {
                prop_assert_eq!(transform.to_string().parse(), Ok(transform));
            }
        }

        #[test]
        fn a_template_loses_nothing_of_its_literals(text in "[a-z{}é _.]{0,30}") {
            let whole: String = pieces(&text)
                .map(|piece| piece.map_or_else(|field| format!("{{{field}}}"), str::to_owned))
                .collect();
            prop_assert_eq!(whole, text);
        }
    }

    #[test]
    fn each_kind_of_transform_is_a_line_of_text() {
        for line in [
            "trim",
            "lower",
            "upper",
            "scale -2",
            "round 0",
            "currency EUR",
            "boolean Ja/Nein",
            "join ;",
            "join , ",
            "time_zone Europe/Berlin",
            "template_there {first_name} {last_name}",
            "template_here {a.b} – {c}",
        ] {
            assert_eq!(line.parse::<Transform>().unwrap().to_string(), line);
        }
        for line in [
            "",
            "Trim",
            "scale",
            "scale 99",
            "round -1",
            "currency euro",
            "boolean Yes",
            "boolean a/A",
            "join",
            "time_zone Moon/Crater",
            "template_there nothing",
        ] {
            assert!(line.parse::<Transform>().is_err(), "{line:?}");
        }
    }

    #[test]
    fn a_template_waits_for_fields_that_nobody_read_and_is_blank_without_any_value() {
        let (ada, blank) = (Value::text("Ada"), Value::Null);
        let fields = |name: &str| match name {
            "first" => Some(&ada),
            "last" => Some(&blank),
            _ => None,
        };
        assert_eq!(fill("{first} {last}", fields), Some(Value::text("Ada")));
        assert_eq!(fill("{first} {unread}", fields), None);
        assert_eq!(fill("Dear {last}", fields), Some(Value::Null));
    }
}
