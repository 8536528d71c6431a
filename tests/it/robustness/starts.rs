//! Starts in a loop, a second apart: what has a time waits for it, so that neither a CA nor a firewall nor a service sees
//! how often the daemon was started.

use jiff::SignedDuration;
use renewd::inventory::State;
use simulators::sonicos::{Profile, Variants};

use crate::contract::acme::Acme;
use crate::contract::venafi::Venafi;
use crate::contract::{Behaviour, Fixture, Subject};
use crate::test_bed::{CERTIFICATE, TestBed, today};

const STARTS: u32 = 50;

/// Starts again and again, a second apart.
async fn start_in_a_loop(bed: &TestBed) {
    for _ in 0..STARTS {
        bed.run_once().await;
        bed.clock.advance(SignedDuration::from_secs(1));
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn an_order_that_waits_for_an_operator_is_not_polled_at_each_start() {
    let fixture = Fixture::<Venafi>::new().await;
    fixture.ca.behave(Behaviour::WaitsForPerson);
    fixture.bed.run_once().await;
    let (calls, at_device) = (
        fixture.ca.port().counters().requests,
        fixture.bed.simulator.counters(),
    );
    start_in_a_loop(&fixture.bed).await;
    let more = fixture.ca.port().counters().requests - calls;
    // In the time that passes meanwhile, one or two polls are due, of a few calls each.
    assert!(more <= 10, "{more} calls of the CA in {STARTS} starts");
    let after = fixture.bed.simulator.counters();
    assert_eq!(
        after.requests, at_device.requests,
        "requests to the firewall"
    );
    assert_eq!(after.logins, at_device.logins, "logins");
    assert_eq!(fixture.ca.orders(), 1);
    fixture.ca.approve();
    fixture.run(SignedDuration::from_hours(48)).await;
    fixture.assert_one_order("after the starts").await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_ca_that_is_down_is_not_contacted_at_each_start() {
    let fixture = Fixture::<Venafi>::new().await;
    fixture.ca.spoil_credentials(true, &fixture.bed);
    fixture.bed.run_once().await;
    let calls = fixture.ca.port().counters().requests;
    let at_device = fixture.bed.simulator.counters().requests;
    start_in_a_loop(&fixture.bed).await;
    let more = fixture.ca.port().counters().requests - calls;
    assert!(more <= 4, "{more} calls of the CA in {STARTS} starts");
    let more = fixture.bed.simulator.counters().requests - at_device;
    assert!(
        more <= 20,
        "{more} requests to the firewall in {STARTS} starts"
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn a_fleet_at_rest_asks_no_ca_for_its_window_at_each_start() {
    renewd::tls::install_provider();
    let clock = today();
    let acme = Acme::with(clock.clone(), |variants| variants.always_valid = true).await;
    let bed = TestBed::with_ca(Profile::V8, Variants::kind(), clock, &acme.driver_with("")).await;
    acme.prepare(&bed);
    bed.run_once().await;
    bed.assert_installed_once().await;
    bed.run_once().await;
    let calls = acme.port().counters().requests;
    let requests = bed.simulator.counters().requests;
    let store = bed.store().await;
    let before = store.certificate(CERTIFICATE).await.unwrap().unwrap();
    start_in_a_loop(&bed).await;
    assert_eq!(acme.port().counters().requests, calls, "calls of the CA");
    assert_eq!(bed.simulator.counters().requests, requests);
    let after = store.certificate(CERTIFICATE).await.unwrap().unwrap();
    assert_eq!(after.probe_at, before.probe_at, "looks at the service");
    assert_eq!(bed.renewals().await[0].state, State::Completed);
}
