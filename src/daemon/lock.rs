//! One daemon for one SQLite database: an advisory lock on a file beside it.

use std::fs::{File, OpenOptions, TryLockError};
use std::io;
use std::path::{Path, PathBuf};

use super::DaemonError;
use crate::store::{self, StoreError};

/// Held as long as the daemon lives; the operating system frees it when the process dies, however it dies.
#[derive(Debug)]
pub struct Lock {
    file: Option<File>,
}

/// The lock could not be taken.
#[derive(Debug, thiserror::Error)]
#[error("{}: {problem}", .path.display())]
pub struct InUse {
    /// The lock file.
    pub path: PathBuf,
    /// What is wrong and what to do.
    pub problem: String,
}

impl Lock {
    /// Takes the lock that belongs to `database`.
    ///
    /// # Errors
    /// When another renewd has it, or the file cannot be made: then the database could not be written either.
    pub fn take(database: &str) -> Result<Self, DaemonError> {
        let Some(path) = store::file(database) else {
            return Ok(Self { file: None });
        };
        // One database has one lock, whatever leads to it. What is not there yet has no other name.
        let path = path.canonicalize().unwrap_or(path);
        let path = path.with_extension("lock");
        let unusable = |error: io::Error| StoreError::Unusable {
            location: path.display().to_string(),
            advice: format!(
                "{error}; its folder must have room and be writable for the user that renewd runs as"
            ),
        };
        if let Some(folder) = path.parent() {
            create_private(folder).map_err(unusable)?;
        }
        let file = open_private(&path).map_err(unusable)?;
        match file.try_lock() {
            Ok(()) => Ok(Self { file: Some(file) }),
            Err(TryLockError::WouldBlock) => Err(InUse {
                problem: "another renewd works with this database; stop it first, or ask it with `renewd status`"
                    .to_owned(),
                path,
            }
            .into()),
            Err(TryLockError::Error(error)) => Err(unusable(error).into()),
        }
    }
}

impl Drop for Lock {
    /// Not left to the closing of the file: a program that is being started at this moment still has it open.
    fn drop(&mut self) {
        // Where it fails, the end of the process does it.
        let _ = self.file.as_ref().map(File::unlock);
    }
}

fn create_private(folder: &Path) -> io::Result<()> {
    use std::os::unix::fs::DirBuilderExt;
    std::fs::DirBuilder::new()
        .recursive(true)
        .mode(0o700)
        .create(folder)
}

fn open_private(path: &Path) -> io::Result<File> {
    use std::os::unix::fs::OpenOptionsExt;
    OpenOptions::new()
        .create(true)
        .truncate(false)
        .write(true)
        .mode(0o600)
        .open(path)
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, reason = "a test stops where it fails")]

    use super::*;

    #[test]
    fn one_database_has_one_lock_whatever_leads_to_it() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("renewd.db");
        std::fs::write(&path, "").unwrap();
        let link = folder.path().join("link.db");
        std::os::unix::fs::symlink(&path, &link).unwrap();
        let folder = folder.path().display();
        let _held = Lock::take(&format!("sqlite://{folder}/renewd.db")).unwrap();
        for other in ["renewd.db", "%72enewd.db", "link.db"] {
            let taken = Lock::take(&format!("sqlite://{folder}/{other}"));
            assert!(matches!(taken, Err(DaemonError::InUse(_))), "{other}");
        }
    }
}
