//! Stories of the sync-engine on a real Postgres, a real NATS and real gRPC; the story plays the connector.
#![expect(clippy::unwrap_used, reason = "a story ends at the first surprise")]

mod first_sync;
mod identity;
mod world;
