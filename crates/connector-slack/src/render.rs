//! What a message says, as Block Kit. Pure. Whatever comes from outside is escaped, so that it mentions nobody and links
//! to nothing, and is cut to the limits of <https://docs.slack.dev/reference/block-kit/blocks>.

use std::collections::HashSet;

use model::{ConnectionId, PostButton, PostContent};
use serde_json::{Value, json};
use url::Url;

const HEADER_MOST: usize = 150;
const TEXT_MOST: usize = 3_000;
const FIELD_MOST: usize = 2_000;
const FIELDS_OF_A_SECTION: usize = 10;
/// Sections of lines; with the other blocks they stay far below the fifty that a message has.
const SECTIONS_MOST: usize = 4;
const BUTTONS_MOST: usize = 25;
const LABEL_MOST: usize = 75;
const VALUE_MOST: usize = 2_000;
const ACTION_MOST: usize = 255;
const LINK_MOST: usize = 2_000;
const CUT: char = '…';

/// The blocks of a message. Its buttons carry the connection, by which a click finds back to it.
pub(crate) fn blocks(content: &PostContent, connection: ConnectionId) -> Vec<Value> {
    let mut blocks = Vec::new();
    let title = plain(&content.title, HEADER_MOST);
    if !title.is_empty() {
        blocks.push(json!({"type": "header", "text": {"type": "plain_text", "text": title, "emoji": false}}));
    }
    let fields: Vec<Value> = content.lines.iter().filter_map(field).collect();
    let sections = fields.chunks(FIELDS_OF_A_SECTION).take(SECTIONS_MOST);
    blocks.extend(sections.map(|fields| json!({"type": "section", "fields": fields})));
    let text = escaped(&content.text, TEXT_MOST);
    if !text.is_empty() {
        blocks.push(json!({"type": "section", "text": marked(&text)}));
    }
    if let Some(link) = content.link.as_deref().and_then(link) {
        blocks.push(json!({"type": "context", "elements": [marked(&link)]}));
    }
    let buttons = buttons(&content.buttons);
    if !buttons.is_empty() {
        let block_id = connection.to_string();
        blocks.push(json!({"type": "actions", "block_id": block_id, "elements": buttons}));
    }
    blocks
}

/// What notifications show, and programs that know no blocks.
pub(crate) fn summary(content: &PostContent) -> String {
    let said = [&content.title, &content.text].into_iter().find(|text| !text.trim().is_empty());
    escaped(said.map_or("Accord", String::as_str), TEXT_MOST)
}

/// Text from outside as Slack's markup, which then shows it as it is, cut to this length.
pub(crate) fn escaped(text: &str, most: usize) -> String {
    cut(text.trim(), most, |letter| match letter {
        '&' => Some("&amp;"),
        '<' => Some("&lt;"),
        '>' => Some("&gt;"),
        _ => None,
    })
}

/// Text where Slack knows no markup, cut to this length.
pub(crate) fn plain(text: &str, most: usize) -> String {
    cut(text.trim(), most, |_| None)
}

/// A text with some letters spelled otherwise, cut between two letters. Slack may count in UTF-16, so we do.
fn cut(text: &str, most: usize, spelled: impl Fn(char) -> Option<&'static str>) -> String {
    let mut told = String::with_capacity(text.len().min(most));
    let (mut length, mut end) = (0, 0);
    for letter in text.chars().filter(|letter| *letter == '\n' || !letter.is_control()) {
        let spelling = spelled(letter);
        length += spelling.map_or(letter.len_utf16(), str::len);
        if length > most {
            told.truncate(end);
            told.push(CUT);
            break;
        }
        match spelling {
            Some(spelling) => told.push_str(spelling),
            None => told.push(letter),
        }
        if length < most {
            end = told.len();
        }
    }
    told
}

fn marked(text: &str) -> Value {
    // Verbatim: names and addresses in it are not made mentions and links of.
    json!({"type": "mrkdwn", "text": text, "verbatim": true})
}

fn field((label, value): &(String, String)) -> Option<Value> {
    let (label, value) = (escaped(label, LABEL_MOST), escaped(value, FIELD_MOST - LABEL_MOST - 3));
    let text = match (label.is_empty(), value.is_empty()) {
        (true, true) => return None,
        (true, false) => value,
        (false, true) => format!("*{label}*"),
        (false, false) => format!("*{label}*\n{value}"),
    };
    Some(marked(&text))
}

/// A link to the web; no other address is one.
fn link(address: &str) -> Option<String> {
    let url = Url::parse(address).ok().filter(|url| matches!(url.scheme(), "http" | "https"))?;
    let address = url.as_str().replace('|', "%7C");
    let address = escaped(&address, usize::MAX);
    (address.len() <= LINK_MOST).then(|| format!("<{address}|Open in Accord>"))
}

