//! What simulations found, each in a world in which nothing else happens.

use std::sync::Arc;

use jiff::SignedDuration;
use renewd::inventory::{Service, State as Stage};

use super::authority::{Kind, Misissue};
use super::driver::{Driver, FIREWALL_DOWN, Plan};
use super::fleet::Member;
use super::rng::Rng;
use super::world::Scope;

/// A fleet of one, whose certificate comes from this CA.
async fn one(ca: Kind) -> Driver {
    let plan = Plan {
        seed: 1,
        firewalls: 1,
        years: 1,
    };
    Driver::with(plan, &[Member::only(ca)], Rng::new(plan.seed)).await
}

fn violations(driver: &Driver) -> Vec<String> {
    driver.world.with(|state| state.books.violations.clone())
}

#[tokio::test]
async fn a_ca_that_answers_slowly_is_still_polled_at_the_time_that_it_requests() {
    let mut driver = one(Kind::AcmeShort).await;
    driver.world.with(|state| state.slow_one_in = 1);
    let end = driver.now() + SignedDuration::from_hours(24 * 60);
    driver.run_until(end).await;
    assert_eq!(violations(&driver), Vec::<String>::new());
    let renewals = driver
        .store()
        .unwrap()
        .renewals_of("vpn-00000", 100)
        .await
        .unwrap();
    let completed = renewals
        .iter()
        .filter(|r| r.state == Stage::Completed)
        .count();
    assert!(completed > 10, "{completed} renewals in sixty days");
}

/// Runs the world until a new certificate is valid for so many hours more.
async fn until_left(driver: &mut Driver, hours: i64) {
    while left(driver) < SignedDuration::from_hours(150) {
        let soon = driver.now() + SignedDuration::from_hours(1);
        driver.run_until(soon).await;
    }
    let then = driver.now() + left(driver) - SignedDuration::from_hours(hours);
    driver.run_until(then).await;
}

/// Runs the world, second by second, until the open renewal is at `stage`.
async fn until(driver: &mut Driver, stage: Stage) {
    let store = driver.store().unwrap();
    for _ in 0..100_000 {
        let open = store.open_renewals().await.unwrap();
        if open.iter().any(|renewal| renewal.state == stage) {
            return;
        }
        let soon = driver.now() + SignedDuration::from_secs(1);
        driver.run_until(soon).await;
    }
    panic!("no renewal came as far as {stage}");
}

/// The firewall is unreachable for so long from now on.
fn cut_off(driver: &Driver, hours: i64) {
    driver.world.with(|state| {
        let lasts = SignedDuration::from_hours(hours);
        state.device("fw-00000").down_until = state.now + lasts;
        let scope = Scope::Device(Arc::from("fw-00000"));
        state.obstruct(scope, lasts, FIREWALL_DOWN);
    });
}

/// How long what is served is still valid.
fn left(driver: &Driver) -> SignedDuration {
    driver.world.with(|state| {
        let now = state.now;
        let served = state.device("fw-00000").served(Service::SslVpn, now);
        now.duration_until(served.not_after)
    })
}

/// Whatever a CA does wrong with its dates, renewd does not order repeatedly, and it alerts an operator.
#[tokio::test]
async fn a_ca_that_misissues_gets_no_repeated_orders_and_its_certificate_waits_for_an_operator() {
    for how in Misissue::ALL {
        for ca in [Kind::Local, Kind::AcmeShort, Kind::Resello] {
            let mut driver = one(ca).await;
            let end = driver.now() + SignedDuration::from_hours(24 * 300);
            driver
                .world
                .with(|state| state.authority(ca).misissues = Some((how, end)));
            // The first certificate of the fleet is honest; what follows it is not, and no one decides.
            driver.run_until(end).await;
            let store = driver.store().unwrap();
            let renewals = store.renewals_of("vpn-00000", 100).await.unwrap();
            assert_eq!(renewals.len(), 1, "{how:?} at {ca:?}: {renewals:#?}");
            assert_eq!(renewals[0].state, Stage::Issued, "{how:?} at {ca:?}");
            assert_eq!(renewals[0].last_error_kind.as_deref(), Some("already_due"));
            let orders = driver.world.with(|state| state.books.orders);
            assert_eq!(orders, 1, "{how:?} at {ca:?}");
        }
    }
}

#[tokio::test]
async fn a_certificate_that_ended_before_it_could_be_installed_is_not_bound_any_more() {
    let mut driver = one(Kind::AcmeShort).await;
    until_left(&mut driver, 83).await;
    until(&mut driver, Stage::Submitted).await;
    cut_off(&driver, 10 * 24);
    let end = driver.now() + SignedDuration::from_hours(14 * 24);
    driver.run_until(end).await;
    assert_eq!(violations(&driver), Vec::<String>::new());
    assert!(
        left(&driver) > SignedDuration::ZERO,
        "it is served after its end"
    );
}

#[tokio::test]
async fn a_firewall_that_recovers_shortly_before_the_expiry_is_found_in_time() {
    let mut driver = one(Kind::AcmeShort).await;
    until_left(&mut driver, 84).await;
    let away = left(&driver).as_hours() - 9;
    cut_off(&driver, away);
    let end = driver.now() + SignedDuration::from_hours(away + 8);
    driver.run_until(end).await;
    let history = driver
        .store()
        .unwrap()
        .history("vpn-00000", 10)
        .await
        .unwrap();
    assert!(
        left(&driver) > SignedDuration::from_hours(24),
        "{history:#?}"
    );
}

#[tokio::test]
async fn a_certificate_that_an_operator_removed_before_the_bind_is_not_waited_for() {
    let mut driver = one(Kind::AcmeShort).await;
    until_left(&mut driver, 83).await;
    until(&mut driver, Stage::Imported).await;
    driver.world.with(|state| {
        let device = state.device("fw-00000");
        let bound: Vec<String> = device.bindings.values().flatten().cloned().collect();
        device.objects.retain(|alias, _| bound.contains(alias));
    });
    let end = driver.now() + SignedDuration::from_hours(3 * 24);
    driver.run_until(end).await;
    let renewals = driver
        .store()
        .unwrap()
        .renewals_of("vpn-00000", 2)
        .await
        .unwrap();
    let states: Vec<Stage> = renewals.iter().map(|renewal| renewal.state).collect();
    assert_eq!(states, [Stage::Completed, Stage::Failed]);
    assert_eq!(violations(&driver), Vec::<String>::new());
}
