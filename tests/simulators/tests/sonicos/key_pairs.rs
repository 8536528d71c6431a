//! PKCS#12 files: both published forms, both kinds of encryption, and refusals.

use p12_keystore::{
    Certificate, EncryptionAlgorithm, KeyStore, KeyStoreEntry, MacAlgorithm, PrivateKey,
    PrivateKeyChain,
};
use rcgen::KeyPair;
use simulators::sonicos::{KeyPairEncryption, KeyPairForm, Port, Profile, Simulator};

use crate::client::{Client, HttpAnswer, served_leaf};
use crate::office::Office;
use crate::steps::{bind, import_authorities, logged_in, spki_sha256, start};

const PASSWORD: &str = "one-time";
const MODERN: EncryptionAlgorithm = EncryptionAlgorithm::PbeWithHmacSha256AndAes256;
const LEGACY: EncryptionAlgorithm = EncryptionAlgorithm::PbeWithShaAnd3KeyTripleDesCbc;

#[tokio::test]
async fn each_form_brings_a_certificate_that_is_served_with_its_own_key_once_bound() {
    let forms = [
        (Profile::V7_0, false, MODERN),
        (Profile::V7_X, true, LEGACY),
        (Profile::V8, true, MODERN),
    ];
    for (profile, as_form, encryption) in forms {
        let simulator = start(profile, |_| {}).await;
        let mut client = logged_in(&simulator).await;
        let office = Office::new();
        import_authorities(&mut client, &office).await;
        let (key, certificate) = issue(&office);
        let file = pkcs12(&key, &[&certificate], encryption);
        let answer = import(&mut client, "portal", PASSWORD, &file, as_form).await;
        assert_eq!(
            answer.succeeded().info("message"),
            "Successfully loaded certificate and key pair"
        );
        let row = client
            .call("GET", "/reporting/certificates", "")
            .await
            .unwrap()
            .json()
            .as_array()
            .unwrap()
            .iter()
            .find(|row| row["certificate"] == "portal")
            .cloned()
            .unwrap();
        assert_eq!(
            (row["type"].as_str(), row["validated"].as_str()),
            (Some("Local certificate"), Some("Yes"))
        );
        bind(&mut client, "portal").await;
        client
            .call("POST", "/config/pending", "")
            .await
            .unwrap()
            .succeeded();
        let served = served_leaf(simulator.management()).await.unwrap();
        assert_eq!(served, certificate);
        assert_eq!(
            Some(spki_sha256(&served)),
            simulator.spki_sha256("portal"),
            "{profile:?}"
        );
        assert_eq!(simulator.served_der(Port::SslVpn), certificate);
        assert_eq!(simulator.counters().key_pair_imports, 1);
        assert!(!simulator.journal().join("\n").contains(PASSWORD));
    }
}

#[tokio::test]
async fn the_form_that_a_device_does_not_have_is_no_call_of_it() {
    let wanted = [
        (KeyPairForm::Path, true, "API endpoint is incomplete."),
        (KeyPairForm::Multipart, false, "API not found."),
        (KeyPairForm::Neither, true, "API not found."),
        (KeyPairForm::Neither, false, "API not found."),
    ];
    let (key, certificate) = issue(&Office::new());
    let file = pkcs12(&key, &[&certificate], MODERN);
    for (form, as_form, message) in wanted {
        let simulator = start(Profile::V8, |variants| variants.key_pair_form = Some(form)).await;
        let mut client = logged_in(&simulator).await;
        let answer = import(&mut client, "portal", PASSWORD, &file, as_form).await;
        assert_eq!(answer.info("message"), message, "{}", form.word());
        assert_eq!(simulator.counters().key_pair_imports, 0);
    }
}

#[tokio::test]
async fn a_wrong_password_another_key_and_a_used_name_are_refused() {
    let simulator = start(Profile::V7_0, |_| {}).await;
    let mut client = logged_in(&simulator).await;
    let office = Office::new();
    let (key, certificate) = issue(&office);
    let file = pkcs12(&key, &[&certificate], MODERN);
    let wrong = import(&mut client, "portal", "guessed", &file, false).await;
    assert_eq!(wrong.info("message"), "Import failed: wrong password");
    let (other_key, _) = issue(&office);
    let swapped = pkcs12(&other_key, &[&certificate], MODERN);
    let mismatch = import(&mut client, "portal", PASSWORD, &swapped, false).await;
    assert_eq!(mismatch.info("message"), "Public/private key mismatch");
    let used = import(&mut client, "fw-initial", PASSWORD, &file, false).await;
    assert_eq!(used.info("message"), "Duplicate local certificate name");
    let text = import(&mut client, "portal", PASSWORD, b"no file", false).await;
    assert_eq!(text.info("message"), "Invalid certificate format");
    assert!(!has(&simulator, "portal"));
    import(&mut client, "portal", PASSWORD, &file, false)
        .await
        .succeeded();
    let again = import(&mut client, "other", PASSWORD, &file, false).await;
    assert_eq!(again.info("message"), "Duplicate local certificate");
}

