//! A throw-away CA with a root and an intermediate, both ECDSA P-256. Its keys live as long as the simulator.

use rcgen::{
    BasicConstraints, CertificateParams, DistinguishedName, DnType, ExtendedKeyUsagePurpose, IsCa,
    Issuer, KeyPair, KeyUsagePurpose, PublicKeyData, SanType, SerialNumber, SubjectPublicKeyInfo,
};
use time::{Duration, OffsetDateTime};

use super::csr::{Csr, KeyType, Name};
use super::mischief::Mischief;

/// Signs every request. The CA around it checks which requests are allowed.
#[derive(Debug)]
pub struct Authority {
    root: Signer,
    intermediate: Signer,
    stranger: Vec<u8>,
}

/// Which of the two CA certificates signs.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Tier {
    /// The self-signed one.
    Root,
    /// The one below it.
    Intermediate,
}

/// One certificate to sign.
#[derive(Debug)]
pub struct Wish<'a> {
    /// The request with the key and the names.
    pub csr: &'a Csr,
    /// The CA that signs.
    pub signer: Tier,
    /// Serial number, big endian.
    pub serial: Vec<u8>,
    /// Start of its validity.
    pub not_before: OffsetDateTime,
    /// End of its validity.
    pub not_after: OffsetDateTime,
    /// Whether a CA certificate was requested.
    pub is_ca: bool,
    /// The fault of the certificate.
    pub mischief: Mischief,
}

/// A signed certificate.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Issued {
    /// The certificate.
    pub der: Vec<u8>,
    /// The CA that signed it.
    pub signer: Tier,
    /// Serial number, big endian.
    pub serial: Vec<u8>,
    /// Start of its validity.
    pub not_before: OffsetDateTime,
    /// End of its validity.
    pub not_after: OffsetDateTime,
}

#[derive(Debug)]
struct Signer {
    der: Vec<u8>,
    issuer: Issuer<'static, KeyPair>,
}

impl Authority {
    /// Makes both CA certificates, valid for years around `now`. `root_serial` is big endian.
    pub(crate) fn new(
        name: &str,
        root_serial: &[u8],
        now: OffsetDateTime,
    ) -> Result<Self, rcgen::Error> {
        let root = Signer::self_signed(&format!("{name} Root"), root_serial, now)?;
        let intermediate = root.intermediate(&format!("{name} Issuing CA"), now)?;
        let stranger = Signer::self_signed("Somebody Else's Root", &[1], now)?.der;
        Ok(Self {
            root,
            intermediate,
            stranger,
        })
    }

    /// The CA certificate of a tier, DER.
    pub fn certificate(&self, tier: Tier) -> &[u8] {
        &self.signer(tier).der
    }

    /// An unrelated CA, DER.
    pub(super) fn stranger(&self) -> &[u8] {
        &self.stranger
    }

    /// The CA certificates above a certificate of this tier, nearest first, ending in the root.
    pub(crate) fn above(&self, signer: Tier) -> Vec<Vec<u8>> {
        match signer {
            Tier::Root => vec![self.root.der.clone()],
            Tier::Intermediate => vec![self.intermediate.der.clone(), self.root.der.clone()],
        }
    }

    /// Signs. The key goes in byte by byte: never with the request's own parameters, which may ask for a CA
    /// certificate or make the library mistake the curve.
    pub(crate) fn sign(&self, wish: &Wish<'_>) -> Result<Issued, rcgen::Error> {
        let (not_before, not_after) = wish.validity();
        let mut params = CertificateParams::default();
        params.distinguished_name = wish.subject();
        params.subject_alt_names = wish.alternate_names()?;
        params.serial_number = Some(SerialNumber::from_slice(&wish.serial));
        (params.not_before, params.not_after) = (not_before, not_after);
        if wish.is_ca || wish.mischief == Mischief::CaTrue {
            params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
            params.key_usages = vec![KeyUsagePurpose::KeyCertSign];
        } else {
            params.is_ca = IsCa::ExplicitNoCa;
            params.key_usages = key_usages(wish.csr.key);
        }
        params.extended_key_usages = vec![match wish.mischief {
            Mischief::ClientAuthOnly => ExtendedKeyUsagePurpose::ClientAuth,
            _ => ExtendedKeyUsagePurpose::ServerAuth,
        }];
        params.use_authority_key_identifier_extension = true;
        let public_key = match wish.mischief {
            Mischief::WrongKey => KeyPair::generate()?.subject_public_key_info(),
            _ => wish.csr.public_key.clone(),
        };
        let public_key = SubjectPublicKeyInfo::from_der(&public_key)?;
        let signed = params.signed_by(&public_key, &self.signer(wish.signer).issuer)?;
        Ok(Issued {
            der: signed.der().to_vec(),
            signer: wish.signer,
            serial: wish.serial.clone(),
            not_before,
            not_after,
        })
    }

