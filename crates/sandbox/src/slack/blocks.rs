//! Block Kit: what is a block, and what the vendor says of what is none.

use std::collections::HashSet;

use serde_json::{Map, Value, json};

use super::auth::secret;

/// How many blocks a message takes.
pub(crate) const MESSAGE_MOST: usize = 50;
/// How many a dialog takes.
pub(crate) const VIEW_MOST: usize = 100;

/// What may stand in a block of actions, beside a section or in an input.
const ELEMENTS: [&str; 21] = [
    "button",
    "static_select",
    "multi_static_select",
    "users_select",
    "multi_users_select",
    "conversations_select",
    "channels_select",
    "external_select",
    "overflow",
    "datepicker",
    "timepicker",
    "datetimepicker",
    "checkboxes",
    "radio_buttons",
    "plain_text_input",
    "email_text_input",
    "url_text_input",
    "number_input",
    "rich_text_input",
    "image",
    "workflow_button",
];
/// Elements that need an action id of their own.
const PASSIVE: [&str; 1] = ["image"];

type Object = Map<String, Value>;

/// Reads blocks, notes what is wrong with them and fills in what the vendor fills in.
#[derive(Debug, Default)]
pub(crate) struct Checker {
    problems: Vec<String>,
    block_ids: HashSet<String>,
}

/// The blocks as the vendor keeps them; otherwise what is wrong with them, each with its place.
pub(crate) fn check(blocks: &Value, place: &str, most: usize) -> Result<Value, Vec<String>> {
    let mut checker = Checker::default();
    let Some(list) = blocks.as_array() else {
        return Err(vec![format!("[ERROR] must be an array [json-pointer:{place}]")]);
    };
    if list.len() > most {
        checker.note(place, &format!("no more than {most} items allowed"));
    }
    let kept: Vec<Value> =
        list.iter().enumerate().map(|(at, block)| checker.block(block, &format!("{place}/{at}"))).collect();
    checker.end(Value::Array(kept))
}

impl Checker {
    pub(crate) fn note(&mut self, place: &str, problem: &str) {
        self.problems.push(format!("[ERROR] {problem} [json-pointer:{place}]"));
    }

    /// What was read, unless something is wrong with it.
    pub(crate) fn end<T>(self, read: T) -> Result<T, Vec<String>> {
        if self.problems.is_empty() { Ok(read) } else { Err(self.problems) }
    }

    fn block(&mut self, block: &Value, place: &str) -> Value {
        let Some(object) = block.as_object() else {
            self.note(place, "must be an object");
            return Value::Null;
        };
        let mut kept = object.clone();
        let Some(kind) = object.get("type").and_then(Value::as_str) else {
            self.note(place, "missing required field: type");
            return Value::Null;
        };
        match kind {
            "section" => self.section(&mut kept, place),
            "header" => self.text(&mut kept, "text", place, true, 150, Some("plain_text")),
            "divider" | "rich_text" | "file" | "markdown" => {}
            "context" => self.list(&mut kept, place, 10, Self::context_element),
            "actions" => self.list(&mut kept, place, 25, Self::element),
            "image" => {
                self.string(&kept, "image_url", place, true, 3_000);
                self.string(&kept, "alt_text", place, true, 2_000);
            }
            "input" => self.input(&mut kept, place),
            other => self.note(&format!("{place}/type"), &format!("unsupported type: {other}")),
        }
        self.block_id(&mut kept, place);
        Value::Object(kept)
    }

    fn block_id(&mut self, kept: &mut Object, place: &str) {
        self.string(kept, "block_id", place, false, 255);
        let id = kept.get("block_id").and_then(Value::as_str).filter(|id| !id.is_empty()).map(str::to_owned);
        let id = id.unwrap_or_else(|| secret(5));
        kept.insert("block_id".to_owned(), json!(id));
        if !self.block_ids.insert(id.clone()) {
            self.note(&format!("{place}/block_id"), &format!("block_id already exists: {id}"));
        }
    }

