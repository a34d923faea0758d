use std::{
    path::{Path, PathBuf},
    process::{Command, Stdio},
    time::Duration,
};

use nix::sys::signal::Signal;
use sqlx::{Connection, PgConnection, postgres::PgConnectOptions};
use tokio::time::{Instant, sleep};

use super::{
    READY_WITHIN, Running, StartError,
    account::Account,
    create_dir, directory, find_postgres, free_port,
    keeper::{Keeper, Program},
    lock, log_tail, open_log, password,
};

/// The user and the database that are made for us.
const NAME: &str = "accord";

/// A private PostgreSQL cluster, to be started.
#[derive(Debug, Clone)]
pub struct Postgres {
    /// The loopback port; a free one when not given.
    pub port: Option<u16>,
    /// Whether a commit has reached the disk when it is answered. Only tests may say no.
    pub durable: bool,
    /// Memory for the cluster's page cache, in megabytes.
    pub shared_buffers_mb: u32,
    /// How many connections it takes.
    pub max_connections: u32,
    /// Whether it is started again on the same port and data when it dies by itself.
    pub supervise: bool,
}

impl Default for Postgres {
    fn default() -> Self {
        Self {
            port: None,
            durable: true,
            shared_buffers_mb: quarter_of_memory_mb(),
            max_connections: 200,
            supervise: true,
        }
    }
}

/// A quarter of the machine's memory in megabytes, within 128 and 8,192, as PostgreSQL's manual advises. It is taken as pages
/// are read, not at once.
fn quarter_of_memory_mb() -> u32 {
    let text = std::fs::read_to_string("/proc/meminfo").unwrap_or_default();
    let kb = text
        .lines()
        .find_map(|line| line.strip_prefix("MemTotal:")?.trim().strip_suffix(" kB")?.parse().ok());
    kb.map_or(256, |kb: u64| u32::try_from(kb / 4 / 1024).unwrap_or(u32::MAX).clamp(128, 8_192))
}

impl Postgres {
    /// Starts the cluster on its directory, which is created and initialized when missing, and waits until the
    /// database answers. As root it runs as the user `postgres` or `nobody`. The directory holds `data/`, `password`
    /// (owner-readable) and `log/postgres.log`.
    ///
    /// # Errors
    /// When PostgreSQL is not installed, the directory cannot be used, or the cluster does not come up.
    pub async fn start(&self, dir: &Path) -> Result<Running, StartError> {
        let bin = find_postgres()?;
        let account = Account::for_postgres()?;
        create_dir(&dir.join("log"))?;
        let dir = dir.canonicalize().map_err(|source| directory(dir, source))?;
        account.check_reach(&dir)?;
        let lock = lock("postgres", &dir)?;
        let password = password(&dir)?;
        account.own(&dir)?;
        account.own(&dir.join("password"))?;
        let log = dir.join("log/postgres.log");
        initialize(&bin, &dir, &log, &account, self.durable).await?;
        let port = match self.port {
            Some(port) => port,
            None => free_port().map_err(|source| directory(&dir, source))?,
        };
        let mut command = command(&bin.join("postgres"), &dir, &log, &account)?;
        command.arg("-D").arg(dir.join("data"));
        for setting in self.settings(port) {
            command.arg("-c").arg(setting);
        }
        let keeper = Keeper::start(Program {
            name: "postgres",
            command,
            stop_signal: Signal::SIGINT,
            supervise: self.supervise,
            pid_file: dir.join("data/postmaster.pid"),
            process_name: "postgres",
        })
        .map_err(|source| StartError::Program { program: bin.join("postgres"), source })?;
        wait_until_ready(&keeper, port, &password, &log, &bin).await?;
        keeper.set_ready();
        let url = format!("postgres://{NAME}:{password}@127.0.0.1:{port}/{NAME}").into();
        Ok(Running { url, port, keeper, _lock: lock })
    }

