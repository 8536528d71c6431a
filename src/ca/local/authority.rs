//! The CA's own certificate and key, read from their files and checked against each other.

use std::io::ErrorKind;
use std::os::unix::fs::PermissionsExt;
use std::path::Path;

use jiff::{SignedDuration, Timestamp};
use rcgen::{
    CertificateParams, KeyIdMethod, KeyPair, PublicKeyData, SignatureAlgorithm, SigningKey,
    SubjectPublicKeyInfo,
};
use zeroize::Zeroizing;

use super::{Settings, init, sign};
use crate::env::Env;
use crate::failure::Failure;
use crate::pki::{
    Certificate, CertificateFile, PkiError, certificates_of_file, private_key_of_file,
    sign_for_issuer,
};

/// A CA that can sign.
pub(super) struct Authority {
    key: KeyPair,
    /// The CA certificate.
    certificate: Certificate,
    /// The CA certificate and its own issuers, nearest first.
    pub chain: Vec<Certificate>,
}

impl Authority {
    /// Reads both files, and verifies that certificates signed with them now can be valid.
    pub fn load(settings: &Settings, env: &Env) -> Result<Self, Failure> {
        let chain = read_certificates(&settings.certificate)?;
        let certificate = chain
            .first()
            .cloned()
            .ok_or_else(|| problem(&settings.certificate, "it holds no BEGIN CERTIFICATE"))?;
        let authority = Self {
            key: read_key(&settings.key)?,
            certificate,
            chain,
        };
        authority.signing_ends(env.clock.now(), SignedDuration::ZERO)?;
        authority.try_out(settings, env)?;
        Ok(authority)
    }

    /// A new CA whose key is nowhere but in memory.
    pub fn in_memory(env: &Env) -> Result<Self, Failure> {
        let (certificate, key) = init::unwritten("renewd dry run", env)?;
        Ok(Self {
            key,
            chain: vec![certificate.clone()],
            certificate,
        })
    }

    /// The CA certificate.
    pub fn certificate(&self) -> &Certificate {
        &self.certificate
    }

    /// Signs `key` with what `params` say of it.
    pub fn sign(
        &self,
        mut params: CertificateParams,
        key: &SubjectPublicKeyInfo,
    ) -> Result<Certificate, Failure> {
        params.use_authority_key_identifier_extension = true;
        let mut issuer = CertificateParams::default();
        if let Some(identifier) = self.certificate.subject_key_identifier() {
            issuer.key_identifier_method = KeyIdMethod::PreSpecified(identifier);
        }
        let issuer = rcgen::Issuer::new(issuer, Unsigned(&self.key));
        let draft = params
            .signed_by(key, &issuer)
            .map_err(|error| Failure::local(CALL, error))?;
        sign_for_issuer(draft.der(), &self.certificate, |message| {
            let signed = self.key.sign(message);
            signed.map_err(|error| PkiError(format!("the CA's key does not sign: {error}")))
        })
        .map_err(|error| Failure::local(CALL, error))
    }

    /// The end of what is signed at `now` for `lifetime`: never past the CA's own end.
    pub fn signing_ends(
        &self,
        now: Timestamp,
        lifetime: SignedDuration,
    ) -> Result<Timestamp, Failure> {
        let ends = self.certificate.not_after;
        if now < self.certificate.not_before {
            let words = format!(
                "not valid before {}, and it is {now:.0} here: is the clock right?",
                self.certificate.not_before
            );
            return Err(self.cannot_sign(&words));
        }
        if now.duration_until(ends) < LEAST_LEFT {
            let words = if ends <= now {
                "expired on"
            } else {
                "about to expire on"
            };
            return Err(
                self.cannot_sign(&format!("{words} {ends}: a new CA certificate is needed"))
            );
        }
        Ok(now
            .saturating_add(lifetime)
            .map_or(ends, |end| end.min(ends)))
    }

    fn cannot_sign(&self, why: &str) -> Failure {
        let subject = &self.certificate.subject;
        Failure::local(CALL, format!("the CA certificate {subject} is {why}"))
    }

    /// Signs a test certificate without names and discards it. A fault of it would be a fault of every other
    /// certificate.
    fn try_out(&self, settings: &Settings, env: &Env) -> Result<(), Failure> {
        let key = init::throwaway_key()?;
        let content = sign::Content::of_key(&key);
        let leaf = sign::sign_unchecked(self, &content, settings, env)?;
        if let Err(error) = leaf.verify_signed_by(&self.certificate) {
            let words = format!(
                "the key in {} does not belong to the first certificate in {}: {error}",
                settings.key.display(),
                settings.certificate.display()
            );
            return Err(Failure::local(CALL, words));
        }
        let faults = sign::faults(self, &leaf, &content, env.clock.now());
        if faults.is_empty() {
            return Ok(());
        }
        let words = format!(
            "nothing that this CA signs can be installed: {}: put another CA certificate there with its key, or make a new CA with `renewd ca init`",
            faults.join("; ")
        );
        Err(problem(&settings.certificate, words))
    }
}

/// Lets rcgen write a certificate that is signed later.
struct Unsigned<'a>(&'a KeyPair);

impl PublicKeyData for Unsigned<'_> {
    fn der_bytes(&self) -> &[u8] {
        self.0.der_bytes()
    }

    fn algorithm(&self) -> &'static SignatureAlgorithm {
        PublicKeyData::algorithm(self.0)
    }
}

impl SigningKey for Unsigned<'_> {
    fn sign(&self, _: &[u8]) -> Result<Vec<u8>, rcgen::Error> {
        Ok(Vec::new())
    }
}

fn read_certificates(path: &Path) -> Result<Vec<Certificate>, Failure> {
    let bytes = std::fs::read(path).map_err(|error| unreadable(path, &error))?;
    // The first is the CA itself: another one in its place would sign with the wrong name.
    certificates_of_file(&bytes)
        .and_then(CertificateFile::whole)
        .map_err(|error| problem(path, error))
}

fn read_key(path: &Path) -> Result<KeyPair, Failure> {
    let mode = std::fs::metadata(path)
        .map_err(|error| unreadable(path, &error))?
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
    let bytes = std::fs::read(path).map_err(|error| unreadable(path, &error));
    let bytes = Zeroizing::new(bytes?);
    let der = private_key_of_file(&bytes).map_err(|error| problem(path, error))?;
    // The parser's error is left out: it adds nothing, and no part of a key may get into a log.
    KeyPair::try_from(der.as_slice()).map_err(|_| {
        let words = "not a private key that renewd can sign with: RSA, ECDSA P-256, P-384 or P-521, or Ed25519";
        problem(path, words)
    })
}

/// What systemd hands over with LoadCredential= is guarded by an access list, whose mask looks like group permission.
fn is_credential(path: &Path) -> bool {
    std::env::var_os("CREDENTIALS_DIRECTORY").is_some_and(|folder| path.starts_with(folder))
}

fn unreadable(path: &Path, error: &std::io::Error) -> Failure {
    match error.kind() {
        ErrorKind::NotFound => problem(path, "it is missing: `renewd ca init` makes a new CA"),
        _ => problem(path, error),
    }
}

fn problem(path: &Path, problem: impl std::fmt::Display) -> Failure {
    Failure::local(CALL, format!("{}: {problem}", path.display()))
}

const CALL: &str = "local CA";

/// Permission bits of group and others.
const OTHERS: u32 = 0o077;

/// With less left, a firewall would need the next certificate before this one is bound.
const LEAST_LEFT: SignedDuration = SignedDuration::from_hours(24);
