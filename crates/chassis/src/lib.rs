#![doc = include_str!("../README.md")]

pub mod guard;
mod health;
pub mod local;
mod migrate;
mod pool;
mod shutdown;
pub mod telemetry;

pub use health::{Health, Readiness};
pub use migrate::{Migration, migrate};
pub use pool::{DatabaseError, pool, readiness};
pub use shutdown::{Shutdown, signalled};
