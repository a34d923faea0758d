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

/// Files of Postgres' log, 16 MiB each, that are there before anything is measured.
const LOG_FILES: usize = 40;

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
        keep_log_files(&postgres).await?;
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

    /// The processor time that this process, Postgres and NATS have used so far.
    pub(crate) fn cpu(&self) -> Result<Cpu> {
        let mut postgres = Duration::ZERO;
        let postmaster = self.postgres.pid().unwrap_or_default();
        for entry in std::fs::read_dir("/proc")?.flatten() {
            let Some(pid) = entry.file_name().to_str().and_then(|name| name.parse::<u32>().ok()) else {
                continue;
            };
            // A process may end while it is looked at; its time is its parent's from then on.
            let Ok(stat) = Stat::read(pid) else { continue };
            if pid == postmaster || stat.parent == postmaster {
                postgres += stat.used;
            }
        }
        let nats = Stat::read(self.nats.pid().unwrap_or_default())?.used;
        Ok(Cpu { own: Stat::read(std::process::id())?.used, postgres, nats })
    }

    pub(crate) async fn stop(self) {
        self.postgres.stop().await;
        self.nats.stop().await;
    }
}

/// A cluster that has run for a while writes its log into files that it had before; a new one fills each with zeros first, and
/// nobody commits meanwhile. So it is given some here, as checkpoints would with the time.
async fn keep_log_files(postgres: &Running) -> Result<()> {
    let pool = chassis::pool(postgres.url(), "bench", 1).await?;
    for _ in 0..LOG_FILES {
        sqlx::query("SELECT pg_logical_emit_message(false, 'bench', '')").execute(&pool).await?;
        sqlx::query("SELECT pg_switch_wal()").execute(&pool).await?;
    }
    sqlx::query("CHECKPOINT").execute(&pool).await?;
    pool.close().await;
    Ok(())
}

/// Processor time by process.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Cpu {
    own: Duration,
    postgres: Duration,
    nats: Duration,
}

impl Cpu {
    /// What was used since then for each of so many changes, in words.
    pub(crate) fn per_change_since(&self, before: &Self, changes: usize) -> String {
        let each = |now: Duration, before: Duration| {
            now.saturating_sub(before).as_micros() / u128::try_from(changes.max(1)).unwrap_or(1)
        };
        format!(
            "processor time for a change: {} us own, {} us postgres, {} us nats",
            each(self.own, before.own),
            each(self.postgres, before.postgres),
            each(self.nats, before.nats)
        )
    }

    /// What all three used since then for each of so many changes.
    pub(crate) fn each_since(&self, before: &Self, changes: usize) -> Duration {
        let all = |cpu: &Self| cpu.own + cpu.postgres + cpu.nats;
        all(self).saturating_sub(all(before)) / u32::try_from(changes.max(1)).unwrap_or(u32::MAX)
    }

    /// What this process used since then.
    pub(crate) fn own_since(&self, before: &Self) -> Duration {
        self.own.saturating_sub(before.own)
    }
}

struct Stat {
    parent: u32,
    used: Duration,
}

impl Stat {
    /// Reads `/proc/{pid}/stat`; ended and awaited children count. The kernel counts hundredths of seconds there.
    fn read(pid: u32) -> Result<Self> {
        let text = std::fs::read_to_string(format!("/proc/{pid}/stat"))?;
        let fields: Vec<&str> = text.rsplit(')').next().unwrap_or_default().split_whitespace().collect();
        let number =
            |index: usize| fields.get(index).and_then(|field| field.parse::<u64>().ok()).unwrap_or_default();
        let ticks: u64 = (11..=14).map(number).sum();
        Ok(Self { parent: u32::try_from(number(1))?, used: Duration::from_millis(ticks * 10) })
    }
}
