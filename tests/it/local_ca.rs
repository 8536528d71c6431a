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
use simulators::sonicos::{Faces, Profile};
use time::Duration;

use crate::lab::{LOCAL_CA, Lab, write_secret};

fn params(lab: &Lab, name: &str) -> CertificateParams {
    let mut params = CertificateParams::default();
    params.distinguished_name.remove(DnType::CommonName);
    params.distinguished_name.push(DnType::CommonName, name);
    let today = lab.device_time();
    params.not_before = today - Duration::days(100);
    params.not_after = today + Duration::days(3650);
    params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
    params.key_usages = vec![KeyUsagePurpose::KeyCertSign];
    params
}

/// Puts a self-signed CA in the place of the local one.
fn put(lab: &Lab, params: &CertificateParams) {
    let key = KeyPair::generate().unwrap();
    let certificate = params.self_signed(&key).unwrap();
    std::fs::write(file(lab, "ca.pem"), certificate.pem()).unwrap();
    write_secret(&file(lab, "ca.key"), &key.serialize_pem());
}

fn file(lab: &Lab, name: &str) -> PathBuf {
    lab.folder.path().join(name)
}

async fn details(lab: &Lab, name: &str) -> Vec<String> {
    let history = lab.history().await;
    history
        .iter()
        .rev()
        .filter(|event| event.name == name)
        .filter_map(|event| event.fields["detail"].as_str().map(str::to_owned))
        .collect()
}

