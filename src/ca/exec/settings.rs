//! The program and its arguments.

use std::path::PathBuf;
use std::time::Duration;

/// One outside program.
#[derive(Debug, Clone)]
pub struct Settings {
    /// The name of the CA in the configuration, for a program that serves several.
    pub name: String,
    /// The program, an absolute path.
    pub program: PathBuf,
    /// Its arguments, as they are: no shell reads them.
    pub arguments: Vec<String>,
    /// Environment variables besides those of the contract; they are not secret.
    pub environment: Vec<(String, String)>,
    /// Folder of what the program answered, one file per client reference.
    pub records: PathBuf,
    /// After this time the program is killed, with everything that it has started.
    pub timeout: Duration,
}
