//! Drafts, replies, and mail that leaves: into mailboxes of the tenant, out of it, or back as a bounce.

use std::sync::Arc;

use http::StatusCode;
use serde::Deserialize;
use serde_json::{Value, json};
use uuid::Uuid;

use super::call::{Call, Outcome, Reply};
use super::errors::Failure;
use super::mail::{shape, show};
use super::mailbox::{DRAFTS, INBOX, SENT};
use super::message::{Address, Attachment, Body, Extended, Header, Message, Recipient, text_of};
use super::reports::{Report, report};
use super::sim::Sim;
use super::wire::seconds;
use crate::page::escape;

/// Headers of a client's own in one message.
const HEADERS_MOST: usize = 5;
/// What a request of Graph may carry.
pub(crate) const REQUEST_MOST: usize = 4 * 1024 * 1024;

#[derive(Debug, Clone, Deserialize)]
#[serde(rename_all = "camelCase")]
struct Content {
    content_type: Option<String>,
    content: Option<String>,
}

/// What a client writes of a message. An absent list stays as it is.
#[derive(Debug, Clone, Default, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub(crate) struct Draft {
    subject: Option<String>,
    body: Option<Content>,
    to_recipients: Option<Vec<Recipient>>,
    cc_recipients: Option<Vec<Recipient>>,
    bcc_recipients: Option<Vec<Recipient>>,
    reply_to: Option<Vec<Recipient>>,
    from: Option<Recipient>,
    internet_message_headers: Option<Vec<Header>>,
    attachments: Option<Vec<Value>>,
    single_value_extended_properties: Option<Vec<Extended>>,
}

impl Draft {
    /// Whether it says anything that only a draft can be told.
    pub(crate) fn is_content(&self) -> bool {
        self.subject.is_some()
            || self.body.is_some()
            || self.to_recipients.is_some()
            || self.cc_recipients.is_some()
    }

    pub(crate) fn check(&self) -> Result<(), Failure> {
        let headers = self.internet_message_headers.as_deref().unwrap_or_default();
        let is_own =
            |header: &Header| header.name.get(..2).is_some_and(|start| start.eq_ignore_ascii_case("x-"));
        let clean = |header: &Header| {
            !header.name.contains([' ', ':', '\r', '\n']) && !header.value.contains(['\r', '\n'])
        };
        if let Some(wrong) = headers.iter().find(|header| !is_own(header) || !clean(header)) {
            let name: String = wrong.name.chars().take(80).collect();
            let message =
                format!("The internet message header name '{name}' should start with 'x-' or 'X-'.");
            return Err(Failure::bad("InvalidInternetMessageHeader", message));
        }
        if headers.len() > HEADERS_MOST {
            let message = "Maximum number of headers in one message should be less than or equal to 5.";
            return Err(Failure::bad("InvalidInternetMessageHeaderCollection", message));
        }
        let kind = self.body.as_ref().and_then(|body| body.content_type.as_deref()).unwrap_or("text");
        if !kind.eq_ignore_ascii_case("text") && !kind.eq_ignore_ascii_case("html") {
            return Err(Failure::bad("RequestBodyRead", "The body's contentType is neither text nor html."));
        }
        Ok(())
    }

    pub(crate) fn write_to(self, message: &mut Message) {
        let people = |list: Vec<Recipient>| list.into_iter().map(Address::from).collect();
        let put = |list: Option<Vec<Recipient>>, to: &mut Vec<Address>| {
            if let Some(list) = list {
                *to = people(list);
            }
        };
        message.subject = self.subject.unwrap_or(std::mem::take(&mut message.subject));
        put(self.to_recipients, &mut message.to);
        put(self.cc_recipients, &mut message.cc);
        put(self.bcc_recipients, &mut message.bcc);
        put(self.reply_to, &mut message.reply_to);
        if let Some(Content { content_type, content }) = self.body {
            let html = content_type.is_some_and(|kind| kind.eq_ignore_ascii_case("html"));
            message.set_body(Body { html, content: content.unwrap_or_default().into() });
        }
        for header in self.internet_message_headers.unwrap_or_default() {
            message.headers.retain(|known| !known.name.eq_ignore_ascii_case(&header.name));
            message.headers.push(header);
        }
        for property in self.single_value_extended_properties.unwrap_or_default() {
            message.extended.retain(|known| !known.id.eq_ignore_ascii_case(&property.id));
            message.extended.push(property);
        }
        for attachment in self.attachments.unwrap_or_default() {
            let text = |key: &str| attachment[key].as_str().unwrap_or_default().to_owned();
            let size = attachment["contentBytes"].as_str().map_or(0, |bytes| bytes.len() as u64 * 3 / 4);
            let is_inline = attachment["isInline"].as_bool().unwrap_or(false);
            let (name, content_type) = (text("name"), text("contentType"));
            message.attachments.push(Attachment { name, content_type, size, is_inline });
        }
    }
}

