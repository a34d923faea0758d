#![doc = include_str!("../README.md")]

mod archive;
mod auth;
mod client;
mod companies;
mod config;
mod connector;
mod error;
mod history;
mod objects;
mod people;
mod read;
mod wire;
mod write;

pub use self::{
    config::{ApiVersion, Config},
    connector::HubSpot,
};
