#![doc = include_str!("../README.md")]

mod connect;
mod consumer;
pub mod dead;
mod delivery;
mod envelope;
mod ephemeral;
mod error;
mod feed;
pub mod inbox;
mod metrics;
pub mod outbox;
mod publish;
mod pull;
mod relay;
mod streams;
pub mod subject;
mod trace;
mod watch;

pub use connect::{Bus, ConnectOptions};
pub use consumer::{Consumer, ConsumerConfig, Pending};
pub use delivery::{Delivery, Outcome, ack_all};
pub use envelope::{Envelope, MAX_BODY_BYTES, Message, event_id, event_id_at};
pub use ephemeral::{Ephemeral, Subscription};
pub use error::{Error, ErrorKind};
pub use publish::MAX_BATCH_MESSAGES;
