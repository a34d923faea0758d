//! Stories of the runtime on a real Postgres and a real NATS.
