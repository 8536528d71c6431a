//! Certificates and CSRs wherever an answer contains them: the body itself, or some text inside JSON (PAM360 reference
//! 3.2, 5). They are recognised by their content, because the server's content types are meaningless.

use serde_json::Value;

use crate::pki::{self, Allowance, Certificate, Csr};

/// The certificates in `body`; `Ok(empty)`: none is there, `Err`: it is something else.
pub(super) fn certificates(body: &[u8]) -> Result<Vec<Certificate>, pki::PkiError> {
    if body.trim_ascii().is_empty() {
        return Ok(Vec::new());
    }
    let Some(json) = json(body) else {
        return pki::certificates_in(body);
    };
    let mut found = Vec::new();
    let mut allowance = Allowance::of_an_answer();
    for text in texts(&json) {
        // Most texts are names and dates, and no certificate is as short as these.
        let read = pki::certificates_within(text.as_bytes(), &mut allowance);
        found.extend(read.unwrap_or_default());
    }
    allowance.check()?;
    Ok(found)
}

/// Whether `body` holds exactly this CSR.
pub(super) fn holds(body: &[u8], csr: &Csr) -> bool {
    match json(body) {
        Some(json) => texts(&json).iter().any(|text| is(text.as_bytes(), csr)),
        None => is(body, csr),
    }
}

/// PEM, DER, or base64 of either.
fn is(bytes: &[u8], csr: &Csr) -> bool {
    let read = |bytes: &[u8]| Csr::parse(bytes).is_ok_and(|read| read.der == csr.der);
    let digits: Vec<u8> = bytes
        .iter()
        .copied()
        .filter(|byte| !byte.is_ascii_whitespace())
        .collect();
    read(bytes)
        || data_encoding::BASE64
            .decode(&digits)
            .is_ok_and(|bytes| read(&bytes))
}

fn json(body: &[u8]) -> Option<Value> {
    let is_json = matches!(body.trim_ascii_start().first(), Some(b'{' | b'[' | b'"'));
    is_json.then(|| serde_json::from_slice(body).ok()).flatten()
}

/// Every text in `value`.
fn texts(value: &Value) -> Vec<&str> {
    match value {
        Value::String(text) => vec![text],
        Value::Array(values) => values.iter().flat_map(texts).collect(),
        Value::Object(fields) => fields.values().flat_map(texts).collect(),
        _ => Vec::new(),
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, reason = "a test stops where it fails")]

    use data_encoding::BASE64;
    use rcgen::KeyPair;
    use serde_json::json;

    use super::*;
    use crate::pki::testing::{Authority, csr, csr_params};

    #[test]
    fn certificates_are_found_in_a_file_and_inside_json() {
        let one = Authority::root("one").certificate;
        for body in [
            one.to_pem().into_bytes(),
            one.der.clone(),
            json!({"result": {"status": "Success"}, "details": [{"Certificate": one.to_pem()}]})
                .to_string()
                .into_bytes(),
            json!({"details": {"file": BASE64.encode(&one.der), "Common Name": "one"}})
                .to_string()
                .into_bytes(),
            json!(one.to_pem()).to_string().into_bytes(),
        ] {
            assert_eq!(certificates(&body).unwrap(), std::slice::from_ref(&one));
        }
        assert_eq!(certificates(b" \r\n").unwrap(), []);
        assert_eq!(certificates(b"{\"details\":[]}").unwrap(), []);
        assert!(certificates(b"<html>Sign in</html>").is_err());
    }

    #[test]
    fn a_csr_is_recognised_and_another_for_the_same_names_is_not() {
        let ours = csr(&csr_params(), &KeyPair::generate().unwrap());
        let other = csr(&csr_params(), &KeyPair::generate().unwrap());
        for body in [
            ours.to_pem().into_bytes(),
            ours.der.clone(),
            BASE64.encode(&ours.der).into_bytes(),
            json!({"CSR": ours.to_pem()}).to_string().into_bytes(),
            json!({"details": [{"CSR": BASE64.encode(&ours.der)}]})
                .to_string()
                .into_bytes(),
        ] {
            assert!(holds(&body, &ours));
            assert!(!holds(&body, &other));
        }
        assert!(!holds(b"", &ours));
    }
}
