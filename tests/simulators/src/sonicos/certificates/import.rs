//! `PUT /import/certificates/ca-cert` and `/signed-cert/name/{ALIAS}` (SonicOS reference 3.4, 3.5), and
//! what the device does with such a file.

use data_encoding::BASE64;

use super::authority::{is_expired, parse, public_key};
use super::{Kind, Row};
use crate::multipart;
use crate::sonicos::device::Device;
use crate::sonicos::pending::ChangeKind;
use crate::sonicos::switch::{ImportForm, WrongForm};
use crate::sonicos::wire::{Handled, Refusal, Request};

impl Device {
    /// 3.5: one CA certificate per call. guess: a further one in the same file is not looked at.
    pub(in crate::sonicos) fn import_authority(&mut self, request: &Request) -> Handled {
        let file = self.uploaded_file(request)?;
        self.accept_authority(file)
    }

    /// 3.4: the certificate of a pending request; afterwards the row is a local certificate of the same name.
    pub(in crate::sonicos) fn import_signed(&mut self, request: &Request, alias: &str) -> Handled {
        let file = self.uploaded_file(request)?;
        self.accept_signed(file, alias)
    }

    /// The file of a CA certificate, whichever way it came.
    pub(in crate::sonicos) fn accept_authority(&mut self, file: Vec<u8>) -> Handled {
        let der = self.certificate_of(file)?;
        let name = self.check_authority(&der)?;
        self.counters.ca_imports += 1;
        let row = Row::old(
            &name,
            Kind::Authority {
                der,
                built_in: false,
            },
            self.now(),
        );
        Ok(self.stage(
            self.variants.imports_are_pending,
            ChangeKind::ImportAuthority(Box::new(row)),
        ))
    }

    /// The file of the certificate of a request, whichever way it came.
    pub(in crate::sonicos) fn accept_signed(&mut self, file: Vec<u8>, alias: &str) -> Handled {
        let der = self.certificate_of(file)?;
        let row = self.visible_row(alias)?;
        let Kind::Request { key, .. } = &row.kind else {
            return Err(Refusal::new(400, "Duplicate local certificate"));
        };
        if public_key(&der).as_deref() != Some(key.public_key().as_slice()) {
            return Err(Refusal::new(400, self.variants.key_mismatch_text.clone()));
        }
        if self.variants.needs_ca_first && self.certificates.chain_of(&der).is_none() {
            return Err(Refusal::new(400, self.variants.untrusted_ca_text.clone()));
        }
        self.counters.imports += 1;
        Ok(self.stage(
            self.variants.imports_are_pending,
            ChangeKind::ImportSigned(alias.to_owned(), der),
        ))
    }

    /// The name under which the CA is listed. guess: its common name.
    pub(super) fn check_authority(&self, der: &[u8]) -> Result<String, Refusal> {
        let certificate = parse(der).ok_or_else(bad_format)?;
        if !certificate.is_ca() {
            return Err(Refusal::new(400, "Not a CA certificate"));
        }
        if is_expired(&certificate, self.now()) {
            return Err(Refusal::new(400, "CA Certificate has expired"));
        }
        if self.certificates.authorities().any(|known| known == der) {
            return Err(Refusal::new(400, self.variants.ca_exists_text.clone()));
        }
        if self.variants.intermediate_needs_root && self.certificates.chain_of(der).is_none() {
            return Err(Refusal::new(400, self.variants.untrusted_ca_text.clone()));
        }
        let common_name = certificate
            .subject()
            .iter_common_name()
            .next()
            .and_then(|name| name.as_str().ok());
        let name = common_name.unwrap_or("CA certificate");
        // Two generations of one CA have the same name.
        let taken = self
            .certificates
            .rows
            .iter()
            .filter(|row| row.name == name || row.name.starts_with(&format!("{name} #")))
            .count();
        Ok(if taken == 0 {
            name.to_owned()
        } else {
            format!("{name} #{}", taken + 1)
        })
    }

    fn uploaded_file(&self, request: &Request) -> Result<Vec<u8>, Refusal> {
        let content_type = request.header("content-type");
        let is_form = content_type.is_some_and(|kind| kind.starts_with("multipart/form-data"));
        let form = is_form.then(|| multipart::parts(content_type, &request.body));
        let file = match (form, self.variants.import_form) {
            // RFC 7578 4.2: the part with a file name is the file.
            (Some(parts), ImportForm::Multipart | ImportForm::Both) => parts
                .into_iter()
                .flatten()
                .find(|part| part.is_file)
                .map(|part| part.content),
            (None, ImportForm::Raw | ImportForm::Both) => Some(request.body.clone()),
            // 3.6: the name of the part, and its file name in the query.
            (Some(parts), ImportForm::Named) => parts
                .into_iter()
                .flatten()
                .find(|part| part.name == "certificate.exp" && is_in_query(request, part))
                .map(|part| part.content),
            _ => None,
        };
        if file.is_none() {
            return Err(self.wrong_form());
        }
        file.ok_or_else(bad_format)
    }

    /// guess: the words of either family.
    fn wrong_form(&self) -> Refusal {
        let status = self.variants.wrong_form_status;
        match self.variants.wrong_form {
            WrongForm::Format => Refusal::new(status, "Invalid certificate format"),
            WrongForm::UnknownCall => {
                Refusal::coded(status, "E_INVALID_API_CALL", "API endpoint is incomplete.")
            }
        }
    }

    fn certificate_of(&self, file: Vec<u8>) -> Result<Vec<u8>, Refusal> {
        let der = first_pem_certificate(&file).or_else(|| self.variants.import_der.then_some(file));
        der.filter(|der| parse(der).is_some())
            .ok_or_else(bad_format)
    }
}

fn is_in_query(request: &Request, part: &multipart::Part) -> bool {
    let query = request.target.split_once('?').map(|(_, query)| query);
    !part.file_name.is_empty() && query == Some(part.file_name.as_str())
}

/// A text of the event list of 3.4.
fn bad_format() -> Refusal {
    Refusal::new(400, "Invalid certificate format")
}

/// 3.4: text before the block is tolerated.
fn first_pem_certificate(file: &[u8]) -> Option<Vec<u8>> {
    let text = std::str::from_utf8(file).ok()?;
    let (_, after) = text.split_once("-----BEGIN CERTIFICATE-----")?;
    let (block, _) = after.split_once("-----END CERTIFICATE-----")?;
    let letters: String = block.split_whitespace().collect();
    BASE64.decode(letters.as_bytes()).ok()
}

#[cfg(test)]
mod tests {
    use super::first_pem_certificate;

    #[test]
    fn text_before_the_pem_block_is_tolerated() {
        let file =
            b"Certificate:\n  Data\n-----BEGIN CERTIFICATE-----\nAQID\n-----END CERTIFICATE-----\n";
        assert_eq!(first_pem_certificate(file), Some(vec![1, 2, 3]));
    }
}
