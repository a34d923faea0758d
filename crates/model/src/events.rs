use std::collections::BTreeMap;

use jiff::Timestamp;
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;
use uuid::Uuid;

// Under this name, because the derive takes a `Value` for any JSON.
use crate::Value as FieldValue;
use crate::{
    CanonicalObject, ConnectionId, Digests, FieldType, MappingId, ObjectSchema, RecordId, SchemaPart,
};

/// The `ce-type` of every message on the bus.
pub mod kind {
    /// [`crate::ChangeEvent`].
    pub const CHANGE: &str = "change.captured";
    /// [`crate::CaptureProgress`], in the CHANGES stream behind the last change of a backfill.
    pub const BACKFILL_FINISHED: &str = "change.backfill_finished";
    /// [`crate::ActivityTold`].
    pub const ACTIVITY_TOLD: &str = "activity.told";
    /// [`crate::ApplyWrite`].
    pub const WRITE: &str = "write.requested";
    /// [`crate::Written`].
    pub const WRITTEN: &str = "write.answered";
    /// [`crate::PostMessage`].
    pub const POST: &str = "post.requested";
    /// [`crate::MessagePosted`].
    pub const POSTED: &str = "post.answered";
    /// [`crate::InteractionReceived`].
    pub const INTERACTION: &str = "interaction.received";
    /// [`crate::VendorUserTold`].
    pub const VENDOR_USER: &str = "vendor_user.told";
    /// [`crate::AnswerPrivately`].
    pub const ANSWER: &str = "answer.requested";
    /// [`crate::SendMail`].
    pub const MAIL: &str = "mail.requested";
    /// [`crate::WithdrawMail`].
    pub const MAIL_WITHDRAWAL: &str = "mail.withdrawal_requested";
    /// [`crate::MailSent`].
    pub const MAILED: &str = "mail.answered";
    /// [`crate::RecordChanged`] of a new record.
    pub const RECORD_CREATED: &str = "record.created";
    /// [`crate::RecordChanged`].
    pub const RECORD_CHANGED: &str = "record.changed";
    /// [`crate::RecordChanged`] of an archived record.
    pub const RECORD_ARCHIVED: &str = "record.archived";
    /// [`crate::ConflictRecorded`].
    pub const CONFLICT_RECORDED: &str = "conflict.recorded";
    /// [`crate::ConnectionChanged`] after a completed authorization.
    pub const CONNECTION_AUTHORIZED: &str = "connection.authorized";
    /// [`crate::ConnectionChanged`].
    pub const CONNECTION_CHANGED: &str = "connection.changed";
    /// [`crate::ConnectionChanged`] after somebody disconnected it.
    pub const CONNECTION_DISCONNECTED: &str = "connection.disconnected";
    /// [`crate::ConnectionChanged`] when an authorization was refused: wrong state, denied, missing scopes.
    pub const CONNECTION_REFUSED: &str = "connection.refused";
    /// [`crate::BudgetChanged`].
    pub const BUDGET_CHANGED: &str = "connection.budget_changed";
    /// [`crate::BudgetReached`].
    pub const BUDGET_REACHED: &str = "connection.budget_reached";
    /// [`crate::ReadingChanged`].
    pub const READING_CHANGED: &str = "connection.reading_changed";
    /// [`crate::ConnectionChanged`] after a token refresh.
    pub const TOKEN_REFRESHED: &str = "token.refreshed";
    /// [`crate::ConnectionChanged`] after a token refresh that the vendor refused.
    pub const TOKEN_REFRESH_FAILED: &str = "token.refresh_failed";
    /// [`crate::SchemaRefreshed`].
    pub const SCHEMA_REFRESHED: &str = "schema.refreshed";
    /// [`crate::SchemaDriftDetected`].
    pub const SCHEMA_DRIFT_DETECTED: &str = "schema.drift_detected";
    /// [`crate::FieldAdded`].
    pub const FIELD_ADDED: &str = "schema.field_added";
    /// [`crate::MappingChanged`].
    pub const MAPPING_CHANGED: &str = "mapping.changed";
    /// [`crate::CaptureRequested`].
    pub const CAPTURE_REQUESTED: &str = "capture.requested";
    /// [`crate::CaptureStopped`].
    pub const CAPTURE_STOPPED: &str = "capture.stopped";
    /// [`crate::ReadRequested`].
    pub const READ_REQUESTED: &str = "capture.read_requested";
    /// [`crate::WatchRequested`].
    pub const WATCH_REQUESTED: &str = "capture.watch_requested";
    /// [`crate::VerifyRequested`].
    pub const VERIFY_REQUESTED: &str = "capture.verify_requested";
    /// [`crate::VerifiedBucket`].
    pub const VERIFIED_BUCKET: &str = "change.verified_bucket";
    /// [`crate::VerifyProgressed`].
    pub const VERIFY_PROGRESSED: &str = "change.verify_progressed";
    /// [`crate::VerifyFinished`].
    pub const VERIFY_FINISHED: &str = "change.verify_finished";
    /// [`crate::SyncRunFinished`].
    pub const SYNC_RUN_FINISHED: &str = "sync.run_finished";
    /// [`crate::AccessChanged`].
    pub const ACCESS_CHANGED: &str = "identity.access_changed";
    /// [`crate::AttributionChanged`] of an event that was not attributed before.
    pub const ATTRIBUTION_CREATED: &str = "attribution.created";
    /// [`crate::AttributionChanged`] of one that was.
    pub const ATTRIBUTION_REPLACED: &str = "attribution.replaced";
    /// [`crate::DecisionTaken`].
    pub const ATTRIBUTION_DECIDED: &str = "attribution.decided";
    /// [`crate::AttributionSettingsChanged`].
    pub const ATTRIBUTION_SETTINGS_CHANGED: &str = "attribution.settings_changed";
    /// [`crate::CommissionChanged`].
    pub const COMMISSION_ACCRUED: &str = "commission.accrued";
    /// [`crate::CommissionChanged`].
    pub const COMMISSION_APPROVED: &str = "commission.approved";
    /// [`crate::CommissionChanged`].
    pub const COMMISSION_PAID: &str = "commission.paid";
    /// [`crate::CommissionChanged`].
    pub const COMMISSION_REVERSED: &str = "commission.reversed";
    /// [`crate::CommissionChanged`] whose amount is another now.
    pub const COMMISSION_ADJUSTED: &str = "commission.adjusted";
    /// [`crate::PartnerChanged`].
    pub const PARTNER_CREATED: &str = "partner.created";
    /// [`crate::PartnerChanged`].
    pub const PARTNER_ACTIVATED: &str = "partner.activated";
    /// [`crate::PartnerChanged`].
    pub const PARTNER_REVOKED: &str = "partner.revoked";
    /// [`crate::PayoutCreated`].
    pub const PAYOUT_CREATED: &str = "payout.created";
    /// [`crate::DealRegistrationChanged`].
    pub const DEAL_REGISTRATION_SUBMITTED: &str = "deal_registration.submitted";
    /// [`crate::DealRegistrationChanged`].
    pub const DEAL_REGISTRATION_APPROVED: &str = "deal_registration.approved";
    /// [`crate::DealRegistrationChanged`].
    pub const DEAL_REGISTRATION_REJECTED: &str = "deal_registration.rejected";
    /// [`crate::DealRegistrationChanged`].
    pub const DEAL_REGISTRATION_EXPIRED: &str = "deal_registration.expired";
    /// [`crate::DecisionRefused`].
    pub const DEAL_REGISTRATION_REFUSED: &str = "deal_registration.decision_refused";
    /// [`crate::CrmSettingsChanged`].
    pub const CRM_SETTINGS_CHANGED: &str = "crm.settings_changed";
    /// [`crate::MailingChanged`].
    pub const CRM_MAILING_CHANGED: &str = "crm.mailing_changed";
}

