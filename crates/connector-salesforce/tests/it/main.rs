//! Stories of the Salesforce connector against the simulator of Salesforce's API, over HTTP and gRPC.
#![expect(clippy::unwrap_used, reason = "a story ends at the first surprise")]

mod allocation;
mod conformance;
mod connecting;
mod events;
mod org;
mod reading;
mod writing;
