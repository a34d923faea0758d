use std::{fmt, str::FromStr};

use jiff::Timestamp;
use uuid::Uuid;

/// A text that is no id of the expected kind.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("read an id: expected the form {prefix}_… with 32 hexadecimal digits")]
pub struct InvalidId {
    /// The prefix that the id should have had.
    pub prefix: &'static str,
}

macro_rules! id {
    ($($(#[$doc:meta])* $name:ident, $prefix:literal);+ $(;)?) => {$(
        $(#[$doc])*
        #[derive(Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
        pub struct $name(Uuid);

        impl $name {
            /// The prefix of the text form, without the underscore.
            pub const PREFIX: &'static str = $prefix;

            /// A new id that sorts by the given time (UUIDv7).
            #[must_use]
            pub fn generate(now: Timestamp) -> Self {
                Self(uuid_v7(now))
            }

            /// When it was generated, to the millisecond; none of an id that was not.
            #[must_use]
            pub fn generated_at(self) -> Option<Timestamp> {
                let (seconds, nanoseconds) = self.0.get_timestamp()?.to_unix();
                Timestamp::new(i64::try_from(seconds).ok()?, i32::try_from(nanoseconds).ok()?).ok()
            }

            /// The id with this UUID inside.
            #[must_use]
            pub const fn from_uuid(uuid: Uuid) -> Self {
                Self(uuid)
            }

            /// The UUID inside, as it is stored in Postgres.
            #[must_use]
            pub const fn uuid(self) -> Uuid {
                self.0
            }
        }

        impl fmt::Display for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                write!(f, concat!($prefix, "_{}"), self.0.simple())
            }
        }

        impl fmt::Debug for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                fmt::Display::fmt(self, f)
            }
        }

        impl FromStr for $name {
            type Err = InvalidId;

            fn from_str(text: &str) -> Result<Self, InvalidId> {
                text.strip_prefix(concat!($prefix, "_"))
                    .filter(|hex| hex.len() == 32)
                    .and_then(|hex| Uuid::try_parse(hex).ok())
                    .map(Self)
                    .ok_or(InvalidId { prefix: $prefix })
            }
        }

        impl utoipa::PartialSchema for $name {
            fn schema() -> utoipa::openapi::RefOr<utoipa::openapi::Schema> {
                crate::schema::text(concat!("^", $prefix, "_[0-9a-f]{32}$"))
            }
        }

        impl utoipa::ToSchema for $name {}

        impl serde::Serialize for $name {
            fn serialize<S: serde::Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
                serializer.collect_str(self)
            }
        }

        impl<'de> serde::Deserialize<'de> for $name {
            fn deserialize<D: serde::Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
                let text = <std::borrow::Cow<'de, str>>::deserialize(deserializer)?;
                text.parse().map_err(serde::de::Error::custom)
            }
        }
    )+};
}

id!(
    /// The tenant. It is on every row, subject, cache key and request.
    OrganizationId, "org";
    /// A person who signs in.
    UserId, "user";
    /// One organization's authorized link to a vendor.
    ConnectionId, "conn";
    /// A canonical record.
    RecordId, "rec";
    /// An object mapping: a canonical object paired with a vendor object on one connection.
    MappingId, "map";
    /// A link between a vendor's record and a canonical record.
    LinkId, "link";
    /// A write that a vendor is asked to make.
    WriteId, "write";
    /// An API key of the public HTTP API.
    ApiKeyId, "apikey";
    /// An integration key of a sibling product.
    IntegrationKeyId, "intkey";
    /// A signed-in session.
    SessionId, "sess";
    /// A partner program: where its links lead, and the terms on which it pays.
    ProgramId, "prog";
    /// A partner, who brings customers.
    PartnerId, "ptnr";
    /// A conversion event.
    ConversionId, "evt";
    /// A user's click was tied to the user.
    IdentifyId, "ident";
    /// The share of one click in one conversion event.
    AttributionId, "attr";
    /// What one rule pays for one attribution.
    CommissionId, "comm";
    /// An entry of the commission ledger.
    LedgerEntryId, "entry";
    /// A payment to a partner.
    PayoutId, "pay";
    /// Where a merchant wants to be told what happened.
    WebhookId, "hook";
    /// What one of them is told once.
    WebhookDeliveryId, "dlv";
);

id!(
    /// A rule that makes conversion events of what records of a CRM become.
    ConversionRuleId, "rule"
);
id!(
    /// An address that a CRM's own webhook is pointed at.
    IngestUrlId, "ing"
);
id!(
    /// A deal that a partner registered.
    DealRegistrationId, "dreg"
);
id!(
    /// What was done with a record: an e-mail, a call, a meeting.
    ActivityId, "act"
);
id!(
    /// A message that a vendor is asked to post.
    PostId, "post"
);
id!(
    /// A mail that a connected mailbox is asked to send.
    MailId, "mail"
);
id!(
    /// Which events are told in which channel.
    NotificationRuleId, "nrule"
);
id!(
    /// Mails that are sent to many, in one step or several.
    CampaignId, "camp"
);
id!(
    /// Somebody whom a campaign is sent to.
    RecipientId, "rcpt"
);

fn uuid_v7(now: Timestamp) -> Uuid {
    let seconds = u64::try_from(now.as_second()).unwrap_or_default();
    let nanos = u32::try_from(now.subsec_nanosecond()).unwrap_or_default();
    Uuid::new_v7(uuid::Timestamp::from_unix(uuid::NoContext, seconds, nanos))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_id_reads_back_from_its_text_and_no_other_kind_does() {
        let id = RecordId::generate(Timestamp::UNIX_EPOCH);
        assert_eq!(id.to_string().parse(), Ok(id));
        assert!(id.to_string().parse::<LinkId>().is_err());
        assert!("rec_1234".parse::<RecordId>().is_err());
        assert!("rec_é".parse::<RecordId>().is_err());
    }
}
