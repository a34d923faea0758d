//! Finding the rows of a query, and writing them.

use std::borrow::Cow;
use std::cmp::Ordering;
use std::io::Write;

use serde_json::Value;

use super::Op;
use super::bind::{Column, Condition, Key, Node, Operand, Query};
use super::bounds::{FIRST, LAST, bounds, keys};
use crate::salesforce::id::Id;
use crate::salesforce::object::Object;
use crate::salesforce::org::Org;
use crate::salesforce::record::Record;
use crate::salesforce::schema::{Field, Kind, Place};
use crate::salesforce::time::{datetime, parse_datetime};

/// A value of a record as it is compared.
enum Seen<'a> {
    Null,
    Bool(bool),
    Number(f64),
    Text(Cow<'a, str>),
    Id(Id),
    Seconds(i64),
}

impl Query {
    /// The ids of all rows, in order. `all` shows deleted records too.
    pub(crate) fn run(&self, org: &Org, all: bool) -> Vec<Id> {
        let object = &org.objects[self.at];
        let fits = |record: &&Record| {
            (all || record.is_live())
                && self.filter.as_ref().is_none_or(|filter| holds(org, object, record, filter))
        };
        let most = self.limit.map_or(usize::MAX, |limit| limit.saturating_add(self.offset));
        let mut found: Vec<&Record> = match self.by_keys(object, all) {
            Some(records) => records.into_iter().filter(fits).collect(),
            None => {
                let (from, to) = self.filter.as_ref().map_or((FIRST, LAST), bounds);
                let narrow = (from.0, to.0) != (FIRST.0, LAST.0);
                let stamps = self.is_ordered_by(&[Place::SystemModstamp, Place::Id]);
                let enough = |in_order: bool| if in_order { most } else { usize::MAX };
                if stamps || narrow {
                    let in_order = stamps || self.order.is_empty();
                    object.stamped(from, to).filter(fits).take(enough(in_order)).collect()
                } else {
                    let in_order = self.order.is_empty() || self.is_ordered_by(&[Place::Id]);
                    object.all().filter(fits).take(enough(in_order)).collect()
                }
            }
        };
        if !self.order.is_empty() && !self.is_ordered_by(&[Place::SystemModstamp, Place::Id]) {
            found.sort_by(|one, other| compare_rows(org, object, one, other, &self.order));
        } else if !self.order.is_empty() {
            found.sort_by_key(|record| (record.stamp_s, record.id));
        }
        let limit = self.limit.unwrap_or(usize::MAX);
        found.into_iter().skip(self.offset).take(limit).map(|record| record.id).collect()
    }

