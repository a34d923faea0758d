//! Stories of the crm room on a real Postgres, a real NATS and real gRPC.
#![expect(clippy::unwrap_used, reason = "a story ends at the first surprise")]

mod acting;
mod campaigning;
mod clicking;
mod deciding;
mod drafting;
mod enrolling;
mod expiring;
mod hearing;
mod looking;
mod mailbox;
mod mistakes;
mod registering;
mod slack;
mod telling;
mod world;
