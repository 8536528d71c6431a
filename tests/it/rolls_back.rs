//! What happens when the proof fails.

use std::net::TcpListener;
use std::sync::{Arc, Mutex};

use async_trait::async_trait;
use renewd::clock::Clock;
use renewd::event::Level;
use renewd::inventory::{RenewalWindow, State};
use renewd::renewal::{Checkpoint, Moment, NoCheckpoint, Step};
use renewd::store::{CommitObserver, PastEvent};
use simulators::sonicos::{On, Port, Profile, Replacement, ReplacementKey, Simulator, Variants};
use sqlx::Connection;

use crate::test_bed::{CERTIFICATE, TestBed, run_once};

async fn rolls_back(variants: Variants) -> TestBed {
    let bed = TestBed::with(Profile::V8, variants).await;
    let before = bed.seen().await;
    let report = bed.run_once().await;
    assert!(report.has_failed());
    let renewals = bed.renewals().await;
    assert_eq!(renewals.len(), 1);
    assert_eq!(
        renewals[0].state,
        State::RolledBack,
        "{:?}",
        renewals[0].last_error
    );
    assert_eq!(
        bed.seen().await,
        before,
        "the previous certificate is served again"
    );
    assert!(bed.has_event("renewal_rolled_back").await);
    let alert = bed
        .history()
        .await
        .into_iter()
        .find(|event| event.name == "renewal_rolled_back")
        .unwrap();
    assert_eq!(alert.level, Level::Alert);
    bed.assert_left_in_order();
    bed
}

