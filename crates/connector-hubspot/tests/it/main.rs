//! Stories of the HubSpot connector against the simulator of HubSpot's API, over HTTP.

mod connecting;
mod portal;
mod reading;
mod writing;