    /// The few records that a condition on a key can mean.
    fn by_keys<'a>(&self, object: &'a Object, all: bool) -> Option<Vec<&'a Record>> {
        let (field, values) = keys(self.filter.as_ref()?)?;
        if field.place != Place::Id && all {
            return None; // deleted records have no keys
        }
        let mut ids: Vec<Id> = values
            .iter()
            .flat_map(|value| match (field.place, value) {
                (Place::Id, Operand::Id(id)) => vec![*id],
                (Place::Id, _) => Vec::new(),
                (_, value) => object.find(field, &value.text()).to_vec(),
            })
            .collect();
        ids.sort_unstable();
        ids.dedup();
        Some(ids.into_iter().filter_map(|id| object.get(id)).collect())
    }

    /// Whether the rows are wanted in the ascending order of these, or of the first of them.
    fn is_ordered_by(&self, places: &[Place]) -> bool {
        let plain = |key: &Key| key.column.hops.is_empty() && !key.descending;
        !self.order.is_empty()
            && self.order.len() <= places.len()
            && self
                .order
                .iter()
                .zip(places)
                .all(|(key, place)| plain(key) && key.column.field.place == *place)
    }

    /// The header of a table of the rows: the fields, parents with dots.
    pub(crate) fn header(&self) -> Vec<String> {
        fn collect(nodes: &[Node], prefix: &str, to: &mut Vec<String>) {
            for node in nodes {
                match node {
                    Node::Field(field) => to.push(format!("{prefix}{}", field.name)),
                    Node::Parent { name, nodes, .. } => collect(nodes, &format!("{prefix}{name}."), to),
                }
            }
        }
        let mut header = Vec::new();
        collect(&self.nodes, "", &mut header);
        header
    }

    /// Writes one row as JSON.
    pub(crate) fn write(&self, org: &Org, id: Id, version: &str, out: &mut Vec<u8>) -> std::io::Result<()> {
        let object = &org.objects[self.at];
        match object.get(id) {
            Some(record) => write_row(org, object, record, &self.nodes, version, out),
            None => out.write_all(b"null"),
        }
    }

    /// The row's values in the order of the header; what has none is empty.
    pub(crate) fn values(&self, org: &Org, id: Id) -> Option<Vec<String>> {
        fn collect(org: &Org, row: Option<(&Object, &Record)>, nodes: &[Node], to: &mut Vec<String>) {
            for node in nodes {
                match node {
                    Node::Field(field) => {
                        let value = row.map(|(object, record)| object.read(record, field));
                        to.push(match value.unwrap_or_default() {
                            Value::Null => String::new(),
                            Value::String(text) => text,
                            other => other.to_string(),
                        });
                    }
                    Node::Parent { through, at, nodes, .. } => {
                        let parent =
                            row.and_then(|(object, record)| parent(org, object, record, *through, *at));
                        collect(org, parent, nodes, to);
                    }
                }
            }
        }
        let object = &org.objects[self.at];
        let record = object.get(id)?;
        let mut values = Vec::new();
        collect(org, Some((object, record)), &self.nodes, &mut values);
        Some(values)
    }
}

/// The record a reference leads to.
fn parent<'a>(
    org: &'a Org,
    object: &'a Object,
    record: &'a Record,
    through: u16,
    at: usize,
) -> Option<(&'a Object, &'a Record)> {
    let field = object.schema.fields.get(usize::from(through))?;
    let id = match seen(record, field) {
        Seen::Id(id) => id,
        _ => return None,
    };
    let target = &org.objects[at];
    Some((target, target.get(id)?))
}

fn write_row(
    org: &Org,
    object: &Object,
    record: &Record,
    nodes: &[Node],
    version: &str,
    out: &mut Vec<u8>,
) -> std::io::Result<()> {
    let name = &object.schema.name;
    write!(
        out,
        "{{\"attributes\":{{\"type\":\"{name}\",\"url\":\"/services/data/{version}/sobjects/{name}/{}\"}}",
        record.id
    )?;
    for node in nodes {
        match node {
            Node::Field(field) => {
                write!(out, ",\"{}\":", field.name)?;
                write_value(object, record, field, out)?;
            }
            Node::Parent { name, through, at, nodes } => {
                write!(out, ",\"{name}\":")?;
                match parent(org, object, record, *through, *at) {
                    Some((object, record)) => write_row(org, object, record, nodes, version, out)?,
                    None => out.write_all(b"null")?,
                }
            }
        }
    }
    out.write_all(b"}")
}

fn write_value(object: &Object, record: &Record, field: &Field, out: &mut Vec<u8>) -> std::io::Result<()> {
    match (field.place, record.cells.get(field.at)) {
        (Place::Cell, Some(value)) => serde_json::to_writer(out, value)?,
        (Place::Id, _) => write!(out, "\"{}\"", record.id)?,
        (Place::CreatedDate, _) => write!(out, "\"{}\"", datetime(record.created_s))?,
        (Place::LastModifiedDate, _) => write!(out, "\"{}\"", datetime(record.modified_s))?,
        (Place::SystemModstamp, _) => write!(out, "\"{}\"", datetime(record.stamp_s))?,
        _ => serde_json::to_writer(out, &object.read(record, field))?,
    }
    Ok(())
}

