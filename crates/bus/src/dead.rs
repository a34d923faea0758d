//! Dead letters: deliveries that will not be retried, each kept with its reason, to be looked at, replayed or
//! discarded.

use async_nats::{
    HeaderMap,
    jetstream::{
        self, ErrorCode,
        consumer::{AckPolicy, DeliverPolicy, pull},
        message::StreamMessage,
        stream::LastRawMessageErrorKind,
    },
};
use bytes::Bytes;
use futures::StreamExt;
use jiff::Timestamp;
use model::OrganizationId;

use crate::{
    Bus, Error, ErrorKind,
    consumer::ENVELOPE_INVALID,
    envelope::{header, header_text},
    publish::Outgoing,
    subject,
};

const READ: &str = "read the dead letters";
const REPLAY: &str = "replay a dead letter";
const SCAN_BATCH: usize = 500;

const STREAM: &str = "accord-dead-stream";
const CONSUMER: &str = "accord-dead-consumer";
const SEQUENCE: &str = "accord-dead-sequence";
const SUBJECT: &str = "accord-dead-subject";
const REASON: &str = "accord-dead-reason";
const DETAIL: &str = "accord-dead-detail";
const ATTEMPTS: &str = "accord-dead-attempts";

/// A delivery that will not be retried.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct DeadLetter {
    /// Its number among the dead letters.
    pub id: u64,
    /// The stream it was delivered from.
    pub stream: String,
    /// The durable consumer that could not handle it.
    pub consumer: String,
    /// Where it was published.
    pub subject: String,
    /// Why, as a stable code.
    pub reason: String,
    /// Why, for the operator.
    pub detail: String,
    /// How often it was delivered.
    pub attempts: u64,
    /// When it became a dead letter.
    pub at: Timestamp,
    /// The `ce-id` of the message, where it had one.
    pub message_id: Option<String>,
    /// The `ce-type` of the message, where it had one.
    pub kind: Option<String>,
    /// The tenant, where the envelope could be read.
    pub organization: Option<OrganizationId>,
    /// What it said. It may hold personal data.
    pub body: Bytes,
}

/// Which dead letters; what is none matches all.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Filter {
    /// Of this tenant. Whoever acts for an organization must set it.
    pub organization: Option<OrganizationId>,
    /// From this stream.
    pub stream: Option<String>,
    /// Of this consumer.
    pub consumer: Option<String>,
    /// With this reason code.
    pub reason: Option<String>,
}

impl Filter {
    fn matches(&self, letter: &DeadLetter) -> bool {
        fn fits<T: PartialEq>(wanted: Option<&T>, found: Option<&T>) -> bool {
            wanted.is_none() || wanted == found
        }
        fits(self.organization.as_ref(), letter.organization.as_ref())
            && fits(self.stream.as_ref(), Some(&letter.stream))
            && fits(self.consumer.as_ref(), Some(&letter.consumer))
            && fits(self.reason.as_ref(), Some(&letter.reason))
    }

    fn subject(&self) -> String {
        let token = |name: &Option<String>| name.as_deref().map_or_else(|| "*".to_owned(), subject::token);
        format!("dead.{}.{}", token(&self.stream), token(&self.consumer))
    }
}

/// Which of the matching dead letters to act on.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Selection {
    /// Those with these numbers, one or many.
    Ids(Vec<u64>),
    /// All that are there now.
    All,
}

/// What acting on a selection did.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Counts {
    /// So many were replayed or discarded.
    pub done: u64,
    /// So many of the numbers are no dead letter that matches the filter; gone already, or another tenant's.
    pub missing: u64,
    /// So many cannot be replayed: the original is a dead letter itself and still there, or has no envelope that anybody
    /// could read, so that every reader would bury it again.
    pub refused: u64,
}

/// The newest dead letters that match, newest first, at most `limit`.
///
/// # Errors
/// The server does not answer.
pub async fn list(bus: &Bus, filter: &Filter, limit: usize) -> Result<Vec<DeadLetter>, Error> {
    let mut newest = std::collections::VecDeque::new();
    scan(bus, filter, |letter| {
        newest.push_front(letter);
        newest.truncate(limit);
    })
    .await?;
    Ok(newest.into())
}

