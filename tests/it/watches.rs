//! What the hourly probes between renewals detect.

use jiff::SignedDuration;
use renewd::clock::Clock;
use renewd::inventory::{Renewal, State, TrackedCertificate, due};
use renewd::pki::{Certificate, Fingerprint};
use renewd::renewal::known_rows;
use renewd::seal::Sealer;
use renewd::store::PastEvent;
use simulators::sonicos::{Profile, Replacement, ReplacementKey};
use sqlx::{AssertSqlSafe, Connection, SqliteConnection};

use crate::test_bed::{CERTIFICATE, TestBed};

/// A certificate for `common_name` that is valid from now for 90 days.
fn replacement(bed: &TestBed, common_name: &str, key: ReplacementKey) -> Replacement {
    let now = bed.device_time();
    Replacement {
        name: "by-hand".to_owned(),
        common_name: common_name.to_owned(),
        not_before: now,
        not_after: now + time::Duration::days(90),
        key,
    }
}

pub fn replace(bed: &TestBed, common_name: &str, key: ReplacementKey) {
    let replacement = replacement(bed, common_name, key);
    let other = bed.simulator.other_administrator();
    other.replaces_certificate(&replacement).unwrap();
}

/// Lets `time` pass, then does what is due.
async fn after(bed: &TestBed, time: SignedDuration) {
    bed.clock.advance(time);
    bed.run_once().await;
}

/// An operator pins what the management port shows now; the open renewal retries.
async fn trust_served_certificate(bed: &TestBed) {
    bed.configure(&bed.simulator.fingerprint(), "verify_timeout = \"5s\"");
    after(bed, SignedDuration::from_mins(61)).await;
}

/// What `renewd adopt` does.
pub async fn adopt_served_certificate(bed: &TestBed) {
    let [seen, _] = bed.seen().await;
    let store = bed.store().await;
    let now = bed.clock.now();
    let sealer = Sealer::new(None, bed.folder.path(), bed.env().random);
    let known = known_rows::authenticate(&sealer, CERTIFICATE, seen.fingerprint, true, now);
    let adopted = store.adopt(CERTIFICATE, &known.unwrap(), &[], now).await;
    adopted.unwrap();
    store.close().await;
    bed.run_once().await;
}

async fn row(bed: &TestBed) -> TrackedCertificate {
    bed.store()
        .await
        .certificate(CERTIFICATE)
        .await
        .unwrap()
        .unwrap()
}

async fn count(bed: &TestBed, event: &str) -> usize {
    bed.history()
        .await
        .iter()
        .filter(|past| past.name == event)
        .count()
}

async fn newest(bed: &TestBed) -> Renewal {
    bed.renewals().await.swap_remove(0)
}

/// A test bed whose certificate was renewed already.
async fn renewed() -> TestBed {
    let bed = TestBed::new(Profile::V8).await;
    bed.run_once().await;
    bed.assert_renewed_once().await;
    bed
}

#[tokio::test(flavor = "multi_thread")]
async fn a_certificate_that_was_replaced_by_hand_counts_once_an_operator_has_accepted_it() {
    let bed = renewed().await;
    after(&bed, SignedDuration::from_hours(24 * 30)).await;
    let ours = row(&bed).await.current.unwrap();
    replace(&bed, "vpn.example.com", ReplacementKey::EcdsaP256);
    after(&bed, SignedDuration::from_hours(1)).await;
    assert_eq!(count(&bed, "certificate_unknown").await, 1);
    assert_eq!(
        row(&bed).await.current.unwrap().fingerprint,
        ours.fingerprint
    );
    after(&bed, SignedDuration::from_hours(1)).await;
    assert_eq!(count(&bed, "certificate_unknown").await, 1, "reported once");
    adopt_served_certificate(&bed).await;
    let [seen, _] = bed.seen().await;
    let shown = row(&bed).await.current.unwrap();
    assert_eq!(
        (shown.fingerprint, shown.not_after),
        (seen.fingerprint, seen.not_after)
    );
    assert_eq!(
        count(&bed, "management_certificate_untrusted").await,
        1,
        "an accepted certificate is no pin"
    );
    // Ours would be due after 60 days; the adopted one, which began on the 30th, is not.
    after(&bed, SignedDuration::from_hours(24 * 31)).await;
    assert_eq!(bed.renewals().await.len(), 1);
    after(&bed, SignedDuration::from_hours(24 * 30)).await;
    assert_eq!(bed.renewals().await.len(), 2);
    // The replacement is trusted only when an operator pins it: it is neither the pinned one nor one of ours.
    let renewal = newest(&bed).await;
    assert_eq!(renewal.last_error_kind.as_deref(), Some("untrusted"));
    trust_served_certificate(&bed).await;
    assert_eq!(newest(&bed).await.state, State::Completed);
}

