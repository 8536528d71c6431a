//! A local CA that cannot sign what is wanted: the renewal stops before anything is made on the firewall or ordered, says
//! why, and goes on when it is put right. And the CA certificates that come with what is issued.

use std::path::PathBuf;

use rcgen::{
    BasicConstraints, CertificateParams, DnType, GeneralSubtree, IsCa, Issuer, KeyPair,
    KeyUsagePurpose, NameConstraints,
};
use renewd::clock::Clock;
use renewd::inventory::State;
use renewd::pki::Certificate;
use simulators::sonicos::{Profile, Variants};
use time::Duration;

use crate::test_bed::{LOCAL_CA, TestBed, write_secret};

fn params(bed: &TestBed, name: &str) -> CertificateParams {
    let mut params = CertificateParams::default();
    params.distinguished_name.remove(DnType::CommonName);
    params.distinguished_name.push(DnType::CommonName, name);
    let today = bed.device_time();
    params.not_before = today - Duration::days(100);
    params.not_after = today + Duration::days(3650);
    params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
    params.key_usages = vec![KeyUsagePurpose::KeyCertSign];
    params
}

/// Puts a self-signed CA in the place of the local one.
fn put(bed: &TestBed, params: &CertificateParams) {
    let key = KeyPair::generate().unwrap();
    let certificate = params.self_signed(&key).unwrap();
    std::fs::write(file(bed, "ca.pem"), certificate.pem()).unwrap();
    write_secret(&file(bed, "ca.key"), &key.serialize_pem());
}

fn file(bed: &TestBed, name: &str) -> PathBuf {
    bed.folder.path().join(name)
}

async fn details(bed: &TestBed, name: &str) -> Vec<String> {
    let history = bed.history().await;
    history
        .iter()
        .rev()
        .filter(|event| event.name == name)
        .filter_map(|event| event.fields["detail"].as_str().map(str::to_owned))
        .collect()
}

