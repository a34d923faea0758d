//! Private, durable servers with the settings that `accord up` gives them, and what the disk under them can do.

use std::{
    fs::File,
    io::Write,
    time::{Duration, Instant},
};

use anyhow::Result;
use bus::{Bus, ConnectOptions};
use chassis::local::{Nats, Postgres, Running};
use testkit::TestDirectory;

use crate::table::median;

/// A Postgres cluster and a NATS server of one measurement.
pub(crate) struct Servers {
    pub(crate) postgres: Running,
    pub(crate) nats: Running,
    directory: TestDirectory,
}

impl Servers {
    pub(crate) async fn start() -> Result<Self> {
        let directory = TestDirectory::create();
        let postgres = Postgres::default().start(&directory.path().join("postgres")).await?;
        let nats = Nats::default().start(&directory.path().join("nats")).await?;
        Ok(Self { postgres, nats, directory })
    }

    /// A connection to the bus with its streams in place.
    pub(crate) async fn bus(&self, name: &str) -> Result<Bus> {
        let bus = Bus::connect(self.nats.url(), ConnectOptions::named(name)).await?;
        bus.ensure_streams().await?;
        Ok(bus)
    }

    /// How long the disk under the servers takes to keep 8 KiB: the median of 100 writes, each with fdatasync.
    pub(crate) fn sync_p50(&self) -> Result<Duration> {
        let mut file = File::create(self.directory.path().join("disk"))?;
        let mut took = Vec::new();
        for _ in 0..100 {
            let began = Instant::now();
            file.write_all(&[7; 8_192])?;
            file.sync_data()?;
            took.push(began.elapsed());
        }
        Ok(median(&mut took))
    }

    pub(crate) async fn stop(self) {
        self.postgres.stop().await;
        self.nats.stop().await;
    }
}
