//! CSRs: import, list, export (PAM360 reference 3).

use data_encoding::BASE64;
use rcgen::{CertificateParams, DistinguishedName, DnType, KeyPair};
use serde_json::{Value, json};
use time::Duration;

use super::Pam;
use super::certificates::Stored;
use super::variants::{CsrBody, ImportId, RowKeys};
use super::wire::{Handled, PortalAnswer, text};
use crate::ca::{Csr, Mischief, Office, Request, Tier, Wish};
use crate::multipart;

/// A CSR that was imported.
#[derive(Debug)]
pub(super) struct Imported {
    pub(super) id: u64,
    pub(super) csr: Csr,
    /// How many certificates it led to.
    pub(super) signatures: u32,
    /// Whether it existed before a client imported it.
    pub(super) is_namesake: bool,
    /// Lists that do not show it yet.
    hidden_lists: u32,
}

impl Pam {
    /// 3.1: multipart with a file part `CSR`; the answer has no id unless a setting adds it.
    pub(super) fn import_csr(&mut self, office: &mut Office, request: &Request) -> Handled {
        let parts = multipart::parts(request.header("content-type"), &request.body)
            .ok_or("The request is not multipart/form-data")?;
        let file = parts
            .into_iter()
            .find(|part| part.name == "CSR")
            .ok_or("The file part CSR is missing")?;
        let csr = Csr::from_pem(&String::from_utf8_lossy(&file.content))
            .map_err(|error| format!("The CSR is not valid: {error}"))?;
        let is_known = self.requests.iter().any(|known| known.csr.der == csr.der);
        if is_known && self.variants.refuse_second_import {
            return Err(format!("CSR {} already exists.", csr.common_name()));
        }
        let name = csr.common_name().to_owned();
        self.add_namesakes(office, &name)?;
        let id = self.next_id();
        self.requests.push(Imported {
            id,
            csr,
            signatures: 0,
            is_namesake: false,
            hidden_lists: self.variants.csr_list_late_calls,
        });
        let details = match self.variants.import_id {
            ImportId::Absent => Vec::new(),
            ImportId::Number => vec![json!({"CSR_ID": id})],
            ImportId::Text => vec![json!({"CSR_ID": id.to_string()})],
        };
        let message = format!("CSR {name} imported successfully.");
        Ok(PortalAnswer::with_details(message, details))
    }

    /// UNKNOWN in 9: rows in an arbitrary order.
    pub(super) fn list_csrs(&mut self, office: &mut Office) -> PortalAnswer {
        let row = |request: &Imported| {
            let name = request.csr.common_name();
            match self.variants.csr_row_keys {
                RowKeys::Joined => json!({"CSR_ID": request.id.to_string(), "commonName": name}),
                RowKeys::Spaced => json!({"CSR ID": request.id, "Common Name": name}),
            }
        };
        let visible = self
            .requests
            .iter()
            .filter(|request| request.hidden_lists == 0);
        let mut rows: Vec<Value> = visible.map(row).collect();
        shuffle(office, &mut rows);
        for request in &mut self.requests {
            request.hidden_lists = request.hidden_lists.saturating_sub(1);
        }
        PortalAnswer::list("CSR details fetched successfully.", rows)
    }

    /// 3 and 3.2. The key of an imported CSR is not in the vault: only the CSR is available.
    pub(super) fn export_csr(&self, details: &Value) -> Handled {
        if !self.variants.export_works {
            return Err("You are not authorized to perform this operation".to_owned());
        }
        let request = self.request(&text(details, "CSR_ID")?)?;
        if !text(details, "fileType")?.eq_ignore_ascii_case("CSR") {
            return Err("The file type is not available for this CSR".to_owned());
        }
        let namesake = self.requests.iter().find(|other| {
            other.id != request.id && other.csr.common_name() == request.csr.common_name()
        });
        let csr = match namesake {
            Some(namesake) if self.variants.export_foreign_csr => &namesake.csr,
            _ => &request.csr,
        };
        let in_json = |content: String| {
            PortalAnswer::with_details(
                "CSR exported successfully.",
                vec![json!({"fileContent": content})],
            )
        };
        Ok(match self.variants.csr_body {
            CsrBody::Pem => PortalAnswer::File {
                content_type: "application/octet-stream",
                bytes: csr.pem().into_bytes(),
            },
            CsrBody::Der => PortalAnswer::File {
                content_type: "application/octet-stream",
                bytes: csr.der.clone(),
            },
            CsrBody::JsonPem => in_json(csr.pem()),
            CsrBody::JsonBase64 => in_json(BASE64.encode(&csr.der)),
        })
    }

    pub(super) fn request(&self, id: &str) -> Result<&Imported, String> {
        self.requests
            .iter()
            .find(|request| request.id.to_string() == id)
            .ok_or_else(|| format!("No CSR with the id {id}"))
    }

    /// 3.1: an old CSR with the same name is already stored when a certificate is renewed, and so is its certificate.
    fn add_namesakes(&mut self, office: &mut Office, name: &str) -> Result<(), String> {
        let present = self
            .requests
            .iter()
            .filter(|known| known.csr.common_name() == name);
        if present.count() > 0 {
            return Ok(());
        }
        for age in (1..=self.variants.older_namesakes).rev() {
            let csr = foreign_csr(name)?;
            let id = self.next_id();
            let certificate_id = self.next_id();
            let begin = office.now() - Duration::days(80 * i64::from(age));
            let wish = Wish {
                csr: &csr,
                signer: Tier::Intermediate,
                serial: u32::try_from(id).unwrap_or(1).to_be_bytes().to_vec(),
                not_before: begin,
                not_after: begin + Duration::days(90),
                is_ca: false,
                mischief: Mischief::Nothing,
            };
            let issued = office
                .authority
                .sign(&wish)
                .map_err(|error| error.to_string())?;
            self.certificates
                .push(Stored::visible(certificate_id, name, issued));
            self.requests.push(Imported {
                id,
                csr,
                signatures: 1,
                is_namesake: true,
                hidden_lists: 0,
            });
        }
        Ok(())
    }
}

/// A CSR whose key is not available here.
fn foreign_csr(name: &str) -> Result<Csr, String> {
    let make = || -> Result<Vec<u8>, rcgen::Error> {
        let mut params = CertificateParams::new(vec![name.to_owned()])?;
        params.distinguished_name = DistinguishedName::new();
        params.distinguished_name.push(DnType::CommonName, name);
        let request = params.serialize_request(&KeyPair::generate()?)?;
        Ok(request.der().to_vec())
    };
    Csr::from_der(&make().map_err(|error| error.to_string())?)
}

/// Fisher and Yates, by the seed.
pub(super) fn shuffle(office: &mut Office, rows: &mut [Value]) {
    for last in (1..rows.len()).rev() {
        let choices = u64::try_from(last + 1).unwrap_or(1);
        let other = usize::try_from(office.rng.next() % choices).unwrap_or_default();
        rows.swap(last, other);
    }
}