/// That the renewal stopped before anything was made or ordered, with an alert that holds `words`.
async fn assert_stopped(bed: &TestBed, words: &str) {
    let report = bed.run_once().await;
    assert!(report.has_failed(), "{words}");
    let counters = bed.simulator.counters();
    assert_eq!(counters.key_pairs_generated, 0, "{words}");
    assert_eq!(bed.signatures(), 0, "{words}");
    let renewal = bed.renewals().await.swap_remove(0);
    assert_eq!(renewal.state, State::Planned, "{words}");
    let intents = bed.store().await.intent(&renewal.id, "submit").await;
    assert_eq!(intents.unwrap(), None, "{words}");
    let reported = details(bed, "attention_needed").await;
    assert!(
        reported.iter().any(|one| one.contains(words)),
        "{reported:?}"
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn a_local_ca_that_cannot_sign_stops_a_renewal_before_anything_is_made() {
    let bed = TestBed::new(Profile::V8).await;
    let good = ["ca.pem", "ca.key"].map(|name| std::fs::read_to_string(file(&bed, name)).unwrap());
    let stage = |change: &dyn Fn(&mut CertificateParams)| {
        let mut ca = params(&bed, "Office CA");
        change(&mut ca);
        put(&bed, &ca);
    };
    let past = bed.device_time() - Duration::days(1);
    let future = bed.device_time() + Duration::days(400);
    let org = NameConstraints {
        permitted_subtrees: vec![GeneralSubtree::DnsName("example.org".to_owned())],
        excluded_subtrees: vec![],
    };
    let faults: [(&str, &dyn Fn()); 8] = [
        ("ca.pem: it is missing: `renewd ca init`", &|| {
            std::fs::remove_file(file(&bed, "ca.pem")).unwrap();
        }),
        ("ca.pem: it holds no BEGIN CERTIFICATE", &|| {
            std::fs::write(file(&bed, "ca.pem"), "garbage").unwrap();
        }),
        ("does not belong to the first certificate in", &|| {
            std::fs::write(file(&bed, "ca.pem"), &good[0]).unwrap();
            let other = KeyPair::generate().unwrap();
            write_secret(&file(&bed, "ca.key"), &other.serialize_pem());
        }),
        ("is expired on", &|| stage(&|ca| ca.not_after = past)),
        ("is the clock right?", &|| {
            stage(&|ca| ca.not_before = future);
        }),
        ("is not a CA", &|| {
            stage(&|ca| ca.is_ca = IsCa::ExplicitNoCa);
        }),
        ("may not sign certificates (key usage)", &|| {
            stage(&|ca| ca.key_usages = vec![KeyUsagePurpose::DigitalSignature]);
        }),
        ("does not permit vpn.example.com", &|| {
            stage(&|ca| ca.name_constraints = Some(org.clone()));
        }),
    ];
    for (words, plant) in faults {
        plant();
        assert_stopped(&bed, words).await;
        let next = bed.renewals().await[0].next_attempt_at.unwrap();
        bed.clock.set(next);
    }
    std::fs::write(file(&bed, "ca.pem"), &good[0]).unwrap();
    write_secret(&file(&bed, "ca.key"), &good[1]);
    assert!(!bed.run_once().await.has_failed());
    bed.assert_renewed_once().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_ca_certificate_that_is_new_on_a_firewall_is_reported_once() {
    let bed = TestBed::new(Profile::V8).await;
    bed.run_once().await;
    bed.assert_renewed_once().await;
    let ca = |bed: &TestBed| {
        let pem = std::fs::read_to_string(file(bed, "ca.pem")).unwrap();
        Certificate::from_pem(&pem).unwrap()
    };
    let report = |ca: &Certificate| {
        format!(
            "{} (SHA-256 {}, valid until {:.0}) was installed on hq as a CA certificate",
            ca.subject, ca.fingerprint, ca.not_after
        )
    };
    let first = report(&ca(&bed));
    let reported = details(&bed, "ca_certificate_installed").await;
    assert_eq!(reported, std::slice::from_ref(&first));

    renew_again(&bed).await;
    let reported = details(&bed, "ca_certificate_installed").await;
    assert_eq!(
        reported,
        std::slice::from_ref(&first),
        "the same chain is no news"
    );

    put(&bed, &params(&bed, "New CA"));
    let second = report(&ca(&bed));
    renew_again(&bed).await;
    let reported = details(&bed, "ca_certificate_installed").await;
    assert_eq!(reported, [first, second]);
}

async fn renew_again(bed: &TestBed) {
    bed.decide().await;
    bed.clock
        .set(bed.clock.now() + jiff::SignedDuration::from_hours(24));
    bed.run_once().await;
    let renewal = bed.renewals().await.swap_remove(0);
    assert_eq!(renewal.state, State::Completed, "{:?}", renewal.last_error);
}

async fn pinned(pins: &str) -> TestBed {
    let ca = format!("chain_roots = {pins}\n{LOCAL_CA}");
    let bed = TestBed::with_ca(Profile::V8, Variants::kind(), crate::test_bed::today(), &ca).await;
    let root_key = KeyPair::generate().unwrap();
    let root = params(&bed, "Root CA").self_signed(&root_key).unwrap();
    let root_issuer = Issuer::new(params(&bed, "Root CA"), root_key);
    let key = KeyPair::generate().unwrap();
    let issuing = params(&bed, "Issuing CA")
        .signed_by(&key, &root_issuer)
        .unwrap();
    let stranger = params(&bed, "Stranger").self_signed(&key).unwrap();
    for (name, text) in [
        ("ca.pem", format!("{}{}", issuing.pem(), root.pem())),
        ("root.pem", root.pem()),
        ("stranger.pem", stranger.pem()),
    ] {
        std::fs::write(file(&bed, name), text).unwrap();
    }
    write_secret(&file(&bed, "ca.key"), &key.serialize_pem());
    bed
}

#[tokio::test(flavor = "multi_thread")]
async fn a_chain_that_leads_to_a_pinned_root_is_installed_as_it_was_sent() {
    for pins in [
        "\"FOLDER/root.pem\"",
        "[\"FOLDER/stranger.pem\", \"FOLDER/root.pem\"]",
    ] {
        let bed = pinned(pins).await;
        bed.run_once().await;
        bed.assert_renewed_once().await;
        let installed = details(&bed, "ca_certificate_installed").await;
        assert_eq!(installed.len(), 2, "{installed:?}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_chain_to_another_root_is_refused_before_it_is_imported() {
    let bed = pinned("\"FOLDER/stranger.pem\"").await;
    assert!(bed.run_once().await.has_failed());
    let renewal = bed.renewals().await.swap_remove(0);
    assert_eq!(renewal.state, State::Submitted);
    let words = renewal.last_error.unwrap();
    let start = "none of the CA certificates above it is in chain_roots: CN=Issuing CA (SHA-256 ";
    assert!(words.contains(start), "{words}");
    let reported = details(&bed, "attention_needed").await;
    assert!(reported[0].contains(start), "{reported:?}");
    assert!(!bed.has_event("ca_certificate_installed").await);
    let imports = bed.simulator.journal();
    assert!(!format!("{imports:?}").contains("/import/"), "{imports:#?}");
    assert_eq!(bed.signatures(), 1);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_file_of_roots_that_cannot_be_read_stops_a_renewal_before_anything_is_made() {
    let bed = pinned("\"FOLDER/root.pem\"").await;
    std::fs::write(file(&bed, "root.pem"), "garbage").unwrap();
    assert_stopped(&bed, "root.pem: it holds no BEGIN CERTIFICATE").await;
    std::fs::remove_file(file(&bed, "root.pem")).unwrap();
    bed.clock
        .set(bed.renewals().await[0].next_attempt_at.unwrap());
    assert_stopped(&bed, "root.pem: No such file").await;
    assert_eq!(details(&bed, "attention_needed").await.len(), 2);
}
