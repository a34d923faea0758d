//! Stories of the Slack connector: alone against the simulator of Slack, and in the runtime with a database and a bus.
#![expect(clippy::unwrap_used, reason = "a story ends at the first surprise")]

mod conformance;
mod connecting;
mod posting;
mod receiving;
mod slack;
mod suite;
mod world;
