//! Messages and folders as the vendor writes them to JSON.

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use serde_json::{Map, Value, json};

use super::call::Prefer;
use super::errors::Failure;
use super::ids::Item;
use super::mailbox::Mailbox;
use super::message::{Address, Message, text_of};
use super::reports::{CLASS, NOTE};
use crate::clock::iso;

/// What a message shows when nothing was selected, in the vendor's order.
const DEFAULT: [&str; 28] = [
    "createdDateTime",
    "lastModifiedDateTime",
    "changeKey",
    "categories",
    "receivedDateTime",
    "sentDateTime",
    "hasAttachments",
    "internetMessageId",
    "subject",
    "bodyPreview",
    "importance",
    "parentFolderId",
    "conversationId",
    "conversationIndex",
    "isDeliveryReceiptRequested",
    "isReadReceiptRequested",
    "isRead",
    "isDraft",
    "webLink",
    "inferenceClassification",
    "body",
    "sender",
    "from",
    "toRecipients",
    "ccRecipients",
    "bccRecipients",
    "replyTo",
    "flag",
];
/// What it shows only when it is selected.
const SELECTABLE: [&str; 3] = ["id", "internetMessageHeaders", "uniqueBody"];
/// What `Mail.ReadBasic` does not open.
const CLOSED: [&str; 4] = ["body", "bodyPreview", "uniqueBody", "attachments"];

/// What one call wants to see of its messages.
#[derive(Debug, Clone, Default)]
pub(crate) struct Shape {
    pub(crate) select: Option<Vec<String>>,
    pub(crate) prefer: Prefer,
    /// Its token opens the envelope only.
    pub(crate) basic: bool,
    pub(crate) attachments: bool,
    /// The id of the one extended property that is asked for.
    pub(crate) extended: Option<String>,
}

/// `2024-01-05T10:11:12Z`: mail knows whole seconds only.
pub(crate) fn seconds(ms: i64) -> String {
    let mut text = iso(ms);
    text.truncate(text.find('.').unwrap_or(text.len()));
    text + "Z"
}

impl Shape {
    /// The properties of `$select`, each of which must exist.
    pub(crate) fn select(text: Option<&str>) -> Result<Option<Vec<String>>, Failure> {
        let Some(text) = text else { return Ok(None) };
        let names = text.split(',').map(str::trim).filter(|name| !name.is_empty());
        let known = |name: &str| {
            DEFAULT.iter().chain(&SELECTABLE).find(|known| known.eq_ignore_ascii_case(name)).copied()
        };
        let one = |name: &str| {
            known(name).map(str::to_owned).ok_or_else(|| {
                let message = format!(
                    "Could not find a property named '{name}' on type 'Microsoft.OutlookServices.Message'."
                );
                Failure::bad("RequestBroker--ParseUri", message)
            })
        };
        names.map(one).collect::<Result<_, _>>().map(Some)
    }

    /// The extended property that `$expand` names, if it asks for these at all.
    pub(crate) fn extended(expand: &str) -> Result<Option<String>, Failure> {
        let Some((_, wanted)) = expand.split_once("singleValueExtendedProperties") else { return Ok(None) };
        let id = wanted.strip_prefix("($filter=id eq '").and_then(|rest| rest.split_once("')"));
        let refused = || {
            let message = "Extended properties are asked for by their ids: ($filter=id eq '…').";
            Failure::bad("RequestBroker--ParseUri", message)
        };
        Ok(Some(spelled(id.ok_or_else(refused)?.0)))
    }

    pub(crate) fn message(&self, mailbox: &Mailbox, message: &Message) -> Value {
        let mut map = Map::new();
        map.insert("@odata.etag".to_owned(), json!(format!("W/\"{}\"", change_key(message))));
        map.insert("id".to_owned(), json!(mailbox.id(message.serial, message.place, self.prefer.immutable)));
        let mut show = |name: &str| {
            if let Some(value) = self.property(mailbox, message, name) {
                map.insert(name.to_owned(), value);
            }
        };
        match &self.select {
            Some(names) => names.iter().for_each(|name| show(name)),
            None => DEFAULT.iter().for_each(|name| show(name)),
        }
        if self.attachments && !self.basic {
            map.insert("attachments".to_owned(), attachments(mailbox, message));
        }
        if let Some(id) = self.extended.as_ref().filter(|_| !self.basic) {
            let known = message.extended.iter().find(|known| spelled(&known.id).eq_ignore_ascii_case(id));
            let value = known.map(|known| &*known.value).or((id == CLASS).then_some(NOTE));
            // Of what it does not have, a message says nothing.
            if let Some(value) = value {
                let properties = json!([{"id": id, "value": value}]);
                map.insert("singleValueExtendedProperties".to_owned(), properties);
            }
        }
        Value::Object(map)
    }