/// A canonical record changed. Public: sibling products subscribe to `record.{org}.{object}`.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct RecordChanged {
    /// The record.
    pub record: RecordId,
    /// Its object.
    pub object: CanonicalObject,
    /// The record's version; it grows by one with every change.
    pub version: i64,
    /// The fields that changed, with their new values.
    pub fields: BTreeMap<String, FieldValue>,
    /// The values that the fields had before.
    pub before: BTreeMap<String, FieldValue>,
    /// Whether the values are too large for one message: then `fields` and `before` only name what changed, with nulls, and
    /// the record is to be read.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub truncated: bool,
    /// Which of the fields are marked as personal data: do not log their values.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub pii: Vec<String>,
    /// Who changed it: `user:…`, `api_key:…`, `integration_key:…`, `connection:…` or `service:…`.
    pub actor: String,
    /// When the edit was made.
    pub at: Timestamp,
    /// The connection it came through, when a vendor changed it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub connection: Option<ConnectionId>,
}

/// Both sides moved a field away from the base, and a policy decided.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct ConflictRecorded {
    /// The record.
    pub record: RecordId,
    /// Its object.
    pub object: CanonicalObject,
    /// The field.
    pub field: String,
    /// The connection at the other side.
    pub connection: ConnectionId,
    /// The policy that decided: `platform_wins`, `crm_wins`, `newest_wins`, `manual`.
    pub policy: String,
    /// Who won: `platform` or `crm`.
    pub winner: String,
    /// The value that stands.
    pub kept: FieldValue,
    /// The value that lost.
    pub lost: FieldValue,
    /// Whether the field is marked as personal data.
    pub pii: bool,
    /// Whether the two edits were closer in time than the clocks can be trusted.
    #[serde(default)]
    pub within_clock_skew: bool,
    /// When it was decided.
    pub at: Timestamp,
}