pub(crate) fn new_internet_id() -> String {
    format!("<{}@{}>", Uuid::new_v4().simple(), super::DOMAIN)
}

/// `POST /me/messages`, `POST /me/mailFolders/{folder}/messages`
pub(crate) fn create_draft(sim: &mut Sim, call: &Call) -> Outcome {
    let draft: Draft = call.json()?;
    draft.check()?;
    let shape = shape(call)?;
    let mailbox = sim.mailbox(call)?;
    let folder = call.params.get("folder").map_or(Ok(DRAFTS), |folder| mailbox.folder_at(folder))?;
    let mut message = Message::new(call.now_ms);
    draft.write_to(&mut message);
    (message.is_draft, message.is_read, message.folder) = (true, true, folder);
    message.internet_id = new_internet_id();
    message.conversation = mailbox.conversation(None);
    let serial = mailbox.insert(message, true);
    show(mailbox, serial, &shape, StatusCode::CREATED)
}

/// `POST /me/messages/{id}/send`
pub(crate) fn send_draft(sim: &mut Sim, call: &Call) -> Outcome {
    let person = sim.target(call)?;
    let message = sim.mailbox(call)?.message(call.param("id"))?.clone();
    if !message.is_draft {
        return Err(Failure::bad("ErrorInvalidRequest", "The message was sent already."));
    }
    send(sim, person, message, true, call.now_ms)?;
    Reply::empty(StatusCode::ACCEPTED)
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Mail {
    #[serde(alias = "Message")]
    message: Draft,
    #[serde(alias = "SaveToSentItems")]
    save_to_sent_items: Option<bool>,
}

/// `POST /me/sendMail`
pub(crate) fn send_mail(sim: &mut Sim, call: &Call) -> Outcome {
    let Mail { message: draft, save_to_sent_items } = call.json()?;
    draft.check()?;
    let person = sim.target(call)?;
    sim.mailbox(call)?;
    if draft.from.clone().is_some_and(|from| !Address::from(from).is(&sim.boxes[person].person.address)) {
        let message = "The user account which was used to submit this request does not have the right to send mail \
                       on behalf of the specified sending account.";
        return Err(Failure::new(StatusCode::FORBIDDEN, "ErrorSendAsDenied", message));
    }
    let mut message = Message::new(call.now_ms);
    draft.write_to(&mut message);
    (message.is_draft, message.is_read) = (true, true);
    message.internet_id = new_internet_id();
    send(sim, person, message, save_to_sent_items.unwrap_or(true), call.now_ms)?;
    Reply::empty(StatusCode::ACCEPTED)
}

#[derive(Default, Deserialize)]
#[serde(default)]
struct Answer {
    comment: Option<String>,
    message: Option<Draft>,
}

/// `POST /me/messages/{id}/reply`, `…/replyAll`
pub(crate) fn reply(sim: &mut Sim, call: &Call) -> Outcome {
    let message = answer(sim, call)?;
    let person = sim.target(call)?;
    send(sim, person, message, true, call.now_ms)?;
    Reply::empty(StatusCode::ACCEPTED)
}

/// `POST /me/messages/{id}/createReply`, `…/createReplyAll`
pub(crate) fn create_reply(sim: &mut Sim, call: &Call) -> Outcome {
    let mut message = answer(sim, call)?;
    let shape = shape(call)?;
    message.folder = DRAFTS;
    let mailbox = sim.mailbox(call)?;
    let serial = mailbox.insert(message, true);
    show(mailbox, serial, &shape, StatusCode::CREATED)
}

/// The answer to a message, as its route says to one or to all.
fn answer(sim: &mut Sim, call: &Call) -> Result<Message, Failure> {
    let Answer { comment, message: draft } =
        if call.body.is_empty() { Answer::default() } else { call.json()? };
    let draft = draft.unwrap_or_default();
    draft.check()?;
    let to_all = call.route.path.to_ascii_lowercase().ends_with("replyall");
    let mailbox = sim.mailbox(call)?;
    let asked = mailbox.message(call.param("id"))?;
    let mut message = compose(asked, comment.as_deref().unwrap_or_default(), call.now_ms);
    if to_all {
        let me = &mailbox.person.address;
        let others = |list: &[Address]| list.iter().filter(|one| !one.is(me)).cloned().collect::<Vec<_>>();
        message.to.extend(others(&asked.to));
        message.cc = others(&asked.cc);
    }
    draft.write_to(&mut message);
    Ok(message)
}

/// An answer to whoever wrote a message.
pub(crate) fn compose(asked: &Message, comment: &str, now_ms: i64) -> Message {
    let mut message = Message::new(now_ms);
    message.to =
        if asked.reply_to.is_empty() { asked.from.iter().cloned().collect() } else { asked.reply_to.clone() };
    let is_answer = asked.subject.get(..3).is_some_and(|start| start.eq_ignore_ascii_case("re:"));
    message.subject = if is_answer { asked.subject.clone() } else { format!("RE: {}", asked.subject) };
    message.conversation = asked.conversation;
    let references = [asked.header("References").unwrap_or_default(), &asked.internet_id];
    message.headers = vec![
        Header { name: "In-Reply-To".to_owned(), value: asked.internet_id.clone() },
        Header { name: "References".to_owned(), value: references.join(" ").trim().to_owned() },
    ];
    message.set_body(quoted(asked, comment));
    (message.is_draft, message.is_read) = (true, true);
    message.internet_id = new_internet_id();
    message
}

/// What one writes above the message that one answers.
fn quoted(asked: &Message, comment: &str) -> Body {
    let from = asked.from.as_ref().map(Address::header).unwrap_or_default();
    let head = format!("{}, {from}:", seconds(asked.sent_ms));
    let content: String = if asked.body.html {
        let comment = escape(comment).replace('\n', "<br>");
        format!(
            "<html><body><div>{comment}</div><hr><p>{}</p>{}</body></html>",
            escape(&head),
            asked.body.content
        )
    } else {
        format!("{comment}\r\n\r\n{head}\r\n{}", asked.body.content)
    };
    Body { html: asked.body.html, content: Arc::from(content) }
}

/// Sends: the draft goes to Sent Items, copies go to mailboxes of the tenant, the rest leaves it.
pub(crate) fn send(
    sim: &mut Sim,
    from: usize,
    draft: Message,
    save: bool,
    now_ms: i64,
) -> Result<(), Failure> {
    draft.check_recipients()?;
    if sim.settings.rate_limits {
        sim.limits.send(from, draft.recipients().count(), now_ms)?;
    }
    let sender = &sim.boxes[from].person;
    let mut sent = draft;
    sent.from = Some(Address::new(&sender.name, &sender.address));
    (sent.is_draft, sent.is_read) = (false, true);
    (sent.sent_ms, sent.received_ms, sent.modified_ms) = (now_ms, now_ms, now_ms);
    let mailbox = &mut sim.boxes[from];
    if sent.serial != 0 {
        let (serial, from) = (sent.serial, sent.from.clone());
        if save {
            mailbox.relocate(serial, SENT, now_ms, |message| {
                (message.is_draft, message.from) = (false, from);
                (message.sent_ms, message.received_ms) = (now_ms, now_ms);
            });
        } else {
            mailbox.erase(serial);
        }
    } else if save {
        let references = sent.header("References").map(str::to_owned);
        let mut kept = sent.clone();
        kept.folder = SENT;
        if kept.conversation == 0 {
            kept.conversation = mailbox.conversation(references.as_deref());
        }
        mailbox.insert(kept, true);
    }
    hand_out(sim, &sent, now_ms);
    Ok(())
}

fn hand_out(sim: &mut Sim, sent: &Message, now_ms: i64) {
    let mut seen = Vec::new();
    for recipient in sent.recipients() {
        if seen.iter().any(|known: &&Address| known.is(&recipient.address)) {
            continue;
        }
        seen.push(recipient);
        let home = sim.boxes.iter().position(|mailbox| recipient.is(&mailbox.person.address));
        if let Some(home) = home.filter(|home| sim.boxes[*home].person.has_mailbox) {
            let mut copy = sent.clone();
            (copy.serial, copy.place, copy.version) = (0, 0, 0);
            (copy.folder, copy.is_read) = (INBOX, false);
            copy.extended.clear();
            copy.bcc.retain(|hidden| hidden.is(&recipient.address));
            let references = copy.header("References").map(str::to_owned);
            copy.conversation = sim.boxes[home].conversation(references.as_deref());
            sim.boxes[home].insert(copy, true);
        } else if sim.dials.bouncing.iter().any(|bad| {
            let address = recipient.address.to_lowercase();
            address == *bad || address.split_once('@').is_some_and(|(_, domain)| domain == bad)
        }) {
            report(sim, sent, (&recipient.address, Report::default()), now_ms);
        }
    }
    let own: Vec<_> = sent.headers.iter().map(|header| json!(header)).collect();
    sim.left.push(json!({
        "at": seconds(now_ms), "from": sent.from.as_ref().map(|from| &from.address), "subject": sent.subject,
        "to": seen.iter().map(|one| &one.address).collect::<Vec<_>>(), "internetMessageId": sent.internet_id,
        "headers": own, "preview": sent.preview,
    }));
}

/// The text of a body, for pages.
pub(crate) fn plain(body: &Body) -> String {
    if body.html { text_of(&body.content) } else { body.content.to_string() }
}
