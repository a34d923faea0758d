//! Stories of the HubSpot connector against the simulator of HubSpot's API, over HTTP.
#![expect(clippy::unwrap_used, reason = "a story ends at the first surprise")]

mod companies;
mod conformance;
mod connecting;
mod contacts;
mod custom;
mod history;
mod portal;
mod reading;
mod writing;