fn seen<'a>(record: &'a Record, field: &Field) -> Seen<'a> {
    match field.place {
        Place::Cell => match (field.kind, record.cells.get(field.at)) {
            (Kind::Boolean, value) => Seen::Bool(value.map_or(field.default == true, |value| *value == true)),
            (_, None) => Seen::Null,
            (Kind::Reference | Kind::Id, Some(Value::String(id))) => {
                Id::parse(id).map_or(Seen::Null, Seen::Id)
            }
            (Kind::DateTime, Some(Value::String(at))) => parse_datetime(at).map_or(Seen::Null, Seen::Seconds),
            (Kind::Date, Some(Value::String(text))) => Seen::Text(Cow::Borrowed(text)),
            (_, Some(Value::String(text))) if field.case_sensitive => Seen::Text(Cow::Borrowed(text)),
            (_, Some(Value::String(text))) => Seen::Text(small(text)),
            (_, Some(value)) => value.as_f64().map_or(Seen::Null, Seen::Number),
        },
        Place::Id => Seen::Id(record.id),
        Place::IsDeleted => Seen::Bool(!record.is_live()),
        Place::MasterRecordId => record.master.map_or(Seen::Null, Seen::Id),
        Place::CreatedDate => Seen::Seconds(record.created_s),
        Place::CreatedById => Seen::Id(record.created_by),
        Place::LastModifiedDate => Seen::Seconds(record.modified_s),
        Place::LastModifiedById => Seen::Id(record.modified_by),
        Place::SystemModstamp => Seen::Seconds(record.stamp_s),
        Place::Address => Seen::Null,
    }
}

fn small(text: &str) -> Cow<'_, str> {
    let capital = |letter: char| !letter.is_ascii() || letter.is_ascii_uppercase();
    if text.contains(capital) { Cow::Owned(text.to_lowercase()) } else { Cow::Borrowed(text) }
}

fn look<'a>(org: &'a Org, object: &'a Object, record: &'a Record, column: &Column) -> Seen<'a> {
    let mut row = (object, record);
    for (through, at) in &column.hops {
        match parent(org, row.0, row.1, *through, *at) {
            Some(next) => row = next,
            None => return Seen::Null,
        }
    }
    seen(row.1, &column.field)
}

fn holds(org: &Org, object: &Object, record: &Record, condition: &Condition) -> bool {
    match condition {
        Condition::And(all) => all.iter().all(|one| holds(org, object, record, one)),
        Condition::Or(all) => all.iter().any(|one| holds(org, object, record, one)),
        Condition::Not(inner) => !holds(org, object, record, inner),
        Condition::Test { column, op, values } => test(&look(org, object, record, column), *op, values),
    }
}

fn test(seen: &Seen<'_>, op: Op, values: &[Operand]) -> bool {
    let order = |value: &Operand| compare(seen, value);
    let equal = |value: &Operand| order(value) == Some(Ordering::Equal);
    let first = values.first().unwrap_or(&Operand::Null);
    match op {
        Op::Eq => equal(first),
        Op::Ne => !equal(first),
        Op::Lt => order(first) == Some(Ordering::Less),
        Op::Gt => order(first) == Some(Ordering::Greater),
        Op::Le => matches!(order(first), Some(Ordering::Less | Ordering::Equal)),
        Op::Ge => matches!(order(first), Some(Ordering::Greater | Ordering::Equal)),
        Op::In => values.iter().any(equal),
        Op::NotIn => !values.iter().any(equal),
        Op::Like => {
            matches!((seen, first), (Seen::Text(text), Operand::Text(pattern)) if like(text, pattern))
        }
        Op::Includes => values.iter().any(|value| includes(seen, value)),
        Op::Excludes => !values.iter().any(|value| includes(seen, value)),
    }
}

