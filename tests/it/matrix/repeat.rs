//! The repeat matrix: every step is taken twice, for every driver pair, and the renewal ends the same. Twice because the
//! daemon crashes before it stores the result of the step, and twice because the step's state is set back after it was
//! stored, as if a database had been restored from the moment before.

use std::collections::HashSet;
use std::fmt;
use std::str::FromStr;

use jiff::SignedDuration;
use renewd::inventory::State;
use renewd::renewal::{Moment, Step};
use sqlx::{Connection as _, SqliteConnection};

use super::crash_points::Stop;
use super::driver_pair::DriverPair;
use super::fixture::Fixture;
use super::invariants::When;
use super::sample::Sample;
use super::site::Site;
use super::{is_long, of_each, report, seed};

/// A site, the state that the repeated step leads to, and how it is repeated.
#[derive(Debug, Clone, PartialEq, Eq)]
struct Case {
    site: Site,
    to: State,
    how: How,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum How {
    /// What came of it is thrown away.
    Unstored,
    /// It was stored, and is set back.
    SetBack,
}

/// The states of a renewal, in their order, up to the one from which it may fail.
const TO_THE_BIND: [State; 7] = [
    State::Planned,
    State::CsrGenerated,
    State::CsrExported,
    State::Submitted,
    State::Issued,
    State::Imported,
    State::Bound,
];

#[tokio::test(flavor = "multi_thread")]
async fn every_step_can_be_taken_twice() {
    let asked = std::env::var("RENEWD_REPEAT").ok();
    if let Some(case) = asked.as_deref().and_then(|text| text.parse::<Case>().ok()) {
        run(&case)
            .await
            .unwrap_or_else(|words| panic!("{case}: {words}"));
        return println!("{case}: 0 violations");
    }
    let seed = seed(asked.as_deref(), "RENEWD_REPEAT");
    let mut sample = Sample::new(seed);
    let pairs = [DriverPair::all(), DriverPair::notable()].concat();
    let cases: Vec<Case> = pairs
        .iter()
        .zip(seed..)
        .flat_map(|(pair, turn)| cases(*pair, turn, &mut sample))
        .collect();
    let sites: HashSet<Site> = cases.iter().map(|case| case.site).collect();
    let outcomes = of_each(cases.clone(), |case| async move { run(&case).await }).await;
    let broken = report("RENEWD_REPEAT", "repeat", &cases, &outcomes);
    println!(
        "repeat matrix: seed {seed}: {} driver pairs, {} sites, {} steps taken twice, {} violations",
        pairs.len(),
        sites.len(),
        cases.len(),
        broken.len()
    );
    assert!(broken.is_empty(), "{}", broken.join("\n\n"));
}

/// Every step in both ways in the long run; in the short one some of them. The sites of the pair take turns.
fn cases(pair: DriverPair, turn: u64, sample: &mut Sample) -> Vec<Case> {
    let turn = usize::try_from(turn).unwrap();
    let all = [State::Completed, State::RolledBack].into_iter();
    let all: Vec<Case> = all.flat_map(|end| cases_to(pair, end, turn)).collect();
    if is_long() {
        return all;
    }
    let some = sample.some(SHORT, all.len());
    some.into_iter()
        .map(|number| all[number - 1].clone())
        .collect()
}

/// Every step of the sites of a pair that have this end.
fn cases_to(pair: DriverPair, end: State, turn: usize) -> Vec<Case> {
    let mut sites = Site::of(pair);
    sites.retain(|site| site.end() == end);
    let mut steps = path(end)[1..].to_vec();
    if end != pair.face.end() {
        // The others are those of the sites that have the other end.
        steps.drain(..TO_THE_BIND.len() - 1);
    }
    let both = |to: State| [How::Unstored, How::SetBack].map(|how| (to, how));
    let steps = steps.into_iter().flat_map(both);
    let sites = sites.iter().cycle().skip(turn);
    steps
        .zip(sites)
        .map(|((to, how), site)| Case {
            site: *site,
            to,
            how,
        })
        .collect()
}

/// The states of a renewal that comes to this end, in their order.
fn path(end: State) -> Vec<State> {
    let last = match end {
        State::RolledBack => [State::VerificationFailed, State::RolledBack],
        _ => [State::Verified, State::Completed],
    };
    [&TO_THE_BIND[..], &last].concat()
}

async fn run(case: &Case) -> Result<(), String> {
    let fixture = Fixture::new(case.site).await;
    let stop = match case.how {
        How::Unstored => Stop::Moment(Moment::Storing(case.to)),
        How::SetBack => Stop::Moment(Moment::Stored(case.to)),
    };
    if fixture.drive(stop).await?.is_some() {
        return Err("the step was never taken".to_owned());
    }
    fixture.hold(When::AfterCrash).await?;
    if case.how == How::SetBack {
        set_back(&fixture, case).await;
    }
    fixture.bed.clock.advance(SignedDuration::from_secs(2));
    fixture.completed().await
}

/// The one place where a test writes what the store would not: the renewal is in the state before `to` again.
async fn set_back(fixture: &Fixture, case: &Case) {
    let to = case.to;
    let path = path(case.site.end());
    let place = path.iter().position(|state| *state == to).unwrap();
    let before = path[place - 1];
    let url = fixture.bed.config().daemon.database;
    let mut connection = SqliteConnection::connect(&url).await.unwrap();
    let renewal = fixture.bed.renewals().await.swap_remove(0);
    let statement = "UPDATE renewal SET state = $1, ended_at = NULL WHERE state = $2 AND id = $3";
    let done = sqlx::query(statement)
        .bind(before.name())
        .bind(to.name())
        .bind(&renewal.id.0)
        .execute(&mut connection)
        .await
        .unwrap();
    assert_eq!(done.rows_affected(), 1, "{to}");
    // The state and the end of its intent are stored in one transaction: neither has happened.
    let step = Step::leaving(before).unwrap().name();
    sqlx::query("UPDATE intent SET closed_at = NULL WHERE renewal = $1 AND step = $2")
        .bind(renewal.id.0)
        .bind(step)
        .execute(&mut connection)
        .await
        .unwrap();
    connection.close().await.unwrap();
}

impl fmt::Display for Case {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let how = match self.how {
            How::Unstored => "unstored",
            How::SetBack => "set-back",
        };
        write!(f, "{}:{}:{how}", self.site, self.to)
    }
}

impl FromStr for Case {
    type Err = String;

    /// `8/venafi:submitted:set-back`, or `8/venafi@foreign:rolled_back:set-back`
    fn from_str(text: &str) -> Result<Self, String> {
        let parts: Vec<&str> = text.split(':').collect();
        let [site, to, how] = parts[..] else {
            return Err("SITE:STATE:HOW".to_owned());
        };
        let how = match how {
            "unstored" => How::Unstored,
            "set-back" => How::SetBack,
            other => return Err(format!("unstored or set-back, not {other}")),
        };
        let site: Site = site.parse()?;
        let to = State::from_name(to).filter(|to| path(site.end())[1..].contains(to));
        Ok(Self {
            site,
            to: to.ok_or("no such state")?,
            how,
        })
    }
}

#[test]
fn a_case_is_read_as_it_is_written() {
    for text in [
        "8/venafi:submitted:set-back",
        "8/venafi@foreign:rolled_back:set-back",
    ] {
        assert_eq!(text.parse::<Case>().unwrap().to_string(), text);
    }
    assert!("8/venafi:planned:set-back".parse::<Case>().is_err());
}

/// Of each pair, in the short run.
const SHORT: usize = 1;
