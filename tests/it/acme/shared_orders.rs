//! Two certificates with the same names under one account, at a server that hands an open order out again, as Boulder does
//! (CA rules reference 5).

use rcgen::{CertificateParams, DistinguishedName, DnType, KeyPair};
use renewd::ca::{Issuance, Issuer, Reference, SigningRequest};
use renewd::clock::Clock;
use renewd::failure::Failure;
use renewd::inventory::Renewal;
use renewd::pki::{Certificate, Csr};
use renewd::renewal::Step;

use simulators::sonicos;

use super::*;
use crate::contract::Subject;
use crate::contract::acme::Acme;
use crate::survives_crash::kill_at;
use crate::test_bed::{CERTIFICATE, today};

#[tokio::test(flavor = "multi_thread")]
async fn an_order_that_another_request_finalized_is_not_ours_and_another_one_is_placed() {
    let (acme, bed) = fixture().await;
    let ca = issuer(&bed);
    let (first, second) = (request("first", &bed), request("second", &bed));
    let mut orders = [
        ca.submit(&first).await.unwrap(),
        ca.submit(&second).await.unwrap(),
    ];
    assert_eq!(acme.simulator.orders().len(), 1, "one order for both");

    let [of_first, of_second] = &mut orders;
    let leaf = issued(ca.as_ref(), of_first, &first).await.unwrap();
    assert_eq!(leaf.public_key, first.csr.public_key);
    // The certificate for the first key is neither taken nor refused: there is just no order of the second request.
    let end = issued(ca.as_ref(), of_second, &second).await.unwrap_err();
    assert!(end.contains("another request"), "{end}");

    let mut again = ca.submit(&second).await.unwrap();
    let leaf = issued(ca.as_ref(), &mut again, &second).await.unwrap();
    assert_eq!(leaf.public_key, second.csr.public_key);
    assert_eq!((acme.simulator.orders().len(), acme.orders()), (2, 2));
}

#[tokio::test(flavor = "multi_thread")]
async fn two_that_are_driven_on_in_turns_get_a_certificate_each_and_no_third_is_issued() {
    let (acme, bed) = fixture().await;
    let ca = issuer(&bed);
    let requests = [request("first", &bed), request("second", &bed)];
    let mut orders: Vec<Option<Reference>> = vec![None, None];
    let mut leaves: Vec<Option<Certificate>> = vec![None, None];
    for _ in 0..40 {
        for at in 0..2 {
            let request = &requests[at];
            if leaves[at].is_some() {
                continue;
            }
            let Some(order) = &mut orders[at] else {
                orders[at] = Some(ca.submit(request).await.unwrap());
                continue;
            };
            match look(ca.as_ref(), order, request).await.unwrap() {
                Issuance::Issued { leaf, .. } => leaves[at] = Some(*leaf),
                Issuance::Void { .. } => orders[at] = None,
                _ => {}
            }
        }
        bed.clock.advance(jiff::SignedDuration::from_secs(5));
        tokio::time::sleep(Duration::from_millis(5)).await;
    }
    for (leaf, request) in leaves.iter().zip(&requests) {
        let leaf = leaf.as_ref().expect("a certificate for each");
        assert_eq!(leaf.public_key, request.csr.public_key);
    }
    assert_eq!(acme.orders(), 2);
}

async fn fixture() -> (Acme, TestBed) {
    let clock = today();
    let acme = Acme::with(clock.clone(), |variants| {
        variants.always_valid = true;
        variants.orders_reused = true;
    })
    .await;
    let variants = sonicos::Variants::kind();
    let bed = TestBed::with_ca(Profile::V8, variants, clock, &acme.driver_with("")).await;
    acme.prepare(&bed);
    (acme, bed)
}

fn request(reference: &str, bed: &TestBed) -> SigningRequest {
    let name = "vpn.example.com";
    let mut params = CertificateParams::new(vec![name.to_owned()]).unwrap();
    params.distinguished_name = DistinguishedName::new();
    params.distinguished_name.push(DnType::CommonName, name);
    let csr = params
        .serialize_request(&KeyPair::generate().unwrap())
        .unwrap();
    SigningRequest {
        client_reference: reference.to_owned(),
        csr: Csr::parse(csr.der()).unwrap(),
        planned_at: bed.clock.now(),
        previous: None,
        window: None,
    }
}

async fn look(
    ca: &dyn Issuer,
    order: &mut Reference,
    request: &SigningRequest,
) -> Result<Issuance, Failure> {
    let (issuance, reference) = ca.follow(order, request).await?;
    if let Some(reference) = reference {
        *order = reference;
    }
    Ok(issuance)
}

/// What comes of the order in the end: the certificate, or why it is void.
async fn issued(
    ca: &dyn Issuer,
    order: &mut Reference,
    request: &SigningRequest,
) -> Result<Certificate, String> {
    for _ in 0..40 {
        match look(ca, order, request).await.unwrap() {
            Issuance::Issued { leaf, .. } => return Ok(*leaf),
            Issuance::Void { reason, .. } => return Err(reason),
            _ => tokio::time::sleep(Duration::from_millis(5)).await,
        }
    }
    panic!("the order comes to no end")
}

