//! The host keys of the SCP server: made on first use, and the same from then on. A key that is damaged or that other
//! users can read is refused and never overwritten: an operator has to check it.

use std::fs::File;
use std::io::{ErrorKind, Read};
use std::os::unix::fs::MetadataExt;
use std::path::Path;

use rcgen::{KeyPair, PKCS_ECDSA_P256_SHA256, PKCS_ED25519, PKCS_RSA_SHA256, RsaKeySize};
use russh::keys::ssh_key::HashAlg;
use russh::keys::{PrivateKey, decode_secret_key};

use super::HostKey;
use crate::failure::{Failure, FailureKind};
use crate::private_file;
use crate::random::Random;

/// Reads the keys in `folder`; makes those that are missing. Blocks.
///
/// # Errors
/// `Local` when a key cannot be read, written or understood, or is readable for others.
pub(super) fn read_or_make(folder: &Path, random: &dyn Random) -> Result<Vec<PrivateKey>, Failure> {
    KINDS
        .iter()
        .map(|kind| kind.read_or_make(folder, random))
        .collect()
}

/// What an operator compares.
pub(super) fn public_key(key: &PrivateKey) -> HostKey {
    HostKey {
        algorithm: key.algorithm().as_str().to_owned(),
        fingerprint: key.public_key().fingerprint(HashAlg::Sha256).to_string(),
    }
}

/// A kind of key, with the file that it is kept in.
struct Kind {
    file: &'static str,
    make: fn() -> Result<KeyPair, rcgen::Error>,
}

/// Old devices support only RSA; current ones require one of the others.
const KINDS: [Kind; 3] = [
    Kind {
        file: "ssh_host_ed25519_key",
        make: || KeyPair::generate_for(&PKCS_ED25519),
    },
    Kind {
        file: "ssh_host_ecdsa_key",
        make: || KeyPair::generate_for(&PKCS_ECDSA_P256_SHA256),
    },
    Kind {
        file: "ssh_host_rsa_key",
        make: || KeyPair::generate_rsa_for(&PKCS_RSA_SHA256, RsaKeySize::_3072),
    },
];

impl Kind {
    fn read_or_make(&self, folder: &Path, random: &dyn Random) -> Result<PrivateKey, Failure> {
        let path = folder.join(self.file);
        if let Some(key) = read(&path)? {
            return Ok(key);
        }
        let made = (self.make)().map_err(|error| broken("make", &path, &error))?;
        match private_file::create(&path, made.serialize_pem().as_bytes(), random) {
            // Another process was faster: its key counts.
            Err(error) if error.kind() == ErrorKind::AlreadyExists => {}
            Err(error) => {
                let advice = format!("{error}; renewd needs to write in its state directory");
                return Err(broken("write", &path, &advice));
            }
            Ok(()) => tracing::info!(path = %path.display(), "made a host key for transfers"),
        }
        read(&path)?.ok_or_else(|| broken("read", &path, &"it is gone again"))
    }
}

/// The key in `path`; `None` when there is no such file.
fn read(path: &Path) -> Result<Option<PrivateKey>, Failure> {
    let mut file = match File::open(path) {
        Ok(file) => file,
        Err(error) if error.kind() == ErrorKind::NotFound => return Ok(None),
        Err(error) => return Err(broken("read", path, &error)),
    };
    let mode = file
        .metadata()
        .map_err(|error| broken("read", path, &error))?
        .mode();
    if mode & 0o077 != 0 {
        let advice = "others can read or change it, so it may be known to them: delete it, and renewd makes a new one \
                      (compare the new fingerprint where a device knows the old one)";
        return Err(broken("use", path, &advice));
    }
    let mut text = String::new();
    file.read_to_string(&mut text)
        .map_err(|error| broken("read", path, &error))?;
    // The decoder's own words are about ASN.1 and could repeat what it read.
    let key = decode_secret_key(&text, None).map_err(|_| {
        let advice = "it is no private key in PKCS#8 or OpenSSH form without a passphrase: restore it from a backup, \
                      or delete it, and renewd makes a new one";
        broken("use", path, &advice)
    })?;
    Ok(Some(key))
}

fn broken(verb: &str, path: &Path, why: &dyn std::fmt::Display) -> Failure {
    let call = format!("{verb} the host key {}", path.display());
    Failure::new(FailureKind::Local, call, why)
}

#[cfg(test)]
mod tests {
    use std::fs::Permissions;
    use std::os::unix::fs::PermissionsExt;

    use super::*;
    use crate::random::SystemRandom;

    fn shown_in(folder: &Path) -> Vec<HostKey> {
        let keys = read_or_make(folder, &SystemRandom).unwrap();
        keys.iter().map(public_key).collect()
    }

    fn mode(path: &Path) -> u32 {
        std::fs::metadata(path).unwrap().permissions().mode() & 0o777
    }

    #[test]
    fn keys_are_made_once_for_our_account_alone_and_stay_the_same() {
        let state = tempfile::tempdir().unwrap();
        let folder = state.path().join("ssh");
        let made = shown_in(&folder);
        let algorithms: Vec<&str> = made.iter().map(|key| key.algorithm.as_str()).collect();
        assert_eq!(
            algorithms,
            ["ssh-ed25519", "ecdsa-sha2-nistp256", "ssh-rsa"]
        );
        assert!(
            made.iter()
                .all(|key| key.fingerprint.starts_with("SHA256:"))
        );
        assert_eq!(shown_in(&folder), made);
        assert_eq!(mode(&folder), 0o700);
        let files: Vec<_> = std::fs::read_dir(&folder)
            .unwrap()
            .map(|entry| entry.unwrap().path())
            .collect();
        assert_eq!(files.len(), 3, "{files:?}");
        assert!(files.iter().all(|file| mode(file) == 0o600));
    }

    #[test]
    fn a_key_that_others_can_read_is_refused_and_left_as_it_is() {
        let state = tempfile::tempdir().unwrap();
        let path = state.path().join("ssh_host_ed25519_key");
        std::fs::write(&path, "whatever").unwrap();
        std::fs::set_permissions(&path, Permissions::from_mode(0o640)).unwrap();
        let failure = read_or_make(state.path(), &SystemRandom).unwrap_err();
        assert_eq!(failure.kind, FailureKind::Local);
        assert!(failure.detail.contains("others can read"), "{failure}");
        assert_eq!(std::fs::read_to_string(&path).unwrap(), "whatever");
    }

    #[test]
    fn a_broken_key_is_refused_and_left_as_it_is() {
        let state = tempfile::tempdir().unwrap();
        let path = state.path().join("ssh_host_ed25519_key");
        std::fs::write(&path, "-----BEGIN PRIVATE KEY-----\nc2VjcmV0\n").unwrap();
        std::fs::set_permissions(&path, Permissions::from_mode(0o600)).unwrap();
        let failure = read_or_make(state.path(), &SystemRandom).unwrap_err();
        assert!(
            failure.detail.contains("restore it from a backup"),
            "{failure}"
        );
        assert!(!failure.to_string().contains("c2VjcmV0"), "{failure}");
        assert!(std::fs::read_to_string(&path).unwrap().contains("c2VjcmV0"));
    }
}