    fn section(&mut self, kept: &mut Object, place: &str) {
        let fields = kept.get("fields").and_then(Value::as_array).cloned();
        if kept.get("text").is_none() && fields.is_none() {
            self.note(place, "missing required field: text");
        }
        self.text(kept, "text", place, false, 3_000, None);
        if let Some(fields) = fields {
            if fields.is_empty() {
                self.note(&format!("{place}/fields"), "no fewer than 1 items allowed");
            }
            if fields.len() > 10 {
                self.note(&format!("{place}/fields"), "no more than 10 items allowed");
            }
            let read = |(at, field): (usize, &Value)| {
                self.text_object(field, &format!("{place}/fields/{at}"), 2_000, None)
            };
            let fields: Vec<Value> = fields.iter().enumerate().map(read).collect();
            kept.insert("fields".to_owned(), json!(fields));
        }
        if let Some(accessory) = kept.get("accessory").cloned() {
            let read = self.element(&accessory, &format!("{place}/accessory"), &mut HashSet::new());
            kept.insert("accessory".to_owned(), read);
        }
    }

    fn input(&mut self, kept: &mut Object, place: &str) {
        self.text(kept, "label", place, true, 2_000, Some("plain_text"));
        self.text(kept, "hint", place, false, 2_000, Some("plain_text"));
        match kept.get("element").cloned() {
            Some(element) => {
                let read = self.element(&element, &format!("{place}/element"), &mut HashSet::new());
                kept.insert("element".to_owned(), read);
            }
            None => self.note(place, "missing required field: element"),
        }
    }

    fn list(
        &mut self,
        kept: &mut Object,
        place: &str,
        most: usize,
        each: fn(&mut Self, &Value, &str, &mut HashSet<String>) -> Value,
    ) {
        let place = format!("{place}/elements");
        let Some(elements) = kept.get("elements").and_then(Value::as_array).cloned() else {
            self.note(place.trim_end_matches("/elements"), "missing required field: elements");
            return;
        };
        if elements.is_empty() {
            self.note(&place, "no fewer than 1 items allowed");
        }
        if elements.len() > most {
            self.note(&place, &format!("no more than {most} items allowed"));
        }
        let mut ids = HashSet::new();
        let read = |(at, element): (usize, &Value)| each(self, element, &format!("{place}/{at}"), &mut ids);
        let read: Vec<Value> = elements.iter().enumerate().map(read).collect();
        kept.insert("elements".to_owned(), json!(read));
    }

    fn context_element(&mut self, element: &Value, place: &str, ids: &mut HashSet<String>) -> Value {
        if element["type"] == "image" {
            return self.element(element, place, ids);
        }
        self.text_object(element, place, 2_000, None)
    }

    fn element(&mut self, element: &Value, place: &str, ids: &mut HashSet<String>) -> Value {
        let Some(mut kept) = element.as_object().cloned() else {
            self.note(place, "must be an object");
            return Value::Null;
        };
        let kind = kept.get("type").and_then(Value::as_str).unwrap_or_default().to_owned();
        if !ELEMENTS.contains(&kind.as_str()) {
            self.note(&format!("{place}/type"), &format!("unsupported type: {kind}"));
            return element.clone();
        }
        if PASSIVE.contains(&kind.as_str()) {
            self.string(&kept, "image_url", place, true, 3_000);
            return element.clone();
        }
        if kind == "button" {
            self.button(&mut kept, place);
        }
        self.text(&mut kept, "placeholder", place, false, 150, Some("plain_text"));
        self.options(&mut kept, place);
        self.string(&kept, "action_id", place, false, 255);
        let id = kept.get("action_id").and_then(Value::as_str).filter(|id| !id.is_empty()).map(str::to_owned);
        let id = id.unwrap_or_else(|| secret(5));
        kept.insert("action_id".to_owned(), json!(id));
        if !ids.insert(id.clone()) {
            self.note(&format!("{place}/action_id"), &format!("action_id already exists: {id}"));
        }
        Value::Object(kept)
    }

