//! A reader of change events that knows nothing of how the sandbox writes them.

use std::collections::{BTreeMap, HashMap};

use serde_json::{Map, Value, json};

/// A change event, read.
#[derive(Debug, Clone)]
pub(crate) struct Change {
    pub(crate) header: Value,
    /// The fields that are not null, as the schema names them: `Name`, `BillingAddress.City`.
    pub(crate) values: BTreeMap<String, Value>,
    pub(crate) changed: Vec<String>,
    pub(crate) nulled: Vec<String>,
    pub(crate) diff: Vec<String>,
}

impl Change {
    /// Reads an event by its schema.
    pub(crate) fn read(schema: &Value, payload: &[u8]) -> Result<Self, String> {
        let datum = decode(schema, payload)?;
        let header = datum["ChangeEventHeader"].clone();
        let mut values = BTreeMap::new();
        for (name, value) in datum.as_object().into_iter().flatten() {
            match value {
                Value::Null => {}
                _ if name == "ChangeEventHeader" => {}
                Value::Object(parts) => values.extend(
                    parts
                        .iter()
                        .filter(|(_, value)| !value.is_null())
                        .map(|(part, value)| (format!("{name}.{part}"), value.clone())),
                ),
                value => drop(values.insert(name.clone(), value.clone())),
            }
        }
        let fields = |name: &str| fields(schema, &header[name]);
        let (changed, nulled, diff) =
            (fields("changedFields")?, fields("nulledFields")?, fields("diffFields")?);
        Ok(Self { header, values, changed, nulled, diff })
    }

    pub(crate) fn kind(&self) -> &str {
        self.header["changeType"].as_str().expect("a change type")
    }

    pub(crate) fn ids(&self) -> Vec<&str> {
        self.header["recordIds"].as_array().expect("ids").iter().filter_map(Value::as_str).collect()
    }
}

/// The names of the fields that bitmaps name.
fn fields(schema: &Value, bitmaps: &Value) -> Result<Vec<String>, String> {
    let mut names = Vec::new();
    let name = |fields: &Value, at: usize| {
        let name = fields[at]["name"].as_str().ok_or_else(|| format!("no field {at}"))?;
        Ok::<_, String>(name.to_owned())
    };
    let mut records = HashMap::new();
    find_records(schema, &mut records);
    for element in bitmaps.as_array().ok_or("no bitmaps")? {
        let element = element.as_str().ok_or("no text")?;
        match element.split_once('-') {
            None => {
                for at in bits(element)? {
                    names.push(name(&schema["fields"], at)?);
                }
            }
            Some((parent, bitmap)) => {
                let parent: usize = parent.parse().map_err(|_| element.to_owned())?;
                let branches = schema["fields"][parent]["type"].as_array().ok_or("no union")?;
                let record = branches
                    .iter()
                    .find_map(|branch| match branch {
                        Value::String(name) => records.get(name).cloned(),
                        branch => branch.get("fields").map(|_| branch.clone()),
                    })
                    .ok_or("no record")?;
                for at in bits(bitmap)? {
                    names.push(format!(
                        "{}.{}",
                        name(&schema["fields"], parent)?,
                        name(&record["fields"], at)?
                    ));
                }
            }
        }
    }
    Ok(names)
}

fn bits(bitmap: &str) -> Result<Vec<usize>, String> {
    let digits = bitmap.strip_prefix("0x").ok_or_else(|| format!("not a bitmap: {bitmap}"))?;
    let upper = digits.chars().all(|digit| digit.is_ascii_digit() || ('A'..='F').contains(&digit));
    if digits.is_empty() || digits.len() % 2 == 1 || !upper {
        return Err(format!("not whole bytes in upper case: {bitmap}"));
    }
    let mut set = Vec::new();
    for (place, digit) in digits.chars().rev().enumerate() {
        let digit = digit.to_digit(16).ok_or("no digit")?;
        set.extend((0..4).filter(|bit| digit >> bit & 1 == 1).map(|bit| place * 4 + bit));
    }
    Ok(set)
}

