//! The beside matrix: one thing happens beside a renewal while its daemon stands at one point: the clock jumps, the
//! configuration is read again, a probe runs, another administrator changes something, an operator asks for a renewal.
//! Then everything continues. The renewal ends the same, with one order, in one session at a time.

mod disturbance;
mod scene;

use std::fmt;
use std::str::FromStr;

use jiff::SignedDuration;
use renewd::inventory::State;
use simulators::Barrier;

use self::disturbance::{Act, Disturbance, SORTS};
use self::scene::{Came, Scene};
use super::driver_pair::DriverPair;
use super::fixture::Fixture;
use super::invariants::When;
use super::sample::Sample;
use super::{is_long, of_each, report, seed};

/// A pair, the point at which its daemon stands, counted from 1 from its start, and what happens then.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct Case {
    pair: DriverPair,
    point: usize,
    disturbance: Disturbance,
}

/// Where it happened; `None`: the point was not reached.
type Struck = Option<String>;

#[tokio::test(flavor = "multi_thread")]
async fn a_renewal_ends_the_same_under_every_disturbance() {
    let asked = std::env::var("RENEWD_BESIDE").ok();
    if let Some(case) = asked.as_deref().and_then(|text| text.parse::<Case>().ok()) {
        return replay(case).await;
    }
    // A pair alone: everything that may happen beside it.
    let alone = asked
        .as_deref()
        .and_then(|text| text.parse::<DriverPair>().ok());
    let asked = asked.filter(|_| alone.is_none());
    let seed = seed(asked.as_deref(), "RENEWD_BESIDE");
    let mut sample = Sample::new(seed);
    let pairs = match alone {
        Some(pair) => vec![pair],
        None => pairs(SHORT_PAIRS, &mut sample),
    };
    let is_long = alone.is_some() || is_long();
    let counted = of_each(pairs.clone(), |pair| async move { points_of(pair).await }).await;
    assert!(counted.iter().all(Result::is_ok), "{counted:#?}");
    let cases: Vec<Case> = pairs
        .iter()
        .zip(counted.iter().flatten())
        .flat_map(|(pair, points)| cases(*pair, *points, is_long, &mut sample))
        .collect();
    check(&format!("seed {seed}: {} driver pairs", pairs.len()), cases).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn on_postgresql_a_worker_that_loses_its_claim_by_a_clock_jump_stores_nothing_more() {
    if crate::postgres::cluster().is_none() {
        return;
    }
    let asked = std::env::var("RENEWD_BESIDE").ok();
    let seed = asked.and_then(|text| text.parse().ok()).unwrap_or(1);
    let mut sample = Sample::new(seed);
    let mut pairs = pairs(SHORT_PAIRS, &mut sample);
    pairs.retain(|pair| !pair.face.has_former());
    let point = |pair: &DriverPair, sample: &mut Sample| Case {
        pair: *pair,
        point: FIRST_STEP + sample.below(SOME_STEPS),
        disturbance: Disturbance::SharedJump,
    };
    let cases = pairs.iter().map(|pair| point(pair, &mut sample)).collect();
    check(&format!("seed {seed}: PostgreSQL"), cases).await;
}

/// Runs the cases, and prints what came of them.
async fn check(what: &str, cases: Vec<Case>) {
    let outcomes = of_each(cases.clone(), |case| async move { run(&case).await }).await;
    let broken = report("RENEWD_BESIDE", "beside", &cases, &outcomes);
    let mut sorts = [0; SORTS.len()];
    let mut not_reached = 0;
    for (case, outcome) in cases.iter().zip(&outcomes) {
        match outcome {
            Ok(Some(_)) => sorts[case.disturbance.sort()] += 1,
            Ok(None) => not_reached += 1,
            Err(_) => {}
        }
    }
    let by_sort = SORTS.iter().zip(sorts);
    let by_sort: Vec<String> = by_sort
        .map(|(sort, many)| format!("{many} {sort}"))
        .collect();
    println!(
        "beside matrix: {what}, {} disturbances ({}), {not_reached} not reached, {} violations",
        sorts.iter().sum::<usize>(),
        by_sort.join(", "),
        broken.len()
    );
    assert!(broken.is_empty(), "{}", broken.join("\n\n"));
    assert!(
        not_reached * 5 <= cases.len(),
        "{not_reached} points were not reached"
    );
}

/// All in the long run, and `some` of them in the short one.
fn pairs(some: usize, sample: &mut Sample) -> Vec<DriverPair> {
    let pairs = [DriverPair::all(), DriverPair::notable()].concat();
    if is_long() {
        return pairs;
    }
    let chosen = sample.some(some, pairs.len()).into_iter();
    chosen.map(|number| pairs[number - 1]).collect()
}

/// Each disturbance at some points in the long run; in the short one, one of each sort at one.
fn cases(pair: DriverPair, points: usize, is_long: bool, sample: &mut Sample) -> Vec<Case> {
    let mut all = Disturbance::everywhere();
    all.retain(|it| it.can_happen(pair.face));
    let chosen: Vec<Disturbance> = if is_long {
        all.repeat(LONG)
    } else {
        let of_sort = |sort| all.iter().filter(move |it| it.sort() == sort);
        let one_of = |sort| {
            let number = sample.below(of_sort(sort).count());
            *of_sort(sort).nth(number).unwrap()
        };
        (0..SORTS.len()).map(one_of).collect()
    };
    let at_a_point = |disturbance| Case {
        pair,
        point: 1 + sample.below(points),
        disturbance,
    };
    chosen.into_iter().map(at_a_point).collect()
}

/// How many points a daemon passes beside which nothing happens.
async fn points_of(pair: DriverPair) -> Result<usize, String> {
    let fixture = Fixture::new(pair).await;
    fixture
        .completed()
        .await
        .map_err(|words| format!("{pair}: {words}"))?;
    Ok(fixture.crash_points.points().len())
}

async fn run(case: &Case) -> Result<Struck, String> {
    let Some(fixture) = case.disturbance.fixture(case.pair).await else {
        return Ok(None);
    };
    let barrier = Barrier::new();
    let mut scene = Scene::start(fixture, case.point, &barrier).await;
    let mut act = None;
    let played = play(&mut scene, case, &barrier, &mut act).await;
    barrier.release();
    let stopped = scene.running.stop().await;
    let reported = |words: String| {
        let at = act.as_ref().map_or("no point", |act| &act.point);
        format!("at {at}: {words}\n{}", tail(&scene.fixture))
    };
    played.and(stopped).map_err(&reported)?;
    ended_well(&scene.fixture, act.as_ref())
        .await
        .map_err(reported)?;
    Ok(act.map(|act| act.point))
}

/// Until the renewal has ended and nothing follows, also an hour later.
async fn play(
    scene: &mut Scene,
    case: &Case,
    barrier: &Barrier,
    act: &mut Option<Act>,
) -> Result<(), String> {
    let end = case.pair.face.end();
    for _ in 0..ROUNDS {
        let reached = scene.comes_to_rest().await?;
        scene.fixture.hold(When::AfterCrash).await?;
        if reached == Came::Point {
            let act = act.insert(case.disturbance.strike(scene, case.point).await?);
            scene.fixture.hold(When::AfterCrash).await?;
            barrier.release();
            act.follow(scene).await?;
            continue;
        }
        if let Some(act) = act.as_mut().filter(|act| !act.is_over()) {
            act.rest(scene, end).await?;
            if act.is_over() {
                continue;
            }
        }
        let newest = scene.newest().await;
        if newest.is_some_and(|renewal| renewal.state.is_end()) {
            if let Some(act) = act {
                act.end(scene).await?;
            }
            scene
                .fixture
                .bed
                .clock
                .advance(SignedDuration::from_hours(1));
            return scene.comes_to_rest().await.map(drop);
        }
        scene.lets_time_pass().await;
    }
    let renewals = scene.renewals().await;
    Err(format!("it goes round in circles: {renewals:#?}"))
}

/// Every invariant holds, and the renewal has ended in the one way that is right for its firewall, with one order, and
/// with one session at a time.
async fn ended_well(fixture: &Fixture, act: Option<&Act>) -> Result<(), String> {
    let facts = fixture.facts(When::AtEnd).await;
    facts.hold().map_err(|broken| broken.to_string())?;
    let wanted = fixture.former + 1 + act.map_or(0, |act| act.more_renewals);
    // A renewal that was not ordered when its certificate left the configuration starts again.
    let mut renewals = facts.renewals.iter();
    let kept: Vec<State> = renewals
        .by_ref()
        .map(|renewal| renewal.state)
        .filter(|state| *state != State::Cancelled)
        .collect();
    let (orders, replaced) = (
        fixture.ca.orders(),
        fixture.bed.simulator.counters().sessions_replaced,
    );
    if kept.first() == Some(&fixture.pair.face.end())
        && kept.len() == wanted
        && orders == u64::try_from(wanted).unwrap()
        && replaced == 0
    {
        return Ok(());
    }
    Err(format!(
        "{orders} orders, {replaced} sessions replaced: {:#?}",
        facts.renewals
    ))
}

/// What was asked and logged last.
fn tail(fixture: &Fixture) -> String {
    let journal = fixture.bed.simulator.journal();
    let log = fixture.log.text();
    let of_renewd = log.lines().filter(|line| line.contains("renewd"));
    let lines: Vec<&str> = of_renewd.collect();
    let last = |lines: &[&str]| lines[lines.len().saturating_sub(25)..].join("\n  ");
    let asked: Vec<&str> = journal.iter().map(String::as_str).collect();
    format!("device:\n  {}\nlog:\n  {}", last(&asked), last(&lines))
}

/// Runs one case alone, and prints the point at which it happened.
async fn replay(case: Case) {
    let struck = run(&case).await;
    let struck = struck.unwrap_or_else(|words| panic!("{case}: {words}"));
    println!("{case}: {struck:?}, 0 violations");
}

impl fmt::Display for Case {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}:{}:{}", self.pair, self.point, self.disturbance)
    }
}

impl FromStr for Case {
    type Err = String;

    /// `8/resello:17:reload-removed`
    fn from_str(text: &str) -> Result<Self, String> {
        let parts: Vec<&str> = text.split(':').collect();
        let [pair, point, disturbance] = parts[..] else {
            return Err("PAIR:POINT:DISTURBANCE".to_owned());
        };
        Ok(Self {
            pair: pair.parse()?,
            point: point.parse().map_err(|_| format!("no number: {point}"))?,
            disturbance: disturbance.parse()?,
        })
    }
}

#[test]
fn a_case_is_read_as_it_is_written() {
    for disturbance in Disturbance::everywhere() {
        let text = format!("8/resello:17:{disturbance}");
        assert_eq!(text.parse::<Case>().unwrap().to_string(), text);
    }
    assert!("8/resello:17:rain".parse::<Case>().is_err());
}

/// In the short run.
const SHORT_PAIRS: usize = 5;
/// How often each disturbance happens to each pair, in the long run.
const LONG: usize = 2;
/// A renewal that waits for an approval is polled for days.
const ROUNDS: usize = 200;
/// Points of a start, after which the steps begin, and points of steps that every pair passes.
const FIRST_STEP: usize = 12;
const SOME_STEPS: usize = 40;
