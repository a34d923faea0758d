//! Stories of the Google Calendar connector against the simulator of Google's APIs, over HTTP.
#![expect(clippy::unwrap_used, reason = "a story ends at the first surprise")]

mod conformance;
mod connecting;
mod house;
mod meetings;
mod pushes;
mod transcripts;