/// That the renewal stopped before anything was made or ordered, with an alert that holds `words`.
async fn assert_stopped(lab: &Lab, words: &str) {
    let report = lab.run_once().await;
    assert!(report.has_failed(), "{words}");
    let counters = lab.simulator.counters();
    assert_eq!(counters.key_pairs_generated, 0, "{words}");
    assert_eq!(lab.signatures(), 0, "{words}");
    let renewal = lab.renewals().await.swap_remove(0);
    assert_eq!(renewal.state, State::Planned, "{words}");
    let intents = lab.store().await.intent(&renewal.id, "submit").await;
    assert_eq!(intents.unwrap(), None, "{words}");
    let told = details(lab, "attention_needed").await;
    assert!(told.iter().any(|one| one.contains(words)), "{told:?}");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_local_ca_that_cannot_sign_stops_a_renewal_before_anything_is_made() {
    let lab = Lab::new(Profile::V8).await;
    let good = ["ca.pem", "ca.key"].map(|name| std::fs::read_to_string(file(&lab, name)).unwrap());
    let stage = |change: &dyn Fn(&mut CertificateParams)| {
        let mut ca = params(&lab, "Office CA");
        change(&mut ca);
        put(&lab, &ca);
    };
    let past = lab.device_time() - Duration::days(1);
    let future = lab.device_time() + Duration::days(400);
    let org = NameConstraints {
        permitted_subtrees: vec![GeneralSubtree::DnsName("example.org".to_owned())],
        excluded_subtrees: vec![],
    };
    let faults: [(&str, &dyn Fn()); 8] = [
        ("ca.pem: it is missing: `renewd ca init`", &|| {
            std::fs::remove_file(file(&lab, "ca.pem")).unwrap();
        }),
        ("ca.pem: it holds no BEGIN CERTIFICATE", &|| {
            std::fs::write(file(&lab, "ca.pem"), "garbage").unwrap();
        }),
        ("does not belong to the first certificate in", &|| {
            std::fs::write(file(&lab, "ca.pem"), &good[0]).unwrap();
            let other = KeyPair::generate().unwrap();
            write_secret(&file(&lab, "ca.key"), &other.serialize_pem());
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
        assert_stopped(&lab, words).await;
        let next = lab.renewals().await[0].next_attempt_at.unwrap();
        lab.clock.set(next);
    }
    std::fs::write(file(&lab, "ca.pem"), &good[0]).unwrap();
    write_secret(&file(&lab, "ca.key"), &good[1]);
    assert!(!lab.run_once().await.has_failed());
    lab.assert_renewed_once().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_ca_certificate_that_is_new_on_a_firewall_is_reported_once() {
    let lab = Lab::new(Profile::V8).await;
    lab.run_once().await;
    lab.assert_renewed_once().await;
    let ca = |lab: &Lab| {
        let pem = std::fs::read_to_string(file(lab, "ca.pem")).unwrap();
        Certificate::from_pem(&pem).unwrap()
    };
    let report = |ca: &Certificate| {
        format!(
            "{} (SHA-256 {}, valid until {:.0}) was installed on hq as a CA certificate",
            ca.subject, ca.fingerprint, ca.not_after
        )
    };
    let first = report(&ca(&lab));
    let told = details(&lab, "ca_certificate_installed").await;
    assert_eq!(told, std::slice::from_ref(&first));

    renew_again(&lab).await;
    let told = details(&lab, "ca_certificate_installed").await;
    assert_eq!(
        told,
        std::slice::from_ref(&first),
        "the same chain is no news"
    );

    put(&lab, &params(&lab, "New CA"));
    let second = report(&ca(&lab));
    renew_again(&lab).await;
    let told = details(&lab, "ca_certificate_installed").await;
    assert_eq!(told, [first, second]);
}

async fn renew_again(lab: &Lab) {
    lab.decide().await;
    lab.clock
        .set(lab.clock.now() + jiff::SignedDuration::from_hours(24));
    lab.run_once().await;
    let renewal = lab.renewals().await.swap_remove(0);
    assert_eq!(renewal.state, State::Completed, "{:?}", renewal.last_error);
}

async fn pinned(pins: &str) -> Lab {
    let ca = format!("chain_roots = {pins}\n{LOCAL_CA}");
    let lab = Lab::with_ca(Profile::V8, Faces::kind(), crate::lab::today(), &ca).await;
    let root_key = KeyPair::generate().unwrap();
    let root = params(&lab, "Root CA").self_signed(&root_key).unwrap();
    let root_issuer = Issuer::new(params(&lab, "Root CA"), root_key);
    let key = KeyPair::generate().unwrap();
    let issuing = params(&lab, "Issuing CA")
        .signed_by(&key, &root_issuer)
        .unwrap();
    let stranger = params(&lab, "Stranger").self_signed(&key).unwrap();
    for (name, text) in [
        ("ca.pem", format!("{}{}", issuing.pem(), root.pem())),
        ("root.pem", root.pem()),
        ("stranger.pem", stranger.pem()),
    ] {
        std::fs::write(file(&lab, name), text).unwrap();
    }
    write_secret(&file(&lab, "ca.key"), &key.serialize_pem());
    lab
}

#[tokio::test(flavor = "multi_thread")]
async fn a_chain_that_leads_to_a_pinned_root_is_installed_as_it_was_sent() {
    for pins in [
        "\"FOLDER/root.pem\"",
        "[\"FOLDER/stranger.pem\", \"FOLDER/root.pem\"]",
    ] {
        let lab = pinned(pins).await;
        lab.run_once().await;
        lab.assert_renewed_once().await;
        let installed = details(&lab, "ca_certificate_installed").await;
        assert_eq!(installed.len(), 2, "{installed:?}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_chain_that_leads_elsewhere_is_refused_before_it_is_imported() {
    let lab = pinned("\"FOLDER/stranger.pem\"").await;
    assert!(lab.run_once().await.has_failed());
    let renewal = lab.renewals().await.swap_remove(0);
    assert_eq!(renewal.state, State::Submitted);
    let words = renewal.last_error.unwrap();
    let start = "none of the CA certificates above it is in chain_roots: CN=Issuing CA (SHA-256 ";
    assert!(words.contains(start), "{words}");
    let told = details(&lab, "attention_needed").await;
    assert!(told[0].contains(start), "{told:?}");
    assert!(!lab.has_event("ca_certificate_installed").await);
    let imports = lab.simulator.journal();
    assert!(!format!("{imports:?}").contains("/import/"), "{imports:#?}");
    assert_eq!(lab.signatures(), 1);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_file_of_roots_that_cannot_be_read_stops_a_renewal_before_anything_is_made() {
    let lab = pinned("\"FOLDER/root.pem\"").await;
    std::fs::write(file(&lab, "root.pem"), "garbage").unwrap();
    assert_stopped(&lab, "root.pem: it holds no BEGIN CERTIFICATE").await;
    std::fs::remove_file(file(&lab, "root.pem")).unwrap();
    lab.clock
        .set(lab.renewals().await[0].next_attempt_at.unwrap());
    assert_stopped(&lab, "root.pem: No such file").await;
    assert_eq!(details(&lab, "attention_needed").await.len(), 2);
}
