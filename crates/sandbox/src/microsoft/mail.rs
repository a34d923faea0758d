//! Who one is, folders, and messages to read, change, move and delete.

use http::StatusCode;
use serde::Deserialize;
use serde_json::{Value, json};

use super::call::{Call, Outcome, Reply};
use super::errors::Failure;
use super::filter::Filter;
use super::ids::Item;
use super::mailbox::{DELETED, Folder, Mailbox, RECOVERABLE, Touched};
use super::message::{Address, Message};
use super::sim::Sim;
use super::wire::{self, Shape};

const PAGE: usize = 10;
const PAGE_MOST: usize = 1_000;

/// `GET /me`
pub(crate) fn me(sim: &mut Sim, call: &Call) -> Outcome {
    let person = &sim.boxes[sim.target(call)?].person;
    let (given, family) = person.name.split_once(' ').unwrap_or((&person.name, ""));
    let all = json!({
        "@odata.context": format!("{}/v1.0/$metadata#users/$entity", call.origin),
        "id": person.id, "displayName": person.name, "givenName": given, "surname": family,
        "mail": person.has_mailbox.then_some(&person.address), "userPrincipalName": person.address,
        "jobTitle": null, "mobilePhone": null, "officeLocation": null, "preferredLanguage": "en-US",
        "businessPhones": [],
    });
    let Some(select) = call.query("$select") else { return Reply::ok(&all) };
    let mut chosen = json!({"@odata.context": all["@odata.context"]});
    for name in select.split(',').map(str::trim) {
        if let Some(value) = all.get(name) {
            chosen[name] = value.clone();
        }
    }
    Reply::ok(&chosen)
}

/// `POST /me/revokeSignInSessions`
pub(crate) fn revoke_sessions(sim: &mut Sim, call: &Call) -> Outcome {
    let person = sim.target(call)?;
    sim.end_consent(person, 50_173);
    Reply::ok(&json!({
        "@odata.context": format!("{}/v1.0/$metadata#Edm.Boolean", call.origin), "value": true,
    }))
}

/// What a call wants to see of its messages.
pub(crate) fn shape(call: &Call) -> Result<Shape, Failure> {
    let opens_all = |caller: &super::auth::Caller| caller.has("Mail.Read") || caller.has("Mail.ReadWrite");
    Ok(Shape {
        select: Shape::select(call.query("$select"))?,
        prefer: call.prefer(),
        basic: !call.caller.as_ref().is_some_and(opens_all),
        attachments: call.query("$expand").is_some_and(|expand| expand.contains("attachments")),
        extended: call.query("$expand").map(Shape::extended).transpose()?.flatten(),
    })
}

/// `GET /me/mailFolders`
pub(crate) fn folders(sim: &mut Sim, call: &Call) -> Outcome {
    let mailbox = sim.mailbox(call)?;
    let shown = (0..mailbox.folders.len()).filter(|at| *at != RECOVERABLE);
    let all: Vec<Value> = shown.map(|at| wire::folder(mailbox, at)).collect();
    let (top, skip) =
        (number(call, "$top")?.unwrap_or(PAGE).min(PAGE_MOST), number(call, "$skip")?.unwrap_or(0));
    let value: Vec<&Value> = all.iter().skip(skip).take(top).collect();
    let mut body = json!({"@odata.context": context(call, "mailFolders"), "value": value});
    if skip + top < all.len() {
        body["@odata.nextLink"] = json!(next_link(call, skip + top));
    }
    Reply::ok(&body)
}

