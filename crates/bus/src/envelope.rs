use async_nats::{HeaderMap, HeaderName, HeaderValue};
use bytes::Bytes;
use jiff::Timestamp;
use model::OrganizationId;
use serde::{Serialize, de::DeserializeOwned};
use tracing_opentelemetry::OpenTelemetrySpanExt;
use uuid::Uuid;

use crate::{Error, ErrorKind, subject, trace};

/// The largest body of a message, in bytes. With its headers, and those of a dead letter, it fits into the
/// 1 MiB that a NATS server allows by default.
pub const MAX_BODY_BYTES: usize = 1_000_000;

/// The longest text in a header, in bytes.
const MAX_HEADER_BYTES: usize = 1_024;

const EVENT_NAMESPACE: Uuid = Uuid::from_u128(0x8f0e_6c86_4c1b_5b57_9a53_57f1_3f1d_9b20);

/// The names of our headers, read and written without a copy.
pub(crate) mod header {
    use async_nats::HeaderName;

    pub(crate) static MESSAGE_ID: HeaderName = HeaderName::from_static("Nats-Msg-Id");
    pub(crate) static SPEC_VERSION: HeaderName = HeaderName::from_static("ce-specversion");
    pub(crate) static ID: HeaderName = HeaderName::from_static("ce-id");
    pub(crate) static SOURCE: HeaderName = HeaderName::from_static("ce-source");
    pub(crate) static TYPE: HeaderName = HeaderName::from_static("ce-type");
    pub(crate) static TIME: HeaderName = HeaderName::from_static("ce-time");
    pub(crate) static CONTENT_TYPE: HeaderName = HeaderName::from_static("ce-datacontenttype");
    pub(crate) static ORGANIZATION: HeaderName = HeaderName::from_static("ce-organization");
    pub(crate) static CAUSE: HeaderName = HeaderName::from_static("ce-cause");
    pub(crate) static ACTOR: HeaderName = HeaderName::from_static("ce-actor");
    pub(crate) static TRACEPARENT: HeaderName = HeaderName::from_static("traceparent");
    pub(crate) static REPLAY: HeaderName = HeaderName::from_static("accord-replay");
}

/// A deterministic id (UUIDv5) of the thing that these parts name: the same parts give the same id, in every
/// process. `["a", "bc"]` and `["ab", "c"]` differ.
#[must_use]
pub fn event_id(parts: &[&str]) -> String {
    named(parts).to_string()
}

/// The same for what these parts name and what happened at this time, which is part of its name: ids of later things
/// are larger (UUIDv8 that begins with the milliseconds, as UUIDv7 does). What flows in numbers has such ids, since an
/// index of them grows at its end and is not written all over.
#[must_use]
pub fn event_id_at(time: Timestamp, parts: &[&str]) -> String {
    let mut bytes = *named(parts).as_bytes();
    let ms = u64::try_from(time.as_millisecond()).unwrap_or_default();
    bytes[..6].copy_from_slice(&ms.to_be_bytes()[2..]);
    uuid::Builder::from_custom_bytes(bytes).into_uuid().to_string()
}

fn named(parts: &[&str]) -> Uuid {
    let mut name = String::new();
    for part in parts {
        name.push_str(&format!("{}:{part}", part.len()));
    }
    Uuid::new_v5(&EVENT_NAMESPACE, name.as_bytes())
}

/// What a message says about itself: CloudEvents 1.0 in NATS headers (`ce-id`, `ce-source`, …).
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Envelope {
    /// The id by which every consumer knows it again; also the server's own guard against repeats.
    pub id: String,
    /// Who says it: a room, `sync-engine`, or a connector, `connector/hubspot`.
    pub source: String,
    /// What happened, `record.changed`; see [`model::kind`].
    pub kind: String,
    /// When it happened.
    pub time: Timestamp,
    /// The tenant.
    pub organization: OrganizationId,
    /// The id of the message that caused this one.
    pub cause: Option<String>,
    /// Who wanted it, in the text form of [`model::Actor`].
    pub actor: Option<String>,
    /// The W3C trace context; taken from the current span on publishing when there is none.
    pub traceparent: Option<String>,
}

impl Envelope {
    /// Links a span to the trace that published this message. A batch handler has one span with many links.
    pub fn link_to(&self, span: &tracing::Span) {
        if let Some(context) = self.traceparent.as_deref().and_then(trace::parse) {
            span.add_link(context);
        }
    }

    pub(crate) fn check(&self) -> Result<(), Error> {
        let required =
            [(&header::ID, &self.id), (&header::SOURCE, &self.source), (&header::TYPE, &self.kind)];
        if let Some((name, _)) = required.iter().find(|(_, text)| text.is_empty()) {
            return Err(invalid(format!("{name} is empty")));
        }
        let optional = [(&header::CAUSE, &self.cause), (&header::ACTOR, &self.actor)];
        let optional = optional.iter().filter_map(|(name, text)| text.as_ref().map(|text| (*name, text)));
        match required.into_iter().chain(optional).find(|(_, text)| !fits_header(text)) {
            Some((name, _)) => Err(invalid(format!("{name} is too long or holds a control character"))),
            None => Ok(()),
        }
    }

