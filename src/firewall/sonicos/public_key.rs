//! The password, encrypted for the device's own RSA key (`SNWL-PK-AUTH`, SonicOS reference 1.2, "Public key").
//! Only makes the header; what a refusal means is decided in `login.rs`.

use aws_lc_rs::error::Unspecified;
use aws_lc_rs::rsa::{
    OAEP_SHA256_MGF1SHA256, OaepPublicEncryptingKey, Pkcs1PublicEncryptingKey, PublicEncryptingKey,
};
use data_encoding::BASE64;
use reqwest::header::HeaderValue;

use super::challenge::Challenge;
use crate::failure::FailureKind;
use crate::secret::Secret;

/// How the password is padded. It is a setting of the device that its challenge does not tell (SonicOS reference 1.1,
/// `rsa_padding_type`), and the wrong one is a failed login: so one is chosen beforehand, and never both are tried.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Padding {
    /// OAEP with SHA-256 for the hash and MGF1 (RFC 8017, 7.1).
    Oaep,
    /// PKCS#1 v1.5 (RFC 8017, 7.2).
    Pkcs1,
}

/// Why there is no answer to a challenge.
pub(super) type Problem = (FailureKind, String);

/// The answer to a challenge: `SNWL-PK-AUTH user="...", data="..."`.
pub(super) fn authorization(
    challenge: &Challenge,
    user: &str,
    password: &Secret,
    padding: Padding,
) -> Result<HeaderValue, Problem> {
    let key = key_in(challenge)?;
    let encrypted = encrypted(key, password.expose().as_bytes(), padding).map_err(|_| {
        let detail = "the password is too long for the device's RSA key";
        (FailureKind::Local, detail.to_owned())
    })?;
    let user = user.replace('\\', "\\\\").replace('"', "\\\"");
    let text = format!(
        "{SCHEME} user=\"{user}\", data=\"{}\"",
        BASE64.encode(&encrypted)
    );
    let mut header = HeaderValue::from_bytes(text.as_bytes()).map_err(|_| {
        let detail = "the user's name cannot stand in an HTTP header";
        (FailureKind::Local, detail.to_owned())
    })?;
    header.set_sensitive(true);
    Ok(header)
}

/// The device's key: base64 of a SubjectPublicKeyInfo.
fn key_in(challenge: &Challenge) -> Result<PublicEncryptingKey, Problem> {
    let kind = challenge.parameter("type").unwrap_or("RSA");
    let text = challenge.parameter("key").unwrap_or_default();
    let der = BASE64.decode(text.as_bytes());
    let (true, Ok(der)) = (kind.eq_ignore_ascii_case("RSA"), der) else {
        let detail = format!("a challenge without an RSA key: type {kind}, key {text:?}");
        return Err((FailureKind::Unexpected, detail));
    };
    PublicEncryptingKey::from_der(&der).map_err(|error| {
        let detail = format!(
            "the device's RSA key for logins cannot be used ({error}): set its size to 2048 bits or more, or choose another `login`"
        );
        (FailureKind::Refused, detail)
    })
}

fn encrypted(
    key: PublicEncryptingKey,
    text: &[u8],
    padding: Padding,
) -> Result<Vec<u8>, Unspecified> {
    let mut room = vec![0; key.key_size_bytes()];
    let encrypted = match padding {
        Padding::Oaep => {
            let key = OaepPublicEncryptingKey::new(key)?;
            key.encrypt(&OAEP_SHA256_MGF1SHA256, text, &mut room, None)?
        }
        Padding::Pkcs1 => Pkcs1PublicEncryptingKey::new(key)?.encrypt(text, &mut room)?,
    };
    Ok(encrypted.to_vec())
}

/// The scheme's name in headers.
pub(super) const SCHEME: &str = "SNWL-PK-AUTH";

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, reason = "a test stops at the first surprise")]

    use aws_lc_rs::encoding::{AsDer, PublicKeyX509Der};
    use aws_lc_rs::rsa::{
        KeySize, OaepPrivateDecryptingKey, Pkcs1PrivateDecryptingKey, PrivateDecryptingKey,
    };

    use super::super::challenge::challenges;
    use super::*;

    fn challenge(key: &str) -> Challenge {
        let header = format!("{SCHEME} type=RSA, key=\"{key}\"");
        challenges([header.as_str()]).remove(0)
    }

    fn device() -> (PrivateDecryptingKey, Challenge) {
        let key = PrivateDecryptingKey::generate(KeySize::Rsa2048).unwrap();
        let der: PublicKeyX509Der<'_> = key.public_key().as_der().unwrap();
        let challenge = challenge(&BASE64.encode(der.as_ref()));
        (key, challenge)
    }

    fn answer(challenge: &Challenge, password: &str, padding: Padding) -> Result<String, Problem> {
        let password = Secret::new(password.to_owned());
        let header = authorization(challenge, "ad\"min", &password, padding)?;
        assert!(header.is_sensitive());
        Ok(header.to_str().unwrap().to_owned())
    }

    fn data(header: &str) -> Vec<u8> {
        let data = header.strip_prefix("SNWL-PK-AUTH user=\"ad\\\"min\", data=\"");
        let data = data.unwrap().strip_suffix('"').unwrap();
        BASE64.decode(data.as_bytes()).unwrap()
    }

    #[test]
    fn the_device_reads_the_password_with_the_padding_that_was_chosen() {
        let (key, challenge) = device();
        let mut room = [0; 256];
        let oaep = data(&answer(&challenge, "pässword", Padding::Oaep).unwrap());
        let device = OaepPrivateDecryptingKey::new(key.clone()).unwrap();
        let read = device.decrypt(&OAEP_SHA256_MGF1SHA256, &oaep, &mut room, None);
        assert_eq!(read.unwrap(), "pässword".as_bytes());

        let pkcs1 = data(&answer(&challenge, "pässword", Padding::Pkcs1).unwrap());
        let device = Pkcs1PrivateDecryptingKey::new(key).unwrap();
        let read = device.decrypt(&pkcs1, &mut room);
        assert_eq!(read.unwrap(), "pässword".as_bytes());
    }

    #[test]
    fn a_challenge_that_cannot_be_answered_says_whose_fault_it_is() {
        let (_, good) = device();
        let long = "x".repeat(200);
        for (challenge, password, kind) in [
            (&good, long.as_str(), FailureKind::Local),
            (&challenge("AAAA"), "x", FailureKind::Refused),
            (&challenge("no base64"), "x", FailureKind::Unexpected),
        ] {
            let problem = answer(challenge, password, Padding::Oaep).unwrap_err();
            assert_eq!(problem.0, kind, "{}", problem.1);
        }
    }
}