/// The report of a management page that no pin accepts.
async fn untrusted_page(bed: &TestBed) -> PastEvent {
    let mut reported = bed.history().await.into_iter();
    let alert = reported.find(|event| event.name == "management_certificate_untrusted");
    alert.expect("it is reported at the first probe")
}

/// The certificate is bound to SSL VPN alone and no `endpoints` names the management page: only a login goes there.
fn leave_the_management_page_out(bed: &TestBed) {
    let text = std::fs::read_to_string(bed.config_file()).unwrap();
    let both = format!(
        "endpoints = [\"{}\", \"{}\"]",
        bed.simulator.management(),
        bed.simulator.ssl_vpn()
    );
    let one = format!("endpoints = [\"{}\"]", bed.simulator.ssl_vpn());
    assert!(text.contains(&both), "{text}");
    let services = "services = [\"web-management\", \"ssl-vpn\"]";
    assert!(text.contains(services), "{text}");
    let text = text.replace(&both, &one);
    let text = text.replace(services, "services = [\"ssl-vpn\"]");
    std::fs::write(bed.config_file(), text).unwrap();
}

/// Nothing else probes that page before a renewal has to log in there.
#[tokio::test(flavor = "multi_thread")]
async fn a_management_page_among_no_endpoints_is_reported_when_no_pin_accepts_what_it_serves() {
    let bed = TestBed::new(Profile::V8).await;
    leave_the_management_page_out(&bed);
    bed.run_once().await;
    assert_eq!(newest(&bed).await.state, State::Completed);
    after(&bed, SignedDuration::from_hours(25)).await;
    assert_eq!(count(&bed, "management_certificate_untrusted").await, 0);
    assert_eq!(row(&bed).await.management_untrusted, None);
    replace(&bed, "vpn.example.com", ReplacementKey::EcdsaP256);
    after(&bed, SignedDuration::from_hours(25)).await;
    let alert = untrusted_page(&bed).await;
    let words = alert.fields["detail"].as_str().unwrap();
    let fingerprint = bed.simulator.fingerprint();
    for part in [&*bed.simulator.management().to_string(), &*fingerprint] {
        assert!(words.contains(part), "{words}");
    }
    let reported = row(&bed).await;
    let stored = reported.management_untrusted.map(|one| one.to_string());
    assert_eq!(stored.as_deref(), Some(&*fingerprint));
    let found = renewd::status::findings(&reported);
    let on_page = found
        .iter()
        .find(|one| one.words.contains("the management page of hq"));
    assert!(
        on_page
            .is_some_and(|one| one.words.contains(&fingerprint) && one.remedy.contains("`trust`")),
        "{found:?}"
    );
    assert_eq!(bed.renewals().await.len(), 1, "no renewal needed the login");
    after(&bed, SignedDuration::from_hours(25)).await;
    assert_eq!(count(&bed, "management_certificate_untrusted").await, 1);
    bed.configure(&fingerprint, "verify_timeout = \"5s\"");
    leave_the_management_page_out(&bed);
    after(&bed, SignedDuration::from_hours(25)).await;
    assert_eq!(row(&bed).await.management_untrusted, None);
}

