//! The conformance suite of the bus, on a real NATS server and a real Postgres.