/// `GET /me/mailFolders/{folder}`
pub(crate) fn folder(sim: &mut Sim, call: &Call) -> Outcome {
    let mailbox = sim.mailbox(call)?;
    let at = mailbox.folder_at(call.param("folder"))?;
    Reply::ok(&wire::folder(mailbox, at))
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct NewFolder {
    display_name: String,
}

/// `POST /me/mailFolders`
pub(crate) fn create_folder(sim: &mut Sim, call: &Call) -> Outcome {
    let NewFolder { display_name: name } = call.json()?;
    let mailbox = sim.mailbox(call)?;
    if mailbox.folders.iter().any(|folder| folder.name.eq_ignore_ascii_case(&name)) {
        let message = "A folder with the specified name already exists.";
        return Err(Failure::new(StatusCode::CONFLICT, "ErrorFolderExists", message));
    }
    mailbox.folders.push(Folder { name, ..Folder::default() });
    let at = mailbox.folders.len() - 1;
    mailbox.touched.push(Touched::Folder(at));
    Reply::json(StatusCode::CREATED, &wire::folder(mailbox, at))
}

fn context(call: &Call, what: &str) -> String {
    format!("{}/v1.0/$metadata#users('me')/{what}", call.origin)
}

fn number(call: &Call, name: &str) -> Result<Option<usize>, Failure> {
    let Some(text) = call.query(name) else { return Ok(None) };
    let wrong = || Failure::bad("RequestBroker--ParseUri", format!("Invalid value '{text}' for {name}."));
    text.parse().map(Some).map_err(|_| wrong())
}

/// The same call from another row on.
fn next_link(call: &Call, skip: usize) -> String {
    let mut query = url::form_urlencoded::Serializer::new(String::new());
    let kept = call.query.iter().filter(|(key, _)| key.trim_start_matches('$') != "skip");
    query.extend_pairs(kept).append_pair("$skip", &skip.to_string());
    format!("{}{}?{}", call.origin, call.path, query.finish())
}

/// `GET /me/messages`, `GET /me/mailFolders/{folder}/messages`
pub(crate) fn list(sim: &mut Sim, call: &Call) -> Outcome {
    let shape = shape(call)?;
    let filter = call.query("$filter").map(Filter::read).transpose()?;
    let skip = number(call, "$skip")?.unwrap_or(0);
    let top = number(call, "$top")?.or(call.prefer().page).unwrap_or(PAGE).clamp(1, PAGE_MOST);
    if call.query("$search").is_some() {
        return Err(Failure::bad("BadRequest", "The sandbox has no $search."));
    }
    let (order, descends) = match call.query("$orderby").map(|order| order.trim().split_once(' ')) {
        None => ("receivedDateTime", true),
        Some(None) => (call.query("$orderby").unwrap_or_default().trim(), false),
        Some(Some((name, direction))) => (name, direction.trim().eq_ignore_ascii_case("desc")),
    };
    let mailbox = &*sim.mailbox(call)?;
    let index = match call.params.get("folder") {
        Some(folder) => &mailbox.folders[mailbox.folder_at(folder)?].by_received,
        None => &mailbox.by_received,
    };
    let mut keys: Box<dyn Iterator<Item = &(i64, u64)>> = if order == "receivedDateTime" && !descends {
        Box::new(index.iter())
    } else {
        Box::new(index.iter().rev())
    };
    if order != "receivedDateTime" {
        keys = Box::new(sorted(mailbox, keys, order, descends)?.into_iter());
    }
    let mut found = keys
        .filter_map(|(_, serial)| mailbox.messages.get(serial))
        .filter(|message| filter.as_ref().is_none_or(|filter| filter.holds(mailbox, message)))
        .skip(skip);
    let value: Vec<Value> = found.by_ref().take(top).map(|message| shape.message(mailbox, message)).collect();
    let mut body = json!({"@odata.context": context(call, "messages"), "value": value});
    let more = found.next().is_some();
    drop(found);
    if more {
        body["@odata.nextLink"] = json!(next_link(call, skip + top));
    }
    if call.query("$count") == Some("true") {
        let holds = |message: &&Message| filter.as_ref().is_none_or(|filter| filter.holds(mailbox, message));
        let all = index.iter().filter_map(|(_, serial)| mailbox.messages.get(serial));
        body["@odata.count"] = json!(all.filter(holds).count());
    }
    Reply::ok(&body)
}

fn sorted<'a>(
    mailbox: &Mailbox,
    keys: impl Iterator<Item = &'a (i64, u64)>,
    order: &str,
    descends: bool,
) -> Result<Vec<&'a (i64, u64)>, Failure> {
    Shape::select(Some(order.split('/').next().unwrap_or_default()))?;
    let shape = Shape::default();
    let mut list: Vec<(String, &(i64, u64))> = keys
        .map(|key| {
            let message = mailbox.messages.get(&key.1);
            let value = message.and_then(|message| shape.property(mailbox, message, order));
            (value.map(|value| value.to_string()).unwrap_or_default(), key)
        })
        .collect();
    list.sort_by(|a, b| if descends { b.0.cmp(&a.0) } else { a.0.cmp(&b.0) });
    Ok(list.into_iter().map(|(_, key)| key).collect())
}

