#![doc = include_str!("../README.md")]

mod app;
mod assets;
mod config;
mod error;
mod failure;
mod flash;
mod form;
mod headers;
mod pace;
mod pages;
mod people;
mod preview;
mod respond;
mod rooms;
mod router;
pub mod sample;
mod session;
mod shell;
mod ui;

pub use config::Config;
pub use error::Error;
pub use preview::{Preview, asset_files, previews};
pub use rooms::Rooms;
pub use router::router;
