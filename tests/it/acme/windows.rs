//! Renewal windows (RFC 9773), above all of a Pebble that offers them; with others they are skipped, and the test
//! prints it.
//!
//! That is no `skipped:`, which fails where everything is to be tried: a distribution has the Pebble that it has.

use jiff::{SignedDuration, Timestamp};
use renewd::clock::Clock;
use renewd::inventory::State;
use renewd::pki::Csr;

use simulators::acme::Window;
use simulators::ca::{Fault, On, RetryAfter};
use simulators::sonicos::Variants;

use super::*;
use crate::contract::Subject;
use crate::contract::acme::Acme;
use crate::test_bed::{CERTIFICATE, today};

const HOUR: SignedDuration = SignedDuration::from_hours(1);

#[tokio::test(flavor = "multi_thread")]
async fn a_certificate_is_renewed_in_the_window_that_the_server_names_and_the_order_replaces_it() {
    let Some((pebble, bed)) = renewed().await else {
        return;
    };
    let first = bed.seen().await[0].clone();
    let start = bed.clock.now();
    // Pebble says that it need not be asked for six hours, and a window does not count in the first twentieth of a
    // lifetime, here seven hours. Its own clock is a real one, and its orders end after a day.
    let window = [start + 8 * HOUR, start + 9 * HOUR];
    let pem = first.to_pem();
    if !pebble.names_window(&pem, window).await {
        println!("skipped: this pebble cannot set a renewal window (2.8 and later can)");
        return;
    }
    while bed.renewals().await.len() == 1 {
        assert!(bed.clock.now() < window[1] + HOUR, "not in its window");
        bed.clock.advance(2 * HOUR);
        bed.run_once().await;
        if let Some(chosen) = chosen(&bed).await
            && (bed.clock.now()..bed.clock.now() + 2 * HOUR).contains(&chosen)
        {
            bed.clock.set(chosen);
            bed.run_once().await;
        }
    }
    assert_eq!(until_it_ends(&bed).await, State::Completed);
    let renewals = bed.renewals().await;
    assert_eq!(renewals.len(), 2, "{renewals:#?}");
    assert_eq!(renewals[0].reason, "renewal_window");
    assert!((window[0]..window[1]).contains(&renewals[0].planned_at));
    assert!(bed.has_event("renewal_info_updated").await);
    assert_ne!(bed.seen().await[0].fingerprint, first.fingerprint);
    assert_eq!((pebble.orders(), pebble.certificates()), (2, 2));
    assert_eq!(pebble.replacements(), 1);
}

/// By the share of its lifetime the certificate is not due; by the window it is. It was not installed by hand since.
#[tokio::test(flavor = "multi_thread")]
async fn a_renewal_in_the_window_outlasts_an_outage_of_the_ca() {
    let clock = today();
    let acme = Acme::with(clock.clone(), |variants| variants.always_valid = true).await;
    let driver = acme.driver_with("");
    let bed = TestBed::with_ca(Profile::V8, Variants::kind(), clock, &driver).await;
    acme.prepare(&bed);
    let time = |at: Timestamp| time::OffsetDateTime::from_unix_timestamp(at.as_second()).unwrap();
    let start = time(bed.clock.now() + HOUR);
    let end = time(bed.clock.now() + 2 * HOUR);
    acme.simulator.renewal_window(Some(Window { start, end }));
    assert_eq!(until_it_ends(&bed).await, State::Completed);
    let closed = Fault::Unavailable(RetryAfter::Seconds(20 * 3600));
    acme.simulator.fault(On::next("POST", "new-order"), closed);
    let until = bed.clock.now() + 60 * HOUR;
    while bed.clock.now() < until && acme.simulator.orders().len() < 2 {
        bed.clock.advance(4 * HOUR);
        bed.run_once().await;
    }
    let renewal = bed.renewals().await.into_iter().rev().nth(1).unwrap();
    assert_eq!(renewal.reason, "renewal_window");
    assert_eq!(renewal.state, State::Completed);
    assert_eq!(acme.simulator.faults_used(), 1);
}

/// A test bed whose certificate was just obtained from a server that offers windows.
async fn renewed() -> Option<(Pebble, TestBed)> {
    let pebble = Pebble::start(PebbleFaults::USUAL).await?;
    let bed = test_bed_at(&at(&pebble, "")).await;
    if facts(&bed).await["renewal windows"] == "not offered" {
        println!("not tried: this pebble offers no renewal windows (2.6 and later do)");
        return None;
    }
    assert_eq!(until_it_ends(&bed).await, State::Completed);
    Some((pebble, bed))
}

/// The moment that was chosen in the window of the certificate that is shown.
async fn chosen(bed: &TestBed) -> Option<Timestamp> {
    let row = bed.store().await.certificate(CERTIFICATE).await.unwrap();
    row?.window_of_current().map(|window| window.chosen)
}

#[tokio::test(flavor = "multi_thread")]
async fn a_server_that_offers_windows_names_one_and_takes_an_order_that_replaces() {
    let Some((pebble, bed)) = renewed().await else {
        return;
    };
    let issuer = issuer(&bed);
    let shown = bed.seen().await[0].clone();
    let info = issuer.renewal_window(&shown).await.unwrap();
    let window = info.window.unwrap();
    assert!(shown.not_before < window.start && window.end < shown.not_after);
    assert!(info.ask_again.is_some(), "{info:?}");

    let renewal = &bed.renewals().await[0];
    let csr = renewal.obtained.csr_pem.clone().unwrap();
    let request = ca::SigningRequest {
        client_reference: "second".to_owned(),
        csr: Csr::parse(csr.as_bytes()).unwrap(),
        planned_at: bed.clock.now(),
        previous: Some(ca::Previous {
            certificate: shown,
            order: renewal.obtained.ca_reference.clone().map(ca::Reference),
        }),
        window: None,
    };
    issuer.submit(&request).await.unwrap();
    assert_eq!(pebble.orders(), 2);
    // Replaced already: the server refuses the whole order, and accepts it without `replaces`.
    issuer.submit(&request).await.unwrap();
    assert_eq!(pebble.orders(), 3);
}
