//! Requests as a firewall would make them, and the clock of the tests.

use std::sync::Arc;
use std::sync::atomic::{AtomicI64, Ordering};

use rcgen::{CertificateParams, DnType, KeyPair};
use simulators::ca::{Clock, Common};
use simulators::resello::{Dcv, Settings, Simulator, Variants};
use time::{Duration, OffsetDateTime};
use x509_parser::pem::Pem;
use x509_parser::prelude::{FromDer as _, X509CertificationRequest};

/// A key and its request.
pub struct Firewall {
    key: KeyPair,
    pub csr: String,
}

impl Firewall {
    pub fn new(names: &[&str]) -> Self {
        let key = KeyPair::generate().unwrap();
        let names: Vec<String> = names.iter().map(|name| (*name).to_owned()).collect();
        let mut params = CertificateParams::new(names.clone()).unwrap();
        params
            .distinguished_name
            .push(DnType::CommonName, names[0].as_str());
        let csr = params.serialize_request(&key).unwrap().pem().unwrap();
        Self { key, csr }
    }

    /// Subject public key information, DER.
    pub fn public_key(&self) -> Vec<u8> {
        use rcgen::PublicKeyData as _;
        self.key.subject_public_key_info()
    }

    /// The request, DER.
    pub fn der(&self) -> Vec<u8> {
        let der = pems(self.csr.as_bytes()).remove(0);
        X509CertificationRequest::from_der(&der).unwrap();
        der
    }
}

/// The DER of every PEM block.
pub fn pems(text: &[u8]) -> Vec<Vec<u8>> {
    Pem::iter_from_buffer(text)
        .map(|pem| pem.unwrap().contents)
        .collect()
}

/// A clock that tests turn, in days after 2026-11-01.
#[derive(Debug, Clone, Default)]
pub struct Days(Arc<AtomicI64>);

impl Days {
    pub fn pass(&self, days: i64) {
        self.0.fetch_add(days, Ordering::Relaxed);
    }

    fn clock(&self) -> Clock {
        let days = self.0.clone();
        let start = OffsetDateTime::from_unix_timestamp(1_793_491_200).unwrap();
        Arc::new(move || start + Duration::days(days.load(Ordering::Relaxed)))
    }
}

/// A shop without surprises, and its clock.
pub async fn start(dcv: Dcv, change: impl FnOnce(&mut Variants)) -> (Simulator, Days) {
    let days = Days::default();
    let mut settings = Settings {
        common: Common {
            now: days.clock(),
            ..Common::default()
        },
        dcv,
        variants: Variants::kind(),
        ..Settings::default()
    };
    change(&mut settings.variants);
    (Simulator::start(settings).await.unwrap(), days)
}
