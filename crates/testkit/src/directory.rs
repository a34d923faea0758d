use std::{
    os::unix::fs::PermissionsExt,
    path::{Path, PathBuf},
    sync::Once,
};

use nix::{errno::Errno, sys::signal::kill, unistd::Pid};
use uuid::Uuid;

/// How the directories of tests are named, before the process id.
const PREFIX: &str = "accord-test-";

/// A directory of a test, removed when dropped. Other users may enter it, as PostgreSQL does when the tests run as
/// root.
#[derive(Debug)]
pub struct TestDirectory(PathBuf);

impl TestDirectory {
    /// A fresh one in the system's directory for temporary files.
    ///
    /// # Panics
    /// When it cannot be made.
    #[must_use]
    pub fn create() -> Self {
        static SWEEP: Once = Once::new();
        SWEEP.call_once(sweep);
        let name = format!("{PREFIX}{}-{}", std::process::id(), Uuid::new_v4().simple());
        let path = std::env::temp_dir().join(name);
        std::fs::create_dir(&path).expect("a directory for the test");
        std::fs::set_permissions(&path, PermissionsExt::from_mode(0o755))
            .expect("a directory others may enter");
        Self(path)
    }

    /// Where it is.
    #[must_use]
    pub fn path(&self) -> &Path {
        &self.0
    }
}

impl Drop for TestDirectory {
    fn drop(&mut self) {
        // What cannot be removed now is swept by a later run.
        let _ = std::fs::remove_dir_all(&self.0);
    }
}

/// Removes what test processes that are gone left behind.
fn sweep() {
    let entries = std::fs::read_dir(std::env::temp_dir()).into_iter().flatten().flatten();
    for entry in entries {
        let name = entry.file_name();
        let pid = name.to_str().and_then(|name| name.strip_prefix(PREFIX)?.split_once('-')?.0.parse().ok());
        if pid.is_some_and(|pid| kill(Pid::from_raw(pid), None) == Err(Errno::ESRCH)) {
            // Somebody else may be sweeping at the same moment.
            let _ = std::fs::remove_dir_all(entry.path());
        }
    }
}
