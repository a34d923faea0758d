//! The event stream as its holder sees it.

use std::io;

use serde_json::{Value, json};
use tokio::net::TcpListener;

use super::faults::{StreamFault, StreamFaultKind};
use super::server::{EventService, serve};
use crate::salesforce::{ControlError, Handle};

impl Handle {
    /// Serves change events over gRPC on a listener of their own, with TLS where the settings say so, until the
    /// simulator shuts down.
    ///
    /// # Errors
    /// When a setting is wrong, the listener has no address, or no certificate can be made.
    pub fn serve_events(&self, listener: TcpListener) -> io::Result<EventService> {
        serve(self.shared.clone(), listener)
    }

    /// Changes settings of the event stream; the body names what changes, the answer has them all.
    ///
    /// # Errors
    /// When a setting does not exist or its value is not valid.
    pub fn change_stream(&self, changes: Value) -> Result<Value, ControlError> {
        self.control("POST", "/_sandbox/stream/settings", changes)
    }

    /// Sets a fault of the event stream.
    pub fn add_stream_fault(&self, fault: StreamFault) {
        self.shared.lock().events.faults.set.push(fault);
    }

    /// Hits every running subscription with a fault now.
    pub fn cut_streams(&self, kind: StreamFaultKind) {
        self.shared.lock().events.cut_all(kind);
    }

    /// Moves the org to another instance: every replay id is unknown from now on.
    pub fn migrate(&self) {
        self.shared.lock().events.migrate();
    }

    /// Delivers an event that says of records (ids, or a wildcard such as `001*`) only that they changed. `kind` is
    /// `create`, `update`, `delete`, `undelete` or `overflow`; an overflow takes no ids.
    ///
    /// # Errors
    /// When the object does not exist, or ids are missing.
    pub fn gap(&self, object: &str, kind: &str, ids: &[&str]) -> Result<Value, ControlError> {
        self.control("POST", "/_sandbox/stream/gap", json!({"object": object, "kind": kind, "ids": ids}))
    }
}
