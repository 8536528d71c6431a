//! Requests and certificates of the simulated world, by rcgen. Keys come from a small pool, because making them is what
//! takes the time; that each key was born where it is used, the devices keep in mind.

use std::sync::LazyLock;

use jiff::Timestamp;
use rcgen::{
    BasicConstraints, CertificateParams, CertificateSigningRequestParams, DistinguishedName,
    DnType, ExtendedKeyUsagePurpose, IsCa, Issuer, KeyPair, KeyUsagePurpose, SanType, SerialNumber,
};
use renewd::pki::{AlternateName, Certificate, Fingerprint, KeyRequest, PrivateKey};

static KEYS: LazyLock<Vec<KeyPair>> =
    LazyLock::new(|| (0..64).map(|_| KeyPair::generate().unwrap()).collect());

/// A CA's key and certificate.
pub struct Signer {
    pub root: Certificate,
    issuer: Issuer<'static, KeyPair>,
}

impl Signer {
    /// A root that outlives every simulation.
    pub fn new(name: &str, now: Timestamp) -> Self {
        let key = KeyPair::generate().unwrap();
        let mut params = CertificateParams::default();
        params.distinguished_name = common_name(name);
        params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
        params.key_usages = vec![KeyUsagePurpose::KeyCertSign, KeyUsagePurpose::CrlSign];
        let day = jiff::SignedDuration::from_hours(24);
        params.not_before = moment(now - day * 3650);
        params.not_after = moment(now + day * 3650);
        let root = params.self_signed(&key).unwrap();
        Self {
            root: Certificate::from_der(root.der()).unwrap(),
            issuer: Issuer::new(params, key),
        }
    }

    /// A certificate for a request.
    pub fn sign(
        &self,
        request: &[u8],
        serial: u64,
        not_before: Timestamp,
        not_after: Timestamp,
    ) -> Certificate {
        let mut asked = CertificateSigningRequestParams::from_der(&request.into()).unwrap();
        asked.params.extended_key_usages = vec![ExtendedKeyUsagePurpose::ServerAuth];
        asked.params.serial_number = Some(SerialNumber::from(serial));
        asked.params.not_before = moment(not_before);
        asked.params.not_after = moment(not_after);
        let signed = asked.signed_by(&self.issuer).unwrap();
        Certificate::from_der(signed.der()).unwrap()
    }
}

/// The request of the key number `key`, and the SHA-256 of its public key.
pub fn signing_request(key: usize, wanted: &KeyRequest) -> (Fingerprint, Vec<u8>) {
    let key = &KEYS[key % KEYS.len()];
    let mut params = CertificateParams::default();
    params.distinguished_name = common_name(wanted.subject.common_name.as_deref().unwrap());
    params.subject_alt_names = wanted.alternate_names.iter().map(alternate_name).collect();
    let request = params.serialize_request(key).unwrap();
    (fingerprint(key), request.der().to_vec())
}

/// A device's own certificate.
pub fn factory(now: Timestamp) -> Certificate {
    let mut params = CertificateParams::default();
    params.distinguished_name = common_name("192.168.168.168");
    let day = jiff::SignedDuration::from_hours(24);
    params.not_before = moment(now - day * 300);
    params.not_after = moment(now + day * 3650);
    let own = params.self_signed(&KEYS[0]).unwrap();
    Certificate::from_der(own.der()).unwrap()
}

/// The SHA-256 of the public key that belongs to `key`.
pub fn public_key(key: &PrivateKey) -> Fingerprint {
    fingerprint(&KeyPair::try_from(key.pkcs8()).unwrap())
}

fn fingerprint(key: &KeyPair) -> Fingerprint {
    use rcgen::PublicKeyData;
    Fingerprint::of(&key.subject_public_key_info())
}

fn common_name(name: &str) -> DistinguishedName {
    let mut subject = DistinguishedName::new();
    subject.push(DnType::CommonName, name);
    subject
}

fn alternate_name(name: &AlternateName) -> SanType {
    match name {
        AlternateName::Domain(name) => SanType::DnsName(name.as_str().try_into().unwrap()),
        AlternateName::Email(mail) => SanType::Rfc822Name(mail.as_str().try_into().unwrap()),
        AlternateName::Ip(address) => SanType::IpAddress(*address),
    }
}

fn moment(at: Timestamp) -> time::OffsetDateTime {
    time::OffsetDateTime::from_unix_timestamp(at.as_second()).unwrap()
}
