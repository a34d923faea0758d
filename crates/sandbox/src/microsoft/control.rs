//! The control API: what the world does to the mailboxes from outside the vendor's API.

use http::StatusCode;
use serde::Deserialize;
use serde_json::{Map, Value, json};
use uuid::Uuid;

use super::call::{Call, Outcome, Reply};
use super::errors::Failure;
use super::faults::Fault;
use super::ids::Item;
use super::mail::discard;
use super::mailbox::{INBOX, Mailbox, SENT};
use super::message::{Address, Attachment, Body, Extended, Header, Message};
use super::reports::{self, CLASS, Report};
use super::seed::{self, Order};
use super::sim::Sim;
use super::wire::{self, Shape};
use crate::clock::parse_ms;

pub(crate) fn invalid(message: impl Into<String>) -> Failure {
    Failure::bad("BadRequest", message)
}

/// A user's mailbox by their address or id; the first one when nobody is named.
pub(crate) fn home(sim: &Sim, who: Option<&str>) -> Result<usize, Failure> {
    let Some(who) = who else { return Ok(0) };
    let found = sim.person_at(who).filter(|at| sim.boxes[*at].person.has_mailbox);
    found.ok_or_else(|| {
        Failure::not_found("Request_ResourceNotFound", "no user of this address has a mailbox")
    })
}

/// A message by whichever id, where it was or where it is.
fn find(mailbox: &Mailbox, id: &str) -> Result<u64, Failure> {
    let serial = match Item::read(id, &mailbox.person.id) {
        Some(Item::Message { serial, .. } | Item::Immutable { serial }) => Some(serial),
        Some(_) => None,
        None => mailbox.by_internet_id(id).map(|message| message.serial),
    };
    serial.filter(|serial| mailbox.messages.contains_key(serial)).ok_or_else(Failure::item_not_found)
}

fn ids(mailbox: &Mailbox, serial: u64) -> Value {
    let Some(message) = mailbox.messages.get(&serial) else { return Value::Null };
    json!({
        "mailbox": mailbox.person.address, "id": mailbox.id(serial, message.place, false),
        "immutableId": mailbox.id(serial, message.place, true), "internetMessageId": message.internet_id,
        "conversationId": wire::conversation(mailbox, message), "folder": mailbox.folders[message.folder].name,
    })
}

/// `GET /_sandbox/health`
pub(crate) fn health(sim: &mut Sim, call: &Call) -> Outcome {
    let count = |mailbox: &Mailbox| (mailbox.person.address.clone(), json!(mailbox.messages.len()));
    let messages: Map<String, Value> =
        sim.boxes.iter().filter(|mailbox| mailbox.person.has_mailbox).map(count).collect();
    Reply::ok(
        &json!({"status": "ok", "tenant_id": super::TENANT_ID, "now_ms": call.now_ms, "messages": messages}),
    )
}

/// `POST /_sandbox/seed`
pub(crate) fn seed(sim: &mut Sim, call: &Call) -> Outcome {
    let order: Order = call.json()?;
    let at = home(sim, order.mailbox.as_deref())?;
    let seed = sim.settings.seed;
    let planted = seed::plant(&mut sim.boxes[at], &order, seed, call.now_ms)?;
    Reply::ok(&json!({"created": planted}))
}

/// Somebody, as an address or as `{name, address}`.
#[derive(Debug, Clone, Deserialize)]
#[serde(untagged)]
enum Somebody {
    Plain(String),
    Named(Address),
}

