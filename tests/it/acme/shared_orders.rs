//! Two certificates with the same names under one account, at a server that hands an open order out again, as Boulder does
//! (CA rules reference 5).

use rcgen::{CertificateParams, DistinguishedName, DnType, KeyPair};
use renewd::ca::{Issuance, Issuer, Reference, SigningRequest};
use renewd::clock::Clock;
use renewd::failure::Failure;
use renewd::pki::{Certificate, Csr};

use simulators::sonicos;

use super::*;
use crate::contract::Subject;
use crate::contract::acme::Acme;
use crate::lab::today;

#[tokio::test(flavor = "multi_thread")]
async fn an_order_that_another_request_finalized_is_not_ours_and_another_one_is_placed() {
    let (acme, lab) = bench().await;
    let ca = issuer(&lab);
    let (first, second) = (request("first", &lab), request("second", &lab));
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
    let (acme, lab) = bench().await;
    let ca = issuer(&lab);
    let requests = [request("first", &lab), request("second", &lab)];
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
        lab.clock.advance(jiff::SignedDuration::from_secs(5));
        tokio::time::sleep(Duration::from_millis(5)).await;
    }
    for (leaf, request) in leaves.iter().zip(&requests) {
        let leaf = leaf.as_ref().expect("a certificate for each");
        assert_eq!(leaf.public_key, request.csr.public_key);
    }
    assert_eq!(acme.orders(), 2);
}

async fn bench() -> (Acme, Lab) {
    let clock = today();
    let acme = Acme::with(clock.clone(), |faces| {
        faces.always_valid = true;
        faces.orders_reused = true;
    })
    .await;
    let faces = sonicos::Faces::kind();
    let lab = Lab::with_ca(Profile::V8, faces, clock, &acme.driver_with("")).await;
    acme.prepare(&lab);
    (acme, lab)
}

fn request(reference: &str, lab: &Lab) -> SigningRequest {
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
        planned_at: lab.clock.now(),
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
