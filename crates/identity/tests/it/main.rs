//! Stories of identity over gRPC, on a real Postgres and a real NATS server.
#![cfg(test)]

mod house;
mod keys;
mod revocation;
mod roles;
mod secrecy;
mod serving;
mod sign_in;
