//! Which algorithms the SCP server offers: today's first, then those that the firmware of many years knows.
//!
//! The old ones are offered although they are weak, because what is left for a device without them is FTP, in clear
//! text. What they protect is little: the one-time name and password are worth nothing when the transfer is over, a
//! request and a certificate are no secrets and are checked when they arrive, and a key pair goes sealed with a
//! password of its own. A device that compares no host key is not protected from an attacker on the path by any
//! algorithm. Compression is not offered: nothing can unfold in memory.

use std::borrow::Cow;

use russh::{Preferred, cipher, compression, kex, mac};

/// The lists, most wanted first; the client's order decides (RFC 4253, 7.1).
pub(super) fn offered() -> Preferred {
    let today = Preferred::DEFAULT;
    Preferred {
        kex: joined(&today.kex, &OLD_KEX),
        cipher: joined(&today.cipher, &OLD_CIPHERS),
        mac: joined(&today.mac, &OLD_MACS),
        compression: Cow::Borrowed(&[compression::NONE]),
        ..today
    }
}

fn joined<T: Copy>(today: &[T], old: &[T]) -> Cow<'static, [T]> {
    today.iter().chain(old).copied().collect()
}

const OLD_KEX: [kex::Name; 6] = [
    kex::ECDH_SHA2_NISTP256,
    kex::ECDH_SHA2_NISTP384,
    kex::ECDH_SHA2_NISTP521,
    kex::DH_GEX_SHA1,
    kex::DH_G14_SHA1,
    kex::DH_G1_SHA1,
];

const OLD_CIPHERS: [cipher::Name; 3] = [
    cipher::AES_256_CBC,
    cipher::AES_192_CBC,
    cipher::AES_128_CBC,
];

const OLD_MACS: [mac::Name; 2] = [mac::HMAC_SHA1_ETM, mac::HMAC_SHA1];

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn old_algorithms_stand_behind_todays_and_nothing_is_compressed() {
        let offered = offered();
        let position = |name: &str| offered.kex.iter().position(|kex| kex.as_ref() == name);
        assert!(
            position("curve25519-sha256").unwrap()
                < position("diffie-hellman-group14-sha1").unwrap()
        );
        assert_eq!(offered.compression.len(), 1);
        let ciphers: Vec<&str> = offered.cipher.iter().map(AsRef::as_ref).collect();
        assert_eq!(ciphers.last(), Some(&"aes128-cbc"));
        assert!(!ciphers.contains(&"none") && !ciphers.contains(&"clear"));
    }
}
