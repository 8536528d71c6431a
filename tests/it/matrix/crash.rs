//! The crash matrix: for every driver pair the daemon is stopped after every commit, after everything that a peer has done,
//! and at every moment of a step; once, and again after the restart. Whatever was cut, the renewal ends the same.
//!
//! A crash between two such points is a crash at the first of them: nothing that lasts has happened in between.

use std::fmt;
use std::str::FromStr;

use jiff::SignedDuration;

use super::bench::Bench;
use super::invariants::When;
use super::pair::Pair;
use super::referee::Stop;
use super::sample::Sample;
use super::{is_long, of_each, report, seed};

/// A pair, and the points at which one daemon after the other is stopped; counted from 1, from each start.
#[derive(Debug, Clone, PartialEq, Eq)]
struct Case {
    pair: Pair,
    stops: Vec<usize>,
}

/// What came of a case in which nothing is broken.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct Crashes {
    /// How many daemons were stopped; fewer than were asked for where a renewal was done before.
    reached: usize,
    asked: usize,
}

#[tokio::test(flavor = "multi_thread")]
async fn stopped_at_any_point_a_renewal_ends_the_same() {
    let asked = std::env::var("RENEWD_CRASH").ok();
    if let Some(case) = asked.as_deref().and_then(|text| text.parse::<Case>().ok()) {
        return replay(&case).await;
    }
    let seed = seed(asked.as_deref(), "RENEWD_CRASH");
    let pairs = [Pair::all(), Pair::notable()].concat();
    let counted = of_each(pairs.clone(), |pair| async move { points_of(pair).await }).await;
    let mut sample = Sample::new(seed);
    let cases: Vec<Case> = pairs
        .iter()
        .zip(&counted)
        .flat_map(|(pair, points)| {
            cases(
                *pair,
                points.as_deref().unwrap_or_default().len(),
                &mut sample,
            )
        })
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
        "crash matrix: seed {seed}: {} driver pairs, {} crash points ({single} single, {in_pairs} in pairs), {not_reached} \
         not reached, {} violations",
        pairs.len(),
        single + in_pairs,
        broken.len()
    );
    assert!(counted.iter().all(Result::is_ok), "{counted:#?}");
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

/// Every point that a renewal of this pair passes that is not stopped.
async fn points_of(pair: Pair) -> Result<Vec<String>, String> {
    let bench = Bench::new(pair).await;
    bench
        .completed()
        .await
        .map_err(|words| format!("{pair}: {words}"))?;
    Ok(bench.referee.points())
}

/// The cases of a pair that passes so many points.
fn cases(pair: Pair, points: usize, sample: &mut Sample) -> Vec<Case> {
    let case = |stops: Vec<usize>| Case { pair, stops };
    let single: Vec<usize> = if is_long() {
        (1..=points).collect()
    } else {
        sample.some(SINGLE, points)
    };
    let doubles = if is_long() { DOUBLES_LONG } else { DOUBLES };
    let in_pairs = sample.some(doubles, points).into_iter().map(|first| {
        // What the second daemon has left to do, and what it must look at again.
        let left = points.saturating_sub(first) + LOOKED_AT_AGAIN;
        vec![first, 1 + sample.below(left)]
    });
    let in_pairs: Vec<Vec<usize>> = in_pairs.collect();
    single
        .into_iter()
        .map(|stop| vec![stop])
        .chain(in_pairs)
        .map(case)
        .collect()
}

/// Runs a case; what was stopped, and the points of each daemon.
async fn run(case: &Case) -> Result<(Crashes, Vec<Vec<String>>), String> {
    let bench = Bench::new(case.pair).await;
    let mut points = Vec::new();
    for stop in &case.stops {
        let ended = bench.drive(Stop::At(*stop)).await?;
        points.push(bench.referee.points());
        if ended.is_some() {
            break;
        }
        let place = points
            .last()
            .and_then(|points| points.last())
            .cloned()
            .unwrap_or_default();
        bench
            .hold(When::AfterCrash)
            .await
            .map_err(|words| format!("stopped at {place}: {words}"))?;
        // As long as a service manager takes to start it again.
        bench.lab.clock.advance(SignedDuration::from_secs(2));
    }
    let crashes = Crashes {
        reached: points
            .iter()
            .zip(&case.stops)
            .filter(|(points, stop)| points.len() == **stop)
            .count(),
        asked: case.stops.len(),
    };
    let told = |words: String| {
        let places: Vec<&String> = points.iter().filter_map(|points| points.last()).collect();
        format!("after crashes at {places:?}: {words}")
    };
    bench.completed().await.map_err(told)?;
    Ok((crashes, points))
}

/// Runs one case alone, and tells what it went through.
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
        write!(f, "{}:{}", self.pair, stops.join(","))
    }
}

impl FromStr for Case {
    type Err = String;

    /// `6.5-scp/resello:17,4`
    fn from_str(text: &str) -> Result<Self, String> {
        let (pair, stops) = text
            .split_once(':')
            .ok_or("PAIR:POINT or PAIR:POINT,POINT")?;
        let stops = stops
            .split(',')
            .map(|stop| stop.parse().map_err(|_| format!("no number: {stop}")));
        Ok(Self {
            pair: pair.parse()?,
            stops: stops.collect::<Result<_, _>>()?,
        })
    }
}

#[test]
fn a_case_is_read_as_it_is_written() {
    let text = "6.5-scp/resello:17,4";
    assert_eq!(text.parse::<Case>().unwrap().to_string(), text);
    assert!("6.5-scp/resello".parse::<Case>().is_err());
}

/// Of each pair, in the short run.
const SINGLE: usize = 2;
const DOUBLES: usize = 1;
/// Of each pair, in the long run, where every single point is one.
const DOUBLES_LONG: usize = 80;
/// Points of a start and of looking what was done.
const LOOKED_AT_AGAIN: usize = 12;
