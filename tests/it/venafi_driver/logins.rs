//! Credentials: right, wrong, missing, expired during a renewal; and what `check` reports of them.

use renewd::ca::Issuer;
use renewd::ca::venafi::{Login, Target};
use renewd::failure::FailureKind;
use simulators::venafi::{Settings, Variants};

use super::fixture::{Fixture, api_key, fact, inline, request};

async fn with_service_account(variants: Variants) -> Fixture {
    let mut fixture = Fixture::new(variants).await;
    let reported = Settings::default();
    fixture.configure(|settings| {
        settings.login = Login::ServiceAccount {
            id: reported.service_account,
            jwt: inline(&reported.assertion),
        };
    });
    fixture
}

fn tokens_asked_for(fixture: &Fixture) -> usize {
    let requests = fixture.cloud.requests();
    requests
        .iter()
        .filter(|one| one.ends_with("/token"))
        .count()
}

#[tokio::test]
async fn a_wrong_key_is_one_clear_sentence_without_the_key() {
    let mut fixture = Fixture::new(Variants::kind()).await;
    fixture.configure(|settings| settings.login = api_key("0badc0de-0000-4000-8000-000000000000"));
    for failure in [
        fixture.driver.check().await.unwrap_err(),
        fixture.driver.find(&request("r1")).await.unwrap_err(),
        fixture.driver.submit(&request("r1")).await.unwrap_err(),
    ] {
        assert_eq!(failure.kind, FailureKind::Unauthorized);
        let words = failure.to_string();
        assert!(
            words.contains("does not accept the API key: check `api_key`"),
            "{words}"
        );
        assert!(!words.contains("0badc0de"), "{words}");
    }
}

#[tokio::test]
async fn a_key_that_expires_during_an_order_is_reported_and_a_new_key_continues_the_order() {
    let mut fixture = Fixture::new(Variants::kind()).await;
    let request = request("r1");
    let order = fixture.order(&request).await.unwrap();
    let good = fixture.settings.login.clone();
    fixture.configure(|settings| settings.login = api_key("ended-key-0000"));
    let failure = fixture.driver.poll(&order, &request).await.unwrap_err();
    assert_eq!(failure.kind, FailureKind::Unauthorized);
    fixture.configure(|settings| settings.login = good);
    fixture.obtain(&request, 2).await.unwrap();
    assert_eq!(fixture.cloud.counters().orders, 1);
}

#[tokio::test]
async fn a_service_accounts_token_is_used_for_many_calls() {
    let fixture = with_service_account(Variants::default()).await;
    fixture.obtain(&request("r1"), 20).await.unwrap();
    fixture.driver.check().await.unwrap();
    assert_eq!(tokens_asked_for(&fixture), 1);
}

#[tokio::test]
async fn a_token_that_is_forgotten_halfway_is_replaced_without_an_operator() {
    let fixture = with_service_account(Variants::kind()).await;
    let request = request("r1");
    let order = fixture.order(&request).await.unwrap();
    fixture.cloud.forget_tokens();
    let failure = fixture.driver.poll(&order, &request).await.unwrap_err();
    assert_eq!(failure.kind, FailureKind::Busy, "{failure}");
    fixture.driver.poll(&order, &request).await.unwrap();
    assert_eq!(tokens_asked_for(&fixture), 2);
}

#[tokio::test]
async fn a_jwt_that_is_not_accepted_is_one_clear_sentence_without_the_jwt() {
    let mut fixture = with_service_account(Variants::kind()).await;
    let id = Settings::default().service_account;
    fixture.configure(|settings| {
        settings.login = Login::ServiceAccount {
            id,
            jwt: inline("ended.j.wt"),
        };
    });
    let failure = fixture.driver.check().await.unwrap_err();
    assert_eq!(failure.kind, FailureKind::Unauthorized, "{failure}");
    assert!(
        failure
            .detail
            .contains("`service_account.jwt` is still valid"),
        "{failure}"
    );
    assert!(!failure.to_string().contains("ended.j.wt"), "{failure}");
}

#[tokio::test]
async fn check_reports_account_key_template_and_warns_of_a_key_that_expires_soon() {
    let fixture = Fixture::new(Variants::default()).await;
    let facts = fixture.driver.check().await.unwrap();
    for name in [
        "user",
        "company",
        "application id",
        "template status",
        "keys",
        "common names",
    ] {
        assert!(!fact(&facts, name).is_empty(), "{name}: {facts:?}");
    }
    assert!(!fact(&facts, "API key ends").contains("soon"), "{facts:?}");
    assert_eq!(fact(&facts, "validity asked for"), "47 days");
    let fixture = Fixture::new(Variants {
        key_days_left: 12,
        ..Variants::default()
    })
    .await;
    let facts = fixture.driver.check().await.unwrap();
    assert!(
        fact(&facts, "API key ends").contains("make a new key soon"),
        "{facts:?}"
    );
}

#[tokio::test]
async fn an_unknown_application_or_template_is_reported_with_the_known_ones() {
    for status in [404, 400] {
        let mut fixture = Fixture::new(Variants {
            unknown_application_status: status,
            ..Variants::kind()
        })
        .await;
        fixture.configure(|settings| settings.template = Target::Name("Defualt".to_owned()));
        let failure = fixture.driver.check().await.unwrap_err();
        assert_eq!(failure.kind, FailureKind::Local);
        assert!(failure.detail.contains("there are: Default"), "{failure}");
        fixture.configure(|settings| settings.application = Target::Name("Unknown".to_owned()));
        let failure = fixture.driver.submit(&request("r1")).await.unwrap_err();
        assert_eq!(failure.kind, FailureKind::Local);
        assert!(
            failure.detail.contains("no application \"Unknown\""),
            "{failure}"
        );
    }
}
