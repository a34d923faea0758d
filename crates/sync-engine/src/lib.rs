#![doc = include_str!("../README.md")]

mod attribution;
mod chores;
mod config;
mod connections;
mod consumer;
mod custom_fields;
mod decisions;
#[macro_use]
mod domain;
mod drifts;
mod edits;
mod engine;
mod error;
mod grpc;
mod issues;
mod jobs;
mod lineage;
mod mappings;
mod metrics;
mod parents;
mod planning;
mod publisher;
mod reconcile;
mod registrations;
mod reranker;
mod review;
mod room;
pub mod simulate;
mod store;
mod undo;
mod unit;

pub use config::Config;
pub use domain::suggest::{Prediction, Schema, SchemaError, predict};
pub use error::{Error, Refusal};
pub use reranker::RerankerConfig;
pub use room::{Deps, Running, start};
