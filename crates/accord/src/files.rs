//! What `accord up` keeps in its data directory besides the servers' data: secrets that must outlive a restart, and
//! the ports it had.

use std::{
    fs,
    io::Write,
    net::Ipv4Addr,
    os::unix::fs::OpenOptionsExt,
    path::{Path, PathBuf},
};

use anyhow::{Context, bail};
use rand::RngCore;
use serde::{Deserialize, Serialize, de::DeserializeOwned};
use tokio::net::TcpListener;
use vault::{KeyId, Keyring};

/// Files that only their owner can read.
#[derive(Debug, Clone)]
pub(crate) struct Files(PathBuf);

/// The ports that browsers and tools may have remembered.
#[derive(Debug, Clone, Copy, Default, Serialize, Deserialize)]
pub(crate) struct Ports {
    pub(crate) grpc: u16,
    pub(crate) gateway: u16,
    pub(crate) console: u16,
    pub(crate) sandbox: u16,
    #[serde(default)]
    pub(crate) salesforce: u16,
    #[serde(default)]
    pub(crate) salesforce_events: u16,
    #[serde(default)]
    pub(crate) slack: u16,
    #[serde(default)]
    pub(crate) google: u16,
    #[serde(default)]
    pub(crate) microsoft: u16,
}

/// Where the servers of a running `accord up` are.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub(crate) struct Servers {
    pub(crate) database_url: String,
    pub(crate) nats_url: String,
    pub(crate) console_url: String,
}

impl Files {
    pub(crate) fn open(data_dir: &Path) -> anyhow::Result<Self> {
        let dir = data_dir.join("accord");
        fs::create_dir_all(&dir).with_context(|| format!("create {}", dir.display()))?;
        Ok(Self(dir))
    }

    /// Takes the data directory for this process; the lock goes with the file handle, also when the process is killed.
    pub(crate) fn lock(&self) -> anyhow::Result<fs::File> {
        let path = self.path("lock");
        let file = fs::File::create(&path).with_context(|| format!("create {}", path.display()))?;
        match file.try_lock() {
            Ok(()) => Ok(file),
            Err(fs::TryLockError::WouldBlock) => {
                bail!("start: another process already runs it in {}", self.0.display())
            }
            Err(fs::TryLockError::Error(error)) => {
                Err(error).with_context(|| format!("lock {}", path.display()))
            }
        }
    }

    pub(crate) fn path(&self, name: &str) -> PathBuf {
        self.0.join(name)
    }

    /// The encryption keys, made at the first start.
    pub(crate) fn keyring(&self) -> anyhow::Result<Keyring> {
        let path = self.path("vault.keys");
        if !path.exists() {
            let keys = Keyring::generate("k1".parse::<KeyId>().context("name the first encryption key")?);
            write_private(&path, secrecy::ExposeSecret::expose_secret(&keys.to_text()).as_bytes())?;
        }
        let text = fs::read_to_string(&path).with_context(|| format!("read {}", path.display()))?;
        Keyring::parse(&text).with_context(|| format!("read the encryption keys in {}", path.display()))
    }

    /// A random secret of this name, made at the first start.
    pub(crate) fn secret(&self, name: &str) -> anyhow::Result<secrecy::SecretString> {
        let path = self.path(name);
        if !path.exists() {
            let mut bytes = [0; 32];
            rand::rng().fill_bytes(&mut bytes);
            let text: String = bytes.iter().map(|byte| format!("{byte:02x}")).collect();
            write_private(&path, text.as_bytes())?;
        }
        let text = fs::read_to_string(&path).with_context(|| format!("read {}", path.display()))?;
        Ok(text.trim().to_owned().into())
    }

    pub(crate) fn read<T: DeserializeOwned>(&self, name: &str) -> Option<T> {
        serde_json::from_slice(&fs::read(self.path(name)).ok()?).ok()
    }

    pub(crate) fn write<T: Serialize>(&self, name: &str, value: &T) -> anyhow::Result<()> {
        write_private(&self.path(name), &serde_json::to_vec_pretty(value)?)
    }
}

/// Writes a file that only its owner can read, whole or not at all.
pub(crate) fn write_private(path: &Path, bytes: &[u8]) -> anyhow::Result<()> {
    let write = || -> std::io::Result<()> {
        let temporary = path.with_extension("new");
        let mut file =
            fs::OpenOptions::new().create(true).write(true).truncate(true).mode(0o600).open(&temporary)?;
        file.write_all(bytes)?;
        file.sync_all()?;
        fs::rename(&temporary, path)
    };
    write().with_context(|| format!("write {}", path.display()))
}

/// Listens on the loopback port that was used before when it is free, else on another one.
pub(crate) async fn listen(remembered: u16) -> anyhow::Result<TcpListener> {
    if remembered != 0
        && let Ok(listener) = TcpListener::bind((Ipv4Addr::LOCALHOST, remembered)).await
    {
        return Ok(listener);
    }
    let port = chassis::local::free_port().context("find a free port")?;
    TcpListener::bind((Ipv4Addr::LOCALHOST, port)).await.context("listen on loopback")
}
