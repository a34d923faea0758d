#![doc = include_str!("../README.md")]

mod audit_line;
mod convert;

include!(concat!(env!("OUT_DIR"), "/mod.rs"));

pub use audit_line::AuditLine;
pub use convert::{InvalidWireValue, field_type, from_wire_time, to_wire_time};

pub use accord::{
    attribution::v1 as attribution, audit::v1 as audit, connections::v1 as connections, crm::v1 as crm,
    identity::v1 as identity, sync::v1 as sync, v1,
};

/// The largest answer of a room that its callers take, in bytes: a page of long texts is more than gRPC's usual 4 MiB.
pub const LARGEST_ANSWER: usize = 32 * 1024 * 1024;

/// The descriptors of all services, for server reflection.
pub const DESCRIPTORS: &[u8] = include_bytes!(concat!(env!("OUT_DIR"), "/accord.bin"));
