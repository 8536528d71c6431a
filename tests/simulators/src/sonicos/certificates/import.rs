//! `PUT /import/certificates/ca-cert` and `/signed-cert/name/{ALIAS}` (SonicOS reference 3.4, 3.5).

use data_encoding::BASE64;

use super::authority::{is_expired, parse, public_key};
use super::{Kind, Row};
use crate::sonicos::device::Device;
use crate::sonicos::pending::ChangeKind;
use crate::sonicos::switch::ImportForm;
use crate::sonicos::wire::{Handled, Refusal, Request};

impl Device {
    /// 3.5: one CA certificate per call. guess: a further one in the same file is not looked at.
    pub(in crate::sonicos) fn import_authority(&mut self, request: &Request) -> Handled {
        let der = self.uploaded_certificate(request)?;
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
            self.faces.imports_are_pending,
            ChangeKind::ImportAuthority(Box::new(row)),
        ))
    }

    /// 3.4: the certificate of a pending request; afterwards the row is a local certificate of the same name.
    pub(in crate::sonicos) fn import_signed(&mut self, request: &Request, alias: &str) -> Handled {
        let der = self.uploaded_certificate(request)?;
        let row = self.visible_row(alias)?;
        let Kind::Request { key, .. } = &row.kind else {
            return Err(Refusal::new(400, "Duplicate local certificate"));
        };
        if public_key(&der).as_deref() != Some(key.public_key().as_slice()) {
            return Err(Refusal::new(400, self.faces.key_mismatch_text.clone()));
        }
        if self.faces.needs_ca_first && self.certificates.chain_of(&der).is_none() {
            return Err(Refusal::new(400, self.faces.untrusted_ca_text.clone()));
        }
        self.counters.imports += 1;
        Ok(self.stage(
            self.faces.imports_are_pending,
            ChangeKind::ImportSigned(alias.to_owned(), der),
        ))
    }

    /// The name under which the CA is listed. guess: its common name.
    fn check_authority(&self, der: &[u8]) -> Result<String, Refusal> {
        let certificate = parse(der).ok_or_else(bad_format)?;
        if !certificate.is_ca() {
            return Err(Refusal::new(400, "Not a CA certificate"));
        }
        if is_expired(&certificate, self.now()) {
            return Err(Refusal::new(400, "CA Certificate has expired"));
        }
        if self.certificates.authorities().any(|known| known == der) {
            return Err(Refusal::new(400, self.faces.ca_exists_text.clone()));
        }
        if self.faces.intermediate_needs_root && self.certificates.chain_of(der).is_none() {
            return Err(Refusal::new(400, self.faces.untrusted_ca_text.clone()));
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

    fn uploaded_certificate(&self, request: &Request) -> Result<Vec<u8>, Refusal> {
        let boundary = request.header("content-type").and_then(multipart_boundary);
        let file = match (boundary, self.faces.import_form) {
            (Some(boundary), ImportForm::Multipart | ImportForm::Both) => {
                file_part(&request.body, boundary)
            }
            (None, ImportForm::Raw | ImportForm::Both) => Some(request.body.clone()),
            _ => {
                return Err(Refusal::new(
                    self.faces.wrong_form_status,
                    "Invalid certificate format",
                ));
            }
        };
        let file = file.ok_or_else(bad_format)?;
        let der = first_pem_certificate(&file).or_else(|| self.faces.import_der.then_some(file));
        der.filter(|der| parse(der).is_some())
            .ok_or_else(bad_format)
    }
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

fn multipart_boundary(content_type: &str) -> Option<&str> {
    let parameters = content_type.trim().strip_prefix("multipart/form-data")?;
    let (_, boundary) = parameters.split_once("boundary=")?;
    Some(
        boundary
            .split(';')
            .next()
            .unwrap_or(boundary)
            .trim()
            .trim_matches('"'),
    )
}

/// The content of the only part with a file name (RFC 7578 4.2).
fn file_part(body: &[u8], boundary: &str) -> Option<Vec<u8>> {
    let delimiter = format!("--{boundary}").into_bytes();
    let mut rest = after(body, &delimiter)?;
    while let Some(end) = position(rest, &delimiter) {
        let (part, following) = rest.split_at(end);
        let head_end = position(part, b"\r\n\r\n")?;
        let (head, content) = part.split_at(head_end);
        if String::from_utf8_lossy(head)
            .to_ascii_lowercase()
            .contains("filename=")
        {
            let content = content.strip_prefix(b"\r\n\r\n")?;
            return Some(content.strip_suffix(b"\r\n").unwrap_or(content).to_vec());
        }
        rest = after(following, &delimiter)?;
    }
    None
}

fn after<'a>(bytes: &'a [u8], pattern: &[u8]) -> Option<&'a [u8]> {
    bytes.get(position(bytes, pattern)? + pattern.len()..)
}

fn position(bytes: &[u8], pattern: &[u8]) -> Option<usize> {
    bytes
        .windows(pattern.len())
        .position(|window| window == pattern)
}

#[cfg(test)]
mod tests {
    use super::{file_part, first_pem_certificate, multipart_boundary};

    #[test]
    fn the_part_with_a_file_name_is_the_file() {
        let body = b"--x\r\nContent-Disposition: form-data; name=\"note\"\r\n\r\nhello\r\n\
            --x\r\nContent-Disposition: form-data; name=\"f\"; filename=\"a.pem\"\r\n\r\nthe file\r\n--x--\r\n";
        assert_eq!(
            multipart_boundary("multipart/form-data; boundary=\"x\""),
            Some("x")
        );
        assert_eq!(
            file_part(body, "x").as_deref(),
            Some(b"the file".as_slice())
        );
        assert_eq!(file_part(b"no parts", "x"), None);
    }

    #[test]
    fn text_before_the_pem_block_is_tolerated() {
        let file =
            b"Certificate:\n  Data\n-----BEGIN CERTIFICATE-----\nAQID\n-----END CERTIFICATE-----\n";
        assert_eq!(first_pem_certificate(file), Some(vec![1, 2, 3]));
    }
}
