//! From a change event to what became of its records: pure.

use std::{
    borrow::Cow,
    collections::{BTreeMap, BTreeSet},
};

use jiff::{Timestamp, tz::TimeZone};
use model::{FieldType, ObjectSchema, Value};
use rust_decimal::Decimal;

use super::{
    avro::{Datum, Kind, Malformed, Reader, Schema},
    bitmap::FieldSet,
};
use crate::{
    client::ORIGIN,
    objects::{RECORD_ID, of_event, time_of_day, value_from_double, value_from_text},
};

const HEADER: &str = "ChangeEventHeader";
/// In place of ids where there were too many changes to tell.
const NO_ID: &str = "000000000000000AAA";

/// What an event says of its records.
#[derive(Debug, PartialEq)]
pub(crate) enum Said {
    /// What they have now: everything, or only what changed.
    Changed { fields: BTreeMap<String, Value>, external_id: Option<String>, is_partial: bool },
    /// They were deleted.
    Deleted,
    /// That they changed, but not how.
    Untold,
    /// That some records changed, but not which.
    LeftOut,
    /// Nothing that anybody wants to know.
    Nothing,
}

/// A change event.
#[derive(Debug)]
pub(crate) struct Event {
    pub(crate) ids: Vec<String>,
    pub(crate) version: i64,
    /// When its transaction was committed.
    pub(crate) at: Timestamp,
    /// Whether it was made by calls in our name. Automation that runs in our transaction carries it too.
    pub(crate) says_ours: bool,
    pub(crate) said: Said,
}

/// A field that is wanted.
#[derive(Debug)]
struct Leaf {
    name: String,
    field_type: FieldType,
}

/// What is wanted of the field at one position of an event.
#[derive(Debug)]
enum Target {
    Skip,
    Leaf(Leaf),
    Compound {
        /// Where the compound may also be a plain text: the name of a company's account.
        plain: Option<Leaf>,
        /// Whether the whole is wanted as one text, which REST knows and an event does not spell.
        whole: bool,
        parts: Vec<Option<Leaf>>,
    },
}

/// Fields that no edit of the record moves, and no event carries: activities of others do, and being looked at.
const APART: [&str; 3] = ["LastActivityDate", "LastViewedDate", "LastReferencedDate"];

/// How events of one schema are read.
#[derive(Debug)]
pub(crate) struct Plan {
    schema: Schema,
    targets: Vec<Target>,
    /// Whether a field is wanted that these events never carry: formulas, roll-ups, and what was added later.
    is_blind: bool,
}

impl Plan {
    pub(crate) fn new(schema: Schema, object: &ObjectSchema, wanted: &[String]) -> Result<Self, Malformed> {
        if schema.root().fields.first().is_none_or(|(name, _)| name != HEADER) {
            return Err(Malformed("the schema is not of a change event"));
        }
        let mut missing: BTreeSet<&str> = wanted.iter().map(String::as_str).collect();
        let mut leaf = |name: &str| {
            let known = object.field(name).map_or(FieldType::Text, |field| field.field_type);
            let is_wanted = missing.remove(name) || name == RECORD_ID;
            is_wanted.then(|| Leaf { name: name.to_owned(), field_type: known })
        };
        let mut targets = Vec::with_capacity(schema.root().fields.len());
        for (name, kind) in &schema.root().fields {
            let branches = if let Kind::Union(branches) = kind {
                branches.as_slice()
            } else {
                std::slice::from_ref(kind)
            };
            let record = branches
                .iter()
                .find_map(|branch| if let Kind::Record(at) = branch { Some(*at) } else { None });
            targets.push(match record {
                _ if name == HEADER => Target::Skip,
                None => leaf(name).map_or(Target::Skip, Target::Leaf),
                Some(record) => {
                    let parts = schema.records[record].fields.iter();
                    let parts: Vec<Option<Leaf>> =
                        parts.map(|(part, _)| leaf(&part_name(name, part))).collect();
                    let plain = leaf(name);
                    let whole = plain.is_some();
                    Target::Compound { plain, whole, parts }
                }
            });
        }
        let is_blind = missing.iter().any(|name| !APART.contains(name));
        Ok(Self { schema, targets, is_blind })
    }

