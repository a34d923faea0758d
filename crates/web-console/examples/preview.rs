//! Writes every page of the console, drawn from its sample, into a directory.

use std::{fs, path::PathBuf};

fn main() -> Result<(), Box<dyn std::error::Error>> {
    let directory = PathBuf::from(std::env::args().nth(1).ok_or("name a directory to write to")?);
    fs::create_dir_all(directory.join("assets"))?;
    for (path, content) in web_console::asset_files() {
        fs::write(directory.join(path.trim_start_matches('/')), content)?;
    }
    for preview in web_console::previews()? {
        let html = preview.html.replace("\"/assets/", "\"assets/");
        fs::write(directory.join(format!("{}.html", preview.name)), html)?;
    }
    Ok(())
}
