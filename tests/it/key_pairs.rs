//! Key pairs that renewd makes itself: several names in one certificate, and a private key that is nowhere in clear.

use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex};

use async_trait::async_trait;
use data_encoding::{BASE64, HEXLOWER, HEXUPPER};
use renewd::inventory::{Renewal, SealedKey, State};
use renewd::pki::{AlternateName, PrivateKey};
use renewd::random::SystemRandom;
use renewd::renewal::{Checkpoint, Moment, Step};
use renewd::seal::Sealer;
use renewd::store::CommitObserver;
use simulators::sonicos::{KeyPairEncryption, KeyPairForm, On, Profile, Variants};

use crate::survives_crash::{FORWARD, kill_at};
use crate::test_bed::{self, TestBed};

const NAMES: [&str; 3] = ["vpn.example.com", "*.example.net", "192.0.2.1"];

/// A test bed whose certificate has several names and a key that renewd makes.
async fn bed(profile: Profile, variants: Variants) -> TestBed {
    let bed = TestBed::with(profile, variants).await;
    ask_for_own_key(&bed);
    bed
}

fn ask_for_own_key(bed: &TestBed) {
    let text = std::fs::read_to_string(bed.config_file()).unwrap();
    let several =
        "dns_names = [\"vpn.example.com\", \"*.example.net\"]\nip_addresses = [\"192.0.2.1\"]";
    let changed = text
        .replace("dns_names = [\"vpn.example.com\"]", several)
        .replace("size = 256 }", "size = 256, origin = \"renewd\" }");
    assert_ne!(changed, text);
    std::fs::write(bed.config_file(), changed).unwrap();
}

/// One signature, one import, every name on both ports, and no key left here.
async fn assert_installed_with_own_key(bed: &TestBed) -> Renewal {
    let renewals = bed.renewals().await;
    assert_eq!(renewals.len(), 1, "{renewals:#?}");
    let renewal = &renewals[0];
    assert_eq!(renewal.state, State::Completed, "{:?}", renewal.last_error);
    assert_eq!(renewal.obtained.sealed_key, None);
    assert_eq!(bed.signatures(), 1, "signatures of the CA");
    let counters = bed.simulator.counters();
    assert_eq!(
        counters.key_pair_imports,
        1,
        "{:#?}",
        bed.simulator.journal()
    );
    assert_eq!(counters.key_pairs_generated, 0);
    for seen in bed.seen().await {
        assert_eq!(Some(seen.fingerprint), renewal.obtained.fingerprint);
        let names: Vec<String> = seen
            .alternate_names
            .iter()
            .map(AlternateName::to_string)
            .collect();
        assert_eq!(names, NAMES);
    }
    bed.assert_left_in_order();
    renewal.clone()
}

