//! Every exchange fails once in every way. Each time there is one order, and the certificate is still issued.

use renewd::ca::Issuance;
use renewd::failure::FailureKind;
use simulators::ca::{Fault, On, RetryAfter};
use simulators::pam360::Variants;

use super::fixture::Fixture;

/// What can happen to an exchange, and the kind of failure it is reported as: for a request that changes nothing, and
/// for one that does.
fn faults() -> Vec<(Fault, FailureKind, FailureKind)> {
    use FailureKind::{Busy, OutcomeUnknown, Unauthorized, Unexpected, Unreachable};
    vec![
        (Fault::Reset, Unreachable, OutcomeUnknown),
        (Fault::LostBefore, Unreachable, OutcomeUnknown),
        (Fault::LostAfter, Unreachable, OutcomeUnknown),
        (Fault::Unauthorized, Unauthorized, Unauthorized),
        (Fault::Forbidden, Unauthorized, Unauthorized),
        (Fault::TooManyRequests(RetryAfter::Silent), Busy, Busy),
        (Fault::ServerError, Busy, OutcomeUnknown),
        (Fault::ServerErrorAfter, Busy, OutcomeUnknown),
        (Fault::Unavailable(RetryAfter::Seconds(7)), Busy, Busy),
        (Fault::Truncated, Unexpected, OutcomeUnknown),
        (Fault::Garbage, Unexpected, OutcomeUnknown),
        (Fault::LoginPage, Unexpected, Unexpected),
        (Fault::LoginRedirect, Unexpected, Unexpected),
    ]
}

/// Nothing is signed on the strength of a part of the list: ours may be in the other.
#[tokio::test]
async fn a_truncated_list_is_an_error_with_a_remedy_and_never_taken_as_absent() {
    let whole = Fixture::start(Variants {
        foreign_rows: 2000,
        ..Variants::kind()
    })
    .await;
    assert_eq!(whole.ca().find(&whole.request).await.unwrap(), None);
    let too_long = Variants {
        foreign_rows: 40_000,
        ..Variants::kind()
    };
    let in_pages = Variants {
        foreign_rows: 200,
        rows_per_list: Some(100),
        ..Variants::kind()
    };
    for variants in [too_long, in_pages] {
        let fixture = Fixture::start(variants).await;
        let failure = fixture.ca().find(&fixture.request).await.unwrap_err();
        assert_eq!(failure.kind, FailureKind::Unexpected, "{failure}");
        let remedy = "delete expired certificates and old CSRs in PAM360";
        assert!(failure.detail.contains(remedy), "{failure}");
        assert_eq!(fixture.server.counters().signed, 0);
    }
}

#[tokio::test]
async fn every_exchange_may_fail_in_every_way_and_costs_no_second_order() {
    let good = Fixture::start(Variants::default()).await;
    good.obtain().await;
    let exchanges = good.server.requests();
    assert!(exchanges.len() >= 8, "{exchanges:#?}");
    for (place, exchange) in exchanges.iter().enumerate() {
        for (fault, reading, lasting) in faults() {
            let fixture = Fixture::start(Variants::default()).await;
            let what = format!("{fault:?} at {exchange}, exchange {}", place + 1);
            let nth = u32::try_from(place + 1).unwrap();
            fixture.server.fault(On::any(nth), fault);
            let obtained = fixture.obtain().await;
            assert_eq!(fixture.server.faults_used(), 1, "{what}");
            assert_eq!(
                obtained.leaf.public_key, fixture.request.csr.public_key,
                "{what}"
            );
            fixture.assert_ordered_once(&what);
            let kinds: Vec<FailureKind> = obtained.failures.iter().map(|one| one.kind).collect();
            let expected = if exchange.starts_with("POST") {
                lasting
            } else {
                reading
            };
            // Half a CSR is not ours, and no failure. What was signed may be listed before it can be fetched.
            let is_reported = kinds.first().is_none_or(|first| *first == expected);
            let rest_is_patience = kinds.iter().skip(1).all(|kind| *kind == FailureKind::Busy);
            assert!(is_reported && rest_is_patience, "{what}: {kinds:?}");
            let is_sure = exchange.ends_with("/signCSR") || exchange.ends_with("Certificates");
            assert!(!is_sure || !kinds.is_empty(), "{what}");
        }
    }
}

#[tokio::test]
async fn a_lost_signature_is_found_by_its_key_when_the_list_contains_it() {
    let fixture = Fixture::start(Variants {
        older_namesakes: 3,
        certificate_late_calls: 2,
        list_late_calls: 1,
        ..Variants::default()
    })
    .await;
    fixture
        .server
        .fault(On::next("POST", "signCSR"), Fault::LostAfter);
    let failure = fixture.submit().await.unwrap_err();
    assert_eq!(failure.kind, FailureKind::OutcomeUnknown);
    let ca = fixture.ca();
    assert!(
        ca.visibility_delay(&fixture.request).as_secs() >= 60,
        "for the list to know it"
    );
    assert_eq!(ca.find(&fixture.request).await.unwrap(), None, "too early");
    for _ in 0..2 {
        let doubt = ca.find(&fixture.request).await.unwrap_err();
        assert_eq!(doubt.kind, FailureKind::Busy, "listed, not there: {doubt}");
    }
    let reference = ca.find(&fixture.request).await.unwrap().unwrap();
    let issued = fixture.poll(&reference).await.unwrap();
    assert!(matches!(issued, Issuance::Issued { .. }));
    fixture.assert_ordered_once("a late list");
}

#[tokio::test]
async fn an_expired_token_is_reported_at_once_and_the_renewal_continues_with_the_next_token() {
    let whole = Fixture::start(Variants::default()).await;
    whole.obtain().await;
    let exchanges = u32::try_from(whole.server.requests().len()).unwrap();
    for uses in 1..exchanges {
        let fixture = Fixture::start(Variants {
            token_ends_after: Some(uses),
            ..Variants::default()
        })
        .await;
        let outcome = match fixture.ca().find(&fixture.request).await {
            Ok(None) => fixture.submit().await,
            other => panic!("{other:?}"),
        };
        if let Err(failure) = outcome {
            assert_eq!(failure.kind, FailureKind::Unauthorized, "{uses}: {failure}");
        }
        fixture
            .server
            .set(|variants| variants.token_ends_after = None);
        fixture.obtain().await;
        fixture.assert_ordered_once(&format!("a token for {uses} calls"));
    }
}

#[tokio::test]
async fn the_server_is_polled_again_at_the_time_that_it_requests() {
    let fixture = Fixture::start(Variants::kind()).await;
    for (when, seconds) in [
        (RetryAfter::Silent, None),
        (RetryAfter::Seconds(120), Some(120)),
    ] {
        fixture
            .server
            .fault(On::any(1), Fault::TooManyRequests(when));
        let failure = fixture.ca().find(&fixture.request).await.unwrap_err();
        assert_eq!(failure.kind, FailureKind::Busy);
        assert_eq!(failure.retry_after.map(|wait| wait.as_secs()), seconds);
    }
}

#[tokio::test]
async fn an_unknown_server_gets_no_token() {
    let mut fixture = Fixture::start(Variants::kind()).await;
    fixture.settings.trust.anchor =
        renewd::tls::Anchor::Pins(vec!["00".repeat(32).parse().unwrap()]);
    let failure = fixture.submit().await.unwrap_err();
    assert_eq!(failure.kind, FailureKind::Untrusted);
    assert_eq!(fixture.server.requests().len(), 0);
}
