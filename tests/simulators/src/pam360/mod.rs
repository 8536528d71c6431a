//! A simulated ManageEngine PAM360 (and Key Manager Plus, of the same family) with its PKI REST API.
//!
//! Written from the PAM360 reference; sections are cited by number. Much of that API is not public: where the reference
//! says UNKNOWN there is a switch. Not made: what has the server make the key, discovery, delete.

mod certificates;
mod pkcs7;
mod requests;
mod settings;
mod signing;
mod variants;
mod wire;

use data_encoding::HEXLOWER;
use x509_parser::prelude::{FromDer, X509Certificate};

pub use self::settings::{MicrosoftCa, Settings};
pub use self::variants::{
    CertificateBody, CsrBody, DetailsForm, ImportId, Months, NameForm, PendingAnswer, RowKeys,
    SerialForm, Variants,
};

use self::certificates::Stored;
use self::requests::Imported;
use self::signing::Waiting;
use self::wire::{Handled, failure, input_data, reply};
use crate::ca::{Common, Model, Office, Reply, Request, Tier};

/// A running server.
pub type Simulator = crate::ca::Simulator<Pam>;

/// The state of the server.
#[derive(Debug)]
pub struct Pam {
    settings: Settings,
    variants: Variants,
    requests: Vec<Imported>,
    certificates: Vec<Stored>,
    waiting: Vec<Waiting>,
    signers: Vec<Signer>,
    token_used: u32,
    last_id: u64,
}

/// A root or intermediate of the product that signs (4).
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Signer {
    /// Which of the two it is.
    pub tier: Tier,
    /// `rootCertificateCommonName`.
    pub common_name: String,
    /// `rootCertificateSerialNumber`; that of the root is the time of its making.
    pub serial: String,
}

/// An imported CSR as a test sees it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct CsrView {
    /// `CSR_ID`.
    pub id: u64,
    /// Its common name.
    pub common_name: String,
    /// The request.
    pub der: Vec<u8>,
    /// How many certificates it led to.
    pub signatures: u32,
    /// Whether it was there before anybody imported it.
    pub is_namesake: bool,
}

/// A stored certificate as a test sees it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct CertificateView {
    /// `Certificate_ID`.
    pub id: u64,
    /// Its common name.
    pub common_name: String,
    /// Its serial number as the API tells it now.
    pub serial: String,
    /// The certificate.
    pub der: Vec<u8>,
}

impl Simulator {
    /// What `signWithRoot` must name to sign with the root.
    pub fn root(&self) -> Signer {
        self.signer(Tier::Root)
    }

    /// What `signWithRoot` must name to sign with the intermediate.
    pub fn intermediate(&self) -> Signer {
        self.signer(Tier::Intermediate)
    }

    /// Every CSR, in the order of their arrival.
    pub fn csrs(&self) -> Vec<CsrView> {
        let view = |request: &Imported| CsrView {
            id: request.id,
            common_name: request.csr.common_name().to_owned(),
            der: request.csr.der.clone(),
            signatures: request.signatures,
            is_namesake: request.is_namesake,
        };
        self.with(|pam, _| pam.requests.iter().map(view).collect())
    }

    /// Every certificate, in the order of their making.
    pub fn certificates(&self) -> Vec<CertificateView> {
        self.with(|pam, _| {
            let view = |stored: &Stored| CertificateView {
                id: stored.id,
                common_name: stored.common_name.clone(),
                serial: stored.serial(pam.variants.serial_form),
                der: stored.issued.der.clone(),
            };
            pam.certificates.iter().map(view).collect()
        })
    }

    /// The manager approves everything that waits; how many that were.
    pub fn approve(&self) -> usize {
        self.with(|pam, office| {
            let approved = std::mem::take(&mut pam.waiting);
            let count = approved.len();
            pam.sign_approved(office, approved);
            count
        })
    }

    fn signer(&self, tier: Tier) -> Signer {
        self.with(|_, office| Signer::new(office, tier))
    }
}

