//! CAs that refuse, delay, misissue, or cannot be reached; and decisions about money.

use std::sync::Arc;

use simulators::acme::ProblemType;
use simulators::ca::{Fault, Mischief, On, RetryAfter};
use simulators::sonicos::{Profile, Variants};

use super::{DAY, HOUR, RunOutput, live, once};
use crate::acme::odd_answers::answer_instead;
use crate::contract::acme::Acme;
use crate::contract::pam360::Pam360;
use crate::contract::resello::Resello;
use crate::contract::venafi::Venafi;
use crate::contract::{Behaviour, Fixture, Subject};
use crate::decisions::{acme_lab, recalled};
use crate::test_bed::{TestBed, today};

#[tokio::test(flavor = "multi_thread")]
async fn a_certificate_that_does_not_match_the_request_is_refused_with_the_mismatch() {
    async fn misissued<S: Subject>(mischief: Mischief) -> RunOutput {
        let fixture = Fixture::<S>::new().await;
        fixture.ca.port().mischief(mischief);
        live(&fixture.bed, 6 * HOUR).await
    }
    let paid = misissued::<Resello>(Mischief::WrongName).await;
    paid.is(
        1,
        &["check the issued certificate"],
        &["office", "renewd renew hq-portal"],
    );
    // The shop shows the certificate of another order; an operator has to ask the shop for its owner.
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
        let fixture = Fixture::<Venafi>::new().await;
        fixture.ca.port().mischief(mischief);
        let reported = live(&fixture.bed, 2 * DAY).await;
        reported.is(
            1,
            &["is the clock right?", "HELD for an operator"],
            &["to install it anyway: renewd renew hq-portal"],
        );
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn orders_that_a_shop_cancels_repeatedly_are_held_for_a_decision() {
    let fixture = Fixture::<Resello>::new().await;
    fixture.ca.behave(Behaviour::Refuses);
    let reported = live(&fixture.bed, 2 * HOUR).await;
    reported.is(1, &["office", "FAILED"], &["renewd renew hq-portal"]);
    for _ in 0..8 {
        fixture.bed.clock.advance(DAY);
        live(&fixture.bed, 2 * HOUR).await;
    }
    let reported = once(&fixture.bed).await;
    reported.is(
        1,
        &["the last 2 orders", "HELD for an operator"],
        &["to order another one: renewd renew hq-portal"],
    );
    assert_eq!(fixture.ca.orders(), 2);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_renewal_that_may_have_been_paid_is_held_for_a_decision() {
    let fixture = Fixture::<Resello>::new().await;
    fixture.run(DAY).await;
    let [served, _] = fixture.bed.seen().await;
    fixture.bed.clock.set(served.not_after - 20 * DAY);
    fixture
        .ca
        .port()
        .fault(On::next("POST", "/renew"), Fault::LostBefore);
    let reported = live(&fixture.bed, 3 * DAY).await;
    reported.is(
        1,
        &["it may have been paid", "HELD for an operator"],
        &["to order once more: renewd renew hq-portal"],
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn a_recalled_certificate_asks_binds_or_waits() {
    let (_acme, bed) = recalled("").await;
    let reported = live(&bed, 12 * HOUR).await;
    reported.is(1, &["office wants"], &["renewd renew hq-portal --now"]);
    let (_acme, bed) = recalled("urgent = \"wait\"").await;
    let reported = live(&bed, 12 * HOUR).await;
    reported.is(0, &["office wants"], &["renewd renew hq-portal --now"]);
    let (_acme, bed) = recalled("urgent = \"bind\"").await;
    let reported = live(&bed, 12 * HOUR).await;
    assert_eq!((reported.code, &*reported.line), (0, ""), "{reported:#?}");
}

#[tokio::test(flavor = "multi_thread")]
async fn an_order_that_stays_pending_waits_and_then_needs_an_operator() {
    let fixture = Fixture::<Venafi>::new().await;
    fixture.ca.behave(Behaviour::SignsAfter(100_000));
    let reported = live(&fixture.bed, HOUR / 6).await;
    reported.is(
        0,
        &["office waits for"],
        &["nothing: office is asked again"],
    );
    fixture.bed.clock.advance(26 * HOUR);
    let reported = once(&fixture.bed).await;
    reported.is(
        1,
        &["office waits for"],
        &["look into the account at office"],
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn an_approval_is_asked_for_at_its_ca() {
    for reported in [approval::<Venafi>().await, approval::<Pam360>().await] {
        reported.is(1, &["office waits for"], &["approve the order at office"]);
    }
}

async fn approval<S: Subject>() -> RunOutput {
    let fixture = Fixture::<S>::new().await;
    fixture.ca.behave(Behaviour::WaitsForPerson);
    live(&fixture.bed, HOUR).await
}

#[tokio::test(flavor = "multi_thread")]
async fn a_ca_that_refuses_or_knows_us_no_more_is_named() {
    async fn unauthorized<S: Subject>() -> RunOutput {
        let fixture = Fixture::<S>::new().await;
        fixture.ca.spoil_credentials(true, &fixture.bed);
        live(&fixture.bed, HOUR).await
    }
    for reported in [
        unauthorized::<Venafi>().await,
        unauthorized::<Pam360>().await,
        unauthorized::<Resello>().await,
    ] {
        reported.is(1, &[""], &["office", "renewd renew hq-portal"]);
    }
    let (acme, bed) = acme_lab("").await;
    acme.simulator
        .set(|variants| variants.new_order_refused = Some(ProblemType::RejectedIdentifier));
    let reported = live(&bed, DAY).await;
    reported.is(1, &["rejectedIdentifier"], &["renewd renew hq-portal"]);
}

#[tokio::test(flavor = "multi_thread")]
async fn an_acme_server_that_asks_for_more_than_was_ordered_is_refused() {
    let (acme, bed) = acme_lab("").await;
    acme.simulator.set(|variants| {
        variants.always_valid = false;
        variants.authorizes_also = Some("victim.example.org".to_owned());
    });
    let reported = live(&bed, 3 * HOUR).await;
    reported.is(
        1,
        &["victim.example.org"],
        &["office", "renewd renew hq-portal"],
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn an_acme_server_that_redirects_elsewhere_is_not_followed_and_the_other_server_is_named() {
    let (acme, bed) = acme_lab("").await;
    for _ in 0..200 {
        answer_instead(&acme, "/directory", |body| {
            body["newOrder"] = "https://evil.example:8443/x".into();
        });
    }
    let reported = live(&bed, 3 * HOUR).await;
    reported.is(
        1,
        &["\"evil.example:8443\""],
        &["`allow_hosts`", "office", "renewd renew hq-portal"],
    );
    assert_eq!(acme.orders(), 0);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_ca_that_cannot_be_reached_or_is_out_of_order_is_named() {
    let (acme, bed) = acme_lab("").await;
    for nth in 1..=200 {
        let fault = Fault::Unavailable(RetryAfter::Silent);
        acme.port().fault(On::next("", "").nth(nth), fault);
    }
    let reported = live(&bed, 3 * HOUR).await;
    reported.is(1, &["503"], &["office", "renewd renew hq-portal"]);

    renewd::tls::install_provider();
    let clock = today();
    let acme = Acme::with(Arc::clone(&clock), |_| {}).await;
    let bed = TestBed::with_ca(Profile::V8, Variants::kind(), clock, &acme.driver()).await;
    acme.prepare(&bed);
    acme.simulator.stop().await;
    let reported = live(&bed, 3 * HOUR).await;
    reported.is(
        1,
        &["directory"],
        &["office", "can be reached", "renewd renew hq-portal"],
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn a_local_ca_without_its_key_or_after_its_end_is_named() {
    let bed = TestBed::new(Profile::V8).await;
    std::fs::remove_file(bed.folder.path().join("ca.key")).unwrap();
    let reported = live(&bed, 3 * HOUR).await;
    reported.is(
        1,
        &["ca.key"],
        &["on this machine", "renewd renew hq-portal"],
    );

    let bed = TestBed::new(Profile::V8).await;
    bed.clock.advance(11 * 366 * DAY);
    let reported = live(&bed, 3 * HOUR).await;
    reported.is(1, &["is expired on"], &["renewd renew hq-portal"]);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_budget_that_is_spent_says_so() {
    let fixture = Fixture::<Venafi>::new().await;
    let text = std::fs::read_to_string(fixture.bed.config_file()).unwrap();
    let budget = "order_budget = { orders = 1, within = \"30d\" }, ";
    let text = text.replace(
        "driver.venafi = { ",
        &format!("driver.venafi = {{ {budget}"),
    );
    std::fs::write(fixture.bed.config_file(), text).unwrap();
    fixture.run(DAY).await;
    fixture.bed.decide().await;
    let reported = live(&fixture.bed, DAY).await;
    reported.is(1, &["the budget of office is spent"], &["`order_budget`"]);
}
