//! Signs one public key. Nothing of the request but its key, its CN and its checked names gets into the certificate:
//! rcgen would copy CA:TRUE from a request, and would mistake the curve of a P-384 key whose request is signed with
//! SHA-256.

use jiff::{SignedDuration, Timestamp};
use rcgen::{
    CertificateParams, DistinguishedName, DnType, ExtendedKeyUsagePurpose, IsCa, KeyUsagePurpose,
    SanType, SerialNumber, SubjectPublicKeyInfo,
};
use x509_parser::time::ASN1Time;

use super::authority::Authority;
use super::{Purpose, Settings, local, refused};
use crate::failure::Failure;
use crate::pki::{AlternateName, Certificate, Csr, KeyKind};
use crate::random::Random;
use crate::surroundings::Surroundings;

/// Signs the key of `csr` for `names`, and checks what came out.
pub(super) fn sign(
    authority: &Authority,
    csr: &Csr,
    names: Vec<AlternateName>,
    settings: &Settings,
    surroundings: &Surroundings,
) -> Result<Certificate, Failure> {
    let now = surroundings.clock.now();
    let lifetime = SignedDuration::from_hours(24 * i64::from(settings.lifetime_days));
    let mut params = CertificateParams::default();
    params.distinguished_name = subject(csr);
    params.subject_alt_names = names
        .into_iter()
        .map(alternate_name)
        .collect::<Result<_, _>>()?;
    params.serial_number = Some(serial(surroundings.random.as_ref()));
    set_validity(&mut params, now, authority.signing_ends(now, lifetime)?)?;
    params.is_ca = IsCa::ExplicitNoCa;
    params.key_usages = key_usages(csr.key);
    params.extended_key_usages = settings.purposes.iter().copied().map(purpose).collect();
    params.use_authority_key_identifier_extension = true;

    let key = SubjectPublicKeyInfo::from_der(&csr.public_key_der)
        .map_err(|error| refused(CALL, format!("the key of the request: {error}")))?;
    let signed = params
        .signed_by(&key, &authority.issuer)
        .map_err(|error| local(CALL, error))?;
    let leaf = Certificate::from_der(signed.der()).map_err(|error| local(CALL, error))?;
    check(&leaf, csr, authority)?;
    Ok(leaf)
}

/// Sets the validity: from a little before `now`, for devices whose clock is behind, to `end`.
pub(super) fn set_validity(
    params: &mut CertificateParams,
    now: Timestamp,
    end: Timestamp,
) -> Result<(), Failure> {
    let time = |time: Timestamp| {
        ASN1Time::from_timestamp(time.as_second()).map_err(|error| local(CALL, error))
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

/// Only the CN: what else a request claims (O, OU) was not checked by anybody.
fn subject(csr: &Csr) -> DistinguishedName {
    let mut subject = DistinguishedName::new();
    if let Some(common_name) = csr.common_name() {
        subject.push(DnType::CommonName, common_name);
    }
    subject
}

fn alternate_name(name: AlternateName) -> Result<SanType, Failure> {
    let text = |text: String| {
        let words = format!("{text:?} cannot be written in a certificate");
        text.try_into().map_err(|_| refused(CALL, words))
    };
    Ok(match name {
        AlternateName::Domain(domain) => SanType::DnsName(text(domain)?),
        AlternateName::Email(email) => SanType::Rfc822Name(text(email)?),
        AlternateName::Ip(address) => SanType::IpAddress(address),
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

/// rcgen keeps one attribute of a kind in a subject, so a CA with two OUs or DCs is named wrongly as the issuer: such a
/// certificate must not leave this function.
fn check(leaf: &Certificate, csr: &Csr, authority: &Authority) -> Result<(), Failure> {
    if leaf.public_key != csr.public_key {
        let words = "the signed certificate does not carry the public key of the request";
        return Err(local(CALL, words));
    }
    if leaf.issuer != authority.certificate().subject {
        let words = format!(
            "the CA's subject ({}) repeats an attribute, which renewd cannot write as an issuer: a CA with another subject is needed",
            authority.certificate().subject
        );
        return Err(local(CALL, words));
    }
    leaf.verify_signed_by(authority.certificate())
        .map_err(|error| local(CALL, error))
}

const CALL: &str = "local CA: sign";

const CLOCK_SKEW: SignedDuration = SignedDuration::from_mins(5);

/// id-kp-ipsecIKE (RFC 4945, 5.1.3.12).
const IPSEC_IKE: &[u64] = &[1, 3, 6, 1, 5, 5, 7, 3, 17];
