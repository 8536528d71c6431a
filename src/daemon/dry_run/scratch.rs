//! A folder that is gone when it is no longer needed.

use std::fs::DirBuilder;
use std::io;
use std::os::unix::fs::DirBuilderExt;
use std::path::{Path, PathBuf};

use crate::random::Random;

/// A folder of its own among the machine's temporary files, which only its owner can enter.
#[derive(Debug)]
pub(super) struct Scratch(PathBuf);

impl Scratch {
    /// Makes the folder; its name is drawn, and one that exists is never used.
    pub(super) fn new(random: &dyn Random) -> io::Result<Self> {
        let mut name = [0; 16];
        random.fill(&mut name);
        let name = data_encoding::HEXLOWER.encode(&name);
        let path = std::env::temp_dir().join(format!("renewd-dry-run-{name}"));
        DirBuilder::new().mode(0o700).create(&path)?;
        Ok(Self(path))
    }

    pub(super) fn path(&self) -> &Path {
        &self.0
    }
}

impl Drop for Scratch {
    fn drop(&mut self) {
        if let Err(error) = std::fs::remove_dir_all(&self.0) {
            tracing::warn!(folder = %self.0.display(), %error, "a temporary folder could not be removed");
        }
    }
}
