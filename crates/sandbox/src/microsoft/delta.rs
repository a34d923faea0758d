//! Delta queries: a first round over a folder, then rounds of what changed since.

use std::ops::Bound::{Excluded, Unbounded};

use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use serde::{Deserialize, Serialize};
use serde_json::{Value, json};

use super::call::{Call, Outcome, Reply};
use super::errors::Failure;
use super::mail::shape;
use super::mailbox::{Change, Mailbox};
use super::sim::{Dials, Sim};
use super::wire::Shape;
use crate::clock::parse_ms;

const PAGE: usize = 10;
const PAGE_MOST: usize = 1_000;
/// A query bounded by time gives no more in its first round.
const BOUNDED_MOST: usize = 5_000;

/// What a link carries: the options of the query, and where it is.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
struct Token {
    folder: usize,
    epoch: u64,
    issued_ms: i64,
    /// The count of changes that the last round ended at; None in the first round.
    since: Option<u64>,
    /// Where this round is: the count of changes.
    at: u64,
    /// Where the first round is: the time and the number of the last message.
    below: Option<(i64, u64)>,
    given: usize,
    floor_ms: Option<i64>,
    select: Option<Vec<String>>,
    change_type: Option<String>,
    page: Option<usize>,
    /// The last message of the page before, for vendors who repeat themselves.
    last: Option<u64>,
    /// The round began, if only with an empty page.
    begun: bool,
}

/// `GET /me/mailFolders/{folder}/messages/delta`
pub(crate) fn delta(sim: &mut Sim, call: &Call) -> Outcome {
    let dials = sim.dials.clone();
    let (now_ms, lives_ms) = (call.now_ms, sim.settings.delta_token_minutes.map(|minutes| minutes * 60_000));
    let mailbox = sim.mailbox(call)?;
    let folder = mailbox.folder_at(call.param("folder"))?;
    let mut token = match call.query("$skiptoken").or(call.query("$deltatoken")) {
        Some(text) => {
            let token = read(text).filter(|token| token.folder == folder).ok_or_else(malformed)?;
            let is_old = lives_ms.is_some_and(|lives_ms| now_ms - token.issued_ms > lives_ms);
            if is_old || token.epoch != mailbox.epoch {
                return Err(if dials.resync_with_location {
                    Failure::resync(format!("{}{}", call.origin, call.path))
                } else {
                    Failure::sync_state()
                });
            }
            token
        }
        None => first(call, mailbox, folder)?,
    };
    let mut shape = shape(call)?;
    shape.select.clone_from(&token.select);
    let size = call.prefer().page.or(token.page).unwrap_or(PAGE).min(PAGE_MOST);
    token.issued_ms = now_ms;
    let (value, done) = page(mailbox, &mut token, size, &shape, &dials);
    let (key, parameter) =
        if done { ("@odata.deltaLink", "$deltatoken") } else { ("@odata.nextLink", "$skiptoken") };
    let mut body = json!({
        "@odata.context": format!("{}/v1.0/$metadata#Collection(message)", call.origin), "value": value,
    });
    body[key] = json!(format!("{}{}?{parameter}={}", call.origin, call.path, write(&token)));
    Reply::ok(&body)
}

fn read(text: &str) -> Option<Token> {
    serde_json::from_slice(&URL_SAFE_NO_PAD.decode(text).ok()?).ok()
}

fn write(token: &Token) -> String {
    URL_SAFE_NO_PAD.encode(serde_json::to_vec(token).unwrap_or_default())
}

fn malformed() -> Failure {
    Failure::bad("badRequest", "Badly formed token.")
}

/// The beginning of a first round, with its options checked.
fn first(call: &Call, mailbox: &Mailbox, folder: usize) -> Result<Token, Failure> {
    let unsupported =
        |what: &str| Failure::bad("ErrorInvalidUrlQuery", format!("{what} is not supported here."));
    for option in ["$search", "$count", "$skip"] {
        if call.query(option).is_some() {
            return Err(unsupported(option));
        }
    }
    if call.query("$orderby").is_some_and(|order| order.trim().to_lowercase() != "receiveddatetime desc") {
        return Err(unsupported("This $orderby"));
    }
    let floor_ms = match call.query("$filter") {
        None => None,
        Some(filter) => {
            let words: Vec<&str> = filter.split_whitespace().collect();
            let floor = match words.as_slice() {
                ["receivedDateTime", "ge", at] => parse_ms(at),
                ["receivedDateTime", "gt", at] => parse_ms(at).map(|at| at + 1),
                _ => None,
            };
            Some(floor.ok_or_else(|| unsupported("This $filter"))?)
        }
    };
    let change_type = call.query("changeType").map(str::to_owned);
    if change_type.as_deref().is_some_and(|word| !matches!(word, "created" | "updated" | "deleted")) {
        return Err(unsupported("This changeType"));
    }
    Ok(Token {
        folder,
        epoch: mailbox.epoch,
        at: mailbox.tick,
        floor_ms,
        select: Shape::select(call.query("$select"))?,
        change_type,
        page: call.query("$top").and_then(|top| top.parse().ok()).filter(|top| *top > 0),
        ..Token::default()
    })
}

