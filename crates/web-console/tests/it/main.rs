//! The console through its addresses, over rooms that the test plays.

#![expect(clippy::unwrap_used, reason = "a test that cannot go on panics")]

mod attribution;
mod attribution_room;
mod campaigns;
mod console;
mod crm_records;
mod crm_room;
mod failures;
mod forms;
mod html;
mod integrations;
mod live;
mod mappings;
mod pages;
mod partner_form;
mod records;
mod registrations;
mod review;
mod rooms;
mod settings;
mod sign_in;
mod telling;
mod timelines;