    fn signer(&self, tier: Tier) -> &Signer {
        match tier {
            Tier::Root => &self.root,
            Tier::Intermediate => &self.intermediate,
        }
    }
}

impl Wish<'_> {
    fn validity(&self) -> (OffsetDateTime, OffsetDateTime) {
        match self.mischief {
            Mischief::Expired => {
                let life = self.not_after - self.not_before;
                let past = life + Duration::days(1);
                (self.not_before - past, self.not_after - past)
            }
            Mischief::Backdated => (
                self.not_before - Duration::days(85),
                self.not_before + Duration::days(5),
            ),
            Mischief::EndsSoon => (self.not_before, self.not_before + Duration::minutes(72)),
            _ => (self.not_before, self.not_after),
        }
    }

    /// The library keeps one attribute of a kind: the last.
    fn subject(&self) -> DistinguishedName {
        let mut subject = DistinguishedName::new();
        for (name, value) in &self.csr.subject {
            let kind = match name.as_str() {
                "CN" => DnType::CommonName,
                "C" => DnType::CountryName,
                "L" => DnType::LocalityName,
                "ST" => DnType::StateOrProvinceName,
                "O" => DnType::OrganizationName,
                "OU" => DnType::OrganizationalUnitName,
                _ => continue,
            };
            subject.push(kind, value.as_str());
        }
        if self.mischief == Mischief::WrongName {
            subject.push(DnType::CommonName, UNREQUESTED_NAME);
        }
        subject
    }

    fn alternate_names(&self) -> Result<Vec<SanType>, rcgen::Error> {
        match self.mischief {
            Mischief::DropNames => Ok(Vec::new()),
            Mischief::WrongName => Ok(vec![SanType::DnsName(UNREQUESTED_NAME.try_into()?)]),
            _ => self.csr.names.iter().map(alternate_name).collect(),
        }
    }
}

impl Signer {
    fn self_signed(name: &str, serial: &[u8], now: OffsetDateTime) -> Result<Self, rcgen::Error> {
        let key = KeyPair::generate()?;
        let mut params = ca_params(name, now);
        params.serial_number = Some(SerialNumber::from_slice(serial));
        let der = params.self_signed(&key)?.der().to_vec();
        Ok(Self {
            der,
            issuer: Issuer::new(params, key),
        })
    }

    fn intermediate(&self, name: &str, now: OffsetDateTime) -> Result<Self, rcgen::Error> {
        let key = KeyPair::generate()?;
        let mut params = ca_params(name, now);
        params.is_ca = IsCa::Ca(BasicConstraints::Constrained(0));
        params.use_authority_key_identifier_extension = true;
        let der = params.signed_by(&key, &self.issuer)?.der().to_vec();
        Ok(Self {
            der,
            issuer: Issuer::new(params, key),
        })
    }
}

fn ca_params(name: &str, now: OffsetDateTime) -> CertificateParams {
    let mut params = CertificateParams::default();
    params.distinguished_name = DistinguishedName::new();
    params.distinguished_name.push(DnType::CommonName, name);
    params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
    params.key_usages = vec![KeyUsagePurpose::KeyCertSign, KeyUsagePurpose::CrlSign];
    (params.not_before, params.not_after) =
        (now - Duration::days(3650), now + Duration::days(7300));
    params
}

/// Only RSA keys can encipher keys (RFC 5246 7.4.2).
fn key_usages(key: KeyType) -> Vec<KeyUsagePurpose> {
    let mut usages = vec![KeyUsagePurpose::DigitalSignature];
    if matches!(key, KeyType::Rsa(_)) {
        usages.push(KeyUsagePurpose::KeyEncipherment);
    }
    usages
}

fn alternate_name(name: &Name) -> Result<SanType, rcgen::Error> {
    Ok(match name {
        Name::Dns(text) => SanType::DnsName(text.as_str().try_into()?),
        Name::Email(text) => SanType::Rfc822Name(text.as_str().try_into()?),
        Name::Uri(text) => SanType::URI(text.as_str().try_into()?),
        Name::Ip(address) => SanType::IpAddress(*address),
    })
}

const UNREQUESTED_NAME: &str = "somebody-else.invalid";
