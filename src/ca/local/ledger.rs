//! The record of issued certificates: one file per client reference with the certificate and its chain. It makes a
//! repeated submit harmless, so each file is written atomically and durably.

use std::fs::{DirBuilder, File};
use std::io::{self, ErrorKind};
use std::os::unix::fs::DirBuilderExt;
use std::path::{Path, PathBuf};

use super::Settings;
use crate::ca::{Reference, SigningRequest, file};
use crate::failure::Failure;
use crate::pki::{Certificate, CertificateFile, certificates_of_file};
use crate::private_file;
use crate::random::Random;

/// The folder of issued certificates.
pub(super) struct Ledger<'a> {
    folder: &'a Path,
}

impl<'a> Ledger<'a> {
    pub fn new(settings: &'a Settings) -> Self {
        Self {
            folder: &settings.issued,
        }
    }

    /// Locks the ledger until the returned file is dropped: no other task and no other process can sign. Creates the
    /// folder if it is missing.
    pub fn lock(&self) -> Result<File, Failure> {
        let lock = || {
            DirBuilder::new()
                .recursive(true)
                .mode(0o700)
                .create(self.folder)?;
            let folder = File::open(self.folder)?;
            folder.lock()?;
            Ok(folder)
        };
        lock().map_err(|error: io::Error| problem(self.folder, error))
    }

    /// The reference under which `request` was signed before, if it was; another key under it is refused.
    pub fn find(&self, request: &SigningRequest) -> Result<Option<Reference>, Failure> {
        let reference = &request.client_reference;
        let Some((leaf, _)) = self.read(reference)? else {
            return Ok(None);
        };
        if leaf.public_key == request.csr.public_key {
            return Ok(Some(Reference(reference.clone())));
        }
        Err(Failure::refused(
            CALL,
            format!(
                "a certificate with another public key (SHA-256 {}) was issued under {reference}",
                leaf.public_key
            ),
        ))
    }

    /// The certificate and chain of `reference`.
    pub fn read(
        &self,
        reference: &str,
    ) -> Result<Option<(Certificate, Vec<Certificate>)>, Failure> {
        let path = self.path(reference)?;
        let bytes = match std::fs::read(&path) {
            Ok(bytes) => bytes,
            Err(error) if error.kind() == ErrorKind::NotFound => return Ok(None),
            Err(error) => return Err(problem(&path, error)),
        };
        let mut chain = certificates_of_file(&bytes)
            .and_then(CertificateFile::whole)
            .map_err(|error| problem(&path, error))?;
        Ok(Some((chain.remove(0), chain)))
    }

    /// Records `leaf` and the `chain` above it, under the lock.
    pub fn write(
        &self,
        reference: &str,
        leaf: &Certificate,
        chain: &[Certificate],
        random: &dyn Random,
    ) -> Result<(), Failure> {
        let path = self.path(reference)?;
        let text: String = std::iter::once(leaf)
            .chain(chain)
            .map(Certificate::to_pem)
            .collect();
        private_file::replace(&path, text.as_bytes(), random).map_err(|error| problem(&path, error))
    }

    /// How many there are.
    pub fn count(&self) -> Result<usize, Failure> {
        let entries = match std::fs::read_dir(self.folder) {
            Ok(entries) => entries,
            Err(error) if error.kind() == ErrorKind::NotFound => return Ok(0),
            Err(error) => return Err(problem(self.folder, error)),
        };
        let is_record = |path: &PathBuf| path.extension().is_some_and(|end| end == EXTENSION);
        Ok(entries
            .filter_map(|entry| Some(entry.ok()?.path()))
            .filter(is_record)
            .count())
    }

    fn path(&self, reference: &str) -> Result<PathBuf, Failure> {
        match file::objection(reference) {
            None => Ok(self.folder.join(format!("{reference}.{EXTENSION}"))),
            Some(words) => Err(Failure::refused(CALL, words)),
        }
    }
}

fn problem(path: &Path, problem: impl std::fmt::Display) -> Failure {
    Failure::local(CALL, format!("{}: {problem}", path.display()))
}

const CALL: &str = "local CA: issued certificates";

const EXTENSION: &str = "pem";