/// `GET /me/messages/{id}`
pub(crate) fn get(sim: &mut Sim, call: &Call) -> Outcome {
    let shape = shape(call)?;
    let mailbox = &*sim.mailbox(call)?;
    let message = mailbox.message(call.param("id"))?;
    Reply::ok(&shape.message(mailbox, message))
}

/// `GET /me/messages/{id}/attachments`
pub(crate) fn attachments(sim: &mut Sim, call: &Call) -> Outcome {
    let mailbox = &*sim.mailbox(call)?;
    let message = mailbox.message(call.param("id"))?;
    let value = wire::attachments(mailbox, message);
    Reply::ok(&json!({"@odata.context": context(call, "messages/attachments"), "value": value}))
}

/// `GET /me/messages/{id}/$value`: the message as it came.
pub(crate) fn mime(sim: &mut Sim, call: &Call) -> Outcome {
    let mailbox = &*sim.mailbox(call)?;
    let message = mailbox.message(call.param("id"))?;
    let list = |list: &[Address]| list.iter().map(Address::header).collect::<Vec<_>>().join(", ");
    let kind = if message.body.html { "html" } else { "plain" };
    let mut text = format!(
        "From: {}\r\nTo: {}\r\nCc: {}\r\nSubject: {}\r\nMessage-ID: {}\r\n",
        message.from.as_ref().map(Address::header).unwrap_or_default(),
        list(&message.to),
        list(&message.cc),
        message.subject,
        message.internet_id,
    );
    for header in message.headers.iter().filter(|header| !header.name.eq_ignore_ascii_case("content-type")) {
        text += &format!("{}: {}\r\n", header.name, header.value);
    }
    text += &format!("Content-Type: text/{kind}; charset=utf-8\r\n\r\n{}", message.body.content);
    let mut reply = Reply::html(StatusCode::OK, text);
    reply.content_type = "text/plain";
    Ok(reply)
}

/// A change that was made to an older version is refused.
fn check_version(call: &Call, message: &Message) -> Result<(), Failure> {
    let etag = format!("W/\"{}\"", wire::change_key(message));
    match call.header("if-match") {
        Some(known) if known != "*" && known != etag => {
            let words = "The send or update operation could not be performed because the change key passed in the \
                         request does not match the current change key for the item.";
            Err(Failure::new(StatusCode::PRECONDITION_FAILED, "ErrorIrresolvableConflict", words))
        }
        _ => Ok(()),
    }
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Flag {
    flag_status: String,
}

/// What can be changed of any message.
#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Marks {
    is_read: Option<bool>,
    categories: Option<Vec<String>>,
    importance: Option<String>,
    flag: Option<Flag>,
}

/// `PATCH /me/messages/{id}`
pub(crate) fn update(sim: &mut Sim, call: &Call) -> Outcome {
    let marks: Marks = call.json()?;
    let content: super::sending::Draft = call.json()?;
    let shape = shape(call)?;
    let mailbox = sim.mailbox(call)?;
    let message = mailbox.message(call.param("id"))?;
    check_version(call, message)?;
    if !message.is_draft && content.is_content() {
        let words = "Only drafts can be changed in their text, subject or recipients.";
        return Err(Failure::bad("ErrorInvalidPropertySet", words));
    }
    content.check()?;
    let serial = message.serial;
    mailbox.update(serial, call.now_ms, |message| {
        content.write_to(message);
        message.is_read = marks.is_read.unwrap_or(message.is_read);
        message.categories = marks.categories.unwrap_or(std::mem::take(&mut message.categories));
        message.importance = marks.importance.unwrap_or(std::mem::take(&mut message.importance));
        message.flag = marks.flag.map_or(std::mem::take(&mut message.flag), |flag| flag.flag_status);
    });
    show(mailbox, serial, &shape, StatusCode::OK)
}

