//! Seals stored private keys: AES-256-GCM (NIST SP 800-38D) under a key that is stored elsewhere.
//! Authenticates stored plaintext that decides about trust, under the same key: HMAC-SHA-256 (RFC 2104).
//!
//! A seal is bound to what it was made for: the key of one renewal cannot be put in the place of another's. The sealing
//! key is read at each use, so that it is in memory only for a moment.

use std::fs;
use std::io;
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use aws_lc_rs::aead::{AES_256_GCM, Aad, LessSafeKey, NONCE_LEN, Nonce, UnboundKey};
use aws_lc_rs::hmac;
use data_encoding::BASE64;
use zeroize::Zeroizing;

use crate::inventory::SealedKey;
use crate::pki::PrivateKey;
use crate::private_file;
use crate::random::Random;
use crate::secret::SecretSource;

/// Seals and opens.
#[derive(Debug, Clone)]
pub struct Sealer {
    place: SealingKeyLocation,
    random: Arc<dyn Random>,
}

/// Where the sealing key lies.
#[derive(Debug, Clone)]
pub struct SealingKeyLocation {
    /// As configured; `None`: in a file of our own.
    source: Option<SecretSource>,
    /// renewd's own file, created on first use.
    file: PathBuf,
}

/// The key of an account, opened.
pub struct Opened {
    /// PKCS#8 DER.
    pub pkcs8: Zeroizing<Vec<u8>>,
    /// Whether it was still sealed under the key in our own file, although another is configured: seal it anew.
    pub is_under_former_key: bool,
}

/// Why a key could not be sealed or opened. Says where the sealing key was looked for, never what was found.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum SealError {
    /// There is no usable sealing key. After an operator has fixed that, a retry succeeds.
    #[error("the sealing key, {place}: {problem}")]
    NoKey {
        /// Where it was looked for.
        place: String,
        /// What is wrong with it and what to do.
        problem: String,
    },
    /// It was sealed under another sealing key or for something else, or it was changed.
    #[error(
        "the private key does not open with the sealing key, {place}: put the former sealing key back; else this renewal \
         is given up after some tries, and the next one makes a new key"
    )]
    Closed {
        /// Where the sealing key is.
        place: String,
    },
}

impl SealingKeyLocation {
    /// The sealing key is at `source`, or else in a file in `state_directory`.
    pub fn new(source: Option<SecretSource>, state_directory: &Path) -> Self {
        Self {
            source,
            file: own_file(state_directory),
        }
    }
}

impl Sealer {
    /// A sealer whose sealing key is at `source`, or else in a file in `state_directory`. Nothing is read yet.
    pub fn new(
        source: Option<SecretSource>,
        state_directory: &Path,
        random: Arc<dyn Random>,
    ) -> Self {
        Self::at(SealingKeyLocation::new(source, state_directory), random)
    }

    /// A sealer whose sealing key is at `place`. Nothing is read yet.
    pub fn at(place: SealingKeyLocation, random: Arc<dyn Random>) -> Self {
        Self { place, random }
    }

    /// Seals the key of the renewal `purpose`. Makes the sealing key when it is to lie in our own file and there is none.
    ///
    /// # Errors
    /// `NoKey`.
    pub fn seal(&self, key: &PrivateKey, purpose: &str) -> Result<SealedKey, SealError> {
        self.sealed(key.pkcs8(), &of_renewal(purpose))
            .map(SealedKey::new)
    }

    /// Opens what `seal` made for the same `purpose`.
    ///
    /// # Errors
    /// `NoKey`, or `Closed` when it does not belong to this sealing key and purpose.
    pub fn open(&self, sealed: &SealedKey, purpose: &str) -> Result<PrivateKey, SealError> {
        let mut opened = self.opened(sealed.text(), &of_renewal(purpose))?;
        Ok(PrivateKey::from_pkcs8(std::mem::take(&mut *opened.pkcs8)))
    }

    /// Seals the key of an account at a CA, PKCS#8 DER, as `seal` does.
    ///
    /// # Errors
    /// `NoKey`.
    pub fn seal_account(&self, pkcs8: &[u8]) -> Result<String, SealError> {
        self.sealed(pkcs8, OF_ACCOUNT)
    }

    /// Opens what `seal_account` made.
    ///
    /// # Errors
    /// As `open`.
    pub fn open_account(&self, sealed: &str) -> Result<Opened, SealError> {
        self.opened(sealed, OF_ACCOUNT)
    }