impl Signer {
    fn new(office: &Office, tier: Tier) -> Self {
        let parsed = X509Certificate::from_der(office.authority.certificate(tier)).ok();
        let common_name = parsed.as_ref().and_then(|(_, certificate)| {
            let name = certificate.subject().iter_common_name().next()?;
            Some(name.as_str().ok()?.to_owned())
        });
        let serial = parsed
            .map(|(_, certificate)| HEXLOWER.encode(certificate.raw_serial()))
            .unwrap_or_default();
        Self {
            tier,
            common_name: common_name.unwrap_or_default(),
            serial: serial.trim_start_matches('0').to_owned(),
        }
    }
}

impl Model for Pam {
    type Settings = Settings;
    type Variants = Variants;
    const NAME: &'static str = "PAM360";

    fn common(settings: &Settings) -> &Common {
        &settings.common
    }

    fn open(settings: Settings, office: &mut Office) -> Self {
        Self {
            variants: settings.variants.clone(),
            settings,
            requests: Vec::new(),
            certificates: Vec::new(),
            waiting: Vec::new(),
            signers: vec![
                Signer::new(office, Tier::Root),
                Signer::new(office, Tier::Intermediate),
            ],
            token_used: 0,
            last_id: 300,
        }
    }

    fn variants(&mut self) -> &mut Variants {
        &mut self.variants
    }

    fn answer(&mut self, office: &mut Office, request: &Request) -> Reply {
        let route = request.route();
        let ["api", "pki", "restapi", operation] = route.as_slice() else {
            // guess: the web interface answers everything else.
            return Reply::text(200, "text/html;charset=UTF-8", LOGIN_PAGE);
        };
        if let Err(message) = self.admit(request) {
            office.counters.credentials_refused += 1;
            let status = self.variants.bad_credentials_status;
            return failure(&self.variants, "Authentication", status, message);
        }
        let handled = self.handle(office, request, operation);
        reply(&self.variants, operation, handled)
    }
}

impl Pam {
    /// 1 and 2: the token in its header and nowhere else, the host, the organisation.
    fn admit(&mut self, request: &Request) -> Result<(), &'static str> {
        self.token_used = self.token_used.saturating_add(1);
        let is_over = self
            .variants
            .token_ends_after
            .is_some_and(|uses| self.token_used > uses);
        let token = request.header("authtoken");
        if token != Some(self.settings.token.as_str()) || is_over {
            return Err("API key received is not associated to any user. Authentication failed.");
        }
        if self.variants.refuse_host {
            return Err("User is not allowed to access from this host");
        }
        match request.header("orgname") {
            // guess: the text.
            Some(name) if name != self.settings.organisation => {
                Err("User is not associated to this organization")
            }
            _ => Ok(()),
        }
    }

    /// 3: the operation and its method. guess: what a wrong one gets.
    fn handle(&mut self, office: &mut Office, request: &Request, operation: &str) -> Handled {
        let is_csr_list = self.variants.csr_list_operation.as_deref() == Some(operation);
        match (request.method.as_str(), operation) {
            ("POST", "importCSR") => self.import_csr(office, request),
            ("GET", _) if is_csr_list => Ok(self.list_csrs(office)),
            ("GET", "exportCSR") => self.export_csr(&input_data(request)?),
            ("POST", "signCSR") => self.sign_csr(office, &input_data(request)?),
            ("GET", "getCertificate") => {
                self.let_calls_pass(office);
                self.get_certificate(office, &input_data(request)?)
            }
            ("GET", "getCertificateDetails") => self.certificate_details(&input_data(request)?),
            ("GET", "getAllSSLCertificates") => {
                self.let_calls_pass(office);
                self.all_certificates(office, input_data(request).ok().as_ref())
            }
            _ => Err("Invalid operation or request method".to_owned()),
        }
    }

    fn next_id(&mut self) -> u64 {
        self.last_id += 1;
        self.last_id
    }
}

const LOGIN_PAGE: &str =
    "<!doctype html><html><title>PAM360</title><form action=\"/login\">Sign in</form></html>\n";
