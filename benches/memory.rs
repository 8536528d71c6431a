//! Firewalls and a CA in memory: they answer at once and never fail, so that only renewd's own work is left.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, MutexGuard};

use async_trait::async_trait;
use rcgen::{
    CertificateParams, CertificateSigningRequestParams, DnType, Issuer as Signer, KeyPair,
};
use renewd::ca::{Issuance, Issuer, PreparedOrder, Reference, SigningRequest};
use renewd::config::Config;
use renewd::failure::{Failure, FailureKind};
use renewd::firewall::{
    Binding, Firewall, Identity, InstalledObject, KnownDevice, ObjectKind, PendingChangesOfOthers,
};
use renewd::inventory::Endpoint;
use renewd::pki::{AlternateName, Certificate, Fingerprint, KeyBundle, KeyRequest};
use renewd::probe::ProbeResult;
use renewd::renewal::Peers;

/// Every firewall of a configuration, and one CA.
#[derive(Debug)]
pub struct Memory {
    devices: HashMap<Arc<str>, Arc<Mutex<Device>>>,
    /// By the host of the address where it is shown.
    shown_by: HashMap<String, Arc<Mutex<Device>>>,
    authority: Arc<Authority>,
}

impl Memory {
    /// The firewalls that `config` names, empty.
    pub fn of(config: &Config) -> Self {
        let mut devices = HashMap::new();
        let mut shown_by = HashMap::new();
        for wanted in config.certificates.values() {
            let device = Arc::new(Mutex::new(Device::default()));
            for endpoint in &wanted.endpoints {
                shown_by.insert(endpoint.host.clone(), Arc::clone(&device));
            }
            devices.insert(Arc::clone(&wanted.firewall), device);
        }
        Self {
            devices,
            shown_by,
            authority: Arc::new(Authority::new()),
        }
    }
}

#[async_trait]
impl Peers for Memory {
    async fn firewall(
        &self,
        name: &str,
        _known: &KnownDevice<'_>,
    ) -> Result<Box<dyn Firewall>, Failure> {
        let device = self.devices.get(name).ok_or_else(|| missing(name))?;
        Ok(Box::new(Session(Arc::clone(device))))
    }

    fn issuer(&self, _name: &str) -> Result<Arc<dyn Issuer>, Failure> {
        Ok(Arc::clone(&self.authority) as Arc<dyn Issuer>)
    }

    async fn probe(&self, endpoint: &Endpoint, _server_name: Option<&str>) -> ProbeResult {
        let device = self.shown_by.get(&endpoint.host);
        match device.and_then(|device| device.lock().unwrap().served()) {
            Some(certificate) => ProbeResult::Served(Box::new(certificate), Vec::new()),
            None => ProbeResult::Unreachable("nothing is bound".to_owned()),
        }
    }
}

/// What a device holds.
#[derive(Debug, Default)]
struct Device {
    requests: HashMap<String, Vec<u8>>,
    certificates: HashMap<String, Certificate>,
    bindings: Vec<Binding>,
}

impl Device {
    fn served(&self) -> Option<Certificate> {
        let alias = self.bindings.first()?.alias.as_deref()?;
        self.certificates.get(alias).cloned()
    }
}

struct Session(Arc<Mutex<Device>>);

impl Session {
    fn device(&self) -> MutexGuard<'_, Device> {
        self.0.lock().unwrap()
    }
}

#[async_trait]
impl Firewall for Session {
    async fn identify(&mut self) -> Result<Identity, Failure> {
        Ok(Identity::default())
    }

    async fn installed(&mut self) -> Result<Vec<InstalledObject>, Failure> {
        let device = self.device();
        let requests = device
            .requests
            .keys()
            .map(|alias| (alias, ObjectKind::PendingRequest));
        let certificates = device
            .certificates
            .keys()
            .map(|alias| (alias, ObjectKind::Certificate));
        let object = |(alias, kind): (&String, ObjectKind)| InstalledObject {
            alias: alias.clone(),
            kind,
            detail: Vec::new(),
        };
        Ok(requests.chain(certificates).map(object).collect())
    }

    async fn is_absent(&mut self, alias: &str) -> Result<bool, Failure> {
        let device = self.device();
        Ok(!device.requests.contains_key(alias) && !device.certificates.contains_key(alias))
    }

    async fn generate_csr(&mut self, alias: &str, request: &KeyRequest) -> Result<(), Failure> {
        let csr = signing_request(request);
        self.device().requests.insert(alias.to_owned(), csr);
        Ok(())
    }

    async fn export_csr(&mut self, alias: &str) -> Result<Vec<u8>, Failure> {
        let device = self.device();
        device
            .requests
            .get(alias)
            .cloned()
            .ok_or_else(|| missing(alias))
    }

    async fn import_chain(&mut self, _chain: &[Certificate]) -> Result<(), Failure> {
        Ok(())
    }

