//! Addresses that are dead, foreign, or different from each other.

use std::sync::Arc;

use simulators::sonicos::{Faces, On, Profile};

use super::{DAY, HOUR, live, once};
use crate::lab::{Lab, run_once};
use crate::rolls_back::{Forgets, also_verify, dead_address, give_ssl_vpn_its_own};

#[tokio::test(flavor = "multi_thread")]
async fn a_dead_address_is_named_after_the_renewal_is_completed() {
    let lab = Lab::new(Profile::V8).await;
    let dead = dead_address();
    also_verify(&lab, &dead);
    let told = live(&lab, HOUR).await;
    told.is(1, &[&dead, "serves nothing"], &["`endpoints`"]);
    // As long as it is dead, and whatever else is in order.
    lab.clock.advance(DAY);
    let told = once(&lab).await;
    told.is(1, &[&dead, "serves nothing"], &["`endpoints`"]);
}

#[tokio::test(flavor = "multi_thread")]
async fn where_no_address_served_anything_before_and_after_it_is_rolled_back_by_name() {
    let lab = Lab::new(Profile::V8).await;
    let dead = dead_address();
    let text = std::fs::read_to_string(lab.config_file()).unwrap();
    let (before, _) = text.split_once("endpoints = [").unwrap();
    std::fs::write(
        lab.config_file(),
        format!("{before}endpoints = [\"{dead}\"]\n"),
    )
    .unwrap();
    let told = live(&lab, HOUR).await;
    told.is(1, &[&dead], &["renewd renew hq-portal"]);
}

#[tokio::test(flavor = "multi_thread")]
async fn an_address_of_another_machine_is_named_in_the_roll_back() {
    let lab = Lab::new(Profile::V8).await;
    let foreign = Lab::new(Profile::V8).await;
    let address = foreign.simulator.management().to_string();
    also_verify(&lab, &address);
    let told = live(&lab, HOUR).await;
    told.is(
        1,
        &[&address, "still shows the old certificate"],
        &["check these addresses", "renewd renew hq-portal"],
    );
    // The next run, in which nothing is done, says it again.
    let told = once(&lab).await;
    assert!(told.line.contains(&address), "{told:#?}");
    assert_eq!(told.code, 1);
}

#[tokio::test(flavor = "multi_thread")]
async fn services_that_differ_are_rolled_back_each_to_its_own_and_the_address_is_named() {
    let faces = Faces {
        serve_wrong_certificate_after_bind: On::SslVpn,
        ..Faces::kind()
    };
    let lab = Lab::with(Profile::V8, faces).await;
    give_ssl_vpn_its_own(&lab);
    let told = live(&lab, HOUR).await;
    let address = lab.simulator.ssl_vpn().to_string();
    told.is(
        1,
        &[&address, "the new certificate was not served"],
        &["renewd renew hq-portal"],
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn a_renewal_that_cannot_be_rolled_back_says_what_is_bound() {
    let lab = Lab::new(Profile::V8).await;
    let foreign = Lab::new(Profile::V8).await;
    also_verify(&lab, &foreign.simulator.management().to_string());
    let forgets = Arc::new(Forgets(lab.desired().daemon.database));
    run_once(&lab.config_file(), Arc::clone(&lab.clock), forgets).await;
    let told = once(&lab).await;
    let alias = lab.renewals().await[0].alias.clone();
    told.is(
        1,
        &["nothing was bound back", &alias],
        &["renewd renew hq-portal"],
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn a_stranger_on_the_management_port_after_the_bind_is_named() {
    let faces = Faces {
        serve_wrong_certificate_after_bind: On::Management,
        ..Faces::kind()
    };
    let lab = Lab::with(Profile::V8, faces).await;
    let pin = lab.simulator.fingerprint();
    lab.configure(&pin, "verify_timeout = \"30s\"");
    let told = live(&lab, HOUR).await;
    told.is(
        1,
        &["the firewall showed SHA-256"],
        &[
            "compare what hq shows (renewd probe)",
            "renewd renew hq-portal",
        ],
    );
}
