//! The steps that the tests share.

use data_encoding::BASE64;
use serde_json::json;
use sha2::{Digest as _, Sha256};
use simulators::sonicos::{Profile, Settings, Simulator, Variants};
use x509_parser::prelude::{FromDer, X509Certificate};

use crate::client::{Client, HttpAnswer, Login, hex};
use crate::office::Office;

pub const SHA256: Login = Login::Digest("SHA-256", "auth");

pub async fn start(profile: Profile, change: impl FnOnce(&mut Variants)) -> Simulator {
    let mut settings = Settings {
        variants: Variants::kind(),
        ..Settings::new(profile)
    };
    change(&mut settings.variants);
    Simulator::start(settings).await.unwrap()
}

pub async fn logged_in(simulator: &Simulator) -> Client {
    let mut client = Client::new(simulator.management(), SHA256);
    log_in(&mut client).await;
    client
}

pub async fn log_in(client: &mut Client) -> HttpAnswer {
    client
        .call("POST", "/auth", r#"{"override": true}"#)
        .await
        .unwrap()
        .succeeded()
}

/// The request, DER.
pub async fn generate(client: &mut Client, alias: &str) -> Vec<u8> {
    client
        .call(
            "POST",
            "/certificates/generate-signing-request",
            &request_body(alias),
        )
        .await
        .unwrap()
        .succeeded();
    for _ in 0..10 {
        if client
            .call("GET", "/reporting/certificates", "")
            .await
            .unwrap()
            .text()
            .contains(alias)
        {
            break;
        }
    }
    let path = format!("/export/certificates/signing-request/name/{alias}");
    let pem = client.call("GET", &path, "").await.unwrap().text();
    let letters: String = pem
        .lines()
        .filter(|line| !line.starts_with("-----"))
        .collect();
    BASE64.decode(letters.as_bytes()).unwrap()
}

pub async fn install(client: &mut Client, office: &Office, alias: &str) {
    let request = generate(client, alias).await;
    import_authorities(client, office).await;
    let path = format!("/import/certificates/signed-cert/name/{alias}");
    client
        .call("PUT", &path, &office.sign(&request))
        .await
        .unwrap()
        .succeeded();
    let listing = client
        .call("GET", "/reporting/certificates", "")
        .await
        .unwrap()
        .json();
    let row = listing
        .as_array()
        .unwrap()
        .iter()
        .find(|row| row["certificate"] == alias)
        .unwrap();
    assert_eq!(
        (&row["type"], &row["validated"]),
        (&json!("Local certificate"), &json!("Yes"))
    );
}

pub async fn import_authorities(client: &mut Client, office: &Office) {
    for pem in [&office.root_pem, &office.intermediate_pem] {
        client
            .call("PUT", "/import/certificates/ca-cert", pem)
            .await
            .unwrap()
            .succeeded();
    }
}

pub async fn bind(client: &mut Client, alias: &str) {
    let certificate = json!({"name": alias});
    let management = json!({"administration": {"web_management": {"certificate": certificate}}});
    client
        .call("PUT", "/administration/global", &management.to_string())
        .await
        .unwrap()
        .succeeded();
    let ssl_vpn = json!({"ssl_vpn": {"server": {"certificate": certificate}}});
    client
        .call("PUT", "/ssl-vpn/server/base", &ssl_vpn.to_string())
        .await
        .unwrap()
        .succeeded();
}

pub fn request_body(alias: &str) -> String {
    json!({"certificates": {"generate_signing_request": [{
        "alias": alias,
        "distinguished_name": {
            "element1": {"country": "United States"},
            "element4": {"organization": "My Company"},
            "element5": {"department": "IT"},
            "element6": {"common_name": "fw.example.com"},
        },
        "alternate_name": {"domain_name": "fw.example.com"},
        "signature_algorithm": "sha-256",
        "key": {"type": "ecdsa", "size": "256"},
        "generate": true,
    }]}})
    .to_string()
}

pub fn spki_sha256(der: &[u8]) -> String {
    let (_, certificate) = X509Certificate::from_der(der).unwrap();
    spki(certificate.public_key().raw)
}

/// As the simulator prints it.
pub fn spki(raw: &[u8]) -> String {
    hex(&Sha256::digest(raw))
}