pub(crate) fn show(mailbox: &Mailbox, serial: u64, shape: &Shape, status: StatusCode) -> Outcome {
    let message = mailbox.messages.get(&serial).ok_or_else(Failure::item_not_found)?;
    Reply::json(status, &shape.message(mailbox, message))
}

/// `DELETE /me/messages/{id}`: into Deleted Items; from there, for good.
pub(crate) fn delete(sim: &mut Sim, call: &Call) -> Outcome {
    let mailbox = sim.mailbox(call)?;
    let serial = mailbox.serial_of(call.param("id"))?;
    discard(mailbox, serial, call.now_ms);
    Reply::empty(StatusCode::NO_CONTENT)
}

/// What the delete key does.
pub(crate) fn discard(mailbox: &mut Mailbox, serial: u64, now_ms: i64) {
    if mailbox.messages.get(&serial).is_some_and(|message| message.folder == DELETED) {
        mailbox.erase(serial);
    } else {
        mailbox.relocate(serial, DELETED, now_ms, |_| ());
    }
}

/// `POST /me/messages/{id}/permanentDelete`
pub(crate) fn delete_for_good(sim: &mut Sim, call: &Call) -> Outcome {
    let mailbox = sim.mailbox(call)?;
    let serial = mailbox.serial_of(call.param("id"))?;
    mailbox.erase(serial);
    Reply::empty(StatusCode::NO_CONTENT)
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Move {
    #[serde(alias = "DestinationId")]
    destination_id: String,
}

/// `POST /me/messages/{id}/move`
pub(crate) fn move_to(sim: &mut Sim, call: &Call) -> Outcome {
    let Move { destination_id } = call.json()?;
    let shape = shape(call)?;
    let mailbox = sim.mailbox(call)?;
    let serial = mailbox.serial_of(call.param("id"))?;
    let to = mailbox.folder_at(&destination_id)?;
    mailbox.relocate(serial, to, call.now_ms, |_| ());
    show(mailbox, serial, &shape, StatusCode::CREATED)
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Translation {
    #[serde(alias = "InputIds")]
    input_ids: Vec<String>,
    #[serde(alias = "TargetIdType")]
    target_id_type: String,
}

/// `POST /me/translateExchangeIds`
pub(crate) fn translate_ids(sim: &mut Sim, call: &Call) -> Outcome {
    const MOST: usize = 1_000;
    let Translation { input_ids, target_id_type } = call.json()?;
    if input_ids.len() > MOST {
        return Err(Failure::bad("ErrorInvalidRequest", "No more than 1000 ids can be translated at once."));
    }
    let immutable = match target_id_type.as_str() {
        "restId" => false,
        "restImmutableEntryId" => true,
        _ => return Err(Failure::bad("ErrorInvalidRequest", "This type of ids is not supported.")),
    };
    let mailbox = &*sim.mailbox(call)?;
    let one = |source: &String| {
        let serial = match Item::read(source, &mailbox.person.id) {
            Some(Item::Message { serial, .. } | Item::Immutable { serial }) => Some(serial),
            _ => None,
        };
        let message = serial.and_then(|serial| mailbox.messages.get(&serial));
        let target = message.map(|message| mailbox.id(message.serial, message.place, immutable));
        json!({"sourceId": source, "targetId": target})
    };
    let value: Vec<Value> = input_ids.iter().map(one).collect();
    Reply::ok(&json!({"@odata.context": context(call, "translateExchangeIds"), "value": value}))
}
