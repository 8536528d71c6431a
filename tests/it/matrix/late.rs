//! Requests that a CA acts on late: the daemon is stopped while one is in transit, the next daemon looks and finds
//! nothing done, and only then the CA does what the first had requested, within the time that its driver allows for. An
//! order must not be placed twice even then.

use std::fmt;
use std::str::FromStr;
use std::sync::Arc;
use std::time::Duration;

use jiff::SignedDuration;
use simulators::Barrier;
use simulators::ca::{Fault, On};

use super::crash_points::Stop;
use super::driver_pair::{DriverPair, Face, Kind};
use super::fixture::Fixture;
use super::invariants::When;
use super::{is_long, of_each, report};

/// A pair, and the request that changes something at its CA and is acted on late, counted from 1.
#[derive(Debug, Clone, PartialEq, Eq)]
struct Case {
    pair: DriverPair,
    request: u32,
}

#[tokio::test(flavor = "multi_thread")]
async fn an_order_that_is_taken_late_is_not_placed_twice() {
    if let Ok(asked) = std::env::var("RENEWD_LATE") {
        let case: Case = asked.parse().unwrap();
        let struck = run(&case).await;
        let struck = struck.unwrap_or_else(|words| panic!("{case}: {words}"));
        let end = if struck { "came" } else { "never came" };
        return println!("{case}: the request {end}, 0 violations");
    }
    let kinds = [Kind::Acme, Kind::Pam360, Kind::Resello, Kind::Venafi];
    let pairs = [Face::V8, Face::V8Second]
        .into_iter()
        .flat_map(|face| kinds.map(|kind| DriverPair { face, kind }));
    let requests = if is_long() { 1..=MOST } else { 1..=SHORT };
    let cases: Vec<Case> = pairs
        .flat_map(|pair| requests.clone().map(move |request| Case { pair, request }))
        .collect();
    let outcomes = of_each(cases.clone(), |case| async move { run(&case).await }).await;
    let broken = report("RENEWD_LATE", "late", &cases, &outcomes);
    let struck = outcomes.iter().flatten().filter(|struck| **struck).count();
    println!(
        "late requests: {struck} of {} cases, {} violations",
        cases.len(),
        broken.len()
    );
    assert!(broken.is_empty(), "{}", broken.join("\n\n"));
    assert!(
        struck * 3 > cases.len(),
        "only {struck} of {} requests came",
        cases.len()
    );
}

/// Whether there was such a request.
async fn run(case: &Case) -> Result<bool, String> {
    let fixture = Fixture::new(case.pair).await;
    let port = fixture.ca.port().ok_or("it has no requests")?;
    let barrier = Barrier::new();
    port.fault(
        On::next("POST", "").nth(case.request),
        Fault::HoldBefore(Arc::clone(&barrier)),
    );
    let (crash_points, reached) = (Arc::clone(&fixture.crash_points), Arc::clone(&barrier));
    let stopping = tokio::spawn(async move {
        reached.wait_reached().await;
        crash_points.halt();
    });
    let ended = fixture.drive(Stop::Never).await?;
    stopping.abort();
    if ended.is_some() {
        return Ok(false);
    }
    fixture.hold(When::AfterCrash).await?;
    fixture.bed.clock.advance(SignedDuration::from_secs(2));
    // It checks before the CA has acted, and is stopped when it would wait.
    fixture.drive(Stop::Asleep).await?;
    fixture.crash_points.begin(Stop::Never);
    barrier.release();
    let acted = async {
        while fixture.crash_points.points().is_empty() {
            tokio::time::sleep(Duration::from_millis(2)).await;
        }
    };
    let acted = tokio::time::timeout(Duration::from_secs(30), acted).await;
    acted.map_err(|_| "the CA never acted")?;
    fixture.completed().await?;
    Ok(true)
}

impl fmt::Display for Case {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}:{}", self.pair, self.request)
    }
}

impl FromStr for Case {
    type Err = String;

    /// `8+second/resello:3`
    fn from_str(text: &str) -> Result<Self, String> {
        let (pair, request) = text.split_once(':').ok_or("PAIR:REQUEST")?;
        Ok(Self {
            pair: pair.parse()?,
            request: request.parse().map_err(|_| "no number")?,
        })
    }
}

/// As many as the CA with the most requests gets.
const MOST: u32 = 12;
/// The order is among the first.
const SHORT: u32 = 3;
