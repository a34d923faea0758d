//! A message as its mailbox keeps it.

use std::sync::Arc;

use serde::{Deserialize, Serialize};
use serde_json::{Value, json};

use super::errors::Failure;

/// The characters of a preview.
const PREVIEW: usize = 255;

/// Somebody who sends or receives.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Address {
    #[serde(default)]
    pub(crate) name: String,
    pub(crate) address: String,
}

impl Address {
    pub(crate) fn new(name: &str, address: &str) -> Self {
        Self { name: name.to_owned(), address: address.to_owned() }
    }

    pub(crate) fn is(&self, address: &str) -> bool {
        self.address.eq_ignore_ascii_case(address)
    }

    pub(crate) fn wire(&self) -> Value {
        let name = if self.name.is_empty() { &self.address } else { &self.name };
        json!({"emailAddress": {"name": name, "address": self.address}})
    }

    /// As headers of a message show it.
    pub(crate) fn header(&self) -> String {
        if self.name.is_empty() { self.address.clone() } else { format!("{} <{}>", self.name, self.address) }
    }

    /// Whether mail can be addressed to it.
    pub(crate) fn is_valid(&self) -> bool {
        let bad = |letter: char| letter.is_whitespace() || letter.is_control() || "<>,;".contains(letter);
        let parts = self.address.split_once('@');
        parts.is_some_and(|(name, domain)| {
            !name.is_empty() && !domain.is_empty() && !domain.contains('@') && !self.address.contains(bad)
        })
    }
}

/// `{"emailAddress": {"name", "address"}}`
#[derive(Debug, Clone, Deserialize)]
#[serde(rename_all = "camelCase")]
pub(crate) struct Recipient {
    email_address: Address,
}

impl From<Recipient> for Address {
    fn from(recipient: Recipient) -> Self {
        recipient.email_address
    }
}

/// The text of a message.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub(crate) struct Body {
    pub(crate) html: bool,
    pub(crate) content: Arc<str>,
}

/// What is known of an attachment; its bytes are not kept.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub(crate) struct Attachment {
    pub(crate) name: String,
    #[serde(default = "Attachment::bytes")]
    pub(crate) content_type: String,
    #[serde(default)]
    pub(crate) size: u64,
    #[serde(default)]
    pub(crate) is_inline: bool,
}

impl Attachment {
    fn bytes() -> String {
        "application/octet-stream".to_owned()
    }
}

/// A header of a message.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Header {
    pub(crate) name: String,
    pub(crate) value: String,
}

/// An extended property with one value.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Extended {
    pub(crate) id: String,
    pub(crate) value: String,
}

/// A message in a mailbox.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub(crate) struct Message {
    pub(crate) serial: u64,
    pub(crate) folder: usize,
    /// How often it was moved.
    pub(crate) place: u32,
    /// When, by the count of the mailbox's changes, it last changed and came into its folder.
    pub(crate) changed: u64,
    pub(crate) entered: u64,
    pub(crate) version: u32,
    pub(crate) created_ms: i64,
    pub(crate) modified_ms: i64,
    pub(crate) received_ms: i64,
    pub(crate) sent_ms: i64,
    pub(crate) subject: String,
    pub(crate) body: Body,
    pub(crate) preview: String,
    pub(crate) from: Option<Address>,
    pub(crate) to: Vec<Address>,
    pub(crate) cc: Vec<Address>,
    pub(crate) bcc: Vec<Address>,
    pub(crate) reply_to: Vec<Address>,
    pub(crate) conversation: u64,
    pub(crate) internet_id: String,
    pub(crate) headers: Vec<Header>,
    /// Properties of a client's own, which stay in the mailbox.
    #[serde(default)]
    pub(crate) extended: Vec<Extended>,
    pub(crate) categories: Vec<String>,
    pub(crate) importance: String,
    pub(crate) flag: String,
    pub(crate) attachments: Vec<Attachment>,
    pub(crate) is_read: bool,
    pub(crate) is_draft: bool,
}