/// Publishes the originals again where they were first published, and removes the dead letters. The message keeps
/// its `ce-id`: a consumer that handled it already recognizes it by its inbox, the one that could not handles it
/// now. Its header `accord-replay` names the consumer whose dead letter it was.
///
/// What would only be buried again is refused and stays: letters of the stream DEAD itself, whose originals can be
/// replayed instead, and those without an envelope that can be read.
///
/// # Errors
/// The server does not answer. What was replayed so far is; call it again for the rest.
pub async fn replay(bus: &Bus, filter: &Filter, selection: &Selection) -> Result<Counts, Error> {
    let mut counts = Counts::default();
    for id in ids(bus, filter, selection).await? {
        let Some(message) = read(bus, id).await?.filter(|message| filter.matches(&letter_of(id, message)))
        else {
            counts.missing += 1;
            continue;
        };
        let letter = letter_of(id, &message);
        if letter.stream == subject::DEAD || letter.reason == ENVELOPE_INVALID {
            counts.refused += 1;
            continue;
        }
        bus.deliver(&[resurrect(id, &message)]).await?;
        remove(bus, subject::DEAD, id).await?;
        counts.done += 1;
    }
    Ok(counts)
}

/// Removes dead letters for good.
///
/// # Errors
/// The server does not answer. What was removed so far is; call it again for the rest.
pub async fn discard(bus: &Bus, filter: &Filter, selection: &Selection) -> Result<Counts, Error> {
    let mut counts = Counts::default();
    for id in ids(bus, filter, selection).await? {
        let found = read(bus, id).await?.is_some_and(|message| filter.matches(&letter_of(id, &message)));
        if found && remove(bus, subject::DEAD, id).await? {
            counts.done += 1;
        } else {
            counts.missing += 1;
        }
    }
    Ok(counts)
}

/// A delivery on its way to the dead letters.
pub(crate) struct Burial<'a> {
    pub(crate) stream: &'a str,
    pub(crate) consumer: &'a str,
    pub(crate) sequence: u64,
    pub(crate) attempts: u64,
    pub(crate) reason: &'a str,
    pub(crate) detail: &'a str,
    pub(crate) subject: &'a str,
    pub(crate) headers: Option<&'a HeaderMap>,
    pub(crate) body: Bytes,
}

impl Burial<'_> {
    /// Stores the dead letter; a repeated call within the server's duplicate window stores it once.
    pub(crate) async fn publish(self, bus: &Bus) -> Result<(), Error> {
        let mut headers = carried(self.headers);
        headers.insert(
            header::MESSAGE_ID.clone(),
            header_text(&format!("{}/{}/{}", self.stream, self.consumer, self.sequence)),
        );
        headers.insert(STREAM, header_text(self.stream));
        headers.insert(CONSUMER, header_text(self.consumer));
        headers.insert(SEQUENCE, self.sequence.to_string());
        headers.insert(SUBJECT, header_text(self.subject));
        headers.insert(REASON, header_text(self.reason));
        headers.insert(DETAIL, header_text(self.detail));
        headers.insert(ATTEMPTS, self.attempts.to_string());
        let outgoing =
            Outgoing { subject: subject::dead(self.stream, self.consumer), headers, body: self.body };
        bus.deliver(&[outgoing]).await?;
        let (consumer, reason, attempts) = (self.consumer, self.reason, self.attempts);
        tracing::warn!(
            consumer,
            reason,
            attempts,
            sequence = self.sequence,
            "kept a delivery as a dead letter"
        );
        bus.metrics().dead_lettered(consumer, reason);
        Ok(())
    }
}

/// The headers of the original: all but the server's and those of an earlier death.
fn carried(headers: Option<&HeaderMap>) -> HeaderMap {
    let mut carried = HeaderMap::new();
    for (name, values) in headers.into_iter().flat_map(HeaderMap::iter) {
        let text: &str = name.as_ref();
        if !text.starts_with("Nats-") && !text.starts_with("accord-") {
            for value in values {
                carried.append(name.clone(), value.clone());
            }
        }
    }
    carried
}

fn resurrect(id: u64, message: &StreamMessage) -> Outgoing {
    let letter = letter_of(id, message);
    let mut headers = carried(Some(&message.headers));
    let original = letter.message_id.as_deref().unwrap_or_default();
    headers.insert(header::MESSAGE_ID.clone(), header_text(&format!("{original}:replay:{id}")));
    headers.insert(header::REPLAY.clone(), header_text(&letter.consumer));
    Outgoing { subject: letter.subject, headers, body: message.payload.clone() }
}

fn letter_of(id: u64, message: &StreamMessage) -> DeadLetter {
    letter(id, message.time.unix_timestamp_nanos(), &message.headers, message.payload.clone())
}

/// The dead letter in a delivered message; none when it is something else.
pub(crate) fn delivered(id: u64, published_ns: i128, headers: &HeaderMap, body: Bytes) -> Option<DeadLetter> {
    headers.get(REASON).is_some().then(|| letter(id, published_ns, headers, body))
}

