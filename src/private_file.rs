//! Small files for our account alone that are there whole or not at all, also after a power cut: keys, accounts, records.
//! It knows nothing of what is in them. It blocks.

use std::fs::{self, DirBuilder, File, OpenOptions};
use std::io::{self, Write};
use std::os::unix::fs::{DirBuilderExt, OpenOptionsExt};
use std::path::{Path, PathBuf};

use crate::random::Random;

/// Writes `content` to `path`, in place of what is there. The folder is made where it is missing.
///
/// # Errors
/// What the system says; what was there before is there still.
pub fn replace(path: &Path, content: &[u8], random: &dyn Random) -> io::Result<()> {
    put(path, content, random, |temporary, path| {
        fs::rename(temporary, path)
    })
}

/// Writes `content` to `path`, and never over what is there. The folder is made where it is missing.
///
/// # Errors
/// `AlreadyExists` when the file exists already; else the error of the system.
pub fn create(path: &Path, content: &[u8], random: &dyn Random) -> io::Result<()> {
    // A link, unlike a rename, fails where there is a file already.
    put(path, content, random, |temporary, path| {
        fs::hard_link(temporary, path)
    })
}

/// Writes beside `path`, flushes, lets `place` bring it there, and flushes the folder.
fn put(
    path: &Path,
    content: &[u8],
    random: &dyn Random,
    place: impl FnOnce(&Path, &Path) -> io::Result<()>,
) -> io::Result<()> {
    let folder = path.parent().unwrap_or(Path::new("/"));
    DirBuilder::new()
        .recursive(true)
        .mode(0o700)
        .create(folder)?;
    let temporary = beside(path, random);
    let placed = write(&temporary, content).and_then(|()| place(&temporary, path));
    // After a rename there is none any more, and after a failure what failed is what counts.
    let _ = fs::remove_file(&temporary);
    placed?;
    File::open(folder)?.sync_all()
}

fn write(path: &Path, content: &[u8]) -> io::Result<()> {
    let mut file = OpenOptions::new()
        .write(true)
        .create_new(true)
        .mode(0o600)
        .open(path)?;
    file.write_all(content)?;
    file.sync_all()
}

/// A name that no other writer takes at the same time.
fn beside(path: &Path, random: &dyn Random) -> PathBuf {
    let mut bytes = [0; 8];
    random.fill(&mut bytes);
    path.with_extension(format!("{}.tmp", data_encoding::HEXLOWER.encode(&bytes)))
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, reason = "a test stops at the first surprise")]

    use std::os::unix::fs::PermissionsExt;

    use super::*;
    use crate::random::SystemRandom;

    fn mode(path: &Path) -> u32 {
        fs::metadata(path).unwrap().permissions().mode() & 0o777
    }

    #[test]
    fn what_is_there_is_replaced_and_nothing_else_is_left() {
        let parent = tempfile::tempdir().unwrap();
        let path = parent.path().join("new/file.pem");
        for content in ["one", "two"] {
            replace(&path, content.as_bytes(), &SystemRandom).unwrap();
            assert_eq!(fs::read_to_string(&path).unwrap(), content);
        }
        let folder = path.parent().unwrap();
        assert_eq!((mode(folder), mode(&path)), (0o700, 0o600));
        assert_eq!(fs::read_dir(folder).unwrap().count(), 1);
    }

    #[test]
    fn what_is_there_is_never_written_over_and_nothing_else_is_left() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("key");
        create(&path, b"one", &SystemRandom).unwrap();
        let refused = create(&path, b"two", &SystemRandom).unwrap_err();
        assert_eq!(refused.kind(), io::ErrorKind::AlreadyExists);
        assert_eq!(fs::read_to_string(&path).unwrap(), "one");
        assert_eq!(fs::read_dir(folder.path()).unwrap().count(), 1);
    }
}
