//! The cells of a record as its row keeps them: JSON with short names, because every record has them for every field.
//! Most fields were set by the same few, so each of those is named once, under the name that no field has.

use std::{collections::BTreeMap, fmt, sync::Arc};

use jiff::Timestamp;
use model::Value;
use serde::{Deserialize, Deserializer, Serialize, Serializer, de, ser::SerializeMap};

use crate::domain::cell::Cell;

/// The name under which the row says who set its fields.
const ORIGINS: &str = "";

/// Cells to be stored.
pub(super) struct Stored<'a>(pub(super) &'a BTreeMap<String, Cell>);

#[derive(Serialize)]
struct StoredCell<'a> {
    v: &'a Value,
    t: Timestamp,
    o: usize,
    n: i64,
}

impl Serialize for Stored<'_> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let mut origins: Vec<&str> = Vec::new();
        let mut cells = Vec::with_capacity(self.0.len());
        for (field, cell) in self.0 {
            let known = origins.iter().position(|origin| **origin == *cell.origin);
            let place = known.unwrap_or_else(|| {
                origins.push(&cell.origin);
                origins.len() - 1
            });
            cells.push((field, StoredCell { v: &cell.value, t: cell.at, o: place, n: cell.version }));
        }
        let mut map = serializer.serialize_map(Some(cells.len() + 1))?;
        map.serialize_entry(ORIGINS, &origins)?;
        for (field, cell) in cells {
            map.serialize_entry(field, &cell)?;
        }
        map.end()
    }
}

/// Cells as they were stored.
pub(super) struct Read(pub(super) BTreeMap<String, Cell>);

#[derive(Deserialize)]
struct ReadCell {
    v: Value,
    t: Timestamp,
    o: Origin,
    #[serde(default)]
    n: i64,
}

/// Who set a field: the place of their name, or, in a row that was last written long ago, the name.
enum Origin {
    Place(usize),
    Name(Arc<str>),
}

impl<'de> Deserialize<'de> for Origin {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct Visitor;
        impl de::Visitor<'_> for Visitor {
            type Value = Origin;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("a name or its place")
            }

            fn visit_u64<E: de::Error>(self, place: u64) -> Result<Origin, E> {
                usize::try_from(place).map(Origin::Place).map_err(E::custom)
            }

            fn visit_str<E>(self, name: &str) -> Result<Origin, E> {
                Ok(Origin::Name(name.into()))
            }
        }
        deserializer.deserialize_any(Visitor)
    }
}

impl<'de> Deserialize<'de> for Read {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_map(ReadVisitor)
    }
}

struct ReadVisitor;

impl<'de> de::Visitor<'de> for ReadVisitor {
    type Value = Read;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("the cells of a record")
    }

    fn visit_map<A: de::MapAccess<'de>>(self, mut map: A) -> Result<Read, A::Error> {
        let mut origins: Vec<Arc<str>> = Vec::new();
        let mut cells = Vec::new();
        while let Some(field) = map.next_key::<String>()? {
            if field == ORIGINS {
                origins = map.next_value()?;
            } else {
                cells.push((field, map.next_value::<ReadCell>()?));
            }
        }
        let cells = cells.into_iter().map(|(field, ReadCell { v, t, o, n })| {
            let origin = match o {
                Origin::Name(name) => name,
                Origin::Place(place) => {
                    let name = origins.get(place).cloned();
                    name.ok_or_else(|| de::Error::custom("a cell was set by nobody who is named"))?
                }
            };
            Ok((field, Cell { value: v, at: t, origin, version: n }))
        });
        cells.collect::<Result<_, _>>().map(Read)
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    proptest! {
        #[test]
        fn cells_are_read_as_they_were_stored(
            cells in proptest::collection::btree_map("[a-z]{1,3}", (".{0,4}", 0..4_i64, 0..9_i64), 0..9),
        ) {
            let cells: BTreeMap<String, Cell> = cells
                .into_iter()
                .map(|(field, (text, by, version))| {
                    let origin = format!("user:{by}").into();
                    let at = Timestamp::from_millisecond(version).unwrap();
                    (field, Cell { value: Value::text(text), at, origin, version })
                })
                .collect();
            let text = serde_json::to_string(&Stored(&cells)).unwrap();
            prop_assert_eq!(serde_json::from_str::<Read>(&text).unwrap().0, cells);
        }
    }

    #[test]
    fn a_row_of_before_is_read_and_one_that_names_nobody_is_refused() {
        let text = r#"{"name":{"v":"Acme","t":"2026-11-01T10:00:00Z","o":"user:ann"}}"#;
        let cells = serde_json::from_str::<Read>(text).unwrap().0;
        assert_eq!((&*cells["name"].origin, cells["name"].version), ("user:ann", 0));
        for place in ["1", "-1", "null"] {
            let text =
                format!(r#"{{"":["user:ann"],"name":{{"v":1,"t":"2026-11-01T10:00:00Z","o":{place}}}}}"#);
            assert!(serde_json::from_str::<Read>(&text).is_err(), "{place}");
        }
    }
}
