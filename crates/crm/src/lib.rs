#![doc = include_str!("../README.md")]

mod checking;
mod config;
mod consumer;
mod deciding;
mod domain;
mod error;
mod expiry;
mod grpc;
mod hearing;
mod interacting;
mod mailed;
mod notifying;
mod publisher;
mod recording;
mod replying;
mod room;
mod sending;
mod store;
mod suppressing;
mod telling;
mod text;
mod told;

pub use config::Config;
pub use error::{Error, Refusal};
pub use grpc::Service;
pub use room::{Deps, Running, SCHEMA, open, start};
