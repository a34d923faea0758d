//! Stories about the sandboxes, told over the real protocols.

mod client;
mod connecting;
mod controlling;
mod coverage;
mod describing;
mod failing;
mod google;
mod limiting;
mod linking;
mod microsoft;
mod python;
mod records;
mod salesforce;
mod sdk;
mod searching;
mod slack;
mod speed;