    /// A code over `parts` for `label` only. It cannot be computed without the sealing key. Creates the sealing key as
    /// `seal` does.
    ///
    /// # Errors
    /// `NoKey`.
    pub fn authenticate(&self, label: &str, parts: &[&str]) -> Result<String, SealError> {
        if self.place.source.is_none() && !self.place.file.exists() {
            self.make_file()?;
        }
        let code = hmac::sign(&mac_key(&self.key()?, label), &framed(parts));
        Ok(format!("{MAC_VERSION}{}", BASE64.encode(code.as_ref())))
    }

    /// Whether `code` is what `authenticate` makes of the same. What was authenticated under the key in our own file still
    /// is after another one was configured.
    ///
    /// # Errors
    /// `NoKey`: authenticity cannot be verified now.
    pub fn is_authentic(&self, label: &str, parts: &[&str], code: &str) -> Result<bool, SealError> {
        if self.place.source.is_none() && !self.place.file.exists() {
            return Ok(false);
        }
        let code = code.strip_prefix(MAC_VERSION);
        let Some(code) = code.and_then(|code| BASE64.decode(code.as_bytes()).ok()) else {
            return Ok(false);
        };
        let framed = framed(parts);
        let verifies = |key: &[u8]| hmac::verify(&mac_key(key, label), &framed, &code).is_ok();
        Ok(verifies(&self.key()?) || self.former_key().is_some_and(|key| verifies(&key)))
    }

    fn sealed(&self, content: &[u8], bound_to: &str) -> Result<String, SealError> {
        if self.place.source.is_none() && !self.place.file.exists() {
            self.make_file()?;
        }
        let cipher = self.cipher()?;
        let mut nonce = [0; NONCE_LEN];
        self.random.fill(&mut nonce);
        // Room for the tag too: to grow would leave a copy of the key behind.
        let mut sealed = Vec::with_capacity(content.len() + AES_256_GCM.tag_len());
        sealed.extend_from_slice(content);
        let done = cipher.seal_in_place_append_tag(
            Nonce::assume_unique_for_key(nonce),
            Aad::from(bound_to.as_bytes()),
            &mut sealed,
        );
        // Only for more bytes than a key can have.
        done.map_err(|_| self.no_key("it does not seal"))?;
        let text = BASE64.encode(&[&nonce[..], &sealed].concat());
        Ok(format!("{VERSION}{text}"))
    }

    fn opened(&self, sealed: &str, bound_to: &str) -> Result<Opened, SealError> {
        if self.place.source.is_none() && !self.place.file.exists() {
            return Err(self.closed());
        }
        if let Some(pkcs8) = unsealed(&self.cipher()?, sealed, bound_to) {
            return Ok(Opened {
                pkcs8,
                is_under_former_key: false,
            });
        }
        let former = self.former_cipher();
        let pkcs8 = former.and_then(|former| unsealed(&former, sealed, bound_to));
        pkcs8
            .map(|pkcs8| Opened {
                pkcs8,
                is_under_former_key: true,
            })
            .ok_or_else(|| self.closed())
    }

    fn cipher(&self) -> Result<LessSafeKey, SealError> {
        self.cipher_of(&self.key()?)
    }

    /// Under the key in our own file, where another is configured by now: the operator moved it to a better place.
    fn former_cipher(&self) -> Option<LessSafeKey> {
        self.cipher_of(&self.former_key()?).ok()
    }

    fn cipher_of(&self, key: &[u8]) -> Result<LessSafeKey, SealError> {
        let key = UnboundKey::new(&AES_256_GCM, key).map(LessSafeKey::new);
        key.map_err(|_| self.no_key(NOT_A_KEY))
    }

    /// The sealing key.
    fn key(&self) -> Result<Zeroizing<Vec<u8>>, SealError> {
        match &self.place.source {
            Some(source) => self.key_from(source),
            None => self.own_key(),
        }
    }

    fn former_key(&self) -> Option<Zeroizing<Vec<u8>>> {
        let is_former = self.place.source.is_some() && self.place.file.exists();
        is_former.then(|| self.own_key().ok()).flatten()
    }

    fn own_key(&self) -> Result<Zeroizing<Vec<u8>>, SealError> {
        self.refuse_readable_by_others()?;
        self.key_from(&SecretSource::File(self.place.file.clone()))
    }

