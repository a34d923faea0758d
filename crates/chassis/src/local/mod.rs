//! Private servers: a PostgreSQL cluster and a NATS server with JetStream as children of this process.
//!
//! Each server lives in a directory of its own that holds its data, its password and its log. It listens on
//! loopback only, asks for a password, dies with this process even when that is killed, and is started again on
//! the same port and data when it dies by itself (where [`Postgres::supervise`] or [`Nats::supervise`] say so).
//! Starting on a directory that a killed process left behind just works.

mod account;
mod find;
mod keeper;
mod nats;
mod postgres;

use std::{
    fs::File,
    io::{self, Read, Write},
    net::{Ipv4Addr, TcpListener},
    os::unix::fs::OpenOptionsExt,
    path::{Path, PathBuf},
    sync::atomic::{AtomicU32, Ordering},
    time::Duration,
};

use rand::Rng;
use secrecy::{ExposeSecret, SecretString};

pub use find::{MissingServer, NATS_VERSION, find_nats, find_postgres};
pub use nats::Nats;
pub use postgres::Postgres;

use keeper::Keeper;

/// How long a server may take from its start to its first answer, recovery after a crash included.
const READY_WITHIN: Duration = Duration::from_secs(60);

/// The ports that are given out, the last one excluded, and about how many of them a process needs.
const FIRST_PORT: u16 = 20_000;
const LAST_PORT: u16 = 32_000;
const PORTS_EACH: u32 = 61;

/// Why a private server could not be started.
#[derive(Debug, thiserror::Error)]
pub enum StartError {
    /// The server's program is not installed, or too old.
    #[error(transparent)]
    Missing(#[from] MissingServer),
    /// Another process runs a server in the same directory.
    #[error("start {server}: another process already runs it in {}", dir.display())]
    InUse {
        /// The server.
        server: &'static str,
        /// Its directory.
        dir: PathBuf,
    },
    /// The server runs as another user, who cannot reach its directory.
    #[error(
        "start postgres: it cannot run as root, so it runs as user {user}, who may not enter {}; choose another data directory or run chmod o+x on this one",
        dir.display()
    )]
    Unreachable {
        /// The user that the server runs as.
        user: String,
        /// The first directory on the way that this user may not enter.
        dir: PathBuf,
    },
    /// Root needs an ordinary user to run PostgreSQL as, and there is none.
    #[error("start postgres: it cannot run as root, and this machine has neither a user postgres nor nobody")]
    NoUser,
    /// The directory could not be prepared.
    #[error("prepare {}: {source}", path.display())]
    Directory {
        /// The path that failed.
        path: PathBuf,
        /// Why.
        source: io::Error,
    },
    /// The server's program could not be run at all.
    #[error("run {}: {source}", program.display())]
    Program {
        /// The program.
        program: PathBuf,
        /// Why.
        source: io::Error,
    },
    /// The server ended or did not answer in time.
    #[error("start {server}: {reason}; its log {} ends with: {tail}", log.display())]
    NotReady {
        /// The server.
        server: &'static str,
        /// What was seen.
        reason: String,
        /// Its log file.
        log: PathBuf,
        /// The last lines of the log.
        tail: String,
    },
}

/// A private server that runs. Dropping it stops the server and waits for its end.
#[derive(Debug)]
pub struct Running {
    url: SecretString,
    port: u16,
    keeper: Keeper,
    _lock: File,
}

impl Running {
    /// The address with user and password in it, for clients on this machine.
    #[must_use]
    pub fn url(&self) -> &str {
        self.url.expose_secret()
    }

    /// The loopback port; it stays the same while this value lives.
    #[must_use]
    pub const fn port(&self) -> u16 {
        self.port
    }

    /// The process id of the server, or none while it is down.
    #[must_use]
    pub fn pid(&self) -> Option<u32> {
        self.keeper.pid()
    }

    /// Asks the server to stop in good order and waits for its end; kills it when that takes over 30 seconds.
    pub async fn stop(self) {
        self.keeper.stop().await;
    }

    /// Kills the server without warning, as a power cut would, and waits for its end. It is not started again.
    pub async fn kill(self) {
        self.keeper.kill().await;
    }

    /// Waits until the server is gone for good: it ended and nobody starts it again.
    pub async fn wait(&self) {
        self.keeper.ended().await;
    }
}

