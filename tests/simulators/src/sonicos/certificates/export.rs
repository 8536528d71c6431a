//! `GET /export/certificates/signing-request/name/{ALIAS}` (SonicOS reference 3.3).

use data_encoding::BASE64;
use serde_json::json;

use super::Kind;
use super::keys::{DeviceKey, KeyKind};
use super::subject::Subject;
use crate::sonicos::device::Device;
use crate::sonicos::switch::{CsrForm, Tampering};
use crate::sonicos::wire::{Handled, Refusal, Reply};

impl Device {
    /// The body is the request as PEM text (strong inference of 3.3); every other form is a switch.
    pub(in crate::sonicos) fn export_request(&mut self, alias: &str) -> Handled {
        let Kind::Request {
            key,
            subject,
            request,
        } = &self.visible_row(alias)?.kind
        else {
            return Err(Refusal::unreasonable(alias));
        };
        let der = tampered(request, key, subject, self.faces.csr_tampered)
            .map_err(|error| Refusal::new(500, format!("Export failed: {error}")))?;
        let content_type = self.faces.csr_content_type.clone();
        Ok(match self.faces.csr_form {
            CsrForm::Pem => {
                Reply::file(&content_type, pem("CERTIFICATE REQUEST", &der).into_bytes())
            }
            CsrForm::NewPem => Reply::file(
                &content_type,
                pem("NEW CERTIFICATE REQUEST", &der).into_bytes(),
            ),
            CsrForm::JsonString => Reply::json(json!(pem("CERTIFICATE REQUEST", &der))),
            CsrForm::JsonObject => {
                Reply::json(json!({"signing_request": pem("CERTIFICATE REQUEST", &der)}))
            }
            CsrForm::Der => Reply::file(&content_type, der),
        })
    }
}

fn tampered(
    request: &[u8],
    key: &DeviceKey,
    subject: &Subject,
    tampering: Tampering,
) -> Result<Vec<u8>, rcgen::Error> {
    match tampering {
        Tampering::Nothing => Ok(request.to_vec()),
        Tampering::Names => key.request(&subject.tampered()),
        Tampering::Key => DeviceKey::generate(KeyKind::P256)?.request(subject),
        Tampering::Signature => {
            let mut der = request.to_vec();
            if let Some(last) = der.last_mut() {
                *last ^= 1;
            }
            Ok(der)
        }
    }
}

fn pem(label: &str, der: &[u8]) -> String {
    let text = BASE64.encode(der);
    let mut lines = vec![format!("-----BEGIN {label}-----")];
    let mut rest = text.as_str();
    while !rest.is_empty() {
        let (line, after) = rest.split_at(rest.len().min(64));
        lines.push(line.to_owned());
        rest = after;
    }
    lines.push(format!("-----END {label}-----\n"));
    lines.join("\n")
}