/// What a connection can do now.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "snake_case")]
pub enum ConnectionState {
    /// It reads and writes.
    Active,
    /// Somebody paused it.
    Paused,
    /// The vendor keeps failing; it is tried again by itself.
    Error,
    /// The vendor no longer accepts the authorization: somebody must connect again.
    ReauthRequired,
    /// Somebody disconnected it.
    Disconnected,
}

impl ConnectionState {
    /// Its name in JSON and in the database.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::Active => "active",
            Self::Paused => "paused",
            Self::Error => "error",
            Self::ReauthRequired => "reauth_required",
            Self::Disconnected => "disconnected",
        }
    }
}

/// A connection was authorized, changed its state, was disconnected, or refused.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct ConnectionChanged {
    /// The connection; none when an authorization was refused before there was one.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub connection: Option<ConnectionId>,
    /// The vendor.
    pub vendor: String,
    /// What it can do now.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub state: Option<ConnectionState>,
    /// The account at the vendor: HubSpot's portal id.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub account: Option<String>,
    /// Why, as a stable code: `oauth_state_unknown`, `missing_scopes`, `access_revoked` …
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub reason: Option<String>,
    /// Why, in words for people.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub message: Option<String>,
    /// When.
    pub at: Timestamp,
}

/// The vendor's objects and fields were read again.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct SchemaRefreshed {
    /// The connection.
    pub connection: ConnectionId,
    /// The vendor.
    pub vendor: String,
    /// All objects that the connection offers, or those of this part.
    pub objects: Vec<ObjectSchema>,
    /// Which part of the reading this is, where the schema does not fit one event. The schema is known once all parts are.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub part: Option<SchemaPart>,
    /// When they were read.
    pub at: Timestamp,
}

/// How a vendor's object or field differs from the last reading.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "snake_case")]
pub enum SchemaChangeKind {
    /// It is new.
    Added,
    /// It is gone.
    Removed,
    /// It is gone, and exactly one new field has its label and type.
    Renamed,
    /// It holds values of another type.
    TypeNarrowed,
    /// Some of its options are gone.
    OptionsNarrowed,
    /// A record must have it now.
    Required,
    /// It can no longer be written.
    ReadOnly,
}

impl SchemaChangeKind {
    /// Its name in JSON and in the database.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::Added => "added",
            Self::Removed => "removed",
            Self::Renamed => "renamed",
            Self::TypeNarrowed => "type_narrowed",
            Self::OptionsNarrowed => "options_narrowed",
            Self::Required => "required",
            Self::ReadOnly => "read_only",
        }
    }
}

