//! An attacker on the path between renewd and a firewall: replaces the request on its way, and later ends the TLS
//! connection with the certificate that the CA issued for it. No login may ever reach it.

use std::net::SocketAddr;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};

use async_trait::async_trait;
use jiff::SignedDuration;
use rcgen::{CertificateParams, KeyPair};
use renewd::clock::Clock;
use renewd::failure::FailureKind;
use renewd::firewall::{self, KnownDevice};
use renewd::inventory::{Renewal, State};
use renewd::pki::{Certificate, Csr, Fingerprint};
use renewd::renewal::{Checkpoint, Moment};
use renewd::store::{CommitObserver, Store};
use renewd::tls::{Anchor, Trust};
use renewd::transfer::Transfers;
use rustls::ServerConfig;
use rustls::pki_types::{CertificateDer, PrivateKeyDer};
use simulators::sonicos::{Profile, Variants};
use tokio::io::{AsyncReadExt, AsyncWriteExt, copy_bidirectional};
use tokio::net::{TcpListener, TcpStream};
use tokio::task::JoinHandle;
use tokio_rustls::TlsAcceptor;

use crate::test_bed::{CERTIFICATE, TestBed};
use crate::watches::meddle;

/// On the path to a firewall: passes connections through, or ends them with a certificate of its own.
#[derive(Debug)]
pub struct Attacker {
    pub address: SocketAddr,
    pub key: KeyPair,
    acceptor: Acceptor,
    loot: Arc<Mutex<Vec<u8>>>,
    refused: Arc<AtomicUsize>,
    task: JoinHandle<()>,
}

/// With what it ends connections; `None`: it passes them through.
#[derive(Clone, Default)]
struct Acceptor(Arc<Mutex<Option<TlsAcceptor>>>);

impl std::fmt::Debug for Acceptor {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Acceptor")
    }
}

impl Attacker {
    pub async fn before(firewall: SocketAddr) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap();
        let acceptor = Acceptor::default();
        let loot: Arc<Mutex<Vec<u8>>> = Arc::default();
        let refused = Arc::new(AtomicUsize::new(0));
        let (ours, taken, turned_away) =
            (acceptor.clone(), Arc::clone(&loot), Arc::clone(&refused));
        let task = tokio::spawn(async move {
            while let Ok((mut stream, _)) = listener.accept().await {
                let acceptor = ours.0.lock().unwrap().clone();
                let (taken, turned_away) = (Arc::clone(&taken), Arc::clone(&turned_away));
                tokio::spawn(async move {
                    let Some(acceptor) = acceptor else {
                        let mut real = TcpStream::connect(firewall).await.unwrap();
                        let _ = copy_bidirectional(&mut stream, &mut real).await;
                        return;
                    };
                    match acceptor.accept(stream).await {
                        Ok(stream) => ask_for_basic(stream, &taken).await,
                        Err(_) => {
                            turned_away.fetch_add(1, Ordering::SeqCst);
                        }
                    }
                });
            }
        });
        Self {
            address,
            key: KeyPair::generate().unwrap(),
            acceptor,
            loot,
            refused,
            task,
        }
    }

    /// Ends every connection from now on with `leaf` and the attacker's key.
    pub fn attack_with(&self, leaf: &Certificate) {
        let key = PrivateKeyDer::try_from(self.key.serialize_der()).unwrap();
        let config = ServerConfig::builder()
            .with_no_client_auth()
            .with_single_cert(vec![CertificateDer::from(leaf.der.clone())], key)
            .unwrap();
        *self.acceptor.0.lock().unwrap() = Some(TlsAcceptor::from(Arc::new(config)));
    }

    /// Passes connections through again.
    pub fn stop(&self) {
        *self.acceptor.0.lock().unwrap() = None;
    }

    /// How many handshakes were broken off.
    fn turned_away(&self) -> usize {
        self.refused.load(Ordering::SeqCst)
    }

    /// What it was sent after a handshake.
    fn loot(&self) -> String {
        String::from_utf8_lossy(&self.loot.lock().unwrap()).into_owned()
    }
}

impl Drop for Attacker {
    fn drop(&mut self) {
        self.task.abort();
    }
}

