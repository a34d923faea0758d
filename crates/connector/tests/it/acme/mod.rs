//! A vendor that the tests script: a small server, and the connector that signs the contract for it.

mod connector;
mod feed;
mod server;
mod stream;

pub(crate) use connector::{AcmeConnector, FAST, SLOW, STREAMING, TELLING};
pub(crate) use server::{Acme, Fault};
