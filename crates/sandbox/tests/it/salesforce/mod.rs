//! Stories about the event stream of the Salesforce sandbox, told over real gRPC.

mod avro;
mod capturing;
mod changing;
mod delivering;
mod draining;
mod subscriber;