async fn renews(profile: Profile, variants: Variants) {
    let bed = bed(profile, variants).await;
    let report = bed.run_once().await;
    assert!(!report.has_failed(), "{report:#?}");
    assert_installed_with_own_key(&bed).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn several_names_and_a_wildcard_are_served_with_a_key_of_renewd_on_every_generation() {
    for profile in [Profile::V7_0, Profile::V7_X, Profile::V8] {
        renews(profile, Variants::kind()).await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_device_with_common_faults_still_takes_a_key_of_renewd() {
    for profile in [Profile::V7_0, Profile::V7_X, Profile::V8] {
        renews(profile, Variants::default()).await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn whichever_form_and_encryption_a_device_takes_is_found_out() {
    for form in [KeyPairForm::Path, KeyPairForm::Multipart, KeyPairForm::Both] {
        for encryption in [KeyPairEncryption::LegacyOnly, KeyPairEncryption::ModernOnly] {
            for profile in [Profile::V7_0, Profile::V8] {
                let variants = Variants {
                    key_pair_form: Some(form),
                    key_pair_encryption: encryption,
                    ..Variants::kind()
                };
                renews(profile, variants).await;
            }
        }
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_6_5_fetches_the_file_itself_and_gets_the_encryption_that_it_opens() {
    for encryption in [KeyPairEncryption::Any, KeyPairEncryption::LegacyOnly] {
        let variants = Variants {
            key_pair_encryption: encryption,
            ..Variants::kind()
        };
        renews(Profile::V6_5, variants).await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_device_without_such_an_import_is_reported_with_a_remedy() {
    let variants = Variants {
        key_pair_form: Some(KeyPairForm::Neither),
        ..Variants::kind()
    };
    let bed = bed(Profile::V8, variants).await;
    assert!(bed.run_once().await.has_failed());
    let renewal = &bed.renewals().await[0];
    assert_eq!(
        renewal.state,
        State::Issued,
        "what was ordered is not thrown away"
    );
    let error = renewal.last_error.as_deref().unwrap();
    assert!(error.contains("origin = \"firewall\""), "{error}");
}

#[tokio::test(flavor = "multi_thread")]
async fn the_private_key_is_never_on_the_disk_in_clear_nor_in_any_form_after_the_verification() {
    let bed = bed(Profile::V8, Variants::kind()).await;
    let watcher = Arc::new(Watcher::new(bed.folder.path()));
    let checkpoint = Arc::clone(&watcher);
    test_bed::run_once(&bed.config_file(), Arc::clone(&bed.clock), checkpoint).await;
    let renewal = assert_installed_with_own_key(&bed).await;
    watcher.look("the end");

    let looks = watcher.looks.lock().unwrap();
    let found = looks
        .iter()
        .find_map(|look| sealed_in(&look.bytes))
        .unwrap();
    let sealer = Sealer::new(None, bed.folder.path(), Arc::new(SystemRandom));
    let key = sealer.open(&found, &renewal.id.0).unwrap();
    let forms = forms_of(&key);
    for look in looks.iter() {
        let unbroken: Vec<u8> = look
            .bytes
            .iter()
            .copied()
            .filter(|b| !b.is_ascii_whitespace())
            .collect();
        for form in &forms {
            assert!(
                !holds(&look.bytes, form) && !holds(&unbroken, form),
                "{}",
                look.what
            );
        }
    }
    let after_proof = looks.iter().skip_while(|look| {
        !look
            .what
            .starts_with(&format!("{:?}", Moment::Stored(State::Verified)))
    });
    assert!(
        after_proof
            .clone()
            .any(|look| look.what.ends_with("renewd.db"))
    );
    for look in after_proof {
        assert!(!holds(&look.bytes, MARK), "{}", look.what);
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn killed_at_any_moment_one_key_of_renewd_is_installed_with_one_signature() {
    let mut moments = vec![
        Moment::Intended(Step::Submit),
        Moment::Intended(Step::Import),
    ];
    for step in FORWARD {
        moments.extend([Moment::Before(step), Moment::Acted(step)]);
    }
    let states = State::ALL
        .into_iter()
        .filter(|state| *state <= State::Verified);
    moments.extend(states.skip(1).map(Moment::Stored));
    for moment in moments {
        let bed = bed(Profile::V8, Variants::kind()).await;
        kill_at(&bed.config_file(), moment);
        let report = bed.run_once().await;
        assert!(
            !report.has_failed(),
            "after a kill at {moment:?}: {report:#?}"
        );
        assert_installed_with_own_key(&bed).await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_rolled_back_certificate_is_installed_again_from_the_device_without_its_key_here() {
    let variants = Variants {
        serve_wrong_certificate_after_bind: On::SslVpn,
        ..Variants::kind()
    };
    let bed = bed(Profile::V8, variants).await;
    bed.run_once().await;
    let rolled_back = &bed.renewals().await[0];
    assert_eq!(rolled_back.state, State::RolledBack);
    assert_eq!(rolled_back.obtained.sealed_key, None);
    bed.simulator.set(|variants| *variants = Variants::kind());
    bed.clock.advance(jiff::SignedDuration::from_hours(25));
    let report = bed.run_once().await;
    assert!(!report.has_failed(), "{report:#?}");
    assert_eq!(bed.renewals().await[0].state, State::Completed);
    assert_eq!(bed.signatures(), 1, "the CA signed once");
    assert_eq!(bed.simulator.counters().key_pair_imports, 1);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_sealing_key_that_was_lost_before_the_order_costs_no_order() {
    let bed = bed(Profile::V8, Variants::kind()).await;
    kill_at(&bed.config_file(), Moment::Stored(State::CsrGenerated));
    std::fs::write(bed.folder.path().join("seal.key"), BASE64.encode(&[9; 32])).unwrap();
    bed.run_once().await;
    let given_up = bed.renewals().await.pop().unwrap();
    assert_eq!(given_up.state, State::Failed);
    assert_eq!(given_up.obtained.sealed_key, None);
    assert_eq!(bed.signatures(), 0);
    assert!(bed.has_event("renewal_failed").await);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_sealing_key_that_is_missing_after_the_order_is_requested_and_the_order_is_kept() {
    let bed = bed(Profile::V8, Variants::kind()).await;
    kill_at(&bed.config_file(), Moment::Stored(State::Issued));
    let file = bed.folder.path().join("seal.key");
    let former = std::fs::read(&file).unwrap();
    std::fs::write(&file, BASE64.encode(&[9; 32])).unwrap();
    assert!(bed.run_once().await.has_failed());
    let waiting = &bed.renewals().await[0];
    assert_eq!(waiting.state, State::Issued);
    let error = waiting.last_error.as_deref().unwrap();
    assert!(error.contains("put the former sealing key back"), "{error}");
    std::fs::write(&file, former).unwrap();
    bed.clock.advance(jiff::SignedDuration::from_mins(2));
    bed.run_once().await;
    assert_installed_with_own_key(&bed).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_changed_key_origin_makes_a_new_key_before_an_order_and_not_after_it() {
    for (state, signatures) in [(State::CsrExported, 0), (State::Issued, 1)] {
        let bed = TestBed::new(Profile::V8).await;
        kill_at(&bed.config_file(), Moment::Stored(state));
        let text = std::fs::read_to_string(bed.config_file()).unwrap();
        let changed = text.replace("size = 256 }", "size = 256, origin = \"renewd\" }");
        std::fs::write(bed.config_file(), changed).unwrap();
        assert_eq!(bed.signatures(), signatures);
        bed.run_once().await;
        assert_eq!(bed.signatures(), 1, "{state}");
        // Both are planned at the same moment, so that neither is the newer one.
        let renewals = bed.renewals().await;
        let completed = renewals.iter().filter(|one| one.state == State::Completed);
        assert_eq!(completed.count(), 1, "{state}: {renewals:#?}");
        let imports = bed.simulator.counters().key_pair_imports;
        assert_eq!(imports, 1 - signatures as u64, "{state}");
    }
}

/// Reads every file of a folder at every moment.
#[derive(Debug)]
struct Watcher {
    folder: PathBuf,
    looks: Mutex<Vec<FileSnapshot>>,
}

/// What was in a file at a moment.
#[derive(Debug)]
struct FileSnapshot {
    /// The moment and the file.
    what: String,
    bytes: Vec<u8>,
}

impl Watcher {
    fn new(folder: &Path) -> Self {
        Self {
            folder: folder.to_owned(),
            looks: Mutex::default(),
        }
    }

    fn look(&self, moment: &str) {
        let mut folders = vec![self.folder.clone()];
        while let Some(folder) = folders.pop() {
            for entry in std::fs::read_dir(folder).unwrap() {
                let path = entry.unwrap().path();
                if path.is_dir() {
                    folders.push(path);
                } else if let Ok(bytes) = std::fs::read(&path) {
                    let what = format!("{moment} {}", path.display());
                    self.looks
                        .lock()
                        .unwrap()
                        .push(FileSnapshot { what, bytes });
                }
            }
        }
    }
}

impl CommitObserver for Watcher {}

#[async_trait]
impl Checkpoint for Watcher {
    async fn pass(&self, moment: Moment) {
        self.look(&format!("{moment:?}"));
    }
}

/// The first sealed key in `bytes`.
fn sealed_in(bytes: &[u8]) -> Option<SealedKey> {
    let start = bytes
        .windows(MARK.len())
        .position(|window| window == MARK)?;
    let is_of_it = |byte: &&u8| byte.is_ascii_alphanumeric() || b"-:+/=".contains(byte);
    let text: Vec<u8> = bytes[start..]
        .iter()
        .take_while(is_of_it)
        .copied()
        .collect();
    Some(SealedKey::new(String::from_utf8(text).unwrap()))
}

/// Every form in which the secret number of a P-256 key may lie about: raw, hexadecimal, and base64 however it is aligned.
fn forms_of(key: &PrivateKey) -> Vec<Vec<u8>> {
    let der = key.pkcs8();
    assert_eq!(
        der[34..36],
        [0x04, 32],
        "the secret number is an OCTET STRING there"
    );
    let secret = &der[36..68];
    let aligned = (0..3).map(|skip| BASE64.encode(&secret[skip..skip + 27]).into_bytes());
    [
        secret.to_vec(),
        HEXLOWER.encode(secret).into_bytes(),
        HEXUPPER.encode(secret).into_bytes(),
    ]
    .into_iter()
    .chain(aligned)
    .collect()
}

fn holds(bytes: &[u8], form: &[u8]) -> bool {
    bytes.windows(form.len()).any(|window| window == form)
}

/// In front of everything that is sealed.
const MARK: &[u8] = b"sealed-1:";