fn find_records(schema: &Value, records: &mut HashMap<String, Value>) {
    match schema {
        Value::Array(branches) => branches.iter().for_each(|one| find_records(one, records)),
        Value::Object(map) => {
            let text = |key: &str| map.get(key).and_then(Value::as_str);
            if let (Some("record"), Some(name)) = (text("type"), text("name")) {
                records.insert(name.to_owned(), schema.clone());
            }
            map.values().filter(|value| !value.is_string()).for_each(|one| find_records(one, records));
        }
        _ => {}
    }
}

/// Reads one datum; every byte must belong to it.
pub(crate) fn decode(schema: &Value, bytes: &[u8]) -> Result<Value, String> {
    // A type is defined where it is used first, and that field may be null in this datum.
    let mut named = HashMap::new();
    find_records(schema, &mut named);
    let mut reader = Reader { bytes, named };
    let value = reader.value(schema)?;
    match reader.bytes {
        [] => Ok(value),
        rest => Err(format!("{} bytes are left", rest.len())),
    }
}

struct Reader<'a> {
    bytes: &'a [u8],
    named: HashMap<String, Value>,
}

impl Reader<'_> {
    fn take(&mut self, count: usize) -> Result<&[u8], String> {
        let (taken, rest) = self.bytes.split_at_checked(count).ok_or("the datum ends early")?;
        self.bytes = rest;
        Ok(taken)
    }

    fn long(&mut self) -> Result<i64, String> {
        let mut value = 0_u64;
        for shift in (0..64).step_by(7) {
            let byte = self.take(1)?[0];
            value |= u64::from(byte & 0x7f) << shift;
            if byte < 0x80 {
                return Ok((value >> 1).cast_signed() ^ -(value & 1).cast_signed());
            }
        }
        Err("a number has no end".to_owned())
    }

    fn count(&mut self) -> Result<usize, String> {
        usize::try_from(self.long()?).map_err(|_| "a negative count".to_owned())
    }

    fn value(&mut self, schema: &Value) -> Result<Value, String> {
        if let Value::Array(branches) = schema {
            let branch = self.count()?;
            return self.value(&branches.get(branch).ok_or("no such branch")?.clone());
        }
        if let Value::Object(map) = schema {
            return self.complex(map);
        }
        let name = schema.as_str().ok_or("no type")?;
        Ok(match name {
            "null" => Value::Null,
            "boolean" => json!(self.take(1)?[0] == 1),
            "int" | "long" => json!(self.long()?),
            "double" => {
                let bytes = self.take(8)?.try_into().map_err(|_| "eight bytes")?;
                json!(f64::from_le_bytes(bytes))
            }
            "string" => {
                let count = self.count()?;
                json!(String::from_utf8(self.take(count)?.to_vec()).map_err(|error| error.to_string())?)
            }
            name => {
                let schema = self.named.get(name).cloned().ok_or_else(|| format!("no type {name}"))?;
                self.value(&schema)?
            }
        })
    }

    fn complex(&mut self, schema: &Map<String, Value>) -> Result<Value, String> {
        match schema["type"].as_str().ok_or("no type")? {
            "record" => {
                let mut record = Map::new();
                for field in schema["fields"].as_array().ok_or("no fields")? {
                    let name = field["name"].as_str().ok_or("no name")?;
                    let value = self.value(&field["type"]).map_err(|error| format!("{name}: {error}"))?;
                    record.insert(name.to_owned(), value);
                }
                Ok(Value::Object(record))
            }
            "enum" => {
                let at = self.count()?;
                Ok(schema["symbols"].get(at).ok_or("no such symbol")?.clone())
            }
            "array" => {
                let mut items = Vec::new();
                loop {
                    match self.count()? {
                        0 => return Ok(Value::Array(items)),
                        count => {
                            for _ in 0..count {
                                items.push(self.value(&schema["items"])?);
                            }
                        }
                    }
                }
            }
            other => self.value(&json!(other)),
        }
    }
}
