//! A fleet through virtual years, in process and without sockets: the real scheduler, engine, steps, watch and store
//! against a world of firewalls, CAs and operators in memory. One number gives a whole run, and replays it:
//! `RENEWD_SIMULATION=SEED[:FIREWALLS[:YEARS]] cargo test --test it simulation::`; `RENEWD_LONG=1` runs a thousand
//! firewalls through five years.

mod authority;
mod device;
mod driver;
mod fleet;
mod oracle;
mod regressions;
mod rng;
mod scenario_events;
mod test_pki;
mod window_oracle;
mod world;

use std::fmt::Write as _;
use std::time::Instant;

use driver::{Driver, Plan};
use jiff::SignedDuration;

#[tokio::test]
async fn a_fleet_survives_years_of_outages_and_no_certificate_expires_for_lack_of_renewal() {
    for plan in plans() {
        let (report, violations) = simulate(plan).await;
        println!("{report}");
        assert!(violations.is_empty(), "{}", failure(plan, &violations));
    }
}

#[tokio::test]
async fn a_seed_gives_the_same_days_again() {
    let plan = Plan {
        seed: 7,
        firewalls: 6,
        years: 1,
    };
    let runs = [trace(plan).await, trace(plan).await];
    assert_eq!(runs[0], runs[1]);
    let other = Plan { seed: 8, ..plan };
    assert_ne!(trace(other).await, runs[0]);
}

/// What a run came to, without the time that it took, and what is on the firewalls at its end.
async fn trace(plan: Plan) -> String {
    let mut driver = Driver::new(plan).await;
    let end = driver.now() + SignedDuration::from_hours(24 * 100);
    driver.run_until(end).await;
    driver.finish().await;
    let objects = driver.world.with(|state| {
        let devices = state.devices.iter();
        let lines = devices.map(|(name, device)| {
            let aliases: Vec<&str> = device.objects.keys().map(String::as_str).collect();
            format!("\n{name}: {}", aliases.join(" "))
        });
        lines.collect::<String>()
    });
    summary(&driver) + &objects
}

async fn simulate(plan: Plan) -> (String, Vec<String>) {
    eprintln!("replay: {}", replay(plan));
    let began = Instant::now();
    let mut driver = Driver::new(plan).await;
    driver.run().await;
    let took = began.elapsed().as_secs_f64();
    let mut report = summary(&driver);
    let steps = f64::from(u32::try_from(driver.verdicts.steps).unwrap());
    let _ = write!(report, ", {:.0} steps/s, {took:.0} s", steps / took);
    let violations = driver.world.with(|state| state.books.violations.clone());
    (report, violations)
}

/// All numbers that a seed determines.
fn summary(driver: &Driver) -> String {
    let Plan {
        seed,
        firewalls,
        years,
    } = driver.plan;
    let verdicts = &driver.verdicts;
    let mut text = format!("simulation: seed {seed}: {years} virtual years, {firewalls} firewalls");
    for (state, count) in &verdicts.renewals {
        let _ = write!(text, ", {count} {state}");
    }
    driver.world.with(|state| {
        let books = &state.books;
        let _ = write!(
            text,
            ", {} orders, {} key pairs, {} binds, {} exchanges, {} lost answers",
            books.orders, books.key_pairs, books.binds, books.exchanges, books.lost_answers
        );
    });
    let _ = write!(
        text,
        ", {} crashes, {} clock steps, {} recalled, {} alerts, {} let go on, {} served after their end",
        verdicts.crashes,
        verdicts.clock_steps,
        verdicts.recalled,
        verdicts.alerts,
        verdicts.let_go_on,
        verdicts.expired
    );
    for (why, hours) in &verdicts.expired_hours {
        let _ = write!(text, " ({hours} h: {why})");
    }
    text
}

fn failure(plan: Plan, violations: &[String]) -> String {
    format!(
        "{} violations:\n{}\nreplay: {}",
        violations.len(),
        violations.join("\n"),
        replay(plan)
    )
}

fn replay(plan: Plan) -> String {
    let Plan {
        seed,
        firewalls,
        years,
    } = plan;
    format!("RENEWD_SIMULATION={seed}:{firewalls}:{years} cargo test --test it simulation::")
}

/// What is asked for by the environment.
fn plans() -> Vec<Plan> {
    let plan = |seed, firewalls, years| Plan {
        seed,
        firewalls,
        years,
    };
    if let Ok(text) = std::env::var("RENEWD_SIMULATION") {
        let mut numbers = text
            .split(':')
            .map(|number| number.parse().expect("SEED:FIREWALLS:YEARS"));
        let seed = numbers.next().unwrap();
        let firewalls = numbers.next().unwrap_or(15);
        let years = numbers.next().unwrap_or(1);
        let firewalls = usize::try_from(firewalls).unwrap();
        return vec![plan(seed, firewalls, u32::try_from(years).unwrap())];
    }
    if std::env::var_os("RENEWD_LONG").is_some() {
        return vec![plan(1, 1000, 5)];
    }
    vec![plan(4, 15, 1)]
}
