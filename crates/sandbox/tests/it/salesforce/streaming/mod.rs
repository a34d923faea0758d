//! Stories about change events, told over real gRPC.

mod avro;
mod capturing;
mod changing;
mod delivering;
mod draining;
mod subscriber;
