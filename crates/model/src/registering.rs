//! What the crm room says: what became of deal registrations, and what people set there.

use jiff::{Timestamp, civil::Date};
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

use crate::{ConnectionId, DealRegistrationId, PartnerId, RecordId, UserId};

/// A partner registered a deal, somebody decided about it, or its time was over. The envelope says who. Whom to talk to at
/// the company, and what the partner noted, is in the registration and not here.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct DealRegistrationChanged {
    /// The registration.
    pub registration: DealRegistrationId,
    /// Who registered it.
    pub partner: PartnerId,
    /// The partner's record, where that was told.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub partner_record: Option<RecordId>,
    /// What the company is called.
    pub company: String,
    /// Its domain, by which registrations are compared: `acme.example`.
    pub domain: String,
    /// The company's record, where exactly one has the domain.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub company_record: Option<RecordId>,
    /// What the deal is called.
    pub deal_name: String,
    /// Its amount in major units, `45000.00`; none where it is not known.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub amount: Option<String>,
    /// ISO 4217; empty without an amount.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub currency: String,
    /// When the partner expects to close it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub expected_close: Option<Date>,
    /// `submitted`, `approved`, `rejected` or `expired`.
    pub status: String,
    /// Why it was rejected.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub reason: String,
    /// Other registrations of the same company that stood when this one was submitted.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub conflicts: Vec<RegistrationConflict>,
    /// The deal that approving it creates: a record of this id.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub deal: Option<RecordId>,
    /// Until when it is protected, once it is approved.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub expires_at: Option<Timestamp>,
    /// When it was submitted.
    pub submitted_at: Timestamp,
    /// When this happened.
    pub at: Timestamp,
}

/// Another registration of the same company.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct RegistrationConflict {
    /// `duplicate`: of the same partner; `channel`: of another one.
    pub kind: String,
    /// It.
    pub registration: DealRegistrationId,
    /// Whose it is.
    pub partner: PartnerId,
    /// How it stood: `submitted`, `under_review` or `approved`.
    pub status: String,
}

/// Somebody wanted to decide about a registration at a vendor, and may not or comes too late. Nothing changed.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct DecisionRefused {
    /// The registration that was named, which may be no one's here.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub registration: Option<DealRegistrationId>,
    /// What was wanted: `approve` or `reject`.
    pub decision: String,
    /// Where: `slack`.
    pub vendor: String,
    /// The connection that it came by.
    pub connection: ConnectionId,
    /// The vendor's id of the person.
    pub vendor_user: String,
    /// Who that is here, where it is confirmed.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub user: Option<UserId>,
    /// Why not: `user_unmapped`, `role_forbidden`, `registration_unknown`, `reason_invalid`, `already_decided`,
    /// `registration_expired`.
    pub reason: String,
    /// When.
    pub at: Timestamp,
}

/// Somebody changed which events are told where, or who a vendor's user is. The envelope says who.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct CrmSettingsChanged {
    /// `notification_rule` or `vendor_user`.
    pub subject: String,
    /// The id of the rule, or the vendor's id of the user.
    pub id: String,
    /// Of a rule `created`, `changed`, `deleted`; of a user `confirmed`, `removed`.
    pub change: String,
    /// The connection.
    pub connection: ConnectionId,
    /// Who the vendor's user is, or was, here.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub user: Option<UserId>,
    /// What is told in the channel from now on.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub events: Vec<String>,
    /// When.
    pub at: Timestamp,
}

/// Somebody changed a campaign, its mailbox, or who gets no mail; or a campaign was paused by itself. The envelope says who.
/// It names nobody to whom mails are sent.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct MailingChanged {
    /// `campaign`, `mailbox` or `suppression`.
    pub subject: String,
    /// The id of the campaign or the connection; empty of a suppression.
    pub id: String,
    /// Of a campaign `created`, `changed`, `started`, `withdrawn`, `paused`, `resumed`, `enrolled`, `recipient_stopped`;
    /// of a mailbox `changed`; of a suppression `added`, `removed`, `opted_out`, `bounced`.
    pub change: String,
    /// Why a campaign was paused by itself, as a stable code; else empty.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub reason: String,
    /// How many people it is about, where it is about some.
    #[serde(default)]
    pub count: u32,
    /// When.
    pub at: Timestamp,
}