fn compare(seen: &Seen<'_>, value: &Operand) -> Option<Ordering> {
    match (seen, value) {
        (Seen::Null, Operand::Null) => Some(Ordering::Equal),
        (Seen::Bool(one), Operand::Bool(other)) => Some(one.cmp(other)),
        (Seen::Number(one), Operand::Number(other)) => one.partial_cmp(other),
        (Seen::Text(one), Operand::Text(other)) => Some((**one).cmp(other.as_str())),
        (Seen::Id(one), Operand::Id(other)) => Some(one.cmp(other)),
        (Seen::Seconds(one), Operand::Seconds(other)) => Some(one.cmp(other)),
        _ => None,
    }
}

/// Whether a multi-select value has all of `A;B`.
fn includes(seen: &Seen<'_>, value: &Operand) -> bool {
    let (Seen::Text(text), Operand::Text(wanted)) = (seen, value) else { return false };
    wanted.split(';').all(|wanted| text.split(';').any(|one| one == wanted))
}

/// Matches `%` (any text) and `_` (one letter); a backslash takes their meaning away.
fn like(text: &str, pattern: &str) -> bool {
    #[derive(Clone, Copy, PartialEq)]
    enum Step {
        Any,
        One,
        Letter(char),
    }
    let mut steps = Vec::new();
    let mut letters = pattern.chars();
    while let Some(letter) = letters.next() {
        steps.push(match letter {
            '%' => Step::Any,
            '_' => Step::One,
            '\\' => Step::Letter(letters.next().unwrap_or('\\')),
            other => Step::Letter(other),
        });
    }
    let text: Vec<char> = text.chars().collect();
    let (mut at, mut step) = (0, 0);
    let mut retry: Option<(usize, usize)> = None;
    while at < text.len() {
        match steps.get(step) {
            Some(Step::Any) => {
                retry = Some((at, step));
                step += 1;
            }
            Some(Step::One) => (at, step) = (at + 1, step + 1),
            Some(Step::Letter(letter)) if *letter == text[at] => (at, step) = (at + 1, step + 1),
            _ => match retry {
                Some((from, any)) => {
                    retry = Some((from + 1, any));
                    (at, step) = (from + 1, any + 1);
                }
                None => return false,
            },
        }
    }
    steps[step..].iter().all(|step| *step == Step::Any)
}

fn compare_rows(org: &Org, object: &Object, one: &Record, other: &Record, keys: &[Key]) -> Ordering {
    for key in keys {
        let (first, second) = (look(org, object, one, &key.column), look(org, object, other, &key.column));
        let order = match (&first, &second) {
            (Seen::Null, Seen::Null) => Ordering::Equal,
            (Seen::Null, _) if key.nulls_last => Ordering::Greater,
            (Seen::Null, _) => Ordering::Less,
            (_, Seen::Null) if key.nulls_last => Ordering::Less,
            (_, Seen::Null) => Ordering::Greater,
            _ => {
                let order = among(&first, &second);
                if key.descending { order.reverse() } else { order }
            }
        };
        if order != Ordering::Equal {
            return order;
        }
    }
    Ordering::Equal
}

fn among(one: &Seen<'_>, other: &Seen<'_>) -> Ordering {
    match (one, other) {
        (Seen::Bool(one), Seen::Bool(other)) => one.cmp(other),
        (Seen::Number(one), Seen::Number(other)) => one.total_cmp(other),
        (Seen::Text(one), Seen::Text(other)) => one.cmp(other),
        (Seen::Id(one), Seen::Id(other)) => one.cmp(other),
        (Seen::Seconds(one), Seen::Seconds(other)) => one.cmp(other),
        _ => Ordering::Equal,
    }
}

#[cfg(test)]
mod tests {
    use super::like;

    #[test]
    fn wildcards_match_as_they_do_in_sql() {
        for (text, pattern, expected) in [
            ("acme corp", "acme%", true),
            ("acme", "%", true),
            ("acme", "a_me", true),
            ("acme", "a_m", false),
            ("10% off", "10\\% off", true),
            ("10x off", "10\\% off", false),
            ("abcabd", "%abd", true),
            ("", "%", true),
            ("a", "", false),
        ] {
            assert_eq!(like(text, pattern), expected, "{text} LIKE {pattern}");
        }
    }
}
