//! Stories of the built binary on real servers: one service in a process of its own, as containers run it, and the demo.
#![expect(clippy::unwrap_used, reason = "a story ends at the first surprise")]

mod demo;
mod serving;
mod simulating;
mod starting;
mod suggesting;
