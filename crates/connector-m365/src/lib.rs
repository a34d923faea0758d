#![doc = include_str!("../README.md")]

mod auth;
mod client;
mod config;
mod connector;
mod error;
mod html;
mod login;
mod mail;
mod read;
mod wire;

pub use self::{
    config::{Config, GRAPH_URL, LOGIN_URL},
    connector::M365,
};