/// Takes whatever is sent, and asks for the password itself.
async fn ask_for_basic(
    mut stream: tokio_rustls::server::TlsStream<TcpStream>,
    loot: &Mutex<Vec<u8>>,
) {
    let mut buffer = vec![0; 16 << 10];
    while let Ok(read @ 1..) = stream.read(&mut buffer).await {
        loot.lock().unwrap().extend(&buffer[..read]);
        let answer = "HTTP/1.1 401 Unauthorized\r\nWWW-Authenticate: Basic realm=\"SonicOS\"\r\n\
                      Content-Length: 0\r\n\r\n";
        if stream.write_all(answer.as_bytes()).await.is_err() {
            return;
        }
    }
}

/// A device of `profile` behind an attacker who replaces its requests.
async fn test_bed_behind_attacker(profile: Profile, keys: &str) -> (TestBed, Arc<Attacker>) {
    let mut bed = TestBed::with(profile, Variants::kind()).await;
    let attacker = Attacker::before(bed.simulator.management()).await;
    bed.simulator.replace_requests(attacker.key.serialize_der());
    bed.set_keys(keys);
    let configured = std::fs::read_to_string(bed.config_file()).unwrap();
    let url = format!("url = \"{}\"", bed.simulator.url());
    assert!(configured.contains(&url), "{configured}");
    let ours = format!("url = \"https://{}\"", attacker.address);
    std::fs::write(bed.config_file(), configured.replace(&url, &ours)).unwrap();
    (bed, Arc::new(attacker))
}

/// The certificate that the CA has issued for the attacker's key.
async fn issued(store: &Store) -> Certificate {
    let renewal = store.renewals_of(CERTIFICATE, 1).await.unwrap().remove(0);
    let pem = renewal.obtained.leaf_pem.expect("the CA has issued it");
    Certificate::from_pem(&pem).unwrap()
}

/// Attacks in the moment in which `state` is stored.
#[derive(Debug)]
struct Ambush {
    attacker: Arc<Attacker>,
    database: String,
    state: State,
}

impl CommitObserver for Ambush {}

#[async_trait]
impl Checkpoint for Ambush {
    async fn pass(&self, moment: Moment) {
        if moment == Moment::Stored(self.state) {
            let store = Store::open(&self.database).await.unwrap();
            self.attacker.attack_with(&issued(&store).await);
            store.close().await;
        }
    }
}

const DEVICES: [(Profile, &str); 4] = [
    (Profile::V6_5, "file_transfer = { protocol = \"scp\" }"),
    (Profile::V6_5, "file_transfer = { protocol = \"ftp\" }"),
    (Profile::V7_X, ""),
    (Profile::V8, ""),
];