    /// A property of a message; None when it has none of this name.
    pub(crate) fn property(&self, mailbox: &Mailbox, message: &Message, name: &str) -> Option<Value> {
        if self.basic && CLOSED.contains(&name) {
            return None;
        }
        let people = |list: &[Address]| Value::Array(list.iter().map(Address::wire).collect());
        Some(match name {
            "id" => json!(mailbox.id(message.serial, message.place, self.prefer.immutable)),
            "createdDateTime" => json!(seconds(message.created_ms)),
            "lastModifiedDateTime" => json!(seconds(message.modified_ms)),
            "receivedDateTime" => json!(seconds(message.received_ms)),
            "sentDateTime" => json!(seconds(message.sent_ms)),
            "changeKey" => json!(change_key(message)),
            "categories" => json!(message.categories),
            "hasAttachments" => json!(message.attachments.iter().any(|attachment| !attachment.is_inline)),
            "internetMessageId" => json!(message.internet_id),
            "subject" => json!(message.subject),
            "bodyPreview" => json!(message.preview),
            "importance" => json!(message.importance),
            "parentFolderId" => json!(mailbox.folder_id(message.folder)),
            "conversationId" => json!(conversation(mailbox, message)),
            "conversationIndex" => {
                json!(STANDARD.encode([&[1_u8; 14], &message.conversation.to_be_bytes()[..]].concat()))
            }
            "isDeliveryReceiptRequested" | "isReadReceiptRequested" => json!(false),
            "isRead" => json!(message.is_read),
            "isDraft" => json!(message.is_draft),
            "webLink" => json!(web_link(mailbox, message)),
            "inferenceClassification" => json!("focused"),
            "body" | "uniqueBody" => self.body(message),
            // A draft has no sender before it is sent.
            "sender" | "from" => message.from.as_ref()?.wire(),
            "toRecipients" => people(&message.to),
            "ccRecipients" => people(&message.cc),
            "bccRecipients" => people(&message.bcc),
            "replyTo" => people(&message.reply_to),
            "flag" => json!({"flagStatus": message.flag}),
            "internetMessageHeaders" if message.is_draft => return None,
            "internetMessageHeaders" => json!(headers(message)),
            _ => return None,
        })
    }

    fn body(&self, message: &Message) -> Value {
        let (html, content) = (message.body.html, &*message.body.content);
        match (html, self.prefer.text) {
            (true, true) => json!({"contentType": "text", "content": text_of(content)}),
            (true, false) => json!({"contentType": "html", "content": content}),
            (false, _) => json!({"contentType": "text", "content": content}),
        }
    }
}

/// An id of an extended property as the vendor spells it: numbers without zeros before them, `String 0x1a`.
fn spelled(id: &str) -> String {
    let number = |(kind, tag): (&str, &str)| {
        let number = u16::from_str_radix(tag, 16).ok()?;
        Some(format!("{kind} 0x{number:x}"))
    };
    id.split_once(" 0x").and_then(number).unwrap_or_else(|| id.to_owned())
}

pub(crate) fn change_key(message: &Message) -> String {
    let mut bytes = vec![9, 0, 0, 0, 0x16, 0, 0, 0];
    bytes.extend(message.serial.to_be_bytes());
    bytes.extend(message.version.to_be_bytes());
    STANDARD.encode(bytes)
}

pub(crate) fn conversation(mailbox: &Mailbox, message: &Message) -> String {
    Item::Conversation { number: message.conversation }.text(&mailbox.person.id)
}

fn web_link(mailbox: &Mailbox, message: &Message) -> String {
    let id = mailbox.id(message.serial, message.place, false).replace('=', "%3D");
    format!("https://outlook.office365.com/owa/?ItemID={id}&exvsurl=1&viewmodel=ReadMessageItem")
}

/// The headers that a message came with.
fn headers(message: &Message) -> Vec<Value> {
    let own = [
        ("From", message.from.as_ref().map(Address::header).unwrap_or_default()),
        ("To", message.to.iter().map(Address::header).collect::<Vec<_>>().join(", ")),
        ("Subject", message.subject.clone()),
        ("Message-ID", message.internet_id.clone()),
    ];
    let own = own.into_iter().map(|(name, value)| json!({"name": name, "value": value}));
    own.chain(message.headers.iter().map(|header| json!(header))).collect()
}

/// What is known of a message's attachments.
pub(crate) fn attachments(mailbox: &Mailbox, message: &Message) -> Value {
    let one = |(at, attachment): (usize, &super::message::Attachment)| {
        json!({"@odata.type": "#microsoft.graph.fileAttachment", "@odata.mediaContentType": attachment.content_type,
            "id": format!("{}{at}", mailbox.id(message.serial, message.place, true)),
            "lastModifiedDateTime": seconds(message.created_ms), "name": attachment.name,
            "contentType": attachment.content_type, "size": attachment.size, "isInline": attachment.is_inline})
    };
    Value::Array(message.attachments.iter().enumerate().map(one).collect())
}

pub(crate) fn folder(mailbox: &Mailbox, at: usize) -> Value {
    let folder = &mailbox.folders[at];
    json!({
        "id": mailbox.folder_id(at), "displayName": folder.name, "parentFolderId": mailbox.folder_id(usize::MAX),
        "childFolderCount": 0, "unreadItemCount": folder.unread, "totalItemCount": folder.by_received.len(),
        "sizeInBytes": 0, "isHidden": false,
    })
}
