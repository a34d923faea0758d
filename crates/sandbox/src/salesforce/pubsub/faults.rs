//! Faults on dial: what goes wrong on the event stream, in which calls, how often.

use rand::rngs::StdRng;
use serde::{Deserialize, Serialize};

use super::errors::{self, Refusal};
use crate::faults::{Dialled, Faults};

/// A call of the Pub/Sub API.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Rpc {
    /// `Subscribe`.
    Subscribe,
    /// `GetSchema`.
    GetSchema,
    /// `GetTopic`.
    GetTopic,
}

/// What goes wrong.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum StreamFaultKind {
    /// The service is down for a moment, as at a release (UNAVAILABLE).
    Unavailable,
    /// Too many calls or streams (RESOURCE_EXHAUSTED).
    ResourceExhausted,
    /// The access token is refused, whatever it is (UNAUTHENTICATED).
    Unauthenticated,
    /// An internal error of the vendor (INTERNAL).
    Internal,
    /// The stream is reset (`RST_STREAM`, `NO_ERROR`); the connection lives on. A call without a stream is answered as
    /// by `unavailable`.
    ResetStream,
    /// The TCP connection ends without a status.
    CutConnection,
    /// Nothing comes any more, and the connection stays open.
    Silence,
}

/// A fault that waits for its calls.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct StreamFault {
    /// The call it hits; without it, any.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub rpc: Option<Rpc>,
    /// What goes wrong.
    pub kind: StreamFaultKind,
    /// How many events a subscription delivers before it is hit; 0 hits the call itself.
    #[serde(default)]
    pub after_events: u64,
    /// How many calls it hits before it is gone; without it, every one until faults are cleared.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub times: Option<u32>,
    /// The chance (0 to 1) that a matching call is hit; 1 without it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub probability: Option<f64>,
}

impl StreamFaultKind {
    /// The status of the faults that end a call with one.
    pub(crate) fn refusal(self, rpc: Rpc) -> Option<Refusal> {
        match self {
            StreamFaultKind::Unavailable if rpc == Rpc::GetSchema => Some(errors::SCHEMA_UNAVAILABLE),
            StreamFaultKind::ResetStream if rpc == Rpc::Subscribe => None,
            StreamFaultKind::Unavailable | StreamFaultKind::ResetStream => Some(errors::UNAVAILABLE),
            StreamFaultKind::ResourceExhausted => Some(errors::OVERLOADED),
            StreamFaultKind::Unauthenticated => Some(errors::AUTH),
            StreamFaultKind::Internal => Some(errors::INTERNAL),
            StreamFaultKind::CutConnection | StreamFaultKind::Silence => None,
        }
    }
}

impl Dialled for StreamFault {
    fn dial(&mut self) -> (&mut Option<u32>, Option<f64>) {
        (&mut self.times, self.probability)
    }
}

/// The fault that hits this call, if any; its count goes down.
pub(crate) fn strike(faults: &mut Faults<StreamFault>, rpc: Rpc, rng: &mut StdRng) -> Option<StreamFault> {
    faults.hit(rng, |fault| {
        fault.rpc.is_none_or(|wanted| wanted == rpc) && (rpc == Rpc::Subscribe || fault.after_events == 0)
    })
}
