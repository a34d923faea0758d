//! Change Data Capture: the Pub/Sub API's stream, its schemas, and what its events say.

mod avro;
mod bitmap;
mod event;
mod failure;
mod pubsub;
mod schemas;
mod stream;

pub(crate) use self::schemas::Schemas;
pub(crate) use self::stream::{subscribe, topic};