/// At the next probe, and not when a renewal needs the login.
#[tokio::test(flavor = "multi_thread")]
async fn a_management_certificate_that_no_pin_names_is_reported_at_once_and_until_it_is_pinned() {
    let bed = renewed().await;
    replace(&bed, "vpn.example.com", ReplacementKey::EcdsaP256);
    after(&bed, SignedDuration::from_hours(25)).await;
    let alert = untrusted_page(&bed).await;
    assert_eq!(alert.level, renewd::event::Level::Alert);
    let words = alert.fields["detail"].as_str().unwrap();
    let fingerprint = bed.simulator.fingerprint();
    let address = bed.simulator.management().to_string();
    for part in [
        &*address,
        &*fingerprint,
        "add that fingerprint to its trust",
    ] {
        assert!(words.contains(part), "{words}");
    }
    assert_eq!(bed.renewals().await.len(), 1, "no renewal needed the login");
    after(&bed, SignedDuration::from_hours(25)).await;
    assert_eq!(count(&bed, "management_certificate_untrusted").await, 1);
    assert_eq!(count(&bed, "certificate_unknown").await, 1);
    bed.configure(&fingerprint, "verify_timeout = \"5s\"");
    after(&bed, SignedDuration::from_hours(2)).await;
    let row = row(&bed).await;
    assert!(
        row.served.iter().all(|served| served.problem().is_none()),
        "{row:#?}"
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn a_waiting_renewal_ends_when_the_certificate_is_replaced_externally() {
    let bed = TestBed::new(Profile::V8).await;
    let other = bed.simulator.other_administrator();
    other.has_pending_change("address-object ipv4 printer");
    bed.run_once().await;
    assert_eq!(newest(&bed).await.state, State::Planned);
    replace(&bed, "vpn.example.com", ReplacementKey::EcdsaP256);
    after(&bed, SignedDuration::from_hours(1)).await;
    assert_eq!(
        newest(&bed).await.state,
        State::Planned,
        "an unknown certificate supersedes nothing"
    );
    adopt_served_certificate(&bed).await;
    other.leaves();
    after(&bed, SignedDuration::from_hours(1)).await;
    let renewal = newest(&bed).await;
    assert_eq!(renewal.state, State::Superseded, "{:?}", renewal.last_error);
    assert!(bed.has_event("renewal_superseded").await);
    assert_eq!(bed.signatures(), 0, "nothing was ordered");
    assert_eq!(bed.renewals().await.len(), 1, "and nothing new is due");
    bed.assert_left_in_order();
}

#[tokio::test(flavor = "multi_thread")]
async fn an_accepted_certificate_with_other_names_is_replaced() {
    let bed = renewed().await;
    replace(&bed, "wrong.example.com", ReplacementKey::EcdsaP256);
    after(&bed, SignedDuration::from_hours(1)).await;
    assert_eq!(count(&bed, "certificate_unknown").await, 1);
    assert_eq!(bed.renewals().await.len(), 1, "it triggers nothing");
    adopt_served_certificate(&bed).await;
    assert_eq!(newest(&bed).await.reason, "names_or_key_changed");
    trust_served_certificate(&bed).await;
    let renewal = newest(&bed).await;
    assert_eq!(renewal.state, State::Completed, "{:?}", renewal.last_error);
    let [seen, _] = bed.seen().await;
    assert_eq!(seen.common_name.as_deref(), Some("vpn.example.com"));
}

#[tokio::test(flavor = "multi_thread")]
async fn an_accepted_certificate_with_another_key_is_replaced() {
    let bed = renewed().await;
    replace(&bed, "vpn.example.com", ReplacementKey::EcdsaP384);
    after(&bed, SignedDuration::from_hours(1)).await;
    assert_eq!(count(&bed, "certificate_unknown").await, 1);
    adopt_served_certificate(&bed).await;
    assert_eq!(newest(&bed).await.reason, "names_or_key_changed");
}

const ENDINGS: [&str; 2] = ["certificate_expiring", "certificate_expired"];

/// Its last twentieth and its end: each is reported then, and once.
async fn is_reported_at_both_moments(bed: &TestBed, seen: &Certificate) {
    // The daemon sleeps until that moment, whenever the next regular probe is due.
    let moments = [due::emergency_at(seen), seen.not_after];
    for (event, moment) in ENDINGS.into_iter().zip(moments) {
        assert!(row(bed).await.probe_at.is_some_and(|at| at <= moment));
        bed.clock.set(moment);
        bed.run_once().await;
        assert_eq!(count(bed, event).await, 1);
        after(bed, SignedDuration::from_hours(2)).await;
        assert_eq!(count(bed, event).await, 1, "reported once");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_certificate_without_a_successor_is_reported_in_its_last_twentieth_and_at_its_expiry() {
    let bed = renewed().await;
    let other = bed.simulator.other_administrator();
    other.has_pending_change("address-object ipv4 printer");
    after(&bed, SignedDuration::from_hours(24 * 61)).await;
    assert_eq!(newest(&bed).await.state, State::Planned);
    for event in ENDINGS {
        assert_eq!(count(&bed, event).await, 0);
    }
    let [seen, _] = bed.seen().await;
    is_reported_at_both_moments(&bed, &seen).await;
    other.leaves();
    after(&bed, SignedDuration::from_hours(2)).await;
    assert_eq!(newest(&bed).await.state, State::Completed);
    after(&bed, SignedDuration::from_hours(2)).await;
    for event in ENDINGS {
        assert_eq!(count(&bed, event).await, 1);
    }
    assert_eq!(row(&bed).await.reported_condition, None);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_renewed_certificate_is_probed_at_its_expiry_however_rare_the_probes() {
    let bed = TestBed::new(Profile::V8).await;
    let text = std::fs::read_to_string(bed.config_file()).unwrap();
    let seldom = "[daemon]\nprobe_interval = \"168h\"\n";
    let short = "driver.local = { lifetime_days = 5, ";
    let text = text.replace("[daemon]\n", seldom);
    assert!(text.contains("driver.local = { "));
    let text = text.replace("driver.local = { ", short);
    std::fs::write(bed.config_file(), text).unwrap();
    bed.run_once().await;
    // It ends before what is served does: an operator decides.
    bed.decide().await;
    bed.run_once().await;
    bed.assert_renewed_once().await;
    let [seen, _] = bed.seen().await;
    let next_look = row(&bed).await.probe_at.unwrap();
    assert!(next_look <= due::emergency_at(&seen), "{next_look}");
}

#[tokio::test(flavor = "multi_thread")]
async fn an_old_certificate_on_one_address_of_two_is_reported_when_it_expires() {
    let bed = renewed().await;
    let other = bed.simulator.other_administrator();
    other.has_pending_change("address-object ipv4 printer");
    after(&bed, SignedDuration::from_hours(24 * 61)).await;
    let [seen, _] = bed.seen().await;
    bed.simulator
        .set(|variants| variants.refuse_connections_on_ssl_vpn = true);
    for _ in 0..3 {
        after(&bed, SignedDuration::from_hours(1)).await;
    }
    assert_eq!(count(&bed, "endpoint_unreachable").await, 1);
    is_reported_at_both_moments(&bed, &seen).await;
    assert_eq!(count(&bed, "endpoint_unreachable").await, 1);
    assert!(row(&bed).await.probe_at.unwrap() > bed.clock.now() + SignedDuration::from_mins(1));
}

#[tokio::test(flavor = "multi_thread")]
async fn unreachable_services_are_reported_once_and_at_the_second_probe() {
    let bed = renewed().await;
    bed.simulator.set(|variants| {
        variants.refuse_connections_on_management = true;
        variants.refuse_connections_on_ssl_vpn = true;
    });
    after(&bed, SignedDuration::from_hours(1)).await;
    assert_eq!(
        count(&bed, "endpoint_unreachable").await,
        0,
        "it may be restarting"
    );
    after(&bed, SignedDuration::from_mins(1)).await;
    assert_eq!(count(&bed, "endpoint_unreachable").await, 1);
    for _ in 0..3 {
        after(&bed, SignedDuration::from_hours(1)).await;
    }
    assert_eq!(
        count(&bed, "endpoint_unreachable").await,
        1,
        "reported once"
    );
    assert_eq!(
        bed.renewals().await.len(),
        1,
        "a service that is down is no reason to renew"
    );

    bed.simulator.set(|variants| {
        variants.refuse_connections_on_management = false;
        variants.refuse_connections_on_ssl_vpn = false;
    });
    after(&bed, SignedDuration::from_hours(1)).await;
    assert_eq!(
        row(&bed).await.reported_condition,
        None,
        "it is forgotten when it is over"
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn one_unreachable_address_of_two_is_reported_by_name() {
    let bed = renewed().await;
    bed.simulator
        .set(|variants| variants.refuse_connections_on_ssl_vpn = true);
    after(&bed, SignedDuration::from_hours(1)).await;
    after(&bed, SignedDuration::from_mins(1)).await;
    let history = bed.history().await;
    let drift = history
        .iter()
        .find(|event| event.name == "endpoint_unreachable")
        .unwrap();
    let words = drift.fields["detail"].as_str().unwrap();
    assert!(
        words.contains(&bed.simulator.ssl_vpn().to_string()),
        "{words}"
    );
    assert!(
        !words.contains(&bed.simulator.management().to_string()),
        "{words}"
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn an_attacker_on_the_path_neither_stops_nor_postpones_nor_triggers_a_renewal() {
    let bed = renewed().await;
    let ours = row(&bed).await;
    // Self-signed, with our names, valid until 2099.
    let mut unknown = replacement(&bed, "vpn.example.com", ReplacementKey::EcdsaP256);
    unknown.not_after = bed.device_time() + time::Duration::days(365 * 73);
    let other = bed.simulator.other_administrator();
    other.replaces_certificate(&unknown).unwrap();
    after(&bed, SignedDuration::from_hours(1)).await;
    let seen = row(&bed).await;
    assert_eq!(count(&bed, "certificate_unknown").await, 1);
    assert_eq!(seen.unknown().count(), 2, "both addresses");
    let fingerprint = |row: &TrackedCertificate| row.current.as_ref().unwrap().fingerprint;
    assert_eq!(fingerprint(&seen), fingerprint(&ours));
    assert_eq!(bed.renewals().await.len(), 1);
    // Ours is due after two thirds of its lifetime, whatever is presented.
    after(&bed, SignedDuration::from_hours(24 * 61)).await;
    assert_eq!(bed.renewals().await.len(), 2);
    let renewal = newest(&bed).await;
    assert!(!renewal.state.is_end(), "{}", renewal.state);
    assert!(bed.has_event("endpoint_not_ready").await);

    // An expired one with other names triggers nothing.
    let bed = renewed().await;
    let mut expired = replacement(&bed, "other.example.com", ReplacementKey::EcdsaP384);
    expired.not_before = bed.device_time() - time::Duration::days(9);
    expired.not_after = bed.device_time() - time::Duration::days(1);
    let other = bed.simulator.other_administrator();
    other.replaces_certificate(&expired).unwrap();
    for _ in 0..3 {
        after(&bed, SignedDuration::from_hours(1)).await;
    }
    assert_eq!(bed.renewals().await.len(), 1);
    assert_eq!(bed.signatures(), 1);
}

/// As behind a load balancer, or with an attacker who makes a certificate for each probe.
#[tokio::test(flavor = "multi_thread")]
async fn unknown_certificates_in_turns_are_one_condition_that_is_reported_every_six_hours() {
    let bed = renewed().await;
    let mut reported = Vec::new();
    for hour in 0..8 {
        let mut unknown = replacement(&bed, "vpn.example.com", ReplacementKey::EcdsaP256);
        unknown.name = format!("by-hand-{hour}");
        let other = bed.simulator.other_administrator();
        other.replaces_certificate(&unknown).unwrap();
        after(&bed, SignedDuration::from_mins(61)).await;
        reported.push(count(&bed, "certificate_unknown").await);
    }
    assert_eq!(reported, [1, 1, 1, 1, 1, 1, 2, 2]);
    assert_eq!(row(&bed).await.unknown().count(), 2, "both addresses");
}

/// Runs a statement as an attacker who can write the database.
pub async fn meddle(bed: &TestBed, statement: String) {
    let url = bed.config().daemon.database.clone();
    let mut connection = SqliteConnection::connect(&url).await.unwrap();
    let done = sqlx::query(AssertSqlSafe(statement))
        .execute(&mut connection)
        .await
        .unwrap();
    assert_eq!(done.rows_affected(), 1);
    connection.close().await.unwrap();
}

/// It was bound and taken back: it is known, and no login accepts it.
#[tokio::test(flavor = "multi_thread")]
async fn a_rolled_back_certificate_on_the_management_page_is_reported_as_one_that_no_pin_accepts() {
    let bed = renewed().await;
    let fingerprint = newest(&bed).await.obtained.fingerprint.unwrap();
    let rolled_back = "UPDATE renewal SET state = 'rolled_back'";
    meddle(&bed, rolled_back.to_owned()).await;
    meddle(&bed, "UPDATE firewall SET pins = ''".to_owned()).await;
    for _ in 0..2 {
        after(&bed, SignedDuration::from_hours(25)).await;
        let alert = untrusted_page(&bed).await;
        let words = alert.fields["detail"].as_str().unwrap();
        assert!(words.contains(&fingerprint.to_string()), "{words}");
        assert_eq!(count(&bed, "certificate_unknown").await, 0);
        assert_eq!(count(&bed, "management_certificate_untrusted").await, 1);
    }
}

async fn shown(bed: &TestBed) -> Fingerprint {
    row(bed).await.current.unwrap().fingerprint
}

/// A renewed firewall, and then an unknown certificate on it.
async fn test_bed_with_an_unknown_certificate() -> (TestBed, Fingerprint, Fingerprint) {
    let bed = TestBed::new(Profile::V8).await;
    bed.run_once().await;
    bed.assert_renewed_once().await;
    let ours = shown(&bed).await;
    replace(&bed, "vpn.example.com", ReplacementKey::EcdsaP256);
    let [unknown, _] = bed.seen().await;
    assert_ne!(unknown.fingerprint, ours);
    (bed, ours, unknown.fingerprint)
}

#[tokio::test(flavor = "multi_thread")]
async fn a_forged_row_makes_no_certificate_known_and_is_reported_once() {
    for (basis, code) in [
        ("operator", "NULL"),
        ("chain", "'former'"),
        ("operator", "'mac-1:AAAA'"),
    ] {
        let (bed, ours, unknown) = test_bed_with_an_unknown_certificate().await;
        let at = bed.clock.now().as_microsecond();
        meddle(
            &bed,
            format!(
                "INSERT INTO known_certificate (certificate, fingerprint, basis, known_at, code) \
                 VALUES ('{CERTIFICATE}', '{unknown}', '{basis}', {at}, {code})"
            ),
        )
        .await;
        for _ in 0..3 {
            after(&bed, SignedDuration::from_hours(2)).await;
        }
        assert_eq!(shown(&bed).await, ours, "{basis} {code}");
        assert_eq!(count(&bed, "known_certificate_not_authentic").await, 1);
        assert_eq!(count(&bed, "certificate_unknown").await, 1);

        // An operator who has checked it still can.
        adopt_served_certificate(&bed).await;
        assert_eq!(shown(&bed).await, unknown);
        assert_eq!(count(&bed, "known_certificate_not_authentic").await, 1);
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn what_was_known_before_an_upgrade_stays_known_once_beside_a_file() {
    let (bed, _, unknown) = test_bed_with_an_unknown_certificate().await;
    adopt_served_certificate(&bed).await;
    let upgraded = || {
        meddle(
            &bed,
            "UPDATE known_certificate SET code = 'former'".to_owned(),
        )
    };
    upgraded().await;
    std::fs::remove_file(bed.folder.path().join("known.authenticated")).unwrap();
    after(&bed, SignedDuration::from_hours(2)).await;
    assert_eq!(shown(&bed).await, unknown);
    assert_eq!(count(&bed, "known_certificate_not_authentic").await, 0);
    // A dump that was edited and put back later is none.
    upgraded().await;
    after(&bed, SignedDuration::from_hours(2)).await;
    assert_eq!(count(&bed, "known_certificate_not_authentic").await, 1);
}
