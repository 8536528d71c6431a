//! The requests to the shop, its possible responses, and what is reported of them.

use jiff::SignedDuration;
use renewd::ca::Issuer;
use renewd::failure::FailureKind;
use renewd::secret::{Secret, SecretSource};
use simulators::ca::{Fault, On, RetryAfter};
use simulators::resello::ErrorMessage;

use super::fixture::{Fixture, KEY};

#[tokio::test]
async fn check_reports_account_products_and_balance_and_orders_nothing() {
    let fixture = Fixture::granting(|_| {}).await;
    let facts = fixture.driver().check().await.unwrap();
    let fact = |name: &str| {
        let fact = facts.iter().find(|(known, _)| known == name);
        fact.map(|(_, value)| value.as_str()).unwrap_or_default()
    };
    assert_eq!(fact("account"), "renewd");
    assert_eq!(
        fact("plan"),
        "PositiveSSL (3f7830c3-3fa4-404d-908f-35daaa1cd17b, Comodo, 12 months)"
    );
    assert!(fact("plans offered").contains("EV SSL"));
    assert!(fact("renewals").contains("from 30 days before the end"));
    assert_eq!(fact("validation"), "EMAIL");
    assert_eq!(fact("order budget"), "10 orders in 30 days");
    fixture.assert_paid(0, "nothing was ordered");
    let requests = fixture.shop.requests();
    assert!(
        requests.iter().all(|line| line.starts_with("GET ")),
        "{requests:?}"
    );
}

#[tokio::test]
async fn wrong_credentials_give_one_clear_message_in_every_form_of_refusal() {
    for with_200 in [false, true] {
        let mut fixture =
            Fixture::granting(|variants| variants.unauthorized_with_200 = with_200).await;
        fixture.settings.api_key = SecretSource::Inline(Secret::new("wrong key".to_owned()));
        let failure = fixture.driver().check().await.unwrap_err();
        assert_eq!(failure.kind, FailureKind::Unauthorized);
        let words = "the CA refuses the credentials: correct `user` or `api_key` of this CA";
        assert!(failure.detail.starts_with(words), "{failure}");
        assert!(!failure.to_string().contains("wrong key"), "{failure}");
        assert_eq!(fixture.shop.counters().credentials_refused, 1);
    }
}

#[tokio::test]
async fn credentials_that_expire_halfway_cost_no_second_order() {
    let mut fixture = Fixture::granting(|variants| variants.reads_before_active = 2).await;
    let request = fixture.request("first", None);
    let order = fixture.order(&request).await;
    fixture.settings.api_key = SecretSource::Inline(Secret::new("expired".to_owned()));
    let failure = fixture.driver().poll(&order, &request).await.unwrap_err();
    assert_eq!(failure.kind, FailureKind::Unauthorized);
    let failure = fixture.driver().find(&request).await.unwrap_err();
    assert_eq!(failure.kind, FailureKind::Unauthorized);
    fixture.settings.api_key = SecretSource::Inline(Secret::new(KEY.to_owned()));
    fixture.obtain(&request).await;
    fixture.assert_paid(1, "one order");
}

#[tokio::test]
async fn the_shop_says_how_long_it_is_busy() {
    let fixture = Fixture::granting(|_| {}).await;
    let in_a_minute = time::OffsetDateTime::from_unix_timestamp(
        renewd::clock::Clock::now(&*fixture.clock).as_second() + 60,
    );
    for (when, wait) in [
        (RetryAfter::Silent, None),
        (RetryAfter::Seconds(77), Some(77)),
        (RetryAfter::Date(in_a_minute.unwrap()), Some(60)),
    ] {
        fixture.shop.fault(On::any(1), Fault::TooManyRequests(when));
        let request = fixture.request("first", None);
        let failure = fixture.driver().submit(&request).await.unwrap_err();
        assert_eq!(failure.kind, FailureKind::Busy);
        assert_eq!(failure.retry_after, wait.map(SignedDuration::from_secs));
    }
    fixture.assert_paid(0, "nothing was ordered");
}

#[tokio::test]
async fn an_echoed_key_is_never_repeated() {
    let fixture = Fixture::granting(|_| {}).await;
    let basic = data_encoding::BASE64.encode(format!("renewd:{KEY}").as_bytes());
    let body = format!(r#"{{"error":{{"message":"you sent {KEY} as {basic}"}}}}"#);
    for status in [200, 400, 401, 500] {
        let fault = Fault::Status(status, body.clone(), Vec::new());
        fixture.shop.fault(On::any(1), fault);
        let reported = fixture.driver().check().await.unwrap_err().to_string();
        assert!(
            !reported.contains(KEY) && !reported.contains(&basic),
            "{reported}"
        );
        assert!(reported.contains("[secret]"), "{reported}");
    }
}

#[tokio::test]
async fn every_form_of_an_error_is_understood() {
    for form in [
        ErrorMessage::Nested,
        ErrorMessage::Plain,
        ErrorMessage::Texts,
    ] {
        let mut fixture = Fixture::granting(|variants| {
            variants.error_message = form;
            variants.success_as_text = true;
        })
        .await;
        fixture.settings.applicant.approver_email_address = None;
        let request = fixture.request("first", None);
        let failure = fixture.driver().submit(&request).await.unwrap_err();
        let words = "request_validation_failed: approver_email_address: This field is required.";
        assert!(failure.detail.contains(words), "{failure}");
    }
}

#[tokio::test]
async fn a_probe_shows_responses_unchanged_and_changes_nothing() {
    let fixture = Fixture::granting(|_| {}).await;
    let exchanges = fixture.driver().probe().await.unwrap();
    assert_eq!(exchanges.len(), 2);
    assert!(exchanges[0].call.ends_with("/ssl-certificate-plan"));
    assert!(exchanges[0].answer.contains("renew_days_before_expiration"));
    fixture.assert_paid(0, "nothing was ordered");
}
