//! Every subject and stream of the bus, in one place.
//!
//! A subject names the organization and the kind of thing, never a record or a connection: those are in the
//! envelope, because a stream indexes its subjects.
//!
//! | Stream | Subjects | Kept |
//! |---|---|---|
//! | CHANGES | `change.{org}.{vendor}.{object}`, `written.{org}.{vendor}.{object}`, `activity.{org}.{vendor}` | 7 days |
//! | | `posted.{org}.{vendor}`, `interaction.{org}.{vendor}`, `mailed.{org}.{vendor}` | |
//! | WRITES | `write.{vendor}.{partition}.{org}.{object}` | until acknowledged |
//! | | `post.{vendor}.{partition}.{org}`, `answer.{vendor}.{partition}.{org}` | |
//! | | `mail.{vendor}.{partition}.{org}` | |
//! | EVENTS | `{noun}.{org}.{rest}` of the nouns in [`EVENT_NOUNS`]; public | 30 days |
//! | DEAD | `dead.{stream}.{consumer}` | 90 days |
//! | ADVISORIES | the server's own notice that a message ran out of deliveries | until handled |

use model::{ConnectionId, OrganizationId};

/// The stream of what connectors captured and of what vendors answered.
pub const CHANGES: &str = "CHANGES";
/// The work queue of writes that vendors are asked to make.
pub const WRITES: &str = "WRITES";
/// The public stream: what happened, for every room and for sibling products.
pub const EVENTS: &str = "EVENTS";
/// The stream of deliveries that will not be retried, each with its reason.
pub const DEAD: &str = "DEAD";
/// The stream that keeps the server's notices about messages that ran out of deliveries.
pub const ADVISORIES: &str = "ADVISORIES";

/// Filter: every change event.
pub const ALL_CHANGES: &str = "change.>";
/// Filter: every answer of a vendor to a write.
pub const ALL_WRITTEN: &str = "written.>";
/// Filter: everything that people did, as vendors tell it.
pub const ALL_ACTIVITIES: &str = "activity.>";
/// Filter: every answer of a vendor to a message that it was asked to post.
pub const ALL_POSTED: &str = "posted.>";
/// Filter: all that people did with messages at vendors.
pub const ALL_INTERACTIONS: &str = "interaction.>";
/// Filter: every answer of a vendor to a mail that it was asked to send.
pub const ALL_MAILED: &str = "mailed.>";
/// Filter: every changed record.
pub const ALL_RECORDS: &str = "record.>";

/// The first tokens of the subjects in [`EVENTS`].
pub const EVENT_NOUNS: [&str; 16] = [
    "record",
    "deal",
    "connection",
    "mapping",
    "schema",
    "conflict",
    "sync",
    "token",
    "identity",
    "capture",
    "attribution",
    "commission",
    "partner",
    "payout",
    "deal_registration",
    "crm",
];

/// Ephemeral: a key, session or role was revoked; caches that answered from it must forget. No stream keeps it.
pub const CACHE_IDENTITY_REVOKED: &str = "cache.identity.revoked";

/// How many partitions the connections are divided into. Changing it moves connections between replicas.
pub const PARTITIONS: u32 = 16;

pub(crate) const MAX_DELIVERIES_ADVISORY: &str = "$JS.EVENT.ADVISORY.CONSUMER.MAX_DELIVERIES.>";

/// The partition that a connection's writes go to, `0..PARTITIONS`. Publisher and connector both ask here.
#[must_use]
pub fn partition(connection: &ConnectionId) -> u32 {
    let folded = connection.uuid().as_bytes().iter().fold(0xcbf2_9ce4_8422_2325_u64, |hash, byte| {
        (hash ^ u64::from(*byte)).wrapping_mul(0x0000_0100_0000_01b3)
    });
    u32::try_from((folded ^ (folded >> 32)) % u64::from(PARTITIONS)).unwrap_or_default()
}

/// CHANGES: a record changed at a vendor.
#[must_use]
pub fn change(org: &OrganizationId, vendor: &str, object: &str) -> String {
    format!("change.{org}.{}.{}", token(vendor), token(object))
}

/// CHANGES: a vendor answered a write.
#[must_use]
pub fn written(org: &OrganizationId, vendor: &str, object: &str) -> String {
    format!("written.{org}.{}.{}", token(vendor), token(object))
}

