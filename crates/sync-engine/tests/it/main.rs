//! Stories of the sync-engine on a real Postgres, a real NATS and real gRPC; the story plays the connector.
#![expect(clippy::unwrap_used, reason = "a story ends at the first surprise")]

mod access;
mod attribution;
mod budget;
mod changing;
mod conflicts;
mod creating;
mod deliveries;
mod first_sync;
mod issues;
mod lineage;
mod malformed;
mod parts;
mod planning;
mod pruning;
mod reconcile;
mod registrations;
mod replicas;
mod requests;
mod suggesting;
mod times;
mod undo;
mod values;
mod world;