fn letter(id: u64, published_ns: i128, headers: &HeaderMap, body: Bytes) -> DeadLetter {
    let optional = |name: &str| headers.get(name).map(|value| value.as_str().to_owned());
    let text = |name: &str| optional(name).unwrap_or_default();
    DeadLetter {
        id,
        stream: text(STREAM),
        consumer: text(CONSUMER),
        subject: text(SUBJECT),
        reason: text(REASON),
        detail: text(DETAIL),
        attempts: text(ATTEMPTS).parse().unwrap_or_default(),
        at: Timestamp::from_nanosecond(published_ns).unwrap_or_default(),
        message_id: optional(header::ID.as_ref()),
        kind: optional(header::TYPE.as_ref()),
        organization: text(header::ORGANIZATION.as_ref()).parse().ok(),
        body,
    }
}

async fn ids(bus: &Bus, filter: &Filter, selection: &Selection) -> Result<Vec<u64>, Error> {
    match selection {
        Selection::Ids(ids) => Ok(ids.clone()),
        Selection::All => {
            let mut ids = Vec::new();
            scan(bus, filter, |letter| ids.push(letter.id)).await?;
            Ok(ids)
        }
    }
}

/// Shows every matching dead letter, oldest first.
async fn scan(bus: &Bus, filter: &Filter, mut visit: impl FnMut(DeadLetter)) -> Result<(), Error> {
    let config = pull::Config {
        deliver_policy: DeliverPolicy::All,
        ack_policy: AckPolicy::None,
        filter_subject: filter.subject(),
        memory_storage: true,
        inactive_threshold: std::time::Duration::from_secs(30),
        ..pull::Config::default()
    };
    let consumer = bus.jetstream().create_consumer_on_stream(config, subject::DEAD).await;
    let consumer = consumer.map_err(|error| Error::caused(ErrorKind::Unreachable, READ, error))?;
    let mut left = consumer.cached_info().num_pending;
    while left > 0 {
        let batch = consumer.fetch().max_messages(SCAN_BATCH).messages().await;
        let mut batch = batch.map_err(|error| Error::caused(ErrorKind::Unreachable, READ, error))?;
        while let Some(message) = batch.next().await {
            let message = message.map_err(|error| Error::caused(ErrorKind::Unreachable, READ, error))?;
            left = visit_one(&message, filter, &mut visit)?;
        }
    }
    Ok(())
}

/// Shows one dead letter if it matches; returns how many come after it.
fn visit_one(
    message: &jetstream::Message,
    filter: &Filter,
    visit: &mut impl FnMut(DeadLetter),
) -> Result<u64, Error> {
    let info = message.info().map_err(|error| Error::caused(ErrorKind::Refused, READ, error))?;
    let empty = HeaderMap::new();
    let headers = message.headers.as_ref().unwrap_or(&empty);
    let letter =
        letter(info.stream_sequence, info.published.unix_timestamp_nanos(), headers, message.payload.clone());
    if filter.matches(&letter) {
        visit(letter);
    }
    Ok(info.pending)
}

async fn read(bus: &Bus, id: u64) -> Result<Option<StreamMessage>, Error> {
    original(bus, subject::DEAD, id, REPLAY).await
}

/// The message at this place of a stream, if it is still there.
pub(crate) async fn original(
    bus: &Bus,
    stream: &str,
    sequence: u64,
    op: &'static str,
) -> Result<Option<StreamMessage>, Error> {
    let stream = bus.jetstream().get_stream_no_info(stream).await;
    let stream = stream.map_err(|error| Error::caused(ErrorKind::Unreachable, op, error))?;
    match stream.get_raw_message(sequence).await {
        Ok(message) => Ok(Some(message)),
        Err(error) => match error.kind() {
            LastRawMessageErrorKind::NoMessageFound => Ok(None),
            LastRawMessageErrorKind::JetStream(answer) => Err(Error::jetstream(op, answer)),
            _ => Err(Error::caused(ErrorKind::Unreachable, op, error)),
        },
    }
}

/// Removes a message from a stream; whether it was there.
pub(crate) async fn remove(bus: &Bus, stream: &str, sequence: u64) -> Result<bool, Error> {
    const OP: &str = "remove a message from its stream";
    let request = serde_json::json!({ "seq": sequence, "no_erase": true });
    let removed = bus.api::<_, serde_json::Value>(OP, format!("STREAM.MSG.DELETE.{stream}"), &request).await;
    match removed {
        Ok(_) => Ok(true),
        Err(error)
            if error.is_answer(ErrorCode::NO_MESSAGE_FOUND)
                || error.is_answer(ErrorCode::SEQUENCE_NOT_FOUND) =>
        {
            Ok(false)
        }
        Err(error) => Err(error),
    }
}
