//! The cells of a record as its row keeps them: short JSON, because every record has them for every field. Most fields
//! were set by the same few at the same few moments, so each of those is told once, under the name that no field has.

use std::{collections::BTreeMap, fmt, marker::PhantomData, sync::Arc};

use jiff::Timestamp;
use model::Value;
use serde::{Deserialize, Deserializer, Serialize, Serializer, de, ser::SerializeMap as _};

use crate::domain::cell::Cell;

/// The name under which the row says who set its fields, and when.
const STAMPS: &str = "";

/// When a field was set, the place of whoever did, and the version that the record had then.
type Stamp = (Timestamp, usize, i64);

/// Cells to be stored.
pub(super) struct Stored<'a>(pub(super) &'a BTreeMap<String, Cell>);

#[derive(Serialize)]
struct StoredStamps<'a> {
    o: Vec<&'a str>,
    s: Vec<Stamp>,
}

impl Serialize for Stored<'_> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let mut stamps = StoredStamps { o: Vec::new(), s: Vec::new() };
        let mut cells = Vec::with_capacity(self.0.len());
        for (field, cell) in self.0 {
            let origin = place(&mut stamps.o, &cell.origin);
            cells.push((field, (&cell.value, place(&mut stamps.s, (cell.at, origin, cell.version)))));
        }
        let mut map = serializer.serialize_map(Some(cells.len() + 1))?;
        map.serialize_entry(STAMPS, &stamps)?;
        for (field, cell) in cells {
            map.serialize_entry(field, &cell)?;
        }
        map.end()
    }
}

/// The place of something in a short list, which it joins unless it is there.
fn place<T: PartialEq>(list: &mut Vec<T>, wanted: T) -> usize {
    list.iter().position(|there| *there == wanted).unwrap_or_else(|| {
        list.push(wanted);
        list.len() - 1
    })
}

/// Cells as they were stored.
pub(super) struct Read(pub(super) BTreeMap<String, Cell>);

#[derive(Deserialize)]
struct ReadStamps {
    o: Vec<Arc<str>>,
    s: Vec<Stamp>,
}

/// A field of a row that was last written long ago, which had a stamp of its own.
#[derive(Deserialize)]
struct CellOfBefore {
    v: Value,
    t: Timestamp,
    o: Origin,
    #[serde(default)]
    n: i64,
}

/// Who set such a field: the place of their name, or the name.
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

/// What is a list in rows of one time and an object in those of another.
enum Either<L, O> {
    List(L),
    Object(O),
}

impl<'de, L: Deserialize<'de>, O: Deserialize<'de>> Deserialize<'de> for Either<L, O> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct Visitor<L, O>(PhantomData<(L, O)>);
        impl<'de, L: Deserialize<'de>, O: Deserialize<'de>> de::Visitor<'de> for Visitor<L, O> {
            type Value = Either<L, O>;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("a list or an object")
            }

            fn visit_seq<A: de::SeqAccess<'de>>(self, seq: A) -> Result<Self::Value, A::Error> {
                L::deserialize(de::value::SeqAccessDeserializer::new(seq)).map(Either::List)
            }

            fn visit_map<A: de::MapAccess<'de>>(self, map: A) -> Result<Self::Value, A::Error> {
                O::deserialize(de::value::MapAccessDeserializer::new(map)).map(Either::Object)
            }
        }
        deserializer.deserialize_any(Visitor(PhantomData))
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
        let mut stamps = ReadStamps { o: Vec::new(), s: Vec::new() };
        let mut cells = Vec::new();
        while let Some(field) = map.next_key::<String>()? {
            if field == STAMPS {
                stamps = match map.next_value()? {
                    Either::Object(stamps) => stamps,
                    // A row that was last written long ago.
                    Either::List(o) => ReadStamps { o, s: Vec::new() },
                };
            } else {
                cells.push((field, map.next_value::<Either<(Value, usize), CellOfBefore>>()?));
            }
        }
        let nobody = || de::Error::custom("a cell was set by nobody who is named");
        let named = |place: usize| stamps.o.get(place).cloned().ok_or_else(nobody);
        let cells = cells.into_iter().map(|(field, cell)| {
            let (value, (at, origin, version)) = match cell {
                Either::List((value, stamp)) => {
                    let (at, origin, version) = *stamps.s.get(stamp).ok_or_else(nobody)?;
                    (value, (at, named(origin)?, version))
                }
                Either::Object(CellOfBefore { v, t, o, n }) => {
                    let origin = match o {
                        Origin::Name(name) => name,
                        Origin::Place(place) => named(place)?,
                    };
                    (v, (t, origin, n))
                }
            };
            Ok((field, Cell { value, at, origin, version }))
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
    fn what_was_set_at_once_is_stamped_once() {
        let cell = |text: &str, version| Cell {
            value: Value::text(text),
            at: Timestamp::from_second(version).unwrap(),
            origin: "user:ann".into(),
            version,
        };
        let (name, city, phone) = (cell("Acme", 1), cell("Bonn", 1), cell("12", 2));
        let cells = BTreeMap::from([
            ("name".to_owned(), name),
            ("city".to_owned(), city),
            ("phone".to_owned(), phone),
        ]);
        let text = concat!(
            r#"{"":{"o":["user:ann"],"s":[["1970-01-01T00:00:01Z",0,1],["1970-01-01T00:00:02Z",0,2]]},"#,
            r#""city":["Bonn",0],"name":["Acme",0],"phone":["12",1]}"#
        );
        assert_eq!(serde_json::to_string(&Stored(&cells)).unwrap(), text);
    }

    #[test]
    fn rows_of_before_are_read() {
        for text in [
            r#"{"name":{"v":"Acme","t":"2026-11-01T10:00:00Z","o":"user:ann"}}"#,
            r#"{"":["user:ann"],"name":{"v":"Acme","t":"2026-11-01T10:00:00Z","o":0,"n":0}}"#,
        ] {
            let cells = serde_json::from_str::<Read>(text).unwrap().0;
            assert_eq!((&*cells["name"].origin, cells["name"].version), ("user:ann", 0));
            assert_eq!(cells["name"].value, Value::text("Acme"));
        }
    }

    #[test]
    fn a_row_that_names_nobody_is_refused() {
        for place in ["1", "-1", "null"] {
            for text in [
                format!(r#"{{"":["user:ann"],"name":{{"v":1,"t":"2026-11-01T10:00:00Z","o":{place}}}}}"#),
                format!(
                    r#"{{"":{{"o":["user:ann"],"s":[["2026-11-01T10:00:00Z",0,1]]}},"name":["Acme",{place}]}}"#
                ),
                format!(
                    r#"{{"":{{"o":["user:ann"],"s":[["2026-11-01T10:00:00Z",{place},1]]}},"name":["Acme",0]}}"#
                ),
            ] {
                assert!(serde_json::from_str::<Read>(&text).is_err(), "{text}");
            }
        }
    }
}
