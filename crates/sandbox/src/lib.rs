#![doc = include_str!("../README.md")]

mod clock;
mod names;
mod page;
mod statefile;
mod wiretap;

pub mod hubspot;
pub mod salesforce;
