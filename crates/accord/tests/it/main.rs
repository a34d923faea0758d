//! Stories of one service in a process of its own, as containers run it: the built binary, real servers.
#![expect(clippy::unwrap_used, reason = "a story ends at the first surprise")]

mod serving;
