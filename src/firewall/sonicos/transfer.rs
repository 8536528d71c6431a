//! Files to and from the device: the forms in which it gives out a request (SonicOS reference 3.3) and takes in
//! a certificate (SonicOS reference 3.4).

use serde_json::Value;

use super::messages;
use super::relaxed_json::json_in;
use crate::random::Random;

/// How the device takes a file.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Upload {
    /// As the whole body, with a JSON content type.
    Raw,
    /// As the part `certificate.exp` of multipart/form-data, with the name of the file in the query as well: the only part
    /// name for files of certificates that was seen on these devices (SonicOS reference 3.4, 3.6).
    Multipart,
    /// As the part `file` of multipart/form-data.
    AnyPart,
}

impl Upload {
    /// All of them, the best documented first.
    const ALL: [Self; 3] = [Self::Raw, Self::Multipart, Self::AnyPart];

    /// The form that worked before, else the one that is documented.
    pub(super) fn remembered(word: Option<&str>) -> Self {
        let known = Self::ALL.into_iter().find(|form| Some(form.name()) == word);
        known.unwrap_or(Self::Raw)
    }

    /// This one, and then the others.
    pub(super) fn and_others(self) -> [Self; 3] {
        let mut forms = Self::ALL;
        // A stable sort: the others keep their order.
        forms.sort_by_key(|form| *form != self);
        forms
    }

    /// The word in the quirks.
    pub(super) fn name(self) -> &'static str {
        match self {
            Self::Raw => "raw",
            Self::Multipart => "multipart",
            Self::AnyPart => "multipart-file",
        }
    }

    /// What stands behind the path, content type and body for one PEM file of that name.
    pub(super) fn body(
        self,
        file_name: &str,
        pem: &str,
        random: &dyn Random,
    ) -> (String, String, Vec<u8>) {
        let (query, part) = match self {
            Self::Raw => {
                let body = pem.as_bytes().to_vec();
                return (String::new(), "application/json".to_owned(), body);
            }
            Self::Multipart => (format!("?{file_name}"), "certificate.exp"),
            Self::AnyPart => (String::new(), "file"),
        };
        let part = Part {
            name: part,
            file_name: Some(file_name),
            content: pem.as_bytes(),
        };
        let (content_type, body) = multipart(&[part], random);
        (query, content_type, body)
    }
}

/// Whether a refusal may be about the form of the transfer, so that another form may help: also where the device says that
/// it does not know the call. A refusal that names what is wrong with the certificate itself is not.
pub(super) fn is_about_form(status: u16, said: &str) -> bool {
    if messages::is_unreadable(said) || messages::is_unknown_call(said) {
        return true;
    }
    let is_about_file = messages::import_advice(said).is_some() && !messages::is_about_schema(said);
    matches!(status, 400 | 406 | 415) && !is_about_file
}

/// The request in an answer, as DER: bare PEM, PEM in a JSON string at any depth, or DER.
pub(super) fn exported_request(body: &[u8]) -> Option<Vec<u8>> {
    if is_der(body) {
        return Some(body.to_vec());
    }
    let text = std::str::from_utf8(body).ok()?;
    match json_in(text) {
        Some(json) => pem_in_json(&json),
        None => der_of_pem(text),
    }
}

fn pem_in_json(json: &Value) -> Option<Vec<u8>> {
    match json {
        Value::String(text) => der_of_pem(text),
        Value::Array(members) => members.iter().find_map(pem_in_json),
        Value::Object(members) => members.values().find_map(pem_in_json),
        _ => None,
    }
}

/// The first PEM block with either of the two headers of a request (RFC 7468, 7).
fn der_of_pem(text: &str) -> Option<Vec<u8>> {
    let block = LABELS.iter().find_map(|label| {
        let (_, after) = text.split_once(&format!("-----BEGIN {label}-----"))?;
        let (block, _) = after.split_once(&format!("-----END {label}-----"))?;
        Some(block)
    })?;
    let letters: String = block.split_whitespace().collect();
    let der = data_encoding::BASE64.decode(letters.as_bytes()).ok()?;
    is_der(&der).then_some(der)
}

/// A SEQUENCE with a length of two octets, which every request is long enough for.
fn is_der(bytes: &[u8]) -> bool {
    bytes.starts_with(&[0x30, 0x81]) || bytes.starts_with(&[0x30, 0x82])
}

/// A part of multipart/form-data.
pub(super) struct Part<'a> {
    pub(super) name: &'a str,
    /// The name of a file; `None` for a plain field.
    pub(super) file_name: Option<&'a str>,
    pub(super) content: &'a [u8],
}

