//! Contracts of the model with the outside.
#![expect(clippy::unwrap_used, reason = "a story ends at the first surprise")]

mod events;
