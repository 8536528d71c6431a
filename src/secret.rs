//! Secrets: where they are read from, and a wrapper that never shows them.
//!
//! A [`SecretSource`] is what the configuration holds; it is read at each use, so that a changed
//! password file takes effect at the next login and ten thousand passwords do not lie in memory.

use std::fmt;
use std::path::PathBuf;

use secrecy::{ExposeSecret, SecretString};

/// A secret's text. `Debug` prints a placeholder; there is no `Display`.
#[derive(Clone)]
pub struct Secret(SecretString);

impl Secret {
    /// Wraps `text`.
    pub fn new(text: String) -> Self {
        Self(SecretString::from(text))
    }

    /// The text itself: for the wire only, never for a log, an error or an URL.
    pub fn expose(&self) -> &str {
        self.0.expose_secret()
    }
}

impl fmt::Debug for Secret {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("[secret]")
    }
}

/// Where a secret is to be read from.
#[derive(Debug, Clone)]
pub enum SecretSource {
    /// A file; its first line is the secret.
    File(PathBuf),
    /// An environment variable of the daemon.
    Env(String),
    /// A systemd credential: the file of this name in `$CREDENTIALS_DIRECTORY` (systemd.exec(5), LoadCredential=).
    Credential(String),
    /// Written in the configuration, in a file that nobody else can read.
    Inline(Secret),
}

/// Why a secret could not be read. Says where it was looked for, never what was found.
#[derive(Debug, Clone, thiserror::Error)]
#[error("{place}: {problem}")]
pub struct SecretError {
    /// The file, variable or credential.
    pub place: String,
    /// What is wrong with it and what to do.
    pub problem: String,
}

impl SecretSource {
    /// Reads the secret now.
    ///
    /// # Errors
    /// When the place does not exist, cannot be read, or holds nothing.
    pub fn read(&self) -> Result<Secret, SecretError> {
        let text = match self {
            Self::Inline(secret) => return Ok(secret.clone()),
            Self::Env(name) => std::env::var(name)
                .map_err(|_| self.problem("not set in the environment of renewd, or not UTF-8"))?,
            Self::File(path) => self.read_file(path)?,
            Self::Credential(name) => {
                let folder = std::env::var_os("CREDENTIALS_DIRECTORY").ok_or_else(|| {
                    self.problem("CREDENTIALS_DIRECTORY is not set: the service needs LoadCredential= for it")
                })?;
                self.read_file(&PathBuf::from(folder).join(name))?
            }
        };
        match text.lines().next().map(str::trim_end) {
            Some(line) if !line.is_empty() => Ok(Secret::new(line.to_owned())),
            _ => Err(self.problem("empty: its first line must hold the secret")),
        }
    }

    fn read_file(&self, path: &std::path::Path) -> Result<String, SecretError> {
        std::fs::read_to_string(path).map_err(|error| self.problem(&error.to_string()))
    }

    fn problem(&self, problem: &str) -> SecretError {
        SecretError {
            place: self.to_string(),
            problem: problem.to_owned(),
        }
    }
}

impl fmt::Display for SecretSource {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::File(path) => write!(f, "file {}", path.display()),
            Self::Env(name) => write!(f, "environment variable {name}"),
            Self::Credential(name) => write!(f, "credential {name}"),
            Self::Inline(_) => f.write_str("the configuration itself"),
        }
    }
}
