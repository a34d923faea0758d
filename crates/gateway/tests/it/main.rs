//! Stories of the gateway in front of rooms that are made up.

#![expect(clippy::unwrap_used, reason = "a test that cannot go on fails")]

mod attribution;
mod campaigns;
mod client;
mod contract;
mod crm;
mod fuzz;
mod inward;
mod malformed;
mod oauth;
mod records;
mod refusals;
mod rooms;
