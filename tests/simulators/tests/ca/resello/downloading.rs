//! The five files of an order (purchase API reference 4.5).

use simulators::ca::{ChainMischief, Mischief};
use simulators::resello::{Dcv, PendingDownload};
use x509_parser::prelude::{FromDer as _, X509Certificate};

use super::request::{Firewall, pems, start};
use super::shopper::{Envelope as _, Shopper};

#[tokio::test]
async fn the_leaf_the_authorities_and_the_request_are_apart() {
    let (shop, _) = start(Dcv::Granted, |variants| {
        variants.ca_from_root = true;
        variants.windows_line_ends = true;
    })
    .await;
    let shopper = Shopper::new(&shop);
    let firewall = Firewall::new(&["fw.example.com"]);
    let id = shopper.buy_active(&firewall.csr).await;
    let crt = shopper.download(&id, "crt").await;
    assert!(
        crt.head.contains("application/octet-stream"),
        "{}",
        crt.head
    );
    assert!(crt.head.contains("attachment"), "{}", crt.head);
    assert!(crt.text().starts_with("-----BEGIN CERTIFICATE-----\r\n"));
    assert_eq!(pems(&crt.body).len(), 1);
    let authorities = pems(&shopper.download(&id, "ca").await.body);
    let subjects: Vec<String> = authorities.iter().map(|der| subject(der)).collect();
    assert_eq!(
        subjects,
        ["CN=Purchase API Root", "CN=Purchase API Issuing CA"]
    );
    assert_eq!(
        pems(&shopper.download(&id, "csr").await.body),
        [firewall.der()]
    );
}

#[tokio::test]
async fn both_containers_hold_the_leaf_and_its_authorities() {
    let (shop, _) = start(Dcv::Granted, |_| {}).await;
    let shopper = Shopper::new(&shop);
    let id = shopper
        .buy_active(&Firewall::new(&["fw.example.com"]).csr)
        .await;
    let leaf = shop.orders()[0].certificate.clone().unwrap();
    let p7 = shopper.download(&id, "pkcs7").await;
    assert!(p7.text().starts_with("-----BEGIN PKCS7-----"));
    let der = pems(&p7.body).remove(0);
    assert!(contains(&der, &leaf), "PKCS#7 without the leaf");
    let zip = shopper.download(&id, "zip").await.body;
    assert!(zip.starts_with(b"PK\x03\x04"));
    assert!(contains(&zip, &shopper.download(&id, "crt").await.body));
    assert!(contains(&zip, &shopper.download(&id, "ca").await.body));
}

#[tokio::test]
async fn before_there_is_a_certificate_only_the_request_can_be_downloaded() {
    let (shop, _) = start(Dcv::Fake, |_| {}).await;
    let shopper = Shopper::new(&shop);
    let firewall = Firewall::new(&["fw.example.com"]);
    let id = shopper.buy(&firewall.csr).await;
    let refused = shopper.download(&id, "crt").await;
    assert_eq!(
        (refused.status, refused.refusal().as_str()),
        (200, "not_active")
    );
    shop.set(|variants| variants.pending_download = PendingDownload::Html);
    assert!(
        shopper
            .download(&id, "crt")
            .await
            .text()
            .contains("<!doctype html>")
    );
    shop.set(|variants| variants.pending_download = PendingDownload::NotFound);
    assert_eq!(shopper.download(&id, "crt").await.status, 404);
    assert_eq!(
        pems(&shopper.download(&id, "csr").await.body),
        [firewall.der()]
    );
}

#[tokio::test]
async fn mischief_reaches_the_files() {
    let (shop, _) = start(Dcv::Granted, |_| {}).await;
    let shopper = Shopper::new(&shop);
    shop.mischief(Mischief::WrongKey);
    let firewall = Firewall::new(&["fw.example.com"]);
    let id = shopper.buy_active(&firewall.csr).await;
    let leaf = pems(&shopper.download(&id, "crt").await.body).remove(0);
    let (_, certificate) = X509Certificate::from_der(&leaf).unwrap();
    assert_ne!(certificate.public_key().raw, firewall.public_key());
    shop.chain_mischief(ChainMischief::WithStranger);
    assert_eq!(pems(&shopper.download(&id, "ca").await.body).len(), 3);
    shop.chain_mischief(ChainMischief::WithoutRoot);
    assert_eq!(pems(&shopper.download(&id, "ca").await.body).len(), 1);
    shop.chain_mischief(ChainMischief::WithoutLeaf);
    assert_ne!(
        pems(&shopper.download(&id, "crt").await.body).remove(0),
        leaf
    );
}

fn subject(der: &[u8]) -> String {
    let (_, certificate) = X509Certificate::from_der(der).unwrap();
    certificate.subject().to_string()
}

fn contains(haystack: &[u8], needle: &[u8]) -> bool {
    haystack
        .windows(needle.len())
        .any(|window| window == needle)
}