#[tokio::test(flavor = "multi_thread")]
async fn a_device_that_serves_another_certificate_gets_its_previous_one_back() {
    rolls_back(Variants {
        serve_wrong_certificate_after_bind: On::SslVpn,
        ..Variants::kind()
    })
    .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_device_that_continues_to_serve_the_old_certificate_is_rolled_back_too() {
    rolls_back(Variants {
        keep_serving_old_after_bind: true,
        ..Variants::kind()
    })
    .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn the_old_certificate_is_never_deleted_before_the_verification() {
    let bed = rolls_back(Variants {
        serve_wrong_certificate_after_bind: On::SslVpn,
        ..Variants::kind()
    })
    .await;
    assert!(
        bed.simulator
            .certificates()
            .contains(&"fw-initial".to_owned())
    );
    assert_eq!(bed.simulator.counters().deletes, 0);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_certificate_that_renewd_installed_is_kept_until_the_next_one_is_verified() {
    let bed = TestBed::new(Profile::V8).await;
    bed.run_once().await;
    bed.assert_renewed_once().await;
    let before = bed.seen().await;
    bed.simulator
        .set(|variants| variants.keep_serving_old_after_bind = true);
    bed.clock.advance(jiff::SignedDuration::from_hours(65 * 24));
    assert!(bed.run_once().await.has_failed());
    let renewals = bed.renewals().await;
    let (next, first) = (&renewals[0], &renewals[1]);
    assert_eq!(next.state, State::RolledBack, "{:?}", next.last_error);
    assert_eq!(bed.seen().await, before);
    assert!(bed.simulator.certificates().contains(&first.alias));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_roll_back_is_not_followed_by_another_order_at_once() {
    let bed = rolls_back(Variants {
        serve_wrong_certificate_after_bind: On::SslVpn,
        ..Variants::kind()
    })
    .await;
    bed.run_once().await;
    assert_eq!(bed.renewals().await.len(), 1);
    assert_eq!(bed.signatures(), 1);
}

#[tokio::test(flavor = "multi_thread")]
async fn an_unknown_certificate_on_the_management_port_gets_no_credentials_until_it_is_pinned() {
    let variants = Variants {
        serve_wrong_certificate_after_bind: On::Management,
        ..Variants::kind()
    };
    let bed = TestBed::with(Profile::V8, variants).await;
    let pin = bed.simulator.fingerprint();
    // Longer than the session stays open in which it was bound.
    bed.configure(&pin, "verify_timeout = \"30s\"");
    let before = bed.seen().await;
    let report = bed.run_once().await;
    assert!(report.has_failed());
    let renewal = &bed.renewals().await[0];
    assert_eq!(renewal.state, State::VerificationFailed);
    assert_eq!(renewal.last_error_kind.as_deref(), Some("untrusted"));
    assert!(bed.has_event("attention_needed").await);
    let requests = bed.simulator.counters().requests;

    // An operator checked the device, and pins what it shows now besides what it showed before.
    let stranger = bed.simulator.fingerprint();
    bed.configure(&format!("{pin}\", \"{stranger}"), "verify_timeout = \"5s\"");
    let store = bed.store().await;
    store
        .request_renewal(CERTIFICATE, jiff::Timestamp::UNIX_EPOCH, &[])
        .await
        .unwrap();
    bed.run_once().await;
    assert!(bed.simulator.counters().requests > requests);
    assert_eq!(bed.renewals().await[0].state, State::RolledBack);
    assert_eq!(bed.seen().await, before);
}

/// The next try to install may begin, and nothing is wrong with the device any more.
async fn a_day_after_a_roll_back() -> TestBed {
    let bed = rolls_back(Variants {
        serve_wrong_certificate_after_bind: On::SslVpn,
        ..Variants::kind()
    })
    .await;
    bed.simulator.set(|variants| *variants = Variants::kind());
    bed.clock.advance(jiff::SignedDuration::from_hours(25));
    bed
}

#[tokio::test(flavor = "multi_thread")]
async fn what_was_rolled_back_is_installed_again_later_without_another_order() {
    let bed = a_day_after_a_roll_back().await;
    let report = bed.run_once().await;
    assert!(!report.has_failed(), "{report:#?}");
    let renewals = bed.renewals().await;
    assert_eq!(renewals.len(), 2);
    assert_eq!(renewals[0].state, State::Completed);
    assert_eq!(renewals[0].alias, renewals[1].alias);
    assert_eq!(bed.signatures(), 1, "the CA signed once");
    assert_eq!(bed.simulator.counters().key_pairs_generated, 1);
}

#[tokio::test(flavor = "multi_thread")]
async fn what_is_heard_after_a_roll_back_does_not_end_its_pause() {
    let bed = rolls_back(Variants {
        keep_serving_old_after_bind: true,
        ..Variants::kind()
    })
    .await;
    let now = bed.clock.now();
    let store = bed.store().await;
    let row = store.certificate(CERTIFICATE).await.unwrap().unwrap();
    let window = RenewalWindow {
        start: now - jiff::SignedDuration::from_hours(48),
        end: now - jiff::SignedDuration::from_hours(24),
        chosen: now,
        explanation: None,
    };
    // As the CA announces it when it is asked about what is served again.
    let served = row.current.unwrap().fingerprint;
    store
        .record_window(
            CERTIFICATE,
            served,
            Some(&window),
            None,
            Some(now),
            &[],
            now,
        )
        .await
        .unwrap();
    store.close().await;
    bed.run_once().await;
    assert_eq!(bed.renewals().await.len(), 1, "it is not bound again yet");
    bed.clock.advance(jiff::SignedDuration::from_hours(25));
    bed.run_once().await;
    assert_eq!(bed.renewals().await.len(), 2);
    assert_eq!(bed.signatures(), 1);
}

/// The configuration verifies at this address too.
pub fn also_verify(bed: &TestBed, address: &str) {
    let file = bed.config_file();
    let text = std::fs::read_to_string(&file).unwrap();
    let changed = text.replace("endpoints = [", &format!("endpoints = [\"{address}\", "));
    assert_ne!(text, changed);
    std::fs::write(file, changed).unwrap();
}

/// The SSL VPN has another certificate than the management page, as on many firewalls that are adopted.
pub fn give_ssl_vpn_its_own(bed: &TestBed) {
    let now = bed.device_time();
    let own = Replacement {
        name: "by-hand".to_owned(),
        common_name: "vpn.example.com".to_owned(),
        not_before: now - time::Duration::days(300),
        not_after: now + time::Duration::days(60),
        key: ReplacementKey::EcdsaP256,
    };
    let other = bed.simulator.other_administrator();
    other.gives_ssl_vpn_its_own(&own).unwrap();
}

/// A port without a listener.
pub fn dead_address() -> String {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    listener.local_addr().unwrap().to_string()
}

async fn event(bed: &TestBed, name: &str) -> PastEvent {
    let mut history = bed.history().await.into_iter();
    history
        .find(|event| event.name == name)
        .unwrap_or_else(|| panic!("no {name}"))
}

fn words(event: &PastEvent) -> &str {
    event.fields["detail"].as_str().unwrap()
}

#[tokio::test(flavor = "multi_thread")]
async fn an_address_that_served_nothing_before_is_reported_and_rolls_nothing_back() {
    let bed = TestBed::new(Profile::V8).await;
    let dead = dead_address();
    also_verify(&bed, &dead);
    let report = bed.run_once().await;
    assert!(!report.has_failed(), "{report:#?}");
    bed.assert_renewed_once().await;
    let history = bed.history().await;
    let place = |name: &str| history.iter().position(|event| event.name == name);
    // Newest first: it was reported before the first state was left.
    assert!(place("endpoint_not_ready") > place("state_reached"));
    for name in ["endpoint_not_ready", "endpoint_not_updated"] {
        let event = event(&bed, name).await;
        assert!(words(&event).contains(&dead), "{event:?}");
    }
    let store = bed.store().await;
    let row = store.certificate(CERTIFICATE).await.unwrap().unwrap();
    for served in &row.served {
        let is_dead = served.address == dead;
        assert_eq!(served.known.is_none(), is_dead, "{served:?}");
        assert_eq!(served.unreachable.is_some(), is_dead, "{served:?}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_foreign_address_ends_in_a_roll_back_that_names_it() {
    let bed = TestBed::new(Profile::V8).await;
    let foreign = TestBed::new(Profile::V8).await;
    let address = foreign.simulator.management().to_string();
    also_verify(&bed, &address);
    let before = bed.seen().await;
    let report = bed.run_once().await;
    assert!(report.has_failed());
    let renewal = &bed.renewals().await[0];
    assert_eq!(renewal.state, State::RolledBack, "{:?}", renewal.last_error);
    assert_eq!(bed.seen().await, before);
    assert!(words(&event(&bed, "endpoint_not_ready").await).contains(&address));
    for name in ["verification_failed", "renewal_rolled_back"] {
        let event = event(&bed, name).await;
        assert_eq!(event.level, Level::Alert);
        assert!(words(&event).contains(&address), "{event:?}");
    }
    let store = bed.store().await;
    let row = store.certificate(CERTIFICATE).await.unwrap().unwrap();
    assert!(row.last_failure.unwrap().contains(&address));
    bed.assert_left_in_order();
}

#[tokio::test(flavor = "multi_thread")]
async fn what_was_rolled_back_twice_is_bound_again_only_by_an_operators_decision() {
    let bed = TestBed::new(Profile::V8).await;
    let foreign = TestBed::new(Profile::V8).await;
    also_verify(&bed, &foreign.simulator.management().to_string());
    for times in 1..=2 {
        bed.run_once().await;
        let renewals = bed.renewals().await;
        assert_eq!(
            (renewals.len(), renewals[0].state),
            (times, State::RolledBack)
        );
        bed.clock.advance(jiff::SignedDuration::from_hours(25));
    }
    for times in 3..=4 {
        bed.run_once().await;
        let held = bed.renewals().await.swap_remove(0);
        assert_eq!(held.state, State::Imported, "{held:#?}");
        assert_eq!(held.last_error_kind.as_deref(), Some("bind_again"));
        let words = held.last_error.unwrap();
        assert!(
            words.contains(&format!("bound {} times", times - 1)),
            "{words}"
        );
        assert!(words.contains("renewd renew hq-portal"), "{words}");
        bed.clock.advance(jiff::SignedDuration::from_hours(25));
        bed.run_once().await;
        assert_eq!(bed.renewals().await.len(), times);
        bed.decide().await;
        bed.run_once().await;
        assert_eq!(bed.renewals().await[0].state, State::RolledBack);
        bed.clock.advance(jiff::SignedDuration::from_hours(25));
    }
    assert_eq!(bed.signatures(), 1);
    bed.assert_left_in_order();
}

/// Switches a machine off once the verification has failed.
#[derive(Debug)]
struct SwitchOff(Mutex<Option<Simulator>>);

impl CommitObserver for SwitchOff {}

#[async_trait]
impl Checkpoint for SwitchOff {
    async fn pass(&self, moment: Moment) {
        if moment == Moment::Stored(State::VerificationFailed) {
            let simulator = self.0.lock().unwrap().take();
            if let Some(simulator) = simulator {
                simulator.stop().await;
            }
        }
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_roll_back_that_one_address_never_serves_ends_without_further_logins() {
    let bed = TestBed::new(Profile::V8).await;
    let foreign = TestBed::new(Profile::V8).await;
    let address = foreign.simulator.management().to_string();
    also_verify(&bed, &address);
    let switch_off = Arc::new(SwitchOff(Mutex::new(Some(foreign.simulator))));
    let began = bed.clock.now();
    let report = run_once(&bed.config_file(), Arc::clone(&bed.clock), switch_off).await;
    assert!(report.has_failed());
    let renewal = &bed.renewals().await[0];
    assert_eq!(renewal.state, State::RolledBack, "{:?}", renewal.last_error);
    let alert = event(&bed, "renewal_rolled_back").await;
    let nothing = format!("{address} serves nothing");
    assert!(words(&alert).contains(&nothing), "{alert:?}");
    assert!(words(&alert).contains("renewd renew"), "it says what to do");
    let logins = bed.simulator.counters().logins;
    assert!(logins <= 9, "seven to bind, and one to bind back: {logins}");
    let took = began.duration_until(bed.clock.now());
    assert!(took < jiff::SignedDuration::from_mins(5), "{took}");
    bed.assert_left_in_order();
}

#[tokio::test(flavor = "multi_thread")]
async fn where_the_previous_binding_is_not_known_nothing_is_said_to_be_rolled_back() {
    let bed = TestBed::new(Profile::V8).await;
    let foreign = TestBed::new(Profile::V8).await;
    let pin = bed.simulator.fingerprint();
    also_verify(&bed, &foreign.simulator.management().to_string());
    let forgets = Arc::new(Forgets(bed.config().daemon.database));
    run_once(&bed.config_file(), Arc::clone(&bed.clock), forgets).await;
    let renewal = &bed.renewals().await[0];
    assert_eq!(
        renewal.state,
        State::NotRolledBack,
        "{:?}",
        renewal.last_error
    );
    let alert = event(&bed, "renewal_not_rolled_back").await;
    assert_eq!(alert.level, Level::Alert);
    assert!(
        words(&alert).contains("nothing was bound back"),
        "{alert:?}"
    );
    assert!(words(&alert).contains(&renewal.alias), "{alert:?}");
    let fingerprint = renewal.obtained.fingerprint.unwrap();
    for seen in bed.seen().await {
        assert_eq!(seen.fingerprint, fingerprint, "the new one is still bound");
    }
    // Its management page is known by that certificate from now on.
    bed.configure(&pin, "verify_timeout = \"5s\"");
    bed.decide().await;
    bed.run_once().await;
    let renewal = &bed.renewals().await[0];
    let error = &renewal.last_error;
    assert_eq!(renewal.state, State::Completed, "{error:?}");
}

/// Takes away what was bound before, as where an administrator bound the new certificate by hand.
#[derive(Debug)]
pub struct Forgets(pub String);

impl CommitObserver for Forgets {}

#[async_trait]
impl Checkpoint for Forgets {
    async fn pass(&self, moment: Moment) {
        if moment == Moment::Stored(State::Bound) {
            sqlx::any::install_default_drivers();
            let mut database = sqlx::AnyConnection::connect(&self.0).await.unwrap();
            let forget = "UPDATE renewal SET previous_bindings = NULL";
            sqlx::query(forget).execute(&mut database).await.unwrap();
            database.close().await.unwrap();
        }
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn services_with_different_certificates_are_each_set_back_to_their_own() {
    let bed = TestBed::new(Profile::V8).await;
    give_ssl_vpn_its_own(&bed);
    // From now on: what is given to a faulty device would not be served either.
    bed.simulator
        .set(|variants| variants.serve_wrong_certificate_after_bind = On::SslVpn);
    let before = bed.seen().await;
    assert_ne!(before[0], before[1]);
    bed.run_once().await;
    let renewal = &bed.renewals().await[0];
    assert_eq!(renewal.state, State::RolledBack, "{:?}", renewal.last_error);
    assert_eq!(bed.seen().await, before, "each has its own again");
    let alert = event(&bed, "renewal_rolled_back").await;
    let is_known = words(&alert).contains("every address serves again what it served before");
    assert!(is_known, "{alert:?}");
}

/// Leaves the renewal of `bed` as a renewd before schema 5 left it at `moment`: its pin has no code. Beside a file that is
/// authenticated at the first start; `is_server`: not.
async fn upgraded_at(bed: &TestBed, moment: Moment, is_server: bool) {
    crate::survives_crash::kill_at(&bed.config_file(), moment);
    let url = bed.config().daemon.database.clone();
    let mut connection = sqlx::SqliteConnection::connect(&url).await.unwrap();
    let done = sqlx::query("UPDATE renewal SET pin_for = NULL, pin_code = 'former'")
        .execute(&mut connection)
        .await
        .unwrap();
    assert_eq!(done.rows_affected(), 1);
    connection.close().await.unwrap();
    if !is_server {
        std::fs::remove_file(bed.folder.path().join("pins.authenticated")).unwrap();
    }
}

fn fails_to_verify() -> Variants {
    Variants {
        serve_wrong_certificate_after_bind: On::SslVpn,
        ..Variants::kind()
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_renewal_that_an_older_renewd_bound_completes_after_the_upgrade() {
    for (variants, moment, end) in [
        (
            Variants::kind(),
            Moment::Acted(Step::Bind),
            State::Completed,
        ),
        (
            Variants::kind(),
            Moment::Stored(State::Bound),
            State::Completed,
        ),
        (
            fails_to_verify(),
            Moment::Stored(State::Bound),
            State::RolledBack,
        ),
        (
            fails_to_verify(),
            Moment::Stored(State::VerificationFailed),
            State::RolledBack,
        ),
    ] {
        let bed = TestBed::with(Profile::V8, variants).await;
        upgraded_at(&bed, moment, false).await;
        bed.run_once().await;
        let renewal = bed.renewals().await.remove(0);
        assert_eq!(renewal.state, end, "{moment:?}: {:?}", renewal.last_error);
        assert!(!bed.has_event("pin_not_authentic").await);
        bed.assert_left_in_order();
    }
}

/// Where other programs can write the database, such a pin is not trusted. An alert is raised, and its remedy works.
#[tokio::test(flavor = "multi_thread")]
async fn on_a_server_such_a_renewal_gives_a_hint_and_continues_after_the_remedy() {
    let bed = TestBed::with(Profile::V8, fails_to_verify()).await;
    upgraded_at(&bed, Moment::Stored(State::VerificationFailed), true).await;
    for _ in 0..3 {
        bed.run_once().await;
        bed.clock.advance(jiff::SignedDuration::from_hours(2));
    }
    let renewal = bed.renewals().await.remove(0);
    assert_eq!(renewal.last_error_kind.as_deref(), Some("untrusted"));
    let reported: Vec<_> = bed.history().await;
    let mut reported = reported
        .iter()
        .filter(|event| event.name == "pin_not_authentic");
    let detail = reported.next().unwrap().fields["detail"].as_str().unwrap();
    assert!(detail.contains("put it into `trust`"), "{detail}");
    assert!(reported.next().is_none(), "reported once");

    bed.configure(&bed.simulator.fingerprint(), "verify_timeout = \"5s\"");
    bed.clock.advance(jiff::SignedDuration::from_hours(2));
    bed.run_once().await;
    let renewal = bed.renewals().await.remove(0);
    assert_eq!(renewal.state, State::RolledBack, "{:?}", renewal.last_error);
}

#[tokio::test(flavor = "multi_thread")]
async fn what_an_administrator_binds_before_the_roll_back_stays() {
    for management_too in [false, true] {
        let bed = TestBed::new(Profile::V8).await;
        let now = bed.device_time();
        bed.run_once_meeting(State::Bound, move |other| {
            if management_too {
                other.binds("fw-initial");
            }
            let own = Replacement {
                name: "by-hand".to_owned(),
                common_name: "vpn.example.com".to_owned(),
                not_before: now - time::Duration::days(1),
                not_after: now + time::Duration::days(89),
                key: ReplacementKey::EcdsaP256,
            };
            other.gives_ssl_vpn_its_own(&own).unwrap();
        })
        .await;
        let renewal = &bed.renewals().await[0];
        let error = &renewal.last_error;
        assert_eq!(
            bed.simulator.bound(Port::SslVpn).as_deref(),
            Some("by-hand")
        );
        assert_eq!(
            bed.simulator.bound(Port::Management).as_deref(),
            Some("fw-initial"),
            "what still used ours is bound back"
        );
        let (end, reported, says) = if management_too {
            (State::NotRolledBack, "renewal_not_rolled_back", "by-hand")
        } else {
            let address = "not everything is as before";
            (State::RolledBack, "renewal_rolled_back", address)
        };
        assert_eq!(renewal.state, end, "{error:?}");
        let alert = event(&bed, reported).await;
        assert_eq!(alert.level, Level::Alert);
        assert!(words(&alert).contains(says), "{alert:?}");
        bed.assert_left_in_order();
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn an_expired_certificate_is_not_bound_in_place_of_a_valid_one() {
    let bed = TestBed::new(Profile::V8).await;
    let foreign = TestBed::new(Profile::V8).await;
    let pin = bed.simulator.fingerprint();
    also_verify(&bed, &foreign.simulator.management().to_string());
    // Both had been valid for ten days more.
    bed.clock.advance(jiff::SignedDuration::from_hours(11 * 24));
    run_once(
        &bed.config_file(),
        Arc::clone(&bed.clock),
        Arc::new(NoCheckpoint),
    )
    .await;
    let renewal = &bed.renewals().await[0];
    let error = &renewal.last_error;
    assert_eq!(renewal.state, State::NotRolledBack, "{error:?}");
    for seen in bed.seen().await {
        assert_eq!(Some(seen.fingerprint), renewal.obtained.fingerprint);
    }
    let alert = event(&bed, "renewal_not_rolled_back").await;
    for part in ["what was bound before ended at 2026-12-02", &renewal.alias] {
        assert!(words(&alert).contains(part), "{alert:?}");
    }
    // Its management page is known by that certificate from now on. What is served is good, so that nothing is due.
    bed.configure(&pin, "verify_timeout = \"5s\"");
    bed.clock.advance(jiff::SignedDuration::from_hours(25));
    bed.run_once().await;
    assert_eq!(bed.renewals().await.len(), 1);
    bed.decide().await;
    bed.run_once().await;
    let renewal = &bed.renewals().await[0];
    let error = &renewal.last_error;
    assert_eq!(renewal.state, State::Completed, "{error:?}");
    bed.assert_left_in_order();
}

#[tokio::test(flavor = "multi_thread")]
async fn a_verified_certificate_is_not_removed_where_a_former_renewal_had_its_alias() {
    let bed = a_day_after_a_roll_back().await;
    bed.run_once_meeting(State::Verified, |other| other.binds("fw-initial"))
        .await;
    let renewal = &bed.renewals().await[0];
    assert_eq!(renewal.state, State::Completed, "{:?}", renewal.last_error);
    assert!(bed.simulator.certificates().contains(&renewal.alias));
    assert_eq!(bed.simulator.counters().deletes, 0);
}
