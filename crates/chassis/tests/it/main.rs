//! The chassis on real servers.

#![expect(clippy::unwrap_used, reason = "a test that cannot go on fails")]

mod database;
mod health;
mod local;