/// A page, and whether the round is done; the token moves to where the next one begins.
fn page(
    mailbox: &Mailbox,
    token: &mut Token,
    size: usize,
    shape: &Shape,
    dials: &Dials,
) -> (Vec<Value>, bool) {
    if dials.empty_pages && !std::mem::replace(&mut token.begun, true) {
        return (Vec::new(), false);
    }
    let mut rows = Vec::new();
    let again =
        token.last.take().filter(|_| dials.repeat_rows).and_then(|serial| mailbox.messages.get(&serial));
    if let Some(message) = again.filter(|message| message.folder == token.folder) {
        rows.push(typed(shape.message(mailbox, message)));
    }
    let done = match token.since {
        None => history(mailbox, token, size, shape, &mut rows),
        Some(since) => changes(mailbox, token, since, size, shape, dials, &mut rows),
    };
    if done {
        (token.since, token.below, token.last, token.begun) = (Some(token.at), None, None, false);
    }
    (rows, done)
}

/// Every message, newest first. What changes meanwhile comes in the next round.
fn history(mailbox: &Mailbox, token: &mut Token, size: usize, shape: &Shape, rows: &mut Vec<Value>) -> bool {
    let folder = &mailbox.folders[token.folder];
    let below = token.below.unwrap_or((i64::MAX, u64::MAX));
    let most = if token.floor_ms.is_some() { BOUNDED_MOST.saturating_sub(token.given) } else { usize::MAX };
    let mut left = folder
        .by_received
        .range(..below)
        .rev()
        .take_while(|(received, _)| token.floor_ms.is_none_or(|floor| *received >= floor))
        .take(most)
        .peekable();
    for key in left.by_ref().take(size) {
        let Some(message) = mailbox.messages.get(&key.1) else { continue };
        rows.push(typed(shape.message(mailbox, message)));
        (token.below, token.last) = (Some(*key), Some(key.1));
        token.given += 1;
    }
    left.peek().is_none()
}

/// What changed since the last round, in the order of the changes.
fn changes(
    mailbox: &Mailbox,
    token: &mut Token,
    since: u64,
    size: usize,
    shape: &Shape,
    dials: &Dials,
    rows: &mut Vec<Value>,
) -> bool {
    let folder = &mailbox.folders[token.folder];
    let wants = |word: &str, token: &Token| token.change_type.as_deref().is_none_or(|wanted| wanted == word);
    let mut given = 0;
    for (tick, change) in folder.changes.range((Excluded(token.at), Unbounded)) {
        if given == size {
            return false;
        }
        let row = match change {
            Change::Gone { serial, place, moved } if wants("deleted", token) => {
                let reason = if *moved && dials.moves_are_changed { "changed" } else { "deleted" };
                let id = mailbox.id(*serial, *place, shape.prefer.immutable);
                Some(json!({"id": id, "@removed": {"reason": reason}}))
            }
            Change::Gone { .. } => None,
            Change::Live { serial } => mailbox.messages.get(serial).and_then(|message| {
                let is_new = message.entered > since;
                let is_recent = token.floor_ms.is_none_or(|floor| message.received_ms >= floor);
                token.last = Some(*serial);
                let wanted = is_recent && wants(if is_new { "created" } else { "updated" }, token);
                let sparse = Shape { select: Some(vec!["isRead".to_owned()]), ..shape.clone() };
                let shape = if dials.sparse_updates && !is_new { &sparse } else { shape };
                wanted.then(|| shape.message(mailbox, message))
            }),
        };
        given += usize::from(row.is_some());
        rows.extend(row.map(typed));
        token.at = *tick;
    }
    token.at = mailbox.tick.max(token.at);
    true
}

fn typed(mut row: Value) -> Value {
    row["@odata.type"] = json!("#microsoft.graph.message");
    row
}