impl From<Somebody> for Address {
    fn from(one: Somebody) -> Self {
        match one {
            Somebody::Plain(address) => Address::new("", &address),
            Somebody::Named(address) => address,
        }
    }
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Mail {
    mailbox: Option<String>,
    from: Somebody,
    to: Option<Vec<Somebody>>,
    #[serde(default)]
    cc: Vec<Somebody>,
    #[serde(default)]
    bcc: Vec<Somebody>,
    #[serde(default)]
    reply_to: Vec<Somebody>,
    #[serde(default)]
    subject: String,
    html: Option<String>,
    text: Option<String>,
    /// Makes up a text of so many bytes.
    body_size: Option<usize>,
    /// The Message-ID, or an id, of what it answers.
    in_reply_to: Option<String>,
    internet_message_id: Option<String>,
    #[serde(default)]
    headers: Vec<Header>,
    /// `REPORT.IPM.Note.NDR` …; what people write where there is none.
    message_class: Option<String>,
    #[serde(default)]
    attachments: Vec<Attachment>,
    received: Option<String>,
    folder: Option<String>,
    #[serde(default)]
    is_read: bool,
}

impl Mail {
    fn body(&self) -> Result<Body, Failure> {
        const MOST: usize = 48 * 1024 * 1024;
        const LINE: &str = "All work and no play makes a mail that goes on and on.\r\n";
        if let Some(size) = self.body_size {
            if size > MOST {
                return Err(invalid("a body has at most 48 MB"));
            }
            let mut text = LINE.repeat(size / LINE.len() + 1);
            text.truncate(size);
            return Ok(Body { html: self.html.is_some(), content: text.into() });
        }
        let (html, text) = (self.html.as_deref(), self.text.as_deref());
        Ok(Body { html: html.is_some(), content: html.or(text).unwrap_or_default().into() })
    }
}

/// `POST /_sandbox/deliver`: a mail arrives from anywhere.
pub(crate) fn deliver(sim: &mut Sim, call: &Call) -> Outcome {
    let mail: Mail = call.json()?;
    let at = home(sim, mail.mailbox.as_deref())?;
    let mailbox = &mut sim.boxes[at];
    let received =
        mail.received.as_deref().map(|text| parse_ms(text).ok_or_else(|| invalid("received is not a time")));
    let mut message = Message::new(received.transpose()?.unwrap_or(call.now_ms));
    message.folder = mail.folder.as_deref().map_or(Ok(INBOX), |folder| mailbox.folder_at(folder))?;
    message.set_body(mail.body()?);
    let answered = match mail.in_reply_to.as_deref() {
        None => None,
        Some(id) => Some(match find(mailbox, id) {
            Ok(serial) => {
                mailbox.messages.get(&serial).map(|known| known.internet_id.clone()).unwrap_or_default()
            }
            Err(_) => id.to_owned(),
        }),
    };
    message.conversation = mailbox.conversation(answered.as_deref());
    message.headers = mail.headers;
    let class = |value| Extended { id: CLASS.to_owned(), value };
    message.extended.extend(mail.message_class.map(class));
    if let Some(answered) = answered {
        for name in ["In-Reply-To", "References"] {
            message.headers.push(Header { name: name.to_owned(), value: answered.clone() });
        }
    }
    let people = |list: Vec<Somebody>| list.into_iter().map(Address::from).collect();
    let own = || vec![Somebody::Plain(mailbox.person.address.clone())];
    message.to = people(mail.to.unwrap_or_else(own));
    (message.cc, message.bcc, message.reply_to) = (people(mail.cc), people(mail.bcc), people(mail.reply_to));
    message.from = Some(mail.from.into());
    (message.subject, message.attachments, message.is_read) = (mail.subject, mail.attachments, mail.is_read);
    message.internet_id =
        mail.internet_message_id.unwrap_or_else(|| format!("<{}@mail.example>", Uuid::new_v4().simple()));
    let serial = mailbox.insert(message, true);
    Reply::json(StatusCode::CREATED, &ids(mailbox, serial))
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Target {
    mailbox: Option<String>,
    id: String,
    /// Of a bounce: who could not be reached; the first recipient without it.
    recipient: Option<String>,
    /// Of a bounce: that it failed, or is late, and in which language.
    #[serde(default)]
    report: Report,
    /// Of a move: the folder.
    folder: Option<String>,
    /// Of a deletion: at once, not by way of Deleted Items.
    #[serde(default)]
    for_good: bool,
    is_read: Option<bool>,
    subject: Option<String>,
}

fn target(sim: &Sim, call: &Call) -> Result<(Target, usize, u64), Failure> {
    let target: Target = call.json()?;
    let at = home(sim, target.mailbox.as_deref())?;
    let serial = find(&sim.boxes[at], &target.id)?;
    Ok((target, at, serial))
}

/// `POST /_sandbox/bounce`: a mail that was sent comes back.
pub(crate) fn bounce(sim: &mut Sim, call: &Call) -> Outcome {
    let (target, at, serial) = target(sim, call)?;
    let sent = sim.boxes[at].messages.get(&serial).filter(|message| message.folder == SENT).cloned();
    let sent = sent.ok_or_else(|| invalid("only what was sent can bounce"))?;
    let first = sent.recipients().next().map(|first| first.address.clone());
    let recipient = target.recipient.or(first).unwrap_or_default();
    let report = reports::report(sim, &sent, (&recipient, target.report), call.now_ms);
    let (home, serial) = report.ok_or_else(|| invalid("its sender has no mailbox here"))?;
    Reply::json(StatusCode::CREATED, &ids(&sim.boxes[home], serial))
}

/// `POST /_sandbox/edit`: the user reads a mail, or changes a draft.
pub(crate) fn edit(sim: &mut Sim, call: &Call) -> Outcome {
    let (target, at, serial) = target(sim, call)?;
    sim.boxes[at].update(serial, call.now_ms, |message| {
        message.is_read = target.is_read.unwrap_or(message.is_read);
        message.subject = target.subject.unwrap_or(std::mem::take(&mut message.subject));
    });
    Reply::ok(&ids(&sim.boxes[at], serial))
}

/// `POST /_sandbox/move`: the user, or a rule, moves a mail.
pub(crate) fn move_to(sim: &mut Sim, call: &Call) -> Outcome {
    let (target, at, serial) = target(sim, call)?;
    let to = sim.boxes[at].folder_at(target.folder.as_deref().unwrap_or("archive"))?;
    sim.boxes[at].relocate(serial, to, call.now_ms, |_| ());
    Reply::ok(&ids(&sim.boxes[at], serial))
}

/// `POST /_sandbox/delete`: the user deletes a mail.
pub(crate) fn delete(sim: &mut Sim, call: &Call) -> Outcome {
    let (target, at, serial) = target(sim, call)?;
    if target.for_good {
        sim.boxes[at].erase(serial);
    } else {
        discard(&mut sim.boxes[at], serial, call.now_ms);
    }
    Reply::ok(&ids(&sim.boxes[at], serial))
}

/// `GET /_sandbox/state/{mailbox}`: every message, for comparisons.
pub(crate) fn state(sim: &mut Sim, call: &Call) -> Outcome {
    let mailbox = &sim.boxes[home(sim, Some(call.param("mailbox")))?];
    let mut shape = Shape { select: Shape::select(call.query("fields"))?, ..Shape::default() };
    shape.prefer.immutable = true;
    let one = |message: &Message| {
        let mut wire = shape.message(mailbox, message);
        wire["folder"] = json!(mailbox.folders[message.folder].name);
        wire
    };
    let messages: Vec<Value> = mailbox.messages.values().map(one).collect();
    Reply::ok(&json!({"total": messages.len(), "messages": messages}))
}

/// `GET /_sandbox/sent`: what was sent, in the order of sending.
pub(crate) fn sent(sim: &mut Sim, _call: &Call) -> Outcome {
    Reply::ok(&json!({"total": sim.left.len(), "sent": sim.left}))
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Change {
    mailbox: Option<String>,
    disabled: Option<bool>,
    #[serde(default)]
    password_reset: bool,
    /// What was given out of links of delta queries before is dead.
    #[serde(default)]
    sync_reset: bool,
}

/// `POST /_sandbox/user`: what an administrator, or the vendor, does to a user.
pub(crate) fn user(sim: &mut Sim, call: &Call) -> Outcome {
    let change: Change = call.json()?;
    let at = home(sim, change.mailbox.as_deref())?;
    if let Some(disabled) = change.disabled {
        sim.boxes[at].person.disabled = disabled;
        if disabled {
            sim.end_consent(at, 50_057);
        }
    }
    if change.password_reset {
        sim.end_consent(at, 50_173);
    }
    if change.sync_reset {
        let mailbox = &mut sim.boxes[at];
        mailbox.epoch += 1;
        mailbox.touched.push(super::mailbox::Touched::Epoch);
    }
    let Mailbox { person, epoch, .. } = &sim.boxes[at];
    Reply::ok(
        &json!({"mailbox": person.address, "id": person.id, "disabled": person.disabled, "epoch": epoch}),
    )
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Advance {
    advance_ms: i64,
}

/// `POST /_sandbox/clock`
pub(crate) fn clock(sim: &mut Sim, call: &Call) -> Outcome {
    let Advance { advance_ms } = call.json()?;
    if advance_ms < 0 {
        return Err(invalid("the clock only goes forward"));
    }
    sim.clock.advance(advance_ms);
    Reply::ok(&json!({"now_ms": sim.clock.now_ms(), "offset_ms": sim.clock.offset_ms()}))
}

#[derive(Default, Deserialize)]
#[serde(default, deny_unknown_fields)]
struct Whose {
    mailbox: Option<String>,
    /// Of tokens: `access` (without it) or `refresh`.
    kind: Option<String>,
    /// Of subscriptions: which, and what their app is told.
    subscription: Option<String>,
    event: Option<String>,
}

fn whose(call: &Call) -> Result<Whose, Failure> {
    if call.body.is_empty() { Ok(Whose::default()) } else { call.json() }
}

/// `POST /_sandbox/revoke`: a user takes the consent back; every token of theirs is dead.
pub(crate) fn revoke(sim: &mut Sim, call: &Call) -> Outcome {
    let whose = whose(call)?;
    let at = whose
        .mailbox
        .as_deref()
        .map(|who| sim.person_at(who).ok_or_else(|| invalid("no such user")))
        .transpose()?;
    let people: Vec<usize> = at.map_or_else(|| (0..sim.boxes.len()).collect(), |at| vec![at]);
    let revoked: usize = people.into_iter().map(|person| sim.end_consent(person, 65_001)).sum();
    Reply::ok(&json!({ "revoked": revoked }))
}

/// `POST /_sandbox/expire_tokens`
pub(crate) fn expire_tokens(sim: &mut Sim, call: &Call) -> Outcome {
    let expired = match whose(call)?.kind.as_deref() {
        None | Some("access") => sim.auth.expire_access(call.now_ms),
        Some("refresh") => sim.auth.expire_refresh(call.now_ms),
        Some(_) => return Err(invalid("kind is access or refresh")),
    };
    Reply::ok(&json!({ "expired": expired }))
}

/// `GET /_sandbox/subscriptions`
pub(crate) fn subscriptions(sim: &mut Sim, _call: &Call) -> Outcome {
    Reply::ok(&json!({
        "subscriptions": sim.subscriptions.iter().map(|one| &one.id).collect::<Vec<_>>(),
        "waiting": sim.outgoing.len(), "taken": sim.notified,
    }))
}

/// `POST /_sandbox/lifecycle`: the app is told about its subscriptions.
pub(crate) fn lifecycle(sim: &mut Sim, call: &Call) -> Outcome {
    let Whose { subscription, event, .. } = whose(call)?;
    let event = event.as_deref().unwrap_or("missed");
    if !matches!(event, "missed" | "reauthorizationRequired" | "subscriptionRemoved") {
        return Err(invalid("event is missed, reauthorizationRequired or subscriptionRemoved"));
    }
    let chosen =
        |one: &super::subscriptions::Subscription| subscription.as_ref().is_none_or(|id| *id == one.id);
    let told = super::subscriptions::lifecycle(sim, event, chosen);
    Reply::ok(&json!({ "told": told }))
}

/// `GET /_sandbox/faults`
pub(crate) fn faults(sim: &mut Sim, _call: &Call) -> Outcome {
    Reply::ok(&json!({ "faults": sim.faults.set }))
}

/// `POST /_sandbox/faults`
pub(crate) fn add_fault(sim: &mut Sim, call: &Call) -> Outcome {
    let fault: Fault = call.json()?;
    sim.faults.set.push(fault);
    Reply::json(StatusCode::CREATED, &json!({ "faults": sim.faults.set }))
}

/// `DELETE /_sandbox/faults`
pub(crate) fn clear_faults(sim: &mut Sim, _call: &Call) -> Outcome {
    sim.faults.set.clear();
    Reply::empty(StatusCode::NO_CONTENT)
}

/// `GET /_sandbox/calls?last=`
pub(crate) fn calls(sim: &mut Sim, call: &Call) -> Outcome {
    let last = call.query("last").and_then(|last| last.parse().ok()).unwrap_or(usize::MAX);
    Reply::ok(&sim.calls.wire(last))
}

/// `DELETE /_sandbox/calls`
pub(crate) fn clear_calls(sim: &mut Sim, _call: &Call) -> Outcome {
    sim.calls = crate::calls::CallLog::default();
    Reply::empty(StatusCode::NO_CONTENT)
}

pub(crate) use super::dials::settings;
