//! Paths of routes and of calls.

use std::collections::HashMap;

/// The parameters of a path that fits a pattern such as `/crm/v3/objects/{type}`; None when it does not.
pub(crate) fn params_of(pattern: &'static str, path: &[&str]) -> Option<HashMap<&'static str, String>> {
    let mut params = HashMap::new();
    let mut given = path.iter();
    for expected in pattern.split('/') {
        let given = *given.next()?;
        match expected.strip_prefix('{').and_then(|name| name.strip_suffix('}')) {
            Some(name) => {
                params.insert(name, decode(given)?);
            }
            None if expected == given => {}
            None => return None,
        }
    }
    given.next().is_none().then_some(params)
}

/// Undoes percent-encoding; None when the bytes are not text.
fn decode(text: &str) -> Option<String> {
    let mut bytes = Vec::with_capacity(text.len());
    let mut rest = text.as_bytes();
    while let Some((first, after)) = rest.split_first() {
        let hex = (*first == b'%').then(|| after.get(..2)).flatten();
        let value = hex.and_then(|hex| u8::from_str_radix(std::str::from_utf8(hex).ok()?, 16).ok());
        bytes.push(value.unwrap_or(*first));
        rest = if value.is_some() { &after[2..] } else { after };
    }
    String::from_utf8(bytes).ok()
}
