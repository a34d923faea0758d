//! Filters of Meet's lists: comparisons joined by AND and OR; AND binds tighter.

use jiff::Timestamp;

/// What a field of a record is.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Value {
    Text(String),
    Time(i64),
    /// Not there yet.
    Null,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Operator {
    Equal,
    NotEqual,
    Less,
    LessOrEqual,
    Greater,
    GreaterOrEqual,
    IsNull,
}

#[derive(Debug, Clone)]
struct Comparison {
    field: String,
    operator: Operator,
    value: Value,
}

/// Alternatives of conditions.
#[derive(Debug, Clone, Default)]
pub(crate) struct Filter(Vec<Vec<Comparison>>);

impl Filter {
    /// Reads a filter over these fields; None when it is malformed. No text is no condition.
    pub(crate) fn read(text: &str, fields: &[&str]) -> Option<Self> {
        let words = words(text)?;
        if words.is_empty() {
            return Some(Self::default());
        }
        let mut any = Vec::new();
        for group in words.split(|word| word.eq_ignore_ascii_case("OR")) {
            let parts = group.split(|word| word.eq_ignore_ascii_case("AND"));
            any.push(parts.map(|part| comparison(part, fields)).collect::<Option<Vec<_>>>()?);
        }
        Some(Self(any))
    }

    /// Whether a record passes.
    pub(crate) fn passes(&self, field: impl Fn(&str) -> Value) -> bool {
        let holds = |one: &Comparison| one.holds(&field(&one.field));
        self.0.is_empty() || self.0.iter().any(|all| all.iter().all(holds))
    }
}

impl Comparison {
    fn holds(&self, found: &Value) -> bool {
        match (found, &self.value) {
            (Value::Null, _) => self.operator == Operator::IsNull,
            (_, Value::Null) => false,
            (Value::Text(found), Value::Text(wanted)) => match self.operator {
                Operator::Equal => found == wanted,
                Operator::NotEqual => found != wanted,
                _ => false,
            },
            (Value::Time(found), Value::Time(wanted)) => match self.operator {
                Operator::Equal => found == wanted,
                Operator::NotEqual => found != wanted,
                Operator::Less => found < wanted,
                Operator::LessOrEqual => found <= wanted,
                Operator::Greater => found > wanted,
                Operator::GreaterOrEqual => found >= wanted,
                Operator::IsNull => false,
            },
            _ => false,
        }
    }
}

fn comparison(words: &[String], fields: &[&str]) -> Option<Comparison> {
    let [field, operator, value] = words else { return None };
    let is_text = field.starts_with("space.");
    if !fields.contains(&field.as_str()) {
        return None;
    }
    if operator.eq_ignore_ascii_case("IS") {
        let is_null = value.eq_ignore_ascii_case("NULL") && !is_text;
        let comparison = Comparison { field: field.clone(), operator: Operator::IsNull, value: Value::Null };
        return is_null.then_some(comparison);
    }
    let operator = match operator.as_str() {
        "=" => Operator::Equal,
        "!=" => Operator::NotEqual,
        "<" => Operator::Less,
        "<=" => Operator::LessOrEqual,
        ">" => Operator::Greater,
        ">=" => Operator::GreaterOrEqual,
        _ => return None,
    };
    let value = value.strip_prefix('"')?;
    let value = match is_text {
        true => Value::Text(value.to_owned()),
        false => Value::Time(value.parse::<Timestamp>().ok()?.as_millisecond()),
    };
    Some(Comparison { field: field.clone(), operator, value })
}

/// Names, operators and texts; a text keeps its opening quote, so that it is no name.
fn words(text: &str) -> Option<Vec<String>> {
    let mut words = Vec::new();
    let mut letters = text.chars().peekable();
    while let Some(letter) = letters.next() {
        match letter {
            ' ' | '(' | ')' | '\t' | '\n' => {}
            '"' | '\'' => {
                let mut word = String::from('"');
                loop {
                    match letters.next()? {
                        end if end == letter => break,
                        other => word.push(other),
                    }
                }
                words.push(word);
            }
            '<' | '>' | '=' | '!' => {
                let mut word = String::from(letter);
                word.extend(letters.next_if_eq(&'='));
                words.push(word);
            }
            first => {
                let mut word = String::from(first);
                let is_part = |letter: &char| letter.is_ascii_alphanumeric() || "._".contains(*letter);
                while let Some(letter) = letters.next_if(|letter| is_part(letter)) {
                    word.push(letter);
                }
                words.push(word);
            }
        }
    }
    Some(words)
}

#[cfg(test)]
mod tests {
    use super::*;

    const FIELDS: [&str; 3] = ["space.meeting_code", "start_time", "end_time"];

    fn passes(filter: &str) -> bool {
        let field = |name: &str| match name {
            "space.meeting_code" => Value::Text("abc-defg-hij".to_owned()),
            "start_time" => Value::Time(1_000),
            _ => Value::Null,
        };
        Filter::read(filter, &FIELDS).expect("a filter").passes(field)
    }

    #[test]
    fn conditions_are_joined_and_bound_as_documented() {
        assert!(passes(""));
        assert!(passes("space.meeting_code = \"abc-defg-hij\" AND start_time>=\"1970-01-01T00:00:01Z\""));
        assert!(!passes("space.meeting_code='abc-defg-hij' AND start_time>\"1970-01-01T00:00:01Z\""));
        assert!(passes("end_time IS NULL"));
        assert!(!passes("end_time > \"1970-01-01T00:00:00Z\""));
        let first =
            "space.meeting_code = \"x\" AND end_time IS NULL OR start_time < \"1970-01-01T00:00:02.5Z\"";
        assert!(passes(first));
    }

    #[test]
    fn malformed_filters_are_refused() {
        for text in [
            "x",
            "start_time",
            "start_time >",
            "start_time > 5",
            "start_time > \"yesterday\"",
            "other = \"x\"",
            "space.meeting_code = abc-defg-hij",
            "space.meeting_code = \"abc",
            "start_time IS NULL AND",
            "space.meeting_code IS NULL",
            "OR",
        ] {
            assert!(Filter::read(text, &FIELDS).is_none(), "{text}");
        }
    }
}
