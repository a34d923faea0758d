//! `$filter`: comparisons, `and`, `or`, `not`, `contains`, `startswith`, parentheses, and an extended property by its id and
//! value.

use std::cmp::Ordering;

use serde_json::{Value, json};

use super::errors::Failure;
use super::mailbox::Mailbox;
use super::message::{Extended, Message};
use super::wire::Shape;
use crate::clock::parse_ms;

/// How deep parentheses may go.
const DEPTH: usize = 20;

/// A condition.
#[derive(Debug, Clone)]
pub(crate) enum Filter {
    And(Box<Filter>, Box<Filter>),
    Or(Box<Filter>, Box<Filter>),
    Not(Box<Filter>),
    Compare { path: String, operator: Operator, value: Value },
    Text { path: String, starts: bool, part: String },
    Extended { id: String, value: String },
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Operator {
    Eq,
    Ne,
    Gt,
    Ge,
    Lt,
    Le,
}

struct Reader<'a> {
    words: std::iter::Peekable<std::vec::IntoIter<&'a str>>,
}

impl Filter {
    pub(crate) fn read(text: &str) -> Result<Self, Failure> {
        let words = words(text).ok_or_else(|| wrong(text))?;
        let mut reader = Reader { words: words.into_iter().peekable() };
        let filter = reader.any(0).filter(|_| reader.words.peek().is_none());
        filter.ok_or_else(|| wrong(text))
    }

    pub(crate) fn holds(&self, mailbox: &Mailbox, message: &Message) -> bool {
        match self {
            Filter::And(left, right) => left.holds(mailbox, message) && right.holds(mailbox, message),
            Filter::Or(left, right) => left.holds(mailbox, message) || right.holds(mailbox, message),
            Filter::Not(inner) => !inner.holds(mailbox, message),
            Filter::Compare { path, operator, value } => {
                operator.holds(compare(&read(mailbox, message, path), value, path))
            }
            Filter::Extended { id, value } => {
                let is_it = |known: &Extended| known.id.eq_ignore_ascii_case(id) && known.value == *value;
                message.extended.iter().any(is_it)
            }
            Filter::Text { path, starts, part } => {
                let text = read(mailbox, message, path).as_str().unwrap_or_default().to_lowercase();
                if *starts { text.starts_with(part) } else { text.contains(part) }
            }
        }
    }
}

fn wrong(text: &str) -> Failure {
    Failure::bad("BadRequest", format!("Invalid filter clause: {text}"))
}

fn read(mailbox: &Mailbox, message: &Message, path: &str) -> Value {
    let (name, rest) = path.split_once('/').unwrap_or((path, ""));
    let value = Shape::default().property(mailbox, message, name).unwrap_or(Value::Null);
    if rest.is_empty() { value } else { value.pointer(&format!("/{rest}")).cloned().unwrap_or(Value::Null) }
}

fn compare(found: &Value, wanted: &Value, path: &str) -> Option<Ordering> {
    match (found, wanted) {
        (Value::String(found), Value::String(wanted)) if path.ends_with("DateTime") => {
            parse_ms(found)?.partial_cmp(&parse_ms(wanted)?)
        }
        (Value::String(found), Value::String(wanted)) => {
            Some(found.to_lowercase().cmp(&wanted.to_lowercase()))
        }
        (Value::Bool(found), Value::Bool(wanted)) => Some(found.cmp(wanted)),
        (Value::Null, Value::Null) => Some(Ordering::Equal),
        _ => None,
    }
}

impl Operator {
    fn of(word: &str) -> Option<Self> {
        Some(match word {
            "eq" => Operator::Eq,
            "ne" => Operator::Ne,
            "gt" => Operator::Gt,
            "ge" => Operator::Ge,
            "lt" => Operator::Lt,
            "le" => Operator::Le,
            _ => return None,
        })
    }

    fn holds(self, order: Option<Ordering>) -> bool {
        match self {
            Operator::Eq => order == Some(Ordering::Equal),
            Operator::Ne => order != Some(Ordering::Equal),
            Operator::Gt => order == Some(Ordering::Greater),
            Operator::Ge => order.is_some_and(Ordering::is_ge),
            Operator::Lt => order == Some(Ordering::Less),
            Operator::Le => order.is_some_and(Ordering::is_le),
        }
    }
}

