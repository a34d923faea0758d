use std::{
    net::Ipv4Addr,
    path::Path,
    process::{Command, Stdio},
    time::Duration,
};

use nix::sys::signal::Signal;
use tokio::{
    io::{AsyncBufReadExt, BufReader},
    net::TcpStream,
    time::{Instant, sleep},
};

use super::{
    READY_WITHIN, Running, StartError, create_dir, directory, find_nats, free_port,
    keeper::{Keeper, Program},
    lock, log_tail, open_log, password, write_private,
};

/// A private NATS server with JetStream, to be started.
#[derive(Debug, Clone)]
pub struct Nats {
    /// The loopback port; a free one when not given.
    pub port: Option<u16>,
    /// Whether an acknowledged message has reached the disk (`sync_interval: always`). Only tests may say no.
    pub durable: bool,
    /// The largest message, in bytes.
    pub max_payload_bytes: u32,
    /// Whether it is started again on the same port and data when it dies by itself.
    pub supervise: bool,
}

impl Default for Nats {
    fn default() -> Self {
        Self { port: None, durable: true, max_payload_bytes: 8 << 20, supervise: true }
    }
}

impl Nats {
    /// Starts the server on its directory, which is created when missing, and waits until it takes connections.
    /// The directory holds `nats.conf` (owner-readable), `jetstream/`, `nats.pid` and `log/nats.log`.
    ///
    /// # Errors
    /// When there is no NATS server of 2.12 or newer, the directory cannot be used, or the server does not come up.
    pub async fn start(&self, dir: &Path) -> Result<Running, StartError> {
        let program = find_nats()?;
        create_dir(&dir.join("log"))?;
        let dir = dir.canonicalize().map_err(|source| directory(dir, source))?;
        let lock = lock("nats", &dir)?;
        let password = password(&dir)?;
        let port = match self.port {
            Some(port) => port,
            None => free_port().map_err(|source| directory(&dir, source))?,
        };
        let config = dir.join("nats.conf");
        write_private(&config, &self.config(&dir, port, &password))?;
        let log = dir.join("log/nats.log");
        let output = open_log(&log)?;
        let errors = output.try_clone().map_err(|source| directory(&log, source))?;
        let mut command = Command::new(&program);
        command
            .arg("--config")
            .arg(&config)
            .stdin(Stdio::null())
            .stdout(output)
            .stderr(errors)
            .current_dir(&dir);
        let keeper = Keeper::start(Program {
            name: "nats",
            command,
            stop_signal: Signal::SIGTERM,
            supervise: self.supervise,
            pid_file: dir.join("nats.pid"),
            process_name: "nats-server",
        })
        .map_err(|source| StartError::Program { program: program.clone(), source })?;
        let not_ready = |reason: &str| StartError::NotReady {
            server: "nats",
            reason: reason.to_owned(),
            log: log.clone(),
            tail: log_tail(&log),
        };
        let deadline = Instant::now() + READY_WITHIN;
        while !answers(port).await {
            match keeper.failed() {
                Some(Err(source)) => return Err(StartError::Program { program, source }),
                Some(Ok(())) => return Err(not_ready("it ends again and again")),
                None if Instant::now() > deadline => return Err(not_ready("it does not answer")),
                None => sleep(Duration::from_millis(5)).await,
            }
        }
        keeper.set_ready();
        let url = format!("nats://accord:{password}@127.0.0.1:{port}").into();
        Ok(Running { url, port, keeper, _lock: lock })
    }

    fn config(&self, dir: &Path, port: u16, password: &str) -> String {
        let quoted = |path: &Path| format!("{:?}", path.display().to_string());
        let sync = if self.durable { "always" } else { "\"2m\"" };
        format!(
            "listen: \"127.0.0.1:{port}\"\n\
             server_name: accord\n\
             pid_file: {pid_file}\n\
             max_payload: {max_payload}\n\
             authorization {{ user: accord, password: \"{password}\" }}\n\
             jetstream {{ store_dir: {store}, sync_interval: {sync} }}\n",
            pid_file = quoted(&dir.join("nats.pid")),
            store = quoted(dir),
            max_payload = self.max_payload_bytes,
        )
    }
}

/// Whether a server with JetStream greets on this port: its first line says so.
async fn answers(port: u16) -> bool {
    let greeting = async {
        let stream = TcpStream::connect((Ipv4Addr::LOCALHOST, port)).await?;
        let mut line = String::new();
        BufReader::new(stream).read_line(&mut line).await?;
        std::io::Result::Ok(line)
    };
    match tokio::time::timeout(Duration::from_secs(2), greeting).await {
        Ok(Ok(line)) => line.starts_with("INFO ") && line.contains("\"jetstream\":true"),
        Ok(Err(_)) | Err(_) => false,
    }
}
