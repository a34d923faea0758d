//! Where a JSON body has something.

use serde_json::Value;

/// What a path leads to: `data.custom_fields.0.value`, through objects by their keys and lists by their places from 0. A key may
/// have dots itself; the longest that fits is taken. None where nothing or null is there.
pub(crate) fn follow<'j>(body: &'j Value, path: &str) -> Option<&'j Value> {
    let (mut at, mut rest) = (body, Some(path));
    while let Some(path) = rest {
        let ends = || std::iter::once(path.len()).chain(path.rmatch_indices('.').map(|(end, _)| end));
        let step = |end: usize| match at {
            Value::Object(object) => object.get(&path[..end]),
            Value::Array(list) => list.get(path[..end].parse::<usize>().ok()?),
            _ => None,
        };
        let (end, found) = ends().find_map(|end| Some((end, step(end)?)))?;
        (at, rest) = (found, path.get(end + 1..));
    }
    Some(at).filter(|found| !found.is_null())
}

/// The first of several paths that leads somewhere; they have commas between them.
pub(crate) fn first<'j>(body: &'j Value, paths: &str) -> Option<&'j Value> {
    paths.split(',').map(str::trim).find_map(|path| follow(body, path))
}

/// A text, a number or a yes or no as a text; none of anything else, and of a blank text.
pub(crate) fn text(value: &Value) -> Option<String> {
    match value {
        Value::String(text) => Some(text.trim()).filter(|text| !text.is_empty()).map(str::to_owned),
        Value::Number(number) => Some(number.to_string()),
        Value::Bool(yes) => Some(yes.to_string()),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn a_path_leads_through_objects_and_lists() {
        let body = json!({ "data": { "people": [{ "email": "a@b.example" }], "none": null, "9": "nine", "custom.cf_1": 7 } });
        assert_eq!(follow(&body, "data.people.0.email"), Some(&json!("a@b.example")));
        assert_eq!(follow(&body, "data.9"), Some(&json!("nine")));
        assert_eq!(follow(&body, "data.custom.cf_1"), Some(&json!(7)));
        for nowhere in
            ["", "data.people.1", "data.people.email", "data.none", "data.people.0.email.0", "..", "data."]
        {
            assert_eq!(follow(&body, nowhere), None, "{nowhere}");
        }
        assert_eq!(first(&body, "data.none, data.9"), Some(&json!("nine")));
    }

    proptest::proptest! {
        #[test]
        fn no_path_is_too_odd(path in ".*") {
            let _ = first(&json!({ "a": [1, { "": 2 }] }), &path);
        }
    }
}
