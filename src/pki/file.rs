//! Certificates and keys in files that operators maintain: bytes, not text. Comments in any encoding, a byte order
//! mark, other blocks and DER instead of PEM all occur. No I/O.

use zeroize::Zeroizing;

use super::der::is_sequence;
use super::{Allowance, Certificate, PkiError, pem, pkcs7};

/// The certificates of a file.
#[derive(Debug, Default)]
pub struct CertificateFile {
    /// Those that can be read, in their order.
    pub certificates: Vec<Certificate>,
    /// Those that cannot, each with its position and the reason, in words.
    pub skipped: Vec<String>,
}

impl CertificateFile {
    /// All of them.
    ///
    /// # Errors
    /// When one cannot be read.
    pub fn whole(self) -> Result<Vec<Certificate>, PkiError> {
        if self.skipped.is_empty() {
            Ok(self.certificates)
        } else {
            Err(PkiError(self.skipped.join("; ")))
        }
    }
}

/// Reads the certificates of a file, PEM or DER, alone or in a PKCS#7. One that cannot be read is skipped and named.
///
/// # Errors
/// When it holds none that can be read.
pub fn certificates_of_file(bytes: &[u8]) -> Result<CertificateFile, PkiError> {
    let bytes = without_mark(bytes)?;
    let mut allowance = Allowance::of_a_file();
    if is_sequence(bytes) {
        return Ok(CertificateFile {
            certificates: pkcs7::certificates_within(bytes, &mut allowance)?,
            skipped: Vec::new(),
        });
    }
    let text = String::from_utf8_lossy(bytes);
    let mut file = CertificateFile::default();
    let found = pem::each(&text)
        .into_iter()
        .filter(|found| pkcs7::holds_certificates(found.label));
    for (position, found) in found.enumerate() {
        let read = |block: pem::Block<'_>| pkcs7::all_in_der(&block.der, &mut allowance);
        match found.block.and_then(read) {
            Ok(certificates) => file.certificates.extend(certificates),
            Err(error) => file.skipped.push(format!(
                "certificate {} (line {}) is skipped: {error}",
                position + 1,
                found.line
            )),
        }
    }
    if !file.certificates.is_empty() {
        return Ok(file);
    }
    Err(PkiError(if file.skipped.is_empty() {
        "it holds no BEGIN CERTIFICATE".to_owned()
    } else {
        file.skipped.join("; ")
    }))
}

/// The first private key of a file, as DER: PKCS#8, or the older forms of RSA and elliptic keys.
///
/// # Errors
/// When there is none, or it is encrypted. Nothing of the file is in the words.
pub fn private_key_of_file(bytes: &[u8]) -> Result<Zeroizing<Vec<u8>>, PkiError> {
    let bytes = without_mark(bytes)?;
    if is_sequence(bytes) {
        return Ok(Zeroizing::new(bytes.to_vec()));
    }
    let text = Zeroizing::new(String::from_utf8_lossy(bytes).into_owned());
    let key = pem::each(&text)
        .into_iter()
        .find(|found| found.label.ends_with(PRIVATE_KEY));
    let Some(found) = key else {
        return Err(PkiError(
            "it holds no private key (BEGIN PRIVATE KEY)".to_owned(),
        ));
    };
    if found.label.starts_with("ENCRYPTED") || found.is_encrypted {
        let words = "the key is encrypted: renewd needs it in the clear, in a file of its own";
        return Err(PkiError(words.to_owned()));
    }
    match found.block {
        Ok(block) => Ok(Zeroizing::new(block.der)),
        Err(_) => Err(PkiError(format!(
            "the private key in line {} cannot be read",
            found.line
        ))),
    }
}

/// Without the mark that editors put before UTF-8; text of another encoding is refused by its name.
fn without_mark(bytes: &[u8]) -> Result<&[u8], PkiError> {
    let is_wide = bytes.starts_with(&[0xff, 0xfe])
        || bytes.starts_with(&[0xfe, 0xff])
        || bytes.starts_with(b"-\0-\0")
        || bytes.starts_with(b"\0-\0-");
    if is_wide {
        let words = "it is UTF-16 text: save it as UTF-8";
        return Err(PkiError(words.to_owned()));
    }
    Ok(bytes.strip_prefix(&[0xef, 0xbb, 0xbf]).unwrap_or(bytes))
}