/// One difference between two readings of a vendor's schema.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct SchemaChange {
    /// The vendor's object.
    pub object: String,
    /// The vendor's field; empty when it is about the object.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub field: String,
    /// What happened.
    pub change: SchemaChangeKind,
    /// The same in words.
    pub detail: String,
}

/// A field mapping that paused because of a change of the vendor's schema.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct PausedField {
    /// The object mapping.
    pub mapping: MappingId,
    /// The canonical field; empty when the mapping's filter asks for the vendor's field, so that the mapping paused as a
    /// whole.
    pub field: String,
    /// The vendor's field.
    pub vendor_field: String,
}

/// A vendor's schema differs from the last reading.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct SchemaDriftDetected {
    /// The connection.
    pub connection: ConnectionId,
    /// The vendor.
    pub vendor: String,
    /// What differs, at most 500 changes.
    pub changes: Vec<SchemaChange>,
    /// The field mappings that paused.
    pub paused: Vec<PausedField>,
    /// When it was noticed.
    pub at: Timestamp,
}

/// Somebody added a field of the organization's own to a canonical object.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct FieldAdded {
    /// The canonical object.
    pub object: CanonicalObject,
    /// The field's name.
    pub field: String,
    /// What people see.
    pub label: String,
    /// What values it takes.
    pub field_type: FieldType,
    /// When.
    pub at: Timestamp,
}

/// An object mapping or one of its field mappings changed.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct MappingChanged {
    /// The object mapping.
    pub mapping: MappingId,
    /// Its connection.
    pub connection: ConnectionId,
    /// The canonical object.
    pub object: CanonicalObject,
    /// The vendor's object.
    pub vendor_object: String,
    /// What was done, as a stable code: `created`, `suggested`, `field_confirmed`, `field_chosen`,
    /// `field_ignored`, `field_unmapped`, `field_settings`, `field_resumed`, `direction_set`, `plan_requested`, `activated`,
    /// `changes_discarded`, `paused`, `resumed`, `issues_retried`, `issues_dismissed`, `decision_settled`.
    pub action: String,
    /// The canonical field, when one field mapping changed.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub field: Option<String>,
    /// The setting before and after, by name.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub settings: BTreeMap<String, (String, String)>,
    /// When.
    pub at: Timestamp,
}

/// The sync-engine wants these records read and kept up to date. It states the whole wish for the pair of
/// connection and vendor object; a later one replaces it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct CaptureRequested {
    /// The connection.
    pub connection: ConnectionId,
    /// The vendor's object.
    pub vendor_object: String,
    /// The vendor fields to read.
    pub fields: Vec<String>,
    /// Those of them whose own time of edit decides conflicts, where the vendor tells it.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub dated: Vec<String>,
    /// Whether that matters of history as well: what is here may have been edited before it is read.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub dated_history: bool,
    /// Whether all history is to be read (again).
    pub backfill: bool,
    /// Whether our record id must be kept at the vendor, because records will be created there.
    pub external_id: bool,
}

/// The sync-engine wants these records read as they are now, with all fields: what changed of them does not say enough.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct ReadRequested {
    /// The connection.
    pub connection: ConnectionId,
    /// The vendor's object.
    pub vendor_object: String,
    /// The vendor's ids.
    pub ids: Vec<String>,
}

/// Conversion rules look at these records, whether they are synced or not. It states the whole wish for the pair of connection
/// and vendor object, and is added to what the sync-engine wants; a later one replaces it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct WatchRequested {
    /// The connection.
    pub connection: ConnectionId,
    /// The vendor's object.
    pub vendor_object: String,
    /// The vendor fields to read; without any, nothing is watched any more.
    pub fields: Vec<String>,
    /// Those of them of which it matters when they were set, where the vendor tells it.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub dated: Vec<String>,
    /// Whether the e-mail addresses of a record's people are wanted.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub people: bool,
    /// Whether all records are to be read once, as they are now.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub backfill: bool,
}

