//! Stories of the runtime on a real Postgres and a real NATS, with a vendor that the tests script. `RUST_LOG` shows what the runtime says.
#![expect(clippy::unwrap_used, reason = "a story ends at the first surprise")]

mod acme;
mod budgets;
mod choosing;
mod conformance;
mod connecting;
mod feeding;
mod mailing;
mod pushing;
mod quiet;
mod reading;
mod replicas;
mod streaming;
mod tokens;
mod world;
mod writing;
