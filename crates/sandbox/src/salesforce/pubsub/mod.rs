//! Change Data Capture over the Pub/Sub API: the commits of the org's journal, delivered as change events over gRPC.

mod access;
mod avro;
mod bitmap;
mod capture;
pub(crate) mod control;
mod diff;
mod errors;
mod event;
mod events;
mod faults;
mod handle;
mod log;
mod reset;
mod schema;
mod server;
mod service;
mod subscription;

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

pub(crate) use events::Events;
pub use faults::{Rpc, StreamFault, StreamFaultKind};
pub use server::EventService;

/// The wire of the Pub/Sub API, generated from `proto/pubsub.proto`: the service, and a client for stories.
#[expect(missing_docs, clippy::allow_attributes, reason = "generated code")]
pub mod wire {
    tonic::include_proto!("eventbus.v1");
}

/// How many objects an org may select without paying for more.
const MOST_ENTITIES: usize = 5;

/// How the event stream behaves. All of it but `tls` can be changed while it runs.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct StreamSettings {
    /// Serve TLS with a certificate made at the start; else plain HTTP/2.
    pub tls: bool,
    /// The objects selected for Change Data Capture, at most five.
    pub entities: Vec<String>,
    /// Custom channels: their names (`Sales__chn`) and the objects they carry.
    pub channels: BTreeMap<String, Vec<String>>,
    /// Milliseconds without an event until a subscription says that it is alive. The vendor's documented limit is
    /// 270 s; 60 s are reported.
    pub keepalive_ms: u64,
    /// Milliseconds that a subscription waits for the next request when nothing is owed any more.
    pub idle_limit_ms: u64,
    /// Milliseconds from a commit to the delivery of its events.
    pub delivery_delay_ms: u64,
    /// Changes of one object in one transaction that are told one by one; beyond them there is one overflow.
    pub overflow_threshold: usize,
    /// The size in bytes of the largest event; larger ones become gaps.
    pub max_event_bytes: usize,
    /// Characters from which on a changed long text is told as a diff.
    pub diff_min_chars: usize,
    /// The share of changes, in percent, that become gaps.
    pub gap_percent: u8,
    /// The share of responses, in percent, whose events are delivered a second time.
    pub duplicate_percent: u8,
    /// Replay ids lose their ends on the way out: nobody can resume from one of those.
    pub damaged_replay_ids: bool,
    /// An automated process follows each change of an address with its coordinates, a second later.
    pub geocode: bool,
}

impl Default for StreamSettings {
    fn default() -> Self {
        Self {
            tls: false,
            entities: ["Account", "Contact", "Lead", "Opportunity"].map(str::to_owned).to_vec(),
            channels: BTreeMap::new(),
            keepalive_ms: 60_000,
            idle_limit_ms: 60_000,
            delivery_delay_ms: 0,
            overflow_threshold: 100_000,
            max_event_bytes: 1 << 20,
            diff_min_chars: 1_000,
            gap_percent: 0,
            duplicate_percent: 0,
            damaged_replay_ids: false,
            geocode: false,
        }
    }
}

impl StreamSettings {
    /// What is wrong with the settings, if anything.
    fn check(&self) -> Result<(), &'static str> {
        let within = |entities: &[String]| entities.iter().all(|entity| self.entities.contains(entity));
        if self.entities.len() > MOST_ENTITIES {
            return Err("at most five objects are selected for Change Data Capture");
        }
        if !self.channels.values().all(|entities| within(entities)) {
            return Err("a channel carries selected objects only");
        }
        if self.keepalive_ms == 0 {
            return Err("keepalive_ms starts at 1");
        }
        if self.gap_percent > 100 || self.duplicate_percent > 100 {
            return Err("a share is between 0 and 100 percent");
        }
        Ok(())
    }
}
