//! A simulator's state on disk: one JSON line per thing that changed, the latest line of a thing counts.
//!
//! A line is written before the answer of the call that caused it, so an acknowledged write
//! survives the end of the process at any moment. The file is rewritten whole, under another name
//! and then renamed, on start, on shutdown, and when it has grown to several times its size.

use std::fs::{File, OpenOptions};
use std::io::{self, BufRead, BufReader, BufWriter, Write};
use std::path::{Path, PathBuf};

use serde::Serialize;
use serde::de::DeserializeOwned;

/// The file is not rewritten while it is smaller than this.
const SMALL: u64 = 8 * 1024 * 1024;
/// How often larger than its last rewriting the file may grow.
const GROWTH: u64 = 4;

/// An open state file.
#[derive(Debug)]
pub(crate) struct StateFile {
    path: PathBuf,
    file: File,
    written: u64,
    rewritten: u64,
}

/// Reads every line that was written whole; a file that does not exist has none.
pub(crate) fn read<T: DeserializeOwned>(path: &Path, mut each: impl FnMut(T)) -> io::Result<()> {
    if !path.exists() {
        return Ok(());
    }
    let mut lines = BufReader::new(File::open(path)?);
    let mut text = String::new();
    loop {
        text.clear();
        // Without its end, the process ended while it wrote this line; its call was never answered.
        if lines.read_line(&mut text)? == 0 || !text.ends_with('\n') {
            return Ok(());
        }
        each(serde_json::from_str(&text).map_err(|error| io::Error::new(io::ErrorKind::InvalidData, error))?);
    }
}

/// Writes one thing as a line.
pub(crate) fn line(out: &mut impl Write, what: &impl Serialize) -> io::Result<()> {
    serde_json::to_writer(&mut *out, what)?;
    out.write_all(b"\n")
}

impl StateFile {
    /// Writes everything anew.
    pub(crate) fn rewrite(
        path: &Path,
        snapshot: impl FnOnce(&mut BufWriter<File>) -> io::Result<()>,
    ) -> io::Result<Self> {
        if let Some(folder) = path.parent() {
            std::fs::create_dir_all(folder)?;
        }
        let beside = path.with_extension("new");
        let mut out = BufWriter::new(create_private(&beside)?);
        snapshot(&mut out)?;
        out.into_inner().map_err(|error| error.into_error())?.sync_all()?;
        std::fs::rename(&beside, path)?;
        let file = OpenOptions::new().append(true).open(path)?;
        let written = file.metadata()?.len();
        Ok(Self { path: path.to_owned(), file, written, rewritten: written })
    }

    /// Adds lines.
    pub(crate) fn append(&mut self, lines: &[u8]) -> io::Result<()> {
        self.file.write_all(lines)?;
        self.written += lines.len() as u64;
        Ok(())
    }

    /// Whether it has grown so much that it should be rewritten.
    pub(crate) fn has_outgrown(&self) -> bool {
        self.written > SMALL.max(self.rewritten * GROWTH)
    }

    pub(crate) fn path(&self) -> &Path {
        &self.path
    }
}

/// A new file that only its owner may read: it holds tokens.
fn create_private(path: &Path) -> io::Result<File> {
    match std::fs::remove_file(path) {
        Err(error) if error.kind() != io::ErrorKind::NotFound => return Err(error),
        _ => {}
    }
    let mut options = OpenOptions::new();
    options.write(true).create_new(true);
    #[cfg(unix)]
    std::os::unix::fs::OpenOptionsExt::mode(&mut options, 0o600);
    options.open(path)
}
