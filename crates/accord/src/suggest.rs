//! `accord suggest`: which field of one schema is which of another, as JSON lines.

use std::{fs, io::Write, path::Path, process::ExitCode};

use anyhow::Context;
use sync_engine::{Schema, predict};

use crate::cli::Suggest;

pub(crate) fn run(command: &Suggest) -> anyhow::Result<ExitCode> {
    let (first, second) = match command.pair.as_deref().and_then(|pair| pair.split_once("__")) {
        Some((first, second)) => (first.to_owned(), second.to_owned()),
        None => (stem(&command.source), stem(&command.target)),
    };
    let (source, target) = (read(&first, &command.source)?, read(&second, &command.target)?);
    let pair = command.pair.clone().unwrap_or_else(|| format!("{first}__{second}"));
    let mut out = std::io::stdout().lock();
    let mut print = || -> std::io::Result<()> {
        for prediction in predict(&pair, &source, &target) {
            serde_json::to_writer(&mut out, &prediction)?;
            out.write_all(b"\n")?;
        }
        out.flush()
    };
    match print() {
        // Whoever reads has seen enough.
        Err(error) if error.kind() == std::io::ErrorKind::BrokenPipe => Ok(ExitCode::SUCCESS),
        printed => printed.map(|()| ExitCode::SUCCESS).context("print the predictions"),
    }
}

fn stem(path: &Path) -> String {
    path.file_stem().map(|stem| stem.to_string_lossy().into_owned()).unwrap_or_default()
}

fn read(object: &str, path: &Path) -> anyhow::Result<Schema> {
    let bytes = fs::read(path).with_context(|| format!("read {} (schema_unreadable)", path.display()))?;
    Schema::read(object, &bytes).map_err(|error| {
        let code = error.code();
        anyhow::Error::new(error).context(format!("use {} ({code})", path.display()))
    })
}
