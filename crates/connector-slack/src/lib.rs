#![doc = include_str!("../README.md")]

mod auth;
mod channels;
mod client;
mod config;
mod connector;
mod dialog;
mod error;
mod post;
mod receive;
mod render;
mod signature;
mod wire;

pub use self::{config::Config, connector::Slack};
