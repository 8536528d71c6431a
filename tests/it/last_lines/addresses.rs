//! Addresses that are unreachable, that belong to another machine, or that differ from each other.

use std::sync::Arc;

use simulators::sonicos::{On, Profile, Variants};

use super::{DAY, HOUR, live, once};
use crate::rolls_back::{Forgets, also_verify, dead_address, give_ssl_vpn_its_own};
use crate::test_bed::{TestBed, run_once};

#[tokio::test(flavor = "multi_thread")]
async fn a_dead_address_is_named_after_the_renewal_is_completed() {
    let bed = TestBed::new(Profile::V8).await;
    let dead = dead_address();
    also_verify(&bed, &dead);
    let reported = live(&bed, HOUR).await;
    reported.is(1, &[&dead, "serves nothing"], &["`endpoints`"]);
    // As long as it is unreachable, even if everything else is in order.
    bed.clock.advance(DAY);
    let reported = once(&bed).await;
    reported.is(1, &[&dead, "serves nothing"], &["`endpoints`"]);
}

#[tokio::test(flavor = "multi_thread")]
async fn where_no_address_served_anything_before_and_after_it_is_rolled_back_by_name() {
    let bed = TestBed::new(Profile::V8).await;
    let dead = dead_address();
    let text = std::fs::read_to_string(bed.config_file()).unwrap();
    let (before, _) = text.split_once("endpoints = [").unwrap();
    std::fs::write(
        bed.config_file(),
        format!("{before}endpoints = [\"{dead}\"]\n"),
    )
    .unwrap();
    let reported = live(&bed, HOUR).await;
    reported.is(1, &[&dead], &["renewd renew hq-portal"]);
}

#[tokio::test(flavor = "multi_thread")]
async fn an_address_of_another_machine_is_named_in_the_roll_back() {
    let bed = TestBed::new(Profile::V8).await;
    let foreign = TestBed::new(Profile::V8).await;
    let address = foreign.simulator.management().to_string();
    also_verify(&bed, &address);
    let reported = live(&bed, HOUR).await;
    reported.is(
        1,
        &[&address, "still shows the old certificate"],
        &["check these addresses", "renewd renew hq-portal"],
    );
    // The next run, in which nothing is done, reports it again.
    let reported = once(&bed).await;
    assert!(reported.line.contains(&address), "{reported:#?}");
    assert_eq!(reported.code, 1);
}

#[tokio::test(flavor = "multi_thread")]
async fn services_that_differ_are_rolled_back_each_to_its_own_and_the_address_is_named() {
    let variants = Variants {
        serve_wrong_certificate_after_bind: On::SslVpn,
        ..Variants::kind()
    };
    let bed = TestBed::with(Profile::V8, variants).await;
    give_ssl_vpn_its_own(&bed);
    let reported = live(&bed, HOUR).await;
    let address = bed.simulator.ssl_vpn().to_string();
    reported.is(
        1,
        &[&address, "the new certificate was not served"],
        &["renewd renew hq-portal"],
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn a_renewal_that_cannot_be_rolled_back_reports_the_bound_certificate() {
    let bed = TestBed::new(Profile::V8).await;
    let foreign = TestBed::new(Profile::V8).await;
    also_verify(&bed, &foreign.simulator.management().to_string());
    let forgets = Arc::new(Forgets(bed.config().daemon.database));
    run_once(&bed.config_file(), Arc::clone(&bed.clock), forgets).await;
    let reported = once(&bed).await;
    let alias = bed.renewals().await[0].alias.clone();
    reported.is(
        1,
        &["nothing was bound back", &alias],
        &["renewd renew hq-portal"],
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn an_unknown_certificate_on_the_management_port_after_the_bind_is_named() {
    let variants = Variants {
        serve_wrong_certificate_after_bind: On::Management,
        ..Variants::kind()
    };
    let bed = TestBed::with(Profile::V8, variants).await;
    let pin = bed.simulator.fingerprint();
    bed.configure(&pin, "verify_timeout = \"30s\"");
    let reported = live(&bed, HOUR).await;
    reported.is(
        1,
        &["the firewall showed SHA-256"],
        &[
            "compare what hq shows (renewd probe)",
            "renewd renew hq-portal",
        ],
    );
}
