//! A stateful simulator of Slack: workspaces, OAuth, the Web API's messages and dialogs, signed interactivity and
//! events, rate limits and errors, with faults on dial and a clock that can be moved.

mod auth;
mod blocks;
mod call;
mod chat;
mod consent;
mod control;
mod conversations;
mod courier;
mod delivery;
mod errors;
mod faults;
mod handle;
mod inputs;
mod interaction;
mod journal;
mod limits;
mod oauth;
mod pages;
mod people;
mod render;
mod responses;
mod routes;
mod server;
mod settings;
mod sim;
mod users;
mod views;
mod workspace;

pub use crate::faults::FaultMatch;
pub use crate::serving::ControlError;
pub use faults::{Fault, FaultKind};
pub use handle::{Handle, start};
pub use settings::Settings;

/// Method and path of every route, for the coverage table.
pub fn routes() -> impl Iterator<Item = (&'static str, &'static str)> {
    routes::ROUTES.iter().map(|route| (route.verb.word(), route.path))
}
