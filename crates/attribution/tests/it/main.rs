//! Stories of the attribution room on a real NATS, a real Postgres and real gRPC.

#![expect(clippy::unwrap_used, reason = "a test that cannot go on fails")]

mod correcting;
mod following;
mod guarding;
mod hooking;
mod ingest;
mod mistakes;
mod paying;
mod permuting;
mod rails;
mod reaching;
mod recording;
mod rules;
mod terms;
mod upgrading;
mod verifying;
mod waiting;
mod world;
