#![doc = include_str!("../README.md")]

mod calls;
mod clock;
mod faults;
mod names;
mod page;
mod paths;
mod serving;
mod statefile;
mod wiretap;

pub mod google;
pub mod hubspot;
pub mod microsoft;
pub mod salesforce;
pub mod slack;
