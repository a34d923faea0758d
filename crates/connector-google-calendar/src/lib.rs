#![doc = include_str!("../README.md")]

mod auth;
mod calendar;
mod client;
mod config;
mod connector;
mod error;
mod meeting;
mod position;
mod push;
mod transcript;
mod transcripts;
mod wire;

pub use self::{config::Config, connector::GoogleCalendar};
