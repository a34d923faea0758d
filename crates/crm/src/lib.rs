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
mod notifying;
mod publisher;
mod recording;
mod room;
mod store;
mod telling;
mod text;
mod told;

pub use config::Config;
pub use error::{Error, Refusal};
pub use grpc::Service;
pub use room::{Deps, Running, SCHEMA, open, start};
