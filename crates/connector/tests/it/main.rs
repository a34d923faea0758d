//! Stories of the runtime on a real Postgres and a real NATS, with a vendor that the tests script.

#[cfg(test)]
mod acme;
#[cfg(test)]
mod connecting;
#[cfg(test)]
mod identity;
#[cfg(test)]
mod reading;
#[cfg(test)]
mod replicas;
#[cfg(test)]
mod tokens;
#[cfg(test)]
mod world;
#[cfg(test)]
mod writing;