    async fn import_signed(&mut self, alias: &str, leaf: &Certificate) -> Result<(), Failure> {
        let mut device = self.device();
        device.requests.remove(alias);
        device.certificates.insert(alias.to_owned(), leaf.clone());
        Ok(())
    }

    async fn import_key_pair(&mut self, alias: &str, bundle: &KeyBundle) -> Result<(), Failure> {
        self.import_signed(alias, &bundle.leaf).await
    }

    async fn specification(&mut self) -> Result<Option<Vec<u8>>, Failure> {
        Ok(None)
    }

    async fn mismatches(
        &mut self,
        _alias: &str,
        _leaf: &Certificate,
    ) -> Result<Vec<String>, Failure> {
        Ok(Vec::new())
    }

    fn also_accept(&mut self, _fingerprint: Fingerprint) {}

    async fn bindings(&mut self) -> Result<Vec<Binding>, Failure> {
        Ok(self.device().bindings.clone())
    }

    async fn bind(&mut self, bindings: &[Binding]) -> Result<(), Failure> {
        self.device().bindings = bindings.to_vec();
        Ok(())
    }

    async fn remove(&mut self, alias: &str) -> Result<(), Failure> {
        self.device().certificates.remove(alias);
        Ok(())
    }

    async fn pending_changes_of_others(
        &mut self,
    ) -> Result<Option<PendingChangesOfOthers>, Failure> {
        Ok(None)
    }

    async fn close(self: Box<Self>) -> Result<(), Failure> {
        Ok(())
    }
}

/// A new key pair's request for the subject and name that are asked for.
fn signing_request(request: &KeyRequest) -> Vec<u8> {
    let names = match request.alternate_names.first() {
        Some(AlternateName::Domain(name)) => vec![name.clone()],
        _ => Vec::new(),
    };
    let mut params = CertificateParams::new(names).unwrap();
    params.distinguished_name = rcgen::DistinguishedName::new();
    for (attribute, value) in request.subject.parts() {
        match attribute {
            "C" => params.distinguished_name.push(DnType::CountryName, "NL"),
            "O" => params
                .distinguished_name
                .push(DnType::OrganizationName, value),
            "CN" => params.distinguished_name.push(DnType::CommonName, value),
            other => panic!("the fleet has no {other}"),
        }
    }
    let key = KeyPair::generate().unwrap();
    params.serialize_request(&key).unwrap().der().to_vec()
}

/// A CA that signs what it is asked to.
#[derive(Debug)]
struct Authority {
    certificate: Certificate,
    signer: Signer<'static, KeyPair>,
    issued: Mutex<HashMap<String, Certificate>>,
}

impl Authority {
    fn new() -> Self {
        let key = KeyPair::generate().unwrap();
        let mut params = CertificateParams::default();
        params.is_ca = rcgen::IsCa::Ca(rcgen::BasicConstraints::Unconstrained);
        params.key_usages = vec![rcgen::KeyUsagePurpose::KeyCertSign];
        let certificate = params.self_signed(&key).unwrap();
        Self {
            certificate: Certificate::from_der(certificate.der()).unwrap(),
            signer: Signer::new(params, key),
            issued: Mutex::default(),
        }
    }
}

#[async_trait]
impl Issuer for Authority {
    async fn prepare<'a>(
        &'a self,
        request: &'a SigningRequest,
    ) -> Result<PreparedOrder<'a>, Failure> {
        Ok(PreparedOrder::new(async {
            let der = request.csr.der.as_slice().into();
            let mut asked = CertificateSigningRequestParams::from_der(&der).unwrap();
            asked.params.extended_key_usages = vec![rcgen::ExtendedKeyUsagePurpose::ServerAuth];
            let signed = asked.signed_by(&self.signer).unwrap();
            let leaf = Certificate::from_der(signed.der()).unwrap();
            self.issued
                .lock()
                .unwrap()
                .insert(request.client_reference.clone(), leaf);
            Ok(Reference(request.client_reference.clone()))
        }))
    }

    async fn find(&self, request: &SigningRequest) -> Result<Option<Reference>, Failure> {
        let reference = &request.client_reference;
        let is_known = self.issued.lock().unwrap().contains_key(reference);
        Ok(is_known.then(|| Reference(reference.clone())))
    }

    async fn poll(
        &self,
        reference: &Reference,
        _request: &SigningRequest,
    ) -> Result<Issuance, Failure> {
        let issued = self.issued.lock().unwrap();
        let leaf = issued
            .get(&reference.0)
            .ok_or_else(|| missing(&reference.0))?;
        Ok(Issuance::Issued {
            leaf: Box::new(leaf.clone()),
            chain: vec![self.certificate.clone()],
        })
    }

    async fn check(&self) -> Result<Vec<(String, String)>, Failure> {
        Ok(Vec::new())
    }
}

fn missing(what: &str) -> Failure {
    Failure::new(FailureKind::Refused, "look in memory", format!("no {what}"))
}
