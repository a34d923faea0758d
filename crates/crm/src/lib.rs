#![doc = include_str!("../README.md")]

mod checking;
mod config;
mod consumer;
mod domain;
mod error;
mod expiry;
mod grpc;
mod publisher;
mod recording;
mod room;
mod store;
mod text;
mod told;

pub use config::Config;
pub use error::{Error, Refusal};
pub use grpc::Service;
pub use room::{Deps, Running, SCHEMA, open, start};
