//! A private CA with an intermediate, as an office may have it.

use rcgen::{
    BasicConstraints, CertificateParams, CertifiedIssuer, DnType, IsCa, KeyPair,
    SubjectPublicKeyInfo,
};
use x509_parser::prelude::{FromDer, X509CertificationRequest};

/// A CA with an intermediate, as an office may have it.
pub struct Office {
    pub root_pem: String,
    pub intermediate_pem: String,
    intermediate: CertifiedIssuer<'static, KeyPair>,
}

impl Office {
    pub fn new() -> Self {
        let params = |name: &str| {
            let mut params = CertificateParams::default();
            params.distinguished_name.remove(DnType::CommonName);
            params.distinguished_name.push(DnType::CommonName, name);
            params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
            params
        };
        let root =
            CertifiedIssuer::self_signed(params("Office Root"), KeyPair::generate().unwrap())
                .unwrap();
        let intermediate = CertifiedIssuer::signed_by(
            params("Office Issuing CA"),
            KeyPair::generate().unwrap(),
            &root,
        )
        .unwrap();
        Self {
            root_pem: root.pem(),
            intermediate_pem: intermediate.pem(),
            intermediate,
        }
    }

    /// Signs the public key of a request; the PEM certificate.
    pub fn sign(&self, request_der: &[u8]) -> String {
        let (_, request) = X509CertificationRequest::from_der(request_der).unwrap();
        request.verify_signature().unwrap();
        let key =
            SubjectPublicKeyInfo::from_der(request.certification_request_info.subject_pki.raw)
                .unwrap();
        let mut params = CertificateParams::new(vec!["fw.example.com".to_owned()]).unwrap();
        params.use_authority_key_identifier_extension = true;
        params.signed_by(&key, &self.intermediate).unwrap().pem()
    }
}
