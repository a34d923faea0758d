//! Refusals in the vendor's form: a gRPC status whose trailers name the error and the call.

use tonic::metadata::{MetadataMap, MetadataValue};
use tonic::{Code, Status};
use uuid::Uuid;

const PREFIX: &str = "sfdc.platform.eventbus.grpc.";

/// A status with the trailers `error-code` and `rpc-id`; its message ends with the call's id.
pub(crate) fn refusal(code: Code, error: &str, rpc_id: Uuid, message: &str) -> Status {
    let mut trailers = MetadataMap::new();
    let mut tell = |key: &'static str, value: String| {
        if let Ok(value) = MetadataValue::try_from(value) {
            trailers.insert(key, value);
        }
    };
    tell("error-code", format!("{PREFIX}{error}"));
    tell("rpc-id", rpc_id.to_string());
    Status::with_metadata(code, format!("{message} rpcId: {rpc_id}"), trailers)
}

/// What a call was refused for, before it is told which call it was.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Refusal {
    pub(crate) code: Code,
    /// The vendor's code without its prefix.
    pub(crate) error: &'static str,
    pub(crate) message: &'static str,
}

impl Refusal {
    const fn new(code: Code, error: &'static str, message: &'static str) -> Self {
        Self { code, error, message }
    }

    pub(crate) fn status(&self, rpc_id: Uuid) -> Status {
        refusal(self.code, self.error, rpc_id, self.message)
    }
}

pub(crate) const HEADERS: Refusal = Refusal::new(
    Code::Unauthenticated,
    "service.auth.headers.invalid",
    "One of the headers accesstoken, instanceurl and tenantid is missing or cannot be read.",
);
pub(crate) const AUTH: Refusal = Refusal::new(
    Code::Unauthenticated,
    "service.auth.error",
    "Authentication failed: the access token is invalid or expired, or does not belong to the org.",
);
pub(crate) const LICENSE: Refusal = Refusal::new(
    Code::PermissionDenied,
    "service.tenant.license",
    "Change Data Capture is not available in this edition.",
);
pub(crate) const UNAVAILABLE: Refusal =
    Refusal::new(Code::Unavailable, "service.unavailable", "The service is temporarily unavailable.");
pub(crate) const OVERLOADED: Refusal = Refusal::new(
    Code::ResourceExhausted,
    "service.protection.triggered",
    "The service is protecting itself: try again later.",
);
pub(crate) const INTERNAL: Refusal =
    Refusal::new(Code::Internal, "subscription.internal.error", "An internal error ended the subscription.");
pub(crate) const SCHEMA_UNAVAILABLE: Refusal =
    Refusal::new(Code::Unavailable, "schema.api.unavailable", "The schema cannot be read now.");
pub(crate) const SCHEMA_UNKNOWN: Refusal =
    Refusal::new(Code::InvalidArgument, "schema.validation.failed", "No schema has this id.");
pub(crate) const TOPIC_EMPTY: Refusal =
    Refusal::new(Code::InvalidArgument, "topic.validation.empty", "The topic name is empty.");
pub(crate) const TOPIC_UNKNOWN: Refusal = Refusal::new(
    Code::NotFound,
    "topic.not.found",
    "The topic does not exist, or its entity is not selected for Change Data Capture.",
);
pub(crate) const TOPIC_PERMISSION: Refusal = Refusal::new(
    Code::PermissionDenied,
    "topic.meta.permission",
    "The user may not see the records of the topic.",
);
pub(crate) const TOPIC_MISMATCH: Refusal = Refusal::new(
    Code::InvalidArgument,
    "subscription.fetch.topic.mismatch",
    "A subscription keeps the topic of its first request.",
);
pub(crate) const REQUESTED: Refusal = Refusal::new(
    Code::InvalidArgument,
    "subscription.fetch.requested.events.invalid",
    "The number of requested events must be positive.",
);
pub(crate) const REPLAY_MISSING: Refusal = Refusal::new(
    Code::InvalidArgument,
    "subscription.fetch.replayid.validation.failed",
    "The replay preset is unknown, or CUSTOM came without a replay id.",
);
pub(crate) const REPLAY_CORRUPTED: Refusal = Refusal::new(
    Code::InvalidArgument,
    "subscription.fetch.replayid.corrupted",
    "The replay id is unknown, or older than the retention window.",
);
pub(crate) const AUTH_REFRESH: Refusal =
    Refusal::new(Code::InvalidArgument, "service.auth.refresh.invalid", "auth_refresh is for internal use.");
pub(crate) const PUBLISH: Refusal = Refusal::new(
    Code::PermissionDenied,
    "publish.topic.cannot.publish",
    "Change event topics cannot be published to.",
);
pub(crate) const MANAGED_EMPTY: Refusal = Refusal::new(
    Code::InvalidArgument,
    "managed.subscription.id.or.developer.name.empty",
    "Either the subscription's id or its developer name is needed.",
);
pub(crate) const MANAGED_ID: Refusal = Refusal::new(
    Code::NotFound,
    "managed.subscription.subscription.id.not.found",
    "No managed subscription has this id.",
);
pub(crate) const MANAGED_NAME: Refusal = Refusal::new(
    Code::NotFound,
    "managed.subscription.developer.name.not.found",
    "No managed subscription has this developer name.",
);
