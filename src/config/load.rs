//! Reads the files and leads them through check and resolution.

use std::fs::{self, File};
use std::io::Read;
use std::ops::Range;
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};

use serde::de::{DeserializeOwned, IntoDeserializer};
use toml::Spanned;
use toml::de::{DeArray, DeTable, DeValue};

use super::check::Check;
use super::findings::{FileId, Findings};
use super::mistake::{Mistakes, Severity};
use super::resolve::fleet::Fleet;
use super::resolve::{Resolver, Shared};
use super::{Daemon, Loaded, schema, written};

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

#[derive(Debug, Default)]
struct Loader {
    findings: Findings,
    shared: Shared,
    daemon: Option<Daemon>,
    fleet: Fleet,
    files: Vec<PathBuf>,
}

impl Loader {
    /// Reads one file; only the main one may hold `[daemon]` and `[renewal]`.
    fn file(&mut self, path: &Path, is_main: bool) {
        self.files.push(path.to_owned());
        let read = match read(path) {
            Ok(read) => read,
            Err(problem) => {
                let file = self.findings.add_file(path, "");
                let hint = "renewd must be able to read its whole configuration";
                let message = format!("cannot be read: {problem}");
                self.findings
                    .file_problem(file, Severity::Error, message, hint);
                return;
            }
        };
        let file = self.findings.add_file(path, &read.text);
        if let Some(at) = read.not_utf8_at {
            let place = Findings::place(file, &(at..at + 1));
            let hint = "save the file in the encoding UTF-8".to_owned();
            self.findings
                .syntax_error(place, "this is not UTF-8", Some(hint));
            return;
        }
        let text = self.findings.text(file);
        let mut table = self.parse(file, &text);
        if !is_main {
            self.keep_fleet_only(file, &mut table);
        }
        let folder = path.parent().unwrap_or(Path::new("/"));
        self.sections(file, folder, read.exposed, table);
    }

