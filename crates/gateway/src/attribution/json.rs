//! JSON as bytes: whether the house can hold it, and what a piece of it is.

/// How deep objects and lists may lie in each other.
pub(super) const DEEPEST: usize = 64;

/// Why a body cannot be held.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Unheld {
    /// It is not JSON in UTF-8.
    Malformed,
    /// Its objects and lists lie deeper in each other than [`DEEPEST`].
    TooDeep,
    /// A text has the character U+0000, which no database of ours can hold.
    Nul,
}

/// The text of a body that is JSON in UTF-8, every text and number of it one that can be kept.
pub(super) fn held(body: &[u8]) -> Result<&str, Unheld> {
    let text = std::str::from_utf8(body).map_err(|_| Unheld::Malformed)?;
    if depth(body) > DEEPEST {
        return Err(Unheld::TooDeep);
    }
    let value: Held = serde_json::from_str(text).map_err(|_| Unheld::Malformed)?;
    if value.has_nul { Err(Unheld::Nul) } else { Ok(text) }
}

/// How JSON calls what this is.
pub(super) fn kind(json: &str) -> &'static str {
    match json.as_bytes().first() {
        Some(b'"') => "string",
        Some(b'{') => "object",
        Some(b'[') => "array",
        Some(b't' | b'f') => "boolean",
        Some(b'n') => "null",
        _ => "number",
    }
}

/// How deep objects and lists lie in each other.
fn depth(json: &[u8]) -> usize {
    let (mut depth, mut deepest, mut in_text, mut escaped) = (0_usize, 0, false, false);
    for byte in json {
        match byte {
            _ if escaped => escaped = false,
            b'\\' if in_text => escaped = true,
            b'"' => in_text = !in_text,
            _ if in_text => {}
            b'{' | b'[' => {
                depth += 1;
                deepest = deepest.max(depth);
            }
            b'}' | b']' => depth = depth.saturating_sub(1),
            _ => {}
        }
    }
    deepest
}

/// Walks a whole body once, without keeping it: every text is decoded, every number is in range.
struct Held {
    has_nul: bool,
}

impl<'de> serde::Deserialize<'de> for Held {
    fn deserialize<D: serde::Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_any(HeldVisitor)
    }
}

struct HeldVisitor;

impl<'de> serde::de::Visitor<'de> for HeldVisitor {
    type Value = Held;

    fn expecting(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("JSON")
    }

    fn visit_bool<E>(self, _: bool) -> Result<Held, E> {
        Ok(Held { has_nul: false })
    }

    fn visit_i64<E>(self, _: i64) -> Result<Held, E> {
        Ok(Held { has_nul: false })
    }

    fn visit_u64<E>(self, _: u64) -> Result<Held, E> {
        Ok(Held { has_nul: false })
    }

    fn visit_f64<E>(self, _: f64) -> Result<Held, E> {
        Ok(Held { has_nul: false })
    }

    fn visit_unit<E>(self) -> Result<Held, E> {
        Ok(Held { has_nul: false })
    }

    fn visit_str<E>(self, text: &str) -> Result<Held, E> {
        Ok(Held { has_nul: text.contains('\0') })
    }

    fn visit_seq<A: serde::de::SeqAccess<'de>>(self, mut items: A) -> Result<Held, A::Error> {
        let mut has_nul = false;
        while let Some(item) = items.next_element::<Held>()? {
            has_nul |= item.has_nul;
        }
        Ok(Held { has_nul })
    }

    fn visit_map<A: serde::de::MapAccess<'de>>(self, mut entries: A) -> Result<Held, A::Error> {
        let mut has_nul = false;
        while let Some((name, value)) = entries.next_entry::<Held, Held>()? {
            has_nul |= name.has_nul || value.has_nul;
        }
        Ok(Held { has_nul })
    }
}