/// CHANGES: people did something, as a vendor tells it.
#[must_use]
pub fn activity(org: &OrganizationId, vendor: &str) -> String {
    format!("activity.{org}.{}", token(vendor))
}

/// WRITES: a vendor is asked for a write; the partition is that of the connection, see [`partition`].
#[must_use]
pub fn write(vendor: &str, partition: u32, org: &OrganizationId, object: &str) -> String {
    format!("write.{}.{partition}.{org}.{}", token(vendor), token(object))
}

/// Filter: the writes of one partition of a vendor.
#[must_use]
pub fn writes_of(vendor: &str, partition: u32) -> String {
    format!("write.{}.{partition}.>", token(vendor))
}

/// WRITES: a vendor is asked to post a message; the partition is that of the connection, see [`partition`].
#[must_use]
pub fn post(vendor: &str, partition: u32, org: &OrganizationId) -> String {
    format!("post.{}.{partition}.{org}", token(vendor))
}

/// Filter: the messages to post of one partition of a vendor.
#[must_use]
pub fn posts_of(vendor: &str, partition: u32) -> String {
    format!("post.{}.{partition}.>", token(vendor))
}

/// WRITES: a vendor is asked to tell one person something; the partition is that of the connection.
#[must_use]
pub fn answer(vendor: &str, partition: u32, org: &OrganizationId) -> String {
    format!("answer.{}.{partition}.{org}", token(vendor))
}

/// Filter: the private answers of one partition of a vendor.
#[must_use]
pub fn answers_of(vendor: &str, partition: u32) -> String {
    format!("answer.{}.{partition}.>", token(vendor))
}

/// WRITES: a vendor is asked to send a mail, or not to send it any more; the partition is that of the connection, see [`partition`].
#[must_use]
pub fn mail(vendor: &str, partition: u32, org: &OrganizationId) -> String {
    format!("mail.{}.{partition}.{org}", token(vendor))
}

/// Filter: the mails to send of one partition of a vendor.
#[must_use]
pub fn mails_of(vendor: &str, partition: u32) -> String {
    format!("mail.{}.{partition}.>", token(vendor))
}

/// CHANGES: a vendor answered a mail that it was asked to send.
#[must_use]
pub fn mailed(org: &OrganizationId, vendor: &str) -> String {
    format!("mailed.{org}.{}", token(vendor))
}

/// CHANGES: a vendor answered a message that it was asked to post.
#[must_use]
pub fn posted(org: &OrganizationId, vendor: &str) -> String {
    format!("posted.{org}.{}", token(vendor))
}

/// CHANGES: somebody did something with a message at a vendor.
#[must_use]
pub fn interaction(org: &OrganizationId, vendor: &str) -> String {
    format!("interaction.{org}.{}", token(vendor))
}

/// EVENTS: a canonical record changed.
#[must_use]
pub fn record(org: &OrganizationId, object: &str) -> String {
    event("record", org, object)
}

/// EVENTS: a connection was authorized, changed its state or was disconnected.
#[must_use]
pub fn connection(org: &OrganizationId, event_name: &str) -> String {
    event("connection", org, event_name)
}

/// EVENTS: an object or field mapping changed.
#[must_use]
pub fn mapping(org: &OrganizationId, event_name: &str) -> String {
    event("mapping", org, event_name)
}

/// EVENTS: a vendor's schema was read again.
#[must_use]
pub fn schema(org: &OrganizationId, event_name: &str) -> String {
    event("schema", org, event_name)
}

/// EVENTS: both sides changed a field and a policy decided.
#[must_use]
pub fn conflict(org: &OrganizationId, event_name: &str) -> String {
    event("conflict", org, event_name)
}

/// EVENTS: a sync run started or finished.
#[must_use]
pub fn sync(org: &OrganizationId, event_name: &str) -> String {
    event("sync", org, event_name)
}

/// EVENTS: a vendor's token was refreshed, or the refresh was refused.
#[must_use]
pub fn token_event(org: &OrganizationId, event_name: &str) -> String {
    event("token", org, event_name)
}

/// EVENTS: a user, role, session or key changed.
#[must_use]
pub fn identity(org: &OrganizationId, event_name: &str) -> String {
    event("identity", org, event_name)
}

/// EVENTS: capturing at a vendor was asked for or stopped.
#[must_use]
pub fn capture(org: &OrganizationId, event_name: &str) -> String {
    event("capture", org, event_name)
}

