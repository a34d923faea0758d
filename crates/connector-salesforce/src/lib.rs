#![doc = include_str!("../README.md")]

mod auth;
mod bulk;
mod client;
mod config;
mod connector;
mod deleted;
mod error;
mod events;
mod fields;
mod login;
mod objects;
mod people;
mod read;
mod record_id;
mod soql;
mod wire;
mod write;

pub use self::{
    bulk::BULK_FROM,
    config::{Config, LONGEST_SILENCE, PUBSUB_URL},
    connector::Salesforce,
};
