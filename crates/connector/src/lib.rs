#![doc = include_str!("../README.md")]

mod budget;
mod budgets;
mod capture;
mod config;
pub mod conformance;
mod contract;
mod core;
mod error;
mod failure;
mod feed;
mod feeds;
mod grpc;
pub mod http;
mod limiter;
mod mailer;
mod mailing;
mod messenger;
mod oauth;
mod owner;
mod posting;
mod publisher;
mod pusher;
mod pushing;
mod reading;
mod receiving;
mod request;
mod runtime;
mod schema;
mod session;
mod states;
mod store;
mod tokens;
mod usage;
mod watching;
mod wishes;
mod words;
mod writes;

pub use config::Config;
pub use contract::{
    Account, AuthorizeRequest, Batch, Capabilities, Change, ChangeStream, Connector, Cursor, Fetch, Grant,
    LimitHint, Login, MissingScope, Page, RateClass, Subscription, Untold, VendorInfo,
};
pub use error::{Error, ErrorKind, Retry};
pub use feed::{Activity, ActivityPage, Feed};
pub use mailer::{FoundMail, Mailer};
pub use messenger::{Incoming, MessageChannel, Messenger, Question, Received, Refusal};
pub use pusher::{Heard, Notice, Push, Pushed, Pusher, Watch, WatchWish};
pub use request::{Body, Host, Request, Response};
pub use runtime::{Deps, Running, StartError, start};
pub use session::Session;
pub use words::with_words;
