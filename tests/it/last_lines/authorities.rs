//! CAs that refuse, delay, misissue, or cannot be reached; and decisions about money.

use std::sync::Arc;

use simulators::acme::ProblemType;
use simulators::ca::{Fault, Mischief, On, RetryAfter};
use simulators::sonicos::{Faces, Profile};

use super::{DAY, HOUR, Told, live, once};
use crate::acme::odd_answers::answer_instead;
use crate::contract::acme::Acme;
use crate::contract::pam360::Pam360;
use crate::contract::resello::Resello;
use crate::contract::venafi::Venafi;
use crate::contract::{Behaviour, Bench, Subject};
use crate::decisions::{acme_lab, recalled};
use crate::lab::{Lab, today};

#[tokio::test(flavor = "multi_thread")]
async fn a_certificate_that_is_not_what_was_asked_for_is_refused_with_what_is_wrong() {
    async fn misissued<S: Subject>(mischief: Mischief) -> Told {
        let bench = Bench::<S>::new().await;
        bench.ca.port().mischief(mischief);
        live(&bench.lab, 6 * HOUR).await
    }
    let paid = misissued::<Resello>(Mischief::WrongName).await;
    paid.is(
        1,
        &["check the issued certificate"],
        &["office", "renewd renew hq-portal"],
    );
    // The shop shows the certificate of another order; whose it is, a person has to ask there.
    let other = misissued::<Resello>(Mischief::WrongKey).await;
    other.is(
        1,
        &["office waits for the certificate of our key"],
        &["at office"],
    );
    for mischief in [Mischief::WrongName, Mischief::WrongKey, Mischief::Expired] {
        let free = misissued::<Venafi>(mischief).await;
        free.is(
            1,
            &["check the issued certificate"],
            &["CA", "renewd renew hq-portal"],
        );
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_certificate_that_is_already_due_is_held_for_a_decision() {
    for mischief in [Mischief::Backdated, Mischief::EndsSoon] {
        let bench = Bench::<Venafi>::new().await;
        bench.ca.port().mischief(mischief);
        let told = live(&bench.lab, 2 * DAY).await;
        told.is(
            1,
            &["is the clock right?", "HELD for a person"],
            &["to install it all the same: renewd renew hq-portal"],
        );
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn orders_that_a_shop_ends_time_and_again_are_held_for_a_decision() {
    let bench = Bench::<Resello>::new().await;
    bench.ca.behave(Behaviour::Refuses);
    let told = live(&bench.lab, 2 * HOUR).await;
    told.is(1, &["office", "FAILED"], &["renewd renew hq-portal"]);
    for _ in 0..8 {
        bench.lab.clock.advance(DAY);
        live(&bench.lab, 2 * HOUR).await;
    }
    let told = once(&bench.lab).await;
    told.is(
        1,
        &["the last 2 orders", "HELD for a person"],
        &["to order another one: renewd renew hq-portal"],
    );
    assert_eq!(bench.ca.orders(), 2);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_renewal_that_may_have_been_paid_is_held_for_a_decision() {
    let bench = Bench::<Resello>::new().await;
    bench.run(DAY).await;
    let [served, _] = bench.lab.seen().await;
    bench.lab.clock.set(served.not_after - 20 * DAY);
    bench
        .ca
        .port()
        .fault(On::next("POST", "/renew"), Fault::LostBefore);
    let told = live(&bench.lab, 3 * DAY).await;
    told.is(
        1,
        &["it may have been paid", "HELD for a person"],
        &["to order once more: renewd renew hq-portal"],
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn a_recalled_certificate_asks_binds_or_waits() {
    let (_acme, lab) = recalled("").await;
    let told = live(&lab, 12 * HOUR).await;
    told.is(1, &["office wants"], &["renewd renew hq-portal --now"]);
    let (_acme, lab) = recalled("urgent = \"wait\"").await;
    let told = live(&lab, 12 * HOUR).await;
    told.is(0, &["office wants"], &["renewd renew hq-portal --now"]);
    let (_acme, lab) = recalled("urgent = \"bind\"").await;
    let told = live(&lab, 12 * HOUR).await;
    assert_eq!((told.code, &*told.line), (0, ""), "{told:#?}");
}

#[tokio::test(flavor = "multi_thread")]
async fn an_order_that_stays_pending_waits_and_then_needs_somebody() {
    let bench = Bench::<Venafi>::new().await;
    bench.ca.behave(Behaviour::SignsAfter(100_000));
    let told = live(&bench.lab, HOUR / 6).await;
    told.is(
        0,
        &["office waits for"],
        &["nothing: office is asked again"],
    );
    bench.lab.clock.advance(26 * HOUR);
    let told = once(&bench.lab).await;
    told.is(
        1,
        &["office waits for"],
        &["look into the account at office"],
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn an_approval_is_asked_for_at_its_ca() {
    for told in [approval::<Venafi>().await, approval::<Pam360>().await] {
        told.is(1, &["office waits for"], &["approve the order at office"]);
    }
}

async fn approval<S: Subject>() -> Told {
    let bench = Bench::<S>::new().await;
    bench.ca.behave(Behaviour::WaitsForPerson);
    live(&bench.lab, HOUR).await
}

#[tokio::test(flavor = "multi_thread")]
async fn a_ca_that_refuses_or_knows_us_no_more_is_named() {
    async fn unauthorized<S: Subject>() -> Told {
        let bench = Bench::<S>::new().await;
        bench.ca.spoil_credentials(true, &bench.lab);
        live(&bench.lab, HOUR).await
    }
    for told in [
        unauthorized::<Venafi>().await,
        unauthorized::<Pam360>().await,
        unauthorized::<Resello>().await,
    ] {
        told.is(1, &[""], &["office", "renewd renew hq-portal"]);
    }
    let (acme, lab) = acme_lab("").await;
    acme.simulator
        .set(|faces| faces.new_order_refused = Some(ProblemType::RejectedIdentifier));
    let told = live(&lab, DAY).await;
    told.is(1, &["rejectedIdentifier"], &["renewd renew hq-portal"]);
}

#[tokio::test(flavor = "multi_thread")]
async fn an_acme_server_that_asks_for_more_than_was_ordered_is_refused() {
    let (acme, lab) = acme_lab("").await;
    acme.simulator.set(|faces| {
        faces.always_valid = false;
        faces.authorizes_also = Some("victim.example.org".to_owned());
    });
    let told = live(&lab, 3 * HOUR).await;
    told.is(
        1,
        &["victim.example.org"],
        &["office", "renewd renew hq-portal"],
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn an_acme_server_that_leads_elsewhere_is_not_followed_and_the_other_server_is_named() {
    let (acme, lab) = acme_lab("").await;
    for _ in 0..200 {
        answer_instead(&acme, "/directory", |body| {
            body["newOrder"] = "https://evil.example:8443/x".into();
        });
    }
    let told = live(&lab, 3 * HOUR).await;
    told.is(
        1,
        &["\"evil.example:8443\""],
        &["`allow_hosts`", "office", "renewd renew hq-portal"],
    );
    assert_eq!(acme.orders(), 0);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_ca_that_cannot_be_reached_or_is_out_of_order_is_named() {
    let (acme, lab) = acme_lab("").await;
    for nth in 1..=200 {
        let fault = Fault::Unavailable(RetryAfter::Silent);
        acme.port().fault(On::next("", "").nth(nth), fault);
    }
    let told = live(&lab, 3 * HOUR).await;
    told.is(1, &["503"], &["office", "renewd renew hq-portal"]);

    renewd::tls::install_provider();
    let clock = today();
    let acme = Acme::with(Arc::clone(&clock), |_| {}).await;
    let lab = Lab::with_ca(Profile::V8, Faces::kind(), clock, &acme.driver()).await;
    acme.prepare(&lab);
    acme.simulator.stop().await;
    let told = live(&lab, 3 * HOUR).await;
    told.is(
        1,
        &["directory"],
        &["office", "can be reached", "renewd renew hq-portal"],
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn a_local_ca_without_its_key_or_after_its_end_is_named() {
    let lab = Lab::new(Profile::V8).await;
    std::fs::remove_file(lab.folder.path().join("ca.key")).unwrap();
    let told = live(&lab, 3 * HOUR).await;
    told.is(
        1,
        &["ca.key"],
        &["on this machine", "renewd renew hq-portal"],
    );

    let lab = Lab::new(Profile::V8).await;
    lab.clock.advance(11 * 366 * DAY);
    let told = live(&lab, 3 * HOUR).await;
    told.is(1, &["is expired on"], &["renewd renew hq-portal"]);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_budget_that_is_spent_says_so() {
    let bench = Bench::<Venafi>::new().await;
    let text = std::fs::read_to_string(bench.lab.config_file()).unwrap();
    let budget = "order_budget = { orders = 1, within = \"30d\" }, ";
    let text = text.replace(
        "driver.venafi = { ",
        &format!("driver.venafi = {{ {budget}"),
    );
    std::fs::write(bench.lab.config_file(), text).unwrap();
    bench.run(DAY).await;
    bench.lab.decide().await;
    let told = live(&bench.lab, DAY).await;
    told.is(1, &["the budget of office is spent"], &["`order_budget`"]);
}
