//! Certificates and requests for tests, made by rcgen, and by openssl where it is there. Dates are fixed.

#![allow(clippy::unwrap_used, reason = "a test stops where it fails")]

use std::path::Path;
use std::process::{Command, Stdio};

use jiff::{SignedDuration, Timestamp};
use rcgen::{
    BasicConstraints, CertificateParams, CustomExtension, DistinguishedName, DnType,
    ExtendedKeyUsagePurpose, IsCa, Issuer, KeyPair, KeyUsagePurpose, SanType, SigningKey as _,
};

use super::{AlternateName, Certificate, Csr, Digest, KeyKind, KeyRequest, Subject, der};

/// The present moment of all tests.
pub(crate) fn now() -> Timestamp {
    "2026-11-22T12:00:00Z".parse().unwrap()
}

/// A P-256 key for `vpn.example.com`.
pub(crate) fn key_request() -> KeyRequest {
    KeyRequest {
        subject: Subject {
            country: Some("Netherlands".to_owned()),
            organization: Some("Example".to_owned()),
            department: Some("IT".to_owned()),
            group: Some("Network".to_owned()),
            common_name: Some("vpn.example.com".to_owned()),
            ..Subject::default()
        },
        alternate_names: vec![AlternateName::Domain("vpn.example.com".to_owned())],
        key: KeyKind::Ecdsa(256),
        digest: Digest::Sha256,
    }
}

/// A CA with its key.
pub(crate) struct Authority {
    pub(crate) certificate: Certificate,
    pub(crate) issuer: Issuer<'static, KeyPair>,
    params: CertificateParams,
}

impl Clone for Authority {
    fn clone(&self) -> Self {
        Self {
            certificate: self.certificate.clone(),
            issuer: Issuer::new(self.params.clone(), copy(self.issuer.key())),
            params: self.params.clone(),
        }
    }
}

impl Authority {
    /// A self-signed root.
    pub(crate) fn root(name: &str) -> Self {
        let key = KeyPair::generate().unwrap();
        let params = authority_params(name);
        let certificate = params.self_signed(&key).unwrap();
        Self::new(&certificate, params, key)
    }

    /// A CA below this one.
    pub(crate) fn sub(&self, name: &str) -> Self {
        let key = KeyPair::generate().unwrap();
        let params = authority_params(name);
        let certificate = params.signed_by(&key, &self.issuer).unwrap();
        Self::new(&certificate, params, key)
    }

    /// The same CA, its key certified by `other` as well.
    pub(crate) fn cross_signed_by(&self, other: &Self) -> Certificate {
        let certificate = self.params.signed_by(self.issuer.key(), &other.issuer);
        Certificate::from_der(certificate.unwrap().der()).unwrap()
    }

    /// Certifies it anew by `other`, changed: the same key, another certificate.
    pub(crate) fn reissue(&mut self, other: &Self, change: impl FnOnce(&mut CertificateParams)) {
        change(&mut self.params);
        let signed = self.params.signed_by(self.issuer.key(), &other.issuer);
        self.certificate = Certificate::from_der(signed.unwrap().der()).unwrap();
    }

    /// Signs itself anew, changed.
    pub(crate) fn reissue_self(&mut self, change: impl FnOnce(&mut CertificateParams)) {
        change(&mut self.params);
        let signed = self.params.self_signed(self.issuer.key()).unwrap();
        self.certificate = Certificate::from_der(signed.der()).unwrap();
    }

    /// Signs `key` with `params`.
    pub(crate) fn sign(&self, params: &CertificateParams, key: &KeyPair) -> Certificate {
        let certificate = params.signed_by(key, &self.issuer).unwrap();
        Certificate::from_der(certificate.der()).unwrap()
    }

    fn new(certificate: &rcgen::Certificate, params: CertificateParams, key: KeyPair) -> Self {
        Self {
            certificate: Certificate::from_der(certificate.der()).unwrap(),
            issuer: Issuer::new(params.clone(), key),
            params,
        }
    }
}

/// What a leaf for [`key_request`] says; valid for ninety days.
pub(crate) fn leaf_params() -> CertificateParams {
    let mut params = params(&[(DnType::CommonName, "vpn.example.com")]);
    params.subject_alt_names = vec![SanType::DnsName("vpn.example.com".try_into().unwrap())];
    params.extended_key_usages = vec![ExtendedKeyUsagePurpose::ServerAuth];
    params
}

/// A leaf, DER, with so many alternate names, all of them empty: as many as fit into their bytes.
pub(crate) fn leaf_of_many_names(count: usize) -> Vec<u8> {
    let names = der::element(der::SEQUENCE, &[0x82, 0].repeat(count));
    let mut params = leaf_params();
    params.subject_alt_names.clear();
    let names = CustomExtension::from_oid_content(&[2, 5, 29, 17], names);
    params.custom_extensions.push(names);
    let signed = params.self_signed(&KeyPair::generate().unwrap());
    signed.unwrap().der().to_vec()
}

