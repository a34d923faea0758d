#![doc = include_str!("../README.md")]

mod config;
mod consumer;
mod domain;
mod error;
mod grpc;
mod operator;
mod publisher;
mod room;
mod service;
mod store;

pub use config::Config;
pub use consumer::Revocations;
pub use domain::key::NewKey;
pub use error::{Error, Refusal};
pub use operator::{Bootstrapped, FirstUser, FirstUserLink, Link, Minted, Operator};
pub use room::{Deps, Running, start};