    fn key_from(&self, source: &SecretSource) -> Result<Zeroizing<Vec<u8>>, SealError> {
        let text = source.read().map_err(|error| SealError::NoKey {
            place: error.place,
            problem: error.problem,
        })?;
        let bytes = Zeroizing::new(
            BASE64
                .decode(text.expose().trim().as_bytes())
                .unwrap_or_default(),
        );
        if bytes.len() == KEY_LENGTH {
            Ok(bytes)
        } else {
            Err(self.no_key(NOT_A_KEY))
        }
    }

    /// Creates a sealing key. If another process creates one at the same time, the first key is used by both. Creates
    /// the state directory too: it may not exist if the database is stored elsewhere.
    fn make_file(&self) -> Result<(), SealError> {
        let mut bytes = Zeroizing::new([0; KEY_LENGTH]);
        self.random.fill(&mut *bytes);
        let text = Zeroizing::new(format!("{}\n", BASE64.encode(&*bytes)));
        match private_file::create(&self.place.file, text.as_bytes(), self.random.as_ref()) {
            Err(error) if error.kind() != io::ErrorKind::AlreadyExists => {
                Err(self.no_key(&format!("it cannot be made: {error}")))
            }
            _ => Ok(()),
        }
    }

    fn refuse_readable_by_others(&self) -> Result<(), SealError> {
        let found = fs::metadata(&self.place.file);
        let found = found.map_err(|error| self.no_key(&error.to_string()))?;
        let mode = found.permissions().mode() & 0o777;
        let of_others = mode & 0o077;
        if of_others == 0 {
            return Ok(());
        }
        Err(self.no_key(&format!(
            "other users may have read it (mode {mode:04o}): find out whether they did, then run `chmod 600` on it"
        )))
    }

    /// Where the sealing key is, in words; whether or not one is there.
    pub fn location(&self) -> String {
        match &self.place.source {
            Some(source) => source.to_string(),
            None => format!("file {}", self.place.file.display()),
        }
    }

    fn no_key(&self, problem: &str) -> SealError {
        SealError::NoKey {
            place: self.location(),
            problem: problem.to_owned(),
        }
    }

    fn closed(&self) -> SealError {
        SealError::Closed {
            place: self.location(),
        }
    }
}

/// Does not show the key.
impl std::fmt::Debug for Opened {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Opened").finish_non_exhaustive()
    }
}

/// Where the sealing key lies, or will lie, when the configuration names none.
pub fn own_file(state_directory: &Path) -> PathBuf {
    state_directory.join(FILE)
}

/// What `sealed` holds, if it was sealed with `cipher` and bound to the same.
fn unsealed(cipher: &LessSafeKey, sealed: &str, bound_to: &str) -> Option<Zeroizing<Vec<u8>>> {
    let text = sealed.strip_prefix(VERSION)?;
    let mut bytes = Zeroizing::new(BASE64.decode(text.as_bytes()).ok()?);
    let (nonce, content) = bytes.split_at_mut_checked(NONCE_LEN)?;
    let nonce = Nonce::try_assume_unique_for_key(nonce).ok()?;
    let opened = cipher.open_in_place(nonce, Aad::from(bound_to.as_bytes()), content);
    opened.ok().map(|opened| Zeroizing::new(opened.to_vec()))
}

/// A key for codes of `label` alone, and for nothing that is sealed.
fn mac_key(key: &[u8], label: &str) -> hmac::Key {
    let key = hmac::Key::new(hmac::HMAC_SHA256, key);
    let derived = hmac::sign(&key, format!("renewd code of {label}").as_bytes());
    hmac::Key::new(hmac::HMAC_SHA256, derived.as_ref())
}

/// Each part behind its length, so that no two lists of parts are the same bytes.
fn framed(parts: &[&str]) -> Vec<u8> {
    let mut bytes = Vec::new();
    for part in parts {
        bytes.extend((part.len() as u64).to_be_bytes());
        bytes.extend(part.as_bytes());
    }
    bytes
}

/// What a seal is bound to: both the kind of content and its owner are authenticated.
fn of_renewal(id: &str) -> String {
    format!("renewd private key of renewal {id}")
}

/// The same for the key of an account. Its file may be moved and renamed.
const OF_ACCOUNT: &str = "renewd key of an ACME account";

