//! Makes a new CA: a key and a self-signed certificate, in files that did not exist before.

use std::fs::OpenOptions;
use std::io::{ErrorKind, Write};
use std::os::unix::fs::OpenOptionsExt;
use std::path::Path;

use jiff::SignedDuration;
use rcgen::{
    BasicConstraints, CertificateParams, CidrSubnet, DistinguishedName, DnType, GeneralSubtree,
    IsCa, KeyPair, KeyUsagePurpose, NameConstraints, PKCS_ECDSA_P256_SHA256,
    PKCS_ECDSA_P384_SHA384, PKCS_RSA_SHA256, RsaKeySize,
};

use super::Settings;
use super::sign::{serial, set_validity};
use crate::env::Env;
use crate::failure::Failure;
use crate::pki::{Certificate, KeyKind};
use crate::secret::Secret;

/// Creates the CA's key and certificate in the files of `settings`, valid for `years`; never overwrites one.
///
/// The key comes from aws-lc's own generator and not from `env`, whose randomness may be a test's.
pub fn init(
    settings: &Settings,
    common_name: &str,
    key: KeyKind,
    years: u16,
    env: &Env,
) -> Result<Certificate, Failure> {
    for path in [&settings.key, &settings.certificate] {
        if path.symlink_metadata().is_ok() {
            return Err(exists(path));
        }
    }
    let key = generate(key)?;
    let permitted = &settings.permitted_domains;
    let certificate = self_sign(&key, common_name, years, permitted, env)?;
    write_new(
        &settings.key,
        KEY_MODE,
        Secret::new(key.serialize_pem()).expose(),
    )?;
    if let Err(failure) = write_new(
        &settings.certificate,
        CERTIFICATE_MODE,
        &certificate.to_pem(),
    ) {
        // Nothing was signed by it yet; left behind it would only stop the next attempt.
        let _ = std::fs::remove_file(&settings.key);
        return Err(failure);
    }
    Ok(certificate)
}

/// The certificate and the key of a CA that is written nowhere.
pub(super) fn unwritten(common_name: &str, env: &Env) -> Result<(Certificate, KeyPair), Failure> {
    let key = throwaway_key()?;
    Ok((self_sign(&key, common_name, *YEARS.start(), &[], env)?, key))
}

/// A P-256 key for what is signed to see how it would come out.
pub(super) fn throwaway_key() -> Result<KeyPair, Failure> {
    generate(KeyKind::Ecdsa(256))
}

fn generate(kind: KeyKind) -> Result<KeyPair, Failure> {
    match kind {
        KeyKind::Rsa(3072) => KeyPair::generate_rsa_for(&PKCS_RSA_SHA256, RsaKeySize::_3072),
        KeyKind::Rsa(4096) => KeyPair::generate_rsa_for(&PKCS_RSA_SHA256, RsaKeySize::_4096),
        KeyKind::Ecdsa(256) => KeyPair::generate_for(&PKCS_ECDSA_P256_SHA256),
        KeyKind::Ecdsa(384) => KeyPair::generate_for(&PKCS_ECDSA_P384_SHA384),
        other => {
            let words =
                format!("a CA key is RSA 3072, RSA 4096, ECDSA P-256 or ECDSA P-384, not {other}");
            return Err(Failure::refused(CALL, words));
        }
    }
    .map_err(|error| Failure::local(CALL, error))
}

fn self_sign(
    key: &KeyPair,
    common_name: &str,
    years: u16,
    permitted_domains: &[String],
    env: &Env,
) -> Result<Certificate, Failure> {
    if common_name.trim().is_empty() {
        return Err(Failure::refused(CALL, "a CA needs a common name"));
    }
    if !YEARS.contains(&years) {
        let words = format!("a CA lives {} to {} years", YEARS.start(), YEARS.end());
        return Err(Failure::refused(CALL, words));
    }
    let now = env.clock.now();
    let end = now
        .saturating_add(SignedDuration::from_hours(
            HOURS_OF_A_YEAR * i64::from(years),
        ))
        .map_err(|error| Failure::local(CALL, error))?;
    let mut params = CertificateParams::default();
    params.distinguished_name = DistinguishedName::new();
    params
        .distinguished_name
        .push(DnType::CommonName, common_name.trim());
    set_validity(&mut params, now, end)?;
    params.serial_number = Some(serial(env.random.as_ref()));
    params.is_ca = IsCa::Ca(BasicConstraints::Constrained(0));
    params.key_usages = vec![KeyUsagePurpose::KeyCertSign, KeyUsagePurpose::CrlSign];
    params.name_constraints = name_constraints(permitted_domains);
    let signed = params
        .self_signed(key)
        .map_err(|error| Failure::local(CALL, error))?;
    Certificate::from_der(signed.der()).map_err(|error| Failure::local(CALL, error))
}

/// The name constraints for `permitted_domains`: these domains with all their subdomains, and no address. They bind
/// every relying party of the CA, even if the key is stolen. rcgen makes the extension critical, as RFC 5280, 4.2.1.10,
/// demands.
fn name_constraints(permitted_domains: &[String]) -> Option<NameConstraints> {
    if permitted_domains.is_empty() {
        return None;
    }
    let domains = permitted_domains.iter();
    let every_address = [
        CidrSubnet::from_v4_prefix([0; 4], 0),
        CidrSubnet::from_v6_prefix([0; 16], 0),
    ];
    Some(NameConstraints {
        permitted_subtrees: domains.cloned().map(GeneralSubtree::DnsName).collect(),
        excluded_subtrees: every_address
            .into_iter()
            .map(GeneralSubtree::IpAddress)
            .collect(),
    })
}

fn write_new(path: &Path, mode: u32, content: &str) -> Result<(), Failure> {
    let write = || {
        let mut file = OpenOptions::new()
            .write(true)
            .create_new(true)
            .mode(mode)
            .open(path)?;
        file.write_all(content.as_bytes())?;
        file.sync_all()
    };
    write().map_err(|error| match error.kind() {
        ErrorKind::AlreadyExists => exists(path),
        ErrorKind::NotFound => Failure::local(
            CALL,
            format!(
                "{}: its folder does not exist: create it first",
                path.display()
            ),
        ),
        _ => Failure::local(CALL, format!("{}: {error}", path.display())),
    })
}

fn exists(path: &Path) -> Failure {
    Failure::local(
        CALL,
        format!(
            "{} exists already and is never overwritten: move it away, or name another file",
            path.display()
        ),
    )
}

const CALL: &str = "ca init";

const KEY_MODE: u32 = 0o600;
const CERTIFICATE_MODE: u32 = 0o644;

const YEARS: std::ops::RangeInclusive<u16> = 1..=50;
const HOURS_OF_A_YEAR: i64 = 24 * 365;
