//! A vendor that the tests script: a small server, and the connector that signs the contract for it.

mod connector;
mod feed;
mod mail;
mod server;
mod stream;
mod watch;

pub(crate) use connector::{AcmeConnector, FAST, PUSHING, SLOW, STREAMING, TELLING};
pub(crate) use mail::Mailbox;
pub(crate) use server::{Acme, Fault};
pub(crate) use watch::Watched;
