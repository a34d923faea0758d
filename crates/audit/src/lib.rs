#![doc = include_str!("../README.md")]

mod config;
mod consumer;
mod domain;
mod error;
mod export;
mod grpc;
mod room;
mod store;
mod verifier;
mod verify;

pub use config::Config;
pub use domain::chain::{Hash, genesis};
pub use error::Error;
pub use export::{ExportVerification, verify_export};
pub use grpc::Service;
pub use room::{Deps, Running, SCHEMA, open, start};
pub use verify::{Break, Fault, Head, Verification, organizations, verify};
