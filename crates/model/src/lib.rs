#![doc = include_str!("../README.md")]

mod access;
mod activity;
mod budget;
mod canonical;
mod change;
mod clock;
pub mod digest;
mod earning;
mod events;
mod field;
mod id;
mod mailing;
mod parts;
mod posting;
mod reading;
mod registering;
mod schema;
mod value;
mod vendor;
mod write;

pub use access::{Actor, Caller, Role, Scope, UnknownScope};
pub use activity::{ActivityParticipant, ActivityTold};
pub use budget::{BudgetChanged, BudgetLevel, BudgetReached, BudgetSettings, UnknownLevel};
pub use canonical::{CanonicalObject, UnknownObject};
pub use change::{ChangeEvent, ChangeKind, Lane};
pub use clock::{Clock, SystemClock};
pub use digest::Digests;
pub use earning::{
    AttributedRecord, AttributedTouch, AttributionChanged, AttributionSettingsChanged, CommissionChanged,
    DecisionTaken, PartnerChanged, PayoutCreated, attribution_fields,
};
pub use events::{
    AccessChanged, AccessSubject, CaptureProgress, CaptureRequested, CaptureStopped, ConflictRecorded,
    ConnectionChanged, ConnectionState, FieldAdded, MappingChanged, PausedField, ReadRequested,
    RecordChanged, SchemaChange, SchemaChangeKind, SchemaDriftDetected, SchemaRefreshed, SyncRunFinished,
    VerifiedBucket, VerifyFinished, VerifyProgressed, VerifyRequested, WatchRequested, kind,
};
pub use field::{FieldSchema, FieldType, ObjectSchema, PicklistOption};
pub use id::{
    ActivityId, ApiKeyId, AttributionId, CampaignId, CommissionId, ConnectionId, ConversionId,
    ConversionRuleId, DealRegistrationId, IdentifyId, IngestUrlId, IntegrationKeyId, InvalidId,
    LedgerEntryId, LinkId, MailId, MappingId, NotificationRuleId, OrganizationId, PartnerId, PayoutId,
    PostId, ProgramId, RecipientId, RecordId, SessionId, UserId, WebhookDeliveryId, WebhookId, WriteId,
};
pub use mailing::{MAIL_WITHDRAWN, MailAddress, MailSent, MailState, SendMail, WithdrawMail};
pub use parts::SchemaPart;
pub use posting::{
    AnswerPrivately, InteractionReceived, MessagePosted, PostButton, PostContent, PostMessage, VendorUser,
    VendorUserTold,
};
pub use reading::{ReadingChanged, ReadingSettings};
pub use registering::{
    CrmSettingsChanged, DealRegistrationChanged, DecisionRefused, MailingChanged, RegistrationConflict,
};
pub use value::{InvalidValue, Value};
pub use vendor::vendor_name;
pub use write::{ApplyWrite, CoveredValue, IssueCategory, WriteKind, WriteOutcome, Written};
