use std::{
    os::unix::{fs::MetadataExt, process::CommandExt},
    path::Path,
    process::Command,
};

use nix::unistd::{User, geteuid};

use super::{StartError, directory};

/// The ordinary user that PostgreSQL runs as, because it refuses root. Nobody else's business: when we are not root
/// there is no such user and children run as we do.
#[derive(Debug, Clone)]
pub(super) struct Account(Option<User>);

impl Account {
    /// The user `postgres` where the machine has one, else `nobody`; our own when we are not root.
    pub(super) fn for_postgres() -> Result<Self, StartError> {
        if !geteuid().is_root() {
            return Ok(Self(None));
        }
        ["postgres", "nobody"]
            .into_iter()
            .find_map(|name| User::from_name(name).ok().flatten())
            .map(|user| Self(Some(user)))
            .ok_or(StartError::NoUser)
    }

    /// Lets the command run as this user.
    pub(super) fn apply(&self, command: &mut Command) {
        if let Some(user) = &self.0 {
            command.uid(user.uid.as_raw()).gid(user.gid.as_raw());
        }
    }

    /// Gives a path to this user.
    pub(super) fn own(&self, path: &Path) -> Result<(), StartError> {
        let Some(user) = &self.0 else { return Ok(()) };
        std::os::unix::fs::chown(path, Some(user.uid.as_raw()), Some(user.gid.as_raw()))
            .map_err(|source| directory(path, source))
    }

    /// Checks that this user may enter every directory on the way to `dir`.
    pub(super) fn check_reach(&self, dir: &Path) -> Result<(), StartError> {
        let Some(user) = &self.0 else { return Ok(()) };
        for parent in dir.ancestors().skip(1) {
            let meta = parent.metadata().map_err(|source| directory(parent, source))?;
            let needed = match (meta.uid() == user.uid.as_raw(), meta.gid() == user.gid.as_raw()) {
                (true, _) => 0o100,
                (false, true) => 0o010,
                (false, false) => 0o001,
            };
            if meta.mode() & needed == 0 {
                return Err(StartError::Unreachable { user: user.name.clone(), dir: parent.to_owned() });
            }
        }
        Ok(())
    }
}
