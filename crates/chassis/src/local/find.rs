use std::{
    env,
    path::{Path, PathBuf},
    process::Command,
};

use super::home_dir;

/// The NATS version that [`MissingServer`] tells people to install.
pub const NATS_VERSION: &str = "2.15.1";

/// The oldest NATS that does what the bus asks for: atomic batches. Older ones ignore settings without a word.
const OLDEST_NATS: (u32, u32) = (2, 12);

/// A server program that this machine lacks. The text is one sentence with the command that brings it.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum MissingServer {
    /// No PostgreSQL.
    #[error(
        "find PostgreSQL: install it with `{command}` or point ACCORD_POSTGRES_BIN to the directory that holds initdb and postgres"
    )]
    Postgres {
        /// What installs it here.
        command: &'static str,
    },
    /// No NATS server, or only older ones.
    #[error(
        "find a NATS server of 2.12 or newer{found}: run deploy/up, which fetches {NATS_VERSION}, or point ACCORD_NATS_SERVER to the program"
    )]
    Nats {
        /// What was there instead, ` (/usr/bin/nats-server is 2.9.10)`, or nothing.
        found: String,
    },
}

/// The directory with PostgreSQL's programs: `ACCORD_POSTGRES_BIN`, else the newest of Debian's
/// `/usr/lib/postgresql/*/bin`, else one on `PATH`, else Homebrew's.
///
/// # Errors
/// When none of them holds both `initdb` and `postgres`.
pub fn find_postgres() -> Result<PathBuf, MissingServer> {
    let complete = |dir: &PathBuf| dir.join("initdb").is_file() && dir.join("postgres").is_file();
    let command = if cfg!(target_os = "macos") {
        "brew install postgresql@17"
    } else {
        "sudo apt-get install postgresql"
    };
    if let Some(dir) = env::var_os("ACCORD_POSTGRES_BIN") {
        return Some(PathBuf::from(dir)).filter(complete).ok_or(MissingServer::Postgres { command });
    }
    let path = env::var_os("PATH").unwrap_or_default();
    versions_below(Path::new("/usr/lib/postgresql"), "")
        .into_iter()
        .chain(env::split_paths(&path))
        .chain(versions_below(Path::new("/opt/homebrew/opt"), "postgresql@"))
        .chain(versions_below(Path::new("/usr/local/opt"), "postgresql@"))
        .find(complete)
        .ok_or(MissingServer::Postgres { command })
}

/// The `bin` directories below `dir/{prefix}{number}`, the highest number first.
fn versions_below(dir: &Path, prefix: &str) -> Vec<PathBuf> {
    let mut found: Vec<(u32, PathBuf)> = std::fs::read_dir(dir)
        .into_iter()
        .flatten()
        .flatten()
        .filter_map(|entry| {
            let version = entry.file_name().to_str()?.strip_prefix(prefix)?.parse().ok()?;
            Some((version, entry.path().join("bin")))
        })
        .collect();
    found.sort_by_key(|(version, _)| std::cmp::Reverse(*version));
    found.into_iter().map(|(_, dir)| dir).collect()
}

/// The NATS server program: `ACCORD_NATS_SERVER`, else one on `PATH`, else the one that `deploy/up` fetched into
/// the user's cache. Each is asked for its version, and one that is older than 2.12 is passed over.
///
/// # Errors
/// When there is none of 2.12 or newer.
pub fn find_nats() -> Result<PathBuf, MissingServer> {
    let candidates: Vec<PathBuf> = if let Some(program) = env::var_os("ACCORD_NATS_SERVER") {
        vec![PathBuf::from(program)]
    } else {
        let cache = home_dir("XDG_CACHE_HOME", ".cache");
        env::split_paths(&env::var_os("PATH").unwrap_or_default())
            .map(|dir| dir.join("nats-server"))
            .chain([cache.join(format!("accord/nats-server-{NATS_VERSION}/nats-server"))])
            .filter(|program| program.is_file())
            .collect()
    };
    let mut found = Vec::new();
    for program in candidates {
        match nats_version(&program) {
            Some(version) if version >= OLDEST_NATS => return Ok(program),
            Some((major, minor)) => found.push(format!("{} is {major}.{minor}", program.display())),
            None => found.push(format!("{} tells no version", program.display())),
        }
    }
    let found = if found.is_empty() { String::new() } else { format!(" ({})", found.join(", ")) };
    Err(MissingServer::Nats { found })
}

/// Major and minor version, as `nats-server --version` prints them: `nats-server: v2.15.1`.
fn nats_version(program: &Path) -> Option<(u32, u32)> {
    let output = Command::new(program).arg("--version").output().ok()?;
    parse_version(&String::from_utf8_lossy(&output.stdout))
}

fn parse_version(text: &str) -> Option<(u32, u32)> {
    let mut parts = text.trim().rsplit_once('v')?.1.split('.');
    Some((parts.next()?.parse().ok()?, parts.next()?.parse().ok()?))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_version_is_read_from_what_the_server_prints() {
        assert_eq!(parse_version("nats-server: v2.15.1\n"), Some((2, 15)));
        assert_eq!(parse_version("nats-server: v2.9.10"), Some((2, 9)));
        assert_eq!(parse_version("nats-server: v2.12.0-RC.1"), Some((2, 12)));
        assert_eq!(parse_version("something else"), None);
    }
}