/// Content type and body (RFC 7578), written here rather than by the HTTP client because a digest with integrity
/// protection is computed over the body.
pub(super) fn multipart(parts: &[Part<'_>], random: &dyn Random) -> (String, Vec<u8>) {
    let mut bytes = [0; 16];
    random.fill(&mut bytes);
    let boundary = format!("renewd-{}", data_encoding::HEXLOWER.encode(&bytes));
    let mut body = Vec::new();
    for part in parts {
        let head = match part.file_name {
            Some(file) => format!(
                "--{boundary}\r\nContent-Disposition: form-data; name=\"{}\"; filename=\"{file}\"\r\n\
                 Content-Type: application/octet-stream\r\n\r\n",
                part.name
            ),
            None => format!(
                "--{boundary}\r\nContent-Disposition: form-data; name=\"{}\"\r\n\r\n",
                part.name
            ),
        };
        body.extend_from_slice(head.as_bytes());
        body.extend_from_slice(part.content);
        body.extend_from_slice(b"\r\n");
    }
    body.extend_from_slice(format!("--{boundary}--\r\n").as_bytes());
    (format!("multipart/form-data; boundary={boundary}"), body)
}

const LABELS: [&str; 2] = ["CERTIFICATE REQUEST", "NEW CERTIFICATE REQUEST"];

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, reason = "a test stops at the first surprise")]

    use serde_json::json;

    use super::*;
    use crate::random::SeededRandom;

    fn der() -> Vec<u8> {
        [&[0x30, 0x82, 1, 0][..], &[7; 256]].concat()
    }

    fn pem(label: &str) -> String {
        let text = data_encoding::BASE64.encode(&der());
        let lines: Vec<&str> = text
            .as_bytes()
            .chunks(64)
            .map(|line| std::str::from_utf8(line).unwrap())
            .collect();
        format!(
            "-----BEGIN {label}-----\r\n{}\r\n-----END {label}-----\r\n",
            lines.join("\r\n")
        )
    }

    #[test]
    fn a_request_is_found_in_every_form_of_the_reference() {
        let plain = pem("CERTIFICATE REQUEST");
        let forms = [
            der(),
            plain.clone().into_bytes(),
            pem("NEW CERTIFICATE REQUEST").into_bytes(),
            format!("% Exporting\n{plain}").into_bytes(),
            json!(plain).to_string().into_bytes(),
            json!({ "export": [{ "note": "x" }, { "request": plain }] })
                .to_string()
                .into_bytes(),
        ];
        for form in forms {
            assert_eq!(
                exported_request(&form).as_deref(),
                Some(&der()[..]),
                "{}",
                String::from_utf8_lossy(&form)
            );
        }
    }

    #[test]
    fn what_is_no_request_is_none() {
        for text in [
            "",
            "{}",
            "ERROR",
            "-----BEGIN CERTIFICATE REQUEST-----\n!!\n-----END CERTIFICATE REQUEST-----",
        ] {
            assert_eq!(exported_request(text.as_bytes()), None, "{text}");
        }
        assert_eq!(exported_request(pem("CERTIFICATE").as_bytes()), None);
    }

    #[test]
    fn only_a_refusal_of_the_form_asks_for_another_form() {
        assert!(is_about_form(400, "schema validation"));
        assert!(is_about_form(
            400,
            "schema validation: body does not match, chain expected"
        ));
        assert!(!is_about_form(
            400,
            "certificate chain validation failed: untrusted CA"
        ));
        assert!(is_about_form(415, ""));
        assert!(is_about_form(200, "Invalid certificate format"));
        assert!(!is_about_form(400, "Public/private key mismatch"));
        let unknown = "E_INVALID_API_CALL: API endpoint is incomplete.";
        assert!(is_about_form(400, unknown));
        assert!(!is_about_form(500, ""));
        assert!(!is_about_form(200, "schema validation"));
    }

    #[test]
    fn a_multipart_body_holds_the_file_between_its_boundaries() {
        let random = SeededRandom::new(1);
        let (query, _, body) = Upload::Multipart.body("fw-1.pem", "PEM", &random);
        let text = String::from_utf8(body).unwrap();
        assert_eq!(query, "?fw-1.pem");
        let part = r#"name="certificate.exp"; filename="fw-1.pem""#;
        assert!(text.contains(part), "{text}");

        let (query, content_type, body) = Upload::AnyPart.body("fw-1.pem", "PEM", &random);
        assert_eq!(query, "");
        let boundary = content_type
            .strip_prefix("multipart/form-data; boundary=")
            .unwrap();
        let text = String::from_utf8(body).unwrap();
        assert!(text.starts_with(&format!("--{boundary}\r\n")), "{text}");
        assert!(text.contains("\r\n\r\nPEM\r\n--"), "{text}");
        assert!(text.ends_with(&format!("--{boundary}--\r\n")), "{text}");
    }
}
