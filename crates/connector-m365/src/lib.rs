#![doc = include_str!("../README.md")]

mod auth;
mod automatic;
mod client;
mod config;
mod connector;
mod error;
mod html;
mod login;
mod mail;
mod moved;
mod push;
mod read;
mod send;
mod wire;

pub use self::{
    config::{Config, GRAPH_URL, LOGIN_URL},
    connector::M365,
};
