//! A configuration that changes while a renewal is under way.

use std::sync::Arc;

use async_trait::async_trait;
use renewd::clock::Clock as _;
use renewd::inventory::{Observation, Served, ServedCertificate, State, due};
use renewd::renewal::{Checkpoint, Moment};
use renewd::store::{CommitObserver, ProbeRecord};
use simulators::sonicos::{Profile, Variants};
use tokio::sync::Notify;

use crate::contract::venafi::Venafi;
use crate::contract::{Fixture, Subject};
use crate::test_bed::{CERTIFICATE, TestBed, run_once};

#[tokio::test(flavor = "multi_thread")]
async fn changed_names_start_a_new_renewal_instead_of_installing_an_outdated_certificate() {
    let bed = TestBed::new(Profile::V8).await;
    // The renewal stops with its CSR exported.
    bed.let_ca_fail();
    bed.run_once().await;
    assert_eq!(bed.renewals().await[0].state, State::CsrExported);

    let file = bed.config_file();
    let text = std::fs::read_to_string(&file).unwrap();
    std::fs::write(&file, text.replace("vpn.example.com", "portal.example.com")).unwrap();
    bed.let_ca_work();
    bed.clock.advance(jiff::SignedDuration::from_hours(1));
    let report = bed.run_once().await;

    let renewals = bed.renewals().await;
    let states: Vec<State> = renewals.iter().map(|renewal| renewal.state).collect();
    assert_eq!(states, [State::Completed, State::Cancelled], "{report:#?}");
    for seen in bed.seen().await {
        assert_eq!(seen.common_name.as_deref(), Some("portal.example.com"));
    }
    assert_eq!(bed.signatures(), 1);
    assert_eq!(
        bed.simulator.counters().key_pairs_present,
        1,
        "the unused key pair was removed"
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn a_certificate_that_left_the_configuration_is_left_alone() {
    let bed = TestBed::new(Profile::V8).await;
    bed.let_ca_fail();
    bed.run_once().await;
    assert_eq!(bed.renewals().await[0].state, State::CsrExported);
    let file = bed.config_file();
    let text = std::fs::read_to_string(&file).unwrap();
    std::fs::write(&file, text.split("[[certificate]]").next().unwrap()).unwrap();
    bed.clock.advance(jiff::SignedDuration::from_hours(1));
    let requests = bed.simulator.counters().requests;
    bed.run_once().await;
    assert_eq!(bed.simulator.counters().requests, requests);
    let store = bed.store().await;
    assert_eq!(
        store.renewals_of(CERTIFICATE, 10).await.unwrap()[0].state,
        State::Cancelled
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn a_ca_that_left_the_configuration_holds_up_no_renewal_that_it_has_signed_already() {
    let bed = TestBed::new(Profile::V8).await;
    bed.run_once().await;
    bed.configure_window(r#"start = "0 2 * * TUE", duration = "1h", time_zone = "UTC""#);
    bed.clock.advance(jiff::SignedDuration::from_hours(1));
    let store = bed.store().await;
    store
        .request_renewal(CERTIFICATE, jiff::Timestamp::UNIX_EPOCH, &[])
        .await
        .unwrap();
    store.close().await;
    bed.run_once().await;
    assert_eq!(bed.renewals().await[0].state, State::Imported);

    let file = bed.config_file();
    let text = std::fs::read_to_string(&file).unwrap();
    std::fs::write(&file, text.replace("\"office\"", "\"branch\"")).unwrap();
    bed.clock.set("2026-11-24T02:00:00Z".parse().unwrap());
    let report = bed.run_once().await;
    let states: Vec<State> = bed.renewals().await.iter().map(|one| one.state).collect();
    assert_eq!(states, [State::Completed, State::Completed], "{report:#?}");
}

/// A probe that began before the reload ends after it: what it saw at an address that is verified no more is stored.
#[tokio::test(flavor = "multi_thread")]
async fn what_an_address_served_that_left_the_configuration_causes_no_further_order() {
    let bed = TestBed::new(Profile::V8).await;
    bed.configure_window(r#"start = "0 2 * * TUE", duration = "1h", time_zone = "UTC""#);
    let [management, _] = bed.seen().await;
    bed.run_once().await;
    assert_eq!(bed.renewals().await[0].state, State::Imported);
    let file = bed.config_file();
    let address = bed.simulator.management().to_string();
    let text = std::fs::read_to_string(&file).unwrap();
    let text = text.replace("\"web-management\", ", "");
    std::fs::write(&file, text.replace(&format!("\"{address}\", "), "")).unwrap();
    bed.run_once().await;
    bed.clock.set("2026-11-24T02:00:00Z".parse().unwrap());
    let now = bed.clock.now();
    let served = Served::known(address, ServedCertificate::of(&management, now));
    let probe_record = ProbeRecord {
        observations: &[(Observation::probed(served), Vec::new())],
        next_probe_at: now + jiff::SignedDuration::from_mins(5),
        ..ProbeRecord::default()
    };
    let store = bed.store().await;
    store
        .record_probe(CERTIFICATE, &probe_record, now)
        .await
        .unwrap();
    store.close().await;

    for _ in 0..3 {
        bed.run_once().await;
        bed.clock.advance(jiff::SignedDuration::from_mins(10));
    }
    let states: Vec<State> = bed.renewals().await.iter().map(|one| one.state).collect();
    assert_eq!(states, [State::Completed]);
    assert_eq!(bed.signatures(), 1);
}

/// Says when a state is stored, and lets nothing happen afterwards.
#[derive(Debug)]
struct StopsAt(State, Arc<Notify>);

impl CommitObserver for StopsAt {}

#[async_trait]
impl Checkpoint for StopsAt {
    async fn pass(&self, moment: Moment) {
        if moment == Moment::Stored(self.0) {
            self.1.notify_one();
            std::future::pending::<()>().await;
        }
    }
}

/// Lets a daemon live until `state` is stored.
async fn live_until(bed: &TestBed, state: State) {
    let reached = Arc::new(Notify::new());
    let stops = Arc::new(StopsAt(state, Arc::clone(&reached)));
    let file = bed.config_file();
    tokio::select! {
        _ = run_once(&file, Arc::clone(&bed.clock), stops) => panic!("it never was {state}"),
        () = reached.notified() => {}
    }
    assert_eq!(bed.renewals().await[0].state, state);
}

/// Takes the certificate out of the configuration, and returns what the file said.
fn take_out(bed: &TestBed) -> String {
    let file = bed.config_file();
    let text = std::fs::read_to_string(&file).unwrap();
    std::fs::write(&file, text.split("[[certificate]]").next().unwrap()).unwrap();
    text
}

#[tokio::test(flavor = "multi_thread")]
async fn what_is_bound_is_brought_to_its_end_when_its_certificate_leaves_the_configuration() {
    for state in [State::Bound, State::Verified] {
        let bed = TestBed::new(Profile::V8).await;
        live_until(&bed, state).await;
        take_out(&bed);
        let report = bed.run_once().await;
        assert!(!report.has_failed(), "{report:#?}");
        bed.assert_renewed_once().await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn what_is_bound_and_not_served_is_rolled_back_without_its_configuration() {
    let bed = TestBed::with(
        Profile::V8,
        Variants {
            keep_serving_old_after_bind: true,
            ..Variants::kind()
        },
    )
    .await;
    let before = bed.seen().await;
    live_until(&bed, State::Bound).await;
    take_out(&bed);
    bed.run_once().await;
    let renewal = &bed.renewals().await[0];
    assert_eq!(renewal.state, State::RolledBack, "{:?}", renewal.last_error);
    assert_eq!(bed.seen().await, before);
}

#[tokio::test(flavor = "multi_thread")]
async fn what_was_issued_is_kept_until_its_certificate_is_back_in_the_configuration() {
    for state in [State::Submitted, State::Issued, State::Imported] {
        let bed = TestBed::new(Profile::V8).await;
        live_until(&bed, state).await;
        let text = take_out(&bed);
        bed.clock.advance(jiff::SignedDuration::from_hours(1));
        bed.run_once().await;
        assert_eq!(bed.renewals().await[0].state, state, "it is kept");
        std::fs::write(bed.config_file(), text).unwrap();
        bed.clock.advance(jiff::SignedDuration::from_hours(1));
        bed.run_once().await;
        bed.assert_renewed_once().await;
    }
}

/// Writes the configuration with the certificate on another firewall, of which there is one more.
fn move_away(text: &str) -> String {
    let (before, rest) = text.split_once("[[firewall]]").unwrap();
    let (firewall, certificate) = rest.split_once("[[certificate]]").unwrap();
    let branch = firewall.replace("\"hq\"", "\"branch\"");
    let moved = certificate.replace("firewall = \"hq\"", "firewall = \"branch\"");
    format!("{before}[[firewall]]{firewall}[[firewall]]{branch}[[certificate]]{moved}")
}

fn rename(text: &str) -> String {
    text.replace("vpn.example.com", "portal.example.com")
}

const CHANGES: [fn(&str) -> String; 2] = [move_away, rename];

/// An order that may have cost money, and a configuration that asks for something else by now.
async fn changed_at(state: State, change: fn(&str) -> String) -> (Fixture<Venafi>, String) {
    let fixture = Fixture::<Venafi>::new().await;
    live_until(&fixture.bed, state).await;
    let file = fixture.bed.config_file();
    let text = std::fs::read_to_string(&file).unwrap();
    std::fs::write(&file, change(&text)).unwrap();
    for _ in 0..3 {
        fixture.bed.run_once().await;
        fixture
            .bed
            .clock
            .advance(jiff::SignedDuration::from_hours(25));
    }
    let renewal = fixture.renewal().await;
    assert_eq!(renewal.state, state, "it is kept");
    let kind = renewal.last_error_kind.as_deref();
    assert_eq!(kind, Some("changed_configuration"), "{renewal:#?}");
    let words = renewal.last_error.unwrap();
    assert!(words.contains("renewd renew hq-portal"), "{words}");
    assert_eq!(fixture.reported("attention_needed").await, 1);
    assert_eq!(fixture.ca.orders(), 1);
    (fixture, text)
}

#[tokio::test(flavor = "multi_thread")]
async fn what_may_have_cost_money_is_kept_until_the_configuration_asks_for_it_again() {
    for state in [State::Submitted, State::Issued, State::Imported] {
        for change in CHANGES {
            let (fixture, text) = changed_at(state, change).await;
            std::fs::write(fixture.bed.config_file(), text).unwrap();
            fixture.run(jiff::SignedDuration::from_hours(24)).await;
            fixture.assert_one_order(&format!("{state}")).await;
        }
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_renewal_that_may_have_cost_money_is_replaced_after_a_configuration_change_on_request() {
    for change in CHANGES {
        let (fixture, _) = changed_at(State::Issued, change).await;
        fixture.bed.decide().await;
        fixture.bed.run_once().await;
        let renewal = fixture.run(jiff::SignedDuration::from_hours(24)).await;
        let states: Vec<State> = fixture
            .bed
            .renewals()
            .await
            .iter()
            .map(|one| one.state)
            .collect();
        assert_eq!(states, [State::Completed, State::Cancelled], "{renewal:#?}");
        assert_eq!(fixture.ca.orders(), 2);
    }
}

/// No operator decided: an expired certificate costs more than another order.
#[tokio::test(flavor = "multi_thread")]
async fn a_renewal_that_may_have_cost_money_is_replaced_before_the_served_certificate_expires() {
    for change in CHANGES {
        let (fixture, _) = changed_at(State::Issued, change).await;
        let [served, _] = fixture.bed.seen().await;
        let last_twentieth = due::emergency_at(&served);
        let second = jiff::SignedDuration::from_secs(1);
        fixture.bed.clock.set(last_twentieth - second);
        fixture.bed.run_once().await;
        assert_eq!(fixture.renewal().await.state, State::Issued);
        // It wakes by itself.
        fixture.bed.clock.set(last_twentieth);
        fixture.bed.run_once().await;
        let renewal = fixture.run(jiff::SignedDuration::from_hours(24)).await;
        let renewals = fixture.bed.renewals().await;
        let states: Vec<State> = renewals.iter().map(|one| one.state).collect();
        assert_eq!(states, [State::Completed, State::Cancelled], "{renewal:#?}");
        assert_eq!(fixture.ca.orders(), 2);
    }
}

/// A certificate of the local CA costs nothing.
#[tokio::test(flavor = "multi_thread")]
async fn a_renewal_without_costs_is_replaced_at_once_after_a_configuration_change() {
    let bed = TestBed::new(Profile::V8).await;
    live_until(&bed, State::Issued).await;
    let file = bed.config_file();
    let text = std::fs::read_to_string(&file).unwrap();
    std::fs::write(&file, rename(&text)).unwrap();
    bed.clock.advance(jiff::SignedDuration::from_hours(1));
    bed.run_once().await;
    let states: Vec<State> = bed.renewals().await.iter().map(|one| one.state).collect();
    assert_eq!(states, [State::Completed, State::Cancelled]);
    assert_eq!(bed.signatures(), 2);
}
