//! Credentials: right, wrong, missing, ended halfway; and what `check` tells of them.

use renewd::ca::Issuer;
use renewd::ca::venafi::{Login, Target};
use renewd::failure::FailureKind;
use simulators::venafi::{Faces, Settings};

use super::bench::{Bench, api_key, fact, inline, request};

async fn with_service_account(faces: Faces) -> Bench {
    let mut bench = Bench::new(faces).await;
    let told = Settings::default();
    bench.configure(|settings| {
        settings.login = Login::ServiceAccount {
            id: told.service_account,
            jwt: inline(&told.assertion),
        };
    });
    bench
}

fn tokens_asked_for(bench: &Bench) -> usize {
    let requests = bench.cloud.requests();
    requests
        .iter()
        .filter(|one| one.ends_with("/token"))
        .count()
}

#[tokio::test]
async fn a_wrong_key_is_one_clear_sentence_without_the_key() {
    let mut bench = Bench::new(Faces::kind()).await;
    bench.configure(|settings| settings.login = api_key("0badc0de-0000-4000-8000-000000000000"));
    for failure in [
        bench.driver.check().await.unwrap_err(),
        bench.driver.find(&request("r1")).await.unwrap_err(),
        bench.driver.submit(&request("r1")).await.unwrap_err(),
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
async fn a_key_that_ends_halfway_is_told_and_the_order_goes_on_with_a_new_one() {
    let mut bench = Bench::new(Faces::kind()).await;
    let request = request("r1");
    let order = bench.order(&request).await.unwrap();
    let good = bench.settings.login.clone();
    bench.configure(|settings| settings.login = api_key("ended-key-0000"));
    let failure = bench.driver.poll(&order, &request).await.unwrap_err();
    assert_eq!(failure.kind, FailureKind::Unauthorized);
    bench.configure(|settings| settings.login = good);
    bench.obtain(&request, 2).await.unwrap();
    assert_eq!(bench.cloud.counters().orders, 1);
}

#[tokio::test]
async fn a_service_accounts_token_is_used_for_many_calls() {
    let bench = with_service_account(Faces::default()).await;
    bench.obtain(&request("r1"), 20).await.unwrap();
    bench.driver.check().await.unwrap();
    assert_eq!(tokens_asked_for(&bench), 1);
}

#[tokio::test]
async fn a_token_that_is_forgotten_halfway_is_replaced_without_a_person() {
    let bench = with_service_account(Faces::kind()).await;
    let request = request("r1");
    let order = bench.order(&request).await.unwrap();
    bench.cloud.forget_tokens();
    let failure = bench.driver.poll(&order, &request).await.unwrap_err();
    assert_eq!(failure.kind, FailureKind::Busy, "{failure}");
    bench.driver.poll(&order, &request).await.unwrap();
    assert_eq!(tokens_asked_for(&bench), 2);
}

#[tokio::test]
async fn a_jwt_that_is_not_accepted_is_one_clear_sentence_without_the_jwt() {
    let mut bench = with_service_account(Faces::kind()).await;
    let id = Settings::default().service_account;
    bench.configure(|settings| {
        settings.login = Login::ServiceAccount {
            id,
            jwt: inline("ended.j.wt"),
        };
    });
    let failure = bench.driver.check().await.unwrap_err();
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
async fn check_tells_account_key_template_and_warns_of_a_key_that_ends_soon() {
    let bench = Bench::new(Faces::default()).await;
    let facts = bench.driver.check().await.unwrap();
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
    let bench = Bench::new(Faces {
        key_days_left: 12,
        ..Faces::default()
    })
    .await;
    let facts = bench.driver.check().await.unwrap();
    assert!(
        fact(&facts, "API key ends").contains("make a new key soon"),
        "{facts:?}"
    );
}

#[tokio::test]
async fn an_unknown_application_or_template_is_told_with_what_there_is() {
    for status in [404, 400] {
        let mut bench = Bench::new(Faces {
            unknown_application_status: status,
            ..Faces::kind()
        })
        .await;
        bench.configure(|settings| settings.template = Target::Name("Defualt".to_owned()));
        let failure = bench.driver.check().await.unwrap_err();
        assert_eq!(failure.kind, FailureKind::Local);
        assert!(failure.detail.contains("there are: Default"), "{failure}");
        bench.configure(|settings| settings.application = Target::Name("Nobody's".to_owned()));
        let failure = bench.driver.submit(&request("r1")).await.unwrap_err();
        assert_eq!(failure.kind, FailureKind::Local);
        assert!(
            failure.detail.contains("no application \"Nobody's\""),
            "{failure}"
        );
    }
}
