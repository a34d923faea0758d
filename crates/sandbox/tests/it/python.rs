//! Python programs of others, run by the stories.

use std::path::{Path, PathBuf};

use tokio::process::Command;

/// Runs a program and gives what it printed; a failure fails the story with everything it said.
pub(crate) async fn run(program: &Path, arguments: &[&str], purpose: &str) -> String {
    let output = Command::new(program).args(arguments).output().await;
    let output =
        output.unwrap_or_else(|error| panic!("{purpose}: {} cannot be run: {error}", program.display()));
    let text = |bytes: &[u8]| String::from_utf8_lossy(bytes).into_owned();
    assert!(output.status.success(), "{purpose} failed\n{}\n{}", text(&output.stdout), text(&output.stderr));
    text(&output.stdout)
}

/// A Python with packages, made once and kept in the target directory under a name.
pub(crate) async fn environment(name: &str, packages: &[&str]) -> PathBuf {
    let home = Path::new(env!("CARGO_TARGET_TMPDIR")).join(name);
    let (python, ready) = (home.join("bin/python"), home.join("ready"));
    if std::fs::read_to_string(&ready).ok() != Some(packages.join(" ")) {
        let folder = home.to_str().expect("a path in UTF-8");
        run(
            Path::new("python3"),
            &["-m", "venv", "--clear", folder],
            "this story needs python3 with venv: making an environment",
        )
        .await;
        let mut install =
            vec!["-m", "pip", "install", "--quiet", "--no-compile", "--disable-pip-version-check"];
        install.extend(packages);
        run(&python, &install, "installing packages").await;
        std::fs::write(&ready, packages.join(" ")).expect("a marker");
    }
    python
}