const PRIVATE_KEY: &str = "PRIVATE KEY";

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, reason = "a test stops where it fails")]

    use super::*;

    const KEY: &[u8] = include_bytes!("tests/cases/ecparam.key");
    const CERTIFICATE: &[u8] = include_bytes!("tests/cases/ecparam.pem");

    fn wide(bytes: &[u8]) -> Vec<u8> {
        let pairs = bytes.iter().flat_map(|byte| [*byte, 0]);
        [0xff, 0xfe].into_iter().chain(pairs).collect()
    }

    #[test]
    fn the_first_private_key_is_found_whatever_stands_around_it() {
        let own = rcgen::KeyPair::try_from(private_key_of_file(KEY).unwrap().as_slice()).unwrap();
        let unix = String::from_utf8(KEY.to_vec()).unwrap();
        for (odd, why) in [
            (unix.replace('\n', "\r\n").into_bytes(), "CRLF"),
            ([b"\xef\xbb\xbf", KEY].concat(), "a byte order mark"),
            ([b"Schl\xfcssel\n", KEY, b"Ende \xe4"].concat(), "Latin-1"),
            ([CERTIFICATE, KEY].concat(), "a certificate first"),
            (
                [KEY, own.serialize_pem().as_bytes()].concat(),
                "a second key",
            ),
            (own.serialize_pem().into_bytes(), "PKCS#8"),
            (own.serialize_der(), "DER"),
        ] {
            let der = private_key_of_file(&odd).unwrap();
            let key = rcgen::KeyPair::try_from(der.as_slice()).unwrap();
            assert_eq!(key.public_key_raw(), own.public_key_raw(), "{why}");
        }
    }

    #[test]
    fn a_file_without_a_usable_key_is_refused_in_words_that_hold_nothing_of_it() {
        let old = "-----BEGIN EC PRIVATE KEY-----\nProc-Type: 4,ENCRYPTED\nDEK-Info: AES-256-CBC,00\n\nAQID\n-----END EC PRIVATE KEY-----\n";
        let new =
            "-----BEGIN ENCRYPTED PRIVATE KEY-----\nAQID\n-----END ENCRYPTED PRIVATE KEY-----\n";
        for (bytes, words) in [
            (CERTIFICATE.to_vec(), "holds no private key"),
            (old.as_bytes().to_vec(), "is encrypted"),
            (new.as_bytes().to_vec(), "is encrypted"),
            (wide(KEY), "UTF-16"),
            (KEY[..KEY.len() - 20].to_vec(), "cannot be read"),
        ] {
            let refused = private_key_of_file(&bytes).unwrap_err();
            assert!(refused.0.contains(words), "{refused}");
        }
    }

    #[test]
    fn one_certificate_that_cannot_be_read_is_skipped_and_named() {
        let broken = b"-----BEGIN CERTIFICATE-----\nMAA=\n-----END CERTIFICATE-----\n";
        let cut = b"-----BEGIN CERTIFICATE-----\nMAA=\n";
        let digits = b"-----BEGIN CERTIFICATE-----\n!!!!\n-----END CERTIFICATE-----\n";
        for odd in [&broken[..], cut, digits] {
            let file = [b"# Z\xfcrich\n", odd, CERTIFICATE].concat();
            let read = certificates_of_file(&file).unwrap();
            assert_eq!(read.certificates.len(), 1);
            assert_eq!(read.skipped.len(), 1);
            let start = "certificate 1 (line 2) is skipped: ";
            assert!(read.skipped[0].starts_with(start), "{:?}", read.skipped);
        }
        let der = certificates_of_file(CERTIFICATE).unwrap().certificates;
        let again = certificates_of_file(&der[0].der).unwrap();
        assert_eq!(again.certificates, der);
        let marked = [b"\xef\xbb\xbf", CERTIFICATE].concat();
        assert_eq!(certificates_of_file(&marked).unwrap().certificates, der);
        for (bytes, words) in [
            (broken.to_vec(), "certificate 1 (line 1) is skipped"),
            (b"nothing".to_vec(), "it holds no BEGIN CERTIFICATE"),
            (wide(CERTIFICATE), "UTF-16"),
        ] {
            let refused = certificates_of_file(&bytes).unwrap_err();
            assert!(refused.0.contains(words), "{refused}");
        }
    }
}
