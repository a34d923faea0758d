//! A vendor that the tests script: a small server, and the connector that signs the contract for it.

mod connector;
mod server;

pub(crate) use connector::{AcmeConnector, FAST, SLOW};
pub(crate) use server::{Acme, Fault};