    /// What could be understood of the text, checked.
    fn parse<'t>(&mut self, file: FileId, text: &'t str) -> DeTable<'t> {
        let (table, errors) = DeTable::parse_recoverable(text);
        for error in errors {
            let range = error.span().unwrap_or_default();
            let place = Findings::place(file, &range);
            self.findings.syntax_error(place, error.message(), None);
        }
        let mut table = table.into_inner();
        let mut check = Check {
            findings: &mut self.findings,
            file,
        };
        check.table(schema::root(), &mut table, &(0..0));
        table
    }

    fn keep_fleet_only(&mut self, file: FileId, table: &mut DeTable<'_>) {
        for section in ["daemon", "renewal"] {
            if let Some((key, _)) = table.remove_entry(section) {
                let message = format!("`[{section}]` stands in the main file only");
                let hint =
                    "files in conf.d hold [[ca]], [[firewall]] and [[certificate]]".to_owned();
                let place = Findings::place(file, &key.span());
                self.findings.error(place, message, Some(hint));
            }
        }
    }

    /// Resolves section by section, each in the order of the file.
    fn sections(
        &mut self,
        file: FileId,
        folder: &Path,
        exposed: Option<u32>,
        mut table: DeTable<'_>,
    ) {
        let Self {
            findings,
            shared,
            fleet,
            ..
        } = self;
        let mut resolver = Resolver {
            findings,
            file,
            folder,
            exposed,
            shared,
        };
        if self.daemon.is_none() {
            let written = section(&mut table, "daemon", &mut resolver).unwrap_or_default();
            self.daemon = Some(resolver.daemon(&written));
        }
        if let Some(written) = section::<written::Renewal>(&mut table, "renewal", &mut resolver) {
            let default = resolver.shared.policy.clone();
            resolver.shared.policy = resolver.policy(&written, &default);
        }
        for (written, _) in elements(&mut table, "ca", &mut resolver) {
            fleet.cas.push(resolver.ca(written));
        }
        for (written, _) in elements(&mut table, "firewall", &mut resolver) {
            fleet.firewalls.push(resolver.firewall(written));
        }
        for (written, range) in elements(&mut table, "certificate", &mut resolver) {
            fleet
                .certificates
                .push(resolver.certificate(written, &range));
        }
    }

    /// `conf.d/*.toml` beside the main file, by name; hidden files and those of editors are left out.
    fn companions(&mut self, main: &Path) -> Vec<PathBuf> {
        let folder = main.with_file_name("conf.d");
        let entries = match fs::read_dir(&folder) {
            Ok(entries) => entries,
            Err(error) if error.kind() == std::io::ErrorKind::NotFound => return Vec::new(),
            Err(error) => {
                let file = self.findings.add_file(&folder, "");
                let hint = "renewd must be able to list this folder, or it must not exist";
                let message = format!("cannot be read: {error}");
                self.findings
                    .file_problem(file, Severity::Error, message, hint);
                return Vec::new();
            }
        };
        let mut paths: Vec<PathBuf> = entries
            .filter_map(|entry| Some(entry.ok()?.path()))
            .filter(|path| {
                path.extension()
                    .is_some_and(|extension| extension == "toml")
            })
            .filter(|path| {
                !path
                    .file_name()
                    .is_some_and(|name| name.as_encoded_bytes().starts_with(b"."))
            })
            .collect();
        paths.sort();
        paths
    }

    fn finish(mut self, main: &Path) -> Result<Loaded, Mistakes> {
        if self.fleet.certificates.is_empty() && !self.findings.any_error() {
            let file = self.findings.add_file(main, "");
            let message = "there is no [[certificate]]: nothing is kept renewed".to_owned();
            let hint = "`renewd discover FIREWALL` prints what a firewall holds, ready to paste";
            self.findings
                .file_problem(file, Severity::Warning, message, hint);
        }
        let desired = self.fleet.finish(self.daemon, &mut self.findings);
        match desired {
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
    /// The byte at which the text ends because it is not UTF-8 from there on.
    not_utf8_at: Option<usize>,
    /// The mode, when others than the owner can read it.
    exposed: Option<u32>,
}

fn read(path: &Path) -> std::io::Result<ReadFile> {
    let mut file = File::open(path)?;
    let metadata = file.metadata()?;
    if metadata.len() > LARGEST_FILE {
        return Err(std::io::Error::other("larger than 256 MiB"));
    }
    let mode = metadata.permissions().mode() & 0o777;
    let mut bytes = Vec::new();
    file.read_to_end(&mut bytes)?;
    let (text, not_utf8_at) = match String::from_utf8(bytes) {
        Ok(text) => (text, None),
        Err(error) => {
            let at = error.utf8_error().valid_up_to();
            (
                String::from_utf8_lossy(error.as_bytes()).into_owned(),
                Some(at),
            )
        }
    };
    Ok(ReadFile {
        text,
        not_utf8_at,
        exposed: (mode & 0o077 != 0).then_some(mode),
    })
}

/// Takes a section out of the file.
fn section<T: DeserializeOwned>(
    table: &mut DeTable<'_>,
    name: &str,
    resolver: &mut Resolver<'_>,
) -> Option<T> {
    written(table.remove(name)?, resolver)
}

/// Takes the elements of an array of tables out of the file, each with its place.
fn elements<T: DeserializeOwned>(
    table: &mut DeTable<'_>,
    name: &str,
    resolver: &mut Resolver<'_>,
) -> Vec<(T, Range<usize>)> {
    let array = match table.remove(name).map(Spanned::into_inner) {
        Some(DeValue::Array(array)) => array,
        _ => DeArray::new(),
    };
    let element = |value: Spanned<DeValue<'_>>| {
        let range = value.span();
        Some((written(value, resolver)?, range))
    };
    array.into_iter().filter_map(element).collect()
}

/// What was checked fits the types; if ever it does not, that is reported and not passed over.
fn written<T: DeserializeOwned>(
    value: Spanned<DeValue<'_>>,
    resolver: &mut Resolver<'_>,
) -> Option<T> {
    let range = value.span();
    match T::deserialize(value.into_deserializer()) {
        Ok(written) => Some(written),
        Err(error) => {
            // serde's message may repeat a value, and the value may be a secret.
            let range = error.span().unwrap_or(range);
            let place = Findings::place(resolver.file, &range);
            let message = "this does not fit the configuration";
            resolver.findings.syntax_error(place, message, None);
            None
        }
    }
}

/// Places in a file are kept in 32 bits; a configuration of this size is a mistake.
const LARGEST_FILE: u64 = 256 << 20;