/// Buttons. What a button does is never cut: one whose action or value is too long, or that another one has, is left out.
fn buttons(buttons: &[PostButton]) -> Vec<Value> {
    let mut actions = HashSet::new();
    let fits = |button: &&PostButton| {
        let lengths = [(&button.action, ACTION_MOST), (&button.value, VALUE_MOST)];
        !button.action.is_empty() && lengths.iter().all(|(text, most)| text.encode_utf16().count() <= *most)
    };
    let buttons = buttons.iter().filter(fits).filter(|button| actions.insert(button.action.as_str()));
    let rendered = buttons.map(|button| {
        let label = plain(&button.label, LABEL_MOST);
        let label = if label.is_empty() { CUT.to_string() } else { label };
        let mut wire = json!({
            "type": "button", "action_id": button.action, "value": button.value,
            "text": {"type": "plain_text", "text": label, "emoji": false},
        });
        if matches!(button.style.as_str(), "primary" | "danger") {
            wire["style"] = json!(button.style);
        }
        if button.value.is_empty()
            && let Some(wire) = wire.as_object_mut()
        {
            wire.remove("value");
        }
        wire
    });
    rendered.take(BUTTONS_MOST).collect()
}

#[cfg(test)]
mod tests {
    use jiff::Timestamp;
    use proptest::{collection::vec, prelude::*};

    use super::*;

    fn connection() -> ConnectionId {
        ConnectionId::generate(Timestamp::UNIX_EPOCH)
    }

    fn button(action: &str, label: &str) -> PostButton {
        let (action, label) = (action.to_owned(), label.to_owned());
        PostButton { action, label, value: "dreg_1".to_owned(), style: "primary".to_owned() }
    }

    #[test]
    fn a_registration_is_a_headline_fields_and_buttons_that_name_their_connection() {
        let id = connection();
        let content = PostContent {
            title: "Fabrikam registered a deal".to_owned(),
            lines: vec![("Company".to_owned(), "Tailspin & Toys".to_owned())],
            text: "Expires in 30 days".to_owned(),
            buttons: vec![button("registration:approve", "Approve"), button("registration:approve", "Again")],
            link: Some("https://accord.example/deal-registrations/1?a=1&b=2".to_owned()),
        };
        let blocks = blocks(&content, id);
        let kinds: Vec<&str> = blocks.iter().filter_map(|block| block["type"].as_str()).collect();
        assert_eq!(kinds, ["header", "section", "section", "context", "actions"]);
        assert_eq!(blocks[1]["fields"][0]["text"], "*Company*\nTailspin &amp; Toys");
        let link = "<https://accord.example/deal-registrations/1?a=1&amp;b=2|Open in Accord>";
        assert_eq!(blocks[3]["elements"][0]["text"], link);
        assert_eq!(blocks[4]["block_id"], id.to_string());
        assert_eq!(blocks[4]["elements"].as_array().unwrap().len(), 1, "an action is there once");
        assert_eq!(summary(&content), "Fabrikam registered a deal");
    }

    #[test]
    fn an_address_that_is_no_web_page_is_no_link() {
        for address in ["javascript:alert(1)", "slack://x", "", "/a"] {
            assert_eq!(link(address), None, "{address}");
        }
        let sly = link("https://a.example/x|<!channel>").unwrap();
        assert_eq!(sly, "<https://a.example/x%7C%3C!channel%3E|Open in Accord>");
    }

    #[test]
    fn a_cut_text_ends_between_letters_and_says_that_it_was_cut() {
        assert_eq!(escaped("a<b", 4), "a…");
        assert_eq!(escaped("a<b", 6), "a&lt;b");
        assert_eq!(plain("abcd", 3), "ab…");
        assert_eq!(plain("abc", 3), "abc");
        assert_eq!(plain("😀😀", 3), "😀…");
    }

    /// All texts of a message with how Slack reads them.
    fn texts(value: &Value, found: &mut Vec<(bool, String)>) {
        match value {
            Value::Array(list) => list.iter().for_each(|one| texts(one, found)),
            Value::Object(object) => {
                if let (Some(kind), Some(text)) =
                    (object.get("type"), object.get("text").and_then(Value::as_str))
                {
                    found.push((kind == "mrkdwn", text.to_owned()));
                }
                object.values().for_each(|one| texts(one, found));
            }
            _ => {}
        }
    }

    proptest! {
        #[test]
        fn no_text_from_outside_mentions_anybody_or_breaks_a_limit(
            title in "[<>&!@a-z😀 \n]{0,400}",
            lines in vec(("[<>&!a-z]{0,100}", "[<>&!@#a-z|]{0,2500}"), 0..60),
            text in "[<>&!@a-z|]{0,4000}",
            buttons in vec(("[a-z:]{0,300}", "[<>&a-z]{0,120}"), 0..40),
        ) {
            let buttons = buttons.iter().map(|(action, label)| button(action, label)).collect();
            let content = PostContent { title, lines, text, buttons, link: None };
            let blocks = blocks(&content, connection());
            prop_assert!(blocks.len() <= 50);
            let mut found = vec![(true, summary(&content))];
            texts(&Value::Array(blocks), &mut found);
            for (is_markup, text) in found {
                prop_assert!(!text.is_empty() && text.encode_utf16().count() <= TEXT_MOST);
                if is_markup {
                    prop_assert!(!text.contains(['<', '>']), "{text}");
                    let entities = text.matches("&amp;").count() + text.matches("&lt;").count() + text.matches("&gt;").count();
                    prop_assert_eq!(text.matches('&').count(), entities);
                }
            }
        }
    }
}
