#![doc = include_str!("../README.md")]

mod contract;
mod error;
pub mod http;
mod limiter;
mod session;
mod usage;

pub use contract::{
    Account, AuthorizeRequest, Body, Capabilities, Change, Connector, Cursor, Fetch, Grant, LimitHint,
    MissingScope, Page, RateClass, Request, Response, VendorInfo,
};
pub use error::{Error, ErrorKind, Retry};
pub use session::Session;