/// The sync-engine no longer needs these records.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct CaptureStopped {
    /// The connection.
    pub connection: ConnectionId,
    /// The vendor's object.
    pub vendor_object: String,
}

/// How far a backfill is.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct CaptureProgress {
    /// The connection.
    pub connection: ConnectionId,
    /// The vendor's object.
    pub vendor_object: String,
    /// Records read so far.
    pub read: u64,
    /// Records that the vendor counted at the start.
    pub total: u64,
    /// When.
    pub at: Timestamp,
    /// When the newest wish was said that it follows; none where that is not told.
    #[serde(default)]
    pub asked_at: Option<Timestamp>,
}

/// The sync-engine wants all of a vendor's records compared with what it knows of them.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct VerifyRequested {
    /// The comparison.
    pub run: Uuid,
    /// The connection.
    pub connection: ConnectionId,
    /// The vendor's object.
    pub vendor_object: String,
    /// What is known, as sums by bucket.
    pub digests: Digests,
}

/// A bucket of a vendor's records was found to differ. Its records were handed out again before this.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct VerifiedBucket {
    /// The comparison.
    pub run: Uuid,
    /// The connection.
    pub connection: ConnectionId,
    /// The vendor's object.
    pub vendor_object: String,
    /// The bucket, see [`crate::digest::bucket`].
    pub bucket: u32,
    /// The vendor's ids of all records in it.
    pub ids: Vec<String>,
}

/// How far the reading of a comparison is.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct VerifyProgressed {
    /// The comparison.
    pub run: Uuid,
    /// The connection.
    pub connection: ConnectionId,
    /// The vendor's object.
    pub vendor_object: String,
    /// Records read so far.
    pub read: u64,
    /// Records that the vendor counted at the start, where it counts them.
    pub total: Option<u64>,
    /// When.
    pub at: Timestamp,
}

/// All of a vendor's records were compared.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct VerifyFinished {
    /// The comparison.
    pub run: Uuid,
    /// The connection.
    pub connection: ConnectionId,
    /// The vendor's object.
    pub vendor_object: String,
    /// Records read.
    pub read: u64,
    /// Records handed out again, each version once.
    pub sent: u64,
    /// Buckets that differed.
    pub buckets: u64,
    /// When the reading began.
    pub started_at: Timestamp,
    /// When it ended.
    pub at: Timestamp,
}

/// One run of a vendor's object ended: a poll that found something, a backfill, a manual sync, a failure, a run
/// that put another one back, or a comparison of both sides.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct SyncRunFinished {
    /// The connection.
    pub connection: ConnectionId,
    /// The vendor.
    pub vendor: String,
    /// The vendor's object.
    pub vendor_object: String,
    /// What kind of run: `poll`, `backfill`, `manual`, `rescan`, `archive_sweep`, `quiet_sweep`, `undo`, `reconcile`.
    pub run: String,
    /// Records read, or looked at.
    pub read: u64,
    /// Change events published, values put back, or records repaired.
    pub published: u64,
    /// Why it failed, as a stable code.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub error: Option<String>,
    /// Why it failed, in words, without record values.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub message: Option<String>,
    /// When it began.
    pub started_at: Timestamp,
    /// When it ended.
    pub finished_at: Timestamp,
}

/// What a change of access is about.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "snake_case")]
pub enum AccessSubject {
    /// A person.
    User,
    /// A session.
    Session,
    /// An API key.
    ApiKey,
    /// An integration key.
    IntegrationKey,
}

/// A person signed in or was refused, a key was minted, rotated or revoked, a role changed.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct AccessChanged {
    /// What it is about.
    pub subject: AccessSubject,
    /// The id of the user, session or key.
    pub id: String,
    /// What happened, as a stable code: `signed_in`, `sign_in_refused`, `signed_out`, `invited`, `role_set`,
    /// `removed`, `other_sessions_ended`, `minted`, `rotated`, `narrowed`, `revoked`.
    pub action: String,
    /// Further facts without secrets: key prefix, scopes, role.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub facts: BTreeMap<String, String>,
    /// When.
    pub at: Timestamp,
}