/// Parameters with this subject; valid for ninety days.
pub(crate) fn params(subject: &[(DnType, &str)]) -> CertificateParams {
    let mut params = CertificateParams::default();
    params.distinguished_name = DistinguishedName::new();
    for (attribute, value) in subject {
        params.distinguished_name.push(attribute.clone(), *value);
    }
    set_validity(
        &mut params,
        now() - SignedDuration::from_hours(1),
        now() + SignedDuration::from_hours(24 * 90),
    );
    params
}

/// Sets both ends of `params`' validity.
pub(crate) fn set_validity(params: &mut CertificateParams, start: Timestamp, end: Timestamp) {
    let time = |t: Timestamp| x509_parser::time::ASN1Time::from_timestamp(t.as_second()).unwrap();
    params.not_before = time(start).to_datetime();
    params.not_after = time(end).to_datetime();
}

/// The request that a device would make for [`key_request`]: the second OU as a custom attribute, because rcgen
/// keeps only one of a kind.
pub(crate) fn csr_params() -> CertificateParams {
    let mut params = params(&[
        (DnType::CountryName, "NL"),
        (DnType::OrganizationName, "Example"),
        (DnType::OrganizationalUnitName, "IT"),
        (DnType::CustomDnType(vec![2, 5, 4, 11]), "Network"),
        (DnType::CommonName, "vpn.example.com"),
    ]);
    params.subject_alt_names = vec![SanType::DnsName("vpn.example.com".try_into().unwrap())];
    params
}

/// A request by `key`, parsed.
pub(crate) fn csr(params: &CertificateParams, key: &KeyPair) -> Csr {
    let request = params.serialize_request(key).unwrap();
    Csr::parse(request.der()).unwrap()
}

/// Runs openssl in `folder`; `None`, and a word on it, when it is not installed.
pub(crate) fn openssl(folder: &Path, arguments: &[&str]) -> Option<Vec<u8>> {
    let Ok(output) = Command::new("openssl")
        .args(arguments)
        .current_dir(folder)
        .stdin(Stdio::null())
        .output()
    else {
        println!("skipped: openssl is not installed");
        return None;
    };
    let errors = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "openssl {arguments:?}: {errors}");
    Some(output.stdout)
}

/// The certificate `draft` with other names, each a Name in DER, signed anew by `key`.
pub(crate) fn renamed(
    draft: &[u8],
    issuer: Option<&[u8]>,
    subject: Option<&[u8]>,
    key: &KeyPair,
) -> Certificate {
    let parts = der::only(draft).unwrap().children().unwrap();
    let fields = parts[0].children().unwrap();
    let mut fields: Vec<&[u8]> = fields.iter().map(|field| field.whole).collect();
    fields[3] = issuer.unwrap_or(fields[3]);
    fields[5] = subject.unwrap_or(fields[5]);
    let signed = der::sequence(&fields);
    let signature = der::bit_string(&key.sign(&signed).unwrap());
    let der = der::sequence(&[&signed, parts[1].whole, &signature]);
    Certificate::from_der(&der).unwrap()
}

/// The certificate `draft` with the key `key`, DER, if one is given, and with this algorithm, DER, signed anew by `sign`.
pub(crate) fn signed_anew(
    draft: &[u8],
    key: Option<&[u8]>,
    algorithm: &[u8],
    sign: impl FnOnce(&[u8]) -> Vec<u8>,
) -> Certificate {
    let parts = der::only(draft).unwrap().children().unwrap();
    let fields = parts[0].children().unwrap();
    let mut fields: Vec<&[u8]> = fields.iter().map(|field| field.whole).collect();
    fields[2] = algorithm;
    fields[6] = key.unwrap_or(fields[6]);
    let signed = der::sequence(&fields);
    let signature = der::bit_string(&sign(&signed));
    let der = der::sequence(&[&signed, algorithm, &signature]);
    Certificate::from_der(&der).unwrap()
}

fn copy(key: &KeyPair) -> KeyPair {
    KeyPair::try_from(key.serialized_der()).unwrap()
}

fn authority_params(name: &str) -> CertificateParams {
    let mut params = params(&[(DnType::CommonName, name)]);
    set_validity(
        &mut params,
        now() - SignedDuration::from_hours(24),
        now() + SignedDuration::from_hours(24 * 3650),
    );
    params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
    params.key_usages = vec![KeyUsagePurpose::KeyCertSign, KeyUsagePurpose::CrlSign];
    params
}
