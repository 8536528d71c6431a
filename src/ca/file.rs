//! Small files in which drivers keep what they issued or were told: named by the reference of an order, and there whole
//! or not at all. It knows nothing of what is in them.

use std::fs::{DirBuilder, File, OpenOptions};
use std::io::{self, Write};
use std::os::unix::fs::{DirBuilderExt, OpenOptionsExt};
use std::path::Path;

/// Why `reference` cannot be the name of a file; `None`: it can.
pub(super) fn objection(reference: &str) -> Option<String> {
    let is_safe = (1..=100).contains(&reference.len())
        && !reference.starts_with('.')
        && reference
            .bytes()
            .all(|byte| byte.is_ascii_alphanumeric() || b"-_.".contains(&byte));
    (!is_safe).then(|| format!("{reference:?} cannot be a file name, so it cannot be a reference"))
}

/// Writes beside `path`, flushes, renames, and flushes the folder: after a power cut there is all of it, or what was
/// there before. The folder is made where it is missing; both are for our account alone.
pub(super) fn replace(path: &Path, content: &[u8]) -> io::Result<()> {
    let folder = path.parent().unwrap_or(Path::new("/"));
    DirBuilder::new()
        .recursive(true)
        .mode(0o700)
        .create(folder)?;
    let temporary = path.with_extension("tmp");
    let mut file = OpenOptions::new()
        .write(true)
        .create(true)
        .truncate(true)
        .mode(0o600)
        .open(&temporary)?;
    file.write_all(content)?;
    file.sync_all()?;
    std::fs::rename(&temporary, path)?;
    File::open(folder)?.sync_all()
}