/// Two certificates for the same names, on the services of one firewall.
async fn two_certificates() -> (Acme, TestBed) {
    let (acme, bed) = fixture().await;
    let text = std::fs::read_to_string(bed.config_file()).unwrap();
    let (before, certificate) = text.split_once("[[certificate]]").unwrap();
    let services = "services = [\"web-management\", \"ssl-vpn\"]";
    let verify = certificate
        .lines()
        .find(|line| line.starts_with("endpoints"))
        .unwrap();
    let of = |name: &str, service: &str, address: &str| {
        certificate
            .replace("\"hq-portal\"", &format!("\"{name}\""))
            .replace(services, &format!("services = [\"{service}\"]"))
            .replace(verify, &format!("endpoints = [\"{address}\"]"))
    };
    let management = bed.simulator.management().to_string();
    let ssl_vpn = bed.simulator.ssl_vpn().to_string();
    let first = of(CERTIFICATE, "web-management", &management);
    let second = of(SECOND, "ssl-vpn", &ssl_vpn);
    let text = format!("{before}[[certificate]]{first}\n[[certificate]]{second}");
    std::fs::write(bed.config_file(), text).unwrap();
    (acme, bed)
}

/// Runs until both renewals have ended, and that each has a certificate for its own key.
async fn both_complete(acme: &Acme, bed: &TestBed, case: &str) {
    let mut both = Vec::new();
    for _ in 0..100 {
        bed.run_once().await;
        both = newest_of_both(bed).await;
        if both.iter().all(|renewal| renewal.state.is_end()) {
            break;
        }
        let next = both.iter().filter_map(|one| one.next_attempt_at).min();
        let soonest = bed.clock.now() + jiff::SignedDuration::from_secs(1);
        bed.clock.set(next.unwrap().max(soonest));
    }
    let mut keys = Vec::new();
    for renewal in &both {
        assert_eq!(renewal.state, State::Completed, "{case}: {renewal:#?}");
        let leaf = Certificate::from_pem(renewal.obtained.leaf_pem.as_deref().unwrap()).unwrap();
        let born = bed.simulator.spki_sha256(&renewal.alias).unwrap();
        assert_eq!(leaf.public_key.to_string(), born, "{case}");
        keys.push(born);
    }
    assert_ne!(keys[0], keys[1], "{case}");
    let seen = bed.seen().await;
    assert_ne!(seen[0].fingerprint, seen[1].fingerprint, "{case}");
    assert_eq!(acme.orders(), 2, "{case}: certificates issued");
    for event in ["renewal_failed", "renewal_cancelled"] {
        assert!(!bed.has_event(event).await, "{case}: {event}");
    }
    bed.assert_left_in_order();
}

async fn newest_of_both(bed: &TestBed) -> Vec<Renewal> {
    let store = bed.store().await;
    let mut both = Vec::new();
    for name in [CERTIFICATE, SECOND] {
        both.extend(store.renewals_of(name, 1).await.unwrap());
    }
    store.close().await;
    both
}

/// How often a renewal reported that it waits for the order of the other one, with the messages.
async fn waits_for_the_other(bed: &TestBed) -> Vec<String> {
    let store = bed.store().await;
    let mut waits = Vec::new();
    for name in [CERTIFICATE, SECOND] {
        for event in store.history(name, 1000).await.unwrap() {
            if event.fields["reason"] == "order_shared" {
                waits.push(event.fields["detail"].as_str().unwrap().to_owned());
            }
        }
    }
    store.close().await;
    waits
}

#[tokio::test(flavor = "multi_thread")]
async fn two_renewals_for_the_same_names_complete_one_after_the_other() {
    let (acme, bed) = two_certificates().await;
    acme.simulator.set(|variants| variants.processing_polls = 0);
    both_complete(&acme, &bed, "one after the other").await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_renewal_waits_while_another_one_drives_the_same_order_and_says_so() {
    let (acme, bed) = two_certificates().await;
    acme.simulator.set(|variants| {
        variants.ready_polls = 3;
        variants.processing_polls = 3;
        variants.poll_retry_after = Some(40);
    });
    both_complete(&acme, &bed, "in turns").await;
    let waits = waits_for_the_other(&bed).await;
    assert_eq!(waits.len(), 1, "reported once: {waits:?}");
    let order = acme.simulator.orders().len();
    assert_eq!(order, 2, "one order for each, and none for the wait");
    for part in ["office gave the order", "https://", "one certificate"] {
        assert!(waits[0].contains(part), "{waits:?}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn two_renewals_for_the_same_names_complete_after_a_crash_between_them() {
    for moment in [
        Moment::Intended(Step::Submit),
        Moment::Acted(Step::Submit),
        Moment::Stored(State::Submitted),
        Moment::Acted(Step::PollIssuance),
    ] {
        let (acme, bed) = two_certificates().await;
        acme.simulator.set(|variants| {
            variants.ready_polls = 1;
            variants.poll_retry_after = Some(40);
        });
        kill_at(&bed.config_file(), moment);
        both_complete(&acme, &bed, &format!("{moment:?}")).await;
    }
}

const SECOND: &str = "hq-second";
