//! The crash matrix: for every driver pair the daemon is stopped after every commit, after everything that a peer has done,
//! and at every moment of a step; once, and again after the restart. Whatever was cut, the renewal ends the same.
//!
//! A crash between two such points is a crash at the first of them: nothing that lasts has happened in between.

use std::fmt;
use std::str::FromStr;

use jiff::SignedDuration;

use super::crash_points::Stop;
use super::driver_pair::DriverPair;
use super::fixture::Fixture;
use super::invariants::When;
use super::right_end;
use super::sample::Sample;
use super::site::Site;
use super::{is_long, of_each, report, seed};

/// A site, and the points at which one daemon after the other is stopped; counted from 1, from each start.
#[derive(Debug, Clone, PartialEq, Eq)]
struct Case {
    site: Site,
    stops: Vec<usize>,
}

/// What came of a case in which nothing is broken.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct Crashes {
    /// How many daemons were stopped; fewer than were asked for where a renewal was done before.
    reached: usize,
    asked: usize,
    /// Logins of all daemons together.
    logins: u64,
}

#[tokio::test(flavor = "multi_thread")]
async fn stopped_at_any_point_a_renewal_ends_the_same() {
    let asked = std::env::var("RENEWD_CRASH").ok();
    if let Some(case) = asked.as_deref().and_then(|text| text.parse::<Case>().ok()) {
        return replay(&case).await;
    }
    // A site alone: each of its points.
    let alone = asked.as_deref().and_then(|text| text.parse::<Site>().ok());
    let asked = asked.filter(|_| alone.is_none());
    let seed = seed(asked.as_deref(), "RENEWD_CRASH");
    let all = alone.is_some() || is_long();
    let sites = alone.map_or_else(
        || {
            Site::of_each(
                &[DriverPair::all(), DriverPair::notable()].concat(),
                seed,
                all,
            )
        },
        |site| vec![vec![site]],
    );
    let counted = count_points(&sites).await;
    let counted = counted.unwrap_or_else(|words| panic!("without a crash: {words}"));
    let mut sample = Sample::new(seed);
    let cases: Vec<Case> = counted
        .iter()
        .zip(seed..)
        .flat_map(|(sites, turn)| cases(sites, turn, all, &mut sample))
        .collect();
    let outcomes = of_each(cases.clone(), |case| async move {
        run(&case).await.map(|(crashes, _)| crashes)
    })
    .await;
    let single = count(&cases, &outcomes, |case| case.stops.len() == 1);
    let in_pairs = count(&cases, &outcomes, |case| case.stops.len() > 1);
    let not_reached = outcomes
        .iter()
        .flatten()
        .map(|crashes| crashes.asked - crashes.reached)
        .sum::<usize>();
    let broken = report("RENEWD_CRASH", "crash", &cases, &outcomes);
    println!(
        "crash matrix: seed {seed}: {} driver pairs, {} sites, {} crash points ({single} single, {in_pairs} in pairs), \
         {not_reached} not reached, at most {} logins, {} violations",
        sites.len(),
        sites.concat().len(),
        single + in_pairs,
        outcomes
            .iter()
            .flatten()
            .map(|crashes| crashes.logins)
            .max()
            .unwrap_or_default(),
        broken.len()
    );
    assert!(broken.is_empty(), "{}", broken.join("\n\n"));
    // A case that is not reached proves little; a few are, because not every run makes the same calls.
    assert!(
        not_reached * 10 <= single + in_pairs,
        "{not_reached} points were not reached"
    );
}

/// How many daemons were stopped in the cases of this sort.
fn count(
    cases: &[Case],
    outcomes: &[Result<Crashes, String>],
    is_it: impl Fn(&Case) -> bool,
) -> usize {
    let of_sort = cases.iter().zip(outcomes).filter(|(case, _)| is_it(case));
    of_sort
        .filter_map(|(_, outcome)| Some(outcome.as_ref().ok()?.reached))
        .sum()
}

/// A site, and how many points a renewal there passes that is not stopped.
type Counted = (Site, usize);

/// The points of every site, in their order.
async fn count_points(sites: &[Vec<Site>]) -> Result<Vec<Vec<Counted>>, String> {
    let counted = of_each(sites.concat(), |site| async move { points_of(site).await }).await;
    let mut counted = counted.into_iter();
    sites
        .iter()
        .map(|sites| counted.by_ref().take(sites.len()).collect())
        .collect()
}

async fn points_of(site: Site) -> Result<Counted, String> {
    let fixture = Fixture::new(site).await;
    fixture
        .completed()
        .await
        .map_err(|words| format!("{site}: {words}"))?;
    Ok((site, fixture.crash_points.points().len()))
}