/// DEAD: a delivery that this consumer of this stream will not get again.
#[must_use]
pub fn dead(stream: &str, consumer: &str) -> String {
    format!("dead.{}.{}", token(stream), token(consumer))
}

/// EVENTS: `{noun}.{org}.{rest}`; the noun is one of [`EVENT_NOUNS`].
#[must_use]
pub fn event(noun: &str, org: &OrganizationId, rest: &str) -> String {
    format!("{noun}.{org}.{}", token(rest))
}

/// Filters of everything public that concerns one organization.
#[must_use]
pub fn events_of(org: &OrganizationId) -> Vec<String> {
    EVENT_NOUNS.iter().map(|noun| format!("{noun}.{org}.>")).collect()
}

/// The stream that keeps a subject; none for an ephemeral one.
#[must_use]
pub fn stream_of(subject: &str) -> Option<&'static str> {
    match subject.split('.').next()? {
        "change" | "written" | "activity" | "posted" | "interaction" | "mailed" => Some(CHANGES),
        "write" | "post" | "answer" | "mail" => Some(WRITES),
        "dead" => Some(DEAD),
        noun if EVENT_NOUNS.contains(&noun) => Some(EVENTS),
        _ => None,
    }
}

/// A name as one token of a subject: letters, digits, `_` and `-` stay, every other byte becomes `%xx`, and the
/// empty name a lone `%`. Different names give different tokens.
#[must_use]
pub fn token(name: &str) -> String {
    if name.is_empty() {
        return "%".to_owned();
    }
    let mut token = String::with_capacity(name.len());
    for byte in name.bytes() {
        if byte.is_ascii_alphanumeric() || byte == b'_' || byte == b'-' {
            token.push(char::from(byte));
        } else {
            token.push_str(&format!("%{byte:02x}"));
        }
    }
    token
}

#[cfg(test)]
mod tests {
    use std::collections::HashSet;

    use jiff::Timestamp;
    use proptest::prelude::*;

    use super::*;

    proptest! {
        #[test]
        fn any_name_is_one_token_and_no_wildcard(name in ".*") {
            let token = token(&name);
            prop_assert!(!token.is_empty());
            prop_assert!(token.bytes().all(|byte| byte.is_ascii_alphanumeric() || b"_-%".contains(&byte)));
        }

        #[test]
        fn different_names_give_different_tokens(one in ".{0,6}", other in ".{0,6}") {
            prop_assert_eq!(one == other, token(&one) == token(&other));
        }
    }

    #[test]
    fn every_subject_has_its_stream() {
        let org = OrganizationId::generate(Timestamp::UNIX_EPOCH);
        assert_eq!(stream_of(&change(&org, "hubspot", "companies")), Some(CHANGES));
        assert_eq!(stream_of(&written(&org, "hubspot", "p1234.deals *")), Some(CHANGES));
        assert_eq!(stream_of(&activity(&org, "m365")), Some(CHANGES));
        assert_eq!(stream_of(&write("hubspot", 3, &org, "deals")), Some(WRITES));
        assert_eq!(stream_of(&posted(&org, "slack")), Some(CHANGES));
        assert_eq!(stream_of(&interaction(&org, "slack")), Some(CHANGES));
        assert_eq!(stream_of(&post("slack", 3, &org)), Some(WRITES));
        assert_eq!(stream_of(&answer("slack", 3, &org)), Some(WRITES));
        assert_eq!(stream_of(&mail("m365", 3, &org)), Some(WRITES));
        assert_eq!(stream_of(&mailed(&org, "m365")), Some(CHANGES));
        assert_eq!(stream_of(&dead("EVENTS", "audit")), Some(DEAD));
        assert_eq!(stream_of(CACHE_IDENTITY_REVOKED), None);
        for noun in EVENT_NOUNS {
            assert_eq!(stream_of(&event(noun, &org, "x")), Some(EVENTS));
        }
    }

    #[test]
    fn connections_spread_over_all_partitions() {
        let used: HashSet<u32> =
            (0..500).map(|_| partition(&ConnectionId::generate(Timestamp::UNIX_EPOCH))).collect();
        assert_eq!(used.len(), PARTITIONS as usize);
        assert!(used.iter().all(|partition| *partition < PARTITIONS));
    }
}