    /// Loopback only; nothing that a statement contained is written to the log, since it may be personal.
    fn settings(&self, port: u16) -> Vec<String> {
        let mut settings = vec![
            "listen_addresses=127.0.0.1".to_owned(),
            // A client that is gone in the middle of its handshake holds up DROP DATABASE until this is over.
            "authentication_timeout=5s".to_owned(),
            "unix_socket_directories=".to_owned(),
            format!("port={port}"),
            format!("shared_buffers={}MB", self.shared_buffers_mb),
            format!("max_connections={}", self.max_connections),
            // After a checkpoint each page is logged whole when it is touched first: seldom, where there is much to do.
            "max_wal_size=8GB".to_owned(),
            "checkpoint_timeout=15min".to_owned(),
            "random_page_cost=1.1".to_owned(),
            "jit=off".to_owned(),
            "timezone=UTC".to_owned(),
            "log_timezone=UTC".to_owned(),
            "log_error_verbosity=terse".to_owned(),
            "log_min_messages=fatal".to_owned(),
            "log_min_error_statement=panic".to_owned(),
        ];
        if !self.durable {
            settings
                .extend(["fsync=off", "synchronous_commit=off", "full_page_writes=off"].map(str::to_owned));
        }
        settings
    }
}

/// A command that runs as the cluster's user and writes to its log.
fn command(program: &Path, dir: &Path, log: &Path, account: &Account) -> Result<Command, StartError> {
    let output = open_log(log)?;
    let errors = output.try_clone().map_err(|source| directory(log, source))?;
    let mut command = Command::new(program);
    command.stdin(Stdio::null()).stdout(output).stderr(errors).current_dir(dir).env("LC_ALL", "C");
    account.apply(&mut command);
    Ok(command)
}

/// Makes the cluster's data directory unless it is there. A half-made one never gets the final name.
async fn initialize(
    bin: &Path,
    dir: &Path,
    log: &Path,
    account: &Account,
    durable: bool,
) -> Result<(), StartError> {
    let data = dir.join("data");
    if data.join("PG_VERSION").is_file() {
        return Ok(());
    }
    let fresh = dir.join("data.new");
    match std::fs::remove_dir_all(&fresh) {
        Err(error) if error.kind() != std::io::ErrorKind::NotFound => return Err(directory(&fresh, error)),
        Ok(()) | Err(_) => {}
    }
    let program = bin.join("initdb");
    let locale = if cfg!(target_os = "macos") { "C" } else { "C.UTF-8" };
    let mut command = command(&program, dir, log, account)?;
    command
        .arg("-D")
        .arg(&fresh)
        .arg("--pwfile")
        .arg(dir.join("password"))
        .args(["--username", NAME, "--auth", "scram-sha-256", "--encoding", "UTF8", "--locale", locale])
        .args(["--no-instructions"]);
    if !durable {
        command.arg("--no-sync");
    }
    let status = tokio::process::Command::from(command)
        .status()
        .await
        .map_err(|source| StartError::Program { program, source })?;
    if !status.success() {
        let reason = format!("initdb ended with {status}");
        return Err(StartError::NotReady {
            server: "postgres",
            reason,
            log: log.to_owned(),
            tail: log_tail(log),
        });
    }
    std::fs::rename(&fresh, &data).map_err(|source| directory(&data, source))
}

/// Waits for the first answer and makes our database.
async fn wait_until_ready(
    keeper: &Keeper,
    port: u16,
    password: &str,
    log: &Path,
    bin: &Path,
) -> Result<(), StartError> {
    let options = PgConnectOptions::new()
        .host("127.0.0.1")
        .port(port)
        .username(NAME)
        .password(password)
        .database("postgres")
        .application_name("accord-start");
    let not_ready = |reason: String| StartError::NotReady {
        server: "postgres",
        reason,
        log: log.to_owned(),
        tail: log_tail(log),
    };
    let deadline = Instant::now() + READY_WITHIN;
    loop {
        let failure = match prepare(&options).await {
            Ok(()) => return Ok(()),
            Err(error) => error,
        };
        match keeper.failed() {
            Some(Err(source)) => {
                return Err(StartError::Program { program: PathBuf::from(bin).join("postgres"), source });
            }
            Some(Ok(())) => return Err(not_ready("it ends again and again".to_owned())),
            None if Instant::now() > deadline => {
                return Err(not_ready(format!("it does not answer ({failure})")));
            }
            None => sleep(Duration::from_millis(10)).await,
        }
    }
}

async fn prepare(options: &PgConnectOptions) -> Result<(), sqlx::Error> {
    let mut connection = PgConnection::connect_with(options).await?;
    let there: bool = sqlx::query_scalar("SELECT EXISTS (SELECT FROM pg_database WHERE datname = $1)")
        .bind(NAME)
        .fetch_one(&mut connection)
        .await?;
    if !there {
        sqlx::query("CREATE DATABASE accord").execute(&mut connection).await?;
    }
    connection.close().await
}