/// Runs for a day, as often as an operator would look.
async fn a_day_passes(bed: &TestBed) {
    for _ in 0..12 {
        bed.clock.advance(SignedDuration::from_hours(2));
        bed.run_once().await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn an_attacker_who_replaced_the_request_gets_no_login_with_the_certificate_that_was_issued_for_it()
 {
    for (profile, keys) in DEVICES {
        let (bed, attacker) = test_bed_behind_attacker(profile, keys).await;
        let ambush = Ambush {
            attacker: Arc::clone(&attacker),
            database: bed.config().daemon.database.clone(),
            state: State::Issued,
        };
        let clock = Arc::clone(&bed.clock);
        crate::test_bed::run_once(&bed.config_file(), clock, Arc::new(ambush)).await;
        a_day_passes(&bed).await;
        assert_eq!(attacker.loot(), "", "{profile:?} {keys}");
        assert!(attacker.turned_away() > 0, "it was never met");
        let renewal = bed.renewals().await.remove(0);
        assert_eq!(renewal.last_error_kind.as_deref(), Some("untrusted"));
        assert_eq!(bed.signatures(), 1);
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_certificate_for_another_key_holds_the_renewal_at_once_with_a_hint() {
    for (profile, keys) in DEVICES {
        let (bed, attacker) = test_bed_behind_attacker(profile, keys).await;
        let report = bed.run_once().await;
        assert!(report.has_failed());
        let logins = bed.simulator.counters().logins;
        attacker.attack_with(&issued(&bed.store().await).await);
        a_day_passes(&bed).await;
        assert_eq!(attacker.loot(), "", "{profile:?} {keys}");
        assert_eq!(attacker.turned_away(), 0, "it was asked again");
        assert_eq!(bed.simulator.counters().logins, logins, "a login more");
        let renewal = bed.renewals().await.remove(0);
        assert_eq!(renewal.last_error_kind.as_deref(), Some("key_mismatch"));
        assert_eq!(renewal.next_attempt_at, None, "held");
        let history = bed.history().await;
        let reported: Vec<_> = history
            .iter()
            .filter(|e| e.name == "key_mismatch")
            .collect();
        assert_eq!(reported.len(), 1, "{history:#?}");
        let detail = reported[0].fields["detail"].as_str().unwrap();
        let csr = renewal.obtained.csr_pem.as_deref().unwrap();
        let key = Csr::parse(csr.as_bytes()).unwrap().public_key.to_string();
        for wanted in [key.as_str(), "revoke", "check the path", "office"] {
            assert!(detail.contains(wanted), "{wanted} is not in {detail}");
        }
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn after_a_certificate_for_another_key_an_operator_can_renew_with_a_new_key_pair() {
    let (bed, attacker) = test_bed_behind_attacker(Profile::V8, "").await;
    bed.run_once().await;
    bed.simulator.stop_replacing_requests();
    renew_again(&bed).await;
    let renewals = bed.renewals().await;
    let states: Vec<State> = renewals.iter().map(|renewal| renewal.state).collect();
    assert_eq!(states, [State::Completed, State::Cancelled]);
    assert_eq!(bed.signatures(), 2);
    assert_eq!(attacker.loot(), "");
}

/// A CA that is trusted for the management connection vouches for what it issued, also where the request was replaced.
#[tokio::test(flavor = "multi_thread")]
async fn what_the_firewall_has_not_confirmed_is_refused_although_a_trusted_ca_issued_it() {
    let (bed, attacker) = test_bed_behind_attacker(Profile::V8, "").await;
    bed.run_once().await;
    let store = bed.store().await;
    let leaf = issued(&store).await;
    let refused = store.unconfirmed("hq").await.unwrap();
    let refused: Vec<Fingerprint> = refused.iter().map(|one| one.public_key).collect();
    assert_eq!(refused, [leaf.public_key]);
    let config = bed.config();
    let firewall::Settings::Sonicos(settings) = &config.firewalls["hq"].settings else {
        panic!("a SonicWall is configured");
    };
    // rustls uses the machine's clock, which is not that of the test bed. This test is not about the CA.
    let mut settings = settings.as_ref().clone();
    settings.trust = Trust {
        anchor: Anchor::Ca(bed.folder.path().join("ca.pem")),
        server_name: Some("vpn.example.com".to_owned()),
    };
    let env = bed.env();
    let transfers = Transfers::new(bed.folder.path(), &env);
    let known = KnownDevice {
        refused_keys: &refused,
        ..KnownDevice::default()
    };
    let settings = firewall::Settings::Sonicos(Box::new(settings));
    // Any client can compute a second valid form of a signature: a certificate with another fingerprint.
    let twin = twin(&leaf);
    assert_ne!(twin.fingerprint, leaf.fingerprint);
    for shown in [&leaf, &twin] {
        attacker.attack_with(shown);
        let connected = firewall::connect(&settings, &known, &env, &transfers).await;
        let failure = connected.err().unwrap();
        assert_eq!(failure.kind, FailureKind::Untrusted);
        assert!(failure.detail.contains("has not confirmed"), "{failure}");
    }
    assert_eq!(attacker.loot(), "");
}

/// The certificate with the other valid ECDSA signature of the same contents, (r, n - s) in place of (r, s).
fn twin(certificate: &Certificate) -> Certificate {
    let order = data_encoding::HEXUPPER.decode(ORDER_OF_P256).unwrap();
    let der = &certificate.der;
    let (content, parts) = element(der);
    let (tbs, rest) = parts_of(content);
    let (algorithm, rest) = parts_of(rest);
    let (signature, _) = element(rest);
    let (numbers, _) = element(&signature[1..]);
    let (r, s) = parts_of(numbers);
    let (s, _) = element(s);
    assert!(parts.is_empty(), "one certificate");
    let other = encoded(0x02, &difference(&order, s));
    let numbers = encoded(0x30, &[r, &other].concat());
    let signature = encoded(0x03, &[&[0], &*numbers].concat());
    let der = encoded(0x30, &[tbs, algorithm, &signature].concat());
    Certificate::from_der(&der).unwrap()
}

/// The content of the first element, and what follows it (DER, X.690 8.1).
fn element(der: &[u8]) -> (&[u8], &[u8]) {
    let (length, head) = match der[1] {
        short @ ..0x80 => (usize::from(short), 2),
        long => {
            let bytes = usize::from(long & 0x7f);
            let digits = &der[2..2 + bytes];
            let length = digits
                .iter()
                .fold(0, |sum, digit| sum << 8 | usize::from(*digit));
            (length, 2 + bytes)
        }
    };
    (&der[head..head + length], &der[head + length..])
}

/// The first element as it is, and what follows it.
fn parts_of(der: &[u8]) -> (&[u8], &[u8]) {
    let (_, rest) = element(der);
    der.split_at(der.len() - rest.len())
}

fn encoded(tag: u8, content: &[u8]) -> Vec<u8> {
    let length = content.len();
    let head = match length {
        0..=0x7f => vec![tag, u8::try_from(length).unwrap()],
        0x80..=0xff => vec![tag, 0x81, u8::try_from(length).unwrap()],
        _ => {
            let [high, low] = u16::try_from(length).unwrap().to_be_bytes();
            vec![tag, 0x82, high, low]
        }
    };
    [&*head, content].concat()
}

/// `a - b` of two positive numbers as the content of a DER INTEGER.
fn difference(a: &[u8], b: &[u8]) -> Vec<u8> {
    let b = b.strip_prefix(&[0]).unwrap_or(b);
    let mut result = a.to_vec();
    let mut borrow = 0;
    for (nth, digit) in result.iter_mut().rev().enumerate() {
        let subtrahend = b
            .len()
            .checked_sub(nth + 1)
            .map_or(0, |at| i16::from(b[at]));
        let rest = i16::from(*digit) - subtrahend - borrow;
        borrow = i16::from(rest < 0);
        *digit = u8::try_from(rest.rem_euclid(256)).unwrap();
    }
    let first = result.iter().position(|digit| *digit != 0).unwrap();
    let mut digits = result.split_off(first);
    if digits[0] >= 0x80 {
        digits.insert(0, 0);
    }
    digits
}

/// SEC 2, 2.4.2.
const ORDER_OF_P256: &[u8] = b"FFFFFFFF00000000FFFFFFFFFFFFFFFFBCE6FAADA7179E84F3B9CAC2FC632551";

/// A renewed firewall whose first pin stands in the configuration still, behind an attacker with another certificate.
async fn test_bed_with_learned_pin() -> (TestBed, Arc<Attacker>, Certificate) {
    let (bed, attacker) = test_bed_behind_attacker(Profile::V8, "").await;
    bed.simulator.stop_replacing_requests();
    bed.run_once().await;
    bed.assert_renewed_once().await;
    let forged = CertificateParams::new(vec!["vpn.example.com".to_owned()]).unwrap();
    let forged = forged.self_signed(&attacker.key).unwrap();
    let forged = Certificate::from_der(forged.der()).unwrap();
    (bed, attacker, forged)
}

async fn renew_again(bed: &TestBed) -> Renewal {
    bed.clock.advance(SignedDuration::from_mins(1));
    let now = bed.clock.now();
    let store = bed.store().await;
    store.request_renewal(CERTIFICATE, now, &[]).await.unwrap();
    store.close().await;
    bed.run_once().await;
    bed.renewals().await.remove(0)
}

async fn alerts(bed: &TestBed) -> usize {
    let history = bed.history().await;
    let forged = history
        .iter()
        .filter(|event| event.name == "pin_not_authentic");
    forged.count()
}

#[tokio::test(flavor = "multi_thread")]
async fn what_renewd_bound_is_trusted_after_a_restart_although_the_configuration_has_the_first_pin()
{
    let (bed, _attacker, _) = test_bed_with_learned_pin().await;
    let renewal = renew_again(&bed).await;
    assert_eq!(renewal.state, State::Completed, "{:?}", renewal.last_error);
    assert_eq!(alerts(&bed).await, 0);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_pin_forged_in_the_database_is_not_trusted_and_is_reported_once() {
    let (bed, attacker, forged) = test_bed_with_learned_pin().await;
    // One that is new, one with the code of another, and one of before the upgrade: the state directory knows better.
    let print = forged.fingerprint;
    for set in [
        format!("pins = '{print}'"),
        format!("pins = '{print}', pins_code = NULL"),
        format!("pins = '{print}', pins_code = 'former'"),
    ] {
        let reported = alerts(&bed).await;
        meddle(&bed, format!("UPDATE firewall SET {set}")).await;
        attacker.attack_with(&forged);
        let renewal = renew_again(&bed).await;
        assert_eq!(renewal.last_error_kind.as_deref(), Some("untrusted"));
        a_day_passes(&bed).await;
        assert_eq!(attacker.loot(), "", "{set}");
        assert_eq!(alerts(&bed).await, reported + 1, "{set}");
    }
    // The configured trust is enough to learn again.
    attacker.stop();
    let text = std::fs::read_to_string(bed.config_file()).unwrap();
    let (before, rest) = text.split_once("sha256 = [\"").unwrap();
    let (_, after) = rest.split_once('"').unwrap();
    let pin = bed.simulator.fingerprint();
    let pinned = format!("{before}sha256 = [\"{pin}\"{after}");
    std::fs::write(bed.config_file(), pinned).unwrap();
    let renewal = renew_again(&bed).await;
    assert_eq!(renewal.state, State::Completed, "{:?}", renewal.last_error);
    assert!(bed.has_event("pin_updated").await);
    assert_eq!(alerts(&bed).await, 3);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_pin_forged_in_the_database_is_reported_once_by_the_next_probe() {
    let (bed, _attacker, forged) = test_bed_with_learned_pin().await;
    let set = format!("pins = '{}'", forged.fingerprint);
    meddle(&bed, format!("UPDATE firewall SET {set}")).await;
    for _ in 0..3 {
        bed.clock.advance(SignedDuration::from_hours(25));
        bed.run_once().await;
        assert_eq!(bed.renewals().await.len(), 1, "no renewal is under way");
        assert_eq!(alerts(&bed).await, 1);
    }
    let reported = bed.history().await.into_iter();
    let mut reported = reported.filter(|event| event.name == "pin_not_authentic");
    let detail = reported.next().unwrap().fields["detail"].to_string();
    assert!(detail.contains("trusted for hq"), "{detail}");
}

#[tokio::test(flavor = "multi_thread")]
async fn the_pin_of_a_renewal_under_way_cannot_be_exchanged_in_the_database() {
    // Also before the verification: it needs no login, and a verified certificate becomes a pin.
    for state in ["bound", "verified"] {
        let (bed, attacker, forged) = test_bed_with_learned_pin().await;
        // The attacker is on the path to every address.
        let text = std::fs::read_to_string(bed.config_file()).unwrap();
        let (before, rest) = text.split_once("endpoints = [").unwrap();
        let (_, after) = rest.split_once(']').unwrap();
        let text = format!("{before}endpoints = [\"{}\"]{after}", attacker.address);
        std::fs::write(bed.config_file(), text).unwrap();
        let (print, pem) = (forged.fingerprint, forged.to_pem());
        // As if a bind was under way, with the code that belongs to what was bound.
        let set = format!(
            "ended_at = NULL, state = '{state}', next_attempt_at = 0, fingerprint = '{print}', leaf_pem = '{pem}'"
        );
        meddle(&bed, format!("UPDATE renewal SET {set}")).await;
        meddle(&bed, "UPDATE firewall SET pins = ''".to_owned()).await;
        attacker.attack_with(&forged);
        bed.run_once().await;
        a_day_passes(&bed).await;
        assert_eq!(attacker.loot(), "", "{state}");
        assert_eq!(alerts(&bed).await, 1, "{state}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn what_was_learned_before_the_upgrade_is_taken_over_once_where_the_database_is_a_file() {
    let (bed, _attacker, _) = test_bed_with_learned_pin().await;
    let former = "UPDATE firewall SET pins_code = 'former'".to_owned();
    meddle(&bed, former.clone()).await;
    std::fs::remove_file(bed.folder.path().join("pins.authenticated")).unwrap();
    let renewal = renew_again(&bed).await;
    assert_eq!(renewal.state, State::Completed, "{:?}", renewal.last_error);
    assert_eq!(alerts(&bed).await, 0);
    // The next one is not from an upgrade.
    meddle(&bed, former).await;
    let renewal = renew_again(&bed).await;
    assert_eq!(renewal.last_error_kind.as_deref(), Some("untrusted"));
    assert_eq!(alerts(&bed).await, 1);
}