    pub(crate) fn to_headers(&self) -> Result<HeaderMap, Error> {
        self.check()?;
        let mut headers = HeaderMap::new();
        let mut set = |name: &HeaderName, text: &str| -> Result<(), Error> {
            let value: HeaderValue =
                text.parse().map_err(|error| Error::caused(ErrorKind::Invalid, OP, error))?;
            headers.insert(name.clone(), value);
            Ok(())
        };
        set(&header::MESSAGE_ID, &self.id)?;
        set(&header::SPEC_VERSION, "1.0")?;
        set(&header::CONTENT_TYPE, "application/json")?;
        set(&header::ID, &self.id)?;
        set(&header::SOURCE, &self.source)?;
        set(&header::TYPE, &self.kind)?;
        set(&header::TIME, &self.time.to_string())?;
        set(&header::ORGANIZATION, &self.organization.to_string())?;
        if let Some(cause) = &self.cause {
            set(&header::CAUSE, cause)?;
        }
        if let Some(actor) = &self.actor {
            set(&header::ACTOR, actor)?;
        }
        if let Some(traceparent) = self.traceparent.as_deref().filter(|text| trace::parse(text).is_some()) {
            set(&header::TRACEPARENT, traceparent)?;
        } else if let Some(traceparent) = trace::current() {
            set(&header::TRACEPARENT, &traceparent)?;
        }
        Ok(headers)
    }

    pub(crate) fn from_headers(headers: Option<&HeaderMap>) -> Result<Self, Error> {
        let text = |name: &HeaderName| headers?.get(name.clone()).map(|value| value.as_str().to_owned());
        let required = |name: &HeaderName| {
            text(name).filter(|text| !text.is_empty()).ok_or_else(|| invalid(format!("{name} is missing")))
        };
        let time = required(&header::TIME)?;
        let organization = required(&header::ORGANIZATION)?;
        Ok(Self {
            id: required(&header::ID)?,
            source: required(&header::SOURCE)?,
            kind: required(&header::TYPE)?,
            time: time.parse().map_err(|_| invalid("ce-time is no RFC 3339 moment"))?,
            organization: organization
                .parse()
                .map_err(|_| invalid("ce-organization is no organization id"))?,
            cause: text(&header::CAUSE),
            actor: text(&header::ACTOR),
            traceparent: text(&header::TRACEPARENT),
        })
    }
}

/// A message on the bus: where, what it says about itself, and its JSON.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Message {
    /// Where it goes; built by a function of [`crate::subject`].
    pub subject: String,
    /// What it says about itself.
    pub envelope: Envelope,
    /// JSON.
    pub body: Bytes,
}

const OP: &str = "build a bus message";

impl Message {
    /// A message with `body` as its JSON and a new id (UUIDv7 of `time`). Whoever can name the thing
    /// deterministically sets the id with [`Message::with_id`].
    ///
    /// # Errors
    /// [`ErrorKind::Invalid`] where the body has no JSON form, [`ErrorKind::TooLarge`] where it is too large.
    pub fn json<T: Serialize + ?Sized>(
        subject: impl Into<String>,
        kind: impl Into<String>,
        source: impl Into<String>,
        organization: OrganizationId,
        time: Timestamp,
        body: &T,
    ) -> Result<Self, Error> {
        let body = serde_json::to_vec(body).map_err(|error| Error::caused(ErrorKind::Invalid, OP, error))?;
        let envelope = Envelope {
            id: random_id(time),
            source: source.into(),
            kind: kind.into(),
            time,
            organization,
            cause: None,
            actor: None,
            traceparent: None,
        };
        let message = Self { subject: subject.into(), envelope, body: body.into() };
        message.check()?;
        Ok(message)
    }

    /// The same message with this id, see [`event_id`].
    #[must_use]
    pub fn with_id(mut self, id: impl Into<String>) -> Self {
        self.envelope.id = id.into();
        self
    }

    /// The same message, caused by the message with this id.
    #[must_use]
    pub fn caused_by(mut self, id: impl Into<String>) -> Self {
        self.envelope.cause = Some(id.into());
        self
    }

    /// The same message, wanted by this actor.
    #[must_use]
    pub fn by(mut self, actor: impl Into<String>) -> Self {
        self.envelope.actor = Some(actor.into());
        self
    }

    /// Reads the JSON.
    ///
    /// # Errors
    /// [`ErrorKind::Undecodable`]: it is not of this type. The text says where, never what.
    pub fn decode<T: DeserializeOwned>(&self) -> Result<T, Error> {
        serde_json::from_slice(&self.body).map_err(|error| {
            let place =
                format!("at line {} column {}: {:?} error", error.line(), error.column(), error.classify());
            Error::new(ErrorKind::Undecodable, "decode a bus message", place)
        })
    }

