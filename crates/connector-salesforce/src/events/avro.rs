//! Avro as far as change events need it: schemas in JSON, and single data without a header. A reader skips what nobody wants
//! without building it, and no bytes make it panic or run away.

use std::collections::HashMap;

use serde_json::Value as Json;

/// Deeper than any datum of Salesforce; only a schema that contains itself gets there.
const DEEPEST: u32 = 32;

/// Why bytes are no datum of a schema, or JSON no schema.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("read Avro: {0}")]
pub(crate) struct Malformed(pub(crate) &'static str);

/// What a value may be.
#[derive(Clone, Debug, PartialEq)]
pub(crate) enum Kind {
    Null,
    Boolean,
    Int,
    Long,
    Float,
    Double,
    Bytes,
    Text,
    Fixed(usize),
    Enum(Vec<String>),
    Array(Box<Kind>),
    Map(Box<Kind>),
    Union(Vec<Kind>),
    /// A record, by its place in [`Schema::records`].
    Record(usize),
}

/// A record with its fields in their order.
#[derive(Clone, Debug, Default, PartialEq)]
pub(crate) struct RecordType {
    pub(crate) name: String,
    pub(crate) fields: Vec<(String, Kind)>,
}

/// A schema whose datum is a record.
#[derive(Clone, Debug)]
pub(crate) struct Schema {
    pub(crate) records: Vec<RecordType>,
    pub(crate) root: usize,
}

impl Schema {
    pub(crate) fn parse(json: &str) -> Result<Self, Malformed> {
        let json: Json = serde_json::from_str(json).map_err(|_| Malformed("the schema is no JSON"))?;
        let mut parser = Parser::default();
        match parser.kind(&json, 0)? {
            Kind::Record(root) => Ok(Self { records: parser.records, root }),
            _ => Err(Malformed("the schema is not of a record")),
        }
    }

    pub(crate) fn root(&self) -> &RecordType {
        &self.records[self.root]
    }
}

#[derive(Default)]
struct Parser {
    records: Vec<RecordType>,
    named: HashMap<String, Kind>,
}

impl Parser {
    fn kind(&mut self, json: &Json, depth: u32) -> Result<Kind, Malformed> {
        if depth > DEEPEST {
            return Err(Malformed("the schema is too deep"));
        }
        match json {
            Json::String(name) => self.by_name(name),
            Json::Array(branches) => {
                let branches = branches.iter().map(|branch| self.kind(branch, depth + 1));
                Ok(Kind::Union(branches.collect::<Result<_, _>>()?))
            }
            Json::Object(_) => self.complex(json, depth),
            _ => Err(Malformed("the schema has an unknown type")),
        }
    }

    fn by_name(&self, name: &str) -> Result<Kind, Malformed> {
        Ok(match name {
            "null" => Kind::Null,
            "boolean" => Kind::Boolean,
            "int" => Kind::Int,
            "long" => Kind::Long,
            "float" => Kind::Float,
            "double" => Kind::Double,
            "bytes" => Kind::Bytes,
            "string" => Kind::Text,
            other => {
                let known = self.named.get(bare(other));
                known.cloned().ok_or(Malformed("the schema refers to a type that it does not define"))?
            }
        })
    }

    fn complex(&mut self, json: &Json, depth: u32) -> Result<Kind, Malformed> {
        let member = |name: &str| json.get(name).ok_or(Malformed("the schema lacks a member"));
        let kind = member("type")?;
        let Some(word) = kind.as_str() else { return self.kind(kind, depth + 1) };
        match word {
            "array" => Ok(Kind::Array(Box::new(self.kind(member("items")?, depth + 1)?))),
            "map" => Ok(Kind::Map(Box::new(self.kind(member("values")?, depth + 1)?))),
            "enum" => {
                let symbols = member("symbols")?.as_array().ok_or(Malformed("an enum has no symbols"))?;
                let symbols = symbols.iter().map(|symbol| symbol.as_str().unwrap_or_default().to_owned());
                Ok(self.define(json, Kind::Enum(symbols.collect())))
            }
            "fixed" => {
                let size = member("size")?.as_u64().and_then(|size| usize::try_from(size).ok());
                Ok(self.define(json, Kind::Fixed(size.ok_or(Malformed("a fixed has no size"))?)))
            }
            "record" => {
                let at = self.records.len();
                self.records.push(RecordType { name: name(json).to_owned(), fields: Vec::new() });
                // Known before its fields are read, which may refer to it.
                let record = self.define(json, Kind::Record(at));
                let fields = member("fields")?.as_array().ok_or(Malformed("a record has no fields"))?;
                for field in fields {
                    let kind = field.get("type").ok_or(Malformed("a field has no type"))?;
                    let kind = self.kind(kind, depth + 1)?;
                    self.records[at].fields.push((name(field).to_owned(), kind));
                }
                Ok(record)
            }
            other => self.by_name(other),
        }
    }

    fn define(&mut self, json: &Json, kind: Kind) -> Kind {
        self.named.insert(bare(name(json)).to_owned(), kind.clone());
        kind
    }
}

fn name(json: &Json) -> &str {
    json.get("name").and_then(Json::as_str).unwrap_or_default()
}

/// A name without its namespace; the ones of a change event are distinct without it.
fn bare(name: &str) -> &str {
    name.rsplit('.').next().unwrap_or(name)
}

/// A value as it was read.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(crate) enum Datum<'a> {
    Null,
    Boolean(bool),
    Int(i64),
    Long(i64),
    Double(f64),
    Text(&'a str),
    /// A record of this type; its fields follow and are still to be read.
    Record(usize),
    /// Something that no field of a record at Salesforce is; it was skipped.
    Other,
}

/// Reads data of a schema.
#[derive(Debug)]
pub(crate) struct Reader<'s, 'a> {
    schema: &'s Schema,
    rest: &'a [u8],
}

impl<'s, 'a> Reader<'s, 'a> {
    pub(crate) const fn new(schema: &'s Schema, bytes: &'a [u8]) -> Self {
        Self { schema, rest: bytes }
    }

    /// Whether everything was read. Bytes carry no mark of their schema, so what is left over shows a wrong one.
    pub(crate) const fn is_at_end(&self) -> bool {
        self.rest.is_empty()
    }

    fn take(&mut self, count: usize) -> Result<&'a [u8], Malformed> {
        let (taken, rest) = self.rest.split_at_checked(count).ok_or(Malformed("the data end too early"))?;
        self.rest = rest;
        Ok(taken)
    }

    /// A number of variable length, zigzag.
    pub(crate) fn long(&mut self) -> Result<i64, Malformed> {
        let mut number = 0_u64;
        for (at, byte) in self.rest.iter().take(10).enumerate() {
            number |= u64::from(byte & 0x7f) << (7 * at);
            if byte & 0x80 == 0 {
                self.rest = &self.rest[at + 1..];
                return Ok((number >> 1).cast_signed() ^ -(number & 1).cast_signed());
            }
        }
        Err(Malformed("a number has no end"))
    }

    fn length(&mut self) -> Result<usize, Malformed> {
        usize::try_from(self.long()?).map_err(|_| Malformed("a length is negative"))
    }

    pub(crate) fn text(&mut self) -> Result<&'a str, Malformed> {
        let length = self.length()?;
        std::str::from_utf8(self.take(length)?).map_err(|_| Malformed("a text is no UTF-8"))
    }

    fn double(&mut self) -> Result<f64, Malformed> {
        let bytes = self.take(8)?.try_into().map_err(|_| Malformed("the data end too early"))?;
        Ok(f64::from_le_bytes(bytes))
    }

    /// The branch of a union, or the kind itself.
    pub(crate) fn branch<'k>(&mut self, kind: &'k Kind) -> Result<&'k Kind, Malformed> {
        match kind {
            Kind::Union(branches) => {
                let at = self.length()?;
                branches.get(at).ok_or(Malformed("a union has no such branch"))
            }
            other => Ok(other),
        }
    }

    /// Reads a value, or the beginning of a record.
    pub(crate) fn datum(&mut self, kind: &Kind) -> Result<Datum<'a>, Malformed> {
        Ok(match self.branch(kind)? {
            Kind::Null => Datum::Null,
            Kind::Boolean => Datum::Boolean(self.take(1)? == [1]),
            Kind::Int => Datum::Int(self.long()?),
            Kind::Long => Datum::Long(self.long()?),
            Kind::Double => Datum::Double(self.double()?),
            Kind::Text => Datum::Text(self.text()?),
            Kind::Record(at) => Datum::Record(*at),
            other => {
                self.skip_at(other, 0)?;
                Datum::Other
            }
        })
    }

    /// Texts of an array.
    pub(crate) fn texts(&mut self) -> Result<Vec<&'a str>, Malformed> {
        let mut texts = Vec::new();
        self.items(|reader| {
            texts.push(reader.text()?);
            Ok(())
        })?;
        Ok(texts)
    }

    /// Reads blocks of items. Each takes a byte at least, so that a count alone cannot keep anybody busy.
    fn items(&mut self, mut item: impl FnMut(&mut Self) -> Result<(), Malformed>) -> Result<(), Malformed> {
        loop {
            let mut count = self.long()?;
            if count == 0 {
                return Ok(());
            }
            if count < 0 {
                // The size of the block in bytes follows.
                self.long()?;
                count = count.checked_neg().ok_or(Malformed("a block is too long"))?;
            }
            if usize::try_from(count).map_or(true, |count| count > self.rest.len()) {
                return Err(Malformed("a block is longer than the data"));
            }
            for _ in 0..count {
                item(self)?;
            }
        }
    }

    pub(crate) fn skip(&mut self, kind: &Kind) -> Result<(), Malformed> {
        self.skip_at(kind, 0)
    }

    fn skip_at(&mut self, kind: &Kind, depth: u32) -> Result<(), Malformed> {
        if depth > DEEPEST {
            return Err(Malformed("the data are too deep"));
        }
        match kind {
            Kind::Null => {}
            Kind::Boolean => drop(self.take(1)?),
            Kind::Int | Kind::Long | Kind::Enum(_) => drop(self.long()?),
            Kind::Float => drop(self.take(4)?),
            Kind::Double => drop(self.take(8)?),
            Kind::Bytes | Kind::Text => {
                let length = self.length()?;
                self.take(length)?;
            }
            Kind::Fixed(size) => drop(self.take(*size)?),
            Kind::Array(item) => self.items(|reader| reader.skip_at(item, depth + 1))?,
            Kind::Map(value) => self.items(|reader| {
                reader.skip_at(&Kind::Text, depth + 1)?;
                reader.skip_at(value, depth + 1)
            })?,
            Kind::Union(_) => {
                let branch = self.branch(kind)?;
                self.skip_at(branch, depth + 1)?;
            }
            Kind::Record(at) => {
                let schema = self.schema;
                for (_, field) in &schema.records[*at].fields {
                    self.skip_at(field, depth + 1)?;
                }
            }
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    const SCHEMA: &str = r#"{"type":"record","name":"E","namespace":"n","fields":[
        {"name":"a","type":["null",{"type":"record","name":"Address","fields":[{"name":"Street","type":["null","string"]}]}]},
        {"name":"b","type":["null","n.Address"]},{"name":"c","type":{"type":"array","items":"long"}},
        {"name":"d","type":{"type":"map","values":{"type":"fixed","name":"F","size":2}}},
        {"name":"e","type":{"type":"enum","name":"K","symbols":["X","Y"]}},
        {"name":"f","type":["null","E"]},{"name":"g","type":"double"},{"name":"h","type":"float"}]}"#;

    #[test]
    fn a_named_type_is_used_again_with_and_without_its_namespace() {
        let schema = Schema::parse(SCHEMA).unwrap();
        let fields = &schema.root().fields;
        assert_eq!(fields[1].1, Kind::Union(vec![Kind::Null, Kind::Record(1)]));
        assert_eq!(schema.records[1].fields[0].0, "Street");
    }

    #[test]
    fn schemas_that_are_none_are_refused() {
        for json in [
            "",
            "null",
            "\"string\"",
            r#"{"type":"record","name":"E"}"#,
            r#"{"type":"record","name":"E","fields":[{"name":"a","type":"Nobody"}]}"#,
        ] {
            assert!(Schema::parse(json).is_err(), "{json}");
        }
        let deep = format!("{}\"null\"{}", "[".repeat(100), "]".repeat(100));
        assert!(Schema::parse(&deep).is_err());
    }

    #[test]
    fn numbers_are_zigzag() {
        let schema = Schema::parse(SCHEMA).unwrap();
        for (bytes, number) in [(&[0x00_u8][..], 0), (&[0x01], -1), (&[0x02], 1), (&[0xac, 0x02], 150)] {
            assert_eq!(Reader::new(&schema, bytes).long().unwrap(), number);
        }
        let longest = [0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0x01];
        assert_eq!(Reader::new(&schema, &longest).long().unwrap(), i64::MIN);
        assert!(Reader::new(&schema, &[0xff; 11]).long().is_err());
    }

    #[test]
    fn a_count_alone_keeps_nobody_busy() {
        let schema = Schema::parse(SCHEMA).unwrap();
        let huge = [0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0x01, 0x00];
        assert!(Reader::new(&schema, &huge).skip(&Kind::Array(Box::new(Kind::Null))).is_err());
    }

    proptest! {
        #[test]
        fn no_bytes_make_a_panic(bytes in proptest::collection::vec(any::<u8>(), 0..300)) {
            let schema = Schema::parse(SCHEMA).unwrap();
            let _ = Reader::new(&schema, &bytes).skip(&Kind::Record(schema.root));
        }

        #[test]
        fn no_json_makes_a_panic(json in ".*") {
            let _ = Schema::parse(&json);
        }
    }
}