/// Words, literals in quotes, and single marks; None when a quote stays open.
fn words(text: &str) -> Option<Vec<&str>> {
    let mut words = Vec::new();
    let mut rest = text.trim_start();
    while let Some(first) = rest.chars().next() {
        let length = match first {
            '(' | ')' | ',' => 1,
            '\'' => quoted(rest)?,
            _ => rest
                .find(|letter: char| letter.is_whitespace() || "(),'".contains(letter))
                .unwrap_or(rest.len()),
        };
        words.push(&rest[..length]);
        rest = rest[length..].trim_start();
    }
    Some(words)
}

/// How long a literal is; a quote inside it is doubled.
fn quoted(text: &str) -> Option<usize> {
    let mut at = 1;
    loop {
        at += text[at..].find('\'')? + 1;
        if !text[at..].starts_with('\'') {
            return Some(at);
        }
        at += 1;
    }
}

fn literal(word: &str) -> Option<Value> {
    if let Some(inner) = word.strip_prefix('\'').and_then(|word| word.strip_suffix('\'')) {
        return Some(json!(inner.replace("''", "'")));
    }
    Some(match word {
        "true" => json!(true),
        "false" => json!(false),
        "null" => Value::Null,
        _ => {
            parse_ms(word)?;
            json!(word)
        }
    })
}

impl Reader<'_> {
    fn take(&mut self, word: &str) -> bool {
        self.words.next_if(|found| found.eq_ignore_ascii_case(word)).is_some()
    }

    fn any(&mut self, depth: usize) -> Option<Filter> {
        let mut left = self.all(depth)?;
        while self.take("or") {
            left = Filter::Or(Box::new(left), Box::new(self.all(depth)?));
        }
        Some(left)
    }

    fn all(&mut self, depth: usize) -> Option<Filter> {
        let mut left = self.one(depth)?;
        while self.take("and") {
            left = Filter::And(Box::new(left), Box::new(self.one(depth)?));
        }
        Some(left)
    }

    /// `(ep: ep/id eq '…' and ep/value eq '…')`
    fn extended(&mut self) -> Option<Filter> {
        let name = self.take("(").then(|| self.words.next()).flatten()?.strip_suffix(':')?;
        let id = self.equal(&format!("{name}/id"))?;
        let value = self.take("and").then(|| self.equal(&format!("{name}/value"))).flatten()?;
        self.take(")").then_some(Filter::Extended { id, value })
    }

    fn equal(&mut self, path: &str) -> Option<String> {
        let is_asked = self.take(path) && self.take("eq");
        let value = is_asked.then(|| self.words.next()).flatten().and_then(literal)?;
        value.as_str().map(str::to_owned)
    }

    fn one(&mut self, depth: usize) -> Option<Filter> {
        if depth > DEPTH {
            return None;
        }
        if self.take("not") {
            return Some(Filter::Not(Box::new(self.one(depth + 1)?)));
        }
        if self.take("(") {
            let inner = self.any(depth + 1)?;
            return self.take(")").then_some(inner);
        }
        let word = self.words.next()?;
        if matches!(word, "contains" | "startswith") && self.take("(") {
            let path = self.words.next()?.to_owned();
            let part = self.take(",").then(|| self.words.next()).flatten().and_then(literal)?;
            let part = part.as_str()?.to_lowercase();
            return self.take(")").then_some(Filter::Text { path, starts: word == "startswith", part });
        }
        if word.eq_ignore_ascii_case("singleValueExtendedProperties/any") {
            return self.extended();
        }
        let operator = Operator::of(self.words.next()?)?;
        let value = literal(self.words.next()?)?;
        Some(Filter::Compare { path: word.to_owned(), operator, value })
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn filters_are_read_or_refused() {
        for good in [
            "isRead eq false",
            "receivedDateTime ge 2024-01-05T10:11:12Z and receivedDateTime lt 2024-02-05T10:11:12.000Z",
            "from/emailAddress/address eq 'o''hara@x.example' or (not isDraft eq true)",
            "contains(subject,'a b') and startswith(subject, 'x')",
            "singleValueExtendedProperties/Any(ep: ep/id eq 'String {a} Name b' and ep/value eq 'c')",
        ] {
            Filter::read(good).unwrap_or_else(|error| panic!("{good}: {}", error.body));
        }
        for bad in [
            "",
            "isRead",
            "isRead eq",
            "subject eq 'open",
            "(isRead eq true",
            "isRead eq maybe",
            "a eq 'b' c",
            "singleValueExtendedProperties/Any(ep: ep/id eq 'a' or ep/value eq 'c')",
        ] {
            Filter::read(bad).expect_err(bad);
        }
    }

    proptest! {
        #[test]
        fn no_filter_makes_the_reader_panic(text in "[a-z '(),é]{0,40}") {
            let _read = Filter::read(&text);
        }
    }
}