#[tokio::test]
async fn a_device_opens_only_the_encryption_that_it_knows() {
    let (key, certificate) = issue(&Office::new());
    let cases = [
        (KeyPairEncryption::LegacyOnly, LEGACY, MODERN),
        (KeyPairEncryption::ModernOnly, MODERN, LEGACY),
    ];
    for (face, known, unknown) in cases {
        let simulator = start(Profile::V7_0, |variants| {
            variants.key_pair_encryption = face;
        })
        .await;
        let mut client = logged_in(&simulator).await;
        let refused = pkcs12(&key, &[&certificate], unknown);
        let answer = import(&mut client, "portal", PASSWORD, &refused, false).await;
        assert_eq!(answer.info("message"), "Invalid certificate format");
        let accepted = pkcs12(&key, &[&certificate], known);
        import(&mut client, "portal", PASSWORD, &accepted, false)
            .await
            .succeeded();
    }
}

#[tokio::test]
async fn the_chain_in_the_file_is_taken_only_where_the_device_does_so() {
    for brings in [false, true] {
        let simulator = start(Profile::V7_0, |variants| {
            variants.key_pair_brings_authorities = brings;
        })
        .await;
        let mut client = logged_in(&simulator).await;
        let office = Office::new();
        let (key, certificate) = issue(&office);
        let chain = [
            certificate.as_slice(),
            &der(&office.intermediate_pem),
            &der(&office.root_pem),
        ];
        import(
            &mut client,
            "portal",
            PASSWORD,
            &pkcs12(&key, &chain, MODERN),
            false,
        )
        .await
        .succeeded();
        assert_eq!(has(&simulator, "Office Issuing CA"), brings);
        assert_eq!(has(&simulator, "Office Root"), brings);
    }
}

async fn import(
    client: &mut Client,
    name: &str,
    password: &str,
    file: &[u8],
    as_form: bool,
) -> HttpAnswer {
    let path = format!("/import/certificates/cert-key-pair/name/{name}");
    if !as_form {
        let path = format!("{path}/password/{password}");
        return client
            .call_as("PUT", &path, "application/json", file)
            .await
            .unwrap();
    }
    let mut body = format!(
        "--x\r\nContent-Disposition: form-data; name=\"certPasswd\"\r\n\r\n{password}\r\n\
         --x\r\nContent-Disposition: form-data; name=\"certificate.exp\"; filename=\"portal.p12\"\r\n\
         Content-Type: application/octet-stream\r\n\r\n"
    )
    .into_bytes();
    body.extend_from_slice(file);
    body.extend_from_slice(b"\r\n--x--\r\n");
    client
        .call_as(
            "PUT",
            &format!("{path}?portal.p12"),
            "multipart/form-data; boundary=x",
            &body,
        )
        .await
        .unwrap()
}

fn has(simulator: &Simulator, name: &str) -> bool {
    simulator.certificates().iter().any(|known| known == name)
}

/// A key that was generated outside the device, and its certificate.
pub fn issue(office: &Office) -> (KeyPair, Vec<u8>) {
    let key = KeyPair::generate().unwrap();
    let request = rcgen::CertificateParams::new(vec!["portal.example.com".to_owned()])
        .unwrap()
        .serialize_request(&key)
        .unwrap();
    let certificate = der(&office.sign(request.der()));
    (key, certificate)
}

pub fn pkcs12(key: &KeyPair, chain: &[&[u8]], encryption: EncryptionAlgorithm) -> Vec<u8> {
    let certificates = chain.iter().map(|der| Certificate::from_der(der).unwrap());
    let key = PrivateKey::from_der(&key.serialize_der()).unwrap();
    let mut store = KeyStore::new();
    store.add_entry(
        "portal",
        KeyStoreEntry::PrivateKeyChain(PrivateKeyChain::new("1", key, certificates)),
    );
    let mac = if encryption == MODERN {
        MacAlgorithm::HmacSha256
    } else {
        MacAlgorithm::HmacSha1
    };
    store
        .writer(PASSWORD)
        .encryption_algorithm(encryption)
        .encryption_iterations(100)
        .mac_algorithm(mac)
        .mac_iterations(100)
        .write()
        .unwrap()
}

pub fn der(pem: &str) -> Vec<u8> {
    let letters: String = pem
        .lines()
        .filter(|line| !line.starts_with("-----"))
        .collect();
    data_encoding::BASE64.decode(letters.as_bytes()).unwrap()
}
