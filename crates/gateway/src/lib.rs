#![doc = include_str!("../README.md")]

mod api;
mod app;
mod attribution;
mod config;
mod error;
mod extract;
mod failure;
mod inward;
mod oauth;
mod openapi;
mod opt_out;
mod pace;
mod pages;
mod rooms;
mod view;

pub use app::app;
pub use attribution::Budget;
pub use config::Config;
pub use error::Error;
pub use openapi::openapi;
