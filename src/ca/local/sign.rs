//! Signs one public key. Nothing of the request but its key, its CN and its checked names gets into the certificate:
//! rcgen would copy CA:TRUE from a request, and would mistake the curve of a P-384 key whose request is signed with
//! SHA-256.

use jiff::{SignedDuration, Timestamp};
use rcgen::{
    CertificateParams, DistinguishedName, DnType, ExtendedKeyUsagePurpose, IsCa, KeyPair,
    KeyUsagePurpose, PublicKeyData, SanType, SerialNumber, SubjectPublicKeyInfo,
};
use x509_parser::time::ASN1Time;

use super::authority::Authority;
use super::{Purpose, Settings};
use crate::env::Env;
use crate::failure::Failure;
use crate::pki::{
    AlternateName, Certificate, Csr, Digest, Expected, Fingerprint, KeyKind, KeyRequest, Subject,
    check_issued,
};
use crate::random::Random;

/// What is signed.
pub(super) struct Content {
    /// The SubjectPublicKeyInfo, DER.
    public_key_der: Vec<u8>,
    key: KeyKind,
    common_name: Option<String>,
    names: Vec<AlternateName>,
}

impl Content {
    /// The key and the CN of a request with checked names.
    pub fn of_request(csr: &Csr, names: Vec<AlternateName>) -> Self {
        Self {
            public_key_der: csr.public_key_der.clone(),
            key: csr.key,
            common_name: csr.common_name().map(str::to_owned),
            names,
        }
    }

    /// A P-256 key that nothing is known of.
    pub fn of_key(key: &KeyPair) -> Self {
        Self {
            public_key_der: key.subject_public_key_info(),
            key: KeyKind::Ecdsa(256),
            common_name: None,
            names: Vec::new(),
        }
    }

    /// The same key with the names of `wanted`.
    pub fn named(self, wanted: &KeyRequest) -> Self {
        Self {
            common_name: wanted.subject.common_name.clone(),
            names: wanted.host_names(),
            ..self
        }
    }
}

/// Signs `content`, and verifies that the certificate can be installed.
pub(super) fn sign(
    authority: &Authority,
    content: &Content,
    settings: &Settings,
    env: &Env,
) -> Result<Certificate, Failure> {
    let leaf = sign_unchecked(authority, content, settings, env)?;
    match faults(authority, &leaf, content, env.clock.now()) {
        faults if faults.is_empty() => Ok(leaf),
        faults => Err(Failure::refused(CALL, faults.join("; "))),
    }
}

/// Signs `content`.
pub(super) fn sign_unchecked(
    authority: &Authority,
    content: &Content,
    settings: &Settings,
    env: &Env,
) -> Result<Certificate, Failure> {
    let now = env.clock.now();
    let lifetime = SignedDuration::from_hours(24 * i64::from(settings.lifetime_days));
    let mut params = CertificateParams::default();
    params.distinguished_name = subject(content);
    params.subject_alt_names = content
        .names
        .iter()
        .map(alternate_name)
        .collect::<Result<_, _>>()?;
    params.serial_number = Some(serial(env.random.as_ref()));
    set_validity(&mut params, now, authority.signing_ends(now, lifetime)?)?;
    params.is_ca = IsCa::ExplicitNoCa;
    params.key_usages = key_usages(content.key);
    params.extended_key_usages = settings.purposes.iter().copied().map(purpose).collect();
    let key = SubjectPublicKeyInfo::from_der(&content.public_key_der)
        .map_err(|error| Failure::refused(CALL, format!("the key of the request: {error}")))?;
    authority.sign(params, &key)
}

/// Why `leaf`, signed for `content`, would be refused before it is installed: the check is the one of every other CA.
pub(super) fn faults(
    authority: &Authority,
    leaf: &Certificate,
    content: &Content,
    now: Timestamp,
) -> Vec<String> {
    let request = KeyRequest {
        subject: Subject {
            common_name: content.common_name.clone(),
            ..Subject::default()
        },
        alternate_names: content.names.clone(),
        key: content.key,
        digest: Digest::default(),
    };
    let public_key = Fingerprint::of(&content.public_key_der);
    let expected = Expected::new(public_key, &request, now);
    let verdict = check_issued(leaf, &authority.chain, &expected);
    verdict
        .problems
        .into_iter()
        .chain(verdict.unverified)
        .collect()
}

/// Sets the validity: from a little before `now`, for devices whose clock is behind, to `end`.
pub(super) fn set_validity(
    params: &mut CertificateParams,
    now: Timestamp,
    end: Timestamp,
) -> Result<(), Failure> {
    let time = |time: Timestamp| {
        ASN1Time::from_timestamp(time.as_second()).map_err(|error| Failure::local(CALL, error))
    };
    let start = now.saturating_sub(CLOCK_SKEW).unwrap_or(now);
    params.not_before = time(start)?.to_datetime();
    params.not_after = time(end)?.to_datetime();
    Ok(())
}

/// Twenty random bytes, positive and without a leading zero (RFC 5280, 4.1.2.2).
pub(super) fn serial(random: &dyn Random) -> SerialNumber {
    let mut bytes = [0; 20];
    random.fill(&mut bytes);
    if let Some(first) = bytes.first_mut() {
        *first = (*first & 0x7f) | 0x40;
    }
    SerialNumber::from_slice(&bytes)
}

/// Only the CN: the other attributes of a request (O, OU) are unverified.
fn subject(content: &Content) -> DistinguishedName {
    let mut subject = DistinguishedName::new();
    if let Some(common_name) = &content.common_name {
        subject.push(DnType::CommonName, common_name.as_str());
    }
    subject
}

fn alternate_name(name: &AlternateName) -> Result<SanType, Failure> {
    let text = |text: &str| {
        let words = format!("{text:?} cannot be written in a certificate");
        text.to_owned()
            .try_into()
            .map_err(|_| Failure::refused(CALL, words))
    };
    Ok(match name {
        AlternateName::Domain(domain) => SanType::DnsName(text(domain)?),
        AlternateName::Email(email) => SanType::Rfc822Name(text(email)?),
        AlternateName::Ip(address) => SanType::IpAddress(*address),
    })
}

/// Only RSA keys can encipher keys (RFC 5246 7.4.2, RFC 8422 5.3).
fn key_usages(key: KeyKind) -> Vec<KeyUsagePurpose> {
    match key {
        KeyKind::Rsa(_) => vec![
            KeyUsagePurpose::DigitalSignature,
            KeyUsagePurpose::KeyEncipherment,
        ],
        _ => vec![KeyUsagePurpose::DigitalSignature],
    }
}

fn purpose(purpose: Purpose) -> ExtendedKeyUsagePurpose {
    match purpose {
        Purpose::ServerAuth => ExtendedKeyUsagePurpose::ServerAuth,
        Purpose::ClientAuth => ExtendedKeyUsagePurpose::ClientAuth,
        Purpose::IpsecIke => ExtendedKeyUsagePurpose::Other(IPSEC_IKE.to_vec()),
    }
}

const CALL: &str = "local CA: sign";

const CLOCK_SKEW: SignedDuration = SignedDuration::from_mins(5);

/// id-kp-ipsecIKE (RFC 4945, 5.1.3.12).
const IPSEC_IKE: &[u64] = &[1, 3, 6, 1, 5, 5, 7, 3, 17];