/// In the state directory.
const FILE: &str = "seal.key";
const KEY_LENGTH: usize = 32;
const NOT_A_KEY: &str =
    "its first line must be 32 random bytes in base64: make it with `openssl rand -base64 32`";
/// In front of a code as it is here: HMAC-SHA-256 in base64.
const MAC_VERSION: &str = "mac-1:";
/// In front of what is sealed as it is here: nonce, ciphertext and tag in base64.
const VERSION: &str = "sealed-1:";

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, reason = "a test stops at the first surprise")]

    use super::*;
    use crate::pki::KeyKind;
    use crate::random::SeededRandom;

    fn sealer(folder: &Path) -> Sealer {
        Sealer::new(None, folder, Arc::new(SeededRandom::new(7)))
    }

    fn key() -> PrivateKey {
        PrivateKey::generate(KeyKind::Ecdsa(256)).unwrap()
    }

    #[test]
    fn what_was_sealed_opens_again_and_shows_nothing_of_the_key() {
        let folder = tempfile::tempdir().unwrap();
        let (ours, key) = (sealer(folder.path()), key());
        let sealed = ours.seal(&key, "r1").unwrap();
        assert_eq!(ours.open(&sealed, "r1").unwrap().pkcs8(), key.pkcs8());
        assert!(!sealed.text().contains(&BASE64.encode(&key.pkcs8()[36..66])));
        assert_eq!(format!("{sealed:?}"), "[sealed key]");
        let again = ours.seal(&key, "r1").unwrap();
        assert_ne!(again.text(), sealed.text(), "a nonce is used once");
    }

    #[test]
    fn a_seal_opens_for_its_own_renewal_and_unchanged_only() {
        let folder = tempfile::tempdir().unwrap();
        let ours = sealer(folder.path());
        let sealed = ours.seal(&key(), "r1").unwrap();
        let closed = |sealed: &SealedKey, purpose| {
            matches!(ours.open(sealed, purpose), Err(SealError::Closed { .. }))
        };
        assert!(closed(&sealed, "r2"));
        let mut bytes = BASE64
            .decode(sealed.text().strip_prefix(VERSION).unwrap().as_bytes())
            .unwrap();
        bytes[20] ^= 1;
        let changed = SealedKey::new(format!("{VERSION}{}", BASE64.encode(&bytes)));
        assert!(closed(&changed, "r1"));
        for text in [
            "",
            "sealed-1:",
            "sealed-1:AAAA",
            "sealed-2:AAAA",
            "sealed-1:!",
        ] {
            assert!(closed(&SealedKey::new(text.to_owned()), "r1"), "{text}");
        }
    }

    #[test]
    fn another_sealing_key_opens_nothing_and_says_what_to_do() {
        let folder = tempfile::tempdir().unwrap();
        let ours = sealer(folder.path());
        let sealed = ours.seal(&key(), "r1").unwrap();
        fs::write(folder.path().join(FILE), BASE64.encode(&[1; 32])).unwrap();
        let error = ours.open(&sealed, "r1").unwrap_err().to_string();
        assert!(error.contains("put the former sealing key back"), "{error}");
        fs::remove_file(folder.path().join(FILE)).unwrap();
        let error = ours.open(&sealed, "r1").unwrap_err();
        assert!(matches!(error, SealError::Closed { .. }), "{error}");
    }

    #[test]
    fn the_sealing_key_is_made_once_for_our_account_alone() {
        let folder = tempfile::tempdir().unwrap();
        let ours = sealer(folder.path());
        ours.make_file().unwrap();
        let file = folder.path().join(FILE);
        let first = fs::read(&file).unwrap();
        ours.make_file().unwrap();
        assert_eq!(fs::read(&file).unwrap(), first, "the first one counts");
        assert_eq!(fs::read_dir(folder.path()).unwrap().count(), 1);
        assert_eq!(
            fs::metadata(&file).unwrap().permissions().mode() & 0o777,
            0o600
        );

        fs::set_permissions(&file, fs::Permissions::from_mode(0o640)).unwrap();
        let error = ours.seal(&key(), "r1").unwrap_err().to_string();
        assert!(error.contains("chmod 600"), "{error}");
    }

    #[test]
    fn a_code_belongs_to_its_label_its_parts_and_the_sealing_key() {
        let folder = tempfile::tempdir().unwrap();
        let ours = sealer(folder.path());
        assert!(
            !ours.is_authentic("pins", &["hq"], "mac-1:AAAA").unwrap(),
            "no key yet"
        );
        let code = ours.authenticate("pins", &["hq", "ab"]).unwrap();
        assert!(ours.is_authentic("pins", &["hq", "ab"], &code).unwrap());
        let others: [(&str, &[&str]); 6] = [
            ("other", &["hq", "ab"]),
            ("pins", &["hq", "ac"]),
            ("pins", &["hqa", "b"]),
            ("pins", &["h", "qab"]),
            ("pins", &["hqab"]),
            ("pins", &["hq", "ab", ""]),
        ];
        for (label, parts) in others {
            assert!(
                !ours.is_authentic(label, parts, &code).unwrap(),
                "{label} {parts:?}"
            );
        }
        for broken in [
            "",
            "mac-1:",
            "mac-2:AAAA",
            "mac-1:!",
            &code[..code.len() - 4],
        ] {
            assert!(
                !ours.is_authentic("pins", &["hq", "ab"], broken).unwrap(),
                "{broken}"
            );
        }
        // Moved to a better place, the former key still counts; another one does not.
        let moved = folder.path().join("credential");
        fs::write(&moved, BASE64.encode(&[4; 32])).unwrap();
        let source = Some(SecretSource::File(moved));
        let later = Sealer::new(source, folder.path(), Arc::new(SeededRandom::new(8)));
        assert!(later.is_authentic("pins", &["hq", "ab"], &code).unwrap());
        fs::remove_file(folder.path().join(FILE)).unwrap();
        assert!(!later.is_authentic("pins", &["hq", "ab"], &code).unwrap());
    }

    #[test]
    fn a_sealing_key_that_is_none_is_refused_without_repeating_it() {
        let folder = tempfile::tempdir().unwrap();
        let file = folder.path().join("mine");
        let random = Arc::new(SeededRandom::new(7));
        let ours = Sealer::new(
            Some(SecretSource::File(file.clone())),
            folder.path(),
            random,
        );
        assert!(matches!(
            ours.seal(&key(), "r1"),
            Err(SealError::NoKey { .. })
        ));
        for text in ["hunter2", "aHVudGVyMg==", ""] {
            fs::write(&file, text).unwrap();
            let error = ours.seal(&key(), "r1").unwrap_err().to_string();
            assert!(
                error.contains("mine") && !error.contains("hunter2"),
                "{error}"
            );
        }
        fs::write(&file, BASE64.encode(&[3; 32])).unwrap();
        ours.seal(&key(), "r1").unwrap();
        assert!(
            !folder.path().join(FILE).exists(),
            "no file of our own beside it"
        );
    }

    #[test]
    fn a_sealing_key_that_was_moved_to_another_place_still_opens_what_the_former_one_sealed() {
        let folder = tempfile::tempdir().unwrap();
        let former = sealer(folder.path());
        let (account, renewal) = (b"account key".as_slice(), key());
        let sealed = former.seal_account(account).unwrap();
        let sealed_key = former.seal(&renewal, "r1").unwrap();
        let moved = folder.path().join("credential");
        fs::write(&moved, BASE64.encode(&[4; 32])).unwrap();
        let source = Some(SecretSource::File(moved));
        let ours = Sealer::new(source, folder.path(), Arc::new(SeededRandom::new(8)));
        let opened = ours.open_account(&sealed).unwrap();
        assert_eq!(
            (&opened.pkcs8[..], opened.is_under_former_key),
            (account, true)
        );
        assert_eq!(format!("{opened:?}"), "Opened { .. }");
        assert!(ours.open(&sealed_key, "r1").is_ok());

        let anew = ours.seal_account(account).unwrap();
        fs::remove_file(folder.path().join(FILE)).unwrap();
        assert!(!ours.open_account(&anew).unwrap().is_under_former_key);
        let closed = ours.open_account(&sealed);
        assert!(
            matches!(closed, Err(SealError::Closed { .. })),
            "{closed:?}"
        );
    }

    #[test]
    fn the_key_of_an_account_is_not_taken_for_that_of_a_renewal() {
        let folder = tempfile::tempdir().unwrap();
        let ours = sealer(folder.path());
        let sealed = SealedKey::new(ours.seal_account(key().pkcs8()).unwrap());
        assert!(ours.open(&sealed, "r1").is_err());
    }
}
