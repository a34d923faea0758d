//! Stories of the audit room on a real NATS, a real Postgres and real gRPC.

#![expect(clippy::unwrap_used, reason = "a test that cannot go on fails")]

mod appending;
mod asking;
mod privacy;
mod tampering;
mod world;