    /// Reads an event. What its header does not tell is an error, because then nothing is known.
    pub(crate) fn read(&self, payload: &[u8]) -> Result<Event, Malformed> {
        let mut reader = Reader::new(&self.schema, payload);
        let header = Header::read(&self.schema, &mut reader)?;
        let said = if header.ids.iter().any(|id| id.contains('*') || *id == NO_ID)
            || header.kind == "GAP_OVERFLOW"
        {
            Said::LeftOut
        } else {
            self.said(&header, reader).unwrap_or(Said::Untold)
        };
        Ok(Event {
            ids: header.ids.iter().map(|id| (*id).to_owned()).collect(),
            version: of_event(header.commit_ms, header.commit_number),
            at: Timestamp::from_millisecond(header.commit_ms)
                .map_err(|_| Malformed("a commit has no time"))?,
            says_ours: is_ours(header.origin),
            said,
        })
    }

    fn said(&self, header: &Header<'_>, mut reader: Reader<'_, '_>) -> Result<Said, Malformed> {
        let is_partial = match header.kind {
            "CREATE" | "UNDELETE" => false,
            "UPDATE" => true,
            "DELETE" => return Ok(Said::Deleted),
            _ => return Ok(Said::Untold),
        };
        let count = self.targets.len();
        let (mut changed, mut patched) = (FieldSet::default(), FieldSet::default());
        changed.add(&header.changed, count)?;
        changed.add(&header.nulled, count)?;
        patched.add(&header.diff, count)?;
        let mut body = Body { fields: BTreeMap::new(), is_untold: self.is_blind };
        for (at, ((_, kind), target)) in
            self.schema.root().fields.iter().zip(&self.targets).enumerate().skip(1)
        {
            let touched = !is_partial || changed.has(at) || patched.has(at);
            match target {
                Target::Leaf(leaf) if touched => {
                    let datum = reader.datum(kind)?;
                    body.is_untold |= patched.has(at) || matches!(datum, Datum::Record(_) | Datum::Other);
                    body.set(leaf, datum);
                }
                Target::Compound { plain, whole, parts } if touched || changed.has_parts(at) => {
                    let change = PartsChanged { at, whole: touched, is_partial, changed: &changed };
                    match reader.datum(kind)? {
                        Datum::Record(record) => {
                            body.is_untold |= *whole;
                            body.parts(&self.schema, &mut reader, record, parts, &change)?;
                        }
                        other => body.no_record(plain.as_ref(), parts, other, &change),
                    }
                }
                _ => reader.skip(kind)?,
            }
        }
        if !reader.is_at_end() {
            return Err(Malformed("data are left over: the schema is another one's"));
        }
        Ok(body.said(is_partial))
    }
}

/// Which parts of a compound an event is about.
struct PartsChanged<'a> {
    at: usize,
    /// The compound itself is named, or everything is told.
    whole: bool,
    is_partial: bool,
    changed: &'a FieldSet<'a>,
}

/// What an event says of the wanted fields.
struct Body {
    fields: BTreeMap<String, Value>,
    is_untold: bool,
}

impl Body {
    fn set(&mut self, leaf: &Leaf, datum: Datum<'_>) {
        self.fields.insert(leaf.name.clone(), value(leaf.field_type, datum));
    }

    /// Reads the parts of a compound. Where the compound is named as a whole and its parts are not, a part without a value
    /// may be blank or untouched.
    fn parts(
        &mut self,
        schema: &Schema,
        reader: &mut Reader<'_, '_>,
        record: usize,
        parts: &[Option<Leaf>],
        change: &PartsChanged<'_>,
    ) -> Result<(), Malformed> {
        for (part, (_, kind)) in schema.records[record].fields.iter().enumerate() {
            let named = change.changed.has_part(change.at, part);
            match parts.get(part).and_then(Option::as_ref) {
                Some(leaf) if named || change.whole => {
                    let datum = reader.datum(kind)?;
                    if matches!(datum, Datum::Record(_) | Datum::Other) {
                        return Err(Malformed("a part of a compound is a compound"));
                    }
                    if datum == Datum::Null && change.is_partial && !named {
                        self.is_untold = true;
                    }
                    self.set(leaf, datum);
                }
                _ => reader.skip(kind)?,
            }
        }
        Ok(())
    }

    /// A compound that is blank, or a plain text: all its parts are blank.
    fn no_record(
        &mut self,
        plain: Option<&Leaf>,
        parts: &[Option<Leaf>],
        datum: Datum<'_>,
        change: &PartsChanged<'_>,
    ) {
        for (part, leaf) in parts.iter().enumerate() {
            if let Some(leaf) =
                leaf.as_ref().filter(|_| change.whole || change.changed.has_part(change.at, part))
            {
                self.set(leaf, Datum::Null);
            }
        }
        if let Some(leaf) = plain.filter(|_| change.whole) {
            self.set(leaf, datum);
        }
    }

