//! A certificate of a public CA for the name of a firewall: an attacker on the path gets one within minutes. It is
//! trusted where the configuration trusts the system's roots, and nowhere else. A process of its own has the roots of
//! the system.

use std::fs;
use std::path::Path;
use std::process::Command;

use jiff::SignedDuration;
use rcgen::{BasicConstraints, CertificateParams, DnType, IsCa, Issuer, KeyPair};
use renewd::inventory::Served;
use renewd::pki::Certificate;
use simulators::sonicos::{Profile, Variants};

use crate::attackers::Attacker;
use crate::test_bed::{CERTIFICATE, TestBed, replace_file};

#[test]
fn a_certificate_of_a_public_ca_counts_only_where_the_roots_of_the_system_are_trusted() {
    if let Some(folder) = std::env::var_os(FOLDER) {
        let runtime = tokio::runtime::Runtime::new().unwrap();
        let folder = Path::new(&folder);
        return runtime.block_on(async {
            after_a_renewal(folder).await;
            at_the_first_probe(folder).await;
        });
    }
    let folder = tempfile::tempdir().unwrap();
    let (params, key) = (root(), KeyPair::generate().unwrap());
    let certificate = params.self_signed(&key).unwrap();
    fs::write(folder.path().join("root.key"), key.serialize_pem()).unwrap();
    fs::write(folder.path().join("root.pem"), certificate.pem()).unwrap();
    let name = "public_roots::a_certificate_of_a_public_ca_counts_only_where_the_roots_of_the_system_are_trusted";
    let output = Command::new(std::env::current_exe().unwrap())
        .args([name, "--exact", "--nocapture"])
        .env(FOLDER, folder.path())
        .env("SSL_CERT_FILE", folder.path().join("root.pem"))
        .env_remove("SSL_CERT_DIR")
        .output()
        .unwrap();
    let said = String::from_utf8_lossy(&output.stdout);
    let cried = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "{said}\n{cried}");
    assert!(said.contains("1 passed"), "{said}");
}

/// The path to the SSL VPN leads through an attacker with a certificate of the public CA.
async fn bed(folder: &Path) -> (TestBed, Attacker, Certificate) {
    let bed = TestBed::with(Profile::V8, Variants::kind()).await;
    let attacker = Attacker::before(bed.simulator.ssl_vpn()).await;
    let real = format!("\"{}\"]", bed.simulator.ssl_vpn());
    change(&bed, &real, &format!("\"{}\"]", attacker.address));
    let key = fs::read_to_string(folder.join("root.key")).unwrap();
    let issuer = Issuer::new(root(), KeyPair::from_pem(&key).unwrap());
    let mut params = CertificateParams::new(vec!["vpn.example.com".to_owned()]).unwrap();
    let name = &mut params.distinguished_name;
    name.push(DnType::CommonName, "vpn.example.com");
    let now = bed.device_time();
    params.not_before = now - time::Duration::days(1);
    params.not_after = now + time::Duration::days(300);
    let leaf = params.signed_by(&attacker.key, &issuer).unwrap();
    let leaf = Certificate::from_der(leaf.der()).unwrap();
    (bed, attacker, leaf)
}

/// A local CA has roots of its own.
async fn after_a_renewal(folder: &Path) {
    let (bed, attacker, leaf) = bed(folder).await;
    bed.run_once().await;
    bed.assert_renewed_once().await;
    let before = served(&bed, &attacker).await;
    attacker.attack_with(&leaf);
    a_day_passes(&bed).await;
    let seen = served(&bed, &attacker).await;
    let known = |served: &Served| served.known.as_ref().map(|known| known.fingerprint);
    assert_eq!(known(&seen), known(&before), "what is known still counts");
    let unknown = seen.unknown.map(|unknown| unknown.fingerprint);
    assert_eq!(unknown, Some(leaf.fingerprint));
    let words = reported(&bed).await;
    for part in [
        "by a public CA",
        "office",
        "changes nothing",
        "renewd adopt",
    ] {
        assert!(words.contains(part), "{part}: {words}");
    }
    assert_eq!(bed.renewals().await.len(), 1);
    // Where an operator trusts the roots of the system for this firewall, every certificate below them is accepted.
    let pin = format!("trust = {{ sha256 = [\"{}\"] }}", first_pin(&bed));
    change(&bed, &pin, "trust = { system = true }");
    a_day_passes(&bed).await;
    let seen = served(&bed, &attacker).await;
    assert_eq!(known(&seen), Some(leaf.fingerprint));
    assert!(seen.unknown.is_none());
}

/// As when a certificate moves from a public CA to the local one.
async fn at_the_first_probe(folder: &Path) {
    let (bed, attacker, leaf) = bed(folder).await;
    attacker.attack_with(&leaf);
    // What the management page serves is pinned, and so known.
    let both = format!("endpoints = [\"{}\", ", bed.simulator.management());
    change(&bed, &both, "endpoints = [");
    let other = bed.simulator.other_administrator();
    other.has_pending_change("address-object ipv4 printer");
    bed.run_once().await;
    let words = reported(&bed).await;
    for part in ["by a public CA", "not_yet_issued", "renewd adopt"] {
        assert!(words.contains(part), "{part}: {words}");
    }
    let renewals = bed.renewals().await;
    assert_eq!(renewals[0].reason, "not_yet_issued");
    attacker.stop();
    other.leaves();
    a_day_passes(&bed).await;
    bed.assert_renewed_once().await;
}

async fn a_day_passes(bed: &TestBed) {
    bed.clock.advance(SignedDuration::from_hours(25));
    bed.run_once().await;
}

async fn served(bed: &TestBed, attacker: &Attacker) -> Served {
    let row = bed.store().await.certificate(CERTIFICATE).await.unwrap();
    let address = attacker.address.to_string();
    let mut served = row.unwrap().served.into_iter();
    served.find(|one| one.address == address).unwrap()
}

async fn reported(bed: &TestBed) -> String {
    let history = bed.history().await;
    let mut alerts = history
        .iter()
        .filter(|event| event.name == "certificate_unknown");
    let alert = alerts.next().expect("it is reported");
    alert.fields["detail"].to_string()
}

fn first_pin(bed: &TestBed) -> String {
    let text = fs::read_to_string(bed.config_file()).unwrap();
    let (_, rest) = text.split_once("sha256 = [\"").unwrap();
    rest.split_once('"').unwrap().0.to_owned()
}

fn change(bed: &TestBed, from: &str, to: &str) {
    let text = fs::read_to_string(bed.config_file()).unwrap();
    assert!(text.contains(from), "{from}: {text}");
    replace_file(&bed.config_file(), &text.replace(from, to));
}

fn root() -> CertificateParams {
    let mut params = CertificateParams::default();
    let name = &mut params.distinguished_name;
    name.push(DnType::CommonName, "Public Root");
    params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
    params
}

/// In the environment of the process whose system has the root in this folder.
const FOLDER: &str = "RENEWD_TEST_PUBLIC_ROOTS";
