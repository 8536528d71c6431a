//! Reads the files and leads them, piece by piece, through check and resolution.

use std::fs::{self, File};
use std::io::{self, Read};
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use super::findings::{Findings, Origin};
use super::mistake::{Mistakes, Severity};
use super::piece::PieceReader;
use super::resolve::Shared;
use super::resolve::fleet::Fleet;
use super::{Daemon, Loaded, cut};

/// Loads `path` and every `conf.d/*.toml` beside it.
///
/// # Errors
/// Every mistake of every file at once, with the warnings among them.
pub fn load(path: &Path) -> Result<Loaded, Mistakes> {
    let mut loader = Loader::default();
    loader.file(path, true);
    for path in loader.companions(path) {
        loader.file(&path, false);
    }
    loader.finish(path)
}

/// What is known after the files read so far.
#[derive(Debug, Default)]
pub(super) struct Loader {
    pub findings: Findings,
    pub shared: Shared,
    pub daemon: Option<Daemon>,
    pub fleet: Fleet,
    files: Vec<PathBuf>,
}

impl Loader {
    /// Reads one file; only the main one may hold `[daemon]` and `[renewal]`.
    fn file(&mut self, path: &Path, is_main: bool) {
        self.files.push(path.to_owned());
        let ReadFile {
            text,
            not_utf8_at,
            exposed,
        } = match read(path) {
            Ok(read) => read,
            Err(problem) => {
                self.unreadable(
                    path,
                    &problem,
                    "renewd must be able to read its whole configuration",
                );
                return;
            }
        };
        let text = Arc::new(text);
        let file = self.findings.add_file(path, Arc::clone(&text));
        if let Some(at) = not_utf8_at {
            let place = Origin { file, start: at }.place(&(0..1));
            let hint = "save the file in the encoding UTF-8".to_owned();
            self.findings
                .syntax_error(place, "this is not UTF-8", Some(hint));
            return;
        }
        let folder = path.parent().unwrap_or(Path::new("/"));
        let (elements, sections): (Vec<_>, Vec<_>) = cut::cut(&text)
            .into_iter()
            .partition(|piece| piece.is_element);
        let mut reader = PieceReader::new(self, folder, exposed, is_main);
        // The sections hold what the elements need: the state directory, the policy.
        for piece in sections {
            reader.read(file, &text, piece.range);
        }
        reader.end_of_sections(file);
        for piece in elements {
            reader.read(file, &text, piece.range);
        }
        self.findings.end_of_file(file);
    }

    /// `conf.d/*.toml` beside the main file, by name; hidden files and those of editors are left out.
    fn companions(&mut self, main: &Path) -> Vec<PathBuf> {
        let folder = main.with_file_name("conf.d");
        let entries = match fs::read_dir(&folder) {
            Ok(entries) => entries,
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Vec::new(),
            Err(error) => {
                let hint = "renewd must be able to list this folder, or it must not exist";
                self.unreadable(&folder, &error, hint);
                return Vec::new();
            }
        };
        let mut paths: Vec<PathBuf> = entries
            .filter_map(|entry| Some(entry.ok()?.path()))
            .filter(|path| is_configuration(path))
            .collect();
        paths.sort();
        paths
    }

    fn unreadable(&mut self, path: &Path, problem: &io::Error, hint: &str) {
        let file = self.findings.add_file(path, Arc::default());
        let message = format!("cannot be read: {problem}");
        self.findings
            .file_problem(file, Severity::Error, message, hint);
    }

    fn finish(mut self, main: &Path) -> Result<Loaded, Mistakes> {
        if self.fleet.is_empty() && !self.findings.any_error() {
            let file = self.findings.add_file(main, Arc::default());
            let message = "there is no [[certificate]]: nothing is kept renewed".to_owned();
            let hint = "`renewd discover FIREWALL` prints what a firewall holds, ready to paste";
            self.findings
                .file_problem(file, Severity::Warning, message, hint);
        }
        match self.fleet.finish(self.daemon, &mut self.findings) {
            Some(desired) if !self.findings.any_error() => Ok(Loaded {
                desired,
                warnings: self.findings.into_mistakes(),
                files: self.files,
            }),
            _ => Err(Mistakes(self.findings.into_mistakes())),
        }
    }
}

/// A file as it was read.
struct ReadFile {
    text: String,
    /// The byte at which it stops being UTF-8.
    not_utf8_at: Option<usize>,
    /// The mode, when others than the owner can read it.
    exposed: Option<u32>,
}

fn read(path: &Path) -> io::Result<ReadFile> {
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

/// Places in a file are kept in 32 bits; a configuration of this size is a mistake.
const LARGEST_FILE: u64 = 256 << 20;
