//! Stories of the Microsoft 365 connector against the simulator of Microsoft's API, over HTTP.
#![expect(clippy::unwrap_used, reason = "a story ends at the first surprise")]

mod conformance;
mod connecting;
mod following;
mod mailbox;
mod mailing;
mod pushes;
mod reading;
mod sending;
mod suite;
mod withdrawing;
mod world;
