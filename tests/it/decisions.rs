//! Decisions of an operator: before money is spent again, and when a CA shortens its window.

use jiff::SignedDuration;
use renewd::clock::Clock;
use renewd::inventory::{Renewal, State};
use renewd::pki::Certificate;
use simulators::acme::ProblemType;
use simulators::ca::{Fault, Mischief, On, RetryAfter};
use simulators::sonicos::{Profile, ReplacementKey, Variants};

use crate::contract::acme::Acme;
use crate::contract::resello::Resello;
use crate::contract::venafi::Venafi;
use crate::contract::{Behaviour, Fixture, Subject};
use crate::test_bed::{CERTIFICATE, TestBed, today};
use crate::watches::{adopt_served_certificate, replace};

const HOUR: SignedDuration = SignedDuration::from_hours(1);
const DAY: SignedDuration = SignedDuration::from_hours(24);

/// Runs the daemon whenever something is due, until `longest` has passed or the newest renewal is held.
async fn live(bed: &TestBed, longest: SignedDuration, pause: SignedDuration) -> Renewal {
    let end = bed.clock.now() + longest;
    loop {
        bed.run_once().await;
        let renewal = bed.renewals().await.swap_remove(0);
        let is_held = renewal.next_attempt_at.is_none() && !renewal.state.is_end();
        if is_held || bed.clock.now() >= end {
            return renewal;
        }
        let next = renewal.next_attempt_at.filter(|_| !renewal.state.is_end());
        let latest = bed.clock.now() + pause;
        let soon = bed.clock.now() + SignedDuration::from_secs(1);
        bed.clock
            .set(next.map_or(latest, |at| at.clamp(soon, latest)));
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn an_order_that_the_shop_ends_is_bought_twice_and_then_an_operator_decides() {
    let fixture = Fixture::<Resello>::new().await;
    fixture.ca.behave(Behaviour::Refuses);
    let renewal = live(&fixture.bed, 8 * DAY, 6 * HOUR).await;
    assert_eq!(fixture.ca.orders(), 2, "{renewal:#?}");
    assert_eq!(renewal.state, State::Planned);
    assert_eq!(renewal.last_error_kind.as_deref(), Some("orders_ended"));
    let words = renewal.last_error.unwrap();
    for part in ["the last 2 orders", "renewd renew hq-portal"] {
        assert!(words.contains(part), "{words}");
    }
    assert_eq!(fixture.bed.simulator.counters().key_pairs_generated, 2);
    assert_eq!(fixture.reported("renewal_held").await, 1);
    // Nothing more happens by itself, and one more order after a decision.
    live(&fixture.bed, DAY, 6 * HOUR).await;
    assert_eq!(fixture.ca.orders(), 2);
    fixture.bed.decide().await;
    let renewal = live(&fixture.bed, 4 * DAY, 6 * HOUR).await;
    assert_eq!(fixture.ca.orders(), 3);
    assert_eq!(renewal.last_error_kind.as_deref(), Some("orders_ended"));
    assert!(renewal.last_error.unwrap().contains("the last 3 orders"));
    assert_eq!(
        fixture.reported("renewal_held").await,
        2,
        "each decision is asked for"
    );
}

/// Behind the platform a CA may charge each order, whatever becomes of it.
#[tokio::test(flavor = "multi_thread")]
async fn an_order_that_an_approver_refuses_is_placed_twice_and_then_an_operator_decides() {
    let fixture = Fixture::<Venafi>::new().await;
    fixture.ca.behave(Behaviour::Refuses);
    let renewal = live(&fixture.bed, 8 * DAY, 6 * HOUR).await;
    assert_eq!(fixture.ca.orders(), 2, "{renewal:#?}");
    assert_eq!(renewal.last_error_kind.as_deref(), Some("orders_ended"));
    assert!(renewal.last_error.unwrap().contains("the last 2 orders"));
    fixture.bed.decide().await;
    live(&fixture.bed, 4 * DAY, 6 * HOUR).await;
    assert_eq!(fixture.ca.orders(), 3);
}

/// A template that leaves out a name does so each time, and each certificate may be charged.
#[tokio::test(flavor = "multi_thread")]
async fn a_certificate_that_is_refused_each_time_is_ordered_twice_and_then_an_operator_decides() {
    let venafi = Fixture::<Venafi>::new().await;
    refused_each_time(&venafi).await;
    let acme = Fixture::<Acme>::new().await;
    refused_each_time(&acme).await;
}

async fn refused_each_time<S: Subject>(fixture: &Fixture<S>) {
    fixture.ca.port().mischief(Mischief::DropNames);
    let renewal = live(&fixture.bed, 12 * DAY, 6 * HOUR).await;
    assert_eq!(fixture.ca.orders(), 2, "{renewal:#?}");
    assert_eq!(renewal.last_error_kind.as_deref(), Some("orders_ended"));
    let words = renewal.last_error.unwrap();
    assert!(words.contains("that could be used"), "{words}");
    assert!(!words.contains('{'), "an order as people know it: {words}");
}

/// Nothing was issued, so nothing was charged: it continues until the validation succeeds.
#[tokio::test(flavor = "multi_thread")]
async fn an_acme_order_whose_validation_fails_is_placed_again_without_an_operator() {
    let fixture = Fixture::<Acme>::new().await;
    fixture.ca.simulator.set(|variants| {
        variants.always_valid = false;
        variants.validation_fails = Some(ProblemType::Unauthorized);
    });
    let renewal = live(&fixture.bed, 6 * DAY, 6 * HOUR).await;
    assert_ne!(renewal.last_error_kind.as_deref(), Some("orders_ended"));
    assert!(orders_tried(&fixture.ca) > 3, "{renewal:#?}");
    fixture.ca.simulator.set(|variants| {
        variants.always_valid = true;
        variants.validation_fails = None;
    });
    let renewal = live(&fixture.bed, 3 * DAY, 6 * HOUR).await;
    let renewal = fixture.bed.store().await.renewal(&renewal.id).await;
    assert_eq!(renewal.unwrap().unwrap().state, State::Completed);
}

/// What is finalized may be charged, whatever becomes of it.
#[tokio::test(flavor = "multi_thread")]
async fn an_acme_order_that_ends_after_it_was_finalized_is_placed_twice_and_then_an_operator_decides()
 {
    let fixture = Fixture::<Acme>::new().await;
    let fails = |problem| {
        fixture
            .ca
            .simulator
            .set(|variants| variants.order_fails = problem);
    };
    fails(Some(ProblemType::ServerInternal));
    let renewal = live(&fixture.bed, 8 * DAY, 6 * HOUR).await;
    assert_eq!(orders_tried(&fixture.ca), 2, "{renewal:#?}");
    assert_eq!(renewal.state, State::CsrExported);
    assert_eq!(renewal.last_error_kind.as_deref(), Some("orders_ended"));
    let words = renewal.last_error.unwrap();
    for part in ["the last 2 orders", "renewd renew hq-portal"] {
        assert!(words.contains(part), "{words}");
    }
    assert_eq!(fixture.reported("renewal_held").await, 1);
    // Each decision is good for one order.
    fixture.bed.decide().await;
    let renewal = live(&fixture.bed, 8 * DAY, 6 * HOUR).await;
    assert_eq!(orders_tried(&fixture.ca), 3, "{renewal:#?}");
    assert_eq!(renewal.last_error_kind.as_deref(), Some("orders_ended"));
    fails(None);
    fixture.bed.decide().await;
    assert_eq!(fixture.run(2 * DAY).await.state, State::Completed);
    assert_eq!(orders_tried(&fixture.ca), 4);
}

/// An operator who asks for a renewal allows its first order, and no second and third one.
#[tokio::test(flavor = "multi_thread")]
async fn orders_of_a_requested_renewal_that_end_after_they_were_finalized_are_counted_too() {
    let fixture = Fixture::<Acme>::new().await;
    fixture.run(DAY).await;
    let before = orders_tried(&fixture.ca);
    fixture
        .ca
        .simulator
        .set(|variants| variants.order_fails = Some(ProblemType::ServerInternal));
    fixture.bed.clock.advance(10 * DAY);
    fixture.bed.decide().await;
    let renewal = live(&fixture.bed, 8 * DAY, 6 * HOUR).await;
    assert_eq!(renewal.reason, "requested");
    assert_eq!(renewal.last_error_kind.as_deref(), Some("orders_ended"));
    assert_eq!(orders_tried(&fixture.ca) - before, 2, "{renewal:#?}");
}

/// That the request was taken is seen by the key of the certificate.
#[tokio::test(flavor = "multi_thread")]
async fn a_refused_certificate_counts_also_where_the_answer_to_its_finalization_was_lost() {
    let fixture = Fixture::<Acme>::new().await;
    for nth in 1..=3 {
        let on = On::next("POST", "finalize").nth(nth);
        fixture.ca.port().fault(on, Fault::LostAfter);
    }
    refused_each_time(&fixture).await;
}

/// The certificate comes near its end, and the answer to the order for the next one will be lost.
async fn lose_the_next_order(fixture: &Fixture<Resello>) {
    let row = fixture.bed.store().await;
    let row = row.certificate(CERTIFICATE).await.unwrap().unwrap();
    let end = row.current.unwrap().not_after;
    fixture.bed.clock.set(end - 20 * DAY);
    fixture
        .ca
        .port()
        .fault(On::next("POST", "/renew"), Fault::LostBefore);
}

/// The shop keeps the request of the order that is renewed, its reference and its status: nothing shows that the renewal
/// was taken and paid.
#[tokio::test(flavor = "multi_thread")]
async fn a_renewal_whose_answer_was_lost_is_not_paid_again_before_an_operator_decides() {
    let fixture = Fixture::<Resello>::new().await;
    fixture.run(DAY).await;
    fixture.assert_one_order("the first").await;
    lose_the_next_order(&fixture).await;
    let renewal = live(&fixture.bed, 4 * DAY, 6 * HOUR).await;
    assert_eq!(renewal.state, State::CsrExported, "{renewal:#?}");
    assert_eq!(renewal.last_error_kind.as_deref(), Some("order_again"));
    let words = renewal.last_error.unwrap();
    assert!(words.contains("it may have been paid"), "{words}");
    assert_eq!(fixture.ca.orders(), 1);
    fixture.bed.decide().await;
    let renewal = fixture.run(2 * DAY).await;
    assert_eq!(renewal.state, State::Completed, "{renewal:#?}");
    assert_eq!(fixture.ca.orders(), 2);
}

/// The first certificate is there and near its end, and the answer to the order for the next one is lost.
async fn lost_renewal() -> (Fixture<Resello>, Renewal) {
    let fixture = Fixture::<Resello>::new().await;
    fixture.run(DAY).await;
    lose_the_next_order(&fixture).await;
    let renewal = live(&fixture.bed, HOUR, HOUR).await;
    assert_eq!(renewal.state, State::CsrExported, "{renewal:#?}");
    assert_eq!(renewal.last_error_kind.as_deref(), Some("order_lookup"));
    (fixture, renewal)
}

/// Another administrator has put in another certificate, and an operator has accepted it.
async fn serve_another(bed: &TestBed) {
    let before = bed.store().await.certificate(CERTIFICATE).await;
    replace(bed, "vpn.example.com", ReplacementKey::EcdsaP256);
    bed.clock.advance(HOUR);
    bed.run_once().await;
    adopt_served_certificate(bed).await;
    let after = bed.store().await.certificate(CERTIFICATE).await;
    let [before, after] = [before, after].map(|row| row.unwrap().unwrap().current.unwrap());
    assert_ne!(before.fingerprint, after.fingerprint);
}

async fn is_held_and_paid_once(fixture: &Fixture<Resello>, renewal: &Renewal) {
    let held = live(&fixture.bed, 4 * DAY, 6 * HOUR).await;
    assert_eq!(held.id, renewal.id);
    let kind = held.last_error_kind.as_deref();
    assert_eq!(kind, Some("order_again"), "{held:#?}");
    assert_eq!(fixture.ca.orders(), 1);
    fixture.ca.assert_paid_once("held");
}

/// It was not placed for what is served now, which does not show whether it was accepted.
#[tokio::test(flavor = "multi_thread")]
async fn a_renewal_whose_answer_was_lost_is_not_bought_when_another_certificate_is_served_meanwhile()
 {
    let (fixture, renewal) = lost_renewal().await;
    serve_another(&fixture.bed).await;
    is_held_and_paid_once(&fixture, &renewal).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_renewal_whose_answer_was_lost_is_not_bought_when_the_next_ones_are_to_be_bought() {
    let (fixture, renewal) = lost_renewal().await;
    let ecdsa = "elliptic_keys = true";
    edit(
        &fixture.bed,
        ecdsa,
        &format!("{ecdsa}, renewal_mode = \"buy\""),
    );
    is_held_and_paid_once(&fixture, &renewal).await;
}

/// The shop reports it of the previous certificate, whose order the renewal keeps.
#[tokio::test(flavor = "multi_thread")]
async fn a_renewal_that_the_shop_works_on_is_followed_when_another_certificate_is_served_meanwhile()
{
    let fixture = Fixture::<Resello>::new().await;
    fixture.run(DAY).await;
    let row = fixture.bed.store().await.certificate(CERTIFICATE).await;
    let end = row.unwrap().unwrap().current.unwrap().not_after;
    fixture.bed.clock.set(end - 20 * DAY);
    fixture.ca.behave(Behaviour::SignsAfter(1000));
    let renewal = live(&fixture.bed, HOUR, HOUR).await;
    assert_eq!(renewal.state, State::Submitted, "{renewal:#?}");
    serve_another(&fixture.bed).await;
    let order = renewal.obtained.ca_reference.unwrap();
    assert!(fixture.ca.simulator.end(&order, "expired"));
    let followed = live(&fixture.bed, DAY, 6 * HOUR).await;
    assert_eq!(followed.id, renewal.id);
    assert_eq!(followed.state, State::Submitted, "{followed:#?}");
    assert_eq!(followed.last_error_kind.as_deref(), Some("approval"));
    assert_eq!(fixture.ca.orders(), 2);
}

/// A reissue ends with the term that was paid, and has made the certificate before it invalid.
#[tokio::test(flavor = "multi_thread")]
async fn a_requested_reissue_that_ends_with_the_certificate_before_it_is_installed() {
    let fixture = Fixture::<Resello>::new().await;
    let ecdsa = "elliptic_keys = true";
    edit(
        &fixture.bed,
        ecdsa,
        &format!("{ecdsa}, renewal_mode = \"reissue\""),
    );
    let first = fixture.run(DAY).await;
    fixture.bed.clock.advance(10 * DAY);
    fixture.bed.decide().await;
    let second = fixture.run(DAY).await;
    assert_ne!(second.id, first.id);
    assert_eq!(second.state, State::Completed, "{second:#?}");
    let end = |renewal: &Renewal| {
        let pem = renewal.obtained.leaf_pem.as_deref().unwrap();
        Certificate::from_pem(pem).unwrap().not_after
    };
    assert_eq!(end(&first), end(&second));
    fixture.ca.assert_paid_once("reissued");
}

pub fn edit(bed: &TestBed, from: &str, to: &str) {
    let text = std::fs::read_to_string(bed.config_file()).unwrap();
    assert!(text.contains(from), "{text}");
    std::fs::write(bed.config_file(), text.replace(from, to)).unwrap();
}

#[tokio::test(flavor = "multi_thread")]
async fn a_renewal_whose_order_may_have_been_paid_survives_what_is_changed_in_the_configuration() {
    let (fixture, renewal) = lost_renewal().await;
    let file = fixture.bed.config_file();
    let text = std::fs::read_to_string(&file).unwrap();
    let (without, _) = text.split_once("[[certificate]]").unwrap();
    let renamed = text.replace("\"office\"", "\"shop\"");
    for (changed, kind) in [(without, "left_configuration"), (&*renamed, "local")] {
        std::fs::write(&file, changed).unwrap();
        fixture.bed.run_once().await;
        let open = fixture.bed.store().await.renewal(&renewal.id).await;
        let open = open.unwrap().unwrap();
        assert_eq!(open.state, State::CsrExported, "{open:#?}");
        assert_eq!(open.last_error_kind.as_deref(), Some(kind));
    }
    std::fs::write(&file, &text).unwrap();
    let held = live(&fixture.bed, 4 * DAY, 6 * HOUR).await;
    assert_eq!(held.id, renewal.id);
    assert_eq!(held.last_error_kind.as_deref(), Some("order_again"));
    assert_eq!(fixture.ca.orders(), 1);
}

#[tokio::test(flavor = "multi_thread")]
async fn the_renewal_after_one_whose_order_may_have_been_paid_asks_an_operator() {
    let (fixture, renewal) = lost_renewal().await;
    edit(&fixture.bed, "size = 256", "size = 384");
    let held = live(&fixture.bed, 2 * DAY, 6 * HOUR).await;
    assert_ne!(held.id, renewal.id);
    assert_eq!(held.state, State::CsrExported, "{held:#?}");
    assert_eq!(held.last_error_kind.as_deref(), Some("order_again"));
    assert!(held.last_error.unwrap().contains(&renewal.id.0));
    assert_eq!(fixture.ca.orders(), 1);
    fixture.bed.decide().await;
    let renewal = live(&fixture.bed, 2 * DAY, 6 * HOUR).await;
    assert_eq!(renewal.state, State::Completed, "{renewal:#?}");
    assert_eq!(fixture.ca.orders(), 2);
}

/// An operator has it cancelled, and the shop shows it no more.
#[tokio::test(flavor = "multi_thread")]
async fn an_order_that_the_shop_does_not_show_any_more_is_given_up_by_an_operator() {
    for is_asked in [false, true] {
        let fixture = Fixture::<Resello>::new().await;
        fixture.ca.behave(Behaviour::SignsAfter(1000));
        let renewal = live(&fixture.bed, HOUR, HOUR).await;
        assert_eq!(renewal.state, State::Submitted, "{renewal:#?}");
        let reference = renewal.obtained.ca_reference.clone().unwrap();
        let env = fixture.bed.env();
        let shop = renewd::ca::issuer(&fixture.bed.config().cas["office"], &env);
        shop.cancel(&renewd::ca::Reference(reference))
            .await
            .unwrap();
        if is_asked {
            fixture.bed.decide().await;
        }
        let held = live(&fixture.bed, 3 * DAY, 6 * HOUR).await;
        assert_eq!(held.id, renewal.id);
        assert_eq!(held.last_error_kind.as_deref(), Some("order_gone"));
        let waited = renewal.state_since.duration_until(fixture.bed.clock.now());
        assert_eq!(waited > DAY, !is_asked, "{waited}");
        assert_eq!(fixture.reported("renewal_held").await, 1);
        fixture.ca.behave(Behaviour::SignsAfter(1));
        fixture.bed.decide().await;
        let next = live(&fixture.bed, DAY, 6 * HOUR).await;
        assert_eq!(next.state, State::Completed, "{next:#?}");
        assert_ne!(next.id, renewal.id);
        let ended = fixture.bed.renewals().await.swap_remove(1);
        assert_eq!((ended.id, ended.state), (renewal.id, State::Cancelled));
        assert_eq!(fixture.reported("renewal_cancelled").await, 1);
    }
}

/// A server that answers 500 to each order, so that its outcome is unknown.
#[tokio::test(flavor = "multi_thread")]
async fn an_order_whose_response_is_lost_each_time_is_retried_with_backoff_and_reported() {
    let limits = r#", limits = { names = { orders = 5, within = "7d" } }"#;
    let (acme, bed) = acme_lab(limits).await;
    for nth in 1..=6 {
        let on = On::next("POST", "new-order").nth(nth);
        acme.port().fault(on, Fault::ServerError);
    }
    let start = bed.clock.now();
    live(&bed, 2 * DAY, 12 * HOUR).await;
    let tries = orders_tried(&acme);
    assert!((4..=6).contains(&tries), "{tries} orders in two days");
    let history = bed.history().await;
    let alerts: Vec<SignedDuration> = history
        .iter()
        .filter(|event| event.name == "attention_needed")
        .map(|event| start.duration_until(event.at))
        .collect();
    assert!(!alerts.is_empty(), "no alert was raised");
    assert!(alerts.iter().all(|at| *at > HOUR), "{alerts:?}");
    // The server works again: nothing of the limits was used up.
    let renewal = live(&bed, 6 * DAY, 12 * HOUR).await;
    let renewal = bed
        .store()
        .await
        .renewal(&renewal.id)
        .await
        .unwrap()
        .unwrap();
    assert_eq!(renewal.state, State::Completed, "{renewal:#?}");
    let waited: Vec<_> = bed.history().await;
    let waited = waited
        .iter()
        .any(|event| event.fields["reason"] == "order_limit");
    assert!(
        !waited,
        "the limits were used up by orders that were not placed"
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn a_ca_that_asks_for_a_second_each_time_gets_few_orders_and_an_operator_few_alerts() {
    let (acme, bed) = acme_lab("").await;
    for nth in 1..=40 {
        let on = On::next("POST", "new-order").nth(nth);
        let busy = Fault::Unavailable(RetryAfter::Seconds(1));
        acme.port().fault(on, busy);
    }
    live(&bed, DAY, 12 * HOUR).await;
    let tries = orders_tried(&acme);
    assert!((5..=9).contains(&tries), "{tries} orders in a day");
    let alerts = count(&bed, "attention_needed").await;
    assert!((1..=6).contains(&alerts), "{alerts} alerts in a day");
}

async fn count(bed: &TestBed, name: &str) -> usize {
    let history = bed.history().await;
    history.iter().filter(|event| event.name == name).count()
}

fn orders_tried(acme: &Acme) -> usize {
    let requests = acme.port().requests();
    requests
        .iter()
        .filter(|request| request.contains("new-order"))
        .count()
}

pub async fn acme_lab(keys: &str) -> (Acme, TestBed) {
    renewd::tls::install_provider();
    let clock = today();
    let acme = Acme::with(clock.clone(), |variants| variants.always_valid = true).await;
    let driver = acme.driver_with(keys);
    let bed = TestBed::with_ca(Profile::V8, Variants::kind(), clock, &driver).await;
    acme.prepare(&bed);
    (acme, bed)
}

/// A test bed whose certificate is recalled by its CA, five days before the next maintenance window.
pub async fn recalled(policy: &str) -> (Acme, TestBed) {
    let (acme, bed) = acme_lab("").await;
    bed.run_once().await;
    bed.assert_installed_once().await;
    let now = bed.clock.now();
    let opens = (now + 6 * DAY).strftime("%M %H %d %m *").to_string();
    bed.configure_urgent(policy, &format!("start = \"{opens}\", duration = \"2h\""));
    bed.clock.advance(DAY + HOUR);
    let time = |at| time::OffsetDateTime::from_unix_timestamp(at).unwrap();
    let past = bed.clock.now() - 2 * HOUR;
    acme.simulator
        .renewal_window(Some(simulators::acme::Window {
            start: time(past.as_second()),
            end: time((past + HOUR).as_second()),
        }));
    (acme, bed)
}

#[tokio::test(flavor = "multi_thread")]
async fn a_recalled_certificate_is_ordered_at_once_and_an_operator_may_bind_it_outside_the_window()
{
    let (_acme, bed) = recalled("").await;
    let renewal = live(&bed, 12 * HOUR, HOUR).await;
    assert_eq!(renewal.state, State::Imported, "{renewal:#?}");
    assert_eq!(renewal.reason, "renewal_window");
    let history = bed.history().await;
    let asked: Vec<_> = history
        .iter()
        .filter(|event| event.name == "renewal_urgent")
        .collect();
    assert_eq!(asked.len(), 1, "{history:#?}");
    let words = asked[0].fields["detail"].as_str().unwrap();
    for part in ["may revoke it", "renewd renew hq-portal --now"] {
        assert!(words.contains(part), "{words}");
    }
    let words = renewal.last_error.unwrap();
    assert!(words.contains("renewd renew hq-portal --now"), "{words}");
    let store = bed.store().await;
    let now = bed.clock.now();
    store
        .request_renewal_now(CERTIFICATE, now, &[])
        .await
        .unwrap();
    let report = bed.run_once().await;
    assert!(!report.has_failed(), "{report:#?}");
    let renewal = bed.renewals().await.swap_remove(0);
    assert!(
        renewal.state.is_end() || renewal.state >= State::Bound,
        "{renewal:#?}"
    );
    assert!(bed.has_event("maintenance_window_overridden").await);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_recalled_certificate_is_bound_at_once_or_waits_where_that_is_configured() {
    for (policy, reached) in [("bind", State::Completed), ("wait", State::Imported)] {
        let (_acme, bed) = recalled(&format!("urgent = \"{policy}\"")).await;
        let renewal = live(&bed, 12 * HOUR, HOUR).await;
        assert_eq!(renewal.state, reached, "{policy}: {renewal:#?}");
        assert!(!bed.has_event("renewal_urgent").await, "{policy}");
        let is_reported = bed.has_event("maintenance_window_overridden").await;
        assert_eq!(is_reported, policy == "bind");
    }
}

/// The maintenance window is open when the CA announces its own, and closed when the certificate is there.
#[tokio::test(flavor = "multi_thread")]
async fn an_operator_is_asked_once_where_the_maintenance_window_closes_before_the_issuance() {
    let (acme, bed) = acme_lab("").await;
    bed.run_once().await;
    bed.assert_installed_once().await;
    bed.clock.advance(DAY + HOUR);
    let now = bed.clock.now();
    let opens = now - SignedDuration::from_mins(3);
    let opens = opens.strftime("%M %H * * *").to_string();
    bed.configure_urgent("", &format!("start = \"{opens}\", duration = \"5m\""));
    acme.simulator.set(|variants| {
        variants.processing_polls = 6;
        variants.poll_retry_after = Some(60);
    });
    let time = |at: jiff::Timestamp| time::OffsetDateTime::from_unix_timestamp(at.as_second());
    acme.simulator
        .renewal_window(Some(simulators::acme::Window {
            start: time(now - 2 * HOUR).unwrap(),
            end: time(now - HOUR).unwrap(),
        }));
    for _ in 0..3 {
        let renewal = live(&bed, HOUR, HOUR).await;
        assert_eq!(renewal.state, State::Imported, "{renewal:#?}");
        let history = bed.history().await;
        let asked: Vec<_> = history
            .iter()
            .filter(|event| event.name == "renewal_urgent")
            .collect();
        assert_eq!(asked.len(), 1, "{history:#?}");
        let words = asked[0].fields["detail"].as_str().unwrap();
        assert!(words.contains("renewd renew hq-portal --now"), "{words}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn an_operator_is_asked_once_after_a_change_of_the_configuration() {
    let (_acme, bed) = recalled("urgent = \"wait\"").await;
    live(&bed, 12 * HOUR, HOUR).await;
    assert_eq!(count(&bed, "renewal_urgent").await, 0);
    edit(&bed, "urgent = \"wait\"", "urgent = \"ask\"");
    for _ in 0..3 {
        let renewal = live(&bed, HOUR, HOUR).await;
        assert_eq!(renewal.state, State::Imported, "{renewal:#?}");
        assert_eq!(count(&bed, "renewal_urgent").await, 1);
    }
}

/// The order whose answer was lost still counts as the replacement: without `replaces`, the same order is returned.
#[tokio::test(flavor = "multi_thread")]
async fn a_lost_order_that_replaces_is_followed_by_one_that_does_not_say_so() {
    let (acme, bed) = acme_lab("").await;
    bed.run_once().await;
    bed.assert_installed_once().await;
    bed.clock.advance(61 * DAY);
    acme.port()
        .fault(On::next("POST", "new-order"), Fault::LostAfter);
    let renewal = live(&bed, DAY, HOUR).await;
    let renewal = bed
        .store()
        .await
        .renewal(&renewal.id)
        .await
        .unwrap()
        .unwrap();
    assert_eq!(renewal.state, State::Completed, "{renewal:#?}");
    assert_eq!(acme.simulator.finalizations(), 2);
}