impl Message {
    /// An empty one; its mailbox gives it a number and a place.
    pub(crate) fn new(now_ms: i64) -> Self {
        Self {
            serial: 0,
            folder: 0,
            place: 0,
            changed: 0,
            entered: 0,
            version: 0,
            created_ms: now_ms,
            modified_ms: now_ms,
            received_ms: now_ms,
            sent_ms: now_ms,
            subject: String::new(),
            body: Body { html: false, content: "".into() },
            preview: String::new(),
            from: None,
            to: Vec::new(),
            cc: Vec::new(),
            bcc: Vec::new(),
            reply_to: Vec::new(),
            conversation: 0,
            internet_id: String::new(),
            headers: Vec::new(),
            extended: Vec::new(),
            categories: Vec::new(),
            importance: "normal".to_owned(),
            flag: "notFlagged".to_owned(),
            attachments: Vec::new(),
            is_read: false,
            is_draft: false,
        }
    }

    pub(crate) fn set_body(&mut self, body: Body) {
        self.preview = preview(&body);
        self.body = body;
    }

    pub(crate) fn recipients(&self) -> impl Iterator<Item = &Address> {
        self.to.iter().chain(&self.cc).chain(&self.bcc)
    }

    pub(crate) fn header(&self, name: &str) -> Option<&str> {
        self.headers.iter().find(|header| header.name.eq_ignore_ascii_case(name)).map(|found| &*found.value)
    }

    /// Whether it can be sent.
    pub(crate) fn check_recipients(&self) -> Result<(), Failure> {
        const MOST: usize = 1_000;
        let count = self.recipients().count();
        if count == 0 || count > MOST || self.recipients().any(|recipient| !recipient.is_valid()) {
            return Err(Failure::bad(
                "ErrorInvalidRecipients",
                "At least one recipient isn't valid., A message can't be sent because it contains no recipients.",
            ));
        }
        Ok(())
    }
}

fn preview(body: &Body) -> String {
    // A preview needs the beginning only; the rest of a huge body is not looked at.
    let head: String = body.content.chars().take(PREVIEW * 40).collect();
    let text = if body.html { text_of(&head) } else { head };
    let mut words = text.split_whitespace().collect::<Vec<_>>().join(" ");
    if let Some((end, _)) = words.char_indices().nth(PREVIEW) {
        words.truncate(end);
    }
    words
}

/// What of HTML is text, with line ends where blocks end.
pub(crate) fn text_of(html: &str) -> String {
    let mut text = String::with_capacity(html.len() / 2);
    let mut rest = html;
    while let Some(at) = rest.find('<') {
        unescape(&rest[..at], &mut text);
        let tag = &rest[at + 1..];
        let name: String =
            tag.chars().take_while(|letter| letter.is_ascii_alphanumeric() || *letter == '/').collect();
        let name = name.to_ascii_lowercase();
        let end = match name.as_str() {
            "script" | "style" => find_after(tag, &format!("</{name}")),
            _ => Some(0),
        };
        let closed = end.and_then(|end| tag[end..].find('>').map(|close| end + close + 1));
        if matches!(name.as_str(), "br" | "br/" | "/p" | "/div" | "/li" | "/tr" | "/h1" | "/h2" | "/h3") {
            text.push_str("\r\n");
        }
        rest = closed.map_or("", |end| &tag[end..]);
    }
    unescape(rest, &mut text);
    text
}

fn find_after(text: &str, what: &str) -> Option<usize> {
    text.as_bytes().windows(what.len()).position(|window| window.eq_ignore_ascii_case(what.as_bytes()))
}

fn unescape(piece: &str, to: &mut String) {
    const NAMES: [(&str, &str); 6] =
        [("&nbsp;", " "), ("&lt;", "<"), ("&gt;", ">"), ("&quot;", "\""), ("&#39;", "'"), ("&amp;", "&")];
    let mut rest = piece;
    while let Some(at) = rest.find('&') {
        to.push_str(&rest[..at]);
        let known = NAMES.iter().find(|(name, _)| rest[at..].starts_with(name));
        let (skipped, letter) = known.map_or((1, "&"), |(name, letter)| (name.len(), *letter));
        to.push_str(letter);
        rest = &rest[at + skipped..];
    }
    to.push_str(rest);
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn text_of_html_has_no_markup_and_no_scripts() {
        let html = "<p>A &amp; B</p><SCRIPT>if (1<2) x()</SCRIPT><div>C<br>D</div><b";
        assert_eq!(text_of(html), "A & B\r\nC\r\nD\r\n");
    }

    proptest! {
        #[test]
        fn no_html_makes_the_reader_panic(html in "[<>/&;a-zé\"]{0,60}") {
            let _text = text_of(&html);
        }
    }
}