    fn button(&mut self, kept: &mut Object, place: &str) {
        self.text(kept, "text", place, true, 75, Some("plain_text"));
        self.string(kept, "value", place, false, 2_000);
        self.string(kept, "url", place, false, 3_000);
        if let Some(style) = kept.get("style")
            && !["primary", "danger"].iter().any(|known| style == known)
        {
            self.note(&format!("{place}/style"), "must be one of: primary, danger");
        }
        if let Some(mut confirm) = kept.get("confirm").and_then(Value::as_object).cloned() {
            let place = format!("{place}/confirm");
            self.text(&mut confirm, "title", &place, true, 100, Some("plain_text"));
            self.text(&mut confirm, "text", &place, true, 300, None);
            self.text(&mut confirm, "confirm", &place, true, 30, Some("plain_text"));
            self.text(&mut confirm, "deny", &place, true, 30, Some("plain_text"));
            kept.insert("confirm".to_owned(), Value::Object(confirm));
        }
    }

    fn options(&mut self, kept: &mut Object, place: &str) {
        let Some(options) = kept.get("options").and_then(Value::as_array).cloned() else { return };
        if options.is_empty() || options.len() > 100 {
            self.note(&format!("{place}/options"), "between 1 and 100 items allowed");
        }
        let mut read = Vec::new();
        for (at, option) in options.iter().enumerate() {
            let (place, mut option) =
                (format!("{place}/options/{at}"), option.as_object().cloned().unwrap_or_default());
            self.text(&mut option, "text", &place, true, 75, None);
            self.string(&option, "value", &place, true, 150);
            read.push(Value::Object(option));
        }
        kept.insert("options".to_owned(), json!(read));
    }

    /// A text object under a key of its own.
    pub(crate) fn text(
        &mut self,
        kept: &mut Object,
        key: &str,
        place: &str,
        required: bool,
        most: usize,
        only: Option<&str>,
    ) {
        match kept.get(key).cloned() {
            Some(text) => {
                let read = self.text_object(&text, &format!("{place}/{key}"), most, only);
                kept.insert(key.to_owned(), read);
            }
            None if required => self.note(place, &format!("missing required field: {key}")),
            None => {}
        }
    }

    fn text_object(&mut self, text: &Value, place: &str, most: usize, only: Option<&str>) -> Value {
        let mut kept = text.clone();
        let kind = text["type"].as_str().unwrap_or_default();
        let is_known = only.map_or(["plain_text", "mrkdwn"].contains(&kind), |only| only == kind);
        if !is_known {
            self.note(&format!("{place}/type"), &format!("unsupported type: {kind}"));
            return kept;
        }
        match text["text"].as_str().map(|text| text.chars().count()) {
            None => self.note(place, "missing required field: text"),
            Some(0) => self.note(&format!("{place}/text"), "must be more than 0 characters"),
            Some(length) if length > most => {
                self.note(&format!("{place}/text"), &format!("must be less than {} characters", most + 1));
            }
            Some(_) => {}
        }
        let (key, default) = if kind == "mrkdwn" { ("verbatim", false) } else { ("emoji", true) };
        if let Some(kept) = kept.as_object_mut() {
            kept.entry(key).or_insert(json!(default));
        }
        kept
    }

    /// A text without decoration.
    pub(crate) fn string(&mut self, kept: &Object, key: &str, place: &str, required: bool, most: usize) {
        match kept.get(key) {
            Some(Value::String(text)) if text.chars().count() > most => {
                self.note(&format!("{place}/{key}"), &format!("must be less than {} characters", most + 1));
            }
            Some(Value::String(_)) => {}
            Some(_) => self.note(&format!("{place}/{key}"), "must be a string"),
            None if required => self.note(place, &format!("missing required field: {key}")),
            None => {}
        }
    }
}

/// The element with this action id, and the id of its block.
pub(crate) fn element<'a>(
    blocks: &'a Value,
    action_id: &str,
    block_id: Option<&str>,
) -> Option<(&'a str, &'a Value)> {
    let blocks = blocks.as_array()?.iter();
    let blocks = blocks.filter(|block| block_id.is_none_or(|id| block["block_id"] == id));
    blocks.into_iter().find_map(|block| {
        let elements = block["elements"].as_array().into_iter().flatten();
        let mut elements = elements.chain([&block["accessory"], &block["element"]]);
        let found = elements.find(|element| element["action_id"] == action_id)?;
        Some((block["block_id"].as_str().unwrap_or_default(), found))
    })
}