    fn said(mut self, is_partial: bool) -> Said {
        if self.is_untold {
            return Said::Untold;
        }
        let external_id = match self.fields.remove(RECORD_ID) {
            Some(Value::Text(id)) => Some(id),
            _ => None,
        };
        if is_partial && self.fields.is_empty() && external_id.is_none() {
            return Said::Nothing;
        }
        Said::Changed { fields: self.fields, external_id, is_partial }
    }
}

/// REST's name of a part of a compound.
fn part_name(compound: &str, part: &str) -> Cow<'static, str> {
    if let Some(custom) = compound.strip_suffix("__c") {
        return format!("{custom}__{part}__s").into();
    }
    let prefix = if compound == "Name" { "" } else { compound.strip_suffix("Address").unwrap_or(compound) };
    format!("{prefix}{part}").into()
}

fn value(field_type: FieldType, datum: Datum<'_>) -> Value {
    match datum {
        Datum::Null | Datum::Record(_) | Datum::Other => Value::Null,
        Datum::Boolean(yes) => Value::Bool(yes),
        Datum::Text(text) => value_from_text(field_type, Cow::Borrowed(text)),
        Datum::Double(double) => value_from_double(field_type, double),
        Datum::Int(number) | Datum::Long(number) => match field_type {
            FieldType::Number | FieldType::Currency | FieldType::Percent => {
                Value::Number(Decimal::from(number))
            }
            FieldType::DateTime => Timestamp::from_millisecond(number).map_or(Value::Null, Value::DateTime),
            FieldType::Date => Timestamp::from_millisecond(number)
                .map_or(Value::Null, |at| Value::Date(at.to_zoned(TimeZone::UTC).date())),
            _ if matches!(datum, Datum::Long(_)) => {
                time_of_day(number).unwrap_or_else(|| Value::Text(number.to_string()))
            }
            _ => Value::Text(number.to_string()),
        },
    }
}

/// Whether the calls that made a change named us: `com/salesforce/api/rest/65.0;client=Accord`.
fn is_ours(origin: &str) -> bool {
    origin.split(';').skip(1).any(|option| option.trim_end_matches('/') == ORIGIN.1)
}

/// What an event says about itself.
#[derive(Debug, Default)]
struct Header<'a> {
    ids: Vec<&'a str>,
    kind: &'a str,
    origin: &'a str,
    commit_ms: i64,
    commit_number: i64,
    nulled: Vec<&'a str>,
    diff: Vec<&'a str>,
    changed: Vec<&'a str>,
}

impl<'a> Header<'a> {
    fn read(schema: &'a Schema, reader: &mut Reader<'_, 'a>) -> Result<Self, Malformed> {
        const NO_HEADER: Malformed = Malformed("an event has no header");
        let Some((_, kind)) = schema.root().fields.first() else { return Err(NO_HEADER) };
        let Datum::Record(record) = reader.datum(kind)? else { return Err(NO_HEADER) };
        let mut header = Self::default();
        for (name, kind) in &schema.records[record].fields {
            match (name.as_str(), kind) {
                ("recordIds", Kind::Array(_)) => header.ids = reader.texts()?,
                ("nulledFields", Kind::Array(_)) => header.nulled = reader.texts()?,
                ("diffFields", Kind::Array(_)) => header.diff = reader.texts()?,
                ("changedFields", Kind::Array(_)) => header.changed = reader.texts()?,
                ("commitTimestamp", Kind::Long) => header.commit_ms = reader.long()?,
                ("commitNumber", Kind::Long) => header.commit_number = reader.long()?,
                ("changeOrigin", Kind::Text) => {
                    if let Datum::Text(origin) = reader.datum(kind)? {
                        header.origin = origin;
                    }
                }
                ("changeType", Kind::Enum(symbols)) => {
                    // A type that this schema does not name yet is one that is not told.
                    let at = usize::try_from(reader.long()?).ok();
                    header.kind = at.and_then(|at| symbols.get(at)).map_or("", String::as_str);
                }
                (_, kind) => reader.skip(kind)?,
            }
        }
        if header.ids.is_empty() || header.commit_ms <= 0 {
            return Err(NO_HEADER);
        }
        Ok(header)
    }
}

#[cfg(test)]
mod tests;
