//! Stories about the HubSpot sandbox, told over real HTTP.

mod client;
mod connecting;
mod controlling;
mod coverage;
mod describing;
mod failing;
mod limiting;
mod linking;
mod records;
mod salesforce;
mod sdk;
mod searching;
mod speed;
