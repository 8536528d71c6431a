//! SNWL-PK-AUTH: the password encrypted with the device's own key.

use aws_lc_rs::rsa::{
    OAEP_SHA256_MGF1SHA256, OaepPublicEncryptingKey, Pkcs1PublicEncryptingKey, PublicEncryptingKey,
};
use data_encoding::BASE64;
use simulators::sonicos::{Profile, PublicKeyPadding, Simulator};

use crate::client::{Client, HttpAnswer, Login};
use crate::steps::start;

#[tokio::test]
async fn the_password_is_encrypted_with_the_padding_of_the_device() {
    for padding in [PublicKeyPadding::Pkcsv15, PublicKeyPadding::OaepSha256] {
        let simulator = start(Profile::V7_0, |variants| {
            variants.public_key_padding = padding;
        })
        .await;
        let answer = log_in(&simulator, padding, "correct horse").await;
        assert_eq!(answer.status, 200, "{}: {}", padding.word(), answer.text());
        assert_eq!(answer.info("config_mode"), "Yes");
        // The session belongs to the address, as after any login of 7.0.
        let mut anonymous = Client::new(simulator.management(), Login::Nothing);
        assert_eq!(
            anonymous.call("GET", "/version", "").await.unwrap().status,
            200
        );
    }
}

#[tokio::test]
async fn the_other_padding_and_a_wrong_password_count_as_wrong_logins_until_the_lockout() {
    let simulator = start(Profile::V7_X, |variants| {
        variants.public_key_padding = PublicKeyPadding::OaepSha256;
        variants.lockout_after = 2;
    })
    .await;
    let padding = log_in(&simulator, PublicKeyPadding::Pkcsv15, "correct horse").await;
    assert_eq!(padding.status, 401);
    let password = log_in(&simulator, PublicKeyPadding::OaepSha256, "wrong").await;
    assert_eq!(password.info("message"), "Incorrect name/password");
    let counters = simulator.counters();
    assert_eq!((counters.failed_logins, counters.locked_out), (2, 1));
    let locked = log_in(&simulator, PublicKeyPadding::OaepSha256, "correct horse").await;
    assert_eq!(locked.info("message"), "Account is locked.");
}

#[tokio::test]
async fn it_is_not_offered_unless_it_is_switched_on() {
    let simulator = start(Profile::V7_0, |_| {}).await;
    assert!(challenge(&simulator).await.is_none());
    let header = "SNWL-PK-AUTH user=\"renewd\", data=\"AQID\"";
    let answer = with_header(&simulator, header).await;
    assert_eq!(answer.status, 401);
    assert_eq!(simulator.counters().failed_logins, 0);
}

async fn log_in(simulator: &Simulator, padding: PublicKeyPadding, password: &str) -> HttpAnswer {
    let key = challenge(simulator).await.unwrap();
    let key = PublicEncryptingKey::from_der(&BASE64.decode(key.as_bytes()).unwrap()).unwrap();
    let mut data = vec![0; key.key_size_bytes()];
    let data = match padding {
        PublicKeyPadding::Pkcsv15 => Pkcs1PublicEncryptingKey::new(key)
            .unwrap()
            .encrypt(password.as_bytes(), &mut data)
            .unwrap(),
        _ => OaepPublicEncryptingKey::new(key)
            .unwrap()
            .encrypt(
                &OAEP_SHA256_MGF1SHA256,
                password.as_bytes(),
                &mut data,
                None,
            )
            .unwrap(),
    };
    let data = BASE64.encode(data);
    let header = format!("SNWL-PK-AUTH user=\"renewd\", data=\"{data}\"");
    with_header(simulator, &header).await
}

/// The key of the challenge, base64.
async fn challenge(simulator: &Simulator) -> Option<String> {
    let mut client = Client::new(simulator.management(), Login::Nothing);
    let answer = client.call("POST", "/auth", "{}").await.unwrap();
    assert_eq!(answer.status, 401);
    let challenges = answer.header("www-authenticate");
    let challenge = challenges
        .iter()
        .find_map(|challenge| challenge.strip_prefix("SNWL-PK-AUTH type=RSA, key=\""))?;
    Some(challenge.trim_end_matches('"').to_owned())
}

async fn with_header(simulator: &Simulator, header: &str) -> HttpAnswer {
    let login = Login::Header(header.to_owned());
    let mut client = Client::new(simulator.management(), login);
    client
        .call("POST", "/auth", r#"{"override": true}"#)
        .await
        .unwrap()
}
