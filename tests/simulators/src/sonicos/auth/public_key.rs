//! SNWL-PK-AUTH: the password comes encrypted with the device's own RSA key (SonicOS reference 1.2, "Public key").
//! `mod.rs` compares the password and counts wrong ones.

use std::fmt;

use aws_lc_rs::encoding::{AsDer, PublicKeyX509Der};
use aws_lc_rs::error::Unspecified;
use aws_lc_rs::rsa::{
    KeySize, OAEP_SHA256_MGF1SHA256, OaepPrivateDecryptingKey, Pkcs1PrivateDecryptingKey,
    PrivateDecryptingKey,
};
use data_encoding::BASE64;

use crate::sonicos::switch::PublicKeyPadding;

/// The device's key for logins: generated on first use, kept until the end.
#[derive(Default)]
pub(super) struct LoginKey(Option<PrivateDecryptingKey>);

impl LoginKey {
    /// The text after `SNWL-PK-AUTH ` in the challenge. guess: 2048 bits; `rsa_key_size` is a device setting (1.1).
    pub(super) fn challenge(&mut self) -> Option<String> {
        if self.0.is_none() {
            self.0 = PrivateDecryptingKey::generate(KeySize::Rsa2048).ok();
        }
        let public_key: PublicKeyX509Der<'_> = self.0.as_ref()?.public_key().as_der().ok()?;
        let key = BASE64.encode(public_key.as_ref());
        Some(format!("type=RSA, key=\"{key}\""))
    }

    /// User and password of `user="...", data="..."`; `None` when it cannot be read, for instance for another key or
    /// with another padding.
    pub(super) fn open(
        &self,
        parameters: &str,
        padding: PublicKeyPadding,
    ) -> Option<(String, String)> {
        let data = BASE64
            .decode(parameter(parameters, "data")?.as_bytes())
            .ok()?;
        let password = String::from_utf8(self.decrypt(&data, padding).ok()?).ok()?;
        Some((parameter(parameters, "user")?.to_owned(), password))
    }

    fn decrypt(&self, data: &[u8], padding: PublicKeyPadding) -> Result<Vec<u8>, Unspecified> {
        let key = self.0.clone().ok_or(Unspecified)?;
        let mut plaintext = vec![0; key.key_size_bytes()];
        let plaintext = match padding {
            PublicKeyPadding::Off => return Err(Unspecified),
            PublicKeyPadding::Pkcsv15 => {
                Pkcs1PrivateDecryptingKey::new(key)?.decrypt(data, &mut plaintext)?
            }
            PublicKeyPadding::OaepSha256 => OaepPrivateDecryptingKey::new(key)?.decrypt(
                &OAEP_SHA256_MGF1SHA256,
                data,
                &mut plaintext,
                None,
            )?,
        };
        Ok(plaintext.to_vec())
    }
}

/// The key stays out of it.
impl fmt::Debug for LoginKey {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str("LoginKey")
    }
}

/// The value of `name="value"`.
fn parameter<'a>(parameters: &'a str, name: &str) -> Option<&'a str> {
    parameters.split(',').find_map(|pair| {
        let (key, value) = pair.trim().split_once('=')?;
        (key == name).then(|| value.trim_matches('"'))
    })
}

#[cfg(test)]
mod tests {
    use super::parameter;

    #[test]
    fn base64_padding_is_part_of_the_value() {
        let header = "user=\"admin\", data=\"AQ==\"";
        assert_eq!(parameter(header, "user"), Some("admin"));
        assert_eq!(parameter(header, "data"), Some("AQ=="));
        assert_eq!(parameter(header, "key"), None);
    }
}