/// Where the private servers keep their data unless told otherwise: `/var/lib/accord` for root (whose home other
/// users may not enter), else `$XDG_DATA_HOME/accord` or `~/.local/share/accord`.
#[must_use]
pub fn default_data_dir() -> PathBuf {
    if nix::unistd::geteuid().is_root() {
        return PathBuf::from("/var/lib/accord");
    }
    home_dir("XDG_DATA_HOME", ".local/share").join("accord")
}

/// A loopback port that nothing listens on. It lies below the range from which the system takes the local ports of
/// outgoing connections, so that none of these can take it in the meantime. No process is given one twice, and
/// processes start at different places, so that two who are about to listen seldom mean the same.
///
/// # Errors
/// When a hundred tries find no free port.
pub fn free_port() -> io::Result<u16> {
    static NEXT: AtomicU32 = AtomicU32::new(0);
    let first = std::process::id().wrapping_mul(PORTS_EACH);
    let mut last = io::Error::from(io::ErrorKind::AddrInUse);
    for _ in 0..100 {
        let place =
            first.wrapping_add(NEXT.fetch_add(1, Ordering::Relaxed)) % u32::from(LAST_PORT - FIRST_PORT);
        let port = FIRST_PORT + u16::try_from(place).unwrap_or_default();
        match TcpListener::bind((Ipv4Addr::LOCALHOST, port)) {
            Ok(_) => return Ok(port),
            Err(error) => last = error,
        }
    }
    Err(last)
}

/// The directory named by an XDG variable, or its default below the home directory.
fn home_dir(variable: &str, default: &str) -> PathBuf {
    std::env::var_os(variable).filter(|dir| !dir.is_empty()).map_or_else(
        || PathBuf::from(std::env::var_os("HOME").unwrap_or_else(|| "/".into())).join(default),
        PathBuf::from,
    )
}

/// Creates the directory with all its parents.
fn create_dir(path: &Path) -> Result<(), StartError> {
    std::fs::create_dir_all(path).map_err(|source| directory(path, source))
}

fn directory(path: &Path, source: io::Error) -> StartError {
    StartError::Directory { path: path.to_owned(), source }
}

/// Takes the directory for this process; the lock goes with the file handle, also when the process is killed.
fn lock(server: &'static str, dir: &Path) -> Result<File, StartError> {
    let path = dir.join("lock");
    let file = File::create(&path).map_err(|source| directory(&path, source))?;
    file.try_lock().map_err(|error| match error {
        std::fs::TryLockError::WouldBlock => StartError::InUse { server, dir: dir.to_owned() },
        std::fs::TryLockError::Error(source) => directory(&path, source),
    })?;
    Ok(file)
}

/// The password kept in the directory; made up on first use, readable by its owner only.
fn password(dir: &Path) -> Result<String, StartError> {
    let path = dir.join("password");
    let kept = || -> io::Result<String> {
        match File::open(&path) {
            Ok(mut file) => {
                let mut text = String::new();
                file.read_to_string(&mut text)?;
                Ok(text.trim().to_owned())
            }
            Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(String::new()),
            Err(error) => Err(error),
        }
    };
    let kept = kept().map_err(|source| directory(&path, source))?;
    if !kept.is_empty() {
        return Ok(kept);
    }
    let fresh: String = rand::rng().sample_iter(rand::distr::Alphanumeric).take(32).map(char::from).collect();
    write_private(&path, &fresh)?;
    Ok(fresh)
}

/// Writes a file that only its owner can read.
fn write_private(path: &Path, text: &str) -> Result<(), StartError> {
    std::fs::OpenOptions::new()
        .write(true)
        .create(true)
        .truncate(true)
        .mode(0o600)
        .open(path)
        .and_then(|mut file| file.write_all(text.as_bytes()))
        .map_err(|source| directory(path, source))
}

/// Opens the server's log for appending. A log over 16 MB moves aside first, one generation is kept.
fn open_log(path: &Path) -> Result<File, StartError> {
    if std::fs::metadata(path).is_ok_and(|meta| meta.len() > 16 << 20) {
        std::fs::rename(path, path.with_extension("log.1")).map_err(|source| directory(path, source))?;
    }
    File::options().append(true).create(true).open(path).map_err(|source| directory(path, source))
}

/// The last lines of a log, on one line.
fn log_tail(path: &Path) -> String {
    let bytes = std::fs::read(path).unwrap_or_default();
    let text = String::from_utf8_lossy(&bytes);
    let lines: Vec<&str> = text.lines().rev().filter(|line| !line.trim().is_empty()).take(3).collect();
    if lines.is_empty() {
        "(nothing)".to_owned()
    } else {
        lines.into_iter().rev().collect::<Vec<_>>().join(" | ")
    }
}
