//! What a person fills into a dialog, in the shape that a submission tells it.

use serde_json::{Map, Value, json};

/// What is wrong with an input, by its block.
pub(crate) type Complaints = Vec<(String, String)>;

/// The state of a dialog: what was filled in, or what it began with. The vendor's client lets nobody
/// submit what is incomplete.
pub(crate) fn state(blocks: &Value, given: &Map<String, Value>) -> Result<Value, Complaints> {
    let (mut values, mut complaints) = (Map::new(), Vec::new());
    for block in blocks.as_array().into_iter().flatten().filter(|block| block["type"] == "input") {
        let (element, block_id) = (&block["element"], block["block_id"].as_str().unwrap_or_default());
        let action_id = element["action_id"].as_str().unwrap_or_default();
        // By block and action, or by the action alone, as it suits whoever fills it in.
        let answer =
            given.get(block_id).and_then(|block| block.get(action_id)).or_else(|| given.get(action_id));
        let value = fill(element, answer);
        if let Some(complaint) = complaint(block, element, &value) {
            complaints.push((block_id.to_owned(), complaint.to_owned()));
        }
        values.insert(block_id.to_owned(), json!({ action_id: value }));
    }
    if complaints.is_empty() { Ok(json!({ "values": values })) } else { Err(complaints) }
}

fn fill(element: &Value, answer: Option<&Value>) -> Value {
    let kind = element["type"].as_str().unwrap_or_default();
    let text = |initial: &str| match answer {
        Some(Value::String(text)) if text.is_empty() => Value::Null,
        Some(answer) => answer.clone(),
        None => element[initial].clone(),
    };
    let option_of = |value: &Value| -> Option<Value> {
        let options = element["options"].as_array()?;
        options.iter().find(|option| option["value"] == *value).cloned()
    };
    match kind {
        "static_select" | "radio_buttons" => {
            let chosen = match answer {
                Some(answer) => option_of(answer).unwrap_or(Value::Null),
                None => element["initial_option"].clone(),
            };
            json!({"type": kind, "selected_option": chosen})
        }
        "checkboxes" | "multi_static_select" => {
            let chosen: Vec<Value> = match answer {
                Some(Value::Array(list)) => list.iter().filter_map(option_of).collect(),
                Some(one) => option_of(one).into_iter().collect(),
                None => element["initial_options"].as_array().cloned().unwrap_or_default(),
            };
            json!({"type": kind, "selected_options": chosen})
        }
        "users_select" => json!({"type": kind, "selected_user": text("initial_user")}),
        "datepicker" => json!({"type": kind, "selected_date": text("initial_date")}),
        "timepicker" => json!({"type": kind, "selected_time": text("initial_time")}),
        _ => json!({"type": kind, "value": text("initial_value")}),
    }
}

fn complaint(block: &Value, element: &Value, value: &Value) -> Option<&'static str> {
    let value = value.as_object().and_then(|fields| fields.iter().find(|(key, _)| *key != "type"))?;
    let is_blank = value.1.is_null() || value.1.as_array().is_some_and(Vec::is_empty);
    if is_blank {
        let is_required = !block["optional"].as_bool().unwrap_or(false);
        return is_required.then_some("Please complete this required field.");
    }
    let length = value.1.as_str().map(|text| text.chars().count() as u64)?;
    if element["min_length"].as_u64().is_some_and(|least| length < least) {
        return Some("This entry is too short.");
    }
    if element["max_length"].as_u64().is_some_and(|most| length > most) {
        return Some("This entry is too long.");
    }
    None
}
