#![doc = include_str!("../README.md")]

mod clock;
mod database;
mod directory;
mod eventually;
mod identity;
mod nats;
mod server;

pub use chassis::local::free_port;
pub use clock::ManualClock;
pub use database::{TestDatabase, database};
pub use directory::TestDirectory;
pub use eventually::eventually;
pub use identity::Identity;
pub use nats::{TestNats, nats};
pub use server::{TestCluster, fast_cluster, postgres_cluster};