/// The cases of the sites of a pair. They take turns: each point is one of a site that passes so many.
fn cases(sites: &[Counted], turn: u64, all: bool, sample: &mut Sample) -> Vec<Case> {
    let turn = usize::try_from(turn).unwrap();
    let most = sites.iter().map(|(_, points)| *points).max();
    let most = most.unwrap_or_default();
    let site_of = |point: usize| {
        let mut passing = sites.to_vec();
        passing.retain(|(_, points)| *points >= point);
        passing[(turn + point) % passing.len()]
    };
    let single: Vec<usize> = if all {
        (1..=most).collect()
    } else {
        sample.some(SINGLE, most)
    };
    let single = single.into_iter().map(|stop| Case {
        site: site_of(stop).0,
        stops: vec![stop],
    });
    let mut cases: Vec<Case> = single.collect();
    let doubles = if all { DOUBLES_LONG } else { DOUBLES };
    for first in sample.some(doubles, most) {
        let (site, points) = site_of(first);
        // What the second daemon has left to do, and what it must look at again.
        let left = points.saturating_sub(first) + LOOKED_AT_AGAIN;
        let stops = vec![first, 1 + sample.below(left)];
        cases.push(Case { site, stops });
    }
    cases
}

/// Runs a case; what was stopped, and the points of each daemon.
async fn run(case: &Case) -> Result<(Crashes, Vec<Vec<String>>), String> {
    let fixture = Fixture::new(case.site).await;
    let mut points = Vec::new();
    for stop in &case.stops {
        let ended = fixture.drive(Stop::At(*stop)).await?;
        points.push(fixture.crash_points.points());
        if ended.is_some() {
            break;
        }
        let place = points
            .last()
            .and_then(|points| points.last())
            .cloned()
            .unwrap_or_default();
        fixture
            .hold(When::AfterCrash)
            .await
            .map_err(|words| format!("stopped at {place}: {words}"))?;
        // As long as a service manager takes to start it again.
        fixture.bed.clock.advance(SignedDuration::from_secs(2));
    }
    let reported = |words: String| {
        let places: Vec<&String> = points.iter().filter_map(|points| points.last()).collect();
        format!("after crashes at {places:?}: {words}")
    };
    fixture.completed().await.map_err(reported)?;
    bounded(&fixture, case).await.map_err(reported)?;
    let crashes = Crashes {
        logins: fixture.logins(),
        reached: points
            .iter()
            .zip(&case.stops)
            .filter(|(points, stop)| points.len() == **stop)
            .count(),
        asked: case.stops.len(),
    };
    Ok((crashes, points))
}

/// Neither a renewal nor its roll-back logs in without end or takes its time.
async fn bounded(fixture: &Fixture, case: &Case) -> Result<(), String> {
    let lives = 1 + u64::try_from(case.stops.len()).unwrap();
    let logins = fixture.logins();
    if logins > lives * LOGINS {
        return Err(format!("{logins} logins of {lives} daemons"));
    }
    let facts = fixture.facts(When::AtEnd).await;
    let took = right_end::time_of_roll_back(&facts.renewals[0], &facts);
    match took.filter(|took| *took > LONGEST_ROLL_BACK) {
        Some(took) => Err(format!("the roll-back took {took:#}")),
        None => Ok(()),
    }
}

/// Runs one case alone, and prints its course.
async fn replay(case: &Case) {
    let (crashes, points) = run(case)
        .await
        .unwrap_or_else(|words| panic!("{case}: {words}"));
    for (number, points) in points.iter().enumerate() {
        println!("daemon {}:\n  {}", number + 1, points.join("\n  "));
    }
    println!("{case}: {crashes:?}, 0 violations");
}

impl fmt::Display for Case {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let stops: Vec<String> = self.stops.iter().map(usize::to_string).collect();
        write!(f, "{}:{}", self.site, stops.join(","))
    }
}

impl FromStr for Case {
    type Err = String;

    /// `6.5-scp/resello:17,4`, or `6.5-scp/resello@dead:17,4`
    fn from_str(text: &str) -> Result<Self, String> {
        let (site, stops) = text
            .split_once(':')
            .ok_or("SITE:POINT or SITE:POINT,POINT")?;
        let stops = stops
            .split(',')
            .map(|stop| stop.parse().map_err(|_| format!("no number: {stop}")));
        Ok(Self {
            site: site.parse()?,
            stops: stops.collect::<Result<_, _>>()?,
        })
    }
}

#[test]
fn a_case_is_read_as_it_is_written() {
    for text in ["6.5-scp/resello:17,4", "6.5-scp/resello@dead:17,4"] {
        assert_eq!(text.parse::<Case>().unwrap().to_string(), text);
    }
    assert!("6.5-scp/resello".parse::<Case>().is_err());
}

/// Of each pair, in the short run.
const SINGLE: usize = 2;
const DOUBLES: usize = 1;
/// Of each pair, in the long run, where every single point is one.
const DOUBLES_LONG: usize = 80;
/// Points of a start and of looking what was done.
const LOOKED_AT_AGAIN: usize = 12;
/// Of each daemon.
const LOGINS: u64 = 6;
const LONGEST_ROLL_BACK: SignedDuration = SignedDuration::from_mins(10);
