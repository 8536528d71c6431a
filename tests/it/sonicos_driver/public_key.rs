//! The login with an encrypted password: which padding is a matter of settings, and a wrong one costs one login.

use renewd::failure::FailureKind;
use renewd::firewall::sonicos::Login;
use simulators::sonicos::{Profile, PublicKeyPadding, Variants};

use super::fixture::{Fixture, inline};

async fn device(padding: PublicKeyPadding, change: impl FnOnce(&mut Variants)) -> Fixture {
    Fixture::start(Profile::V7_X, |variants| {
        variants.public_key_padding = padding;
        change(variants);
    })
    .await
}

#[tokio::test]
async fn the_encrypted_password_is_taken_with_either_padding() {
    for (padding, login) in [
        (PublicKeyPadding::OaepSha256, Login::PublicKey),
        (PublicKeyPadding::Pkcsv15, Login::PublicKeyPkcs1),
    ] {
        let mut fixture = device(padding, |_| {}).await;
        fixture.settings.login = login;
        let mut session = fixture.session().await;
        session.bindings().await.unwrap();
        session.remove("never-there").await.unwrap();
        fixture.close(session).await;
        let counters = fixture.device.counters();
        assert_eq!((counters.failed_logins, counters.logins), (0, 1));
    }
}

#[tokio::test]
async fn the_other_padding_and_a_wrong_password_cost_one_login_each_and_the_hint_names_the_padding()
{
    let mut fixture = device(PublicKeyPadding::Pkcsv15, |_| {}).await;
    fixture.settings.login = Login::PublicKey;
    let failure = fixture.open(&[]).await.err().unwrap();
    assert_eq!(failure.kind, FailureKind::Unauthorized);
    assert!(failure.detail.contains("PKCS#1 v1.5"), "{failure}");
    assert_eq!(fixture.device.counters().failed_logins, 1);

    fixture.settings.login = Login::PublicKeyPkcs1;
    fixture.settings.password = inline("wrong");
    let failure = fixture.open(&[]).await.err().unwrap();
    assert_eq!(failure.kind, FailureKind::Unauthorized);
    assert_eq!(fixture.device.counters().failed_logins, 2);
}

#[tokio::test]
async fn without_a_choice_of_padding_no_login_is_spent_on_the_encrypted_password() {
    for padding in [PublicKeyPadding::Pkcsv15, PublicKeyPadding::OaepSha256] {
        let fixture = device(padding, |variants| {
            (variants.digest_sha256, variants.digest_md5) = (false, Some(false));
            (variants.chap, variants.basic) = (Some(false), Some(false));
        })
        .await;
        let failure = fixture.open(&[]).await.err().unwrap();
        assert_eq!(failure.kind, FailureKind::Refused, "{failure}");
        assert!(failure.detail.contains("public-key-pkcs1"), "{failure}");
        assert_eq!(fixture.device.counters().failed_logins, 0);
    }
}

#[tokio::test]
async fn a_device_that_does_not_offer_it_is_distinguished_from_a_refusal() {
    let mut fixture = device(PublicKeyPadding::Off, |_| {}).await;
    fixture.settings.login = Login::PublicKey;
    let failure = fixture.open(&[]).await.err().unwrap();
    assert_eq!(failure.kind, FailureKind::Refused);
    assert_eq!(fixture.device.counters().failed_logins, 0);
}