    /// Whether the bus carries it: a subject of a stream, a whole envelope, a body that is not too large.
    pub(crate) fn check(&self) -> Result<&'static str, Error> {
        let subject_is_sound = self.subject.split('.').all(|token| {
            !token.is_empty()
                && token != "*"
                && token != ">"
                && token.bytes().all(|byte| byte.is_ascii_graphic())
        });
        let stream = subject::stream_of(&self.subject).filter(|_| subject_is_sound);
        let stream = stream.ok_or_else(|| invalid("no stream keeps its subject"))?;
        if self.body.len() > MAX_BODY_BYTES {
            let size =
                format!("the body has {} bytes, at most {MAX_BODY_BYTES} are carried", self.body.len());
            return Err(Error::new(ErrorKind::TooLarge, OP, size));
        }
        self.envelope.check()?;
        Ok(stream)
    }
}

fn random_id(time: Timestamp) -> String {
    let seconds = u64::try_from(time.as_second()).unwrap_or_default();
    let nanos = u32::try_from(time.subsec_nanosecond()).unwrap_or_default();
    Uuid::new_v7(uuid::Timestamp::from_unix(uuid::NoContext, seconds, nanos)).to_string()
}

pub(crate) fn fits_header(text: &str) -> bool {
    text.len() <= MAX_HEADER_BYTES && !text.chars().any(char::is_control)
}

/// Any text as a header value: control characters become spaces, the rest of a long one is cut off.
pub(crate) fn header_text(text: &str) -> HeaderValue {
    let mut fit = String::new();
    for character in text.chars().map(|character| if character.is_control() { ' ' } else { character }) {
        if fit.len() + character.len_utf8() > MAX_HEADER_BYTES {
            break;
        }
        fit.push(character);
    }
    fit.trim().parse().unwrap_or_default()
}

fn invalid(detail: impl Into<String>) -> Error {
    Error::new(ErrorKind::Invalid, OP, detail)
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn message(id: &str, cause: Option<String>) -> Message {
        let org = OrganizationId::generate(Timestamp::UNIX_EPOCH);
        let mut message = Message::json(
            subject::record(&org, "deal"),
            "record.changed",
            "test",
            org,
            Timestamp::UNIX_EPOCH,
            &1,
        )
        .unwrap()
        .with_id(id);
        message.envelope.cause = cause;
        message
    }

    proptest! {
        #[test]
        fn what_the_headers_say_reads_back_or_is_refused(id in ".{0,40}", cause in proptest::option::of(".{0,40}")) {
            let message = message(&id, cause);
            match message.envelope.to_headers() {
                Ok(headers) => prop_assert_eq!(Envelope::from_headers(Some(&headers)).unwrap(), message.envelope),
                Err(error) => prop_assert_eq!(error.kind(), ErrorKind::Invalid),
            }
        }

        #[test]
        fn any_text_fits_into_a_header(text in ".*") {
            prop_assert!(fits_header(header_text(&text).as_str()));
        }

        #[test]
        fn the_parts_of_an_event_id_do_not_run_into_each_other(one in ".{1,5}", other in ".{1,5}") {
            let joined = format!("{one}{other}");
            prop_assert_ne!(event_id(&[&one, &other]), event_id(&[&joined]));
            prop_assert_eq!(event_id(&[&one, &other]), event_id(&[&one, &other]));
        }

        #[test]
        fn ids_of_later_things_are_larger_and_time_is_part_of_a_name(
            one in ".{0,5}", other in ".{0,5}", at in 0..4_000_000_000_000_i64, later in 1..1_000_000_000_i64,
        ) {
            let id = |ms, part: &str| event_id_at(Timestamp::from_millisecond(ms).unwrap(), &[part]);
            prop_assert!(id(at, &one) < id(at + later, &other));
            prop_assert_eq!(id(at, &one), id(at, &one));
            prop_assert_eq!(id(at, &one) == id(at, &other), one == other);
            prop_assert_eq!(Uuid::parse_str(&id(-at, &one)).unwrap().get_version_num(), 8);
        }
    }

    #[test]
    fn a_body_of_another_shape_is_an_error_that_shows_no_value() {
        let message = message("id", None);
        let error = message.decode::<Vec<String>>().unwrap_err();
        assert_eq!(error.code(), "bus_undecodable");
        let org = message.envelope.organization;
        let secret = Message::json(
            subject::record(&org, "x"),
            "k",
            "s",
            org,
            Timestamp::UNIX_EPOCH,
            "ann@example.org",
        );
        assert!(!secret.unwrap().decode::<u64>().unwrap_err().to_string().contains("ann"));
    }

    #[test]
    fn a_message_for_no_stream_or_with_a_wildcard_is_refused() {
        let mut message = message("id", None);
        for subject in
            ["cache.identity.revoked", "record.*.deal", "record.>", "record..deal", "record.a b.c", ""]
        {
            message.subject = subject.into();
            assert_eq!(message.check().unwrap_err().kind(), ErrorKind::Invalid, "{subject}");
        }
    }
}
