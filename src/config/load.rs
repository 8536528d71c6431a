//! Finds the files, has them read, and makes one configuration of what is in them.

use std::fs::{self, File};
use std::io::{self, Read};
use std::os::unix::fs::PermissionsExt;
use std::path::Path;
use std::sync::Arc;

use super::diagnostics::Diagnostics;
use super::error::{ConfigErrors, Severity};
use super::loader::{Loader, Task};
use super::resolve::fleet::Fleet;
use super::{Daemon, Loaded};

/// Loads `path` and every `conf.d/*.toml` beside it.
///
/// # Errors
/// Every mistake of every file at once, with the warnings among them.
pub fn load(path: &Path) -> Result<Loaded, ConfigErrors> {
    let mut loader = Loader::default();
    let path: Arc<Path> = Arc::from(path);
    let main = loader.open(&path);
    let elements = main
        .as_ref()
        .map(|main| loader.sections(main, true))
        .unwrap_or_default();
    let companions = companions(&path, &mut loader.diagnostics);
    let files = companions.iter().map(Task::File);
    let tasks: Vec<Task<'_>> = elements
        .into_iter()
        .map(Task::Element)
        .chain(files)
        .collect();
    let mut parts = Vec::new();
    for part in loader.share(main.as_ref(), &tasks) {
        loader.diagnostics.append(part.diagnostics);
        parts.push(part.elements);
    }
    let mut fleet = Fleet::default();
    fleet.add(loader.elements, &mut loader.diagnostics);
    for elements in parts {
        fleet.add(elements, &mut loader.diagnostics);
    }
    let files = std::iter::once(Arc::clone(&path))
        .chain(companions.iter().cloned())
        .collect();
    finish(fleet, loader.daemon, loader.diagnostics, files)
}

/// `conf.d/*.toml` beside the main file, by name; hidden files and those of editors are left out.
fn companions(main: &Path, diagnostics: &mut Diagnostics) -> Vec<Arc<Path>> {
    let folder = main.with_file_name(COMPANIONS);
    let entries = match fs::read_dir(&folder) {
        Ok(entries) => entries,
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Vec::new(),
        Err(error) => {
            let file = diagnostics.add_file(Arc::from(folder), Arc::default());
            let message = format!("cannot be read: {error}");
            let hint = "renewd must be able to list this folder, or it must not exist";
            diagnostics.file_problem(file, Severity::Error, message, hint);
            return Vec::new();
        }
    };
    let mut paths: Vec<Arc<Path>> = entries
        .filter_map(|entry| Some(Arc::from(entry.ok()?.path())))
        .filter(|path: &Arc<Path>| is_configuration(path))
        .collect();
    // All are in one folder, so that comparing their bytes is enough.
    paths.sort_unstable_by(|one, two| one.as_os_str().cmp(two.as_os_str()));
    paths
}

fn finish(
    fleet: Fleet,
    daemon: Option<Daemon>,
    mut diagnostics: Diagnostics,
    files: Vec<Arc<Path>>,
) -> Result<Loaded, ConfigErrors> {
    if fleet.is_empty()
        && !diagnostics.any_error()
        && let Some(main) = files.first()
    {
        let file = diagnostics.add_file(Arc::clone(main), Arc::default());
        let message = "there is no [[certificate]]: nothing is kept renewed".to_owned();
        let hint = "`renewd discover FIREWALL` prints what a firewall holds, ready to paste";
        diagnostics.file_problem(file, Severity::Warning, message, hint);
    }
    match fleet.finish(daemon, &mut diagnostics) {
        Some(config) if !diagnostics.any_error() => Ok(Loaded {
            config,
            warnings: diagnostics.into_errors(),
            files,
        }),
        _ => Err(ConfigErrors(diagnostics.into_errors())),
    }
}

/// A file as it was read.
pub(super) struct ReadFile {
    pub text: String,
    /// The byte at which it stops being UTF-8.
    pub not_utf8_at: Option<usize>,
    /// The mode, when others than the owner can read it.
    pub exposed: Option<u32>,
}

pub(super) fn read(path: &Path) -> io::Result<ReadFile> {
    let mut file = File::open(path)?;
    let metadata = file.metadata()?;
    let mode = metadata.permissions().mode() & 0o777;
    let length = usize::try_from(metadata.len().min(LARGEST_FILE)).unwrap_or(0);
    // One more, to see the end without growing.
    let mut bytes = Vec::with_capacity(length + 1);
    file.by_ref().take(LARGEST_FILE).read_to_end(&mut bytes)?;
    if file.read(&mut [0])? > 0 {
        return Err(io::Error::other("it is larger than 256 MiB"));
    }
    let (text, not_utf8_at) = match String::from_utf8(bytes) {
        Ok(text) => (text, None),
        Err(error) => {
            let at = error.utf8_error().valid_up_to();
            let text = String::from_utf8_lossy(error.as_bytes()).into_owned();
            (text, Some(at))
        }
    };
    Ok(ReadFile {
        text,
        not_utf8_at,
        exposed: (mode & 0o077 != 0).then_some(mode),
    })
}

fn is_configuration(path: &Path) -> bool {
    let is_toml = path
        .extension()
        .is_some_and(|extension| extension == "toml");
    let is_hidden = |name: &std::ffi::OsStr| name.as_encoded_bytes().starts_with(b".");
    is_toml && !path.file_name().is_some_and(is_hidden)
}

/// The folder beside the main file.
pub(super) const COMPANIONS: &str = "conf.d";
/// Places in a file are kept in 32 bits; a configuration of this size is a mistake.
const LARGEST_FILE: u64 = 256 << 20;
