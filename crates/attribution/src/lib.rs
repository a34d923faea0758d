#![doc = include_str!("../README.md")]

mod catalog;
mod clicking;
mod config;
mod domain;
mod error;
mod grpc;
mod ingest;
mod key;
mod maturity;
mod publisher;
pub mod rail;
mod room;
mod rules;
mod store;
mod terms;
mod text;
mod transfers;
mod turns;
mod verify;
mod webhooks;
mod writer;

pub use config::Config;
pub use error::{Error, Refusal};
pub use grpc::Service;
pub use room::{Deps, Running, SCHEMA, open, start};
pub use verify::{Difference, Verification, organizations, verify};
