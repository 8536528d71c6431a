//! `GET /export/certificates/signing-request/name/{ALIAS}` (SonicOS reference 3.3).

use data_encoding::BASE64;
use serde_json::json;

use super::Kind;
use super::keys::DeviceKey;
use super::subject::Subject;
use crate::sonicos::device::Device;
use crate::sonicos::switch::{CsrForm, Tampering};
use crate::sonicos::wire::{Handled, Refusal, Reply};

impl Device {
    /// The body is the request as PEM text (strong inference of 3.3); every other form is a switch.
    pub(in crate::sonicos) fn export_request(&mut self, alias: &str) -> Handled {
        let der = self.exported_request(alias)?;
        let content_type = self.variants.csr_content_type.clone();
        Ok(match self.variants.csr_form {
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

    /// The request as it leaves the device, DER: as requested, or as modified by an attacker.
    pub(in crate::sonicos) fn exported_request(&self, alias: &str) -> Result<Vec<u8>, Refusal> {
        let Kind::Request {
            key,
            subject,
            request,
        } = &self.visible_row(alias)?.kind
        else {
            return Err(Refusal::unreasonable(alias));
        };
        if let Some(pkcs8) = &self.attacker_key {
            return DeviceKey::of_attacker(pkcs8, key.kind())
                .and_then(|attacker| attacker.request(subject))
                .map_err(|error| Refusal::new(500, format!("Export failed: {error}")));
        }
        tampered(request, key, subject, self.variants.csr_tampered)
            .map_err(|error| Refusal::new(500, format!("Export failed: {error}")))
    }
}

fn tampered(
    request: &[u8],
    key: &DeviceKey,
    subject: &Subject,
    tampering: Tampering,
) -> Result<Vec<u8>, rcgen::Error> {
    let other_key = |kind| DeviceKey::generate(kind)?.request(subject);
    match tampering {
        Tampering::Nothing => Ok(request.to_vec()),
        Tampering::Names => {
            key.request(&subject.with_other_common_name().with_other_alternate_name())
        }
        Tampering::Subject => key.request(&subject.with_other_common_name()),
        Tampering::AlternateName => key.request(&subject.with_other_alternate_name()),
        Tampering::Key => other_key(key.kind()),
        Tampering::KeyType => other_key(key.kind().of_other_type()),
        Tampering::KeySize => other_key(key.kind().of_other_size()),
        Tampering::Signature => {
            let mut der = request.to_vec();
            if let Some(last) = der.last_mut() {
                *last ^= 1;
            }
            Ok(der)
        }
    }
}

/// A PEM block (RFC 7468).
pub(in crate::sonicos) fn pem(label: &str, der: &[u8]) -> String {
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
