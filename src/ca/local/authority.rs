//! The CA's own certificate and key, read from their files and checked against each other.

use std::os::unix::fs::PermissionsExt;
use std::path::Path;

use jiff::{SignedDuration, Timestamp};
use rcgen::{Issuer, KeyPair, KeyUsagePurpose, PublicKeyData};
use rustls::pki_types::CertificateDer;
use zeroize::Zeroizing;

use super::{Settings, init, local, refused};
use crate::failure::Failure;
use crate::pki::{Certificate, Fingerprint, certificates_of_file, private_key_of_file};
use crate::surroundings::Surroundings;

/// A CA that can sign.
pub(super) struct Authority {
    /// What signs.
    pub issuer: Issuer<'static, KeyPair>,
    /// The CA certificate.
    certificate: Certificate,
    /// The CA certificate and its own issuers, nearest first.
    pub chain: Vec<Certificate>,
}

impl Authority {
    /// Reads both files.
    pub fn load(settings: &Settings) -> Result<Self, Failure> {
        let chain = read_certificates(&settings.certificate)?;
        let certificate = chain
            .first()
            .cloned()
            .ok_or_else(|| problem(&settings.certificate, "it holds no BEGIN CERTIFICATE"))?;
        if !certificate.is_ca {
            let words = "its first certificate is not a CA's (basic constraints CA:TRUE)";
            return Err(problem(&settings.certificate, words));
        }
        let key = read_key(&settings.key)?;
        if Fingerprint::of(&key.subject_public_key_info()) != certificate.public_key {
            return Err(local(
                CALL,
                format!(
                    "the key in {} does not belong to the first certificate in {}",
                    settings.key.display(),
                    settings.certificate.display()
                ),
            ));
        }
        let issuer =
            Issuer::from_ca_cert_der(&CertificateDer::from(certificate.der.as_slice()), key)
                .map_err(|error| problem(&settings.certificate, error))?;
        if !may_sign(&issuer) {
            let words = "its key usage does not allow to sign certificates";
            return Err(problem(&settings.certificate, words));
        }
        Ok(Self {
            issuer,
            certificate,
            chain,
        })
    }

    /// A new CA whose key is nowhere but in memory.
    pub fn for_nobody(surroundings: &Surroundings) -> Result<Self, Failure> {
        let (certificate, key) = init::unwritten("renewd dry run", surroundings)?;
        let der = CertificateDer::from(certificate.der.as_slice());
        let issuer = Issuer::from_ca_cert_der(&der, key).map_err(|error| local(CALL, error))?;
        Ok(Self {
            issuer,
            chain: vec![certificate.clone()],
            certificate,
        })
    }

    /// The CA certificate.
    pub fn certificate(&self) -> &Certificate {
        &self.certificate
    }

    /// The end of what is signed at `now` for `lifetime`: never past the CA's own end.
    pub fn signing_ends(
        &self,
        now: Timestamp,
        lifetime: SignedDuration,
    ) -> Result<Timestamp, Failure> {
        let ends = self.certificate.not_after;
        if now < self.certificate.not_before {
            let words = format!("not valid before {}", self.certificate.not_before);
            return Err(self.cannot_sign(&words));
        }
        if now.duration_until(ends) < LEAST_LEFT {
            let words = if ends <= now {
                "expired on"
            } else {
                "about to expire on"
            };
            return Err(self.cannot_sign(&format!("{words} {ends}")));
        }
        Ok(now
            .saturating_add(lifetime)
            .map_or(ends, |end| end.min(ends)))
    }

    fn cannot_sign(&self, why: &str) -> Failure {
        refused(
            CALL,
            format!(
                "the CA certificate {} is {why}: a new CA certificate is needed",
                self.certificate.subject
            ),
        )
    }
}

/// An absent key usage restricts nothing (RFC 5280, 4.2.1.3).
fn may_sign(issuer: &Issuer<'static, KeyPair>) -> bool {
    let usages = issuer.key_usages();
    usages.is_empty() || usages.contains(&KeyUsagePurpose::KeyCertSign)
}

fn read_certificates(path: &Path) -> Result<Vec<Certificate>, Failure> {
    let bytes = std::fs::read(path).map_err(|error| problem(path, error))?;
    let file = certificates_of_file(&bytes).map_err(|error| problem(path, error))?;
    // The first is the CA itself: another one in its place would sign with the wrong name.
    match file.skipped.first() {
        Some(words) => Err(problem(path, words)),
        None => Ok(file.certificates),
    }
}

fn read_key(path: &Path) -> Result<KeyPair, Failure> {
    let mode = std::fs::metadata(path)
        .map_err(|error| problem(path, error))?
        .permissions()
        .mode();
    if mode & OTHERS != 0 && !is_credential(path) {
        let words = format!(
            "others than its owner can use it (mode {:04o}): chmod 0600 {}",
            mode & 0o7777,
            path.display()
        );
        return Err(problem(path, words));
    }
    let bytes = Zeroizing::new(std::fs::read(path).map_err(|error| problem(path, error))?);
    let der = private_key_of_file(&bytes).map_err(|error| problem(path, error))?;
    // The error of the parser is left out: it knows nothing more, and nothing of a key may get into a log.
    KeyPair::try_from(der.as_slice())
        .map_err(|_| problem(path, "not a private key that renewd can sign with"))
}

/// What systemd hands over with LoadCredential= is guarded by an access list, whose mask looks like group permission.
fn is_credential(path: &Path) -> bool {
    std::env::var_os("CREDENTIALS_DIRECTORY").is_some_and(|folder| path.starts_with(folder))
}

fn problem(path: &Path, problem: impl std::fmt::Display) -> Failure {
    local(CALL, format!("{}: {problem}", path.display()))
}

const CALL: &str = "local CA";

/// Permission bits of group and others.
const OTHERS: u32 = 0o077;

/// With less left, a firewall would need the next certificate before this one is bound.
const LEAST_LEFT: SignedDuration = SignedDuration::from_hours(24);
